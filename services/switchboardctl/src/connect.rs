//! Calls to the services: addresses, tokens, deadlines.

use std::collections::HashMap;
use std::error::Error;
use std::sync::Mutex;

use switchboard_proto::assignment::v1 as assignment;
use switchboard_proto::assignment::v1::assignment_service_client::AssignmentServiceClient;
use switchboard_proto::assignment::v1::calendar_service_client::CalendarServiceClient;
use switchboard_proto::assignment::v1::group_service_client::GroupServiceClient;
use switchboard_proto::assignment::v1::presence_service_client::PresenceServiceClient;
use switchboard_proto::assignment::v1::responsible_sync_service_client::ResponsibleSyncServiceClient;
use switchboard_proto::assignment::v1::role_service_client::RoleServiceClient;
use switchboard_proto::channel_gateway::v1 as gateway;
use switchboard_proto::channel_gateway::v1::channel_gateway_service_client::ChannelGatewayServiceClient;
use switchboard_proto::conversation::v1::activity_service_client::ActivityServiceClient;
use switchboard_proto::conversation::v1::bot_service_client::BotServiceClient;
use switchboard_proto::conversation::v1::channel_rule_service_client::ChannelRuleServiceClient;
use switchboard_proto::conversation::v1::chat_service_client::ChatServiceClient;
use switchboard_proto::conversation::v1::conversation_service_client::ConversationServiceClient;
use switchboard_proto::conversation::v1::internal_chat_service_client::InternalChatServiceClient;
use switchboard_proto::conversation::v1::notification_service_client::NotificationServiceClient;
use switchboard_proto::conversation::v1::quick_reply_service_client::QuickReplyServiceClient;
use switchboard_proto::conversation::v1::search_service_client::SearchServiceClient;
use switchboard_proto::crm_cards::v1::card_service_client::CardServiceClient;
use switchboard_proto::crm_cards::v1::company_service_client::CompanyServiceClient;
use switchboard_proto::crm_cards::v1::contact_service_client::ContactServiceClient;
use switchboard_proto::crm_cards::v1::crm_cards_service_client::CrmCardsServiceClient;
use switchboard_proto::crm_cards::v1::entity_chat_service_client::EntityChatServiceClient;
use switchboard_proto::crm_cards::v1::field_service_client::FieldServiceClient;
use switchboard_proto::crm_cards::v1::history_service_client::HistoryServiceClient;
use switchboard_proto::crm_cards::v1::order_service_client::OrderServiceClient;
use switchboard_proto::crm_cards::v1::pipeline_service_client::PipelineServiceClient;
use switchboard_proto::crm_cards::v1::transfer_service_client::TransferServiceClient;
use switchboard_proto::operator::v1::audit_service_client::AuditServiceClient;
use switchboard_proto::operator::v1::operator_service_client::OperatorServiceClient;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use uuid::Uuid;

use crate::context::Settings;
use crate::error::{CliError, plain};
use crate::token::{Mint, Role};

/// A channel that sends a token with every call.
pub(crate) type Authorised = InterceptedService<Channel, Bearer>;

/// Puts the token on a call.
#[derive(Clone)]
pub(crate) struct Bearer(MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request
            .metadata_mut()
            .insert("authorization", self.0.clone());
        Ok(request)
    }
}

/// The services by name, as in their options.
pub(crate) const SERVICES: [&str; 4] =
    ["assignment", "conversation", "crm-cards", "channel-gateway"];

/// Connections and tokens of one run.
pub(crate) struct Session {
    /// What was resolved.
    pub settings: Settings,
    mint: Option<Mint>,
    channels: Mutex<HashMap<&'static str, Channel>>,
}

impl Session {
    /// Opens the signing key, where there is one. Nothing is connected yet.
    pub fn new(settings: Settings) -> Result<Self, CliError> {
        let mint = match (&settings.token, &settings.key) {
            (None, Some(key)) => Some(Mint::open(key, &settings.issuer, &settings.audience)?),
            _ => None,
        };
        Ok(Self {
            settings,
            mint,
            channels: Mutex::default(),
        })
    }

    /// The role of ordinary verbs: the agent of `--as`, else the account.
    pub async fn role(&self) -> Result<Role, CliError> {
        match (&self.settings.acting, self.settings.acting_asked) {
            (Some(agent), true) => Ok(Role::Agent(self.agent_id(agent).await?)),
            _ => Ok(Role::Account),
        }
    }

    /// The role of verbs that only an agent can do: `--as`, else the context's agent.
    pub async fn agent_role(&self) -> Result<Role, CliError> {
        if self.settings.token.is_some() {
            // The token says who it is for.
            return Ok(Role::Account);
        }
        match &self.settings.acting {
            Some(agent) => Ok(Role::Agent(self.agent_id(agent).await?)),
            None => Err(CliError::usage(
                "this needs an agent who acts",
                "name one: --as AGENT (`switchboardctl agent list`)",
            )),
        }
    }

