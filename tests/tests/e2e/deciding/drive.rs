//! What customers and agents do to the same few chats at once. A request that meets a killed replica may have been done or not:
//! nobody asks, as what was told afterwards says it.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use futures::future::try_join_all;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use switchboard_proto::common::v1::{ClientIdentity, OpenReason};
use switchboard_proto::conversation::v1::ConversationOpened;
use switchboard_proto::crm_cards::v1::pipeline_connection::{Mode, Scope};
use switchboard_proto::crm_cards::v1::{
    Card, CreateCardRequest, CreateOrderRequest, DeleteCardRequest, ListCardsRequest,
    MoveCardRequest, MoveOrderRequest, PipelineConnection, SaveBuyerRequest,
    SetPipelineConnectionRequest, StatusKind,
};
use switchboard_tests::telling::Teller;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Clients, Field};

/// Hands that act at once.
const HANDS: usize = 64;

/// Clients, each with a chat on both channels.
const PEOPLE: u128 = 40;

/// What was done.
#[derive(Debug, Default)]
pub struct Driven {
    /// Conversations that were opened.
    pub opened: BTreeSet<String>,
    repeated: usize,
    answered: usize,
    refused: usize,
}

impl fmt::Display for Driven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} conversations opened, {} told twice, {} requests answered, {} refused or cut",
            self.opened.len(),
            self.repeated,
            self.answered,
            self.refused
        )
    }
}

/// What all hands share.
struct Shared<'f> {
    field: &'f Field,
    number: AtomicI64,
    acts: AtomicUsize,
    orders: Mutex<Vec<String>>,
    driven: Mutex<Driven>,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has all hands act, `acts` times together; returns what was done when all of it is in the stream.
pub async fn drive(
    nats_url: &str,
    field: &Field,
    acts: usize,
    seed: u64,
) -> anyhow::Result<Driven> {
    let shared = Shared {
        field,
        number: AtomicI64::new(0),
        acts: AtomicUsize::new(0),
        orders: Mutex::default(),
        driven: Mutex::default(),
    };
    let hands = (0..HANDS).map(|hand| {
        let shared = &shared;
        async move {
            let mut hand = Hand {
                shared,
                teller: Teller::connect(nats_url, &field.account).await?,
                random: StdRng::seed_from_u64(seed ^ u64::try_from(hand)? << 8),
            };
            while shared.acts.fetch_add(1, Ordering::Relaxed) < acts {
                hand.act().await?;
            }
            anyhow::Ok(())
        }
    });
    try_join_all(hands).await?;
    Ok(std::mem::take(&mut *locked(&shared.driven)))
}

struct Hand<'s> {
    shared: &'s Shared<'s>,
    teller: Teller,
    random: StdRng,
}

