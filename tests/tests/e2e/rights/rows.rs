//! The table: how each method is asked for things of an account, and what each kind of asker is told.
//!
//! A method without a row fails the walk. A new one is one line: its name, the request about [`Things`], a thing that
//! stands in the answer of those who see it (or ""), and one of the profiles below, or a profile of its own.

use serde_json::{Value, json};

use super::things::Things;

/// What an asker is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Sees it: the answer holds the row's thing.
    Seen,
    /// Is answered, and nothing that is hidden from them stands in the answer.
    Without,
    /// May do it: whatever else is refused, it is not for rights.
    May,
    /// Is refused: `PERMISSION_DENIED`.
    Refused,
    /// For them it does not exist: `NOT_FOUND`.
    Hidden,
    /// The request names what their account has not: `INVALID_ARGUMENT`.
    Wrong,
}

use Told::{Hidden, May, Refused, Seen, Without, Wrong};

/// Of the owner, full, own, limited, none, the administrator, elsewhere (in the order of `people::Kind`), and another
/// account.
pub type Profile = [Told; 8];

/// Only another kind of token.
const NOBODY: Profile = [Refused; 8];
/// A chat, and what hangs on it, is read.
const CHAT: Profile = [Seen, Seen, Seen, Seen, Refused, Hidden, Hidden, Hidden];
/// A list of what hangs on chats.
const CHATS: Profile = [Seen, Seen, Seen, Seen, Refused, Without, Without, Without];
/// Something is done with a chat.
const DEED: Profile = [May, May, May, May, Refused, Hidden, Hidden, Hidden];
/// Everybody of the account reads it.
const STAFF: Profile = [Seen, Seen, Seen, Seen, Seen, Seen, Seen, Hidden];
/// A list that everybody of the account reads.
const STAFFS: Profile = [Seen, Seen, Seen, Seen, Seen, Seen, Seen, Without];
/// A setting of a channel is read.
const LINE: Profile = [Seen, Seen, Seen, Seen, Seen, Hidden, Hidden, Hidden];
/// A list of channels, or of their settings.
const LINES: Profile = [Seen, Seen, Seen, Seen, Seen, Without, Without, Without];
/// A setting is changed.
const SETTING: Profile = [
    May, Refused, Refused, Refused, Refused, May, Refused, Hidden,
];
/// A setting is made, by others in their own account.
const NEW: Profile = [May, Refused, Refused, Refused, Refused, May, Refused, May];
/// A channel is changed: settings alone open none (D21).
const CHANNEL: Profile = [
    May, Refused, Refused, Refused, Refused, Hidden, Refused, Hidden,
];
/// A lead or contact is read.
const ENTITY: Profile = [Seen, Seen, Hidden, Refused, Refused, Seen, Seen, Hidden];
/// A list of leads or contacts.
const ENTITIES: Profile = [Seen, Seen, Without, Refused, Refused, Seen, Seen, Without];
/// A lead, contact or order is changed.
const CHANGE: Profile = [May, May, Hidden, Refused, Refused, May, May, Hidden];
/// What CRM has of a chat.
const BOUND: Profile = [
    Seen, Seen, Without, Refused, Refused, Hidden, Hidden, Without,
];
/// Decisions, which are of a chat and of a card.
const DECISION: Profile = [Seen, Seen, Hidden, Refused, Refused, Hidden, Hidden, Hidden];

/// One question.
pub struct Row {
    /// The method, as `assignment.v1.RoleService/GetRole`.
    pub method: &'static str,
    /// The request.
    pub ask: fn(&Things) -> Value,
    /// The thing that stands in the answer of those who see it.
    pub shows: &'static str,
    /// What each asker is told.
    pub told: Profile,
}

const fn row(
    method: &'static str,
    ask: fn(&Things) -> Value,
    shows: &'static str,
    told: Profile,
) -> Row {
    Row {
        method,
        ask,
        shows,
        told,
    }
}

fn nothing(_: &Things) -> Value {
    json!({})
}

