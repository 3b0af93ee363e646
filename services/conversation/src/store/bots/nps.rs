//! Tables `nps_answer` and `nps_question`: what became of the question of NPS.

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::bot::nps::Asked;
use crate::domain::chat::Chat;
use crate::domain::words::NpsSkipped;
use crate::domain::{AgentId, ChannelId, ChatId, ConversationId, MessageId};

/// What is kept of the question of NPS.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nps<'n> {
    /// The run that asked.
    pub run: Option<Uuid>,
    /// Why it was not asked; none where it was.
    pub skipped: Option<NpsSkipped>,
    /// The score.
    pub score: Option<i32>,
    /// The comment; empty where there is none.
    pub comment: &'n str,
    /// The comment goes on one that is kept: it does not stand for it.
    pub goes_on: bool,
}

/// What is kept then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The comment, whole.
    pub comment: String,
    /// Who was responsible when the client was asked; none where nobody was, or that is not known.
    pub responsible: Option<AgentId>,
    /// That is known.
    pub known: bool,
}

/// Keeps that a conversation's client was asked, what they answered, or why they were not asked.
pub async fn keep(
    connection: &mut PgConnection,
    (account, chat, channel): (&AccountSlug, ChatId, ChannelId),
    conversation: ConversationId,
    nps: &Nps<'_>,
    now: OffsetDateTime,
) -> Result<Kept, sqlx::Error> {
    sqlx::query_as!(
        Kept,
        r#"with answer as (
               insert into nps_answer as kept (account, conversation_id, chat_id, channel_id, run_id, skipped, score,
                   comment, asked_at)
               values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
               on conflict (account, conversation_id) do update
               set run_id = coalesce(excluded.run_id, kept.run_id), skipped = excluded.skipped,
                   score = coalesce(excluded.score, kept.score),
                   comment = case when excluded.comment = '' then kept.comment
                                  when $10 and kept.comment <> '' then kept.comment || E'\n' || excluded.comment
                                  else excluded.comment end
               returning kept.account, kept.conversation_id, kept.comment)
           select a.comment as "comment!", q.responsible as "responsible?: AgentId", q.account is not null as "known!"
           from answer a left join nps_question q on q.account = a.account and q.conversation_id = a.conversation_id"#,
        account.as_str(),
        conversation as ConversationId,
        chat as ChatId,
        channel as ChannelId,
        nps.run,
        nps.skipped.map_or("", NpsSkipped::as_str),
        nps.score.and_then(|score| i16::try_from(score).ok()),
        nps.comment,
        now,
        nps.goes_on,
    )
    .fetch_one(connection)
    .await
}

/// A conversation whose client is asked.
#[derive(Debug, Clone, Copy)]
pub struct Question<'q> {
    /// Whose it is.
    pub account: &'q AccountSlug,
    /// The conversation.
    pub conversation: ConversationId,
    /// Its revision.
    pub revision: i64,
    /// Who is responsible.
    pub responsible: Option<AgentId>,
    /// The message that asks, as soon as there is one.
    pub message: Option<MessageId>,
}

/// Keeps who is responsible when a conversation's client is asked, and then which message asks, at which of its revisions. Who is asked
/// once more is asked for whoever is responsible then.
pub async fn keep_question(
    connection: &mut PgConnection,
    question: &Question<'_>,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into nps_question as kept (account, conversation_id, responsible, message_id, revision, asked_at)
         values ($1, $2, $3, $4, $5, $6)
         on conflict (account, conversation_id) do update
         set responsible = case when excluded.message_id is null then excluded.responsible else kept.responsible end,
             message_id = coalesce(excluded.message_id, kept.message_id),
             revision = case when excluded.message_id is null then kept.revision else excluded.revision end,
             asked_at = excluded.asked_at",
        question.account.as_str(),
        question.conversation as ConversationId,
        question.responsible as Option<AgentId>,
        question.message as Option<MessageId>,
        question.revision,
        now,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Takes back that clients were asked in conversations whose run has ended without sending the question.
pub async fn take_back(
    connection: &mut PgConnection,
    ended: &[(&AccountSlug, ConversationId)],
) -> Result<(), sqlx::Error> {
    if ended.is_empty() {
        return Ok(());
    }
    let (accounts, conversations): (Vec<String>, Vec<ConversationId>) = ended
        .iter()
        .map(|(account, conversation)| (account.to_string(), *conversation))
        .unzip();
    sqlx::query!(
        "delete from nps_answer a using unnest($1::text[], $2::uuid[]) e(account, conversation_id)
         where a.account = e.account and a.conversation_id = e.conversation_id and a.skipped = '' and a.score is null
           and not exists(select from nps_question q
                          where q.account = e.account and q.conversation_id = e.conversation_id
                            and q.message_id is not null)",
        &accounts,
        &conversations as &[ConversationId],
    )
    .execute(connection)
    .await
    .map(drop)
}

/// What became of a bot's message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Whose it is.
    pub account: AccountSlug,
    /// The message.
    pub message: MessageId,
    /// It did not reach the client; else it did.
    pub failed: bool,
}

/// A conversation whose client was not reached by the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreached {
    /// The chat.
    pub chat: ChatId,
    /// The conversation.
    pub conversation: ConversationId,
    /// The message that asks.
    pub message: MessageId,
}