impl Hand<'_> {
    async fn act(&mut self) -> anyhow::Result<()> {
        let Some(clients) = self.shared.field.clients.choose(&mut self.random).cloned() else {
            return Ok(());
        };
        let done = match self.random.random_range(0..100) {
            0..40 => {
                self.open().await?;
                return Ok(());
            }
            40..62 => self.move_card(clients).await,
            62..65 => self.delete_card(clients).await,
            65..69 => self.make_card(clients).await,
            69..77 => self.make_order(clients).await,
            77..88 => self.move_order(clients).await,
            88..91 => self.save_buyer(clients).await,
            _ => self.set_rule(clients).await,
        };
        let mut driven = locked(&self.shared.driven);
        match done {
            Ok(()) => driven.answered += 1,
            Err(_) => driven.refused += 1,
        }
        Ok(())
    }

    fn chat(&mut self) -> (Uuid, u128, Uuid) {
        let (channel, person) = (
            self.random.random_range(0..2),
            self.random.random_range(0..PEOPLE),
        );
        let chat = Uuid::from_u128((person << 8) | u128::from(channel == 1) | (1 << 100));
        (chat, person, self.shared.field.channels[channel])
    }

    /// Opens a conversation, mostly as the client; some are told twice. Half of the people have chats that are older than any
    /// rule.
    async fn open(&mut self) -> anyhow::Result<()> {
        let (chat, person, channel) = self.chat();
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let age = if person.is_multiple_of(2) {
            -86_400
        } else {
            86_400
        };
        let by_client = self.random.random_bool(0.9);
        let reason = if by_client {
            OpenReason::ClientMessage
        } else {
            OpenReason::AgentStart
        };
        let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
        let opened = ConversationOpened {
            conversation_id: Uuid::new_v4().to_string(),
            chat_id: chat.to_string(),
            channel_id: channel.to_string(),
            channel_kind: 1,
            client_id: Uuid::from_u128(person | (1 << 101)).to_string(),
            client: Some(ClientIdentity {
                scope: "telegram".into(),
                user_id: person.to_string(),
                name: format!("Client {person}"),
                ..Default::default()
            }),
            number: self.shared.number.fetch_add(1, Ordering::Relaxed) + 1,
            revision: 1,
            reason: reason.into(),
            opener_agent_id: if by_client {
                String::new()
            } else {
                Uuid::from_u128(7).to_string()
            },
            chat_create_time: at(now + age),
            open_time: at(now),
            ..Default::default()
        };
        self.teller
            .tell(chat, &opened, (Uuid::new_v4(), None))
            .await?;
        let twice = self.random.random_bool(0.2);
        if twice {
            // Under an id of its own: as if the broker had forgotten the first.
            self.teller
                .tell(chat, &opened, (Uuid::new_v4(), None))
                .await?;
        }
        self.teller.settle().await?;
        let mut driven = locked(&self.shared.driven);
        driven.opened.insert(opened.conversation_id);
        driven.repeated += usize::from(twice);
        Ok(())
    }

    /// One of the newest cards, mostly of those in work.
    async fn card(&mut self, clients: &Clients) -> Result<Option<Card>, tonic::Status> {
        let in_work = self.random.random_bool(0.8);
        let kinds = [StatusKind::New.into(), StatusKind::InProgress.into()];
        let request = ListCardsRequest {
            page_size: 50,
            status_kinds: if in_work { kinds.to_vec() } else { Vec::new() },
            ..Default::default()
        };
        let listed = clients.crm.clone().list_cards(request).await?.into_inner();
        Ok(listed.cards.choose(&mut self.random).cloned())
    }

    async fn move_card(&mut self, mut clients: Clients) -> Result<(), tonic::Status> {
        let Some(card) = self.card(&clients).await? else {
            return Ok(());
        };
        // Mostly out of work: otherwise nothing would be decided any more.
        let kind = match self.random.random_range(0..10) {
            0 => StatusKind::New,
            1 | 2 => StatusKind::InProgress,
            3..7 => StatusKind::Successful,
            _ => StatusKind::Rejected,
        };
        let statuses = &self.shared.field.pipeline.statuses;
        let status = statuses.iter().find(|status| status.kind() == kind);
        let request = MoveCardRequest {
            card_id: card.card_id,
            status_id: status
                .map(|status| status.status_id.clone())
                .unwrap_or_default(),
            ..Default::default()
        };
        clients.crm.move_card(request).await.map(drop)
    }

    async fn delete_card(&mut self, mut clients: Clients) -> Result<(), tonic::Status> {
        let Some(card) = self.card(&clients).await? else {
            return Ok(());
        };
        let request = DeleteCardRequest {
            card_id: card.card_id,
            expected_revision: None,
        };
        clients.cards.delete_card(request).await.map(drop)
    }

    async fn make_card(&mut self, mut clients: Clients) -> Result<(), tonic::Status> {
        let request = CreateCardRequest {
            chat_id: self.chat().0.to_string(),
            ..Default::default()
        };
        clients.crm.create_card(request).await.map(drop)
    }

    async fn make_order(&mut self, mut clients: Clients) -> Result<(), tonic::Status> {
        let request = CreateOrderRequest {
            chat_id: self.chat().0.to_string(),
            ..Default::default()
        };
        let order = clients.crm.create_order(request).await?.into_inner().order;
        locked(&self.shared.orders).extend(order.map(|order| order.order_id));
        Ok(())
    }

    async fn move_order(&mut self, mut clients: Clients) -> Result<(), tonic::Status> {
        let order = locked(&self.shared.orders)
            .choose(&mut self.random)
            .cloned();
        let Some(order_id) = order else {
            return Ok(());
        };
        let kinds = [
            StatusKind::Successful,
            StatusKind::Rejected,
            StatusKind::InProgress,
        ];
        let status = kinds.choose(&mut self.random).copied().unwrap_or_default();
        let request = MoveOrderRequest {
            order_id,
            status: status.into(),
            ..Default::default()
        };
        clients.crm.move_order(request).await.map(drop)
    }

    /// Saves the contact of a card as a buyer, unless all would be buyers soon.
    async fn save_buyer(&mut self, mut clients: Clients) -> Result<(), tonic::Status> {
        let Some(card) = self.card(&clients).await? else {
            return Ok(());
        };
        if self.random.random_bool(0.8) {
            return Ok(());
        }
        let request = SaveBuyerRequest {
            contact_id: card.contact_id,
            expected_revision: None,
        };
        clients.crm.save_buyer(request).await.map(drop)
    }

    async fn set_rule(&mut self, mut clients: Clients) -> Result<(), tonic::Status> {
        let modes = [
            Mode::None,
            Mode::OneTime,
            Mode::Repeat,
            Mode::Repeat,
            Mode::Repeat,
            Mode::ContactWithoutCards,
        ];
        let scopes = [Scope::Chat, Scope::Client];
        let connection = PipelineConnection {
            channel_id: self.chat().2.to_string(),
            mode: modes
                .choose(&mut self.random)
                .copied()
                .unwrap_or_default()
                .into(),
            scope: scopes
                .choose(&mut self.random)
                .copied()
                .unwrap_or_default()
                .into(),
            include_existing_chats: Some(self.random.random_bool(0.7)),
            ..Default::default()
        };
        let request = SetPipelineConnectionRequest {
            connection: Some(connection),
        };
        clients.crm.set_pipeline_connection(request).await.map(drop)
    }
}
