//! Who may answer for something: an agent of the account who is active (X06).

use std::collections::BTreeSet;

use chassis::access::AccessError;
use chassis::auth::Caller;
use chassis::grpc::FieldViolation;
use chassis::id::AgentId;

use super::App;
use crate::domain::external::Standing;
use crate::error::Error;

/// Agents whom a request names, with what they are.
pub(super) struct Named(Vec<(AgentId, Standing)>);

/// Finds out what agents are. To be asked before a transaction: one whom the copy has not is asked for.
pub(super) async fn named(
    app: &App,
    caller: &Caller,
    agents: impl IntoIterator<Item = AgentId>,
) -> Result<Named, Error> {
    let agents: BTreeSet<_> = agents
        .into_iter()
        .map(|agent| (caller.account().clone(), agent))
        .collect();
    let AccessError::Away(why) = match app.staff.several(&agents).await {
        Ok(records) => {
            let standing = |key: &(_, AgentId)| match records.get(key) {
                Some(record) if record.active => Standing::Active,
                Some(_) => Standing::Inactive,
                None => Standing::Unknown,
            };
            let named = agents.iter().map(|key| (key.1, standing(key)));
            return Ok(Named(named.collect()));
        }
        Err(away) => away,
    };
    Err(Error::StaffAway(why))
}

impl Named {
    /// Returns what an agent is.
    pub(super) fn standing(&self, agent: AgentId) -> Standing {
        let found = self.0.iter().find(|(known, _)| *known == agent);
        found.map_or(Standing::Unknown, |(_, standing)| *standing)
    }

    /// Refuses to give something to who cannot answer for it; who does already stays.
    pub(super) fn may_get(
        &self,
        field: &str,
        agent: Option<AgentId>,
        before: Option<AgentId>,
    ) -> Result<(), Error> {
        let Some(agent) = agent.filter(|agent| before != Some(*agent)) else {
            return Ok(());
        };
        let description = match self.standing(agent) {
            Standing::Active => return Ok(()),
            Standing::Inactive => "names an agent who is not active",
            Standing::Unknown => "names no agent of the account",
        };
        Err(Error::Fields(vec![FieldViolation::new(field, description)]))
    }
}
