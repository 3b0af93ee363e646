//! What the tests begin with: a database, an account, a stand-in for assignment, and items as the gateway sends them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use chassis::access::AccessCopy;
use chassis::auth::Caller;
use chassis::consumer::{Delivery, Handler as _, HandlerError, Origin};
use chassis::envelope::{Envelope, INBOUND_TYPE};
use chassis::id::{AccountSlug, AgentId, v5};
use chassis::lifecycle::Lifecycle;
use chassis::outbox::Waker;
use chassis::testing::{Records, TestDatabase, database, full_access, request, service_caller};
use chassis::trace::TraceContext;
use conversation::app::quick_replies::Files;
use conversation::app::send::Admission;
use conversation::app::start_chat::{Contacts, Line, Lines};
use conversation::app::watch::Watch;
use conversation::domain::ChannelId;
use conversation::domain::first_message::Contact;
use conversation::events::{Events, Inbound};
use conversation::grpc::{Api, Others};
use prost::Message as _;
use switchboard_proto::DomainEvent;
use switchboard_proto::assignment::v1 as assignment;
use switchboard_proto::channel_gateway::v1::{self as gateway, inbound_event::Kind};
use switchboard_proto::common::v1::{self as common, content_part::Content};
use switchboard_proto::conversation::v1 as pb;
use switchboard_proto::conversation::v1::conversation_service_server::ConversationService as _;
use time::{Duration, OffsetDateTime};
use tonic::Status;
use tonic_types::StatusExt as _;
use uuid::Uuid;

/// A moment to which tests add.
pub fn noon() -> OffsetDateTime {
    time::macros::datetime!(2026-03-02 12:00:00 UTC)
}

/// `noon` and so many seconds.
pub fn at(seconds: i64) -> OffsetDateTime {
    noon() + Duration::seconds(seconds)
}

type Answer = Box<
    dyn FnMut(assignment::AdmitReplyRequest) -> Result<assignment::AdmitReplyResponse, Status>
        + Send,
>;

/// A stand-in for assignment: admits everybody unless told otherwise, and remembers what it was asked.
#[derive(Clone, Default)]
pub struct Assignment {
    pub asked: Arc<Mutex<Vec<assignment::AdmitReplyRequest>>>,
    answer: Arc<Mutex<Option<Answer>>>,
    meanwhile: Arc<Mutex<Option<(sqlx::PgPool, &'static str)>>>,
}

impl Assignment {
    pub fn answers(
        &self,
        answer: impl FnMut(
            assignment::AdmitReplyRequest,
        ) -> Result<assignment::AdmitReplyResponse, Status>
        + Send
        + 'static,
    ) {
        *self.answer.lock().unwrap() = Some(Box::new(answer));
    }

    /// Lets this happen while the next question is thought about.
    pub fn meanwhile(&self, world: &World, sql: &'static str) {
        *self.meanwhile.lock().unwrap() = Some((world.db.pool.clone(), sql));
    }

