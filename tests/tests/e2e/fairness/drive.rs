//! What conversations and pipeline connections tell, at random, and agents who come and go.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use anyhow::Context;
use async_nats::HeaderMap;
use async_nats::jetstream;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use switchboard_proto::DomainEvent;
use switchboard_proto::assignment::v1::{Presence, SetPresenceRequest};
use switchboard_proto::conversation::v1::{ConversationClosed, ConversationOpened};
use switchboard_proto::crm_cards::v1::{ConnectionDecided, Decision};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
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

struct Chat {
    id: Uuid,
    channel: Uuid,
    conversation: Uuid,
    number: i64,
    told: u64,
}

struct Teller<'f> {
    field: &'f Field,
    jetstream: jetstream::Context,
    random: StdRng,
    acks: Vec<jetstream::context::PublishAckFuture>,
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
    let jetstream = jetstream::new(async_nats::connect(nats_url).await?);
    let mut teller = Teller {
        field,
        jetstream,
        random: StdRng::seed_from_u64(seed ^ 2),
        acks: Vec::new(),
        number: 0,
        start: OffsetDateTime::now_utc(),
        driven: Driven::default(),
    };
    let (mut open, mut ended): (Vec<Chat>, Vec<Chat>) = (Vec::new(), Vec::new());
    for agent in 0..field.agents.len() {
        teller.presence(agent, Presence::Online).await?;
    }
    for _ in 0..events {
        // What all agents together may have is about 150: queues build up, and run dry.
        let most = 220;
        match teller.random.random_range(0..100) {
            0..10 => teller.somebody_comes_or_goes().await?,
            kind if open.is_empty() || (kind < 56 && open.len() < most) => {
                let again = teller.random.random_bool(0.3) && !ended.is_empty();
                let chat = if again {
                    let index = teller.random.random_range(0..ended.len());
                    Some(ended.swap_remove(index))
                } else {
                    None
                };
                let (chat, is_open) = teller.open(chat).await?;
                if is_open {
                    open.push(chat);
                } else {
                    ended.push(chat);
                }
            }
            _ => {
                let index = teller.random.random_range(0..open.len());
                let mut chat = open.swap_remove(index);
                teller.close(&mut chat).await?;
                ended.push(chat);
            }
        }
        if teller.acks.len() >= BATCH {
            teller.settle().await?;
        }
    }
    // At last everybody is there: whoever can be served is.
    for agent in 0..field.agents.len() {
        teller.presence(agent, Presence::Online).await?;
    }
    teller.settle().await?;
    for (chats, is_open) in [(open, true), (ended, false)] {
        let last = |chat: Chat| (chat.id, (chat.number, is_open));
        teller.driven.chats.extend(chats.into_iter().map(last));
    }
    Ok(teller.driven)
}

impl Teller<'_> {
    /// Opens a conversation of a chat, of a new one where none is given; now and then it is closed before.
    async fn open(&mut self, chat: Option<Chat>) -> anyhow::Result<(Chat, bool)> {
        self.number += 1;
        self.driven.opened += 1;
        let channel = if self.random.random_bool(0.5) {
            self.field.in_turn
        } else {
            self.field.by_load
        };
        let mut chat = chat.unwrap_or_else(|| Chat {
            id: Uuid::new_v4(),
            channel,
            conversation: Uuid::nil(),
            number: 0,
            told: 0,
        });
        (chat.conversation, chat.number) = (Uuid::new_v4(), self.number);
        let opened_id = Uuid::new_v4();
        let time = self.start + time::Duration::milliseconds(self.number);
        let open_time = Some(prost_types::Timestamp {
            seconds: time.unix_timestamp(),
            nanos: i32::try_from(time.nanosecond()).unwrap_or_default(),
        });
        let opened = ConversationOpened {
            conversation_id: chat.conversation.to_string(),
            chat_id: chat.id.to_string(),
            channel_id: chat.channel.to_string(),
            number: chat.number,
            revision: 1,
            open_time,
            ..Default::default()
        };
        let decided = ConnectionDecided {
            decision: Some(Decision {
                conversation_id: chat.conversation.to_string(),
                number: chat.number,
                chat_id: chat.id.to_string(),
                channel_id: chat.channel.to_string(),
                ..Default::default()
            }),
            revision: 1,
            open_time,
            ..Default::default()
        };
        let backwards = self.random.random_bool(0.03);
        if backwards {
            self.driven.backwards += 1;
            self.close(&mut chat).await?;
        }
        // Which of the two arrives first is nobody's promise.
        let decided_first = self.random.random_bool(0.5);
        if decided_first {
            self.tell(&mut chat, &decided, Uuid::new_v4(), Some(opened_id))
                .await?;
        }
        self.tell(&mut chat, &opened, opened_id, None).await?;
        if !decided_first {
            self.tell(&mut chat, &decided, Uuid::new_v4(), Some(opened_id))
                .await?;
        }
        if self.random.random_bool(0.03) {
            self.driven.repeated += 1;
            // Under an id of its own: as if the broker had forgotten the first.
            self.tell(&mut chat, &opened, Uuid::new_v4(), None).await?;
        }
        Ok((chat, !backwards))
    }

    async fn close(&mut self, chat: &mut Chat) -> anyhow::Result<()> {
        self.driven.closed += 1;
        let closed = ConversationClosed {
            conversation_id: chat.conversation.to_string(),
            chat_id: chat.id.to_string(),
            channel_id: chat.channel.to_string(),
            number: chat.number,
            revision: 2,
            ..Default::default()
        };
        self.tell(chat, &closed, Uuid::new_v4(), None).await?;
        if self.random.random_bool(0.03) {
            self.driven.repeated += 1;
            self.tell(chat, &closed, Uuid::new_v4(), None).await?;
        }
        Ok(())
    }

    /// Publishes an event as the service it belongs to would.
    async fn tell<E: DomainEvent>(
        &mut self,
        chat: &mut Chat,
        event: &E,
        id: Uuid,
        cause: Option<Uuid>,
    ) -> anyhow::Result<()> {
        chat.told += 1;
        let account = &self.field.account;
        let mut headers = HeaderMap::new();
        headers.insert("ce-specversion", "1.0");
        headers.insert("ce-id", id.to_string());
        headers.insert("ce-type", E::TYPE);
        headers.insert(
            "ce-source",
            format!("/switchboard/{account}/{}", E::SERVICE),
        );
        headers.insert("ce-time", OffsetDateTime::now_utc().format(&Rfc3339)?);
        headers.insert("ce-subject", chat.id.to_string());
        headers.insert("ce-sbaccount", account.as_str());
        headers.insert("ce-sbsequence", chat.told.to_string());
        headers.insert("Nats-Msg-Id", id.to_string());
        if let Some(cause) = cause {
            headers.insert("ce-sbcause", cause.to_string());
        }
        let subject = format!(
            "switchboard.v1.{account}.{}.{}.{}",
            E::SERVICE,
            E::ENTITY,
            E::EVENT
        );
        let ack = self
            .jetstream
            .publish_with_headers(subject, headers, event.encode_to_vec().into())
            .await?;
        self.acks.push(ack);
        Ok(())
    }

    /// Waits until all that was published is in the stream.
    async fn settle(&mut self) -> anyhow::Result<()> {
        for ack in self.acks.drain(..) {
            ack.await?;
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
