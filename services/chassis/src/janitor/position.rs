//! Where streams had ended already: a broker that is restored from a backup, or lost its disk, ends before, and what was accepted
//! in between is gone. Nobody else would notice.

use async_nats::jetstream::stream::{Info, Stream};
use sqlx::{PgConnection, PgPool};
use time::{Duration, OffsetDateTime};

use crate::figures::inbound;

/// How long it is told.
const TOLD: Duration = Duration::hours(24);

/// What is known of a stream's end.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    last: i64,
    regressed_at: Option<OffsetDateTime>,
}

/// Compares the end of a stream with where it had ended, keeps it, and sets `inbound_sequence_regressed`.
///
/// `last` was read before: where it is lower than what is kept, the stream is looked at once more, as another replica may have
/// kept what came meanwhile.
pub(super) async fn compare(
    pool: &PgPool,
    stream: &mut Stream<Info>,
    now: OffsetDateTime,
) -> anyhow::Result<()> {
    let name = stream.cached_info().config.name.clone();
    let mut connection = pool.acquire().await?;
    let known = known(&mut connection, &name).await?;
    let mut last = signed(stream.cached_info().state.last_sequence);
    if known.as_ref().is_some_and(|known| last < known.last) {
        last = signed(stream.info().await?.state.last_sequence);
    }
    let missing = known.as_ref().map_or(0, |known| (known.last - last).max(0));
    if missing > 0 {
        tracing::error!(
            stream = name,
            missing,
            last,
            "the stream ends before where it had ended: the broker has lost messages that were accepted"
        );
    }
    let regressed_at = match missing {
        0 => known.as_ref().and_then(|known| known.regressed_at),
        _ => Some(now),
    };
    keep(&mut connection, &name, last, regressed_at, now).await?;
    let told = regressed_at.is_some_and(|at| now - at < TOLD);
    inbound::REGRESSED.of([name]).set(f64::from(u8::from(told)));
    Ok(())
}

async fn known(connection: &mut PgConnection, stream: &str) -> Result<Option<Known>, sqlx::Error> {
    sqlx::query_as!(
        Known,
        "select last, regressed_at from chassis.stream_end where stream = $1",
        stream
    )
    .fetch_optional(connection)
    .await
}

/// Keeps an end: the further one, unless it has been found that the stream ends before.
async fn keep(
    connection: &mut PgConnection,
    stream: &str,
    last: i64,
    regressed_at: Option<OffsetDateTime>,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into chassis.stream_end as e (stream, last, seen_at, regressed_at) values ($1, $2, $4, $3)
         on conflict (stream) do update
         set last = case when $3 = $4 then $2 else greatest(e.last, $2) end, seen_at = $4,
             regressed_at = greatest(e.regressed_at, $3)",
        stream,
        last,
        regressed_at,
        now,
    )
    .execute(connection)
    .await
    .map(drop)
}

fn signed(sequence: u64) -> i64 {
    i64::try_from(sequence).unwrap_or(i64::MAX)
}
