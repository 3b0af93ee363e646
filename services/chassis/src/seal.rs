//! Secrets at rest: sealed with XChaCha20-Poly1305, under a key whose id stands before the text so that keys
//! can be rotated.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, Generate, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac as _};
use sha2::{Digest, Sha256};

use crate::demo::{self, REFUSED};
use crate::fresh::Fresh;

const FORMAT: u8 = 1;
const KEY_ID: usize = 4;
const NONCE: usize = 24;

/// Seals and opens secrets. Its `Debug` shows no key.
#[derive(Clone)]
pub struct Sealer {
    /// The keys as they were when it was made.
    first: Arc<Keys>,
    /// Where they come from, when they may change.
    file: Option<Arc<Fresh<Keys>>>,
}

struct Keys {
    /// The first seals; all open.
    keys: Vec<([u8; KEY_ID], XChaCha20Poly1305)>,
    /// Of the same keys, in the same order: the first signs; what any signed is good.
    signing: Vec<Hmac<Sha256>>,
}

/// Why something could not be sealed or opened. It never carries the secret.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The key file is absent, unreadable, empty, or a line is not 32 bytes in base64.
    #[error("{0}")]
    KeyFile(String),
    /// The text is not one of ours, or was cut.
    #[error("the sealed text is malformed")]
    Malformed,
    /// It was sealed under a key that is not in the key file.
    #[error("the sealed text needs a key that is not known here")]
    UnknownKey,
    /// Text, key or associated data are not what was sealed.
    #[error("the sealed text does not open")]
    Refused,
}

impl Sealer {
    /// Makes a sealer with one key.
    pub fn from_key(key: &[u8; 32]) -> Self {
        Self::from_keys(&[*key])
    }

    fn from_keys(keys: &[[u8; 32]]) -> Self {
        Self {
            first: Arc::new(Keys::of(keys)),
            file: None,
        }
    }

    /// Reads keys from a file: one a line, 32 bytes in base64; the first seals, the others still open. The file is read again when it
    /// changes, so that keys are rotated without a restart (O2.15). Keys that anybody can guess are refused unless `demo` (O1.12).
    pub fn from_key_file(path: &Path, demo: bool) -> Result<Self, SealError> {
        let file = Fresh::new("seal.key_file", path, move |text| Keys::read(text, demo));
        let first = file.current();
        let first = first.map_err(|error| SealError::KeyFile(format!("{error:#}")))?;
        let file = Some(Arc::new(file));
        Ok(Self { first, file })
    }

    fn keys(&self) -> Arc<Keys> {
        let now = self.file.as_ref().and_then(|file| file.current().ok());
        now.unwrap_or_else(|| Arc::clone(&self.first))
    }

    /// Signs a text that anybody may read and nobody may change. `purpose` keeps a signature made for one thing from
    /// being good for another.
    pub fn sign(&self, purpose: &str, text: &str) -> Vec<u8> {
        let keys = self.keys();
        let signing = keys.signing.first();
        signing.map_or_else(Vec::new, |key| {
            signed(key, purpose, text).finalize().into_bytes().to_vec()
        })
    }

    /// Tells whether a text was signed here for this purpose, in a time that does not depend on where it differs.
    pub fn is_signed(&self, purpose: &str, text: &str, signature: &[u8]) -> bool {
        // All keys are asked, so that the time does not tell which one it was.
        self.keys().signing.iter().fold(false, |good, key| {
            good | signed(key, purpose, text).verify_slice(signature).is_ok()
        })
    }

