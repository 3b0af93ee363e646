//! Following mailboxes: each by one replica at a time, one connection a mailbox (channels.md §5.1, §7.23–34).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use chassis::{clock, id};
use sqlx::PgPool;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::domain::mailbox::Rhythm;
use crate::provider::wire::Wires;
use crate::store::mailboxes::{self, Free, Held};

mod fault;
mod follow;
mod notes;
mod sides;

pub use sides::{Account, Away, Directory, Mail, NoAccount, Poison, Sink, Wanted};

use fault::End;
use follow::Follower;

/// How long sessions may take to end.
const GRACE: Duration = Duration::from_secs(8);

/// How mailboxes are followed.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// How long a mailbox is held without a sign of life.
    pub lease: Duration,
    /// How often it is given; with the lease it bounds how long a mailbox stays alone when its holder dies.
    pub renew: Duration,
    /// Mailboxes of one replica at most.
    pub capacity: usize,
    /// How often they are looked into.
    pub rhythm: Rhythm,
    /// Mails that are looked at together.
    pub batch: usize,
    /// A larger mail is cut, in bytes.
    pub size_limit: u32,
    /// How long one mail may take, in all.
    pub mail_limit: Duration,
    /// Bytes of mails in memory at once, over all mailboxes.
    pub memory: usize,
    /// How long to wait after the credentials were refused: servers lock out those who try quickly.
    pub after_refusal: Duration,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(20),
            renew: Duration::from_secs(6),
            capacity: 1_000,
            rhythm: Rhythm {
                reissue: Duration::from_mins(9),
                poll: Duration::from_mins(3),
                poll_without_idle: Duration::from_mins(1),
            },
            batch: 50,
            size_limit: 40_000_000,
            mail_limit: Duration::from_mins(10),
            memory: 256 << 20,
            after_refusal: Duration::from_secs(30),
        }
    }
}

/// What all sessions share.
struct Shared {
    pool: PgPool,
    wires: Wires,
    directory: Arc<dyn Directory>,
    sink: Arc<dyn Sink>,
    terms: Terms,
    /// Kibibytes of mails that may be in memory.
    memory: Semaphore,
}

/// A session under way.
struct Running {
    held: Held,
    revision: i64,
    stop: CancellationToken,
    task: JoinHandle<End>,
}

/// Follows mailboxes.
pub struct Mailboxes {
    shared: Arc<Shared>,
    owner: Uuid,
    running: HashMap<Uuid, Running>,
    /// Until when the leases hold for certain.
    safe_until: Instant,
}

impl Mailboxes {
    /// Makes it; [`Mailboxes::run`] begins.
    pub fn new(
        pool: PgPool,
        wires: Wires,
        directory: Arc<dyn Directory>,
        sink: Arc<dyn Sink>,
        terms: Terms,
    ) -> Self {
        let shared = Shared {
            pool,
            wires,
            directory,
            sink,
            terms,
            memory: Semaphore::new(kibibytes(terms.memory)),
        };
        Self {
            shared: Arc::new(shared),
            owner: id::v7(clock::now()),
            running: HashMap::new(),
            safe_until: Instant::now(),
        }
    }

