//! The consumer of the search (`conversation-search`): keeps the words by which messages and chats are found (B12, F075).

use std::time::Duration;

use chassis::consumer::{Delivery, EventFilter, Handler, HandlerError};
use chassis::id::AccountSlug;
use sqlx::PgPool;
use switchboard_proto::DomainEvent as _;
use switchboard_proto::common::v1::LinkedEntity;
use switchboard_proto::conversation::v1 as pb;
use switchboard_proto::crm_cards::v1 as cards;
use time::OffsetDateTime;

use crate::app::search_words::{self, Told};
use crate::domain::MessageId;
use crate::domain::search::chats::Entity;
use crate::domain::words::EntityKind;

/// Batches begin this far from each other at least: what was just written is found a moment later.
const BATCH_WAIT: Duration = Duration::from_millis(250);

/// What is consumed.
pub static FILTERS: [EventFilter; 13] = [
    EventFilter::of::<pb::MessageStored>(),
    EventFilter::of::<pb::MessageEdited>(),
    EventFilter::of::<pb::MessageDeleted>(),
    EventFilter::of::<cards::ContactCreated>(),
    EventFilter::of::<cards::ContactUpdated>(),
    EventFilter::of::<cards::ContactMerged>(),
    EventFilter::of::<cards::ContactUnmerged>(),
    EventFilter::of::<cards::ContactDeleted>(),
    EventFilter::of::<cards::CardCreated>(),
    EventFilter::of::<cards::CardUpdated>(),
    EventFilter::of::<cards::CardDeleted>(),
    EventFilter::of::<cards::ChatLinked>(),
    EventFilter::of::<cards::ChatUnlinked>(),
];

/// The handler. A durable of its own: storing messages does not wait for it, and it locks nothing that others lock but words of
/// chats.
pub struct Search {
    pool: PgPool,
}

impl Search {
    /// Makes the handler.
    pub fn new(pool: PgPool) -> Self {
        Self { pool }
    }
}

#[tonic::async_trait]
impl Handler for Search {
    fn durable(&self) -> &'static str {
        "conversation-search"
    }

    fn batch_wait(&self) -> Duration {
        BATCH_WAIT
    }

    async fn handle(&self, batch: &[Delivery], now: OffsetDateTime) -> Result<(), HandlerError> {
        let mut told = Told::default();
        for delivery in batch {
            read(delivery, &mut told)?;
        }
        search_words::apply(&self.pool, &told, now).await?;
        Ok(())
    }
}

/// Sorts one event to its kind. What is none of ours is ignored.
fn read(delivery: &Delivery, told: &mut Told) -> Result<(), HandlerError> {
    let account = &delivery.envelope.account;
    let message = |told: &mut Told, id: &str| told.messages.extend(id.parse::<MessageId>());
    match delivery.envelope.kind.as_str() {
        pb::MessageStored::TYPE => {
            let event: pb::MessageStored = delivery.decode()?;
            message(told, &event.message.unwrap_or_default().message_id);
        }
        pb::MessageEdited::TYPE => {
            let event: pb::MessageEdited = delivery.decode()?;
            message(told, &event.message.unwrap_or_default().message_id);
        }
        pb::MessageDeleted::TYPE => {
            let event: pb::MessageDeleted = delivery.decode()?;
            message(told, &event.message_id);
        }
        cards::ContactCreated::TYPE => {
            let event: cards::ContactCreated = delivery.decode()?;
            contact(told, account, event.contact, false);
        }
        cards::ContactUpdated::TYPE => {
            let event: cards::ContactUpdated = delivery.decode()?;
            contact(told, account, event.contact, false);
        }
        cards::ContactMerged::TYPE => {
            let event: cards::ContactMerged = delivery.decode()?;
            contact(told, account, event.contact, false);
        }
        cards::ContactUnmerged::TYPE => {
            let event: cards::ContactUnmerged = delivery.decode()?;
            contact(told, account, event.contact, false);
            contact(told, account, event.from, false);
        }
        cards::ContactDeleted::TYPE => {
            let event: cards::ContactDeleted = delivery.decode()?;
            contact(told, account, event.contact, true);
        }
        cards::CardCreated::TYPE => {
            let event: cards::CardCreated = delivery.decode()?;
            card(told, account, event.card, false);
        }
        cards::CardUpdated::TYPE => {
            let event: cards::CardUpdated = delivery.decode()?;
            card(told, account, event.card, false);
        }
        cards::CardDeleted::TYPE => {
            let event: cards::CardDeleted = delivery.decode()?;
            card(told, account, event.card, true);
        }
        cards::ChatLinked::TYPE => {
            let event: cards::ChatLinked = delivery.decode()?;
            link(told, delivery, (&event.chat_id, event.entity), true);
        }
        cards::ChatUnlinked::TYPE => {
            let event: cards::ChatUnlinked = delivery.decode()?;
            link(told, delivery, (&event.chat_id, event.entity), false);
        }
        _ => {}
    }
    Ok(())
}

/// Adds a contact.
fn contact(told: &mut Told, account: &AccountSlug, contact: Option<cards::Contact>, gone: bool) {
    let contact = contact.unwrap_or_default();
    let entity = Entity {
        kind: EntityKind::Contact,
        name: contact.name,
        responsible: contact.responsible_agent_id.parse().ok(),
    };
    let id = (account, contact.contact_id.as_str());
    named(told, id, entity, contact.revision, gone);
}

/// Adds a card.
fn card(told: &mut Told, account: &AccountSlug, card: Option<cards::Card>, gone: bool) {
    let card = card.unwrap_or_default();
    let entity = Entity {
        kind: EntityKind::Card,
        name: card.title,
        responsible: card.responsible_agent_id.parse().ok(),
    };
    let id = (account, card.card_id.as_str());
    named(told, id, entity, card.revision, gone);
}

/// Adds an entity; of one that is gone no name is left, and nothing comes after it.
fn named(
    told: &mut Told,
    (account, id): (&AccountSlug, &str),
    mut entity: Entity,
    revision: i64,
    gone: bool,
) {
    if gone {
        entity.name.clear();
    }
    if let Ok(id) = id.parse() {
        let revision = revision + i64::from(gone);
        told.entity((account.clone(), id), entity, revision);
    }
}

/// Adds whether a chat is linked with an entity.
fn link(
    told: &mut Told,
    delivery: &Delivery,
    (chat, entity): (&str, Option<LinkedEntity>),
    linked: bool,
) {
    let entity = entity.unwrap_or_default();
    if let (Ok(chat), Ok(entity)) = (chat.parse(), entity.entity_id.parse()) {
        let key = (delivery.envelope.account.clone(), entity);
        let sequence = delivery.envelope.sequence.cast_signed();
        told.link(key, chat, sequence, linked);
    }
}
