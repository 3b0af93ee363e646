//! Claiming chats: one short transaction takes leases, finds whose turn it is, takes tokens and records attempts.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use chassis::outbox::{self, Outgoing};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::App;
use super::announce::{self, Note};
use crate::config;
use crate::domain::lane::{Command, Turn, turn};
use crate::domain::rate::Rate;
use crate::domain::{call, email};
use crate::error::{DOMAIN, Error};
use crate::figures;
use crate::store::attempts::{self, NextPart};
use crate::store::commands;
use crate::store::lanes::{self, Held, LaneRow, LaneUpdate};

/// Commands of a lane looked at in one claim.
const LOOK_AHEAD: i64 = 20;

/// What a replica may send, and how long it may hold a chat.
#[derive(Debug, Clone)]
pub struct Terms {
    /// How long a claimed chat is held.
    pub lease: Duration,
    /// The same for mails and for what carries files.
    pub long_lease: Duration,
    /// How long a missing command is waited for.
    pub gap: Duration,
    /// After how long a command fails that never reached the provider.
    pub max_age: Duration,
    /// Messages of one channel.
    pub channel: Rate,
    /// Messages of one chat.
    pub chat: Rate,
}

impl From<&config::Delivery> for Terms {
    fn from(config: &config::Delivery) -> Self {
        Self {
            lease: config.lease,
            long_lease: config.long_lease,
            gap: config.gap,
            max_age: config.max_age,
            channel: Rate::per_second(config.channel_per_second, config.channel_burst),
            chat: Rate::per_second(config.chat_per_second, config.chat_burst),
        }
    }
}

/// An attempt that is recorded and now to be made.
#[derive(Debug, Clone)]
pub struct Work {
    /// Slug of the account.
    pub account: String,
    /// The channel.
    pub channel_id: Uuid,
    /// The provider's key of the chat.
    pub chat_key: String,
    /// The lease under which it is made.
    pub fence: i64,
    /// When that lease ends.
    pub lease_until: OffsetDateTime,
    /// The part.
    pub part: NextPart,
}

/// A command that is missing while later ones are here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Slug of the account.
    pub account: String,
    /// The chat.
    pub chat_id: Uuid,
    /// The number that is missing.
    pub out_seq: i64,
}

/// What was claimed.
#[derive(Debug, Default)]
pub struct Claimed {
    /// Attempts to be made.
    pub work: Vec<Work>,
    /// Commands to be asked for.
    pub gaps: Vec<Gap>,
    /// Whether more is due already.
    pub more: bool,
    /// When to claim again, where that is known.
    pub next_due: Option<OffsetDateTime>,
}

