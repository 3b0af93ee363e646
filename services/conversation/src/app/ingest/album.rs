//! Items of albums: those of one batch become one message, later ones join the message that is there.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::PgConnection;

use crate::app::inbound::Arrival;
use crate::domain::MessageId;
use crate::domain::album::ITEMS;
use crate::error::Error;
use crate::store::message::{Key, Known, Stored};
use crate::{store, wire};

/// New messages of a batch, their albums gathered.
#[derive(Default)]
pub(super) struct Gathered {
    /// What is stored as messages, in the order of history; of a new album the item that came first.
    pub messages: Vec<Arrival>,
    /// All items of new albums.
    pub albums: BTreeMap<MessageId, Vec<Arrival>>,
    /// Stored albums, locked, and the items that join them.
    pub joining: Vec<(Stored, Vec<Arrival>)>,
}

impl Gathered {
    /// Returns where each new message or item is found from now on.
    pub fn places(&self) -> impl Iterator<Item = (Key, Known)> {
        let joining = self.joining.iter().flat_map(|(_, items)| items);
        self.messages
            .iter()
            .chain(self.albums.values().flatten())
            .chain(joining)
            .map(|arrival| {
                let known = Known {
                    message: arrival.id(),
                    chat: arrival.chat(),
                };
                (arrival.key(), known)
            })
    }

    /// Returns the keys that are found by `message_key`.
    pub fn keys(&self) -> BTreeMap<Key, (chassis::id::AccountSlug, Known)> {
        let joining = self.joining.iter().flat_map(|(_, items)| items);
        let own = self.messages.iter().filter(|arrival| arrival.own_app);
        own.chain(self.albums.values().flatten())
            .chain(joining)
            .map(|arrival| {
                let known = Known {
                    message: arrival.id(),
                    chat: arrival.chat(),
                };
                (arrival.key(), (arrival.account.clone(), known))
            })
            .collect()
    }
}

/// Gathers new messages, whose chats are locked. A batch without albums costs nothing.
pub(super) async fn gather(
    connection: &mut PgConnection,
    new: Vec<Arrival>,
) -> Result<Gathered, Error> {
    let ids: BTreeSet<MessageId> = new.iter().filter_map(Arrival::album).collect();
    if ids.is_empty() {
        return Ok(Gathered {
            messages: new,
            ..Gathered::default()
        });
    }
    let ids: Vec<MessageId> = ids.into_iter().collect();
    let mut stored = BTreeMap::new();
    let mut room = BTreeMap::new();
    for (id, message) in store::message::lock(connection, &ids).await? {
        let content = wire::content(&message)?;
        room.insert(id, wire::album(&content).room());
        stored.insert(id, message);
    }
    let mut gathered = Gathered::default();
    let mut joining = BTreeMap::<MessageId, Vec<Arrival>>::new();
    for mut arrival in new {
        let Some(id) = arrival.album() else {
            gathered.messages.push(arrival);
            continue;
        };
        let left = room.entry(id).or_insert(ITEMS);
        if *left == 0 {
            // More than any provider's album has: a message of its own, so that nothing is lost.
            arrival.message.album_key.clear();
            gathered.messages.push(arrival);
            continue;
        }
        *left -= 1;
        if stored.contains_key(&id) {
            joining.entry(id).or_default().push(arrival);
            continue;
        }
        let items = gathered.albums.entry(id).or_default();
        if items.is_empty() {
            gathered.messages.push(arrival.clone());
        }
        items.push(arrival);
    }
    for (id, items) in joining {
        if let Some(message) = stored.remove(&id) {
            gathered.joining.push((message, items));
        }
    }
    Ok(gathered)
}