    /// The id of an agent given by id or by name.
    pub async fn agent_id(&self, named: &str) -> Result<Uuid, CliError> {
        if let Ok(id) = named.parse() {
            return Ok(id);
        }
        let agents = self.agents().await?;
        let mut fitting = agents
            .iter()
            .filter(|agent| agent.name.to_lowercase() == named.to_lowercase());
        match (fitting.next(), fitting.next()) {
            (Some(agent), None) => agent
                .agent_id
                .parse()
                .map_err(|_| CliError::failed(format!("the agent {named} has no valid id"), "")),
            (Some(_), Some(_)) => Err(CliError::usage(
                &format!("several agents are named {named}"),
                "use the id: `switchboardctl agent list`",
            )),
            (None, _) => Err(CliError::usage(
                &format!("no agent is named {named}"),
                "see `switchboardctl agent list`",
            )),
        }
    }

    /// The id of a group that is named by its name or its id.
    pub async fn group_id(&self, named: &str) -> Result<Uuid, CliError> {
        if let Ok(id) = named.parse() {
            return Ok(id);
        }
        // Names of groups are unique in an account.
        let groups = self.all_groups().await?;
        let named_so =
            |group: &&assignment::Group| group.name.to_lowercase() == named.to_lowercase();
        let id = groups.iter().find(named_so).map(|group| &group.group_id);
        id.and_then(|id| id.parse().ok()).ok_or_else(|| {
            let hint = "see `switchboardctl group list`";
            CliError::usage(&format!("no group is named {named}"), hint)
        })
    }

    /// The id of a channel given by id or by name, asked for in channel-gateway: other services know channels only by
    /// what they were told of them, and would keep settings for one that does not exist.
    pub async fn known_channel_id(&self, named: &str) -> Result<Uuid, CliError> {
        let id = self.channel_id(named).await?;
        let mut client = self.channel_gateway(&Role::Account).await?;
        let channel_id = id.to_string();
        let asked = gateway::GetChannelRequest { channel_id };
        client.get_channel(asked).await?;
        Ok(id)
    }

