//! `AuditService`: listing the changes of this service's settings, and of others' where they are collected.

use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use sqlx::types::Json;
use switchboard_proto::operator::v1 as wire;
use switchboard_proto::operator::v1::audit_service_server::AuditService;
use time::OffsetDateTime;
use tonic::{Code, Request, Response, Status};
use uuid::Uuid;

use super::event::change;
use super::{FieldChange, Subject};
use crate::access::ChannelGrant;
use crate::actor::Actor;
use crate::auth::{Caller, Scope};
use crate::grpc::{self, Parse, page, timestamp};

/// Kinds, ids and names of subjects and actors are this long at most, in characters.
const TEXT_MAX: usize = 200;

/// Later than everything. A sentinel, so that one plan, by index, serves all pages.
const EVER: OffsetDateTime = time::macros::datetime!(9999-01-01 00:00:00 UTC);

/// Serves the changes of one service's settings, and those that it collects.
#[derive(Clone)]
pub struct Api {
    service: &'static str,
    pool: PgPool,
    scopes: &'static [Scope],
    collected: &'static [(&'static str, &'static [Scope])],
}

/// Where the next page begins.
#[derive(Serialize, Deserialize)]
struct Cursor {
    #[serde(with = "time::serde::rfc3339")]
    time: OffsetDateTime,
    id: Uuid,
}

/// What is asked for.
struct Wanted<'r> {
    kind: Option<&'r str>,
    id: Option<&'r str>,
    actor: Option<String>,
    since: OffsetDateTime,
    until: OffsetDateTime,
    before: Cursor,
    /// Services, as rows name them.
    services: Vec<String>,
    /// The channels that the caller sees; none for all.
    channels: Option<Vec<String>>,
    limit: i64,
}

#[derive(Clone)]
struct Row {
    service: String,
    entry_id: Uuid,
    time: OffsetDateTime,
    actor: String,
    action: String,
    subject_kind: String,
    subject_id: String,
    subject_name: String,
    changes: Json<Vec<FieldChange>>,
}

impl Api {
    /// Makes the service; a token needs one of `scopes`, those that change settings here.
    pub fn new(service: &'static str, pool: PgPool, scopes: &'static [Scope]) -> Self {
        Self {
            service,
            pool,
            scopes,
            collected: &[],
        }
    }

    /// Lists what is collected of other services too, of each to who holds one of its scopes.
    #[must_use]
    pub fn collecting(self, collected: &'static [(&'static str, &'static [Scope])]) -> Self {
        Self { collected, ..self }
    }

    /// Refuses who may not change settings here.
    fn may_list(&self, caller: &Caller) -> Result<(), Status> {
        let refuse = |reason, text, facts: &[(&str, &str)]| {
            let code = Code::PermissionDenied;
            Err(grpc::refusal(self.service, code, reason, text, facts))
        };
        if !self.scopes.iter().any(|scope| caller.has_scope(*scope)) {
            let needed: Vec<&str> = self.scopes.iter().map(|scope| scope.as_str()).collect();
            let text = "the token lacks the scope of this service's settings";
            return refuse("SCOPE_MISSING", text, &[("scope", &needed.join("|"))]);
        }
        match caller.access() {
            Some(access) if !access.settings => {
                let text = "the agent's role has no settings";
                refuse("SETTINGS_ACCESS_MISSING", text, &[])
            }
            _ => Ok(()),
        }
    }

