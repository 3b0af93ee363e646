//! What a batch holds while it is stored, in the order of locks (§3): parking locks, clients, chats.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use chassis::outbox::Outgoing;
use sqlx::PgConnection;
use switchboard_proto::conversation::v1 as pb;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{find, start};
use crate::app::announce;
use crate::app::inbound::{Amendment, Arrival, Start};
use crate::domain::chat::Chat;
use crate::domain::{ChatId, ClientId};
use crate::error::Error;
use crate::store::bots::runs::Run;
use crate::store::chat::NewChat;
use crate::store::client::{Profile, Seen};
use crate::store::lock::{self, Mode};
use crate::store::message::Key;
use crate::{store, wire};

/// Takes the parking locks of all that the batch brings.
pub(super) async fn locks(
    connection: &mut PgConnection,
    arrivals: &[Arrival],
    amendments: &[Amendment],
    starts: &BTreeMap<ChatId, Start>,
) -> Result<(), Error> {
    let beginnings = start::locks(arrivals, starts);
    let shared = arrivals.iter().map(|arrival| {
        (
            arrival.channel,
            &*arrival.message.provider_key,
            Mode::Shared,
        )
    });
    let exclusive = amendments
        .iter()
        .map(|amendment| (amendment.key.0, &*amendment.key.1, Mode::Exclusive));
    let beginnings = beginnings
        .iter()
        .map(|((channel, key), mode)| (*channel, &**key, *mode));
    lock::parking(connection, shared.chain(exclusive).chain(beginnings)).await?;
    Ok(())
}

/// Finds or makes the clients; the newest profile stands. Returns profiles, and events of those that changed.
pub(super) async fn clients(
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
        // Arrivals are in the order of time. What one leaves open another may tell: a comment names the person, a Direct
        // does not.
        match seen.entry(arrival.client()) {
            Entry::Vacant(first) => {
                first.insert((newest, arrival));
            }
            Entry::Occupied(mut known) => {
                let (known, by) = known.get_mut();
                if known.time <= newest.time {
                    let before = std::mem::replace(known, newest);
                    known.profile = known.profile.clone().filled(&before.profile);
                    *by = arrival;
                } else {
                    known.profile = known.profile.clone().filled(&newest.profile);
                }
            }
        }
    }
    if seen.is_empty() {
        return Ok((BTreeMap::new(), Vec::new()));
    }
    let causes: BTreeMap<ClientId, &Arrival> =
        seen.iter().map(|(id, (_, by))| (*id, *by)).collect();
    let mut seen: BTreeMap<ClientId, Seen> =
        seen.into_iter().map(|(id, (seen, _))| (id, seen)).collect();
    let ids: Vec<ClientId> = seen.keys().copied().collect();
    let mut known = store::client::known(connection, &ids).await?;
    for (id, seen) in &mut seen {
        if let Some(known) = known.get(id) {
            let profile = std::mem::take(&mut seen.profile);
            seen.profile = profile.named_as(&known.profile);
        }
    }
    // Most clients are as they were: only those that are new or changed are locked, and looked at again.
    let told: BTreeMap<ClientId, Seen> = seen
        .iter()
        .filter(|(id, seen)| known.get(id).is_none_or(|known| seen.tells_more(known)))
        .map(|(id, seen)| (*id, seen.clone()))
        .collect();
    if !told.is_empty() {
        known.extend(store::client::insert_or_lock(connection, &told, now).await?);
    }
    // A profile of the same second is not newer: so a repeat can never bring an older one back.
    let newer: BTreeMap<ClientId, &Seen> = seen
        .iter()
        .filter(|(id, seen)| {
            told.contains_key(id) && known.get(id).is_some_and(|known| seen.tells_more(known))
        })
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

/// Returns the runs of bots in the chats of messages.
pub(super) async fn runs(
    connection: &mut PgConnection,
    arrivals: &[Arrival],
    chats: &BTreeMap<ChatId, Chat>,
) -> Result<BTreeMap<Uuid, Run>, Error> {
    let of = |arrival: &Arrival| Some(chats.get(&arrival.chat())?.bot?.0);
    let ids: BTreeSet<Uuid> = arrivals.iter().filter_map(of).collect();
    let ids: Vec<Uuid> = ids.into_iter().collect();
    Ok(store::bots::runs::readable(connection, &ids).await?)
}

/// Finds or makes the chats of messages, and locks them with those of amended messages.
pub(super) async fn chats(
    connection: &mut PgConnection,
    arrivals: &[Arrival],
    amended: &BTreeSet<Key>,
    starts: &BTreeMap<ChatId, Start>,
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
    ids.extend(starts.keys());
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
