//! The keys that tokens are signed with: a JWKS from a file or an `http(s)` address, kept fresh.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context as _, bail};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::token::TokenError;
use crate::demo;

/// How often keys are read again.
const REFRESH: Duration = Duration::from_mins(1);

/// How often an unknown key id may cause a reading: an attacker chooses key ids freely.
const ON_DEMAND: Duration = Duration::from_secs(5);

/// The whole time a reading may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A key set larger than this is not one.
const MAX_BYTES: usize = 1 << 20;

/// A key with the one algorithm it is used with.
#[derive(Clone)]
pub struct Key {
    id: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) decoding: DecodingKey,
}

enum Source {
    File(PathBuf),
    Http(String, reqwest::Client),
}

/// The current key set.
pub struct Jwks {
    source: Source,
    /// Whether keys whose private half anybody can read are believed.
    demo: bool,
    keys: RwLock<Arc<Vec<Key>>>,
    /// When the last reading began; held while one runs, so that there is one at a time.
    last: Mutex<Option<Instant>>,
}

impl Jwks {
    /// Makes a key set of `auth.jwks`, an `http(s)` address or a file; nothing is read yet. A set that holds a key whose private
    /// half anybody can read is refused whole unless `demo` (O1.12).
    pub fn new(source: &str, demo: bool) -> anyhow::Result<Self> {
        let source = if source.starts_with("https://") || source.starts_with("http://") {
            let client = reqwest::Client::builder()
                .timeout(TIMEOUT)
                .redirect(reqwest::redirect::Policy::none())
                .build()?;
            Source::Http(source.to_owned(), client)
        } else {
            Source::File(PathBuf::from(source))
        };
        Ok(Self {
            source,
            demo,
            keys: RwLock::default(),
            last: Mutex::new(None),
        })
    }

    /// Tells whether the keys come from a file, whose absence is a mistake and no outage.
    pub fn is_file(&self) -> bool {
        matches!(self.source, Source::File(_))
    }

    /// Tells how many keys there are.
    pub fn count(&self) -> usize {
        self.current().len()
    }

    /// Reads the keys now.
    pub async fn refresh(&self) -> anyhow::Result<()> {
        let mut last = self.last.lock().await;
        *last = Some(Instant::now());
        self.read().await
    }

    /// Reads the keys again and again; it never ends. A failure keeps the keys there are.
    pub async fn keep_fresh(&self) {
        loop {
            tokio::time::sleep(REFRESH).await;
            if let Err(error) = self.refresh().await {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "token keys could not be read again"
                );
            }
        }
    }

    /// Returns the key of an id, reading the set again when it is not known. Without an id, the only key.
    pub(super) async fn find(&self, id: Option<&str>) -> Result<Key, TokenError> {
        if let Some(key) = self.known(id) {
            return Ok(key);
        }
        let mut last = self.last.lock().await;
        // Whoever held the lock before may have read it meanwhile.
        if let Some(key) = self.known(id) {
            return Ok(key);
        }
        if last.is_none_or(|last| last.elapsed() >= ON_DEMAND) {
            *last = Some(Instant::now());
            if let Err(error) = self.read().await {
                tracing::warn!(error = format!("{error:#}"), "token keys could not be read");
            }
        }
        match self.known(id) {
            Some(key) => Ok(key),
            None if self.current().is_empty() => Err(TokenError::KeysAway),
            None => Err(TokenError::Invalid),
        }
    }

    fn current(&self) -> Arc<Vec<Key>> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn known(&self, id: Option<&str>) -> Option<Key> {
        let keys = self.current();
        match id {
            Some(_) => keys.iter().find(|key| key.id.as_deref() == id).cloned(),
            None if keys.len() == 1 => keys.first().cloned(),
            None => None,
        }
    }

    async fn read(&self) -> anyhow::Result<()> {
        let text = match &self.source {
            Source::File(path) => tokio::fs::read(path)
                .await
                .with_context(|| path.display().to_string())?,
            Source::Http(url, client) => fetch(client, url).await.with_context(|| url.clone())?,
        };
        let keys = parse(&text, self.demo)?;
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
        Ok(())
    }
}

async fn fetch(client: &reqwest::Client, url: &str) -> anyhow::Result<Vec<u8>> {
    let mut response = client.get(url).send().await?.error_for_status()?;
    let mut text = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        text.extend_from_slice(&chunk);
        if text.len() > MAX_BYTES {
            bail!("larger than {MAX_BYTES} bytes");
        }
    }
    Ok(text)
}

/// Takes the keys that sign tokens by RS256, ES256 or `EdDSA`; others in the set are left aside.
fn parse(text: &[u8], demo: bool) -> anyhow::Result<Vec<Key>> {
    // One key of a kind nobody knows yet must not take the others away.
    #[derive(serde::Deserialize)]
    struct Raw {
        keys: Vec<serde_json::Value>,
    }
    let raw: Raw = serde_json::from_slice(text).context("no JSON Web Key Set")?;
    let set = JwkSet {
        keys: raw
            .keys
            .into_iter()
            .filter_map(|key| serde_json::from_value(key).ok())
            .collect(),
    };
    let known = |jwk: &Jwk| match &jwk.algorithm {
        AlgorithmParameters::OctetKeyPair(key) => demo::is_known_signing_key(&key.x),
        _ => false,
    };
    if let Some(jwk) = set.keys.iter().find(|jwk| !demo && known(jwk)) {
        let id = jwk.common.key_id.as_deref().unwrap_or("without an id");
        bail!("the private half of the key {id} {}", demo::REFUSED);
    }
    let keys: Vec<Key> = set
        .keys
        .iter()
        .filter_map(|jwk| {
            let algorithm = match &jwk.algorithm {
                AlgorithmParameters::RSA(_) => Algorithm::RS256,
                AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
                    Algorithm::ES256
                }
                AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
                    Algorithm::EdDSA
                }
                _ => return None,
            };
            let key = DecodingKey::from_jwk(jwk).ok()?;
            Some(Key {
                id: jwk.common.key_id.clone(),
                algorithm,
                decoding: key,
            })
        })
        .collect();
    if keys.is_empty() {
        bail!("the key set holds no RSA, P-256 or Ed25519 key");
    }
    Ok(keys)
}
