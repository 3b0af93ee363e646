//! Photos of clients (F067), as a step of its own: no message waits for one, and one that cannot be had is none. A client who writes
//! is looked at once a day, and sooner where a message tells of another photo.
//!
//! The bytes are a file as any other: who may see the channel reads it through `CreateAttachmentLink`. Until it is shown it is one
//! whose time is nearly over, so that nothing stays of what a process that died was fetching; the one before goes the same way.

mod ask;
pub mod asked;

use std::time::Duration;

use chassis::clock;
use chassis::grpc::timestamp;
use chassis::id;
use chassis::outbox::{self, Outgoing};
use rand::Rng as _;
use switchboard_proto::channel_gateway::v1::ClientDescribed;
use switchboard_proto::common::v1::attachment::Kind;
use time::OffsetDateTime;
use uuid::Uuid;

use super::App;
use super::book::{Found, Known};
use super::uploads::sniffed;
use crate::domain::channel::ChannelState;
use crate::domain::file::{object_key, retry_wait};
use crate::domain::photo::{ANEW, CHANGED, SIZE_MAX, Said, Step, is_picture, step};
use crate::error::{DOMAIN, Error};
use crate::figures;
use crate::files::source::{NotOpened, Source};
use crate::files::store::{Pace, ReceiveError, Received};
use crate::store::fetches::Fetched;
use crate::store::photos::{self, Claimed, Expected, Since};
use crate::store::withdrawn;
use ask::Asked;

/// Photos of one channel that are looked for at once: a slow provider holds up no other.
const PER_CHANNEL: i64 = 2;

/// Tries before a photo is given up, until the client writes on another day.
const TRIES: u32 = 5;

/// How long a photo waits while its channel cannot ask, or the store is away.
const AWAY: Duration = Duration::from_mins(10);

/// How long a photo may take.
const PACE: Pace = Pace {
    idle: Duration::from_secs(10),
    total: Duration::from_secs(20),
};

/// How long after the end of a lease bytes stay that nobody shows.
const LEFT_FOR: time::Duration = time::Duration::hours(1);

/// Stands for the reason of a photo that is not shown yet, or not any more.
pub const NOT_SHOWN: &str = "PHOTO_NOT_SHOWN";

/// The name under which it is read.
const NAME: &str = "photo";

/// What came of looking.
enum Outcome {
    /// It is the same.
    Same,
    /// There is none; with what was looked at, where that was no picture.
    Without(Option<Vec<u8>>),
    /// It came.
    Came(Box<Came>),
    /// It cannot be had.
    Never,
    Later(Duration),
    /// Nobody was asked: this was no try.
    Away,
}

struct Came {
    id: Uuid,
    version: Vec<u8>,
    received: Received,
    media_type: String,
}

/// Returns since when who was looked at is left alone.
pub fn since(now: OffsetDateTime) -> Since {
    Since {
        looked_at: now - ANEW,
        changed: now - CHANGED,
    }
}

/// A photo that is to be looked for, and until when it is nobody else's.
pub struct Work {
    claimed: Claimed,
    until: OffsetDateTime,
}

/// Claims what is due, so much at most.
pub async fn claim(app: &App, limit: usize, now: OffsetDateTime) -> Result<Vec<Work>, Error> {
    let calls = app.bots.call_timeout().max(app.graph.call_timeout());
    // The call, the opening with calls of its own, the bytes, and the store's end of it.
    let until = now + calls * 3 + PACE.total * 3 + Duration::from_secs(30);
    let limit = i64::try_from(limit).unwrap_or(0);
    let mut connection = app.pool.acquire().await?;
    let claimed = photos::claim(&mut connection, now, until, PER_CHANNEL, limit).await?;
    let work = claimed.into_iter();
    Ok(work.map(|claimed| Work { claimed, until }).collect())
}

/// Looks for a photo, and writes what came of it. Where that cannot be written, the lease's end makes it due again.
pub async fn look_for(app: &App, source: &dyn Source, work: Work) -> Result<(), Error> {
    let Work { claimed, until } = work;
    let outcome = match app.book.find(claimed.channel_id).await {
        Found::Known(known) => look(app, source, &known, &claimed, until).await?,
        Found::Unknown => Outcome::Never,
        Found::Away => Outcome::Away,
    };
    let name = match outcome {
        Outcome::Same => "same",
        Outcome::Without(_) => "none",
        Outcome::Came(_) => "stored",
        Outcome::Never => "failed",
        Outcome::Later(_) => "later",
        Outcome::Away => "away",
    };
    figures::PHOTOS.of([name]).increment(1);
    settle(app, &claimed, outcome, clock::now()).await
}

async fn look(
    app: &App,
    source: &dyn Source,
    known: &Known,
    work: &Claimed,
    until: OffsetDateTime,
) -> Result<Outcome, Error> {
    // A token that is dead now may live tomorrow (channels.md §7.15).
    if known.state != ChannelState::Enabled {
        return Ok(Outcome::Away);
    }
    let said = match ask::ask(app, known, work).await {
        Asked::Said(said) => said,
        Asked::Never => return Ok(Outcome::Never),
        Asked::Later(wait) => return Ok(Outcome::Later(wait)),
        Asked::Away => return Ok(Outcome::Away),
    };
    match (step(work.version.as_deref(), said.as_ref()), said) {
        (Step::Fetch, Some(said)) => fetch(app, source, known, work, said, until).await,
        (Step::Keep, _) => Ok(Outcome::Same),
        (Step::Remove | Step::Fetch, _) => Ok(Outcome::Without(None)),
    }
}

