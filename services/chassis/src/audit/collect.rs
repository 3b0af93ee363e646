//! Collecting the entries of all services in one, from their events.

use serde_json::Value;
use sqlx::PgPool;
use switchboard_proto::operator::v1::{self as wire, SettingChanged};
use time::OffsetDateTime;
use uuid::Uuid;

use super::FieldChange;
use super::value::heard;
use crate::actor::Actor;
use crate::consumer::{Delivery, EventFilter, Handler, HandlerError};
use crate::grpc::Parse;

/// Keeps what other services announce of their settings beside this service's own, where [`super::Api`] lists it.
pub struct Collector {
    service: &'static str,
    durable: &'static str,
    pool: PgPool,
}

/// An entry of another service.
struct Heard {
    account: String,
    service: String,
    id: Uuid,
    time: OffsetDateTime,
    entry: wire::AuditEntry,
    changes: Value,
}

impl Collector {
    /// What is consumed.
    pub const FILTERS: [EventFilter; 1] = [EventFilter::of::<SettingChanged>()];

    /// Makes a collector of a service; the durable is `<service>-<what>`.
    pub fn new(service: &'static str, durable: &'static str, pool: PgPool) -> Self {
        Self {
            service,
            durable,
            pool,
        }
    }

    /// Reads what a delivery tells; none for this service's own, which stands there since the change.
    fn read(&self, delivery: &Delivery) -> Result<Option<Heard>, HandlerError> {
        let envelope = &delivery.envelope;
        if envelope.service == self.service {
            return Ok(None);
        }
        let event: SettingChanged = delivery.decode()?;
        let missing = || HandlerError::Poison("entry is required".into());
        let mut entry = event.entry.ok_or_else(missing)?;
        let parse = Parse::new(self.service);
        // The message names field and rule, never content.
        let poison = |status: tonic::Status| HandlerError::Poison(status.message().to_owned());
        let time = parse.time("entry.time", entry.time.as_ref());
        let id: Uuid = parse
            .id("entry.entry_id", &entry.entry_id)
            .map_err(poison)?;
        entry
            .actor
            .parse::<Actor>()
            .map_err(|error| HandlerError::Poison(format!("entry.actor {error}")))?;
        let changes = std::mem::take(&mut entry.changes);
        let changes: Vec<FieldChange> = changes
            .into_iter()
            .map(|change| FieldChange {
                field: change.field,
                before: change.before.map(heard),
                after: change.after.map(heard),
            })
            .collect();
        let changes = serde_json::to_value(&changes)
            .map_err(|error| HandlerError::Poison(format!("entry.changes: {error}")))?;
        // Account and service are those of the subject, on which nobody else may publish.
        Ok(Some(Heard {
            account: envelope.account.to_string(),
            service: envelope.service.clone(),
            id,
            time: time.map_err(poison)?,
            entry,
            changes,
        }))
    }
}

#[tonic::async_trait]
impl Handler for Collector {
    fn durable(&self) -> &'static str {
        self.durable
    }

    async fn handle(&self, batch: &[Delivery], _: OffsetDateTime) -> Result<(), HandlerError> {
        let mut heard = Vec::with_capacity(batch.len());
        for delivery in batch {
            heard.extend(self.read(delivery)?);
        }
        if heard.is_empty() {
            return Ok(());
        }
        let column = |text: fn(&Heard) -> &str| {
            let texts = heard.iter().map(text).map(str::to_owned);
            texts.collect::<Vec<String>>()
        };
        let ids: Vec<Uuid> = heard.iter().map(|heard| heard.id).collect();
        let times: Vec<OffsetDateTime> = heard.iter().map(|heard| heard.time).collect();
        let changes: Vec<Value> = heard.iter().map(|heard| heard.changes.clone()).collect();
        sqlx::query!(
            "insert into chassis.audit_entry
                 (account, service, entry_id, time, actor, action, subject_kind, subject_id, subject_name, changes)
             select * from unnest($1::text[], $2::text[], $3::uuid[], $4::timestamptz[], $5::text[], $6::text[],
                                  $7::text[], $8::text[], $9::text[], $10::jsonb[])
             on conflict do nothing",
            &column(|heard| &heard.account),
            &column(|heard| &heard.service),
            &ids,
            &times,
            &column(|heard| &heard.entry.actor),
            &column(|heard| &heard.entry.action),
            &column(|heard| &heard.entry.subject_kind),
            &column(|heard| &heard.entry.subject_id),
            &column(|heard| &heard.entry.subject_name),
            &changes,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
