//! The stories: what is said, opened, ended, set and handed over, and in which order.

use std::collections::BTreeSet;

use chassis::clock;
use chassis::consumer::{Delivery, Envelope, Handler as _, Origin};
use chassis::grpc::timestamp;
use chassis::id::{AccountSlug, v5, v7};
use chassis::stamp::Stamp;
use chassis::testing::{fresh_account, request};
use chassis::trace::TraceContext;
use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};
use switchboard_proto::DomainEvent;
use switchboard_proto::common::v1::{ClientIdentity, EntityKind, LinkedEntity, OpenReason};
use switchboard_proto::conversation::v1::{ConversationClosed, ConversationOpened};
use switchboard_proto::crm_cards::v1::company_service_server::CompanyService as _;
use switchboard_proto::crm_cards::v1::contact_service_server::ContactService as _;
use switchboard_proto::crm_cards::v1::crm_cards_service_server::CrmCardsService as _;
use switchboard_proto::crm_cards::v1::pipeline_connection::Mode;
use switchboard_proto::crm_cards::v1::responsible_outcome::Outcome;
use switchboard_proto::crm_cards::v1::{self as crm};
use time::Duration;
use tokio::sync::OnceCell;
use tonic::Code;
use uuid::Uuid;

use super::oracle::{CHANNELS, CHATS, COMPANY, Chat, ENTITIES, FURTHER, Flags, Oracle, PERSONS};
use super::post::{Post, Side};
use super::services::{Crm, Dialogs, Held, RUNTIME, STRANGER, admin, held};

const AGENTS: [Uuid; 3] = [
    Uuid::from_u128(0xa1),
    Uuid::from_u128(0xa2),
    Uuid::from_u128(0xa3),
];
const KINDS: [EntityKind; 5] = [
    EntityKind::Lead,
    EntityKind::Deal,
    EntityKind::Contact,
    EntityKind::Customer,
    EntityKind::Company,
];

/// Who is to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    Agent(usize),
    Stranger,
    Nobody,
}

impl Who {
    fn id(self) -> Option<Uuid> {
        match self {
            Self::Agent(number) => Some(AGENTS[number]),
            Self::Stranger => Some(STRANGER),
            Self::Nobody => None,
        }
    }
}

/// A step of a story.
#[derive(Debug, Clone)]
pub enum Step {
    /// A channel keeps other kinds in step; each bit is one. It is set when all is at rest.
    Keep {
        channel: usize,
        from_crm: u8,
        to_crm: u8,
    },
    /// The client writes into a chat that is over.
    Open(usize),
    /// A conversation ends.
    Close(usize),
    /// Somebody says who answers for a chat.
    Assign { chat: usize, agent: usize },
    /// Somebody says who answers for an entity.
    Give { entity: usize, to: Who },
    /// A CRM outside says so, by an act so many milliseconds from now.
    Outside {
        entity: usize,
        to: Who,
        from_now: i64,
        again: bool,
    },
    /// News is handed over.
    HandOver { side: Side, picks: Vec<(u16, bool)> },
    /// All is handed over: nothing is on its way.
    Settle,
}

/// What a story needs to know to go on.
#[derive(Debug, Clone)]
pub struct Plan {
    flags: [(u8, u8); CHANNELS],
    open: [bool; CHATS],
}

fn who() -> impl Strategy<Value = Who> {
    prop_oneof![
        8 => (0..AGENTS.len()).prop_map(Who::Agent),
        1 => Just(Who::Stranger),
        1 => Just(Who::Nobody),
    ]
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Dialogs), Just(Side::Crm)]
}

/// Half of the time everything is kept in step, so that much happens.
fn kinds() -> impl Strategy<Value = u8> {
    prop_oneof![Just(31), 0..32_u8]
}

impl ReferenceStateMachine for Plan {
    type State = Self;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Self> {
        let flags = ((kinds(), kinds()), (kinds(), kinds()));
        flags
            .prop_map(|(first, second)| Self {
                flags: [first, second],
                open: [true; CHATS],
            })
            .boxed()
    }

    fn transitions(_: &Self) -> BoxedStrategy<Step> {
        let picks = prop::collection::vec((any::<u16>(), prop::bool::weighted(0.3)), 1..4);
        prop_oneof![
            1 => (0..CHANNELS, kinds(), kinds())
                .prop_map(|(channel, from_crm, to_crm)| Step::Keep { channel, from_crm, to_crm }),
            2 => (0..CHATS).prop_map(Step::Open),
            2 => (0..CHATS).prop_map(Step::Close),
            4 => (0..CHATS, 0..AGENTS.len()).prop_map(|(chat, agent)| Step::Assign { chat, agent }),
            4 => (0..ENTITIES, who()).prop_map(|(entity, to)| Step::Give { entity, to }),
            3 => (0..ENTITIES, who(), -30_000..50_000_i64, prop::bool::weighted(0.2)).prop_map(
                |(entity, to, from_now, again)| Step::Outside { entity, to, from_now, again }
            ),
            8 => (side(), picks).prop_map(|(side, picks)| Step::HandOver { side, picks }),
            1 => Just(Step::Settle),
        ]
        .boxed()
    }

