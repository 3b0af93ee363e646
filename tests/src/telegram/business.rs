//! Telegram Business: accounts that the bot answers for, and what is written in their chats.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::answer::{Answer, Refusal};
use super::params::Params;
use super::state::Bot;

/// How long after the client's last message the bot may answer in the owner's name, seconds.
const WINDOW: i64 = 24 * 60 * 60;

/// A connection between a bot and a business account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// Telegram's id of the owner.
    pub owner: i64,
    /// The owner's name.
    #[serde(default = "shop")]
    pub first_name: String,
    /// Whether the bot may answer.
    #[serde(default = "yes")]
    pub can_reply: bool,
    /// Whether the connection is switched on.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// When each client wrote last, Unix seconds.
    #[serde(skip)]
    pub(super) heard: HashMap<i64, i64>,
}

fn yes() -> bool {
    true
}

fn shop() -> String {
    "Shop".to_owned()
}

/// In whose name a call goes.
pub(super) struct Via {
    pub connection: String,
    pub owner: Value,
}

impl Connection {
    /// A connection that is switched on and lets the bot answer.
    pub fn of(owner: i64) -> Self {
        Self {
            owner,
            first_name: shop(),
            can_reply: true,
            enabled: true,
            heard: HashMap::new(),
        }
    }

    /// The owner as Telegram words a user.
    pub fn user(&self) -> Value {
        json!({ "id": self.owner, "is_bot": false, "first_name": self.first_name })
    }

    fn object(&self, id: &str) -> Value {
        let rights = if self.can_reply {
            json!({ "can_reply": true, "can_read_messages": true, "can_delete_sent_messages": true })
        } else {
            json!({})
        };
        json!({
            "id": id, "user": self.user(), "user_chat_id": self.owner, "is_enabled": self.enabled, "rights": rights,
            "date": OffsetDateTime::now_utc().unix_timestamp(),
        })
    }
}

fn named(bot: &Bot, id: &str) -> Result<Connection, Refusal> {
    bot.connection(id)
        .filter(|connection| connection.enabled)
        .ok_or_else(|| Refusal::bad("business connection not found"))
}

/// The connection that a call must name.
pub(super) fn connected(bot: &Bot, params: &Params) -> Result<Connection, Refusal> {
    named(
        bot,
        params.text("business_connection_id").unwrap_or_default(),
    )
}

/// The connection that a call names, if it may write to this client in the owner's name.
pub(super) fn via(bot: &Bot, params: &Params, chat: i64) -> Result<Option<Via>, Refusal> {
    let Some(id) = params
        .text("business_connection_id")
        .filter(|id| !id.is_empty())
    else {
        return Ok(None);
    };
    let connection = named(bot, id)?;
    if !connection.can_reply {
        return Err(Refusal::bad(
            "not enough rights to send messages in the business account",
        ));
    }
    let heard = connection.heard.get(&chat);
    let since = OffsetDateTime::now_utc().unix_timestamp() - WINDOW;
    if heard.is_none_or(|at| *at < since) {
        return Err(Refusal::bad("BUSINESS_PEER_USAGE_MISSING"));
    }
    Ok(Some(Via {
        connection: id.to_owned(),
        owner: connection.user(),
    }))
}

pub(super) fn get(bot: &Bot, params: &Params) -> Answer {
    let id = params.text("business_connection_id").unwrap_or_default();
    let connection = bot
        .connection(id)
        .ok_or_else(|| Refusal::bad("business connection not found"))?;
    Ok(connection.object(id))
}

/// Keeps a connection and returns the update that tells of it.
pub(super) fn connect(bot: &Bot, id: &str, connection: Connection) -> Value {
    let update =
        json!({ "update_id": bot.next_update_id(), "business_connection": connection.object(id) });
    bot.keep_connection(id, connection);
    update
}

/// A message in a chat of a business account; none where the connection is unknown. Telegram's own field tells who wrote
/// it: the client, or the owner.
pub(super) fn message(
    bot: &Bot,
    id: &str,
    customer: i64,
    by_owner: bool,
    content: Value,
) -> Option<Value> {
    let connection = bot.connection(id)?;
    let mut update = bot.private_message(customer, content);
    let mut message = update["message"].take();
    message["business_connection_id"] = json!(id);
    if by_owner {
        message["from"] = connection.user();
    } else {
        bot.hear(id, customer);
    }
    let kind = if message.get("edit_date").is_some() {
        "edited_business_message"
    } else {
        "business_message"
    };
    Some(json!({ "update_id": update["update_id"], kind: message }))
}

/// The update that tells of deleted messages.
pub(super) fn deletion(bot: &Bot, id: &str, customer: i64, message_ids: &[i64]) -> Value {
    let chat = bot.private_message(customer, json!({}))["message"]["chat"].take();
    json!({ "update_id": bot.next_update_id(), "deleted_business_messages": {
        "business_connection_id": id, "chat": chat, "message_ids": message_ids,
    }})
}
