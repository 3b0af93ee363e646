//! The two services over databases of their own, and what is asked of them.

use std::sync::{Arc, LazyLock};

use assignment::app::access::KnownAccess;
use assignment::app::memory::Memory;
use chassis::access::{AccessCopy, AccessError, AccessFetch, AccessRecord};
use chassis::auth::Caller;
use chassis::id::{AccountSlug, AgentId};
use chassis::outbox::Waker;
use chassis::stamp::Stamp;
use chassis::testing::{self, TestDatabase, request};
use crm_cards::grpc::external_crm::ExternalCrm;
use switchboard_proto::assignment::v1 as assigned;
use switchboard_proto::assignment::v1::assignment_service_server::AssignmentService as _;
use switchboard_proto::assignment::v1::responsible_sync_service_server::ResponsibleSyncService as _;
use switchboard_proto::common::v1::{self as common, LinkedEntity};
use switchboard_proto::crm_cards::v1::card_service_server::CardService as _;
use switchboard_proto::crm_cards::v1::company_service_server::CompanyService as _;
use switchboard_proto::crm_cards::v1::contact_service_server::ContactService as _;
use switchboard_proto::crm_cards::v1::crm_cards_service_server::CrmCardsService as _;
use switchboard_proto::crm_cards::v1::external_crm_service_server::ExternalCrmService as _;
use switchboard_proto::crm_cards::v1::{self as crm, ResponsibleOutcome};
use time::OffsetDateTime;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use uuid::Uuid;

/// An agent of whom no account has heard.
pub const STRANGER: Uuid = Uuid::from_u128(0xdead);

/// Everything runs here: stories are played one after another.
pub static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

/// Who answers, by which act; nobody's stamp is not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    pub agent: Option<Uuid>,
    pub stamp: Stamp,
}

/// Assignment.
pub struct Dialogs {
    pub database: TestDatabase,
    pub api: assignment::grpc::Api,
    pub events: assignment::events::Events,
}

/// crm-cards.
pub struct Crm {
    pub database: TestDatabase,
    pub api: crm_cards::grpc::Handlers,
    pub outside: ExternalCrm,
    pub events: crm_cards::events::Events,
}

/// Knows every agent, but for the stranger.
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

impl Dialogs {
    pub async fn start() -> Self {
        let database = testing::database(&assignment::store::MIGRATOR).await;
        let app = assignment::app::App {
            pool: database.pool.clone(),
            waker: Waker::new(),
            more_wait: Arc::default(),
            known: KnownAccess::default(),
            memory: Memory::default(),
            source: None,
        };
        Self {
            api: assignment::grpc::Api(app.clone()),
            events: assignment::events::Events::new(app),
            database,
        }
    }

    pub async fn account(&self, account: &AccountSlug, agents: &[Uuid]) {
        let ops = testing::service_caller(None, "ops", &["ops"], None);
        let create = assigned::CreateAccountRequest {
            slug: account.to_string(),
            ..Default::default()
        };
        self.api
            .create_account(request(&ops, create))
            .await
            .unwrap();
        for agent in agents {
            let create = assigned::CreateAgentRequest {
                agent_id: agent.to_string(),
                name: "Agent".into(),
                ..Default::default()
            };
            let asked = request(&admin(account), create);
            self.api.create_agent(asked).await.unwrap();
        }
    }

    pub async fn keep(
        &self,
        account: &AccountSlug,
        channel: Uuid,
        from_crm: Vec<i32>,
        to_crm: Vec<i32>,
    ) {
        let sync = assigned::ResponsibleSync {
            channel_id: channel.to_string(),
            from_crm,
            to_crm,
            ..Default::default()
        };
        let set = assigned::SetResponsibleSyncRequest {
            sync: Some(sync),
            expected_revision: None,
        };
        let asked = request(&admin(account), set);
        self.api.set_responsible_sync(asked).await.unwrap();
    }

    pub async fn assign(&self, account: &AccountSlug, chat: &str, agent: Uuid) -> Held {
        let assign = assigned::AssignChatRequest {
            chat_id: chat.into(),
            agent_id: agent.to_string(),
            ..Default::default()
        };
        let asked = request(&admin(account), assign);
        let answer = self.api.assign_chat(asked).await.unwrap();
        of_chat(answer.into_inner().assignment)
    }

    /// Who answers for a chat, and the number of its conversation as far as the dialogs have heard.
    pub async fn held(&self, account: &AccountSlug, chat: &str) -> (Held, i64) {
        let get = assigned::GetChatAssignmentRequest {
            chat_id: chat.into(),
        };
        let asked = request(&admin(account), get);
        let answer = self.api.get_chat_assignment(asked).await.unwrap();
        let assignment = answer.into_inner().assignment.unwrap();
        let number = assignment.number;
        (of_chat(Some(assignment)), number)
    }
}

