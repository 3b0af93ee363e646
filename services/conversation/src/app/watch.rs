//! `WatchChats`: what changes in lists of chats, told to everybody who looks at one.
//!
//! A replica reads the changes of an account once, for all who watch it there. Who comes with a place from before, or falls
//! behind, reads what is missing by themselves and goes on with the others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chassis::access::AccessCopy;
use chassis::auth::Caller;
use chassis::id::{AccountSlug, AgentId};
use chassis::lifecycle::Lifecycle;
use sqlx::PgPool;
use switchboard_proto::conversation::v1 as pb;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::mpsc;

use super::{access, read};
use crate::domain::chat::Chat;
use crate::error::Error;
use crate::store::chat::{Changes, Cursor, Narrowing, Whose, changes};

/// How often the changes of a watched account are looked for.
const LOOK: Duration = Duration::from_millis(250);

/// Changes that are read at once.
const AT_ONCE: i64 = 500;

/// Looks that wait for a slow reader, who then reads by themselves.
const HELD: usize = 32;

/// How often it is looked at whether the caller may still see what they watch.
const LOOK_AT_RIGHTS: Duration = Duration::from_secs(1);

/// A stream lasts this long at most: then the caller's token is asked for again.
pub const LASTS: Duration = Duration::from_hours(1);

/// What one look found.
struct Look {
    from: Cursor,
    to: Cursor,
    /// None where there were too many: everybody reads them page by page.
    shown: Option<Vec<Shown>>,
}

/// A chat as the store has it and as readers see it, and the place of its change.
struct Shown {
    chat: Chat,
    out: pb::Chat,
    place: Cursor,
}

/// A list that somebody looks at.
#[derive(Debug, Clone)]
pub struct List {
    /// What it is narrowed to.
    pub narrowing: Narrowing,
    /// Whose chats they are.
    pub whose: Whose,
}

impl List {
    /// Tells whether a chat stands in the list now.
    fn holds(&self, shown: &Shown) -> bool {
        let joined = |agent: AgentId| {
            let agent = agent.to_string();
            shown.out.participant_agent_ids.contains(&agent)
        };
        self.narrowing.holds(&shown.chat) && self.whose.holds(&shown.chat, joined)
    }
}

/// The lists that are watched on this replica.
#[derive(Clone)]
pub struct Watch {
    pool: PgPool,
    access: AccessCopy,
    lifecycle: Lifecycle,
    looked: Arc<Mutex<HashMap<AccountSlug, broadcast::Sender<Arc<Look>>>>>,
}

/// What a stream yields.
pub type Told = Result<(Vec<pb::ChatChange>, Cursor), Error>;

impl Watch {
    /// Makes it over a database; looks are tasks of the lifecycle.
    pub fn new(pool: PgPool, access: AccessCopy, lifecycle: Lifecycle) -> Self {
        Self {
            pool,
            access,
            lifecycle,
            looked: Arc::default(),
        }
    }

    fn looked(&self) -> MutexGuard<'_, HashMap<AccountSlug, broadcast::Sender<Arc<Look>>>> {
        self.looked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches a list from a place on, or from now, until nobody listens, the service stops, or the caller's rights change.
    ///
    /// The first that is told is the place, with the changes since where there are any.
    pub async fn watch(
        &self,
        caller: Caller,
        list: List,
        from: Option<Cursor>,
    ) -> Result<mpsc::Receiver<Told>, Error> {
        access::may_use_chats(&caller)?;
        let looks = self.follow(caller.account());
        let place = match from {
            Some(place) => place,
            None => changes::now(&mut *self.pool.acquire().await?).await?,
        };
        let (tell, told) = mpsc::channel(1);
        let mut list = list;
        list.narrowing.granted = access::granted(&caller);
        let mut watcher = Watcher {
            watch: self.clone(),
            caller,
            list,
            place,
            tell,
        };
        let stop = self.lifecycle.stop_token();
        let reader = watcher.tell.clone();
        tokio::spawn(async move {
            let ended = tokio::select! {
                ended = watcher.run(looks) => ended,
                () = reader.closed() => return,
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LASTS) => return,
            };
            if let Err(error) = ended {
                // Nobody may be there any more to hear it.
                drop(reader.send(Err(error)).await);
            }
        });
        Ok(told)
    }

    /// Joins those who watch an account; the first of them begins the looks.
    fn follow(&self, account: &AccountSlug) -> broadcast::Receiver<Arc<Look>> {
        let mut looked = self.looked();
        if let Some(looks) = looked.get(account) {
            return looks.subscribe();
        }
        let (tell, looks) = broadcast::channel(HELD);
        looked.insert(account.clone(), tell);
        drop(looked);
        let (watch, account) = (self.clone(), account.clone());
        let stop = self.lifecycle.stop_token();
        tokio::spawn(async move {
            let mut place = None;
            while tokio::time::timeout(LOOK, stop.cancelled()).await.is_err() {
                if !watch.is_watched(&account) {
                    return;
                }
                match watch.look(&account, place).await {
                    Ok(look) => {
                        place = Some(look.to);
                        if let Some(tell) = watch.looked().get(&account) {
                            // Whoever left meanwhile hears nothing.
                            drop(tell.send(Arc::new(look)));
                        }
                    }
                    Err(error) => tracing::warn!(%error, "changes of chats could not be read"),
                }
            }
        });
        looks
    }

    /// Tells whether somebody watches an account; who does not any more is forgotten.
    fn is_watched(&self, account: &AccountSlug) -> bool {
        let mut looked = self.looked();
        let watched = looked
            .get(account)
            .is_some_and(|tell| tell.receiver_count() > 0);
        if !watched {
            looked.remove(account);
        }
        watched
    }

    async fn look(&self, account: &AccountSlug, place: Option<Cursor>) -> Result<Look, Error> {
        let mut connection = self.pool.acquire().await?;
        let now = changes::now(&mut connection).await?;
        let Some(from) = place.filter(|from| from.0 <= now.0) else {
            return Ok(Look {
                from: now,
                to: now,
                shown: Some(Vec::new()),
            });
        };
        let found = changes::after(&mut connection, account, from, AT_ONCE).await?;
        let Some(found) = found else {
            return Ok(Look {
                from: now,
                to: now,
                shown: Some(Vec::new()),
            });
        };
        if found.more {
            return Ok(Look {
                from,
                to: now,
                shown: None,
            });
        }
        let to = found.to;
        Ok(Look {
            from,
            to,
            shown: Some(shown(&mut connection, found).await?),
        })
    }
}

