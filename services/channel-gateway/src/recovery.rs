//! Transport of the recovery: what was to be delivered, and what became of it, since the moment to which this service's database
//! was set back (O3.10).

use chassis::consumer::{Delivery, EventFilter, HandlerError};
use chassis::recovery::{Concluded, Durables, Replay};
use sqlx::PgConnection;
use switchboard_proto::DomainEvent;
use switchboard_proto::channel_gateway::v1 as pb;
use switchboard_proto::conversation::v1::MessageQueued;
use time::OffsetDateTime;

use crate::app::recover::{self, Outcome, Words};
use crate::domain::delivery::PartState;

/// What `recover` does here.
pub struct Recovery;

/// What is rebuilt out of events of our own.
const REBUILT: [&str; 6] = [
    pb::DeliverySent::TYPE,
    pb::DeliveryDelivered::TYPE,
    pb::DeliveryRead::TYPE,
    pb::DeliveryFailed::TYPE,
    pb::DeliveryUncertain::TYPE,
    pb::DeliveryCancelled::TYPE,
];

/// What is made again by `INBOUND`, under the same keys.
const MADE_AGAIN: [&str; 7] = [
    pb::ClientBlocked::TYPE,
    pb::ClientUnblocked::TYPE,
    pb::OwnAppMessageReceived::TYPE,
    pb::AttachmentStored::TYPE,
    pb::AttachmentFailed::TYPE,
    pb::ClientDescribed::TYPE,
    pb::PostFound::TYPE,
];

#[tonic::async_trait]
impl Replay for Recovery {
    fn durables(&self) -> Durables {
        Durables {
            events: &["channel-gateway-events"],
            inbound: &["gateway-inbound"],
        }
    }

    fn reads(&self) -> &'static [EventFilter] {
        const READS: [EventFilter; 1] = [EventFilter::of::<MessageQueued>()];
        &READS
    }

    fn rebuilds(&self, event: &Delivery) -> bool {
        let kind = event.envelope.kind.as_str();
        REBUILT.contains(&kind) || MADE_AGAIN.contains(&kind)
    }

    async fn apply(
        &self,
        connection: &mut PgConnection,
        page: &[Delivery],
        now: OffsetDateTime,
    ) -> anyhow::Result<()> {
        Ok(recover::apply(connection, words(page)?, now).await?)
    }

    async fn conclude(
        &self,
        connection: &mut PgConnection,
        now: OffsetDateTime,
    ) -> anyhow::Result<Concluded> {
        Ok(recover::conclude(connection, now).await?)
    }

    async fn compare(
        &self,
        connection: &mut PgConnection,
        page: &[Delivery],
    ) -> anyhow::Result<Vec<String>> {
        let events: Vec<Delivery> = page
            .iter()
            .filter(|one| REBUILT.contains(&one.envelope.kind.as_str()))
            .cloned()
            .collect();
        Ok(recover::compare(connection, &words(&events)?.outcomes).await?)
    }
}

fn words(page: &[Delivery]) -> Result<Words, HandlerError> {
    let mut words = Words::default();
    for delivery in page {
        let (of, state, keys) = match delivery.envelope.kind.as_str() {
            MessageQueued::TYPE => {
                words.queued.push(crate::events::command(delivery)?);
                continue;
            }
            pb::DeliverySent::TYPE => {
                let event: pb::DeliverySent = delivery.decode()?;
                let mut keys = vec![event.provider_key];
                keys.extend(event.provider_keys);
                (event.delivery, PartState::Sent, keys)
            }
            pb::DeliveryDelivered::TYPE => {
                let event: pb::DeliveryDelivered = delivery.decode()?;
                (event.delivery, PartState::Delivered, Vec::new())
            }
            pb::DeliveryRead::TYPE => {
                let event: pb::DeliveryRead = delivery.decode()?;
                (event.delivery, PartState::Read, Vec::new())
            }
            pb::DeliveryFailed::TYPE => {
                let event: pb::DeliveryFailed = delivery.decode()?;
                words.reason(&event.reason);
                (event.delivery, PartState::Failed, Vec::new())
            }
            pb::DeliveryUncertain::TYPE => {
                let event: pb::DeliveryUncertain = delivery.decode()?;
                (event.delivery, PartState::Uncertain, Vec::new())
            }
            pb::DeliveryCancelled::TYPE => {
                let event: pb::DeliveryCancelled = delivery.decode()?;
                (event.delivery, PartState::Cancelled, Vec::new())
            }
            _ => continue,
        };
        words.add(Outcome::of(
            delivery.envelope.account.clone(),
            of.unwrap_or_default(),
            state,
            keys,
        ));
    }
    Ok(words)
}
