//! Copy of assignment's word on chats.

use std::collections::BTreeMap;

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::assignment::Assignment;
use crate::domain::{AgentId, ChatId};

/// Open chats of an agent's Active tab that they have joined, at most.
const MAX_JOINED: i64 = 10_000;

/// Keeps assignments, one for each chat, sorted; returns the chats where the version was higher than the known one.
pub async fn keep(
    connection: &mut PgConnection,
    assignments: &[(AccountSlug, Assignment)],
) -> Result<Vec<ChatId>, sqlx::Error> {
    if assignments.is_empty() {
        return Ok(Vec::new());
    }
    macro_rules! column {
        (|$account:pat_param, $assignment:pat_param| $value:expr) => {
            assignments
                .iter()
                .map(|($account, $assignment)| $value)
                .collect::<Vec<_>>()
        };
    }
    // An array of arrays must be rectangular: participants travel as one text each.
    let participants = column!(|_, assignment| {
        let ids: Vec<String> = assignment
            .participants
            .iter()
            .map(ToString::to_string)
            .collect();
        ids.join(",")
    });
    sqlx::query_scalar!(
        r#"insert into chat_assignment as known (chat_id, account, number, responsible, participants, version, offered)
           select new.chat_id, new.account, new.number, new.responsible,
               string_to_array(new.participants, ',')::uuid[], new.version, new.offered
           from unnest($1::uuid[], $2::text[], $3::bigint[], $4::uuid[], $5::text[], $6::bigint[],
                       $7::boolean[])
               as new (chat_id, account, number, responsible, participants, version, offered)
           on conflict (chat_id) do update
           set number = excluded.number, responsible = excluded.responsible,
               participants = excluded.participants, version = excluded.version, offered = excluded.offered
           where known.version < excluded.version and known.account = excluded.account
           returning chat_id as "chat: ChatId""#,
        &column!(|_, assignment| assignment.chat) as &[ChatId],
        &column!(|account, _| account.to_string()),
        &column!(|_, assignment| assignment.number),
        &column!(|_, assignment| assignment.responsible) as &[Option<AgentId>],
        &participants,
        &column!(|_, assignment| assignment.version),
        &column!(|_, assignment| assignment.offered),
    )
    .fetch_all(connection)
    .await
}

/// Makes an empty copy for new chats, so that whoever brings an assignment meanwhile waits for this row; returns
/// those that were there before.
pub async fn begin(
    connection: &mut PgConnection,
    chats: &BTreeMap<ChatId, AccountSlug>,
) -> Result<Vec<Assignment>, sqlx::Error> {
    let ids: Vec<ChatId> = chats.keys().copied().collect();
    let accounts: Vec<String> = chats.values().map(ToString::to_string).collect();
    let rows = sqlx::query!(
        r#"insert into chat_assignment as known (chat_id, account, number, participants, version)
           select *, 0, '{}'::uuid[], 0 from unnest($1::uuid[], $2::text[])
           on conflict (chat_id) do update set version = known.version
           returning chat_id as "chat: ChatId", number, responsible as "responsible: AgentId", participants, version,
               offered"#,
        &ids as &[ChatId],
        &accounts,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .filter(|row| row.version > 0)
        .map(|row| Assignment {
            chat: row.chat,
            number: row.number,
            responsible: row.responsible,
            participants: agents(row.participants),
            version: row.version,
            offered: row.offered,
        })
        .collect())
}

/// Returns the copies of chats.
pub async fn get(
    connection: &mut PgConnection,
    chats: &[ChatId],
) -> Result<BTreeMap<ChatId, Assignment>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select chat_id as "chat: ChatId", number, responsible as "responsible: AgentId", participants, version, offered
           from chat_assignment where chat_id = any($1)"#,
        chats as &[ChatId],
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let assignment = Assignment {
                chat: row.chat,
                number: row.number,
                responsible: row.responsible,
                participants: agents(row.participants),
                version: row.version,
                offered: row.offered,
            };
            (row.chat, assignment)
        })
        .collect())
}

/// Returns the open chats that an agent has joined beside the responsible.
pub async fn joined(
    connection: &mut PgConnection,
    account: &AccountSlug,
    agent: AgentId,
) -> Result<Vec<ChatId>, sqlx::Error> {
    // Participants belong to the conversation that they joined.
    sqlx::query_scalar!(
        r#"select a.chat_id as "chat: ChatId" from chat_assignment a join chat c on c.chat_id = a.chat_id
           where a.participants <> '{}' and a.participants @> array[$2::uuid] and a.account = $1
             and c.state = 'active' and c.number = a.number
           limit $3"#,
        account.as_str(),
        agent as AgentId,
        MAX_JOINED,
    )
    .fetch_all(connection)
    .await
}

fn agents(ids: Vec<Uuid>) -> Vec<AgentId> {
    ids.into_iter().map(AgentId::from).collect()
}
