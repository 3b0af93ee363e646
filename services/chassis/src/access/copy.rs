//! The copy of access records in table `chassis.agent_access`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use moka::future::Cache;
use sqlx::types::Json;
use sqlx::{PgConnection, PgPool};

use super::{AccessError, AccessRecord, AccessSource};
use crate::id::{AccountSlug, AgentId};

/// How long a replica may answer from memory: the bound for a change that another replica applied.
const REMEMBERED: Duration = Duration::from_secs(1);

/// Agents remembered at once.
const CAPACITY: u64 = 50_000;

/// Missing records that are asked for side by side.
const ASKED_AT_ONCE: usize = 8;

/// Where a missing record is asked for, once: assignment, or nowhere in a test.
#[tonic::async_trait]
pub trait AccessFetch: Send + Sync + 'static {
    /// Returns the record as its owner has it, or none when the account has no such agent.
    async fn fetch(
        &self,
        account: &AccountSlug,
        agent: AgentId,
    ) -> Result<Option<AccessRecord>, AccessError>;
}

/// A service's copy of access records: memory, then the table, then one question to assignment.
#[derive(Clone)]
pub struct AccessCopy {
    pool: PgPool,
    fetch: Arc<dyn AccessFetch>,
    cache: Cache<(AccountSlug, AgentId), Option<AccessRecord>>,
}

impl AccessCopy {
    /// Makes the copy over a service's database; `fetch` fills what is missing.
    pub fn new(pool: PgPool, fetch: Arc<dyn AccessFetch>) -> Self {
        let cache = Cache::builder()
            .max_capacity(CAPACITY)
            .time_to_live(REMEMBERED)
            .build();
        Self { pool, fetch, cache }
    }

    /// Keeps records that `agent.access-changed` brought; of several versions the highest stays.
    ///
    /// Call [`AccessCopy::invalidate`] with the same agents after the commit.
    pub async fn apply(
        connection: &mut PgConnection,
        records: &[(AccountSlug, AccessRecord)],
    ) -> Result<(), sqlx::Error> {
        // One row per agent, sorted: an insert may not touch a row twice, and unsorted batches deadlock.
        let mut newest = BTreeMap::new();
        for (account, record) in records {
            let kept = newest.entry((account, record.agent)).or_insert(record);
            if kept.version < record.version {
                *kept = record;
            }
        }
        let accounts: Vec<String> = newest
            .keys()
            .map(|(account, _)| account.to_string())
            .collect();
        let agents: Vec<uuid::Uuid> = newest.keys().map(|(_, agent)| agent.uuid()).collect();
        let versions: Vec<i64> = newest
            .values()
            .map(|record| record.version.cast_signed())
            .collect();
        let bodies: Vec<serde_json::Value> = newest
            .values()
            .map(serde_json::to_value)
            .collect::<Result<_, _>>()
            .map_err(|error| sqlx::Error::Encode(error.into()))?;
        sqlx::query!(
            "insert into chassis.agent_access as kept (account, agent, version, record)
             select * from unnest($1::text[], $2::uuid[], $3::bigint[], $4::jsonb[])
             on conflict (account, agent) do update
             set version = excluded.version, record = excluded.record
             where kept.version < excluded.version",
            &accounts,
            &agents,
            &versions,
            &bodies,
        )
        .execute(connection)
        .await
        .map(drop)
    }

    /// Forgets agents in memory, so that the next request reads the table.
    pub async fn invalidate(&self, agents: &[(AccountSlug, AgentId)]) {
        for key in agents {
            self.cache.invalidate(key).await;
        }
    }