    fn apply(mut plan: Self, step: &Step) -> Self {
        match step {
            Step::Open(chat) => plan.open[*chat] = true,
            Step::Close(chat) => plan.open[*chat] = false,
            _ => {}
        }
        plan
    }

    fn preconditions(plan: &Self, step: &Step) -> bool {
        match step {
            Step::Open(chat) => !plan.open[*chat],
            Step::Close(chat) => plan.open[*chat],
            _ => true,
        }
    }
}

static SERVICES: OnceCell<(Dialogs, Crm)> = OnceCell::const_new();

async fn services() -> (&'static Dialogs, &'static Crm) {
    let make = async || (Dialogs::start().await, Crm::start().await);
    let (dialogs, crm) = SERVICES.get_or_init(make).await;
    (dialogs, crm)
}

/// Where a story is played: an account of its own.
pub struct Stage {
    services: (&'static Dialogs, &'static Crm),
    account: AccountSlug,
    chats: [String; CHATS],
    entities: Vec<LinkedEntity>,
    /// Conversations so far.
    number: i64,
    /// Who was told to have been opened last, by chat.
    conversations: [(Uuid, i64); CHATS],
    post: Post,
    oracle: Oracle,
}

impl StateMachineTest for Stage {
    type SystemUnderTest = Self;
    type Reference = Plan;

    fn init_test(plan: &Plan) -> Self {
        RUNTIME.block_on(Self::set(plan))
    }

    fn apply(mut stage: Self, _: &Plan, step: Step) -> Self {
        RUNTIME.block_on(stage.play(step));
        stage
    }

    fn teardown(mut stage: Self, _: Plan) {
        RUNTIME.block_on(stage.settle());
    }
}

fn channel(number: usize) -> Uuid {
    Uuid::from_u128(0xc0 + number as u128)
}

fn kinds_of(bits: u8) -> BTreeSet<i32> {
    let kinds = KINDS.iter().enumerate();
    let ticked = kinds.filter(|(place, _)| bits & (1 << place) != 0);
    ticked.map(|(_, kind)| (*kind).into()).collect()
}

impl Stage {
    /// Two persons of one company, one of them a buyer, write on two channels each; nobody answers for anything yet.
    async fn set(plan: &Plan) -> Self {
        let services = services().await;
        let (dialogs, crm) = services;
        let account = fresh_account();
        dialogs.account(&account, &AGENTS).await;
        let mut stage = Self {
            services,
            chats: std::array::from_fn(|chat| {
                v5("chat", &[account.as_str(), &chat.to_string()]).to_string()
            }),
            entities: Vec::new(),
            number: 0,
            conversations: [(Uuid::nil(), 0); CHATS],
            post: Post::new(account.clone()),
            oracle: Oracle::new([0; ENTITIES]),
            account,
        };
        let ask = admin(&stage.account);
        let pipeline = crm::CreatePipelineRequest {
            name: "Sales".into(),
            ..Default::default()
        };
        crm.api
            .create_pipeline(request(&ask, pipeline))
            .await
            .unwrap();
        for number in 0..CHANNELS {
            let connection = crm::PipelineConnection {
                channel_id: channel(number).to_string(),
                mode: Mode::Repeat.into(),
                ..Default::default()
            };
            let set = crm::SetPipelineConnectionRequest {
                connection: Some(connection),
            };
            crm.api
                .set_pipeline_connection(request(&ask, set))
                .await
                .unwrap();
        }
        for chat in 0..CHATS {
            stage.open(chat).await;
        }
        stage.post.settle(services).await;
        stage.link().await;
        stage.post.settle(services).await;
        for (number, (from_crm, to_crm)) in plan.flags.iter().enumerate() {
            stage.keep(number, *from_crm, *to_crm).await;
        }
        stage
    }

