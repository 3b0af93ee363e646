//! `SearchMessages`: messages by their words, within the caller's rights (B12); and what the list of chats is searched for (F075).

use std::collections::{BTreeMap, BTreeSet};

use chassis::auth::Caller;
use sqlx::PgPool;
use switchboard_proto::conversation::v1 as pb;
use time::OffsetDateTime;
use tokio::sync::Semaphore;

use super::read::{cut, fit};
use super::{access, history};
use crate::domain::activity::Reach;
use crate::domain::search::messages::{self, Within};
use crate::domain::search::query::Query;
use crate::domain::search::{chats, snippet};
use crate::domain::{ChannelId, ChatId, MessageId};
use crate::error::Error;
use crate::store::message_words::{self, Hit, Place, Sought};
use crate::store::{self, by_bitmaps};
use crate::wire;

/// What is searched for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The words.
    pub query: Query,
    /// Only in this chat.
    pub chat: Option<ChatId>,
    /// Only in this channel.
    pub channel: Option<ChannelId>,
    /// Only of these kinds, as they are stored.
    pub kinds: Option<Vec<String>>,
    /// Only from this time on.
    pub since: Option<OffsetDateTime>,
    /// Only before this time.
    pub until: Option<OffsetDateTime>,
}

/// Searches that wait for their turn at most.
const WAITING_MAX: usize = 64;

/// Lets few searches run at once: each takes a processor of the database for a while, and lists, which take little, must neither
/// wait for it nor find all connections taken.
pub struct Searches {
    pool: PgPool,
    turns: Semaphore,
    /// All that run or wait.
    places: Semaphore,
}

impl Searches {
    /// The database.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Lets a quarter of the pool's connections search.
    pub fn new(pool: PgPool) -> Self {
        let turns = (pool.options().get_max_connections() as usize / 4).max(1);
        Self {
            pool,
            turns: Semaphore::new(turns),
            places: Semaphore::new(turns + WAITING_MAX),
        }
    }

    /// Searches messages when it is its turn.
    ///
    /// # Errors
    ///
    /// [`Error::TooManySearches`] where too many wait already.
    pub async fn messages(
        &self,
        caller: &Caller,
        wanted: &Wanted,
        position: Position,
        size: u32,
    ) -> Result<Page, Error> {
        access::may_use_chats(caller)?;
        let _place = self
            .places
            .try_acquire()
            .map_err(|_| Error::TooManySearches)?;
        let _turn = self
            .turns
            .acquire()
            .await
            .map_err(|_| Error::TooManySearches)?;
        messages(&self.pool, caller, wanted, position, size).await
    }
}

/// What messages are found by.
#[derive(Debug, Clone)]
pub enum Held {
    /// The provider's key, in these channels.
    Key(String, Vec<ChannelId>),
    /// Their ids.
    Ids(Vec<MessageId>),
}

/// Returns the messages that somebody holds a key or the ids of, the newest first, as far as the caller may see them
/// (O3.3).
pub async fn held(
    pool: &PgPool,
    caller: &Caller,
    held: Held,
) -> Result<Vec<pb::StoredMessage>, Error> {
    access::may_use_chats(caller)?;
    let mut connection = pool.acquire().await?;
    let ids = match held {
        Held::Ids(ids) => ids,
        Held::Key(key, channels) => {
            let keys: BTreeSet<store::message::Key> = channels
                .into_iter()
                .map(|channel| (channel, key.clone()))
                .collect();
            let mut known = store::message::by_keys(&mut connection, &keys).await?;
            known.extend(store::key::find(&mut connection, &keys).await?);
            known.into_values().map(|known| known.message).collect()
        }
    };
    let mut found = store::message::some(&mut connection, &ids).await?;
    let granted = access::granted(caller);
    // Neither a channel's id nor a message's says whose it is.
    found.retain(|message| {
        let granted = granted.as_ref();
        message.account == *caller.account()
            && granted.is_none_or(|granted| granted.contains(&message.channel.uuid()))
    });
    found.sort_by_key(|message| std::cmp::Reverse((message.time, message.id)));
    let ids: Vec<MessageId> = found.iter().map(|message| message.id).collect();
    let stored = store::message::stored_at(&mut connection, &ids).await?;
    let shown = history::shown(&mut connection, caller, &found, false).await?;
    let told = shown.into_iter().zip(&found).map(|(message, row)| {
        let time = stored.get(&row.id).copied();
        pb::StoredMessage {
            message: Some(message),
            store_time: chassis::grpc::timestamp_opt(time),
            channel_id: row.channel.to_string(),
        }
    });
    Ok(told.collect())
}

