//! Which chats changed, in the order of the transactions that changed them.
//!
//! Transactions end in another order than they begin in, so that a plain counter would show a change and later one before it.
//! A transaction below the *horizon*, the oldest one that is still under way, has ended for certain: changes are read up to
//! there, and what comes later lies behind it. A long transaction that writes anywhere in the database server holds the horizon.

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Row;
use crate::domain::chat::Chat;
use crate::domain::{AgentId, ChannelId, ChatId, ClientId, ConversationId, MessageId};

/// A place in the order of changes: what was changed by an earlier transaction, or by this one in a chat up to this one, is
/// known.
pub type Cursor = (i64, ChatId);

/// The changes of an account after a place.
#[derive(Debug, Clone)]
pub struct Changes {
    /// The chats as they are now, in the order of their changes, each with the place of its change.
    pub chats: Vec<(Chat, Cursor)>,
    /// The place after them.
    pub to: Cursor,
    /// There are more than were asked for.
    pub more: bool,
}

/// Returns the place at which changes begin that are not committed yet.
pub async fn now(connection: &mut PgConnection) -> Result<Cursor, sqlx::Error> {
    Ok((horizon(connection).await? - 1, Uuid::max().into()))
}

async fn horizon(connection: &mut PgConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select pg_snapshot_xmin(pg_current_snapshot())::text::bigint as "horizon!""#
    )
    .fetch_one(connection)
    .await
}

/// Returns the changes after a place, at most `limit` of them. A chat that changed several times comes once, as it is.
///
/// None for a place that lies in the future: the database is another one than the place was told of.
pub async fn after(
    connection: &mut PgConnection,
    account: &AccountSlug,
    after: Cursor,
    limit: i64,
) -> Result<Option<Changes>, sqlx::Error> {
    let horizon = horizon(&mut *connection).await?;
    if after.0 >= horizon {
        // Two connections of one moment may see horizons in either order; nothing more can be said than before.
        let later: bool = sqlx::query_scalar!(
            r#"select $1::bigint::text::xid8 >= pg_snapshot_xmax(pg_current_snapshot()) as "later!""#,
            after.0
        )
        .fetch_one(connection)
        .await?;
        return Ok((!later).then_some(Changes {
            chats: Vec::new(),
            to: after,
            more: false,
        }));
    }
    // A later snapshot than the horizon's: all that lies below it is there.
    let rows = select_chats!(
        "where account = $1 and (changed, chat_id) > ($2::bigint::text::xid8, $3::uuid)
           and changed < $4::bigint::text::xid8
         order by changed, chat_id limit $5",
        account.as_str(),
        after.0,
        after.1 as ChatId,
        horizon,
        limit + 1,
    )
    .fetch_all(connection)
    .await?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = rows.len() > limit;
    let mut places: Vec<Cursor> = rows.iter().map(|row| (row.changed, row.id)).collect();
    places.truncate(limit);
    let last = places.last().copied().filter(|_| more);
    Ok(Some(Changes {
        chats: super::chats(rows)?.into_iter().zip(places).collect(),
        to: last.unwrap_or_else(|| (horizon - 1, Uuid::max().into())),
        more,
    }))
}
