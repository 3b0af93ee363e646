//! Chats: who answers for each, and the state it was last heard to be in.

use std::collections::{BTreeMap, BTreeSet};

use chassis::id::{AccountSlug, AgentId};
use chassis::stamp::Stamp;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::unreadable;
use crate::domain::chat::{Chat, Opening};
use crate::domain::words::GivenBack;
use crate::domain::{ChannelId, ChatId, ConversationId};

struct Row {
    chat_id: ChatId,
    account: AccountSlug,
    channel_id: ChannelId,
    conversation_id: ConversationId,
    number: i64,
    revision: i64,
    open: bool,
    open_time: Option<OffsetDateTime>,
    opened_event: Option<Uuid>,
    opener_agent_id: Option<AgentId>,
    decided: bool,
    provisional: bool,
    agent_id: Option<AgentId>,
    previous_agent_id: Option<AgentId>,
    stamp_time: OffsetDateTime,
    stamp_event: Uuid,
    version: i64,
    waiting_reasons: String,
    claim_request: String,
    traceparent: String,
    given_back: Option<String>,
    offer_end: Option<OffsetDateTime>,
    passed: Vec<Uuid>,
    participants: Vec<Uuid>,
}

impl TryFrom<Row> for Chat {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        let given_back = row.given_back.as_deref().map(GivenBack::try_from);
        let opening = row.open_time.map(|time| Opening {
            time,
            opener: row.opener_agent_id,
            event: row.opened_event,
            traceparent: row.traceparent,
        });
        Ok(Self {
            id: row.chat_id,
            account: row.account,
            channel: row.channel_id,
            conversation: row.conversation_id,
            number: row.number,
            revision: row.revision,
            open: row.open,
            opening,
            decided: row.decided,
            provisional: row.provisional,
            agent: row.agent_id,
            previous: row.previous_agent_id,
            participants: row.participants.into_iter().map(AgentId::from).collect(),
            stamp: Stamp {
                time: row.stamp_time,
                event: row.stamp_event,
            },
            version: row.version,
            waiting_reasons: row.waiting_reasons,
            claim_request: row.claim_request,
            given_back: given_back
                .transpose()
                .map_err(unreadable("chat_assignment.given_back"))?,
            offer_end: row.offer_end,
            passed: row.passed.into_iter().map(AgentId::from).collect(),
        })
    }
}