    /// Returns the records of several agents; those whom the account has not are left out. The table is read anew, in one
    /// query, and a record that it has not is asked for once.
    pub async fn several(
        &self,
        keys: &BTreeSet<(AccountSlug, AgentId)>,
    ) -> Result<BTreeMap<(AccountSlug, AgentId), AccessRecord>, AccessError> {
        if keys.is_empty() {
            return Ok(BTreeMap::new());
        }
        let accounts: Vec<String> = keys
            .iter()
            .map(|(account, _)| account.to_string())
            .collect();
        let agents: Vec<uuid::Uuid> = keys.iter().map(|(_, agent)| agent.uuid()).collect();
        let kept = sqlx::query!(
            r#"select k.account as "account!: AccountSlug", a.record as "record: Json<AccessRecord>"
               from unnest($1::text[], $2::uuid[]) as k(account, agent)
               join chassis.agent_access a on a.account = k.account and a.agent = k.agent"#,
            &accounts,
            &agents,
        )
        .fetch_all(&self.pool)
        .await?;
        let mut found: BTreeMap<(AccountSlug, AgentId), AccessRecord> = kept
            .into_iter()
            .map(|row| ((row.account, row.record.0.agent), row.record.0))
            .collect();
        let missing = keys.iter().filter(|key| !found.contains_key(*key)).cloned();
        let missing: Vec<(AccountSlug, AgentId)> = missing.collect();
        let asked: Vec<_> = stream::iter(missing)
            .map(|(account, agent)| async move {
                let record = self.access(&account, agent).await?;
                Ok::<_, AccessError>(record.map(|record| ((account, agent), record)))
            })
            .buffer_unordered(ASKED_AT_ONCE)
            .try_collect()
            .await?;
        found.extend(asked.into_iter().flatten());
        Ok(found)
    }

    async fn look_up(
        &self,
        account: &AccountSlug,
        agent: AgentId,
    ) -> Result<Option<AccessRecord>, AccessError> {
        let kept = sqlx::query_scalar!(
            r#"select record as "record: Json<AccessRecord>" from chassis.agent_access
               where account = $1 and agent = $2"#,
            account.as_str(),
            agent.uuid(),
        )
        .fetch_optional(&self.pool)
        .await?;
        if let Some(Json(record)) = kept {
            return Ok(Some(record));
        }
        let Some(record) = self.fetch.fetch(account, agent).await? else {
            return Ok(None);
        };
        let mut connection = self.pool.acquire().await?;
        Self::apply(&mut connection, &[(account.clone(), record.clone())]).await?;
        Ok(Some(record))
    }
}

#[tonic::async_trait]
impl AccessSource for AccessCopy {
    async fn access(
        &self,
        account: &AccountSlug,
        agent: AgentId,
    ) -> Result<Option<AccessRecord>, AccessError> {
        self.cache
            .try_get_with((account.clone(), agent), self.look_up(account, agent))
            .await
            .map_err(|error| AccessError::Away(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, Records};

    #[tokio::test]
    async fn the_highest_version_is_kept_and_a_missing_record_is_asked_for() {
        let database = testing::database(&crate::MIGRATOR).await;
        let owner = Records::default();
        let copy = AccessCopy::new(database.pool.clone(), Arc::new(owner.clone()));
        let acme = testing::account("acme");
        let agent = AgentId::from(uuid::Uuid::from_u128(1));
        let version = |version| AccessRecord {
            version,
            ..testing::full_access(agent)
        };
        let kept = async || {
            let record = copy.access(&acme, agent).await.unwrap();
            record.map(|record| record.version)
        };

        assert_eq!(kept().await, None);
        owner.put(&acme, version(3));
        copy.invalidate(&[(acme.clone(), agent)]).await;
        assert_eq!(kept().await, Some(3), "asked of the owner");
        owner.0.lock().unwrap().clear();
        copy.invalidate(&[(acme.clone(), agent)]).await;
        assert_eq!(kept().await, Some(3), "kept in the table");

        for (brought, expected) in [(vec![2], 3), (vec![5, 4], 5), (vec![5], 5), (vec![], 5)] {
            let records: Vec<_> = brought
                .iter()
                .map(|v| (acme.clone(), version(*v)))
                .collect();
            let mut tx = database.pool.begin().await.unwrap();
            AccessCopy::apply(&mut tx, &records).await.unwrap();
            tx.commit().await.unwrap();
            copy.invalidate(&[(acme.clone(), agent)]).await;
            assert_eq!(kept().await, Some(expected), "{brought:?}");
        }
        let other = testing::account("other");
        assert_eq!(copy.access(&other, agent).await.unwrap(), None);

        let fetched = AgentId::from(uuid::Uuid::from_u128(2));
        owner.put(&acme, testing::full_access(fetched));
        let keys = [
            (acme.clone(), agent),
            (acme.clone(), fetched),
            (other, agent),
        ];
        let found = copy.several(&keys.clone().into()).await.unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), [&keys[0], &keys[1]]);
        assert_eq!(found[&keys[0]].version, 5);
    }
}
