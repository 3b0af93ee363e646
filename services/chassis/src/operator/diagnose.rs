//! `Diagnose`: tries what the service depends on, and says what to do where it is not well.

use std::time::Duration;

use async_nats::jetstream::stream::Info;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::future::join_all;
use sqlx::PgPool;
use sqlx::migrate::{Migrate as _, Migrator};
use switchboard_proto::operator::v1::Finding;
use time::OffsetDateTime;

use super::status::Sources;
use super::subject::{broken, doubtful, fine};
use crate::auth::Jwks;
use crate::config;
use crate::nats::BATCHES_SINCE;

/// How long one try may take.
const TRIED: Duration = Duration::from_secs(4);

/// How far the clocks of a service and its database may differ.
const CLOCKS: time::Duration = time::Duration::seconds(1);

/// How soon the end of the internal token is told of, at most: of one that lasts shorter, in the last quarter of its life.
const TOKEN_LEFT: time::Duration = time::Duration::days(7);

/// Connections of the database that may be taken, in percent, before it is told of.
const CONNECTIONS: i64 = 80;

/// What is tried beside what a status is made of.
pub(crate) struct Tried {
    pub nats: config::Nats,
    pub auth: config::Auth,
    /// The migrations that this program knows of, the chassis's own first.
    pub migrations: Vec<&'static Migrator>,
}

/// Tries everything; each try is bounded in time, and none waits for another.
pub(crate) async fn diagnose(
    sources: &Sources,
    tried: &Tried,
    now: OffsetDateTime,
) -> Vec<Finding> {
    let own = join_all(sources.subjects.iter().map(|subject| subject.tried(now)));
    let (broker, database, keys, token, own) = tokio::join!(
        bounded("nats", broker(sources, &tried.nats)),
        bounded("postgres", database(sources, &tried.migrations, now)),
        bounded("jwks", async { vec![keys(&tried.auth).await] }),
        bounded("internal token", async {
            vec![internal_token(&tried.auth, now).await]
        }),
        own,
    );
    [broker, database, keys, token, own.concat()].concat()
}

async fn bounded(subject: &str, tries: impl Future<Output = Vec<Finding>>) -> Vec<Finding> {
    let timed = tokio::time::timeout(TRIED, tries).await;
    timed.unwrap_or_else(|_| {
        let text = format!("no answer within {} s", TRIED.as_secs());
        vec![broken(
            subject,
            text,
            "look whether it is running and reachable from the service",
        )]
    })
}

async fn broker(sources: &Sources, told: &config::Nats) -> Vec<Finding> {
    if let Some(away) = sources.ready.failing("nats") {
        let text = away.reason.unwrap_or_default();
        let next = "look whether NATS is running, and at nats.url and the password in it";
        return vec![super::subject::since(
            broken("nats", text, next),
            away.since,
        )];
    }
    let mut found = vec![version(sources)];
    let names: Vec<String> = (0..sources.streams.shards())
        .map(|shard| sources.streams.inbound(shard))
        .chain([sources.streams.events(), sources.streams.dead_letters()])
        .collect();
    let asked = names.iter().map(async |name| {
        let stream = sources.nats.jetstream.get_stream(name).await;
        match stream {
            Ok(stream) => judged(stream.cached_info(), told.replicas),
            Err(error) => broken(
                "streams",
                format!("{name}: {error}"),
                "start the services that declare it, or grant this one $JS.API.STREAM.INFO.* (deploy/nats/nats.conf)",
            ),
        }
    });
    let (streams, permissions) = tokio::join!(join_all(asked), permissions(sources));
    found.extend(streams);
    found.push(permissions);
    found
}

fn version(sources: &Sources) -> Finding {
    let server = sources.nats.client.server_info();
    let text = format!("{} of {}", server.version, server.server_name);
    if sources.nats.has_batches() {
        fine("nats", text)
    } else {
        let (major, minor, _) = BATCHES_SINCE;
        let next =
            format!("run NATS {major}.{minor} or later: with older ones events go singly, slower");
        doubtful("nats", text, next)
    }
}

