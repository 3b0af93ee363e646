//! A whole system for a story: servers, the four services, the Bot API's stand-in, and an account to play with.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use switchboard_proto::assignment::v1::{
    self as assignment, assignment_service_client::AssignmentServiceClient,
};
use switchboard_proto::channel_gateway::v1::{
    self as gateway, channel_gateway_service_client::ChannelGatewayServiceClient,
};
use switchboard_proto::conversation::v1::{
    self as conversation, conversation_service_client::ConversationServiceClient,
};
use switchboard_proto::crm_cards::v1::{
    self as crm, crm_cards_service_client::CrmCardsServiceClient,
};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status};
use uuid::Uuid;

use crate::servers::{NatsServer, PostgresServer};
use crate::services::{Kind, Surroundings, System};
use crate::telegram::{Options, StandIn};

/// How long a story waits for what must come.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Everything that an administrator's token of these stories may do.
pub const ADMIN: &str = "chats:* crm:* channels:* agents:*";
/// What an agent's token may do.
const AGENT: &str = "chats:* crm:*";

/// Puts a bearer token on each call.
#[derive(Clone)]
pub struct Bearer(Option<MetadataValue<Ascii>>);

impl Bearer {
    /// A token that is sent with each call.
    pub fn new(token: &str) -> anyhow::Result<Self> {
        Ok(Self(Some(format!("Bearer {token}").parse()?)))
    }

    /// No token at all.
    pub fn none() -> Self {
        Self(None)
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request
                .metadata_mut()
                .insert("authorization", token.clone());
        }
        request.set_timeout(Duration::from_secs(10));
        Ok(request)
    }
}

/// A channel that carries a token.
pub type Authorised = InterceptedService<Channel, Bearer>;

/// The clients of one caller.
#[derive(Clone)]
pub struct Clients {
    /// Accounts, agents, responsibles.
    pub assignment: AssignmentServiceClient<Authorised>,
    /// Chats and messages.
    pub conversation: ConversationServiceClient<Authorised>,
    /// Cards and contacts.
    pub crm: CrmCardsServiceClient<Authorised>,
    /// Channels.
    pub gateway: ChannelGatewayServiceClient<Authorised>,
}

/// Servers, services and the stand-in. All end when it is dropped.
pub struct World {
    /// The four services; declared first so that they end before their servers.
    pub system: System,
    /// The Bot API's stand-in.
    pub telegram: StandIn,
    /// The broker.
    pub nats: NatsServer,
    /// The databases' server.
    pub postgres: PostgresServer,
}

/// How a world is made.
#[derive(Clone, Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own, named where it is set"
)]
pub struct WorldOptions {
    /// Let Postgres sync its log, as it does in production.
    pub synced: bool,
    /// What Postgres may hold in memory of its own, for large tables; goes with `synced`.
    pub memory: Option<&'static str>,
    /// More environment for all or one of the services.
    pub environment: Vec<(Option<Kind>, String, String)>,
    /// Callers come by an address before each service.
    pub fronted: bool,
    /// Where the services' programs are, if not beside the test.
    pub programs: Option<std::path::PathBuf>,
    /// The broker has the configuration that is shipped, with a user for each service.
    pub shipped_broker: bool,
    /// Services speak TLS.
    pub tls: bool,
}

