//! Keys of an installation without an identity provider: what tokens are signed with, and what secrets at rest are
//! sealed with.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use clap::Subcommand;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, KeypairBytes};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::error::CliError;
use crate::output::say;

/// Verbs on keys.
#[derive(Subcommand)]
pub(crate) enum KeysVerb {
    /// Make what is missing of signing.pem, jwks.json and seal.key
    Init {
        /// Folder for the files; made when it is missing
        #[arg(long, value_name = "FOLDER")]
        dir: PathBuf,
    },
}

/// Runs a verb.
pub(crate) fn run(verb: KeysVerb) -> Result<(), CliError> {
    match verb {
        KeysVerb::Init { dir } => {
            for (path, made) in init(&dir)? {
                say!(
                    "{:<8} {}",
                    if made { "created" } else { "kept" },
                    path.display()
                );
            }
            Ok(())
        }
    }
}

/// Makes what is missing in a folder; tells of each file whether it was made now. A key is never replaced.
fn init(dir: &Path) -> Result<Vec<(PathBuf, bool)>, CliError> {
    fs::create_dir_all(dir).map_err(|error| CliError::file("make the folder", dir, &error))?;
    let (signing, jwks, seal) = (
        dir.join("signing.pem"),
        dir.join("jwks.json"),
        dir.join("seal.key"),
    );
    let mut files = Vec::new();

    let new_key = || -> Result<String, CliError> {
        let pair = KeypairBytes {
            secret_key: rand::random(),
            public_key: None,
        };
        let pem = pair
            .to_pkcs8_pem(LineEnding::LF)
            .map_err(|_| CliError::failed("cannot encode the key", ""))?;
        Ok(pem.as_str().to_owned())
    };
    files.push((signing.clone(), create(&signing, 0o600, new_key)?));

    // The public half follows from the private one, so that a lost file can be made again.
    let set = jwk_set(&SigningKeyFile::read(&signing)?);
    let current = fs::read_to_string(&jwks).is_ok_and(|text| text == set);
    if !current {
        replace(&jwks, &set)?;
    }
    files.push((jwks, !current));

    let new_seal = || Ok(format!("{}\n", STANDARD.encode(rand::random::<[u8; 32]>())));
    files.push((seal.clone(), create(&seal, 0o600, new_seal)?));
    Ok(files)
}

/// Writes a secret file that only its owner can read, unless it is there already.
fn create(
    path: &Path,
    mode: u32,
    text: impl FnOnce() -> Result<String, CliError>,
) -> Result<bool, CliError> {
    if path.exists() {
        return Ok(false);
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    let text = text()?;
    options
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| CliError::file("write", path, &error))?;
    Ok(true)
}

/// Writes a public file whole: a service that reads it meanwhile sees the old or the new one.
fn replace(path: &Path, text: &str) -> Result<(), CliError> {
    let next = path.with_extension("json.new");
    fs::write(&next, text)
        .and_then(|()| fs::rename(&next, path))
        .map_err(|error| CliError::file("write", path, &error))
}

/// A signing key as it was read.
pub(crate) struct SigningKeyFile {
    /// The PEM text.
    pub pem: String,
    key: SigningKey,
}

impl SigningKeyFile {
    /// Reads an Ed25519 key in PKCS#8 PEM.
    pub fn read(path: &Path) -> Result<Self, CliError> {
        let pem = fs::read_to_string(path)
            .map_err(|error| CliError::file("read the signing key", path, &error))?;
        let key = SigningKey::from_pkcs8_pem(&pem).map_err(|_| {
            CliError::failed(
                format!("{} is no Ed25519 key in PKCS#8 PEM", path.display()),
                "`switchboardctl keys init --dir FOLDER` makes one",
            )
        })?;
        Ok(Self { pem, key })
    }

    /// The key's id: its thumbprint (RFC 7638), so that the same key always has the same id.
    pub fn id(&self) -> String {
        let x = self.public();
        URL_SAFE_NO_PAD.encode(Sha256::digest(format!(
            r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#
        )))
    }

    fn public(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.key.verifying_key().as_bytes())
    }
}

/// The public half as a JSON Web Key Set.
fn jwk_set(key: &SigningKeyFile) -> String {
    let set = json!({ "keys": [{
        "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": key.id(), "x": key.public(),
    }] });
    format!("{set:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_made_once_and_only_their_owner_reads_them() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("keys");
        assert!(init(&dir).unwrap().iter().all(|(_, made)| *made));
        let read = |name: &str| fs::read_to_string(dir.join(name)).unwrap();
        let first = (read("signing.pem"), read("jwks.json"), read("seal.key"));
        assert!(init(&dir).unwrap().iter().all(|(_, made)| !*made));
        assert_eq!(
            first,
            (read("signing.pem"), read("jwks.json"), read("seal.key"))
        );
        assert_eq!(STANDARD.decode(first.2.trim()).unwrap().len(), 32);
        #[cfg(unix)]
        for name in ["signing.pem", "seal.key"] {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(
                fs::metadata(dir.join(name)).unwrap().permissions().mode() & 0o777,
                0o600,
                "{name}"
            );
        }
        // A lost public half comes back the same.
        fs::remove_file(dir.join("jwks.json")).unwrap();
        init(&dir).unwrap();
        assert_eq!(first.1, read("jwks.json"));
    }

    #[test]
    fn a_file_that_is_no_key_is_refused_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("signing.pem");
        fs::write(&path, "hello").unwrap();
        let Err(error) = SigningKeyFile::read(&path) else {
            panic!("it was read")
        };
        assert!(error.render().contains("keys init"), "{}", error.render());
    }
}
