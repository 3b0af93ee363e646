//! The consumer of the activity log (`conversation-activity`): whatever changed the state of something in the account is kept
//! as an entry, once (F214, F215).

use std::time::Duration;

use chassis::consumer::{Delivery, EventFilter, Handler, HandlerError};
use sqlx::PgPool;
use time::OffsetDateTime;

use crate::app;
use crate::domain::activity;
use crate::store::activity::NewEntry;

/// Batches begin this far from each other at least: nobody waits for the log, and few batches cost little beside the work.
const BATCH_WAIT: Duration = Duration::from_millis(250);

/// What is consumed: never messages and deliveries, which are most of all events.
pub fn filters() -> Vec<EventFilter> {
    activity::KINDS.iter().map(|kind| kind.filter).collect()
}

/// The handler. A durable of its own: nothing waits for the log, and it locks nothing that others lock.
pub struct Activity {
    pool: PgPool,
}

impl Activity {
    /// Makes the handler.
    pub fn new(pool: PgPool) -> Self {
        Self { pool }
    }
}

#[tonic::async_trait]
impl Handler for Activity {
    fn durable(&self) -> &'static str {
        "conversation-activity"
    }

    fn batch_wait(&self) -> Duration {
        BATCH_WAIT
    }

    async fn handle(&self, batch: &[Delivery], _: OffsetDateTime) -> Result<(), HandlerError> {
        let mut entries = Vec::with_capacity(batch.len());
        for delivery in batch {
            entries.extend(entry(delivery)?);
        }
        app::activity::keep(&self.pool, entries).await?;
        Ok(())
    }
}

/// Reads the entry that a delivery makes; none where it is of no kind that is kept.
fn entry(delivery: &Delivery) -> Result<Option<NewEntry>, HandlerError> {
    let envelope = &delivery.envelope;
    let Some(read) = activity::read(&envelope.kind, &delivery.payload) else {
        return Ok(None);
    };
    let (kind, told) =
        read.map_err(|error| HandlerError::Poison(format!("{}: {error}", envelope.kind)))?;
    let actor = envelope.actor.as_ref();
    Ok(Some(NewEntry {
        account: envelope.account.to_string(),
        event: envelope.id,
        kind: kind.name(),
        key_action: kind.key_action,
        time: envelope.time,
        actor: actor.map(ToString::to_string).unwrap_or_default(),
        told,
    }))
}