    pub fn times_asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

#[tonic::async_trait]
impl Admission for Assignment {
    async fn admit(
        &self,
        _account: &AccountSlug,
        _agent: AgentId,
        request: assignment::AdmitReplyRequest,
    ) -> Result<assignment::AdmitReplyResponse, Status> {
        self.asked.lock().unwrap().push(request.clone());
        let meanwhile = self.meanwhile.lock().unwrap().take();
        if let Some((pool, sql)) = meanwhile {
            sqlx::raw_sql(sql).execute(&pool).await.unwrap();
        }
        match self.answer.lock().unwrap().as_mut() {
            Some(answer) => answer(request),
            None => Ok(assignment::AdmitReplyResponse::default()),
        }
    }
}

/// A stand-in for the gateway: keeps every file but these, and remembers what it was told to keep.
#[derive(Default)]
pub struct Gateway {
    pub gone: Mutex<Vec<Uuid>>,
    pub held: Mutex<Vec<Uuid>>,
    pub lines: Mutex<BTreeMap<Uuid, Line>>,
}

#[tonic::async_trait]
impl Files for Gateway {
    async fn hold(
        &self,
        _account: &AccountSlug,
        _agent: Option<AgentId>,
        files: &[Uuid],
    ) -> Result<Vec<Uuid>, Status> {
        self.held.lock().unwrap().extend(files);
        let gone = self.gone.lock().unwrap();
        let kept = files.iter().filter(|file| !gone.contains(file));
        Ok(kept.copied().collect())
    }
}

#[tonic::async_trait]
impl Lines for Gateway {
    async fn line(
        &self,
        _account: &AccountSlug,
        _agent: AgentId,
        channel: ChannelId,
    ) -> Result<Line, Status> {
        let lines = self.lines.lock().unwrap();
        let line = lines.get(&channel.uuid()).copied();
        line.ok_or_else(|| Status::not_found("there is no such channel"))
    }
}

/// A stand-in for the CRM: knows these contacts.
#[derive(Clone, Default)]
pub struct Crm(pub Arc<Mutex<BTreeMap<Uuid, Contact>>>);

#[tonic::async_trait]
impl Contacts for Crm {
    async fn contact(
        &self,
        _account: &AccountSlug,
        _agent: AgentId,
        contact: Uuid,
    ) -> Result<Contact, Status> {
        let contacts = self.0.lock().unwrap();
        let contact = contacts.get(&contact).cloned();
        contact.ok_or_else(|| Status::not_found("there is no such contact"))
    }
}

/// Id of an agent.
pub fn agent(name: &str) -> AgentId {
    v5("agent", &[name]).into()
}

pub struct World {
    pub db: TestDatabase,
    pub inbound: Arc<Inbound>,
    pub events: Arc<Events>,
    pub api: Arc<Api>,
    pub assignment: Assignment,
    pub files: Arc<Gateway>,
    pub contacts: Crm,
    pub watch: Watch,
    pub records: Records,
    pub account: AccountSlug,
    pub channel: Uuid,
}

impl World {
    pub async fn new() -> Self {
        let db = database(&conversation::store::MIGRATOR).await;
        let (pool, waker) = (db.pool.clone(), Waker::new());
        let records = Records::default();
        let access = AccessCopy::new(pool.clone(), Arc::new(records.clone()));
        let assignment = Assignment::default();
        let lifecycle = Lifecycle::new();
        let files = Arc::new(Gateway::default());
        let contacts = Crm::default();
        let watch = Watch::new(pool.clone(), access.clone(), lifecycle.clone());
        Self {
            inbound: Arc::new(Inbound::new(pool.clone(), waker.clone())),
            events: Arc::new(Events::new(pool.clone(), waker.clone(), access.clone())),
            api: Arc::new(Api::new(
                pool,
                waker,
                watch.clone(),
                Others {
                    admission: Arc::new(assignment.clone()),
                    files: files.clone(),
                    lines: files.clone(),
                    contacts: Arc::new(contacts.clone()),
                },
            )),
            contacts,
            assignment,
            files,
            watch,
            records,
            account: chassis::testing::account("acme"),
            channel: Uuid::from_u128(0xc4a1),
            db,
        }
    }

    pub fn as_agent(&self, name: &str) -> Caller {
        let agent = agent(name);
        let scopes = ["chats:*"];
        chassis::testing::caller(&self.account, agent, &scopes, full_access(agent))
    }

    pub fn as_service(&self) -> Caller {
        service_caller(Some(&self.account), "shop", &["chats:*"], None)
    }

    /// Id of the chat of this chat key.
    pub fn chat(&self, chat_key: &str) -> Uuid {
        v5("chat", &[&self.channel.to_string(), chat_key])
    }

    /// An item as the gateway sends it.
    pub fn item(
        &self,
        event_key: &str,
        chat_key: &str,
        time: OffsetDateTime,
        kind: Kind,
    ) -> gateway::InboundEvent {
        gateway::InboundEvent {
            account: self.account.to_string(),
            channel_id: self.channel.to_string(),
            channel_kind: common::ChannelKind::TelegramBot.into(),
            event_key: event_key.into(),
            received_at: Some(chassis::grpc::timestamp(time)),
            provider_time: Some(chassis::grpc::timestamp(time)),
            raw: bytes::Bytes::from_static(b"{}"),
            chat_key: chat_key.into(),
            client: Some(client(chat_key, "Ada")),
            kind: Some(kind),
            ..Default::default()
        }
    }

