//! Where a value that is refused came from: the variable, the file, or the defaults.

use std::collections::HashMap;
use std::path::Path;

use ::config::{Config, ConfigError, File, FileFormat, Value};

/// Writes a refusal: what is wrong, for which key, and where that was set.
pub(super) fn told(
    error: &ConfigError,
    environment: &HashMap<String, String>,
    file: Option<&Path>,
) -> String {
    let (message, key) = match error {
        ConfigError::At { error, key, .. } => (error.to_string(), key.as_deref()),
        ConfigError::Type {
            unexpected,
            expected,
            key,
            ..
        } => (
            format!("invalid type: {unexpected}, expected {expected}"),
            key.as_deref(),
        ),
        other => (other.to_string(), None),
    };
    // Of a key that nobody knows, the refusal names the section alone.
    let unknown = message
        .strip_prefix("unknown field `")
        .and_then(|rest| rest.split('`').next());
    let path: Vec<&str> = key.into_iter().chain(unknown).collect();
    if path.is_empty() || message.starts_with("missing ") {
        return message;
    }
    let path = path.join(".");
    let from = of(&path, environment, file);
    let meant = unknown.and_then(|unknown| nearest(unknown, &message));
    let meant = meant.map(|meant| format!("; did you mean `{meant}`?"));
    format!(
        "{path}: {message} (from {from}){}",
        meant.unwrap_or_default()
    )
}

/// Returns what sets a key: the variable, the file, or the defaults.
pub(super) fn of(path: &str, environment: &HashMap<String, String>, file: Option<&Path>) -> String {
    match (variable(path, environment), file) {
        (Some(variable), _) => variable.to_owned(),
        (None, Some(file)) if stands_in(file, path) => file.display().to_string(),
        _ => super::DEFAULTS.to_owned(),
    }
}

/// Returns that one of the names that a refusal expects which is written most like an unknown one.
fn nearest<'m>(unknown: &str, message: &'m str) -> Option<&'m str> {
    let (_, expected) = message.split_once("expected ")?;
    let names = expected.split('`').skip(1).step_by(2);
    let far = |name: &&str| strsim::damerau_levenshtein(unknown, name);
    // More than a third of it wrong is another word.
    let near = names.filter(|name| far(name) <= name.len().max(6) / 3);
    near.min_by_key(far)
}

/// Returns the variable that sets a key, or a key below it.
fn variable<'e>(path: &str, environment: &'e HashMap<String, String>) -> Option<&'e str> {
    let whole = format!("SWITCHBOARD_{}", path.to_uppercase().replace('.', "__"));
    let below = format!("{whole}__");
    let sets = |name: &&String| {
        let name = name.to_uppercase();
        name == whole || name.starts_with(&below)
    };
    // The first by name: the same one in each run.
    environment.keys().filter(sets).min().map(String::as_str)
}

fn stands_in(file: &Path, path: &str) -> bool {
    Config::builder()
        .add_source(File::from(file).format(FileFormat::Toml))
        .build()
        .is_ok_and(|alone| alone.get::<Value>(path).is_ok())
}

/// Returns the variables that somebody may take for keys and that are none, as `SWITCHBOARD_NATS_URL`: they lack one of the
/// two underscores between section and key. One whose key is set as well is left alone, as are variables of other programs.
pub fn unheard<'e>(embedded: &str, environment: impl IntoIterator<Item = &'e str>) -> Vec<&'e str> {
    let names: Vec<&str> = environment.into_iter().collect();
    let template = Config::builder()
        .add_source(File::from_str(embedded, FileFormat::Toml))
        .build();
    let sections = template.map(|template| template.cache.into_table());
    let Ok(Ok(sections)) = sections else {
        return Vec::new();
    };
    let keys = sections.into_iter().flat_map(|(section, keys)| {
        let keys = keys.into_table().unwrap_or_default();
        keys.into_keys()
            .map(move |key| (section.to_uppercase(), key.to_uppercase()))
    });
    let missed = keys.filter_map(|(section, key)| {
        let meant = format!("SWITCHBOARD_{section}__{key}");
        let written = format!("SWITCHBOARD_{section}_{key}");
        let written = names.iter().find(|name| **name == written);
        written
            .filter(|_| !names.contains(&meant.as_str()))
            .copied()
    });
    let mut missed: Vec<&str> = missed.collect();
    missed.sort_unstable();
    missed
}
