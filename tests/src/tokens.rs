//! Tokens for tests: an `EdDSA` key, its JWKS, and JWTs signed by it. Written without the library that the services
//! verify with, so that one mistake cannot hide another.

use std::path::{Path, PathBuf};

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// Issuer of all test tokens.
pub const ISSUER: &str = "switchboard";
/// Audience of all test tokens.
pub const AUDIENCE: &str = "switchboard";

/// Makes tokens that services configured with [`TokenMaker::jwks_file`] accept.
pub struct TokenMaker {
    key: SigningKey,
    key_id: String,
    jwks_file: PathBuf,
    internal_token_file: PathBuf,
}

impl TokenMaker {
    /// Makes a new key, and writes `jwks.json` and `internal.token` (an internal token of a day) into a folder.
    pub fn create(folder: &Path) -> anyhow::Result<Self> {
        let key = SigningKey::from_bytes(&rand::random());
        let key_id = format!("test-{}", Uuid::new_v4().simple());
        let maker = Self {
            key,
            key_id,
            jwks_file: folder.join("jwks.json"),
            internal_token_file: folder.join("internal.token"),
        };
        std::fs::write(&maker.jwks_file, maker.jwks().to_string()).context("writing the JWKS")?;
        std::fs::write(&maker.internal_token_file, maker.internal("tests"))
            .context("writing the internal token")?;
        Ok(maker)
    }

    /// A maker whose key the services do not know, with the same key id: its tokens have a wrong signature.
    #[must_use]
    pub fn forger(&self) -> Self {
        Self {
            key: SigningKey::from_bytes(&rand::random()),
            key_id: self.key_id.clone(),
            jwks_file: self.jwks_file.clone(),
            internal_token_file: self.internal_token_file.clone(),
        }
    }

    /// The public half as a JSON Web Key Set.
    pub fn jwks(&self) -> Value {
        let x = URL_SAFE_NO_PAD.encode(self.key.verifying_key().as_bytes());
        json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": self.key_id, "x": x }] })
    }

    /// Where the JWKS was written.
    pub fn jwks_file(&self) -> &Path {
        &self.jwks_file
    }

    /// Where the internal token was written.
    pub fn internal_token_file(&self) -> &Path {
        &self.internal_token_file
    }

    /// A token of an agent for an hour; `scope` is space-separated.
    pub fn agent(&self, account: &str, agent: Uuid, scope: &str) -> String {
        self.sign(&json!({ "sub": agent.to_string(), "account": account, "kind": "agent", "scope": scope }), Duration::HOUR)
    }

    /// A token of a service or integration of one account for an hour.
    pub fn service(&self, account: &str, name: &str, scope: &str) -> String {
        self.sign(
            &json!({ "sub": name, "account": account, "kind": "service", "scope": scope }),
            Duration::HOUR,
        )
    }

    /// A token without an account, as services have among themselves, for a day.
    pub fn internal(&self, name: &str) -> String {
        self.sign(
            &json!({ "sub": name, "kind": "service", "scope": "internal" }),
            Duration::DAY,
        )
    }

    /// A token for operator RPCs only, for an hour.
    pub fn operator(&self) -> String {
        self.sign(
            &json!({ "sub": "operator", "kind": "service", "scope": "ops" }),
            Duration::HOUR,
        )
    }

    /// Signs claims; issuer, audience and times are filled in where missing. A negative life is an expired token.
    pub fn sign(&self, claims: &Value, life: Duration) -> String {
        let now = OffsetDateTime::now_utc();
        let mut all = json!({
            "iss": ISSUER, "aud": AUDIENCE, "iat": now.unix_timestamp(), "exp": (now + life).unix_timestamp(),
        });
        if let (Some(all), Some(claims)) = (all.as_object_mut(), claims.as_object()) {
            all.extend(claims.clone());
        }
        let header = json!({ "alg": "EdDSA", "typ": "JWT", "kid": self.key_id });
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header.to_string()),
            URL_SAFE_NO_PAD.encode(all.to_string())
        );
        let signature = self.key.sign(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::Verifier;

    use super::*;

    #[test]
    fn tokens_verify_with_the_published_key_and_forged_ones_do_not() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let maker = TokenMaker::create(folder.path())?;
        let verifies = |token: &str| {
            let (signed, signature) = token.rsplit_once('.').unwrap();
            let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
            let signature = ed25519_dalek::Signature::from_slice(&signature).unwrap();
            maker
                .key
                .verifying_key()
                .verify(signed.as_bytes(), &signature)
                .is_ok()
        };
        let agent = Uuid::new_v4();
        assert!(verifies(&maker.agent("acme", agent, "chats:*")));
        assert!(!verifies(&maker.forger().agent("acme", agent, "chats:*")));
        assert!(maker.internal_token_file().exists());
        Ok(())
    }
}
