//! The janitor: keeps streams from refusing. Above 80 % of its bound it purges a stream down to 60 %, never beyond what
//! our own consumers acknowledged; consumers of others that it overtakes are announced, account by account, first.
//!
//! What is done is decided by a pure function ([`decide`]); here are the effects. Every replica measures; one at a
//! time tidies, by an advisory lock held for one stream. A replica that dies between announcing and purging leads to
//! a second announcement, never to a purge in silence.

mod decide;
mod position;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::Info as ConsumerInfo;
use async_nats::jetstream::stream::{Info, RawMessageErrorKind, Stream};
use futures::TryStreamExt as _;
use sqlx::{Connection as _, PgPool};
use time::OffsetDateTime;

pub use decide::{ConsumerState, Decision, StreamState, decide};

use crate::clock;
use crate::figures::inbound;
use crate::id::AccountSlug;
use crate::lifecycle::Lifecycle;
use crate::meter;
use crate::nats::{self, Nats, Streams};

/// The advisory lock of the active janitor in a service's database: `sbjanito` in ASCII.
const LOCK: i64 = 0x7362_6a61_6e69_746f;

/// The time between two rounds at most; with jitter 30 s on average.
const EVERY: Duration = Duration::from_secs(40);

/// How long a round over all streams may take before it is given up.
const ROUND: Duration = Duration::from_mins(2);

/// A stream that is looked after.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Name of the stream.
    pub stream: String,
    /// The durables without whose acknowledgement nothing goes. Without any the stream is only measured.
    pub own: &'static [&'static str],
}

/// Positions of one account's consumers are about to be overtaken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restart {
    /// The account whose events they read.
    pub account: AccountSlug,
    /// Name of the stream.
    pub stream: String,
    /// Sequence of the oldest message that stays.
    pub first_sequence: u64,
    /// When that message was stored, if there is one.
    pub first_time: Option<OffsetDateTime>,
    /// Names of the consumers, sorted.
    pub consumers: Vec<String>,
}

/// Tells accounts that positions of theirs are overtaken.
#[tonic::async_trait]
pub trait Announce: Send + Sync + 'static {
    /// Announces restarts for good: what it returned for is published even if this process dies at once.
    ///
    /// # Errors
    /// Then nothing is purged, and the next round tries again.
    async fn announce(&self, restarts: Vec<Restart>, now: OffsetDateTime) -> anyhow::Result<()>;
}

/// What became of a stream in a round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It has room, or is only measured.
    Kept,
    /// Another replica tidies.
    Locked,
    /// It is full, and consumers of our own hold all of it, or do not exist yet.
    Held(Vec<String>),
    /// So many messages went.
    Purged(u64),
}

/// Looks after streams.
pub struct Janitor {
    /// The database of the lock.
    pub pool: PgPool,
    /// The broker.
    pub nats: Nats,
    /// Names of subjects.
    pub streams: Streams,
    /// What is looked after.
    pub kept: Vec<Kept>,
    /// Where restarts are announced.
    pub announce: Arc<dyn Announce>,
}

impl Janitor {
    /// Runs the janitor as a task of the service.
    pub fn spawn(self, lifecycle: &Lifecycle) {
        let stop = lifecycle.stop_token();
        lifecycle.spawn("janitor", async move {
            while !stop.is_cancelled() {
                let round = tokio::time::timeout(ROUND, self.round());
                match stop.run_until_cancelled(round).await {
                    Some(Ok(())) => {}
                    Some(Err(_)) => tracing::warn!("tidying took too long"),
                    None => break,
                }
                let pause = tokio::time::sleep(nats::jittered(EVERY));
                let _ = stop.run_until_cancelled(pause).await;
            }
            Ok(())
        });
    }

