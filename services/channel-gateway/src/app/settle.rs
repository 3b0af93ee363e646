//! Writing outcomes: of many lanes in one transaction, each under its own fencing number only.

mod outcome;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use chassis::outbox::{self, Outgoing};
use time::OffsetDateTime;
use uuid::Uuid;

use super::App;
use super::announce::{self, Note};
use super::claim::Work;
use super::inbound;
use super::trouble::{self, Refused};
use crate::domain::delivery::PartState;
use crate::domain::refusal::BLOCKED;
use crate::error::{DOMAIN, Error};
use crate::store::attempts::{self, Again, Final};
use crate::store::channels;
use crate::store::clients::{self, Block};
use crate::store::lanes::{self, Release};
use crate::store::problems::{self, NewProblem, Source};
use crate::store::told::{self, SentKey};

pub use outcome::Outcome;

/// How long a channel waits from which its provider takes nothing.
const PAUSED_FOR: Duration = Duration::from_mins(10);

/// Writes outcomes and gives the lanes back; safe to repeat.
pub async fn settle(
    app: &App,
    outcomes: &[(Work, Outcome)],
    now: OffsetDateTime,
) -> Result<(), Error> {
    let mut tx = app.pool.begin().await?;
    let mut chats: Vec<Uuid> = outcomes.iter().map(|(work, _)| work.part.chat_id).collect();
    chats.sort_unstable();
    chats.dedup();
    let fences: HashMap<Uuid, i64> = lanes::lock(&mut tx, &chats).await?.into_iter().collect();
    let held = |work: &Work| fences.get(&work.part.chat_id) == Some(&work.fence);

    let final_parts = attempts::settle(&mut tx, &finals(outcomes), now).await?;
    let ours: HashSet<(Uuid, i64)> = outcomes
        .iter()
        .filter(|(work, _)| held(work))
        .map(|(work, _)| (work.part.chat_id, work.part.out_seq))
        .collect();
    // Not of a lane that somebody else holds by now: the rest may be on its way.
    let failed: Vec<(Uuid, i64, String)> = final_parts
        .iter()
        .filter(|part| part.state == PartState::Failed.as_str())
        .filter(|part| ours.contains(&(part.chat_id, part.out_seq)))
        .map(|part| (part.chat_id, part.out_seq, part.reason.clone()))
        .collect();
    let rest = attempts::fail_rest(&mut tx, &failed, now).await?;
    let again: Vec<Again> = outcomes
        .iter()
        .filter(|(work, _)| held(work))
        .filter_map(again)
        .collect();
    attempts::requeue(&mut tx, &again, now).await?;
    let (done_chats, done_numbers): (Vec<_>, Vec<_>) = final_parts
        .iter()
        .map(|part| (part.chat_id, part.out_seq))
        .unzip();
    attempts::finish(&mut tx, &done_chats, &done_numbers).await?;
    let releases: Vec<Release> = outcomes
        .iter()
        .map(|(work, outcome)| release(work, outcome, now))
        .collect();
    lanes::release(&mut tx, &releases, now).await?;
    note_floods(&mut tx, outcomes, now).await?;

    let notes: HashMap<(Uuid, i64), Note<'_>> = outcomes
        .iter()
        .filter_map(|(work, outcome)| {
            Some(((work.part.chat_id, work.part.out_seq), note(outcome)?))
        })
        .collect();
    let silent = Note::default();
    let mut events = Vec::new();
    for part in final_parts.iter().chain(&rest) {
        let reason = notes.get(&(part.chat_id, part.out_seq)).unwrap_or(&silent);
        events.extend(announce::settled(part, reason, now)?);
    }
    for block in clients::keep_newest(&mut tx, &blocks(outcomes, now)).await? {
        events.push(inbound::event(&block)?);
    }
    let spoke: Vec<Uuid> = distinct(outcomes.iter().filter_map(|(work, outcome)| {
        matches!(outcome, Outcome::Sent { .. }).then_some(work.channel_id)
    }));
    let spoke = app.spoke.due(spoke, now);
    channels::spoke(&mut tx, &spoke, now).await?;
    // A pause is longer than `spoke` is seldom: what was sent after it is always among these.
    let over = problems::end(&mut tx, Source::Delivery, &spoke, None).await?;
    events.extend(trouble::over(over, now)?);
    events.extend(pause(&mut tx, outcomes, now).await?);
    told::keep_keys(&mut tx, &sent_keys(outcomes), now).await?;
    let (disconnected, told) = disconnect(&mut tx, outcomes, now).await?;
    events.extend(told);
    outbox::write(&mut tx, DOMAIN, events, now).await?;
    tx.commit().await?;
    app.spoke.done(&spoke, now);
    app.relay.wake();
    for row in &disconnected {
        app.book.keep(row);
    }
    Ok(())
}

