//! What an agent may see and do, as assignment evaluated it, and the copy that every service keeps of it.

mod copy;
mod fetch;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use copy::{AccessCopy, AccessFetch};
pub use fetch::{FromAssignment, InvalidAccess};

use crate::id::{AccountSlug, AgentId};

/// The rights of one agent. The highest version wins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessRecord {
    /// Whose rights these are.
    pub agent: AgentId,
    /// Raised by assignment with every change.
    pub version: u64,
    /// Whether the agent, and its account, may use the API at all.
    pub active: bool,
    /// The channels whose chats may be seen.
    pub channels: ChannelGrant,
    /// What may be done in chats.
    pub chats: ChatAccess,
    /// Leads, deals and orders.
    pub leads: KindAccess,
    /// Contacts, companies and buyers.
    pub contacts: KindAccess,
    /// Whether settings may be changed.
    pub settings: bool,
}

impl AccessRecord {
    /// Tells whether chats of this channel are within the agent's rights.
    pub fn may_see_channel(&self, channel: Uuid) -> bool {
        match &self.channels {
            ChannelGrant::All => true,
            ChannelGrant::Some(channels) => channels.contains(&channel),
        }
    }
}

/// The channels an agent is granted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChannelGrant {
    /// Every channel, later ones too.
    All,
    /// These only.
    Some(BTreeSet<Uuid>),
}

/// What an agent may do in chats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChatAccess {
    /// Nothing.
    None,
    /// Sees and answers chats; what connects them with CRM is hidden (F176).
    Limited,
    /// All chats of the granted channels.
    Full,
}

/// Rights over one kind of CRM entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KindAccess {
    /// Whether new ones may be created.
    pub create: bool,
    /// Which may be seen.
    pub view: View,
}

/// Which entities may be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum View {
    /// None.
    None,
    /// Those the agent is responsible for.
    Own,
    /// All.
    All,
}

/// Why rights could not be told.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The database or assignment is away.
    #[error("access records are not available: {0}")]
    Away(String),
}

impl From<sqlx::Error> for AccessError {
    fn from(error: sqlx::Error) -> Self {
        Self::Away(error.to_string())
    }
}

/// Where the auth layer finds the rights of an agent. Assignment reads its own tables, the others a copy.
#[tonic::async_trait]
pub trait AccessSource: Send + Sync + 'static {
    /// Returns the rights of an agent, or none when the account has no such agent.
    async fn access(
        &self,
        account: &AccountSlug,
        agent: AgentId,
    ) -> Result<Option<AccessRecord>, AccessError>;

    /// Tells whether an account is suspended: asked for tokens of services, which have no record.
    async fn suspended(&self, _account: &AccountSlug) -> Result<bool, AccessError> {
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_granted_to_all_or_one_by_one() {
        let (granted, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let mut record = AccessRecord {
            agent: Uuid::from_u128(9).into(),
            version: 1,
            active: true,
            channels: ChannelGrant::Some([granted].into()),
            chats: ChatAccess::Full,
            leads: KindAccess {
                create: true,
                view: View::Own,
            },
            contacts: KindAccess {
                create: true,
                view: View::All,
            },
            settings: false,
        };
        assert!(record.may_see_channel(granted) && !record.may_see_channel(other));
        let json = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<AccessRecord>(&json).unwrap(), record);
        record.channels = ChannelGrant::All;
        assert!(record.may_see_channel(other));
    }
}
