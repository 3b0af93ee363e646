//! A batch of inbound items: clients, chats, conversations and messages, whatever its size in the same dozen or so
//! statements. A repeated item changes nothing (X01, B01).

mod album;
mod find;
mod hold;
mod start;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chassis::id::AccountSlug;
use chassis::outbox::Outgoing;
use sqlx::PgConnection;
use time::OffsetDateTime;

use self::album::Gathered;
use self::work::Work;
pub(super) use self::work::shows_all;
use super::amend;
use super::inbound::{Arrival, Batch, Change};
use crate::domain::ChatId;
use crate::domain::chat::{self, Chat, Episode, Opening};
use crate::domain::words::OpenReason;
use crate::error::Error;
use crate::figures;
use crate::store;
use crate::store::message::{Key, Known};

/// Stores a batch and returns the events to be written; the caller's transaction holds everything.
pub async fn ingest(
    connection: &mut PgConnection,
    batch: Batch,
    now: OffsetDateTime,
) -> Result<Vec<Outgoing>, Error> {
    let Batch {
        arrivals,
        mut amendments,
        starts,
        ..
    } = batch;
    let arrivals = distinct(arrivals);
    let starts = start::newest(starts);
    hold::locks(connection, &arrivals, &amendments, &starts).await?;

    let (profiles, events) = hold::clients(connection, &arrivals, now).await?;
    let amended: BTreeSet<Key> = amendments.iter().map(|a| a.key.clone()).collect();
    let (chats, fresh) = hold::chats(connection, &arrivals, &amended, &starts, now).await?;
    let mut known = find::all(connection, &arrivals, &amended).await?;

    let mut new = arrivals;
    new.retain(|arrival| !known.contains_key(&arrival.key()));
    let new_keys: BTreeSet<Key> = new.iter().map(Arrival::key).collect();
    let mut unparked = Batch::default();
    for parked in store::parked::take(connection, &new_keys).await? {
        unparked.add_parked(&parked)?;
    }
    amendments.append(&mut unparked.amendments);
    let gathered = album::gather(connection, new).await?;
    known.extend(gathered.places());
    let keys = gathered.keys();
    let Gathered {
        messages: new,
        albums,
        joining,
    } = gathered;
    // A deletion that came first leaves nothing to be shown of its message, not even in an event.
    let tombstones: BTreeMap<Key, OffsetDateTime> = amendments
        .iter()
        .filter(|amendment| matches!(amendment.change, Change::Deletion))
        .filter(|amendment| new_keys.contains(&amendment.key))
        .map(|amendment| (amendment.key.clone(), amendment.moment.time))
        .collect();

    let runs = hold::runs(connection, &new, &chats).await?;
    let mut work = Work {
        now,
        chats,
        fresh,
        runs,
        hearings: BTreeMap::new(),
        profiles,
        events,
        rows: Vec::with_capacity(new.len() * 2),
        albums,
        tombstones,
        links: BTreeMap::new(),
        sourced: BTreeMap::new(),
        automatic: Vec::new(),
        heard: Vec::new(),
    };
    work.listen(&new);
    let mut touched: BTreeSet<ChatId> = new.iter().map(Arrival::chat).collect();
    touched.extend(start::come(connection, &mut work, starts).await?);
    let planned = plan(connection, &mut work, &new).await?;
    let (opened, continued) = store_all(&mut work, &new, &planned, &known)?;
    work.bots(connection, &opened).await?;
    save(connection, &work, &opened, &continued).await?;
    store::start::source(connection, &work.sourced).await?;
    store::key::mark_automatic(connection, &work.automatic).await?;
    let mut grown = Vec::with_capacity(joining.len());
    for (album, items) in joining {
        touched.insert(album.chat);
        grown.extend(work.join(album, &items)?);
    }
    store::key::join(connection, &grown).await?;
    store::key::keep(connection, &keys).await?;

    let (ready, waiting): (Vec<_>, Vec<_>) = amendments
        .into_iter()
        .partition(|amendment| known.contains_key(&amendment.key));
    let Work {
        mut chats,
        mut events,
        ..
    } = work;
    let amended = amend::apply(connection, &mut chats, &known, ready, &mut events).await?;
    amend::park(connection, waiting, now).await?;
    let changed = chats
        .values()
        .filter(|chat| touched.contains(&chat.id) || amended.contains(&chat.id));
    store::chat::save(connection, changed).await?;
    let own = new.iter().filter(|arrival| arrival.own_app).count();
    for (kind, count) in [("client", new.len() - own), ("own-app", own)] {
        figures::STORED.of([kind]).increment(count as u64);
    }
    Ok(events)
}

/// What became of conversations: those that were opened, with the reason, and those that were continued.
type Begun = (BTreeMap<ChatId, OpenReason>, BTreeSet<ChatId>);

/// Stores messages in memory, in the order of history, and begins the conversations that are planned.
fn store_all(
    work: &mut Work,
    new: &[Arrival],
    planned: &BTreeMap<ChatId, Plan>,
    known: &BTreeMap<Key, Known>,
) -> Result<Begun, Error> {
    let mut opened = BTreeMap::new();
    let mut continued = BTreeSet::new();
    for arrival in new {
        let chat = arrival.chat();
        let time = work.time_of(arrival);
        work.begin(arrival);
        match planned.get(&chat).filter(|_| work.opens(arrival)) {
            Some(Plan::Open(number)) if !opened.contains_key(&chat) => {
                opened.insert(chat, work::reason(arrival));
                work.open(arrival, time, *number)?;
            }
            Some(Plan::Continue) if continued.insert(chat) => work.resume(arrival, time)?,
            _ => {}
        }
        work.store(arrival, time, known)?;
    }
    Ok((opened, continued))
}

