//! Keeping the words by which messages and chats are found (B12, F075): as events tell of changes, and of what was there before.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;

use super::attachments;
use crate::domain::search::chats::Entity;
use crate::domain::search::messages;
use crate::domain::words::MessageKind;
use crate::domain::{ChatId, MessageId};
use crate::error::Error;
use crate::store::chat_words::EntityKey;
use crate::store::message_words::Words;
use crate::store::search_fill::{CHATS, MESSAGES};
use crate::store::{self, chat_words, lock, message_words, search_fill};
use crate::wire;

/// Messages or chats that are filled in at once.
const AT_ONCE: i64 = 500;

/// What a batch of events says.
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// Messages that were stored, edited or deleted.
    pub messages: BTreeSet<MessageId>,
    /// Contacts and cards as they are, with their revisions.
    pub entities: BTreeMap<EntityKey, (Entity, i64)>,
    /// Chats that were linked with them or are not any more, with the sequence of the chat's events.
    pub links: BTreeMap<(EntityKey, ChatId), (i64, bool)>,
}

impl Told {
    /// Adds an entity; the highest revision stands.
    pub fn entity(&mut self, key: EntityKey, entity: Entity, revision: i64) {
        let kept = self.entities.entry(key);
        let kept = kept.or_insert_with(|| (entity.clone(), revision));
        if kept.1 < revision {
            *kept = (entity, revision);
        }
    }

    /// Adds whether a chat is linked; what was said last stands.
    pub fn link(&mut self, entity: EntityKey, chat: ChatId, sequence: i64, linked: bool) {
        let kept = self.links.entry((entity, chat)).or_default();
        *kept = (sequence, linked).max(*kept);
    }
}

/// Applies a batch. Any order and any number of repeats give the same: messages and names are taken as they are now.
pub async fn apply(pool: &PgPool, told: &Told, now: OffsetDateTime) -> Result<(), Error> {
    let mut tx = pool.begin().await?;
    // Whoever reads what is there writes before the next one reads: an older state never comes over a newer one.
    lock::search(&mut tx).await?;
    let messages: Vec<MessageId> = told.messages.iter().copied().collect();
    keep(&mut tx, &messages, now).await?;
    chat_words::keep_names(&mut tx, &told.entities).await?;
    chat_words::keep_links(&mut tx, &told.links).await?;
    let chats = told
        .links
        .keys()
        .map(|((account, _), chat)| (account.clone(), *chat));
    chat_words::renew_entities(&mut tx, told.entities.keys(), chats).await?;
    tx.commit().await?;
    Ok(())
}

/// Keeps the words of messages as they are now.
async fn keep(
    connection: &mut PgConnection,
    ids: &[MessageId],
    now: OffsetDateTime,
) -> Result<(), Error> {
    if ids.is_empty() {
        return Ok(());
    }
    let rows = store::message::some(connection, ids).await?;
    let mut contents: Vec<_> = rows.iter().map(wire::content).collect::<Result<_, _>>()?;
    let accounts = rows.iter().map(|row| &row.account);
    attachments::describe_of(connection, accounts.zip(&mut contents).collect()).await?;
    let (mut words, mut gone) = (Vec::with_capacity(rows.len()), Vec::new());
    for (row, content) in rows.into_iter().zip(&contents) {
        // A time that is yet to come is found as of now.
        let bucket = messages::bucket(row.time.min(now));
        let place = (row.channel, row.chat);
        let vector = messages::vector(&row.account, bucket, place, wire::searched(content));
        let found = row.deleted_at.is_none() && row.kind != MessageKind::System;
        let Some(vector) = vector.filter(|_| found) else {
            gone.push(row.id);
            continue;
        };
        words.push(Words {
            message: row.id,
            account: row.account,
            chat: row.chat,
            channel: row.channel,
            kind: row.kind.as_str(),
            time: row.time,
            bucket,
            vector,
        });
    }
    words.sort_by_key(|words| words.message);
    message_words::keep(connection, &words).await?;
    message_words::forget(connection, &gone).await?;
    Ok(())
}

/// Fills in some of what was there before the search; tells whether there may be more.
pub async fn fill(pool: &PgPool, now: OffsetDateTime) -> Result<bool, Error> {
    let mut tx = pool.begin().await?;
    if let Some(before) = search_fill::lock(&mut tx, MESSAGES).await? {
        lock::search(&mut tx).await?;
        let ids = search_fill::messages(&mut tx, before, AT_ONCE).await?;
        keep(&mut tx, &ids, now).await?;
        let before = ids.last().map(|id| id.uuid());
        search_fill::keep(&mut tx, MESSAGES, before).await?;
    }
    if let Some(before) = search_fill::lock(&mut tx, CHATS).await? {
        let ids = search_fill::chats(&mut tx, before, AT_ONCE).await?;
        // Whoever changes them or their clients meanwhile writes after this.
        store::chat::lock(&mut tx, &ids).await?;
        chat_words::renew(&mut tx, &ids).await?;
        let before = ids.last().map(|id| id.uuid());
        search_fill::keep(&mut tx, CHATS, before).await?;
    }
    let more = search_fill::any(&mut tx).await?;
    tx.commit().await?;
    Ok(more)
}
