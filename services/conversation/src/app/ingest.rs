//! A batch of inbound items: clients, chats, conversations and messages, whatever its size in the same dozen or so
//! statements. A repeated item changes nothing (X01, B01).

mod album;
mod find;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chassis::id::AccountSlug;
use chassis::outbox::Outgoing;
use sqlx::PgConnection;
use switchboard_proto::conversation::v1 as pb;
use time::OffsetDateTime;

use self::album::Gathered;
use self::work::Work;
use super::amend;
use super::announce;
use super::inbound::{Arrival, Batch, Change};
use crate::domain::chat::{self, Chat, Episode, Opening};
use crate::domain::words::OpenReason;
use crate::domain::{ChatId, ClientId};
use crate::error::Error;
use crate::store::client::{Profile, Seen};
use crate::store::lock::{self, Mode};
use crate::store::message::Key;
use crate::store::{self, chat::NewChat};
use crate::wire;

/// Stores a batch and returns the events to be written; the caller's transaction holds everything.
pub async fn ingest(
    connection: &mut PgConnection,
    batch: Batch,
    now: OffsetDateTime,
) -> Result<Vec<Outgoing>, Error> {
    let Batch {
        arrivals,
        mut amendments,
        ..
    } = batch;
    let arrivals = distinct(arrivals);
    let locks = arrivals.iter().map(|arrival| {
        (
            arrival.channel,
            &*arrival.message.provider_key,
            Mode::Shared,
        )
    });
    let exclusive = amendments
        .iter()
        .map(|amendment| (amendment.key.0, &*amendment.key.1, Mode::Exclusive));
    lock::parking(connection, locks.chain(exclusive)).await?;

    let (profiles, events) = clients(connection, &arrivals, now).await?;
    let amended: BTreeSet<Key> = amendments.iter().map(|a| a.key.clone()).collect();
    let (chats, fresh) = chats(connection, &arrivals, &amended, now).await?;
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

    let mut work = Work {
        now,
        chats,
        fresh,
        profiles,
        events,
        rows: Vec::with_capacity(new.len() * 2),
        albums,
        tombstones,
    };
    let planned = plan(connection, &mut work, &new).await?;
    let mut opened = BTreeMap::new();
    let mut continued = BTreeSet::new();
    for arrival in &new {
        let chat = arrival.chat();
        let time = work.time_of(arrival);
        match planned.get(&chat) {
            Some(Plan::Open(number)) if !opened.contains_key(&chat) => {
                opened.insert(chat, work::reason(arrival));
                work.open(arrival, time, *number)?;
            }
            Some(Plan::Continue) if continued.insert(chat) => work.resume(arrival, time)?,
            _ => {}
        }
        work.store(arrival, time, &known)?;
    }
    let mut touched: BTreeSet<ChatId> = new.iter().map(Arrival::chat).collect();
    save(connection, &work, &opened, &continued).await?;
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
        metrics::counter!("conversation_messages_stored_total", "kind" => kind)
            .increment(count as u64);
    }
    Ok(events)
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

/// Finds or makes the clients; the newest profile stands. Returns profiles, and events of those that changed.
async fn clients(
    connection: &mut PgConnection,
    arrivals: &[Arrival],
    now: OffsetDateTime,
) -> Result<(BTreeMap<ClientId, Profile>, Vec<Outgoing>), Error> {
    let mut seen = BTreeMap::<ClientId, (Seen, &Arrival)>::new();
    for arrival in arrivals {
        let newest = Seen {
            account: arrival.account.clone(),
            profile: arrival.profile.clone(),
            // What an echo tells of a client is less than the client told: it never stands over that.
            time: if arrival.own_app {
                OffsetDateTime::UNIX_EPOCH
            } else {
                arrival.time
            },
        };
        // Arrivals are in the order of time.
        let newer = seen
            .get(&arrival.client())
            .is_none_or(|(known, _)| known.time <= newest.time);
        if newer {
            seen.insert(arrival.client(), (newest, arrival));
        }
    }
    if seen.is_empty() {
        return Ok((BTreeMap::new(), Vec::new()));
    }
    let causes: BTreeMap<ClientId, &Arrival> =
        seen.iter().map(|(id, (_, by))| (*id, *by)).collect();
    let seen: BTreeMap<ClientId, Seen> =
        seen.into_iter().map(|(id, (seen, _))| (id, seen)).collect();
    let known = store::client::insert_or_lock(connection, &seen, now).await?;
    // A profile of the same second is not newer: so a repeat can never bring an older one back.
    let newer: BTreeMap<ClientId, &Seen> = seen
        .iter()
        .filter(|(id, seen)| known.get(id).is_some_and(|known| known.time < seen.time))
        .map(|(id, seen)| (*id, seen))
        .collect();
    store::client::update(connection, &newer).await?;
    let mut events = Vec::new();
    for (id, seen) in &newer {
        let changed = known
            .get(id)
            .is_some_and(|known| known.profile != seen.profile);
        if let (true, Some(arrival)) = (changed, causes.get(id)) {
            let event = pb::ClientUpdated {
                client_id: id.to_string(),
                client: Some(wire::identity_out(&seen.profile)),
            };
            let event = Outgoing::new(&seen.account, id, &event);
            events.push(announce::outgoing(event, &arrival.cause));
        }
    }
    let profiles = seen
        .iter()
        .map(|(id, seen)| {
            let profile = match known.get(id) {
                Some(known) if !newer.contains_key(id) => &known.profile,
                _ => &seen.profile,
            };
            (*id, profile.clone())
        })
        .collect();
    Ok((profiles, events))
}

