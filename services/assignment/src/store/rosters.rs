//! The agents of an account as choices look at them, remembered between transactions: a look reads what has changed
//! since the last, and not a thousand rows.

use std::collections::BTreeMap;

use chassis::id::{AccountSlug, AgentId};
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::agents::{self, Agent};
use crate::domain::candidates::Colleague;

/// An account's agents as they were committed at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roster {
    /// The oldest transaction that had not ended then: what it and later ones write is to be read.
    seen: i64,
    /// What holds for all agents: changed, everybody is read.
    base: Base,
    agents: BTreeMap<AgentId, Agent>,
}

/// What the agents of an account have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Base {
    suspended: bool,
    open: Option<bool>,
}

impl Roster {
    /// How many agents there are.
    pub fn len(&self) -> usize {
        self.agents.len()
    }

    /// Tells whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.agents.is_empty()
    }

    /// Returns everybody as distribution sees them at a time.
    pub fn colleagues(&self, now: OffsetDateTime) -> BTreeMap<AgentId, Colleague> {
        let agents = self.agents.iter();
        agents
            .map(|(id, agent)| (*id, agent.colleague(now)))
            .collect()
    }
}

/// Reads an account's agents; with a roster that is known, only who has changed since.
///
/// It must be read before the transaction changes agents: what is rolled back would be remembered otherwise.
pub async fn read(
    connection: &mut PgConnection,
    account: &AccountSlug,
    known: Option<&Roster>,
) -> Result<Roster, sqlx::Error> {
    let since = known.map_or(i64::MAX, |known| known.seen);
    // From the newest, so that the index is what the planner takes whatever it expects of the comparison.
    let row = sqlx::query!(
        r#"select pg_snapshot_xmin(pg_current_snapshot())::text::bigint as "seen!",
               coalesce((select suspended from account where slug = $1), false) as "suspended!",
               (select open from calendar where account = $1 and owner = 'account') as base_open,
               array(select agent_id from agent where account = $1 and changed >= $2 order by changed desc)
               || array(select agent_id from agent_load where account = $1 and changed >= $2
                        order by changed desc)
               || array(select owner_id from calendar where account = $1 and owner = 'agent' and changed >= $2
                        order by changed desc) as "changed!"
           "#,
        account.as_str(),
        since,
    )
    .fetch_one(&mut *connection)
    .await?;
    let base = Base {
        suspended: row.suspended,
        open: row.base_open,
    };
    // A database that was restored counts its transactions anew.
    let known = known.filter(|known| known.base == base && known.seen <= row.seen);
    let mut roster = Roster {
        seen: row.seen,
        base,
        agents: known.map(|known| known.agents.clone()).unwrap_or_default(),
    };
    let read = if known.is_none() {
        agents::of_account(connection, account).await?
    } else if row.changed.is_empty() {
        Vec::new()
    } else {
        let Base { suspended, open } = base;
        agents::of_known_account(connection, account, &row.changed, suspended, open).await?
    };
    roster
        .agents
        .extend(read.into_iter().map(|agent| (agent.id, agent)));
    Ok(roster)
}
