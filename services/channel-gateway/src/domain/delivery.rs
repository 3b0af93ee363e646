//! Deliveries: what a command becomes, and the states its parts go through.

use serde_json::Value;
use switchboard_proto::channel_gateway::v1::delivery::State;
use switchboard_proto::common::v1::content_part::Content;
use switchboard_proto::conversation::v1::OutboundCommand;
use time::OffsetDateTime;

use super::call::Call;
use super::channel::ChannelKind;
use super::{email, instagram, links, telegram, viber};

/// State of a part. It only moves forward (B03), but for an attempt that is known not to have reached the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartState {
    /// Waiting for its turn.
    Queued,
    /// An attempt was recorded.
    Sending,
    /// The provider accepted it.
    Sent,
    /// It reached the client's device.
    Delivered,
    /// The client read it.
    Read,
    /// It failed.
    Failed,
    /// Nobody can tell whether the provider took it.
    Uncertain,
    /// Taken back before it was sent.
    Cancelled,
}

impl PartState {
    /// Returns the word that is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Read => "read",
            Self::Failed => "failed",
            Self::Uncertain => "uncertain",
            Self::Cancelled => "cancelled",
        }
    }

    /// Returns the state as contracts name it.
    pub const fn proto(self) -> State {
        match self {
            Self::Queued => State::Queued,
            Self::Sending => State::Sending,
            Self::Sent => State::Sent,
            Self::Delivered => State::Delivered,
            Self::Read => State::Read,
            Self::Failed => State::Failed,
            Self::Uncertain => State::Uncertain,
            Self::Cancelled => State::Cancelled,
        }
    }
}

/// Tells whether a report of failure counts after one of arrival. In a messenger who reports an arrival is the client's
/// own device. In mail it is one server on the way, and another behind it may still send the mail back.
pub const fn fails_after_arrival(kind: ChannelKind) -> bool {
    matches!(kind, ChannelKind::Email)
}

/// A stored word that names no state.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no state of a delivery")]
pub struct UnknownState(String);

impl TryFrom<&str> for PartState {
    type Error = UnknownState;
    fn try_from(text: &str) -> Result<Self, UnknownState> {
        Ok(match text {
            "queued" => Self::Queued,
            "sending" => Self::Sending,
            "sent" => Self::Sent,
            "delivered" => Self::Delivered,
            "read" => Self::Read,
            "failed" => Self::Failed,
            "uncertain" => Self::Uncertain,
            "cancelled" => Self::Cancelled,
            other => return Err(UnknownState(other.to_owned())),
        })
    }
}

/// Why a command cannot be handled; it is stored as failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unfit {
    /// `UPPER_SNAKE_CASE`.
    pub reason: &'static str,
    /// A sentence that an agent can read.
    pub detail: &'static str,
}

/// A command that the channel has no call for.
pub const UNSUPPORTED_COMMAND: Unfit = Unfit {
    reason: "UNSUPPORTED_COMMAND",
    detail: "This channel cannot do that to a message yet.",
};
/// A part that the channel has no call for.
pub const UNSUPPORTED_CONTENT: Unfit = Unfit {
    reason: "UNSUPPORTED_CONTENT",
    detail: "This kind of content cannot be sent through this channel yet.",
};
/// A message without parts, or of blank ones.
pub const MESSAGE_EMPTY: Unfit = Unfit {
    reason: "MESSAGE_EMPTY",
    detail: "The message has nothing to send.",
};

/// A file that is not here, was never announced, or is not the agent's to send: its id was taken out of the command.
pub const FILE_MISSING: Unfit = Unfit {
    reason: "FILE_MISSING",
    detail: "A file of the message does not exist here, or was never uploaded: upload it and send the message again.",
};

/// Through what a command goes, with what the provider must be told beside it.
#[derive(Debug, Clone)]
pub enum Outlet {
    /// A Telegram bot.
    Telegram,
    /// A Viber bot, under this name.
    Viber(viber::call::Sender),
    /// An Instagram profile.
    Instagram {
        /// The app may answer for 7 days as a human agent.
        human_agent: bool,
    },
    /// A mailbox.
    Email {
        /// The domain of its Message-IDs.
        domain: String,
        /// Subject of a mail that answers none.
        subject: String,
    },
    /// Nothing can be sent.
    Nowhere(Unfit),
}

impl Outlet {
    /// Tells whether what is planned depends on what the client did before.
    pub const fn asks_around(&self) -> bool {
        matches!(self, Self::Instagram { .. } | Self::Email { .. })
    }
}

/// What is known around a command when it is planned.
#[derive(Debug, Clone)]
pub struct Circumstances {
    /// When the client last wrote, where that matters.
    pub last_client_at: Option<OffsetDateTime>,
    /// The comment that is answered, where it is one.
    pub comment: Option<instagram::comments::Comment>,
    /// The mail that is answered, or the newest of the chat.
    pub thread: Option<email::normalise::Thread>,
    /// A comment that may be answered in Direct once, where it was not yet.
    pub private_reply: Option<String>,
    /// A comment of the client was answered so.
    pub private_reply_used: bool,
    /// The account takes one picture a message.
    pub single_images: bool,
    /// When it is planned.
    pub now: OffsetDateTime,
}

