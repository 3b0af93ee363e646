//! Signing in at mailboxes: by password, or by an access token that is renewed in time (channels.md §7.36).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use chassis::clock;
use secrecy::{ExposeSecret as _, SecretString};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::endpoint;
use crate::app::App;
use crate::app::book::{Found, aad};
use crate::app::mailbox::NoAccount;
use crate::domain::credentials::{Credentials, Email, MailSecret, MailServer};
use crate::domain::mailbox::server::ServerAway;
use crate::domain::refusal::{Class, Refusal};
use crate::error::Error;
use crate::provider::CallError;
use crate::provider::imap::{ImapError, Login, Mailbox, Secret};
use crate::provider::oauth::{self, Application, Tokens};
use crate::provider::smtp::Server;
use crate::store::channels;

/// An access token is renewed so long before it ends.
const BEFORE_ITS_END: Duration = Duration::minutes(2);

/// An access token.
pub(super) struct Token {
    access: SecretString,
    ends_at: OffsetDateTime,
    had_at: Instant,
    /// Of which credentials it is.
    credentials: i64,
}

/// The access tokens in use. Each channel's is locked by itself: a server that does not answer holds up its own mailbox.
#[derive(Clone, Default)]
pub(super) struct InUse(Arc<Mutex<HashMap<Uuid, Place>>>);

/// Where a channel's token is kept, once it has one.
type Place = Arc<tokio::sync::Mutex<Option<Token>>>;

impl InUse {
    fn of(&self, channel: Uuid) -> Place {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(places.entry(channel).or_default())
    }
}

/// Returns who signs in, with an access token that lives where the mailbox has OAuth; with `renewed`, with another one
/// than before.
pub async fn login(
    app: &App,
    channel: Uuid,
    credentials: i64,
    mailbox: &Email,
    renewed: bool,
) -> Result<Login, NoAccount> {
    let secret = match &mailbox.secret {
        MailSecret::Password(password) => Secret::Password(password.clone()),
        MailSecret::OAuth { .. } => {
            Secret::Token(token(app, channel, credentials, mailbox, renewed).await?)
        }
    };
    Ok(Login {
        user: mailbox.username.clone(),
        secret,
    })
}

async fn token(
    app: &App,
    channel: Uuid,
    credentials: i64,
    mailbox: &Email,
    renewed: bool,
) -> Result<SecretString, NoAccount> {
    let (now, asked_at) = (clock::now(), Instant::now());
    // Held over the call: of several who need a token one asks for it, and a rotated refresh token is used once.
    let place = app.post.tokens.of(channel);
    let mut kept = place.lock().await;
    if let Some(token) = kept.as_ref()
        && (!renewed || token.had_at > asked_at)
        && token.credentials == credentials
        && token.ends_at > now + BEFORE_ITS_END
    {
        return Ok(token.access.clone());
    }
    // Somebody else, or another replica, may have replaced the refresh token that the caller knows.
    let known = match app.book.find_fresh(channel).await {
        Found::Known(known) if known.credentials == credentials => Some(known),
        _ => None,
    };
    let mailbox = match known.as_ref().map(|known| &known.access) {
        Some(Credentials::Email(newest)) => newest,
        _ => mailbox,
    };
    let fresh = refresh(app, mailbox).await?;
    if let Some(rotated) = fresh.rotated {
        keep_rotated(app, channel, credentials, mailbox, rotated)
            .await
            .map_err(|error| {
                tracing::error!(%error, channel.id = %channel, "a rotated refresh token could not be kept");
                NoAccount::Away
            })?;
    }
    *kept = Some(Token {
        access: fresh.access.clone(),
        ends_at: now + fresh.life,
        had_at: Instant::now(),
        credentials,
    });
    Ok(fresh.access)
}

async fn refresh(app: &App, mailbox: &Email) -> Result<Tokens, NoAccount> {
    let MailSecret::OAuth {
        client_id,
        client_secret,
        refresh_token,
        token_url,
    } = &mailbox.secret
    else {
        return Err(NoAccount::Away);
    };
    let application = Application {
        token_url: token_url.clone(),
        client_id: client_id.clone(),
        client_secret: Some(client_secret.clone())
            .filter(|secret| !secret.expose_secret().is_empty()),
        scope: String::new(),
    };
    match oauth::refresh(&app.post.tokens_from, &application, refresh_token).await {
        Ok(fresh) => Ok(fresh),
        Err(CallError::Refused(refusal)) if refusal.is_final() => {
            let problem = "The mail provider refuses the grant: an administrator must connect the mailbox anew.";
            Err(NoAccount::Refused(problem.to_owned()))
        }
        Err(error) => {
            tracing::warn!(%error, "an access token could not be had");
            Err(NoAccount::Away)
        }
    }
}

