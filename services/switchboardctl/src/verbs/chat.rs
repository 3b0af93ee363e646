//! Chats, their messages and conversations.

mod actions;
mod aside;
mod connections;
mod deliveries;
mod life;
pub(super) mod list;
mod presence;
pub(crate) mod rows;
mod search;
mod send;
pub(super) mod upload;

use clap::Subcommand;
use switchboard_proto::assignment::v1::{AssignChatRequest, ClaimChatRequest};
use switchboard_proto::conversation::v1::{
    CloseConversationRequest, GetChatRequest, ListChatsRequest, ListConversationsRequest,
    ListMessagesRequest,
};
use uuid::Uuid;

use super::{Page, RequestId};
use crate::connect::Session;
use crate::error::CliError;
use crate::output::View;
pub(crate) use rows::text_of;

/// Verbs on chats.
#[derive(Subcommand)]
pub(crate) enum ChatVerb {
    /// List chats, newest client message first
    List {
        #[command(flatten)]
        wanted: list::Listed,
        #[command(flatten)]
        page: Page,
    },
    /// Search messages by their words
    Search(search::SearchArgs),
    /// Follow a list of chats: what changes in it, as it changes
    Watch {
        #[command(flatten)]
        wanted: list::Listed,
        /// Go on after the answer that had this token
        #[arg(long, value_name = "TOKEN")]
        from: Option<String>,
    },
    /// Show one chat
    Show {
        /// Id of the chat
        chat: Uuid,
    },
    /// List messages, newest first
    Messages {
        /// Id of the chat
        chat: Uuid,
        /// Each message whole, with the mail's full text and the ids of its HTML and original
        #[arg(long)]
        full: bool,
        /// Begin with this message in the middle of the page
        #[arg(long, value_name = "UUID")]
        around: Option<Uuid>,
        #[command(flatten)]
        page: Page,
    },
    /// List conversations, newest first
    Conversations {
        /// Id of the chat
        chat: Uuid,
        #[command(flatten)]
        page: Page,
    },
    /// Become the responsible of an unassigned chat
    Claim {
        /// Id of the chat
        chat: Uuid,
        #[command(flatten)]
        request_id: RequestId,
    },
    /// Hand a chat to an agent
    Assign {
        /// Id of the chat
        chat: Uuid,
        /// Name or id of the new responsible
        agent: String,
        /// Refuse unless this agent (name or id) has it now; `none` for nobody
        #[arg(long, value_name = "AGENT")]
        expect: Option<String>,
        #[command(flatten)]
        request_id: RequestId,
    },
    #[command(flatten)]
    Action(actions::ActionVerb),
    #[command(flatten)]
    Life(life::LifeVerb),
    #[command(flatten)]
    Aside(aside::AsideVerb),
    /// Show who looks at a chat or writes in it at this moment, or say what the acting agent does there
    Presence(presence::PresenceArgs),
    /// Show what the chat is linked to: its contact, cards and orders
    Connections(connections::ConnectionsArgs),
    /// List what became of sent messages at the provider, part by part, newest first
    Deliveries(deliveries::DeliveriesArgs),
    /// Answer the client: with a text, with files, or with both in one message
    Send(send::SendArgs),
    /// Write to a contact first, on a channel that can; without a text the chat is only made ready
    Write(send::WriteArgs),
    /// Close the open conversation
    Close {
        /// Id of the chat
        chat: Uuid,
        /// Refuse unless this conversation is the open one
        #[arg(long, value_name = "UUID")]
        expect: Option<Uuid>,
    },
}

/// Runs a verb.
pub(crate) async fn run(verb: ChatVerb, session: &Session, mut view: View) -> Result<(), CliError> {
    view.learn_names(session).await;
    match verb {
        ChatVerb::Action(verb) => actions::run(verb, session, &view).await,
        ChatVerb::Life(verb) => life::run(verb, session, &view).await,
        ChatVerb::Aside(verb) => aside::run(verb, session, &view).await,
        ChatVerb::Presence(args) => presence::run(args, session, &view).await,
        ChatVerb::Connections(args) => connections::run(args, session, &view).await,
        ChatVerb::Search(args) => search::run(args, session, &view).await,
        ChatVerb::Deliveries(args) => deliveries::run(args, session, &view).await,
        ChatVerb::Claim { .. }
        | ChatVerb::Assign { .. }
        | ChatVerb::Send(_)
        | ChatVerb::Write(_)
        | ChatVerb::Close { .. } => change(verb, session, &view).await,
        verb => read(verb, session, &view).await,
    }
}

