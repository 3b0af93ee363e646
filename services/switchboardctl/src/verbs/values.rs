//! What cards, contacts and companies have in common: values of custom fields, responsibles, histories.

use std::collections::HashMap;

use clap::Args;
use switchboard_proto::crm_cards::v1::field::{Entity, Type};
use switchboard_proto::crm_cards::v1::field_value::{Options, Value};
use switchboard_proto::crm_cards::v1::history_entry::Kind;
use switchboard_proto::crm_cards::v1::list_history_request::Entity as About;
use switchboard_proto::crm_cards::v1::{
    ContactPoints, Field, FieldValue, ListFieldsRequest, ListHistoryRequest, PersonOwner,
};
use uuid::Uuid;

use super::Page;
use crate::cli::choice;
use crate::connect::Session;
use crate::error::CliError;
use crate::output::{View, table::harmless, words};

/// An id, or none by its word.
pub(super) fn id_or_none(text: &str) -> Result<String, String> {
    match text {
        "none" => Ok(String::new()),
        text => Uuid::try_parse(text)
            .map(|id| id.to_string())
            .map_err(|_| String::from("an id (UUID), or none")),
    }
}

/// A key and its value, as `city=Kyiv`.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text
        .split_once('=')
        .filter(|(key, _)| !key.is_empty())
        .ok_or_else(|| String::from("a field's key and its value, as city=Kyiv"))?;
    Ok((key.to_owned(), value.to_owned()))
}

/// A value as people read it.
pub(super) fn shown(value: &FieldValue) -> String {
    match value.value.clone() {
        None => String::new(),
        Some(
            Value::Text(text)
            | Value::Number(text)
            | Value::Date(text)
            | Value::Option(text)
            | Value::Url(text),
        ) => text,
        Some(Value::Flag(flag)) => words::yes(flag).to_owned(),
        Some(Value::Options(options)) => options.values.join(", "),
    }
}

/// Values as lines below what has them.
pub(super) fn lines(fields: &HashMap<String, FieldValue>) -> Vec<String> {
    let mut fields: Vec<_> = fields.iter().collect();
    fields.sort_by_key(|(key, _)| *key);
    let line = |(key, value)| format!("  {key}  {}", harmless(&shown(value)));
    fields.into_iter().map(line).collect()
}

/// The id of an agent who is named, or an empty one for `none`.
pub(super) async fn agent_or_none(
    session: &Session,
    named: Option<&str>,
) -> Result<Option<String>, CliError> {
    Ok(match named {
        None => None,
        Some("none") => Some(String::new()),
        Some(agent) => Some(session.agent_id(agent).await?.to_string()),
    })
}

/// Reads a value by the type of its field.
fn value(field: &Field, text: &str) -> Result<Option<Value>, CliError> {
    if text.is_empty() {
        return Ok(None);
    }
    let owned = text.to_owned();
    Ok(Some(match field.r#type() {
        Type::Number => Value::Number(owned),
        Type::Date => Value::Date(owned),
        Type::Select => Value::Option(owned),
        Type::Url => Value::Url(owned),
        Type::Flag => match text {
            "yes" | "true" => Value::Flag(true),
            "no" | "false" => Value::Flag(false),
            _ => {
                let text = format!("{} is yes or no, and not {text}", field.key);
                return Err(CliError::usage(&text, &format!("{}=yes", field.key)));
            }
        },
        Type::MultiSelect => {
            let values = text.split(',').map(|one| one.trim().to_owned());
            Value::Options(Options {
                values: values.collect(),
            })
        }
        Type::Text | Type::Unspecified => Value::Text(owned),
    }))
}

/// Reads values of custom fields, by what the account has defined.
pub(super) async fn values(
    session: &Session,
    entity: Entity,
    typed: &[(String, String)],
) -> Result<HashMap<String, FieldValue>, CliError> {
    if typed.is_empty() {
        return Ok(HashMap::new());
    }
    let mut client = session.fields(&session.role().await?).await?;
    let request = ListFieldsRequest {
        entity: entity.into(),
    };
    let known = client.list_fields(request).await?.into_inner().fields;
    let values = typed.iter().map(|(key, text)| {
        let field = known
            .iter()
            .find(|field| field.key == *key)
            .ok_or_else(|| {
                let keys: Vec<_> = known.iter().map(|field| field.key.as_str()).collect();
                let what = words::word(entity.as_str_name(), "ENTITY_");
                let text = format!("a {what} has no field {key}");
                CliError::usage(&text, &format!("one of: {}", keys.join(", ")))
            })?;
        let value = value(field, text)?;
        Ok((key.clone(), FieldValue { value }))
    });
    values.collect()
}

/// Which contacts or companies.
#[derive(Args)]
pub(crate) struct Asked {
    /// Only those with these words, or their beginnings, in the name, the nick, the phones or the addresses
    #[arg(long, default_value = "", hide_default_value = true)]
    pub text: String,
    /// Only those with this phone
    #[arg(long, default_value = "", hide_default_value = true)]
    pub phone: String,
    /// Only those with this e-mail address
    #[arg(long, default_value = "", hide_default_value = true)]
    pub email: String,
    /// Only those of this agent, by name or id; of nobody: `none`
    #[arg(long, value_name = "AGENT")]
    owner: Option<String>,
    /// Only the own ones of the agent who asks
    #[arg(long, conflicts_with = "owner")]
    mine: bool,
}

