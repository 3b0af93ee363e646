//! What the stand-in remembers of each bot.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::Options;
use super::delivery::Queue;
use super::faults::{Fault, FaultKind};

/// Customers remembered per bot; others are made anew when they speak.
const KEEP_CUSTOMERS: usize = 100_000;
/// Faults kept per bot.
const KEEP_FAULTS: usize = 1_000;
/// Bytes of files kept per bot.
const KEEP_FILES: usize = 128 * 1024 * 1024;

/// Locks without caring that another holder panicked: the state is plain data.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A file that came with a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentFile {
    /// Form field.
    pub field: String,
    /// File name as sent.
    pub name: String,
    /// Content type as sent.
    pub mime: Option<String>,
    /// Bytes.
    pub size: usize,
    /// SHA-256 of the content, hexadecimal.
    pub sha256: String,
}

/// An outgoing call that was accepted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sent {
    /// 1 for the first call accepted, counting up without gaps per bot.
    pub ordinal: u64,
    /// When, Unix milliseconds.
    pub at_ms: i64,
    /// Method, for example `sendMessage`.
    pub method: String,
    /// The chat it went to.
    pub chat_id: i64,
    /// The message ids that the answer gave (several for an album).
    pub message_ids: Vec<i64>,
    /// All parameters as they came.
    pub params: Map<String, Value>,
    /// Uploaded files.
    pub files: Vec<SentFile>,
}

/// A person who writes to the bot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Customer {
    /// First name; "Customer n" unless told.
    pub first_name: Option<String>,
    /// Last name.
    pub last_name: Option<String>,
    /// Name with `@` in Telegram, here without.
    pub username: Option<String>,
    /// Language of the app.
    pub language_code: Option<String>,
    /// Whether the bot is blocked by this person: sends answer 403.
    #[serde(default)]
    pub blocked: bool,
}

/// Where a bot's numbers begin: milliseconds since 2026, so that a stand-in started again never repeats a number that
/// a system which lived on has seen. (Telegram's are smaller; they are 64-bit numbers all the same.)
fn beginning() -> i64 {
    const YEAR_2026: i64 = 1_767_225_600_000;
    let now = time::OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000;
    i64::try_from(now).unwrap_or(i64::MAX) - YEAR_2026
}

/// A registered webhook.
#[derive(Clone, Debug)]
pub(super) struct Webhook {
    pub url: String,
    pub secret: Option<String>,
    pub allowed_updates: Vec<String>,
    pub max_connections: i64,
}

#[derive(Default)]
struct BotData {
    last_update: i64,
    /// Messages of an earlier life are unknown, as deleted ones are.
    first_message: i64,
    last_message: i64,
    last_sent: u64,
    sent: VecDeque<Sent>,
    faults: Vec<Fault>,
    customers: HashMap<i64, Customer>,
    /// By file id: path and content.
    files: HashMap<String, (String, Bytes)>,
    file_bytes: usize,
    last_error: Option<(i64, String)>,
}

/// One bot: made when its token is first used.
pub(super) struct Bot {
    pub id: i64,
    pub webhook: watch::Sender<Option<Webhook>>,
    /// Telegram's default of 40 simultaneous webhook calls a bot.
    pub connections: Semaphore,
    pub queue: Mutex<Queue>,
    data: Mutex<BotData>,
    keep_sent: usize,
}

/// All bots.
pub(super) struct State {
    pub options: Options,
    pub http: reqwest::Client,
    pub stop: CancellationToken,
    bots: Mutex<HashMap<String, Arc<Bot>>>,
}

impl State {
    pub fn new(options: Options, stop: CancellationToken) -> anyhow::Result<Self> {
        // A second installation in the same process is refused, and is as good as the first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(options.webhook_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self {
            options,
            http,
            stop,
            bots: Mutex::default(),
        })
    }

    /// The bot of a token; none when the token has not the form `{bot_id}:{35 characters}`.
    pub fn bot(&self, token: &str) -> Option<Arc<Bot>> {
        let (id, secret) = token.split_once(':')?;
        let id: i64 = id.parse().ok().filter(|id| *id > 0)?;
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if secret.len() != 35 || !secret.chars().all(allowed) {
            return None;
        }
        let mut bots = lock(&self.bots);
        let bot = bots.entry(token.to_owned()).or_insert_with(|| {
            Arc::new(Bot {
                id,
                webhook: watch::Sender::new(None),
                connections: Semaphore::new(40),
                queue: Mutex::default(),
                data: Mutex::new(BotData {
                    last_update: beginning(),
                    first_message: beginning(),
                    last_message: beginning(),
                    ..BotData::default()
                }),
                keep_sent: self.options.keep_sent,
            })
        });
        Some(Arc::clone(bot))
    }

    /// A bot that was used before.
    pub fn known_bot(&self, token: &str) -> Option<Arc<Bot>> {
        lock(&self.bots).get(token).cloned()
    }
}

