//! A database with the service's use cases over it, and the events that come and go.

mod crm;

pub use crm::{fact, field, fields, reason};

use std::sync::Arc;

use bytes::Bytes;
use chassis::access::{AccessCopy, AccessError, AccessFetch, AccessRecord};
use chassis::auth::Caller;
use chassis::consumer::{Delivery, Envelope, Handler as _, HandlerError, Origin};
use chassis::grpc::timestamp;
use chassis::id::{AccountSlug, AgentId, v5, v7};
use chassis::outbox::Waker;
use chassis::stamp::Stamp;
use chassis::testing::{self, TestDatabase};
use chassis::trace::TraceContext;
use chassis::{actor::Actor, clock};
use crm_cards::app::App;
use crm_cards::events::Events;
use crm_cards::grpc::Handlers;
use crm_cards::store::MIGRATOR;
use prost::Message as _;
use switchboard_proto::DomainEvent;
use switchboard_proto::assignment::v1::{AssignmentRule, ChatAssigned, ChatAssignment};
use switchboard_proto::common::v1::{ClientIdentity, OpenReason, Stamp as WireStamp};
use switchboard_proto::conversation::v1::ConversationOpened;
use switchboard_proto::crm_cards::v1::crm_cards_service_server::CrmCardsService as _;
use switchboard_proto::crm_cards::v1::*;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Status};
use uuid::Uuid;

/// Nobody of this id is known.
pub const STRANGER: Uuid = Uuid::from_u128(0xdead);

/// An owner of access records who knows every agent, but for the stranger.
struct Everybody;

#[tonic::async_trait]
impl AccessFetch for Everybody {
    async fn fetch(
        &self,
        _: &AccountSlug,
        agent: AgentId,
    ) -> Result<Option<AccessRecord>, AccessError> {
        Ok((agent.uuid() != STRANGER).then(|| testing::full_access(agent)))
    }
}

/// The service over a database of its own.
pub struct World {
    pub database: TestDatabase,
    pub app: App,
    pub api: Handlers,
    pub events: Events,
}

pub async fn world() -> World {
    let database = testing::database(&MIGRATOR).await;
    let access = AccessCopy::new(database.pool.clone(), Arc::new(Everybody));
    let app = App {
        pool: database.pool.clone(),
        waker: Waker::new(),
        staff: access.clone(),
    };
    World {
        app: app.clone(),
        api: Handlers::new(app.clone(), CancellationToken::new()),
        events: Events::new(app, access),
        database,
    }
}

/// An account with a service token that may do everything.
#[derive(Clone)]
pub struct Tenant {
    pub account: AccountSlug,
    pub caller: Caller,
}

pub fn tenant() -> Tenant {
    let account = testing::fresh_account();
    let caller =
        testing::service_caller(Some(&account), "tests", &["crm:*", "channels:admin"], None);
    Tenant { account, caller }
}

impl Tenant {
    pub fn ask<T>(&self, message: T) -> Request<T> {
        testing::request(&self.caller, message)
    }

    /// A token of an agent of this account.
    pub fn agent(&self, record: AccessRecord) -> Self {
        let caller = testing::caller(
            &self.account,
            record.agent,
            &["crm:*", "channels:admin"],
            record,
        );
        Self {
            account: self.account.clone(),
            caller,
        }
    }

    pub fn opening(&self, chat: Chat<'_>, number: i64) -> Opening {
        let chat_id = v5("chat", &[&chat.channel.to_string(), chat.user]);
        Opening {
            account: self.account.clone(),
            event: ConversationOpened {
                conversation_id: v5("conversation", &[&chat_id.to_string(), &number.to_string()])
                    .to_string(),
                chat_id: chat_id.to_string(),
                channel_id: chat.channel.to_string(),
                channel_kind: 1,
                client_id: v5("client", &[self.account.as_str(), "telegram", chat.user])
                    .to_string(),
                client: Some(ClientIdentity {
                    scope: "telegram".into(),
                    user_id: chat.user.into(),
                    name: format!("Client {}", chat.user),
                    ..ClientIdentity::default()
                }),
                number,
                revision: 1,
                reason: OpenReason::ClientMessage.into(),
                opener_agent_id: String::new(),
                chat_is_new: number == 1,
                chat_create_time: Some(timestamp(clock::now())),
                open_time: Some(timestamp(clock::now())),
                start_payload: "spring-sale".into(),
                contact_id: String::new(),
            },
        }
    }
}