/// Takes what became of messages that may be questions: a client who was not reached counts as not
/// asked, unless they answered, and as asked when a later attempt reached them. Returns those who count as not asked from now on.
pub async fn delivered(
    connection: &mut PgConnection,
    messages: &[Outcome],
) -> Result<Vec<Unreached>, sqlx::Error> {
    if messages.is_empty() {
        return Ok(Vec::new());
    }
    let accounts: Vec<String> = messages.iter().map(|it| it.account.to_string()).collect();
    let ids: Vec<MessageId> = messages.iter().map(|it| it.message).collect();
    let failed: Vec<bool> = messages.iter().map(|it| it.failed).collect();
    let rows = sqlx::query!(
        r#"update nps_answer n set skipped = case when d.failed then $4 else '' end
           from unnest($1::text[], $2::uuid[], $3::boolean[]) d(account, message_id, failed)
           join nps_question q on q.message_id = d.message_id and q.account = d.account
           where n.account = q.account and n.conversation_id = q.conversation_id and n.score is null
             and n.skipped = case when d.failed then '' else $4 end
           returning n.chat_id as "chat: ChatId", n.conversation_id as "conversation: ConversationId",
               d.message_id as "message!: MessageId", d.failed as "failed!""#,
        &accounts,
        &ids as &[MessageId],
        &failed,
        NpsSkipped::NotDelivered.as_str(),
    )
    .fetch_all(connection)
    .await?;
    let rows = rows.into_iter().filter(|row| row.failed);
    Ok(rows
        .map(|row| Unreached {
            chat: row.chat,
            conversation: row.conversation,
            message: row.message,
        })
        .collect())
}

/// Tells what is known of the question in a conversation.
pub async fn asked(
    connection: &mut PgConnection,
    chat: &Chat,
    conversation: ConversationId,
) -> Result<Asked, sqlx::Error> {
    sqlx::query_as!(
        Asked,
        r#"select exists(select from bot_run r
                         where r.chat_id = $1 and r.conversation_id = $2 and r.nps and r.account = $3 and r.ended_at is null)
                   as "running!",
               (select q.revision from nps_question q
                where q.account = $3 and q.conversation_id = $2 and q.message_id is not null) as at,
               coalesce(n.score is not null, false) as "scored!", coalesce(n.skipped = $4, false) as "before!"
           from (values (1)) one
           left join nps_answer n on n.account = $3 and n.conversation_id = $2"#,
        chat.id as ChatId,
        conversation as ConversationId,
        chat.account.as_str(),
        NpsSkipped::AnsweredBefore.as_str(),
    )
    .fetch_one(connection)
    .await
}

/// What clients answered in one period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Total {
    /// When the period begins.
    pub start: OffsetDateTime,
    /// Clients who were asked.
    pub asked: i64,
    /// Conversations whose clients were not asked.
    pub skipped: i64,
    /// Clients who gave a score of 9 or 10.
    pub promoters: i64,
    /// Of 7 or 8.
    pub passives: i64,
    /// Of 0 to 6.
    pub detractors: i64,
}

/// Which answers are counted.
#[derive(Debug, Clone)]
pub struct Counted {
    /// Channels that the caller was granted; none for all.
    pub granted: Option<Vec<Uuid>>,
    /// One channel.
    pub channel: Option<ChannelId>,
    /// From when on.
    pub from: OffsetDateTime,
    /// Before when.
    pub to: OffsetDateTime,
    /// What is counted together: `day`, `week`, `month`, or nothing for all.
    pub period: &'static str,
}

/// Counts answers by periods.
pub async fn totals(
    connection: &mut PgConnection,
    account: &AccountSlug,
    counted: &Counted,
) -> Result<Vec<Total>, sqlx::Error> {
    sqlx::query_as!(
        Total,
        r#"select case when $6 = '' then $4 else date_trunc($6, asked_at, 'UTC') end as "start!",
               count(*) filter (where skipped = '') as "asked!",
               count(*) filter (where skipped not in ('', $7)) as "skipped!",
               count(*) filter (where score >= 9) as "promoters!", count(*) filter (where score in (7, 8)) as "passives!",
               count(*) filter (where score <= 6) as "detractors!"
           from nps_answer
           where account = $1 and asked_at >= $4 and asked_at < $5 and ($2::uuid[] is null or channel_id = any($2))
             and ($3::uuid is null or channel_id = $3)
           group by 1 order by 1"#,
        account.as_str(),
        counted.granted.as_deref(),
        counted.channel as Option<ChannelId>,
        counted.from,
        counted.to,
        counted.period,
        NpsSkipped::AnsweredBefore.as_str(),
    )
    .fetch_all(connection)
    .await
}

/// Questions that one statement forgets, so that no sweep holds locks for long.
const SWEPT_AT_ONCE: i64 = 5_000;

/// Forgets some of the questions that were asked before `before`, of conversations that have ended; tells how many, and whether there
/// may be more. What was answered stays, as it is counted.
pub async fn sweep(
    connection: &mut PgConnection,
    before: OffsetDateTime,
) -> Result<(u64, bool), sqlx::Error> {
    let swept = sqlx::query!(
        "delete from nps_question where ctid = any(array(
             select q.ctid from nps_question q
             where q.asked_at < $1
               and not exists(select from conversation c
                              where c.conversation_id = q.conversation_id and c.closed_at is null)
             order by q.asked_at limit $2))",
        before,
        SWEPT_AT_ONCE,
    )
    .execute(connection)
    .await?
    .rows_affected();
    Ok((swept, swept >= SWEPT_AT_ONCE.cast_unsigned()))
}
