//! Table `talk`: whether what clients wrote in chats was read (F208).

use std::collections::BTreeMap;

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::ids::{ChannelId, ChatId};

/// What is said of a chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Talk {
    /// The account.
    pub account: AccountSlug,
    /// The chat.
    pub chat: ChatId,
    /// Its channel.
    pub channel: ChannelId,
    /// Number of the conversation, and how often its mark had changed; -1 at its opening.
    pub order: (i64, i64),
    /// Something is unread.
    pub unread: bool,
}

/// Keeps the newest word of each chat.
pub async fn keep(connection: &mut PgConnection, talks: &[Talk]) -> Result<(), sqlx::Error> {
    let mut newest = BTreeMap::<(&AccountSlug, ChatId), &Talk>::new();
    for talk in talks {
        let kept = newest.entry((&talk.account, talk.chat)).or_insert(talk);
        if kept.order < talk.order {
            *kept = talk;
        }
    }
    if newest.is_empty() {
        return Ok(());
    }
    macro_rules! column {
        (|$talk:ident| $value:expr) => {
            newest.values().map(|$talk| $value).collect::<Vec<_>>()
        };
    }
    sqlx::query!(
        "insert into talk as kept (account, chat, channel, number, version, unread)
         select * from unnest($1::text[], $2::uuid[], $3::uuid[], $4::bigint[], $5::bigint[], $6::bool[])
         on conflict (account, chat) do update
         set number = excluded.number, version = excluded.version, unread = excluded.unread
         where (kept.number, kept.version) < (excluded.number, excluded.version)",
        &column!(|talk| talk.account.to_string()),
        &column!(|talk| talk.chat.uuid()),
        &column!(|talk| talk.channel.uuid()),
        &column!(|talk| talk.order.0),
        &column!(|talk| talk.order.1),
        &column!(|talk| talk.unread),
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Unread chats up to which a list starts from them; with more of them its own order meets them soon.
pub const FEW: i64 = 1_000;

/// Tells whether few chats of an account are unread.
pub async fn few_unread(
    connection: &mut PgConnection,
    account: &AccountSlug,
) -> Result<bool, sqlx::Error> {
    let some: i64 = sqlx::query_scalar!(
        r#"select count(*) as "count!" from
               (select from talk where account = $1 and unread limit $2) unread"#,
        account.as_str(),
        FEW + 1,
    )
    .fetch_one(connection)
    .await?;
    Ok(some <= FEW)
}

/// Which cards a list holds by whether their talks were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Talks {
    /// Those where something is unread; else those with chats where nothing is.
    pub unread: bool,
    /// Few chats are unread: where cards with unread ones are wanted, they are found by them.
    pub few: bool,
    /// The channels whose chats count; all where none.
    pub channels: Option<Vec<Uuid>>,
}
