//! Events of other services: what conversations do, and what pipeline connections decide.

use std::sync::Arc;

use chassis::actor::Actor;
use chassis::consumer::{Delivery, EventFilter, Handler, HandlerError};
use switchboard_proto::DomainEvent;
use switchboard_proto::conversation::v1::{
    ConversationClosed, ConversationContinued, ConversationOpened,
};
use switchboard_proto::crm_cards::v1::{ConnectionDecided, EntityResponsibleChanged};
use time::OffsetDateTime;
use tonic::Status;
use uuid::Uuid;

use crate::app::App;
use crate::app::assign::Origin;
use crate::app::hear::Report;
use crate::app::sync::Change;
use crate::domain::chat::{Opening, Told};
use crate::domain::{ChannelId, ChatId, ConversationId};
use crate::store::conversations::ConversationRow;
use crate::sweep::Progress;
use crate::wire::{self, PARSE};

/// What is consumed.
pub const FILTERS: [EventFilter; 5] = [
    EventFilter::of::<ConversationOpened>(),
    EventFilter::of::<ConversationContinued>(),
    EventFilter::of::<ConversationClosed>(),
    EventFilter::of::<ConnectionDecided>(),
    EventFilter::of::<EntityResponsibleChanged>(),
];

/// Handles batches of these events.
pub struct Events {
    app: App,
    progress: Arc<Progress>,
}

impl Events {
    /// Makes the handler.
    pub fn new(app: App) -> Self {
        Self {
            app,
            progress: Arc::default(),
        }
    }

    /// Returns how far this handler has come, for the sweep.
    pub fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }
}

#[tonic::async_trait]
impl Handler for Events {
    fn durable(&self) -> &'static str {
        "assignment-events"
    }

    async fn handle(&self, batch: &[Delivery], now: OffsetDateTime) -> Result<(), HandlerError> {
        let mut reports = Vec::with_capacity(batch.len());
        let mut changes = Vec::new();
        for delivery in batch {
            if delivery.is::<EntityResponsibleChanged>() {
                changes.extend(changed_in_crm(delivery)?);
            } else {
                reports.extend(report(delivery)?);
            }
        }
        if let Some(newest) = batch.iter().map(|delivery| delivery.envelope.time).max() {
            self.progress.handled(newest, now);
        }
        if !reports.is_empty() {
            self.app.hear(reports, now).await?;
        }
        // In a transaction of its own: both are idempotent, so that a repeat of the batch does no harm.
        self.app.follow_crm(changes, now).await?;
        Ok(())
    }
}

/// Reads what a delivery tells; none for an event that is not known here.
pub(crate) fn report(delivery: &Delivery) -> Result<Option<Report>, HandlerError> {
    let kind = delivery.envelope.kind.as_str();
    if kind == ConversationOpened::TYPE {
        opened(delivery, &delivery.decode()?)
            .map(Some)
            .map_err(|status| malformed(&status))
    } else if kind == ConversationContinued::TYPE {
        let event: ConversationContinued = delivery.decode()?;
        let ids: [&str; 3] = [&event.chat_id, &event.channel_id, &event.conversation_id];
        changed(delivery, ids, (event.number, event.revision), true)
            .map(Some)
            .map_err(|status| malformed(&status))
    } else if kind == ConversationClosed::TYPE {
        let event: ConversationClosed = delivery.decode()?;
        let ids: [&str; 3] = [&event.chat_id, &event.channel_id, &event.conversation_id];
        changed(delivery, ids, (event.number, event.revision), false)
            .map(Some)
            .map_err(|status| malformed(&status))
    } else if kind == ConnectionDecided::TYPE {
        decided(delivery, &delivery.decode()?)
            .map(Some)
            .map_err(|status| malformed(&status))
    } else {
        Ok(None)
    }
}

pub(crate) fn malformed(status: &Status) -> HandlerError {
    // The message names field and rule, never content.
    HandlerError::Poison(status.message().to_owned())
}

fn origin(delivery: &Delivery) -> Origin {
    Origin {
        cause: Some(delivery.envelope.id),
        trace: delivery.envelope.trace.clone(),
    }
}

