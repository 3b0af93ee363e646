//! Chats: inserted when a client first writes, locked, changed in memory, saved whole.

use std::collections::{BTreeMap, BTreeSet};

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{chat_words, labels, unreadable};
use crate::domain::chat::{Chat, Episode, Snooze};
use crate::domain::preview::Preview;
use crate::domain::words::{BotWaits, ChannelKind, ChatState, MessageKind};
use crate::domain::{AgentId, ChannelId, ChatId, ClientId, ConversationId, MessageId};

/// A chat to be made, where it does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewChat {
    /// Whose it is.
    pub account: AccountSlug,
    /// Channel.
    pub channel: ChannelId,
    /// Kind of the channel.
    pub channel_kind: ChannelKind,
    /// The provider's key of the chat.
    pub chat_key: String,
    /// Client.
    pub client: ClientId,
    /// Time of the client's first message.
    pub first_message_at: OffsetDateTime,
}

/// Inserts chats that do not exist, without a conversation, and returns which those are.
pub async fn insert(
    connection: &mut PgConnection,
    chats: &BTreeMap<ChatId, NewChat>,
    now: OffsetDateTime,
) -> Result<BTreeSet<ChatId>, sqlx::Error> {
    let ids: Vec<ChatId> = chats.keys().copied().collect();
    let accounts: Vec<String> = chats
        .values()
        .map(|chat| chat.account.to_string())
        .collect();
    let channels: Vec<ChannelId> = chats.values().map(|chat| chat.channel).collect();
    let kinds: Vec<String> = chats
        .values()
        .map(|chat| chat.channel_kind.as_str().to_owned())
        .collect();
    let keys: Vec<String> = chats.values().map(|chat| chat.chat_key.clone()).collect();
    let clients: Vec<ClientId> = chats.values().map(|chat| chat.client).collect();
    let times: Vec<OffsetDateTime> = chats.values().map(|chat| chat.first_message_at).collect();
    let inserted = sqlx::query_scalar!(
        r#"insert into chat (chat_id, account, channel_id, channel_kind, chat_key, client_id,
               last_client_message_at, state, created_at)
           select *, 'inactive', $8
           from unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::text[], $6::uuid[], $7::timestamptz[])
           on conflict do nothing
           returning chat_id as "id: ChatId""#,
        &ids as &[ChatId],
        &accounts,
        &channels as &[ChannelId],
        &kinds,
        &keys,
        &clients as &[ClientId],
        &times,
        now,
    )
    .fetch_all(&mut *connection)
    .await?;
    chat_words::renew(connection, &inserted).await?;
    Ok(inserted.into_iter().collect())
}

#[expect(
    clippy::struct_excessive_bools,
    reason = "as many columns as there are"
)]
struct Row {
    id: ChatId,
    account: AccountSlug,
    channel: ChannelId,
    channel_kind: String,
    chat_key: String,
    client: ClientId,
    state: String,
    spam: bool,
    responsible: Option<AgentId>,
    assignment_number: i64,
    conversation: Option<ConversationId>,
    number: i64,
    revision: i64,
    opened_at: Option<OffsetDateTime>,
    closed_at: Option<OffsetDateTime>,
    opener: Option<AgentId>,
    start_payload: String,
    sequence: i64,
    out_seq: i64,
    unanswered: i32,
    answered_sequence: i64,
    waiting: bool,
    waiting_since: Option<OffsetDateTime>,
    answered_number: i64,
    last_client_sequence: i64,
    commented: bool,
    unread: bool,
    read_version: i64,
    name: String,
    image: Option<Uuid>,
    labels: Vec<String>,
    bot_run: Option<Uuid>,
    bot_waits: String,
    snoozed: bool,
    wake_at: Option<OffsetDateTime>,
    last_client_message_at: OffsetDateTime,
    preview_message: Option<MessageId>,
    preview_kind: String,
    preview_text: String,
    preview_time: Option<OffsetDateTime>,
    created_at: OffsetDateTime,
    changed: i64,
}

