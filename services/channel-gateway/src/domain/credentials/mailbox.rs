//! What signs a mailbox in.

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

/// How a connection to a mail server is secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Security {
    /// TLS from the first byte.
    Tls,
    /// STARTTLS, required.
    StartTls,
    /// None.
    Plain,
}

/// A mail server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailServer {
    /// Host name.
    pub host: String,
    /// Port.
    pub port: u16,
    /// How the connection is secured.
    pub security: Security,
}

/// What makes a mailbox the same one: where it is read, and as whom. Not its address: whoever runs a mail server can have
/// any address on it, and an address that could be taken would keep its owner from connecting it. Who has the password
/// alone can prove this one, and so learn that it is connected already.
///
/// A server that has several names, or takes several logins for one mailbox, can be read twice by who knows its password:
/// that harms nobody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailLine {
    /// Name of the IMAP server.
    pub host: String,
    /// Name to sign in with.
    pub login: String,
}

impl Email {
    /// Returns what is read.
    pub fn line(&self) -> MailLine {
        MailLine {
            // The final dot of a name is no part of it. On another port of a host there is the same server.
            host: self.imap.host.trim_end_matches('.').to_lowercase(),
            login: self.username.to_lowercase(),
        }
    }
}

/// How a mailbox is signed in to.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MailSecret {
    /// A password.
    Password(SecretString),
    /// OAuth 2.
    OAuth {
        /// Id of the client application.
        client_id: String,
        /// Its secret.
        client_secret: SecretString,
        /// The newest refresh token.
        refresh_token: SecretString,
        /// Where tokens are renewed.
        token_url: String,
    },
}

/// A mailbox.
#[derive(Debug, Clone, Deserialize)]
pub struct Email {
    /// Address, case-folded.
    pub address: String,
    /// Name beside the address; the channel's where empty.
    pub display_name: String,
    /// Where mails are read.
    pub imap: MailServer,
    /// Where mails are handed over.
    pub smtp: MailServer,
    /// Name to sign in with.
    pub username: String,
    /// How to sign in.
    pub secret: MailSecret,
}
