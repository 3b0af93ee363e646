//! Tables `command`, `part` and `cancelled_command`, as the handlers of commands write them.

use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::lane::Command;

/// A command to be stored.
#[derive(Debug, Clone)]
pub struct NewCommand {
    /// The chat.
    pub chat_id: Uuid,
    /// Its number in the chat.
    pub out_seq: i64,
    /// The message.
    pub message_id: Uuid,
    /// Number of the attempt that the agent asked for.
    pub attempt: i32,
    /// How many parts it has.
    pub parts: i32,
    /// Whether there is nothing to do: it cannot be handled.
    pub is_final: bool,
    /// When it was queued.
    pub queued_at: OffsetDateTime,
    /// The event that brought it.
    pub cause: Option<Uuid>,
    /// The trace of that event.
    pub trace: String,
}

/// A part to be stored.
#[derive(Debug, Clone)]
pub struct NewPart {
    /// The chat.
    pub chat_id: Uuid,
    /// Number of the command.
    pub out_seq: i64,
    /// Number of the part.
    pub part: i32,
    /// State, as stored.
    pub state: &'static str,
    /// Method of the provider.
    pub method: String,
    /// Its parameters.
    pub params: Value,
    /// Why it failed.
    pub reason: &'static str,
}

/// Inserts commands; returns which of them are new.
pub async fn insert(
    connection: &mut PgConnection,
    commands: &[NewCommand],
) -> Result<Vec<(Uuid, i64)>, sqlx::Error> {
    let chats: Vec<Uuid> = commands.iter().map(|command| command.chat_id).collect();
    let numbers: Vec<i64> = commands.iter().map(|command| command.out_seq).collect();
    let messages: Vec<Uuid> = commands.iter().map(|command| command.message_id).collect();
    let attempts: Vec<i32> = commands.iter().map(|command| command.attempt).collect();
    let parts: Vec<i32> = commands.iter().map(|command| command.parts).collect();
    let finals: Vec<bool> = commands.iter().map(|command| command.is_final).collect();
    let queued: Vec<OffsetDateTime> = commands.iter().map(|command| command.queued_at).collect();
    let causes: Vec<Option<Uuid>> = commands.iter().map(|command| command.cause).collect();
    let traces: Vec<String> = commands
        .iter()
        .map(|command| command.trace.clone())
        .collect();
    let rows = sqlx::query!(
        "insert into command (chat_id, out_seq, message_id, attempt, parts, is_final, queued_at, cause, trace)
         select * from unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::integer[], $5::integer[], $6::boolean[],
                              $7::timestamptz[], $8::uuid[], $9::text[])
         on conflict do nothing
         returning chat_id, out_seq",
        &chats,
        &numbers,
        &messages,
        &attempts,
        &parts,
        &finals,
        &queued,
        &causes as &[Option<Uuid>],
        &traces,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.chat_id, row.out_seq))
        .collect())
}

/// Inserts parts of new commands.
pub async fn insert_parts(
    connection: &mut PgConnection,
    parts: &[NewPart],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let chats: Vec<Uuid> = parts.iter().map(|part| part.chat_id).collect();
    let commands: Vec<i64> = parts.iter().map(|part| part.out_seq).collect();
    let numbers: Vec<i32> = parts.iter().map(|part| part.part).collect();
    let states: Vec<String> = parts.iter().map(|part| part.state.to_owned()).collect();
    let methods: Vec<String> = parts.iter().map(|part| part.method.clone()).collect();
    let params: Vec<Value> = parts.iter().map(|part| part.params.clone()).collect();
    let reasons: Vec<String> = parts.iter().map(|part| part.reason.to_owned()).collect();
    sqlx::query!(
        "insert into part (chat_id, out_seq, part, state, method, params, reason, updated_at)
         select t.*, $8 from unnest($1::uuid[], $2::bigint[], $3::integer[], $4::text[], $5::text[], $6::jsonb[],
                                    $7::text[]) as t",
        &chats,
        &commands,
        &numbers,
        &states,
        &methods,
        &params,
        &reasons,
        now,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Notes commands that were taken back, whether they are here already or not.
pub async fn note_cancelled(
    connection: &mut PgConnection,
    chats: &[Uuid],
    numbers: &[i64],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into cancelled_command (chat_id, out_seq, cancelled_at)
         select chat_id, out_seq, $3 from unnest($1::uuid[], $2::bigint[]) as t (chat_id, out_seq)
         order by chat_id, out_seq
         on conflict do nothing",
        chats,
        numbers,
        now,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// A part that was taken back.
#[derive(Debug, Clone)]
pub struct CancelledPart {
    /// Slug of the account.
    pub account: String,
    /// The channel.
    pub channel_id: Uuid,
    /// The chat.
    pub chat_id: Uuid,
    /// Number of the command.
    pub out_seq: i64,
    /// The message.
    pub message_id: Uuid,
    /// Number of the attempt.
    pub attempt: i32,
    /// Number of the part.
    pub part: i32,
    /// How many parts there are.
    pub parts: i32,
}

/// Takes back commands of these chats of which nothing was tried yet. The lanes must be locked.
pub async fn cancel(
    connection: &mut PgConnection,
    chats: &[Uuid],
    now: OffsetDateTime,
) -> Result<Vec<CancelledPart>, sqlx::Error> {
    sqlx::query_as!(
        CancelledPart,
        "with taken_back as (
             update command c set is_final = true
             from cancelled_command b
             where b.chat_id = any($1) and c.chat_id = b.chat_id and c.out_seq = b.out_seq and not c.is_final
               and not exists (select 1 from part p where p.chat_id = c.chat_id and p.out_seq = c.out_seq
                                                      and (p.state <> 'queued' or p.tries > 0))
             returning c.chat_id, c.out_seq, c.message_id, c.attempt, c.parts
         )
         update part p set state = 'cancelled', updated_at = $2
         from taken_back t join lane l on l.chat_id = t.chat_id
         where p.chat_id = t.chat_id and p.out_seq = t.out_seq
         returning l.account, l.channel_id, p.chat_id, p.out_seq, t.message_id, t.attempt, p.part, t.parts",
        chats,
        now,
    )
    .fetch_all(connection)
    .await
}

/// Returns up to `limit` commands of each lane from its next number on, by number.
pub async fn heads(
    connection: &mut PgConnection,
    chats: &[Uuid],
    next: &[i64],
    limit: i64,
) -> Result<Vec<(Uuid, Command)>, sqlx::Error> {
    let rows = sqlx::query!(
        "select l.chat_id as \"chat_id!\", c.out_seq, c.is_final
         from unnest($1::uuid[], $2::bigint[]) as l (chat_id, next_seq)
         cross join lateral (
             select out_seq, is_final from command c
             where c.chat_id = l.chat_id and c.out_seq >= l.next_seq
             order by out_seq limit $3
         ) c
         order by l.chat_id, c.out_seq",
        chats,
        next,
        limit,
    )
    .fetch_all(connection)
    .await?;
    let command = |out_seq, is_final| Command { out_seq, is_final };
    Ok(rows
        .into_iter()
        .map(|row| (row.chat_id, command(row.out_seq, row.is_final)))
        .collect())
}

/// Returns the first number of each chat that is stored at or above the given one: where a gap ends.
pub async fn gap_end(
    connection: &mut PgConnection,
    chat: Uuid,
    from: i64,
) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar!(
        "select min(out_seq) from command where chat_id = $1 and out_seq >= $2",
        chat,
        from
    )
    .fetch_one(connection)
    .await
}
