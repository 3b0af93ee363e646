//! Looking at channels before their customers notice (B10): each by one replica at a time, a few at once, with the
//! provider asked while no transaction is open. What it found is state and event in one transaction.

pub(super) mod token;

use std::time::Duration;

use chassis::clock;
use chassis::outbox;
use futures::future::join_all;
use rand::Rng as _;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use super::App;
use super::book::Known;
use super::examine::{self, Fault, examine};
use super::line;
use super::trouble::{self, Refused};
use crate::config;
use crate::domain::channel::{ChannelKind, ChannelState};
use crate::domain::credentials::Credentials;
use crate::domain::health::{self as judged, Activity, Problem, SILENCE, Webhook};
use crate::domain::refusal::Refusal;
use crate::error::{DOMAIN, Error};
use crate::figures;
use crate::store::channels::{self, ChannelRow};
use crate::store::health::{self, HealthRow, Looked};
use crate::store::problems::{self, NewProblem, Source};

/// How long a channel is held that is looked at; looking ends well before.
const LEASE: time::Duration = time::Duration::minutes(3);

/// How soon a channel is looked at again whose provider could not be asked, at first and at most.
const AGAIN: Duration = Duration::from_secs(30);

/// How soon one is looked at again that has a problem, at most: that it is over should be told soon.
const WITH_PROBLEM: Duration = Duration::from_mins(5);

/// How often channels are looked at.
#[derive(Debug, Clone)]
pub struct Terms {
    /// How often due ones are looked for.
    pub poll: Duration,
    /// Channels that one replica looks at at once.
    pub concurrency: usize,
    /// How often a bot of Telegram is looked at.
    pub telegram: Duration,
    /// How often a bot of Viber is.
    pub viber: Duration,
    /// How often an Instagram profile is.
    pub instagram: Duration,
    /// How often it is looked whether a mailbox can be read.
    pub mail: Duration,
}

impl From<&config::Health> for Terms {
    fn from(config: &config::Health) -> Self {
        Self {
            poll: config.poll,
            concurrency: config.concurrency.max(1),
            telegram: config.telegram,
            viber: config.viber,
            instagram: config.instagram,
            mail: config.mail,
        }
    }
}

impl Terms {
    const fn every(&self, kind: ChannelKind) -> Duration {
        match kind {
            ChannelKind::TelegramBot => self.telegram,
            ChannelKind::ViberBot => self.viber,
            ChannelKind::Instagram => self.instagram,
            ChannelKind::Email => self.mail,
        }
    }
}

/// Looks at channels until it is asked to stop.
pub async fn run(app: App, terms: Terms, stop: CancellationToken) {
    loop {
        let found = step(&app, &terms, clock::now()).await;
        let full = match found {
            Ok(found) => found == terms.concurrency,
            Err(error) => {
                tracing::warn!(%error, "channels could not be looked at");
                false
            }
        };
        let wait = if full {
            Duration::ZERO
        } else {
            spread(terms.poll)
        };
        let slept = stop.run_until_cancelled(tokio::time::sleep(wait)).await;
        if slept.is_none() {
            return;
        }
    }
}

/// Looks at channels that are due, so many at most as may be looked at at once; returns how many.
pub async fn step(app: &App, terms: &Terms, now: OffsetDateTime) -> Result<usize, Error> {
    let limit = i64::try_from(terms.concurrency).unwrap_or(i64::MAX);
    let (claimed, rows) = {
        let mut connection = app.pool.acquire().await?;
        let claimed = health::claim(&mut connection, now, now + LEASE, limit).await?;
        let ids: Vec<_> = claimed.iter().map(|row| row.channel_id).collect();
        let rows = channels::load(&mut connection, &ids).await?;
        (claimed, rows)
    };
    let count = claimed.len();
    let looks = claimed.into_iter().filter_map(|health| {
        let row = rows.iter().find(|row| row.id == health.channel_id)?;
        Some(async move {
            if let Err(error) = look(app, terms, row, health, now).await {
                // The lease ends, and somebody looks again.
                tracing::warn!(%error, channel.id = %row.id, "a channel could not be looked at");
            }
        })
    });
    join_all(looks).await;
    Ok(count)
}

