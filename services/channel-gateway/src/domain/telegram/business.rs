//! Telegram Business: the bot answers in the name of a person's or shop's own account (channels.md §2.2).

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::value::{flag, id, int, object};

/// The kind under which a connection reaches the gateway's own consumer.
pub const CONNECTION: &str = "business_connection";

/// Names of deleted messages read of one update at most; Telegram tells of a hundred at once.
const DELETED_MAX: usize = 1_000;

/// The state of a connection between the bot and a business account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// Telegram's id of the connection.
    pub id: String,
    /// The account that is answered for.
    pub user_id: String,
    /// The bot may answer in chats whose client wrote within the last 24 hours.
    pub can_reply: bool,
    /// The owner has not switched it off.
    pub enabled: bool,
    /// When it was so, Unix seconds; 0 where Telegram does not tell. The newest state is the one that holds.
    pub date: i64,
}

impl Connection {
    /// Reads the connection of an update.
    pub fn read(connection: &Value) -> Option<Self> {
        // Before rights there was one flag.
        let rights = object(connection, "rights").unwrap_or(connection);
        Some(Self {
            id: id(connection, "id")?,
            user_id: object(connection, "user").and_then(|user| id(user, "id"))?,
            can_reply: flag(rights, "can_reply"),
            enabled: flag(connection, "is_enabled"),
            date: int(connection, "date").unwrap_or(0),
        })
    }

    /// Reads the connection that an `InboundProviderState` of kind [`CONNECTION`] carries.
    pub fn of_extension(extension: &[u8]) -> Option<Self> {
        serde_json::from_slice(extension).ok()
    }

    /// Returns what an `InboundProviderState` carries.
    pub fn extension(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// Tells whether a message of a business account's chat was written by the account and not by its client. In a private
/// chat the chat has the client's id: whoever else writes is the owner, or a bot in the owner's name.
pub fn is_own(message: &Value, chat_id: &str) -> bool {
    let writer = object(message, "from").and_then(|from| id(from, "id"));
    by_program(message) || writer.is_some_and(|writer| writer != chat_id)
}

/// Tells whether a message of the owner was sent by a bot, or by the app itself: as a greeting, or when the owner is away.
pub fn is_automatic(message: &Value) -> bool {
    by_program(message) || flag(message, "is_from_offline")
}

fn by_program(message: &Value) -> bool {
    object(message, "sender_business_bot").is_some()
}

/// Returns the numbers of the messages that were deleted.
pub fn deleted(update: &Value) -> Vec<String> {
    let numbers = update.get("message_ids").and_then(Value::as_array);
    let numbers = numbers.into_iter().flatten().take(DELETED_MAX);
    numbers
        .filter_map(Value::as_i64)
        .map(|number| number.to_string())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_connection_reads_with_rights_and_with_the_older_flag() {
        for (name, change, expected) in [
            (
                "rights",
                json!({"rights": {"can_reply": true}}),
                (true, true),
            ),
            (
                "no right",
                json!({"rights": {"can_read_messages": true}}),
                (false, true),
            ),
            ("older", json!({"can_reply": true}), (true, true)),
            ("off", json!({"is_enabled": false}), (false, false)),
        ] {
            let mut connection = json!({
                "id": "bc_7Yh2", "user": {"id": 42, "is_bot": false, "first_name": "Shop"},
                "user_chat_id": 42, "date": 1_790_765_000, "is_enabled": true,
            });
            for (key, value) in change.as_object().unwrap() {
                connection[key] = value.clone();
            }
            let read = Connection::read(&connection).unwrap();
            assert_eq!((read.can_reply, read.enabled), expected, "{name}");
            assert_eq!(
                (read.id.as_str(), read.user_id.as_str(), read.date),
                ("bc_7Yh2", "42", 1_790_765_000)
            );
            assert_eq!(Connection::of_extension(&read.extension()), Some(read));
        }
        assert_eq!(Connection::read(&json!({"id": "bc_7Yh2"})), None);
        assert_eq!(Connection::of_extension(b"x"), None);
    }

    #[test]
    fn who_wrote_is_told_by_the_chats_id() {
        for (name, message, own, automatic) in [
            ("client", json!({"from": {"id": 55}}), false, false),
            ("owner", json!({"from": {"id": 42}}), true, false),
            (
                "our own echo",
                json!({"from": {"id": 42}, "sender_business_bot": {"id": 7001}}),
                true,
                true,
            ),
            (
                "greeting",
                json!({"from": {"id": 42}, "is_from_offline": true}),
                true,
                true,
            ),
            ("nobody told", json!({}), false, false),
        ] {
            assert_eq!(is_own(&message, "55"), own, "{name}");
            assert_eq!(is_automatic(&message), automatic, "{name}");
        }
    }
}