fn traceparent(delivery: &Delivery) -> String {
    delivery.envelope.trace.traceparent().unwrap_or_default()
}

fn opened(delivery: &Delivery, event: &ConversationOpened) -> Result<Report, Status> {
    let opening = Opening {
        time: PARSE.time("open_time", event.open_time.as_ref())?,
        opener: PARSE.id_opt("opener_agent_id", &event.opener_agent_id)?,
        event: Some(delivery.envelope.id),
        traceparent: traceparent(delivery),
    };
    let ids: [&str; 3] = [&event.chat_id, &event.channel_id, &event.conversation_id];
    let mut report = changed(delivery, ids, (event.number, event.revision), true)?;
    report.row = Some(row(&report, &opening, None));
    report.told.opening = Some(opening);
    Ok(report)
}

fn decided(delivery: &Delivery, event: &ConnectionDecided) -> Result<Report, Status> {
    let missing = || PARSE.refuse("decision", "is required");
    let decision = event.decision.as_ref().ok_or_else(missing)?;
    let opening = Opening {
        time: PARSE.time("open_time", event.open_time.as_ref())?,
        opener: PARSE.id_opt("opener_agent_id", &event.opener_agent_id)?,
        // What a decision is caused by is the opening it decided on.
        event: delivery.envelope.cause,
        traceparent: traceparent(delivery),
    };
    let ids: [&str; 3] = [
        &decision.chat_id,
        &decision.channel_id,
        &decision.conversation_id,
    ];
    let mut report = changed(delivery, ids, (decision.number, event.revision), true)?;
    report.row = Some(row(&report, &opening, Some(delivery.envelope.id)));
    report.told.opening = Some(opening);
    report.told.decided = true;
    for (place, entity) in event.linked.iter().enumerate() {
        let linked = wire::sync::linked_of(&format!("linked[{place}]"), entity)?;
        report.linked.extend(linked);
    }
    Ok(report)
}

fn changed(
    delivery: &Delivery,
    [chat, channel, conversation]: [&str; 3],
    (number, revision): (i64, i64),
    open: bool,
) -> Result<Report, Status> {
    if number < 1 || revision < 1 {
        return Err(PARSE.refuse("number", "and revision begin at 1"));
    }
    Ok(Report {
        account: delivery.envelope.account.clone(),
        chat: PARSE.id::<ChatId>("chat_id", chat)?,
        channel: PARSE.id::<ChannelId>("channel_id", channel)?,
        told: Told {
            conversation: PARSE.id::<ConversationId>("conversation_id", conversation)?,
            number,
            revision,
            open,
            opening: None,
            decided: false,
        },
        row: None,
        linked: Vec::new(),
        origin: origin(delivery),
    })
}

fn row(report: &Report, opening: &Opening, decided_event: Option<Uuid>) -> ConversationRow {
    ConversationRow {
        id: report.told.conversation,
        account: report.account.clone(),
        chat: report.chat,
        channel: report.channel,
        number: report.told.number,
        open_time: opening.time,
        opener: opening.opener,
        opened_event: opening.event,
        decided_event,
    }
}

/// Reads which entity got another responsible; none where a synchronisation was it: that is not sent back (X05).
fn changed_in_crm(delivery: &Delivery) -> Result<Option<Change>, HandlerError> {
    if matches!(delivery.envelope.actor, Some(Actor::Sync(_))) {
        return Ok(None);
    }
    let event: EntityResponsibleChanged = delivery.decode()?;
    let read = || {
        let missing = || PARSE.refuse("entity", "is required");
        let entity = event.entity.as_ref().ok_or_else(missing)?;
        let Some(linked) = wire::sync::linked_of("entity", entity)? else {
            return Ok(None);
        };
        let chats = event.chat_ids.iter().enumerate();
        let chats = chats.map(|(place, chat)| PARSE.id(&format!("chat_ids[{place}]"), chat));
        Ok(Some(Change {
            account: delivery.envelope.account.clone(),
            linked,
            chats: chats.collect::<Result<_, Status>>()?,
            origin: origin(delivery),
        }))
    };
    read().map_err(|status: Status| malformed(&status))
}