async fn shown(connection: &mut sqlx::PgConnection, found: Changes) -> Result<Vec<Shown>, Error> {
    let (chats, places): (Vec<Chat>, Vec<Cursor>) = found.chats.into_iter().unzip();
    let out = read::shown(connection, &chats).await?;
    let shown = chats.into_iter().zip(out).zip(places);
    Ok(shown
        .map(|((chat, out), place)| Shown { chat, out, place })
        .collect())
}

/// Who watches a list.
struct Watcher {
    watch: Watch,
    caller: Caller,
    list: List,
    place: Cursor,
    tell: mpsc::Sender<Told>,
}

impl Watcher {
    async fn run(&mut self, mut looks: broadcast::Receiver<Arc<Look>>) -> Result<(), Error> {
        self.catch_up().await?;
        self.tell(Vec::new(), self.place, true).await?;
        let mut rights = tokio::time::interval(LOOK_AT_RIGHTS);
        loop {
            let look = tokio::select! {
                look = looks.recv() => look,
                _ = rights.tick() => {
                    access::still_may(&self.watch.access, &self.caller).await?;
                    continue;
                }
            };
            match look {
                Ok(look) if look.to <= self.place => {}
                Ok(look) => match &look.shown {
                    Some(shown) if look.from <= self.place => {
                        let changes = self.changes(shown);
                        self.tell(changes, look.to, false).await?;
                    }
                    _ => self.catch_up().await?,
                },
                Err(RecvError::Lagged(_)) => self.catch_up().await?,
                Err(RecvError::Closed) => return Ok(()),
            }
        }
    }

    /// Reads by itself what it has missed.
    async fn catch_up(&mut self) -> Result<(), Error> {
        loop {
            let mut connection = self.watch.pool.acquire().await?;
            let account = self.caller.account();
            let found = changes::after(&mut connection, account, self.place, AT_ONCE).await?;
            let found = found.ok_or(Error::PlaceUnknown)?;
            let (to, more) = (found.to, found.more);
            let shown = shown(&mut connection, found).await?;
            drop(connection);
            let changes = self.changes(&shown);
            self.tell(changes, to, false).await?;
            if !more {
                return Ok(());
            }
        }
    }

    /// Chats behind the place that exist for the caller, each with whether it stands in the list.
    fn changes(&self, shown: &[Shown]) -> Vec<pb::ChatChange> {
        let seen = shown
            .iter()
            .filter(|shown| shown.place > self.place && access::sees(&self.caller, &shown.chat));
        seen.map(|shown| pb::ChatChange {
            chat: Some(shown.out.clone()),
            listed: self.list.holds(shown),
        })
        .collect()
    }

    /// Tells changes with the place after them; the place alone only where it is asked for.
    async fn tell(
        &mut self,
        changes: Vec<pb::ChatChange>,
        to: Cursor,
        always: bool,
    ) -> Result<(), Error> {
        self.place = to;
        if changes.is_empty() && !always {
            return Ok(());
        }
        let told = self.tell.send(Ok((changes, to))).await;
        // Its reader left: the stream ends by that.
        told.map_err(|_| Error::AccessChanged)
    }
}
