//! What the stand-in remembers of each bot.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use super::Options;
use super::faults::{Fault, FaultKind};

/// Customers remembered per bot; others are made anew when they speak.
const KEEP_CUSTOMERS: usize = 100_000;
/// Faults kept per bot.
const KEEP_FAULTS: usize = 1_000;

/// Locks without caring that another holder panicked: the state is plain data.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Milliseconds since 1970.
pub(super) fn now_ms() -> i64 {
    let now = OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000;
    i64::try_from(now).unwrap_or_default()
}

/// A message that was accepted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sent {
    /// 1 for the first message accepted, counting up without gaps per bot.
    pub ordinal: u64,
    /// When, Unix milliseconds.
    pub at_ms: i64,
    /// The customer it went to.
    pub receiver: String,
    /// The token that the answer gave.
    pub message_token: u64,
    /// The whole body as it came, without the bot's token.
    pub body: Map<String, Value>,
}

/// A person who writes to the bot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Customer {
    /// Name; "Customer" and the id unless told.
    pub name: Option<String>,
    /// Language of the app.
    pub language: Option<String>,
    /// Address of the photo; none unless told.
    #[serde(default)]
    pub avatar: Option<String>,
    /// Whether this person left the bot: sends answer 6.
    #[serde(default)]
    pub unsubscribed: bool,
    /// Messages since this person wrote last.
    #[serde(default)]
    pub unanswered: u32,
}

/// A registered webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Webhook {
    /// Where callbacks go.
    pub url: String,
    /// The events asked for; `message`, `subscribed` and `unsubscribed` come in any case.
    pub event_types: Vec<String>,
}

struct BotData {
    webhook: Option<Webhook>,
    last_token: u64,
    last_sent: u64,
    sent: VecDeque<Sent>,
    faults: Vec<Fault>,
    customers: HashMap<String, Customer>,
}

/// One bot: made when its token is first used.
pub(super) struct Bot {
    pub token: String,
    data: Mutex<BotData>,
    keep_sent: usize,
}

/// All bots.
pub(super) struct State {
    pub options: Options,
    pub http: reqwest::Client,
    pub stop: CancellationToken,
    bots: Mutex<HashMap<String, Arc<Bot>>>,
    photos: Mutex<Vec<Bytes>>,
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
            photos: Mutex::default(),
        })
    }

    /// Keeps a photo; returns its number.
    pub fn put_photo(&self, content: Bytes) -> usize {
        let mut photos = lock(&self.photos);
        photos.push(content);
        photos.len()
    }

    pub fn photo(&self, number: usize) -> Option<Bytes> {
        let photos = lock(&self.photos);
        photos.get(number.checked_sub(1)?).cloned()
    }

    /// The bot of a token; none when the token has not the form of three times 16 hexadecimal digits.
    pub fn bot(&self, token: &str) -> Option<Arc<Bot>> {
        let groups: Vec<&str> = token.split('-').collect();
        let hexadecimal =
            |group: &&str| group.len() == 16 && group.bytes().all(|byte| byte.is_ascii_hexdigit());
        if groups.len() != 3 || !groups.iter().all(hexadecimal) {
            return None;
        }
        let mut bots = lock(&self.bots);
        let bot = bots.entry(token.to_owned()).or_insert_with(|| {
            Arc::new(Bot {
                token: token.to_owned(),
                data: Mutex::new(BotData {
                    webhook: None,
                    // A stand-in started again never repeats a token that a system which lived on has seen.
                    last_token: now_ms().cast_unsigned() << 20,
                    last_sent: 0,
                    sent: VecDeque::new(),
                    faults: Vec::new(),
                    customers: HashMap::new(),
                }),
                keep_sent: self.options.keep_sent,
            })
        });
        Some(Arc::clone(bot))
    }
}

impl Bot {
    /// The bot's id, as `pa:` and digits.
    pub fn id(&self) -> String {
        let hash = Sha256::digest(self.token.as_bytes());
        let digits = u64::from_be_bytes(std::array::from_fn(|index| hash[index]));
        format!("pa:{digits}")
    }

    /// A new token: larger than a double holds, and every second one larger than a signed number holds.
    pub fn next_token(&self) -> u64 {
        let mut data = lock(&self.data);
        data.last_token += 1;
        data.last_token | ((data.last_token & 1) << 63)
    }

    pub fn webhook(&self) -> Option<Webhook> {
        lock(&self.data).webhook.clone()
    }

    pub fn set_webhook(&self, webhook: Option<Webhook>) {
        lock(&self.data).webhook = webhook;
    }

    pub fn keep_sent(&self, receiver: &str, message_token: u64, body: Map<String, Value>) {
        let mut data = lock(&self.data);
        data.last_sent += 1;
        let sent = Sent {
            ordinal: data.last_sent,
            at_ms: now_ms(),
            receiver: receiver.to_owned(),
            message_token,
            body,
        };
        data.sent.push_back(sent);
        while data.sent.len() > self.keep_sent {
            data.sent.pop_front();
        }
    }

    /// Messages that were accepted, oldest first.
    pub fn sent(&self) -> Vec<Sent> {
        lock(&self.data).sent.iter().cloned().collect()
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
    pub fn meet_fault(&self, method: &str, receiver: Option<&str>) -> Option<FaultKind> {
        let mut data = lock(&self.data);
        let meets = |fault: &Fault| fault.meets(method, receiver);
        let at = data.faults.iter().position(meets)?;
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

    pub fn known_customer(&self, id: &str) -> Option<Customer> {
        lock(&self.data).customers.get(id).cloned()
    }

    pub fn change_customer(&self, id: &str, change: impl FnOnce(&mut Customer)) {
        let mut data = lock(&self.data);
        let customers = &mut data.customers;
        if customers.len() < KEEP_CUSTOMERS || customers.contains_key(id) {
            change(customers.entry(id.to_owned()).or_default());
        }
    }

    /// A person as callbacks and `get_user_details` tell of them.
    pub fn profile(&self, id: &str) -> Value {
        let customer = self.known_customer(id).unwrap_or_default();
        let mut profile = json!({
            "id": id,
            "name": customer.name.unwrap_or_else(|| format!("Customer {id}")),
            "country": "UA",
            "language": customer.language.as_deref().unwrap_or("uk"),
            "api_version": 10,
        });
        if let Some(avatar) = customer.avatar {
            profile["avatar"] = avatar.into();
        }
        profile
    }

    /// A customer's message; writing subscribes silently.
    pub fn written(&self, customer: &str, message: &Value, silent: bool) -> Value {
        self.change_customer(customer, |customer| {
            customer.unanswered = 0;
            customer.unsubscribed = false;
        });
        json!({
            "event": "message", "chat_hostname": "SN-CHAT-07_", "sender": self.profile(customer), "message": message,
            "silent": silent,
        })
    }
}
