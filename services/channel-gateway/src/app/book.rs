//! The channels in memory, so that webhooks of known channels are accepted while the database is away.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use chassis::id::AccountSlug;
use chassis::seal::Sealer;
use moka::future::Cache;
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::PgPool;
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::domain::channel::{ChannelKind, ChannelState};
use crate::domain::credentials::Credentials;
use crate::error::Error;
use crate::store::channels::{self, ChannelRow};
use crate::store::lines;

/// How often changes of other replicas are looked for.
pub const REFRESH: Duration = Duration::from_secs(5);

/// How far back a refresh looks; whoever was away longer reads everything.
const WINDOW: Duration = Duration::from_mins(1);

/// How long an id that the database does not know is not asked for again.
const UNKNOWN_FOR: Duration = Duration::from_secs(2);

/// How long a webhook waits for the database to tell whether a channel exists.
const LOOK_UP: Duration = Duration::from_millis(1_500);

/// Look-ups at once: whoever calls us with made-up ids must not take all connections.
const LOOK_UPS: usize = 2;

/// A channel as webhooks and deliveries need it. Its `Debug` shows no secret.
#[derive(Debug, Clone)]
pub struct Known {
    /// Id.
    pub id: Uuid,
    /// The account.
    pub account: AccountSlug,
    /// Kind.
    pub kind: ChannelKind,
    /// Name inside the account.
    pub name: String,
    /// The provider's own id of the line.
    pub provider_account: String,
    /// State.
    pub state: ChannelState,
    /// What signs it in.
    pub access: Credentials,
    /// The secret of its webhook.
    pub secret: SecretString,
    /// Counts changes of credentials.
    pub credentials: i64,
    /// The provider vouches that the line is its own, and no administrator gave it up. Whatever account enters a line's
    /// id has a channel that names it.
    pub proven: bool,
}

impl Known {
    /// Tells whether customers are heard. Credentials may be refused for sending while they still write: that is kept
    /// (channels.md §7.15). Where an administrator disconnected the channel, nobody is heard.
    pub fn is_heard(&self) -> bool {
        self.state != ChannelState::Disabled && !self.is_forgotten()
    }

    /// Tells whether an administrator disconnected the channel.
    pub fn is_forgotten(&self) -> bool {
        matches!(self.access, Credentials::Forgotten(_))
    }
}

/// What the book says of an id.
pub enum Found {
    /// The channel.
    Known(Arc<Known>),
    /// The database says that there is none.
    Unknown,
    /// Nobody can tell now.
    Away,
}

/// The channels in memory.
pub struct Book {
    pool: PgPool,
    sealer: Sealer,
    channels: RwLock<HashMap<Uuid, Arc<Known>>>,
    unknown: Cache<Uuid, ()>,
    look_ups: Semaphore,
    refreshed: RwLock<Option<Instant>>,
}

impl Book {
    /// Makes an empty book.
    pub fn new(pool: PgPool, sealer: Sealer) -> Self {
        Self {
            pool,
            sealer,
            channels: RwLock::default(),
            unknown: Cache::builder()
                .max_capacity(10_000)
                .time_to_live(UNKNOWN_FOR)
                .build(),
            look_ups: Semaphore::new(LOOK_UPS),
            refreshed: RwLock::default(),
        }
    }

    /// Reads what changed since the last time; everything at first.
    pub async fn refresh(&self) -> Result<(), Error> {
        let began = Instant::now();
        let last = *self
            .refreshed
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let recent = last.is_some_and(|last| began.duration_since(last) < WINDOW / 2);
        let mut connection = self.pool.acquire().await?;
        let rows =
            channels::changed_within(&mut connection, recent.then_some(WINDOW.as_secs_f64()))
                .await?;
        for row in rows {
            self.keep(&row);
        }
        *self
            .refreshed
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Some(began);
        Ok(())
    }

