//! How chats and messages of Telegram are named: the one place that makes and reads their keys.
//!
//! | what | key |
//! |---|---|
//! | chat with the bot | `{chat.id}` |
//! | chat of a business account that the bot answers for | `business:{business_connection_id}:{chat.id}` |
//! | message | `{chat.id}:{message_id}` |
//! | message of a business account | `{business_connection_id}:{chat.id}:{message_id}` |
//! | press of a button | the key of a message with `cb:{callback_query.id}` in place of its number |
//!
//! The same person may write to the bot and to the account that it answers for, and both chats have the person's id: the
//! connection keeps them apart, and an answer needs it (channels.md §1, §2.2).

/// What begins the key of a business account's chat.
const BUSINESS: &str = "business:";

/// What stands before the id of a callback query in the key of a press.
const PRESS: &str = "cb";

/// A chat as Telegram addresses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chat {
    /// The business connection, where the bot answers in the name of a business account.
    pub connection: Option<String>,
    /// Telegram's id of the chat; in a private chat that of the client.
    pub id: String,
}

impl Chat {
    /// Reads the key of a chat.
    pub fn parse(key: &str) -> Self {
        let business = key
            .strip_prefix(BUSINESS)
            .and_then(|rest| rest.rsplit_once(':'))
            .filter(|(connection, id)| !connection.is_empty() && !id.is_empty());
        match business {
            Some((connection, id)) => Self {
                connection: Some(connection.to_owned()),
                id: id.to_owned(),
            },
            None => Self {
                connection: None,
                id: key.to_owned(),
            },
        }
    }

    /// Returns the key of the chat.
    pub fn key(&self) -> String {
        match &self.connection {
            Some(connection) => format!("{BUSINESS}{connection}:{}", self.id),
            None => self.id.clone(),
        }
    }

    /// Returns the key of a message of this chat.
    pub fn message_key(&self, number: &str) -> String {
        match &self.connection {
            Some(connection) => format!("{connection}:{}:{number}", self.id),
            None => format!("{}:{number}", self.id),
        }
    }

    /// Returns the key of a press of a button in this chat.
    pub fn press_key(&self, query: &str) -> String {
        self.message_key(&format!("{PRESS}:{query}"))
    }
}

/// Returns the number of a message by its key; none where the key is not of a message.
pub fn number(provider_key: &str) -> Option<i64> {
    let (before, number) = provider_key.rsplit_once(':')?;
    if before.rsplit(':').next() == Some(PRESS) {
        return None;
    }
    number.parse().ok().filter(|number| *number > 0)
}

/// Returns the id of the callback query by the key of a press: `answerCallbackQuery` wants it.
pub fn pressed(provider_key: &str) -> Option<&str> {
    let (before, query) = provider_key.rsplit_once(':')?;
    (before.rsplit(':').next() == Some(PRESS) && !query.is_empty()).then_some(query)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_chats_read_back_as_they_were_made() {
        for (key, connection, id) in [
            ("5540012873", None, "5540012873"),
            ("-1001293752024", None, "-1001293752024"),
            ("some123ChatId", None, "some123ChatId"),
            ("business:bc_7Yh2:55", Some("bc_7Yh2"), "55"),
            ("business:odd:id:55", Some("odd:id"), "55"),
            ("business::55", None, "business::55"),
            ("business:bc_7Yh2:", None, "business:bc_7Yh2:"),
            ("business:", None, "business:"),
            ("", None, ""),
        ] {
            let chat = Chat::parse(key);
            assert_eq!(
                (chat.connection.as_deref(), chat.id.as_str()),
                (connection, id),
                "{key}"
            );
            assert_eq!(chat.key(), key);
        }
    }

    #[test]
    fn a_message_is_named_with_its_connection_and_found_by_its_number() {
        let (bot, business) = (Chat::parse("55"), Chat::parse("business:bc_7Yh2:55"));
        assert_eq!(bot.message_key("991"), "55:991");
        assert_eq!(business.message_key("991"), "bc_7Yh2:55:991");
        assert_eq!(business.press_key("2379"), "bc_7Yh2:55:cb:2379");
        for (key, message, query) in [
            ("55:991", Some(991), None),
            ("bc_7Yh2:55:991", Some(991), None),
            ("55:cb:2379", None, Some("2379")),
            ("bc_7Yh2:55:cb:2379", None, Some("2379")),
            ("55:upd:7", Some(7), None),
            ("55:0", None, None),
            ("55:", None, None),
            ("991", None, None),
            ("", None, None),
        ] {
            assert_eq!((number(key), pressed(key)), (message, query), "{key}");
        }
    }
}
