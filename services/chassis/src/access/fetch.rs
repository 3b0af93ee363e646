//! Access records on the wire, and asking assignment for one.

use std::collections::BTreeSet;

use switchboard_proto::assignment::v1 as wire;
use switchboard_proto::assignment::v1::assignment_service_client::AssignmentServiceClient;
use tonic::Code;
use tonic::transport::Channel;

use super::{AccessError, AccessFetch, AccessRecord, ChannelGrant, ChatAccess, KindAccess, View};
use crate::client::Internal;
use crate::id::{AccountSlug, AgentId};

/// Asks assignment, the owner of access records.
#[derive(Clone)]
pub struct FromAssignment {
    channel: Channel,
    internal: Internal,
}

impl FromAssignment {
    /// Makes the question over a channel to assignment.
    pub fn new(channel: Channel, internal: Internal) -> Self {
        Self { channel, internal }
    }
}

#[tonic::async_trait]
impl AccessFetch for FromAssignment {
    async fn fetch(
        &self,
        account: &AccountSlug,
        agent: AgentId,
    ) -> Result<Option<AccessRecord>, AccessError> {
        let internal = self.internal.for_account(account);
        let mut assignment =
            AssignmentServiceClient::with_interceptor(self.channel.clone(), internal);
        let asked = wire::GetAgentAccessRequest {
            agent_id: agent.to_string(),
        };
        match assignment.get_agent_access(asked).await {
            Ok(answer) => {
                let access = answer.into_inner().access;
                access
                    .map(AccessRecord::try_from)
                    .transpose()
                    .map_err(|error| AccessError::Away(error.to_string()))
            }
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(AccessError::Away(format!(
                "assignment: {}: {}",
                status.code(),
                status.message()
            ))),
        }
    }
}

/// An access record from the wire that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("access record: {0}")]
pub struct InvalidAccess(&'static str);

impl TryFrom<wire::AgentAccess> for AccessRecord {
    type Error = InvalidAccess;

    fn try_from(access: wire::AgentAccess) -> Result<Self, Self::Error> {
        let chats = match access.chats() {
            wire::ChatAccess::Full => ChatAccess::Full,
            wire::ChatAccess::Limited => ChatAccess::Limited,
            // A value newer than we are grants nothing.
            wire::ChatAccess::None | wire::ChatAccess::Unspecified => ChatAccess::None,
        };
        Ok(Self {
            agent: access
                .agent_id
                .parse()
                .map_err(|_| InvalidAccess("agent_id is no UUID"))?,
            version: u64::try_from(access.version)
                .map_err(|_| InvalidAccess("version is negative"))?,
            active: access.active,
            channels: channels(access.channels)?,
            chats,
            leads: kind(access.leads),
            contacts: kind(access.contacts),
            settings: access.settings,
        })
    }
}

fn channels(grant: Option<wire::ChannelGrant>) -> Result<ChannelGrant, InvalidAccess> {
    let Some(grant) = grant else {
        return Ok(ChannelGrant::Some(BTreeSet::new()));
    };
    if grant.all {
        return Ok(ChannelGrant::All);
    }
    let channels: Result<_, _> = grant.channel_ids.iter().map(|id| id.parse()).collect();
    channels
        .map(ChannelGrant::Some)
        .map_err(|_| InvalidAccess("a channel id is no UUID"))
}

fn kind(access: Option<wire::KindAccess>) -> KindAccess {
    let access = access.unwrap_or_default();
    let view = match access.view() {
        wire::View::All => View::All,
        wire::View::Own => View::Own,
        wire::View::None | wire::View::Unspecified => View::None,
    };
    KindAccess {
        create: access.create,
        view,
    }
}

impl From<&AccessRecord> for wire::AgentAccess {
    fn from(record: &AccessRecord) -> Self {
        let channels = match &record.channels {
            ChannelGrant::All => wire::ChannelGrant {
                all: true,
                channel_ids: Vec::new(),
            },
            ChannelGrant::Some(channels) => wire::ChannelGrant {
                all: false,
                channel_ids: channels.iter().map(ToString::to_string).collect(),
            },
        };
        let chats = match record.chats {
            ChatAccess::None => wire::ChatAccess::None,
            ChatAccess::Limited => wire::ChatAccess::Limited,
            ChatAccess::Full => wire::ChatAccess::Full,
        };
        Self {
            agent_id: record.agent.to_string(),
            version: record.version.cast_signed(),
            active: record.active,
            channels: Some(channels),
            chats: chats.into(),
            leads: Some(record.leads.into()),
            contacts: Some(record.contacts.into()),
            settings: record.settings,
        }
    }
}

impl From<KindAccess> for wire::KindAccess {
    fn from(access: KindAccess) -> Self {
        let view = match access.view {
            View::None => wire::View::None,
            View::Own => wire::View::Own,
            View::All => wire::View::All,
        };
        Self {
            create: access.create,
            view: view.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn records_survive_the_wire() {
        let agent = AgentId::from(Uuid::from_u128(1));
        let mut record = crate::testing::full_access(agent);
        assert_eq!(
            AccessRecord::try_from(wire::AgentAccess::from(&record)),
            Ok(record.clone())
        );
        record.channels = ChannelGrant::Some([Uuid::from_u128(2)].into());
        record.chats = ChatAccess::Limited;
        record.leads = KindAccess {
            create: false,
            view: View::Own,
        };
        assert_eq!(
            AccessRecord::try_from(wire::AgentAccess::from(&record)),
            Ok(record)
        );
    }

    #[test]
    fn values_from_the_future_grant_nothing() {
        let access = wire::AgentAccess {
            agent_id: Uuid::from_u128(1).to_string(),
            chats: 99,
            leads: Some(wire::KindAccess {
                create: false,
                view: 99,
            }),
            ..wire::AgentAccess::default()
        };
        let record = AccessRecord::try_from(access).unwrap();
        assert_eq!(
            (record.chats, record.leads.view),
            (ChatAccess::None, View::None)
        );
        assert_eq!(record.channels, ChannelGrant::Some(BTreeSet::new()));
        assert!(!record.active);
    }
}
