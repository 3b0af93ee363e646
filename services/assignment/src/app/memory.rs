//! What choices need again and again, remembered between transactions. All of it can be forgotten at any time: what is
//! remembered is compared with the database under the locks of a choice, and only what has changed is read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chassis::id::AccountSlug;
use moka::future::Cache;
use sqlx::PgConnection;

use crate::store::choices::{ChoiceRow, Look, LookKey, look_key};
use crate::store::policies::{self, ChannelKey, Read};
use crate::store::rosters::{self, Roster};

/// Agents, entries of pools and candidates remembered at once, of each kind.
const REMEMBERED: u64 = 200_000;

/// After this long everything is read whole again: what nobody thought of (a database that was restored, a process of
/// another version) is put right by then.
const RENEWED: Duration = Duration::from_mins(1);

/// For how long choices refer to one look. It must be far less than the age at which looks are purged.
const OF_ONE_LOOK: Duration = Duration::from_mins(30);

/// The memory of a process. Clones share it.
#[derive(Clone, Debug)]
pub struct Memory {
    rosters: Cache<AccountSlug, Aged<Roster>>,
    policies: Cache<ChannelKey, Aged<Read>>,
    looks: Cache<LookKey, Aged<Look>>,
}

/// Something remembered, and when it was read or kept whole.
#[derive(Debug)]
struct Aged<T> {
    whole_at: Instant,
    value: Arc<T>,
}

// Derived, it would ask for `T: Clone`.
impl<T> Clone for Aged<T> {
    fn clone(&self) -> Self {
        Self {
            whole_at: self.whole_at,
            value: Arc::clone(&self.value),
        }
    }
}

impl<T> Aged<T> {
    fn is_young(&self, at_most: Duration) -> bool {
        self.whole_at.elapsed() < at_most
    }

    /// Returns what came of reading what has changed: it is as old as what it was read for, or new where that was nothing.
    fn renewed(known: Option<&Self>, value: T) -> Self {
        Self {
            whole_at: known.map_or_else(Instant::now, |known| known.whole_at),
            value: Arc::new(value),
        }
    }
}

fn weight(entries: usize) -> u32 {
    // What has no entries takes room, too.
    u32::try_from(entries).unwrap_or(u32::MAX).max(8)
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            rosters: Cache::builder()
                .weigher(|_, roster: &Aged<Roster>| weight(roster.value.len()))
                .max_capacity(REMEMBERED)
                .time_to_live(RENEWED)
                .build(),
            policies: Cache::builder()
                .weigher(|_, read: &Aged<Read>| weight(read.value.policy.pool.len()))
                .max_capacity(REMEMBERED)
                .time_to_live(RENEWED)
                .build(),
            looks: Cache::builder()
                .weigher(|_, look: &Aged<Look>| weight(look.value.candidates.len()))
                .max_capacity(REMEMBERED)
                .time_to_live(OF_ONE_LOOK)
                .build(),
        }
    }
}

impl Memory {
    /// Returns the agents of an account as they are. Where that is to hold until the end of the transaction, the account's
    /// lock must be held.
    pub async fn roster(
        &self,
        connection: &mut PgConnection,
        account: &AccountSlug,
    ) -> Result<Arc<Roster>, sqlx::Error> {
        let known = self.rosters.get(account).await;
        let known = known.filter(|known| known.is_young(RENEWED));
        let read = rosters::read(connection, account, known.as_ref().map(|k| &*k.value)).await?;
        let roster = Aged::renewed(known.as_ref(), read);
        self.rosters.insert(account.clone(), roster.clone()).await;
        Ok(roster.value)
    }

    /// Returns a channel's policy as it is, without turns.
    pub async fn policy(
        &self,
        connection: &mut PgConnection,
        channel: &ChannelKey,
    ) -> Result<Option<Read>, sqlx::Error> {
        let known = self.known_policy(channel).await;
        policies::get(connection, channel, known.as_ref().map(|k| &*k.value)).await
    }

    async fn known_policy(&self, channel: &ChannelKey) -> Option<Aged<Read>> {
        let known = self.policies.get(channel).await;
        known.filter(|known| known.is_young(RENEWED))
    }

    /// Locks the policies of channels and returns those that were set.
    pub async fn lock_policies(
        &self,
        connection: &mut PgConnection,
        channels: &BTreeSet<ChannelKey>,
    ) -> Result<BTreeMap<ChannelKey, Arc<Read>>, sqlx::Error> {
        let mut remembered = BTreeMap::new();
        for channel in channels {
            if let Some(read) = self.known_policy(channel).await {
                remembered.insert(channel, read);
            }
        }
        let known = remembered.iter().map(|(key, read)| (*key, &*read.value));
        let locked = policies::lock(connection, channels, &known.collect()).await?;
        let mut policies = BTreeMap::new();
        for (channel, read) in locked {
            let read = Aged::renewed(remembered.get(&channel), read);
            self.policies.insert(channel.clone(), read.clone()).await;
            policies.insert(channel, read.value);
        }
        Ok(policies)
    }

    /// Returns the looks that choices may refer to.
    pub async fn looks(&self, choices: &[ChoiceRow]) -> BTreeMap<LookKey, Arc<Look>> {
        let mut looks = BTreeMap::new();
        for choice in choices {
            let Some(key) = look_key(&choice.account, &choice.candidates) else {
                continue;
            };
            if looks.contains_key(&key) {
                continue;
            }
            let known = self.looks.get(&key).await;
            if let Some(known) = known.filter(|known| known.is_young(OF_ONE_LOOK)) {
                looks.insert(key, known.value);
            }
        }
        looks
    }

    /// Remembers looks that were committed: choices may refer to them from now on.
    pub async fn keep(&self, looks: Vec<Look>) {
        for look in looks {
            if let Some(key) = look_key(&look.account, &look.candidates) {
                self.looks.insert(key, Aged::renewed(None, look)).await;
            }
        }
    }
}
