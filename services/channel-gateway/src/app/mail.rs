//! Mailboxes as channels: which are followed, where their mails go, and how answers leave.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use chassis::outbox;
use chassis::trace::TraceContext;
use chassis::{clock, id};
use secrecy::{ExposeSecret as _, SecretString};
use switchboard_proto::channel_gateway::v1::InboundEvent;
use time::OffsetDateTime;
use tokio::sync::Mutex;
use uuid::Uuid;

use super::App;
use super::accept::{self, Intake};
use super::book::{Found, Known, aad};
use super::mailbox::{Account, Away, Directory, Mail, NoAccount, Poison, Sink, Wanted};
use super::sent_copy::Copies;
use super::trouble::{self, Refused};
use crate::config;
use crate::domain::attachments::for_each_mut;
use crate::domain::channel::{ChannelKind, ChannelState};
use crate::domain::credentials::{Credentials, Email, MailSecret, MailServer, Security};
use crate::domain::email::{self, Fetched, File, Ours};
use crate::domain::file::object_key;
use crate::domain::inbound::{Line, frame, unsupported};
use crate::domain::mailbox::Folder;
use crate::domain::refusal::Refusal;
use crate::error::{DOMAIN, Error};
use crate::provider::CallError;
use crate::provider::imap::{ImapError, Login, Mailbox, Secret};
use crate::provider::oauth::{self, Application};
use crate::provider::smtp::Submission;
use crate::provider::wire::{self, Endpoint, Rules, Wires};
use crate::store::channels;

/// An access token is renewed so long before it ends.
const BEFORE_ITS_END: time::Duration = time::Duration::minutes(2);

/// What mail goes over, and the access tokens in use. Clones share it.
#[derive(Clone)]
pub struct Post {
    /// Hands mails over.
    pub submission: Submission,
    /// Makes connections to mail servers.
    pub wires: Wires,
    /// A larger mail is cut, in bytes.
    pub size_limit: u32,
    /// How long handing over takes at most.
    pub limit: std::time::Duration,
    /// For how long a mail is tried to be handed over.
    pub max_age: std::time::Duration,
    /// Copies of what was sent, under way.
    pub copies: Copies,
    http: reqwest::Client,
    tokens: Arc<Mutex<HashMap<Uuid, Token>>>,
}

/// An access token.
struct Token {
    access: SecretString,
    ends_at: OffsetDateTime,
    /// Of which credentials it is.
    credentials: i64,
}

impl Post {
    /// Makes it.
    pub fn new(config: &config::Mail) -> anyhow::Result<Self> {
        let rules = Rules {
            plain: config.allow_plain,
            private: config.allow_private,
            connect: config.connect_timeout,
            idle: config.idle_timeout,
        };
        let wires = Wires::new(rules, [])?;
        let http = crate::provider::client(config.connect_timeout, config.connect_timeout * 2)?;
        Ok(Self {
            submission: Submission::new(wires.clone(), &config.hello, config.submit_timeout),
            wires,
            size_limit: u32::try_from(config.size_limit).unwrap_or(u32::MAX),
            limit: config.submit_timeout * 2,
            max_age: config.max_age,
            copies: Copies::default(),
            http,
            tokens: Arc::default(),
        })
    }
}

/// Returns what `X-Gateway-Id` says in mails of a channel: by it they are known again when they come back.
pub fn gateway_id(channel: Uuid) -> String {
    format!("switchboard-{channel}")
}

/// Returns the domain of Message-IDs that a mailbox's answers get: its own.
pub fn domain_of(address: &str) -> &str {
    address
        .rsplit_once('@')
        .map_or("localhost", |(_, domain)| domain)
}

