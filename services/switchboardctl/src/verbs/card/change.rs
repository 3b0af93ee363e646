//! Making and changing cards, with the values of their fields.

use clap::Args;
use switchboard_proto::crm_cards::v1::field::Entity;
use switchboard_proto::crm_cards::v1::{Card, CreateCardRequest, Money, UpdateCardRequest};
use uuid::Uuid;

use super::super::RequestId;
use super::super::pipeline::named;
use super::super::values::{agent_or_none, id_or_none, pair, values};
use crate::connect::Session;
use crate::error::CliError;

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

pub(super) fn money(text: &str) -> Result<Money, String> {
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
    let responsible_agent_id = agent_or_none(session, typed.responsible.as_deref()).await?;
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
    fn amounts_name_their_currency() {
        let read = money("1200.50:uah").unwrap();
        assert_eq!((&*read.amount, &*read.currency), ("1200.50", "UAH"));
        assert!(money("1200.50").is_err());
        assert_eq!(money_or_none("none"), Ok(Money::default()));
    }
}
