//! A local stand-in for Meta's Graph API and the webhooks of Instagram: the calls that Switchboard makes, with their
//! answers and refusals, and a control API through which a test plays the customers, breaks things, and reads what was
//! sent.

mod answer;
mod api;
mod comments;
mod control;
mod delivery;
mod faults;
mod messages;
mod state;
mod wording;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use control::Act;
pub use delivery::{Delivered, DeliveryError};
pub use faults::{Fault, FaultKind};
pub use state::{Account, Echo, Sent};
pub use wording::Action;

/// How a stand-in behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The app's secret, with which bodies are signed.
    pub app_secret: String,
    /// The token that was entered with the webhook's address. It goes into an address as it is.
    pub verify_token: String,
    /// The app has the Human Agent feature.
    pub human_agent: bool,
    /// Length of "one second" of the pauses between repeated deliveries. Tests shorten it.
    pub retry_unit: Duration,
    /// How long the webhook may take to answer before the attempt counts as failed.
    pub webhook_timeout: Duration,
    /// How many calls are kept; the oldest are dropped beyond it.
    pub keep_sent: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            app_secret: "app-secret".to_owned(),
            verify_token: "verify-token".to_owned(),
            human_agent: true,
            retry_unit: Duration::from_secs(1),
            webhook_timeout: Duration::from_secs(20),
            keep_sent: 200_000,
        }
    }
}

impl Options {
    /// Options for tests: pauses a hundred times shorter than Meta's.
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
        let listener = TcpListener::bind(options.listen).await.with_context(|| {
            format!("the Graph API stand-in cannot listen on {}", options.listen)
        })?;
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        let state = Arc::new(state::State::new(options, stop.clone())?);
        let router = api::router(Arc::clone(&state)).merge(control::router(Arc::clone(&state)));
        let stopped = stop.clone();
        tokio::spawn(async move {
            // Connections that hang on purpose must not keep a stopped stand-in alive: no graceful drain.
            tokio::select! {
                served = async { axum::serve(listener, router).await } => if let Err(error) = served {
                    eprintln!("the Graph API stand-in stopped: {error}");
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

    /// The address that both hosts of the Graph API are configured with.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Adds an account that is connected by Instagram's own log-in; nothing is subscribed yet.
    pub fn account(&self, token: &str, id: &str, username: &str) {
        let account = Account {
            id: id.to_owned(),
            username: username.to_owned(),
            page: None,
            fields: Vec::new(),
        };
        self.state.put_account(token, account);
    }

    /// Adds an account that is connected by a page.
    pub fn page_account(&self, token: &str, id: &str, username: &str, page: &str) {
        let account = Account {
            id: id.to_owned(),
            username: username.to_owned(),
            page: Some(page.to_owned()),
            fields: Vec::new(),
        };
        self.state.put_account(token, account);
    }

    /// Lets a token die; what customers do is delivered further on.
    pub fn forget_token(&self, token: &str) {
        self.state.forget_token(token);
    }

    /// The fields that an account is subscribed to; none is what Meta leaves after an outage.
    pub fn subscribed(&self, account: &str) -> Vec<String> {
        let account = self.state.account_by_id(account);
        account.map(|account| account.fields).unwrap_or_default()
    }

    /// Sets the fields that an account is subscribed to.
    pub fn subscribe(&self, account: &str, fields: &[&str]) {
        let fields = fields.iter().map(|field| (*field).to_owned()).collect();
        self.state.subscribe(account, fields);
    }

    /// Enters the webhook's address, after it proved that it knows the token.
    pub async fn set_webhook(&self, url: &str) -> Result<(), DeliveryError> {
        delivery::verify(&self.state, url).await?;
        self.state.set_webhook(Some(url.to_owned()));
        Ok(())
    }

    /// Everything that was sent, oldest first.
    pub fn sent(&self) -> Vec<Sent> {
        self.state.sent(0)
    }

    /// Adds a fault; see [`Fault`].
    pub fn fault(&self, fault: Fault) {
        self.state.add_fault(fault);
    }

    /// Removes all faults.
    pub fn clear_faults(&self) {
        self.state.clear_faults();
    }

    /// Sets when what was sent comes back.
    pub fn set_echo(&self, echo: Echo) {
        self.state.set_echo(echo);
    }

    /// Has a customer show a picture from now on; an empty one takes it away.
    pub fn put_photo(&self, account: &str, customer: &str, content: bytes::Bytes) {
        let picture = (!content.is_empty()).then(|| {
            let number = self.state.put_photo(content);
            format!("http://{}/photos/{number}", self.address)
        });
        self.state
            .change_customer(account, customer, |customer| customer.picture = picture);
    }

    /// Lets a day pass since a customer wrote.
    pub fn close_window(&self, account: &str, customer: &str) {
        self.state
            .change_customer(account, customer, |customer| customer.open = false);
    }

    /// Has a customer act, and waits until the webhook accepted it.
    pub async fn act(
        &self,
        token: &str,
        customer: &str,
        action: Action,
    ) -> Result<Delivered, DeliveryError> {
        let act = Act {
            token: token.to_owned(),
            customer: customer.to_owned(),
            action,
        };
        self.batch(vec![act]).await
    }

    /// Has customers act at the same time, and waits until the webhook accepted all of it as one batch.
    pub async fn batch(&self, acts: Vec<Act>) -> Result<Delivered, DeliveryError> {
        let accepted = control::enqueue(&self.state, acts)?;
        accepted.await.map_err(|_| DeliveryError::Dropped)
    }

    /// The signature of a body, as Meta makes it: for bodies that a test words itself.
    pub fn sign(&self, body: &[u8]) -> String {
        delivery::sign(&self.state.options.app_secret, body)
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
