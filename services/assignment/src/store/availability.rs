//! What has a say in agents' presence, and the presence that follows.

use std::collections::BTreeSet;

use chassis::id::{AccountSlug, AgentId};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::unreadable;
use crate::domain::ChatId;
use crate::domain::availability::{Availability, Follows, Say, Set, Source};
use crate::domain::words::Presence;

/// An agent of an account.
pub type AgentKey = (AccountSlug, AgentId);

/// An agent whose row is locked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Who.
    pub agent: AgentKey,
    /// What has a say.
    pub say: Say,
    /// The presence in place.
    pub presence: Availability,
    /// Open chats are still to be given back.
    pub giving_back: bool,
}

#[expect(
    clippy::struct_excessive_bools,
    reason = "columns of a row, each a fact of its own"
)]
struct Row {
    account: AccountSlug,
    agent_id: AgentId,
    presence: String,
    presence_source: String,
    presence_reason: String,
    presence_end: Option<OffsetDateTime>,
    standing: Option<String>,
    standing_reason: String,
    until: Option<String>,
    until_reason: String,
    until_end: Option<OffsetDateTime>,
    follows_calendar: bool,
    follows_streams: bool,
    away_gives_back: bool,
    giving_back: bool,
    within_hours: bool,
    has_stream: bool,
}

fn set(word: &str, reason: String) -> Result<Set, sqlx::Error> {
    let presence = Presence::try_from(word).map_err(unreadable("agent_availability"))?;
    Ok(Set { presence, reason })
}

impl TryFrom<Row> for Held {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        let presence = Presence::try_from(row.presence.as_str());
        let until = match (row.until, row.until_end) {
            (Some(word), Some(end)) => Some((set(&word, row.until_reason)?, end)),
            _ => None,
        };
        let standing = row.standing.map(|word| set(&word, row.standing_reason));
        Ok(Self {
            agent: (row.account, row.agent_id),
            say: Say {
                until,
                standing: standing.transpose()?,
                follows: Follows {
                    calendar: row.follows_calendar,
                    streams: row.follows_streams,
                    away_gives_back: row.away_gives_back,
                },
                within_hours: row.within_hours,
                has_stream: row.has_stream,
            },
            presence: Availability {
                presence: presence.map_err(unreadable("agent.presence"))?,
                source: Source::of(&row.presence_source),
                reason: row.presence_reason,
                end: row.presence_end,
            },
            giving_back: row.giving_back,
        })
    }
}

fn columns(agents: &BTreeSet<AgentKey>) -> (Vec<String>, Vec<Uuid>) {
    let column = |(account, agent): &AgentKey| (account.to_string(), agent.uuid());
    agents.iter().map(column).unzip()
}

/// Locks agents' rows, sorted, and returns what has a say now; unknown ones are left out.
pub async fn lock(
    connection: &mut PgConnection,
    agents: &BTreeSet<AgentKey>,
    now: OffsetDateTime,
) -> Result<Vec<Held>, sqlx::Error> {
    let (accounts, ids) = columns(agents);
    // Locked first and read after: what a lock was waited for is then seen.
    sqlx::query!(
        r#"select a.agent_id from agent a
           join unnest($1::text[], $2::uuid[]) as wanted(account, agent_id)
             on a.account = wanted.account and a.agent_id = wanted.agent_id
           order by a.account collate "C", a.agent_id
           for no key update of a"#,
        &accounts,
        &ids,
    )
    .fetch_all(&mut *connection)
    .await?;
    read(connection, agents, now).await
}