/// A chat of a user with a channel.
#[derive(Clone, Copy)]
pub struct Chat<'u> {
    pub channel: Uuid,
    pub user: &'u str,
}

#[derive(Clone)]
pub struct Opening {
    pub account: AccountSlug,
    pub event: ConversationOpened,
}

impl Opening {
    pub fn delivery(&self) -> Delivery {
        deliver(&self.account, &self.event.chat_id, &self.event)
    }

    pub fn chat(&self) -> String {
        self.event.chat_id.clone()
    }

    pub fn created_at(mut self, time: OffsetDateTime) -> Self {
        self.event.chat_create_time = Some(timestamp(time));
        self
    }

    pub fn by_agent(mut self) -> Self {
        self.event.reason = OpenReason::AgentStart.into();
        self.event.opener_agent_id = Uuid::from_u128(7).to_string();
        self
    }

    /// The responsible that a rule of assignment chose for this conversation.
    pub fn assigned(&self, agent: Uuid, rule: AssignmentRule, stamp: Stamp) -> Delivery {
        let event = ChatAssigned {
            assignment: Some(ChatAssignment {
                chat_id: self.event.chat_id.clone(),
                channel_id: self.event.channel_id.clone(),
                conversation_id: self.event.conversation_id.clone(),
                number: self.event.number,
                agent_id: agent.to_string(),
                participant_agent_ids: Vec::new(),
                stamp: Some(WireStamp {
                    time: Some(timestamp(stamp.time)),
                    event_id: stamp.event.to_string(),
                }),
                version: 1,
                offer_end_time: None,
            }),
            previous_agent_id: String::new(),
            rule: rule.into(),
            entity_changed: false,
        };
        deliver(&self.account, &self.event.chat_id, &event)
    }
}

/// Wraps an event as the consumer hands it over.
pub fn deliver<E: DomainEvent>(account: &AccountSlug, subject: &str, event: &E) -> Delivery {
    Delivery {
        envelope: Envelope {
            id: v7(clock::now()),
            kind: E::TYPE.into(),
            service: E::SERVICE.into(),
            entity: E::ENTITY.into(),
            event: E::EVENT.into(),
            account: account.clone(),
            subject_id: subject.into(),
            actor: Some(Actor::Service("tests".into())),
            cause: None,
            sequence: 1,
            time: clock::now(),
            trace: TraceContext::none(),
        },
        payload: Bytes::from(event.encode_to_vec()),
        origin: Origin {
            stream: "EVENTS".into(),
            sequence: 1,
            index: 0,
        },
    }
}

/// An event that was published.
#[derive(Debug, Clone, PartialEq)]
pub struct Published {
    pub name: String,
    pub subject: String,
    pub actor: String,
    pub cause: Option<Uuid>,
    pub payload: Bytes,
}

impl Published {
    pub fn read<E: DomainEvent>(&self) -> E {
        E::decode(self.payload.clone()).unwrap()
    }
}

/// What an outbox row holds, as far as tests look at it.
#[derive(Clone, PartialEq, prost::Message)]
struct Rows {
    #[prost(message, repeated, tag = "1")]
    events: Vec<Row>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Row {
    #[prost(string, tag = "4")]
    entity: String,
    #[prost(string, tag = "5")]
    event: String,
    #[prost(string, tag = "6")]
    account: String,
    #[prost(string, tag = "7")]
    subject: String,
    #[prost(string, tag = "8")]
    actor: String,
    #[prost(bytes = "bytes", tag = "9")]
    cause: Bytes,
    #[prost(bytes = "bytes", tag = "13")]
    payload: Bytes,
}

impl World {
    pub async fn handle(&self, batch: &[Delivery]) -> Result<(), HandlerError> {
        self.events.handle(batch, clock::now()).await
    }

