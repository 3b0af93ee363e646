//! Recovery: a service whose database was set back to an older moment is brought forward by what the streams still hold (O3.10,
//! last row of architecture §11), before it is started again.
//!
//! What the database lacks is known exactly: it keeps the last `ce-sbsequence` of each subject of its own events, in the
//! transaction of the change itself. An event of ours above it tells of a change that was lost. Such events are handed to the
//! service in order, a page in one transaction with the raised sequences: whatever kills the recovery, it goes on where it
//! was, and made twice it changes nothing. Afterwards the positions of the service's consumers are set back, so that what it
//! learnt of others, and what providers sent, is handled again under natural keys.

mod check;
mod decide;
mod positions;
mod read;
mod report;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures::TryStreamExt as _;
use sqlx::{Connection as _, PgConnection};
use time::OffsetDateTime;

use crate::consumer::{Delivery, EventFilter};
use crate::nats::{self, Nats, Streams};
use crate::outbox::{self, Outgoing};
use crate::{clock, config};

use self::decide::{Known, reaches_back, sort};
use self::report::Report;

/// The advisory lock of the one recovery of a database: `sbrecove` in ASCII.
const LOCK: i64 = 0x7362_7265_636f_7665;

/// How far before the moment it is read, and positions are set back: what had been published by then and was not handled yet.
const BEFORE: time::Duration = time::Duration::hours(1);

/// Messages of one transaction at most.
const PAGE: usize = 256;

/// How long a broker that is away is waited for.
const CONNECT: Duration = Duration::from_secs(10);

/// What is asked for on the command line.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The moment to which the database was set back.
    pub from: OffsetDateTime,
    /// Where it is listed what happened since; nowhere where that is not asked for.
    pub report: Option<PathBuf>,
    /// Nothing is changed: what is stored is compared with what the streams tell.
    pub check: bool,
}

/// The consumers whose positions go back.
#[derive(Debug, Clone, Copy)]
pub struct Durables {
    /// Of `EVENTS`.
    pub events: &'static [&'static str],
    /// Of each `INBOUND_<n>`.
    pub inbound: &'static [&'static str],
}

/// What a service does with events of its own that its database does not know.
#[tonic::async_trait]
pub trait Replay: Send + Sync {
    /// The consumers of the service.
    fn durables(&self) -> Durables;

    /// Events of other services that are handed over beside its own, all of them.
    fn reads(&self) -> &'static [EventFilter] {
        &[]
    }

    /// Tells whether items of `INBOUND_<n>` are handed over as well, after all events, for what those do not carry.
    fn completes_from_inbound(&self) -> bool {
        false
    }

    /// Tells whether what an own event says is rebuilt, all of it; else it is listed.
    fn rebuilds(&self, event: &Delivery) -> bool;

    /// Applies a page, in the order of the stream. It must be idempotent for events of other services.
    ///
    /// # Errors
    /// Then nothing of the page is kept, and the recovery ends.
    async fn apply(
        &self,
        connection: &mut PgConnection,
        page: &[Delivery],
        now: OffsetDateTime,
    ) -> anyhow::Result<()>;

    /// Does what can be done only when all is applied, some of it at a time; called until it says that nothing is left. What it
    /// tells is published when the service runs.
    ///
    /// # Errors
    /// Then nothing of this step is kept, and the recovery ends.
    async fn conclude(
        &self,
        _connection: &mut PgConnection,
        _now: OffsetDateTime,
    ) -> anyhow::Result<Concluded> {
        Ok(Concluded::default())
    }

    /// Compares what is stored with a page of what the streams tell, own events and items of INBOUND; one line for each
    /// difference.
    ///
    /// # Errors
    /// Returns an error when it cannot be compared.
    async fn compare(
        &self,
        connection: &mut PgConnection,
        page: &[Delivery],
    ) -> anyhow::Result<Vec<String>>;
}

/// What a step of the end did.
#[derive(Debug, Default)]
pub struct Concluded {
    /// What is to be told.
    pub events: Vec<Outgoing>,
    /// There may be more.
    pub more: bool,
}

/// A recovery at work.
struct Recovery<'r> {
    name: &'static str,
    replay: &'r dyn Replay,
    asked: &'r Asked,
    nats: Nats,
    streams: Streams,
    connection: PgConnection,
}