/// Returns what has a say in agents' presence now.
pub async fn read(
    connection: &mut PgConnection,
    agents: &BTreeSet<AgentKey>,
    now: OffsetDateTime,
) -> Result<Vec<Held>, sqlx::Error> {
    let (accounts, ids) = columns(agents);
    let rows = sqlx::query_as!(
        Row,
        r#"select a.account as "account: AccountSlug", a.agent_id as "agent_id: AgentId", a.presence,
               a.presence_source, a.presence_reason, a.presence_end,
               v.standing as "standing?", coalesce(v.standing_reason, '') as "standing_reason!",
               v.until as "until?", coalesce(v.until_reason, '') as "until_reason!",
               v.until_end as "until_end?",
               coalesce(v.follows_calendar, false) as "follows_calendar!",
               coalesce(v.follows_streams, false) as "follows_streams!",
               coalesce(v.away_gives_back, false) as "away_gives_back!",
               coalesce(v.giving_back, false) as "giving_back!",
               coalesce(own.open, base.open, true) as "within_hours!",
               exists (select from presence_lease s where s.account = a.account
                       and s.agent_id = a.agent_id and s.expires_at > $3) as "has_stream!"
           from agent a
           join unnest($1::text[], $2::uuid[]) as wanted(account, agent_id)
             on a.account = wanted.account and a.agent_id = wanted.agent_id
           left join agent_availability v on v.account = a.account and v.agent_id = a.agent_id
           left join calendar own
             on own.account = a.account and own.owner = 'agent' and own.owner_id = a.agent_id
           left join calendar base on base.account = a.account and base.owner = 'account'"#,
        &accounts,
        &ids,
        now,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(Held::try_from).collect()
}

/// Writes locked agents: what has a say, and the presence that follows.
pub async fn write(connection: &mut PgConnection, held: &[Held]) -> Result<(), sqlx::Error> {
    if held.is_empty() {
        return Ok(());
    }
    let accounts: Vec<String> = held.iter().map(|h| h.agent.0.to_string()).collect();
    let ids: Vec<Uuid> = held.iter().map(|h| h.agent.1.uuid()).collect();
    let presences: Vec<String> = held
        .iter()
        .map(|h| h.presence.presence.as_str().to_owned())
        .collect();
    let sources: Vec<String> = held
        .iter()
        .map(|h| h.presence.source.as_str().to_owned())
        .collect();
    let reasons: Vec<String> = held.iter().map(|h| h.presence.reason.clone()).collect();
    let ends: Vec<Option<OffsetDateTime>> = held.iter().map(|h| h.presence.end).collect();
    sqlx::query!(
        "update agent a set presence = g.presence, presence_source = g.source, presence_reason = g.reason,
             presence_end = g.ends
         from unnest($1::text[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::timestamptz[])
              as g(account, agent_id, presence, source, reason, ends)
         where a.account = g.account and a.agent_id = g.agent_id",
        &accounts,
        &ids,
        &presences,
        &sources,
        &reasons,
        &ends as &[Option<OffsetDateTime>],
    )
    .execute(&mut *connection)
    .await?;
    let word = |set: Option<&Set>| set.map(|set| set.presence.as_str().to_owned());
    let text = |set: Option<&Set>| set.map(|set| set.reason.clone()).unwrap_or_default();
    let standing = |h: &Held| h.say.standing.clone();
    let until = |h: &Held| h.say.until.as_ref().map(|(set, _)| set.clone());
    let standings: Vec<_> = held.iter().map(|h| word(standing(h).as_ref())).collect();
    let standing_reasons: Vec<_> = held.iter().map(|h| text(standing(h).as_ref())).collect();
    let untils: Vec<_> = held.iter().map(|h| word(until(h).as_ref())).collect();
    let until_reasons: Vec<_> = held.iter().map(|h| text(until(h).as_ref())).collect();
    let until_ends: Vec<_> = held
        .iter()
        .map(|h| h.say.until.as_ref().map(|(_, end)| *end))
        .collect();
    let calendars: Vec<bool> = held.iter().map(|h| h.say.follows.calendar).collect();
    let streams: Vec<bool> = held.iter().map(|h| h.say.follows.streams).collect();
    let aways: Vec<bool> = held.iter().map(|h| h.say.follows.away_gives_back).collect();
    let giving: Vec<bool> = held.iter().map(|h| h.giving_back).collect();
    sqlx::query!(
        "insert into agent_availability (account, agent_id, standing, standing_reason, until, until_reason,
             until_end, follows_calendar, follows_streams, away_gives_back, giving_back)
         select * from unnest($1::text[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[],
             $7::timestamptz[], $8::boolean[], $9::boolean[], $10::boolean[], $11::boolean[])
         on conflict (account, agent_id) do update
         set standing = excluded.standing, standing_reason = excluded.standing_reason,
             until = excluded.until, until_reason = excluded.until_reason, until_end = excluded.until_end,
             follows_calendar = excluded.follows_calendar, follows_streams = excluded.follows_streams,
             away_gives_back = excluded.away_gives_back, giving_back = excluded.giving_back",
        &accounts,
        &ids,
        &standings as &[Option<String>],
        &standing_reasons,
        &untils as &[Option<String>],
        &until_reasons,
        &until_ends as &[Option<OffsetDateTime>],
        &calendars,
        &streams,
        &aways,
        &giving,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Returns agents whose presence is to be decided anew: an end has come, or what they follow says something else.
/// It may name one too many; [`crate::domain::availability::availability`] decides.
pub async fn unsettled(
    connection: &mut PgConnection,
    now: OffsetDateTime,
    limit: i64,
) -> Result<BTreeSet<AgentKey>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select v.account as "account!: AccountSlug", v.agent_id as "agent_id!: AgentId"
           from agent_availability v where v.until_end <= $1
           union
           select v.account, v.agent_id from agent_availability v
           join agent a on a.account = v.account and a.agent_id = v.agent_id
           left join calendar own
             on own.account = v.account and own.owner = 'agent' and own.owner_id = v.agent_id
           left join calendar base on base.account = v.account and base.owner = 'account'
           where (v.follows_calendar or v.follows_streams) and v.until is null and v.standing is null
             and (a.presence = 'online') <> case when v.follows_calendar then coalesce(own.open, base.open, true)
                 else exists (select from presence_lease s where s.account = v.account
                              and s.agent_id = v.agent_id and s.expires_at > $1) end
           limit $2"#,
        now,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.account, row.agent_id))
        .collect())
}

