//! What can be configured, as Rust declares it: the JSON schema, the commented template, the table for people, and what holds now.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;

use ::config::Value as Found;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};
use url::Url;

use super::{ConfigError, origin};

/// What stands for a secret.
const MASK: &str = "***";

/// Columns of a line of text.
const WIDTH: usize = 118;

/// One key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// `section.key`.
    pub path: String,
    /// What it means.
    pub about: String,
    /// It is masked.
    pub secret: bool,
    /// Its default, as it is written in TOML; none where it is not set.
    pub default: Option<String>,
}

/// A key as it is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// `section.key`.
    pub path: String,
    /// Its value, as it is written in TOML; a secret is masked.
    pub value: String,
    /// The variable or the file that sets it, or `default`.
    pub from: String,
}

/// Writes the JSON schema of a configuration, with the defaults of its template.
///
/// # Errors
///
/// [`ConfigError::Invalid`] where the template is no TOML.
pub fn schema<C: JsonSchema>(service: &str, embedded: &str) -> Result<Value, ConfigError> {
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings
        .into_generator()
        .into_root_schema_for::<C>()
        .to_value();
    let defaults = template(embedded)?;
    let root = schema.as_object_mut();
    let Some(root) = root else {
        return Ok(Value::Null);
    };
    root.insert("title".into(), format!("Configuration of {service}").into());
    // What the template has nobody needs to set.
    root.remove("required");
    for (section, schema) in properties(root) {
        let Some(schema) = schema.as_object_mut() else {
            continue;
        };
        schema.remove("required");
        schema.remove("default");
        for (key, schema) in properties(schema) {
            let default = defaults.get(section).and_then(|keys| keys.get(key));
            if let (Some(schema), Some(default)) = (schema.as_object_mut(), default) {
                schema.insert(
                    "default".into(),
                    serde_json::to_value(default).unwrap_or_default(),
                );
            }
        }
    }
    Ok(schema)
}

fn template(embedded: &str) -> Result<toml::Table, ConfigError> {
    embedded
        .parse()
        .map_err(|error: toml::de::Error| ConfigError::Invalid(error.to_string()))
}

fn properties(schema: &mut Map<String, Value>) -> impl Iterator<Item = (&String, &mut Value)> {
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    properties.into_iter().flatten()
}

/// Returns all keys of a schema, by their names.
pub fn keys(schema: &Value) -> Vec<Key> {
    let mut keys = Vec::new();
    let sections = schema["properties"].as_object().into_iter().flatten();
    for (section, schema) in sections {
        for (key, schema) in schema["properties"].as_object().into_iter().flatten() {
            let about = schema["description"].as_str().unwrap_or_default();
            let about = about.split_whitespace().collect::<Vec<_>>().join(" ");
            keys.push(Key {
                path: format!("{section}.{key}"),
                about,
                secret: schema["format"] == "password",
                default: schema
                    .get("default")
                    .filter(|default| !default.is_null())
                    .map(written),
            });
        }
    }
    keys
}

/// Writes a value as TOML does: texts in quotes, as in JSON.
fn written(value: &Value) -> String {
    value.to_string()
}

/// Writes the template: every key with what it means and its default; those that are not set by default stand as comments.
pub fn commented(service: &str, schema: &Value) -> String {
    let mut text = format!(
        "# Configuration of {service}: every key with its default. What is set in a file (--config FILE, or\n\
         # SWITCHBOARD_CONFIG_FILE) or, above it, by variables of the form SWITCHBOARD_SECTION__KEY overrides it.\n\
         # Written by `{service} config template`: what keys mean stands in Rust.\n"
    );
    let mut section = "";
    let keys = keys(schema);
    for key in &keys {
        let (of, name) = key.path.split_once('.').unwrap_or_default();
        if of != section {
            section = of;
            let _ = write!(text, "\n[{section}]\n");
        }
        for line in wrapped(&key.about) {
            let _ = writeln!(text, "# {line}");
        }
        let _ = match &key.default {
            Some(default) => writeln!(text, "{name} = {default}"),
            None => writeln!(text, "# {name} ="),
        };
    }
    text
}

fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let Some(line) = lines.last_mut() else {
            continue;
        };
        if line.len() + 1 + word.len() > WIDTH {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

/// Writes a table of all keys in Markdown.
pub fn table(service: &str, schema: &Value) -> String {
    let mut text = format!("# {service}\n\n| key | default | what it means |\n|---|---|---|\n");
    for key in keys(schema) {
        let default = key
            .default
            .map(|default| format!("`{default}`"))
            .unwrap_or_default();
        let secret = if key.secret { " (secret)" } else { "" };
        let about = key.about.replace('|', "\\|");
        let _ = writeln!(text, "| `{}`{secret} | {default} | {about} |", key.path);
    }
    text
}

/// Returns all keys as they are set, and by what; secrets are masked. What nobody sets is left out.
///
/// # Errors
///
/// [`ConfigError::Invalid`] where a source cannot be read.
#[expect(clippy::implicit_hasher, reason = "one caller beside tests")]
pub fn dump(
    schema: &Value,
    embedded: &str,
    file: Option<&Path>,
    environment: &HashMap<String, String>,
) -> Result<Vec<Set>, ConfigError> {
    let keys_of = super::keys_of(environment.clone());
    let built = super::sources(embedded, file, &keys_of)
        .build()
        .map_err(|error| ConfigError::Invalid(origin::told(&error, &keys_of, file)))?;
    let set = keys(schema).into_iter().filter_map(|key| {
        let found = built.get::<Found>(&key.path).ok()?;
        let text = found.into_string().ok()?;
        let value = if key.secret { masked(&text) } else { text };
        Some(Set {
            value: quoted(&value),
            from: origin::of(&key.path, &keys_of, file),
            path: key.path,
        })
    });
    Ok(set.collect())
}

/// Numbers and truth stand as they are, other values in quotes.
fn quoted(text: &str) -> String {
    let plain = text.parse::<serde_json::Number>().is_ok() || matches!(text, "true" | "false");
    if plain {
        text.to_owned()
    } else {
        Value::from(text).to_string()
    }
}

/// Hides a secret. Of an address all is shown but user and password.
fn masked(text: &str) -> String {
    let addresses = text.split(',').map(|address| {
        let mut address = Url::parse(address.trim()).ok().filter(Url::has_host)?;
        if !address.username().is_empty() {
            address.set_username(MASK).ok()?;
        }
        if address.password().is_some() {
            address.set_password(Some(MASK)).ok()?;
        }
        // What stands behind may be a password as well.
        address.set_query(address.query().map(|_| MASK));
        Some(address.to_string())
    });
    match addresses.collect::<Option<Vec<_>>>() {
        _ if text.is_empty() => String::new(),
        Some(addresses) => addresses.join(","),
        None => MASK.to_owned(),
    }
}

/// Returns the keys of a template that a schema does not know: for tests.
///
/// # Errors
///
/// [`ConfigError::Invalid`] where the template is no TOML.
pub fn strangers(schema: &Value, embedded: &str) -> Result<Vec<String>, ConfigError> {
    let known: Vec<String> = keys(schema).into_iter().map(|key| key.path).collect();
    let mut strange = Vec::new();
    for (section, keys) in template(embedded)? {
        for key in keys.as_table().into_iter().flat_map(toml::Table::keys) {
            let path = format!("{section}.{key}");
            if !known.contains(&path) {
                strange.push(path);
            }
        }
    }
    Ok(strange)
}

#[cfg(test)]
mod tests {
    use super::super::{Database, Nats};
    use super::*;
    use serde::Deserialize;

    /// What is declared.
    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Declared {
        /// The database.
        #[expect(unused, reason = "is read by name")]
        database: Database,
        /// The broker.
        #[expect(unused, reason = "is read by name")]
        nats: Nats,
    }

    const TEMPLATE: &str =
        "[database]\nurl = \"postgres://switchboard@db/own\"\n[nats]\nreplicas = 3\n";

    fn environment(variables: &[(&str, &str)]) -> HashMap<String, String> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        variables.iter().map(owned).collect()
    }

    #[test]
    fn o1_7_a_dump_names_what_sets_each_key_and_masks_secrets() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("own.toml");
        std::fs::write(&file, "[database]\nmax_connections = 7\n").unwrap();
        let schema = schema::<Declared>("some", TEMPLATE).unwrap();
        let nats = [(
            "SWITCHBOARD_NATS__URL",
            "nats://own:hidden@b1,nats://b2:4222",
        )];
        let set = dump(&schema, TEMPLATE, Some(&file), &environment(&nats)).unwrap();
        let lines = set.iter().map(|set| (&*set.path, &*set.value, &*set.from));
        let file = file.display().to_string();
        assert_eq!(
            lines.collect::<Vec<_>>(),
            [
                ("database.max_connections", "7", &*file),
                ("database.url", "\"postgres://***@db/own\"", "the defaults"),
                ("nats.replicas", "3", "the defaults"),
                (
                    "nats.url",
                    "\"nats://***:***@b1,nats://b2:4222\"",
                    "SWITCHBOARD_NATS__URL"
                ),
            ]
        );
        for (text, expected) in [
            ("", ""),
            ("hidden", "***"),
            ("nats://token@b1", "nats://***@b1"),
            ("postgres://db/own?password=hidden", "postgres://db/own?***"),
        ] {
            assert_eq!(masked(text), expected, "{text}");
        }
    }

    #[test]
    fn o1_8_an_unknown_key_is_told_with_the_known_one_that_was_meant() {
        for (variable, meant) in [
            ("SWITCHBOARD_NATS__REPLICA", Some("replicas")),
            ("SWITCHBOARD_NATS__INBOUND_SHARD", Some("inbound_shards")),
            ("SWITCHBOARD_DATABSE__URL", Some("database")),
            ("SWITCHBOARD_NATS__COLOUR", None),
        ] {
            let set = environment(&[(variable, "1")]);
            let refused = super::super::load_from::<Declared>(TEMPLATE, None, set).unwrap_err();
            let text = refused.to_string();
            assert!(text.contains(variable), "{text}");
            let told = text.split_once("did you mean `").map(|(_, name)| name);
            assert_eq!(
                told,
                meant.map(|name| format!("{name}`?")).as_deref(),
                "{text}"
            );
        }
    }

    #[test]
    fn o1_9_the_template_says_what_each_key_means_and_is_read_as_it_was() {
        let schema = schema::<Declared>("some", TEMPLATE).unwrap();
        let written = commented("some", &schema);
        assert!(
            written.contains("# Copies of each stream.\nreplicas = 3\n"),
            "{written}"
        );
        let read: toml::Table = written.parse().unwrap();
        let declared = TEMPLATE.parse::<toml::Table>().unwrap();
        assert_eq!(read["database"]["url"], declared["database"]["url"]);
        assert_eq!(read["nats"]["replicas"], declared["nats"]["replicas"]);
        // What the template does not say, Rust does.
        assert_eq!(read["database"]["max_connections"].as_integer(), Some(10));
        let other = "[nats]\ncolour = 1\n";
        assert_eq!(strangers(&schema, other).unwrap(), ["nats.colour"]);
        assert_eq!(
            schema["properties"]["nats"]["properties"]["replicas"]["default"],
            3
        );
        assert_eq!(schema["properties"]["nats"]["additionalProperties"], false);
    }
}
