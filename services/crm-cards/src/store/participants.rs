//! Table `entity_participants`, of contacts, companies and orders; and the participants of cards, set together.

use std::collections::BTreeMap;

use chassis::id::{AccountSlug, AgentId};
use sqlx::PgConnection;
use uuid::Uuid;

use super::account as slug;
use crate::domain::entity::Card;
use crate::domain::fields::Entity;

/// An entity that agents take part in.
pub type Key = (AccountSlug, Entity, Uuid);

/// Locks who takes part in entities that are no cards, in the order of their keys; an entity without anybody gets a row.
pub async fn lock(
    connection: &mut PgConnection,
    keys: &[Key],
) -> Result<BTreeMap<Key, Vec<AgentId>>, sqlx::Error> {
    if keys.is_empty() {
        return Ok(BTreeMap::new());
    }
    let accounts: Vec<String> = keys
        .iter()
        .map(|(account, ..)| account.to_string())
        .collect();
    let entities: Vec<String> = keys.iter().map(|(_, entity, _)| (*entity).into()).collect();
    let subjects: Vec<Uuid> = keys.iter().map(|(.., subject)| *subject).collect();
    let rows = sqlx::query!(
        r#"insert into entity_participants as kept (account, entity, subject, agents)
           select account, entity, subject, '{}' from unnest($1::text[], $2::text[], $3::uuid[]) k(account, entity, subject)
           order by account, entity, subject
           on conflict (account, entity, subject) do update set agents = kept.agents
           returning account, entity, subject, agents as "agents: Vec<AgentId>""#,
        &accounts,
        &entities,
        &subjects,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let entity = Entity::try_from(row.entity);
            let entity = entity.map_err(|error| sqlx::Error::Decode(error.into()))?;
            Ok(((slug(row.account)?, entity, row.subject), row.agents))
        })
        .collect()
}

/// Sets who takes part in locked entities that are no cards; somebody does in each.
pub async fn set(
    connection: &mut PgConnection,
    participants: &BTreeMap<&Key, &[AgentId]>,
) -> Result<(), sqlx::Error> {
    let rows = || {
        let each = participants.iter();
        each.flat_map(|(key, agents)| agents.iter().map(move |agent| (*key, *agent)))
    };
    let accounts: Vec<String> = rows().map(|(key, _)| key.0.to_string()).collect();
    let entities: Vec<String> = rows().map(|(key, _)| key.1.into()).collect();
    let subjects: Vec<Uuid> = rows().map(|(key, _)| key.2).collect();
    let agents: Vec<Uuid> = rows().map(|(_, agent)| agent.uuid()).collect();
    sqlx::query!(
        "with k as (select account, entity, subject, array_agg(agent order by agent) as agents
                    from unnest($1::text[], $2::text[], $3::uuid[], $4::uuid[]) as k(account, entity, subject, agent)
                    group by account, entity, subject)
         update entity_participants p set agents = k.agents
         from k where p.account = k.account and p.entity = k.entity and p.subject = k.subject",
        &accounts,
        &entities,
        &subjects,
        &agents,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Returns who takes part in an entity that is no card, or in what was merged into it.
pub async fn of(
    connection: &mut PgConnection,
    account: &AccountSlug,
    entity: Entity,
    subjects: &[Uuid],
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select distinct agent as "agent!" from entity_participants p, unnest(p.agents) agent
           where p.account = $1 and p.entity = $2 and p.subject = any($3) order by 1"#,
        account.as_str(),
        entity.as_str(),
        subjects,
    )
    .fetch_all(connection)
    .await
}

/// Writes who takes part in locked cards; somebody does in each.
pub async fn set_of_cards(
    connection: &mut PgConnection,
    cards: &[(&AccountSlug, &Card)],
) -> Result<(), sqlx::Error> {
    let rows = || {
        let each = cards.iter();
        each.flat_map(|(account, card)| card.participants.iter().map(move |a| (account, card, *a)))
    };
    let accounts: Vec<String> = rows().map(|(account, ..)| account.to_string()).collect();
    let ids: Vec<Uuid> = rows().map(|(_, card, _)| card.id.uuid()).collect();
    let times: Vec<_> = rows().map(|(_, card, _)| card.updated_at).collect();
    let revisions: Vec<i64> = rows().map(|(_, card, _)| card.revision).collect();
    let agents: Vec<Uuid> = rows().map(|(.., agent)| agent.uuid()).collect();
    sqlx::query!(
        "with k as (select account, id, updated_at, revision, array_agg(agent order by agent) as agents
                    from unnest($1::text[], $2::uuid[], $3::timestamptz[], $4::bigint[], $5::uuid[])
                      as k(account, id, updated_at, revision, agent)
                    group by account, id, updated_at, revision)
         update card c set participants = k.agents, updated_at = k.updated_at, revision = k.revision
         from k where c.account = k.account and c.id = k.id",
        &accounts,
        &ids,
        &times,
        &revisions,
        &agents,
    )
    .execute(connection)
    .await
    .map(drop)
}
