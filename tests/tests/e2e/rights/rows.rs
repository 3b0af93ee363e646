//! The table: how each method is asked for things of an account, and what each kind of asker is told.
//!
//! A method without a row fails the walk. A new one is one line: its name, the request about [`Things`], a thing that
//! stands in the answer of those who see it (or ""), and one of the profiles below, or a profile of its own.

use std::sync::LazyLock;

use serde_json::Value;

use super::requests::*;
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
/// What happened: it grows by itself.
const LOG: Profile = [
    Without, Without, Without, Without, Refused, Without, Without, Without,
];
/// Something that is the asker's own alone.
const TO_ONESELF: Profile = [May, May, May, May, Refused, May, May, May];
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
/// A bot of all channels is made or changed: settings alone open none of them (D21).
const NEW_BOT: Profile = [
    May, Refused, Refused, Refused, Refused, Refused, Refused, May,
];
const BOT: Profile = [
    May, Refused, Refused, Refused, Refused, Refused, Refused, Hidden,
];
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
/// A contact or company is made: who may create them does, whatever they see.
const PERSON: Profile = [May, May, May, May, Refused, May, May, May];
/// What CRM has of a chat.
const BOUND: Profile = [
    Seen, Seen, Without, Refused, Refused, Without, Without, Without,
];
/// Chats of an entity: of those who see it they are open in the channels that they have (X11).
const OF_ENTITY: Profile = [
    Seen, Seen, Hidden, Refused, Refused, Without, Without, Hidden,
];
/// Decisions, which are of a chat and of a card.
const DECISION: Profile = [Seen, Seen, Hidden, Refused, Refused, Hidden, Hidden, Hidden];

/// What all agents who use chats share is changed with settings, by others in their own account.
const SHARED_FILTER: Profile = [May, Refused, Refused, Refused, Refused, May, Refused, May];
/// Nobody's: there is none.
const FOREIGN: Profile = [
    Hidden, Hidden, Hidden, Hidden, Refused, Hidden, Hidden, Hidden,
];
/// What all agents who use chats share, and who may change settings sees.
const SHARED: Profile = [Seen, Seen, Seen, Seen, Refused, Seen, Seen, Hidden];
/// A list of it.
const SHAREDS: Profile = [Seen, Seen, Seen, Seen, Refused, Seen, Seen, Without];
/// What is of a group that none of them is in: who may change settings sees it.
const OF_GROUP: Profile = [Seen, Hidden, Hidden, Hidden, Refused, Seen, Hidden, Hidden];
/// The same, changed.
const OF_GROUP_CHANGED: Profile = [May, Hidden, Hidden, Hidden, Refused, May, Hidden, Hidden];
/// What is one agent's alone.
const OF_ONE: Profile = [
    Hidden, Hidden, Hidden, Hidden, Refused, Hidden, Hidden, Hidden,
];

/// Only services ask, each about its own account.
const OUTSIDE: Profile = [
    Refused, Refused, Refused, Refused, Refused, Refused, Refused, Without,
];

/// One question.
#[derive(Clone)]
pub struct Row {
    /// The method, as `assignment.v1.RoleService/GetRole`.
    pub method: String,
    /// The request.
    pub ask: fn(&Things) -> Value,
    /// The thing that stands in the answer of those who see it.
    pub shows: &'static str,
    /// What each asker is told.
    pub told: Profile,
}

fn row(method: &'static str, ask: fn(&Things) -> Value, shows: &'static str, told: Profile) -> Row {
    Row {
        method: method.to_owned(),
        ask,
        shows,
        told,
    }
}

/// Rows of one service, whose name stands before those of its methods.
fn service<const N: usize>(name: &str, rows: [Row; N]) -> Vec<Row> {
    let rows = rows.into_iter().map(|row| Row {
        method: format!("{name}/{}", row.method),
        ..row
    });
    rows.collect()
}

