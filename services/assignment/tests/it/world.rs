//! What the tests begin with: a database, an account, agents, and events as other services publish them.

use assignment::app::App;
use assignment::app::access::{KnownAccess, OwnAccess};
use assignment::app::memory::Memory;
use assignment::domain::ChatId;
use assignment::events::Events;
use assignment::grpc::Api;
use chassis::access::{AccessRecord, AccessSource as _};
use chassis::actor::Actor;
use chassis::auth::Caller;
use chassis::consumer::{Delivery, Handler as _, Origin};
use chassis::envelope::Envelope;
use chassis::id::{AccountSlug, AgentId, v5};
use chassis::outbox::Waker;
use chassis::testing::{TestDatabase, database, request, service_caller};
use chassis::trace::TraceContext;
use prost::Message as _;
use switchboard_proto::DomainEvent;
use switchboard_proto::assignment::v1 as pb;
use switchboard_proto::assignment::v1::assignment_service_server::AssignmentService as _;
use switchboard_proto::common::v1::LinkedEntity;
use switchboard_proto::conversation::v1::{
    ConversationClosed, ConversationContinued, ConversationOpened,
};
use switchboard_proto::crm_cards::v1::{ConnectionDecided, Decision, EntityResponsibleChanged};
use switchboard_proto::operator::v1::SettingChanged;
use time::{Duration, OffsetDateTime};
use tonic::Status;
use tonic_types::StatusExt as _;
use uuid::Uuid;

/// A moment to which tests add: nothing here reads the clock.
pub fn noon() -> OffsetDateTime {
    time::macros::datetime!(2026-03-02 12:00:00 UTC)
}

pub struct World {
    pub db: TestDatabase,
    pub app: App,
    pub api: Api,
    pub account: AccountSlug,
    pub channel: Uuid,
}

impl World {
    pub async fn new() -> Self {
        let db = database(&assignment::store::MIGRATOR).await;
        let app = App {
            pool: db.pool.clone(),
            waker: Waker::new(),
            more_wait: std::sync::Arc::default(),
            known: KnownAccess::default(),
            memory: Memory::default(),
            source: None,
        };
        let api = Api(app.clone());
        let account = chassis::testing::account("acme");
        let world = Self {
            db,
            app,
            api,
            account,
            channel: Uuid::from_u128(0xc4a1),
        };
        world.open_account("acme").await;
        world
    }

    pub async fn open_account(&self, slug: &str) {
        let ops = service_caller(None, "ops", &["ops"], None);
        let create = pb::CreateAccountRequest {
            slug: slug.into(),
            ..Default::default()
        };
        self.api
            .create_account(request(&ops, create))
            .await
            .unwrap();
    }

    /// A service with a token of the account.
    pub fn admin(&self) -> Caller {
        service_caller(
            Some(&self.account),
            "shop",
            &["agents:admin", "channels:admin", "chats:*"],
            None,
        )
    }

    /// One of our own services.
    pub fn internal(&self) -> Caller {
        service_caller(Some(&self.account), "conversation", &["internal"], None)
    }

    pub async fn record(&self, agent: AgentId) -> AccessRecord {
        let source = OwnAccess::new(self.app.pool.clone(), KnownAccess::default());
        source.access(&self.account, agent).await.unwrap().unwrap()
    }

    /// An agent with their record as the gate would have loaded it.
    pub async fn as_agent(&self, agent: AgentId) -> Caller {
        let record = self.record(agent).await;
        chassis::testing::caller(&self.account, agent, &["chats:*"], record)
    }

    /// Creates an agent who is online.
    pub async fn agent(&self, name: &str) -> AgentId {
        let agent = self.agent_with(name, 0, None).await;
        self.presence(agent, pb::Presence::Online).await;
        agent
    }

    pub async fn agent_with(
        &self,
        name: &str,
        capacity: i32,
        grants: Option<pb::Grants>,
    ) -> AgentId {
        let agent = v5("agent", &[name]);
        let create = pb::CreateAgentRequest {
            agent_id: agent.to_string(),
            name: name.into(),
            capacity,
            grants,
            ..Default::default()
        };
        self.api
            .create_agent(request(&self.admin(), create))
            .await
            .unwrap();
        agent.into()
    }

