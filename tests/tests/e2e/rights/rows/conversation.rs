//! Methods of conversation.

use super::super::requests::*;
use super::Told::{Hidden, May, Refused, Seen, Without, Wrong};
use super::{
    BOT, CHANGE, CHAT, CHATS, DEED, ENTITY, FOREIGN, LINES, LOG, NEW, NEW_BOT, NOBODY, OF_GROUP,
    OF_GROUP_CHANGED, OF_ONE, Row, SETTING, SHARED, SHARED_FILTER, SHAREDS, STAFF, STAFFS,
    TO_ONESELF, row, service,
};

#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn rows() -> Vec<Row> {
    [
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
            [
                row("SearchMessages", words, "chat", CHATS),
                row("FindMessages", provider_key, "message", CHATS),
            ],
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
    ]
    .concat()
}
