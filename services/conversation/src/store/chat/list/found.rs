//! Chats of a list that have words (F075).
//!
//! The index of words knows no order. So words that nearly all have are looked for in the newest chats; rare words bring their
//! chats, which are put in order; and of the common ones between them the list is looked through, chat by chat, until the page is
//! full.

use chassis::id::AccountSlug;
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use super::{END, Narrowing, Position, Row, Whose};
use crate::domain::{AgentId, ChannelId, ChatId, ClientId, ConversationId, MessageId};
use crate::store::{assignment, by_bitmaps};

/// Chats that are looked at before the index of words is: it gathers all chats with a beginning that nearly all have, however many.
const NEWEST: i64 = 300;

/// Words that are in more chats are common.
const RARE: i64 = 5_000;

/// Lists the chats with words among the newest ones after a place, of which there are [`NEWEST`]; there may be more of them later on.
pub(super) async fn among_newest(
    connection: &mut PgConnection,
    account: &AccountSlug,
    narrowing: &Narrowing,
    whose: Whose,
    after: Option<Position>,
    limit: i64,
) -> Result<Vec<Row>, sqlx::Error> {
    let of = match whose {
        Whose::All | Whose::Nobodys => None,
        Whose::Of(agent) => Some(agent),
        // They are few: nothing is won.
        Whose::WorkedBy(_) => return Ok(Vec::new()),
    };
    list_chats_of!(
        "where chat_id = any(array(
             select chat_id
             from (select * from chat where account = $1 and (last_client_message_at, chat_id) < ($2, $3)
                   order by last_client_message_at desc, chat_id desc limit $12) chat",
        "last_client_message_at",
        "chat_id",
        ")) order by last_client_message_at desc, chat_id desc",
        "and (not $13::bool or responsible is null) and ($14::uuid is null or responsible = $14)",
        account,
        narrowing,
        after,
        limit,
        NEWEST,
        whose == Whose::Nobodys,
        of as Option<AgentId>
    )
    .fetch_all(connection)
    .await
}

/// Lists chats with rare words, as `list` does; none where the words are common.
pub(super) async fn list(
    connection: &mut PgConnection,
    account: &AccountSlug,
    (narrowing, words): (&Narrowing, &str),
    whose: Whose,
    after: Option<Position>,
    limit: i64,
) -> Result<Option<Vec<Row>>, sqlx::Error> {
    let mut tx = connection.begin().await?;
    by_bitmaps(&mut tx).await?;
    let found = sqlx::query_scalar!(
        r#"select chat_id as "chat: ChatId" from chat_words where (own || crm) @@ $1::text::tsquery limit $2::bigint + 1"#,
        words,
        RARE,
    )
    .fetch_all(&mut *tx)
    .await?;
    if i64::try_from(found.len()).unwrap_or(i64::MAX) > RARE {
        return Ok(None);
    }
    let (agent, joined) = match whose {
        Whose::All | Whose::Nobodys => (None, None),
        Whose::Of(agent) => (Some(agent), None),
        Whose::WorkedBy(agent) => {
            let joined = assignment::joined(&mut tx, account, agent).await?;
            (Some(agent), Some(joined))
        }
    };
    let rest = Narrowing {
        words: None,
        ..narrowing.clone()
    };
    let rows = list_chats!(
        "and chat_id = any($12)
         and (not $13::bool or responsible is null)
         and ($14::uuid is null or responsible = $14 and ($15::uuid[] is null or state = 'active')
              or responsible <> $14 and chat_id = any($15))",
        account,
        rest,
        after,
        limit,
        &found as &[ChatId],
        whose == Whose::Nobodys,
        agent as Option<AgentId>,
        joined.as_deref() as Option<&[ChatId]>
    );
    let rows = rows.fetch_all(&mut *tx).await?;
    tx.commit().await?;
    Ok(Some(rows))
}
