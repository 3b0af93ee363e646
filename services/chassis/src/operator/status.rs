//! `GetStatus`: how the service is, and which part cannot be told, why and since when.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::consumer::{Consumer, pull};
use futures::future::{join_all, try_join_all};
use futures::{TryFutureExt as _, TryStreamExt as _};
use sqlx::PgPool;
use switchboard_proto::operator::v1::{
    ConsumerStatus, Finding, GetStatusResponse, OutboxStatus, StreamStatus, Unavailable,
};
use time::OffsetDateTime;

use super::Subject;
use crate::consumer::HandlerRegistry;
use crate::grpc::{timestamp, timestamp_opt};
use crate::health::Readiness;
use crate::nats::{Nats, Streams};
use crate::pauses::Pauses;
use crate::replicas::Replicas;

/// How long one part may take: a status that waits for what is away is no status.
const PART: Duration = Duration::from_secs(2);

/// What a status is made of.
pub(crate) struct Sources {
    pub service: &'static str,
    pub ready: Readiness,
    pub nats: Nats,
    pub streams: Streams,
    pub registry: Arc<HandlerRegistry>,
    pub pool: Option<PgPool>,
    pub replicas: Option<Replicas>,
    pub subjects: Vec<Arc<dyn Subject>>,
    pub pauses: Pauses,
}

/// What the broker tells.
struct OfBroker {
    consumers: Vec<ConsumerStatus>,
    streams: Vec<StreamStatus>,
    dead_letters: u64,
}

/// What the database tells.
struct OfDatabase {
    outbox: OutboxStatus,
    findings: Vec<Finding>,
}

impl Sources {
    /// Tells how the service is.
    pub async fn status(&self, now: OffsetDateTime) -> GetStatusResponse {
        let (broker, database) = tokio::join!(
            self.part("nats", now, self.of_broker()),
            self.part("database", now, self.of_database(now))
        );
        let mut unavailable = Vec::new();
        let mut told = GetStatusResponse {
            service: self.service.to_owned(),
            time: Some(timestamp(now)),
            pauses: self.held(),
            ..GetStatusResponse::default()
        };
        if let Some(replicas) = &self.replicas {
            told.replicas = vec![replicas.own(now)];
            told.replicas.extend(replicas.others());
        }
        match broker {
            Ok(broker) => {
                told.consumers = broker.consumers;
                told.streams = broker.streams;
                told.dead_letters = Some(broker.dead_letters);
            }
            Err(away) => unavailable.push(away),
        }
        match database {
            Ok(database) => {
                told.outbox = Some(database.outbox);
                told.findings = database.findings;
            }
            Err(away) => unavailable.push(away),
        }
        told.unavailable = unavailable;
        told
    }

    /// Asks for a part, unless it is known to be away; says since when it is, where it is.
    async fn part<T>(
        &self,
        part: &'static str,
        now: OffsetDateTime,
        asked: impl Future<Output = anyhow::Result<T>>,
    ) -> Result<T, Unavailable> {
        let away = |reason: String, since: OffsetDateTime| Unavailable {
            part: part.to_owned(),
            reason,
            since_time: Some(timestamp(since)),
        };
        let known = |fallback: String| match self.ready.failing(part) {
            Some(condition) => away(condition.reason.unwrap_or(fallback), condition.since),
            None => away(fallback, now),
        };
        if self.ready.failing(part).is_some() {
            return Err(known(String::new()));
        }
        match tokio::time::timeout(PART, asked).await {
            Ok(Ok(told)) => Ok(told),
            Ok(Err(error)) => Err(known(format!("{error:#}"))),
            Err(_) => Err(known(format!("no answer within {} s", PART.as_secs()))),
        }
    }

    async fn of_broker(&self) -> anyhow::Result<OfBroker> {
        let jetstream = &self.nats.jetstream;
        let names: Vec<String> = (0..self.streams.shards())
            .map(|shard| self.streams.inbound(shard))
            .chain([self.streams.events(), self.streams.dead_letters()])
            .collect();
        // A stream that no service has declared yet is left out.
        let streams = join_all(names.iter().map(|name| jetstream.get_stream(name)));
        let reading = self.registry.reading();
        let consumers = try_join_all(
            reading
                .iter()
                .map(|(stream, durable)| consumer(jetstream, stream, durable)),
        );
        let letters = dead_letters(
            jetstream,
            self.streams.dead_letters(),
            self.streams.dead_subject(self.service),
        );
        let (streams, consumers, letters) = tokio::join!(streams, consumers, letters);
        let streams = streams.into_iter().flatten();
        Ok(OfBroker {
            consumers: consumers?,
            streams: streams
                .map(|stream| of_stream(stream.cached_info()))
                .collect(),
            dead_letters: letters?,
        })
    }

    async fn of_database(&self, now: OffsetDateTime) -> anyhow::Result<OfDatabase> {
        let Some(pool) = &self.pool else {
            anyhow::bail!("this service has none");
        };
        let told = join_all(self.subjects.iter().map(|subject| subject.told(now)));
        let (outbox, told) = tokio::join!(outbox(pool), told);
        let findings: Vec<Vec<Finding>> = told.into_iter().collect::<Result<_, _>>()?;
        Ok(OfDatabase {
            outbox: outbox?,
            findings: findings.concat(),
        })
    }
}

async fn consumer(
    jetstream: &jetstream::Context,
    stream: &str,
    durable: &str,
) -> anyhow::Result<ConsumerStatus> {
    let mut consumer: Consumer<pull::Config> = jetstream
        .get_consumer_from_stream(durable, stream)
        .map_err(|error| anyhow::anyhow!("consumer {durable} on {stream}: {error}"))
        .await?;
    let info = consumer.info().await?;
    Ok(ConsumerStatus {
        consumer: durable.to_owned(),
        stream: stream.to_owned(),
        pending: info.num_pending,
        ack_pending: info.num_ack_pending as u64,
        redelivered: info.num_redelivered as u64,
        ack_time: timestamp_opt(info.ack_floor.last_active),
    })
}

fn of_stream(info: &jetstream::stream::Info) -> StreamStatus {
    let state = &info.state;
    let there = |time: OffsetDateTime| (state.messages > 0).then(|| timestamp(time));
    StreamStatus {
        stream: info.config.name.clone(),
        messages: state.messages,
        bytes: state.bytes,
        max_bytes: u64::try_from(info.config.max_bytes).unwrap_or(0),
        first_time: there(state.first_timestamp),
        last_time: there(state.last_timestamp),
        replicas: u32::try_from(info.config.num_replicas).unwrap_or(0),
    }
}

/// How many letters of one subject there are.
async fn dead_letters(
    jetstream: &jetstream::Context,
    stream: String,
    subject: String,
) -> anyhow::Result<u64> {
    let stream = jetstream.get_stream_no_info(stream).await?;
    let mut counted = stream.info_with_subjects(subject).await?;
    let mut letters = 0;
    while let Some((_, count)) = counted.try_next().await? {
        letters += count as u64;
    }
    Ok(letters)
}

async fn outbox(pool: &PgPool) -> Result<OutboxStatus, sqlx::Error> {
    let row = sqlx::query!(
        r#"select coalesce(sum(event_count), 0)::bigint as "events!", min(created_at) as oldest from chassis.outbox"#
    )
    .fetch_one(pool)
    .await?;
    Ok(OutboxStatus {
        events: u64::try_from(row.events).unwrap_or(0),
        oldest_time: timestamp_opt(row.oldest),
    })
}
