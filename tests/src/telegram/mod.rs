//! A local stand-in for Telegram's Bot API: the methods Switchboard calls, with their real answers and refusals,
//! and a control API through which a test plays the customers, breaks things, and reads what was sent.
//!
//! State is bounded ([`Options::keep_sent`] and the limits beside it), so that it can run beside a load test.

mod answer;
mod api;
mod business;
mod change;
mod control;
mod delivery;
mod faults;
mod files;
mod kept;
mod params;
mod send;
mod stage;
mod state;
mod words;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use business::Connection;
pub use delivery::{Delivered, DeliveryError};
pub use faults::{Fault, FaultKind};
pub use kept::{Customer, Sent, SentFile};

/// How a stand-in behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Length of "one second" of Telegram's pauses between repeated deliveries (2, 4, 8 … of them). Tests shorten it.
    pub retry_unit: Duration,
    /// How long the webhook may take to answer before the attempt counts as failed (Telegram: 60 s).
    pub webhook_timeout: Duration,
    /// Answer `chat not found` for chats whose customer never wrote, as Telegram does. Off, every chat is known.
    pub strict_chats: bool,
    /// How many sent calls are kept per bot; the oldest are dropped beyond it.
    pub keep_sent: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            retry_unit: Duration::from_secs(1),
            webhook_timeout: Duration::from_mins(1),
            strict_chats: false,
            keep_sent: 200_000,
        }
    }
}

impl Options {
    /// Options for tests: pauses a hundred times shorter than Telegram's.
    pub fn fast() -> Self {
        Self {
            retry_unit: Duration::from_millis(10),
            webhook_timeout: Duration::from_secs(5),
            ..Self::default()
        }
    }
}

/// A running stand-in. It stops when dropped.
pub struct StandIn {
    address: SocketAddr,
    state: Arc<state::State>,
    stop: CancellationToken,
}

