//! Decisions of many openings at once: the same as one after another, over facts that were read once.

use std::collections::HashMap;

use chassis::id::AccountSlug;
use time::OffsetDateTime;

use super::connection::{Connection, Decision, Facts, Scope, decide};
use super::ids::{ChannelId, ChatId, ContactId};

/// Cards of one chat.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChatCards {
    /// Ever linked to it, deleted ones too.
    pub ever_linked: u32,
    /// One of them is in a working status.
    pub in_work: bool,
}

/// What is known of one contact.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ContactCards {
    /// Its cards in any chat, without deleted ones.
    pub cards: u32,
    /// One of them is in a working status.
    pub in_work: bool,
    /// It has an order in a working status.
    pub order_in_work: bool,
    /// It is saved as a buyer.
    pub buyer: bool,
}

/// What a decision is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The account.
    pub account: AccountSlug,
    /// The channel, whose rule decides.
    pub channel: ChannelId,
    /// The chat.
    pub chat: ChatId,
    /// When the chat was created.
    pub chat_created_at: OffsetDateTime,
    /// Its contact.
    pub contact: ContactId,
    /// The client opened the conversation.
    pub opened_by_client: bool,
}

/// Everything that decisions of a batch look at, kept up to date while they are taken.
#[derive(Debug, Default)]
pub struct Ledger {
    /// The channels' rules; a channel without one creates no cards.
    pub connections: HashMap<(AccountSlug, ChannelId), Connection>,
    /// Cards per chat.
    pub chats: HashMap<(AccountSlug, ChatId), ChatCards>,
    /// What is known per contact.
    pub contacts: HashMap<(AccountSlug, ContactId), ContactCards>,
}

impl Ledger {
    /// Decides one opening, and enters the card that it creates: the next decision sees it.
    pub fn decide(&mut self, question: &Question) -> (Connection, Facts, Decision) {
        let account = &question.account;
        let connection = self
            .connections
            .get(&(account.clone(), question.channel))
            .cloned();
        let connection = connection.unwrap_or(Connection::OFF);
        let chat = self
            .chats
            .entry((account.clone(), question.chat))
            .or_default();
        let contact = self
            .contacts
            .entry((account.clone(), question.contact))
            .or_default();
        let facts = Facts {
            opened_by_client: question.opened_by_client,
            chat_created_at: question.chat_created_at,
            cards_ever_linked: chat.ever_linked,
            card_in_work: match connection.scope {
                Scope::Chat => chat.in_work,
                Scope::Client => chat.in_work || contact.in_work,
            },
            order_in_work: contact.order_in_work,
            contact_cards: contact.cards,
            buyer: contact.buyer,
        };
        let decision = decide(&connection, &facts);
        if decision.create {
            chat.ever_linked += 1;
            chat.in_work = true;
            contact.cards += 1;
            contact.in_work = true;
        }
        (connection, facts, decision)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::connection::{Mode, Rule};

    #[test]
    fn x02_the_first_card_of_a_batch_blocks_the_second() {
        let account = AccountSlug::parse("acme").unwrap();
        let channel = ChannelId::from(Uuid::from_u128(1));
        let question = |chat: u128, contact: u128| Question {
            account: account.clone(),
            channel,
            chat: Uuid::from_u128(chat).into(),
            chat_created_at: OffsetDateTime::UNIX_EPOCH,
            contact: Uuid::from_u128(contact).into(),
            opened_by_client: true,
        };
        for (mode, scope, questions, expected) in [
            (
                Mode::OneTime,
                Scope::Chat,
                [question(1, 1), question(1, 1), question(2, 1)],
                [
                    Rule::FirstCardOfChat,
                    Rule::CardEverLinked,
                    Rule::FirstCardOfChat,
                ],
            ),
            (
                Mode::Repeat,
                Scope::Chat,
                [question(1, 1), question(1, 1), question(2, 1)],
                [Rule::NothingInWork, Rule::CardInWork, Rule::NothingInWork],
            ),
            (
                Mode::Repeat,
                Scope::Client,
                [question(1, 1), question(2, 1), question(3, 2)],
                [Rule::NothingInWork, Rule::CardInWork, Rule::NothingInWork],
            ),
            (
                Mode::ContactWithoutCards,
                Scope::Chat,
                [question(1, 1), question(2, 1), question(3, 2)],
                [
                    Rule::ContactWithoutCards,
                    Rule::ContactHasCards,
                    Rule::ContactWithoutCards,
                ],
            ),
        ] {
            let mut ledger = Ledger::default();
            ledger.connections.insert(
                (account.clone(), channel),
                Connection {
                    mode,
                    scope,
                    ..Connection::OFF
                },
            );
            let rules = questions.map(|question| ledger.decide(&question).2.rule);
            assert_eq!(rules, expected, "{mode:?} {scope:?}");
        }
    }
}