    /// Looks after every stream once; what fails is logged and waits for the next round.
    pub async fn round(&self) {
        for kept in &self.kept {
            match self.tidy(kept).await {
                Ok(Outcome::Held(held_by)) => tracing::error!(
                    stream = kept.stream,
                    held_by = held_by.join(" "),
                    "the stream is nearly full, and nothing of it may go"
                ),
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(stream = kept.stream, %error, "the stream could not be looked after");
                }
            }
        }
    }

    /// Measures a stream and, if it is full, purges what may go.
    ///
    /// # Errors
    /// Returns an error when broker or database are away or refuse, or the announcement failed: then nothing is purged.
    pub async fn tidy(&self, kept: &Kept) -> anyhow::Result<Outcome> {
        let mut stream = self.nats.jetstream.get_stream(&kept.stream).await?;
        let full = measured(&kept.stream, stream.cached_info()).is_full();
        if let Err(error) = position::compare(&self.pool, &mut stream, clock::now()).await {
            tracing::warn!(stream = kept.stream, %error, "the stream's end could not be compared");
        }
        if !full || kept.own.is_empty() {
            return Ok(Outcome::Kept);
        }
        let mut connection = self.pool.acquire().await?;
        let mut transaction = connection.begin().await?;
        let locked =
            sqlx::query_scalar!(r#"select pg_try_advisory_xact_lock($1) as "locked!""#, LOCK)
                .fetch_one(&mut *transaction)
                .await?;
        if !locked {
            transaction.rollback().await?;
            return Ok(Outcome::Locked);
        }
        // Again, under the lock: another replica may just have tidied. Before the consumers, as `decide` asks.
        let state = measured(&kept.stream, stream.info().await?);
        let infos: Vec<ConsumerInfo> = stream.consumers().try_collect().await?;
        let mut consumers = Vec::with_capacity(infos.len());
        for info in &infos {
            // What waits for a consumer of others is only announced: the broker's count will do to pass over it.
            let idle = info.num_pending == 0 && info.num_ack_pending == 0;
            let subjects = subjects(info);
            let owes = if idle && !kept.own.contains(&info.name.as_str()) {
                None
            } else {
                owed(&stream, &state, info.ack_floor.stream_sequence, &subjects).await?
            };
            consumers.push(ConsumerState {
                name: info.name.clone(),
                owes,
                subjects,
            });
        }
        let outcome = match decide(&state, &consumers, kept.own) {
            Decision::Nothing => Outcome::Kept,
            Decision::Held(held_by) => Outcome::Held(held_by),
            Decision::Purge {
                keep_from,
                overtaken,
            } => self.purge(&mut stream, keep_from, &overtaken).await?,
        };
        transaction.rollback().await?;
        Ok(outcome)
    }

    /// Announces, then purges.
    async fn purge(
        &self,
        stream: &mut Stream<Info>,
        keep_from: u64,
        overtaken: &[ConsumerState],
    ) -> anyhow::Result<Outcome> {
        let name = stream.cached_info().config.name.clone();
        let by_account = self.accounts_of(&name, overtaken);
        if !by_account.is_empty() {
            // A message that is not there, or cannot be read, costs the time only.
            let first = stream.get_raw_message(keep_from).await;
            let first_time = first.ok().map(|message| message.time);
            let restarts = by_account.into_iter().map(|(account, consumers)| Restart {
                account,
                stream: name.clone(),
                first_sequence: keep_from,
                first_time,
                consumers: consumers.into_iter().collect(),
            });
            self.announce
                .announce(restarts.collect(), clock::now())
                .await?;
        }
        let purged = stream.purge().sequence(keep_from).await?.purged;
        inbound::STREAM_PURGED.of([name.clone()]).increment(purged);
        let left = measured(&name, stream.info().await?);
        tracing::info!(
            stream = name,
            purged,
            keep_from,
            overtaken = overtaken.len(),
            fill = left.fill(),
            "purged what our consumers have acknowledged"
        );
        Ok(Outcome::Purged(purged))
    }

    /// Sorts overtaken consumers by the accounts that their filters name.
    fn accounts_of(
        &self,
        stream: &str,
        overtaken: &[ConsumerState],
    ) -> BTreeMap<AccountSlug, BTreeSet<String>> {
        let mut by_account: BTreeMap<AccountSlug, BTreeSet<String>> = BTreeMap::new();
        for consumer in overtaken {
            let accounts = consumer
                .subjects
                .iter()
                .filter_map(|subject| self.streams.account_of(subject));
            let mut named = false;
            for account in accounts {
                named = true;
                by_account
                    .entry(account)
                    .or_default()
                    .insert(consumer.name.clone());
            }
            if !named {
                tracing::warn!(
                    stream,
                    consumer = consumer.name,
                    "a consumer is overtaken that names no account"
                );
            }
        }
        by_account
    }
}

/// Sets the gauges of a stream.
fn measured(name: &str, info: &Info) -> StreamState {
    let state = StreamState {
        max_bytes: u64::try_from(info.config.max_bytes).unwrap_or(0),
        bytes: info.state.bytes,
        first: info.state.first_sequence,
        last: info.state.last_sequence,
    };
    let stream = || [name.to_owned()];
    inbound::STREAM_FILL.of(stream()).set(state.fill());
    inbound::STREAM_MESSAGES
        .of(stream())
        .set(meter::number(info.state.messages));
    let reach = if info.state.messages == 0 {
        0.0
    } else {
        (clock::now() - info.state.first_timestamp).as_seconds_f64()
    };
    inbound::STREAM_REACH.of(stream()).set(reach.max(0.0));
    state
}

/// The subjects that a consumer reads; empty for all.
fn subjects(info: &ConsumerInfo) -> Vec<String> {
    let mut subjects = info.config.filter_subjects.clone();
    if !info.config.filter_subject.is_empty() {
        subjects.push(info.config.filter_subject.clone());
    }
    subjects
}

/// Finds the oldest message above an ack floor that these subjects let through.
async fn owed(
    stream: &Stream<Info>,
    state: &StreamState,
    ack_floor: u64,
    subjects: &[String],
) -> anyhow::Result<Option<u64>> {
    let from = state.first.max(ack_floor.saturating_add(1));
    if from > state.last {
        return Ok(None);
    }
    if subjects.is_empty() {
        return Ok(Some(from));
    }
    let mut oldest: Option<u64> = None;
    for subject in subjects {
        match stream.get_first_raw_message_by_subject(subject, from).await {
            Ok(message) => {
                let sequence = message.sequence;
                oldest = Some(oldest.map_or(sequence, |oldest| oldest.min(sequence)));
            }
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(oldest)
}