    /// Handles a batch as the consumer does: what is refused by bad luck comes again.
    pub async fn handle_until_done(&self, batch: &[Delivery]) {
        loop {
            match self.handle(batch).await {
                Ok(()) => return,
                Err(HandlerError::Retry(_) | HandlerError::Slow(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Returns the events of an account that stand in the outbox, in order, without those of changed settings: each comes
    /// with an entry of the audit, which has tests of its own.
    pub async fn published(&self, account: &AccountSlug) -> Vec<Published> {
        let rows: Vec<Vec<u8>> =
            sqlx::query_scalar("select events from chassis.outbox order by id")
                .fetch_all(&self.database.pool)
                .await
                .unwrap();
        rows.iter()
            .flat_map(|row| Rows::decode(row.as_slice()).unwrap().events)
            .filter(|row| row.account == account.as_str() && row.entity != "setting")
            .map(|row| Published {
                name: format!("{}.{}", row.entity, row.event),
                subject: row.subject,
                actor: row.actor,
                cause: Uuid::from_slice(&row.cause).ok(),
                payload: row.payload,
            })
            .collect()
    }

    pub async fn names(&self, account: &AccountSlug) -> Vec<String> {
        self.published(account)
            .await
            .into_iter()
            .map(|event| event.name)
            .collect()
    }

    pub async fn pipeline(&self, tenant: &Tenant) -> Pipeline {
        let request = CreatePipelineRequest {
            name: "Sales".into(),
            ..CreatePipelineRequest::default()
        };
        let answer = self.api.create_pipeline(tenant.ask(request)).await.unwrap();
        answer.into_inner().pipeline.unwrap()
    }

    pub async fn connect(
        &self,
        tenant: &Tenant,
        connection: PipelineConnection,
    ) -> Result<PipelineConnection, Status> {
        let request = SetPipelineConnectionRequest {
            connection: Some(connection),
        };
        let answer = self
            .api
            .set_pipeline_connection(tenant.ask(request))
            .await?;
        Ok(answer.into_inner().connection.unwrap())
    }

    pub async fn set_mode(&self, tenant: &Tenant, channel: Uuid, mode: pipeline_connection::Mode) {
        let connection = PipelineConnection {
            channel_id: channel.to_string(),
            mode: mode.into(),
            ..PipelineConnection::default()
        };
        self.connect(tenant, connection).await.unwrap();
    }

    pub async fn decisions(&self, tenant: &Tenant) -> Vec<Decision> {
        let request = ListDecisionsRequest {
            page_size: 200,
            ..ListDecisionsRequest::default()
        };
        self.api
            .list_decisions(tenant.ask(request))
            .await
            .unwrap()
            .into_inner()
            .decisions
    }

    /// The newest cards, without the External Lines field, which answers to changes do not hold.
    pub async fn cards(&self, tenant: &Tenant) -> Vec<Card> {
        let request = ListCardsRequest {
            page_size: 200,
            ..ListCardsRequest::default()
        };
        let answer = self.api.list_cards(tenant.ask(request)).await.unwrap();
        let mut cards = answer.into_inner().cards;
        for card in &mut cards {
            card.external_lines.clear();
        }
        cards
    }

    /// The newest contacts, without the External Lines field.
    pub async fn contacts(&self, tenant: &Tenant) -> Vec<Contact> {
        let request = ListContactsRequest {
            page_size: 200,
            ..ListContactsRequest::default()
        };
        let answer = self.api.list_contacts(tenant.ask(request)).await.unwrap();
        let mut contacts = answer.into_inner().contacts;
        for contact in &mut contacts {
            contact.external_lines.clear();
        }
        contacts
    }

    pub async fn connections(&self, tenant: &Tenant, chat: &str) -> GetChatConnectionsResponse {
        let request = GetChatConnectionsRequest {
            chat_id: chat.into(),
        };
        self.api
            .get_chat_connections(tenant.ask(request))
            .await
            .unwrap()
            .into_inner()
    }

    /// Asks why, for one opening: the rule that decided.
    pub async fn rule(&self, tenant: &Tenant, opening: &Opening) -> String {
        let about =
            explain_card_request::About::ConversationId(opening.event.conversation_id.clone());
        let request = ExplainCardRequest { about: Some(about) };
        let answer = self.api.explain_card(tenant.ask(request)).await.unwrap();
        answer.into_inner().decision.unwrap().rule
    }

    pub async fn move_card(
        &self,
        tenant: &Tenant,
        pipeline: &Pipeline,
        card: &str,
        kind: StatusKind,
    ) {
        let status = pipeline
            .statuses
            .iter()
            .find(|status| status.kind() == kind)
            .unwrap();
        let request = MoveCardRequest {
            card_id: card.into(),
            status_id: status.status_id.clone(),
            ..MoveCardRequest::default()
        };
        self.api.move_card(tenant.ask(request)).await.unwrap();
    }

    pub async fn save_buyer(&self, tenant: &Tenant, contact: &str) {
        let request = SaveBuyerRequest {
            contact_id: contact.into(),
            ..SaveBuyerRequest::default()
        };
        self.api.save_buyer(tenant.ask(request)).await.unwrap();
    }

    pub async fn create_order(&self, tenant: &Tenant, contact: &str) -> Result<Order, Status> {
        let request = CreateOrderRequest {
            contact_id: contact.into(),
            ..CreateOrderRequest::default()
        };
        Ok(self
            .api
            .create_order(tenant.ask(request))
            .await?
            .into_inner()
            .order
            .unwrap())
    }

    pub async fn move_order(&self, tenant: &Tenant, order: &str, status: StatusKind) {
        let request = MoveOrderRequest {
            order_id: order.into(),
            status: status.into(),
            ..MoveOrderRequest::default()
        };
        self.api.move_order(tenant.ask(request)).await.unwrap();
    }
}

/// A stamp so many seconds after the epoch.
pub fn stamp(seconds: i64) -> Stamp {
    Stamp {
        time: OffsetDateTime::from_unix_timestamp(seconds).unwrap(),
        event: Uuid::from_u128(5),
    }
}

impl World {
    /// All pages of decisions, to the end.
    pub async fn decisions_of_all(&self, tenant: &Tenant) -> Vec<Decision> {
        let (mut all, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = ListDecisionsRequest {
                page_size: 7,
                page_token,
                ..ListDecisionsRequest::default()
            };
            let page = self
                .api
                .list_decisions(tenant.ask(request))
                .await
                .unwrap()
                .into_inner();
            all.extend(page.decisions);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return all;
            }
        }
    }

    /// All pages of cards, to the end.
    pub async fn cards_of_all(&self, tenant: &Tenant) -> Vec<Card> {
        let (mut all, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = ListCardsRequest {
                page_size: 7,
                page_token,
                ..ListCardsRequest::default()
            };
            let page = self
                .api
                .list_cards(tenant.ask(request))
                .await
                .unwrap()
                .into_inner();
            all.extend(page.cards);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return all;
            }
        }
    }
}

impl World {
    /// Waits until so many sessions of this database wait for a lock.
    pub async fn waiting_for_locks(&self, sessions: i64) {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        loop {
            let waiting: i64 = sqlx::query_scalar(
                "select count(*) from pg_stat_activity
                 where datname = current_database() and wait_event_type = 'Lock'",
            )
            .fetch_one(&self.database.pool)
            .await
            .unwrap();
            if waiting == sessions {
                return;
            }
            assert!(
                std::time::Instant::now() < deadline,
                "{waiting} sessions wait, not {sessions}"
            );
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
}
