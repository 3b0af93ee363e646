//! Who works with a chat: redirect, unassign, join, add, leave.

use clap::Subcommand;
use switchboard_proto::assignment::v1::{
    AddParticipantsRequest, JoinChatRequest, LeaveChatRequest, RedirectChatRequest,
    UnassignChatRequest,
};
use uuid::Uuid;

use crate::connect::Session;
use crate::error::CliError;
use crate::output::View;
use crate::verbs::RequestId;

/// The responsible that is expected.
#[derive(clap::Args)]
pub(crate) struct Expect {
    /// Refuse unless this agent (name or id) has it now; `none` for nobody
    #[arg(long, value_name = "AGENT")]
    expect: Option<String>,
}

impl Expect {
    async fn id(&self, session: &Session) -> Result<Option<String>, CliError> {
        Ok(match self.expect.as_deref() {
            None => None,
            Some("none") => Some(String::new()),
            Some(agent) => Some(session.agent_id(agent).await?.to_string()),
        })
    }
}

/// Verbs on who works with a chat.
#[derive(Subcommand)]
pub(crate) enum ActionVerb {
    /// Hand a chat to another agent; its responsible leaves
    Redirect {
        /// Id of the chat
        chat: Uuid,
        /// Name or id of the new responsible
        agent: String,
        #[command(flatten)]
        expect: Expect,
        #[command(flatten)]
        request_id: RequestId,
    },
    /// Take a chat from everybody who works with it
    Unassign {
        /// Id of the chat
        chat: Uuid,
        /// Let the channel's distribution look for somebody
        #[arg(long)]
        distribute: bool,
        #[command(flatten)]
        expect: Expect,
        #[command(flatten)]
        request_id: RequestId,
    },
    /// Join a colleague's chat
    Join {
        /// Id of the chat
        chat: Uuid,
        #[command(flatten)]
        expect: Expect,
        #[command(flatten)]
        request_id: RequestId,
    },
    /// Add agents to a chat: all of them or none
    Add {
        /// Id of the chat
        chat: Uuid,
        /// Names or ids of the agents
        #[arg(required = true, value_name = "AGENT")]
        agents: Vec<String>,
        #[command(flatten)]
        expect: Expect,
        #[command(flatten)]
        request_id: RequestId,
    },
    /// Leave a chat; who joined longest ago follows its responsible
    Leave {
        /// Id of the chat
        chat: Uuid,
        #[command(flatten)]
        expect: Expect,
        #[command(flatten)]
        request_id: RequestId,
    },
}

/// Runs a verb.
pub(super) async fn run(verb: ActionVerb, session: &Session, view: &View) -> Result<(), CliError> {
    let role = match verb {
        ActionVerb::Join { .. } | ActionVerb::Leave { .. } => session.agent_role().await?,
        _ => session.role().await?,
    };
    let mut client = session.assignment(&role).await?;
    let assignment = match verb {
        ActionVerb::Redirect {
            chat,
            agent,
            expect,
            request_id,
        } => {
            let request = RedirectChatRequest {
                request_id: request_id.get(),
                chat_id: chat.to_string(),
                agent_id: session.agent_id(&agent).await?.to_string(),
                expected_agent_id: expect.id(session).await?,
            };
            client.redirect_chat(request).await?.into_inner().assignment
        }
        ActionVerb::Unassign {
            chat,
            distribute,
            expect,
            request_id,
        } => {
            let request = UnassignChatRequest {
                request_id: request_id.get(),
                chat_id: chat.to_string(),
                expected_agent_id: expect.id(session).await?,
                distribute,
            };
            client.unassign_chat(request).await?.into_inner().assignment
        }
        ActionVerb::Join {
            chat,
            expect,
            request_id,
        } => {
            let request = JoinChatRequest {
                request_id: request_id.get(),
                chat_id: chat.to_string(),
                expected_agent_id: expect.id(session).await?,
            };
            client.join_chat(request).await?.into_inner().assignment
        }
        ActionVerb::Add {
            chat,
            agents,
            expect,
            request_id,
        } => {
            let mut agent_ids = Vec::with_capacity(agents.len());
            for agent in agents {
                agent_ids.push(session.agent_id(&agent).await?.to_string());
            }
            let request = AddParticipantsRequest {
                request_id: request_id.get(),
                chat_id: chat.to_string(),
                agent_ids,
                expected_agent_id: expect.id(session).await?,
            };
            let answer = client.add_participants(request).await?;
            answer.into_inner().assignment
        }
        ActionVerb::Leave {
            chat,
            expect,
            request_id,
        } => {
            let request = LeaveChatRequest {
                request_id: request_id.get(),
                chat_id: chat.to_string(),
                expected_agent_id: expect.id(session).await?,
            };
            client.leave_chat(request).await?.into_inner().assignment
        }
    };
    view.one(assignment)
}