    /// Seals a secret. `aad` (such as account and channel id) must be given again to open it, so that a sealed
    /// text copied into another row does not open there.
    pub fn seal(&self, secret: &[u8], aad: &[u8]) -> Result<Vec<u8>, SealError> {
        let keys = self.keys();
        let (id, cipher) = keys.keys.first().ok_or(SealError::UnknownKey)?;
        let nonce = XNonce::generate();
        let text = cipher
            .encrypt(&nonce, Payload { msg: secret, aad })
            .map_err(|_| SealError::Refused)?;
        let mut sealed = Vec::with_capacity(1 + KEY_ID + NONCE + text.len());
        sealed.push(FORMAT);
        sealed.extend_from_slice(id);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&text);
        Ok(sealed)
    }

    /// Returns what tells the keys apart, the one that seals first. Of several some of what is sealed may need the others.
    pub fn key_ids(&self) -> Vec<[u8; 4]> {
        self.keys().keys.iter().map(|(id, _)| *id).collect()
    }

    /// Tells whether a sealed text is under the key that seals now.
    pub fn is_current(&self, sealed: &[u8]) -> bool {
        let id = sealed.get(1..=KEY_ID);
        self.keys()
            .keys
            .first()
            .is_some_and(|(current, _)| id == Some(current.as_slice()))
    }

    /// Opens what [`Sealer::seal`] made with the same `aad`.
    pub fn open(&self, sealed: &[u8], aad: &[u8]) -> Result<Vec<u8>, SealError> {
        let (&format, rest) = sealed.split_first().ok_or(SealError::Malformed)?;
        let (id, rest) = rest.split_at_checked(KEY_ID).ok_or(SealError::Malformed)?;
        let (nonce, text) = rest.split_at_checked(NONCE).ok_or(SealError::Malformed)?;
        let nonce = XNonce::try_from(nonce).map_err(|_| SealError::Malformed)?;
        if format != FORMAT {
            return Err(SealError::Malformed);
        }
        let keys = self.keys();
        let (_, cipher) = keys
            .keys
            .iter()
            .find(|(known, _)| known == id)
            .ok_or(SealError::UnknownKey)?;
        cipher
            .decrypt(&nonce, Payload { msg: text, aad })
            .map_err(|_| SealError::Refused)
    }
}

impl Keys {
    fn of(keys: &[[u8; 32]]) -> Self {
        Self {
            keys: keys.iter().map(prepared).collect(),
            signing: keys.iter().map(signing).collect(),
        }
    }

    fn read(text: &str, demo: bool) -> anyhow::Result<Self> {
        let lines = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        let keys = lines
            .map(|line| {
                let bytes = STANDARD.decode(line).ok();
                bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok())
            })
            .collect::<Option<Vec<_>>>()
            .filter(|keys| !keys.is_empty());
        // Nothing of a line is repeated.
        let keys = keys.context("each line must be 32 bytes in base64")?;
        // It was typed and not made.
        let is_known = keys.iter().any(|key| demo::is_known_sealing_key(key));
        anyhow::ensure!(demo || !is_known, "a key {REFUSED}");
        Ok(Self::of(&keys))
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealer({} keys ***)", self.keys().keys.len())
    }
}

fn prepared(key: &[u8; 32]) -> ([u8; KEY_ID], XChaCha20Poly1305) {
    let hash = Sha256::new()
        .chain_update(b"switchboard key id")
        .chain_update(key)
        .finalize();
    let mut id = [0; KEY_ID];
    id.copy_from_slice(&hash[..KEY_ID]);
    (id, XChaCha20Poly1305::new(&(*key).into()))
}

/// The key of signatures: another one than what seals, and not to be told from it.
fn signing(key: &[u8; 32]) -> Hmac<Sha256> {
    let derived = Sha256::new()
        .chain_update(b"switchboard signing key")
        .chain_update(key)
        .finalize();
    // A key of HMAC fills a block; a shorter one is followed by zeros.
    let mut block = [0; 64];
    block[..32].copy_from_slice(&derived);
    Hmac::new(&block.into())
}

fn signed(key: &Hmac<Sha256>, purpose: &str, text: &str) -> Hmac<Sha256> {
    key.clone()
        .chain_update(purpose.as_bytes())
        .chain_update([0])
        .chain_update(text.as_bytes())
}

