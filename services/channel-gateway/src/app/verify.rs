//! How a channel stands with its provider, asked by an administrator. Nothing is changed by it.

use chassis::auth::Caller;
use time::OffsetDateTime;
use uuid::Uuid;

use super::channels::{get, may_change};
use super::examine::{Fault, examine};
use super::{App, line};
use crate::domain::channel::ChannelKind;
use crate::domain::health::{Problem, Webhook};
use crate::domain::instagram::{self, health::Token};
use crate::domain::refusal::Refusal;
use crate::error::Error;
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
    let proven = match line::prove_channel(app, &known).await {
        Ok(proven) => proven,
        Err(Error::Refused(refusal)) => return Ok(refused(&refusal)),
        Err(error) => return Err(error),
    };
    let judgement = match examine(app, &known, now).await {
        Ok(judgement) => judgement,
        Err(Fault::Refused(refusal)) => return Ok(refused(&refusal)),
        Err(Fault::Away) => return Err(Error::ProviderAway(known.kind)),
    };
    let looked = {
        let mut connection = app.pool.acquire().await?;
        health::of(&mut connection, &[id]).await?
    };
    let token = looked.first().map_or_else(Token::default, |looked| Token {
        since: looked.token_since,
        expires_at: looked.token_expires_at,
        tried_at: looked.token_tried_at,
    });
    let mut problems = judgement.problems;
    problems.extend(judgement.mendable);
    problems.extend(token.problem(now));
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

fn refused(refusal: &Refusal) -> Verified {
    Verified {
        problems: vec![Problem::new(refusal.reason, refusal.detail)],
        ..Verified::default()
    }
}