impl TryFrom<Row> for Chat {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        let episode = match (row.conversation, row.opened_at) {
            (Some(id), Some(opened_at)) => Some(Episode {
                id,
                number: row.number,
                revision: row.revision,
                opened_at,
                closed_at: row.closed_at,
                opener: row.opener,
                start_payload: row.start_payload,
            }),
            _ => None,
        };
        let preview = match (row.preview_message, row.preview_time) {
            (Some(message), Some(time)) => Some(Preview {
                message,
                kind: MessageKind::try_from(row.preview_kind.as_str())
                    .map_err(|error| unreadable("chat.preview_kind", error))?,
                text: row.preview_text,
                time,
            }),
            _ => None,
        };
        Ok(Self {
            id: row.id,
            account: row.account,
            channel: row.channel,
            channel_kind: ChannelKind::try_from(row.channel_kind.as_str())
                .map_err(|error| unreadable("chat.channel_kind", error))?,
            chat_key: row.chat_key,
            client: row.client,
            state: ChatState::try_from(row.state.as_str())
                .map_err(|error| unreadable("chat.state", error))?,
            spam: row.spam,
            responsible: row.responsible,
            assignment_number: row.assignment_number,
            episode,
            sequence: row.sequence,
            out_seq: row.out_seq,
            unanswered: row.unanswered,
            answered_sequence: row.answered_sequence,
            waiting: row.waiting,
            // What an earlier version, which does not know it, left of an earlier wait.
            waiting_since: row.waiting_since.filter(|_| row.waiting),
            answered_number: row.answered_number,
            last_client_sequence: row.last_client_sequence,
            commented: row.commented,
            unread: row.unread,
            read_version: row.read_version,
            name: row.name,
            image: row.image,
            labels: row.labels,
            bot: match row.bot_run {
                Some(run) => Some((
                    run,
                    BotWaits::try_from(row.bot_waits.as_str())
                        .map_err(|error| unreadable("chat.bot_waits", error))?,
                )),
                None => None,
            },
            snooze: row.snoozed.then_some(Snooze { until: row.wake_at }),
            last_client_message_at: row.last_client_message_at,
            preview,
            created_at: row.created_at,
        })
    }
}

/// Selects whole chats with a literal tail of the statement.
macro_rules! select_chats {
    ($($tail:literal)+ $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            r#"select chat_id as "id: ChatId", account as "account: AccountSlug", channel_id as "channel: ChannelId",
                   channel_kind, chat_key, client_id as "client: ClientId", state, spam,
                   responsible as "responsible: AgentId", assignment_number,
                   conversation_id as "conversation: ConversationId", number, revision, opened_at, closed_at,
                   opener_agent as "opener: AgentId", start_payload, sequence, out_seq, unanswered,
                   answered_sequence, waiting, waiting_since, answered_number, last_client_sequence, commented, unread,
                   read_version, name, image, labels, bot_run, bot_waits, snoozed, wake_at, last_client_message_at,
                   preview_message_id as "preview_message: MessageId",
                   preview_kind, preview_text, preview_time, created_at, changed::text::bigint as "changed!"
               from chat "# $(+ $tail)+,
            $($argument),*
        )
    };
}

// After the macro, which they use.
pub mod changes;
pub mod images;
mod list;
pub use changes::{Changes, Cursor};
pub use list::{Narrowing, Position, Whose, list};

fn chats(rows: Vec<Row>) -> Result<Vec<Chat>, sqlx::Error> {
    rows.into_iter().map(Chat::try_from).collect()
}