    /// A text message `key` in the chat `chat_key`; the provider's key is `chat_key/key`.
    pub fn message(
        &self,
        chat_key: &str,
        key: &str,
        time: OffsetDateTime,
        text: &str,
    ) -> gateway::InboundEvent {
        let kind = Kind::Message(inbound_message(&format!("{chat_key}/{key}"), text));
        self.item(&format!("upd:{chat_key}:{key}"), chat_key, time, kind)
    }

    /// Hands items to the inbound consumer, as one batch.
    pub async fn receive(&self, items: &[gateway::InboundEvent]) {
        self.try_receive(items, noon()).await.unwrap();
    }

    pub async fn try_receive(
        &self,
        items: &[gateway::InboundEvent],
        now: OffsetDateTime,
    ) -> Result<(), HandlerError> {
        let batch: Vec<Delivery> = items.iter().map(inbound_delivery).collect();
        self.inbound.handle(&batch, now).await
    }

    /// Hands events to the events consumer, as one batch.
    pub async fn hear(&self, events: &[Delivery]) {
        self.events.handle(events, noon()).await.unwrap();
    }

    /// An event as another service publishes it.
    pub fn event<E: DomainEvent>(&self, id: u128, subject: Uuid, event: &E) -> Delivery {
        Delivery {
            envelope: Envelope {
                id: Uuid::from_u128(id),
                kind: E::TYPE.into(),
                service: E::SERVICE.into(),
                entity: E::ENTITY.into(),
                event: E::EVENT.into(),
                account: self.account.clone(),
                subject_id: subject.to_string(),
                actor: None,
                cause: None,
                sequence: 1,
                time: noon(),
                trace: TraceContext::none(),
            },
            payload: event.encode_to_vec().into(),
            origin: origin(),
        }
    }

    pub async fn send(
        &self,
        caller: &Caller,
        chat_key: &str,
        request_id: &str,
        text: &str,
    ) -> Result<pb::Message, Status> {
        let send = pb::SendMessageRequest {
            request_id: request_id.into(),
            chat_id: self.chat(chat_key).to_string(),
            text: Some(plain(text)),
            reply_to_message_id: String::new(),
            attachment_ids: Vec::new(),
        };
        let answer = self.api.send_message(request(caller, send)).await?;
        Ok(answer.into_inner().message.unwrap())
    }

    pub async fn close(&self, caller: &Caller, chat_key: &str) -> Result<pb::Conversation, Status> {
        let close = pb::CloseConversationRequest {
            chat_id: self.chat(chat_key).to_string(),
            conversation_id: String::new(),
        };
        let answer = self.api.close_conversation(request(caller, close)).await?;
        Ok(answer.into_inner().conversation.unwrap())
    }

    pub async fn get_chat(&self, caller: &Caller, chat_key: &str) -> Result<pb::Chat, Status> {
        let get = pb::GetChatRequest {
            chat_id: self.chat(chat_key).to_string(),
        };
        let answer = self.api.get_chat(request(caller, get)).await?;
        Ok(answer.into_inner().chat.unwrap())
    }

    /// All messages of a chat, oldest first.
    pub async fn history(&self, chat_key: &str) -> Vec<pb::Message> {
        let list = pb::ListMessagesRequest {
            chat_id: self.chat(chat_key).to_string(),
            page_size: 200,
            page_token: String::new(),
            full_text: false,
            ..Default::default()
        };
        let answer = self
            .api
            .list_messages(request(&self.as_service(), list))
            .await;
        let mut messages = answer.unwrap().into_inner().messages;
        messages.reverse();
        messages
    }

    /// The client's messages of a chat, oldest first.
    pub async fn client_messages(&self, chat_key: &str) -> Vec<pb::Message> {
        let mut messages = self.history(chat_key).await;
        messages.retain(|message| message.kind() == pb::message::Kind::Client);
        messages
    }

    /// Events in the outbox by `entity.event`, and how many there are of each.
    pub async fn published(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for event in self.outbox().await {
            *counts
                .entry(format!("{}.{}", event.entity, event.event))
                .or_default() += 1;
        }
        counts
    }

    /// Events of a type in the outbox, in order.
    pub async fn events_of<E: DomainEvent>(&self) -> Vec<E> {
        let outbox = self.outbox().await;
        let of_type = outbox.iter().filter(|event| event.kind == E::TYPE);
        of_type
            .map(|event| E::decode(&*event.payload).unwrap())
            .collect()
    }

