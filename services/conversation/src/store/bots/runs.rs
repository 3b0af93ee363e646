//! Tables `bot_run` and `bot_wait`: runs of bots. A chat's run is changed under the chat's lock.
//!
//! A run carries the scenario that it began with: it is written once, and dropped when the run ends. The run itself is forgotten
//! some time later.

use std::collections::BTreeMap;

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use sqlx::types::Json;
use switchboard_proto::conversation::v1 as pb;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{decoded, encoded, nps};
use crate::domain::bot::{self, RunState};
use crate::domain::{BotId, ChannelId, ChatId, ConversationId};
use crate::store::unreadable;

/// A run.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Id.
    pub id: Uuid,
    /// Its account.
    pub account: AccountSlug,
    /// The bot.
    pub bot: BotId,
    /// Its name when the run began.
    pub bot_name: String,
    /// It asks the question of NPS.
    pub nps: bool,
    /// The chat.
    pub chat: ChatId,
    /// The channel.
    pub channel: ChannelId,
    /// The conversation.
    pub conversation: ConversationId,
    /// The scenario that it began with.
    pub steps: Vec<pb::BotStep>,
    /// How it stands.
    pub state: RunState,
    /// Where it stands.
    pub at: bot::State,
    /// What the client answered, until it goes on with that.
    pub input: Option<String>,
    /// When it asked, or heard what it goes on with.
    pub since: Option<OffsetDateTime>,
    /// When it goes on by itself.
    pub due_at: Option<OffsetDateTime>,
    /// How often another service was asked in vain.
    pub tries: i32,
    /// Who started it.
    pub started_by: String,
    /// When it began.
    pub started_at: OffsetDateTime,
    /// When it ended.
    pub ended_at: Option<OffsetDateTime>,
    /// It is not stored yet.
    pub is_new: bool,
}

struct Row {
    id: Uuid,
    account: AccountSlug,
    bot: BotId,
    bot_name: String,
    nps: bool,
    chat: ChatId,
    channel: ChannelId,
    conversation: ConversationId,
    body: Vec<u8>,
    state: String,
    step: String,
    answers: Json<BTreeMap<String, String>>,
    questions: i32,
    input: Option<String>,
    since: Option<OffsetDateTime>,
    due_at: Option<OffsetDateTime>,
    tries: i32,
    started_by: String,
    started_at: OffsetDateTime,
    ended_at: Option<OffsetDateTime>,
}

impl TryFrom<Row> for Run {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.id,
            account: row.account,
            bot: row.bot,
            bot_name: row.bot_name,
            nps: row.nps,
            chat: row.chat,
            channel: row.channel,
            conversation: row.conversation,
            steps: decoded(&row.body)?,
            state: RunState::try_from(row.state.as_str())
                .map_err(|error| unreadable("bot_run.state", error))?,
            at: bot::State {
                step: row.step,
                answers: row.answers.0,
                questions: row.questions,
            },
            input: row.input,
            since: row.since,
            due_at: row.due_at,
            tries: row.tries,
            started_by: row.started_by,
            started_at: row.started_at,
            ended_at: row.ended_at,
            is_new: false,
        })
    }
}

/// Selects whole runs with a literal for the column of the scenario, and a literal tail of the statement.
macro_rules! select_runs {
    ($body:literal, $tail:literal $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            r#"select r.run_id as "id", r.account as "account: AccountSlug", r.bot_id as "bot: BotId", r.bot_name, r.nps,
                   r.chat_id as "chat: ChatId", r.channel_id as "channel: ChannelId",
                   r.conversation_id as "conversation: ConversationId", "# + $body + r#" as "body!", r.state, r.step,
                   r.answers as "answers: Json<BTreeMap<String, String>>", r.questions, r.input,
                   (select w.since from bot_wait w where w.run_id = r.run_id and w.account = r.account) as since,
                   r.due_at, r.tries, r.started_by, r.started_at, r.ended_at
               from bot_run r "# + $tail,
            $($argument),*
        )
    };
}

async fn rows(connection: &mut PgConnection, runs: &[Uuid]) -> Result<Vec<Row>, sqlx::Error> {
    if runs.is_empty() {
        return Ok(Vec::new());
    }
    select_runs!("r.body", "where r.run_id = any($1)", runs)
        .fetch_all(connection)
        .await
}

/// Returns runs.
pub async fn several(
    connection: &mut PgConnection,
    runs: &[Uuid],
) -> Result<BTreeMap<Uuid, Run>, sqlx::Error> {
    let rows = rows(connection, runs).await?.into_iter();
    rows.map(|row| Ok((row.id, Run::try_from(row)?))).collect()
}

/// Returns those of runs that can be read: one that cannot holds up no message. The rounds fail it at last.
pub async fn readable(
    connection: &mut PgConnection,
    runs: &[Uuid],
) -> Result<BTreeMap<Uuid, Run>, sqlx::Error> {
    let rows = rows(connection, runs).await?.into_iter();
    let read = rows.filter_map(|row| {
        let id = row.id;
        match Run::try_from(row) {
            Ok(run) => Some((id, run)),
            Err(error) => {
                tracing::error!(%error, run = %id, "a bot does not hear what is said to it");
                None
            }
        }
    });
    Ok(read.collect())
}

