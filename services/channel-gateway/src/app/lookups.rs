//! Asking providers about posts and people, as a step of its own: no message waits for it, and it may fail (F090,
//! channels.md §4.2, §4.3).

use std::time::Duration;

use chassis::clock;
use chassis::grpc::timestamp;
use chassis::id::{self, AccountSlug};
use chassis::outbox::{self, Outgoing};
use rand::Rng as _;
use switchboard_proto::channel_gateway::v1::{ClientDescribed, PostFound};
use switchboard_proto::common::v1::ClientIdentity;
use time::OffsetDateTime;

use super::book::{Found, Known};
use super::{App, line};
use crate::domain::channel::ChannelState;
use crate::domain::credentials::{Credentials, Instagram};
use crate::domain::file::retry_wait;
use crate::domain::instagram::errors::{ApiError, classify};
use crate::domain::lookup::{About, Answer};
use crate::domain::refusal::Class;
use crate::error::{DOMAIN, Error};
use crate::provider::CallError;
use crate::store::lookups::{self, Claimed};

/// Questions at once.
const AT_ONCE: i64 = 8;

/// Tries before a question is given up.
const TRIES: u32 = 8;

/// How long a question waits while its channel cannot ask.
const AWAY: Duration = Duration::from_mins(10);

/// After how long what was given up is asked anew, should it be mentioned.
const ANEW: time::Duration = time::Duration::days(1);

/// How long an answer is kept.
const KEPT_FOR: time::Duration = time::Duration::days(30);

/// Rows that are forgotten in one statement.
const FORGOTTEN_AT_ONCE: i64 = 5_000;

/// What came of a question.
enum Outcome {
    Had(Answer),
    Never,
    Later(Duration),
    /// Nobody was asked: this was no try.
    Away,
}

/// Returns since when what was given up is left alone.
pub fn given_up_since(now: OffsetDateTime) -> OffsetDateTime {
    now - ANEW
}

/// Asks what is due; returns whether more may be due.
pub async fn step(app: &App, now: OffsetDateTime) -> Result<bool, Error> {
    let until = now + app.graph.call_timeout() + Duration::from_secs(30);
    let claimed = {
        let mut connection = app.pool.acquire().await?;
        lookups::claim(&mut connection, now, until, AT_ONCE).await?
    };
    let full = i64::try_from(claimed.len()).is_ok_and(|count| count == AT_ONCE);
    let asked = claimed.iter().map(|work| one(app, work));
    let done: Result<Vec<()>, Error> = futures::future::join_all(asked).await.into_iter().collect();
    done.map(|_| full)
}

async fn one(app: &App, work: &Claimed) -> Result<(), Error> {
    let known = match app.book.find(work.channel_id).await {
        Found::Known(known) => Some(known),
        Found::Unknown => None,
        Found::Away => return Ok(()),
    };
    let outcome = match &known {
        Some(known) => ask(app, known, work).await,
        None => Outcome::Never,
    };
    let now = clock::now();
    let tries = u32::try_from(work.tries).unwrap_or(u32::MAX);
    let (answer, wait, counts) = match outcome {
        Outcome::Had(answer) => (Some(answer), None, true),
        Outcome::Never => (None, None, true),
        Outcome::Later(_) if tries >= TRIES => (None, None, true),
        Outcome::Later(wait) => {
            let spread = retry_wait(tries, rand::rng().random());
            (None, Some(wait.max(spread)), true)
        }
        Outcome::Away => {
            let spread: f64 = rand::rng().random();
            (None, Some(AWAY.mul_f64(0.5 + spread / 2.0)), false)
        }
    };
    let stored = match &answer {
        Some(answer) => Some(serde_json::to_value(answer).map_err(crate::store::unreadable)?),
        None => None,
    };
    let mut tx = app.pool.begin().await?;
    let due_at = wait.map(|wait| now + wait);
    let ours = lookups::settle(&mut tx, work, stored.as_ref(), due_at, counts).await?;
    let (Some(answer), Some(known), true) = (answer, known, ours) else {
        return Ok(tx.commit().await?);
    };
    let event = told(&known, work, &answer, now)?;
    outbox::write(&mut tx, DOMAIN, vec![event], now).await?;
    tx.commit().await?;
    app.relay.wake();
    if let Some(about) = About::parse(&work.kind) {
        app.learnt
            .keep(work.channel_id, about, &work.key, answer)
            .await;
    }
    Ok(())
}