/// Returns agents whose open chats are still to be given back.
pub async fn giving_back(
    connection: &mut PgConnection,
    limit: i64,
) -> Result<BTreeSet<AgentKey>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select account as "account: AccountSlug", agent_id as "agent_id: AgentId"
           from agent_availability where giving_back order by account, agent_id limit $1"#,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.account, row.agent_id))
        .collect())
}

/// Locks that an agent's open chats are still to be given back; false where they are not.
pub async fn lock_giving_back(
    connection: &mut PgConnection,
    (account, agent): &AgentKey,
) -> Result<bool, sqlx::Error> {
    let found = sqlx::query_scalar!(
        "select true from agent_availability where account = $1 and agent_id = $2 and giving_back for update",
        account.as_str(),
        agent.uuid(),
    )
    .fetch_optional(connection)
    .await?;
    Ok(found.is_some())
}

/// Notes that an agent's open chats are given back.
pub async fn gave_back(
    connection: &mut PgConnection,
    (account, agent): &AgentKey,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update agent_availability set giving_back = false where account = $1 and agent_id = $2",
        account.as_str(),
        agent.uuid(),
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Returns open chats of an agent, the oldest first.
pub async fn open_chats(
    connection: &mut PgConnection,
    (account, agent): &AgentKey,
    limit: i64,
) -> Result<BTreeSet<ChatId>, sqlx::Error> {
    let ids = sqlx::query_scalar!(
        r#"select chat_id as "chat_id: ChatId" from chat_assignment
           where account = $1 and agent_id = $2 and open order by open_time, chat_id limit $3"#,
        account.as_str(),
        agent.uuid(),
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(ids.into_iter().collect())
}