    /// Finds and makes what the chats are linked to.
    async fn link(&mut self) {
        let (_, crm) = self.services;
        let ask = admin(&self.account);
        let mut cards = Vec::new();
        let mut people = Vec::new();
        for chat in &self.chats {
            let get = crm::GetChatConnectionsRequest {
                chat_id: chat.clone(),
            };
            let linked = crm
                .api
                .get_chat_connections(request(&ask, get))
                .await
                .unwrap();
            let linked = linked.into_inner();
            cards.push(linked.cards[0].card_id.clone());
            people.push(linked.contact.unwrap().contact_id);
        }
        let company = crm::CreateCompanyRequest {
            name: "Oak".into(),
            ..Default::default()
        };
        let company = crm
            .api
            .create_company(request(&ask, company))
            .await
            .unwrap();
        let company = company.into_inner().company.unwrap().company_id;
        let further = crm::CreateCardRequest {
            title: "Further".into(),
            chat_id: self.chats[0].clone(),
            ..Default::default()
        };
        let further = crm.api.create_card(request(&ask, further)).await.unwrap();
        let further = further.into_inner().card.unwrap().card_id;
        for person in [&people[0], &people[CHANNELS]] {
            let update = crm::UpdateContactRequest {
                contact_id: person.clone(),
                company_id: Some(company.clone()),
                ..Default::default()
            };
            crm.api.update_contact(request(&ask, update)).await.unwrap();
        }
        let buyer = crm::SaveBuyerRequest {
            contact_id: people[CHANNELS].clone(),
            ..Default::default()
        };
        crm.api.save_buyer(request(&ask, buyer)).await.unwrap();
        let of = |kind: EntityKind, id: &String| LinkedEntity {
            kind: kind.into(),
            entity_id: id.clone(),
            ..Default::default()
        };
        let entity = |place: usize| match place {
            COMPANY => of(EntityKind::Company, &company),
            FURTHER => of(EntityKind::Lead, &further),
            4 => of(EntityKind::Contact, &people[0]),
            5 => of(EntityKind::Customer, &people[CHANNELS]),
            0 | 1 => of(EntityKind::Lead, &cards[place]),
            _ => of(EntityKind::Deal, &cards[place]),
        };
        assert_eq!(PERSONS, [4, 5]);
        self.entities = (0..ENTITIES).map(entity).collect();
        self.oracle.kinds = std::array::from_fn(|place| self.entities[place].kind);
        self.post.collect(self.services.0, crm).await;
    }

    async fn keep(&mut self, number: usize, from_crm: u8, to_crm: u8) {
        let flags = Flags {
            from_crm: kinds_of(from_crm),
            to_crm: kinds_of(to_crm),
        };
        let (from, to) = (flags.from_crm.clone(), flags.to_crm.clone());
        let (from, to) = (from.into_iter().collect(), to.into_iter().collect());
        let (dialogs, _) = self.services;
        dialogs.keep(&self.account, channel(number), from, to).await;
        self.oracle.flags[number] = flags;
    }

    async fn play(&mut self, step: Step) {
        match step {
            Step::Keep {
                channel,
                from_crm,
                to_crm,
            } => {
                self.settle().await;
                self.keep(channel, from_crm, to_crm).await;
            }
            Step::Open(chat) => {
                self.open(chat).await;
                self.oracle.opened(chat);
            }
            Step::Close(chat) => {
                self.settle().await;
                self.close(chat).await;
                self.oracle.closed(chat);
            }
            Step::Assign { chat, agent } => self.assign(chat, AGENTS[agent]).await,
            Step::Give { entity, to } => self.give(entity, to).await,
            Step::Outside {
                entity,
                to,
                from_now,
                again,
            } => self.outside(entity, to, from_now, again).await,
            Step::HandOver { side, picks } => {
                self.post.hand_over(side, &picks, self.services).await;
            }
            Step::Settle => self.settle().await,
        }
        let (dialogs, crm) = self.services;
        self.post.collect(dialogs, crm).await;
    }

    /// A conversation is opened: CRM, which has heard of all acts before it, decides at once; the dialogs hear of both later.
    async fn open(&mut self, chat: usize) {
        self.post.empty(Side::Crm, self.services).await;
        self.number += 1;
        let conversation = v7(clock::now());
        self.conversations[chat] = (conversation, self.number);
        let person = chat / CHANNELS;
        let event = ConversationOpened {
            conversation_id: conversation.to_string(),
            chat_id: self.chats[chat].clone(),
            channel_id: channel(chat % CHANNELS).to_string(),
            client_id: v5("client", &[self.account.as_str(), &person.to_string()]).to_string(),
            client: Some(ClientIdentity {
                scope: "telegram".into(),
                user_id: person.to_string(),
                name: format!("Person {person}"),
                ..Default::default()
            }),
            number: self.number,
            revision: 1,
            reason: OpenReason::ClientMessage.into(),
            chat_create_time: Some(timestamp(clock::now())),
            open_time: Some(timestamp(clock::now())),
            ..Default::default()
        };
        let opened = self.delivery(chat, &event);
        let (dialogs, crm) = self.services;
        let batch = std::slice::from_ref(&opened);
        crm.events.handle(batch, clock::now()).await.unwrap();
        self.post.add(opened);
        self.post.collect(dialogs, crm).await;
    }

