//! `config`: what is configured, and what can be.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use serde_json::{Map, Value};

use super::{ServiceConfig, command};
use crate::config::{self, ConfigError, reference};

/// What to do.
#[derive(Clone, Copy, Subcommand)]
pub(super) enum Verb {
    /// Reads all sources as `serve` does and says what is wrong: exit code 0 or 2
    Check,
    /// Prints every key with its value and where that was set; secrets are masked
    Dump {
        /// How to print it
        #[arg(long, value_enum, default_value = "text")]
        output: Output,
    },
    /// Prints the JSON schema of a file, for editors
    Schema,
    /// Prints every key with its default and what it means, as a file
    Template,
    /// Prints the same as a table in Markdown
    Table,
}

/// How a list is printed.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// Lines
    Text,
    /// One JSON object
    Json,
}

/// Does it, and prints.
pub(super) fn run<C: ServiceConfig>(
    name: &str,
    embedded: &'static str,
    file: Option<&Path>,
    what: Verb,
) -> Result<ExitCode, ConfigError> {
    let schema = reference::schema::<C>(name, embedded)?;
    let environment = config::environment();
    match what {
        Verb::Check => {
            command::checked(config::load::<C>(embedded, file)?)?;
            let unheard = config::unheard(embedded, environment.keys().map(String::as_str));
            for variable in &unheard {
                eprintln!(
                    "{name}: {variable} is no key: two underscores stand between section and key"
                );
            }
            if !unheard.is_empty() {
                return Ok(ExitCode::from(command::BAD_CONFIGURATION));
            }
            let set = reference::dump(&schema, embedded, file, &environment)?;
            let own = set
                .iter()
                .filter(|set| set.from != config::DEFAULTS)
                .count();
            print(&format!(
                "{name}: the configuration can be used: {own} of {} keys are set, the others have their defaults\n",
                set.len()
            ));
        }
        Verb::Dump { output } => {
            let set = reference::dump(&schema, embedded, file, &environment)?;
            if output == Output::Json {
                let keys = set.into_iter().map(|set| {
                    // Texts, numbers and truth are written in TOML as in JSON.
                    let value: Value = set.value.parse().unwrap_or_default();
                    let shown = serde_json::json!({ "value": value, "from": set.from });
                    (set.path, shown)
                });
                print(&format!(
                    "{:#}\n",
                    Value::Object(keys.collect::<Map<_, _>>())
                ));
                return Ok(ExitCode::SUCCESS);
            }
            let widest = |of: fn(&reference::Set) -> &str| {
                set.iter()
                    .map(|set| of(set).chars().count())
                    .max()
                    .unwrap_or_default()
            };
            let (paths, values) = (widest(|set| &set.path), widest(|set| &set.value).min(60));
            let mut lines = String::new();
            for set in &set {
                let (path, value, from) = (&set.path, &set.value, &set.from);
                let _ = writeln!(lines, "{path:paths$} = {value:values$}  # {from}");
            }
            print(&lines);
        }
        Verb::Schema => print(&format!("{schema:#}\n")),
        Verb::Template => print(&reference::commented(name, &schema)),
        Verb::Table => print(&reference::table(name, &schema)),
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints a text. Who does not read it to its end has seen enough.
pub(super) fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
