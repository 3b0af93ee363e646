//! What the stand-in remembers.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use super::Options;
use super::faults::{Fault, FaultKind};

/// Faults kept.
const KEEP_FAULTS: usize = 1_000;
/// Customers and comments kept each.
const KEEP: usize = 200_000;

/// A professional Instagram account that a token is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Id, as webhooks name it.
    pub id: String,
    /// Nick.
    pub username: String,
    /// Id of the page, where it is connected by one.
    #[serde(default)]
    pub page: Option<String>,
    /// Webhook fields that are subscribed.
    #[serde(default)]
    pub fields: Vec<String>,
}

/// When what was sent comes back as an echo.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Echo {
    /// After the call was answered.
    #[default]
    After,
    /// The webhook accepted it before the call is answered.
    Before,
    /// Not at all.
    Never,
}

/// A call that was accepted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sent {
    /// 1 for the first call accepted, counting up without gaps.
    pub ordinal: u64,
    /// When, Unix milliseconds.
    pub at_ms: i64,
    /// Id of the account.
    pub account: String,
    /// Method and path, for example `POST /me/messages`.
    pub call: String,
    /// The body as it came.
    pub body: Value,
    /// Id of what was made: of a message or a comment.
    pub id: Option<String>,
}

/// Somebody who writes to an account.
#[derive(Clone, Debug, Default)]
pub(super) struct Customer {
    /// Wrote to Direct.
    pub wrote: bool,
    /// May be answered: less than a day ago.
    pub open: bool,
    /// Address of the picture, unsigned; none unless put.
    pub picture: Option<String>,
}

/// A comment under a post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Comment {
    pub media: String,
    pub text: String,
    pub from: String,
    pub username: String,
    pub parent: Option<String>,
    pub private_reply: bool,
}

#[derive(Default)]
struct Data {
    /// Ids of accounts by token.
    tokens: HashMap<String, String>,
    accounts: HashMap<String, Account>,
    /// By account and customer.
    customers: HashMap<(String, String), Customer>,
    comments: HashMap<String, Comment>,
    photos: Vec<Bytes>,
    sent: VecDeque<Sent>,
    last_sent: u64,
    faults: Vec<Fault>,
    last_number: u64,
    echo: Echo,
    webhook: Option<String>,
}

