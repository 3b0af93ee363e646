//! Verifying JSON Web Tokens.

use std::sync::Arc;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Validation, decode, decode_header};
use serde::{Deserialize, Serialize};

use super::jwks::Jwks;
use crate::config;
use crate::id::AccountSlug;

/// How far clocks may differ, in seconds.
const LEEWAY: u64 = 5;

/// Longer tokens are refused unread.
const MAX_LENGTH: usize = 8 * 1024;

/// Whether a token speaks for a person or a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SubjectKind {
    /// `sub` is an agent's UUID.
    Agent,
    /// `sub` is a service's name.
    Service,
}

/// What a token says; issuer, audience and times are checked before anyone sees it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Claims {
    /// Issuer.
    pub iss: String,
    /// Audience.
    pub aud: serde_json::Value,
    /// End of validity, in seconds since 1970.
    pub exp: i64,
    /// Time of issue, in seconds since 1970.
    #[serde(default)]
    pub iat: i64,
    /// An agent's UUID or a service's name.
    pub sub: String,
    /// The account; absent in tokens of scope `internal` and `ops`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountSlug>,
    /// What `sub` is.
    pub kind: SubjectKind,
    /// Scopes, separated by spaces.
    #[serde(default)]
    pub scope: String,
}

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// There is none.
    #[error("a bearer token is needed")]
    Missing,
    /// Its signature, issuer, audience or form is wrong.
    #[error("the token is not valid")]
    Invalid,
    /// It was valid once.
    #[error("the token has expired")]
    Expired,
    /// The keys have not been read yet: the caller may try again.
    #[error("the token keys are not available")]
    KeysAway,
}

/// Verifies tokens against the configured keys, issuer and audience.
#[derive(Clone)]
pub struct Verifier {
    jwks: Arc<Jwks>,
    issuer: String,
    audience: String,
}

impl Verifier {
    /// Makes a verifier over a key set.
    pub fn new(jwks: Arc<Jwks>, auth: &config::Auth) -> Self {
        Self {
            jwks,
            issuer: auth.issuer.clone(),
            audience: auth.audience.clone(),
        }
    }

    /// Verifies the value of an `authorization` header.
    pub async fn verify_header(&self, header: Option<&str>) -> Result<Claims, TokenError> {
        let header = header.ok_or(TokenError::Missing)?;
        let (scheme, token) = header.split_once(' ').ok_or(TokenError::Missing)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(TokenError::Missing);
        }
        self.verify(token.trim()).await
    }

    /// Verifies a token.
    pub async fn verify(&self, token: &str) -> Result<Claims, TokenError> {
        if token.is_empty() {
            return Err(TokenError::Missing);
        }
        if token.len() > MAX_LENGTH {
            return Err(TokenError::Invalid);
        }
        let header = decode_header(token).map_err(|_| TokenError::Invalid)?;
        let key = self.jwks.find(header.kid.as_deref()).await?;
        // The algorithm is the key's, never the token's choice.
        let mut validation = Validation::new(key.algorithm);
        validation.leeway = LEEWAY;
        validation.validate_nbf = true;
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        decode::<Claims>(token, &key.decoding, &validation)
            .map(|token| token.claims)
            .map_err(|error| match error.kind() {
                ErrorKind::ExpiredSignature => TokenError::Expired,
                _ => TokenError::Invalid,
            })
    }
}
