//! Moving a card to another status.

use chassis::auth::Caller;
use chassis::outbox::Outgoing;
use switchboard_proto::crm_cards::v1 as wire_v1;
use time::OffsetDateTime;

use super::change_card::lock;
use super::{App, history, sight};
use crate::domain::access::Kind;
use crate::domain::entity::Card;
use crate::domain::ids::{CardId, PipelineId, StatusId};
use crate::error::Error;
use crate::store::{card_changes, pipelines};
use crate::wire;

/// Where a card is to go.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// The status.
    pub status: StatusId,
    /// Its pipeline; the card's own where absent.
    pub pipeline: Option<PipelineId>,
    /// The revision that the caller saw.
    pub expected: Option<i64>,
}

/// Moves a card. It locks the contact before the card, as decisions do: they see the card before or after (D29, X04).
pub async fn move_to(
    app: &App,
    caller: &Caller,
    id: CardId,
    wanted: Wanted,
    now: OffsetDateTime,
) -> Result<Card, Error> {
    // Who sees no cards is not told which statuses there are.
    sight(caller, Kind::Leads)?;
    let account = caller.account();
    let mut transaction = app.begin().await?;
    let held = pipelines::hold_statuses(&mut transaction, account, &[wanted.status]).await?;
    let before = lock(&mut transaction, caller, id, wanted.expected, None)
        .await?
        .card;
    let named = wanted.pipeline.unwrap_or(before.pipeline);
    let (pipeline, status) = held
        .into_iter()
        .find(|(pipeline, _)| *pipeline == named)
        .ok_or(Error::Field {
            field: "status_id",
            description: match wanted.pipeline {
                Some(_) => "the pipeline has no such status",
                None => "the card's pipeline has no such status",
            },
        })?;
    if before.status.id == status.id {
        return Ok(before);
    }
    let card = Card {
        pipeline,
        status,
        updated_at: now,
        revision: before.revision + 1,
        ..before.clone()
    };
    card_changes::set_statuses(&mut transaction, account, std::slice::from_ref(&card)).await?;
    let entries = history::card(account, &caller.actor(), (Some(&before), Some(&card)))?;
    history::write(&mut transaction, entries, now).await?;
    let event = moved(caller, &before, &card);
    app.commit(transaction, vec![event], now).await?;
    tracing::info!(account = %account, card.id = %id, pipeline.id = %pipeline, "card moved");
    Ok(card)
}

/// The event of a move.
pub(super) fn moved(caller: &Caller, before: &Card, card: &Card) -> Outgoing {
    let moved = wire_v1::CardMoved {
        card: Some(wire::card(card)),
        previous_status_id: before.status.id.to_string(),
        previous_pipeline_id: before.pipeline.to_string(),
    };
    Outgoing::new(caller.account(), card.id, &moved).actor(caller.actor())
}
