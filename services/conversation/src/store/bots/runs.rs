//! Table `bot_run`: runs of bots. A chat's run is changed under the chat's lock.

use std::collections::BTreeMap;

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use sqlx::types::Json;
use switchboard_proto::conversation::v1 as pb;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Bot, decoded, encoded};
use crate::domain::bot::{self, RunState, Trigger};
use crate::domain::chat::Chat;
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
            due_at: row.due_at,
            tries: row.tries,
            started_by: row.started_by,
            started_at: row.started_at,
            ended_at: row.ended_at,
        })
    }
}

macro_rules! select_runs {
    ($tail:literal $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            r#"select run_id as "id", account as "account: AccountSlug", bot_id as "bot: BotId", bot_name, nps,
                   chat_id as "chat: ChatId", channel_id as "channel: ChannelId",
                   conversation_id as "conversation: ConversationId", body, state, step,
                   answers as "answers: Json<BTreeMap<String, String>>", questions, input, due_at, tries, started_by,
                   started_at, ended_at
               from bot_run "# + $tail,
            $($argument),*
        )
    };
}

/// Returns runs.
pub async fn several(
    connection: &mut PgConnection,
    runs: &[Uuid],
) -> Result<BTreeMap<Uuid, Run>, sqlx::Error> {
    if runs.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows = select_runs!("where run_id = any($1)", runs);
    let rows = rows.fetch_all(connection).await?.into_iter();
    rows.map(|row| Ok((row.id, Run::try_from(row)?))).collect()
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

/// Lists the runs of a chat before one, the newest first.
pub async fn list(
    connection: &mut PgConnection,
    chat: ChatId,
    (time, id): (OffsetDateTime, Uuid),
    limit: i64,
) -> Result<Vec<Run>, sqlx::Error> {
    let rows = select_runs!(
        "where chat_id = $1 and (started_at, run_id) < ($2, $3) order by started_at desc, run_id desc limit $4",
        chat as ChatId,
        time,
        id,
        limit,
    );
    let rows = rows.fetch_all(connection).await?.into_iter();
    rows.map(Run::try_from).collect()
}

/// Tells whether a bot of NPS ran in a conversation.
pub async fn was_sent(
    connection: &mut PgConnection,
    chat: &Chat,
    conversation: ConversationId,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists(select from bot_run where chat_id = $1 and conversation_id = $2 and nps) as "sent!""#,
        chat.id as ChatId,
        conversation as ConversationId,
    )
    .fetch_one(connection)
    .await
}

/// Tells whether a conversation's client was asked of NPS, or is not to be.
pub async fn is_settled(
    connection: &mut PgConnection,
    chat: &Chat,
    conversation: ConversationId,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists(select from bot_run where chat_id = $1 and conversation_id = $2 and nps)
               or exists(select from nps_answer where account = $3 and conversation_id = $2 and skipped = 'answered-before')
               as "settled!""#,
        chat.id as ChatId,
        conversation as ConversationId,
        chat.account.as_str(),
    )
    .fetch_one(connection)
    .await
}

/// Returns the chats of runs that go on by now, the one that is due longest first.
pub async fn due(
    connection: &mut PgConnection,
    now: OffsetDateTime,
    limit: i64,
) -> Result<Vec<ChatId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select chat_id as "chat: ChatId" from bot_run where ended_at is null and due_at <= $1
           order by due_at limit $2"#,
        now,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// Has the run of a locked chat, which cannot go on, tried again later; after so many tries it has failed.
pub async fn put_off(
    connection: &mut PgConnection,
    chat: ChatId,
    most: i32,
    later: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "with run as (
             update bot_run r
             set tries = r.tries + 1, due_at = case when r.tries < $2 then $3::timestamptz end,
                 state = case when r.tries < $2 then r.state else 'failed' end,
                 ended_at = case when r.tries >= $2 then $4::timestamptz end
             from chat where chat.chat_id = $1 and r.run_id = chat.bot_run and r.ended_at is null
             returning r.run_id, r.ended_at)
         update chat set bot_run = null, bot_waits = ''
         from run where chat.chat_id = $1 and chat.bot_run = run.run_id and run.ended_at is not null",
        chat as ChatId,
        most,
        later,
        now,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Writes new runs and changed ones, of locked chats.