    /// Takes mailboxes and keeps them until it is asked to stop; then says goodbye to their servers and gives them back.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(self.shared.terms.renew);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut changes = self.shared.directory.changes();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = ticks.tick() => {}
                // Who would tell of changes has gone: the ticks are left.
                Ok(()) = changes.changed() => {}
            }
            self.tick().await;
        }
        for running in self.running.values() {
            running.stop.cancel();
        }
        let deadline = Instant::now() + GRACE;
        let mut held = Vec::new();
        for (_, mut running) in self.running.drain() {
            if tokio::time::timeout_at(deadline, &mut running.task)
                .await
                .is_err()
            {
                running.task.abort();
            }
            held.push(running.held);
        }
        if let Err(error) = give_back(&self.shared.pool, &held).await {
            tracing::warn!(%error, "mailboxes could not be given back: others wait for the leases to end");
        }
    }

    async fn tick(&mut self) {
        let wanted: HashMap<Uuid, Wanted> = self
            .shared
            .directory
            .wanted()
            .into_iter()
            .map(|wanted| (wanted.channel, wanted))
            .collect();
        let revision = |channel: &Uuid| wanted.get(channel).map(|wanted| wanted.revision);
        for (channel, running) in &self.running {
            if revision(channel) != Some(running.revision) {
                running.stop.cancel();
            }
        }
        let ended = self.reap().await;
        let began = Instant::now();
        let limit = self.shared.terms.renew;
        match tokio::time::timeout(limit, self.exchange(&wanted, &ended)).await {
            Ok(Ok((kept, claimed))) => {
                self.safe_until = began + self.shared.terms.lease;
                let kept: HashSet<Uuid> = kept.into_iter().collect();
                for running in self.running.values() {
                    if !kept.contains(&running.held.channel_id) {
                        running.stop.cancel();
                    }
                }
                for held in claimed {
                    if let Some(wanted) = wanted.get(&held.channel_id) {
                        self.begin(held, wanted.clone());
                    }
                }
            }
            failed => {
                if let Ok(Err(error)) = failed {
                    tracing::warn!(%error, "leases of mailboxes could not be renewed");
                }
                // Another replica may take them soon: two sessions of one mailbox are one too many.
                if Instant::now() + limit >= self.safe_until {
                    for running in self.running.values() {
                        running.stop.cancel();
                    }
                }
            }
        }
    }

    /// Takes away sessions that have ended; returns their mailboxes.
    async fn reap(&mut self) -> Vec<Held> {
        let ended = self
            .running
            .extract_if(|_, running| running.task.is_finished());
        let ended: Vec<(Uuid, Running)> = ended.collect();
        let mut held = Vec::with_capacity(ended.len());
        for (channel, running) in ended {
            if let Err(error) = running.task.await {
                tracing::error!(%error, channel.id = %channel, "a session of a mailbox broke down");
            }
            held.push(running.held);
        }
        held
    }

    /// Gives back what ended, renews what runs, and takes what nobody holds.
    async fn exchange(
        &self,
        wanted: &HashMap<Uuid, Wanted>,
        ended: &[Held],
    ) -> Result<(Vec<Uuid>, Vec<Held>), sqlx::Error> {
        let terms = &self.shared.terms;
        let seconds = terms.lease.as_secs_f64();
        give_back(&self.shared.pool, ended).await?;
        let mut connection = self.shared.pool.acquire().await?;
        let running: Vec<Held> = self.running.values().map(|running| running.held).collect();
        let kept = if running.is_empty() {
            Vec::new()
        } else {
            mailboxes::renew(&mut connection, &running, seconds).await?
        };
        let room = terms.capacity.saturating_sub(running.len());
        let free: Vec<Free> = wanted
            .values()
            .filter(|wanted| !self.running.contains_key(&wanted.channel))
            .map(|wanted| Free {
                channel_id: wanted.channel,
                account: wanted.account.clone(),
                credentials: wanted.revision,
            })
            .collect();
        if room == 0 || free.is_empty() {
            return Ok((kept, Vec::new()));
        }
        let limit = i64::try_from(room).unwrap_or(i64::MAX);
        let claimed = mailboxes::claim(&mut connection, self.owner, &free, seconds, limit);
        Ok((kept, claimed.await?))
    }

    fn begin(&mut self, held: Held, wanted: Wanted) {
        let (stop, revision) = (CancellationToken::new(), wanted.revision);
        let follower = Follower::new(Arc::clone(&self.shared), held, wanted, stop.clone());
        let running = Running {
            held,
            revision,
            stop,
            task: tokio::spawn(follower.run()),
        };
        self.running.insert(held.channel_id, running);
    }
}

impl Drop for Mailboxes {
    /// A session that nobody renews must not go on.
    fn drop(&mut self) {
        for running in self.running.values() {
            running.task.abort();
        }
    }
}

async fn give_back(pool: &PgPool, held: &[Held]) -> Result<(), sqlx::Error> {
    if held.is_empty() {
        return Ok(());
    }
    let mut connection = pool.acquire().await?;
    mailboxes::release(&mut connection, held).await
}

fn kibibytes(bytes: usize) -> usize {
    (bytes / 1024).clamp(1, 1 << 30)
}
