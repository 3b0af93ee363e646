//! What becomes of a chat: started, spam, named, read, noted.

use clap::Subcommand;
use switchboard_proto::common::v1::Text;
use switchboard_proto::conversation::v1::{
    AddNoteRequest, DeleteMessageRequest, EditMessageRequest, MarkReadRequest, MarkSpamRequest,
    Message, ReactToMessageRequest, RestoreChatRequest, StartConversationRequest,
    UpdateChatRequest, WaiveReplyRequest,
};
use uuid::Uuid;

use crate::connect::Session;
use crate::error::CliError;
use crate::output::View;
use crate::verbs::RequestId;

/// Verbs on what becomes of a chat.
#[derive(Subcommand)]
pub(crate) enum LifeVerb {
    /// Take an inactive chat up again: it is yours then, and the client can be written to
    Start {
        /// Id of the chat
        chat: Uuid,
        #[command(flatten)]
        request_id: RequestId,
    },
    /// Mark a chat as spam and close it
    Spam {
        /// Id of the chat
        chat: Uuid,
    },
    /// Take the mark of spam away
    Restore {
        /// Id of the chat
        chat: Uuid,
    },
    /// Give a chat a name or an image of its own
    #[command(group = clap::ArgGroup::new("look").required(true).multiple(true))]
    Rename {
        /// Id of the chat
        chat: Uuid,
        /// The name; an empty one shows the chat by its client again
        #[arg(group = "look")]
        name: Option<String>,
        /// Id of an image that was uploaded (see `chat upload`); `none` takes it away
        #[arg(long, value_name = "UUID", group = "look")]
        image: Option<String>,
    },
    /// Mark as read what the client wrote; it stays unanswered
    Read {
        /// Id of the chat
        chat: Uuid,
        /// The newest message that was seen; all of them unless given
        #[arg(long, value_name = "UUID")]
        until: Option<Uuid>,
    },
    /// Say that the client's last words need no reply
    Waive {
        /// Id of the chat
        chat: Uuid,
        /// The newest message that was seen; all of them unless given
        #[arg(long, value_name = "UUID")]
        until: Option<Uuid>,
    },
    /// Give a message of your own another text; a message to the client once its provider has taken that
    Edit {
        /// Id of the chat
        chat: Uuid,
        /// Id of the message
        message: Uuid,
        /// The text; files stay
        text: String,
        #[command(flatten)]
        request_id: RequestId,
    },
    /// Take a message of your own back, from the client too
    TakeBack {
        /// Id of the chat
        chat: Uuid,
        /// Id of the message
        message: Uuid,
        #[command(flatten)]
        request_id: RequestId,
    },
    /// Set the channel's reaction on a message of the client
    React {
        /// Id of the chat
        chat: Uuid,
        /// Id of the message
        message: Uuid,
        /// The reaction; an empty one takes it back
        emoji: String,
        #[command(flatten)]
        request_id: RequestId,
    },
    /// Leave a note that the client never sees
    Note {
        /// Id of the chat
        chat: Uuid,
        /// The text
        text: String,
        #[command(flatten)]
        request_id: RequestId,
    },
}

/// Runs a verb.
pub(crate) async fn run(verb: LifeVerb, session: &Session, view: &View) -> Result<(), CliError> {
    let role = session.agent_role().await?;
    let mut client = session.chats(&role).await?;
    let text = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    let chat = match verb {
        LifeVerb::Start { chat, request_id } => {
            let request = StartConversationRequest {
                request_id: request_id.get(),
                chat_id: chat.to_string(),
            };
            client.start_conversation(request).await?.into_inner().chat
        }
        LifeVerb::Spam { chat } => {
            let request = MarkSpamRequest {
                chat_id: chat.to_string(),
            };
            client.mark_spam(request).await?.into_inner().chat
        }
        LifeVerb::Restore { chat } => {
            let request = RestoreChatRequest {
                chat_id: chat.to_string(),
            };
            client.restore_chat(request).await?.into_inner().chat
        }
        LifeVerb::Rename { chat, name, image } => {
            let request = UpdateChatRequest {
                chat_id: chat.to_string(),
                name,
                image_attachment_id: image.map(|image| {
                    if image == "none" {
                        String::new()
                    } else {
                        image
                    }
                }),
            };
            client.update_chat(request).await?.into_inner().chat
        }
        LifeVerb::Read { chat, until } => {
            let request = MarkReadRequest {
                chat_id: chat.to_string(),
                message_id: text(until),
            };
            client.mark_read(request).await?.into_inner().chat
        }
        LifeVerb::Waive { chat, until } => {
            let request = WaiveReplyRequest {
                chat_id: chat.to_string(),
                message_id: text(until),
            };
            client.waive_reply(request).await?.into_inner().chat
        }
        verb @ (LifeVerb::Edit { .. } | LifeVerb::TakeBack { .. } | LifeVerb::React { .. }) => {
            return view.one(amended(verb, session).await?);
        }
        LifeVerb::Note {
            chat,
            text,
            request_id,
        } => {
            let request = AddNoteRequest {
                request_id: request_id.get(),
                chat_id: chat.to_string(),
                text: Some(Text {
                    text,
                    ..Text::default()
                }),
            };
            return view.one(client.add_note(request).await?.into_inner().message);
        }
    };
    view.one(chat)
}

/// Changes a message that is out; the other verbs change none.
async fn amended(verb: LifeVerb, session: &Session) -> Result<Option<Message>, CliError> {
    let role = session.agent_role().await?;
    let mut client = session.chats(&role).await?;
    Ok(match verb {
        LifeVerb::Edit {
            chat,
            message,
            text,
            request_id,
        } => {
            let request = EditMessageRequest {
                request_id: request_id.get(),
                chat_id: chat.to_string(),
                message_id: message.to_string(),
                text: Some(Text {
                    text,
                    ..Text::default()
                }),
            };
            client.edit_message(request).await?.into_inner().message
        }
        LifeVerb::TakeBack {
            chat,
            message,
            request_id,
        } => {
            let request = DeleteMessageRequest {
                request_id: request_id.get(),
                chat_id: chat.to_string(),
                message_id: message.to_string(),
            };
            client.delete_message(request).await?.into_inner().message
        }
        LifeVerb::React {
            chat,
            message,
            emoji,
            request_id,
        } => {
            let request = ReactToMessageRequest {
                request_id: request_id.get(),
                chat_id: chat.to_string(),
                message_id: message.to_string(),
                emoji,
            };
            client.react_to_message(request).await?.into_inner().message
        }
        _ => None,
    })
}