impl Crm {
    pub async fn start() -> Self {
        let database = testing::database(&crm_cards::store::MIGRATOR).await;
        let access = AccessCopy::new(database.pool.clone(), Arc::new(Everybody));
        let app = crm_cards::app::App {
            pool: database.pool.clone(),
            waker: Waker::new(),
            staff: access.clone(),
        };
        Self {
            api: crm_cards::grpc::Handlers::new(app.clone(), CancellationToken::new()),
            outside: ExternalCrm::new(app.clone(), access.clone()),
            events: crm_cards::events::Events::new(app, access),
            database,
        }
    }

    /// Somebody says who answers for an entity.
    pub async fn give(
        &self,
        account: &AccountSlug,
        entity: &LinkedEntity,
        agent: Option<Uuid>,
    ) -> Result<(), Status> {
        let admin = admin(account);
        let id = entity.entity_id.clone();
        let agent = Some(agent.map(|agent| agent.to_string()).unwrap_or_default());
        match entity.kind() {
            common::EntityKind::Contact | common::EntityKind::Customer => {
                let update = crm::UpdateContactRequest {
                    contact_id: id,
                    responsible_agent_id: agent,
                    ..Default::default()
                };
                self.api
                    .update_contact(request(&admin, update))
                    .await
                    .map(drop)
            }
            common::EntityKind::Company => {
                let update = crm::UpdateCompanyRequest {
                    company_id: id,
                    responsible_agent_id: agent,
                    ..Default::default()
                };
                self.api
                    .update_company(request(&admin, update))
                    .await
                    .map(drop)
            }
            _ => {
                let update = crm::UpdateCardRequest {
                    card_id: id,
                    responsible_agent_id: agent,
                    ..Default::default()
                };
                self.api
                    .update_card(request(&admin, update))
                    .await
                    .map(drop)
            }
        }
    }

    pub async fn held(&self, account: &AccountSlug, entity: &LinkedEntity) -> Held {
        let admin = admin(account);
        let id = entity.entity_id.clone();
        let (agent, stamp) = match entity.kind() {
            common::EntityKind::Contact | common::EntityKind::Customer => {
                let get = request(&admin, crm::GetContactRequest { contact_id: id });
                let answer = self.api.get_contact(get).await.unwrap();
                let contact = answer.into_inner().contact.unwrap();
                (contact.responsible_agent_id, contact.responsible_stamp)
            }
            common::EntityKind::Company => {
                let get = request(&admin, crm::GetCompanyRequest { company_id: id });
                let answer = self.api.get_company(get).await.unwrap();
                let company = answer.into_inner().company.unwrap();
                (company.responsible_agent_id, company.responsible_stamp)
            }
            _ => {
                let get = request(&admin, crm::GetCardRequest { card_id: id });
                let answer = self.api.get_card(get).await.unwrap();
                let card = answer.into_inner().card.unwrap();
                (card.responsible_agent_id, card.responsible_stamp)
            }
        };
        held(&agent, stamp)
    }

    /// A CRM outside says who answers for an entity.
    pub async fn outside(
        &self,
        account: &AccountSlug,
        entity: &LinkedEntity,
        act: Held,
    ) -> ResponsibleOutcome {
        let entity = LinkedEntity {
            responsible_agent_id: act.agent.map(|agent| agent.to_string()).unwrap_or_default(),
            stamp: Some(common::Stamp {
                time: Some(chassis::grpc::timestamp(act.stamp.time)),
                event_id: act.stamp.event.to_string(),
            }),
            ..entity.clone()
        };
        let set = crm::SetEntityResponsiblesRequest {
            entities: vec![entity],
        };
        let asked = request(&admin(account), set);
        let answer = self.outside.set_entity_responsibles(asked).await.unwrap();
        answer.into_inner().outcomes.remove(0)
    }
}

/// A service with a token of the account.
pub fn admin(account: &AccountSlug) -> Caller {
    let scopes = ["agents:admin", "channels:admin", "chats:*", "crm:*"];
    testing::service_caller(Some(account), "story", &scopes, None)
}

fn of_chat(assignment: Option<assigned::ChatAssignment>) -> Held {
    let assignment = assignment.unwrap();
    held(&assignment.agent_id, assignment.stamp)
}

/// Reads who answers; nobody where nobody does.
pub fn held(agent: &str, stamp: Option<common::Stamp>) -> Held {
    let stamp = stamp.unwrap_or_default();
    let time = stamp.time.unwrap_or_default();
    let seconds = OffsetDateTime::from_unix_timestamp(time.seconds).unwrap();
    Held {
        agent: agent.parse().ok(),
        stamp: Stamp {
            time: seconds + time::Duration::nanoseconds(time.nanos.into()),
            event: stamp.event_id.parse().unwrap_or_default(),
        },
    }
}
