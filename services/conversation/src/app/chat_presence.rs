//! `ReportChatPresence` and `WatchChatPresence`: who is in a chat at this moment (B19), told from replica to replica over core
//! NATS and kept nowhere.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::Client;
use chassis::access::AccessCopy;
use chassis::auth::Caller;
use chassis::clock;
use chassis::grpc::timestamp;
use chassis::id::AccountSlug;
use chassis::lifecycle::Lifecycle;
use futures::StreamExt as _;
use prost::Message as _;
use sqlx::PgPool;
use switchboard_proto::conversation::v1 as pb;
use time::OffsetDateTime;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::mpsc;

use super::access;
use super::watch::LASTS;
use crate::domain::chat_presence::{Activity, Present};
use crate::domain::{AgentId, ChatId};
use crate::error::Error;
use crate::wire;

/// Under this stand the subjects. It is none of the event stream's.
const SUBJECT: &str = "switchboard.presence";

/// How often a replica that cannot listen tries again, and who watches is looked at whether they still may.
const LOOK: Duration = Duration::from_secs(1);

/// Changes that wait for a slow reader, who then looks by themselves.
const HELD: usize = 256;

/// Chats with somebody in them that a replica remembers at most; those of more are told of and not remembered.
const CHATS_MAX: usize = 100_000;

/// A chat of an account.
type Key = (AccountSlug, ChatId);

/// What a replica knows of who is where.
#[derive(Clone)]
pub struct ChatPresence {
    pool: PgPool,
    access: AccessCopy,
    nats: Client,
    known: Arc<Mutex<HashMap<Key, Present>>>,
    changed: broadcast::Sender<Key>,
}

impl ChatPresence {
    /// Makes it over the broker.
    pub fn new(pool: PgPool, access: AccessCopy, nats: Client) -> Self {
        Self {
            pool,
            access,
            nats,
            known: Arc::default(),
            changed: broadcast::channel(HELD).0,
        }
    }

    /// Listens to all replicas, until the service stops.
    pub fn listen(&self, lifecycle: &Lifecycle) {
        let (presence, stop) = (self.clone(), lifecycle.stop_token());
        lifecycle.spawn("presence in chats", async move {
            while !stop.is_cancelled() {
                let heard = stop.run_until_cancelled(presence.hear()).await;
                if let Some(Err(error)) = heard {
                    tracing::warn!(error, "presence in chats is not heard");
                }
                if tokio::time::timeout(LOOK, stop.cancelled()).await.is_ok() {
                    break;
                }
            }
            Ok(())
        });
    }