/// Claims up to `limit` chats, but none whose deliveries are paused: they stay due as they are (O3.6). Attempts that somebody else left without an outcome become uncertain (B03).
pub async fn claim(
    app: &App,
    terms: &Terms,
    limit: u32,
    now: OffsetDateTime,
) -> Result<Claimed, Error> {
    let holding = app.pauses.holding();
    let held = Held {
        channels: holding.channels(),
        accounts: holding.accounts(),
    };
    let mut tx = app.pool.begin().await?;
    let token_until = now + terms.channel.interval * (terms.channel.burst - 1);
    let lanes = lanes::due(&mut tx, now, token_until, &held, i64::from(limit)).await?;
    if lanes.is_empty() {
        let next_due = lanes::next_due(&mut tx, now, token_until).await?;
        return Ok(Claimed {
            next_due,
            ..Claimed::default()
        });
    }
    let full = lanes.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
    let chats: Vec<Uuid> = lanes.iter().map(|lane| lane.chat_id).collect();
    let (abandoned, events) = reap(&mut tx, &chats, now).await?;

    let next: Vec<i64> = lanes.iter().map(|lane| lane.next_seq).collect();
    let mut heads: HashMap<Uuid, Vec<Command>> = HashMap::new();
    for (chat, command) in commands::heads(&mut tx, &chats, &next, LOOK_AHEAD).await? {
        heads.entry(chat).or_default().push(command);
    }
    let mut plan = Plan::new(terms, now);
    let mut turns = Vec::new();
    for lane in lanes {
        let commands = heads.remove(&lane.chat_id).unwrap_or_default();
        let more = i64::try_from(commands.len()).is_ok_and(|count| count == LOOK_AHEAD);
        match turn(lane.next_seq, &commands, more) {
            Turn::Send(number) => turns.push((lane, number)),
            Turn::Gap(number) => plan.wait_for(lane, number),
            Turn::Idle(number) => plan.leave(&lane, number, None),
            Turn::Further(number) => plan.leave(&lane, number, Some(now)),
        }
    }

    send_turns(&mut tx, &mut plan, turns).await?;

    let recorded: Vec<(Uuid, i64, i32, i64)> = plan
        .claimed
        .work
        .iter()
        .map(|work| {
            (
                work.part.chat_id,
                work.part.out_seq,
                work.part.part,
                work.fence,
            )
        })
        .collect();
    attempts::record(&mut tx, &recorded, now).await?;
    lanes::update(&mut tx, &plan.updates).await?;
    let (channels, full_at): (Vec<_>, Vec<_>) = plan
        .buckets
        .iter()
        .map(|(id, bucket)| (*id, bucket.full))
        .unzip();
    lanes::set_rates(&mut tx, &channels, &full_at).await?;
    let mut claimed = plan.claimed;
    let at_once = plan
        .updates
        .iter()
        .any(|lane| lane.lease_until.is_none() && lane.due_at == Some(now));
    claimed.more = full || at_once;
    claimed.next_due = lanes::next_due(&mut tx, now, token_until).await?;
    let noted = !events.is_empty();
    outbox::write(&mut tx, DOMAIN, events, now).await?;
    tx.commit().await?;
    if noted {
        figures::DELIVERIES
            .of(["uncertain", "ABANDONED"])
            .increment(abandoned);
        figures::ENDED.of(["missed"]).increment(abandoned);
        app.relay.wake();
    }
    Ok(claimed)
}

/// Turns attempts of these lanes, which nobody holds any more, into uncertain ones; returns how many, and their events.
async fn reap(
    connection: &mut PgConnection,
    chats: &[Uuid],
    now: OffsetDateTime,
) -> Result<(u64, Vec<Outgoing>), Error> {
    let abandoned = attempts::abandon(connection, chats, now).await?;
    let note = Note {
        detail: "The attempt was interrupted: whether the message arrived must be looked up in the messenger.",
        ..Note::default()
    };
    let mut events = Vec::new();
    for part in &abandoned {
        events.extend(announce::settled(part, &note, now)?);
    }
    if !abandoned.is_empty() {
        let (chats, numbers): (Vec<_>, Vec<_>) = abandoned
            .iter()
            .map(|part| (part.chat_id, part.out_seq))
            .unzip();
        attempts::finish(connection, &chats, &numbers).await?;
    }
    Ok((abandoned.len() as u64, events))
}

/// Gives each lane whose turn it is its next part, as far as the buckets allow.
async fn send_turns(
    connection: &mut PgConnection,
    plan: &mut Plan<'_>,
    turns: Vec<(LaneRow, i64)>,
) -> Result<(), Error> {
    let (chats, numbers): (Vec<_>, Vec<_>) = turns
        .iter()
        .map(|(lane, number)| (lane.chat_id, *number))
        .unzip();
    let parts = attempts::next(connection, &chats, &numbers).await?;
    let mut parts: HashMap<Uuid, NextPart> =
        parts.into_iter().map(|part| (part.chat_id, part)).collect();
    let channels: BTreeSet<Uuid> = turns.iter().map(|(lane, _)| lane.channel_id).collect();
    let channels: Vec<Uuid> = channels.into_iter().collect();
    for rate in lanes::rates(connection, &channels).await? {
        let bucket = Bucket {
            full: rate.rate_full,
            paused: rate.paused_until,
        };
        plan.buckets.insert(rate.channel_id, bucket);
    }
    let mut stale = Vec::new();
    for (lane, number) in turns {
        if let Some(part) = parts.remove(&lane.chat_id) {
            plan.send(lane, number, part);
        } else {
            // Open without an open part: its end was not noted.
            stale.push((lane.chat_id, number));
            let now = plan.now;
            plan.leave(&lane, number, Some(now));
        }
    }
    let (chats, numbers): (Vec<_>, Vec<_>) = stale.into_iter().unzip();
    Ok(attempts::finish(connection, &chats, &numbers).await?)
}

