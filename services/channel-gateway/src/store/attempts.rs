//! Attempts: recorded before the call, settled after it.

use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// A part whose turn it is.
#[derive(Debug, Clone)]
pub struct NextPart {
    /// The chat.
    pub chat_id: Uuid,
    /// Number of the command.
    pub out_seq: i64,
    /// Number of the part.
    pub part: i32,
    /// How many parts the command has.
    pub parts: i32,
    /// The message.
    pub message_id: Uuid,
    /// Number of the attempt that the agent asked for.
    pub attempt: i32,
    /// Method of the provider.
    pub method: String,
    /// Its parameters.
    pub params: Value,
    /// Calls before this one.
    pub tries: i32,
    /// When the command was queued.
    pub queued_at: OffsetDateTime,
    /// The event that brought it.
    pub cause: Option<Uuid>,
    /// The trace of that event.
    pub trace: String,
}

/// Returns the first queued part of each of these commands.
pub async fn next(
    connection: &mut PgConnection,
    chats: &[Uuid],
    numbers: &[i64],
) -> Result<Vec<NextPart>, sqlx::Error> {
    sqlx::query_as!(
        NextPart,
        "select distinct on (p.chat_id) p.chat_id, p.out_seq, p.part, c.parts, c.message_id, c.attempt, p.method,
             p.params, p.tries, c.queued_at, c.cause, c.trace
         from unnest($1::uuid[], $2::bigint[]) as t (chat_id, out_seq)
         join command c on c.chat_id = t.chat_id and c.out_seq = t.out_seq
         join part p on p.chat_id = t.chat_id and p.out_seq = t.out_seq and p.state = 'queued'
         order by p.chat_id, p.part",
        chats,
        numbers,
    )
    .fetch_all(connection)
    .await
}

