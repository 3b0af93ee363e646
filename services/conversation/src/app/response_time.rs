//! Clients who wait longer than their channel's rule has it (F211, B16): when that is, is worked out apart from what makes them
//! wait, and told of once, whichever replica looks first.

use std::collections::BTreeSet;

use chassis::actor::Actor;
use chassis::grpc::timestamp;
use chassis::outbox::{self, Outgoing, Waker};
use sqlx::PgPool;
use switchboard_proto::conversation::v1 as pb;
use time::OffsetDateTime;

use super::working_hours::{self, Hours};
use crate::domain::bot::Trigger;
use crate::domain::channel_rule::due;
use crate::error::{DOMAIN, Error};
use crate::figures;
use crate::store::bots::triggers as bots;
use crate::store::channel_rule::Key;
use crate::store::response_wait::{self as store, Exceeded, Unplanned};

/// The rule that the event names as its actor.
const RULE: &str = "response-time";

/// Waits that are worked out in one transaction, at most.
const PLANNED: i64 = 1_000;

/// Waits that are told of in one transaction, at most.
const TOLD: i64 = 500;

/// Works out when waits are exceeded, and tells of those that are. Returns whether there was so much that more may be left.
pub async fn round(
    pool: &PgPool,
    waker: &Waker,
    hours: &dyn Hours,
    now: OffsetDateTime,
) -> Result<bool, Error> {
    let planned = plan(pool, hours).await;
    // What is due is told of even while nothing can be worked out.
    let told = tell(pool, waker, now).await?;
    Ok(planned? || told)
}

/// Works out when waits are exceeded.
async fn plan(pool: &PgPool, hours: &dyn Hours) -> Result<bool, Error> {
    let mut connection = pool.acquire().await?;
    // A look without a transaction: mostly there is none, and assignment is asked with none open.
    let waits = store::unplanned(&mut connection, PLANNED).await?;
    drop(connection);
    if waits.is_empty() {
        return Ok(false);
    }
    let learnt = working_hours::learn(pool, hours, &channels(&waits)).await;

    let mut tx = pool.begin().await?;
    let waits = store::unplanned(&mut tx, PLANNED).await?;
    // Read after the waits were locked: who changes hours or rules after this has them worked out anew.
    let calendars = working_hours::known(&mut tx, &channels(&waits)).await?;
    let planned: Vec<_> = waits
        .iter()
        .filter_map(|wait| {
            let calendar = calendars.get(&(wait.account.clone(), wait.channel))?;
            // The rule times it no more: it goes with its wait.
            let limit = wait.limits.of(wait.first);
            let due = limit.and_then(|limit| due(wait.since, limit, calendar.as_ref()));
            Some((wait.chat, due))
        })
        .collect();
    store::plan(&mut tx, &planned).await?;
    tx.commit().await?;
    learnt?;
    Ok(!planned.is_empty() && waits.len() == usize::try_from(PLANNED).unwrap_or(usize::MAX))
}

fn channels(waits: &[Unplanned]) -> BTreeSet<Key> {
    let channel = |wait: &Unplanned| (wait.account.clone(), wait.channel);
    waits.iter().map(channel).collect()
}

/// Tells of waits that have exceeded their limit.
async fn tell(pool: &PgPool, waker: &Waker, now: OffsetDateTime) -> Result<bool, Error> {
    let mut tx = pool.begin().await?;
    let exceeded = store::exceeded(&mut tx, now, TOLD).await?;
    if exceeded.is_empty() {
        return Ok(false);
    }
    let chats: Vec<_> = exceeded
        .iter()
        .map(|wait| (wait.chat, &wait.account))
        .collect();
    let trigger = Trigger::ResponseTimeExceeded;
    bots::want(&mut tx, &chats, trigger, now).await?;
    let events = exceeded.iter().map(event).collect();
    outbox::write(&mut tx, DOMAIN, events, now).await?;
    tx.commit().await?;
    waker.wake();
    figures::EXCEEDED.increment(exceeded.len() as u64);
    Ok(exceeded.len() == usize::try_from(TOLD).unwrap_or(usize::MAX))
}

/// `response-time.exceeded`
fn event(wait: &Exceeded) -> Outgoing {
    let responsible = wait.responsible.map(|agent| agent.to_string());
    let event = pb::ResponseTimeExceeded {
        chat_id: wait.chat.to_string(),
        channel_id: wait.channel.to_string(),
        conversation_id: wait.conversation.to_string(),
        number: wait.number,
        responsible_agent_id: responsible.unwrap_or_default(),
        first: wait.first,
        wait_start_time: Some(timestamp(wait.since)),
        limit_seconds: wait.limits.of(wait.first).unwrap_or_default(),
        due_time: Some(timestamp(wait.due_at)),
    };
    Outgoing::new(&wait.account, wait.chat, &event).actor(Actor::Rule(RULE.to_owned()))
}
