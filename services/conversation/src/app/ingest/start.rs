//! Deep links by which clients come without writing (D30): the conversation that is open takes the payload, or the one
//! that is opened next.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::PgConnection;

use super::work::Work;
use crate::app::inbound::{Arrival, Start};
use crate::domain::ChatId;
use crate::error::Error;
use crate::store;
use crate::store::lock::Mode;
use crate::store::message::Key;
use crate::store::start::Link;

/// Of several links of one chat the newest, as it would be in batches of one.
pub(super) fn newest(starts: Vec<Start>) -> BTreeMap<ChatId, Start> {
    let mut newest = BTreeMap::<ChatId, Start>::new();
    for start in starts {
        let chat = start.by.chat();
        match newest.get(&chat) {
            Some(known) if known.moment >= start.moment => {}
            _ => {
                newest.insert(chat, start);
            }
        }
    }
    newest
}

/// The locks under which a link and the message that opens a chat's conversation meet: there may be no chat yet that
/// could be locked. A channel whose clients cannot come without writing takes none.
pub(super) fn locks(arrivals: &[Arrival], starts: &BTreeMap<ChatId, Start>) -> BTreeMap<Key, Mode> {
    let key = |by: &Arrival| (by.channel, format!("start/{}", by.chat_key));
    let mut locks: BTreeMap<Key, Mode> = arrivals
        .iter()
        .filter(|arrival| arrival.channel_kind.starts_without_message())
        .map(|arrival| (key(arrival), Mode::Shared))
        .collect();
    locks.extend(
        starts
            .values()
            .map(|start| (key(&start.by), Mode::Exclusive)),
    );
    locks
}

/// Keeps links that are newer than the known ones. Where a chat is there, its history tells; where its conversation is
/// open, that takes the payload. Returns the chats that changed.
pub(super) async fn come(
    connection: &mut PgConnection,
    work: &mut Work,
    starts: BTreeMap<ChatId, Start>,
) -> Result<BTreeSet<ChatId>, Error> {
    if starts.is_empty() {
        return Ok(BTreeSet::new());
    }
    let links: BTreeMap<ChatId, Link> = starts
        .iter()
        .map(|(chat, start)| {
            let link = Link {
                account: start.by.account.clone(),
                payload: start.by.message.start_payload.clone(),
                moment: start.moment.clone(),
            };
            (*chat, link)
        })
        .collect();
    let newer = store::start::keep(connection, &links).await?;
    let mut takers = BTreeMap::new();
    let mut changed = BTreeSet::new();
    for (chat, start) in starts.iter().filter(|(chat, _)| newer.contains(chat)) {
        if work.come(start)? {
            changed.insert(*chat);
        }
        // An open conversation has it now, or had another before: the next one begins without.
        let open = work.chats.get(chat).and_then(|chat| chat.open_episode());
        takers.extend(open.map(|open| (*chat, open.id)));
    }
    store::start::take(connection, &takers).await?;
    Ok(changed)
}