/// Finds or makes the chats of messages, and locks them with those of amended messages.
async fn chats(
    connection: &mut PgConnection,
    arrivals: &[Arrival],
    amended: &BTreeSet<Key>,
    now: OffsetDateTime,
) -> Result<(BTreeMap<ChatId, Chat>, BTreeSet<ChatId>), Error> {
    let mut wanted = BTreeMap::<ChatId, NewChat>::new();
    for arrival in arrivals {
        wanted.entry(arrival.chat()).or_insert_with(|| NewChat {
            account: arrival.account.clone(),
            channel: arrival.channel,
            channel_kind: arrival.channel_kind,
            chat_key: arrival.chat_key.clone(),
            client: arrival.client(),
            first_message_at: arrival.time,
        });
    }
    let mut fresh = BTreeSet::new();
    if !wanted.is_empty() {
        fresh = store::chat::insert(connection, &wanted, now).await?;
    }
    let mut ids: BTreeSet<ChatId> = wanted.keys().copied().collect();
    // What an amended message belongs to can be told before its chat is locked: its parking lock is ours alone.
    let targets = find::amended(connection, amended).await?;
    ids.extend(targets.values().map(|known| known.chat));
    if ids.is_empty() {
        return Ok((BTreeMap::new(), fresh));
    }
    let ids: Vec<ChatId> = ids.into_iter().collect();
    let chats = store::chat::lock(connection, &ids).await?;
    for arrival in arrivals {
        let own = chats
            .get(&arrival.chat())
            .is_some_and(|chat| chat.account == arrival.account);
        if !own {
            let text = "inbound item: its channel is another account's".to_owned();
            return Err(Error::Broken(text));
        }
    }
    Ok((chats, fresh))
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
    let first: Vec<ChatId> = new
        .iter()
        .map(Arrival::chat)
        .filter(|chat| ids.insert(*chat))
        .collect();
    let closed: BTreeSet<_> = first
        .iter()
        .filter_map(|id| work.chats.get(id))
        .filter(|chat| chat.open_episode().is_none() && chat.episode.is_some())
        .map(|chat| chat.channel)
        .collect();
    let rules = if closed.is_empty() {
        BTreeMap::new()
    } else {
        let closed: Vec<_> = closed.into_iter().collect();
        store::chat::continue_within(connection, &closed).await?
    };
    let mut plans = BTreeMap::new();
    let mut opening: Vec<(ChatId, AccountSlug)> = Vec::new();
    for id in first {
        let Some(chat) = work.chats.get(&id) else {
            continue;
        };
        let rule = rules.get(&chat.channel).copied().unwrap_or(Duration::ZERO);
        match chat.opening(work.now, rule) {
            Opening::Opens => opening.push((id, chat.account.clone())),
            Opening::Continues => {
                plans.insert(id, Plan::Continue);
            }
            Opening::IsOpen | Opening::Spam => {}
        }
    }
    if opening.is_empty() {
        return Ok(plans);
    }
    let fresh: BTreeMap<ChatId, AccountSlug> = opening
        .iter()
        .filter(|(id, _)| work.fresh.contains(id))
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
        if !ids.is_empty() {
            store::conversation::insert(connection, &of(&ids), reason).await?;
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
