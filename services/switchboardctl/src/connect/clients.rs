//! Clients of the services, each with its token.

use switchboard_proto::assignment::v1::assignment_service_client::AssignmentServiceClient;
use switchboard_proto::assignment::v1::calendar_service_client::CalendarServiceClient;
use switchboard_proto::assignment::v1::group_service_client::GroupServiceClient;
use switchboard_proto::assignment::v1::presence_service_client::PresenceServiceClient;
use switchboard_proto::assignment::v1::responsible_sync_service_client::ResponsibleSyncServiceClient;
use switchboard_proto::assignment::v1::role_service_client::RoleServiceClient;
use switchboard_proto::channel_gateway::v1::channel_gateway_service_client::ChannelGatewayServiceClient;
use switchboard_proto::conversation::v1::activity_service_client::ActivityServiceClient;
use switchboard_proto::conversation::v1::bot_service_client::BotServiceClient;
use switchboard_proto::conversation::v1::channel_rule_service_client::ChannelRuleServiceClient;
use switchboard_proto::conversation::v1::chat_presence_service_client::ChatPresenceServiceClient;
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

use super::{Authorised, Session};
use crate::error::CliError;
use crate::token::Role;

impl Session {
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

    /// A client of who is in chats in conversation.
    pub async fn chat_presence(
        &self,
        role: &Role,
    ) -> Result<ChatPresenceServiceClient<Authorised>, CliError> {
        Ok(ChatPresenceServiceClient::new(
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
}
