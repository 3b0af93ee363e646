//! Reads the stream EVENTS as an integrator would, and checks what every integrator relies on.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, ensure};
use async_nats::jetstream;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use bytes::Bytes;
use futures::StreamExt;
use switchboard_proto::DomainEvent;

/// One event as it lies in the stream.
#[derive(Clone, Debug)]
pub struct Event {
    /// Sequence in the stream.
    pub stream_sequence: u64,
    /// Subject.
    pub subject: String,
    /// Headers, by name as sent.
    pub headers: BTreeMap<String, String>,
    /// The encoded protobuf message.
    pub payload: Bytes,
}

impl Event {
    /// A header, empty where it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// Slug of the account, from the subject.
    pub fn account(&self) -> &str {
        self.subject.split('.').nth(2).unwrap_or_default()
    }

    /// `service.entity.event`, from the subject.
    pub fn name(&self) -> &str {
        self.subject.splitn(4, '.').nth(3).unwrap_or_default()
    }

    /// The message, where the event is of this type.
    pub fn decode<T: DomainEvent>(&self) -> Option<T> {
        (self.header("ce-type") == T::TYPE)
            .then(|| T::decode(self.payload.clone()).ok())
            .flatten()
    }

    /// Id of the trace it belongs to.
    pub fn trace_id(&self) -> &str {
        self.header("traceparent")
            .split('-')
            .nth(1)
            .unwrap_or_default()
    }
}

/// Reads all events that are in the stream now, for one account or for all.
pub async fn read_all(nats_url: &str, account: Option<&str>) -> anyhow::Result<Vec<Event>> {
    let client = async_nats::connect(nats_url).await?;
    let stream = jetstream::new(client)
        .get_stream("EVENTS")
        .await
        .context("the stream EVENTS")?;
    let consumer = stream
        .create_consumer(pull::Config {
            filter_subject: format!("switchboard.v1.{}.>", account.unwrap_or("*")),
            deliver_policy: DeliverPolicy::All,
            ack_policy: AckPolicy::None,
            inactive_threshold: Duration::from_secs(30),
            ..Default::default()
        })
        .await?;
    let mut left = consumer.cached_info().num_pending;
    let mut events = Vec::new();
    while left > 0 {
        let mut batch = consumer.fetch().max_messages(1_000).messages().await?;
        let mut seen = 0;
        while let Some(message) = batch.next().await {
            let message = message.map_err(|error| anyhow::anyhow!("reading EVENTS: {error}"))?;
            let info = message.info().map_err(|error| anyhow::anyhow!("{error}"))?;
            seen += 1;
            events.push(Event {
                stream_sequence: info.stream_sequence,
                subject: message.subject.to_string(),
                headers: message.headers.as_ref().map(flatten).unwrap_or_default(),
                payload: message.payload.clone(),
            });
        }
        ensure!(
            seen > 0,
            "EVENTS gave nothing while {left} messages were pending"
        );
        left = left.saturating_sub(seen);
    }
    Ok(events)
}

fn flatten(headers: &async_nats::HeaderMap) -> BTreeMap<String, String> {
    let first = |values: &Vec<async_nats::HeaderValue>| {
        values.first().map(ToString::to_string).unwrap_or_default()
    };
    headers
        .iter()
        .map(|(name, values)| (name.to_string(), first(values)))
        .collect()
}

/// Checks what the design promises of every event: its headers, an id of its own, and per source and subject a
/// sequence from 1 without gaps, in the order of the stream.
pub fn check_envelopes(events: &[Event]) -> anyhow::Result<()> {
    let mut ids = std::collections::BTreeSet::new();
    let mut sequences: BTreeMap<(String, String, String), u64> = BTreeMap::new();
    for event in events {
        for name in [
            "ce-id",
            "ce-type",
            "ce-source",
            "ce-time",
            "ce-subject",
            "ce-sbactor",
            "ce-sbsequence",
            "traceparent",
        ] {
            ensure!(
                !event.header(name).is_empty(),
                "{}: no header {name}",
                event.subject
            );
        }
        ensure!(
            event.header("ce-specversion") == "1.0",
            "{}: ce-specversion",
            event.subject
        );
        ensure!(
            event.header("ce-datacontenttype") == "application/protobuf",
            "{}: ce-datacontenttype",
            event.subject
        );
        ensure!(
            event.header("Nats-Msg-Id") == event.header("ce-id"),
            "{}: Nats-Msg-Id",
            event.subject
        );
        ensure!(
            event.header("ce-sbaccount") == event.account(),
            "{}: ce-sbaccount",
            event.subject
        );
        ensure!(
            ids.insert(event.header("ce-id").to_owned()),
            "{}: ce-id {} twice",
            event.subject,
            event.header("ce-id")
        );
        let known = switchboard_proto::EVENTS
            .iter()
            .find(|known| known.kind == event.header("ce-type"));
        let known = known.with_context(|| format!("{}: unknown ce-type", event.subject))?;
        let name = format!(".{}.{}", known.entity, known.event);
        let service = event.name().strip_suffix(&name);
        ensure!(
            service.is_some_and(|service| ["*", service].contains(&known.service)),
            "{} carries {}",
            event.subject,
            known.kind
        );
        let key = (
            event.account().to_owned(),
            event.header("ce-source").to_owned(),
            event.header("ce-subject").to_owned(),
        );
        let sequence: u64 = event
            .header("ce-sbsequence")
            .parse()
            .context("ce-sbsequence")?;
        let last = sequences.entry(key).or_default();
        ensure!(
            sequence == *last + 1,
            "{} of {}: ce-sbsequence {sequence} follows {last}",
            event.subject,
            event.header("ce-subject")
        );
        *last = sequence;
    }
    Ok(())
}