    pub async fn presence(&self, agent: AgentId, presence: pb::Presence) {
        let set = pb::SetPresenceRequest {
            agent_id: agent.to_string(),
            presence: presence.into(),
            ..Default::default()
        };
        self.api
            .set_presence(request(&self.admin(), set))
            .await
            .unwrap();
    }

    pub async fn policy(&self, pool: &[AgentId], keep_previous: bool) {
        self.try_policy(pool, keep_previous).await.unwrap();
    }

    pub async fn try_policy(&self, pool: &[AgentId], keep_previous: bool) -> Result<(), Status> {
        let policy = pb::DistributionPolicy {
            channel_id: self.channel.to_string(),
            distribution: pb::Distribution::RoundRobin.into(),
            agent_ids: pool.iter().map(ToString::to_string).collect(),
            keep_previous,
            // The pace of what has waited has tests of its own.
            waiting_per_minute: Some(0),
            ..Default::default()
        };
        let set = pb::SetDistributionPolicyRequest {
            policy: Some(policy),
        };
        self.api
            .set_distribution_policy(request(&self.admin(), set))
            .await
            .map(drop)
    }

    pub async fn handle(&self, batch: &[Delivery]) {
        Events::new(self.app.clone())
            .handle(batch, noon())
            .await
            .unwrap();
    }

    pub async fn assignment(&self, talk: &Talk) -> pb::ChatAssignment {
        let get = pb::GetChatAssignmentRequest {
            chat_id: talk.chat.to_string(),
        };
        let answer = self
            .api
            .get_chat_assignment(request(&self.internal(), get))
            .await
            .unwrap();
        answer.into_inner().assignment.unwrap()
    }

    pub async fn responsible(&self, talk: &Talk) -> Option<AgentId> {
        self.assignment(talk).await.agent_id.parse().ok()
    }

    pub async fn explain(&self, talk: &Talk) -> Vec<pb::AssignmentChoice> {
        let explain = pb::ExplainAssignmentRequest {
            chat_id: talk.chat.to_string(),
            ..Default::default()
        };
        let answer = self
            .api
            .explain_assignment(request(&self.admin(), explain))
            .await
            .unwrap();
        answer.into_inner().choices
    }

    pub async fn load(&self, agent: AgentId) -> i32 {
        let get = pb::GetAgentRequest {
            agent_id: agent.to_string(),
        };
        let answer = self
            .api
            .get_agent(request(&self.internal(), get))
            .await
            .unwrap();
        answer.into_inner().agent.unwrap().load
    }

    /// Checks that every load is the number of open chats that the agent answers for.
    pub async fn loads_are_true(&self) {
        let wrong: Vec<(Uuid, i32)> = sqlx::query_as(
            "select l.agent_id, l.load from agent_load l
             where l.load <> (select count(*) from chat_assignment c where c.account = l.account
                              and c.agent_id = l.agent_id and c.open)",
        )
        .fetch_all(&self.db.pool)
        .await
        .unwrap();
        assert_eq!(wrong, [], "loads that are not the number of open chats");
        let wrong: Vec<(Uuid, Uuid, i64, i64)> = sqlx::query_as(
            "select channel_id, agent_id, coalesce(l.load, 0)::bigint, coalesce(c.load, 0)
             from (select * from channel_load where load <> 0) l
             full join (select account, channel_id, agent_id, count(*) as load from chat_assignment
                        where open and agent_id is not null group by account, channel_id, agent_id) c
               using (account, channel_id, agent_id)
             where l.load is distinct from c.load",
        )
        .fetch_all(&self.db.pool)
        .await
        .unwrap();
        assert_eq!(
            wrong,
            [],
            "loads in channels that are not the number of open chats"
        );
    }

