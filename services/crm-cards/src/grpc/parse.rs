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
use crate::domain::settings::Wanted;
use crate::domain::status::StatusKind;
use crate::store::Before;
use crate::wire;

/// Statuses of a pipeline at most.
const STATUSES_MAX: usize = 100;

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
