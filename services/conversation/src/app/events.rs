//! A batch of other services' events, in one transaction.

use std::collections::BTreeSet;

use chassis::access::{AccessCopy, AccessRecord};
use chassis::id::AccountSlug;
use chassis::outbox::Outgoing;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::amend;
use super::assignments::{self, Change};
use super::bots;
use super::cards::Told;
use super::deliveries::{self, Applied, Report};
use super::described::{self, Described};
use super::inbound::Batch;
use super::own_amend;
use crate::domain::ChatId;
use crate::domain::internal_chat::Entity;
use crate::domain::words::Language;
use crate::error::Error;
use crate::store;
use crate::store::attachment::Word;
use crate::store::client_photo::Photo;
use crate::store::lock::{self, Mode};
use crate::store::message::Key;
use crate::store::post::Post;
use crate::store::reach::{Block, Line};
use crate::store::working_hours::{Owner, Word as Hours};

/// What a batch of events says, by kind.
#[derive(Debug, Clone, Default)]
pub struct Events {
    /// Responsibles and participants.
    pub assignments: Vec<Change>,
    /// What became of messages to clients.
    pub deliveries: Vec<Report>,
    /// Cards made from chats.
    pub cards: Vec<Told>,
    /// What the gateway says of files.
    pub files: Vec<Word>,
    /// Clients whom providers describe.
    pub clients: Vec<Described>,
    /// Photos of clients.
    pub photos: Vec<Photo>,
    /// Pages of posts.
    pub posts: Vec<Post>,
    /// Clients who blocked a channel, or unblocked it.
    pub blocks: Vec<Block>,
    /// Channels that were switched off or lost, or are heard again.
    pub lines: Vec<Line>,
    /// Languages of accounts.
    pub languages: Vec<(AccountSlug, Language)>,
    /// Working hours of accounts and channels.
    pub hours: Vec<(Owner, Hours)>,
    /// Entities of CRM that are gone.
    pub gone: Vec<(AccountSlug, Entity)>,
    /// Rights of agents.
    pub access: Vec<(AccountSlug, AccessRecord)>,
}

/// Applies a batch and returns the events to be written. Any order and any number of repeats give the same.
pub async fn apply(
    connection: &mut PgConnection,
    batch: &Events,
    now: OffsetDateTime,
) -> Result<Vec<Outgoing>, Error> {
    let keys: BTreeSet<Key> = batch.deliveries.iter().flat_map(Report::keys).collect();
    let locks = keys
        .iter()
        .map(|(channel, key)| (*channel, &**key, Mode::Shared));
    lock::parking(connection, locks).await?;
    let mut events = described::apply(connection, &batch.clients, now).await?;
    store::client_photo::keep(connection, &described::newest(&batch.photos)).await?;

    let assigned = batch
        .assignments
        .iter()
        .map(|change| change.assignment.chat);
    let delivered = batch.deliveries.iter().map(|report| report.chat);
    let carded = batch.cards.iter().map(|created| created.chat);
    let ids: BTreeSet<ChatId> = assigned.chain(delivered).chain(carded).collect();
    let ids: Vec<ChatId> = ids.into_iter().collect();
    let mut chats = store::chat::lock(connection, &ids).await?;
    let before = chats.clone();

    let mut rows = Vec::new();
    if !batch.assignments.is_empty() {
        let changes = &batch.assignments;
        assignments::apply(connection, &mut chats, changes, &mut rows, &mut events).await?;
    }
    if !batch.cards.is_empty() {
        let notes: Vec<_> = batch.cards.iter().map(Told::note).collect();
        assignments::note(connection, &mut chats, &notes, &mut rows, &mut events).await?;
    }
    store::message::insert(connection, &rows, now).await?;
    let reports = &batch.deliveries;
    let amendments = own_amend::reported(connection, &mut chats, reports, &mut events).await?;
    let Applied { sent, of_bots } =
        deliveries::apply(connection, &mut chats, reports, &amendments).await?;
    let rows = bots::nps::delivered(connection, &mut chats, &of_bots, &mut events, now).await?;
    store::message::insert(connection, &rows, now).await?;
    // A client may react to our message before we hear that it was sent.
    let mut unparked = Batch::default();
    let sent_keys: BTreeSet<Key> = sent.keys().cloned().collect();
    for parked in store::parked::take(connection, &sent_keys).await? {
        unparked.add_parked(&parked)?;
    }
    amend::apply(
        connection,
        &mut chats,
        &sent,
        unparked.amendments,
        &mut events,
    )
    .await?;
    let changed = chats
        .values()
        .filter(|chat| before.get(&chat.id) != Some(*chat));
    store::chat::save(connection, changed).await?;
    store::attachment::keep(connection, &batch.files).await?;
    store::post::keep(connection, &batch.posts).await?;
    store::reach::keep_blocks(connection, &batch.blocks).await?;
    store::reach::keep_lines(connection, &batch.lines).await?;
    store::account::keep(connection, &batch.languages).await?;
    if !batch.hours.is_empty() {
        let changed = store::working_hours::keep(connection, &batch.hours).await?;
        store::response_wait::replan_accounts(connection, &changed).await?;
    }
    store::internal_chat::mark_gone(connection, &batch.gone).await?;
    if !batch.access.is_empty() {
        AccessCopy::apply(connection, &batch.access).await?;
    }
    Ok(events)
}