    async fn close(&mut self, chat: usize) {
        let (conversation, number) = self.conversations[chat];
        let event = ConversationClosed {
            conversation_id: conversation.to_string(),
            chat_id: self.chats[chat].clone(),
            channel_id: channel(chat % CHANNELS).to_string(),
            number,
            revision: 2,
            ..Default::default()
        };
        let closed = self.delivery(chat, &event);
        let (dialogs, _) = self.services;
        dialogs
            .events
            .handle(&[closed], clock::now())
            .await
            .unwrap();
    }

    async fn assign(&mut self, chat: usize, agent: Uuid) {
        let (dialogs, _) = self.services;
        let id = &self.chats[chat];
        let (before, number) = dialogs.held(&self.account, id).await;
        let act = dialogs.assign(&self.account, id, agent).await;
        // Who has it already is not given it anew.
        if before.agent != Some(agent) {
            // In a conversation that is over, or of whose successor the dialogs have not heard, it lasts until the next.
            let lasts = number == self.conversations[chat].1;
            self.oracle.chat_given(chat, act, lasts);
        }
    }

    async fn give(&mut self, entity: usize, to: Who) {
        let (_, crm) = self.services;
        // Whom nobody can follow, or nobody: what was said before has arrived by then. The one who came before would otherwise
        // stay or not, as the news comes.
        let plain = matches!(to, Who::Agent(_));
        if !plain {
            self.settle().await;
        }
        let linked = &self.entities[entity];
        let before = crm.held(&self.account, linked).await;
        let given = crm.give(&self.account, linked, to.id()).await;
        let act = crm.held(&self.account, linked).await;
        if to == Who::Stranger {
            // Who is no agent of the account is given nothing (X06).
            assert_eq!(given.unwrap_err().code(), Code::InvalidArgument);
            assert_eq!(act, before);
            return;
        }
        given.unwrap();
        if before.agent != to.id() {
            assert!(act.stamp > before.stamp);
            self.oracle.entity_given(entity, act);
        }
        if !plain {
            self.settle().await;
        }
    }

    async fn outside(&mut self, entity: usize, to: Who, from_now: i64, again: bool) {
        let (_, crm) = self.services;
        if to == Who::Nobody {
            self.settle().await;
        }
        let linked = &self.entities[entity];
        let now = clock::now();
        let act = Held {
            agent: to.id(),
            stamp: Stamp {
                time: now + Duration::milliseconds(from_now),
                event: v7(now),
            },
        };
        let before = crm.held(&self.account, linked).await;
        let answer = crm.outside(&self.account, linked, act).await;
        let in_place = answer.entity.clone().unwrap();
        let in_place = held(&in_place.responsible_agent_id, in_place.stamp);
        let expected = match to {
            _ if act.stamp < before.stamp && act.agent == before.agent => Outcome::Unchanged,
            _ if act.stamp < before.stamp => Outcome::Overtaken,
            Who::Stranger => Outcome::AgentUnknown,
            _ if act.agent == before.agent => Outcome::Unchanged,
            _ => Outcome::Applied,
        };
        assert_eq!(answer.outcome(), expected);
        if in_place.stamp == act.stamp {
            assert_eq!(in_place, act);
            self.oracle.entity_given(entity, act);
        }
        if again {
            let answer = crm.outside(&self.account, linked, act).await;
            let repeated = match expected {
                Outcome::Applied => Outcome::Unchanged,
                other => other,
            };
            assert_eq!(answer.outcome(), repeated);
        }
        if to == Who::Nobody {
            self.settle().await;
        }
    }

    /// Lets all news arrive, and compares.
    async fn settle(&mut self) {
        let (dialogs, crm) = self.services;
        self.post.collect(dialogs, crm).await;
        self.post.settle(self.services).await;
        for (chat, id) in self.chats.iter().enumerate() {
            let Chat::Open(expected) = self.oracle.chat(chat) else {
                continue;
            };
            let (found, _) = dialogs.held(&self.account, id).await;
            let found = found.agent.map(|_| found);
            assert_eq!(found, expected, "chat {chat}");
        }
        for (entity, linked) in self.entities.iter().enumerate() {
            let found = crm.held(&self.account, linked).await;
            let found = (found.stamp > Stamp::ZERO).then_some(found);
            assert_eq!(found, self.oracle.entity(entity), "entity {entity}");
        }
    }

    fn delivery<E: DomainEvent>(&self, chat: usize, event: &E) -> Delivery {
        Delivery {
            envelope: Envelope {
                id: v7(clock::now()),
                kind: E::TYPE.into(),
                service: E::SERVICE.into(),
                entity: E::ENTITY.into(),
                event: E::EVENT.into(),
                account: self.account.clone(),
                subject_id: self.chats[chat].clone(),
                actor: None,
                cause: None,
                sequence: 1,
                time: clock::now(),
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