/// Compares two secrets in a time that does not depend on where they differ.
pub fn same_secret(left: &[u8], right: &[u8]) -> bool {
    use subtle::ConstantTimeEq as _;
    // Hashing first makes the time independent of the lengths too.
    Sha256::digest(left).ct_eq(&Sha256::digest(right)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_only_with_its_key_and_associated_data() {
        let sealer = Sealer::from_key(&[7; 32]);
        let text = sealer.seal(b"secret", b"acme/1").unwrap();
        assert_eq!(sealer.open(&text, b"acme/1").unwrap(), b"secret");
        assert!(matches!(
            sealer.open(&text, b"acme/2"),
            Err(SealError::Refused)
        ));
        let other = Sealer::from_key(&[8; 32]);
        assert!(matches!(
            other.open(&text, b"acme/1"),
            Err(SealError::UnknownKey)
        ));
        for cut in [0, 1, 4, 20] {
            assert!(
                matches!(
                    sealer.open(&text[..cut], b"acme/1"),
                    Err(SealError::Malformed)
                ),
                "{cut}"
            );
        }
        let mut changed = text.clone();
        *changed.last_mut().unwrap() ^= 1;
        assert!(matches!(
            sealer.open(&changed, b"acme/1"),
            Err(SealError::Refused)
        ));
        assert_ne!(
            text,
            sealer.seal(b"secret", b"acme/1").unwrap(),
            "nonces differ"
        );
        assert!(!format!("{sealer:?}").contains('7'));
    }

    /// O2.15
    #[test]
    fn keys_rotate_by_a_new_first_line() {
        let read = |keys: &[[u8; 32]], demo| {
            let lines: Vec<_> = keys.iter().map(|key| STANDARD.encode(key)).collect();
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), lines.join("\n")).unwrap();
            Sealer::from_key_file(file.path(), demo)
        };
        // Keys of a byte each are nobody's in earnest (O1.12).
        let refused = read(&[rand::random(), [1; 32]], false).unwrap_err();
        assert!(
            refused.to_string().contains("auth.demo_secrets"),
            "{refused}"
        );
        let file = |keys: &[[u8; 32]]| read(keys, true);
        let old = file(&[[1; 32]]).unwrap();
        let both = file(&[[2; 32], [1; 32]]).unwrap();
        let sealed = old.seal(b"x", b"").unwrap();
        assert_eq!(both.open(&sealed, b"").unwrap(), b"x");
        let anew = both.seal(b"x", b"").unwrap();
        assert!(old.open(&anew, b"").is_err());
        assert!(both.is_current(&anew) && !both.is_current(&sealed) && !both.is_current(b""));
        assert_eq!((both.key_ids().len(), old.key_ids().len()), (2, 1));
        assert_eq!(both.key_ids()[1..], old.key_ids());
        assert!(matches!(file(&[]), Err(SealError::KeyFile(_))));
    }

    #[test]
    fn a_signature_is_good_for_its_text_and_purpose_under_any_key_of_the_file() {
        let (old, other) = (Sealer::from_key(&[1; 32]), Sealer::from_key(&[3; 32]));
        let both = Sealer::from_keys(&[[2; 32], [1; 32]]);
        let signature = old.sign("get", "a\n1");
        assert!(both.is_signed("get", "a\n1", &signature));
        assert!(!old.is_signed("get", "a\n1", &both.sign("get", "a\n1")));
        for (purpose, text, signature) in [
            ("put", "a\n1", &signature[..]),
            ("get", "a\n2", &signature),
            ("ge", "ta\n1", &signature),
            ("get", "a\n1", &signature[..31]),
            ("get", "a\n1", b""),
        ] {
            assert!(
                !both.is_signed(purpose, text, signature),
                "{purpose} {text}"
            );
        }
        assert!(!other.is_signed("get", "a\n1", &signature));
    }

    #[test]
    fn secrets_are_equal_only_when_they_are() {
        for (left, right, same) in [
            ("a", "a", true),
            ("a", "b", false),
            ("a", "ab", false),
            ("", "", true),
        ] {
            assert_eq!(
                same_secret(left.as_bytes(), right.as_bytes()),
                same,
                "{left} {right}"
            );
        }
    }
}
