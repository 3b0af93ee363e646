//! Renewing a token before it ends.

use time::OffsetDateTime;

use crate::app::App;
use crate::app::book::{Known, aad};
use crate::domain::credentials::{Credentials, Instagram};
use crate::domain::instagram::health::Token;
use crate::provider::CallError;
use crate::store::channels::ChannelRow;
use crate::store::health::HealthRow;

/// Returns what is known of the token of these credentials. What is known of an older one says nothing of it.
pub(in crate::app) fn of(health: &HealthRow, credentials: i64) -> Option<Token> {
    (health.credentials == credentials).then_some(Token {
        since: health.token_since,
        expires_at: health.token_expires_at,
        tried_at: health.token_tried_at,
    })
}

/// Renews a token that is due (channels.md §7.16); returns what is known of it now, and the fresh one, sealed.
pub(super) async fn token(
    app: &App,
    row: &ChannelRow,
    known: &Known,
    profile: &Instagram,
    health: &HealthRow,
    now: OffsetDateTime,
) -> (Token, Option<Vec<u8>>) {
    let mut token = of(health, known.credentials).unwrap_or(Token {
        since: Some(now),
        ..Token::default()
    });
    if !token.is_due(now) {
        return (token, None);
    }
    match app.graph.refresh(&profile.access_token).await {
        Ok(fresh) => {
            token.tried_at = Some(now);
            let renewed = Instagram {
                access_token: fresh.token,
                ..profile.clone()
            };
            let text = Credentials::Instagram(renewed).to_text();
            match app.sealer.seal(text.as_bytes(), &aad(row.id, "token")) {
                Ok(sealed) => {
                    token.expires_at = Some(now + fresh.lasts);
                    (token, Some(sealed))
                }
                Err(error) => {
                    tracing::error!(%error, channel.id = %row.id, "a renewed token could not be sealed");
                    (token, None)
                }
            }
        }
        Err(CallError::Refused(error)) => {
            // The older one lives, as was just seen: a token younger than a day cannot be renewed.
            tracing::info!(code = error.code, subcode = error.subcode, channel.id = %row.id, "a token was not renewed");
            token.tried_at = Some(now);
            (token, None)
        }
        Err(_) => (token, None),
    }
}