/// Returns where a mail server is.
pub fn endpoint(server: &MailServer) -> Endpoint {
    Endpoint {
        host: server.host.clone(),
        port: server.port,
        security: match server.security {
            Security::Tls => wire::Security::Tls,
            Security::StartTls => wire::Security::StartTls,
            Security::Plain => wire::Security::Plain,
        },
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
    let MailSecret::OAuth {
        client_id,
        client_secret,
        refresh_token,
        token_url,
    } = &mailbox.secret
    else {
        return Err(NoAccount::Away);
    };
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
    let application = Application {
        token_url: token_url.clone(),
        client_id: client_id.clone(),
        client_secret: Some(client_secret.clone())
            .filter(|secret| !secret.expose_secret().is_empty()),
        scope: String::new(),
    };
    let fresh = match oauth::refresh(&app.post.http, &application, refresh_token).await {
        Ok(fresh) => fresh,
        Err(CallError::Refused(refusal)) if refusal.is_final() => {
            let problem = "The mail provider refuses the grant: an administrator must connect the mailbox anew.";
            return Err(NoAccount::Refused(problem.to_owned()));
        }
        Err(error) => {
            tracing::warn!(%error, channel.id = %channel, "an access token could not be had");
            return Err(NoAccount::Away);
        }
    };
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

/// Keeps the refresh token that replaces the one just used (channels.md §7.36). The credentials stay the same ones.
async fn keep_rotated(
    app: &App,
    channel: Uuid,
    credentials: i64,
    mailbox: &Email,
    rotated: SecretString,
) -> Result<(), Error> {
    let mut mailbox = mailbox.clone();
    if let MailSecret::OAuth { refresh_token, .. } = &mut mailbox.secret {
        *refresh_token = rotated;
    }
    let text = Credentials::Email(Box::new(mailbox)).to_text();
    let sealed = app.sealer.seal(text.as_bytes(), &aad(channel, "token"))?;
    let mut connection = app.pool.acquire().await?;
    let row = channels::reseal(&mut connection, channel, credentials, &sealed).await?;
    if let Some(row) = row {
        app.book.keep(&row);
    }
    Ok(())
}

/// Proves that a mailbox can be opened with credentials that no channel has yet.
pub async fn prove(app: &App, mailbox: &Email) -> Result<(), Error> {
    prove_channel(app, Uuid::nil(), 0, mailbox).await
}

/// Proves that a channel's mailbox can be opened with the credentials that it has under that number.
pub async fn prove_channel(
    app: &App,
    channel: Uuid,
    credentials: i64,
    mailbox: &Email,
) -> Result<(), Error> {
    let login = match login(app, channel, credentials, mailbox, true).await {
        Ok(login) => login,
        Err(NoAccount::Away) => return Err(Error::ProviderAway(ChannelKind::Email)),
        Err(NoAccount::Refused(_)) => return Err(Error::Refused(CREDENTIALS_REFUSED)),
    };
    let limit = app.post.size_limit;
    let opened = Mailbox::open(&app.post.wires, &endpoint(&mailbox.imap), &login, limit).await;
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

/// The mail server does not let the mailbox's owner in.
pub const CREDENTIALS_REFUSED: Refusal = Refusal {
    reason: "CREDENTIALS_REFUSED",
    detail: "The mail server refuses the credentials: an administrator must connect the mailbox anew.",
    retryable: true,
};

/// The mailboxes of this installation, and where their mails go.
pub struct Mailroom {
    /// The use cases.
    pub app: App,
    /// Where mails go.
    pub intake: Intake,
}

impl Mailroom {
    /// Returns the mailbox of a mail; none where it is not followed any more: then its mails are nobody's.
    async fn channel(&self, channel: Uuid, account: &str) -> Result<Option<Arc<Known>>, Away> {
        match self.app.book.find(channel).await {
            Found::Known(known)
                if known.account.as_str() == account && known.kind == ChannelKind::Email =>
            {
                Ok(Some(known))
            }
            Found::Known(_) | Found::Unknown => Ok(None),
            Found::Away => Err(Away),
        }
    }

    async fn store(&self, known: &Known, mail: &Mail) -> Result<(), Away> {
        let now = clock::now();
        let account = known.account.as_str();
        let uid_key = mail.event_key();
        let came = mail.internal_date.unwrap_or(now);
        let raw_id = id::v5("raw", &[&known.id.to_string(), &uid_key]);
        let raw_ref = object_key(account, came, raw_id);
        self.put(&raw_ref, mail.raw.clone()).await?;
        let (mut events, files) = read(known, mail, raw_ref.clone(), uid_key, came, now).await?;
        let mut keys: HashMap<String, String> = HashMap::new();
        for file in files {
            let Ok(id) = file.attachment.attachment_id.parse::<Uuid>() else {
                continue;
            };
            let key = object_key(account, came, id);
            self.put(&key, file.bytes).await?;
            keys.insert(file.attachment.attachment_id, key);
        }
        for event in &mut events {
            for_each_mut(event, |file| {
                if let Some(key) = keys.get(&file.attachment_id) {
                    file.extension = key.clone().into_bytes().into();
                }
            });
        }
        self.send(known, events, now).await
    }

    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), Away> {
        self.intake.store.put(key, bytes).await.map_err(|error| {
            tracing::warn!(%error, "a mail could not be stored: trying again");
            Away
        })
    }

    async fn send(
        &self,
        known: &Known,
        events: Vec<InboundEvent>,
        now: OffsetDateTime,
    ) -> Result<(), Away> {
        accept::send(&self.intake, known, events, &TraceContext::default(), now)
            .await
            .map_err(|error| {
                tracing::warn!(%error, "a mail was not accepted: trying again");
                Away
            })
    }
}

/// Reads a mail on a thread of its own: it may be large, and others wait for this one.
async fn read(
    known: &Known,
    mail: &Mail,
    raw_ref: String,
    uid_key: String,
    came: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<(Vec<InboundEvent>, Vec<File>), Away> {
    let (account, channel) = (known.account.to_string(), known.id);
    let (address, size) = (known.provider_account.clone(), u64::from(mail.size));
    let (raw, folder) = (mail.raw.clone(), mail.folder);
    let done = tokio::task::spawn_blocking(move || {
        let line = Line {
            account: &account,
            channel,
            provider_account: &address,
        };
        let ours = Ours {
            address: &address,
            domain: domain_of(&address),
            aliases: &[],
            gateway_id: &gateway_id(channel),
        };
        let meta = Fetched {
            raw_ref: &raw_ref,
            size,
            internal_date: came,
            folder: match folder {
                Folder::Inbox => email::Folder::Inbox,
                Folder::Sent => email::Folder::Sent,
            },
            uid_key: &uid_key,
        };
        email::normalise(line, &ours, &meta, &raw, now)
    });
    done.await.map_err(|error| {
        tracing::error!(%error, "a mail could not be read");
        Away
    })
}

#[tonic::async_trait]
impl Sink for Mailroom {
    async fn accept(&self, mail: Mail) -> Result<(), Away> {
        match self.channel(mail.channel, &mail.account).await? {
            Some(known) => self.store(&known, &mail).await,
            None => Ok(()),
        }
    }

    async fn quarantine(&self, poison: Poison) -> Result<(), Away> {
        let Some(known) = self.channel(poison.channel, &poison.account).await? else {
            return Ok(());
        };
        let now = clock::now();
        let line = Line {
            account: known.account.as_str(),
            channel: known.id,
            provider_account: &known.provider_account,
        };
        let event = InboundEvent {
            kind: Some(unsupported(&format!(
                "mail-not-fetched: {}",
                poison.problem
            ))),
            ..frame(
                line,
                ChannelKind::Email.contract(),
                &Bytes::new(),
                now,
                poison.event_key(),
            )
        };
        self.send(&known, vec![event], now).await
    }

    async fn refused(&self, channel: Uuid, revision: i64, problem: &str) {
        if let Err(error) = disconnect(&self.app, channel, revision, problem).await {
            tracing::warn!(%error, channel.id = %channel, "a refused mailbox could not be marked");
        }
    }
}

async fn disconnect(app: &App, channel: Uuid, revision: i64, problem: &str) -> Result<(), Error> {
    let now = clock::now();
    let mut tx = app.pool.begin().await?;
    let refused = Refused {
        channel,
        credentials: revision,
        problem: problem.to_owned(),
    };
    let (rows, events) = trouble::disconnect(&mut tx, &[refused], now).await?;
    outbox::write(&mut tx, DOMAIN, events, now).await?;
    tx.commit().await?;
    app.relay.wake();
    for row in &rows {
        app.book.keep(row);
    }
    Ok(())
}

#[tonic::async_trait]
impl Directory for Mailroom {
    fn wanted(&self) -> Vec<Wanted> {
        let enabled = self
            .app
            .book
            .all(|known| known.kind == ChannelKind::Email && known.state == ChannelState::Enabled);
        enabled
            .into_iter()
            .map(|known| Wanted {
                channel: known.id,
                account: known.account.to_string(),
                revision: known.credentials,
            })
            .collect()
    }

    async fn account(&self, channel: Uuid, renewed: bool) -> Result<Account, NoAccount> {
        let Found::Known(known) = self.app.book.find(channel).await else {
            return Err(NoAccount::Away);
        };
        let Credentials::Email(mailbox) = &known.access else {
            return Err(NoAccount::Away);
        };
        Ok(Account {
            endpoint: endpoint(&mailbox.imap),
            login: login(&self.app, channel, known.credentials, mailbox, renewed).await?,
        })
    }
}
