//! Entities take the responsible of a chat they are linked to, where its channel wants that of their kind (§8, F052-F059).

mod people;

use std::collections::{BTreeMap, BTreeSet};

use chassis::actor::Actor;
use chassis::id::{AccountSlug, AgentId};
use chassis::outbox::Outgoing;
use sqlx::PgConnection;
use switchboard_proto::crm_cards::v1::EntityResponsibleSkipped;
use time::OffsetDateTime;

use super::responsibles::Taking;
use crate::domain::ids::CardId;
use crate::figures;
pub use crate::store::parked_sync::Requested;
use crate::store::{decisions, openings, parked_sync};
use crate::wire;

/// What events of this name as their actor: a synchronisation, which goes no further (X05).
pub(crate) const SYNC: &str = "responsible-to-crm";

/// Puts responsibles of chats on what they are linked to, each only over a lower stamp, or parks them until it is decided what
/// that is. What is linked to nothing of a kind changes nothing and makes nothing (F054).
///
/// The caller holds the parking locks of the conversations and has handled the batch's openings, with what was parked for them.
/// Cards are left to the caller, who is told which take a responsible: they are locked after everything else.
pub async fn handle(
    connection: &mut PgConnection,
    requested: Vec<Requested>,
    now: OffsetDateTime,
) -> Result<(Vec<Outgoing>, Vec<Taking>), sqlx::Error> {
    if requested.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let keys: Vec<_> = requested
        .iter()
        .map(|one| (one.account.clone(), one.conversation))
        .collect();
    let decided = decisions::decided(connection, &keys).await?;
    let is_decided = |one: &Requested| decided.contains(&(one.account.clone(), one.conversation));
    let (known, early): (Vec<_>, Vec<_>) = requested.into_iter().partition(is_decided);
    parked_sync::park(connection, &newest(early, |one| one.conversation), now).await?;
    // Of several acts on one chat each may be the last for some kind: which kinds take it may have changed between them.
    let chats: BTreeSet<_> = known
        .iter()
        .map(|one| (one.account.clone(), one.chat))
        .collect();
    let chats: Vec<_> = chats.into_iter().collect();
    // Contacts before companies before cards, as everywhere.
    let events = people::put_on(connection, &known, &chats, now).await?;
    let linked = openings::linked_cards(connection, &chats).await?;
    let mut takings: BTreeMap<(AccountSlug, CardId), Taking> = BTreeMap::new();
    for one in &known {
        let cards = linked.get(&(one.account.clone(), one.chat));
        for card in cards.into_iter().flatten() {
            if !one.kinds.contains(&card.kind.into()) {
                continue;
            }
            let taking = Taking {
                account: one.account.clone(),
                card: card.card,
                agent: one.agent,
                stamp: one.stamp,
                cause: one.cause,
                trace: one.trace.clone(),
            };
            let kept = takings
                .entry((one.account.clone(), card.card))
                .or_insert_with(|| taking.clone());
            if kept.stamp < taking.stamp {
                *kept = taking;
            }
        }
    }
    Ok((events, takings.into_values().collect()))
}

/// Parts what is asked by whether its agent can answer for anything: is known, and active. Of the others it is told that nothing
/// changed (X06).
pub fn by_standing(
    requested: Vec<Requested>,
    staff: &BTreeMap<(AccountSlug, AgentId), bool>,
) -> (Vec<Requested>, Vec<Outgoing>) {
    let (mut kept, mut skipped) = (Vec::new(), Vec::new());
    for one in requested {
        let reason = match staff.get(&(one.account.clone(), one.agent)) {
            Some(true) => {
                kept.push(one);
                continue;
            }
            Some(false) => "AGENT_INACTIVE",
            None => "AGENT_UNKNOWN",
        };
        figures::SYNC_SKIPPED.of([reason]).increment(1);
        let event = EntityResponsibleSkipped {
            chat_id: one.chat.to_string(),
            agent_id: one.agent.to_string(),
            stamp: Some(wire::stamp(one.stamp)),
            reason: reason.to_owned(),
        };
        let event = Outgoing::new(&one.account, one.chat, &event);
        let event = event.actor(Actor::Sync(SYNC.to_owned())).cause(one.cause);
        skipped.push(event.trace(one.trace.clone()));
    }
    (kept, skipped)
}

/// Keeps of what is asked of one thing what has the highest stamp.
fn newest<K: Ord>(requested: Vec<Requested>, of: impl Fn(&Requested) -> K) -> Vec<Requested> {
    let mut newest: BTreeMap<(AccountSlug, K), Requested> = BTreeMap::new();
    for one in requested {
        let key = (one.account.clone(), of(&one));
        if newest.get(&key).is_none_or(|kept| kept.stamp < one.stamp) {
            newest.insert(key, one);
        }
    }
    newest.into_values().collect()
}
