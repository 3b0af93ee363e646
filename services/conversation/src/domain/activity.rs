//! The activity log (F214, F215): which events are kept, what is kept of each, who may see it, and how it is said.

mod kinds;
mod reach;
mod template;

use std::collections::BTreeMap;

use chassis::consumer::EventFilter;
use chassis::id::AgentId;
use switchboard_proto::common::v1 as common;
use time::OffsetDateTime;
use uuid::Uuid;

pub use kinds::KINDS;
pub use reach::Reach;

use super::words::EntityKind;
use super::{ChannelId, ChatId, ConversationId};

/// Characters of a parameter at most.
const VALUE_MAX: usize = 200;

/// One type of event that is kept.
pub struct Kind {
    /// Which event it is.
    pub filter: EventFilter,
    /// Full name of its message, the `ce-type`.
    pub event: &'static str,
    /// A "Key action completed", which is listed only where it is asked for (F194).
    pub key_action: bool,
    /// How it is said in English; empty where `notices` says it, as chats do.
    template: &'static str,
    read: fn(&[u8]) -> Result<Told, prost::DecodeError>,
}

impl Kind {
    /// Returns its name, for example `conversation.opened`.
    pub fn name(&self) -> String {
        format!("{}.{}", self.filter.entity, self.filter.event)
    }

    fn is(&self, name: &str) -> bool {
        name.split_once('.') == Some((self.filter.entity, self.filter.event))
    }
}

/// Finds a type by the name under which it is kept.
pub fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.is(name))
}

/// Says what is kept of an event; none where it is none of ours.
pub fn read(event: &str, payload: &[u8]) -> Option<Result<(&'static Kind, Told), Unreadable>> {
    let kind = KINDS.iter().find(|kind| kind.event == event)?;
    let told = (kind.read)(payload).map(|told| (kind, told.storable()));
    Some(told.map_err(Unreadable))
}

/// An event that is not what its type says.
#[derive(Debug, thiserror::Error)]
#[error("the event cannot be decoded: {0}")]
pub struct Unreadable(prost::DecodeError);

/// Says in a sentence what happened; none where it is said as chats say it.
pub fn sentence(name: &str, parameters: &BTreeMap<String, String>) -> Option<String> {
    let template = kind(name)?.template;
    (!template.is_empty()).then(|| template::render(template, parameters))
}

/// What is kept of an event. What is no id in it is left out: an entry without its chat, or without its entity, is seen
/// only by who sees all chats, or entities of the kind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Told {
    /// The chat.
    pub chat: Option<ChatId>,
    /// The provider's key of the chat, where the event knows it by that alone.
    pub chat_key: String,
    /// The channel.
    pub channel: Option<ChannelId>,
    /// The conversation.
    pub conversation: Option<ConversationId>,
    /// Number of the conversation; 0 where there is none.
    pub number: i64,
    /// What it happened to beside the chat.
    pub subject: Option<Subject>,
    /// What there is to say, by names; never empty.
    pub parameters: Vec<(&'static str, String)>,
    /// Who answers for entities, as far as the event tells.
    pub owners: Vec<Owner>,
    /// Who answers for entities from this event on, whatever acts before it said.
    pub settled: Vec<(Uuid, Option<AgentId>)>,
}

/// A thing that something happened to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// What it is.
    pub kind: EntityKind,
    /// Its id.
    pub id: Option<Uuid>,
    /// The entity whose responsible is its owner.
    pub owner: Option<Uuid>,
}

/// Who answers for an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The entity.
    pub entity: Uuid,
    /// The responsible; none where there is none, or the entity is another one now.
    pub responsible: Option<AgentId>,
    /// Since which act. None is before all acts.
    pub stamp: Option<Stamp>,
}

/// The moment of an act: time, then id of its event.
pub type Stamp = (OffsetDateTime, Uuid);

impl Owner {
    /// Reads who answers for an entity of CRM; none where it has no id.
    pub fn of(entity: &common::LinkedEntity) -> Option<Self> {
        let owner = Ownership {
            entity: &entity.entity_id,
            agent: &entity.responsible_agent_id,
            stamp: entity.stamp.as_ref(),
        };
        owner.read()
    }

