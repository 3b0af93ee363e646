//! Notifications of agents: chats of their own and of nobody whose clients wait (F207), or have commented on NPS (F203), with marks of
//! each agent's own.

use std::collections::{BTreeMap, BTreeSet};

use chassis::auth::Caller;
use sqlx::{PgConnection, PgPool};
use switchboard_proto::conversation::v1 as pb;
use tokio::sync::mpsc;

use super::access;
use super::read::{self, Page};
use super::watch::{List, Watch};
use crate::domain::ChatId;
use crate::domain::chat::Chat;
use crate::error::Error;
use crate::store;
use crate::store::chat::{Narrowing, Position, Whose as Listed};
use crate::store::notifications::{self as table, Notified, Whose};

/// Unread notifications that are counted at most.
const COUNTED: i64 = 1_000;

/// Notifications that are marked at once at most.
const MARKED: i64 = 10_000;

/// Returns the calling agent's place in the table.
fn of(caller: &Caller) -> Result<Whose<'_>, Error> {
    access::may_use_chats(caller)?;
    Ok(Whose {
        account: caller.account(),
        agent: access::agent(caller)?,
        granted: access::granted(caller),
    })
}

/// Lists notifications, the newest message first, and counts the unread ones.
pub async fn list(
    connection: &mut PgConnection,
    caller: &Caller,
    unread_only: bool,
    after: Option<Position>,
    size: u32,
) -> Result<(Page<pb::Notification, Position>, pb::UnreadNotifications), Error> {
    let whose = of(caller)?;
    let limit = i64::from(size) + 1;
    let found = table::list(connection, &whose, unread_only, after, limit).await?;
    let position = |one: &Notified| (one.time, one.chat);
    let (found, next) = read::cut(found, size, position);
    let mut notifications = shown(connection, &whose, &found).await?;
    let next = read::fit(&mut notifications, &found, position).or(next);
    let unread = unread(connection, &whose).await?;
    Ok(((notifications, next), unread))
}

/// Adds the chats. One that went meanwhile is left out.
async fn shown(
    connection: &mut PgConnection,
    whose: &Whose<'_>,
    found: &[Notified],
) -> Result<Vec<pb::Notification>, Error> {
    let ids: Vec<ChatId> = found.iter().map(|one| one.chat).collect();
    let limit = i64::try_from(ids.len()).unwrap_or(i64::MAX);
    let named = (&*ids, None);
    let chats = store::chat::named(connection, whose.account, named, None, limit).await?;
    let out = read::shown(connection, &chats).await?;
    let ids = chats.iter().map(|chat: &Chat| chat.id);
    let mut out: BTreeMap<ChatId, pb::Chat> = ids.zip(out).collect();
    let one = |one: &Notified| {
        Some(pb::Notification {
            chat: Some(out.remove(&one.chat)?),
            read: one.read,
            response_time_exceeded: one.exceeded,
            nps_comment: one.comment,
        })
    };
    Ok(found.iter().filter_map(one).collect())
}

/// Counts those that are unread.
async fn unread(
    connection: &mut PgConnection,
    whose: &Whose<'_>,
) -> Result<pb::UnreadNotifications, Error> {
    let found = table::list(connection, whose, true, None, COUNTED + 1).await?;
    let count = i64::try_from(found.len()).unwrap_or(i64::MAX);
    Ok(pb::UnreadNotifications {
        count: i32::try_from(count.min(COUNTED)).unwrap_or(i32::MAX),
        more: count > COUNTED,
    })
}

/// Marks notifications as read as they stand, those of these chats or all; returns how many are unread now.
pub async fn mark(
    pool: &PgPool,
    caller: &Caller,
    chats: Option<Vec<ChatId>>,
) -> Result<pb::UnreadNotifications, Error> {
    let whose = of(caller)?;
    let mut tx = pool.begin().await?;
    // Of chats that are not the agent's to see nothing is kept, and nothing is told.
    let chats: Vec<ChatId> = if let Some(chats) = chats {
        let known = table::of_chats(&mut tx, &whose, &chats).await?;
        known.into_keys().collect()
    } else {
        let all = table::list(&mut tx, &whose, true, None, MARKED).await?;
        all.into_iter().map(|one| one.chat).collect()
    };
    table::mark(&mut tx, whose.account, whose.agent, &chats).await?;
    let unread = unread(&mut tx, &whose).await?;
    tx.commit().await?;
    Ok(unread)
}

/// What a stream yields.
pub type Told = Result<pb::WatchNotificationsResponse, Error>;

/// Tells the count, and what becomes of notifications with every change of a chat.
pub async fn watch(
    pool: PgPool,
    watch: &Watch,
    caller: Caller,
) -> Result<mpsc::Receiver<Told>, Error> {
    of(&caller)?;
    let all = List {
        narrowing: Narrowing::default(),
        whose: Listed::All,
    };
    let mut changes = watch.watch(caller.clone(), all, None).await?;
    let (tell, told) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut follower = Follower::default();
        while let Some(found) = changes.recv().await {
            let told = match found {
                Ok((found, _)) => follower.follow(&pool, &caller, found).await,
                Err(error) => Err(error),
            };
            let told = match told {
                Ok(None) => continue,
                Ok(Some(told)) => Ok(told),
                Err(error) => Err(error),
            };
            let ended = told.is_err();
            if tell.send(told).await.is_err() || ended {
                return;
            }
        }
    });
    Ok(told)
}

/// Who is told of their notifications: which of them there are. Most changes of an account's chats concern somebody else, and cost
/// nothing here.
#[derive(Default)]
struct Follower {
    /// None before the first word.
    there: Option<BTreeSet<ChatId>>,
}

impl Follower {
    /// Tells what changed chats mean for an agent's notifications; nothing where they do not concern them.
    async fn follow(
        &mut self,
        pool: &PgPool,
        caller: &Caller,
        changed: Vec<pb::ChatChange>,
    ) -> Result<Option<pb::WatchNotificationsResponse>, Error> {
        let whose = of(caller)?;
        let first = self.there.is_none();
        let mut connection = None;
        if first {
            let connection = connection.insert(pool.acquire().await?);
            let all = table::list(connection, &whose, false, None, MARKED).await?;
            self.there = Some(all.iter().map(|one| one.chat).collect());
        }
        let there = self.there.get_or_insert_default();
        let own = whose.agent.to_string();
        let concerns = |chat: &pb::Chat| {
            let responsible = &chat.responsible_agent_id;
            responsible.is_empty() || *responsible == own
        };
        let ids = changed.iter().filter_map(|change| {
            let chat = change.chat.as_ref()?;
            let id = chat.chat_id.parse().ok()?;
            (concerns(chat) || there.contains(&id)).then_some(id)
        });
        let ids: Vec<ChatId> = ids.collect();
        if ids.is_empty() && !first {
            return Ok(None);
        }
        let connection = match &mut connection {
            Some(connection) => connection,
            none => none.insert(pool.acquire().await?),
        };
        let known = table::of_chats(connection, &whose, &ids).await?;
        let mut gone = Vec::new();
        for id in &ids {
            if known.contains_key(id) {
                there.insert(*id);
            } else if there.remove(id) {
                gone.push(id.to_string());
            }
        }
        if known.is_empty() && gone.is_empty() && !first {
            return Ok(None);
        }
        let found: Vec<Notified> = known.values().copied().collect();
        Ok(Some(pb::WatchNotificationsResponse {
            gone_chat_ids: gone,
            changed: shown(connection, &whose, &found).await?,
            unread: Some(unread(connection, &whose).await?),
        }))
    }
}
