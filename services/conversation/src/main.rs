//! The process of the service.

use std::process::ExitCode;

use conversation::config::Config;

fn main() -> ExitCode {
    chassis::run::main(
        ("conversation", Config::EMBEDDED),
        &conversation::store::MIGRATOR,
        conversation::serve,
        conversation::migrate,
        &conversation::recovery::Recovery,
    )
}