/// One of each message, in the order of history.
fn distinct(mut arrivals: Vec<Arrival>) -> Vec<Arrival> {
    let mut seen = BTreeSet::new();
    arrivals.retain(|arrival| seen.insert(arrival.key()));
    chat::arrange(&mut arrivals, |arrival| {
        (arrival.time, arrival.message.provider_number)
    });
    arrivals
}

/// What happens to the conversations of a chat.
enum Plan {
    Open(i64),
    Continue,
}

/// Decides which chats open a conversation, and takes their numbers in the order of the clients' appeals (F200).
async fn plan(
    connection: &mut PgConnection,
    work: &mut Work,
    new: &[Arrival],
) -> Result<BTreeMap<ChatId, Plan>, Error> {
    let mut ids = BTreeSet::new();
    let first: Vec<(ChatId, &Arrival)> = new
        .iter()
        .filter(|arrival| work.opens(arrival))
        .map(|arrival| (arrival.chat(), arrival))
        .filter(|(chat, _)| ids.insert(*chat))
        .collect();
    let closed: BTreeSet<_> = first
        .iter()
        .filter_map(|(id, _)| work.chats.get(id))
        .filter(|chat| chat.open_episode().is_none() && chat.episode.is_some())
        .map(|chat| (chat.account.clone(), chat.channel))
        .collect();
    let rules = if closed.is_empty() {
        BTreeMap::new()
    } else {
        let closed: Vec<_> = closed.into_iter().collect();
        store::channel_rule::continue_within(connection, &closed).await?
    };
    let mut plans = BTreeMap::new();
    let mut opening: Vec<(ChatId, AccountSlug)> = Vec::new();
    let mut takers = BTreeMap::new();
    for (id, arrival) in first {
        let Some(chat) = work.chats.get(&id) else {
            continue;
        };
        let rule = rules.get(&(chat.account.clone(), chat.channel));
        let rule = rule.copied().unwrap_or(Duration::ZERO);
        let begins = match chat.opening(work.now, rule) {
            Opening::Opens => {
                opening.push((id, chat.account.clone()));
                Some(work::conversation_id(arrival))
            }
            Opening::Continues => {
                plans.insert(id, Plan::Continue);
                chat.episode.as_ref().map(|episode| episode.id)
            }
            Opening::IsOpen | Opening::Spam => None,
        };
        if chat.channel_kind.starts_without_message() {
            takers.extend(begins.map(|conversation| (id, conversation)));
        }
    }
    work.links = store::start::take(connection, &takers).await?;
    if opening.is_empty() {
        return Ok(plans);
    }
    // A chat that only a machine has written into so far had no conversation either.
    let fresh: BTreeMap<ChatId, AccountSlug> = opening
        .iter()
        .filter(|(id, _)| {
            work.chats
                .get(id)
                .is_some_and(|chat| chat.episode.is_none())
        })
        .cloned()
        .collect();
    if !fresh.is_empty() {
        for early in store::assignment::begin(connection, &fresh).await? {
            if let Some(chat) = work.chats.get_mut(&early.chat) {
                chat.assigned(early.number, early.responsible);
            }
        }
    }
    let mut wanted = BTreeMap::<AccountSlug, i64>::new();
    for (_, account) in &opening {
        *wanted.entry(account.clone()).or_default() += 1;
    }
    let last = store::conversation::take_numbers(connection, &wanted).await?;
    for (id, account) in opening {
        let left = wanted.entry(account.clone()).or_default();
        *left -= 1;
        let last = last.get(&account).copied().unwrap_or_default();
        plans.insert(id, Plan::Open(last - *left));
    }
    Ok(plans)
}

/// Writes conversations and messages; chats follow when they are amended.
async fn save(
    connection: &mut PgConnection,
    work: &Work,
    opened: &BTreeMap<ChatId, OpenReason>,
    continued: &BTreeSet<ChatId>,
) -> Result<(), Error> {
    let of = |ids: &BTreeSet<ChatId>| -> Vec<(&Chat, &Episode)> {
        let chats = ids.iter().filter_map(|id| work.chats.get(id));
        chats
            .filter_map(|chat| Some((chat, chat.episode.as_ref()?)))
            .collect()
    };
    for reason in [OpenReason::ClientMessage, OpenReason::AgentMessage] {
        let ids: BTreeSet<ChatId> = opened
            .iter()
            .filter(|(_, why)| **why == reason)
            .map(|(id, _)| *id)
            .collect();
        if ids.is_empty() {
            continue;
        }
        let begun = of(&ids);
        store::conversation::insert(connection, &begun, reason).await?;
        if reason == OpenReason::ClientMessage {
            store::auto_reply::consider(connection, &begun).await?;
        }
    }
    if !continued.is_empty() {
        let episodes: Vec<&Episode> = of(continued)
            .into_iter()
            .map(|(_, episode)| episode)
            .collect();
        store::conversation::update(connection, &episodes, None).await?;
    }
    store::message::insert(connection, &work.rows, work.now).await
}
