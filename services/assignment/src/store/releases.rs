//! Agents whose access was narrowed, until the chats that they may not have any more are taken from them.

use std::collections::BTreeSet;

use chassis::access::{ChannelGrant, ChatAccess};
use chassis::actor::Actor;
use chassis::id::{AccountSlug, AgentId};
use sqlx::PgConnection;
use uuid::Uuid;

use super::agents::Agent;
use super::unreadable;
use crate::domain::ChatId;

/// An agent whose access was narrowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// The account.
    pub account: AccountSlug,
    /// The agent.
    pub agent: AgentId,
    /// Who narrowed.
    pub actor: Actor,
    /// The narrowing.
    pub change: Uuid,
}

/// Notes that agents' access was narrowed, in the transaction that narrows it. Their loads must be locked: whoever
/// gives them a chat holds that lock, so that no chat slips through between.
pub async fn note(
    connection: &mut PgConnection,
    account: &AccountSlug,
    agents: &[AgentId],
    actor: &Actor,
    change: Uuid,
) -> Result<(), sqlx::Error> {
    let agents: Vec<Uuid> = agents.iter().map(|agent| agent.uuid()).collect();
    sqlx::query!(
        "insert into agent_release (account, agent_id, actor, change)
         select $1, given.agent_id, $3, $4 from unnest($2::uuid[]) as given(agent_id)
         order by given.agent_id
         on conflict (account, agent_id) do update set actor = excluded.actor, change = excluded.change",
        account.as_str(),
        &agents,
        actor.to_string(),
        change,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Returns agents whose chats are still to be looked at.
pub async fn pending(
    connection: &mut PgConnection,
    limit: i64,
) -> Result<Vec<Release>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select account as "account: AccountSlug", agent_id as "agent: AgentId", actor, change
           from agent_release order by change limit $1"#,
        limit,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Release {
                account: row.account,
                agent: row.agent,
                actor: row
                    .actor
                    .parse()
                    .map_err(unreadable("agent_release.actor"))?,
                change: row.change,
            })
        })
        .collect()
}

/// Removes a narrowing that is done, unless another came meanwhile.
pub async fn done(connection: &mut PgConnection, release: &Release) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "delete from agent_release where account = $1 and agent_id = $2 and change = $3",
        release.account.as_str(),
        release.agent.uuid(),
        release.change,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Returns open chats that an agent answers for or has joined and may not have any more.
pub async fn chats(
    connection: &mut PgConnection,
    agent: &Agent,
    limit: i64,
) -> Result<BTreeSet<ChatId>, sqlx::Error> {
    let access = agent.access();
    let nothing = !access.active || access.chats == ChatAccess::None;
    let granted: Vec<Uuid> = match access.channels {
        _ if nothing => Vec::new(),
        ChannelGrant::All => return Ok(BTreeSet::new()),
        ChannelGrant::Some(channels) => channels.into_iter().collect(),
    };
    let ids = sqlx::query_scalar!(
        r#"(select c.chat_id as "chat_id!: ChatId" from chat_assignment c
            where c.account = $1 and c.agent_id = $2 and c.open and c.channel_id <> all($3)
            order by c.chat_id limit $4)
           union
           (select p.chat_id from chat_participant p join chat_assignment c on c.chat_id = p.chat_id
            where p.agent_id = $2 and c.account = $1 and c.open and c.channel_id <> all($3)
            order by p.chat_id limit $4)
           limit $4"#,
        agent.account.as_str(),
        agent.id.uuid(),
        &granted,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(ids.into_iter().collect())
}