    /// The events that stand in the outbox, in their order, without those of changed settings: each comes with an entry
    /// of the audit, which has tests of its own.
    pub async fn outbox(&self) -> Vec<OutboxEvent> {
        let rows: Vec<Vec<u8>> =
            sqlx::query_scalar("select events from chassis.outbox order by id")
                .fetch_all(&self.db.pool)
                .await
                .unwrap();
        let events = |row: Vec<u8>| OutboxRow::decode(&*row).unwrap().events;
        let events = rows.into_iter().flat_map(events);
        events
            .filter(|event| event.kind != SettingChanged::TYPE)
            .collect()
    }

    /// How many of them there are.
    pub async fn events(&self) -> usize {
        self.outbox().await.len()
    }

    /// All that was decided, in one text, to compare before and after.
    pub async fn everything(&self) -> String {
        sqlx::query_scalar(
            "select concat(
                 (select json_agg(c order by chat_id) from chat_assignment c), e'\n',
                 (select json_agg(c order by conversation_id) from conversation c), e'\n',
                 (select json_agg(c order by choice_id) from assignment_choice c), e'\n',
                 (select json_agg(p order by channel_id) from distribution_policy p), e'\n',
                 (select json_agg(l order by agent_id) from agent_load l), e'\n',
                 (select sum(event_count) from chassis.outbox))",
        )
        .fetch_one(&self.db.pool)
        .await
        .unwrap()
    }

    pub async fn claim(
        &self,
        agent: AgentId,
        talk: &Talk,
    ) -> Result<pb::ClaimChatResponse, Status> {
        let caller = self.as_agent(agent).await;
        let claim = pb::ClaimChatRequest {
            request_id: String::new(),
            chat_id: talk.chat.to_string(),
        };
        self.api
            .claim_chat(request(&caller, claim))
            .await
            .map(tonic::Response::into_inner)
    }

    pub async fn admit(
        &self,
        agent: AgentId,
        talk: &Talk,
        state: (i64, bool),
    ) -> Result<pb::AdmitReplyResponse, Status> {
        let admit = talk.admission(agent, state);
        self.api
            .admit_reply(request(&self.internal(), admit))
            .await
            .map(tonic::Response::into_inner)
    }
}

/// What an outbox row holds, as far as tests look at it.
#[derive(Clone, PartialEq, prost::Message)]
struct OutboxRow {
    #[prost(message, repeated, tag = "1")]
    events: Vec<OutboxEvent>,
}

/// One event of it.
#[derive(Clone, PartialEq, prost::Message)]
pub struct OutboxEvent {
    #[prost(string, tag = "2")]
    pub kind: String,
    #[prost(bytes = "vec", tag = "13")]
    pub payload: Vec<u8>,
}

/// A conversation of a chat, as events tell of it.
#[derive(Debug, Clone)]
pub struct Talk {
    pub account: AccountSlug,
    pub chat: ChatId,
    pub channel: Uuid,
    pub conversation: Uuid,
    pub number: i64,
    pub opener: String,
    pub time: OffsetDateTime,
}

impl Talk {
    /// The conversation with a number, in a chat of its own.
    pub fn new(world: &World, number: i64) -> Self {
        Self {
            account: world.account.clone(),
            chat: v5("chat", &[&number.to_string()]).into(),
            channel: world.channel,
            conversation: v5("conversation", &[&number.to_string()]),
            number,
            opener: String::new(),
            time: noon() - Duration::HOUR + Duration::seconds(number),
        }
    }

    /// The next conversation of the same chat.
    pub fn next(&self, number: i64) -> Self {
        let conversation = v5("conversation", &[&number.to_string()]);
        Self {
            conversation,
            number,
            time: self.time + Duration::MINUTE,
            ..self.clone()
        }
    }

    pub fn opened_by(&self, agent: AgentId) -> Self {
        Self {
            opener: agent.to_string(),
            ..self.clone()
        }
    }

    /// Asks whether an agent may write, with the state that the caller knows.
    pub fn admission(
        &self,
        agent: AgentId,
        (revision, open): (i64, bool),
    ) -> pb::AdmitReplyRequest {
        pb::AdmitReplyRequest {
            request_id: format!("message-of-{agent}"),
            chat_id: self.chat.to_string(),
            channel_id: self.channel.to_string(),
            conversation_id: self.conversation.to_string(),
            number: self.number,
            revision,
            open,
            opener_agent_id: self.opener.clone(),
            agent_id: agent.to_string(),
            open_time: Some(chassis::grpc::timestamp(self.time)),
        }
    }

