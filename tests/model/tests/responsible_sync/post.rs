//! News on its way between the services: held, handed over in any order and more than once, and looked at.

use std::collections::HashSet;

use chassis::actor::Actor;
use chassis::clock;
use chassis::consumer::{Delivery, Handler as _};
use chassis::id::AccountSlug;
use chassis::testing::take_outbox;
use prost::Message as _;
use switchboard_proto::assignment::v1::{AssignmentRule, ChatAssigned, ResponsibleSyncRequested};
use switchboard_proto::common::v1::Stamp;
use switchboard_proto::crm_cards::v1::{ConnectionDecided, EntityResponsibleChanged};
use uuid::Uuid;

use super::services::{Crm, Dialogs};

/// After so many rounds, in each of which all that is on its way is handed over, there is nothing more: what an act leads to on
/// the other side, and what is told of that.
const ROUNDS: usize = 2;

/// Whom news is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Dialogs,
    Crm,
}

/// News that was written and has not been handed over, or not often enough.
pub struct Post {
    account: AccountSlug,
    to_dialogs: Vec<Delivery>,
    to_crm: Vec<Delivery>,
    /// What synchronisations told.
    synced: HashSet<Uuid>,
    /// Which acts have reached what.
    reached: HashSet<(String, i64, i64, i32, String)>,
}

impl Post {
    pub fn new(account: AccountSlug) -> Self {
        Self {
            account,
            to_dialogs: Vec::new(),
            to_crm: Vec::new(),
            synced: HashSet::new(),
            reached: HashSet::new(),
        }
    }

    /// Something of another service is on its way to the dialogs.
    pub fn add(&mut self, delivery: Delivery) {
        self.to_dialogs.push(delivery);
    }

    /// Takes what the services have written.
    pub async fn collect(&mut self, dialogs: &Dialogs, crm: &Crm) {
        let mut written = take_outbox(&dialogs.database.pool).await;
        written.extend(take_outbox(&crm.database.pool).await);
        for delivery in written {
            if delivery.envelope.account != self.account {
                continue;
            }
            self.look_at(&delivery);
            if delivery.is::<ConnectionDecided>() || delivery.is::<EntityResponsibleChanged>() {
                self.to_dialogs.push(delivery);
            } else if delivery.is::<ChatAssigned>() || delivery.is::<ResponsibleSyncRequested>() {
                self.to_crm.push(delivery);
            }
        }
    }

    /// One hop per direction: from what a synchronisation did nothing follows, and each act is put on each thing once.
    fn look_at(&mut self, delivery: &Delivery) {
        let envelope = &delivery.envelope;
        let follows = envelope
            .cause
            .is_some_and(|cause| self.synced.contains(&cause));
        assert!(!follows, "{} follows a synchronisation", envelope.kind);
        if !matches!(envelope.actor, Some(Actor::Sync(_))) {
            return;
        }
        self.synced.insert(envelope.id);
        let (number, stamp) = if delivery.is::<ChatAssigned>() {
            let event = ChatAssigned::decode(delivery.payload.clone()).unwrap();
            assert_eq!(event.rule(), AssignmentRule::Crm);
            let assignment = event.assignment.unwrap();
            (assignment.number, assignment.stamp)
        } else if delivery.is::<EntityResponsibleChanged>() {
            let event = EntityResponsibleChanged::decode(delivery.payload.clone()).unwrap();
            (0, event.entity.unwrap().stamp)
        } else {
            return;
        };
        let Stamp { time, event_id } = stamp.unwrap();
        let time = time.unwrap();
        let subject = envelope.subject_id.clone();
        let told = (subject, number, time.seconds, time.nanos, event_id);
        assert!(self.reached.insert(told.clone()), "twice: {told:?}");
    }

    /// Hands over some of what is on its way, in one batch; each pick is a place among it, and whether it comes again later.
    pub async fn hand_over(
        &mut self,
        side: Side,
        picks: &[(u16, bool)],
        (dialogs, crm): (&Dialogs, &Crm),
    ) {
        let queue = match side {
            Side::Dialogs => &mut self.to_dialogs,
            Side::Crm => &mut self.to_crm,
        };
        let mut batch = Vec::new();
        for (place, again) in picks {
            if queue.is_empty() {
                break;
            }
            let place = usize::from(*place) % queue.len();
            let delivery = if *again {
                queue[place].clone()
            } else {
                queue.remove(place)
            };
            batch.push(delivery);
        }
        self.handle(side, &batch, (dialogs, crm)).await;
    }

    async fn handle(&mut self, side: Side, batch: &[Delivery], services: (&Dialogs, &Crm)) {
        if batch.is_empty() {
            return;
        }
        let (dialogs, crm) = services;
        let now = clock::now();
        match side {
            Side::Dialogs => dialogs.events.handle(batch, now).await,
            Side::Crm => crm.events.handle(batch, now).await,
        }
        .unwrap();
        self.collect(dialogs, crm).await;
    }

    /// Hands over all that is on its way to one side.
    pub async fn empty(&mut self, side: Side, services: (&Dialogs, &Crm)) {
        let queue = match side {
            Side::Dialogs => &mut self.to_dialogs,
            Side::Crm => &mut self.to_crm,
        };
        let mut batch = std::mem::take(queue);
        // The newest first: so much the less does it help to come in order.
        batch.reverse();
        self.handle(side, &batch, services).await;
    }

    /// Hands over all that is on its way, and what follows from it, until nothing does: soon.
    pub async fn settle(&mut self, services: (&Dialogs, &Crm)) {
        for round in 0.. {
            if self.to_dialogs.is_empty() && self.to_crm.is_empty() {
                return;
            }
            assert!(round <= ROUNDS, "it does not come to rest");
            let to_crm = std::mem::take(&mut self.to_crm);
            let mut to_dialogs = std::mem::take(&mut self.to_dialogs);
            to_dialogs.reverse();
            self.handle(Side::Dialogs, &to_dialogs, services).await;
            self.handle(Side::Crm, &to_crm, services).await;
        }
    }
}
