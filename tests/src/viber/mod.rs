//! A local stand-in for Viber's REST Bot API: the methods Switchboard calls, with their real answers and refusals, and a
//! control API through which a test plays the customers, breaks things, and reads what was sent.
//!
//! State is bounded ([`Options::keep_sent`] and the limits beside it), so that it can run beside a load test.

mod api;
mod check;
mod control;
mod delivery;
mod faults;
mod state;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use delivery::{Delivered, DeliveryError};
pub use faults::{Fault, FaultKind};
pub use state::{Customer, Sent, Webhook};

/// How a stand-in behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Length of "one second" of the pauses between repeated callbacks (1, 2, 4 … of them). Tests shorten it.
    pub retry_unit: Duration,
    /// How long the webhook may take to answer before the attempt counts as failed (Viber: about 5 s, by report).
    pub webhook_timeout: Duration,
    /// Refuse receivers who never came, as Viber does. Off, every receiver is a subscriber.
    pub strict_receivers: bool,
    /// Messages to one customer who does not answer, before Viber has enough.
    pub unanswered_max: u32,
    /// How many sent messages are kept per bot; the oldest are dropped beyond it.
    pub keep_sent: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            retry_unit: Duration::from_secs(1),
            webhook_timeout: Duration::from_secs(5),
            strict_receivers: false,
            unanswered_max: 100,
            keep_sent: 200_000,
        }
    }
}

impl Options {
    /// Options for tests: pauses a hundred times shorter than Viber's.
    pub fn fast() -> Self {
        Self {
            retry_unit: Duration::from_millis(10),
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
            .with_context(|| format!("the Viber stand-in cannot listen on {}", options.listen))?;
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        let state = Arc::new(state::State::new(options, stop.clone())?);
        let router = api::router(Arc::clone(&state)).merge(control::router(Arc::clone(&state)));
        let stopped = stop.clone();
        tokio::spawn(async move {
            // Connections that hang on purpose must not keep a stopped stand-in alive: no graceful drain.
            tokio::select! {
                served = async { axum::serve(listener, router).await } => if let Err(error) = served {
                    eprintln!("the Viber stand-in stopped: {error}");
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

    /// The base address that the gateway is configured with (`{url}/{method}`).
    pub fn url(&self) -> String {
        format!("http://{}/pa", self.address)
    }

    /// Everything sent through this bot, oldest first.
    pub fn sent(&self, token: &str) -> Vec<Sent> {
        self.state
            .bot(token)
            .map(|bot| bot.sent())
            .unwrap_or_default()
    }

    /// Adds a fault to a bot; see [`Fault`].
    pub fn fault(&self, token: &str, fault: Fault) -> anyhow::Result<()> {
        self.state
            .bot(token)
            .context("the token has not Viber's form")?
            .add_fault(fault);
        Ok(())
    }

    /// Removes all faults of a bot.
    pub fn clear_faults(&self, token: &str) {
        if let Some(bot) = self.state.bot(token) {
            bot.clear_faults();
        }
    }

    /// The webhook registered for this bot.
    pub fn webhook(&self, token: &str) -> Option<Webhook> {
        self.state.bot(token)?.webhook()
    }

    /// Says something as a customer and waits until the webhook accepted it.
    pub async fn say(
        &self,
        token: &str,
        customer: &str,
        text: &str,
    ) -> Result<Delivered, DeliveryError> {
        let bot = self.state.bot(token).ok_or(DeliveryError::BadToken)?;
        let message = json!({ "type": "text", "text": text });
        let callback = bot.written(customer, &message, false);
        delivery::deliver(&self.state, &bot, callback, 0).await
    }

    /// Has a customer show a photo from now on, which callbacks tell the address of; an empty one takes it away.
    pub fn put_photo(
        &self,
        token: &str,
        customer: &str,
        content: bytes::Bytes,
    ) -> anyhow::Result<()> {
        let bot = self.state.bot(token);
        let bot = bot.context("the token has not Viber's form")?;
        let avatar = (!content.is_empty()).then(|| {
            let number = self.state.put_photo(content);
            format!("http://{}/download_photo/{number}?dlid=x", self.address)
        });
        bot.change_customer(customer, |customer| customer.avatar = avatar);
        Ok(())
    }

    /// Makes a callback and then `repeats` times the same again, as Viber does when an answer was late; waits until it
    /// was accepted that often. Token and time are filled in when missing.
    pub async fn deliver(
        &self,
        token: &str,
        callback: Value,
        repeats: u32,
    ) -> Result<Delivered, DeliveryError> {
        let bot = self.state.bot(token).ok_or(DeliveryError::BadToken)?;
        delivery::deliver(&self.state, &bot, callback, repeats).await
    }

    /// Tells the bot what became of one of its messages: `delivered`, `seen` or `failed`.
    pub async fn receipt(
        &self,
        token: &str,
        customer: &str,
        event: &str,
        message_token: u64,
    ) -> Result<Delivered, DeliveryError> {
        let mut callback =
            json!({ "event": event, "message_token": message_token, "user_id": customer });
        if event == "failed" {
            callback["desc"] = json!("failed on purpose");
        }
        self.deliver(token, callback, 0).await
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
