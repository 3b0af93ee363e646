//! Closed sets, with the words under which they are stored.

/// A stored word that this version does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no {1}")]
pub struct UnknownWord(pub String, pub &'static str);

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$item:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$item])* $variant,)+ }

        impl $name {
            /// Returns the stored word.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl TryFrom<&str> for $name {
            type Error = UnknownWord;
            fn try_from(word: &str) -> Result<Self, UnknownWord> {
                match word {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(UnknownWord(word.to_owned(), stringify!($name))),
                }
            }
        }
    };
}

words! {
    /// Kind of a channel.
    ChannelKind {
        /// A Telegram bot.
        TelegramBot = "telegram-bot",
        /// A Viber bot.
        ViberBot = "viber-bot",
        /// An Instagram profile.
        Instagram = "instagram",
        /// A mailbox.
        Email = "email",
        /// A kind newer than this version.
        Unknown = "unknown",
    }
}

words! {
    /// How a run of a bot stands (F197).
    BotRunState {
        /// It goes on at once.
        Ready = "ready",
        /// It waits for the client's answer.
        Waiting = "waiting",
        /// Another service is asked.
        Calling = "calling",
        /// It came to its end.
        Finished = "finished",
        /// Somebody stopped it (F198).
        Stopped = "stopped",
        /// An agent answered the client.
        Answered = "answered",
        /// The conversation was ended.
        Closed = "closed",
        /// It could not go on.
        Failed = "failed",
    }
}

words! {
    /// What the bot of a chat waits for.
    BotWaits {
        /// Nothing.
        Nothing = "",
        /// An answer.
        Answer = "answer",
        /// A score from 0 to 10 (F203).
        Score = "score",
    }
}

words! {
    /// Why a conversation's client was not asked of NPS.
    NpsSkipped {
        /// The provider takes no message any more, as the client's last one is too old (D15).
        WindowClosed = "window-closed",
        /// The client has blocked the channel (D15).
        ClientBlocked = "client-blocked",
        /// The channel is switched off, or was lost (D15).
        ChannelOff = "channel-off",
        /// The question did not reach the client.
        NotDelivered = "not-delivered",
        /// A bot ended the conversation.
        ClosedByBot = "closed-by-bot",
        /// The client opened it by what they said to the question of the conversation before.
        AnsweredBefore = "answered-before",
    }
}

words! {
    /// State of a chat.
    ChatState {
        /// Open, without a responsible.
        Unassigned = "unassigned",
        /// Open, with a responsible.
        Active = "active",
        /// Ended, or spam.
        Inactive = "inactive",
    }
}

words! {
    /// Whose message it is (F079).
    MessageKind {
        /// The client's.
        Client = "client",
        /// An agent's.
        Agent = "agent",
        /// A bot's.
        Bot = "bot",
        /// Written by the system, seen by agents only (F082).
        System = "system",
        /// A note, seen by agents only.
        Note = "note",
    }
}

words! {
    /// Why a conversation was opened.
    OpenReason {
        /// The client wrote.
        ClientMessage = "client-message",
        /// An agent wrote into an inactive chat.
        AgentMessage = "agent-message",
        /// An agent started the chat.
        AgentStart = "agent-start",
    }
}

words! {
    /// A language in which the system words what agents read (D33).
    Language {
        /// English.
        English = "en",
        /// Ukrainian.
        Ukrainian = "uk",
    }
}

words! {
    /// A thing beside chats that something happened to.
    EntityKind {
        /// A lead or deal.
        Card = "card",
        /// A contact or buyer.
        Contact = "contact",
        /// A company.
        Company = "company",
        /// An order.
        Order = "order",
        /// A channel.
        Channel = "channel",
    }
}

words! {
    /// What agents change of a message at the provider.
    AmendmentKind {
        /// Its text.
        Edit = "edit",
        /// It is taken back.
        Deletion = "deletion",
        /// The channel's reaction on it.
        Reaction = "reaction",
    }
}

words! {
    /// State of a message's delivery, or of one part of it (B03).
    DeliveryState {
        /// Waiting for its turn.
        Queued = "queued",
        /// An attempt is under way.
        Sending = "sending",
        /// The provider accepted it.
        Sent = "sent",
        /// It reached the client's device.
        Delivered = "delivered",
        /// The client read it.
        Read = "read",
        /// It failed.
        Failed = "failed",
        /// Nobody can tell whether the provider took it.
        Uncertain = "uncertain",
        /// Taken back before it was sent.
        Cancelled = "cancelled",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_being_stored_and_unknown_ones_are_refused() {
        for state in [
            ChatState::Unassigned,
            ChatState::Active,
            ChatState::Inactive,
        ] {
            assert_eq!(ChatState::try_from(state.as_str()), Ok(state));
        }
        assert!(ChatState::try_from("asleep").is_err());
    }
}
