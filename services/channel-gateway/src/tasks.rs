//! What runs beside requests and events.

mod photos;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use chassis::clock;
use chassis::http::Limits;
use chassis::janitor::{Janitor, Kept};
use chassis::nats::{Nats, Streams};
use chassis::run::Service;
use chassis::tls::{Acceptor, Files};
use sqlx::PgPool;
use tokio::net::TcpListener;

use crate::app::accept::Intake;
use crate::app::book::{Book, REFRESH};
use crate::app::fetch::Fetcher;
use crate::app::mail::Mailroom;
use crate::app::mailbox::{Directory, Mailboxes, Terms};
use crate::app::reseal::{self, Pass};
use crate::app::restart::ByOutbox;
use crate::app::{App, file_sweep, health, lookups, mail_lines, told};
use crate::config::{self, Config};
use crate::domain::channel::ChannelKind;
use crate::domain::mailbox::Rhythm;
use crate::figures;
use crate::files::parts::Parts;
use crate::files::source::Sources;
use crate::files::telegram::FromTelegram;
use crate::files::web::Web;
use crate::http::{Webhooks, files, links, router};
use crate::store::{deliveries, usage};

/// How often figures are taken from the database.
const MEASURED_EVERY: Duration = Duration::from_secs(10);

/// How long it waits until what could not be done is tried again.
const AGAIN: Duration = Duration::from_mins(1);

/// Steps of one sweep at most.
const SWEEP_STEPS: usize = 20;

/// How often the limiters forget accounts and visitors that were quiet.
const FORGET_EVERY: Duration = Duration::from_mins(1);

/// How often it is looked whether there are other keys.
const KEYS_LOOKED_AT: Duration = Duration::from_secs(5);

/// How often it is looked for what stands under a former key.
const RESEALED_EVERY: Duration = Duration::from_hours(1);

/// How often held items are looked at.
const JUDGED_EVERY: Duration = Duration::from_secs(1);

/// How often questions to providers are looked for.
const ASKED_EVERY: Duration = Duration::from_secs(1);

/// How often keys of what was sent are looked through for old ones.
const FORGET_KEYS_EVERY: Duration = Duration::from_hours(1);

/// The durables on `INBOUND_<n>` (architecture §3).
const INBOUND_DURABLES: &[&str] = &["conversation-inbound", "gateway-inbound"];

/// The services' durables on `EVENTS`. A service that begins to consume events is added here first.
const EVENTS_DURABLES: &[&str] = &[
    "assignment-audit",
    "assignment-events",
    "channel-gateway-events",
    "conversation-activity",
    "conversation-events",
    "conversation-own-app",
    "conversation-search",
    "crm-cards-events",
];

/// Fills the book and keeps it fresh.
pub async fn keep_book(service: &Service, book: &Arc<Book>) -> anyhow::Result<()> {
    book.refresh().await.context("channels")?;
    let (book, stop) = (Arc::clone(book), service.lifecycle.stop_token());
    service.lifecycle.spawn("channels", async move {
        while tokio::time::timeout(REFRESH, stop.cancelled())
            .await
            .is_err()
        {
            if let Err(error) = book.refresh().await {
                tracing::warn!(%error, "channels could not be refreshed: those in memory serve");
            }
        }
        Ok(())
    });
    Ok(())
}

/// Binds the port that providers call, and serves it until the service stops.
pub async fn serve_webhooks(
    service: &Service,
    webhooks: Arc<Webhooks>,
    app: &App,
    config: &Config,
) -> anyhow::Result<()> {
    let http = &config.http;
    let listener = TcpListener::bind(http.listen)
        .await
        .with_context(|| format!("http.listen: {} cannot be bound", http.listen))?;
    let tls = Acceptor::for_http(Files {
        name: "http.certificate_file",
        certificate: http.certificate_file.as_deref(),
        key: http.key_file.as_deref(),
    })?;
    let address = listener.local_addr()?;
    service.bound("http", address);
    tracing::info!(%address, "webhooks bound");
    let stop = service.lifecycle.stop_token();
    let door = files::Door::new(app.clone(), config.files.transfers);
    let store = app.files.store.clone();
    let visitors = Arc::new(links::Door::new(app.clone(), &http.client_address_header));
    let app = router(Arc::clone(&webhooks))
        .merge(files::router(Arc::new(door)))
        .merge(links::router(Arc::clone(&visitors)));
    service.lifecycle.spawn("http", async move {
        chassis::http::serve(listener, tls, app, Limits::default(), stop).await;
        // Of uploads that were broken off nothing stays.
        store.settled().await;
        Ok(())
    });
    let stop = service.lifecycle.stop_token();
    service.lifecycle.spawn("limiter", async move {
        while tokio::time::timeout(FORGET_EVERY, stop.cancelled())
            .await
            .is_err()
        {
            webhooks.forget_quiet();
            visitors.forget_quiet();
        }
        Ok(())
    });
    Ok(())
}

