//! What a recovery writes and asks (O3.10).

use std::collections::BTreeMap;

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::ChatId;
use crate::domain::chat::Chat;

/// Writes who has joined locked chats, in their order.
pub async fn keep_participants(
    connection: &mut PgConnection,
    chats: &[&Chat],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let ids: Vec<Uuid> = chats.iter().map(|chat| chat.id.uuid()).collect();
    sqlx::query!("delete from chat_participant where chat_id = any($1)", &ids)
        .execute(&mut *connection)
        .await?;
    let joined = chats.iter().flat_map(|chat| {
        let of = chat.participants.iter();
        of.map(|agent| (chat.id.uuid(), agent.uuid()))
    });
    let (ids, agents): (Vec<Uuid>, Vec<Uuid>) = joined.unzip();
    sqlx::query!(
        "insert into chat_participant (chat_id, agent_id, joined_at)
         select g.chat_id, g.agent_id, $3
         from unnest($1::uuid[], $2::uuid[]) with ordinality as g(chat_id, agent_id, position) order by g.position
         on conflict do nothing",
        &ids,
        &agents,
        now,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Counts the open chats of all agents anew.
pub async fn count_loads(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update agent_load l set load = counted.load
         from (select k.account, k.agent_id, count(c.chat_id)::integer as load
               from agent_load k
               left join chat_assignment c on c.account = k.account and c.agent_id = k.agent_id and c.open
               group by k.account, k.agent_id) as counted
         where l.account = counted.account and l.agent_id = counted.agent_id and l.load <> counted.load",
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Returns the versions of those of these chats that are stored.
pub async fn versions(
    connection: &mut PgConnection,
    told: &BTreeMap<ChatId, i64>,
) -> Result<BTreeMap<ChatId, i64>, sqlx::Error> {
    let ids: Vec<Uuid> = told.keys().map(|id| id.uuid()).collect();
    let rows = sqlx::query!(
        r#"select chat_id as "chat: ChatId", version from chat_assignment where chat_id = any($1)"#,
        &ids,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.chat, row.version))
        .collect())
}
