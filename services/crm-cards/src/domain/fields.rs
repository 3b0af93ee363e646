//! Custom fields: what an account keeps of its entities beside what every account does.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use time::Date;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use super::decimal;
use super::ids::FieldId;
use super::words::words;

/// Fields of a kind of entity at most.
pub const FIELDS_MAX: usize = 100;
/// Options of a field at most.
pub const OPTIONS_MAX: usize = 100;
/// How dates are written.
const DATE: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]");
/// Characters of a text or an address at most.
const TEXT_MAX: usize = 2_000;

words! {
    /// What has fields.
    pub enum Entity {
        /// Cards.
        Card = "card",
        /// Contacts.
        Contact = "contact",
        /// Companies.
        Company = "company",
        /// Orders.
        Order = "order",
    }
}

words! {
    /// What a field's values are.
    pub enum FieldKind {
        /// A text.
        Text = "text",
        /// An exact number.
        Number = "number",
        /// Yes or no.
        Flag = "flag",
        /// A date.
        Date = "date",
        /// One of its options.
        Select = "select",
        /// Some of its options.
        MultiSelect = "multi-select",
        /// A link.
        Url = "url",
    }
}

impl FieldKind {
    /// Tells whether its values are chosen from options.
    pub const fn has_options(self) -> bool {
        matches!(self, Self::Select | Self::MultiSelect)
    }
}

/// A custom field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// Id, under which entities keep their values.
    pub id: FieldId,
    /// What has it.
    pub entity: Entity,
    /// By what requests name it.
    pub key: String,
    /// Name to show.
    pub name: String,
    /// What its values are.
    pub kind: FieldKind,
    /// What can be chosen.
    pub options: Vec<String>,
    /// Asked for by forms, and never cleared again.
    pub required: bool,
    /// Its place.
    pub position: i32,
    /// Raised with every change.
    pub revision: i64,
}

/// A value of a field, of the kind of its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FieldValue {
    /// A text.
    Text(String),
    /// An exact number, in digits.
    Number(String),
    /// Yes or no.
    Flag(bool),
    /// A date, as `2026-03-02`.
    Date(String),
    /// One of the options.
    Select(String),
    /// Some of the options.
    MultiSelect(Vec<String>),
    /// An address.
    Url(String),
}

impl FieldValue {
    const fn kind(&self) -> FieldKind {
        match self {
            Self::Text(_) => FieldKind::Text,
            Self::Number(_) => FieldKind::Number,
            Self::Flag(_) => FieldKind::Flag,
            Self::Date(_) => FieldKind::Date,
            Self::Select(_) => FieldKind::Select,
            Self::MultiSelect(_) => FieldKind::MultiSelect,
            Self::Url(_) => FieldKind::Url,
        }
    }

    /// As it is stored: the kind stands in the definition.
    fn stored(self) -> Value {
        match self {
            Self::Text(text)
            | Self::Number(text)
            | Self::Date(text)
            | Self::Select(text)
            | Self::Url(text) => text.into(),
            Self::Flag(flag) => flag.into(),
            Self::MultiSelect(options) => options.into(),
        }
    }
}

/// Values as an entity keeps them: by the ids of their definitions, also of those that are deleted.
pub type Stored = Map<String, Value>;

/// Values as a request gives them, by key; none clears a field.
pub type Given = BTreeMap<String, Option<FieldValue>>;

/// Returns the values of what is kept by the keys of the fields that there are, as entities show them.
pub fn shown(definitions: &[Definition], stored: &Stored) -> BTreeMap<String, FieldValue> {
    let shown = definitions.iter().filter_map(|definition| {
        let kept = stored.get(&definition.id.to_string())?;
        let by_kind = Map::from_iter([(definition.kind.as_str().to_owned(), kept.clone())]);
        let value = serde_json::from_value(by_kind.into()).ok()?;
        Some((definition.key.clone(), value))
    });
    shown.collect()
}

/// What is wrong with the value of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// Key of the field.
    pub key: String,
    /// What must hold.
    pub description: String,
}