/// Fetches clients' files, and their photos, until the service stops.
pub fn fetch_files(service: &Service, app: &App, config: &Config) -> anyhow::Result<()> {
    let sources = Arc::new(Sources {
        web: Web::new(config.files.allow_private, config.files.idle)?,
        telegram: FromTelegram::new(app.bots.clone(), config.files.max_size),
    });
    photos::look_for(service, app, Arc::clone(&sources));
    let fetcher = Fetcher::new(app.clone(), sources, (&config.files).into());
    let stop = service.lifecycle.stop_token();
    service.lifecycle.spawn("files", async move {
        fetcher.run(stop).await;
        Ok(())
    });
    Ok(())
}

/// Removes what of files has had its time, and what was left of them by processes that died.
pub fn sweep_files(service: &Service, app: &App, config: &config::Files) {
    let (app, stop) = (app.clone(), service.lifecycle.stop_token());
    let (mut parts, pause) = (Parts::of(config), config.sweep);
    service.lifecycle.spawn("file sweep", async move {
        while tokio::time::timeout(pause, stop.cancelled()).await.is_err() {
            for _ in 0..SWEEP_STEPS {
                match file_sweep::step(&app, clock::now()).await {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => {
                        tracing::warn!(%error, "files whose time has come could not be removed");
                        break;
                    }
                }
            }
            if let Some(left) = parts.take() {
                parts = Some(sweep_parts(left).await?);
            }
        }
        Ok(())
    });
}

async fn sweep_parts(mut parts: Parts) -> anyhow::Result<Parts> {
    let step = move || {
        let removed = parts.step(clock::now().into());
        (parts, removed)
    };
    let (parts, removed) = tokio::task::spawn_blocking(step).await?;
    match removed {
        Ok(0) => {}
        Ok(removed) => tracing::info!(removed, "parts of files were removed that nobody writes"),
        Err(error) => {
            tracing::warn!(%error, "parts of files could not be looked through: going on");
        }
    }
    Ok(parts)
}

/// Follows the mailboxes of enabled channels.
pub fn follow_mailboxes(service: &Service, app: &App, intake: &Intake, config: &config::Mail) {
    let room = Arc::new(Mailroom {
        app: app.clone(),
        intake: intake.clone(),
    });
    let defaults = Terms::default();
    let terms = Terms {
        lease: config.lease,
        renew: config.renew,
        capacity: config.capacity,
        rhythm: Rhythm {
            poll: config.poll,
            poll_without_idle: config.poll.min(defaults.rhythm.poll_without_idle),
            ..defaults.rhythm
        },
        size_limit: app.post.size_limit,
        after_refusal: config.after_refusal,
        ..defaults
    };
    let mailboxes = Mailboxes::new(
        app.pool.clone(),
        app.post.wires.clone(),
        Arc::clone(&room) as Arc<dyn Directory>,
        room,
        terms,
    );
    let stop = service.lifecycle.stop_token();
    service.lifecycle.spawn("mailboxes", async move {
        mailboxes.run(stop).await;
        Ok(())
    });
}

/// Starts what looks after the rest, every second or so.
pub fn steady(service: &Service, app: &App, intake: &Intake, config: &Config) {
    measure(service, app.pool.clone(), app.files.upload_quota);
    told(service, app, intake);
    look_up(service, app);
    fill_mail_lines(service, app);
    reseal(service, app);
    watch_health(service, app, config);
}

/// Judges items that wait for the outcome of an attempt, and forgets what no provider speaks of any more.
fn told(service: &Service, app: &App, intake: &Intake) {
    let (app, intake, stop) = (app.clone(), intake.clone(), service.lifecycle.stop_token());
    service.lifecycle.spawn("told", async move {
        let mut forgotten_at = clock::now();
        while tokio::time::timeout(JUDGED_EVERY, stop.cancelled())
            .await
            .is_err()
        {
            let now = clock::now();
            let judged = told::judge_held(&app, &intake, now).await;
            if let Err(error) = judged {
                tracing::warn!(%error, "held items could not be judged: trying again");
            }
            if now >= forgotten_at {
                let more = told::forget(&app, now).await.unwrap_or(false);
                forgotten_at = now
                    + if more {
                        JUDGED_EVERY
                    } else {
                        FORGET_KEYS_EVERY
                    };
            }
        }
        Ok(())
    });
}

/// Asks providers about posts and people, and forgets what was learnt long ago.
fn look_up(service: &Service, app: &App) {
    let (app, stop) = (app.clone(), service.lifecycle.stop_token());
    service.lifecycle.spawn("lookups", async move {
        let mut forgotten_at = clock::now();
        let mut more = false;
        while more
            || tokio::time::timeout(ASKED_EVERY, stop.cancelled())
                .await
                .is_err()
        {
            let now = clock::now();
            let Some(asked) = stop.run_until_cancelled(lookups::step(&app, now)).await else {
                break;
            };
            more = asked.unwrap_or_else(|error| {
                tracing::warn!(%error, "questions could not be asked: trying again");
                false
            });
            if now >= forgotten_at {
                let rest = lookups::forget(&app, now).await.unwrap_or(false);
                forgotten_at = now + if rest { ASKED_EVERY } else { FORGET_KEYS_EVERY };
            }
        }
        Ok(())
    });
}