    /// Returns a channel from memory.
    pub fn get(&self, id: Uuid) -> Option<Arc<Known>> {
        self.channels
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&id)
            .cloned()
    }

    /// Returns the channels in memory that a caller wants.
    pub fn all(&self, wanted: impl Fn(&Known) -> bool) -> Vec<Arc<Known>> {
        self.channels
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .filter(|known| wanted(known))
            .cloned()
            .collect()
    }

    /// Returns a channel from memory, else from the database.
    pub async fn find(&self, id: Uuid) -> Found {
        if let Some(known) = self.get(id) {
            return Found::Known(known);
        }
        if self.unknown.contains_key(&id) {
            return Found::Unknown;
        }
        match tokio::time::timeout(LOOK_UP, self.look_up(id)).await {
            Ok(Ok(Some(known))) => Found::Known(known),
            Ok(Ok(None)) => {
                self.unknown.insert(id, ()).await;
                Found::Unknown
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, channel.id = %id, "channel could not be looked up");
                Found::Away
            }
            Err(_) => Found::Away,
        }
    }

    /// Returns a channel as the database has it now, or as it is remembered while the database is away.
    pub async fn find_fresh(&self, id: Uuid) -> Found {
        match tokio::time::timeout(LOOK_UP, self.look_up(id)).await {
            Ok(Ok(Some(known))) => Found::Known(known),
            _ => self.find(id).await,
        }
    }

    /// Returns the channel that has a line proven which the provider names by its own id, from memory, else from the
    /// database.
    pub async fn find_line(&self, kind: ChannelKind, provider_account: &str) -> Found {
        let known = self
            .channels
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .find(|known| {
                known.kind == kind && known.provider_account == provider_account && known.proven
            })
            .cloned();
        if let Some(known) = known {
            return Found::Known(known);
        }
        match tokio::time::timeout(LOOK_UP, self.look_up_line(kind, provider_account)).await {
            Ok(Ok(Some(known))) => Found::Known(known),
            Ok(Ok(None)) => Found::Unknown,
            Ok(Err(error)) => {
                tracing::warn!(%error, kind = kind.as_str(), "channel could not be looked up");
                Found::Away
            }
            Err(_) => Found::Away,
        }
    }

    async fn look_up_line(
        &self,
        kind: ChannelKind,
        provider_account: &str,
    ) -> Result<Option<Arc<Known>>, Error> {
        let Ok(_permit) = self.look_ups.acquire().await else {
            return Ok(None);
        };
        let mut connection = self.pool.acquire().await?;
        let row = lines::find(&mut connection, kind, provider_account).await?;
        Ok(row.as_ref().and_then(|row| self.keep(row)))
    }

    async fn look_up(&self, id: Uuid) -> Result<Option<Arc<Known>>, Error> {
        let Ok(_permit) = self.look_ups.acquire().await else {
            return Ok(None);
        };
        let mut connection = self.pool.acquire().await?;
        let rows = channels::load(&mut connection, &[id]).await?;
        Ok(rows.first().and_then(|row| self.keep(row)))
    }

    /// Keeps a row. One that cannot be opened is logged and left out: the others must work.
    pub fn keep(&self, row: &ChannelRow) -> Option<Arc<Known>> {
        match self.open(row) {
            Ok(known) => {
                let known = Arc::new(known);
                self.channels
                    .write()
                    .unwrap_or_else(PoisonError::into_inner)
                    .insert(row.id, Arc::clone(&known));
                Some(known)
            }
            Err(error) => {
                tracing::error!(channel.id = %row.id, account = row.account, %error, "channel cannot be used");
                None
            }
        }
    }

    fn open(&self, row: &ChannelRow) -> Result<Known, Error> {
        let secret = |sealed: &[u8], what| -> Result<SecretString, Error> {
            let opened = self.sealer.open(sealed, &aad(row.id, what))?;
            Ok(String::from_utf8_lossy(&opened).into_owned().into())
        };
        let kind = row.kind()?;
        let sealed = secret(&row.token_sealed, "token")?;
        Ok(Known {
            kind,
            name: row.name.clone(),
            id: row.id,
            account: row.account()?,
            provider_account: row.provider_account.clone(),
            state: row.state()?,
            access: Credentials::from_text(kind, sealed.expose_secret())
                .map_err(crate::store::unreadable)?,
            secret: secret(&row.secret_sealed, "secret")?,
            credentials: row.credentials,
            proven: row.proven_at.is_some() && row.released_at.is_none(),
        })
    }
}

/// What a sealed secret is bound to: it opens in its own row and column only.
pub fn aad(channel: Uuid, what: &str) -> Vec<u8> {
    format!("channel:{channel}:{what}").into_bytes()
}