/// Names of runs' bots, with the bots' ids.
pub async fn names(
    connection: &mut PgConnection,
    runs: &[Uuid],
) -> Result<BTreeMap<Uuid, (BotId, String)>, sqlx::Error> {
    if runs.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows = sqlx::query!(
        r#"select run_id, bot_id as "bot: BotId", bot_name from bot_run where run_id = any($1)"#,
        runs,
    );
    let rows = rows.fetch_all(connection).await?.into_iter();
    Ok(rows
        .map(|row| (row.run_id, (row.bot, row.bot_name)))
        .collect())
}

/// Which runs are listed: those of a chat, or of the chats that are linked with a card or contact.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The chat.
    pub chat: Option<ChatId>,
    /// The card or contact, where no chat is named.
    pub entity: Option<Uuid>,
    /// Channels that the caller is narrowed to; none for all.
    pub granted: Option<Vec<Uuid>>,
    /// Only what is under way.
    pub running: bool,
}

/// Lists runs of an account before one, the newest first. Without their scenarios, which nobody is shown.
pub async fn list(
    connection: &mut PgConnection,
    account: &AccountSlug,
    listed: &Listed,
    (time, id): (OffsetDateTime, Uuid),
    limit: i64,
) -> Result<Vec<Run>, sqlx::Error> {
    let rows = if let Some(chat) = listed.chat {
        let rows = select_runs!(
            "''::bytea",
            "where r.account = $1 and r.chat_id = $2 and (r.started_at, r.run_id) < ($3, $4)
               and (not $5 or r.ended_at is null)
             order by r.started_at desc, r.run_id desc limit $6",
            account.as_str(),
            chat as ChatId,
            time,
            id,
            listed.running,
            limit,
        );
        rows.fetch_all(connection).await?
    } else {
        let rows = select_runs!(
            "''::bytea",
            "where r.account = $1
               and r.chat_id = any(array(select l.chat_id from entity_link l
                                         where l.account = $1 and l.entity_id = $2 and l.linked))
               and ($7::uuid[] is null or r.channel_id = any($7)) and (r.started_at, r.run_id) < ($3, $4)
               and (not $5 or r.ended_at is null)
             order by r.started_at desc, r.run_id desc limit $6",
            account.as_str(),
            listed.entity,
            time,
            id,
            listed.running,
            limit,
            listed.granted.as_deref(),
        );
        rows.fetch_all(connection).await?
    };
    rows.into_iter().map(Run::try_from).collect()
}

/// Tells whether a run waits whose time is over.
pub async fn any_late(
    connection: &mut PgConnection,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists(select from bot_run where ended_at is null and due_at <= $1 and state = 'waiting') as "late!""#,
        now,
    )
    .fetch_one(connection)
    .await
}

/// Returns the chats of runs that go on by now, the one that is due longest first: those that wait for an answer only where they
/// ran out of time by `late`, those that wait for another service not at all.
pub async fn due(
    connection: &mut PgConnection,
    now: OffsetDateTime,
    late: Option<OffsetDateTime>,
    limit: i64,
) -> Result<Vec<ChatId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select chat_id as "chat: ChatId" from bot_run
           where ended_at is null and due_at <= $1 and (state = 'ready' or state = 'waiting' and due_at <= $2)
           order by due_at limit $3"#,
        now,
        late,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// Returns the chats of runs for which another service is to be asked by now, the one that is due longest first.
pub async fn calling(
    connection: &mut PgConnection,
    now: OffsetDateTime,
    limit: i64,
) -> Result<Vec<ChatId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select chat_id as "chat: ChatId" from bot_run
           where ended_at is null and due_at <= $1 and state = 'calling' order by due_at limit $2"#,
        now,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// A run that was given up, as far as it can be read.
#[derive(Debug, Clone)]
pub struct GivenUp {
    /// Id.
    pub run: Uuid,
    /// The bot.
    pub bot: BotId,
    /// Its name when the run began.
    pub bot_name: String,
    /// The conversation.
    pub conversation: ConversationId,
}

/// Has the run of a locked chat, which cannot go on, tried again later; after so many tries it has failed, and is returned.
pub async fn put_off(
    connection: &mut PgConnection,
    chat: ChatId,
    most: i32,
    later: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<Option<GivenUp>, sqlx::Error> {
    sqlx::query_as!(
        GivenUp,
        r#"with run as (
               update bot_run r
               set tries = r.tries + 1, due_at = case when r.tries < $2 then $3::timestamptz end,
                   state = case when r.tries < $2 then r.state else 'failed' end,
                   ended_at = case when r.tries >= $2 then $4::timestamptz end,
                   body = case when r.tries < $2 then r.body else '' end
               from chat where chat.chat_id = $1 and r.run_id = chat.bot_run and r.ended_at is null
               returning r.run_id, r.bot_id, r.bot_name, r.conversation_id, r.ended_at)
           update chat set bot_run = null, bot_waits = ''
           from run where chat.chat_id = $1 and chat.bot_run = run.run_id and run.ended_at is not null
           returning run.run_id as "run!", run.bot_id as "bot!: BotId", run.bot_name as "bot_name!",
               run.conversation_id as "conversation!: ConversationId""#,
        chat as ChatId,
        most,
        later,
        now,
    )
    .fetch_optional(connection)
    .await
}

