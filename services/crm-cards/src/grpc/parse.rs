//! Parsing of requests: conversion is the validation.

use chassis::grpc::page_token;
use prost::Message;
use serde::{Deserialize, Serialize};
use switchboard_proto::crm_cards::v1 as wire_v1;
use time::OffsetDateTime;
use tonic::Status;
use uuid::Uuid;

use super::PARSE;
use crate::app::RequestKey;
use crate::app::list_cards::{Owner, Wanted as WantedCards};
use crate::app::people::{Details, Wanted as WantedPeople};
use crate::domain::entity::{Edit, NAME_MAX};
use crate::domain::fields::{FIELDS_MAX, Given};
use crate::domain::ids::StatusId;
use crate::domain::money::Money;
use crate::domain::settings::Wanted;
use crate::domain::status::StatusKind;
use crate::store::Before;
use crate::store::card_lists::{Filter, Order, Span};
use crate::store::duplicates::After;
use crate::wire;

/// Statuses of a pipeline at most.
pub(super) const STATUSES_MAX: usize = 100;

/// Where a page of a list by time ended.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Cursor {
    #[serde(with = "time::serde::rfc3339")]
    pub time: OffsetDateTime,
    pub id: Uuid,
}

impl Cursor {
    pub(super) fn new(time: OffsetDateTime, id: impl Into<Uuid>) -> Self {
        Self {
            time,
            id: id.into(),
        }
    }
}

/// Where a page of a list by name ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct NameCursor {
    pub name: String,
}

pub(super) fn cursor(token: &str) -> Result<Option<Cursor>, Status> {
    PARSE.page_token(token)
}

pub(super) fn before(token: &str) -> Result<Option<Before>, Status> {
    Ok(cursor(token)?.map(|cursor| Before {
        time: cursor.time,
        id: cursor.id,
    }))
}

/// Returns the token of the next page; empty at the end.
pub(super) fn next(more: bool, last: Option<Cursor>) -> String {
    last.filter(|_| more)
        .map(|cursor| page_token(&cursor))
        .unwrap_or_default()
}

pub(super) fn request_key(
    method: &'static str,
    id: &str,
    request: &impl Message,
) -> Result<RequestKey, Status> {
    Ok(RequestKey {
        method,
        id: PARSE.request_id(id)?.map(str::to_owned),
        hash: chassis::request::hash(request),
    })
}

pub(super) fn kind(field: &str, kind: i32) -> Result<StatusKind, Status> {
    wire::status_kind(kind).ok_or_else(|| PARSE.refuse(field, "must be a kind of status"))
}

pub(super) fn kinds(kinds: &[i32]) -> Result<Vec<StatusKind>, Status> {
    kinds
        .iter()
        .map(|value| kind("status_kinds", *value))
        .collect()
}

pub(super) fn statuses(
    statuses: &[wire_v1::NewStatus],
) -> Result<Vec<(String, StatusKind)>, Status> {
    if statuses.len() > STATUSES_MAX {
        return Err(PARSE.refuse("statuses", "must have at most 100 entries"));
    }
    statuses
        .iter()
        .enumerate()
        .map(|(index, status)| {
            let name = PARSE.text(&format!("statuses[{index}].name"), &status.name, 100)?;
            Ok((
                name.to_owned(),
                kind(&format!("statuses[{index}].kind"), status.kind)?,
            ))
        })
        .collect()
}

pub(super) fn connection(connection: &wire_v1::PipelineConnection) -> Result<Wanted, Status> {
    Ok(Wanted {
        mode: wire::mode(connection.mode)
            .ok_or_else(|| PARSE.refuse("connection.mode", "is required"))?,
        pipeline: PARSE.id_opt("connection.pipeline_id", &connection.pipeline_id)?,
        source: PARSE.id_opt("connection.source_id", &connection.source_id)?,
        scope: wire::scope(connection.scope)
            .ok_or_else(|| PARSE.refuse("connection.scope", "must be the chat or the client"))?,
        include_existing_chats: connection.include_existing_chats,
    })
}

