//! What must come of it: each chat and each entity has the responsible of the latest act that reaches it.
//!
//! An act on an entity reaches its open chats whose channel takes the kind; an act on a chat reaches its entities of the kinds that
//! the channel gives it to; an opening takes what its entities have by then. None goes any further. In whatever order the news
//! comes, the latest stamp stays.

use std::collections::BTreeSet;

use super::services::{Held, STRANGER};

/// Chats: two persons, each on two channels.
pub const CHATS: usize = 4;
/// Channels.
pub const CHANNELS: usize = 2;
/// Entities: a card of each chat, the two persons, their company, and a further card of the first chat.
pub const ENTITIES: usize = 8;
/// The persons among them.
pub const PERSONS: [usize; 2] = [4, 5];
/// The company among them.
pub const COMPANY: usize = 6;
/// The further card.
pub const FURTHER: usize = 7;

/// What a channel keeps in step, by the kinds' numbers.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    pub from_crm: BTreeSet<i32>,
    pub to_crm: BTreeSet<i32>,
}

/// The channel of a chat.
pub fn channel_of(chat: usize) -> usize {
    chat % CHANNELS
}

/// The chats of an entity.
pub fn chats_of(entity: usize) -> Vec<usize> {
    match entity {
        COMPANY => (0..CHATS).collect(),
        FURTHER => vec![0],
        person if PERSONS.contains(&person) => {
            let first = (person - PERSONS[0]) * CHANNELS;
            (first..first + CHANNELS).collect()
        }
        card => vec![card],
    }
}

/// The entities of a chat.
pub fn entities_of(chat: usize) -> impl Iterator<Item = usize> {
    (0..ENTITIES).filter(move |entity| chats_of(*entity).contains(&chat))
}

/// A chat.
#[derive(Debug, Clone, Copy)]
pub enum Chat {
    /// It is over.
    Over,
    /// It is open, and somebody answers, or nobody.
    Open(Option<Held>),
}

/// What is expected.
#[derive(Debug, Clone)]
pub struct Oracle {
    /// Kinds of the entities, by their numbers.
    pub kinds: [i32; ENTITIES],
    pub flags: [Flags; CHANNELS],
    chats: [Chat; CHATS],
    entities: [Option<Held>; ENTITIES],
}

fn later(held: &mut Option<Held>, act: Held) {
    if held.is_none_or(|held| held.stamp < act.stamp) {
        *held = Some(act);
    }
}

impl Oracle {
    pub fn new(kinds: [i32; ENTITIES]) -> Self {
        Self {
            kinds,
            flags: Default::default(),
            chats: [Chat::Open(None); CHATS],
            entities: [const { None }; ENTITIES],
        }
    }

    fn takes(&self, chat: usize, entity: usize, act: Held) -> bool {
        let answers = act.agent.is_some_and(|agent| agent != STRANGER);
        let from_crm = &self.flags[channel_of(chat)].from_crm;
        answers && from_crm.contains(&self.kinds[entity])
    }

    /// An entity was given to somebody.
    pub fn entity_given(&mut self, entity: usize, act: Held) {
        later(&mut self.entities[entity], act);
        for chat in chats_of(entity) {
            if self.takes(chat, entity, act)
                && let Chat::Open(held) = &mut self.chats[chat]
            {
                later(held, act);
            }
        }
    }

    /// A chat was given to somebody; for its entities only where a next conversation of it has begun already.
    pub fn chat_given(&mut self, chat: usize, act: Held, lasts: bool) {
        if lasts && let Chat::Open(held) = &mut self.chats[chat] {
            later(held, act);
        }
        let gives = &self.flags[channel_of(chat)].to_crm;
        for entity in entities_of(chat).filter(|entity| gives.contains(&self.kinds[*entity])) {
            later(&mut self.entities[entity], act);
        }
    }

    /// A conversation was opened, and CRM has said what it is linked to.
    pub fn opened(&mut self, chat: usize) {
        let mut held = None;
        for entity in entities_of(chat) {
            if let Some(act) = self.entities[entity].filter(|act| self.takes(chat, entity, *act)) {
                later(&mut held, act);
            }
        }
        self.chats[chat] = Chat::Open(held);
    }

    /// A conversation is over.
    pub fn closed(&mut self, chat: usize) {
        self.chats[chat] = Chat::Over;
    }

    /// Who is to answer for a chat.
    pub fn chat(&self, chat: usize) -> Chat {
        self.chats[chat]
    }

    /// Who is to answer for an entity; none where nobody has ever said.
    pub fn entity(&self, entity: usize) -> Option<Held> {
        self.entities[entity]
    }
}
