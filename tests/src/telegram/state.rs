//! What the stand-in remembers of each bot.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde_json::{Map, Value};
use time::OffsetDateTime;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::Options;
use super::business::Connection;
use super::delivery::Queue;
use super::faults::{Fault, FaultKind};
use super::kept::{Customer, Sent};

/// Customers remembered per bot; others are made anew when they speak.
const KEEP_CUSTOMERS: usize = 100_000;
/// Faults kept per bot.
const KEEP_FAULTS: usize = 1_000;
/// Bytes of files kept per bot.
const KEEP_FILES: usize = 128 * 1024 * 1024;
/// Callback queries and connections kept per bot.
const KEEP_PRESSES: usize = 10_000;
const KEEP_CONNECTIONS: usize = 1_000;

/// Locks without caring that another holder panicked: the state is plain data.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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

/// A file that can be had.
#[derive(Clone)]
pub(super) struct StoredFile {
    pub path: String,
    pub content: Bytes,
    /// As Telegram tells it; may be more than is there.
    pub size: usize,
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
    /// By file id.
    files: HashMap<String, StoredFile>,
    file_bytes: usize,
    last_file: u64,
    connections: HashMap<String, Connection>,
    /// Callback queries that wait for their answer.
    presses: VecDeque<String>,
    /// What `getWebhookInfo` answers instead of the truth.
    pretended: Map<String, Value>,
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

    /// The chat into which a message was sent.
    pub fn chat_of_message(&self, message_id: i64) -> Option<i64> {
        let data = lock(&self.data);
        let mine = |sent: &&Sent| sent.message_ids.contains(&message_id);
        data.sent.iter().find(mine).map(|sent| sent.chat_id)
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

    pub fn put_file(&self, file_id: &str, path: &str, content: Bytes, size: Option<usize>) {
        let mut data = lock(&self.data);
        if data.file_bytes + content.len() > KEEP_FILES {
            data.files.clear();
            data.file_bytes = 0;
        }
        data.file_bytes += content.len();
        let file = StoredFile {
            path: path.to_owned(),
            size: size.unwrap_or(content.len()),
            content,
        };
        data.files.insert(file_id.to_owned(), file);
    }

    pub fn next_file_number(&self) -> u64 {
        let mut data = lock(&self.data);
        data.last_file += 1;
        data.last_file
    }

    /// A file by its id.
    pub fn file(&self, file_id: &str) -> Option<StoredFile> {
        lock(&self.data).files.get(file_id).cloned()
    }

    pub fn file_at(&self, path: &str) -> Option<Bytes> {
        lock(&self.data)
            .files
            .values()
            .find(|file| file.path == path)
            .map(|file| file.content.clone())
    }

    pub fn connection(&self, id: &str) -> Option<Connection> {
        lock(&self.data).connections.get(id).cloned()
    }

    /// Keeps a connection; who wrote to its account before is remembered.
    pub fn keep_connection(&self, id: &str, mut connection: Connection) {
        let mut data = lock(&self.data);
        if let Some(before) = data.connections.remove(id) {
            connection.heard = before.heard;
        }
        if data.connections.len() < KEEP_CONNECTIONS {
            data.connections.insert(id.to_owned(), connection);
        }
    }

    /// Notes that a client wrote to a business account just now.
    pub fn hear(&self, connection: &str, customer: i64) {
        let now = OffsetDateTime::now_utc().unix_timestamp();
        if let Some(connection) = lock(&self.data).connections.get_mut(connection) {
            connection.heard.insert(customer, now);
        }
    }

    /// Notes a press that wants an answer.
    pub fn note_press(&self, query: &str) {
        let mut data = lock(&self.data);
        data.presses.push_back(query.to_owned());
        if data.presses.len() > KEEP_PRESSES {
            data.presses.pop_front();
        }
    }

    /// Tells whether a press waited for its answer; from then on it does not.
    pub fn forget_press(&self, query: &str) -> bool {
        let mut data = lock(&self.data);
        let before = data.presses.len();
        data.presses.retain(|waiting| waiting != query);
        data.presses.len() < before
    }

    /// Makes `getWebhookInfo` answer these fields, whatever is true; an empty map ends it.
    pub fn pretend(&self, fields: Map<String, Value>) {
        lock(&self.data).pretended = fields;
    }

    pub fn pretended(&self) -> Map<String, Value> {
        lock(&self.data).pretended.clone()
    }

    pub fn last_error(&self) -> Option<(i64, String)> {
        lock(&self.data).last_error.clone()
    }

    pub fn note_webhook_error(&self, message: String) {
        lock(&self.data).last_error = Some((OffsetDateTime::now_utc().unix_timestamp(), message));
    }
}
