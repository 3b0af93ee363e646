//! Mailboxes as channels: which are followed, where their mails go, and how answers leave.

mod access;
mod ids;

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use chassis::outbox;
use chassis::pauses::Holding;
use chassis::trace::TraceContext;
use chassis::{clock, id};
use switchboard_proto::channel_gateway::v1::InboundEvent;
use time::OffsetDateTime;
use tokio::sync::watch;
use uuid::Uuid;

use super::App;
use super::accept::{self, Intake};
use super::book::{Found, Known};
use super::mailbox::{Account, Away, Directory, Mail, NoAccount, Poison, Sink, Wanted};
use super::sent_copy::Copies;
use super::trouble::{self, Refused};
use crate::config;
use crate::domain::attachments::for_each_mut;
use crate::domain::channel::ChannelKind;
use crate::domain::credentials::{Credentials, MailServer, Security};
use crate::domain::email::normalise::Claim;
use crate::domain::email::{self, Fetched, Ours, Reading, Standing};
use crate::domain::file::object_key;
use crate::domain::inbound::{Line, frame, unsupported};
use crate::domain::mailbox::Folder;
use crate::error::{DOMAIN, Error};
use crate::provider::outward::{Limits, Outward};
use crate::provider::smtp::Submission;
use crate::provider::wire::{self, Endpoint, Rules, Wires};

use access::InUse;
pub use access::{CREDENTIALS_REFUSED, login, prove, prove_channel};

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
    tokens_from: Outward,
    tokens: InUse,
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
        let limits = Limits {
            plain: config.allow_plain,
            private: config.allow_private,
        };
        let tokens_from = Outward::new(limits, config.connect_timeout, config.connect_timeout * 2)?;
        Ok(Self {
            submission: Submission::new(wires.clone(), &config.hello, config.submit_timeout),
            wires,
            size_limit: u32::try_from(config.size_limit).unwrap_or(u32::MAX),
            limit: config.submit_timeout * 2,
            max_age: config.max_age,
            copies: Copies::default(),
            tokens_from,
            tokens: InUse::default(),
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
        let reading = read(known, mail, raw_ref.clone(), uid_key, came, now).await?;
        let standing = match reading.claim() {
            Some(claim) => self.standing(known.id, claim, now).await?,
            None => Standing::default(),
        };
        let (mut events, files) = reading.settle(&standing);
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

    /// Looks up what came, and went out, under the Message-IDs of a mail. Decided once, in the database: whoever reads the
    /// mail again, in whatever life of its folder, finds the same.
    async fn standing(
        &self,
        channel: Uuid,
        claim: &Claim,
        now: OffsetDateTime,
    ) -> Result<Standing, Away> {
        ids::standing(&self.app.pool, channel, claim, now)
            .await
            .map_err(|error| {
                tracing::warn!(%error, "what came before a mail cannot be looked up: trying again");
                Away
            })
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
) -> Result<Reading, Away> {
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
        email::reading(line, &ours, &meta, &raw, now)
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
        // Of one that is disconnected, too: its mails may be refused where they are handed over, while clients still
        // write (channels.md §7.15). One that cannot be read is left alone by what is noted of it. One that is paused is
        // read when the pause ends; those of a drained replica are the others' (O3.6).
        let holding = self.app.pauses.holding();
        if holding.drained().is_some() {
            return Vec::new();
        }
        let heard = self.app.book.all(|known| {
            known.kind == ChannelKind::Email && known.is_heard() && !holding.channel(known.id)
        });
        heard
            .into_iter()
            .map(|known| Wanted {
                channel: known.id,
                account: known.account.to_string(),
                revision: known.credentials,
            })
            .collect()
    }

    fn changes(&self) -> watch::Receiver<Arc<Holding>> {
        self.app.pauses.watch()
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
