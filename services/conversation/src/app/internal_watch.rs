//! `WatchInternalNotifications`: what becomes of an agent's notifications of internal messages, told as it happens.
//!
//! Whatever changes them raises a number of the agent's, in the same transaction. A replica looks at the numbers of all who watch
//! there by one query, and who finds theirs raised reads what stands behind the number they were told last: so nothing is missed,
//! whichever replica it happened on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chassis::access::AccessCopy;
use chassis::auth::Caller;
use chassis::lifecycle::Lifecycle;
use sqlx::PgPool;
use switchboard_proto::conversation::v1 as pb;
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use super::internal_chat::{unread, whose};
use super::{access, watch as chats};
use crate::error::Error;
use crate::store::internal_chat::{self as store, Key, Notified, Whose};
use crate::wire;

/// How often the numbers are looked at.
const LOOK: Duration = Duration::from_millis(250);

/// How often it is looked at whether the caller may still see what they watch.
const LOOK_AT_RIGHTS: Duration = Duration::from_secs(1);

/// Unread notifications that are told at the beginning.
const FIRST: i64 = 50;

/// Changes that are told at once.
const AT_ONCE: usize = 200;

/// What a stream yields.
pub type Told = Result<pb::WatchInternalNotificationsResponse, Error>;

/// The agents who watch on this replica.
#[derive(Clone)]
pub struct InternalWatch {
    pool: PgPool,
    access: AccessCopy,
    lifecycle: Lifecycle,
    watched: Arc<Mutex<HashMap<Key, watch::Sender<i64>>>>,
}

impl InternalWatch {
    /// Makes it over a database.
    pub fn new(pool: PgPool, access: AccessCopy, lifecycle: Lifecycle) -> Self {
        Self {
            pool,
            access,
            lifecycle,
            watched: Arc::default(),
        }
    }

    /// Looks at the numbers of who watches, until the service stops.
    pub fn listen(&self) {
        let (watch, stop) = (self.clone(), self.lifecycle.stop_token());
        self.lifecycle.spawn("internal notifications", async move {
            while tokio::time::timeout(LOOK, stop.cancelled()).await.is_err() {
                if let Err(error) = watch.look().await {
                    tracing::warn!(%error, "internal notifications could not be looked at");
                }
            }
            Ok(())
        });
    }

    fn watched(&self) -> MutexGuard<'_, HashMap<Key, watch::Sender<i64>>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn look(&self) -> Result<(), Error> {
        let keys: Vec<Key> = {
            let mut watched = self.watched();
            watched.retain(|_, tell| tell.receiver_count() > 0);
            watched.keys().cloned().collect()
        };
        if keys.is_empty() {
            return Ok(());
        }
        let versions = store::versions(&mut *self.pool.acquire().await?, &keys).await?;
        let watched = self.watched();
        for (key, version) in versions {
            if let Some(tell) = watched.get(&key) {
                tell.send_if_modified(|known| std::mem::replace(known, version) != version);
            }
        }
        Ok(())
    }

    /// Tells the calling agent what is unread, and what becomes of notifications from now on, until nobody listens, the service
    /// stops, or the agent's rights change.
    pub fn watch(&self, caller: Caller) -> Result<mpsc::Receiver<Told>, Error> {
        let of = whose(&caller)?;
        let key = (of.account.clone(), of.agent);
        let raised = self
            .watched()
            .entry(key.clone())
            .or_insert_with(|| watch::channel(0).0)
            .subscribe();
        let (tell, told) = mpsc::channel(1);
        let (watch, stop) = (self.clone(), self.lifecycle.stop_token());
        tokio::spawn(async move {
            let ended = tokio::select! {
                ended = watch.run(&caller, key, raised, &tell) => ended,
                () = tell.closed() => return,
                () = stop.cancelled() => return,
                () = tokio::time::sleep(chats::LASTS) => return,
            };
            if let Err(error) = ended {
                // Nobody may be there any more to hear it.
                drop(tell.send(Err(error)).await);
            }
        });
        Ok(told)
    }

    async fn run(
        &self,
        caller: &Caller,
        key: Key,
        mut raised: watch::Receiver<i64>,
        tell: &mpsc::Sender<Told>,
    ) -> Result<(), Error> {
        let of = whose(caller)?;
        let (mut place, mut found) = self.begin(&of, key).await?;
        let (mut first, limit) = (true, i64::try_from(AT_ONCE).unwrap_or(i64::MAX));
        loop {
            if first || !found.is_empty() {
                // No connection is held while a slow reader is told.
                let unread = unread(&mut *self.pool.acquire().await?, &of).await?;
                let told = pb::WatchInternalNotificationsResponse {
                    changed: found.iter().map(wire::internal_notification).collect(),
                    unread: Some(unread),
                };
                if tell.send(Ok(told)).await.is_err() {
                    return Ok(());
                }
            }
            if first || found.len() < AT_ONCE {
                first = false;
                self.wait(caller, &mut raised).await?;
            }
            found = store::changed(&mut *self.pool.acquire().await?, &of, place, limit).await?;
            if let Some(last) = found.last() {
                place = (last.version, last.message.id.uuid());
            }
        }
    }

    /// Returns what is unread, and the place behind which more is to be read. The place comes first: what becomes of notifications
    /// meanwhile is told once more.
    async fn begin(&self, of: &Whose<'_>, key: Key) -> Result<((i64, Uuid), Vec<Notified>), Error> {
        let mut connection = self.pool.acquire().await?;
        let versions = store::versions(&mut connection, &[key]).await?;
        let version = versions.first().map_or(0, |(_, version)| *version);
        let found = store::notifications(&mut connection, of, true, Uuid::max(), FIRST).await?;
        Ok(((version, Uuid::max()), found))
    }

    /// Waits until the agent's number is raised.
    async fn wait(&self, caller: &Caller, raised: &mut watch::Receiver<i64>) -> Result<(), Error> {
        let mut rights = tokio::time::interval(LOOK_AT_RIGHTS);
        loop {
            tokio::select! {
                changed = raised.changed() => return changed.map_err(|_| Error::AccessChanged),
                _ = rights.tick() => access::still_may(&self.access, caller).await?,
            }
        }
    }
}