/// Inserts rows for chats that are not known yet, sorted; a concurrent insertion is waited for.
pub async fn insert_missing(
    connection: &mut PgConnection,
    chats: &BTreeMap<ChatId, (AccountSlug, ChannelId)>,
) -> Result<(), sqlx::Error> {
    let ids: Vec<Uuid> = chats.keys().map(|id| id.uuid()).collect();
    let accounts: Vec<String> = chats
        .values()
        .map(|(account, _)| account.to_string())
        .collect();
    let channels: Vec<Uuid> = chats.values().map(|(_, channel)| channel.uuid()).collect();
    sqlx::query!(
        "insert into chat_assignment (chat_id, account, channel_id, conversation_id, number, revision,
             open, decided, provisional, stamp_time, stamp_event, version, waiting_reasons, claim_request)
         select given.chat_id, given.account, given.channel_id, $4, 0, 0, false, false, false, $5, $4, 0, '', ''
         from unnest($1::uuid[], $2::text[], $3::uuid[]) as given(chat_id, account, channel_id)
         order by given.chat_id
         on conflict do nothing",
        &ids,
        &accounts,
        &channels,
        Uuid::nil(),
        Stamp::ZERO.time,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Locks chats, sorted, and returns them.
pub async fn lock(
    connection: &mut PgConnection,
    chats: &BTreeSet<ChatId>,
) -> Result<Vec<Chat>, sqlx::Error> {
    let ids: Vec<Uuid> = chats.iter().map(|id| id.uuid()).collect();
    // Locked first and read after: what a lock was waited for is then seen whole, participants too.
    sqlx::query!(
        "select chat_id from chat_assignment where chat_id = any($1) order by chat_id for update",
        &ids,
    )
    .fetch_all(&mut *connection)
    .await?;
    read(connection, &ids).await
}

async fn read(connection: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Chat>, sqlx::Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"select c.chat_id as "chat_id: ChatId", c.account as "account: AccountSlug",
               c.channel_id as "channel_id: ChannelId",
               c.conversation_id as "conversation_id: ConversationId", c.number, c.revision, c.open,
               c.open_time, c.opened_event, c.opener_agent_id as "opener_agent_id: AgentId",
               c.decided, c.provisional, c.agent_id as "agent_id: AgentId",
               c.previous_agent_id as "previous_agent_id: AgentId", c.stamp_time, c.stamp_event,
               c.version, c.waiting_reasons, c.claim_request, c.traceparent, c.given_back,
               c.offer_end, c.passed,
               array(select p.agent_id from chat_participant p where p.chat_id = c.chat_id
                     order by p.place) as "participants!"
           from chat_assignment c where c.chat_id = any($1)"#,
        ids,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(Chat::try_from).collect()
}

/// Returns a chat of an account.
pub async fn get(
    connection: &mut PgConnection,
    account: &AccountSlug,
    chat: ChatId,
) -> Result<Option<Chat>, sqlx::Error> {
    let found = read(connection, &[chat.uuid()]).await?.into_iter().next();
    Ok(found.filter(|found| found.account == *account))
}

/// Returns chats of an account after an id, by id.
pub async fn list(
    connection: &mut PgConnection,
    account: &AccountSlug,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Chat>, sqlx::Error> {
    let ids = sqlx::query_scalar!(
        "select chat_id from chat_assignment where account = $1 and chat_id > $2
         order by chat_id limit $3",
        account.as_str(),
        after,
        limit,
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut chats = read(connection, &ids).await?;
    chats.sort_by_key(|chat| chat.id);
    Ok(chats)
}

/// Returns the oldest waiting chats of a channel for whom somebody may be found: all of them when the pool
/// has somebody, else those whose previous responsible is free.
pub async fn waiting(
    connection: &mut PgConnection,
    (account, channel): &(AccountSlug, ChannelId),
    pool_is_free: bool,
    free: &[Uuid],
    limit: i64,
) -> Result<BTreeSet<ChatId>, sqlx::Error> {
    let ids = sqlx::query_scalar!(
        r#"select chat_id as "chat_id: ChatId" from chat_assignment
           where account = $1 and channel_id = $2 and waiting_since is not null
             and ($3 or previous_agent_id = any($4))
           order by waiting_since, chat_id limit $5"#,
        account.as_str(),
        channel.uuid(),
        pool_is_free,
        free,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(ids.into_iter().collect())
}

/// Returns which of these channels have waiting chats beside those that are left out.
pub async fn queued(
    connection: &mut PgConnection,
    channels: &BTreeSet<(AccountSlug, ChannelId)>,
    left_out: &[ChatId],
) -> Result<BTreeSet<(AccountSlug, ChannelId)>, sqlx::Error> {
    if channels.is_empty() {
        return Ok(BTreeSet::new());
    }
    let accounts: Vec<String> = channels
        .iter()
        .map(|(account, _)| account.to_string())
        .collect();
    let ids: Vec<Uuid> = channels.iter().map(|(_, channel)| channel.uuid()).collect();
    let left_out: Vec<Uuid> = left_out.iter().map(|chat| chat.uuid()).collect();
    let rows = sqlx::query!(
        r#"select wanted.account as "account!: AccountSlug", wanted.channel_id as "channel!: ChannelId"
           from unnest($1::text[], $2::uuid[]) as wanted(account, channel_id)
           where exists (select from chat_assignment c
                         where c.account = wanted.account and c.channel_id = wanted.channel_id
                           and c.waiting_since is not null and c.chat_id <> all($3))"#,
        &accounts,
        &ids,
        &left_out,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.account, row.channel))
        .collect())
}

/// Writes locked chats.
pub async fn write(connection: &mut PgConnection, chats: &[&Chat]) -> Result<(), sqlx::Error> {
    if chats.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = chats.iter().map(|c| c.id.uuid()).collect();
    let conversations: Vec<Uuid> = chats.iter().map(|c| c.conversation.uuid()).collect();
    let numbers: Vec<i64> = chats.iter().map(|c| c.number).collect();
    let revisions: Vec<i64> = chats.iter().map(|c| c.revision).collect();
    let open: Vec<bool> = chats.iter().map(|c| c.open).collect();
    let opening = |c: &&Chat| c.opening.clone();
    let open_times: Vec<Option<OffsetDateTime>> =
        chats.iter().map(|c| opening(c).map(|o| o.time)).collect();
    let opened_events: Vec<Option<Uuid>> = chats
        .iter()
        .map(|c| opening(c).and_then(|o| o.event))
        .collect();
    let openers: Vec<Option<Uuid>> = chats
        .iter()
        .map(|c| opening(c).and_then(|o| o.opener).map(AgentId::uuid))
        .collect();
    let decided: Vec<bool> = chats.iter().map(|c| c.decided).collect();
    let provisional: Vec<bool> = chats.iter().map(|c| c.provisional).collect();
    let agents: Vec<Option<Uuid>> = chats.iter().map(|c| c.agent.map(AgentId::uuid)).collect();
    let previous: Vec<Option<Uuid>> = chats
        .iter()
        .map(|c| c.previous.map(AgentId::uuid))
        .collect();
    let stamp_times: Vec<OffsetDateTime> = chats.iter().map(|c| c.stamp.time).collect();
    let stamp_events: Vec<Uuid> = chats.iter().map(|c| c.stamp.event).collect();
    let versions: Vec<i64> = chats.iter().map(|c| c.version).collect();
    let waiting: Vec<Option<OffsetDateTime>> = chats.iter().map(|c| c.waiting_since()).collect();
    let reasons: Vec<String> = chats.iter().map(|c| c.waiting_reasons.clone()).collect();
    let requests: Vec<String> = chats.iter().map(|c| c.claim_request.clone()).collect();
    let traces: Vec<String> = chats
        .iter()
        .map(|c| opening(c).map(|o| o.traceparent).unwrap_or_default())
        .collect();
    let given_back: Vec<Option<&str>> = chats
        .iter()
        .map(|c| c.given_back.map(GivenBack::as_str))
        .collect();
    let offer_ends: Vec<Option<OffsetDateTime>> = chats.iter().map(|c| c.offer_end).collect();
    // Arrays of arrays must be of one length: these come as text.
    let passed: Vec<String> = chats.iter().map(|c| uuid_array(&c.passed)).collect();
    sqlx::query!(
        "update chat_assignment c set conversation_id = g.conversation_id, number = g.number,
             revision = g.revision, open = g.open, open_time = g.open_time,
             opened_event = g.opened_event, opener_agent_id = g.opener, decided = g.decided,
             agent_id = g.agent_id, previous_agent_id = g.previous, stamp_time = g.stamp_time,
             stamp_event = g.stamp_event, version = g.version, waiting_since = g.waiting_since,
             waiting_reasons = g.waiting_reasons, claim_request = g.claim_request,
             provisional = g.provisional, traceparent = g.traceparent, given_back = g.given_back,
             offer_end = g.offer_end, passed = g.passed::uuid[]
         from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::boolean[],
                     $6::timestamptz[], $7::uuid[], $8::uuid[], $9::boolean[], $10::uuid[],
                     $11::uuid[], $12::timestamptz[], $13::uuid[], $14::bigint[], $15::timestamptz[],
                     $16::text[], $17::text[], $18::boolean[], $19::text[], $20::text[],
                     $21::timestamptz[], $22::text[])
              as g(chat_id, conversation_id, number, revision, open, open_time, opened_event, opener,
                   decided, agent_id, previous, stamp_time, stamp_event, version, waiting_since,
                   waiting_reasons, claim_request, provisional, traceparent, given_back, offer_end, passed)
         where c.chat_id = g.chat_id",
        &ids,
        &conversations,
        &numbers,
        &revisions,
        &open,
        &open_times as &[Option<OffsetDateTime>],
        &opened_events as &[Option<Uuid>],
        &openers as &[Option<Uuid>],
        &decided,
        &agents as &[Option<Uuid>],
        &previous as &[Option<Uuid>],
        &stamp_times,
        &stamp_events,
        &versions,
        &waiting as &[Option<OffsetDateTime>],
        &reasons,
        &requests,
        &provisional,
        &traces,
        &given_back as &[Option<&str>],
        &offer_ends as &[Option<OffsetDateTime>],
        &passed,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Writes ids as Postgres writes an array of them.
fn uuid_array(agents: &[AgentId]) -> String {
    let ids: Vec<String> = agents.iter().map(ToString::to_string).collect();
    format!("{{{}}}", ids.join(","))
}

/// Returns chats whose offer has ended, the longest ended first, each with what it belongs to.
pub async fn offers_ended(
    connection: &mut PgConnection,
    now: OffsetDateTime,
    limit: i64,
) -> Result<BTreeMap<ChatId, (AccountSlug, ChannelId)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select chat_id as "chat_id: ChatId", account as "account: AccountSlug",
               channel_id as "channel_id: ChannelId"
           from chat_assignment where offer_end <= $1 and open
           order by offer_end limit $2"#,
        now,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.chat_id, (row.account, row.channel_id)))
        .collect())
}

