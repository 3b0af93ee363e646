//! Parsing of events: conversion is the validation, and what cannot be converted is a poison message.

use std::collections::BTreeSet;

use chassis::access::AccessRecord;
use chassis::actor::Actor;
use chassis::consumer::{Delivery, HandlerError};
use chassis::grpc::Parse;
use chassis::id::AccountSlug;
use chassis::stamp::Stamp;
use chassis::trace::TraceContext;
use prost_types::Timestamp;
use switchboard_proto::assignment::v1::{
    AgentAccessChanged, AssignmentRule, ChatAssigned, ResponsibleSyncRequested,
};
use switchboard_proto::channel_gateway::v1::LinkClicked;
use switchboard_proto::common::v1::{ClientIdentity, OpenReason};
use switchboard_proto::conversation::v1::{
    ConversationOpened, ConversationRead, InternalMessagePosted, entity_reference,
};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::app::clicks::Click;
use crate::app::internal_messages::Posted;
use crate::app::openings::Opening;
use crate::app::responsibles::Assigned;
use crate::app::sync::Requested;
use crate::domain::entity::{EntityKind, Identity};
use crate::domain::fields::Entity;
use crate::error::SERVICE;
use crate::store::talks::Talk;
use crate::wire;

const PARSE: Parse = Parse::new(SERVICE);

/// Reads an opened conversation.
pub(crate) fn opening(delivery: &Delivery) -> Result<Opening, HandlerError> {
    let event: ConversationOpened = delivery.decode()?;
    Ok(Opening {
        account: delivery.envelope.account.clone(),
        conversation: id("conversation_id", &event.conversation_id)?.into(),
        chat: id("chat_id", &event.chat_id)?.into(),
        channel: id("channel_id", &event.channel_id)?.into(),
        client: id("client_id", &event.client_id)?.into(),
        identity: identity(event.client.clone().unwrap_or_default())?,
        number: event.number,
        revision: event.revision,
        reason: OpenReason::try_from(event.reason).unwrap_or(OpenReason::Unspecified),
        opener: id_opt("opener_agent_id", &event.opener_agent_id)?.map(Into::into),
        chat_created_at: time("chat_create_time", event.chat_create_time.as_ref())?,
        opened_at: time("open_time", event.open_time.as_ref())?,
        start_payload: storable(event.start_payload),
        contact: id_opt("contact_id", &event.contact_id)?.map(Into::into),
        cause: delivery.envelope.id,
        trace: continued(delivery, "decide card"),
    })
}

/// What an opened conversation says of its chat: what the client began with is unread (F208).
pub(super) fn talk_of(opening: &Opening) -> Talk {
    Talk {
        account: opening.account.clone(),
        chat: opening.chat,
        channel: opening.channel,
        order: (opening.number, -1),
        unread: opening.reason == OpenReason::ClientMessage,
    }
}

/// Reads that something was read, or is unread again (F208).
pub(super) fn talk(delivery: &Delivery) -> Result<Talk, HandlerError> {
    let event: ConversationRead = delivery.decode()?;
    Ok(Talk {
        account: delivery.envelope.account.clone(),
        chat: id("chat_id", &event.chat_id)?.into(),
        channel: id("channel_id", &event.channel_id)?.into(),
        order: (event.number, event.version),
        unread: event.unread,
    })
}

/// Reads a chat's responsible where a rule of the channel chose it; none where a person acted (F026, F027), or where the chat
/// follows another entity that changed: from there it goes no further (X05).
pub(super) fn assigned(delivery: &Delivery) -> Result<Option<Assigned>, HandlerError> {
    let event: ChatAssigned = delivery.decode()?;
    let by_rule = matches!(
        event.rule(),
        AssignmentRule::Distribution | AssignmentRule::Previous | AssignmentRule::Crm
    );
    let assignment = event.assignment.clone().unwrap_or_default();
    if !by_rule
        || event.entity_changed
        || assignment.agent_id.is_empty()
        || assignment.conversation_id.is_empty()
    {
        return Ok(None);
    }
    // No stamp is that of a provisional choice: zero.
    let Some(stamp) = assignment.stamp else {
        return Ok(None);
    };
    Ok(Some(Assigned {
        account: delivery.envelope.account.clone(),
        conversation: id("assignment.conversation_id", &assignment.conversation_id)?.into(),
        agent: id("assignment.agent_id", &assignment.agent_id)?.into(),
        stamp: Stamp {
            time: time("assignment.stamp.time", stamp.time.as_ref())?,
            event: id_opt("assignment.stamp.event_id", &stamp.event_id)?.unwrap_or_default(),
        },
        cause: delivery.envelope.id,
        trace: continued(delivery, "give card its responsible"),
    }))
}

