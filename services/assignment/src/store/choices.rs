//! Every choice as it was made (D22, B06).

use chassis::id::{AccountSlug, AgentId};
use sqlx::PgConnection;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::unreadable;
use crate::domain::choose::Candidate;
use crate::domain::words::Rule;
use crate::domain::{ChatId, ConversationId};

/// A choice to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChoiceRow {
    /// Its account.
    pub account: AccountSlug,
    /// The chat.
    pub chat: ChatId,
    /// The conversation.
    pub conversation: ConversationId,
    /// The conversation's number.
    pub number: i64,
    /// When it was made.
    pub time: OffsetDateTime,
    /// The rule that decided.
    pub rule: Rule,
    /// Who was chosen; none where nobody was.
    pub agent: Option<AgentId>,
    /// Who acted, as in `ce-sbactor`.
    pub actor: String,
    /// Everybody who was looked at.
    pub candidates: Vec<Candidate>,
}

/// Inserts choices in the order in which they were made.
pub async fn insert(connection: &mut PgConnection, rows: &[ChoiceRow]) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let accounts: Vec<String> = rows.iter().map(|r| r.account.to_string()).collect();
    let chats: Vec<Uuid> = rows.iter().map(|r| r.chat.uuid()).collect();
    let conversations: Vec<Uuid> = rows.iter().map(|r| r.conversation.uuid()).collect();
    let numbers: Vec<i64> = rows.iter().map(|r| r.number).collect();
    let times: Vec<OffsetDateTime> = rows.iter().map(|r| r.time).collect();
    let rules: Vec<&str> = rows.iter().map(|r| r.rule.as_str()).collect();
    let agents: Vec<Option<Uuid>> = rows.iter().map(|r| r.agent.map(AgentId::uuid)).collect();
    let actors: Vec<String> = rows.iter().map(|r| r.actor.clone()).collect();
    let candidates: Vec<serde_json::Value> = rows
        .iter()
        .map(|row| serde_json::to_value(&row.candidates))
        .collect::<Result<_, _>>()
        .map_err(|error| sqlx::Error::Encode(error.into()))?;
    sqlx::query!(
        "insert into assignment_choice (account, chat_id, conversation_id, number, time, rule, agent_id,
             actor, candidates)
         select g.account, g.chat_id, g.conversation_id, g.number, g.time, g.rule, g.agent_id, g.actor,
                g.candidates
         from unnest($1::text[], $2::uuid[], $3::uuid[], $4::bigint[], $5::timestamptz[], $6::text[],
                     $7::uuid[], $8::text[], $9::jsonb[]) with ordinality
              as g(account, chat_id, conversation_id, number, time, rule, agent_id, actor, candidates,
                   position)
         order by g.position",
        &accounts,
        &chats,
        &conversations,
        &numbers,
        &times,
        &rules as &[&str],
        &agents as &[Option<Uuid>],
        &actors,
        &candidates,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Returns choices of a chat before a choice's number, newest first, each with its number.
pub async fn list(
    connection: &mut PgConnection,
    account: &AccountSlug,
    chat: ChatId,
    before: i64,
    limit: i64,
) -> Result<Vec<(i64, ChoiceRow)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select choice_id, conversation_id as "conversation_id: ConversationId", number, time, rule,
               agent_id as "agent_id: AgentId", actor, candidates as "candidates: Json<Vec<Candidate>>"
           from assignment_choice
           where account = $1 and chat_id = $2 and choice_id < $3
           order by choice_id desc limit $4"#,
        account.as_str(),
        chat.uuid(),
        before,
        limit,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let rule =
                Rule::try_from(row.rule.as_str()).map_err(unreadable("assignment_choice.rule"))?;
            let choice = ChoiceRow {
                account: account.clone(),
                chat,
                conversation: row.conversation_id,
                number: row.number,
                time: row.time,
                rule,
                agent: row.agent_id,
                actor: row.actor,
                candidates: row.candidates.0,
            };
            Ok((row.choice_id, choice))
        })
        .collect()
}
