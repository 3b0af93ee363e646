//! What happens, as Telegram words it: the bot itself, its webhook, and the updates that customers cause.

use serde_json::{Value, json};
use time::OffsetDateTime;

use super::state::{Bot, lock};

impl Bot {
    pub fn user(&self) -> Value {
        json!({ "id": self.id, "is_bot": true, "first_name": "Stand-in shop", "username": format!("shop_{}_bot", self.id),
                "can_join_groups": true, "can_read_all_group_messages": false, "supports_inline_queries": false })
    }

    pub fn webhook_info(&self) -> Value {
        let webhook = self.webhook.borrow().clone();
        let pending = lock(&self.queue).pending();
        let mut info = json!({
            "url": webhook.as_ref().map_or("", |w| &w.url), "has_custom_certificate": false, "pending_update_count": pending,
        });
        if let (Some(info), Some(webhook)) = (info.as_object_mut(), webhook) {
            info.insert("max_connections".into(), webhook.max_connections.into());
            info.insert("ip_address".into(), "127.0.0.1".into());
            if !webhook.allowed_updates.is_empty() {
                info.insert("allowed_updates".into(), webhook.allowed_updates.into());
            }
            if let Some((at, message)) = self.last_error() {
                info.insert("last_error_date".into(), at.into());
                info.insert("last_error_message".into(), message.into());
            }
        }
        if let Some(info) = info.as_object_mut() {
            info.extend(self.pretended());
        }
        info
    }

    /// A customer's message in a private chat as Telegram words it; `content` is `text`, `photo` and so on, and
    /// may replace any other field.
    pub fn private_message(&self, customer_id: i64, content: Value) -> Value {
        let customer = self.customer(customer_id);
        let first_name = customer
            .first_name
            .unwrap_or_else(|| format!("Customer {customer_id}"));
        let mut from = json!({ "id": customer_id, "is_bot": false, "first_name": first_name });
        let mut chat = json!({ "id": customer_id, "type": "private", "first_name": first_name });
        let names = [
            ("last_name", customer.last_name),
            ("username", customer.username),
        ];
        for (key, value) in names
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?)))
        {
            from[key] = json!(value);
            chat[key] = json!(value);
        }
        if let Some(language) = customer.language_code {
            from["language_code"] = json!(language);
        }
        let mut message = json!({
            "message_id": self.next_message_id(), "from": from, "chat": chat,
            "date": OffsetDateTime::now_utc().unix_timestamp(),
        });
        if let (Some(message), Value::Object(content)) = (message.as_object_mut(), content) {
            message.extend(content);
        }
        json!({ "update_id": self.next_update_id(), "message": message })
    }

    /// A customer's edit of a message.
    pub fn private_edit(&self, customer_id: i64, message_id: i64, content: Value) -> Value {
        let mut update = self.private_message(customer_id, content);
        let mut message = update["message"].take();
        message["message_id"] = json!(message_id);
        message["edit_date"] = json!(OffsetDateTime::now_utc().unix_timestamp());
        json!({ "update_id": update["update_id"], "edited_message": message })
    }

    /// A press of a button under a message of the bot.
    pub fn press(&self, customer_id: i64, message_id: i64, data: &str) -> Value {
        let customer = self.private_message(customer_id, json!({}));
        let (from, chat) = (&customer["message"]["from"], &customer["message"]["chat"]);
        let sent = self.history(customer_id, message_id);
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let mut message = json!({
            "message_id": message_id, "chat": chat, "date": if sent.is_empty() { 0 } else { now },
        });
        if let Some(sent) = sent.first() {
            message["from"] = self.user();
            if let Some(text) = sent.params.get("text") {
                message["text"] = text.clone();
            }
        }
        let number = self.next_update_id();
        json!({ "update_id": number, "callback_query": {
            "id": format!("{}{number}", self.id), "from": from, "message": message, "chat_instance": "-77120993",
            "data": data,
        }})
    }

    /// A customer's reactions on a message as they are now.
    pub fn reaction(&self, customer_id: i64, message_id: i64, emojis: &[String]) -> Value {
        let customer = self.private_message(customer_id, json!({}));
        let set = emojis
            .iter()
            .map(|emoji| json!({ "type": "emoji", "emoji": emoji }));
        json!({ "update_id": self.next_update_id(), "message_reaction": {
            "chat": customer["message"]["chat"], "user": customer["message"]["from"], "message_id": message_id,
            "date": OffsetDateTime::now_utc().unix_timestamp(), "old_reaction": [],
            "new_reaction": set.collect::<Vec<_>>(),
        }})
    }

    /// The update that tells the bot it was blocked or unblocked by a customer.
    pub fn membership_change(&self, customer_id: i64, blocked: bool) -> Value {
        self.change_customer(customer_id, |customer| customer.blocked = blocked);
        let (old, new) = if blocked {
            ("member", "kicked")
        } else {
            ("kicked", "member")
        };
        let customer = self.private_message(customer_id, json!({}));
        let (from, chat) = (&customer["message"]["from"], &customer["message"]["chat"]);
        let mut now = json!({ "user": self.user(), "status": new });
        if blocked {
            now["until_date"] = json!(0);
        }
        json!({ "update_id": self.next_update_id(), "my_chat_member": {
            "chat": chat, "from": from, "date": OffsetDateTime::now_utc().unix_timestamp(),
            "old_chat_member": { "user": self.user(), "status": old }, "new_chat_member": now,
        }})
    }
}