/// Reads a responsible that entities are to take; none where it names no kind that is known here.
pub(super) fn requested(delivery: &Delivery) -> Result<Option<Requested>, HandlerError> {
    let event: ResponsibleSyncRequested = delivery.decode()?;
    let kinds: BTreeSet<EntityKind> = event.kinds().filter_map(wire::entity_kind).collect();
    if kinds.is_empty() {
        return Ok(None);
    }
    let stamp = event.stamp.unwrap_or_default();
    Ok(Some(Requested {
        account: delivery.envelope.account.clone(),
        conversation: id("conversation_id", &event.conversation_id)?.into(),
        chat: id("chat_id", &event.chat_id)?.into(),
        agent: id("agent_id", &event.agent_id)?.into(),
        kinds,
        stamp: Stamp {
            time: time("stamp.time", stamp.time.as_ref())?,
            event: id("stamp.event_id", &stamp.event_id)?,
        },
        cause: delivery.envelope.id,
        trace: continued(delivery, "give entities their responsible"),
    }))
}

/// Reads who followed a short link.
pub(super) fn click(delivery: &Delivery) -> Result<Click, HandlerError> {
    let event: LinkClicked = delivery.decode()?;
    Ok(Click {
        account: delivery.envelope.account.clone(),
        chat: id("chat_id", &event.chat_id)?.into(),
        visitor: id_opt("visitor_id", &event.visitor_id)?,
        url: storable(event.url),
        at: time("time", event.time.as_ref())?,
        cause: delivery.envelope.id,
        trace: continued(delivery, "note click"),
    })
}

/// Reads to whom an internal message went; none where it is on an entity of a kind that is not known here.
pub(super) fn posted(delivery: &Delivery) -> Result<Option<Posted>, HandlerError> {
    let event: InternalMessagePosted = delivery.decode()?;
    let reference = event.message.and_then(|message| message.entity);
    let reference = reference.unwrap_or_default();
    let entity = match reference.kind() {
        entity_reference::Kind::Card => Entity::Card,
        entity_reference::Kind::Contact => Entity::Contact,
        entity_reference::Kind::Company => Entity::Company,
        entity_reference::Kind::Order => Entity::Order,
        entity_reference::Kind::Unspecified => return Ok(None),
    };
    let agents = &event.addressee_agent_ids;
    let agents = PARSE.ids("addressee_agent_ids", agents, agents.len());
    let envelope = &delivery.envelope;
    let nobody = || Actor::Service(envelope.service.clone());
    Ok(Some(Posted {
        account: envelope.account.clone(),
        entity,
        subject: id("message.entity.entity_id", &reference.entity_id)?,
        agents: agents.map_err(|refused| poison(&refused))?,
        actor: envelope.actor.clone().unwrap_or_else(nobody),
        cause: envelope.id,
        trace: continued(delivery, "let addressees take part"),
    }))
}

/// Reads what an agent may do.
pub(super) fn access(delivery: &Delivery) -> Result<(AccountSlug, AccessRecord), HandlerError> {
    let event: AgentAccessChanged = delivery.decode()?;
    let record = AccessRecord::try_from(event.access.unwrap_or_default())
        .map_err(|error| HandlerError::Poison(format!("access: {error}")))?;
    Ok((delivery.envelope.account.clone(), record))
}

/// Opens a span for one delivery of the batch and returns its context; without telemetry, the delivery's own.
fn continued(delivery: &Delivery, name: &'static str) -> TraceContext {
    let span = delivery.envelope.trace.span(name);
    let own = TraceContext::of(&span);
    if own.is_none() {
        delivery.envelope.trace.clone()
    } else {
        own
    }
}

fn identity(client: ClientIdentity) -> Result<Identity, HandlerError> {
    if client.scope.is_empty() || client.user_id.is_empty() {
        return Err(HandlerError::Poison(
            "client: an identity has a scope and a user id".into(),
        ));
    }
    Ok(Identity {
        scope: storable(client.scope),
        user_id: storable(client.user_id),
        name: storable(client.name),
        username: storable(client.username),
        phone: storable(client.phone),
        email: storable(client.email),
        language: storable(client.language),
    })
}

/// Leaves out NUL, which is valid in a message and not in Postgres.
fn storable(text: String) -> String {
    if text.contains('\0') {
        text.replace('\0', "")
    } else {
        text
    }
}

fn id(field: &str, text: &str) -> Result<Uuid, HandlerError> {
    PARSE.id(field, text).map_err(|refused| poison(&refused))
}

fn id_opt(field: &str, text: &str) -> Result<Option<Uuid>, HandlerError> {
    PARSE
        .id_opt(field, text)
        .map_err(|refused| poison(&refused))
}

fn time(field: &str, time: Option<&Timestamp>) -> Result<OffsetDateTime, HandlerError> {
    PARSE.time(field, time).map_err(|refused| poison(&refused))
}

fn poison(refused: &tonic::Status) -> HandlerError {
    HandlerError::Poison(refused.message().to_owned())
}
