//! Tells of conversations as the services that own them do: events with their envelope, straight into the stream. For
//! trying one service against more than its neighbours would bring about on one machine.

use async_nats::HeaderMap;
use async_nats::jetstream;
use switchboard_proto::DomainEvent;
use switchboard_proto::conversation::v1::{ConversationClosed, ConversationOpened};
use switchboard_proto::crm_cards::v1::{ConnectionDecided, Decision};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

/// A conversation that a client opens.
#[derive(Clone, Debug)]
pub struct Conversation {
    /// Its chat.
    pub chat: Uuid,
    /// The chat's channel.
    pub channel: Uuid,
    /// Its id.
    pub id: Uuid,
    /// Its number.
    pub number: i64,
    /// When it was opened.
    pub time: OffsetDateTime,
}

impl Conversation {
    fn open_time(&self) -> prost_types::Timestamp {
        prost_types::Timestamp {
            seconds: self.time.unix_timestamp(),
            nanos: i32::try_from(self.time.nanosecond()).unwrap_or_default(),
        }
    }

    /// Conversation's word that it was opened.
    pub fn opened(&self) -> ConversationOpened {
        ConversationOpened {
            conversation_id: self.id.to_string(),
            chat_id: self.chat.to_string(),
            channel_id: self.channel.to_string(),
            number: self.number,
            revision: 1,
            open_time: Some(self.open_time()),
            ..Default::default()
        }
    }

    /// The pipeline connection's word: no card.
    pub fn decided(&self) -> ConnectionDecided {
        ConnectionDecided {
            decision: Some(Decision {
                conversation_id: self.id.to_string(),
                number: self.number,
                chat_id: self.chat.to_string(),
                channel_id: self.channel.to_string(),
                ..Default::default()
            }),
            revision: 1,
            open_time: Some(self.open_time()),
            ..Default::default()
        }
    }

    /// Conversation's word that it was closed.
    pub fn closed(&self) -> ConversationClosed {
        ConversationClosed {
            conversation_id: self.id.to_string(),
            chat_id: self.chat.to_string(),
            channel_id: self.channel.to_string(),
            number: self.number,
            revision: 2,
            ..Default::default()
        }
    }
}

/// Publishes events of one account.
pub struct Teller {
    jetstream: jetstream::Context,
    account: String,
    told: u64,
    acks: Vec<jetstream::context::PublishAckFuture>,
}

impl Teller {
    /// Connects.
    pub async fn connect(nats_url: &str, account: &str) -> anyhow::Result<Self> {
        Ok(Self {
            jetstream: jetstream::new(async_nats::connect(nats_url).await?),
            account: account.to_owned(),
            told: 0,
            acks: Vec::new(),
        })
    }

    /// Publishes an event about a chat as the service it belongs to would, without waiting for the broker.
    pub async fn tell<E: DomainEvent>(
        &mut self,
        chat: Uuid,
        event: &E,
        (id, cause): (Uuid, Option<Uuid>),
    ) -> anyhow::Result<()> {
        self.told += 1;
        let account = &self.account;
        let mut headers = HeaderMap::new();
        headers.insert("ce-specversion", "1.0");
        headers.insert("ce-id", id.to_string());
        headers.insert("ce-type", E::TYPE);
        headers.insert(
            "ce-source",
            format!("/switchboard/{account}/{}", E::SERVICE),
        );
        headers.insert("ce-time", OffsetDateTime::now_utc().format(&Rfc3339)?);
        headers.insert("ce-subject", chat.to_string());
        headers.insert("ce-sbaccount", account.as_str());
        headers.insert("ce-sbsequence", self.told.to_string());
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
        let payload = event.encode_to_vec().into();
        let ack = self
            .jetstream
            .publish_with_headers(subject, headers, payload)
            .await?;
        self.acks.push(ack);
        Ok(())
    }

    /// How many events were published since the last wait.
    pub fn under_way(&self) -> usize {
        self.acks.len()
    }

    /// Waits until all that was published is in the stream.
    pub async fn settle(&mut self) -> anyhow::Result<()> {
        for ack in self.acks.drain(..) {
            ack.await?;
        }
        Ok(())
    }
}