/// Looks at channels before their customers notice (B10).
fn watch_health(service: &Service, app: &App, config: &Config) {
    let (app, terms) = (app.clone(), health::Terms::from(&config.health));
    let stop = service.lifecycle.stop_token();
    service.lifecycle.spawn("health", async move {
        health::run(app, terms, stop).await;
        Ok(())
    });
}

/// Fills in once what mailboxes are told apart by that were connected before that was kept.
fn fill_mail_lines(service: &Service, app: &App) {
    let (app, stop) = (app.clone(), service.lifecycle.stop_token());
    service.lifecycle.spawn("mail-lines", async move {
        while let Err(error) = mail_lines::fill(&app).await {
            tracing::warn!(%error, "what mailboxes are told apart by could not be filled in: trying again");
            if tokio::time::timeout(AGAIN, stop.cancelled()).await.is_ok() {
                break;
            }
        }
        Ok(())
    });
}

/// Seals anew what stands under a former key, while the key file has one: at the start and when the file gets one, and again for what
/// a replica with an older file sealed meanwhile.
fn reseal(service: &Service, app: &App) {
    let (app, stop) = (app.clone(), service.lifecycle.stop_token());
    service.lifecycle.spawn("reseal", async move {
        let mut next = None;
        loop {
            let (keys, now) = (app.sealer.key_ids(), Instant::now());
            let is_due = next
                .as_ref()
                .is_none_or(|(of, at)| *of != keys || *at <= now);
            if is_due && keys.len() > 1 {
                next = Some((keys, now + resealed(&app).await));
            }
            if tokio::time::timeout(KEYS_LOOKED_AT, stop.cancelled())
                .await
                .is_ok()
            {
                return Ok(());
            }
        }
    });
}

/// Goes over everything once; returns when to do so again.
async fn resealed(app: &App) -> Duration {
    match reseal::pass(app).await {
        Ok(Pass {
            resealed,
            unreadable: 0,
        }) => {
            tracing::info!(
                resealed,
                "everything is sealed with the first key of the file: the others may go"
            );
            RESEALED_EVERY
        }
        // It has been logged which.
        Ok(_) => RESEALED_EVERY,
        Err(error) => {
            tracing::warn!(%error, "not everything could be sealed anew: trying again");
            AGAIN
        }
    }
}

/// Measures how long the oldest queued delivery has been waiting, and what uploads take of the store. Accounts are not
/// told apart there: the fullest one says whether anybody comes near the quota.
fn measure(service: &Service, pool: PgPool, quota: u64) {
    let quota = i64::try_from(quota).unwrap_or(i64::MAX);
    let stop = service.lifecycle.stop_token();
    figures::begin();
    service.lifecycle.spawn("figures", async move {
        while tokio::time::timeout(MEASURED_EVERY, stop.cancelled())
            .await
            .is_err()
        {
            let Ok(mut connection) = pool.acquire().await else {
                continue;
            };
            if let Ok(queued) = deliveries::queued(&mut connection).await {
                let waiting = queued
                    .oldest
                    .map_or(0.0, |oldest| (clock::now() - oldest).as_seconds_f64());
                figures::QUEUED.set(queued.count);
                figures::OLDEST_QUEUED.set(waiting);
            }
            if let Ok(kinds) = crate::store::health::enabled(&mut connection).await {
                for kind in ChannelKind::ALL {
                    let found = kinds.iter().find(|found| found.kind == kind.as_str());
                    let (enabled, degraded) =
                        found.map_or((0.0, 0.0), |found| (found.enabled, found.degraded));
                    figures::ENABLED.of([kind.as_str()]).set(enabled);
                    figures::DEGRADED.of([kind.as_str()]).set(degraded);
                }
            }
            if let Ok(usage) = usage::of_all(&mut connection, quota).await {
                figures::UPLOADS.set(usage.total);
                figures::UPLOADS_FULLEST.set(usage.fullest);
            }
        }
        Ok(())
    });
}

/// Makes the janitor of all streams: this service owns `INBOUND_<n>`, and one service is enough for the others.
/// `DEAD_LETTERS` discards old by itself and is only measured.
pub fn janitor(app: &App, nats: Nats, streams: Streams) -> Janitor {
    let inbound = (0..streams.shards()).map(|shard| Kept {
        stream: streams.inbound(shard),
        own: INBOUND_DURABLES,
    });
    let others = [
        Kept {
            stream: streams.events(),
            own: EVENTS_DURABLES,
        },
        Kept {
            stream: streams.dead_letters(),
            own: &[],
        },
    ];
    Janitor {
        pool: app.pool.clone(),
        nats,
        kept: inbound.chain(others).collect(),
        streams,
        announce: Arc::new(ByOutbox(app.clone())),
    }
}