    async fn hear(&self) -> Result<(), String> {
        let subject = format!("{SUBJECT}.*.*");
        let subscribed = self.nats.subscribe(subject).await;
        let mut said = subscribed.map_err(|error| error.to_string())?;
        let mut passing = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                message = said.next() => match message {
                    Some(message) => self.take(&message.subject, &message.payload, clock::now()),
                    None => return Err("the subscription ended".to_owned()),
                },
                _ = passing.tick() => self.pass(clock::now()),
            }
        }
    }

    /// Takes what a replica says. What it says of a chat counts for the account in its subject, which only services publish to.
    fn take(&self, subject: &str, payload: &[u8], now: OffsetDateTime) {
        let Some((key, agent, said)) = read(subject, payload) else {
            return;
        };
        let mut known = self.known();
        if known.len() >= CHATS_MAX && !known.contains_key(&key) {
            return;
        }
        let present = known.entry(key.clone()).or_default();
        let differs = present.note(agent, said, now);
        if present.is_empty() {
            known.remove(&key);
        }
        drop(known);
        if differs {
            // Nobody may watch.
            drop(self.changed.send(key));
        }
    }

    /// Forgets what holds no more.
    fn pass(&self, now: OffsetDateTime) {
        let mut passed = Vec::new();
        self.known().retain(|key, present| {
            if present.pass(now) {
                passed.push(key.clone());
            }
            !present.is_empty()
        });
        for key in passed {
            drop(self.changed.send(key));
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Key, Present>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says what the calling agent does in a chat.
    pub async fn report(
        &self,
        caller: &Caller,
        chat: ChatId,
        activity: Option<Activity>,
        now: OffsetDateTime,
    ) -> Result<pb::ReportChatPresenceResponse, Error> {
        let agent = access::agent(caller)?;
        let mut connection = self.pool.acquire().await?;
        access::chat(&mut connection, caller, chat).await?;
        drop(connection);
        let presence = said(chat, agent, activity.map(|a| (a, now + a.holds())), now);
        let subject = format!("{SUBJECT}.{}.{chat}", caller.account());
        let payload = presence.encode_to_vec().into();
        let published = self.nats.publish(subject, payload).await;
        published.map_err(|error| Error::BrokerAway(error.to_string()))?;
        let presence = Some(presence);
        Ok(pb::ReportChatPresenceResponse { presence })
    }

    /// Tells who is in a chat, now and with every change, until nobody listens or the caller may not see it any more.
    pub async fn watch(
        &self,
        caller: Caller,
        chat: ChatId,
        lifecycle: &Lifecycle,
    ) -> Result<mpsc::Receiver<Result<pb::WatchChatPresenceResponse, Error>>, Error> {
        let mut connection = self.pool.acquire().await?;
        access::chat(&mut connection, &caller, chat).await?;
        drop(connection);
        let (tell, told) = mpsc::channel(1);
        let (presence, changed) = (self.clone(), self.changed.subscribe());
        let stop = lifecycle.stop_token();
        tokio::spawn(async move {
            let ended = tokio::select! {
                ended = presence.run(&caller, chat, changed, &tell) => ended,
                () = tell.closed() => return,
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LASTS) => return,
            };
            if let Err(error) = ended {
                drop(tell.send(Err(error)).await);
            }
        });
        Ok(told)
    }

    async fn run(
        &self,
        caller: &Caller,
        chat: ChatId,
        mut changed: broadcast::Receiver<Key>,
        tell: &mpsc::Sender<Result<pb::WatchChatPresenceResponse, Error>>,
    ) -> Result<(), Error> {
        let key = (caller.account().clone(), chat);
        let mut rights = tokio::time::interval(LOOK);
        let mut shown = None;
        loop {
            let now = self.shown(&key);
            if shown.as_ref() != Some(&now) {
                shown = Some(now.clone());
                let present = now.into_iter();
                let present = present.map(|(agent, activity, until)| {
                    said(chat, agent, Some((activity, until)), until)
                });
                let told = pb::WatchChatPresenceResponse {
                    present: present.collect(),
                };
                if tell.send(Ok(told)).await.is_err() {
                    return Ok(());
                }
            }
            // Until something of this chat has changed.
            loop {
                tokio::select! {
                    heard = changed.recv() => match heard {
                        Ok(of) if of != key => {}
                        Ok(_) | Err(RecvError::Lagged(_)) => break,
                        Err(RecvError::Closed) => return Ok(()),
                    },
                    _ = rights.tick() => access::still_may(&self.access, caller).await?,
                }
            }
        }
    }

    fn shown(&self, key: &Key) -> Vec<(AgentId, Activity, OffsetDateTime)> {
        let known = self.known();
        let present = known.get(key);
        present.map_or_else(Vec::new, |present| present.iter().collect())
    }
}

/// What an agent does in a chat, and until when that holds; none where they have left.
type Doing = Option<(Activity, OffsetDateTime)>;

/// What is told of an agent in a chat; left where they do nothing there.
fn said(chat: ChatId, agent: AgentId, doing: Doing, now: OffsetDateTime) -> pb::ChatPresence {
    let (activity, until) = doing.map_or((None, now), |(activity, until)| (Some(activity), until));
    pb::ChatPresence {
        chat_id: chat.to_string(),
        agent_id: agent.to_string(),
        activity: wire::activity_out(activity).into(),
        expire_time: Some(timestamp(until)),
    }
}

/// Reads what a replica says; none where it is not to be read.
fn read(subject: &str, payload: &[u8]) -> Option<(Key, AgentId, Doing)> {
    let (account, chat) = subject
        .strip_prefix(SUBJECT)?
        .strip_prefix('.')?
        .split_once('.')?;
    let key = (account.parse().ok()?, chat.parse().ok()?);
    let presence = pb::ChatPresence::decode(payload).ok()?;
    let until = wire::time(presence.expire_time.as_ref())?;
    let doing = match presence.activity() {
        pb::chat_presence::Activity::Viewing => Some(Activity::Viewing),
        pb::chat_presence::Activity::Typing => Some(Activity::Typing),
        pb::chat_presence::Activity::Left => None,
        pb::chat_presence::Activity::Unspecified => return None,
    };
    let agent = presence.agent_id.parse().ok()?;
    Some((key, agent, doing.map(|activity| (activity, until))))
}
