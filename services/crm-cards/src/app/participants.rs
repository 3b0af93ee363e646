//! Agents who take part in a card beside its responsible.

use std::collections::BTreeSet;

use chassis::auth::Caller;
use chassis::id::AgentId;
use chassis::outbox::Outgoing;
use switchboard_proto::crm_cards::v1 as wire_v1;
use time::OffsetDateTime;

use super::change_card::lock;
use super::{App, history, staff};
use crate::domain::entity::{Card, PARTICIPANTS_MAX};
use crate::domain::ids::CardId;
use crate::error::Error;
use crate::store::card_changes;
use crate::wire;

/// Whether agents come or go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// They take part from now on.
    Come,
    /// They do not any more.
    Go,
}

/// Changes who takes part in a card. Who does already, or does not, changes nothing.
pub async fn change(
    app: &App,
    caller: &Caller,
    id: CardId,
    (turn, agents): (Turn, Vec<AgentId>),
    now: OffsetDateTime,
) -> Result<Card, Error> {
    let account = caller.account();
    let named = staff::named(app, caller, agents.iter().copied()).await?;
    let mut transaction = app.begin().await?;
    let before = lock(&mut transaction, caller, id, None, None).await?.card;
    let mut participants: BTreeSet<AgentId> = before.participants.iter().copied().collect();
    match turn {
        Turn::Come => {
            for (place, agent) in agents.iter().enumerate() {
                let before = participants.get(agent).copied();
                named.may_get(&format!("agent_ids[{place}]"), Some(*agent), before)?;
            }
            participants.extend(agents);
        }
        Turn::Go => participants.retain(|agent| !agents.contains(agent)),
    }
    if participants.len() > PARTICIPANTS_MAX {
        return Err(Error::TooManyParticipants);
    }
    let mut card = before.clone();
    card.participants = participants.into_iter().collect();
    if card.participants == before.participants {
        return Ok(before);
    }
    card.revision += 1;
    card.updated_at = now;
    card_changes::set_participants(&mut transaction, account, &card).await?;
    let entries = history::card(account, &caller.actor(), (Some(&before), Some(&card)))?;
    history::write(&mut transaction, entries, now).await?;
    let updated = wire_v1::CardUpdated {
        card: Some(wire::card(&card)),
        note: None,
    };
    let event = Outgoing::new(account, id, &updated).actor(caller.actor());
    app.commit(transaction, vec![event], now).await?;
    Ok(card)
}