async fn read(verb: ChatVerb, session: &Session, view: &View) -> Result<(), CliError> {
    let (wanted, page) = match verb {
        ChatVerb::List { wanted, page } => (wanted, page),
        ChatVerb::Watch { wanted, from } => return list::watch(wanted, from, session, view).await,
        verb => return read_one(verb, session, view).await,
    };
    let (role, wanted) = wanted.request(session).await?;
    let mut client = session.conversation(&role).await?;
    let ask = async |page_size, page_token| {
        let request = ListChatsRequest {
            page_size,
            page_token,
            ..wanted.clone()
        };
        let page = client.list_chats(request).await?.into_inner();
        Ok((page.chats, page.next_page_token))
    };
    let (chats, next) = page.read(ask).await?;
    view.list(&chats, &next)
}

async fn read_one(verb: ChatVerb, session: &Session, view: &View) -> Result<(), CliError> {
    let mut client = session.conversation(&session.role().await?).await?;
    match verb {
        ChatVerb::Show { chat } => view.one(
            client
                .get_chat(GetChatRequest {
                    chat_id: chat.to_string(),
                })
                .await?
                .into_inner()
                .chat,
        ),
        ChatVerb::Messages {
            chat,
            full,
            around,
            page,
        } => {
            let ask = async |page_size, page_token: String| {
                let around = around.filter(|_| page_token.is_empty());
                let request = ListMessagesRequest {
                    chat_id: chat.to_string(),
                    page_size,
                    page_token,
                    full_text: full,
                    around_message_id: around.map(|id| id.to_string()).unwrap_or_default(),
                    ..ListMessagesRequest::default()
                };
                let page = client.list_messages(request).await?.into_inner();
                Ok((page.messages, page.next_page_token))
            };
            let (messages, next) = page.read(ask).await?;
            if full {
                view.each(&messages, &next)
            } else {
                view.list(&messages, &next)
            }
        }
        ChatVerb::Conversations { chat, page } => {
            let ask = async |page_size, page_token| {
                let request = ListConversationsRequest {
                    chat_id: chat.to_string(),
                    page_size,
                    page_token,
                };
                let page = client.list_conversations(request).await?.into_inner();
                Ok((page.conversations, page.next_page_token))
            };
            let (conversations, next) = page.read(ask).await?;
            view.list(&conversations, &next)
        }
        _ => Ok(()),
    }
}

async fn change(verb: ChatVerb, session: &Session, view: &View) -> Result<(), CliError> {
    match verb {
        ChatVerb::Claim { chat, request_id } => {
            let mut client = session.assignment(&session.agent_role().await?).await?;
            let request = ClaimChatRequest {
                request_id: request_id.get(),
                chat_id: chat.to_string(),
            };
            view.one(client.claim_chat(request).await?.into_inner().assignment)
        }
        ChatVerb::Assign {
            chat,
            agent,
            expect,
            request_id,
        } => {
            let mut client = session.assignment(&session.role().await?).await?;
            let expected_agent_id = match expect.as_deref() {
                None => None,
                Some("none") => Some(String::new()),
                Some(agent) => Some(session.agent_id(agent).await?.to_string()),
            };
            let request = AssignChatRequest {
                request_id: request_id.get(),
                chat_id: chat.to_string(),
                agent_id: session.agent_id(&agent).await?.to_string(),
                expected_agent_id,
            };
            view.one(client.assign_chat(request).await?.into_inner().assignment)
        }
        ChatVerb::Send(args) => send::run(args, session, view).await,
        ChatVerb::Write(args) => send::first(args, session, view).await,
        ChatVerb::Close { chat, expect } => {
            let mut client = session.conversation(&session.agent_role().await?).await?;
            let request = CloseConversationRequest {
                chat_id: chat.to_string(),
                conversation_id: expect.map(|id| id.to_string()).unwrap_or_default(),
            };
            view.one(
                client
                    .close_conversation(request)
                    .await?
                    .into_inner()
                    .conversation,
            )
        }
        _ => Ok(()),
    }
}