impl StandIn {
    /// Starts a stand-in on a free port with the pauses of [`Options::fast`].
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(Options::fast()).await
    }

    /// Starts a stand-in with the given options.
    pub async fn start_with(options: Options) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(options.listen)
            .await
            .with_context(|| format!("the Bot API stand-in cannot listen on {}", options.listen))?;
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        let state = Arc::new(state::State::new(options, stop.clone())?);
        let router = api::router(Arc::clone(&state))
            .merge(control::router(Arc::clone(&state)))
            .merge(stage::router(Arc::clone(&state)));
        let stopped = stop.clone();
        tokio::spawn(async move {
            // Connections that hang on purpose must not keep a stopped stand-in alive: no graceful drain.
            tokio::select! {
                served = async { axum::serve(listener, router).await } => if let Err(error) = served {
                    eprintln!("the Bot API stand-in stopped: {error}");
                },
                () = stopped.cancelled() => {}
            }
        });
        Ok(Self {
            address,
            state,
            stop,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base address that the gateway is configured with (`{url}/bot{token}/{method}`).
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything sent through this bot, oldest first.
    pub fn sent(&self, token: &str) -> Vec<Sent> {
        self.state
            .known_bot(token)
            .map(|bot| bot.sent(0, usize::MAX))
            .unwrap_or_default()
    }

    /// Adds a fault to a bot; see [`Fault`].
    pub fn fault(&self, token: &str, fault: Fault) -> anyhow::Result<()> {
        self.state
            .bot(token)
            .context("the token has not Telegram's form")?
            .add_fault(fault);
        Ok(())
    }

    /// Removes all faults of a bot.
    pub fn clear_faults(&self, token: &str) {
        if let Some(bot) = self.state.known_bot(token) {
            bot.clear_faults();
        }
    }

    /// The webhook registered for this bot, as `getWebhookInfo` tells it.
    pub fn webhook_info(&self, token: &str) -> Option<Value> {
        self.state.known_bot(token).map(|bot| bot.webhook_info())
    }

    /// Address and secret of the webhook registered for this bot, as only Telegram knows them.
    pub fn webhook(&self, token: &str) -> Option<(String, String)> {
        let bot = self.state.known_bot(token)?;
        let webhook = bot.webhook.borrow().clone()?;
        Some((webhook.url, webhook.secret.unwrap_or_default()))
    }

    /// Queues an update as [`StandIn::deliver`] does, without waiting; the receiver tells when it was accepted.
    pub fn enqueue(
        &self,
        token: &str,
        update: Value,
        repeats: u32,
    ) -> Result<tokio::sync::oneshot::Receiver<Delivered>, DeliveryError> {
        let bot = self.state.bot(token).ok_or(DeliveryError::BadToken)?;
        delivery::enqueue(&self.state, &bot, update, repeats)
    }

    /// Says something as [`StandIn::say`] does, without waiting, and `repeats` times again after it was accepted.
    pub fn enqueue_text(
        &self,
        token: &str,
        customer: i64,
        text: &str,
        repeats: u32,
    ) -> Result<tokio::sync::oneshot::Receiver<Delivered>, DeliveryError> {
        let bot = self.state.bot(token).ok_or(DeliveryError::BadToken)?;
        let update = bot.private_message(customer, serde_json::json!({ "text": text }));
        delivery::enqueue(&self.state, &bot, update, repeats)
    }

    /// Says something as a customer in a private chat and waits until the webhook accepted it.
    pub async fn say(
        &self,
        token: &str,
        customer: i64,
        text: &str,
    ) -> Result<Delivered, DeliveryError> {
        let bot = self.state.bot(token).ok_or(DeliveryError::BadToken)?;
        let update = bot.private_message(customer, serde_json::json!({ "text": text }));
        delivery::deliver(&self.state, &bot, update, 0).await
    }

    /// Delivers an update (its `update_id` is filled in when missing) and then `repeats` times again,
    /// as Telegram does when an answer was lost; waits until it was accepted that often.
    pub async fn deliver(
        &self,
        token: &str,
        update: Value,
        repeats: u32,
    ) -> Result<Delivered, DeliveryError> {
        let bot = self.state.bot(token).ok_or(DeliveryError::BadToken)?;
        delivery::deliver(&self.state, &bot, update, repeats).await
    }

    /// Puts a file where `getFile` and the download address find it.
    pub fn put_file(
        &self,
        token: &str,
        file_id: &str,
        path: &str,
        content: bytes::Bytes,
    ) -> anyhow::Result<()> {
        self.state
            .bot(token)
            .context("the token has not Telegram's form")?
            .put_file(file_id, path, content, None);
        Ok(())
    }

    /// Has a customer show a photo from now on; an empty one takes it away. Who shows none has none.
    pub fn put_photo(
        &self,
        token: &str,
        customer: i64,
        content: bytes::Bytes,
    ) -> anyhow::Result<()> {
        let bot = self.state.bot(token);
        let bot = bot.context("the token has not Telegram's form")?;
        files::put_photo(&bot, customer, content);
        Ok(())
    }

    /// Connects a business account to a bot, or changes the connection, and waits until the webhook accepted it.
    pub async fn connect(
        &self,
        token: &str,
        id: &str,
        connection: Connection,
    ) -> Result<Delivered, DeliveryError> {
        let bot = self.state.bot(token).ok_or(DeliveryError::BadToken)?;
        let update = business::connect(&bot, id, connection);
        delivery::deliver(&self.state, &bot, update, 0).await
    }

    /// Writes into a chat of a business account, as its client or as its owner, and waits until the webhook accepted it.
    pub async fn say_to_business(
        &self,
        token: &str,
        id: &str,
        customer: i64,
        by_owner: bool,
        content: Value,
    ) -> Result<Delivered, DeliveryError> {
        let bot = self.state.bot(token).ok_or(DeliveryError::BadToken)?;
        let update = business::message(&bot, id, customer, by_owner, content)
            .ok_or(DeliveryError::NotConnected)?;
        delivery::deliver(&self.state, &bot, update, 0).await
    }

    /// Makes `getWebhookInfo` answer these fields, whatever is true; an empty map ends it.
    pub fn pretend_webhook(&self, token: &str, fields: serde_json::Map<String, Value>) {
        if let Some(bot) = self.state.bot(token) {
            bot.pretend(fields);
        }
    }

    /// Stops listening and delivering.
    pub fn stop(&self) {
        self.stop.cancel();
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