/// The keys under which the provider knows what it took.
fn sent_keys(outcomes: &[(Work, Outcome)]) -> Vec<SentKey> {
    let sent = outcomes.iter().filter_map(|(work, outcome)| match outcome {
        Outcome::Sent { provider_keys, .. } => Some((work, provider_keys.as_slice())),
        Outcome::Further { provider_key, .. } => Some((work, std::slice::from_ref(provider_key))),
        _ => None,
    });
    sent.flat_map(|(work, keys)| {
        keys.iter()
            .filter(|key| !key.is_empty())
            .map(|provider_key| SentKey {
                channel_id: work.channel_id,
                provider_key: provider_key.clone(),
                chat_id: work.part.chat_id,
                out_seq: work.part.out_seq,
                part: work.part.part,
            })
    })
    .collect()
}

fn finals(outcomes: &[(Work, Outcome)]) -> Vec<Final> {
    let finals = outcomes.iter().filter_map(|(work, outcome)| {
        let (state, provider_key, reason) = match outcome {
            Outcome::Sent { provider_keys, .. } => {
                let first = provider_keys.first().cloned().unwrap_or_default();
                (PartState::Sent, first, String::new())
            }
            Outcome::Failed { reason, .. } => (PartState::Failed, String::new(), reason.clone()),
            Outcome::Uncertain { .. } => (PartState::Uncertain, String::new(), String::new()),
            Outcome::Further { .. } | Outcome::Again { .. } | Outcome::Paused { .. } => {
                return None;
            }
        };
        Some(Final {
            chat_id: work.part.chat_id,
            out_seq: work.part.out_seq,
            part: work.part.part,
            fence: work.fence,
            state: state.as_str(),
            provider_key,
            reason,
        })
    });
    finals.collect()
}

fn again((work, outcome): &(Work, Outcome)) -> Option<Again> {
    let (Outcome::Again { call, .. }
    | Outcome::Further { call, .. }
    | Outcome::Paused { call, .. }) = outcome
    else {
        return None;
    };
    Some(Again {
        chat_id: work.part.chat_id,
        out_seq: work.part.out_seq,
        part: work.part.part,
        fence: work.fence,
        method: call.method.clone(),
        params: call.params.clone(),
    })
}

fn release(work: &Work, outcome: &Outcome, now: OffsetDateTime) -> Release {
    let (pause, chat_key) = match outcome {
        Outcome::Again { wait, chat_key, .. } => (Some(now + *wait), chat_key.clone()),
        Outcome::Further { .. } => (Some(now), None),
        Outcome::Paused { .. } => (Some(now + PAUSED_FOR), None),
        _ => (None, None),
    };
    Release {
        chat_id: work.part.chat_id,
        fence: work.fence,
        pause,
        chat_key,
    }
}

