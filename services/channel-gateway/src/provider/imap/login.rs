//! From the greeting to a session.

use std::collections::HashSet;

use async_imap::error::Error as Imap;
use async_imap::imap_proto::{Capability, Response, Status};
use async_imap::{Authenticator, Client, Session};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::io::AsyncWriteExt as _;

use super::error::{ImapError, bounded, broken, failed, present, told};
use super::guard::Guarded;
use crate::domain::mailbox;

/// Who logs in.
#[derive(Debug, Clone)]
pub struct Login {
    /// The user name: often the address.
    pub user: String,
    /// What proves it.
    pub secret: Secret,
}

/// What proves who logs in.
#[derive(Debug, Clone)]
pub enum Secret {
    /// A password, of the account or the application.
    Password(SecretString),
    /// An access token, by XOAUTH2.
    Token(SecretString),
}

/// Reads the greeting.
pub(super) async fn greeted(mut client: Client<Guarded>) -> Result<Client<Guarded>, ImapError> {
    let greeting = present(client.read_response().await)?;
    match greeting.parsed() {
        Response::Data {
            status: Status::Ok, ..
        } => Ok(client),
        Response::Data { outcome, .. } => Err(ImapError::Away(told(outcome))),
        _ => Err(ImapError::Away("this is no IMAP server".into())),
    }
}

/// Asks what the server is able to do before anybody has logged in.
pub(super) async fn capabilities(
    client: &mut Client<Guarded>,
) -> Result<HashSet<String>, ImapError> {
    // The client keeps its way of tagging commands to itself; this one has a tag of its own.
    let wire = client.get_mut();
    wire.write_all(b"C1 CAPABILITY\r\n").await.map_err(broken)?;
    wire.flush().await.map_err(broken)?;
    let mut able = HashSet::new();
    loop {
        let response = present(client.read_response().await)?;
        match response.parsed() {
            Response::Done { .. } => return Ok(able),
            Response::Data {
                status: Status::Bye,
                outcome,
            } => return Err(ImapError::Bye(told(outcome))),
            other => note(other, &mut able),
        }
    }
}

/// Notes what a server is able to do, in upper case.
pub(super) fn note(response: &Response<'_>, able: &mut HashSet<String>) {
    let Response::Capabilities(all) = response else {
        return;
    };
    able.extend(all.iter().map(|capability| match capability {
        Capability::Imap4rev1 => "IMAP4REV1".to_owned(),
        Capability::Auth(mechanism) => format!("AUTH={}", mechanism.to_ascii_uppercase()),
        Capability::Atom(atom) => atom.to_ascii_uppercase(),
    }));
}

pub(super) async fn log_in(
    client: Client<Guarded>,
    login: &Login,
    able: &HashSet<String>,
) -> Result<Session<Guarded>, ImapError> {
    let user = &login.user;
    let result = match &login.secret {
        Secret::Token(token) => {
            let first = format!(
                "user={user}\x01auth=Bearer {}\x01\x01",
                token.expose_secret()
            );
            client.authenticate("XOAUTH2", Once(Some(first))).await
        }
        // Any characters may stand in it: LOGIN knows ASCII only.
        Secret::Password(password) if able.contains("AUTH=PLAIN") => {
            let first = format!("\0{user}\0{}", password.expose_secret());
            client.authenticate("PLAIN", Once(Some(first))).await
        }
        Secret::Password(_) if able.contains("LOGINDISABLED") => {
            let why = "it takes no passwords on this connection";
            return Err(ImapError::Credentials(why.into()));
        }
        Secret::Password(password) => client.login(user, password.expose_secret()).await,
    };
    result.map_err(|(error, _)| match error {
        Imap::No(text) | Imap::Bad(text) if mailbox::is_about_credentials(&text) => {
            ImapError::Credentials(bounded(&text))
        }
        Imap::No(text) | Imap::Bad(text) => ImapError::Away(bounded(&text)),
        Imap::Validate(_) => ImapError::Credentials("user or password cannot be sent".into()),
        other => failed(other),
    })
}

/// Says its text once; a further challenge, which tells why it was refused, is answered by an empty line.
struct Once(Option<String>);

impl Authenticator for Once {
    type Response = String;
    fn process(&mut self, _: &[u8]) -> String {
        self.0.take().unwrap_or_default()
    }
}