/// Records attempts under the fencing numbers of their lanes.
pub async fn record(
    connection: &mut PgConnection,
    attempts: &[(Uuid, i64, i32, i64)],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let chats: Vec<Uuid> = attempts.iter().map(|attempt| attempt.0).collect();
    let commands: Vec<i64> = attempts.iter().map(|attempt| attempt.1).collect();
    let parts: Vec<i32> = attempts.iter().map(|attempt| attempt.2).collect();
    let fences: Vec<i64> = attempts.iter().map(|attempt| attempt.3).collect();
    sqlx::query!(
        "update part set state = 'sending', attempt_fence = t.fence, updated_at = $5, attempted_at = $5
         from unnest($1::uuid[], $2::bigint[], $3::integer[], $4::bigint[]) as t (chat_id, out_seq, part, fence)
         where part.chat_id = t.chat_id and part.out_seq = t.out_seq and part.part = t.part",
        &chats,
        &commands,
        &parts,
        &fences,
        now,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// A part whose state changed, with what its event needs.
#[derive(Debug, Clone)]
pub struct SettledPart {
    /// Slug of the account.
    pub account: String,
    /// The channel.
    pub channel_id: Uuid,
    /// The chat.
    pub chat_id: Uuid,
    /// Number of the command.
    pub out_seq: i64,
    /// Number of the part.
    pub part: i32,
    /// How many parts the command has.
    pub parts: i32,
    /// The message.
    pub message_id: Uuid,
    /// Number of the attempt that the agent asked for.
    pub attempt: i32,
    /// State now, as stored.
    pub state: String,
    /// The provider's key.
    pub provider_key: String,
    /// Why it failed.
    pub reason: String,
    /// The event that brought the command.
    pub cause: Option<Uuid>,
    /// The trace of that event.
    pub trace: String,
}

/// Turns attempts into uncertain ones whose lease ended without an outcome. The lanes must be claimed anew.
pub async fn abandon(
    connection: &mut PgConnection,
    chats: &[Uuid],
    now: OffsetDateTime,
) -> Result<Vec<SettledPart>, sqlx::Error> {
    sqlx::query_as!(
        SettledPart,
        "update part p set state = 'uncertain', updated_at = $2
         from command c join lane l on l.chat_id = c.chat_id
         where p.chat_id = any($1) and p.state = 'sending' and c.chat_id = p.chat_id and c.out_seq = p.out_seq
         returning l.account, l.channel_id, p.chat_id, p.out_seq, p.part, c.parts, c.message_id, c.attempt,
             p.state, p.provider_key, p.reason, c.cause, c.trace",
        chats,
        now,
    )
    .fetch_all(connection)
    .await
}

/// An outcome that is final.
#[derive(Debug, Clone)]
pub struct Final {
    /// The chat.
    pub chat_id: Uuid,
    /// Number of the command.
    pub out_seq: i64,
    /// Number of the part.
    pub part: i32,
    /// The lease under which the attempt was recorded.
    pub fence: i64,
    /// State, as stored.
    pub state: &'static str,
    /// The provider's key.
    pub provider_key: String,
    /// Why it failed.
    pub reason: String,
}

/// Writes final outcomes, each over its own attempt only: one that is under way, or that was given up as uncertain.
pub async fn settle(
    connection: &mut PgConnection,
    outcomes: &[Final],
    now: OffsetDateTime,
) -> Result<Vec<SettledPart>, sqlx::Error> {
    let chats: Vec<Uuid> = outcomes.iter().map(|outcome| outcome.chat_id).collect();
    let commands: Vec<i64> = outcomes.iter().map(|outcome| outcome.out_seq).collect();
    let parts: Vec<i32> = outcomes.iter().map(|outcome| outcome.part).collect();
    let fences: Vec<i64> = outcomes.iter().map(|outcome| outcome.fence).collect();
    let states: Vec<String> = outcomes
        .iter()
        .map(|outcome| outcome.state.to_owned())
        .collect();
    let keys: Vec<String> = outcomes
        .iter()
        .map(|outcome| outcome.provider_key.clone())
        .collect();
    let reasons: Vec<String> = outcomes
        .iter()
        .map(|outcome| outcome.reason.clone())
        .collect();
    sqlx::query_as!(
        SettledPart,
        "update part p set state = t.state, provider_key = t.provider_key, reason = t.reason, updated_at = $8
         from unnest($1::uuid[], $2::bigint[], $3::integer[], $4::bigint[], $5::text[], $6::text[], $7::text[])
                  as t (chat_id, out_seq, part, fence, state, provider_key, reason)
              join command c on c.chat_id = t.chat_id and c.out_seq = t.out_seq
              join lane l on l.chat_id = t.chat_id
         where p.chat_id = t.chat_id and p.out_seq = t.out_seq and p.part = t.part and p.attempt_fence = t.fence
           and (p.state = 'sending' or (p.state = 'uncertain' and t.state in ('sent', 'failed')))
         returning l.account, l.channel_id, p.chat_id, p.out_seq, p.part, c.parts, c.message_id, c.attempt,
             p.state, p.provider_key, p.reason, c.cause, c.trace",
        &chats,
        &commands,
        &parts,
        &fences,
        &states,
        &keys,
        &reasons,
        now,
    )
    .fetch_all(connection)
    .await
}

/// Fails what is still queued of commands of which a part failed: half a message is none.
pub async fn fail_rest(
    connection: &mut PgConnection,
    failed: &[(Uuid, i64, String)],
    now: OffsetDateTime,
) -> Result<Vec<SettledPart>, sqlx::Error> {
    let chats: Vec<Uuid> = failed.iter().map(|command| command.0).collect();
    let commands: Vec<i64> = failed.iter().map(|command| command.1).collect();
    let reasons: Vec<String> = failed.iter().map(|command| command.2.clone()).collect();
    sqlx::query_as!(
        SettledPart,
        "update part p set state = 'failed', reason = t.reason, updated_at = $4
         from unnest($1::uuid[], $2::bigint[], $3::text[]) as t (chat_id, out_seq, reason)
              join command c on c.chat_id = t.chat_id and c.out_seq = t.out_seq
              join lane l on l.chat_id = t.chat_id
         where p.chat_id = t.chat_id and p.out_seq = t.out_seq and p.state = 'queued'
         returning l.account, l.channel_id, p.chat_id, p.out_seq, p.part, c.parts, c.message_id, c.attempt,
             p.state, p.provider_key, p.reason, c.cause, c.trace",
        &chats,
        &commands,
        &reasons,
        now,
    )
    .fetch_all(connection)
    .await
}

/// A part that is to be tried again.
#[derive(Debug, Clone)]
pub struct Again {
    /// The chat.
    pub chat_id: Uuid,
    /// Number of the command.
    pub out_seq: i64,
    /// Number of the part.
    pub part: i32,
    /// The lease under which the attempt was recorded.
    pub fence: i64,
    /// Method of the provider, amended or as it was.
    pub method: String,
    /// The parameters, amended or as they were.
    pub params: Value,
}

/// Queues parts again whose attempt is known not to have been carried out.
pub async fn requeue(
    connection: &mut PgConnection,
    again: &[Again],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let chats: Vec<Uuid> = again.iter().map(|part| part.chat_id).collect();
    let commands: Vec<i64> = again.iter().map(|part| part.out_seq).collect();
    let parts: Vec<i32> = again.iter().map(|part| part.part).collect();
    let fences: Vec<i64> = again.iter().map(|part| part.fence).collect();
    let methods: Vec<String> = again.iter().map(|part| part.method.clone()).collect();
    let params: Vec<Value> = again.iter().map(|part| part.params.clone()).collect();
    // Not over `uncertain`: that was reported, and is not sent again by itself.
    sqlx::query!(
        "update part p set state = 'queued', tries = p.tries + 1, method = t.method, params = t.params, updated_at = $7
         from unnest($1::uuid[], $2::bigint[], $3::integer[], $4::bigint[], $5::text[], $6::jsonb[])
                  as t (chat_id, out_seq, part, fence, method, params)
         where p.chat_id = t.chat_id and p.out_seq = t.out_seq and p.part = t.part and p.attempt_fence = t.fence
           and p.state = 'sending'",
        &chats,
        &commands,
        &parts,
        &fences,
        &methods,
        &params,
        now,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Marks commands as final whose parts all are.
pub async fn finish(
    connection: &mut PgConnection,
    chats: &[Uuid],
    numbers: &[i64],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update command c set is_final = true
         from unnest($1::uuid[], $2::bigint[]) as t (chat_id, out_seq)
         where c.chat_id = t.chat_id and c.out_seq = t.out_seq and not c.is_final
           and not exists (select 1 from part p where p.chat_id = c.chat_id and p.out_seq = c.out_seq
                                                  and p.state in ('queued', 'sending'))",
        chats,
        numbers,
    )
    .execute(connection)
    .await
    .map(drop)
}
