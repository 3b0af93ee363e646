//! The words by which the Bot API refuses, and what they mean (channels.md §2.3).

use crate::domain::refusal::{BLOCKED, Class, Refusal, passing, refusal};

/// The provider no longer believes the token.
pub const CREDENTIALS_REFUSED: Refusal = Refusal {
    reason: "CREDENTIALS_REFUSED",
    detail: "Telegram refused the bot's token: an administrator must connect the channel anew.",
    retryable: true,
};

/// A picture that was refused as one and cannot be sent otherwise.
pub const PHOTO_REFUSED: Refusal = Refusal {
    reason: "PHOTO_REFUSED",
    detail: "Telegram does not take the picture.",
    retryable: false,
};

/// Words of the description, in lower case, and what they mean; the first entry of which one occurs decides.
pub(super) static TABLE: [(&[&str], Class); 30] = [
    (
        &[
            "message to be replied not found",
            "replied message not found",
            "reply_message_id_invalid",
            // The words that are quoted are not in the message any more.
            "quote_text_invalid",
        ],
        Class::WithoutReply,
    ),
    (
        &[
            "can't parse entities",
            "can't parse caption entities",
            "can't find end of",
            "entity_bounds_invalid",
            "entities_too_long",
            "in a middle of a utf-16 symbol",
        ],
        Class::Plain,
    ),
    (
        &[
            "photo_invalid_dimensions",
            "photo_save_file_invalid",
            "photo_ext_invalid",
            "photo_content_type_invalid",
            "image_process_failed",
            "file of size 0 bytes as a photo",
            "too big for a photo",
        ],
        Class::AsDocument,
    ),
    // Who wants a message gone has what is wanted when it is.
    (
        &[
            "is not modified",
            "message_not_modified",
            "message to delete not found",
        ],
        Class::AlreadySo,
    ),
    (
        &["bot was blocked by the user", "user_is_blocked"],
        passing(BLOCKED, "The client has blocked the bot."),
    ),
    (
        &["user is deactivated", "input_user_deactivated"],
        refusal(
            "CLIENT_DELETED",
            "The client has deleted the Telegram account.",
        ),
    ),
    (
        &["can't initiate conversation"],
        refusal(
            "CLIENT_NEVER_STARTED",
            "The client has not started the bot yet: bots cannot write first.",
        ),
    ),
    (
        &["messages to bots"],
        refusal("CLIENT_IS_BOT", "Bots cannot write to bots."),
    ),
    (
        &["voice_messages_forbidden"],
        refusal(
            "VOICE_FORBIDDEN",
            "The client does not accept voice and round video messages.",
        ),
    ),
    (
        &["business_peer_usage_missing", "business_peer_invalid"],
        refusal(
            "WINDOW_CLOSED",
            "In the name of a business account bots can answer only where the client wrote within 24 hours.",
        ),
    ),
    (
        &[
            "business_connection_invalid",
            "business connection not found",
        ],
        refusal(
            "BUSINESS_CONNECTION_ENDED",
            "The owner of the business account has disconnected the bot.",
        ),
    ),
    (
        &["bot was kicked", "bot is not a member"],
        refusal("CHAT_LEFT", "The bot was removed from the chat."),
    ),
    (
        &["group chat was deleted", "group is deactivated"],
        refusal("CHAT_GONE", "The chat was deleted."),
    ),
    (
        &["chat not found", "peer_id_invalid"],
        refusal("CHAT_NOT_FOUND", "Telegram does not know this chat."),
    ),
    (
        &["user not found"],
        refusal("CHAT_NOT_FOUND", "Telegram does not know this client."),
    ),
    (
        &[
            "message is too long",
            "message_too_long",
            "caption is too long",
            "caption_too_long",
        ],
        refusal("MESSAGE_TOO_LONG", "The message is too long for Telegram."),
    ),
    (
        &["text is empty", "text must be non-empty", "message_empty"],
        refusal("MESSAGE_EMPTY", "The message has no text."),
    ),
    (
        &[
            "message can't be edited",
            "message_edit_time_expired",
            "there is no text in the message to edit",
            "there is no caption in the message to edit",
        ],
        refusal(
            "MESSAGE_NOT_EDITABLE",
            "Telegram does not let this message be edited any more.",
        ),
    ),
    (
        &["message can't be deleted", "message_delete_forbidden"],
        refusal(
            "MESSAGE_NOT_DELETABLE",
            "Telegram lets bots delete messages within 48 hours only.",
        ),
    ),
    (
        &[
            "message to edit not found",
            "message to react not found",
            "message_id_invalid",
            "message identifier is not specified",
            "message not found",
        ],
        refusal("MESSAGE_NOT_FOUND", "The message is gone in Telegram."),
    ),
    (
        &["reaction_invalid", "reaction_empty", "reactions_too_many"],
        refusal(
            "REACTION_REFUSED",
            "Telegram does not let bots react with this emoji.",
        ),
    ),
    (
        &[
            "not enough rights",
            "need administrator rights",
            "no rights to",
            "chat_write_forbidden",
            "bot_access_forbidden",
        ],
        refusal("RIGHTS_MISSING", "The bot may not do this in the chat."),
    ),
    (
        &[
            "file is too big",
            "request entity too large",
            "file_parts_invalid",
        ],
        refusal("FILE_TOO_LARGE", "The file is too large for Telegram."),
    ),
    (
        &["file must be non-empty", "file_part_0_missing"],
        refusal("FILE_EMPTY", "The file is empty."),
    ),
    (
        &[
            "wrong file identifier",
            "wrong remote file id",
            "wrong file id",
            "wrong file_id",
            "invalid file id",
            "invalid file_id",
            "file is temporarily unavailable",
            "file not found",
            "file reference",
            "file_reference_",
        ],
        passing("FILE_UNAVAILABLE", "Telegram does not find the file."),
    ),
    (
        &[
            "wrong http url",
            "failed to get http url content",
            "webpage_curl_failed",
            "webpage_media_empty",
            "wrong type of the web page content",
        ],
        passing(
            "FILE_UNREACHABLE",
            "Telegram could not fetch the file from its address.",
        ),
    ),
    (
        &["query is too old", "query_id_invalid"],
        refusal("PRESS_EXPIRED", "The press of the button was too long ago."),
    ),
    (
        &["bad webhook"],
        refusal(
            "WEBHOOK_REFUSED",
            "Telegram does not take the webhook's address.",
        ),
    ),
    (
        &["invalid bot token"],
        Class::Disconnected(CREDENTIALS_REFUSED),
    ),
    (
        &["terminated by other getupdates"],
        refusal("CHANNEL_IN_USE", "Another program uses this bot's token."),
    ),
];
