//! What conversations and pipeline connections tell, at random, and agents who come and go.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use anyhow::Context;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use switchboard_proto::assignment::v1::{Presence, SetPresenceRequest};
use switchboard_tests::telling::{Conversation, Teller};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Field;

/// Events of one batch: published together, then awaited.
const BATCH: usize = 50;

/// What was told.
#[derive(Debug, Default)]
pub struct Driven {
    /// Chats by their last conversation: its number, and whether it is open.
    pub chats: BTreeMap<Uuid, (i64, bool)>,
    /// Conversations that were opened.
    pub opened: usize,
    /// Conversations that were closed.
    pub closed: usize,
    /// Changes of presence.
    pub presences: usize,
    /// Events told twice.
    pub repeated: usize,
    /// Conversations that were closed before they were opened.
    pub backwards: usize,
}

impl fmt::Display for Driven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} conversations opened, {} closed ({} of them before they were opened), {} events told twice, \
             {} changes of presence",
            self.opened, self.closed, self.backwards, self.repeated, self.presences
        )
    }
}

struct Walk<'f> {
    field: &'f Field,
    teller: Teller,
    random: StdRng,
    number: i64,
    start: OffsetDateTime,
    driven: Driven,
}

/// Tells `events` things; returns what was told when all of it is in the stream.
pub async fn drive(
    nats_url: &str,
    field: &Field,
    events: usize,
    seed: u64,
) -> anyhow::Result<Driven> {
    let mut walk = Walk {
        field,
        teller: Teller::connect(nats_url, &field.account).await?,
        random: StdRng::seed_from_u64(seed ^ 2),
        number: 0,
        start: OffsetDateTime::now_utc(),
        driven: Driven::default(),
    };
    let (mut open, mut ended): (Vec<Conversation>, Vec<Conversation>) = (Vec::new(), Vec::new());
    for agent in 0..field.agents.len() {
        walk.presence(agent, Presence::Online).await?;
    }
    for _ in 0..events {
        // What all agents together may have is about 150: queues build up, and run dry.
        let most = 220;
        match walk.random.random_range(0..100) {
            0..10 => walk.somebody_comes_or_goes().await?,
            kind if open.is_empty() || (kind < 56 && open.len() < most) => {
                let again = walk.random.random_bool(0.3) && !ended.is_empty();
                let chat = if again {
                    let index = walk.random.random_range(0..ended.len());
                    Some(ended.swap_remove(index))
                } else {
                    None
                };
                let (conversation, is_open) = walk.open(chat.as_ref()).await?;
                if is_open {
                    open.push(conversation);
                } else {
                    ended.push(conversation);
                }
            }
            _ => {
                let index = walk.random.random_range(0..open.len());
                let conversation = open.swap_remove(index);
                walk.close(&conversation).await?;
                ended.push(conversation);
            }
        }
        if walk.teller.under_way() >= BATCH {
            walk.teller.settle().await?;
        }
    }
    // At last everybody is there: whoever can be served is.
    for agent in 0..field.agents.len() {
        walk.presence(agent, Presence::Online).await?;
    }
    walk.teller.settle().await?;
    for (conversations, is_open) in [(open, true), (ended, false)] {
        let last = |last: Conversation| (last.chat, (last.number, is_open));
        walk.driven
            .chats
            .extend(conversations.into_iter().map(last));
    }
    Ok(walk.driven)
}

impl Walk<'_> {
    /// Opens a conversation of a chat, of a new one where none is given; now and then it is closed before.
    async fn open(
        &mut self,
        before: Option<&Conversation>,
    ) -> anyhow::Result<(Conversation, bool)> {
        self.number += 1;
        self.driven.opened += 1;
        let channel = if self.random.random_bool(0.5) {
            self.field.in_turn
        } else {
            self.field.by_load
        };
        let conversation = Conversation {
            chat: before.map_or_else(Uuid::new_v4, |before| before.chat),
            channel: before.map_or(channel, |before| before.channel),
            id: Uuid::new_v4(),
            number: self.number,
            time: self.start + time::Duration::milliseconds(self.number),
        };
        let (chat, opened, decided) = (
            conversation.chat,
            conversation.opened(),
            conversation.decided(),
        );
        let backwards = self.random.random_bool(0.03);
        if backwards {
            self.driven.backwards += 1;
            self.close(&conversation).await?;
        }
        let as_opened = (Uuid::new_v4(), None);
        let as_decided = (Uuid::new_v4(), Some(as_opened.0));
        // Which of the two arrives first is nobody's promise.
        if self.random.random_bool(0.5) {
            self.teller.tell(chat, &decided, as_decided).await?;
            self.teller.tell(chat, &opened, as_opened).await?;
        } else {
            self.teller.tell(chat, &opened, as_opened).await?;
            self.teller.tell(chat, &decided, as_decided).await?;
        }
        if self.random.random_bool(0.03) {
            self.driven.repeated += 1;
            // Under an id of its own: as if the broker had forgotten the first.
            self.teller
                .tell(chat, &opened, (Uuid::new_v4(), None))
                .await?;
        }
        Ok((conversation, !backwards))
    }

    async fn close(&mut self, conversation: &Conversation) -> anyhow::Result<()> {
        self.driven.closed += 1;
        let (chat, closed) = (conversation.chat, conversation.closed());
        self.teller
            .tell(chat, &closed, (Uuid::new_v4(), None))
            .await?;
        if self.random.random_bool(0.03) {
            self.driven.repeated += 1;
            self.teller
                .tell(chat, &closed, (Uuid::new_v4(), None))
                .await?;
        }
        Ok(())
    }

    async fn somebody_comes_or_goes(&mut self) -> anyhow::Result<()> {
        let agent = self.random.random_range(0..self.field.agents.len());
        let presence = match self.random.random_range(0..10) {
            0..6 => Presence::Online,
            6..8 => Presence::Away,
            _ => Presence::Offline,
        };
        self.presence(agent, presence).await
    }

    /// Sets an agent's presence at any replica that answers.
    async fn presence(&mut self, agent: usize, presence: Presence) -> anyhow::Result<()> {
        self.driven.presences += 1;
        let (agent, _) = self.field.agents.get(agent).context("an agent")?;
        let request = SetPresenceRequest {
            agent_id: agent.to_string(),
            presence: presence.into(),
            ..Default::default()
        };
        let mut refused = None;
        for _ in 0..100 {
            let replica = self.random.random_range(0..self.field.clients.len());
            let mut client = self.field.clients[replica].clone();
            match client.set_presence(request.clone()).await {
                Ok(_) => return Ok(()),
                Err(status) => refused = Some(status),
            }
            // It was killed: another answers, or the same when it is up again.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(anyhow::anyhow!("presence could not be set: {refused:?}"))
    }
}