impl World {
    /// Starts everything on free ports.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(WorldOptions::default()).await
    }

    /// Starts everything as told.
    pub async fn start_with(mut options: WorldOptions) -> anyhow::Result<Self> {
        let nats = if options.shipped_broker {
            NatsServer::start_as_shipped()?
        } else {
            NatsServer::start()?
        };
        for kind in Kind::ALL.into_iter().filter(|_| options.shipped_broker) {
            let url = nats.url_of(kind.name());
            let variable = "SWITCHBOARD_NATS__URL".to_owned();
            options.environment.push((Some(kind), variable, url));
        }
        let postgres = match options.memory {
            Some(memory) => PostgresServer::start_with_memory(memory)?,
            None if options.synced => PostgresServer::start()?,
            None => PostgresServer::start_unsynced()?,
        };
        let telegram = StandIn::start_with(Options::fast()).await?;
        let system = System::start(Surroundings {
            nats_url: nats.url(),
            postgres_url: postgres.url(),
            telegram_url: telegram.url(),
            environment: options.environment,
            fronted: options.fronted,
            programs: options.programs,
            tls: options.tls,
        })
        .await?;
        Ok(Self {
            system,
            telegram,
            nats,
            postgres,
        })
    }

    /// Makes clients that call with a token.
    pub fn clients(&self, bearer: &Bearer) -> anyhow::Result<Clients> {
        let channel = |kind| -> anyhow::Result<Authorised> {
            let endpoint = self.system.endpoint(kind)?;
            let endpoint = endpoint.connect_timeout(Duration::from_secs(2));
            Ok(InterceptedService::new(
                endpoint.connect_lazy(),
                bearer.clone(),
            ))
        };
        Ok(Clients {
            assignment: AssignmentServiceClient::new(channel(Kind::Assignment)?),
            conversation: ConversationServiceClient::new(channel(Kind::Conversation)?),
            crm: CrmCardsServiceClient::new(channel(Kind::CrmCards)?),
            gateway: ChannelGatewayServiceClient::new(channel(Kind::ChannelGateway)?),
        })
    }

    /// Makes an account with a pipeline, a source, two agents who are online, and an enabled Telegram channel that
    /// makes a card whenever nothing is in work and gives chats to the agents in turn.
    pub async fn account(&self, plan: Plan) -> anyhow::Result<Account> {
        let slug = format!("t{}", &Uuid::new_v4().simple().to_string()[..12]);
        let mut operator = self.clients(&Bearer::new(&self.system.tokens().operator())?)?;
        operator
            .assignment
            .create_account(assignment::CreateAccountRequest {
                slug: slug.clone(),
                ..Default::default()
            })
            .await?;
        let admin_token = self.system.tokens().service(&slug, "admin", ADMIN);
        let admin = self.clients(&Bearer::new(&admin_token)?)?;
        let mut account = Account {
            slug,
            admin,
            agents: Vec::new(),
            channel_id: Uuid::new_v4().to_string(),
            bot_token: format!(
                "{}:{}",
                7_000_000_000_u64 + rand::random::<u64>() % 900_000_000,
                "A".repeat(35)
            ),
            pipeline: crm::Pipeline::default(),
            source_id: String::new(),
        };
        account.make_agents(self, plan.agents).await?;
        account.make_channel(plan).await?;
        Ok(account)
    }
}

/// What an account of a story is like.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How many agents are there and online.
    pub agents: usize,
    /// When cards are made.
    pub mode: crm::pipeline_connection::Mode,
    /// How chats are distributed.
    pub distribution: assignment::Distribution,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            agents: 2,
            mode: crm::pipeline_connection::Mode::Repeat,
            distribution: assignment::Distribution::RoundRobin,
        }
    }
}

/// An agent of a story.
#[derive(Clone)]
pub struct StoryAgent {
    /// Id.
    pub id: Uuid,
    /// Clients with the agent's own token.
    pub clients: Clients,
}

/// An account of a story.
#[derive(Clone)]
pub struct Account {
    /// Slug.
    pub slug: String,
    /// Clients of its administrator.
    pub admin: Clients,
    /// Its agents, all online.
    pub agents: Vec<StoryAgent>,
    /// Its Telegram channel.
    pub channel_id: String,
    /// The bot's token.
    pub bot_token: String,
    /// Its pipeline.
    pub pipeline: crm::Pipeline,
    /// The source its cards carry.
    pub source_id: String,
}

impl Account {
    async fn make_agents(&mut self, world: &World, count: usize) -> anyhow::Result<()> {
        for number in 0..count {
            let id = Uuid::new_v4();
            self.admin
                .assignment
                .create_agent(assignment::CreateAgentRequest {
                    request_id: Uuid::new_v4().to_string(),
                    agent_id: id.to_string(),
                    name: format!("Agent {number}"),
                    ..Default::default()
                })
                .await?;
            let token = world.system.tokens().agent(&self.slug, id, AGENT);
            let mut clients = world.clients(&Bearer::new(&token)?)?;
            clients
                .assignment
                .set_presence(assignment::SetPresenceRequest {
                    presence: assignment::Presence::Online.into(),
                    ..Default::default()
                })
                .await?;
            self.agents.push(StoryAgent { id, clients });
        }
        Ok(())
    }

    async fn make_channel(&mut self, plan: Plan) -> anyhow::Result<()> {
        let request_id = || Uuid::new_v4().to_string();
        let made = self
            .admin
            .crm
            .create_pipeline(crm::CreatePipelineRequest {
                request_id: request_id(),
                name: "Sales".into(),
                ..Default::default()
            })
            .await?;
        self.pipeline = made.into_inner().pipeline.context("a pipeline")?;
        let made = self
            .admin
            .crm
            .create_source(crm::CreateSourceRequest {
                request_id: request_id(),
                name: "Telegram".into(),
            })
            .await?;
        self.source_id = made.into_inner().source.context("a source")?.source_id;
        self.admin
            .gateway
            .create_channel(gateway::CreateChannelRequest {
                request_id: request_id(),
                channel_id: self.channel_id.clone(),
                name: "Shop bot".into(),
                credentials: Some(gateway::create_channel_request::Credentials::TelegramBot(
                    gateway::TelegramBotCredentials {
                        token: self.bot_token.clone(),
                    },
                )),
            })
            .await?;
        self.admin
            .crm
            .set_pipeline_connection(crm::SetPipelineConnectionRequest {
                connection: Some(crm::PipelineConnection {
                    channel_id: self.channel_id.clone(),
                    mode: plan.mode.into(),
                    source_id: self.source_id.clone(),
                    ..Default::default()
                }),
            })
            .await?;
        self.admin
            .assignment
            .set_distribution_policy(assignment::SetDistributionPolicyRequest {
                policy: Some(assignment::DistributionPolicy {
                    channel_id: self.channel_id.clone(),
                    distribution: plan.distribution.into(),
                    agent_ids: self
                        .agents
                        .iter()
                        .map(|agent| agent.id.to_string())
                        .collect(),
                    keep_previous: false,
                    ..Default::default()
                }),
            })
            .await?;
        self.admin
            .gateway
            .enable_channel(gateway::EnableChannelRequest {
                channel_id: self.channel_id.clone(),
            })
            .await?;
        Ok(())
    }

