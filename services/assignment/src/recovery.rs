//! Transport of the recovery: who answered for chats since the moment to which this service's database was set back (O3.10).

use chassis::consumer::{Delivery, EventFilter, HandlerError};
use chassis::recovery::{Concluded, Durables, Replay};
use sqlx::PgConnection;
use switchboard_proto::DomainEvent;
use switchboard_proto::assignment::v1 as pb;
use switchboard_proto::conversation::v1::{
    ConversationClosed, ConversationContinued, ConversationOpened,
};
use switchboard_proto::crm_cards::v1::ConnectionDecided;
use time::OffsetDateTime;

use crate::app::recover::{self, Answering, Word};
use crate::events::{malformed, report};
use crate::wire::PARSE;

/// What `recover` does here.
pub struct Recovery;

/// What is rebuilt out of events of our own.
const REBUILT: [&str; 5] = [
    pb::ChatAssigned::TYPE,
    pb::ChatUnassigned::TYPE,
    pb::ChatJoined::TYPE,
    pb::ChatLeft::TYPE,
    pb::ChatOfferTaken::TYPE,
];

/// What follows from others' words again, and is told again where it is still so.
const MADE_AGAIN: [&str; 2] = [
    pb::ResponsibleSyncRequested::TYPE,
    pb::ResponsibleSyncSkipped::TYPE,
];

#[tonic::async_trait]
impl Replay for Recovery {
    fn durables(&self) -> Durables {
        Durables {
            events: &["assignment-events", "assignment-audit"],
            inbound: &[],
        }
    }

    fn reads(&self) -> &'static [EventFilter] {
        const READS: [EventFilter; 4] = [
            EventFilter::of::<ConversationOpened>(),
            EventFilter::of::<ConversationContinued>(),
            EventFilter::of::<ConversationClosed>(),
            EventFilter::of::<ConnectionDecided>(),
        ];
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
        let mut words = Vec::with_capacity(page.len());
        for delivery in page {
            if let Some(answering) = answering(delivery)? {
                words.push(Word::Answering(answering));
            } else if let Some(report) = report(delivery)? {
                words.push(Word::Heard(Box::new(report)));
            }
        }
        Ok(recover::apply(connection, words, now).await?)
    }

    async fn conclude(
        &self,
        connection: &mut PgConnection,
        _now: OffsetDateTime,
    ) -> anyhow::Result<Concluded> {
        recover::count(connection).await?;
        Ok(Concluded::default())
    }

    async fn compare(
        &self,
        connection: &mut PgConnection,
        page: &[Delivery],
    ) -> anyhow::Result<Vec<String>> {
        let mut told = Vec::with_capacity(page.len());
        for delivery in page {
            told.extend(answering(delivery)?);
        }
        Ok(recover::compare(connection, &told).await?)
    }
}

/// Reads who answers for a chat after an event; none of one that does not say so.
fn answering(delivery: &Delivery) -> Result<Option<Answering>, HandlerError> {
    let (assignment, given_back) = match delivery.envelope.kind.as_str() {
        pb::ChatAssigned::TYPE => (delivery.decode::<pb::ChatAssigned>()?.assignment, None),
        pb::ChatUnassigned::TYPE => {
            let event: pb::ChatUnassigned = delivery.decode()?;
            let reason = event.reason();
            (event.assignment, Some(recover::given_back(reason)))
        }
        pb::ChatJoined::TYPE => (delivery.decode::<pb::ChatJoined>()?.assignment, None),
        pb::ChatLeft::TYPE => (delivery.decode::<pb::ChatLeft>()?.assignment, None),
        pb::ChatOfferTaken::TYPE => (delivery.decode::<pb::ChatOfferTaken>()?.assignment, None),
        _ => return Ok(None),
    };
    let assignment = assignment.unwrap_or_default();
    let read = || {
        let stamp = assignment.stamp.clone().unwrap_or_default();
        let participants = &assignment.participant_agent_ids;
        Ok(Answering {
            account: delivery.envelope.account.clone(),
            chat: PARSE.id("chat_id", &assignment.chat_id)?,
            channel: PARSE.id("channel_id", &assignment.channel_id)?,
            conversation: PARSE.id_opt("conversation_id", &assignment.conversation_id)?,
            number: assignment.number,
            agent: PARSE.id_opt("agent_id", &assignment.agent_id)?,
            participants: PARSE.ids("participant_agent_ids", participants, participants.len())?,
            stamp: chassis::stamp::Stamp {
                time: PARSE
                    .time_opt("stamp.time", stamp.time.as_ref())?
                    .unwrap_or(OffsetDateTime::UNIX_EPOCH),
                event: PARSE
                    .id_opt("stamp.event_id", &stamp.event_id)?
                    .unwrap_or_default(),
            },
            version: assignment.version,
            offer_end: PARSE.time_opt("offer_end_time", assignment.offer_end_time.as_ref())?,
            given_back,
        })
    };
    read().map(Some).map_err(|status| malformed(&status))
}
