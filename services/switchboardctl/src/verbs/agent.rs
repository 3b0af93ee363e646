//! Agents.

pub(super) mod presence;

use clap::{Args, Subcommand};
use switchboard_proto::assignment::v1::{
    Agent, ChannelGrant, CreateAgentRequest, Grants, KindAccess, ListAgentsRequest, Presence,
    UpdateAgentRequest, View as Seen,
};
use uuid::Uuid;

use super::{Page, RequestId};
use crate::cli::choice;
use crate::connect::Session;
use crate::error::CliError;
use crate::output::{Cell, Show, View, cell, words};

/// Verbs on agents.
#[derive(Subcommand)]
pub(crate) enum AgentVerb {
    /// Create an agent; everything is granted unless an option says less
    Create {
        /// Name
        name: String,
        /// Id, for example the identity provider's
        #[arg(long, value_name = "UUID")]
        id: Option<Uuid>,
        /// How many open chats distribution may give at most; 0 is no limit
        #[arg(long, default_value_t = 0)]
        capacity: i32,
        /// Role that grants leads, contacts and settings (`role list`); the other options grant channels only
        #[arg(long, value_name = "UUID")]
        role: Option<Uuid>,
        #[command(flatten)]
        grants: GrantArgs,
        #[command(flatten)]
        request_id: RequestId,
    },
    /// List agents
    List(Page),
    /// Set an agent's presence
    Presence {
        /// Name or id
        agent: String,
        /// Presence; `automatic` takes back what was set by hand
        #[arg(value_parser = choice!(Presence, "PRESENCE_", ["online", "away", "offline", "automatic"]))]
        presence: Presence,
        #[command(flatten)]
        set: presence::SetArgs,
    },
    /// Set what an agent's presence follows, whole
    Follow {
        /// Name or id
        agent: String,
        #[command(flatten)]
        options: presence::FollowArgs,
    },
    /// Change an agent
    Update {
        /// Name or id
        agent: String,
        /// New name
        #[arg(long)]
        name: Option<String>,
        /// May work at all
        #[arg(long)]
        active: Option<bool>,
        /// New capacity; 0 is no limit
        #[arg(long)]
        capacity: Option<i32>,
        /// New role (`role list`)
        #[arg(long, value_name = "UUID")]
        role: Option<Uuid>,
        /// Take the role away; what it granted stays granted
        #[arg(long, conflicts_with = "role")]
        no_role: bool,
        #[command(flatten)]
        grants: GrantArgs,
    },
}

/// What is granted. Giving one of these replaces all grants; what is left out of them is not granted.
#[derive(Args)]
pub(crate) struct GrantArgs {
    /// Grant this channel only (repeatable)
    #[arg(long = "channel", value_name = "UUID")]
    channels: Vec<Uuid>,
    /// Grant all channels, also later ones
    #[arg(long, conflicts_with = "channels")]
    all_channels: bool,
    /// Leads, deals and orders to see; creating them comes with seeing any
    #[arg(long, value_name = "SEEN", value_parser = choice!(Seen, "VIEW_", ["none", "own", "all"]))]
    leads: Option<Seen>,
    /// Contacts, companies and buyers to see; creating them comes with seeing any
    #[arg(long, value_name = "SEEN", value_parser = choice!(Seen, "VIEW_", ["none", "own", "all"]))]
    contacts: Option<Seen>,
    /// May change settings
    #[arg(long)]
    settings: bool,
}

impl GrantArgs {
    fn get(self) -> Option<Grants> {
        let asked = !self.channels.is_empty()
            || self.all_channels
            || self.leads.is_some()
            || self.contacts.is_some()
            || self.settings;
        // What is left out is not granted, or comes from the role.
        let kind = |seen: Option<Seen>| {
            seen.map(|seen| KindAccess {
                create: seen != Seen::None,
                view: seen.into(),
            })
        };
        asked.then(|| Grants {
            channels: Some(ChannelGrant {
                all: self.all_channels,
                channel_ids: self.channels.iter().map(Uuid::to_string).collect(),
            }),
            leads: kind(self.leads),
            contacts: kind(self.contacts),
            settings: self.settings,
        })
    }
}

