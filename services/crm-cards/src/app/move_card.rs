//! Moving a card to another status.

use chassis::auth::Caller;
use chassis::outbox::Outgoing;
use switchboard_proto::crm_cards::v1 as wire_v1;
use time::OffsetDateTime;

use super::{App, sight};
use crate::domain::access::Kind;
use crate::domain::entity::Card;
use crate::domain::ids::{CardId, StatusId};
use crate::error::Error;
use crate::store::{cards, contacts, pipelines};
use crate::wire;

/// Moves a card. It locks the contact before the card, as decisions do: they see the card before or after (D29, X04).
pub async fn move_to(
    app: &App,
    caller: &Caller,
    id: CardId,
    status: StatusId,
    now: OffsetDateTime,
) -> Result<Card, Error> {
    let sight = sight(caller, Kind::Leads)?;
    let account = caller.account();
    let unknown = || Error::unknown("card", "CARD_UNKNOWN", id);
    let mut transaction = app.begin().await?;
    let found = cards::get(&mut transaction, account, id).await?;
    let found = found
        .filter(|card| sight.reaches(card.responsible))
        .ok_or_else(unknown)?;
    if let Some(contact) = found.contact {
        contacts::lock(&mut transaction, account, contact).await?;
    }
    let mut locked = cards::lock(&mut transaction, &[(account.clone(), id)]).await?;
    let mut card = locked
        .remove(&(account.clone(), id))
        .filter(|card| sight.reaches(card.responsible))
        .ok_or_else(unknown)?;
    let (pipeline, status) = pipelines::status(&mut transaction, account, status)
        .await?
        .filter(|(pipeline, _)| *pipeline == card.pipeline)
        .ok_or(Error::Field {
            field: "status_id",
            description: "the card's pipeline has no such status",
        })?;
    if card.status.id == status.id {
        return Ok(card);
    }
    let previous = card.status.id;
    cards::set_status(&mut transaction, account, id, &status, now).await?;
    card.status = status;
    card.updated_at = now;
    let moved = wire_v1::CardMoved {
        card: Some(wire::card(&card)),
        previous_status_id: previous.to_string(),
    };
    let event = Outgoing::new(account, id, &moved).actor(caller.actor());
    app.commit(transaction, vec![event], now).await?;
    tracing::info!(account = %account, card.id = %id, pipeline.id = %pipeline, "card moved");
    Ok(card)
}