/// Reads what is said of an amount.
pub(super) fn money(money: Option<&wire_v1::Money>) -> Result<Edit<Money>, Status> {
    money_of("amount", money)
}

/// Reads what is said of an amount of a field.
pub(super) fn money_of(field: &str, money: Option<&wire_v1::Money>) -> Result<Edit<Money>, Status> {
    let Some(money) = money else {
        return Ok(Edit::Keep);
    };
    let read = Money::read(&money.currency, &money.amount);
    read.map(|money| money.map_or(Edit::Clear, Edit::Set))
        .map_err(|wrong| PARSE.refuse(&format!("{field}.{}", wrong.field), &wrong.description))
}

/// Reads values of custom fields.
pub(super) fn fields(
    fields: impl IntoIterator<Item = (String, wire_v1::FieldValue)>,
) -> Result<Given, Status> {
    let given: Given = fields
        .into_iter()
        .map(|(key, value)| (key, wire::read_field_value(value)))
        .collect();
    if given.len() > FIELDS_MAX {
        return Err(PARSE.refuse("fields", "must have at most 100 entries"));
    }
    Ok(given)
}

/// Reads which cards are asked for.
pub(super) fn cards(request: &wire_v1::ListCardsRequest) -> Result<WantedCards, Status> {
    use wire_v1::list_cards_request::{Order as WireOrder, Owner as WireOwner, TalkState};
    let agent = PARSE.id_opt("responsible_agent_id", &request.responsible_agent_id)?;
    let owner = match (WireOwner::try_from(request.owner), agent) {
        (Ok(WireOwner::Unspecified), None) => Owner::Any,
        (Ok(WireOwner::Unspecified), Some(agent)) => Owner::Agent(agent),
        (Ok(WireOwner::None), None) => Owner::Nobody,
        (Ok(WireOwner::Mine), None) => Owner::Mine,
        (Ok(_), Some(_)) => {
            return Err(PARSE.refuse("owner", "must be left out where an agent is named"));
        }
        (Err(_), _) => return Err(PARSE.refuse("owner", "must be nobody or the caller")),
    };
    let order = match WireOrder::try_from(request.order) {
        Ok(WireOrder::Unspecified | WireOrder::CreateTime) => Order::Created,
        Ok(WireOrder::UpdateTime) => Order::Updated,
        Err(_) => return Err(PARSE.refuse("order", "must be by creation or by update")),
    };
    let unread = match TalkState::try_from(request.talks) {
        Ok(TalkState::Unspecified) => None,
        Ok(state) => Some(state == TalkState::Unread),
        Err(_) => return Err(PARSE.refuse("talks", "must be read or unread")),
    };
    let time = |field, time: &Option<prost_types::Timestamp>| PARSE.time_opt(field, time.as_ref());
    let statuses: Vec<StatusId> = PARSE.ids("status_ids", &request.status_ids, STATUSES_MAX)?;
    let filter = Filter {
        kinds: kinds(&request.status_kinds)?,
        statuses,
        pipeline: PARSE.id_opt("pipeline_id", &request.pipeline_id)?,
        source: PARSE.id_opt("source_id", &request.source_id)?,
        messenger: PARSE
            .text_opt("messenger", &request.messenger, 40)?
            .map(str::to_owned),
        contact: PARSE.id_opt("contact_id", &request.contact_id)?,
        chat: PARSE.id_opt("chat_id", &request.chat_id)?,
        created: Span {
            from: time("create_time_from", &request.create_time_from)?,
            to: time("create_time_to", &request.create_time_to)?,
        },
        updated: Span {
            from: time("update_time_from", &request.update_time_from)?,
            to: time("update_time_to", &request.update_time_to)?,
        },
        order,
        ..Filter::default()
    };
    let text = PARSE.text_opt("text", &request.text, 200)?;
    Ok(WantedCards {
        owner,
        text: text.map(str::to_owned),
        unread,
        filter,
    })
}