/// Writes new runs and changed ones, of locked chats.
pub async fn save(connection: &mut PgConnection, runs: &[Run]) -> Result<(), sqlx::Error> {
    let (new, changed): (Vec<&Run>, Vec<&Run>) = runs.iter().partition(|run| run.is_new);
    insert(connection, &new).await?;
    update(connection, &changed).await?;
    // However it ended: a client counts as asked whom the question was sent.
    let ended = changed
        .iter()
        .filter(|run| run.nps && run.ended_at.is_some());
    let ended: Vec<_> = ended.map(|run| (&run.account, run.conversation)).collect();
    nps::take_back(connection, &ended).await
}

async fn insert(connection: &mut PgConnection, runs: &[&Run]) -> Result<(), sqlx::Error> {
    if runs.is_empty() {
        return Ok(());
    }
    macro_rules! column {
        (|$run:ident| $value:expr) => {
            runs.iter().map(|$run| $value).collect::<Vec<_>>()
        };
    }
    sqlx::query!(
        "insert into bot_run (run_id, account, bot_id, bot_name, nps, chat_id, channel_id, conversation_id, body, state,
             due_at, started_by, started_at)
         select * from unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::boolean[], $6::uuid[], $7::uuid[],
             $8::uuid[], $9::bytea[], $10::text[], $11::timestamptz[], $12::text[], $13::timestamptz[])",
        &column!(|run| run.id),
        &column!(|run| run.account.to_string()),
        &column!(|run| run.bot) as &[BotId],
        &column!(|run| run.bot_name.clone()),
        &column!(|run| run.nps),
        &column!(|run| run.chat) as &[ChatId],
        &column!(|run| run.channel) as &[ChannelId],
        &column!(|run| run.conversation) as &[ConversationId],
        &column!(|run| encoded(&run.steps)),
        &column!(|run| run.state.as_str().to_owned()),
        &column!(|run| run.due_at) as &[Option<OffsetDateTime>],
        &column!(|run| run.started_by.clone()),
        &column!(|run| run.started_at),
    )
    .execute(connection)
    .await
    .map(drop)
}

async fn update(connection: &mut PgConnection, runs: &[&Run]) -> Result<(), sqlx::Error> {
    if runs.is_empty() {
        return Ok(());
    }
    macro_rules! column {
        (|$run:ident| $value:expr) => {
            runs.iter().map(|$run| $value).collect::<Vec<_>>()
        };
    }
    let answers = column!(|run| serde_json::json!(run.at.answers));
    sqlx::query!(
        "with changed as materialized (
             select * from unnest($1::uuid[], $2::text[], $3::text[], $4::jsonb[], $5::int[], $6::text[],
                 $7::timestamptz[], $8::int[], $9::timestamptz[], $10::text[], $11::timestamptz[])
                 as c (run_id, state, step, answers, questions, input, due_at, tries, ended_at, account, since)),
         waits as (
             insert into bot_wait (run_id, account, since)
             select run_id, account, since from changed where since is not null and ended_at is null order by run_id
             on conflict (run_id) do update set since = excluded.since),
         waits_no_more as (
             delete from bot_wait w using changed c
             where w.run_id = c.run_id and w.account = c.account and c.ended_at is not null)
         update bot_run r
         set state = c.state, step = c.step, answers = c.answers, questions = c.questions, input = c.input,
             due_at = c.due_at, tries = c.tries, ended_at = c.ended_at,
             body = case when c.ended_at is null then r.body else '' end
         from changed c where r.run_id = c.run_id and r.account = c.account",
        &column!(|run| run.id),
        &column!(|run| run.state.as_str().to_owned()),
        &column!(|run| run.at.step.clone()),
        &answers,
        &column!(|run| run.at.questions),
        &column!(|run| run.input.clone()) as &[Option<String>],
        &column!(|run| run.due_at) as &[Option<OffsetDateTime>],
        &column!(|run| run.tries),
        &column!(|run| run.ended_at) as &[Option<OffsetDateTime>],
        &column!(|run| run.account.to_string()),
        &column!(|run| run.since) as &[Option<OffsetDateTime>],
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Runs that one statement forgets, so that no sweep holds locks for long.
const SWEPT_AT_ONCE: i64 = 5_000;

/// Forgets some of the runs that ended before `before`; tells how many, and whether there may be more.
pub async fn sweep(
    connection: &mut PgConnection,
    before: OffsetDateTime,
) -> Result<(u64, bool), sqlx::Error> {
    let swept = sqlx::query!(
        "delete from bot_run where ctid = any(array(
             select ctid from bot_run where ended_at < $1 order by ended_at limit $2))",
        before,
        SWEPT_AT_ONCE,
    )
    .execute(connection)
    .await?
    .rows_affected();
    Ok((swept, swept >= SWEPT_AT_ONCE.cast_unsigned()))
}