    async fn outbox(&self) -> Vec<OutboxEvent> {
        let rows: Vec<Vec<u8>> =
            sqlx::query_scalar("select events from chassis.outbox order by id")
                .fetch_all(&self.db.pool)
                .await
                .unwrap();
        let rows = rows
            .iter()
            .map(|row| OutboxRow::decode(row.as_slice()).unwrap());
        rows.flat_map(|row| row.events).collect()
    }

    /// Counts rows with a statement.
    pub async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql)
            .fetch_one(&self.db.pool)
            .await
            .unwrap()
    }

    /// Everything that a repeat must leave as it is.
    pub async fn everything(&self) -> Vec<String> {
        let tables = [
            "select coalesce(jsonb_agg(t order by client_id), '[]')::text from client t",
            "select coalesce(jsonb_agg(t order by chat_id), '[]')::text from chat t",
            "select coalesce(jsonb_agg(t order by conversation_id), '[]')::text from conversation t",
            "select coalesce(jsonb_agg(t order by message_id), '[]')::text from message t",
            "select coalesce(jsonb_agg(t order by message_id, attempt, part), '[]')::text from message_part t",
            "select coalesce(jsonb_agg(t order by provider_key, kind), '[]')::text from parked t",
            "select coalesce(jsonb_agg(t order by provider_key), '[]')::text from message_key t",
            "select coalesce(jsonb_agg(t order by chat_id), '[]')::text from chat_start t",
            "select coalesce(jsonb_agg(t order by chat_id), '[]')::text from chat_assignment t",
            "select coalesce(jsonb_agg(t order by account), '[]')::text from account_number t",
            "select coalesce(sum(event_count), 0)::text from chassis.outbox",
        ];
        let mut all = Vec::new();
        for table in tables {
            let text: String = sqlx::query_scalar(table)
                .fetch_one(&self.db.pool)
                .await
                .unwrap();
            all.push(text);
        }
        all
    }
}

/// What an outbox row holds, as far as tests look at it.
#[derive(Clone, PartialEq, prost::Message)]
struct OutboxRow {
    #[prost(message, repeated, tag = "1")]
    events: Vec<OutboxEvent>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct OutboxEvent {
    #[prost(string, tag = "2")]
    kind: String,
    #[prost(string, tag = "4")]
    entity: String,
    #[prost(string, tag = "5")]
    event: String,
    #[prost(bytes = "vec", tag = "13")]
    payload: Vec<u8>,
}

fn origin() -> Origin {
    Origin {
        stream: "TEST".into(),
        sequence: 1,
        index: 0,
    }
}

fn inbound_delivery(item: &gateway::InboundEvent) -> Delivery {
    Delivery {
        envelope: Envelope {
            id: v5("inbound", &[&item.channel_id, &item.event_key]),
            kind: INBOUND_TYPE.into(),
            service: "channel-gateway".into(),
            entity: "inbound".into(),
            event: "item".into(),
            account: chassis::testing::account(&item.account),
            subject_id: item.chat_key.clone(),
            actor: None,
            cause: None,
            sequence: 0,
            time: noon(),
            trace: TraceContext::none(),
        },
        payload: item.encode_to_vec().into(),
        origin: origin(),
    }
}

pub fn client(user: &str, name: &str) -> common::ClientIdentity {
    common::ClientIdentity {
        scope: "telegram".into(),
        user_id: user.into(),
        name: name.into(),
        ..Default::default()
    }
}

pub fn plain(text: &str) -> common::Text {
    common::Text {
        text: text.into(),
        entities: Vec::new(),
    }
}

pub fn parts(text: &str) -> Vec<common::ContentPart> {
    vec![common::ContentPart {
        content: Some(Content::Text(plain(text))),
    }]
}

pub fn inbound_message(key: &str, text: &str) -> gateway::InboundMessage {
    gateway::InboundMessage {
        provider_key: key.into(),
        provider_number: key.rsplit('/').next().unwrap().parse().unwrap_or(0),
        parts: parts(text),
        ..Default::default()
    }
}

/// The text of a message.
pub fn text_of(message: &pb::Message) -> String {
    match message.parts.first().and_then(|part| part.content.as_ref()) {
        Some(Content::Text(text)) => text.text.clone(),
        _ => String::new(),
    }
}

/// The reason of a refusal.
pub fn reason(status: &Status) -> String {
    status.get_details_error_info().unwrap().reason
}