fn chat(things: &Things) -> Value {
    json!({ "chat_id": things.get("chat") })
}

fn channel(things: &Things) -> Value {
    json!({ "channel_id": things.get("channel") })
}

fn agent(things: &Things) -> Value {
    json!({ "agent_id": things.get("keeper") })
}

fn chat_and_agent(things: &Things) -> Value {
    json!({ "chat_id": things.get("chat"), "agent_id": things.get("keeper") })
}

fn attachment(things: &Things) -> Value {
    json!({ "attachment_id": things.get("attachment") })
}

fn card(things: &Things) -> Value {
    json!({ "card_id": things.get("card") })
}

fn contact(things: &Things) -> Value {
    json!({ "contact_id": things.get("contact") })
}

fn role(things: &Things) -> Value {
    json!({ "role_id": things.get("role") })
}

fn group(things: &Things) -> Value {
    json!({ "group_id": things.get("group") })
}

fn hours_of_channel(things: &Things) -> Value {
    json!({ "owner": channel(things) })
}

fn hours_of_agent(things: &Things) -> Value {
    json!({ "owner": agent(things) })
}

fn set_hours_of_channel(things: &Things) -> Value {
    json!({ "calendar": { "owner": channel(things), "time_zone": "Europe/Rome" } })
}

fn set_hours_of_agent(things: &Things) -> Value {
    json!({ "calendar": { "owner": agent(things), "time_zone": "Europe/Rome" } })
}

fn bot(things: &Things) -> Value {
    json!({ "channel_id": things.get("channel"), "telegram_bot": { "token": things.account.bot_token } })
}

fn new_bot(things: &Things) -> Value {
    json!({
        "channel_id": things.get("channel"), "name": "Mine",
        "telegram_bot": { "token": things.account.bot_token },
    })
}

fn policy(things: &Things) -> Value {
    json!({ "policy": {
        "channel_id": things.get("channel"), "distribution": "DISTRIBUTION_ROUND_ROBIN",
        "agent_ids": [things.get("keeper")], "claim_before_reply": true,
    } })
}

fn connection(things: &Things) -> Value {
    json!({ "connection": { "channel_id": things.get("channel"), "mode": "MODE_NONE" } })
}

