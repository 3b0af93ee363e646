//! Contexts by name, kept in one file that nobody else can read.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Context;
use crate::cli::Globals;
use crate::error::CliError;
use crate::output::{View, cell, note};

/// Names the file of contexts, where it is not at its usual place.
const FILE: &str = "SWITCHBOARD_CTL_CONTEXTS";

/// Verbs on contexts.
#[derive(Subcommand)]
pub(crate) enum ContextVerb {
    /// List the contexts
    List,
    /// Add a context, or replace one: what a context file says, and above it what is typed (--account, --assignment …)
    Add {
        /// Its name
        name: String,
        /// A context file to begin with, as scripts/start writes it
        #[arg(long, value_name = "FILE")]
        from: Option<PathBuf>,
        /// Whoever changes something here is asked first
        #[arg(long)]
        production: bool,
    },
    /// Make a context the current one
    Use {
        /// Its name
        name: String,
    },
    /// Show a context, without its secrets
    Show {
        /// Its name; the current one unless given
        name: Option<String>,
    },
    /// Forget a context
    Remove {
        /// Its name
        name: String,
    },
}

/// What a context says, as in a context file.
type Table = Map<String, Value>;

impl ContextVerb {
    /// Tells whether the verb leaves the file as it is.
    pub fn only_reads(&self) -> bool {
        matches!(self, Self::List | Self::Show { .. })
    }
}

/// The file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Contexts {
    /// The one that is meant where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<String>,
    /// Each as in a context file.
    contexts: BTreeMap<String, Table>,
}

/// Returns a context by its name, else the current one; nothing where there is none.
pub(super) fn find(name: Option<&str>) -> Result<Option<(String, Context)>, CliError> {
    let Some(path) = path() else {
        return Ok(None);
    };
    let known = read(&path)?;
    let Some(name) = name.map(str::to_owned).or_else(|| known.current.clone()) else {
        return Ok(None);
    };
    let table = known
        .contexts
        .get(&name)
        .ok_or_else(|| unknown(&name, &known))?;
    let context = parsed(&name, table)?;
    Ok(Some((name, context)))
}

/// The names of all contexts: for completions.
pub(crate) fn names() -> Vec<String> {
    let known = path().and_then(|path| read(&path).ok());
    known.map_or_else(Vec::new, |known| known.contexts.into_keys().collect())
}

fn unknown(name: &str, known: &Contexts) -> CliError {
    let names: Vec<&str> = known.contexts.keys().map(String::as_str).collect();
    let hint = if names.is_empty() {
        "`switchboardctl context add NAME --from FILE`".to_owned()
    } else {
        format!("one of: {}", names.join(", "))
    };
    CliError::usage(&format!("there is no context {name}"), &hint)
}

fn parsed(name: &str, table: &Table) -> Result<Context, CliError> {
    serde_json::from_value(table.clone().into()).map_err(|error| {
        CliError::usage(
            &format!("the context {name} is not valid: {error}"),
            "add it again: `switchboardctl context add NAME --from FILE`",
        )
    })
}

/// Where the file is: where the environment says, else among the user's configuration.
fn path() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(path) = variable(FILE) {
        return Some(path.into());
    }
    let folder = variable("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(Path::new(&variable("HOME")?).join(".config")))?;
    Some(folder.join("switchboard").join("contexts.yaml"))
}

fn read(path: &Path) -> Result<Contexts, CliError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Contexts::default());
        }
        Err(error) => return Err(CliError::file("read the contexts in", path, &error)),
    };
    super::warn_when_readable_by_others(path);
    yaml_serde::from_str(&text).map_err(|error| {
        CliError::usage(
            &format!("{} is not valid: {error}", path.display()),
            "mend it, or move it away and add the contexts again",
        )
    })
}

/// Writes the file whole or not at all, and for its owner alone from its first byte on.
fn write(path: &Path, contexts: &Contexts) -> Result<(), CliError> {
    let failed = |error: std::io::Error| CliError::file("write the contexts to", path, &error);
    let text = yaml_serde::to_string(contexts)
        .map_err(|error| CliError::failed(format!("contexts cannot be written: {error}"), ""))?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let beside = path.with_extension("tmp");
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    // What a run before this one left behind may have other rights.
    let _ = std::fs::remove_file(&beside);
    let mut file = options.open(&beside).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    std::fs::rename(&beside, path).map_err(failed)
}

/// Runs a verb.
pub(crate) fn run(verb: ContextVerb, globals: &Globals) -> Result<(), CliError> {
    let path = path().ok_or_else(|| {
        CliError::usage(
            "there is no place for contexts",
            &format!("set HOME, or {FILE} to a file"),
        )
    })?;
    let mut known = read(&path)?;
    match verb {
        ContextVerb::List => return list(&known, globals),
        ContextVerb::Show { name } => return show(name, &known, globals),
        ContextVerb::Add {
            name,
            from,
            production,
        } => {
            let table = made(from.as_deref(), production, globals)?;
            parsed(&name, &table)?;
            known.contexts.insert(name.clone(), table);
            if known.current.is_none() {
                known.current = Some(name.clone());
            }
            note!("context {name} is kept in {}", path.display());
        }
        ContextVerb::Use { name } => {
            if !known.contexts.contains_key(&name) {
                return Err(unknown(&name, &known));
            }
            note!("context {name} is the current one");
            known.current = Some(name);
        }
        ContextVerb::Remove { name } => {
            if known.contexts.remove(&name).is_none() {
                return Err(unknown(&name, &known));
            }
            known.current = known.current.filter(|current| *current != name);
            note!("context {name} is forgotten");
        }
    }
    write(&path, &known)
}