/// What a look came to.
pub(super) struct Seen {
    pub health: HealthRow,
    /// None: nobody could tell, what is known stays.
    pub problems: Option<Vec<Problem>>,
    /// Problems beside those that stay.
    pub beside: Option<Problem>,
    pub refused: Option<Refusal>,
    /// The token in place of the older one, sealed.
    pub resealed: Option<Vec<u8>>,
}

impl Seen {
    /// The provider was asked, and answered.
    pub fn answered(health: HealthRow, now: OffsetDateTime) -> Self {
        Self {
            health: HealthRow {
                checked_at: Some(now),
                failing_since: None,
                ..health
            },
            problems: None,
            beside: None,
            refused: None,
            resealed: None,
        }
    }

    /// Sums up what was found wrong, with the hint that nobody is heard.
    pub fn found(
        mut self,
        webhook: Webhook,
        mut problems: Vec<Problem>,
        row: &ChannelRow,
        now: OffsetDateTime,
    ) -> Self {
        let activity = Activity {
            last: self.health.active_on,
            days: self.health.active_days.cast_unsigned(),
        };
        let activity = activity.heard(row.last_inbound_at);
        problems.extend(activity.silence(now));
        webhook.as_str().clone_into(&mut self.health.webhook);
        self.health.active_on = activity.last;
        self.health.active_days = activity.days.cast_signed();
        self.problems = Some(problems);
        self
    }
}

async fn look(
    app: &App,
    terms: &Terms,
    row: &ChannelRow,
    health: HealthRow,
    now: OffsetDateTime,
) -> Result<(), Error> {
    if row.state()? != ChannelState::Enabled {
        return Ok(());
    }
    let Some(known) = app.book.keep(row) else {
        // It cannot be opened here, which the book has said.
        return Ok(());
    };
    let looked = tokio::time::timeout(examine::DEADLINE, examine(app, &known, now)).await;
    let seen = match looked.unwrap_or(Err(Fault::Away)) {
        Ok(judgement) => answered(app, row, &known, health, judgement, now).await,
        Err(Fault::Refused(refusal)) => Seen {
            refused: Some(refusal),
            ..Seen::answered(health, now)
        },
        Err(Fault::Away) => {
            let since = health.failing_since.unwrap_or(now);
            Seen {
                health: HealthRow {
                    failing_since: Some(since),
                    ..health
                },
                problems: None,
                beside: judged::unreachable(known.kind, since, now),
                refused: None,
                resealed: None,
            }
        }
    };
    let check_at = now + spread(pause(terms.every(known.kind), &seen, now));
    write(app, &known, seen, Some(check_at), now).await
}

/// Returns how long a channel is left alone after a look.
fn pause(every: Duration, seen: &Seen, now: OffsetDateTime) -> Duration {
    let found = seen.problems.iter().flatten();
    let troubled =
        seen.beside.is_some() || found.into_iter().any(|problem| problem.reason != SILENCE);
    match seen.health.failing_since {
        Some(since) => AGAIN
            .max((now - since).try_into().unwrap_or(AGAIN))
            .min(every.max(AGAIN)),
        None if troubled => every.min(WITH_PROBLEM),
        None => every,
    }
}

