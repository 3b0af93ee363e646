//! Making and changing cards, with the values of their fields.

use std::collections::HashMap;

use clap::Args;
use switchboard_proto::crm_cards::v1::field::{Entity, Type};
use switchboard_proto::crm_cards::v1::field_value::{Options, Value};
use switchboard_proto::crm_cards::v1::{
    Card, CreateCardRequest, Field, FieldValue, ListFieldsRequest, Money, UpdateCardRequest,
};
use uuid::Uuid;

use super::super::RequestId;
use super::super::pipeline::named;
use crate::connect::Session;
use crate::error::CliError;
use crate::output::words;

/// A card to be made. From a chat nothing else is needed.
#[derive(Args)]
pub(crate) struct Create {
    /// The chat it is made from
    #[arg(long, value_name = "UUID", required_unless_present = "title")]
    chat: Option<Uuid>,
    /// Title; the contact's name unless given
    #[arg(long)]
    title: Option<String>,
    /// Pipeline, by name or id; the channel's, else the account's first, unless given
    #[arg(long, value_name = "PIPELINE")]
    pipeline: Option<String>,
    /// Id of the source
    #[arg(long, value_name = "UUID")]
    source: Option<Uuid>,
    /// Id of the contact, of a card without a chat
    #[arg(long, value_name = "UUID", conflicts_with = "chat")]
    contact: Option<Uuid>,
    /// The responsible, by name or id
    #[arg(long, value_name = "AGENT")]
    responsible: Option<String>,
    /// Amount with its currency, as 1200.50:UAH
    #[arg(long, value_name = "AMOUNT:CURRENCY", value_parser = money)]
    amount: Option<Money>,
    /// Value of a custom field (repeatable); several of a multi-select with commas
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = pair)]
    fields: Vec<(String, String)>,
    #[command(flatten)]
    request_id: RequestId,
}

/// What of a card is to be changed.
#[derive(Args)]
pub(crate) struct Update {
    /// Id of the card
    card: Uuid,
    /// New title
    #[arg(long)]
    title: Option<String>,
    /// New amount with its currency, as 1200.50:UAH; none: `none`
    #[arg(long, value_name = "AMOUNT:CURRENCY", value_parser = money_or_none)]
    amount: Option<Money>,
    /// Id of the new source; none: `none`
    #[arg(long, value_name = "UUID", value_parser = id_or_none)]
    source: Option<String>,
    /// Id of the new contact; none: `none`
    #[arg(long, value_name = "UUID", value_parser = id_or_none)]
    contact: Option<String>,
    /// The new responsible, by name or id; none: `none`
    #[arg(long, value_name = "AGENT")]
    responsible: Option<String>,
    /// New value of a custom field (repeatable); without a value it is cleared
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = pair)]
    fields: Vec<(String, String)>,
    /// The revision that was seen; refused where another change came first
    #[arg(long, value_name = "NUMBER")]
    revision: Option<i64>,
}

fn money(text: &str) -> Result<Money, String> {
    let (amount, currency) = text
        .rsplit_once(':')
        .ok_or_else(|| String::from("an amount with its currency, as 1200.50:UAH"))?;
    Ok(Money {
        currency: currency.to_uppercase(),
        amount: amount.to_owned(),
    })
}

fn money_or_none(text: &str) -> Result<Money, String> {
    if text == "none" {
        return Ok(Money::default());
    }
    money(text)
}

fn id_or_none(text: &str) -> Result<String, String> {
    match text {
        "none" => Ok(String::new()),
        text => Uuid::try_parse(text)
            .map(|id| id.to_string())
            .map_err(|_| String::from("an id (UUID), or none")),
    }
}

pub(in crate::verbs) fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text
        .split_once('=')
        .filter(|(key, _)| !key.is_empty())
        .ok_or_else(|| String::from("a field's key and its value, as city=Kyiv"))?;
    Ok((key.to_owned(), value.to_owned()))
}

/// A value as people read it.
pub(in crate::verbs) fn shown(value: &FieldValue) -> String {
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
pub(in crate::verbs) async fn values(
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
                let text = format!("there is no field {key} of the kind {what}");
                CliError::usage(&text, &format!("one of: {}", keys.join(", ")))
            })?;
        let value = value(field, text)?;
        Ok((key.clone(), FieldValue { value }))
    });
    values.collect()
}

/// Makes a card.
pub(super) async fn create(session: &Session, typed: Create) -> Result<Option<Card>, CliError> {
    let text = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    let pipeline_id = match &typed.pipeline {
        None => String::new(),
        Some(pipeline) => named(session, pipeline).await?.pipeline_id,
    };
    let responsible_agent_id = match &typed.responsible {
        None => String::new(),
        Some(agent) => session.agent_id(agent).await?.to_string(),
    };
    let request = CreateCardRequest {
        request_id: typed.request_id.get(),
        title: typed.title.unwrap_or_default(),
        pipeline_id,
        chat_id: text(typed.chat),
        source_id: text(typed.source),
        responsible_agent_id,
        amount: typed.amount,
        fields: values(session, Entity::Card, &typed.fields).await?,
        contact_id: text(typed.contact),
    };
    let mut client = session.crm_cards(&session.role().await?).await?;
    Ok(client.create_card(request).await?.into_inner().card)
}

/// Changes a card.
pub(super) async fn update(session: &Session, typed: Update) -> Result<Option<Card>, CliError> {
    let responsible_agent_id = match typed.responsible.as_deref() {
        None => None,
        Some("none") => Some(String::new()),
        Some(agent) => Some(session.agent_id(agent).await?.to_string()),
    };
    let request = UpdateCardRequest {
        card_id: typed.card.to_string(),
        expected_revision: typed.revision,
        title: typed.title,
        amount: typed.amount,
        source_id: typed.source,
        contact_id: typed.contact,
        responsible_agent_id,
        fields: values(session, Entity::Card, &typed.fields).await?,
    };
    let mut client = session.cards(&session.role().await?).await?;
    Ok(client.update_card(request).await?.into_inner().card)
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
    fn amounts_name_their_currency() {
        let read = money("1200.50:uah").unwrap();
        assert_eq!((&*read.amount, &*read.currency), ("1200.50", "UAH"));
        assert!(money("1200.50").is_err());
        assert_eq!(money_or_none("none"), Ok(Money::default()));
        assert_eq!(id_or_none("none"), Ok(String::new()));
        assert!(id_or_none("x").is_err());
    }
}
