//! How a channel stands with its provider, asked by an administrator. Nothing is mended by it, and nothing changed at the
//! provider; what it learns is kept and told as what the regular look learns is (B10).

use chassis::auth::Caller;
use time::OffsetDateTime;
use uuid::Uuid;

use super::book::Known;
use super::channels::{get, may_change};
use super::examine::{Fault, examine};
use super::health::{Seen, token, write};
use super::trouble::CREDENTIALS_REFUSED;
use super::{App, line};
use crate::domain::channel::{ChannelKind, ChannelState};
use crate::domain::health::{Problem, Webhook};
use crate::domain::instagram;
use crate::domain::refusal::Refusal;
use crate::error::Error;
use crate::store::channels::ChannelRow;
use crate::store::health;

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Verified {
    /// The provider accepts the credentials.
    pub accepted: bool,
    /// The provider's own name of the line.
    pub provider_name: String,
    /// Where the provider calls.
    pub webhook: Webhook,
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// When the token ends, where that is known.
    pub token_expires_at: Option<OffsetDateTime>,
}

/// Asks the provider. One that does not answer is an error; one that refuses is an answer.
pub async fn verify(
    app: &App,
    caller: &Caller,
    id: Uuid,
    now: OffsetDateTime,
) -> Result<Verified, Error> {
    may_change(caller)?;
    let row = get(app, caller, id).await?;
    let known = app
        .book
        .keep(&row)
        .ok_or(Error::Seal(chassis::seal::SealError::Refused))?;
    let health = {
        let mut connection = app.pool.acquire().await?;
        health::take(&mut connection, id, &row.account, now).await?
    };
    let seen = Seen::answered(health, now);
    let proven = match line::prove_channel(app, &known).await {
        Ok(proven) => proven,
        Err(Error::Refused(refusal)) => {
            // Some refuse this one call, and not the whole line.
            let whole = refusal.reason == CREDENTIALS_REFUSED
                || matches!(examine(app, &known, now).await, Err(Fault::Refused(_)));
            if whole {
                return refused(app, &row, &known, seen, refusal, now).await;
            }
            return Ok(of(&refusal));
        }
        Err(error) => return Err(error),
    };
    let judgement = match examine(app, &known, now).await {
        Ok(judgement) => judgement,
        Err(Fault::Refused(refusal)) => {
            return refused(app, &row, &known, seen, refusal, now).await;
        }
        Err(Fault::Away) => return Err(Error::ProviderAway(known.kind)),
    };
    let token = token::of(&seen.health, known.credentials).unwrap_or_default();
    let mut problems = judgement.problems;
    // Of a channel that is switched off we took the webhook back ourselves: it lacks none.
    if row.state()? == ChannelState::Enabled {
        problems.extend(judgement.mendable);
    }
    problems.extend(token.problem(now));
    let seen = seen.found(judgement.webhook, problems.clone(), &row, now);
    keep(app, &row, &known, seen, now).await?;
    if known.kind == ChannelKind::Instagram {
        problems.extend(instagram::health::never_heard(row.last_inbound_at));
    }
    Ok(Verified {
        accepted: true,
        provider_name: proven.name,
        webhook: judgement.webhook,
        problems,
        token_expires_at: token.expires_at,
    })
}

async fn refused(
    app: &App,
    row: &ChannelRow,
    known: &Known,
    seen: Seen,
    refusal: Refusal,
    now: OffsetDateTime,
) -> Result<Verified, Error> {
    let seen = Seen {
        refused: Some(refusal),
        ..seen
    };
    keep(app, row, known, seen, now).await?;
    Ok(of(&refusal))
}

/// Keeps what was found, as that of any other look is. What a channel needs that is switched off is no problem yet.
async fn keep(
    app: &App,
    row: &ChannelRow,
    known: &Known,
    seen: Seen,
    now: OffsetDateTime,
) -> Result<(), Error> {
    let seen = if row.state()? == ChannelState::Enabled {
        seen
    } else {
        Seen {
            problems: None,
            refused: None,
            ..seen
        }
    };
    write(app, known, seen, None, now).await
}

fn of(refusal: &Refusal) -> Verified {
    Verified {
        problems: vec![Problem::new(refusal.reason, refusal.detail)],
        ..Verified::default()
    }
}