/// Returns what an entity keeps after a request. `form` asks for all required fields; otherwise what is not named stays.
/// Everything that is wrong is told at once.
pub fn changed(
    definitions: &[Definition],
    stored: &Stored,
    given: &Given,
    form: bool,
) -> Result<Stored, Vec<Wrong>> {
    let mut kept = stored.clone();
    let mut wrong = Vec::new();
    for (key, value) in given {
        let mut refuse = |description: String| {
            wrong.push(Wrong {
                key: key.clone(),
                description,
            });
        };
        let Some(definition) = definitions.iter().find(|known| known.key == *key) else {
            refuse("the account has no such field".to_owned());
            continue;
        };
        let id = definition.id.to_string();
        match value {
            None if definition.required => refuse("is required".to_owned()),
            None => drop(kept.remove(&id)),
            Some(value) => match checked(definition, value.clone()) {
                Ok(value) => drop(kept.insert(id, value.stored())),
                Err(description) => refuse(description),
            },
        }
    }
    let missing = definitions.iter().filter(|definition| {
        form && definition.required
            && !given.contains_key(&definition.key)
            && !kept.contains_key(&definition.id.to_string())
    });
    wrong.extend(missing.map(|definition| Wrong {
        key: definition.key.clone(),
        description: "is required".to_owned(),
    }));
    if wrong.is_empty() {
        Ok(kept)
    } else {
        Err(wrong)
    }
}

/// Checks a value, and brings it into the one form in which it is kept.
fn checked(definition: &Definition, value: FieldValue) -> Result<FieldValue, String> {
    let kind = definition.kind;
    if value.kind() != kind {
        return Err(format!("must be a value of kind {}", kind.as_str()));
    }
    let is_option = |text: &String| definition.options.contains(text);
    let options = || format!("must be one of: {}", definition.options.join(", "));
    match value {
        FieldValue::Text(text) => readable(&text).map(FieldValue::Text),
        FieldValue::Number(text) => decimal::read(&text)
            .map(|number| FieldValue::Number(number.normalize().to_string()))
            .ok_or_else(|| "must be at most 28 digits with a point, as 12.5".to_owned()),
        FieldValue::Flag(flag) => Ok(FieldValue::Flag(flag)),
        FieldValue::Date(text) => match Date::parse(&text, DATE) {
            Ok(_) => Ok(FieldValue::Date(text)),
            Err(_) => Err("must be a date, as 2026-03-02".to_owned()),
        },
        FieldValue::Select(text) if is_option(&text) => Ok(FieldValue::Select(text)),
        FieldValue::Select(_) => Err(options()),
        FieldValue::MultiSelect(chosen) => {
            if chosen.is_empty() || !chosen.iter().all(is_option) {
                return Err(options());
            }
            // In the order of the options, each once.
            let chosen: BTreeSet<String> = chosen.into_iter().collect();
            let in_order = definition.options.iter();
            Ok(FieldValue::MultiSelect(
                in_order
                    .filter(|one| chosen.contains(*one))
                    .cloned()
                    .collect(),
            ))
        }
        FieldValue::Url(text) => {
            let text = readable(&text)?;
            let rest = ["https://", "http://"]
                .iter()
                .find_map(|scheme| text.strip_prefix(scheme));
            let whole = rest.is_some_and(|rest| {
                !rest.is_empty()
                    && !rest.starts_with('/')
                    && !text.contains(|c: char| c.is_whitespace() || c.is_control())
            });
            if whole {
                Ok(FieldValue::Url(text))
            } else {
                Err("must be an address that begins with http:// or https://".to_owned())
            }
        }
    }
}

fn readable(text: &str) -> Result<String, String> {
    let trimmed = text.trim();
    if trimmed.is_empty() || trimmed.chars().count() > TEXT_MAX || trimmed.contains('\0') {
        return Err(format!("must be 1 to {TEXT_MAX} characters"));
    }
    Ok(trimmed.to_owned())
}

/// Tells whether a text can be a field's key.
pub fn is_key(text: &str) -> bool {
    let rest = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
    (1..=40).contains(&text.len())
        && text.bytes().all(rest)
        && text.starts_with(|first: char| first.is_ascii_lowercase())
}

/// Says what is wrong with the options of a field of a kind, if something is.
pub fn wrong_options(kind: FieldKind, options: &[String]) -> Option<&'static str> {
    let once: BTreeSet<&String> = options.iter().collect();
    match (kind.has_options(), options.is_empty()) {
        (true, true) => Some("a field whose values are chosen needs options"),
        (false, false) => Some("only a field whose values are chosen has options"),
        _ if once.len() < options.len() => Some("must name each option once"),
        _ => None,
    }
}

#[cfg(test)]
#[path = "fields_tests.rs"]
mod tests;