/// All questions, in the order in which they are asked. Hours are set after they were deleted: another account sets some
/// for the same channel, in its own name.
pub static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| {
    [
        service(
            "assignment.v1.AssignmentService",
            [
                row("CreateAccount", create_account, "", NOBODY),
                row("ListAccounts", nothing, "", NOBODY),
                row("CreateAgent", create_agent, "", NEW),
                row("UpdateAgent", update_agent, "", SETTING),
                row("GetAgent", agent, "keeper", STAFF),
                row("ListAgents", nothing, "keeper", STAFFS),
                row("SetPresence", set_presence, "", SETTING),
                row("GetAgentAccess", agent, "", NOBODY),
                row("ListAgentAccess", nothing, "", NOBODY),
                row(
                    "SetDistributionPolicy",
                    policy,
                    "",
                    [
                        May, Refused, Refused, Refused, Refused, Hidden, Refused, Wrong,
                    ],
                ),
                row(
                    "GetDistributionPolicy",
                    channel,
                    "keeper",
                    [Seen, Seen, Seen, Seen, Seen, Hidden, Hidden, Without],
                ),
                row("AssignChat", chat_and_agent, "", DEED),
                row("JoinChat", chat, "", DEED),
                row("AddParticipants", add_participants, "", DEED),
                row("LeaveChat", chat, "", DEED),
                row("RedirectChat", chat_and_agent, "", DEED),
                row("UnassignChat", chat, "", DEED),
                row("ClaimChat", chat, "", DEED),
                row("AdmitReply", chat_and_agent, "", NOBODY),
                row("GetChatAssignment", chat, "keeper", CHAT),
                row("ListChatAssignments", nothing, "", NOBODY),
                row("ExplainAssignment", chat, "conversation", CHAT),
            ],
        ),
        service(
            "assignment.v1.CalendarService",
            [
                row("GetCalendar", hours_of_channel, "channel", LINE),
                row("GetCalendar", hours_of_agent, "keeper", STAFF),
                row("ListCalendars", nothing, "channel", LINES),
                row("ListCalendars", nothing, "keeper", STAFFS),
                row("GetWorkingTime", hours_of_channel, "", NOBODY),
                row("DeleteCalendar", hours_of_channel, "", CHANNEL),
                row("DeleteCalendar", hours_of_agent, "", SETTING),
                row(
                    "SetCalendar",
                    set_hours_of_channel,
                    "",
                    [
                        May, Refused, Refused, Refused, Refused, Hidden, Refused, May,
                    ],
                ),
                row("SetCalendar", set_hours_of_agent, "", SETTING),
            ],
        ),
        service(
            "assignment.v1.GroupService",
            [
                row("CreateGroup", create_group, "", NEW),
                row("UpdateGroup", update_group, "", SETTING),
                row("GetGroup", group, "group", STAFF),
                row("ListGroups", nothing, "group", STAFFS),
                row("ListAgentGroups", agent, "", NOBODY),
                row("DeleteGroup", group, "", SETTING),
            ],
        ),
        service(
            "assignment.v1.PresenceService",
            [
                row(
                    "KeepPresence",
                    nothing,
                    "",
                    [May, May, May, May, Refused, May, May, May],
                ),
                row("SetPresenceOptions", set_presence_options, "", SETTING),
                row("GetPresenceOptions", agent, "keeper", STAFF),
            ],
        ),
        service(
            "assignment.v1.ResponsibleSyncService",
            [
                row(
                    "SetResponsibleSync",
                    sync_of_channel,
                    "",
                    [
                        May, Refused, Refused, Refused, Refused, Hidden, Refused, May,
                    ],
                ),
                row(
                    "GetResponsibleSync",
                    channel,
                    "",
                    [May, May, May, May, May, Hidden, Hidden, May],
                ),
                row("SetContactFields", contact_fields, "", NEW),
                row("GetContactFields", nothing, "", [May; 8]),
            ],
        ),
        service(
            "assignment.v1.RoleService",
            [
                row("CreateRole", create_role, "", NEW),
                row("UpdateRole", update_role, "", SETTING),
                row("GetRole", role, "role", STAFF),
                row("ListRoles", nothing, "role", STAFFS),
                row("DeleteRole", role, "", SETTING),
            ],
        ),
        service(
            "conversation.v1.ChatService",
            [
                row("StartConversation", chat, "", DEED),
                row("StartChat", write_first, "", DEED),
                row("MarkSpam", chat, "", DEED),
                row("RestoreChat", chat, "client", CHAT),
                row("UpdateChat", named_chat, "client", CHAT),
                row("WaiveReply", chat, "client", CHAT),
                row("MarkRead", chat, "client", CHAT),
                row("LabelChat", labelled_chat, "", DEED),
                row("ListLabels", nothing, "", LOG),
                row("SaveChatFilter", own_filter, "", TO_ONESELF),
                row("SaveChatFilter", shared_filter, "", SHARED_FILTER),
                row("ListChatFilters", nothing, "", LOG),
                row("DeleteChatFilter", no_filter, "", FOREIGN),
                row("SnoozeChat", chat, "", DEED),
                row("WakeChat", chat, "", DEED),
                row("AddNote", note, "", DEED),
                row("EditMessage", edit_message, "", DEED),
                row("DeleteMessage", message_of_chat, "", DEED),
                row("ReactToMessage", react_to_message, "", DEED),
            ],
        ),
        service(
            "conversation.v1.NotificationService",
            [
                // What the chat's own agent is notified of is nobody else's.
                row("ListNotifications", nothing, "", LOG),
                row("MarkNotifications", all, "", TO_ONESELF),
                row("WatchNotifications", nothing, "", TO_ONESELF),
            ],
        ),
        service(
            "conversation.v1.BotService",
            [
                row("CreateBot", create_bot, "", NEW_BOT),
                row("UpdateBot", update_bot, "", BOT),
                row("GetBot", scenario, "scenario", STAFF),
                row("ListBots", nothing, "scenario", STAFFS),
                row("StartBot", chat_and_scenario, "", DEED),
                row("StopBot", chat, "", DEED),
                row("SendNps", chat, "", DEED),
                row("ListBotRuns", chat, "", DEED),
                row("GetNpsTotals", nps_totals, "", LOG),
                row("DeleteBot", scenario, "", SETTING),
            ],
        ),
        service(
            "conversation.v1.InternalChatService",
            [
                row("PostInternalMessage", internal_message, "", CHANGE),
                row("ListInternalMessages", on_card, "internal words", ENTITY),
                row("ListInternalMessages", on_order, "", ENTITY),
                // What the keeper is notified of is nobody else's.
                row("ListInternalNotifications", nothing, "", [Without; 8]),
                row("MarkInternalNotifications", all, "", [May; 8]),
                row("WatchInternalNotifications", nothing, "", [May; 8]),
            ],
        ),
        service(
            "conversation.v1.ChatPresenceService",
            [
                row("ReportChatPresence", viewing, "", DEED),
                row("WatchChatPresence", chat, "", DEED),
            ],
        ),
        service(
            "conversation.v1.ActivityService",
            [
                row("ListActivity", opened, "conversation", CHATS),
                row("ListActivity", key_actions, "", LOG),
            ],
        ),
        service(
            "conversation.v1.SearchService",
            [row("SearchMessages", words, "chat", CHATS)],
        ),
        service(
            "conversation.v1.ConversationService",
            [
                row("ListChats", nothing, "chat", CHATS),
                row("ListChats", channel, "chat", CHATS),
                row("FindChats", named_chats, "chat", CHATS),
                row(
                    "WatchChats",
                    nothing,
                    "",
                    [May, May, May, May, Refused, May, May, May],
                ),
                row("GetChat", chat, "client", CHAT),
                row("ListMessages", chat, "words", CHAT),
                row("ListConversations", chat, "conversation", CHAT),
                row("SendMessage", send_message, "", DEED),
                row("RetryMessage", retry_message, "", DEED),
                row("CloseConversation", chat, "", DEED),
                row("ListOutboundCommands", chat, "", NOBODY),
            ],
        ),
        service(
            "conversation.v1.ChannelRuleService",
            [
                row(
                    "GetChannelRule",
                    channel,
                    "rule words",
                    [Seen, Seen, Seen, Seen, Seen, Hidden, Hidden, Without],
                ),
                row("ListChannelRules", nothing, "rule words", LINES),
                // Another account sets one for the same channel, in its own name.
                row(
                    "SetChannelRule",
                    rule,
                    "",
                    [
                        May, Refused, Refused, Refused, Refused, Hidden, Refused, May,
                    ],
                ),
            ],
        ),
        service(
            "conversation.v1.QuickReplyService",
            [
                row("CreateQuickReply", create_quick_reply, "", NEW),
                // Another account has no such group.
                row(
                    "CreateQuickReply",
                    create_quick_reply_of_group,
                    "",
                    [May, Refused, Refused, Refused, Refused, May, Refused, Wrong],
                ),
                row(
                    "CreateQuickReply",
                    create_own_quick_reply,
                    "",
                    [May, May, May, May, Refused, May, May, May],
                ),
                row("UpdateQuickReply", update_quick_reply, "", SETTING),
                row(
                    "UpdateQuickReply",
                    update_quick_reply_of_group,
                    "",
                    OF_GROUP_CHANGED,
                ),
                row("UpdateQuickReply", update_quick_reply_of_keeper, "", OF_ONE),
                row("GetQuickReply", quick_reply, "quick reply", SHARED),
                row(
                    "GetQuickReply",
                    quick_reply_of_group,
                    "group's quick reply",
                    OF_GROUP,
                ),
                row("GetQuickReply", quick_reply_of_keeper, "", OF_ONE),
                row("ListQuickReplies", nothing, "quick reply", SHAREDS),
                row(
                    "ListQuickReplies",
                    changeable_quick_replies,
                    "group's quick reply",
                    [
                        Seen, Without, Without, Without, Refused, Seen, Without, Without,
                    ],
                ),
                row("ListQuickReplyFolders", nothing, "folder", SHAREDS),
                row(
                    "RenderQuickReply",
                    chat_and_quick_reply,
                    "reply words",
                    CHAT,
                ),
                row("DeleteQuickReply", quick_reply_of_keeper, "", OF_ONE),
                row(
                    "DeleteQuickReply",
                    quick_reply_of_group,
                    "",
                    OF_GROUP_CHANGED,
                ),
                row("DeleteQuickReply", quick_reply, "", SETTING),
            ],
        ),
        service(
            "crm_cards.v1.CrmCardsService",
            [
                row("CreatePipeline", create_pipeline, "", NEW),
                row("ListPipelines", nothing, "pipeline", STAFFS),
                row("CreateSource", create_source, "", NEW),
                row("ListSources", nothing, "source", STAFFS),
                row(
                    "SetPipelineConnection",
                    connection,
                    "",
                    [
                        May, Refused, Refused, Refused, Refused, Hidden, Refused, May,
                    ],
                ),
                row(
                    "GetPipelineConnection",
                    channel,
                    "source",
                    [Seen, Seen, Seen, Seen, Seen, Hidden, Hidden, Without],
                ),
                row(
                    "CreateCard",
                    chat,
                    "",
                    [May, May, May, May, Refused, Hidden, Hidden, Hidden],
                ),
                row("GetCard", card, "contact", ENTITY),
                row("ListCards", nothing, "card", ENTITIES),
                row("ListCards", chat, "card", BOUND),
                row("MoveCard", move_card, "", CHANGE),
                row("GetContact", contact, "customer", ENTITY),
                row("ListContacts", nothing, "contact", ENTITIES),
                row("SaveBuyer", contact, "", CHANGE),
                row("CreateOrder", contact, "", CHANGE),
                row("MoveOrder", move_order, "", CHANGE),
                row("GetChatConnections", chat, "card", BOUND),
                row("GetChatConnections", chat, "order", BOUND),
                row(
                    "OpenChatConnections",
                    chat,
                    "card",
                    // Who sees their own alone gets a lead of their own by it (F178).
                    [Seen, Seen, May, Refused, Refused, Without, Without, Without],
                ),
                row("ExplainCard", card, "chat", DECISION),
                row("ExplainCard", conversation, "chat", DECISION),
                row(
                    "ListDecisions",
                    nothing,
                    "conversation",
                    [
                        Seen, Seen, Without, Refused, Refused, Without, Without, Without,
                    ],
                ),
                row("ListDecisions", chat, "conversation", BOUND),
            ],
        ),
        service(
            "crm_cards.v1.EntityChatService",
            [
                row("ListEntityChats", card, "chat", OF_ENTITY),
                row("ListEntityChats", contact, "chat", OF_ENTITY),
                row("ListEntityChats", order, "chat", OF_ENTITY),
                row("ListEntityChats", company, "", OF_ENTITY),
            ],
        ),
        service(
            "crm_cards.v1.EntityAccessService",
            [row("CheckEntityAccess", card, "", NOBODY)],
        ),
        service(
            "crm_cards.v1.OrderService",
            [
                row("GetOrder", order, "order", ENTITY),
                row("ListOrders", nothing, "order", ENTITIES),
                row("ListOrders", contact, "order", ENTITIES),
                row("UpdateOrder", update_order, "", CHANGE),
                row("GetBuyerTotals", contact, "", ENTITY),
            ],
        ),
        service(
            "crm_cards.v1.PipelineService",
            [
                row("GetPipeline", pipeline, "pipeline", STAFF),
                row("UpdatePipeline", update_pipeline, "", SETTING),
                row(
                    "MoveCards",
                    move_cards,
                    "",
                    [May, Refused, Refused, Refused, Refused, May, Refused, Wrong],
                ),
                row("DeletePipeline", pipeline, "", SETTING),
                row("UpdateSource", update_source, "", SETTING),
                row("DeleteSource", source, "", SETTING),
            ],
        ),
        service(
            "crm_cards.v1.FieldService",
            [
                row("CreateField", create_field, "", NEW),
                row("UpdateField", update_field, "", SETTING),
                row("ListFields", fields, "field", STAFFS),
                row("DeleteField", field, "", SETTING),
            ],
        ),
        service(
            "crm_cards.v1.HistoryService",
            [
                row("ListHistory", card, "note id", ENTITY),
                row("ListHistory", contact, "", ENTITY),
                row("ListHistory", order, "", ENTITY),
                row("ListHistory", company, "", ENTITY),
            ],
        ),
        service(
            "crm_cards.v1.ContactService",
            [
                row("CreateContact", create_contact, "", PERSON),
                row("UpdateContact", update_contact, "", CHANGE),
                row("ListSuspectedDuplicates", nothing, "twin", ENTITIES),
                row("DismissDuplicate", dismiss_duplicate, "", CHANGE),
                row("MergeContacts", merge_contacts, "", CHANGE),
                row("BindBuyer", bind_buyer, "", CHANGE),
                row(
                    "BindBuyer",
                    bind_chat,
                    "",
                    [May, May, Hidden, Refused, Refused, Hidden, Hidden, Hidden],
                ),
                row("UnmergeContact", unmerge_contact, "", CHANGE),
                row("DeleteContact", free_contact, "", CHANGE),
                row("SetContactSettings", contact_settings, "", NEW),
                row("GetContactSettings", nothing, "", [May; 8]),
            ],
        ),
        service(
            "crm_cards.v1.CompanyService",
            [
                row("CreateCompany", create_company, "", PERSON),
                row("GetCompany", company, "company", ENTITY),
                row("ListCompanies", nothing, "company", ENTITIES),
                row("UpdateCompany", update_company, "", CHANGE),
                row("DeleteCompany", company, "", CHANGE),
            ],
        ),
        service(
            "crm_cards.v1.ExternalCrmService",
            [row(
                "SetEntityResponsibles",
                set_entity_responsibles,
                "",
                OUTSIDE,
            )],
        ),
        service(
            "crm_cards.v1.CardService",
            [
                row(
                    "GetBoard",
                    pipeline,
                    "card",
                    [Seen, Seen, Without, Refused, Refused, Seen, Seen, Hidden],
                ),
                row("ListCardNotes", card, "note", ENTITY),
                row("UpdateCard", update_card, "", CHANGE),
                row("ConvertCard", card, "", CHANGE),
                row("AddCardNote", add_note, "", CHANGE),
                row("AddCardParticipants", card_and_agent, "", CHANGE),
                row("RemoveCardParticipants", card_and_agent, "", CHANGE),
                row("DeleteCard", card, "", CHANGE),
            ],
        ),
        service(
            "crm_cards.v1.TransferService",
            [
                row("ImportRecords", import_contacts, "", PERSON),
                row("ExportRecords", export_contacts, "contact", ENTITIES),
                row("ExportRecords", export_cards, "card", ENTITIES),
            ],
        ),
        service(
            "channel_gateway.v1.ChannelGatewayService",
            [
                row("CreateChannel", new_bot, "", NEW),
                row("GetChannel", channel, "line", LINE),
                row("ListChannels", nothing, "channel", LINES),
                row("ListDeliveries", chat, "answer", CHATS),
                row(
                    "CreateUpload",
                    create_upload,
                    "",
                    [May, May, May, May, Refused, May, May, May],
                ),
                row("GetAttachment", attachment, "attachment", CHAT),
                row("CreateAttachmentLink", attachment, "attachment", CHAT),
                row("RefetchAttachment", attachment, "attachment", CHAT),
                row("HoldUploads", hold_attachment, "", NOBODY),
                row("UpdateChannel", update_channel, "", CHANNEL),
                row("VerifyChannel", channel, "", CHANNEL),
                row("DisableChannel", channel, "", CHANNEL),
                row("EnableChannel", channel, "", CHANNEL),
                row("DisconnectChannel", channel, "", CHANNEL),
                row("ConnectChannel", bot, "", CHANNEL),
            ],
        ),
        service(
            "operator.v1.AuditService",
            [row(
                "ListAuditEntries",
                nothing,
                "",
                [
                    Seen, Refused, Refused, Refused, Refused, Without, Refused, Without,
                ],
            )],
        ),
        service(
            "operator.v1.OperatorService",
            [
                row("ListDeadLetters", nothing, "", NOBODY),
                row("GetDeadLetter", get_dead_letter, "", NOBODY),
                row("ReplayDeadLetters", nothing, "", NOBODY),
            ],
        ),
    ]
    .concat()
});
