//! Reads EVENTS while the load runs, as an integrator would, and notes when each message was stored and each card made.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::bail;
use async_nats::jetstream;
use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use futures::StreamExt;
use hdrhistogram::Histogram;
use switchboard_proto::DomainEvent;
use switchboard_proto::conversation::v1::{MessageStored, message::Kind};
use switchboard_proto::crm_cards::v1::CardCreated;

use super::load::{Driven, Sent, histogram};
use crate::world::text_of;

/// When things were seen.
#[derive(Default)]
struct Seen {
    /// By number of the webhook.
    stored: HashMap<usize, Instant>,
    /// Number of the webhook that opened a conversation.
    opened_by: HashMap<String, usize>,
    cards: Vec<(String, Instant)>,
    count_from: usize,
}

/// Watches EVENTS in the background.
pub(super) struct Watcher {
    seen: Arc<Mutex<Seen>>,
}

/// What became of the webhooks.
pub struct Stored {
    /// Messages stored among those driven.
    pub messages: u64,
    /// From the webhook being due to `message.stored` being readable, microseconds.
    pub message: Histogram<u64>,
    /// Cards made.
    pub cards: u64,
    /// From the webhook being due to `card.created` being readable, microseconds.
    pub card: Histogram<u64>,
    /// From the first webhook until everything was stored and every card made.
    pub took: Duration,
}

impl Watcher {
    pub async fn start(nats_url: &str, account: &str) -> anyhow::Result<Self> {
        let client = async_nats::connect(nats_url).await?;
        let stream = jetstream::new(client).get_stream("EVENTS").await?;
        let consumer = stream
            .create_consumer(pull::OrderedConfig {
                filter_subject: format!("switchboard.v1.{account}.>"),
                deliver_policy: DeliverPolicy::New,
                ..Default::default()
            })
            .await?;
        let seen = Arc::new(Mutex::new(Seen::default()));
        let noted = Arc::clone(&seen);
        let mut messages = consumer.messages().await?;
        tokio::spawn(async move {
            while let Some(message) = messages.next().await {
                let Ok(message) = message else { continue };
                let kind = message
                    .headers
                    .as_ref()
                    .and_then(|headers| headers.get("ce-type"))
                    .map(|kind| kind.as_str().to_owned());
                note(
                    &noted,
                    kind.as_deref().unwrap_or_default(),
                    message.payload.clone(),
                );
            }
        });
        Ok(Self { seen })
    }

    /// Counts only webhooks from this number on.
    pub fn forget_latencies(&self, from: usize) {
        self.lock().count_from = from;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until every accepted webhook is stored and every card is made.
    pub async fn until_all(&self, sent: &Sent, driven: Driven) -> anyhow::Result<Stored> {
        let deadline = Instant::now() + Duration::from_mins(2);
        let mut last = (0, Instant::now());
        loop {
            let (stored, cards, conversations) = {
                let seen = self.lock();
                (seen.stored.len(), seen.cards.len(), seen.opened_by.len())
            };
            if stored + cards != last.0 {
                last = (stored + cards, Instant::now());
            }
            if stored >= sent.count() - usize::try_from(driven.refused)? && cards >= conversations {
                return Ok(self.result(sent, driven));
            }
            if Instant::now() > deadline || last.1.elapsed() > Duration::from_secs(30) {
                bail!(
                    "{stored} of {} messages and {cards} of {conversations} cards are there, and no more come",
                    sent.count()
                );
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn result(&self, sent: &Sent, driven: Driven) -> Stored {
        let seen = self.lock();
        let (mut message, mut card) = (histogram(), histogram());
        let micros = |from: Instant, to: Instant| {
            u64::try_from(to.duration_since(from).as_micros()).unwrap_or(u64::MAX)
        };
        let mut end = driven.begun;
        for (number, at) in seen
            .stored
            .iter()
            .filter(|(number, _)| **number >= seen.count_from)
        {
            if let Some(due) = sent.due(*number) {
                message.saturating_record(micros(due, *at));
                end = end.max(*at);
            }
        }
        for (conversation, at) in &seen.cards {
            let number = seen
                .opened_by
                .get(conversation)
                .filter(|number| **number >= seen.count_from);
            if let Some(due) = number.and_then(|number| sent.due(*number)) {
                card.saturating_record(micros(due, *at));
                end = end.max(*at);
            }
        }
        Stored {
            messages: message.len(),
            message,
            cards: card.len(),
            card,
            took: end - driven.begun,
        }
    }
}

fn note(seen: &Mutex<Seen>, kind: &str, payload: bytes::Bytes) {
    let now = Instant::now();
    if kind == MessageStored::TYPE {
        let Some(message) = <MessageStored as prost::Message>::decode(payload)
            .ok()
            .and_then(|stored| stored.message)
        else {
            return;
        };
        if message.kind() != Kind::Client {
            return;
        }
        let text = text_of(&message);
        let number = text
            .strip_prefix('#')
            .and_then(|rest| rest.split(' ').next()?.parse().ok());
        let Some(number) = number else { return };
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.stored.insert(number, now);
        let first = seen
            .opened_by
            .entry(message.conversation_id)
            .or_insert(number);
        *first = number.min(*first);
    } else if kind == CardCreated::TYPE {
        let Ok(card) = <CardCreated as prost::Message>::decode(payload) else {
            return;
        };
        seen.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .cards
            .push((card.conversation_id, now));
    }
}