    pub fn opened(&self) -> Delivery {
        let event = ConversationOpened {
            conversation_id: self.conversation.to_string(),
            chat_id: self.chat.to_string(),
            channel_id: self.channel.to_string(),
            number: self.number,
            revision: 1,
            opener_agent_id: self.opener.clone(),
            open_time: Some(chassis::grpc::timestamp(self.time)),
            ..Default::default()
        };
        self.delivery("opened", &event, None)
    }

    pub fn decided(&self) -> Delivery {
        self.decided_with(&[])
    }

    /// Decided, with the entities that the chat is linked to.
    pub fn decided_with(&self, linked: &[LinkedEntity]) -> Delivery {
        let event = ConnectionDecided {
            decision: Some(Decision {
                conversation_id: self.conversation.to_string(),
                number: self.number,
                chat_id: self.chat.to_string(),
                channel_id: self.channel.to_string(),
                ..Default::default()
            }),
            revision: 1,
            opener_agent_id: self.opener.clone(),
            open_time: Some(chassis::grpc::timestamp(self.time)),
            linked: linked.to_vec(),
            ..Default::default()
        };
        self.delivery("decided", &event, Some(self.opened().envelope.id))
    }

    /// An entity that these chats are linked to got another responsible.
    pub fn crm_changed(
        &self,
        entity: &LinkedEntity,
        chats: &[&Self],
        actor: Option<Actor>,
    ) -> Delivery {
        let event = EntityResponsibleChanged {
            entity: Some(entity.clone()),
            chat_ids: chats.iter().map(|talk| talk.chat.to_string()).collect(),
            previous_agent_id: String::new(),
        };
        let mut delivery = self.delivery(&format!("changed-{entity:?}"), &event, None);
        delivery.envelope.actor = actor;
        delivery
    }

    pub fn closed(&self, revision: i64) -> Delivery {
        let event = ConversationClosed {
            conversation_id: self.conversation.to_string(),
            chat_id: self.chat.to_string(),
            channel_id: self.channel.to_string(),
            number: self.number,
            revision,
            ..Default::default()
        };
        self.delivery(&format!("closed-{revision}"), &event, None)
    }

    pub fn continued(&self, revision: i64) -> Delivery {
        let event = ConversationContinued {
            conversation_id: self.conversation.to_string(),
            chat_id: self.chat.to_string(),
            channel_id: self.channel.to_string(),
            number: self.number,
            revision,
            ..Default::default()
        };
        self.delivery(&format!("continued-{revision}"), &event, None)
    }

    fn delivery<E: DomainEvent>(&self, what: &str, event: &E, cause: Option<Uuid>) -> Delivery {
        Delivery {
            envelope: Envelope {
                id: v5("event", &[what, &self.conversation.to_string()]),
                kind: E::TYPE.into(),
                service: E::SERVICE.into(),
                entity: E::ENTITY.into(),
                event: E::EVENT.into(),
                account: self.account.clone(),
                subject_id: self.chat.to_string(),
                actor: None,
                cause,
                sequence: 1,
                time: self.time,
                trace: TraceContext::none(),
            },
            payload: event.encode_to_vec().into(),
            origin: Origin {
                stream: "EVENTS".into(),
                sequence: 1,
                index: 0,
            },
        }
    }
}

/// Reason and metadata of a refusal.
pub fn reason(status: &Status) -> (String, std::collections::HashMap<String, String>) {
    let info = status
        .get_details_error_info()
        .expect("every refusal has ErrorInfo");
    assert_eq!(info.domain, "assignment");
    (info.reason, info.metadata)
}

/// The field that a refusal names.
pub fn field(status: &Status) -> String {
    status.get_details_bad_request().unwrap().field_violations[0]
        .field
        .clone()
}