/// Deletes agents who no longer take part beside the responsible.
pub async fn remove_participants(
    connection: &mut PgConnection,
    gone: &[(ChatId, AgentId)],
) -> Result<(), sqlx::Error> {
    if gone.is_empty() {
        return Ok(());
    }
    let chats: Vec<Uuid> = gone.iter().map(|(chat, _)| chat.uuid()).collect();
    let agents: Vec<Uuid> = gone.iter().map(|(_, agent)| agent.uuid()).collect();
    sqlx::query!(
        "delete from chat_participant p using unnest($1::uuid[], $2::uuid[]) as g(chat_id, agent_id)
         where p.chat_id = g.chat_id and p.agent_id = g.agent_id",
        &chats,
        &agents,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Inserts agents who have joined, in the order in which they did.
pub async fn add_participants(
    connection: &mut PgConnection,
    joined: &[(ChatId, AgentId)],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    if joined.is_empty() {
        return Ok(());
    }
    let chats: Vec<Uuid> = joined.iter().map(|(chat, _)| chat.uuid()).collect();
    let agents: Vec<Uuid> = joined.iter().map(|(_, agent)| agent.uuid()).collect();
    sqlx::query!(
        "insert into chat_participant (chat_id, agent_id, joined_at)
         select g.chat_id, g.agent_id, $3
         from unnest($1::uuid[], $2::uuid[]) with ordinality as g(chat_id, agent_id, place)
         order by g.place",
        &chats,
        &agents,
        now,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// What waits for an agent, of all accounts.
#[derive(Debug, Clone, Copy)]
pub struct Waiting {
    /// How many chats, ten thousand at most.
    pub count: f64,
    /// Since when the first of them.
    pub oldest: Option<OffsetDateTime>,
}

/// Returns what waits for an agent.
pub async fn all_waiting(connection: &mut PgConnection) -> Result<Waiting, sqlx::Error> {
    sqlx::query_as!(
        Waiting,
        r#"select count(*)::float8 as "count!", min(waiting_since) as oldest
           from (select waiting_since from chat_assignment
                 where waiting_since is not null order by waiting_since limit 10000) as longest"#
    )
    .fetch_one(connection)
    .await
}
