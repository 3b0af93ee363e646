//! Words of messages: kept, and searched.

use std::collections::BTreeMap;

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::search::messages::FOUND_MAX;
use crate::domain::{ChannelId, ChatId, MessageId};

/// Words of a message.
#[derive(Debug, Clone)]
pub struct Words {
    /// The message.
    pub message: MessageId,
    /// Whose it is.
    pub account: AccountSlug,
    /// Its chat.
    pub chat: ChatId,
    /// Its channel.
    pub channel: ChannelId,
    /// Its kind, as it is stored.
    pub kind: &'static str,
    /// When it was sent.
    pub time: OffsetDateTime,
    /// The bucket in which it is found.
    pub bucket: i64,
    /// Its words, a `tsvector`.
    pub vector: String,
}

/// Keeps words, sorted by message, in place of those that were kept.
pub async fn keep(connection: &mut PgConnection, words: &[Words]) -> Result<(), sqlx::Error> {
    macro_rules! column {
        (|$words:ident| $value:expr) => {
            words.iter().map(|$words| $value).collect::<Vec<_>>()
        };
    }
    if words.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "insert into message_words as kept (message_id, account, chat_id, channel_id, kind, time, words)
         select message_id, account, chat_id, channel_id, kind, time, words::tsvector
         from unnest($1::uuid[], $2::text[], $3::uuid[], $4::uuid[], $5::text[], $6::timestamptz[], $7::text[])
             as new (message_id, account, chat_id, channel_id, kind, time, words)
         on conflict (message_id) do update set time = excluded.time, words = excluded.words
         where (kept.time, kept.words) <> (excluded.time, excluded.words)",
        &column!(|words| words.message) as &[MessageId],
        &column!(|words| words.account.to_string()),
        &column!(|words| words.chat) as &[ChatId],
        &column!(|words| words.channel) as &[ChannelId],
        &column!(|words| words.kind.to_owned()),
        &column!(|words| words.time),
        &column!(|words| words.vector.clone()),
    )
    .execute(&mut *connection)
    .await?;
    let mut begins = BTreeMap::<&AccountSlug, i64>::new();
    for one in words {
        let begin = begins.entry(&one.account).or_insert(one.bucket);
        *begin = one.bucket.min(*begin);
    }
    let accounts: Vec<String> = begins.keys().map(ToString::to_string).collect();
    let buckets: Vec<i64> = begins.into_values().collect();
    sqlx::query!(
        "insert into message_words_begin as kept (account, bucket) select * from unnest($1::text[], $2::bigint[])
         on conflict (account) do update set bucket = excluded.bucket where excluded.bucket < kept.bucket",
        &accounts,
        &buckets,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Forgets the words of messages.
pub async fn forget(
    connection: &mut PgConnection,
    messages: &[MessageId],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "delete from message_words where message_id = any($1)",
        messages as &[MessageId],
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Returns the oldest bucket of an account; none where nothing can be found.
pub async fn begin(
    connection: &mut PgConnection,
    account: &AccountSlug,
) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar!(
        "select bucket from message_words_begin where account = $1",
        account.as_str(),
    )
    .fetch_optional(connection)
    .await
}

/// What is searched for. None means all.
#[derive(Debug, Clone, Default)]
pub struct Sought {
    /// `tsquery`s over buckets, the newest first: what is looked up in the index, and by what rows are looked at and compared.
    pub queries: (Vec<String>, Vec<String>),
    /// Channels.
    pub channels: Option<Vec<ChannelId>>,
    /// A chat.
    pub chat: Option<ChatId>,
    /// Kinds.
    pub kinds: Option<Vec<String>>,
    /// From this time on.
    pub since: Option<OffsetDateTime>,
    /// Before this time.
    pub until: Option<OffsetDateTime>,
}

/// Where a message stands among those that were found: how well it answers, its time, its id.
pub type Place = (i64, OffsetDateTime, Uuid);

/// A message that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hit {
    /// The message.
    pub message: MessageId,
    /// Where it stands.
    pub place: Place,
    /// There were more to be compared than are.
    pub cut: bool,
}

/// Finds messages after a place, of the newest ones that have the words: those first that answer best and are newest at `now`. Of
/// buckets no more are looked through than it takes. In a transaction that goes by indexes.
pub async fn find(
    connection: &mut PgConnection,
    account: &AccountSlug,
    sought: &Sought,
    (after, now): (Option<Place>, OffsetDateTime),
    limit: i64,
) -> Result<Vec<Hit>, sqlx::Error> {
    let (score, time, id) = after.map_or((None, None, None), |(score, time, id)| {
        (Some(score), Some(time), Some(id))
    });
    // The words are a query of their own, which nothing around it can lead to another index.
    let rows = sqlx::query!(
        r#"with matched as materialized (
               select hit.message_id, hit.time,
                   (1e9::float8 * ts_rank(hit.words, part.words, 1)
                       / (1 + greatest(extract(epoch from $4::timestamptz - hit.time)::float8, 0) / 2592000))::bigint as score
               from unnest($2::text[]::tsquery[], $3::text[]::tsquery[]) as part (query, words)
               cross join lateral (
                   select found.message_id, found.time, found.words
                   from (select * from message_words where words @@ part.query offset 0) as found
                   where found.account = $1 and found.words @@ part.words
                     and ($5::uuid[] is null or found.channel_id = any($5))
                     and ($6::uuid is null or found.chat_id = $6)
                     and ($7::text[] is null or found.kind = any($7))
                     and ($8::timestamptz is null or found.time >= $8)
                     and ($9::timestamptz is null or found.time < $9)
                   order by found.time desc limit $10::bigint + 1) as hit
               limit $10::bigint + 1)
           select message_id as "message: MessageId", time, score as "score!", (select count(*) > $10::bigint from matched) as "cut!"
           from (select * from matched order by time desc limit $10::bigint) as newest
           where $11::bigint is null or (score, time, message_id) < ($11, $12::timestamptz, $13::uuid)
           order by score desc, time desc, message_id desc limit $14"#,
        account.as_str(),
        &sought.queries.0,
        &sought.queries.1,
        now,
        sought.channels.as_deref() as Option<&[ChannelId]>,
        sought.chat as Option<ChatId>,
        sought.kinds.as_deref(),
        sought.since,
        sought.until,
        FOUND_MAX,
        score,
        time,
        id,
        limit,
    )
    .fetch_all(connection)
    .await?;
    let hits = rows.into_iter().map(|row| Hit {
        message: row.message,
        place: (row.score, row.time, row.message.uuid()),
        cut: row.cut,
    });
    Ok(hits.collect())
}
