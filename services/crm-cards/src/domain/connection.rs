//! Pipeline connection: whether an opened conversation creates a card (architecture §6, F005–F017, F212, F213).

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::ids::{PipelineId, SourceId};
use super::words::words;

words! {
    /// When a channel creates cards (F005, D16).
    pub enum Mode {
        /// Never (F006).
        None = "none",
        /// Once in the life of a chat (F007–F010).
        OneTime = "one-time",
        /// Whenever nothing is in work (F011–F017).
        Repeat = "repeat",
        /// When the contact has no card at all and is no buyer (F212).
        ContactWithoutCards = "contact-without-cards",
    }
}

words! {
    /// Which cards mode repeat looks at (D02).
    pub enum Scope {
        /// Cards of the chat.
        Chat = "chat",
        /// Cards of the client, over all chats.
        Client = "client",
    }
}

words! {
    /// The rule that decided: the reason for no card, or for one.
    pub enum Rule {
        /// The channel creates no cards (F006).
        ConnectionOff = "CONNECTION_OFF",
        /// An agent opened the conversation (F023, F213).
        OpenedByAgent = "OPENED_BY_AGENT",
        /// The chat is older than the channel's rule (F021, F022, D03).
        ChatOlderThanRule = "CHAT_OLDER_THAN_RULE",
        /// One-time: a card was linked to the chat before (F008, F009).
        CardEverLinked = "CARD_EVER_LINKED",
        /// Repeat: a card in scope is in work (F011, F012).
        CardInWork = "CARD_IN_WORK",
        /// One-time and repeat: the buyer has an order in work (F010, F015).
        OrderInWork = "ORDER_IN_WORK",
        /// Contact-without-cards: the contact has a card (F212).
        ContactHasCards = "CONTACT_HAS_CARDS",
        /// Contact-without-cards: the contact is saved as a buyer (F212).
        ContactIsBuyer = "CONTACT_IS_BUYER",
        /// One-time: a card, the first of the chat (F007).
        FirstCardOfChat = "FIRST_CARD_OF_CHAT",
        /// Repeat: a card, as nothing is in work (F011, F012, F014).
        NothingInWork = "NOTHING_IN_WORK",
        /// Contact-without-cards: a card, as the contact has none (F212).
        ContactWithoutCards = "CONTACT_WITHOUT_CARDS",
    }
}

/// A channel's rule for creating cards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// When a card is created.
    pub mode: Mode,
    /// Where it is created; present unless the mode is none.
    pub pipeline: Option<PipelineId>,
    /// The source that it carries (F024).
    pub source: Option<SourceId>,
    /// Which cards mode repeat looks at.
    pub scope: Scope,
    /// Whether it acts for chats that are older than the rule, too (D03).
    pub include_existing_chats: bool,
    /// When the mode was last changed.
    #[serde(with = "time::serde::rfc3339")]
    pub activated_at: OffsetDateTime,
}

impl Connection {
    /// The rule of a channel for which none was ever set.
    pub const OFF: Self = Self {
        mode: Mode::None,
        pipeline: None,
        source: None,
        scope: Scope::Chat,
        include_existing_chats: false,
        activated_at: OffsetDateTime::UNIX_EPOCH,
    };
}

/// What a decision looks at, as it is while the contact is locked (D29).
#[expect(
    clippy::struct_excessive_bools,
    reason = "facts are independent of each other"
)]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The client opened the conversation.
    pub opened_by_client: bool,
    /// When the chat was created.
    #[serde(with = "time::serde::rfc3339")]
    pub chat_created_at: OffsetDateTime,
    /// Cards ever linked to the chat: by hand too, deleted ones too.
    pub cards_ever_linked: u32,
    /// A card in the connection's scope is in a working status.
    pub card_in_work: bool,
    /// The chat's buyer has an order in a working status.
    pub order_in_work: bool,
    /// Cards of the contact in any chat, without deleted ones.
    pub contact_cards: u32,
    /// The contact is saved as a buyer.
    pub buyer: bool,
}

/// What was decided. A card is created exactly when `create` is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Whether a card is created.
    pub create: bool,
    /// The rule that decided.
    pub rule: Rule,
}

/// Decides whether an opened conversation creates a card, and names the rule.
///
/// The list is the specification, in order of precedence: the first reason that holds is the one told.
pub fn decide(connection: &Connection, facts: &Facts) -> Decision {
    let mode = connection.mode;
    let too_old =
        facts.chat_created_at < connection.activated_at && !connection.include_existing_chats;
    let by_work = matches!(mode, Mode::OneTime | Mode::Repeat);
    let by_contact = mode == Mode::ContactWithoutCards;
    let reasons = [
        (Rule::ConnectionOff, mode == Mode::None),
        (Rule::OpenedByAgent, !facts.opened_by_client),
        (Rule::ChatOlderThanRule, too_old),
        (
            Rule::CardEverLinked,
            mode == Mode::OneTime && facts.cards_ever_linked > 0,
        ),
        (Rule::CardInWork, mode == Mode::Repeat && facts.card_in_work),
        (Rule::OrderInWork, by_work && facts.order_in_work),
        (Rule::ContactHasCards, by_contact && facts.contact_cards > 0),
        (Rule::ContactIsBuyer, by_contact && facts.buyer),
    ];
    let reason = reasons.into_iter().find(|(_, holds)| *holds);
    let rule = reason.map_or_else(|| creates(mode), |(rule, _)| rule);
    Decision {
        create: rule.creates_card(),
        rule,
    }
}

/// Returns the rule by which a mode creates a card when no reason speaks against it.
const fn creates(mode: Mode) -> Rule {
    match mode {
        Mode::None => Rule::ConnectionOff,
        Mode::OneTime => Rule::FirstCardOfChat,
        Mode::Repeat => Rule::NothingInWork,
        Mode::ContactWithoutCards => Rule::ContactWithoutCards,
    }
}

impl Rule {
    /// Tells whether this rule creates a card.
    pub const fn creates_card(self) -> bool {
        matches!(
            self,
            Self::FirstCardOfChat | Self::NothingInWork | Self::ContactWithoutCards
        )
    }

    /// Returns the sentence that answers "why is there no card?", or why there is one (B06).
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::ConnectionOff => "No card: this channel creates no cards.",
            Self::OpenedByAgent => "No card: the conversation was not opened by the client.",
            Self::ChatOlderThanRule => {
                "No card: the chat existed before the channel's rule was set, and the rule leaves such chats out."
            }
            Self::CardEverLinked => {
                "No card: a card was linked to this chat before, and the channel creates one only once per chat."
            }
            Self::CardInWork => "No card: a card is still in a working status.",
            Self::OrderInWork => "No card: the buyer has an order in a working status.",
            Self::ContactHasCards => "No card: the contact has a card already.",
            Self::ContactIsBuyer => "No card: the contact is saved as a buyer.",
            Self::FirstCardOfChat => {
                "Card created: the chat had no card yet and the buyer no order in work."
            }
            Self::NothingInWork => "Card created: no card and no order was in a working status.",
            Self::ContactWithoutCards => "Card created: the contact had no card and is no buyer.",
        }
    }
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
