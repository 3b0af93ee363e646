//! What agents may change of messages that are out: their own ones' texts, their own ones at all, reactions on clients' ones.

use super::AgentId;
use super::words::{AmendmentKind, ChannelKind, DeliveryState, MessageKind};

impl ChannelKind {
    /// Tells whether the provider lets a message be changed so. Whether it does in the case at hand, it says itself.
    pub const fn amends(self, kind: AmendmentKind) -> bool {
        match self {
            Self::TelegramBot => true,
            Self::Instagram => matches!(kind, AmendmentKind::Reaction),
            Self::ViberBot | Self::Email | Self::Unknown => false,
        }
    }
}

/// What is known of a message that is to be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Its channel's kind.
    pub channel: ChannelKind,
    /// Whose message it is.
    pub kind: MessageKind,
    /// The agent who wrote it.
    pub author: Option<AgentId>,
    /// How its delivery stands.
    pub delivery: Option<DeliveryState>,
    /// It was taken back.
    pub deleted: bool,
    /// The provider knows it by a key.
    pub has_key: bool,
}

/// How a change is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Here: nobody else has it.
    AtOnce,
    /// By a command to the provider.
    ByCommand,
}

/// Why a message is not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The channel's provider has no such thing.
    #[error("this channel cannot do that to a message that is out")]
    ChannelCannot,
    /// It is another's, or nobody's of ours.
    #[error("agents change messages of their own only")]
    NotTheAuthor,
    /// The provider does not have it, or nobody can tell.
    #[error("the message was not sent yet, or nobody can tell whether it was")]
    NotSent,
    /// It was taken back.
    #[error("the message was taken back")]
    Deleted,
    /// Only clients' messages are reacted to.
    #[error("reactions are set on messages of the client")]
    NotTheClients,
}

impl Refusal {
    /// The reason as callers read it.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::ChannelCannot => "CHANNEL_CANNOT",
            Self::NotTheAuthor => "NOT_THE_AUTHOR",
            Self::NotSent => "MESSAGE_NOT_SENT",
            Self::Deleted => "MESSAGE_DELETED",
            Self::NotTheClients => "NOT_THE_CLIENTS_MESSAGE",
        }
    }
}

/// Decides whether an agent may change a message so, and how that is done.
pub fn decide(agent: AgentId, kind: AmendmentKind, target: Target) -> Result<How, Refusal> {
    if target.deleted {
        return Err(Refusal::Deleted);
    }
    if kind == AmendmentKind::Reaction {
        return match target.kind {
            MessageKind::Client if !target.channel.amends(kind) => Err(Refusal::ChannelCannot),
            MessageKind::Client if target.has_key => Ok(How::ByCommand),
            _ => Err(Refusal::NotTheClients),
        };
    }
    match target.kind {
        MessageKind::Note | MessageKind::Agent if target.author != Some(agent) => {
            Err(Refusal::NotTheAuthor)
        }
        MessageKind::Note => Ok(How::AtOnce),
        MessageKind::Agent if !target.channel.amends(kind) => Err(Refusal::ChannelCannot),
        MessageKind::Agent
            if target.delivery.is_some_and(DeliveryState::is_sent) && target.has_key =>
        {
            Ok(How::ByCommand)
        }
        MessageKind::Agent => Err(Refusal::NotSent),
        MessageKind::Client | MessageKind::Bot | MessageKind::System => Err(Refusal::NotTheAuthor),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn agents_change_what_is_their_own_and_where_the_provider_lets_them() {
        use AmendmentKind::{Deletion, Edit, Reaction};
        let (ann, bob) = (
            AgentId::from(Uuid::from_u128(1)),
            AgentId::from(Uuid::from_u128(2)),
        );
        let sent = Target {
            channel: ChannelKind::TelegramBot,
            kind: MessageKind::Agent,
            author: Some(ann),
            delivery: Some(DeliveryState::Read),
            deleted: false,
            has_key: true,
        };
        let client = Target {
            kind: MessageKind::Client,
            author: None,
            delivery: None,
            ..sent
        };
        let note = Target {
            kind: MessageKind::Note,
            delivery: None,
            has_key: false,
            ..sent
        };
        let on = |channel, target| Target { channel, ..target };
        for (what, agent, kind, target, expected) in [
            ("own", ann, Edit, sent, Ok(How::ByCommand)),
            ("own, taken back", ann, Deletion, sent, Ok(How::ByCommand)),
            ("a colleague's", bob, Edit, sent, Err(Refusal::NotTheAuthor)),
            (
                "the client's",
                ann,
                Deletion,
                client,
                Err(Refusal::NotTheAuthor),
            ),
            (
                "a bot's",
                ann,
                Edit,
                Target {
                    kind: MessageKind::Bot,
                    ..sent
                },
                Err(Refusal::NotTheAuthor),
            ),
            (
                "from the own app",
                ann,
                Edit,
                Target {
                    author: None,
                    delivery: None,
                    ..sent
                },
                Err(Refusal::NotTheAuthor),
            ),
            (
                "queued",
                ann,
                Edit,
                Target {
                    delivery: Some(DeliveryState::Queued),
                    ..sent
                },
                Err(Refusal::NotSent),
            ),
            (
                "uncertain",
                ann,
                Edit,
                Target {
                    delivery: Some(DeliveryState::Uncertain),
                    ..sent
                },
                Err(Refusal::NotSent),
            ),
            (
                "twice",
                ann,
                Deletion,
                Target {
                    deleted: true,
                    ..sent
                },
                Err(Refusal::Deleted),
            ),
            (
                "a mail",
                ann,
                Edit,
                on(ChannelKind::Email, sent),
                Err(Refusal::ChannelCannot),
            ),
            (
                "Viber",
                ann,
                Deletion,
                on(ChannelKind::ViberBot, sent),
                Err(Refusal::ChannelCannot),
            ),
            ("own note", ann, Edit, note, Ok(How::AtOnce)),
            (
                "own note in a mailbox",
                ann,
                Deletion,
                on(ChannelKind::Email, note),
                Ok(How::AtOnce),
            ),
            (
                "a colleague's note",
                bob,
                Edit,
                note,
                Err(Refusal::NotTheAuthor),
            ),
            ("to the client", bob, Reaction, client, Ok(How::ByCommand)),
            (
                "to Instagram",
                bob,
                Reaction,
                on(ChannelKind::Instagram, client),
                Ok(How::ByCommand),
            ),
            (
                "to a mail",
                bob,
                Reaction,
                on(ChannelKind::Email, client),
                Err(Refusal::ChannelCannot),
            ),
            (
                "to an own one",
                ann,
                Reaction,
                sent,
                Err(Refusal::NotTheClients),
            ),
        ] {
            assert_eq!(decide(agent, kind, target), expected, "{what}");
        }
    }
}
