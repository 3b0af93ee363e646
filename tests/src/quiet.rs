//! Waiting until nothing is on its way any more: only then can be said that something did not happen.

use async_nats::jetstream;
use futures::TryStreamExt as _;
use sqlx::{Connection as _, PgConnection};

use crate::services::Kind;
use crate::world::{World, eventually};

/// Waits until every event that was written is published, and every service has handled what it listens to.
///
/// A handler writes what follows before it acknowledges: where nothing waits to be published, then nothing to be handled,
/// and then nothing has been published since, all is at rest.
pub async fn quiet(world: &World) -> anyhow::Result<()> {
    let client = async_nats::connect(world.nats.url()).await?;
    let jetstream = jetstream::new(client);
    let mut databases = Vec::new();
    for kind in Kind::ALL {
        databases.push(PgConnection::connect(world.system.database_url(kind)?).await?);
    }
    eventually("all is at rest", async || {
        let before = published(&jetstream).await?;
        for database in &mut databases {
            let waits: bool = sqlx::query_scalar("select exists(select from chassis.outbox)")
                .fetch_one(&mut *database)
                .await?;
            if waits {
                return Ok(None);
            }
        }
        let mut stream = jetstream.get_stream("EVENTS").await?;
        let consumers: Vec<_> = stream.consumers().try_collect().await?;
        // What reads from outside may be away.
        let own = consumers.iter().filter(|info| {
            let mut kinds = Kind::ALL.iter();
            kinds.any(|kind| info.name.starts_with(kind.name()))
        });
        let rests = own
            .clone()
            .all(|info| info.num_pending == 0 && info.num_ack_pending == 0);
        let same = stream.info().await?.state.last_sequence == before;
        Ok((rests && same && own.count() > 0).then_some(()))
    })
    .await
}

async fn published(jetstream: &jetstream::Context) -> anyhow::Result<u64> {
    let mut stream = jetstream.get_stream("EVENTS").await?;
    Ok(stream.info().await?.state.last_sequence)
}