/// How a stream is: its copies as they are, and how full it is.
fn judged(info: &Info, wanted: usize) -> Finding {
    let (name, replicas) = (&info.config.name, info.config.num_replicas);
    let peers = info.cluster.iter().flat_map(|cluster| &cluster.replicas);
    let behind: Vec<&str> = peers
        .filter(|peer| peer.offline || !peer.current)
        .map(|peer| peer.name.as_str())
        .collect();
    if info
        .cluster
        .as_ref()
        .is_some_and(|cluster| cluster.name.is_some() && cluster.leader.is_none())
    {
        return broken(
            "streams",
            format!("{name} has no leader: nothing can be stored in it"),
            "bring the servers of the cluster back: more than half of its copies are needed",
        );
    }
    if !behind.is_empty() {
        return doubtful(
            "streams",
            format!(
                "{name}: the copy on {} is behind or away",
                behind.join(", ")
            ),
            "look at that server: until it is back, one more loss stops the stream",
        );
    }
    if replicas != wanted.max(1) {
        return doubtful(
            "streams",
            format!("{name} has {replicas} copies, nats.replicas says {wanted}"),
            "start the service again: it brings streams to what is configured",
        );
    }
    let most = u64::try_from(info.config.max_bytes).unwrap_or(0);
    if most > 0 && info.state.bytes > most / 10 * 9 {
        return doubtful(
            "streams",
            format!("{name} is more than 90 % full"),
            "see which consumer lags in `switchboardctl status`, or raise its bound in nats.*_max_bytes",
        );
    }
    let copies = if replicas == 1 { "copy" } else { "copies" };
    fine("streams", format!("{name}: {replicas} {copies}"))
}

/// Whether the service's own consumers answer it: what it may not ask is never answered.
async fn permissions(sources: &Sources) -> Finding {
    let reading = sources.registry.reading();
    let asked = reading.iter().map(async |(stream, durable)| {
        let request = format!("CONSUMER.INFO.{stream}.{durable}");
        let asked = sources
            .nats
            .jetstream
            .request::<_, _, serde_json::Value>(request, &());
        let answered = tokio::time::timeout(TRIED / 2, asked).await;
        let silent = !matches!(answered, Ok(Ok(_)));
        silent.then(|| format!("{durable} on {stream}"))
    });
    let silent: Vec<String> = join_all(asked).await.into_iter().flatten().collect();
    if silent.is_empty() {
        return fine("permissions", "the broker answers for every consumer");
    }
    broken(
        "permissions",
        format!("the broker does not answer for {}", silent.join(", ")),
        "compare the permissions of the service's user with deploy/nats/nats.conf",
    )
}