/// A channel's bucket.
struct Bucket {
    full: OffsetDateTime,
    paused: OffsetDateTime,
}

/// What a claim decides, lane by lane.
struct Plan<'t> {
    terms: &'t Terms,
    now: OffsetDateTime,
    buckets: BTreeMap<Uuid, Bucket>,
    updates: Vec<LaneUpdate>,
    claimed: Claimed,
}

impl<'t> Plan<'t> {
    fn new(terms: &'t Terms, now: OffsetDateTime) -> Self {
        Self {
            terms,
            now,
            buckets: BTreeMap::new(),
            updates: Vec::new(),
            claimed: Claimed::default(),
        }
    }

    /// Leaves a lane, to be looked at again at that time.
    fn leave(&mut self, lane: &LaneRow, next_seq: i64, due_at: Option<OffsetDateTime>) {
        self.updates.push(LaneUpdate {
            chat_id: lane.chat_id,
            next_seq,
            due_at,
            gap_since: None,
            lease_until: None,
            // Whoever held it before may write no outcome into it any more.
            fence: lane.fence + 1,
            rate_full: lane.rate_full,
        });
    }

    /// Waits for a missing command, and has it asked for when it was waited for long enough.
    fn wait_for(&mut self, lane: LaneRow, number: i64) {
        let since = lane.gap_since.unwrap_or(self.now);
        let asked_at = since + self.terms.gap;
        let due_at = if asked_at <= self.now {
            self.now + self.terms.gap
        } else {
            asked_at
        };
        self.leave(&lane, number, Some(due_at));
        if let Some(update) = self.updates.last_mut() {
            update.gap_since = Some(since);
        }
        if asked_at <= self.now {
            self.claimed.gaps.push(Gap {
                account: lane.account,
                chat_id: lane.chat_id,
                out_seq: number,
            });
        }
    }

    /// Sends a part, if chat and channel have a token for it.
    fn send(&mut self, lane: LaneRow, number: i64, part: NextPart) {
        let chat = self.terms.chat.take(lane.rate_full, self.now, 1);
        if chat.tokens == 0 {
            return self.leave(&lane, number, Some(chat.next_at));
        }
        let now = self.now;
        let bucket = self.buckets.entry(lane.channel_id).or_insert(Bucket {
            full: now,
            paused: now,
        });
        if bucket.paused > now {
            let paused = bucket.paused;
            return self.leave(&lane, number, Some(paused));
        }
        let channel = self.terms.channel.take(bucket.full, now, 1);
        if channel.tokens == 0 {
            return self.leave(&lane, number, Some(channel.next_at));
        }
        bucket.full = channel.full_at;
        let fence = lane.fence + 1;
        // How long a call takes shows in what it is.
        let long = part.method == email::plan::SEND || !call::files(&part.params).is_empty();
        let lease = if long {
            self.terms.long_lease
        } else {
            self.terms.lease
        };
        let lease_until = now + lease;
        self.updates.push(LaneUpdate {
            chat_id: lane.chat_id,
            next_seq: number,
            due_at: Some(now),
            gap_since: None,
            lease_until: Some(lease_until),
            fence,
            rate_full: chat.full_at,
        });
        self.claimed.work.push(Work {
            account: lane.account,
            channel_id: lane.channel_id,
            chat_key: lane.chat_key,
            fence,
            lease_until,
            part,
        });
    }
}
