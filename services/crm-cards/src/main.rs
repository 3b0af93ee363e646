//! The process of the service; see the library.

use crm_cards::config::Config;

fn main() -> std::process::ExitCode {
    chassis::run::main(
        ("crm-cards", Config::EMBEDDED),
        &crm_cards::store::MIGRATOR,
        crm_cards::serve,
        crm_cards::migrate,
        &crm_cards::recovery::RECOVERY,
    )
}
