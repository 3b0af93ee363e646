//! Between the domain's values and the contracts' messages.

mod people;
mod values;

use chassis::grpc::timestamp;
use chassis::id::AgentId;
use chassis::stamp::Stamp;
use switchboard_proto::common::v1 as common;
use switchboard_proto::crm_cards::v1 as wire;

use crate::domain::columns::RecordKind;
use crate::domain::connection::{Connection, Facts, Mode, Scope};
use crate::domain::entity::{Card, CardKind, Contact, EntityKind, Identity, Order};
use crate::domain::ids::ChannelId;
use crate::domain::status::{Pipeline, Source, Status, StatusKind};
use crate::store::decisions::Decided;
use crate::store::notes::Note;

pub use people::{company, contact_settings, duplicate, duplicate_reason, linked_company};
pub use values::{
    entity, entry, entry_kind, field, field_kind, field_values, line, money, read_field_value,
    totals,
};

/// Writes an id that may be absent: empty where it is.
pub fn text(id: Option<impl ToString>) -> String {
    id.map(|id| id.to_string()).unwrap_or_default()
}

impl From<StatusKind> for wire::StatusKind {
    fn from(kind: StatusKind) -> Self {
        match kind {
            StatusKind::New => Self::New,
            StatusKind::InProgress => Self::InProgress,
            StatusKind::Successful => Self::Successful,
            StatusKind::Rejected => Self::Rejected,
        }
    }
}

/// Reads a kind of status; none for an unset or unknown one.
pub fn status_kind(kind: i32) -> Option<StatusKind> {
    Some(match wire::StatusKind::try_from(kind).ok()? {
        wire::StatusKind::Unspecified => return None,
        wire::StatusKind::New => StatusKind::New,
        wire::StatusKind::InProgress => StatusKind::InProgress,
        wire::StatusKind::Successful => StatusKind::Successful,
        wire::StatusKind::Rejected => StatusKind::Rejected,
    })
}

/// Reads a kind of record; none for an unset or unknown one.
pub fn record_kind(kind: i32) -> Option<RecordKind> {
    Some(match wire::RecordKind::try_from(kind).ok()? {
        wire::RecordKind::Unspecified => return None,
        wire::RecordKind::Contact => RecordKind::Contact,
        wire::RecordKind::Company => RecordKind::Company,
        wire::RecordKind::Card => RecordKind::Card,
    })
}

/// Reads a mode; none for an unset or unknown one.
pub fn mode(mode: i32) -> Option<Mode> {
    use wire::pipeline_connection::Mode as Wire;
    Some(match Wire::try_from(mode).ok()? {
        Wire::Unspecified => return None,
        Wire::None => Mode::None,
        Wire::OneTime => Mode::OneTime,
        Wire::Repeat => Mode::Repeat,
        Wire::ContactWithoutCards => Mode::ContactWithoutCards,
    })
}

/// Reads a scope, the chat where it is unset; none for an unknown one.
pub fn scope(scope: i32) -> Option<Scope> {
    use wire::pipeline_connection::Scope as Wire;
    Some(match Wire::try_from(scope).ok()? {
        Wire::Unspecified | Wire::Chat => Scope::Chat,
        Wire::Client => Scope::Client,
    })
}

/// Writes a channel's rule.
pub fn connection(channel: ChannelId, rule: &Connection) -> wire::PipelineConnection {
    use wire::pipeline_connection::{Mode as WireMode, Scope as WireScope};
    let mode = match rule.mode {
        Mode::None => WireMode::None,
        Mode::OneTime => WireMode::OneTime,
        Mode::Repeat => WireMode::Repeat,
        Mode::ContactWithoutCards => WireMode::ContactWithoutCards,
    };
    let scope = match rule.scope {
        Scope::Chat => WireScope::Chat,
        Scope::Client => WireScope::Client,
    };
    let ever_set = rule.activated_at > time::OffsetDateTime::UNIX_EPOCH;
    wire::PipelineConnection {
        channel_id: channel.to_string(),
        mode: mode.into(),
        pipeline_id: text(rule.pipeline),
        source_id: text(rule.source),
        scope: scope.into(),
        include_existing_chats: Some(rule.include_existing_chats),
        activate_time: ever_set.then(|| timestamp(rule.activated_at)),
    }
}

/// Writes a status.
pub fn status(status: &Status) -> wire::Status {
    wire::Status {
        status_id: status.id.to_string(),
        name: status.name.clone(),
        kind: wire::StatusKind::from(status.kind).into(),
    }
}

/// Writes a pipeline.
pub fn pipeline(pipeline: &Pipeline) -> wire::Pipeline {
    wire::Pipeline {
        pipeline_id: pipeline.id.to_string(),
        name: pipeline.name.clone(),
        statuses: pipeline.statuses.iter().map(status).collect(),
        revision: pipeline.revision,
    }
}

/// Writes a source.
pub fn source(source: &Source) -> wire::Source {
    wire::Source {
        source_id: source.id.to_string(),
        name: source.name.clone(),
        revision: source.revision,
    }
}

impl From<CardKind> for common::EntityKind {
    fn from(kind: CardKind) -> Self {
        match kind {
            CardKind::Lead => Self::Lead,
            CardKind::Deal => Self::Deal,
        }
    }
}

/// Reads a kind of entity; none for an unset one.
pub const fn entity_kind(kind: common::EntityKind) -> Option<EntityKind> {
    Some(match kind {
        common::EntityKind::Unspecified => return None,
        common::EntityKind::Lead => EntityKind::Lead,
        common::EntityKind::Deal => EntityKind::Deal,
        common::EntityKind::Contact => EntityKind::Contact,
        common::EntityKind::Company => EntityKind::Company,
        common::EntityKind::Customer => EntityKind::Customer,
    })
}