pub async fn save(connection: &mut PgConnection, runs: &[Run]) -> Result<(), sqlx::Error> {
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
        "insert into bot_run (run_id, account, bot_id, bot_name, nps, chat_id, channel_id, conversation_id, body, state,
             step, answers, questions, input, due_at, tries, started_by, started_at, ended_at)
         select * from unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::boolean[], $6::uuid[], $7::uuid[],
             $8::uuid[], $9::bytea[], $10::text[], $11::text[], $12::jsonb[], $13::int[], $14::text[],
             $15::timestamptz[], $16::int[], $17::text[], $18::timestamptz[], $19::timestamptz[])
         on conflict (run_id) do update
         set state = excluded.state, step = excluded.step, answers = excluded.answers, questions = excluded.questions,
             input = excluded.input, due_at = excluded.due_at, tries = excluded.tries, ended_at = excluded.ended_at",
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
        &column!(|run| run.at.step.clone()),
        &answers,
        &column!(|run| run.at.questions),
        &column!(|run| run.input.clone()) as &[Option<String>],
        &column!(|run| run.due_at) as &[Option<OffsetDateTime>],
        &column!(|run| run.tries),
        &column!(|run| run.started_by.clone()),
        &column!(|run| run.started_at),
        &column!(|run| run.ended_at) as &[Option<OffsetDateTime>],
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Returns the bots that start by themselves in chats at such a moment: of each chat the one that was created first.
pub async fn triggered(
    connection: &mut PgConnection,
    chats: &[&Chat],
    trigger: Trigger,
) -> Result<BTreeMap<ChatId, Bot>, sqlx::Error> {
    let ids: Vec<ChatId> = chats.iter().map(|chat| chat.id).collect();
    let accounts: Vec<String> = chats.iter().map(|chat| chat.account.to_string()).collect();
    let channels: Vec<ChannelId> = chats.iter().map(|chat| chat.channel).collect();
    let found = sqlx::query!(
        r#"select distinct on (c.chat_id) c.chat_id as "chat!: ChatId", b.account as "account: AccountSlug",
               b.bot_id as "bot: BotId"
           from unnest($1::uuid[], $2::text[], $3::uuid[]) c(chat_id, account, channel_id)
           join bot b on b.account = c.account and b.trigger = $4 and b.enabled
               and (b.channels = '{}' or c.channel_id = any(b.channels))
           order by c.chat_id, b.bot_id"#,
        &ids as &[ChatId],
        &accounts,
        &channels as &[ChannelId],
        trigger.word(),
    )
    .fetch_all(&mut *connection)
    .await?;
    if found.is_empty() {
        return Ok(BTreeMap::new());
    }
    let (accounts, wanted): (Vec<String>, Vec<Uuid>) = found
        .iter()
        .map(|row| (row.account.to_string(), row.bot.uuid()))
        .unzip();
    let bots = super::several(connection, &accounts, &wanted).await?;
    let of_chat = found.into_iter().filter_map(|row| {
        let bot = bots.get(&(row.account, row.bot))?;
        Some((row.chat, bot.clone()))
    });
    Ok(of_chat.collect())
}

/// Notes that bots start by themselves in chats, where the accounts have such bots.
pub async fn want(
    connection: &mut PgConnection,
    chats: &[(ChatId, &AccountSlug)],
    trigger: Trigger,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let (ids, accounts): (Vec<ChatId>, Vec<String>) = chats
        .iter()
        .map(|(chat, account)| (*chat, account.to_string()))
        .unzip();
    sqlx::query!(
        "insert into bot_wanted (chat_id, trigger, noted_at)
         select c.chat_id, $3, $4 from unnest($1::uuid[], $2::text[]) c(chat_id, account)
         where exists (select from bot b where b.account = c.account and b.trigger = $3 and b.enabled)
         order by c.chat_id
         on conflict do nothing",
        &ids as &[ChatId],
        &accounts,
        trigger.word(),
        now,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Returns chats in which bots are to start by themselves.
pub async fn wanted(
    connection: &mut PgConnection,
    trigger: Trigger,
    limit: i64,
) -> Result<Vec<ChatId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select chat_id as "chat: ChatId" from bot_wanted where trigger = $1 limit $2"#,
        trigger.word(),
        limit,
    )
    .fetch_all(connection)
    .await
}

/// Takes what was noted of locked chats; returns those of which it still was.
pub async fn take_wanted(
    connection: &mut PgConnection,
    chats: &[ChatId],
    trigger: Trigger,
) -> Result<Vec<ChatId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"delete from bot_wanted where chat_id = any($1) and trigger = $2 returning chat_id as "chat: ChatId""#,
        chats as &[ChatId],
        trigger.word(),
    )
    .fetch_all(connection)
    .await
}

/// Keeps that a conversation's client was asked, what they answered, or why they were not asked.
pub async fn keep_nps(
    connection: &mut PgConnection,
    (account, chat, channel): (&AccountSlug, ChatId, ChannelId),
    conversation: ConversationId,
    nps: &Nps<'_>,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into nps_answer as kept (account, conversation_id, chat_id, channel_id, run_id, skipped, score, comment,
             asked_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         on conflict (account, conversation_id) do update
         set run_id = coalesce(excluded.run_id, kept.run_id), skipped = excluded.skipped,
             score = coalesce(excluded.score, kept.score),
             comment = case when excluded.comment <> '' then excluded.comment else kept.comment end",
        account.as_str(),
        conversation as ConversationId,
        chat as ChatId,
        channel as ChannelId,
        nps.run,
        nps.skipped,
        nps.score.and_then(|score| i16::try_from(score).ok()),
        nps.comment,
        now,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// What is kept of the question of NPS.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nps<'n> {
    /// The run that asked.
    pub run: Option<Uuid>,
    /// Why it was not asked; empty where it was.
    pub skipped: &'n str,
    /// The score.
    pub score: Option<i32>,
    /// The comment; empty where there is none.
    pub comment: &'n str,
}
