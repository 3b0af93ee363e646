//! Finding messages by every provider key that a batch speaks of.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::PgConnection;
use switchboard_proto::channel_gateway::v1::InboundMessage;

use crate::app::inbound::Arrival;
use crate::error::Error;
use crate::store;
use crate::store::message::{Key, Known};

/// Finds what is stored of arrivals, of what they answer, and of what is amended.
pub(super) async fn all(
    connection: &mut PgConnection,
    arrivals: &[Arrival],
    amended: &BTreeSet<Key>,
) -> Result<BTreeMap<Key, Known>, Error> {
    // What a plain message of a client is found by stands in its own row.
    let own = arrivals
        .iter()
        .filter(|arrival| arrival.own_app || arrival.album().is_some())
        .map(Arrival::key);
    let mut elsewhere: BTreeSet<Key> = own.chain(answered(arrivals)).collect();
    elsewhere.extend(amended.iter().cloned());
    let mut keys: BTreeSet<Key> = arrivals.iter().map(Arrival::key).collect();
    keys.extend(elsewhere.iter().cloned());
    find(connection, &keys, elsewhere).await
}

/// Finds what is amended.
pub(super) async fn amended(
    connection: &mut PgConnection,
    amended: &BTreeSet<Key>,
) -> Result<BTreeMap<Key, Known>, Error> {
    find(connection, amended, amended.clone()).await
}

/// Looks into `message_key` only for what was not found by the messages' own keys: mostly nothing is left.
async fn find(
    connection: &mut PgConnection,
    keys: &BTreeSet<Key>,
    mut elsewhere: BTreeSet<Key>,
) -> Result<BTreeMap<Key, Known>, Error> {
    let mut known = store::message::by_keys(connection, keys).await?;
    elsewhere.retain(|key| !known.contains_key(key));
    known.extend(store::key::find(connection, &elsewhere).await?);
    Ok(known)
}

/// What a message names without answering it by a reply of its own: the comment above it (F092), or the earlier mails of
/// its thread, newest first (D23). The first one that is known is what it answers.
pub(super) fn thread(message: &InboundMessage) -> impl Iterator<Item = &String> {
    let parent = message.origin.as_ref().map(|origin| &origin.parent_key);
    let parent = parent.filter(|key| !key.is_empty() && !key.contains('\0'));
    parent.into_iter().chain(&message.references)
}

/// The messages that arrivals answer, and those of the threads that mails belong to.
fn answered(arrivals: &[Arrival]) -> impl Iterator<Item = Key> {
    arrivals.iter().flat_map(|arrival| {
        let message = &arrival.message;
        let reply = message.reply.as_ref().map(|reply| &reply.provider_key);
        let reply = reply.filter(|key| !key.is_empty() && !key.contains('\0'));
        let thread = thread(message);
        let answered = reply.into_iter().chain(thread);
        answered.map(|key| (arrival.channel, key.clone()))
    })
}