/// All questions, in the order in which they are asked. Hours are set after they were deleted: another account sets some
/// for the same channel, in its own name.
pub const ROWS: &[Row] = &[
    row(
        "assignment.v1.AssignmentService/CreateAccount",
        |_| json!({ "slug": "mine" }),
        "",
        NOBODY,
    ),
    row(
        "assignment.v1.AssignmentService/ListAccounts",
        nothing,
        "",
        NOBODY,
    ),
    row(
        "assignment.v1.AssignmentService/CreateAgent",
        |_| json!({ "name": "New" }),
        "",
        NEW,
    ),
    row(
        "assignment.v1.AssignmentService/UpdateAgent",
        |t| json!({ "agent_id": t.get("keeper"), "name": "Mine" }),
        "",
        SETTING,
    ),
    row(
        "assignment.v1.AssignmentService/GetAgent",
        agent,
        "keeper",
        STAFF,
    ),
    row(
        "assignment.v1.AssignmentService/ListAgents",
        nothing,
        "keeper",
        STAFFS,
    ),
    row(
        "assignment.v1.AssignmentService/SetPresence",
        |t| json!({ "agent_id": t.get("keeper"), "presence": "PRESENCE_AWAY" }),
        "",
        SETTING,
    ),
    row(
        "assignment.v1.AssignmentService/GetAgentAccess",
        agent,
        "",
        NOBODY,
    ),
    row(
        "assignment.v1.AssignmentService/ListAgentAccess",
        nothing,
        "",
        NOBODY,
    ),
    row(
        "assignment.v1.AssignmentService/SetDistributionPolicy",
        policy,
        "",
        [
            May, Refused, Refused, Refused, Refused, Hidden, Refused, Wrong,
        ],
    ),
    row(
        "assignment.v1.AssignmentService/GetDistributionPolicy",
        channel,
        "keeper",
        [Seen, Seen, Seen, Seen, Seen, Hidden, Hidden, Without],
    ),
    row(
        "assignment.v1.AssignmentService/AssignChat",
        chat_and_agent,
        "",
        DEED,
    ),
    row("assignment.v1.AssignmentService/JoinChat", chat, "", DEED),
    row(
        "assignment.v1.AssignmentService/AddParticipants",
        |t| json!({ "chat_id": t.get("chat"), "agent_ids": [t.get("keeper")] }),
        "",
        DEED,
    ),
    row("assignment.v1.AssignmentService/LeaveChat", chat, "", DEED),
    row(
        "assignment.v1.AssignmentService/RedirectChat",
        chat_and_agent,
        "",
        DEED,
    ),
    row(
        "assignment.v1.AssignmentService/UnassignChat",
        chat,
        "",
        DEED,
    ),
    row("assignment.v1.AssignmentService/ClaimChat", chat, "", DEED),
    row(
        "assignment.v1.AssignmentService/AdmitReply",
        chat_and_agent,
        "",
        NOBODY,
    ),
    row(
        "assignment.v1.AssignmentService/GetChatAssignment",
        chat,
        "keeper",
        CHAT,
    ),
    row(
        "assignment.v1.AssignmentService/ListChatAssignments",
        nothing,
        "",
        NOBODY,
    ),
    row(
        "assignment.v1.AssignmentService/ExplainAssignment",
        chat,
        "conversation",
        CHAT,
    ),
    row(
        "assignment.v1.CalendarService/GetCalendar",
        hours_of_channel,
        "channel",
        LINE,
    ),
    row(
        "assignment.v1.CalendarService/GetCalendar",
        hours_of_agent,
        "keeper",
        STAFF,
    ),
    row(
        "assignment.v1.CalendarService/ListCalendars",
        nothing,
        "channel",
        LINES,
    ),
    row(
        "assignment.v1.CalendarService/ListCalendars",
        nothing,
        "keeper",
        STAFFS,
    ),
    row(
        "assignment.v1.CalendarService/GetWorkingTime",
        hours_of_channel,
        "",
        NOBODY,
    ),
    row(
        "assignment.v1.CalendarService/DeleteCalendar",
        hours_of_channel,
        "",
        CHANNEL,
    ),
    row(
        "assignment.v1.CalendarService/DeleteCalendar",
        hours_of_agent,
        "",
        SETTING,
    ),
    row(
        "assignment.v1.CalendarService/SetCalendar",
        set_hours_of_channel,
        "",
        [
            May, Refused, Refused, Refused, Refused, Hidden, Refused, May,
        ],
    ),
    row(
        "assignment.v1.CalendarService/SetCalendar",
        set_hours_of_agent,
        "",
        SETTING,
    ),
    row(
        "assignment.v1.GroupService/CreateGroup",
        |_| json!({ "name": "New" }),
        "",
        NEW,
    ),
    row(
        "assignment.v1.GroupService/UpdateGroup",
        |t| json!({ "group_id": t.get("group"), "name": "Mine" }),
        "",
        SETTING,
    ),
    row("assignment.v1.GroupService/GetGroup", group, "group", STAFF),
    row(
        "assignment.v1.GroupService/ListGroups",
        nothing,
        "group",
        STAFFS,
    ),
    row("assignment.v1.GroupService/DeleteGroup", group, "", SETTING),
    row(
        "assignment.v1.PresenceService/KeepPresence",
        nothing,
        "",
        [May, May, May, May, Refused, May, May, May],
    ),
    row(
        "assignment.v1.PresenceService/SetPresenceOptions",
        |t| json!({ "options": { "agent_id": t.get("keeper"), "follow_calendar": true } }),
        "",
        SETTING,
    ),
    row(
        "assignment.v1.PresenceService/GetPresenceOptions",
        agent,
        "keeper",
        STAFF,
    ),
    row(
        "assignment.v1.RoleService/CreateRole",
        |_| json!({ "name": "New" }),
        "",
        NEW,
    ),
    row(
        "assignment.v1.RoleService/UpdateRole",
        |t| json!({ "role_id": t.get("role"), "settings": true }),
        "",
        SETTING,
    ),
    row("assignment.v1.RoleService/GetRole", role, "role", STAFF),
    row(
        "assignment.v1.RoleService/ListRoles",
        nothing,
        "role",
        STAFFS,
    ),
    row("assignment.v1.RoleService/DeleteRole", role, "", SETTING),
    row(
        "conversation.v1.ConversationService/ListChats",
        nothing,
        "chat",
        CHATS,
    ),
    row(
        "conversation.v1.ConversationService/ListChats",
        channel,
        "chat",
        CHATS,
    ),
    row(
        "conversation.v1.ConversationService/GetChat",
        chat,
        "client",
        CHAT,
    ),
    row(
        "conversation.v1.ConversationService/ListMessages",
        chat,
        "words",
        CHAT,
    ),
    row(
        "conversation.v1.ConversationService/ListConversations",
        chat,
        "conversation",
        CHAT,
    ),
    row(
        "conversation.v1.ConversationService/SendMessage",
        |t| json!({ "chat_id": t.get("chat"), "text": { "text": "Mine" } }),
        "",
        DEED,
    ),
    row(
        "conversation.v1.ConversationService/RetryMessage",
        |t| json!({ "chat_id": t.get("chat"), "message_id": t.get("answer") }),
        "",
        DEED,
    ),
    row(
        "conversation.v1.ConversationService/CloseConversation",
        chat,
        "",
        DEED,
    ),
    row(
        "conversation.v1.ConversationService/ListOutboundCommands",
        chat,
        "",
        NOBODY,
    ),
    row(
        "crm_cards.v1.CrmCardsService/CreatePipeline",
        |_| json!({ "name": "New" }),
        "",
        NEW,
    ),
    row(
        "crm_cards.v1.CrmCardsService/ListPipelines",
        nothing,
        "pipeline",
        STAFFS,
    ),
    row(
        "crm_cards.v1.CrmCardsService/CreateSource",
        |_| json!({ "name": "New" }),
        "",
        NEW,
    ),
    row(
        "crm_cards.v1.CrmCardsService/ListSources",
        nothing,
        "source",
        STAFFS,
    ),
    row(
        "crm_cards.v1.CrmCardsService/SetPipelineConnection",
        connection,
        "",
        [
            May, Refused, Refused, Refused, Refused, Hidden, Refused, May,
        ],
    ),
    row(
        "crm_cards.v1.CrmCardsService/GetPipelineConnection",
        channel,
        "source",
        [Seen, Seen, Seen, Seen, Seen, Hidden, Hidden, Without],
    ),
    row(
        "crm_cards.v1.CrmCardsService/CreateCard",
        chat,
        "",
        [May, May, May, May, Refused, Hidden, Hidden, Hidden],
    ),
    row(
        "crm_cards.v1.CrmCardsService/GetCard",
        card,
        "contact",
        ENTITY,
    ),
    row(
        "crm_cards.v1.CrmCardsService/ListCards",
        nothing,
        "card",
        ENTITIES,
    ),
    row(
        "crm_cards.v1.CrmCardsService/ListCards",
        chat,
        "card",
        BOUND,
    ),
    row(
        "crm_cards.v1.CrmCardsService/MoveCard",
        |t| json!({ "card_id": t.get("card"), "status_id": t.get("status") }),
        "",
        CHANGE,
    ),
    row(
        "crm_cards.v1.CrmCardsService/GetContact",
        contact,
        "customer",
        ENTITY,
    ),
    row(
        "crm_cards.v1.CrmCardsService/ListContacts",
        nothing,
        "contact",
        ENTITIES,
    ),
    row(
        "crm_cards.v1.CrmCardsService/SaveBuyer",
        contact,
        "",
        CHANGE,
    ),
    row(
        "crm_cards.v1.CrmCardsService/CreateOrder",
        contact,
        "",
        CHANGE,
    ),
    row(
        "crm_cards.v1.CrmCardsService/MoveOrder",
        |t| json!({ "order_id": t.get("order"), "status": "STATUS_KIND_SUCCESSFUL" }),
        "",
        CHANGE,
    ),
    row(
        "crm_cards.v1.CrmCardsService/GetChatConnections",
        chat,
        "card",
        BOUND,
    ),
    row(
        "crm_cards.v1.CrmCardsService/GetChatConnections",
        chat,
        "order",
        BOUND,
    ),
    row(
        "crm_cards.v1.CrmCardsService/ExplainCard",
        card,
        "chat",
        DECISION,
    ),
    row(
        "crm_cards.v1.CrmCardsService/ExplainCard",
        |t| json!({ "conversation_id": t.get("conversation") }),
        "chat",
        DECISION,
    ),
    row(
        "crm_cards.v1.CrmCardsService/ListDecisions",
        nothing,
        "conversation",
        [
            Seen, Seen, Without, Refused, Refused, Without, Without, Without,
        ],
    ),
    row(
        "crm_cards.v1.CrmCardsService/ListDecisions",
        chat,
        "conversation",
        BOUND,
    ),
    row(
        "channel_gateway.v1.ChannelGatewayService/CreateChannel",
        new_bot,
        "",
        NEW,
    ),
    row(
        "channel_gateway.v1.ChannelGatewayService/GetChannel",
        channel,
        "line",
        LINE,
    ),
    row(
        "channel_gateway.v1.ChannelGatewayService/ListChannels",
        nothing,
        "channel",
        LINES,
    ),
    row(
        "channel_gateway.v1.ChannelGatewayService/ListDeliveries",
        chat,
        "answer",
        CHATS,
    ),
    row(
        "channel_gateway.v1.ChannelGatewayService/CreateUpload",
        |_| json!({ "file_name": "a", "size": 1 }),
        "",
        [May, May, May, May, Refused, May, May, May],
    ),
    row(
        "channel_gateway.v1.ChannelGatewayService/GetAttachment",
        attachment,
        "attachment",
        CHAT,
    ),
    row(
        "channel_gateway.v1.ChannelGatewayService/CreateAttachmentLink",
        attachment,
        "attachment",
        CHAT,
    ),
    row(
        "channel_gateway.v1.ChannelGatewayService/RefetchAttachment",
        attachment,
        "attachment",
        CHAT,
    ),
    row(
        "channel_gateway.v1.ChannelGatewayService/UpdateChannel",
        |t| json!({ "channel_id": t.get("channel"), "name": "Mine" }),
        "",
        CHANNEL,
    ),
    row(
        "channel_gateway.v1.ChannelGatewayService/VerifyChannel",
        channel,
        "",
        CHANNEL,
    ),
    row(
        "channel_gateway.v1.ChannelGatewayService/DisableChannel",
        channel,
        "",
        CHANNEL,
    ),
    row(
        "channel_gateway.v1.ChannelGatewayService/EnableChannel",
        channel,
        "",
        CHANNEL,
    ),
    row(
        "channel_gateway.v1.ChannelGatewayService/DisconnectChannel",
        channel,
        "",
        CHANNEL,
    ),
    row(
        "channel_gateway.v1.ChannelGatewayService/ConnectChannel",
        bot,
        "",
        CHANNEL,
    ),
    row(
        "operator.v1.OperatorService/ListDeadLetters",
        nothing,
        "",
        NOBODY,
    ),
    row(
        "operator.v1.OperatorService/GetDeadLetter",
        |_| json!({ "sequence": 1 }),
        "",
        NOBODY,
    ),
    row(
        "operator.v1.OperatorService/ReplayDeadLetters",
        nothing,
        "",
        NOBODY,
    ),
];