async fn database(
    sources: &Sources,
    known: &[&'static Migrator],
    now: OffsetDateTime,
) -> Vec<Finding> {
    let Some(pool) = &sources.pool else {
        return Vec::new();
    };
    if let Some(away) = sources.ready.failing("database") {
        let text = away.reason.unwrap_or_default();
        let next = "look whether PostgreSQL is running, and at database.url";
        return vec![super::subject::since(
            broken("postgres", text, next),
            away.since,
        )];
    }
    let tried = async {
        let server = server(pool, now).await?;
        let mut found = vec![server];
        found.push(migrations(pool, known).await?);
        Ok::<_, anyhow::Error>(found)
    };
    tried.await.unwrap_or_else(|error| {
        let next = "look at the log of PostgreSQL, and at the rights of the service's user";
        vec![broken("postgres", format!("{error:#}"), next)]
    })
}

/// The server: its version, whether it can be written to, its connections, its clock, and who copies it.
async fn server(pool: &PgPool, now: OffsetDateTime) -> Result<Finding, sqlx::Error> {
    let row = sqlx::query!(
        r#"select current_setting('server_version') as "version!", pg_is_in_recovery() as "standby!",
                  current_setting('max_connections')::bigint as "most!",
                  (select count(*) from pg_stat_activity where backend_type = 'client backend') as "taken!",
                  (select count(*) from pg_stat_replication) as "copies!", clock_timestamp() as "clock!""#
    )
    .fetch_one(pool)
    .await?;
    let (taken, most, copies) = (row.taken, row.most, row.copies);
    let text = format!(
        "{}, {taken} of {most} connections, {copies} standbys attached",
        row.version.split(' ').next().unwrap_or_default()
    );
    if row.standby {
        let next = "point database.url at the primary";
        return Ok(broken(
            "postgres",
            format!("{text}; it is a standby, which takes no writes"),
            next,
        ));
    }
    if (row.clock - now).abs() > CLOCKS + time::Duration::seconds(1) {
        let next = "set both machines' clocks by NTP";
        return Ok(doubtful(
            "postgres",
            format!("{text}; its clock and this service's differ"),
            next,
        ));
    }
    if taken * 100 > most * CONNECTIONS {
        let next = "raise max_connections of the server, or lower database.max_connections of the services";
        return Ok(doubtful("postgres", text, next));
    }
    Ok(fine("postgres", text))
}

/// Whether the database has exactly the migrations that this program knows.
async fn migrations(pool: &PgPool, known: &[&'static Migrator]) -> anyhow::Result<Finding> {
    let mut connection = pool.acquire().await?;
    let (mut missing, mut newer) = (0, 0);
    for migrator in known {
        let applied = connection
            .list_applied_migrations(&migrator.table_name)
            .await?;
        let has = |version| applied.iter().any(|one| one.version == version);
        missing += migrator.iter().filter(|one| !has(one.version)).count();
        newer += applied
            .iter()
            .filter(|one| !migrator.version_exists(one.version))
            .count();
    }
    Ok(schema(missing, newer))
}

fn schema(missing: usize, newer: usize) -> Finding {
    match (missing, newer) {
        (0, 0) => fine("migrations", "all are applied"),
        (0, newer) => doubtful(
            "migrations",
            format!("the database has {newer} that this version does not know"),
            "finish the upgrade: a replica of an older version is still running",
        ),
        (missing, _) => broken(
            "migrations",
            format!("{missing} are missing in the database"),
            "run the service's verb `migrate` with the same configuration",
        ),
    }
}

/// Whether the keys of tokens can be read now.
async fn keys(auth: &config::Auth) -> Finding {
    let read = async {
        let jwks = Jwks::new(&auth.jwks, auth.demo_secrets)?;
        jwks.refresh().await?;
        Ok::<_, anyhow::Error>(jwks.count())
    };
    match read.await {
        Ok(count) => fine("jwks", format!("can be read, keys in it: {count}")),
        // Keys that were read before go on being used: new tokens may be refused.
        Err(error) => broken(
            "jwks",
            format!("{error:#}"),
            "make auth.jwks readable: keys that were read before are used meanwhile, new ones are not known",
        ),
    }
}

/// Whether the token for calls to the other services is there and lasts.
async fn internal_token(auth: &config::Auth, now: OffsetDateTime) -> Finding {
    match tokio::fs::read_to_string(&auth.internal_token_file).await {
        Ok(token) => lasting(life(token.trim()), now),
        Err(error) => broken(
            "internal token",
            format!("auth.internal_token_file cannot be read: {error}"),
            "make one by `switchboardctl token --internal`, into that file",
        ),
    }
}

/// What a token says of its life.
#[derive(Debug, Clone, Copy, serde::Deserialize)]
struct Life {
    exp: i64,
    iat: Option<i64>,
}

/// How long a token lasts, by what it says of itself.
fn life(token: &str) -> Option<Life> {
    let said = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice(&said).ok()
}

fn lasting(life: Option<Life>, now: OffsetDateTime) -> Finding {
    let next = "make a new one by `switchboardctl token --internal`, into auth.internal_token_file: it is read again by itself";
    let Some(life) = life else {
        return broken("internal token", "it is no token", next);
    };
    let left = time::Duration::seconds(life.exp.saturating_sub(now.unix_timestamp()));
    // One that is renewed every day has its days; what counts is whether the renewal is late.
    let soon = life.iat.map_or(TOKEN_LEFT, |made| {
        TOKEN_LEFT.min(time::Duration::seconds(life.exp.saturating_sub(made)) / 4)
    });
    let told = if left < time::Duration::days(2) {
        format!("{} h", left.whole_hours())
    } else {
        format!("{} days", left.whole_days())
    };
    if !left.is_positive() {
        broken("internal token", "it has ended", next)
    } else if left < soon {
        doubtful("internal token", format!("it ends in {told}"), next)
    } else {
        fine("internal token", format!("good for {told}"))
    }
}

#[cfg(test)]
mod tests {
    use switchboard_proto::operator::v1::Level;

    use super::*;

    #[test]
    fn o106_a_schema_that_is_behind_fails_and_one_ahead_warns() {
        for (missing, newer, level) in [
            (0, 0, Level::Ok),
            (0, 2, Level::Warn),
            (1, 0, Level::Fail),
            (1, 2, Level::Fail),
        ] {
            let found = schema(missing, newer);
            assert_eq!(found.level(), level, "{missing} {newer}");
            assert_eq!(found.next_step.is_empty(), level == Level::Ok);
        }
    }

    #[test]
    fn o106_an_internal_token_is_told_of_before_it_ends() {
        let now = OffsetDateTime::UNIX_EPOCH + time::Duration::days(365);
        let token = |exp: i64| {
            let said = URL_SAFE_NO_PAD.encode(format!(r#"{{"exp":{exp},"sub":"x"}}"#));
            format!("head.{said}.signature")
        };
        // Of one that lasts a day.
        let daily = |exp: i64| {
            let iat = exp - 86_400;
            let said = URL_SAFE_NO_PAD.encode(format!(r#"{{"exp":{exp},"iat":{iat}}}"#));
            format!("head.{said}.signature")
        };
        let day = 86_400;
        for (text, level) in [
            (token(365 * day + 30 * day), Level::Ok),
            (token(365 * day + 6 * day), Level::Warn),
            (token(365 * day - 1), Level::Fail),
            (daily(365 * day + 23 * 3_600), Level::Ok),
            (daily(365 * day + 5 * 3_600), Level::Warn),
            ("no token".to_owned(), Level::Fail),
            (String::new(), Level::Fail),
        ] {
            let found = lasting(life(&text), now);
            assert_eq!(found.level(), level, "{text}");
            assert!(!found.text.contains("signature"), "{}", found.text);
        }
    }
}
