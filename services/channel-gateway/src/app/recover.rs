//! Recovery (O3.10): no message goes out twice. What was told of a delivery is written down again; of whatever nothing was told
//! since then nobody knows whether a provider has it, so that it is uncertain, before anything is dispatched.

use std::collections::BTreeMap;

use chassis::id::AccountSlug;
use chassis::outbox::Outgoing;
use chassis::recovery::Concluded;
use sqlx::PgConnection;
use switchboard_proto::channel_gateway::v1::DeliveryRef;
use time::OffsetDateTime;
use uuid::Uuid;

use super::announce::{self, Note};
use super::queue::{self, Queued};
use crate::domain::delivery::PartState;
use crate::error::Error;
use crate::store::commands::{self, NewCommand};
use crate::store::lanes;
use crate::store::recovery::{self, Settled};

/// Parts that are told of in one transaction.
const TOLD: i64 = 500;

/// What an agent reads of a delivery that nobody can tell of.
const DETAIL: &str = "The delivery's records were restored from a backup: whether the client has the message is not known.";

/// What became of a part.
#[derive(Debug, Clone)]
pub struct Outcome {
    account: AccountSlug,
    of: DeliveryRef,
    state: PartState,
    reason: String,
    keys: Vec<String>,
}

impl Outcome {
    /// Makes the outcome of a part, with the keys by which the provider knows it.
    pub fn of(
        account: AccountSlug,
        of: DeliveryRef,
        state: PartState,
        mut keys: Vec<String>,
    ) -> Self {
        keys.retain(|key| !key.is_empty());
        Self {
            account,
            of,
            state,
            reason: String::new(),
            keys,
        }
    }

    fn settled(&self) -> Option<Settled> {
        Some(Settled {
            account: self.account.to_string(),
            channel: self.of.channel_id.parse().ok()?,
            chat: self.of.chat_id.parse().ok()?,
            out_seq: self.of.out_seq,
            part: self.of.part,
            parts: self.of.parts.max(1),
            message: self.of.message_id.parse().ok()?,
            attempt: self.of.attempt,
            state: self.state.as_str(),
            reason: self.reason.clone(),
            keys: self.keys.clone(),
        })
    }
}

/// What events say, in their order.
#[derive(Debug, Clone, Default)]
pub struct Words {
    /// What was to be delivered.
    pub queued: Vec<Queued>,
    /// What became of it.
    pub outcomes: Vec<Outcome>,
    reason: String,
}

impl Words {
    /// Notes why the next outcome is a failure.
    pub fn reason(&mut self, reason: &str) {
        reason.clone_into(&mut self.reason);
    }

    /// Adds an outcome.
    pub fn add(&mut self, mut outcome: Outcome) {
        outcome.reason = std::mem::take(&mut self.reason);
        self.outcomes.push(outcome);
    }
}

/// The last outcome of each part with all keys that were told; what was read is not taken back to delivered.
fn last(outcomes: &[Outcome]) -> Vec<Settled> {
    let mut last = BTreeMap::<(Uuid, i64, i32), Settled>::new();
    for mut settled in outcomes.iter().filter_map(Outcome::settled) {
        let key = (settled.chat, settled.out_seq, settled.part);
        if let Some(before) = last.remove(&key) {
            if before.state == PartState::Read.as_str() {
                settled.state = before.state;
            }
            if settled.keys.is_empty() {
                settled.keys = before.keys;
            }
        }
        last.insert(key, settled);
    }
    last.into_values().collect()
}

/// Writes commands down that the database does not know, none of them to be sent, and what became of parts.
pub async fn apply(
    connection: &mut PgConnection,
    words: Words,
    now: OffsetDateTime,
) -> Result<(), Error> {
    let mut new: Vec<NewCommand> = Vec::with_capacity(words.queued.len());
    for entry in &words.queued {
        new.extend(queue::lost(entry));
    }
    if !new.is_empty() {
        lanes::touch(connection, &queue::lanes(&words.queued), now).await?;
        let made = commands::insert(connection, &new).await?;
        recovery::doubt(connection, &made, now).await?;
    }
    let settled = last(&words.outcomes);
    recovery::settle(connection, &settled, now).await?;
    recovery::keep_keys(connection, &settled, now).await?;
    Ok(())
}

/// Makes uncertain what has no outcome yet, and tells of all that is so by the recovery. Some at a time.
pub async fn conclude(
    connection: &mut PgConnection,
    now: OffsetDateTime,
) -> Result<Concluded, Error> {
    recovery::give_up(connection, now).await?;
    let parts = recovery::untold(connection, TOLD).await?;
    let note = Note {
        detail: DETAIL,
        ..Note::default()
    };
    let events: Vec<Outgoing> = parts
        .iter()
        .map(|part| announce::settled(part, &note, now))
        .filter_map(Result::transpose)
        .collect::<Result<_, _>>()?;
    Ok(Concluded {
        events,
        more: !parts.is_empty(),
    })
}

/// Compares what was told of parts with what is stored.
pub async fn compare(
    connection: &mut PgConnection,
    outcomes: &[Outcome],
) -> Result<Vec<String>, Error> {
    let differing = recovery::differing(connection, &last(outcomes)).await?;
    let line = |(chat, out_seq, part, told): (Uuid, i64, i32, String)| {
        format!(
            "of chat {chat} command {out_seq} part {part} was told as {told} and may be sent again"
        )
    };
    Ok(differing.into_iter().map(line).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(part: i32, state: PartState, key: &str) -> Outcome {
        let of = DeliveryRef {
            message_id: Uuid::from_u128(1).to_string(),
            chat_id: Uuid::from_u128(2).to_string(),
            channel_id: Uuid::from_u128(3).to_string(),
            out_seq: 1,
            attempt: 1,
            part,
            parts: 2,
        };
        let account = AccountSlug::parse("acme").unwrap();
        Outcome::of(account, of, state, vec![key.to_owned()])
    }

    #[test]
    fn o3_10_the_last_word_on_a_part_counts_and_keys_stay() {
        let told = [
            outcome(0, PartState::Sent, "7"),
            outcome(1, PartState::Uncertain, ""),
            outcome(0, PartState::Read, ""),
            outcome(0, PartState::Delivered, ""),
            outcome(1, PartState::Sent, "8"),
        ];
        let last = last(&told);
        let found: Vec<_> = last
            .iter()
            .map(|one| (one.part, one.state, one.keys.join(",")))
            .collect();
        assert_eq!(
            found,
            [(0, "read", "7".to_owned()), (1, "sent", "8".to_owned())]
        );
    }
}