    /// All chats of the account, newest first.
    pub async fn chats(&self) -> anyhow::Result<Vec<conversation::Chat>> {
        let mut client = self.admin.conversation.clone();
        let mut all = Vec::new();
        let mut page_token = String::new();
        loop {
            let page = client
                .list_chats(conversation::ListChatsRequest {
                    page_size: 200,
                    page_token: std::mem::take(&mut page_token),
                    ..Default::default()
                })
                .await?
                .into_inner();
            all.extend(page.chats);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(all);
            }
        }
    }

    /// The chat of a customer; waits until it is there.
    pub async fn chat_of(&self, customer: i64) -> anyhow::Result<conversation::Chat> {
        let customer = customer.to_string();
        eventually("the customer's chat", async || {
            let chats = self.chats().await?;
            Ok(chats.into_iter().find(|chat| {
                chat.client
                    .as_ref()
                    .is_some_and(|client| client.user_id == customer)
            }))
        })
        .await
    }

    /// All messages of a chat, oldest first.
    pub async fn messages(&self, chat_id: &str) -> anyhow::Result<Vec<conversation::Message>> {
        let mut client = self.admin.conversation.clone();
        let mut all = Vec::new();
        let mut page_token = String::new();
        loop {
            let page = client
                .list_messages(conversation::ListMessagesRequest {
                    chat_id: chat_id.to_owned(),
                    page_size: 200,
                    page_token: std::mem::take(&mut page_token),
                    full_text: false,
                    ..Default::default()
                })
                .await?
                .into_inner();
            all.extend(page.messages);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                all.reverse();
                return Ok(all);
            }
        }
    }

    /// All cards of a chat.
    pub async fn cards(&self, chat_id: &str) -> anyhow::Result<Vec<crm::Card>> {
        let request = crm::ListCardsRequest {
            chat_id: chat_id.to_owned(),
            page_size: 200,
            ..Default::default()
        };
        Ok(self
            .admin
            .crm
            .clone()
            .list_cards(request)
            .await?
            .into_inner()
            .cards)
    }

    /// All decisions of a chat, newest first.
    pub async fn decisions(&self, chat_id: &str) -> anyhow::Result<Vec<crm::Decision>> {
        let request = crm::ListDecisionsRequest {
            chat_id: chat_id.to_owned(),
            page_size: 200,
            ..Default::default()
        };
        Ok(self
            .admin
            .crm
            .clone()
            .list_decisions(request)
            .await?
            .into_inner()
            .decisions)
    }

    /// The agent with this id.
    pub fn agent(&self, id: &str) -> anyhow::Result<&StoryAgent> {
        self.agents
            .iter()
            .find(|agent| agent.id.to_string() == id)
            .context("an agent of this account")
    }
}

/// The text of a message, its text parts joined.
pub fn text_of(message: &conversation::Message) -> String {
    use switchboard_proto::common::v1::content_part::Content;
    let texts = message.parts.iter().filter_map(|part| match &part.content {
        Some(Content::Text(text)) => Some(text.text.as_str()),
        _ => None,
    });
    texts.collect::<Vec<_>>().join("\n")
}

/// Asks until there is an answer, at most for [`PATIENCE`]; says what was waited for.
pub async fn eventually<T>(
    what: &str,
    ask: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    within(PATIENCE, what, ask).await
}

/// Asks until there is an answer, at most for `patience`; says what was waited for.
pub async fn within<T>(
    patience: Duration,
    what: &str,
    mut ask: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + patience;
    let mut last = None;
    loop {
        match ask().await {
            Ok(Some(answer)) => return Ok(answer),
            Ok(None) => {}
            Err(error) => last = Some(error),
        }
        if Instant::now() > deadline {
            return match last {
                Some(error) => {
                    Err(error.context(format!("{what} did not come within {patience:?}")))
                }
                None => bail!("{what} did not come within {patience:?}"),
            };
        }
        // Between two looks at the same condition; the deadline above decides, not this pause.
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}
