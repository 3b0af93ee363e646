//! Signing in at mailboxes: by password, or by an access token that is renewed in time (channels.md §7.36).

use chassis::clock;
use secrecy::{ExposeSecret as _, SecretString};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::endpoint;
use crate::app::App;
use crate::app::book::aad;
use crate::app::mailbox::NoAccount;
use crate::domain::channel::ChannelKind;
use crate::domain::credentials::{Credentials, Email, MailSecret};
use crate::domain::refusal::Refusal;
use crate::error::Error;
use crate::provider::CallError;
use crate::provider::imap::{ImapError, Login, Mailbox, Secret};
use crate::provider::oauth::{self, Application, Tokens};
use crate::store::channels;

/// An access token is renewed so long before it ends.
const BEFORE_ITS_END: Duration = Duration::minutes(2);

/// An access token.
pub(super) struct Token {
    access: SecretString,
    ends_at: OffsetDateTime,
    /// Of which credentials it is.
    credentials: i64,
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
    let now = clock::now();
    // Held over the call: of several who need a token one asks for it, and a rotated refresh token is used once.
    let mut tokens = app.post.tokens.lock().await;
    if let Some(token) = tokens.get(&channel)
        && !renewed
        && token.credentials == credentials
        && token.ends_at > now + BEFORE_ITS_END
    {
        return Ok(token.access.clone());
    }
    let fresh = refresh(app, mailbox).await?;
    if let Some(rotated) = fresh.rotated {
        keep_rotated(app, channel, credentials, mailbox, rotated)
            .await
            .map_err(|error| {
                tracing::error!(%error, channel.id = %channel, "a rotated refresh token could not be kept");
                NoAccount::Away
            })?;
    }
    let token = Token {
        access: fresh.access.clone(),
        ends_at: now + fresh.life,
        credentials,
    };
    tokens.insert(channel, token);
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

/// Proves that a mailbox can be opened with credentials that no channel has yet. Returns what must be stored in their
/// place, where the provider rotated the refresh token.
pub async fn prove(app: &App, mailbox: &Email) -> Result<Option<Email>, Error> {
    let (secret, rotated) = match &mailbox.secret {
        MailSecret::Password(password) => (Secret::Password(password.clone()), None),
        MailSecret::OAuth { .. } => {
            let fresh = refresh(app, mailbox).await?;
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

/// Proves that a channel's mailbox can be opened with the credentials that it has under that number.
pub async fn prove_channel(
    app: &App,
    channel: Uuid,
    credentials: i64,
    mailbox: &Email,
) -> Result<(), Error> {
    let login = login(app, channel, credentials, mailbox, true).await?;
    open(app, mailbox, &login).await
}

async fn open(app: &App, mailbox: &Email, login: &Login) -> Result<(), Error> {
    let limit = app.post.size_limit;
    let opened = Mailbox::open(&app.post.wires, &endpoint(&mailbox.imap), login, limit).await;
    match opened {
        Ok(mailbox) => {
            mailbox.logout().await;
            Ok(())
        }
        Err(ImapError::Credentials(_)) => Err(Error::Refused(CREDENTIALS_REFUSED)),
        Err(error) => {
            tracing::info!(%error, "a mailbox could not be opened");
            Err(Error::ProviderAway(ChannelKind::Email))
        }
    }
}

impl From<NoAccount> for Error {
    fn from(reason: NoAccount) -> Self {
        match reason {
            NoAccount::Away => Self::ProviderAway(ChannelKind::Email),
            NoAccount::Refused(_) => Self::Refused(CREDENTIALS_REFUSED),
        }
    }
}

/// The mail server does not let the mailbox's owner in.
pub const CREDENTIALS_REFUSED: Refusal = Refusal {
    reason: "CREDENTIALS_REFUSED",
    detail: "The mail server refuses the credentials: an administrator must connect the mailbox anew.",
    retryable: true,
};
