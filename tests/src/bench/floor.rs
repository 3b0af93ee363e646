//! The floor: the time that the run's own packs, events and rows take when nothing but the broker and the database
//! work on them, one after the other (architecture §12).

use std::time::{Duration, Instant};

use anyhow::Context as _;
use async_nats::HeaderMap;
use async_nats::jetstream::{self, Context, stream};
use bytes::Bytes;
use futures::StreamExt;
use futures::future::try_join_all;
use sqlx::{Connection, PgConnection};

/// Events an atomic batch.
const EVENT_BATCH: usize = 256;
/// Rows an insert.
const ROWS: usize = 512;

/// Times of the raw work.
#[derive(Clone, Copy, Debug)]
pub struct Floor {
    /// Packs of the run, published again, each awaited, one at a time a shard.
    pub packs: (usize, Duration),
    /// Events of the run, published again in atomic batches.
    pub events: (usize, Duration),
    /// Rows as large as the run's raw items, inserted in batches.
    pub rows: (usize, Duration),
    /// How many client messages that is.
    pub messages: u64,
}

impl Floor {
    /// One after the other.
    pub fn total(&self) -> Duration {
        self.packs.1 + self.events.1 + self.rows.1
    }

    /// Client messages a second at the floor.
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    pub fn rate(&self) -> f64 {
        self.messages as f64 / self.total().as_secs_f64()
    }
}

/// Measures with the bytes of the run, scaled to `messages` of it.
pub(super) async fn measure(
    nats_url: &str,
    postgres_url: &str,
    messages: u64,
) -> anyhow::Result<Floor> {
    let client = async_nats::connect(nats_url).await?;
    let js = jetstream::new(client);
    let mut shards = Vec::new();
    for number in 0.. {
        let Ok(stream) = js.get_stream(format!("INBOUND_{number}")).await else {
            break;
        };
        shards.push(read(&stream).await?);
    }
    let events = read(&js.get_stream("EVENTS").await?).await?;
    let pack_bytes: Vec<Bytes> = shards.iter().flatten().cloned().collect();
    let packs = (pack_bytes.len(), publish_packs(&js, shards).await?);
    let events = (events.len(), publish_events(&js, events).await?);
    let rows = insert(postgres_url, &pack_bytes, usize::try_from(messages)?).await?;
    Ok(Floor {
        packs,
        events,
        rows: (usize::try_from(messages)?, rows),
        messages,
    })
}

async fn read(stream: &stream::Stream) -> anyhow::Result<Vec<Bytes>> {
    let config = jetstream::consumer::pull::OrderedConfig::default();
    let consumer = stream.create_consumer(config).await?;
    let last = stream.get_info().await?.state.messages;
    let mut messages = consumer.messages().await?;
    let mut all = Vec::new();
    while (all.len() as u64) < last {
        let message = messages.next().await.context("the stream ended early")??;
        all.push(message.payload.clone());
    }
    Ok(all)
}

async fn fresh(js: &Context, name: &str, subject: &str) -> anyhow::Result<()> {
    js.create_stream(stream::Config {
        name: name.to_owned(),
        subjects: vec![subject.to_owned()],
        allow_atomic_publish: true,
        ..Default::default()
    })
    .await?;
    Ok(())
}

async fn publish_packs(js: &Context, shards: Vec<Vec<Bytes>>) -> anyhow::Result<Duration> {
    for number in 0..shards.len() {
        fresh(
            js,
            &format!("FLOOR_{number}"),
            &format!("floor.packs.{number}"),
        )
        .await?;
    }
    let begun = Instant::now();
    try_join_all(
        shards
            .into_iter()
            .enumerate()
            .map(|(number, packs)| async move {
                for pack in packs {
                    js.publish(format!("floor.packs.{number}"), pack)
                        .await?
                        .await?;
                }
                anyhow::Ok(())
            }),
    )
    .await?;
    Ok(begun.elapsed())
}

async fn publish_events(js: &Context, events: Vec<Bytes>) -> anyhow::Result<Duration> {
    fresh(js, "FLOOR_EVENTS", "floor.events").await?;
    let client = js.client();
    let begun = Instant::now();
    for (number, batch) in events.chunks(EVENT_BATCH).enumerate() {
        for (index, payload) in batch.iter().enumerate() {
            let last = index + 1 == batch.len();
            let mut headers = HeaderMap::new();
            headers.insert("Nats-Batch-Id", format!("floor-{number}"));
            headers.insert("Nats-Batch-Sequence", (index + 1).to_string());
            if last {
                headers.insert("Nats-Batch-Commit", "1");
                let answer = client
                    .request_with_headers("floor.events", headers, payload.clone())
                    .await?;
                let text = std::str::from_utf8(&answer.payload)?;
                anyhow::ensure!(
                    !text.contains("\"error\""),
                    "the broker refused a batch: {text}"
                );
            } else {
                client
                    .publish_with_headers("floor.events", headers, payload.clone())
                    .await?;
            }
        }
    }
    Ok(begun.elapsed())
}

async fn insert(postgres_url: &str, packs: &[Bytes], messages: usize) -> anyhow::Result<Duration> {
    let database = crate::servers::create_database(postgres_url, "floor").await?;
    let mut connection = PgConnection::connect(&database).await?;
    sqlx::query("create table floor (id bigint primary key, body bytea not null)")
        .execute(&mut connection)
        .await?;
    let bytes: usize = packs.iter().map(Bytes::len).sum();
    let body = vec![0x5a_u8; bytes / messages.max(1)];
    let ids: Vec<i64> = (0..i64::try_from(messages)?).collect();
    let begun = Instant::now();
    for batch in ids.chunks(ROWS) {
        let bodies = vec![body.as_slice(); batch.len()];
        sqlx::query("insert into floor (id, body) select * from unnest($1::bigint[], $2::bytea[])")
            .bind(batch)
            .bind(bodies)
            .execute(&mut connection)
            .await?;
    }
    Ok(begun.elapsed())
}