impl Asked {
    /// Whom they belong to.
    pub async fn owner(&self, session: &Session) -> Result<(PersonOwner, String), CliError> {
        Ok(match self.owner.as_deref() {
            _ if self.mine => (PersonOwner::Mine, String::new()),
            None => (PersonOwner::Unspecified, String::new()),
            Some("none") => (PersonOwner::None, String::new()),
            Some(agent) => {
                let agent = session.agent_id(agent).await?.to_string();
                (PersonOwner::Unspecified, agent)
            }
        })
    }
}

/// What a new contact or company has.
#[derive(Args)]
pub(crate) struct Details {
    /// Phone (repeatable, the first one first)
    #[arg(long = "phone", value_name = "PHONE")]
    pub phones: Vec<String>,
    /// E-mail address (repeatable, the first one first)
    #[arg(long = "email", value_name = "ADDRESS")]
    pub emails: Vec<String>,
    /// The responsible, by name or id
    #[arg(long, value_name = "AGENT")]
    pub responsible: Option<String>,
    /// Value of a custom field (repeatable); several of a multi-select with commas
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = pair)]
    pub fields: Vec<(String, String)>,
}

/// What of a contact or company is to be changed.
#[derive(Args)]
pub(crate) struct ChangedDetails {
    /// New name
    #[arg(long)]
    pub name: Option<String>,
    /// Phone that it has from now on (repeatable, the first one first); none at all: `none`
    #[arg(long = "phone", value_name = "PHONE")]
    phones: Vec<String>,
    /// E-mail address that it has from now on (repeatable, the first one first); none at all: `none`
    #[arg(long = "email", value_name = "ADDRESS")]
    emails: Vec<String>,
    /// The new responsible, by name or id; none: `none`
    #[arg(long, value_name = "AGENT")]
    pub responsible: Option<String>,
    /// New value of a custom field (repeatable); without a value it is cleared
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = pair)]
    pub fields: Vec<(String, String)>,
    /// The revision that was seen; refused where another change came first
    #[arg(long, value_name = "NUMBER")]
    pub revision: Option<i64>,
}

impl ChangedDetails {
    /// All phones from now on, where something was said of them.
    pub fn phones(&self) -> Option<ContactPoints> {
        points(&self.phones)
    }

    /// All addresses from now on, where something was said of them.
    pub fn emails(&self) -> Option<ContactPoints> {
        points(&self.emails)
    }
}

fn points(typed: &[String]) -> Option<ContactPoints> {
    let named = typed.iter().filter(|one| *one != "none").cloned();
    (!typed.is_empty()).then(|| ContactPoints {
        values: named.collect(),
    })
}

/// Which entries of a history.
#[derive(Args)]
pub(crate) struct Told {
    /// Only this kind of entry (repeatable); all but key actions unless given
    #[arg(long = "kind", value_name = "KIND", value_parser = choice!(Kind, "KIND_", [
        "created", "updated", "moved", "responsible", "participants", "note", "linked", "deleted", "key-action", "merged",
        "unmerged"]))]
    kinds: Vec<Kind>,
    #[command(flatten)]
    page: Page,
}

impl Told {
    /// Tells what happened to something, newest first.
    pub async fn tell(self, session: &Session, view: &View, about: About) -> Result<(), CliError> {
        let mut client = session.histories(&session.role().await?).await?;
        let kinds: Vec<i32> = self.kinds.into_iter().map(Into::into).collect();
        let ask = async |page_size, page_token| {
            let request = ListHistoryRequest {
                page_size,
                page_token,
                entity: Some(about.clone()),
                kinds: kinds.clone(),
            };
            let page = client.list_history(request).await?.into_inner();
            Ok((page.entries, page.next_page_token))
        };
        let (entries, next) = self.page.read(ask).await?;
        view.list(&entries, &next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_by_the_type_of_their_field() {
        let field = |kind: Type| Field {
            key: "x".into(),
            r#type: kind.into(),
            ..Field::default()
        };
        for (kind, text, expected) in [
            (Type::Text, "Kyiv", Some(Value::Text("Kyiv".into()))),
            (Type::Text, "", None),
            (Type::Number, "1.5", Some(Value::Number("1.5".into()))),
            (Type::Flag, "yes", Some(Value::Flag(true))),
            (Type::Flag, "false", Some(Value::Flag(false))),
            (
                Type::MultiSelect,
                "red, green",
                Some(Value::Options(Options {
                    values: vec!["red".into(), "green".into()],
                })),
            ),
        ] {
            assert_eq!(
                value(&field(kind), text).unwrap(),
                expected,
                "{kind:?} {text}"
            );
        }
        assert!(value(&field(Type::Flag), "maybe").is_err());
    }

    #[test]
    fn ids_may_be_none() {
        assert_eq!(id_or_none("none"), Ok(String::new()));
        assert!(id_or_none("x").is_err());
        assert_eq!(points(&[]), None);
        assert_eq!(points(&["none".into()]), Some(ContactPoints::default()));
        assert!(pair("city").is_err() && pair("=Kyiv").is_err() && pair("city=Kyiv").is_ok());
    }
}