/// Locks chats, sorted, and returns those that exist.
pub async fn lock(
    connection: &mut PgConnection,
    ids: &[ChatId],
) -> Result<BTreeMap<ChatId, Chat>, sqlx::Error> {
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows = select_chats!(
        "where chat_id = any($1) order by chat_id for no key update",
        ids as &[ChatId],
    )
    .fetch_all(connection)
    .await?;
    Ok(chats(rows)?
        .into_iter()
        .map(|chat| (chat.id, chat))
        .collect())
}

/// Locks snoozed chats whose time has come, the one that waits longest first; those in other hands are left to them.
pub async fn asleep(
    connection: &mut PgConnection,
    now: OffsetDateTime,
    limit: i64,
) -> Result<Vec<Chat>, sqlx::Error> {
    let rows = select_chats!(
        "where snoozed and wake_at is not null and wake_at <= $1 order by wake_at limit $2
         for no key update skip locked",
        now,
        limit,
    )
    .fetch_all(connection)
    .await?;
    chats(rows)
}

/// Returns one chat of an account.
pub async fn get(
    connection: &mut PgConnection,
    account: &AccountSlug,
    id: ChatId,
) -> Result<Option<Chat>, sqlx::Error> {
    select_chats!(
        "where chat_id = $1 and account = $2",
        id as ChatId,
        account.as_str()
    )
    .fetch_optional(connection)
    .await?
    .map(Chat::try_from)
    .transpose()
}

/// Returns those of the named chats of an account, in the channels where those are granted, that come after a position: the one
/// with the newest message first (F155).
pub async fn named(
    connection: &mut PgConnection,
    account: &AccountSlug,
    (ids, granted): (&[ChatId], Option<Vec<Uuid>>),
    after: Option<Position>,
    limit: i64,
) -> Result<Vec<Chat>, sqlx::Error> {
    let (time, id) = after.unzip();
    let rows = select_chats!(
        "where account = $1 and chat_id = any($2) and ($3::uuid[] is null or channel_id = any($3))
           and ($4::timestamptz is null or (coalesce(preview_time, created_at), chat_id) < ($4, $5::uuid))
         order by coalesce(preview_time, created_at) desc, chat_id desc limit $6",
        account.as_str(),
        ids as &[ChatId],
        granted.as_deref(),
        time,
        id as Option<ChatId>,
        limit,
    )
    .fetch_all(connection)
    .await?;
    chats(rows)
}