/// Where a page begins: when the search began, and after which message.
pub type Position = (OffsetDateTime, Option<Place>);

/// A page of messages.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// The messages.
    pub hits: Vec<pb::FoundMessage>,
    /// Where the next page begins.
    pub next: Option<Position>,
    /// There were more than are compared.
    pub cut: bool,
}

async fn messages(
    pool: &PgPool,
    caller: &Caller,
    wanted: &Wanted,
    (began, after): Position,
    size: u32,
) -> Result<Page, Error> {
    let mut tx = pool.begin().await?;
    if let Some(chat) = wanted.chat {
        access::chat(&mut tx, caller, chat).await?;
    }
    let account = caller.account();
    let Some(first) = message_words::begin(&mut tx, account).await? else {
        return Ok(Page::default());
    };
    let granted = access::granted(caller);
    let granted = granted.map(|granted| granted.into_iter().map(ChannelId::from));
    let mut channels: Option<Vec<ChannelId>> = granted.map(Iterator::collect);
    if let Some(channel) = wanted.channel {
        let seen = channels.is_none_or(|granted| granted.contains(&channel));
        channels = Some(seen.then_some(channel).into_iter().collect());
    }
    let within = Within {
        channels,
        chat: wanted.chat,
    };
    let mut oldest = wanted.since.map_or(first, messages::bucket).max(first);
    let mut newest = messages::bucket(wanted.until.map_or(began, |until| until.min(began)));
    if let Some(chat) = wanted.chat {
        // Most chats last for some days: all other buckets have nothing of them.
        let Some((oldest_of, newest_of)) = store::message::span(&mut tx, chat).await? else {
            return Ok(Page::default());
        };
        oldest = oldest.max(messages::bucket(oldest_of));
        newest = newest.min(messages::bucket(newest_of));
    }
    let sought = Sought {
        queries: messages::queries(account, &wanted.query, &within, (oldest, newest)),
        channels: within.channels,
        chat: wanted.chat,
        kinds: wanted.kinds.clone(),
        since: wanted.since,
        until: wanted.until,
    };
    by_bitmaps(&mut tx).await?;
    let limit = i64::from(size) + 1;
    let found = message_words::find(&mut tx, account, &sought, (after, began), limit).await?;
    tx.commit().await?;
    let is_cut = found.first().is_some_and(|hit| hit.cut);
    let place = |hit: &Hit| (began, Some(hit.place));
    let (mut found, next) = cut(found, size, place);
    let mut connection = pool.acquire().await?;
    let ids: Vec<_> = found.iter().map(|hit| hit.message).collect();
    let stored = store::message::some(&mut connection, &ids).await?;
    let mut stored: BTreeMap<_, _> = stored.into_iter().map(|one| (one.id, one)).collect();
    // What was deleted a moment ago is not forgotten yet.
    found.retain(|hit| {
        stored
            .get(&hit.message)
            .is_some_and(|one| one.deleted_at.is_none())
    });
    let rows: Vec<_> = found
        .iter()
        .filter_map(|hit| stored.remove(&hit.message))
        .collect();
    let shown = history::shown(&mut connection, caller, &rows, false).await?;
    let chats: Vec<ChatId> = rows.iter().map(|row| row.chat).collect();
    let names = store::client::names(&mut connection, &chats).await?;
    let hits = shown.into_iter().zip(&rows).map(|(message, row)| {
        let snippet = snippet::cut(wire::searched(&message), &wanted.query);
        pb::FoundMessage {
            snippet: Some(wire::snippet(snippet)),
            message: Some(message),
            channel_id: row.channel.to_string(),
            client_name: names.get(&row.chat).cloned().unwrap_or_default(),
        }
    });
    let mut hits: Vec<_> = hits.collect();
    let next = fit(&mut hits, &found, place).or(next);
    Ok(Page {
        hits,
        next,
        cut: is_cut,
    })
}

/// Writes what chats are searched for as far as the caller may see what they are linked with; none for a text without any word.
pub fn of_chats(caller: &Caller, channel: Option<ChannelId>, text: &str) -> Option<String> {
    let reach = Reach::of(caller.access());
    chats::query(caller.account(), &reach, channel, text)
}