/// Recovers a service, or checks a recovered one, and prints what was done.
///
/// # Errors
/// Returns an error that says what stands in the way: a service that still runs, streams that do not reach back, a database that
/// is older than the moment.
pub(crate) async fn run(
    name: &'static str,
    (database, broker): (&config::Database, &config::Nats),
    streams: Streams,
    replay: &dyn Replay,
    asked: &Asked,
) -> anyhow::Result<()> {
    let options = crate::run::connect_options(database)?.application_name("switchboard-recovery");
    let connection = PgConnection::connect_with(&options)
        .await
        .context("database.url")?;
    let connected = tokio::time::timeout(CONNECT, nats::connect(broker, name)).await;
    let nats = connected.context("nats.url: the broker does not answer")??;
    let mut recovery = Recovery {
        name,
        replay,
        asked,
        nats,
        streams,
        connection,
    };
    let done = if asked.check {
        recovery.check().await
    } else {
        recovery.recover().await
    };
    recovery.connection.close().await?;
    done
}

impl Recovery<'_> {
    async fn recover(&mut self) -> anyhow::Result<()> {
        self.alone().await?;
        self.reach_back().await?;
        let begin = self.asked.from - BEFORE;
        let stream = self.events().await?;
        let first = read::locate(&stream, begin).await?;
        let mut report = Report::new(self.name, self.asked)?;
        let mut pages = std::pin::pin!(read::pages(&stream, first));
        while let Some(page) = pages.try_next().await? {
            self.page(page, &mut report).await?;
        }
        if self.replay.completes_from_inbound() {
            self.inbound(begin).await?;
        }
        self.conclude(&mut report).await?;
        for durable in self.replay.durables().events {
            positions::back(&self.nats, &self.streams.events(), durable, first).await?;
        }
        for shard in 0..self.streams.shards() {
            let name = self.streams.inbound(shard);
            for durable in self.replay.durables().inbound {
                let stream = self.nats.jetstream.get_stream(&name).await?;
                let first = read::locate(&stream, begin).await?;
                positions::back(&self.nats, &name, durable, first).await?;
            }
        }
        report.finish()
    }

    /// Makes sure that nobody else works on the database: neither another recovery nor the service itself.
    async fn alone(&mut self) -> anyhow::Result<()> {
        let taken = sqlx::query_scalar!(r#"select pg_try_advisory_lock($1) as "taken!""#, LOCK)
            .fetch_one(&mut self.connection)
            .await?;
        if !taken {
            bail!("another recovery of {} is at work: wait for it", self.name);
        }
        self.stopped().await
    }

    async fn stopped(&mut self) -> anyhow::Result<()> {
        let running = sqlx::query_scalar!(
            r#"select count(*) as "count!" from pg_stat_activity
               where datname = current_database() and application_name = $1"#,
            crate::run::APPLICATION,
        )
        .fetch_one(&mut self.connection)
        .await?;
        if running > 0 {
            bail!(
                "{} still runs: it holds {running} connections to its database; stop all its replicas first",
                self.name
            );
        }
        Ok(())
    }

    /// Refuses where a stream that is needed does not reach back to the moment.
    async fn reach_back(&self) -> anyhow::Result<()> {
        let durables = self.replay.durables();
        let inbound = if durables.inbound.is_empty() {
            0
        } else {
            self.streams.shards()
        };
        let inbound = (0..inbound).map(|shard| self.streams.inbound(shard));
        for name in std::iter::once(self.streams.events()).chain(inbound) {
            let stream = self.nats.jetstream.get_stream(&name).await;
            let stream = stream.with_context(|| format!("stream {name}"))?;
            let state = &stream.cached_info().state;
            let first = (state.first_sequence, state.first_timestamp);
            if !reaches_back(first, self.asked.from) {
                bail!(
                    "{name} does not reach back to {}: its oldest message is of {}. What happened in between can be rebuilt \
                     from nothing; restore a backup that is younger than that, or recover from that moment and accept the loss",
                    self.asked.from,
                    first.1,
                );
            }
        }
        Ok(())
    }

    async fn events(&self) -> anyhow::Result<read::Stream> {
        let name = self.streams.events();
        let stream = self.nats.jetstream.get_stream(&name).await;
        stream.with_context(|| format!("stream {name}"))
    }

    /// Applies a page in one transaction.
    async fn page(&mut self, page: Vec<Delivery>, report: &mut Report) -> anyhow::Result<()> {
        self.stopped().await?;
        let reads = self.replay.reads();
        let (own, foreign) = (self.name, |one: &Delivery| {
            let of = &one.envelope;
            reads.iter().any(|filter| {
                (filter.service, filter.entity, filter.event)
                    == (&of.service, &of.entity, &of.event)
            })
        });
        let page: Vec<Delivery> = page
            .into_iter()
            .filter(|one| one.envelope.service == own || foreign(one))
            .collect();
        if page.is_empty() {
            return Ok(());
        }
        let now = clock::now();
        let mut tx = self.connection.begin().await?;
        let mut known = known(&mut tx, own, &page).await?;
        let sorted = sort(own, page, &mut known, self.asked.from)?;
        for event in &sorted.told {
            let rebuilt = self.replay.rebuilds(&event.delivery);
            report.note(&event.delivery, event.is_new, rebuilt)?;
        }
        self.replay.apply(&mut tx, &sorted.apply, now).await?;
        keep(&mut tx, &known).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Hands over what providers sent since then.
    async fn inbound(&mut self, begin: OffsetDateTime) -> anyhow::Result<()> {
        for shard in 0..self.streams.shards() {
            let stream = self
                .nats
                .jetstream
                .get_stream(self.streams.inbound(shard))
                .await?;
            let first = read::locate(&stream, begin).await?;
            let mut pages = std::pin::pin!(read::pages(&stream, first));
            while let Some(page) = pages.try_next().await? {
                let mut tx = self.connection.begin().await?;
                self.replay.apply(&mut tx, &page, clock::now()).await?;
                tx.commit().await?;
            }
        }
        Ok(())
    }

    async fn conclude(&mut self, report: &mut Report) -> anyhow::Result<()> {
        loop {
            let now = clock::now();
            let mut tx = self.connection.begin().await?;
            let Concluded { events, more } = self.replay.conclude(&mut tx, now).await?;
            report.announced(events.len());
            outbox::write(&mut tx, self.name, events, now).await?;
            tx.commit().await?;
            if !more {
                return Ok(());
            }
        }
    }
}

/// Reads and locks how far the database knows the subjects of a page.
async fn known(
    connection: &mut PgConnection,
    service: &str,
    page: &[Delivery],
) -> Result<Known, sqlx::Error> {
    let own = page.iter().filter(|one| one.envelope.service == service);
    let subjects: std::collections::BTreeSet<(String, String)> = own
        .map(|one| {
            (
                one.envelope.account.to_string(),
                one.envelope.subject_id.clone(),
            )
        })
        .collect();
    let (accounts, subjects): (Vec<_>, Vec<_>) = subjects.into_iter().unzip();
    let rows = sqlx::query!(
        r#"select wanted.account as "account!", wanted.subject as "subject!", coalesce(kept.last, 0) as "last!"
           from unnest($1::text[], $2::text[]) as wanted (account, subject)
           left join chassis.event_sequence kept on kept.account = wanted.account and kept.subject = wanted.subject"#,
        &accounts,
        &subjects,
    )
    .fetch_all(connection)
    .await?;
    let rows = rows.into_iter();
    Ok(rows
        .map(|row| ((row.account, row.subject), row.last.cast_unsigned()))
        .collect())
}

/// Keeps how far the subjects of a page are known now.
async fn keep(connection: &mut PgConnection, known: &Known) -> Result<(), sqlx::Error> {
    let (keys, last): (Vec<_>, Vec<i64>) = known
        .iter()
        .filter(|(_, last)| **last > 0)
        .map(|(key, last)| (key.clone(), last.cast_signed()))
        .unzip();
    let (accounts, subjects): (Vec<String>, Vec<String>) = keys.into_iter().unzip();
    sqlx::query!(
        "insert into chassis.event_sequence as kept (account, subject, last)
         select * from unnest($1::text[], $2::text[], $3::bigint[])
         on conflict (account, subject) do update set last = greatest(kept.last, excluded.last)",
        &accounts,
        &subjects,
        &last,
    )
    .execute(connection)
    .await
    .map(drop)
}