/// Saves locked chats.
pub async fn save<'c>(
    connection: &mut PgConnection,
    changed: impl Iterator<Item = &'c Chat> + Clone,
) -> Result<(), sqlx::Error> {
    macro_rules! column {
        (|$chat:ident| $value:expr) => {
            changed.clone().map(|$chat| $value).collect::<Vec<_>>()
        };
    }
    let ids = column!(|chat| chat.id);
    if ids.is_empty() {
        return Ok(());
    }
    let episode = |chat: &'c Chat| chat.episode.as_ref();
    let preview = |chat: &'c Chat| chat.preview.as_ref();
    sqlx::query!(
        "update chat set state = new.state, responsible = new.responsible,
             assignment_number = new.assignment_number, conversation_id = new.conversation_id,
             number = new.number, revision = new.revision, opened_at = new.opened_at, closed_at = new.closed_at,
             opener_agent = new.opener_agent, start_payload = new.start_payload, sequence = new.sequence,
             out_seq = new.out_seq, unanswered = new.unanswered, answered_sequence = new.answered_sequence,
             last_client_message_at = new.last_client_message_at, preview_message_id = new.preview_message_id,
             preview_kind = new.preview_kind, preview_text = new.preview_text, preview_time = new.preview_time,
             waiting = new.waiting, unread = new.unread, read_version = new.read_version, spam = new.spam,
             name = new.name, image = new.image, waiting_since = new.waiting_since,
             answered_number = new.answered_number, last_client_sequence = new.last_client_sequence,
             snoozed = new.snoozed, wake_at = new.wake_at, bot_run = new.bot_run, bot_waits = new.bot_waits,
             commented = new.commented,
             changed = pg_current_xact_id()
         from unnest($1::uuid[], $2::text[], $3::uuid[], $4::bigint[], $5::uuid[], $6::bigint[], $7::bigint[],
                 $8::timestamptz[], $9::timestamptz[], $10::uuid[], $11::text[], $12::bigint[], $13::bigint[],
                 $14::int[], $15::bigint[], $16::timestamptz[], $17::uuid[], $18::text[], $19::text[],
                 $20::timestamptz[], $21::boolean[], $22::boolean[], $23::bigint[], $24::boolean[], $25::text[],
                 $26::uuid[], $27::timestamptz[], $28::bigint[], $29::bigint[], $30::boolean[], $31::timestamptz[],
                 $32::uuid[], $33::text[], $34::boolean[])
             as new (chat_id, state, responsible, assignment_number, conversation_id, number, revision, opened_at,
                 closed_at, opener_agent, start_payload, sequence, out_seq, unanswered, answered_sequence,
                 last_client_message_at, preview_message_id, preview_kind, preview_text, preview_time, waiting, unread,
                 read_version, spam, name, image, waiting_since, answered_number, last_client_sequence, snoozed, wake_at,
                 bot_run, bot_waits, commented)
         where chat.chat_id = new.chat_id",
        &ids as &[ChatId],
        &column!(|chat| chat.state.as_str().to_owned()),
        &column!(|chat| chat.responsible) as &[Option<AgentId>],
        &column!(|chat| chat.assignment_number),
        &column!(|chat| episode(chat).map(|episode| episode.id)) as &[Option<ConversationId>],
        &column!(|chat| episode(chat).map_or(0, |episode| episode.number)),
        &column!(|chat| episode(chat).map_or(0, |episode| episode.revision)),
        &column!(|chat| episode(chat).map(|episode| episode.opened_at)) as &[Option<OffsetDateTime>],
        &column!(|chat| episode(chat).and_then(|episode| episode.closed_at)) as &[Option<OffsetDateTime>],
        &column!(|chat| episode(chat).and_then(|episode| episode.opener)) as &[Option<AgentId>],
        &column!(|chat| episode(chat).map_or_else(String::new, |e| e.start_payload.clone())),
        &column!(|chat| chat.sequence),
        &column!(|chat| chat.out_seq),
        &column!(|chat| chat.unanswered),
        &column!(|chat| chat.answered_sequence),
        &column!(|chat| chat.last_client_message_at),
        &column!(|chat| preview(chat).map(|preview| preview.message)) as &[Option<MessageId>],
        &column!(|chat| preview(chat).map_or(MessageKind::Client, |p| p.kind).as_str().to_owned()),
        &column!(|chat| preview(chat).map_or_else(String::new, |p| p.text.clone())),
        &column!(|chat| preview(chat).map(|preview| preview.time)) as &[Option<OffsetDateTime>],
        &column!(|chat| chat.waiting),
        &column!(|chat| chat.unread),
        &column!(|chat| chat.read_version),
        &column!(|chat| chat.spam),
        &column!(|chat| chat.name.clone()),
        &column!(|chat| chat.image) as &[Option<Uuid>],
        &column!(|chat| chat.waiting_since) as &[Option<OffsetDateTime>],
        &column!(|chat| chat.answered_number),
        &column!(|chat| chat.last_client_sequence),
        &column!(|chat| chat.snooze.is_some()),
        &column!(|chat| chat.snooze.and_then(|snooze| snooze.until)) as &[Option<OffsetDateTime>],
        &column!(|chat| chat.bot.map(|(run, _)| run)) as &[Option<Uuid>],
        &column!(|chat| chat.bot.map_or(BotWaits::Nothing, |bot| bot.1).as_str().to_owned()),
        &column!(|chat| chat.commented),
    )
    .execute(&mut *connection)
    .await?;
    labels::keep_times(connection, changed).await
}
