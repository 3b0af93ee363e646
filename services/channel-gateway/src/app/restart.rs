//! Telling accounts that a full stream gave up messages which their consumers had not read.

use chassis::grpc::timestamp_opt;
use chassis::janitor::{Announce, Restart};
use chassis::outbox::{self, Outgoing};
use switchboard_proto::channel_gateway::v1::StreamRestarted;
use time::OffsetDateTime;

use super::App;
use crate::error::{DOMAIN, Error};

/// Announces restarts in one transaction. They are published once the stream has room again.
pub async fn announce(app: &App, restarts: Vec<Restart>, now: OffsetDateTime) -> Result<(), Error> {
    let events = restarts.into_iter().map(|restart| {
        let event = StreamRestarted {
            stream: restart.stream,
            first_sequence: restart.first_sequence,
            first_time: timestamp_opt(restart.first_time),
            consumers: restart.consumers,
        };
        Outgoing::new(&restart.account, &event.stream, &event)
    });
    let events = events.collect();
    let mut tx = app.pool.begin().await?;
    outbox::write(&mut tx, DOMAIN, events, now).await?;
    tx.commit().await?;
    app.relay.wake();
    Ok(())
}

/// How the janitor announces.
pub struct ByOutbox(pub App);

#[tonic::async_trait]
impl Announce for ByOutbox {
    async fn announce(&self, restarts: Vec<Restart>, now: OffsetDateTime) -> anyhow::Result<()> {
        Ok(announce(&self.0, restarts, now).await?)
    }
}
