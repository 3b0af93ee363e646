//! Access tokens for mailboxes, by the refresh token that an administrator's consent brought (channels.md §5.1, §7.36).

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::outward::Outward;
use super::{Answer, CallError, answer};

/// How long an access token is taken to live where the server does not say.
const LIFE: Duration = Duration::from_mins(50);

/// How long it may be said to live.
const LIFE_MAX: Duration = Duration::from_hours(24);

/// Where tokens are had, and for which application.
#[derive(Debug, Clone)]
pub struct Application {
    /// The token endpoint.
    pub token_url: String,
    /// The application's id.
    pub client_id: String,
    /// Its secret; none for public applications.
    pub client_secret: Option<SecretString>,
    /// What is asked for; empty asks for what was granted.
    pub scope: String,
}

/// What a refresh brought. Its `Debug` shows no secret.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// The access token.
    pub access: SecretString,
    /// How long it is good.
    pub life: Duration,
    /// The refresh token that takes the place of the one used: it must be stored, with the access token in use or not,
    /// before anything else is done; the former one may be void by now.
    pub rotated: Option<SecretString>,
}

/// A refusal of the token endpoint (RFC 6749 §5.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OauthRefusal {
    /// Its code, as `invalid_grant`; empty where it gave none.
    pub code: String,
    /// HTTP status.
    pub status: u16,
}

impl OauthRefusal {
    /// Tells whether an administrator must connect the mailbox anew: the grant is void, or the application is.
    /// Anything else may pass.
    pub fn is_final(&self) -> bool {
        matches!(
            self.code.as_str(),
            "invalid_grant" | "invalid_client" | "unauthorized_client" | "access_denied"
        )
    }
}

/// Asks for an access token.
pub async fn refresh(
    http: &Outward,
    application: &Application,
    refresh_token: &SecretString,
) -> Result<Tokens, CallError<OauthRefusal>> {
    let mut form = vec![
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh_token.expose_secret()),
        ("client_id", &application.client_id),
    ];
    if let Some(secret) = &application.client_secret {
        form.push(("client_secret", secret.expose_secret()));
    }
    if !application.scope.is_empty() {
        form.push(("scope", &application.scope));
    }
    // Whoever may enter a mailbox must not reach what stands beside us.
    let request = http.post(&application.token_url);
    let request = request.map_err(|_| CallError::NotReached)?.form(&form);
    let Answer { status, body, .. } = answer("The token endpoint", request).await?;
    let field = |name: &str| body.as_ref()?.get(name)?.as_str();
    match field("access_token") {
        Some(access) if (200..300).contains(&status) => Ok(Tokens {
            access: access.to_owned().into(),
            life: life(body.as_ref().and_then(|body| body.get("expires_in"))),
            rotated: field("refresh_token")
                .filter(|token| !token.is_empty() && *token != refresh_token.expose_secret())
                .map(|token| token.to_owned().into()),
        }),
        _ => Err(CallError::Refused(OauthRefusal {
            code: field("error")
                .unwrap_or_default()
                .chars()
                .take(64)
                .collect(),
            status,
        })),
    }
}

/// Reads how long a token lives: a number, which some write as text.
fn life(expires_in: Option<&Value>) -> Duration {
    let seconds = expires_in.and_then(|value| match value {
        Value::String(text) => text.parse().ok(),
        number => number.as_u64(),
    });
    seconds.map_or(LIFE, Duration::from_secs).min(LIFE_MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lives_are_read_and_bounded() {
        for (value, seconds) in [
            (json!(3599), 3_599),
            (json!("3599"), 3_599),
            (json!(-1), 3_000),
            (json!(null), 3_000),
            (json!(u64::MAX), 86_400),
        ] {
            assert_eq!(life(Some(&value)).as_secs(), seconds, "{value}");
        }
        assert_eq!(life(None), LIFE);
    }

    // pitfall 36: what is void is told from what is away
    #[test]
    fn only_a_void_grant_or_application_is_final() {
        for (code, expected) in [
            ("invalid_grant", true),
            ("unauthorized_client", true),
            ("temporarily_unavailable", false),
            ("", false),
        ] {
            let refusal = OauthRefusal {
                code: code.into(),
                status: 400,
            };
            assert_eq!(refusal.is_final(), expected, "{code}");
        }
    }
}