    /// Returns the stamp, one before all acts where nobody has said anything.
    pub fn since(&self) -> Stamp {
        self.stamp
            .unwrap_or((OffsetDateTime::UNIX_EPOCH, Uuid::nil()))
    }
}

/// Keeps the newest owner of each entity, sorted by key.
pub fn newest<A: Ord + Clone>(
    owners: impl IntoIterator<Item = (A, Owner)>,
) -> BTreeMap<(A, Uuid), Owner> {
    let mut newest: BTreeMap<(A, Uuid), Owner> = BTreeMap::new();
    for (account, owner) in owners {
        newest
            .entry((account, owner.entity))
            .and_modify(|known| {
                if known.since() < owner.since() {
                    *known = owner;
                }
            })
            .or_insert(owner);
    }
    newest
}

impl Told {
    /// Returns who answers for entities after an event of this stamp.
    pub fn owners(&self, event: Stamp) -> impl Iterator<Item = Owner> {
        let settled = self.settled.iter().map(move |(entity, responsible)| Owner {
            entity: *entity,
            responsible: *responsible,
            stamp: Some(event),
        });
        self.owners.iter().copied().chain(settled)
    }

    /// Leaves out what says nothing, and what cannot be stored.
    fn storable(mut self) -> Self {
        self.parameters.retain(|(_, value)| !value.is_empty());
        for (_, value) in &mut self.parameters {
            if value.contains('\0') || value.chars().nth(VALUE_MAX).is_some() {
                let clean = value.chars().filter(|c| *c != '\0');
                *value = clean.take(VALUE_MAX).collect();
            }
        }
        self.chat_key.retain(|c| c != '\0');
        self
    }

    fn with(mut self, parameters: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        self.parameters.extend(parameters);
        self
    }

    /// Of a chat, by the ids that events name.
    fn of_chat(chat: &str, channel: &str) -> Self {
        Self {
            chat: id(chat),
            channel: id(channel),
            ..Self::default()
        }
    }

    /// Of one of CRM's entities, for which its responsible answers.
    fn of_entity(kind: EntityKind, owner: Ownership<'_>) -> Self {
        let entity = id(owner.entity);
        Self {
            subject: Some(Subject {
                kind,
                id: entity,
                owner: entity,
            }),
            owners: owner.read().into_iter().collect(),
            ..Self::default()
        }
    }

    fn in_chat(mut self, chat: &str) -> Self {
        self.chat = id(chat);
        self
    }
}

/// What an event says of who answers for an entity.
#[derive(Clone, Copy)]
struct Ownership<'e> {
    entity: &'e str,
    agent: &'e str,
    stamp: Option<&'e common::Stamp>,
}

impl Ownership<'_> {
    fn read(self) -> Option<Owner> {
        Some(Owner {
            entity: id(self.entity)?,
            responsible: id(self.agent),
            stamp: self.stamp.and_then(stamp),
        })
    }
}

fn stamp(stamp: &common::Stamp) -> Option<Stamp> {
    let time = stamp.time.as_ref()?;
    let nanos = u32::try_from(time.nanos).ok()?;
    let time = OffsetDateTime::from_unix_timestamp(time.seconds).ok()?;
    // The database keeps microseconds: what is compared there is compared so here.
    let time = time.replace_nanosecond(nanos / 1_000 * 1_000).ok()?;
    let time = Some(time).filter(|time| (1..=9999).contains(&time.year()))?;
    Some((time, id(&stamp.event_id)?))
}

/// Reads an id; none where it is none.
fn id<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

/// Writes a value of an enum as a word: `ASSIGNMENT_RULE_FIRST_REPLY` as `first-reply`; empty where it is not set.
fn word(name: &str, prefix: &str) -> String {
    match name.trim_start_matches(prefix) {
        "UNSPECIFIED" => String::new(),
        word => word.to_ascii_lowercase().replace('_', "-"),
    }
}

#[cfg(test)]
mod tests;