    /// The id of a channel given by id or by name.
    pub async fn channel_id(&self, named: &str) -> Result<Uuid, CliError> {
        if let Ok(id) = named.parse() {
            return Ok(id);
        }
        let mut client = self.channel_gateway(&Role::Account).await?;
        let (mut fitting, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = gateway::ListChannelsRequest {
                page_size: 200,
                page_token,
            };
            let page = client.list_channels(request).await?.into_inner();
            let named_so =
                |channel: &gateway::Channel| channel.name.to_lowercase() == named.to_lowercase();
            fitting.extend(page.channels.into_iter().filter(named_so));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        match fitting.as_slice() {
            [channel] => channel
                .channel_id
                .parse()
                .map_err(|_| CliError::failed(format!("the channel {named} has no valid id"), "")),
            [] => Err(CliError::usage(
                &format!("no channel is named {named}"),
                "see `switchboardctl channel list`",
            )),
            _ => Err(CliError::usage(
                &format!("several channels are named {named}"),
                "use the id: `switchboardctl channel list`",
            )),
        }
    }

    /// All groups of the account.
    pub async fn all_groups(&self) -> Result<Vec<assignment::Group>, CliError> {
        let mut client = self.groups(&Role::Account).await?;
        let mut groups = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = assignment::ListGroupsRequest {
                page_size: 200,
                page_token,
            };
            let page = client.list_groups(request).await?.into_inner();
            groups.extend(page.groups);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(groups);
            }
        }
    }

    /// All agents of the account.
    pub async fn agents(&self) -> Result<Vec<assignment::Agent>, CliError> {
        let mut client = self.assignment(&Role::Account).await?;
        let (mut agents, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = assignment::ListAgentsRequest {
                page_size: 200,
                page_token,
            };
            let page = client.list_agents(request).await?.into_inner();
            agents.extend(page.agents);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(agents);
            }
        }
    }

    /// A client of assignment.
    pub async fn assignment(
        &self,
        role: &Role,
    ) -> Result<AssignmentServiceClient<Authorised>, CliError> {
        Ok(AssignmentServiceClient::new(
            self.service("assignment", role).await?,
        ))
    }

    /// A client of assignment's roles.
    pub async fn roles(&self, role: &Role) -> Result<RoleServiceClient<Authorised>, CliError> {
        Ok(RoleServiceClient::new(
            self.service("assignment", role).await?,
        ))
    }

    /// A client of assignment's calendars.
    pub async fn calendars(
        &self,
        role: &Role,
    ) -> Result<CalendarServiceClient<Authorised>, CliError> {
        Ok(CalendarServiceClient::new(
            self.service("assignment", role).await?,
        ))
    }

    /// A client of notifications in conversation.
    pub async fn notifications(
        &self,
        role: &Role,
    ) -> Result<NotificationServiceClient<Authorised>, CliError> {
        Ok(NotificationServiceClient::new(
            self.service("conversation", role).await?,
        ))
    }

    /// A client of bots in conversation.
    pub async fn bots(&self, role: &Role) -> Result<BotServiceClient<Authorised>, CliError> {
        Ok(BotServiceClient::new(
            self.service("conversation", role).await?,
        ))
    }

    /// A client of internal chats in conversation.
    pub async fn internal_chats(
        &self,
        role: &Role,
    ) -> Result<InternalChatServiceClient<Authorised>, CliError> {
        Ok(InternalChatServiceClient::new(
            self.service("conversation", role).await?,
        ))
    }

    /// A client of the search in conversation.
    pub async fn search(&self, role: &Role) -> Result<SearchServiceClient<Authorised>, CliError> {
        Ok(SearchServiceClient::new(
            self.service("conversation", role).await?,
        ))
    }

    /// A client of channels' rules in conversation.
    pub async fn channel_rules(
        &self,
        role: &Role,
    ) -> Result<ChannelRuleServiceClient<Authorised>, CliError> {
        Ok(ChannelRuleServiceClient::new(
            self.service("conversation", role).await?,
        ))
    }

    /// A client of what assignment keeps in step with CRM.
    pub async fn syncs(
        &self,
        role: &Role,
    ) -> Result<ResponsibleSyncServiceClient<Authorised>, CliError> {
        Ok(ResponsibleSyncServiceClient::new(
            self.service("assignment", role).await?,
        ))
    }

    /// A client of assignment's groups.
    pub async fn groups(&self, role: &Role) -> Result<GroupServiceClient<Authorised>, CliError> {
        Ok(GroupServiceClient::new(
            self.service("assignment", role).await?,
        ))
    }

    /// A client of what decides about presence in assignment.
    pub async fn presence(
        &self,
        role: &Role,
    ) -> Result<PresenceServiceClient<Authorised>, CliError> {
        Ok(PresenceServiceClient::new(
            self.service("assignment", role).await?,
        ))
    }

    /// A client of conversation.
    pub async fn conversation(
        &self,
        role: &Role,
    ) -> Result<ConversationServiceClient<Authorised>, CliError> {
        Ok(ConversationServiceClient::new(
            self.service("conversation", role).await?,
        ))
    }

    /// A client of what becomes of chats in conversation.
    pub async fn chats(&self, role: &Role) -> Result<ChatServiceClient<Authorised>, CliError> {
        Ok(ChatServiceClient::new(
            self.service("conversation", role).await?,
        ))
    }

    /// A client of quick replies in conversation.
    pub async fn quick_replies(
        &self,
        role: &Role,
    ) -> Result<QuickReplyServiceClient<Authorised>, CliError> {
        Ok(QuickReplyServiceClient::new(
            self.service("conversation", role).await?,
        ))
    }

    /// A client of conversation's log of what happened.
    pub async fn activities(
        &self,
        role: &Role,
    ) -> Result<ActivityServiceClient<Authorised>, CliError> {
        Ok(ActivityServiceClient::new(
            self.service("conversation", role).await?,
        ))
    }

    /// A client of crm-cards.
    pub async fn crm_cards(
        &self,
        role: &Role,
    ) -> Result<CrmCardsServiceClient<Authorised>, CliError> {
        Ok(CrmCardsServiceClient::new(
            self.service("crm-cards", role).await?,
        ))
    }

    /// A client of what becomes of cards in crm-cards.
    pub async fn cards(&self, role: &Role) -> Result<CardServiceClient<Authorised>, CliError> {
        Ok(CardServiceClient::new(
            self.service("crm-cards", role).await?,
        ))
    }

    /// A client of what becomes of pipelines in crm-cards.
    pub async fn pipelines(
        &self,
        role: &Role,
    ) -> Result<PipelineServiceClient<Authorised>, CliError> {
        Ok(PipelineServiceClient::new(
            self.service("crm-cards", role).await?,
        ))
    }

    /// A client of custom fields in crm-cards.
    pub async fn fields(&self, role: &Role) -> Result<FieldServiceClient<Authorised>, CliError> {
        Ok(FieldServiceClient::new(
            self.service("crm-cards", role).await?,
        ))
    }

    /// A client of what becomes of contacts in crm-cards.
    pub async fn contacts(
        &self,
        role: &Role,
    ) -> Result<ContactServiceClient<Authorised>, CliError> {
        Ok(ContactServiceClient::new(
            self.service("crm-cards", role).await?,
        ))
    }

    /// A client of the chats of entities in crm-cards.
    pub async fn entity_chats(
        &self,
        role: &Role,
    ) -> Result<EntityChatServiceClient<Authorised>, CliError> {
        Ok(EntityChatServiceClient::new(
            self.service("crm-cards", role).await?,
        ))
    }

    /// A client of companies in crm-cards.
    pub async fn companies(
        &self,
        role: &Role,
    ) -> Result<CompanyServiceClient<Authorised>, CliError> {
        Ok(CompanyServiceClient::new(
            self.service("crm-cards", role).await?,
        ))
    }

    /// A client of orders in crm-cards.
    pub async fn orders(&self, role: &Role) -> Result<OrderServiceClient<Authorised>, CliError> {
        Ok(OrderServiceClient::new(
            self.service("crm-cards", role).await?,
        ))
    }

    /// A client of files of records in crm-cards.
    pub async fn transfers(
        &self,
        role: &Role,
    ) -> Result<TransferServiceClient<Authorised>, CliError> {
        Ok(TransferServiceClient::new(
            self.service("crm-cards", role).await?,
        ))
    }

    /// A client of histories in crm-cards.
    pub async fn histories(
        &self,
        role: &Role,
    ) -> Result<HistoryServiceClient<Authorised>, CliError> {
        Ok(HistoryServiceClient::new(
            self.service("crm-cards", role).await?,
        ))
    }

    /// A client of channel-gateway.
    pub async fn channel_gateway(
        &self,
        role: &Role,
    ) -> Result<ChannelGatewayServiceClient<Authorised>, CliError> {
        Ok(ChannelGatewayServiceClient::new(
            self.service("channel-gateway", role).await?,
        ))
    }

    /// A client of a service's changes of settings.
    pub async fn audit(
        &self,
        service: &'static str,
        role: &Role,
    ) -> Result<AuditServiceClient<Authorised>, CliError> {
        Ok(AuditServiceClient::new(self.service(service, role).await?))
    }

    /// A client of a service's operator RPCs.
    pub async fn operator(
        &self,
        service: &'static str,
    ) -> Result<OperatorServiceClient<Authorised>, CliError> {
        Ok(
            OperatorServiceClient::new(self.service(service, &Role::Ops).await?)
                .max_decoding_message_size(64 << 20),
        )
    }

    async fn service(&self, service: &'static str, role: &Role) -> Result<Authorised, CliError> {
        let token = self.token(role)?;
        let bearer = format!("Bearer {token}").parse().map_err(|_| {
            CliError::usage(
                "the token holds characters that no token has",
                "paste it whole, without line breaks",
            )
        })?;
        Ok(InterceptedService::new(
            self.channel(service).await?,
            Bearer(bearer),
        ))
    }

    fn token(&self, role: &Role) -> Result<String, CliError> {
        if let Some(token) = &self.settings.token {
            return Ok(token.clone());
        }
        let mint = self.mint.as_ref().ok_or_else(|| {
            CliError::usage(
                "there is no token",
                "give --token, --token-file, --key or --context-file",
            )
        })?;
        let account = if *role == Role::Ops {
            None
        } else {
            Some(self.settings.account()?)
        };
        mint.for_role(role, account, crate::clock::now())
    }

    async fn channel(&self, service: &'static str) -> Result<Channel, CliError> {
        let known = self
            .channels
            .lock()
            .ok()
            .and_then(|channels| channels.get(service).cloned());
        if let Some(channel) = known {
            return Ok(channel);
        }
        let url = match service {
            "assignment" => &self.settings.assignment,
            "conversation" => &self.settings.conversation,
            "crm-cards" => &self.settings.crm_cards,
            _ => &self.settings.channel_gateway,
        };
        let endpoint = Endpoint::from_shared(url.clone())
            .map_err(|_| {
                CliError::usage(
                    &format!("{url} is no address of {service}"),
                    "write it as http://host:port",
                )
            })?
            .connect_timeout(self.settings.timeout.min(std::time::Duration::from_secs(3)))
            .timeout(self.settings.timeout);
        let channel = endpoint
            .connect()
            .await
            .map_err(|error| CliError::Unreachable {
                service,
                url: url.clone(),
                cause: root_cause(&error),
            })?;
        if let Ok(mut channels) = self.channels.lock() {
            channels.insert(service, channel.clone());
        }
        Ok(channel)
    }
}

/// The innermost cause, which is what a person can act on.
fn root_cause(error: &tonic::transport::Error) -> String {
    let mut innermost: &dyn Error = error;
    while let Some(inner) = innermost.source() {
        innermost = inner;
    }
    plain(innermost)
}