fn note(outcome: &Outcome) -> Option<Note<'_>> {
    match outcome {
        Outcome::Failed {
            detail, retryable, ..
        } => Some(Note {
            detail,
            retryable: *retryable,
            ..Note::default()
        }),
        Outcome::Uncertain { detail } => Some(Note {
            detail,
            ..Note::default()
        }),
        Outcome::Sent {
            provider_keys,
            refused,
        } => Some(Note {
            provider_keys,
            refused,
            ..Note::default()
        }),
        _ => None,
    }
}

/// A chat that was refused waits by itself; a channel that is refused repeatedly waits as a whole.
async fn note_floods(
    connection: &mut sqlx::PgConnection,
    outcomes: &[(Work, Outcome)],
    now: OffsetDateTime,
) -> Result<(), Error> {
    let mut floods: BTreeMap<Uuid, OffsetDateTime> = BTreeMap::new();
    for (work, outcome) in outcomes {
        if let Outcome::Again {
            wait, flood: true, ..
        } = outcome
        {
            let until = floods.entry(work.channel_id).or_insert(now);
            *until = (*until).max(now + *wait);
        }
    }
    let (channels, until): (Vec<_>, Vec<_>) = floods.into_iter().unzip();
    if !channels.is_empty() {
        lanes::flooded(connection, &channels, &until, now).await?;
    }
    Ok(())
}

/// Has channels wait from which their providers take nothing, and tells of it (B10). After the pause messages go
/// again, and the first refusal has it wait once more.
async fn pause(
    connection: &mut sqlx::PgConnection,
    outcomes: &[(Work, Outcome)],
    now: OffsetDateTime,
) -> Result<Vec<Outgoing>, Error> {
    let paused: BTreeMap<Uuid, NewProblem> = outcomes
        .iter()
        .filter_map(|(work, outcome)| match outcome {
            Outcome::Paused { refusal, .. } => Some((
                work.channel_id,
                trouble::of_delivery(work.channel_id, &work.account, refusal),
            )),
            _ => None,
        })
        .collect();
    if paused.is_empty() {
        return Ok(Vec::new());
    }
    let (ids, found): (Vec<_>, Vec<_>) = paused.into_iter().unzip();
    lanes::pause(connection, &ids, now + PAUSED_FOR).await?;
    trouble::begin(connection, Source::Delivery, &found, now).await
}

/// A refusal tells of a block too, where the provider's own notice did not come.
fn blocks(outcomes: &[(Work, Outcome)], now: OffsetDateTime) -> Vec<Block> {
    let blocks: BTreeMap<(Uuid, &str), Block> = outcomes
        .iter()
        .filter(
            |(_, outcome)| matches!(outcome, Outcome::Failed { reason, .. } if reason == BLOCKED),
        )
        .map(|(work, _)| {
            let block = Block {
                channel_id: work.channel_id,
                chat_key: work.chat_key.clone(),
                account: work.account.clone(),
                blocked: true,
                time: now,
            };
            ((work.channel_id, work.chat_key.as_str()), block)
        })
        .collect();
    blocks.into_values().collect()
}

async fn disconnect(
    connection: &mut sqlx::PgConnection,
    outcomes: &[(Work, Outcome)],
    now: OffsetDateTime,
) -> Result<(Vec<channels::ChannelRow>, Vec<Outgoing>), Error> {
    let refused: BTreeMap<Uuid, Refused> = outcomes
        .iter()
        .filter_map(|(work, outcome)| match outcome {
            Outcome::Failed {
                disconnect: Some(credentials),
                detail,
                ..
            } => Some((
                work.channel_id,
                Refused {
                    channel: work.channel_id,
                    credentials: *credentials,
                    problem: detail.clone(),
                },
            )),
            _ => None,
        })
        .collect();
    let refused: Vec<Refused> = refused.into_values().collect();
    trouble::disconnect(connection, &refused, now).await
}

fn distinct(ids: impl Iterator<Item = Uuid>) -> Vec<Uuid> {
    let ids: std::collections::BTreeSet<Uuid> = ids.collect();
    ids.into_iter().collect()
}