/// Reads what is said of an id: an empty one is none from now on.
pub(super) fn id_change<T: std::str::FromStr>(
    field: &str,
    id: Option<&String>,
) -> Result<Edit<T>, Status> {
    let Some(id) = id else {
        return Ok(Edit::Keep);
    };
    Ok(PARSE.id_opt(field, id)?.map_or(Edit::Clear, Edit::Set))
}

/// Reads where the cards of statuses go.
pub(super) fn cards_to(cards_to: &[wire_v1::CardsTo]) -> Result<Vec<(StatusId, StatusId)>, Status> {
    if cards_to.len() > STATUSES_MAX {
        return Err(PARSE.refuse("cards_to", "must have at most 100 entries"));
    }
    let pairs = cards_to.iter().enumerate().map(|(place, pair)| {
        let field = |name: &str| format!("cards_to[{place}].{name}");
        let from = PARSE.id(&field("from_status_id"), &pair.from_status_id)?;
        Ok((from, PARSE.id(&field("to_status_id"), &pair.to_status_id)?))
    });
    pairs.collect()
}

/// Where a page of pairs ended.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct PairCursor {
    pub last: Cursor,
    pub second: Uuid,
}

pub(super) fn after_pair(token: &str) -> Result<Option<After>, Status> {
    let cursor: Option<PairCursor> = PARSE.page_token(token)?;
    Ok(cursor.map(|cursor| After {
        before: Before {
            time: cursor.last.time,
            id: cursor.last.id,
        },
        second: cursor.second,
    }))
}

/// Reads the name of a contact or company.
pub(super) fn name(name: &str) -> Result<String, Status> {
    Ok(PARSE.text("name", name, NAME_MAX)?.to_owned())
}

/// Reads what is said of a contact or company that is made.
pub(super) fn details(
    phones: Vec<String>,
    emails: Vec<String>,
    values: impl IntoIterator<Item = (String, wire_v1::FieldValue)>,
) -> Result<Details, Status> {
    Ok(Details {
        name: None,
        phones: Some(phones),
        emails: Some(emails),
        fields: fields(values)?,
    })
}

/// Reads what is said of a contact or company that is changed.
pub(super) fn changed_details(
    new_name: Option<&String>,
    phones: Option<wire_v1::ContactPoints>,
    emails: Option<wire_v1::ContactPoints>,
    values: impl IntoIterator<Item = (String, wire_v1::FieldValue)>,
) -> Result<Details, Status> {
    Ok(Details {
        name: new_name.map(|text| name(text)).transpose()?,
        phones: phones.map(|points| points.values),
        emails: emails.map(|points| points.values),
        fields: fields(values)?,
    })
}

/// What requests for contacts and for companies say alike.
pub(super) struct AskedPeople<'r> {
    pub owner: i32,
    pub responsible: &'r str,
    pub text: &'r str,
    pub phone: &'r str,
    pub email: &'r str,
    pub messenger: &'r str,
}

/// Reads which contacts or companies are asked for.
pub(super) fn people(asked: &AskedPeople<'_>) -> Result<WantedPeople, Status> {
    use wire_v1::PersonOwner;
    let agent = PARSE.id_opt("responsible_agent_id", asked.responsible)?;
    let owner = match (PersonOwner::try_from(asked.owner), agent) {
        (Ok(PersonOwner::Unspecified), None) => Owner::Any,
        (Ok(PersonOwner::Unspecified), Some(agent)) => Owner::Agent(agent),
        (Ok(PersonOwner::None), None) => Owner::Nobody,
        (Ok(PersonOwner::Mine), None) => Owner::Mine,
        (Ok(_), Some(_)) => {
            return Err(PARSE.refuse("owner", "must be left out where an agent is named"));
        }
        (Err(_), _) => return Err(PARSE.refuse("owner", "must be nobody or the caller")),
    };
    let text = |field, text, max| -> Result<Option<String>, Status> {
        Ok(PARSE.text_opt(field, text, max)?.map(str::to_owned))
    };
    Ok(WantedPeople {
        owner,
        text: text("text", asked.text, 200)?,
        phone: text("phone", asked.phone, 40)?,
        email: text("email", asked.email, 254)?,
        messenger: text("messenger", asked.messenger, 40)?,
    })
}