/// Mends what can be mended, and sums up.
async fn answered(
    app: &App,
    row: &ChannelRow,
    known: &Known,
    health: HealthRow,
    judgement: judged::Judgement,
    now: OffsetDateTime,
) -> Seen {
    let judged::Judgement {
        mut webhook,
        mut problems,
        mendable,
    } = judgement;
    let mut seen = Seen::answered(health, now);
    let health = &mut seen.health;
    if !mendable.is_empty() {
        let mended = if judged::may_mend(health.mended_at, now) {
            health.mended_at = Some(now);
            mend(app, known).await
        } else {
            false
        };
        if mended {
            webhook = Webhook::Set;
        } else {
            problems.extend(mendable);
        }
    }
    if let Credentials::Instagram(profile) = &known.access
        && !profile.by_page
    {
        let (token, fresh) = token::token(app, row, known, profile, health, now).await;
        problems.extend(token.problem(now));
        health.credentials = known.credentials;
        health.token_since = token.since;
        health.token_expires_at = token.expires_at;
        health.token_tried_at = token.tried_at;
        seen.resealed = fresh;
    }
    seen.found(webhook, problems, row, now)
}

/// Has the provider call us again.
async fn mend(app: &App, known: &Known) -> bool {
    let limit = examine::DEADLINE;
    let set = line::listen(app, known.id, &known.access, &known.secret);
    match tokio::time::timeout(limit, set).await {
        Ok(Ok(_)) => {
            tracing::warn!(channel.id = %known.id, "a lost webhook was set again");
            figures::MENDED.of([known.kind.as_str()]).increment(1);
            true
        }
        Ok(Err(error)) => {
            tracing::warn!(%error, channel.id = %known.id, "a lost webhook could not be set again");
            false
        }
        Err(_) => false,
    }
}

/// Writes what a look came to, as state and events in one transaction, unless somebody else looks by now.
pub(super) async fn write(
    app: &App,
    known: &Known,
    seen: Seen,
    check_at: Option<OffsetDateTime>,
    now: OffsetDateTime,
) -> Result<(), Error> {
    let mut tx = app.pool.begin().await?;
    let looked = Looked {
        row: &seen.health,
        check_at,
    };
    if !health::write(&mut tx, &looked).await? {
        // Somebody enabled or disabled it meanwhile, or took so long that another replica looked.
        return Ok(());
    }
    let mut events = Vec::new();
    let mut rows = Vec::new();
    if let Some(sealed) = &seen.resealed {
        rows.extend(channels::reseal(&mut tx, known.id, known.credentials, sealed).await?);
    }
    let account = known.account.as_str();
    let new = |problem: Problem| NewProblem {
        channel_id: known.id,
        account: account.to_owned(),
        reason: problem.reason.to_owned(),
        detail: problem.detail,
    };
    if let Some(problems) = seen.problems {
        let stored = problems::found_by(&mut tx, known.id, Source::Check).await?;
        let news = judged::news(&stored, problems);
        let found: Vec<NewProblem> = news
            .begun
            .into_iter()
            .chain(news.reworded)
            .map(new)
            .collect();
        events.extend(trouble::begin(&mut tx, Source::Check, &found, now).await?);
        let over = problems::end(&mut tx, Source::Check, &[known.id], Some(&news.over)).await?;
        events.extend(trouble::over(over, now)?);
    } else if let Some(problem) = seen.beside {
        events.extend(trouble::begin(&mut tx, Source::Check, &[new(problem)], now).await?);
    }
    if let Some(refusal) = seen.refused {
        let refused = Refused {
            channel: known.id,
            credentials: known.credentials,
            problem: refusal.detail.to_owned(),
        };
        let (changed, told) = trouble::disconnect(&mut tx, &[refused], now).await?;
        rows.extend(changed);
        events.extend(told);
    }
    let told = !events.is_empty();
    outbox::write(&mut tx, DOMAIN, events, now).await?;
    tx.commit().await?;
    if told {
        app.relay.wake();
    }
    for row in &rows {
        app.book.keep(row);
    }
    Ok(())
}

/// Spreads those who wait.
fn spread(wait: Duration) -> Duration {
    wait.mul_f64(0.9 + rand::rng().random::<f64>() / 5.0)
}
