//! Transport of the recovery: what this service told since the moment to which its database was set back (O3.10).

use chassis::consumer::{Delivery, HandlerError};
use chassis::envelope::INBOUND_TYPE;
use chassis::recovery::{Concluded, Durables, Replay};
use sqlx::PgConnection;
use switchboard_proto::DomainEvent;
use switchboard_proto::channel_gateway::v1 as gateway;
use switchboard_proto::conversation::v1 as pb;
use time::OffsetDateTime;

use crate::app::announce::Cause;
use crate::app::inbound::Batch;
use crate::app::recover::{self, Fact, Word};

/// What `recover` does here.
pub struct Recovery;

/// What is rebuilt out of events of our own.
const REBUILT: [&str; 16] = [
    pb::ClientUpdated::TYPE,
    pb::ChatCreated::TYPE,
    pb::ConversationOpened::TYPE,
    pb::ConversationContinued::TYPE,
    pb::ConversationClosed::TYPE,
    pb::ConversationRead::TYPE,
    pb::ChatRenamed::TYPE,
    pb::ChatSnoozed::TYPE,
    pb::ChatSpam::TYPE,
    pb::ChatRestored::TYPE,
    pb::MessageStored::TYPE,
    pb::MessageQueued::TYPE,
    pb::MessageCancelled::TYPE,
    pb::MessageEdited::TYPE,
    pb::MessageDeleted::TYPE,
    pb::MessageReacted::TYPE,
];

#[tonic::async_trait]
impl Replay for Recovery {
    fn durables(&self) -> Durables {
        Durables {
            events: &[
                "conversation-events",
                "conversation-own-app",
                "conversation-activity",
                "conversation-search",
            ],
            inbound: &["conversation-inbound"],
        }
    }

    fn completes_from_inbound(&self) -> bool {
        true
    }

    fn rebuilds(&self, event: &Delivery) -> bool {
        let kind = event.envelope.kind.as_str();
        REBUILT.contains(&kind)
    }

    async fn apply(
        &self,
        connection: &mut PgConnection,
        page: &[Delivery],
        now: OffsetDateTime,
    ) -> anyhow::Result<()> {
        let mut facts = Vec::with_capacity(page.len());
        let mut items = Batch::default();
        for delivery in page {
            if delivery.envelope.kind == INBOUND_TYPE {
                add(&mut items, delivery);
            } else if let Some(word) = word(delivery)? {
                facts.push(Fact {
                    account: delivery.envelope.account.clone(),
                    time: delivery.envelope.time,
                    word,
                });
            }
        }
        recover::apply(connection, facts, now).await?;
        recover::complete(connection, &items.arrivals).await?;
        Ok(())
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
        let (mut items, mut told) = (Batch::default(), recover::Told::default());
        for delivery in page {
            let kind = delivery.envelope.kind.as_str();
            if kind == INBOUND_TYPE {
                add(&mut items, delivery);
            } else if kind == pb::MessageStored::TYPE {
                let event: pb::MessageStored = delivery.decode()?;
                told.message(&event.message.unwrap_or_default());
            } else if kind == pb::ConversationOpened::TYPE {
                let event: pb::ConversationOpened = delivery.decode()?;
                told.conversation(&event);
            }
        }
        Ok(recover::compare(connection, &items.arrivals, &told).await?)
    }
}

/// Adds an item of INBOUND. One that cannot be handled is a dead letter, as it was.
fn add(items: &mut Batch, delivery: &Delivery) {
    let envelope = &delivery.envelope;
    let read = delivery.decode_as::<gateway::InboundEvent>();
    let added = read.and_then(|event| {
        let (account, trace) = (&envelope.account, envelope.trace.clone());
        Ok(items.add(account, envelope.id, trace, event)?)
    });
    if let Err(error) = added {
        tracing::info!(%error, stream = delivery.origin.stream, sequence = delivery.origin.sequence, "is left out");
    }
}

fn word(delivery: &Delivery) -> Result<Option<Word>, HandlerError> {
    let kind = delivery.envelope.kind.as_str();
    Ok(Some(match kind {
        pb::ClientUpdated::TYPE => Word::Client(delivery.decode()?),
        pb::ChatCreated::TYPE => Word::Created(delivery.decode()?),
        pb::ConversationOpened::TYPE => Word::Opened(Box::new(delivery.decode()?)),
        pb::ConversationContinued::TYPE => Word::Continued(delivery.decode()?),
        pb::ConversationClosed::TYPE => Word::Closed(delivery.decode()?),
        pb::ConversationRead::TYPE => Word::Read(delivery.decode()?),
        pb::ChatRenamed::TYPE => Word::Renamed(delivery.decode()?),
        pb::ChatSnoozed::TYPE => Word::Snoozed(delivery.decode()?),
        pb::ChatSpam::TYPE => Word::Spam(delivery.decode()?),
        pb::ChatRestored::TYPE => Word::Restored(delivery.decode()?),
        pb::MessageStored::TYPE => Word::Stored(Box::new(delivery.decode()?)),
        pb::MessageQueued::TYPE => Word::Queued(Box::new(delivery.decode()?)),
        pb::MessageEdited::TYPE => Word::Edited(Box::new(delivery.decode()?)),
        pb::MessageDeleted::TYPE => Word::Deleted(delivery.decode()?),
        pb::MessageReacted::TYPE => Word::Reacted(delivery.decode()?),
        _ => return Ok(None),
    }))
}

/// Who is told of a bot that the recovery ended.
pub(crate) fn cause() -> Cause {
    Cause {
        id: None,
        trace: chassis::trace::TraceContext::none(),
        actor: Some(chassis::actor::Actor::Service("conversation".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn o3_10_what_is_rebuilt_is_named_once_and_bots_are_not() {
        let named: BTreeSet<&str> = REBUILT.into_iter().collect();
        assert_eq!(named.len(), REBUILT.len());
        assert!(!named.contains(pb::BotStarted::TYPE));
    }
}