    fn wanted<'r>(
        &self,
        caller: &Caller,
        request: &'r wire::ListAuditEntriesRequest,
    ) -> Result<(Wanted<'r>, usize), Status> {
        let parse = Parse::new(self.service);
        let size = parse.page_size(request.page_size)?;
        let before: Option<Cursor> = parse.page_token(&request.page_token)?;
        let actor = parse.text_opt("actor", &request.actor, TEXT_MAX)?;
        let actor = actor.map(str::parse::<Actor>).transpose();
        let actor = actor.map_err(|error| parse.refuse("actor", &error.to_string()))?;
        let since = parse.time_opt("since_time", request.since_time.as_ref())?;
        let until = parse.time_opt("until_time", request.until_time.as_ref())?;
        let only = parse.text_opt("service", &request.service, TEXT_MAX)?;
        let channels = match caller.access().map(|access| &access.channels) {
            None | Some(ChannelGrant::All) => None,
            Some(ChannelGrant::Some(granted)) => {
                Some(granted.iter().map(Uuid::to_string).collect())
            }
        };
        let wanted = Wanted {
            kind: parse.text_opt("subject_kind", &request.subject_kind, TEXT_MAX)?,
            id: parse.text_opt("subject_id", &request.subject_id, TEXT_MAX)?,
            actor: actor.map(|actor| actor.to_string()),
            since: since.unwrap_or(OffsetDateTime::UNIX_EPOCH),
            until: until.unwrap_or(EVER),
            before: before.unwrap_or(Cursor {
                time: EVER,
                id: Uuid::max(),
            }),
            services: self.services(caller, only),
            channels,
            limit: i64::from(size) + 1,
        };
        Ok((wanted, size as usize))
    }

    /// Names the services whose entries are asked for and open to the caller, as rows name them.
    fn services(&self, caller: &Caller, only: Option<&str>) -> Vec<String> {
        let open = |(_, scopes): &&(&str, &[Scope])| {
            let mut scopes = scopes.iter();
            scopes.any(|scope| caller.has_scope(*scope))
        };
        let others = self.collected.iter().filter(open);
        // Of itself a service does not tell its name.
        let own = (self.service, "");
        std::iter::once(own)
            .chain(others.map(|(service, _)| (*service, *service)))
            .filter(|(service, _)| only.is_none_or(|only| only == *service))
            .map(|(_, row)| row.to_owned())
            .collect()
    }

    async fn read(&self, caller: &Caller, wanted: &Wanted<'_>) -> Result<Vec<Row>, sqlx::Error> {
        sqlx::query_as!(
            Row,
            r#"select service, entry_id, time, actor, action, subject_kind, subject_id, subject_name,
                   changes as "changes: Json<Vec<FieldChange>>"
               from chassis.audit_entry
               where account = $1 and service = any($12) and (time, entry_id) < ($2, $3) and time >= $4 and time < $5
                 and ($6::text is null or subject_kind = $6)
                 and ($7::text is null or subject_id = $7)
                 and ($8::text is null or actor = $8)
                 and ($9::text[] is null or subject_kind <> $10 or subject_id = any($9))
               order by time desc, entry_id desc limit $11"#,
            caller.account().as_str(),
            wanted.before.time,
            wanted.before.id,
            wanted.since,
            wanted.until,
            wanted.kind,
            wanted.id,
            wanted.actor.as_deref(),
            wanted.channels.as_deref() as Option<&[String]>,
            Subject::CHANNEL,
            wanted.limit,
            &wanted.services,
        )
        .fetch_all(&self.pool)
        .await
    }

    fn entry(&self, row: Row) -> wire::AuditEntry {
        wire::AuditEntry {
            entry_id: row.entry_id.to_string(),
            time: Some(timestamp(row.time)),
            actor: row.actor,
            action: row.action,
            subject_kind: row.subject_kind,
            subject_id: row.subject_id,
            subject_name: row.subject_name,
            changes: row.changes.0.into_iter().map(change).collect(),
            service: if row.service.is_empty() {
                self.service.to_owned()
            } else {
                row.service
            },
        }
    }
}

#[tonic::async_trait]
impl AuditService for Api {
    async fn list_audit_entries(
        &self,
        request: Request<wire::ListAuditEntriesRequest>,
    ) -> Result<Response<wire::ListAuditEntriesResponse>, Status> {
        let caller = Caller::of(&request)?;
        self.may_list(&caller)?;
        let (wanted, size) = self.wanted(&caller, request.get_ref())?;
        let rows = self.read(&caller, &wanted).await;
        let mut rows = rows.map_err(|error| match error {
            sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } => {
                grpc::internal(self.service, &error)
            }
            error => {
                tracing::warn!(%error, "changes of settings cannot be read");
                grpc::unavailable(self.service, "database")
            }
        })?;
        let more = rows.len() > size;
        rows.truncate(size);
        let (entries, next_page_token) = page(
            &rows,
            more,
            |row| self.entry(row.clone()),
            |last| Cursor {
                time: last.time,
                id: last.entry_id,
            },
        );
        Ok(Response::new(wire::ListAuditEntriesResponse {
            entries,
            next_page_token,
        }))
    }
}
