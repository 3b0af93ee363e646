//! Who connects to the broker: read again each time, so that passwords and credentials are rotated without a restart (O2.15).

use std::path::PathBuf;

use anyhow::Context as _;
use async_nats::{Auth, AuthError, ServerAddr};
use nkeys::KeyPair;
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret as _, SecretString};

use super::NatsError;
use crate::config;
use crate::run::read_password;

/// What stands around the token and the seed in a credentials file.
const TOKEN: &str = "NATS USER JWT";
const SEED: &str = "USER NKEY SEED";

/// Where user, password or credentials come from. Its `Debug` shows no secret.
#[derive(Debug, Clone, Default)]
pub(super) struct Login {
    /// Of the address: user and password.
    user: Option<(String, SecretString)>,
    password_file: Option<PathBuf>,
    credentials_file: Option<PathBuf>,
}

impl Login {
    /// Takes the first user and password of addresses, and the files of the configuration.
    pub(super) fn of(config: &config::Nats, addresses: &[ServerAddr]) -> Self {
        Self {
            user: addresses.iter().find_map(user),
            password_file: config.password_file.clone(),
            credentials_file: config.credentials_file.clone(),
        }
    }

    /// Tells whether there is anything to say.
    pub(super) fn is_any(&self) -> bool {
        self.user.is_some() || self.credentials_file.is_some()
    }

    /// Reads the files and answers to the broker's `nonce`.
    ///
    /// # Errors
    /// Names the key and the path, never what a file holds.
    pub(super) async fn auth(&self, nonce: &[u8]) -> Result<Auth, NatsError> {
        let mut auth = Auth::new();
        if let Some((user, password)) = &self.user {
            let file = match &self.password_file {
                None => None,
                Some(path) => {
                    let text = tokio::fs::read_to_string(path).await;
                    let read = text.map_err(anyhow::Error::from);
                    let read = read.and_then(|text| read_password(&text));
                    let told = || path.display().to_string();
                    Some(read.with_context(told).map_err(NatsError::PasswordFile)?)
                }
            };
            let password = file.as_ref().unwrap_or(password);
            auth.username = Some(user.clone());
            auth.password = Some(password.expose_secret().to_owned());
        }
        if let Some(path) = &self.credentials_file {
            let text = tokio::fs::read_to_string(path).await;
            let read = text.map_err(anyhow::Error::from);
            let signed = read.and_then(|text| signed(&text, nonce));
            let told = || path.display().to_string();
            let (token, signature) = signed.with_context(told).map_err(NatsError::Credentials)?;
            (auth.jwt, auth.signature) = (Some(token), Some(signature));
        }
        Ok(auth)
    }

    /// Does what [`Login::auth`] does, for the client.
    pub(super) async fn answer(self, nonce: Vec<u8>) -> Result<Auth, AuthError> {
        self.auth(&nonce).await.map_err(AuthError::new)
    }
}

/// Returns the user and password that an address holds, as they are without its escapes.
fn user(address: &ServerAddr) -> Option<(String, SecretString)> {
    let plain = |escaped: &str| percent_decode_str(escaped).decode_utf8_lossy().into_owned();
    let password = address.password().unwrap_or_default();
    Some((plain(address.username()?), plain(password).into()))
}

/// Returns the token of a credentials file and the nonce signed by its seed.
fn signed(text: &str, nonce: &[u8]) -> anyhow::Result<(String, Vec<u8>)> {
    let token = framed(text, TOKEN).context("it holds no NATS user JWT")?;
    let seed = framed(text, SEED).context("it holds no user's NKEY seed")?;
    // What is wrong with it is not repeated: it might say the seed.
    let signature = KeyPair::from_seed(seed).and_then(|key| key.sign(nonce));
    let signature = signature.ok().context("its NKEY seed is none")?;
    Ok((token.to_owned(), signature))
}

/// Returns what stands between the lines that begin and end a part of this name.
fn framed<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let rule = |line: &&str| line.starts_with("---") && line.ends_with("---");
    let mut lines = text.lines().map(str::trim);
    lines.find(|line| rule(line) && line.contains("BEGIN") && line.contains(name))?;
    lines
        .find(|line| !line.is_empty())
        .filter(|line| !rule(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_tells_who_logs_in() {
        for (address, expected) in [
            ("nats://127.0.0.1:4222", None),
            (
                "nats://crm-cards:p%40ss%2Fword@nats:4222",
                Some(("crm-cards", "p@ss/word")),
            ),
            ("nats://token@nats:4222", Some(("token", ""))),
        ] {
            let found = user(&address.parse().unwrap());
            let found = found
                .as_ref()
                .map(|(user, password)| (&**user, password.expose_secret()));
            assert_eq!(found, expected, "{address}");
        }
    }

    #[test]
    fn credentials_are_a_token_and_a_seed_that_signs() {
        let key = KeyPair::new_user();
        let seed = key.seed().unwrap();
        let file = |token: &str, seed: &str| {
            format!(
                "-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n*** keep it ***\n\
                 -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
            )
        };
        let (token, signature) = signed(&file("abc", &seed), b"nonce").unwrap();
        assert_eq!(token, "abc");
        key.verify(b"nonce", &signature).unwrap();
        for (text, expected) in [
            (String::new(), "no NATS user JWT"),
            (file("", &seed), "no NATS user JWT"),
            (file("abc", ""), "no user's NKEY seed"),
            (file("abc", "SUSECRET"), "its NKEY seed is none"),
        ] {
            let told = format!("{:#}", signed(&text, b"nonce").unwrap_err());
            assert!(told.contains(expected), "{told}");
            assert!(!told.contains("SUSECRET"), "{told}");
        }
    }
}
