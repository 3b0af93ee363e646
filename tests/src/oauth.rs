//! An authorization server for a mailbox: gives access tokens for a refresh token, which it replaces each time, and tells
//! mail servers which access tokens are good. What it refuses is decided by the test.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{Query, State as Extract};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Extension, Form, Json, Router};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use uuid::Uuid;

/// The application that may ask.
const CLIENT: &str = "switchboard";

/// The server; it ends when dropped.
pub struct TokenServer {
    address: String,
    shared: Arc<Mutex<State>>,
    gate: Gate,
    serving: JoinHandle<()>,
}

/// Whoever holds it for writing keeps tokens back.
type Gate = Arc<tokio::sync::RwLock<()>>;

struct State {
    /// Whose mailbox it is.
    user: String,
    client_secret: String,
    /// The refresh token that is good now; each use replaces it.
    refresh: String,
    /// Access tokens that are good now.
    good: BTreeSet<String>,
    /// All secrets there ever were.
    secrets: Vec<String>,
    /// How often a token was asked for.
    asked: usize,
}

impl State {
    fn made(&mut self, prefix: &str) -> String {
        let secret = format!("{prefix}.{}", Uuid::new_v4().simple());
        self.secrets.push(secret.clone());
        secret
    }
}

type Shared = Extract<Arc<Mutex<State>>>;

fn locked(shared: &Mutex<State>) -> MutexGuard<'_, State> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl TokenServer {
    /// Starts it on a free port, for the mailbox of a user.
    pub async fn start(user: &str) -> anyhow::Result<Self> {
        let mut state = State {
            user: user.to_owned(),
            client_secret: String::new(),
            refresh: String::new(),
            good: BTreeSet::new(),
            secrets: Vec::new(),
            asked: 0,
        };
        state.client_secret = state.made("secret");
        state.refresh = state.made("refresh");
        let shared = Arc::new(Mutex::new(state));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = format!("http://{}", listener.local_addr()?);
        let gate = Gate::default();
        let router = Router::new()
            .route("/token", post(token).layer(Extension(Arc::clone(&gate))))
            .route("/introspect", get(introspect))
            .with_state(Arc::clone(&shared));
        let serving = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self {
            address,
            shared,
            gate,
            serving,
        })
    }

    /// Keeps tokens back until what is returned is dropped: whoever asks meanwhile waits.
    pub async fn hold(&self) -> tokio::sync::OwnedRwLockWriteGuard<()> {
        Arc::clone(&self.gate).write_owned().await
    }

    /// Where tokens are renewed.
    pub fn token_url(&self) -> String {
        format!("{}/token", self.address)
    }

    /// Where mail servers ask about a token, which they append.
    pub fn introspection_url(&self) -> String {
        format!("{}/introspect?token=", self.address)
    }

    /// Id of the application that may ask.
    pub fn client_id(&self) -> &'static str {
        CLIENT
    }

    /// Its secret.
    pub fn client_secret(&self) -> String {
        locked(&self.shared).client_secret.clone()
    }

    /// Consents anew: this refresh token is good from now on, and no other.
    pub fn consent(&self) -> String {
        let mut state = locked(&self.shared);
        state.refresh = state.made("refresh");
        state.refresh.clone()
    }

    /// Takes the consent back: no refresh token is good.
    pub fn revoke(&self) {
        locked(&self.shared).refresh.clear();
    }

    /// All access tokens have run out, whatever was said of their lives.
    pub fn expire(&self) {
        locked(&self.shared).good.clear();
    }

    /// How often a token was asked for.
    pub fn asked(&self) -> usize {
        locked(&self.shared).asked
    }

    /// Every secret that there ever was.
    pub fn secrets(&self) -> Vec<String> {
        locked(&self.shared).secrets.clone()
    }
}

impl Drop for TokenServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// RFC 6749, sections 5 and 6.
async fn token(
    Extract(shared): Shared,
    Extension(gate): Extension<Gate>,
    Form(form): Form<HashMap<String, String>>,
) -> (StatusCode, Json<Value>) {
    let _open = gate.read().await;
    let mut state = locked(&shared);
    state.asked += 1;
    let said = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    let refuse = |status, error: &str| (status, Json(json!({ "error": error })));
    if said("client_id") != CLIENT || said("client_secret") != state.client_secret {
        return refuse(StatusCode::UNAUTHORIZED, "invalid_client");
    }
    if said("grant_type") != "refresh_token" {
        return refuse(StatusCode::BAD_REQUEST, "unsupported_grant_type");
    }
    if state.refresh.is_empty() || said("refresh_token") != state.refresh {
        return refuse(StatusCode::BAD_REQUEST, "invalid_grant");
    }
    let access = state.made("access");
    state.good.insert(access.clone());
    state.refresh = state.made("refresh");
    let tokens = json!({
        "access_token": access, "token_type": "Bearer", "expires_in": 3599, "refresh_token": state.refresh,
    });
    (StatusCode::OK, Json(tokens))
}

/// RFC 7662, asked by GET.
async fn introspect(
    Extract(shared): Shared,
    Query(asked): Query<HashMap<String, String>>,
) -> Json<Value> {
    let state = locked(&shared);
    let token = asked.get("token").map(String::as_str).unwrap_or_default();
    Json(if state.good.contains(token) {
        json!({ "active": true, "username": state.user })
    } else {
        json!({ "active": false })
    })
}
