//! The consumer of events: one transaction a batch (architecture §3).

pub(crate) mod parse;

use std::collections::{BTreeMap, BTreeSet};

use chassis::access::{AccessCopy, AccessRecord};
use chassis::consumer::{Delivery, EventFilter, Handler, HandlerError};
use chassis::id::{AccountSlug, AgentId};
use chassis::outbox;
use switchboard_proto::assignment::v1::{
    AgentAccessChanged, ChatAssigned, ResponsibleSyncRequested,
};
use switchboard_proto::channel_gateway::v1::LinkClicked;
use switchboard_proto::conversation::v1::{
    ConversationOpened, ConversationRead, InternalMessagePosted,
};
use time::OffsetDateTime;

use crate::app::App;
use crate::app::clicks::{self, Click};
use crate::app::internal_messages::{self, Posted};
use crate::app::locks;
use crate::app::openings::{self, Opening};
use crate::app::responsibles::{self, Assigned};
use crate::app::sync::{self, Requested};
use crate::error::SERVICE;
use crate::figures;
use crate::store::talks::{self, Talk};
use crate::store::{parked, parked_sync};

/// The events that this service wants.
pub const FILTERS: &[EventFilter] = &[
    EventFilter {
        service: "conversation",
        entity: "conversation",
        event: "opened",
    },
    EventFilter {
        service: "conversation",
        entity: "conversation",
        event: "read",
    },
    EventFilter {
        service: "conversation",
        entity: "internal-message",
        event: "posted",
    },
    EventFilter {
        service: "assignment",
        entity: "chat",
        event: "assigned",
    },
    EventFilter {
        service: "assignment",
        entity: "agent",
        event: "access-changed",
    },
    EventFilter {
        service: "assignment",
        entity: "responsible-sync",
        event: "requested",
    },
    EventFilter {
        service: "channel-gateway",
        entity: "link",
        event: "clicked",
    },
];

/// Handles all events that this service wants.
pub struct Events {
    app: App,
    access: AccessCopy,
}

impl Events {
    /// Makes the handler over the use cases and the copy of access records.
    pub const fn new(app: App, access: AccessCopy) -> Self {
        Self { app, access }
    }

    /// Tells of the agents whom entities are to take which are active, by what is kept and what this batch brings; who is missing
    /// is unknown.
    async fn staff(
        &self,
        sorted: &Sorted,
    ) -> Result<BTreeMap<(AccountSlug, AgentId), bool>, HandlerError> {
        let named = sorted.requested.iter();
        let named: BTreeSet<_> = named.map(|one| (one.account.clone(), one.agent)).collect();
        let mut records = self
            .access
            .several(&named)
            .await
            .map_err(|error| HandlerError::Away(error.to_string()))?;
        for (account, record) in &sorted.access {
            let key = (account.clone(), record.agent);
            let newer = records
                .get(&key)
                .is_none_or(|kept| kept.version < record.version);
            if named.contains(&key) && newer {
                records.insert(key, record.clone());
            }
        }
        let records = records.into_iter();
        Ok(records.map(|(key, record)| (key, record.active)).collect())
    }
}

/// A batch, sorted by kind. What is none of ours is left out.
#[derive(Default)]
struct Sorted {
    opened: Vec<Opening>,
    talks: Vec<Talk>,
    assigned: Vec<Assigned>,
    access: Vec<(AccountSlug, AccessRecord)>,
    requested: Vec<Requested>,
    clicks: Vec<Click>,
    posted: Vec<Posted>,
}

impl Sorted {
    fn of(batch: &[Delivery]) -> Result<Self, HandlerError> {
        let mut sorted = Self::default();
        for delivery in batch {
            if delivery.is::<ConversationOpened>() {
                let opening = parse::opening(delivery)?;
                sorted.talks.push(parse::talk_of(&opening));
                sorted.opened.push(opening);
            } else if delivery.is::<ConversationRead>() {
                sorted.talks.push(parse::talk(delivery)?);
            } else if delivery.is::<ChatAssigned>() {
                sorted.assigned.extend(parse::assigned(delivery)?);
            } else if delivery.is::<AgentAccessChanged>() {
                sorted.access.push(parse::access(delivery)?);
            } else if delivery.is::<ResponsibleSyncRequested>() {
                sorted.requested.extend(parse::requested(delivery)?);
            } else if delivery.is::<LinkClicked>() {
                sorted.clicks.push(parse::click(delivery)?);
            } else if delivery.is::<InternalMessagePosted>() {
                sorted.posted.extend(parse::posted(delivery)?);
            }
        }
        Ok(sorted)
    }
}

#[tonic::async_trait]
impl Handler for Events {
    fn durable(&self) -> &'static str {
        "crm-cards-events"
    }

    async fn handle(&self, batch: &[Delivery], now: OffsetDateTime) -> Result<(), HandlerError> {
        let sorted = Sorted::of(batch)?;
        let opened: Vec<_> = sorted
            .opened
            .iter()
            .map(|opening| (opening.account.clone(), opening.conversation))
            .collect();
        let assigned = sorted
            .assigned
            .iter()
            .map(|one| (one.account.clone(), one.conversation));
        let requested = sorted
            .requested
            .iter()
            .map(|one| (one.account.clone(), one.conversation));
        let parking: Vec<_> = assigned.chain(requested).collect();
        let agents: Vec<(AccountSlug, AgentId)> = sorted
            .access
            .iter()
            .map(|(account, record)| (account.clone(), record.agent))
            .collect();

        // Before the transaction: an agent whom the copy has not is asked for.
        let staff = self.staff(&sorted).await?;
        let (requested, skipped) = sync::by_standing(sorted.requested, &staff);

        let mut transaction = self.app.pool.begin().await?;
        parked::lock(&mut transaction, &opened, &parking).await?;
        let mut requested = requested;
        requested.extend(parked_sync::take(&mut transaction, &opened).await?);
        locks::ahead(&mut transaction, &sorted.opened, &requested, &sorted.clicks).await?;
        let mut outcome = openings::handle(&mut transaction, sorted.opened, now).await?;
        let suspected = clicks::handle(&mut transaction, sorted.clicks, now).await?;
        outcome.events.extend(suspected);
        let (synced, of_sync) = sync::handle(&mut transaction, requested, now).await?;
        outcome.events.extend(synced);
        outcome.events.extend(skipped);
        let of_rules = responsibles::takings(&mut transaction, sorted.assigned, now).await?;
        let takings = vec![(responsibles::SYNC, of_rules), (sync::SYNC, of_sync)];
        let besides = sorted.posted.iter().filter_map(Posted::card);
        let taken = responsibles::apply_all(&mut transaction, takings, besides, now).await?;
        outcome.events.extend(taken);
        let joined = internal_messages::handle(&mut transaction, sorted.posted, now).await?;
        outcome.events.extend(joined);
        talks::keep(&mut transaction, &sorted.talks).await?;
        if !sorted.access.is_empty() {
            AccessCopy::apply(&mut transaction, &sorted.access).await?;
        }
        let wake = !outcome.events.is_empty();
        outbox::write(&mut transaction, SERVICE, outcome.events, now).await?;
        transaction.commit().await?;

        if wake {
            self.app.waker.wake();
        }
        self.access.invalidate(&agents).await;
        for rule in outcome.rules {
            figures::DECISIONS.of([rule.as_str()]).increment(1);
            if rule.creates_card() {
                figures::CARDS.of(["rule"]).increment(1);
            }
        }
        Ok(())
    }
}