/// Keeps the refresh token that replaces the one just used (channels.md §7.36). The credentials stay the same ones.
async fn keep_rotated(
    app: &App,
    channel: Uuid,
    credentials: i64,
    mailbox: &Email,
    rotated: SecretString,
) -> Result<(), Error> {
    let text = Credentials::Email(Box::new(with(mailbox, rotated))).to_text();
    let sealed = app.sealer.seal(text.as_bytes(), &aad(channel, "token"))?;
    let mut connection = app.pool.acquire().await?;
    let row = channels::reseal(&mut connection, channel, credentials, &sealed).await?;
    if let Some(row) = row {
        app.book.keep(&row);
    }
    Ok(())
}

/// The mailbox with another refresh token.
fn with(mailbox: &Email, rotated: SecretString) -> Email {
    let mut mailbox = mailbox.clone();
    if let MailSecret::OAuth { refresh_token, .. } = &mut mailbox.secret {
        *refresh_token = rotated;
    }
    mailbox
}

/// Proves that a mailbox can be used with credentials that no channel has yet. Returns what must be stored in their
/// place, where the provider rotated the refresh token.
pub async fn prove(app: &App, mailbox: &Email) -> Result<Option<Email>, Error> {
    let (secret, rotated) = match &mailbox.secret {
        MailSecret::Password(password) => (Secret::Password(password.clone()), None),
        MailSecret::OAuth { .. } => {
            let fresh = refresh(app, mailbox).await;
            let fresh = fresh.map_err(|reason| no_account(mailbox, &reason))?;
            (Secret::Token(fresh.access), fresh.rotated)
        }
    };
    let login = Login {
        user: mailbox.username.clone(),
        secret,
    };
    open(app, mailbox, &login).await?;
    Ok(rotated.map(|rotated| with(mailbox, rotated)))
}

/// Proves that a channel's mailbox can be used with the credentials that it has under that number.
pub async fn prove_channel(
    app: &App,
    channel: Uuid,
    credentials: i64,
    mailbox: &Email,
) -> Result<(), Error> {
    let login = login(app, channel, credentials, mailbox, true).await;
    let login = login.map_err(|reason| no_account(mailbox, &reason))?;
    open(app, mailbox, &login).await
}

/// Logs in where mails are read, and where they are handed over: a mailbox that is read and cannot answer looks well
/// until the first answer is lost.
async fn open(app: &App, mailbox: &Email, login: &Login) -> Result<(), Error> {
    let limit = app.post.size_limit;
    let opened = Mailbox::open(&app.post.wires, &endpoint(&mailbox.imap), login, limit).await;
    match opened {
        Ok(mailbox) => mailbox.logout().await,
        Err(ImapError::Credentials(_)) => return Err(Error::Refused(CREDENTIALS_REFUSED)),
        Err(error) => return Err(away("IMAP", &mailbox.imap, &error)),
    }
    let server = Server {
        endpoint: endpoint(&mailbox.smtp),
        login: Some(login.clone()),
    };
    match app.post.submission.prove(&server).await {
        Ok(()) => Ok(()),
        Err(error) if matches!(error.class(), Class::Disconnected(_)) => {
            Err(Error::Refused(SMTP_CREDENTIALS_REFUSED))
        }
        Err(error) => Err(away("SMTP", &mailbox.smtp, &error)),
    }
}

fn away(name: &'static str, server: &MailServer, error: &dyn std::error::Error) -> Error {
    tracing::info!(%error, server = name, "a mailbox could not be proven");
    let address = format!("{}:{}", server.host, server.port);
    Error::MailServerAway(Box::new(ServerAway::new(name, address, &error.to_string())))
}

/// Says why there is no account: of what leads to a token only the host is told.
fn no_account(mailbox: &Email, reason: &NoAccount) -> Error {
    if let NoAccount::Refused(_) = reason {
        return Error::Refused(CREDENTIALS_REFUSED);
    }
    let host = match &mailbox.secret {
        MailSecret::OAuth { token_url, .. } => reqwest::Url::parse(token_url).ok(),
        MailSecret::Password(_) => None,
    };
    let host = host.as_ref().and_then(reqwest::Url::host_str);
    let problem = "it gave no access token, or may not be called from here";
    let address = host.unwrap_or_default().to_owned();
    Error::MailServerAway(Box::new(ServerAway::new("OAuth", address, problem)))
}

/// The mail server does not let the mailbox's owner in.
pub const CREDENTIALS_REFUSED: Refusal = Refusal {
    reason: "CREDENTIALS_REFUSED",
    detail: "The mail server refuses the credentials: an administrator must connect the mailbox anew.",
    retryable: true,
};

/// The server that takes mails does not let the mailbox's owner in, while the one that holds them does.
pub const SMTP_CREDENTIALS_REFUSED: Refusal = Refusal {
    reason: "SMTP_CREDENTIALS_REFUSED",
    detail: "The outgoing mail server (SMTP) refuses the login, though the mailbox can be read: check user name and \
             password, and that the provider allows this mailbox to send by SMTP (SMTP AUTH), then try again.",
    retryable: true,
};