async fn ask(app: &App, known: &Known, work: &Claimed) -> Outcome {
    let Credentials::Instagram(profile) = &known.access else {
        return Outcome::Never;
    };
    // A token that is dead now may live tomorrow: the question waits (channels.md §7.15).
    if known.state != ChannelState::Enabled {
        return Outcome::Away;
    }
    let answer = match About::parse(&work.kind) {
        Some(About::Post) => post(app, profile, &work.key).await,
        Some(About::Person) => person(app, profile, &work.key).await,
        None => return Outcome::Never,
    };
    match answer {
        Ok(Some(answer)) => Outcome::Had(answer),
        Ok(None) => Outcome::Never,
        // A question changes nothing: it may be asked twice.
        Err(CallError::NotReached | CallError::Unknown(_)) => Outcome::Later(Duration::ZERO),
        Err(CallError::Refused(error)) => {
            tracing::info!(status = error.status, code = error.code, subcode = error.subcode, channel.id = %known.id, kind = work.kind, "question refused");
            match classify(&error) {
                Class::Flood(wait) => Outcome::Later(wait),
                Class::Outage => Outcome::Later(Duration::ZERO),
                Class::Disconnected(_) => Outcome::Away,
                _ => Outcome::Never,
            }
        }
    }
}

async fn post(
    app: &App,
    profile: &Instagram,
    key: &str,
) -> Result<Option<Answer>, CallError<ApiError>> {
    let (login, token) = (line::login(profile), &profile.access_token);
    let media = app.graph.media(login, token, key).await?;
    Ok(Answer::post(&media.permalink, &media.caption))
}

async fn person(
    app: &App,
    profile: &Instagram,
    key: &str,
) -> Result<Option<Answer>, CallError<ApiError>> {
    let (login, token) = (line::login(profile), &profile.access_token);
    let person = app.graph.profile(login, token, key).await?;
    Ok(Answer::person(&person.name, &person.username, key))
}

fn told(
    known: &Known,
    work: &Claimed,
    answer: &Answer,
    now: OffsetDateTime,
) -> Result<Outgoing, Error> {
    let account = AccountSlug::parse(&work.account).map_err(crate::store::unreadable)?;
    let channel_id = work.channel_id.to_string();
    Ok(match answer {
        Answer::Post { link, title } => {
            let post = id::v5("post", &[&channel_id, &work.key]);
            let event = PostFound {
                channel_id,
                post_key: work.key.clone(),
                link: link.clone(),
                title: title.clone(),
            };
            Outgoing::new(&account, post, &event)
        }
        Answer::Person { name, username } => {
            let chat = id::v5("chat", &[&channel_id, &work.key]);
            let client = ClientIdentity {
                scope: format!("instagram:{}", known.provider_account),
                user_id: work.key.clone(),
                name: name.clone(),
                username: username.clone(),
                ..ClientIdentity::default()
            };
            let event = ClientDescribed {
                channel_id,
                chat_key: work.key.clone(),
                client: Some(client),
                time: Some(timestamp(now)),
                photo_attachment_id: None,
            };
            Outgoing::new(&account, chat, &event)
        }
    })
}

/// Forgets what was learnt long ago; returns whether there may be more of it.
pub async fn forget(app: &App, now: OffsetDateTime) -> Result<bool, Error> {
    let mut connection = app.pool.acquire().await?;
    let forgotten = lookups::forget(&mut connection, now - KEPT_FOR, FORGOTTEN_AT_ONCE).await?;
    Ok(forgotten >= FORGOTTEN_AT_ONCE.cast_unsigned())
}