/// Writes a card.
pub fn card(card: &Card) -> wire::Card {
    wire::Card {
        card_id: card.id.to_string(),
        kind: common::EntityKind::from(card.kind).into(),
        title: card.title.clone(),
        pipeline_id: card.pipeline.to_string(),
        status: Some(status(&card.status)),
        source_id: text(card.source),
        contact_id: text(card.contact),
        chat_id: text(card.chat),
        responsible_agent_id: text(card.responsible),
        create_time: Some(timestamp(card.created_at)),
        update_time: Some(timestamp(card.updated_at)),
        source_detail: card.source_detail.clone(),
        revision: card.revision,
        amount: card.amount.as_ref().map(money),
        fields: field_values(&card.fields),
        participant_agent_ids: card.participants.iter().map(ToString::to_string).collect(),
        messenger: card.messenger.clone().unwrap_or_default(),
        external_lines: Vec::new(),
        responsible_stamp: stamp_opt(card.stamp),
    }
}

/// Writes a note.
pub fn note(note: &Note) -> wire::CardNote {
    wire::CardNote {
        note_id: note.id.to_string(),
        card_id: note.card.to_string(),
        create_time: Some(timestamp(note.at)),
        actor: note.actor.clone(),
        text: note.text.clone(),
    }
}

/// Writes an identity.
pub fn identity(identity: &Identity) -> common::ClientIdentity {
    common::ClientIdentity {
        scope: identity.scope.clone(),
        user_id: identity.user_id.clone(),
        name: identity.name.clone(),
        username: identity.username.clone(),
        phone: identity.phone.clone(),
        email: identity.email.clone(),
        language: identity.language.clone(),
    }
}

/// Writes a contact.
pub fn contact(contact: &Contact) -> wire::Contact {
    wire::Contact {
        contact_id: contact.id.to_string(),
        name: contact.name.clone(),
        identities: contact.identities.iter().map(identity).collect(),
        buyer: contact.buyer,
        responsible_agent_id: text(contact.responsible),
        create_time: Some(timestamp(contact.created_at)),
        revision: contact.revision,
        phones: contact.phones.clone(),
        emails: contact.emails.clone(),
        company_id: text(contact.company),
        fields: field_values(&contact.fields),
        external_lines: Vec::new(),
        responsible_stamp: stamp_opt(contact.stamp),
        participant_agent_ids: Vec::new(),
    }
}

/// Writes an order.
pub fn order(order: &Order) -> wire::Order {
    wire::Order {
        order_id: order.id.to_string(),
        number: order.number,
        contact_id: order.contact.to_string(),
        status: wire::StatusKind::from(order.status).into(),
        create_time: Some(timestamp(order.created_at)),
        revision: order.revision,
        lines: order.lines.iter().map(|of| line(of, order.total)).collect(),
        total: order.total.as_ref().map(money),
        comment: order.comment.clone(),
        fields: field_values(&order.fields),
        chat_id: text(order.chat),
        update_time: Some(timestamp(order.updated_at)),
        participant_agent_ids: Vec::new(),
    }
}

/// Writes a stamp.
pub fn stamp(stamp: Stamp) -> common::Stamp {
    common::Stamp {
        time: Some(timestamp(stamp.time)),
        event_id: stamp.event.to_string(),
    }
}

/// Writes the stamp of a responsible; none where nobody has said who that is.
fn stamp_opt(of: Stamp) -> Option<common::Stamp> {
    (of > Stamp::ZERO).then(|| stamp(of))
}

/// Writes an entity that is linked to a chat.
pub fn linked(
    kind: common::EntityKind,
    id: impl std::fmt::Display,
    responsible: Option<AgentId>,
    of: Stamp,
) -> common::LinkedEntity {
    common::LinkedEntity {
        kind: kind.into(),
        entity_id: id.to_string(),
        responsible_agent_id: text(responsible),
        stamp: Some(stamp(of)),
    }
}

/// Writes a card as a linked entity.
pub fn linked_card(card: &Card) -> common::LinkedEntity {
    linked(card.kind.into(), card.id, card.responsible, card.stamp)
}

/// Writes a contact as a linked entity: a customer once it is saved as a buyer (D05).
pub fn linked_contact(contact: &Contact) -> common::LinkedEntity {
    let kind = if contact.buyer {
        common::EntityKind::Customer
    } else {
        common::EntityKind::Contact
    };
    linked(kind, contact.id, contact.responsible, contact.stamp)
}

/// Writes the facts of a decision.
pub fn facts(facts: &Facts) -> wire::DecisionFacts {
    let count = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    wire::DecisionFacts {
        opened_by_client: facts.opened_by_client,
        chat_create_time: Some(timestamp(facts.chat_created_at)),
        cards_ever_linked: count(facts.cards_ever_linked),
        card_in_work: facts.card_in_work,
        order_in_work: facts.order_in_work,
        contact_cards: count(facts.contact_cards),
        buyer: facts.buyer,
    }
}

/// Writes a decision.
pub fn decision(made: &Decided) -> wire::Decision {
    use wire::decision::Outcome;
    let outcome = if made.card.is_some() {
        Outcome::Created
    } else {
        Outcome::Skipped
    };
    wire::Decision {
        conversation_id: made.conversation.to_string(),
        number: made.number,
        chat_id: made.chat.to_string(),
        channel_id: made.channel.to_string(),
        time: Some(timestamp(made.decided_at)),
        outcome: outcome.into(),
        rule: made.rule.as_str().to_owned(),
        explanation: made.rule.explanation().to_owned(),
        card_id: text(made.card),
        contact_id: made.contact.to_string(),
        connection: Some(connection(made.channel, &made.connection)),
        facts: Some(facts(&made.facts)),
    }
}
