//! Groups of agents.

use clap::Subcommand;
use switchboard_proto::assignment::v1::{
    CreateGroupRequest, DeleteGroupRequest, GetGroupRequest, Group, GroupMembers,
    ListGroupsRequest, UpdateGroupRequest,
};

use super::{Page, RequestId};
use crate::connect::Session;
use crate::error::CliError;
use crate::output::{Cell, Show, View, cell};

/// Verbs on groups.
#[derive(Subcommand)]
pub(crate) enum GroupVerb {
    /// Create a group
    Create {
        /// Name
        name: String,
        /// Its agents, by name or id
        agents: Vec<String>,
        #[command(flatten)]
        request_id: RequestId,
    },
    /// List groups
    List(Page),
    /// Change a group
    Update {
        /// The group, by name or id
        group: String,
        /// New name
        #[arg(long)]
        name: Option<String>,
        /// Its agents from now on, by name or id (repeatable)
        #[arg(long = "agent", value_name = "AGENT")]
        agents: Vec<String>,
        /// Nobody is in the group from now on
        #[arg(long, conflicts_with = "agents")]
        empty: bool,
    },
    /// Delete a group
    Delete {
        /// The group, by name or id
        group: String,
    },
}

impl Show for Group {
    const NAME: &'static str = "switchboard.assignment.v1.Group";
    const HEADERS: &'static [&'static str] = &["ID", "NAME", "AGENTS"];
    fn cells(&self, _: &View) -> Vec<Cell> {
        vec![
            cell(&self.group_id),
            cell(&self.name),
            cell(self.agent_ids.len()),
        ]
    }
    fn more(&self, _: &View) -> Vec<String> {
        self.agent_ids.iter().map(|id| format!("  {id}")).collect()
    }
}

async fn ids(session: &Session, named: &[String]) -> Result<Vec<String>, CliError> {
    let mut ids = Vec::with_capacity(named.len());
    for agent in named {
        ids.push(session.agent_id(agent).await?.to_string());
    }
    Ok(ids)
}

/// Runs a verb.
pub(crate) async fn run(verb: GroupVerb, session: &Session, view: View) -> Result<(), CliError> {
    let mut client = session.groups(&session.role().await?).await?;
    match verb {
        GroupVerb::Create {
            name,
            agents,
            request_id,
        } => {
            let request = CreateGroupRequest {
                request_id: request_id.get(),
                name,
                agent_ids: ids(session, &agents).await?,
            };
            view.one(client.create_group(request).await?.into_inner().group)
        }
        GroupVerb::List(page) => {
            let ask = async |page_size, page_token| {
                let request = ListGroupsRequest {
                    page_size,
                    page_token,
                };
                let page = client.list_groups(request).await?.into_inner();
                Ok((page.groups, page.next_page_token))
            };
            let (groups, next) = page.read(ask).await?;
            view.list(&groups, &next)
        }
        GroupVerb::Update {
            group,
            name,
            agents,
            empty,
        } => {
            let agent_ids = ids(session, &agents).await?;
            let members = (empty || !agent_ids.is_empty()).then_some(GroupMembers { agent_ids });
            let request = UpdateGroupRequest {
                group_id: session.group_id(&group).await?.to_string(),
                name,
                members,
                expected_revision: None,
            };
            view.one(client.update_group(request).await?.into_inner().group)
        }
        GroupVerb::Delete { group } => {
            let group_id = session.group_id(&group).await?.to_string();
            let asked = GetGroupRequest {
                group_id: group_id.clone(),
            };
            let gone = client.get_group(asked).await?.into_inner().group;
            client.delete_group(DeleteGroupRequest { group_id }).await?;
            view.one(gone)
        }
    }
}