/// Makes a context of a file, whose paths are made whole, and of what was typed.
fn made(from: Option<&Path>, production: bool, globals: &Globals) -> Result<Table, CliError> {
    let mut table = match from {
        None => Table::new(),
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| CliError::file("read the context", path, &error))?;
            toml::from_str(&text).map_err(|error| {
                CliError::usage(
                    &format!("{} is no context file: {}", path.display(), error.message()),
                    "let scripts/start write one, or type what it says",
                )
            })?
        }
    };
    let folder = from
        .and_then(Path::parent)
        .map(Path::to_owned)
        .unwrap_or_default();
    let whole = |path: &Path| {
        let path = folder.join(path);
        std::path::absolute(&path)
            .unwrap_or(path)
            .display()
            .to_string()
    };
    for named in ["key", "token_file", "ca_file"] {
        if let Some(Value::String(path)) = table.get_mut(named) {
            *path = whole(Path::new(path.as_str()));
        }
    }
    if let Some(Value::String(path)) = table
        .get_mut("nats")
        .and_then(|nats| nats.get_mut("credentials_file"))
    {
        *path = whole(Path::new(path.as_str()));
    }
    let typed = [
        ("account", globals.account.clone()),
        ("agent", globals.acting.clone()),
        ("token", globals.token.clone()),
        ("token_file", globals.token_file.as_deref().map(absolute)),
        ("key", globals.key.as_deref().map(absolute)),
        ("ca_file", globals.ca_file.as_deref().map(absolute)),
    ];
    put(&mut table, typed);
    let services = [
        ("assignment", globals.assignment.clone()),
        ("conversation", globals.conversation.clone()),
        ("crm_cards", globals.crm_cards.clone()),
        ("channel_gateway", globals.channel_gateway.clone()),
    ];
    if let Some(inner) = under(&mut table, "services") {
        put(inner, services);
    }
    if let Some(inner) = under(&mut table, "nats") {
        put(inner, [("url", globals.nats.clone())]);
    }
    table.retain(|_, value| value.as_object().is_none_or(|table| !table.is_empty()));
    if production {
        table.insert("production".into(), true.into());
    }
    Ok(table)
}

fn absolute(path: &Path) -> String {
    std::path::absolute(path)
        .unwrap_or_else(|_| path.to_owned())
        .display()
        .to_string()
}

fn put<const N: usize>(table: &mut Table, typed: [(&str, Option<String>); N]) {
    for (name, value) in typed {
        if let Some(value) = value {
            table.insert(name.to_owned(), value.into());
        }
    }
}

/// The table of a name within a table; made where there is none.
fn under<'t>(table: &'t mut Table, name: &str) -> Option<&'t mut Table> {
    let inner = table.entry(name).or_insert_with(|| Table::new().into());
    if !inner.is_object() {
        *inner = Table::new().into();
    }
    inner.as_object_mut()
}

fn list(known: &Contexts, globals: &Globals) -> Result<(), CliError> {
    let view = View::new(globals);
    let text = |table: &Table, name: &str| {
        let value = table.get(name).and_then(Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    let is_current = |name: &String| known.current.as_ref() == Some(name);
    let is_production =
        |table: &Table| table.get("production").and_then(Value::as_bool) == Some(true);
    if view.is_table() {
        let rows = known.contexts.iter().map(|(name, table)| {
            let services = table.get("services").and_then(Value::as_object);
            vec![
                cell(name),
                cell(if is_current(name) { "yes" } else { "" }),
                cell(if is_production(table) {
                    "PRODUCTION"
                } else {
                    ""
                }),
                cell(text(table, "account")),
                cell(
                    services
                        .map(|table| text(table, "assignment"))
                        .unwrap_or_default(),
                ),
            ]
        });
        let headers = ["NAME", "CURRENT", "KIND", "ACCOUNT", "ASSIGNMENT"];
        view.rows(&headers, &["ASSIGNMENT"], rows.collect());
    } else if view.is_ids() {
        known
            .contexts
            .keys()
            .for_each(|name| crate::output::say!("{name}"));
    } else {
        let values = known.contexts.iter().map(|(name, table)| {
            serde_json::json!({
                "name": name, "current": is_current(name), "production": is_production(table),
                "account": text(table, "account"),
            })
        });
        view.values(values.collect());
    }
    view.judge_empty(known.contexts.is_empty())
}

fn show(name: Option<String>, known: &Contexts, globals: &Globals) -> Result<(), CliError> {
    let name = name
        .or_else(|| globals.context.clone())
        .or_else(|| known.current.clone());
    let name =
        name.ok_or_else(|| CliError::usage("no context is current", "name one: `context list`"))?;
    let table = known
        .contexts
        .get(&name)
        .ok_or_else(|| unknown(&name, known))?;
    let view = View::new(globals);
    let table = masked(table);
    if view.is_table() {
        let text = crate::output::json::yaml(&table.into());
        crate::output::say!("# {name}\n{}", text.trim_end());
    } else {
        view.value(&serde_json::json!({ "name": name, "context": table }));
    }
    Ok(())
}

/// The same without what lets somebody in.
fn masked(table: &Table) -> Table {
    let masked = table.iter().map(|(name, value)| {
        let secret = ["token", "bot_token", "password", "secret"].contains(&name.as_str());
        let value = match value {
            Value::Object(inner) => self::masked(inner).into(),
            _ if secret => "(secret)".into(),
            // A password may stand in an address.
            Value::String(text) => without_password(text).into(),
            other => other.clone(),
        };
        (name.clone(), value)
    });
    masked.collect()
}

fn without_password(text: &str) -> String {
    match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://…@{host}"),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