impl Bot {
    pub fn user(&self) -> Value {
        json!({ "id": self.id, "is_bot": true, "first_name": "Stand-in shop", "username": format!("shop_{}_bot", self.id),
                "can_join_groups": true, "can_read_all_group_messages": false, "supports_inline_queries": false })
    }

    pub fn next_message_id(&self) -> i64 {
        let mut data = lock(&self.data);
        data.last_message += 1;
        data.last_message
    }

    pub fn next_update_id(&self) -> i64 {
        let mut data = lock(&self.data);
        data.last_update += 1;
        data.last_update
    }

    /// Whether this id was given to a message of this bot (its own or a customer's).
    pub fn knows_message(&self, message_id: i64) -> bool {
        let data = lock(&self.data);
        (data.first_message..=data.last_message).contains(&message_id)
    }

    /// Message ids of later messages follow the ones a test brought along.
    pub fn raise_message_id(&self, at_least: i64) {
        let mut data = lock(&self.data);
        data.last_message = data.last_message.max(at_least);
    }

    pub fn keep_sent(&self, mut sent: Sent) {
        let mut data = lock(&self.data);
        data.last_sent += 1;
        sent.ordinal = data.last_sent;
        data.sent.push_back(sent);
        while data.sent.len() > self.keep_sent {
            data.sent.pop_front();
        }
    }

    /// Calls after `ordinal`, oldest first.
    pub fn sent(&self, after: u64, limit: usize) -> Vec<Sent> {
        let data = lock(&self.data);
        data.sent
            .iter()
            .filter(|sent| sent.ordinal > after)
            .take(limit)
            .cloned()
            .collect()
    }

    /// What was done to one message: sent, edited, deleted, oldest first.
    pub fn history(&self, chat: i64, message_id: i64) -> Vec<Sent> {
        let data = lock(&self.data);
        let mine = |sent: &&Sent| sent.chat_id == chat && sent.message_ids.contains(&message_id);
        data.sent.iter().filter(mine).cloned().collect()
    }

    /// How many calls were accepted in all.
    pub fn sent_count(&self) -> u64 {
        lock(&self.data).last_sent
    }

    pub fn add_fault(&self, fault: Fault) {
        let mut data = lock(&self.data);
        if data.faults.len() < KEEP_FAULTS {
            data.faults.push(fault);
        }
    }

    pub fn clear_faults(&self) {
        lock(&self.data).faults.clear();
    }

    /// The first fault this call meets, counted down.
    pub fn meet_fault(
        &self,
        method: &str,
        chat_id: Option<i64>,
        strict_reply: bool,
    ) -> Option<FaultKind> {
        let mut data = lock(&self.data);
        let at = data
            .faults
            .iter()
            .position(|fault| fault.meets(method, chat_id, strict_reply))?;
        let fault = data.faults.get_mut(at)?;
        let kind = fault.kind.clone();
        if let Some(times) = &mut fault.times {
            *times = times.saturating_sub(1);
            if *times == 0 {
                data.faults.remove(at);
            }
        }
        Some(kind)
    }

    /// The customer as known, or a new one.
    pub fn customer(&self, id: i64) -> Customer {
        let mut data = lock(&self.data);
        if data.customers.len() >= KEEP_CUSTOMERS && !data.customers.contains_key(&id) {
            return Customer::default();
        }
        data.customers.entry(id).or_default().clone()
    }

    pub fn known_customer(&self, id: i64) -> Option<Customer> {
        lock(&self.data).customers.get(&id).cloned()
    }

    pub fn change_customer(&self, id: i64, change: impl FnOnce(&mut Customer)) {
        change(lock(&self.data).customers.entry(id).or_default());
    }

    pub fn put_file(&self, file_id: &str, path: &str, content: Bytes) {
        let mut data = lock(&self.data);
        if data.file_bytes + content.len() > KEEP_FILES {
            data.files.clear();
            data.file_bytes = 0;
        }
        data.file_bytes += content.len();
        data.files
            .insert(file_id.to_owned(), (path.to_owned(), content));
    }

    /// Path and content of a file by its id.
    pub fn file(&self, file_id: &str) -> Option<(String, Bytes)> {
        lock(&self.data).files.get(file_id).cloned()
    }

    pub fn file_at(&self, path: &str) -> Option<Bytes> {
        lock(&self.data)
            .files
            .values()
            .find(|(at, _)| at == path)
            .map(|(_, content)| content.clone())
    }

    pub fn note_webhook_error(&self, message: String) {
        lock(&self.data).last_error = Some((OffsetDateTime::now_utc().unix_timestamp(), message));
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
            if let Some((at, message)) = lock(&self.data).last_error.clone() {
                info.insert("last_error_date".into(), at.into());
                info.insert("last_error_message".into(), message.into());
            }
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