/// Turns a command into calls to the provider, in order; each is one part. What cannot be sent whole is split.
pub fn plan(
    command: &OutboundCommand,
    outlet: &Outlet,
    around: &Circumstances,
) -> Result<Vec<Call>, Unfit> {
    if !matches!(outlet, Outlet::Nowhere(_)) && lacks_file(command) {
        return Err(FILE_MISSING);
    }
    let harmless = links::harmless(command);
    let command = harmless.as_ref().unwrap_or(command);
    let calls = match outlet {
        Outlet::Telegram => telegram::plan(command),
        Outlet::Viber(sender) => viber::plan(command, sender),
        Outlet::Instagram { human_agent } => {
            let targets: Vec<&str> = command.target_keys.iter().map(String::as_str).collect();
            let how = instagram::call::How {
                window: instagram::window::standing(
                    around.last_client_at,
                    *human_agent,
                    around.now,
                ),
                comment: around.comment.as_ref().map_or_else(
                    instagram::call::Target::default,
                    |comment| instagram::call::Target {
                        parent: comment.parent.as_deref(),
                        username: Some(comment.username.as_str()).filter(|name| !name.is_empty()),
                    },
                ),
                targets: &targets,
                private_reply: around.private_reply.as_deref(),
                private_reply_used: around.private_reply_used && around.last_client_at.is_none(),
                several_images: !around.single_images,
                ..instagram::call::How::default()
            };
            instagram::plan(command, how)
        }
        Outlet::Email { domain, subject } => {
            email::plan::plan(command, domain, around.thread.as_ref(), subject)
        }
        Outlet::Nowhere(unfit) => Err(*unfit),
    }?;
    // The database cannot store them: a command that is never stored would block its chat for good.
    if command.chat_key.contains('\0') || calls.iter().any(|call| holds_nul(&call.params)) {
        return Err(UNSUPPORTED_CONTENT);
    }
    Ok(calls)
}

/// Tells whether a command names a file that nobody here knows, or that its agent may not send.
fn lacks_file(command: &OutboundCommand) -> bool {
    command.parts.iter().any(
        |part| matches!(&part.content, Some(Content::Attachment(file)) if file.attachment_id.is_empty()),
    )
}

/// Tells whether a NUL stands in any string of a value.
fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(values) => values.iter().any(holds_nul),
        Value::Object(fields) => fields
            .iter()
            .any(|(name, value)| name.contains('\0') || holds_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchboard_proto::common::v1::{
        Attachment, ContentPart, Text, TextEntity, content_part::Content, text_entity,
    };
    use switchboard_proto::conversation::v1::outbound_command::Action;

    fn text(text: &str) -> ContentPart {
        ContentPart {
            content: Some(Content::Text(Text {
                text: text.to_owned(),
                entities: vec![],
            })),
        }
    }

    fn send(parts: Vec<ContentPart>) -> OutboundCommand {
        OutboundCommand {
            action: Action::Send.into(),
            parts,
            ..OutboundCommand::default()
        }
    }

    #[test]
    fn what_cannot_be_sent_is_named() {
        let file = ContentPart {
            content: Some(Content::Attachment(Attachment::default())),
        };
        let linked = ContentPart {
            content: Some(Content::Text(Text {
                text: "here".to_owned(),
                entities: vec![TextEntity {
                    kind: text_entity::Kind::TextLink.into(),
                    length: 4,
                    url: "https://a.example/\0".to_owned(),
                    ..TextEntity::default()
                }],
            })),
        };
        let odd_chat = OutboundCommand {
            chat_key: "5\0".to_owned(),
            ..send(vec![text("a")])
        };
        let edit = OutboundCommand {
            action: Action::Edit.into(),
            ..send(vec![text("a")])
        };
        let future = OutboundCommand {
            action: 99,
            ..send(vec![text("a")])
        };
        let around = Circumstances {
            last_client_at: None,
            comment: None,
            thread: None,
            private_reply: None,
            private_reply_used: false,
            single_images: false,
            now: OffsetDateTime::UNIX_EPOCH,
        };
        for (command, reason) in [
            (send(vec![]), "MESSAGE_EMPTY"),
            (send(vec![text("  ")]), "MESSAGE_EMPTY"),
            (send(vec![text("a"), file]), "FILE_MISSING"),
            (send(vec![text("a\0b")]), "UNSUPPORTED_CONTENT"),
            (send(vec![text("a"), linked]), "UNSUPPORTED_CONTENT"),
            (odd_chat, "UNSUPPORTED_CONTENT"),
            (edit, "MESSAGE_NOT_SENT"),
            (future, "UNSUPPORTED_COMMAND"),
        ] {
            assert_eq!(
                plan(&command, &Outlet::Telegram, &around)
                    .unwrap_err()
                    .reason,
                reason
            );
        }
    }
}