/// Brings the bytes into the store.
async fn fetch(
    app: &App,
    source: &dyn Source,
    known: &Known,
    work: &Claimed,
    said: Said,
    until: OffsetDateTime,
) -> Result<Outcome, Error> {
    let opened = tokio::time::timeout(PACE.total, source.open(known, &said.reference)).await;
    let bytes = match opened {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(NotOpened::Never(_))) => return Ok(Outcome::Never),
        Ok(Err(NotOpened::Later(wait))) => return Ok(Outcome::Later(wait.unwrap_or_default())),
        Err(_) => return Ok(Outcome::Later(Duration::ZERO)),
    };
    let now = clock::now();
    let id = id::v7(now);
    let key = object_key(work.account.as_str(), now, id);
    let expected = Expected {
        id,
        account: &work.account,
        channel_id: work.channel_id,
        kind: Kind::Photo.into(),
        file_name: NAME,
        object_key: &key,
        reason: NOT_SHOWN,
    };
    let mut connection = app.pool.acquire().await?;
    photos::expect(&mut connection, expected, until + LEFT_FOR, now).await?;
    // Not held while the bytes come.
    drop(connection);
    let received = match app.files.store.receive(&key, bytes, SIZE_MAX, PACE).await {
        Ok(received) => received,
        Err(ReceiveError::TooLarge(_)) => return Ok(Outcome::Without(Some(said.version))),
        Err(ReceiveError::Slow | ReceiveError::Broken(_)) => {
            return Ok(Outcome::Later(Duration::ZERO));
        }
        Err(ReceiveError::Store(error)) => {
            tracing::warn!(%error, chat.id = %work.chat_id, "a client's photo could not be stored");
            return Ok(Outcome::Away);
        }
    };
    let media_type = sniffed("", &received);
    if !is_picture(&media_type) {
        return Ok(Outcome::Without(Some(said.version)));
    }
    Ok(Outcome::Came(Box::new(Came {
        id,
        version: said.version,
        received,
        media_type,
    })))
}

/// Writes what came of it, with its event, in one transaction; under an old lease nothing is written.
async fn settle(
    app: &App,
    work: &Claimed,
    outcome: Outcome,
    now: OffsetDateTime,
) -> Result<(), Error> {
    let mut tx = app.pool.begin().await?;
    let before = work.attachment_id;
    let shown = match outcome {
        Outcome::Same => {
            let version = work.version.as_deref();
            photos::settle(&mut tx, work, version, before).await?;
            before
        }
        Outcome::Without(version) => {
            if !photos::settle(&mut tx, work, version.as_deref(), None).await? {
                return Ok(());
            }
            None
        }
        Outcome::Came(came) => {
            // The address may be another, and the photo the same.
            let same = match before {
                Some(id) => photos::has_bytes(&mut tx, id, &came.received.sha256).await?,
                None => false,
            };
            let shown = before.filter(|_| same).unwrap_or(came.id);
            if !photos::settle(&mut tx, work, Some(&came.version), Some(shown)).await? {
                return Ok(());
            }
            let fetched = Fetched {
                size: i64::try_from(came.received.size).unwrap_or(i64::MAX),
                sha256: &came.received.sha256,
                media_type: &came.media_type,
            };
            if !same && !photos::show(&mut tx, came.id, fetched, now).await? {
                // Too late: its bytes may be gone. Once the lease has ended it is tried again.
                return Ok(());
            }
            Some(shown)
        }
        outcome => {
            give_back(&mut tx, work, &outcome, now).await?;
            before
        }
    };
    if shown != before {
        let replaced: Vec<Uuid> = before.into_iter().collect();
        withdrawn::withdraw(&mut tx, &replaced, NOT_SHOWN, now).await?;
        outbox::write(&mut tx, DOMAIN, vec![told(work, shown, now)], now).await?;
    }
    tx.commit().await?;
    if shown != before {
        app.relay.wake();
    }
    Ok(())
}

/// Has a photo that could not be looked at due again, as long as there is hope.
async fn give_back(
    connection: &mut sqlx::PgConnection,
    work: &Claimed,
    outcome: &Outcome,
    now: OffsetDateTime,
) -> Result<(), Error> {
    let tries = u32::try_from(work.tries).unwrap_or(u32::MAX);
    let roll: f64 = rand::rng().random();
    let (wait, counts) = match outcome {
        Outcome::Later(wait) if tries < TRIES => (Some((*wait).max(retry_wait(tries, roll))), true),
        Outcome::Away => (Some(AWAY.mul_f64(0.5 + roll / 2.0)), false),
        _ => (None, true),
    };
    Ok(photos::later(connection, work, wait.map(|wait| now + wait), counts).await?)
}

/// The event of a photo that is shown from now on, or not any more.
fn told(work: &Claimed, shown: Option<Uuid>, now: OffsetDateTime) -> Outgoing {
    let event = ClientDescribed {
        channel_id: work.channel_id.to_string(),
        chat_key: work.chat_key.clone(),
        // Of who it is nothing is said: a word without a name would stand in the way of one with it.
        client: None,
        time: Some(timestamp(now)),
        photo_attachment_id: Some(shown.map(|id| id.to_string()).unwrap_or_default()),
    };
    Outgoing::new(&work.account, work.chat_id, &event)
}
