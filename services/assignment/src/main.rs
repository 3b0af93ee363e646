//! The process: `serve`, `migrate`, `healthcheck`.

use std::process::ExitCode;

use assignment::config::Config;

fn main() -> ExitCode {
    chassis::run::main(
        (assignment::NAME, Config::EMBEDDED),
        &assignment::store::MIGRATOR,
        assignment::serve,
        assignment::migrate,
        &assignment::recovery::Recovery,
    )
}