impl Show for Agent {
    const NAME: &'static str = "switchboard.assignment.v1.Agent";
    const OPTIONAL: &'static [&'static str] = &["CREATED", "WHY", "ROLE", "CHANNELS", "ACTIVE"];
    const HEADERS: &'static [&'static str] = &[
        "ID", "NAME", "PRESENCE", "WHY", "ACTIVE", "LOAD", "CHANNELS", "ROLE", "CREATED",
    ];
    fn cells(&self, view: &View) -> Vec<Cell> {
        let load = if self.capacity > 0 {
            format!("{}/{}", self.load, self.capacity)
        } else {
            self.load.to_string()
        };
        let channels = match self
            .access
            .as_ref()
            .and_then(|access| access.channels.as_ref())
        {
            Some(grant) if grant.all => "all".to_owned(),
            Some(grant) => grant.channel_ids.len().to_string(),
            None => String::new(),
        };
        vec![
            cell(&self.agent_id),
            cell(&self.name),
            cell(words::word(self.presence().as_str_name(), "PRESENCE_")).by_word(),
            cell(why(self)),
            cell(words::yes(self.active)).by_word(),
            cell(load),
            cell(channels),
            cell(words::short(&self.role_id, 8)),
            cell(words::ago(self.create_time.as_ref(), view.now)).dim(),
        ]
    }
}

/// Where the presence comes from: the reason that was given, else what decided, and until when.
fn why(agent: &Agent) -> String {
    let source = words::word(agent.presence_source().as_str_name(), "PRESENCE_SOURCE_");
    let reason = match agent.presence_reason.as_str() {
        "" if source == "unspecified" => String::new(),
        "" => source,
        reason => reason.to_owned(),
    };
    match words::time(agent.presence_end_time.as_ref()) {
        Some(end) => format!("{reason} until {}", words::moment(end))
            .trim()
            .to_owned(),
        None => reason,
    }
}

/// Runs a verb.
pub(crate) async fn run(verb: AgentVerb, session: &Session, view: View) -> Result<(), CliError> {
    let role = session.role().await?;
    let mut client = session.assignment(&role).await?;
    match verb {
        AgentVerb::Create {
            name,
            id,
            capacity,
            role,
            grants,
            request_id,
        } => {
            let request = CreateAgentRequest {
                request_id: request_id.get(),
                agent_id: id.map(|id| id.to_string()).unwrap_or_default(),
                name,
                capacity,
                grants: grants.get(),
                role_id: role.map(|id| id.to_string()).unwrap_or_default(),
            };
            view.one(client.create_agent(request).await?.into_inner().agent)
        }
        AgentVerb::List(page) => {
            let ask = async |page_size, page_token| {
                let request = ListAgentsRequest {
                    page_size,
                    page_token,
                };
                let page = client.list_agents(request).await?.into_inner();
                Ok((page.agents, page.next_page_token))
            };
            let (agents, next) = page.read(ask).await?;
            view.list(&agents, &next)
        }
        AgentVerb::Follow { agent, options } => {
            presence::follow(&agent, &options, session, &view).await
        }
        AgentVerb::Presence {
            agent,
            presence,
            set,
        } => {
            let agent_id = session.agent_id(&agent).await?.to_string();
            let request = set.request(agent_id, presence, view.now);
            view.one(client.set_presence(request).await?.into_inner().agent)
        }
        AgentVerb::Update {
            agent,
            name,
            active,
            capacity,
            role,
            no_role,
            grants,
        } => {
            let agent_id = session.agent_id(&agent).await?.to_string();
            let request = UpdateAgentRequest {
                agent_id,
                name,
                active,
                capacity,
                grants: grants.get(),
                role_id: role.map(|id| id.to_string()).or(no_role.then(String::new)),
            };
            view.one(client.update_agent(request).await?.into_inner().agent)
        }
    }
}