/// Everything.
pub(super) struct State {
    pub options: Options,
    pub http: reqwest::Client,
    pub stop: CancellationToken,
    data: Mutex<Data>,
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
            data: Mutex::default(),
        })
    }

    /// Locks without caring that another holder panicked: the state is plain data.
    fn data(&self) -> MutexGuard<'_, Data> {
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn put_account(&self, token: &str, account: Account) {
        let mut data = self.data();
        data.tokens.insert(token.to_owned(), account.id.clone());
        data.accounts.insert(account.id.clone(), account);
    }

    /// Another token for the same account.
    pub fn put_token(&self, account: &str, token: &str) {
        self.data()
            .tokens
            .insert(token.to_owned(), account.to_owned());
    }

    pub fn forget_token(&self, token: &str) {
        self.data().tokens.remove(token);
    }

    pub fn account(&self, token: &str) -> Option<Account> {
        let data = self.data();
        data.accounts.get(data.tokens.get(token)?).cloned()
    }

    pub fn account_by_id(&self, id: &str) -> Option<Account> {
        self.data().accounts.get(id).cloned()
    }

    pub fn subscribe(&self, account: &str, fields: Vec<String>) {
        if let Some(account) = self.data().accounts.get_mut(account) {
            account.fields = fields;
        }
    }

    pub fn customer(&self, account: &str, customer: &str) -> Customer {
        let key = (account.to_owned(), customer.to_owned());
        self.data().customers.get(&key).cloned().unwrap_or_default()
    }

    pub fn change_customer(
        &self,
        account: &str,
        customer: &str,
        change: impl FnOnce(&mut Customer),
    ) {
        let mut data = self.data();
        if data.customers.len() >= KEEP {
            data.customers.clear();
        }
        let key = (account.to_owned(), customer.to_owned());
        change(data.customers.entry(key).or_default());
    }

    /// Keeps a photo; returns its number.
    pub fn put_photo(&self, content: Bytes) -> usize {
        let mut data = self.data();
        data.photos.push(content);
        data.photos.len()
    }

    pub fn photo(&self, number: usize) -> Option<Bytes> {
        self.data().photos.get(number.checked_sub(1)?).cloned()
    }

    pub fn put_comment(&self, id: &str, comment: Comment) {
        let mut data = self.data();
        if data.comments.len() >= KEEP {
            data.comments.clear();
        }
        data.comments.insert(id.to_owned(), comment);
    }

    pub fn comment(&self, id: &str) -> Option<Comment> {
        self.data().comments.get(id).cloned()
    }

    pub fn remove_comment(&self, id: &str) -> bool {
        self.data().comments.remove(id).is_some()
    }

    /// Notes that a comment was answered in Direct; false where it was before.
    pub fn note_private_reply(&self, id: &str) -> bool {
        let mut data = self.data();
        let comment = data.comments.get_mut(id);
        comment.is_some_and(|comment| !std::mem::replace(&mut comment.private_reply, true))
    }

    pub fn keep_sent(&self, account: &str, call: &str, body: Value, id: Option<String>) {
        let mut data = self.data();
        data.last_sent += 1;
        let sent = Sent {
            ordinal: data.last_sent,
            at_ms: now_ms(),
            account: account.to_owned(),
            call: call.to_owned(),
            body,
            id,
        };
        data.sent.push_back(sent);
        while data.sent.len() > self.options.keep_sent {
            data.sent.pop_front();
        }
    }

    pub fn sent(&self, after: u64) -> Vec<Sent> {
        let data = self.data();
        let later = data.sent.iter().filter(|sent| sent.ordinal > after);
        later.cloned().collect()
    }

    pub fn add_fault(&self, fault: Fault) {
        let mut data = self.data();
        if data.faults.len() < KEEP_FAULTS {
            data.faults.push(fault);
        }
    }

    pub fn clear_faults(&self) {
        self.data().faults.clear();
    }

    /// The first fault that a call or an item meets; it is used up by one.
    pub fn meet_fault(&self, of_webhook: bool, name: &str) -> Option<FaultKind> {
        let mut data = self.data();
        let index = data
            .faults
            .iter()
            .position(|fault| fault.meets(of_webhook, name))?;
        let kind = data.faults.get(index)?.kind.clone();
        match data
            .faults
            .get_mut(index)
            .and_then(|fault| fault.times.as_mut())
        {
            Some(1) => drop(data.faults.remove(index)),
            Some(times) => *times = times.saturating_sub(1),
            None => {}
        }
        Some(kind)
    }

    pub fn echo(&self) -> Echo {
        self.data().echo
    }

    pub fn set_echo(&self, echo: Echo) {
        self.data().echo = echo;
    }

    pub fn webhook(&self) -> Option<String> {
        self.data().webhook.clone()
    }

    pub fn set_webhook(&self, url: Option<String>) {
        self.data().webhook = url;
    }

    /// A number that was never given before, also by a stand-in that ran earlier.
    pub fn next_number(&self) -> u64 {
        let now = u64::try_from(now_ms()).unwrap_or_default() * 1_000;
        let mut data = self.data();
        data.last_number = now.max(data.last_number + 1);
        data.last_number
    }

    /// An id of a message, as long as Instagram's.
    pub fn next_mid(&self) -> String {
        format!("aWdfZAG{:0>160}ZD", self.next_number())
    }
}

/// Unix milliseconds.
pub(super) fn now_ms() -> i64 {
    i64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000).unwrap_or_default()
}
