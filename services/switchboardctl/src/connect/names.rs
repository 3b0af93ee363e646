//! Agents, groups and channels by what people call them.

use switchboard_proto::assignment::v1 as assignment;
use switchboard_proto::channel_gateway::v1 as gateway;
use uuid::Uuid;

use super::Session;
use crate::error::CliError;
use crate::token::Role;

impl Session {
    /// The id of an agent given by id or by name.
    pub async fn agent_id(&self, named: &str) -> Result<Uuid, CliError> {
        if let Ok(id) = named.parse() {
            return Ok(id);
        }
        let agents = self.agents().await?;
        let mut fitting = agents
            .iter()
            .filter(|agent| agent.name.to_lowercase() == named.to_lowercase());
        match (fitting.next(), fitting.next()) {
            (Some(agent), None) => agent
                .agent_id
                .parse()
                .map_err(|_| CliError::failed(format!("the agent {named} has no valid id"), "")),
            (Some(_), Some(_)) => Err(CliError::usage(
                &format!("several agents are named {named}"),
                "use the id: `switchboardctl agent list`",
            )),
            (None, _) => Err(CliError::usage(
                &format!("no agent is named {named}"),
                "see `switchboardctl agent list`",
            )),
        }
    }

    /// The id of a group that is named by its name or its id.
    pub async fn group_id(&self, named: &str) -> Result<Uuid, CliError> {
        if let Ok(id) = named.parse() {
            return Ok(id);
        }
        // Names of groups are unique in an account.
        let groups = self.all_groups().await?;
        let named_so =
            |group: &&assignment::Group| group.name.to_lowercase() == named.to_lowercase();
        let id = groups.iter().find(named_so).map(|group| &group.group_id);
        id.and_then(|id| id.parse().ok()).ok_or_else(|| {
            let hint = "see `switchboardctl group list`";
            CliError::usage(&format!("no group is named {named}"), hint)
        })
    }

    /// The id of a channel given by id or by name, asked for in channel-gateway: other services know channels only by
    /// what they were told of them, and would keep settings for one that does not exist.
    pub async fn known_channel_id(&self, named: &str) -> Result<Uuid, CliError> {
        let id = self.channel_id(named).await?;
        let mut client = self.channel_gateway(&Role::Account).await?;
        let channel_id = id.to_string();
        let asked = gateway::GetChannelRequest { channel_id };
        client.get_channel(asked).await?;
        Ok(id)
    }

    /// The id of a channel given by id or by name.
    pub async fn channel_id(&self, named: &str) -> Result<Uuid, CliError> {
        if let Ok(id) = named.parse() {
            return Ok(id);
        }
        let mut client = self.channel_gateway(&Role::Account).await?;
        let (mut fitting, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = gateway::ListChannelsRequest {
                page_size: 200,
                page_token,
            };
            let page = client.list_channels(request).await?.into_inner();
            let named_so =
                |channel: &gateway::Channel| channel.name.to_lowercase() == named.to_lowercase();
            fitting.extend(page.channels.into_iter().filter(named_so));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        match fitting.as_slice() {
            [channel] => channel
                .channel_id
                .parse()
                .map_err(|_| CliError::failed(format!("the channel {named} has no valid id"), "")),
            [] => Err(CliError::usage(
                &format!("no channel is named {named}"),
                "see `switchboardctl channel list`",
            )),
            _ => Err(CliError::usage(
                &format!("several channels are named {named}"),
                "use the id: `switchboardctl channel list`",
            )),
        }
    }

    /// All groups of the account.
    pub async fn all_groups(&self) -> Result<Vec<assignment::Group>, CliError> {
        let mut client = self.groups(&Role::Account).await?;
        let mut groups = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = assignment::ListGroupsRequest {
                page_size: 200,
                page_token,
            };
            let page = client.list_groups(request).await?.into_inner();
            groups.extend(page.groups);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(groups);
            }
        }
    }

    /// All agents of the account.
    pub async fn agents(&self) -> Result<Vec<assignment::Agent>, CliError> {
        let mut client = self.assignment(&Role::Account).await?;
        let (mut agents, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = assignment::ListAgentsRequest {
                page_size: 200,
                page_token,
            };
            let page = client.list_agents(request).await?.into_inner();
            agents.extend(page.agents);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(agents);
            }
        }
    }
}
