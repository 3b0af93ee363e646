//! The Graph API as far as Switchboard calls it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State as Extract};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use serde_json::{Value, json};

use super::answer::{Answer, Refusal, respond};
use super::faults::FaultKind;
use super::state::{Account, Echo, State};
use super::wording::Item;
use super::{comments, delivery, messages};

type Shared = Extract<Arc<State>>;
type Parameters = Query<HashMap<String, String>>;

pub(super) fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/refresh_access_token", get(refresh))
        .route("/photos/{number}", get(photo))
        .route("/{version}/{node}", any(on_node))
        .route("/{version}/{node}/{edge}", any(on_edge))
        .with_state(state)
}

/// A call, with all that decides how it is answered.
pub(super) struct Call<'a> {
    pub state: &'a State,
    pub account: Account,
    pub method: Method,
    pub node: String,
    pub edge: Option<String>,
    pub query: HashMap<String, String>,
    pub body: Value,
}

/// What a call did.
#[derive(Default)]
pub(super) struct Done {
    pub answer: Value,
    /// Id of what was made.
    pub id: Option<String>,
    /// What the webhook is told.
    pub echo: Option<Item>,
    /// It changed something: it is kept as sent.
    pub kept: bool,
}

impl Done {
    /// Only an answer.
    pub fn answer(answer: Value) -> Self {
        Self {
            answer,
            ..Self::default()
        }
    }
}

/// The token of a call. It stands in the header only: in an address it would be logged.
fn account(state: &State, headers: &HeaderMap) -> Result<Account, Refusal> {
    let value = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let token = value.and_then(|value| value.strip_prefix("Bearer "));
    token
        .and_then(|token| state.account(token))
        .ok_or_else(Refusal::token)
}

async fn refresh(Extract(state): Shared, Query(query): Parameters, headers: HeaderMap) -> Response {
    let refreshed = || -> Answer {
        let account = account(&state, &headers)?;
        if query.get("grant_type").map(String::as_str) != Some("ig_refresh_token") {
            return Err(Refusal::bad("grant_type"));
        }
        let token = format!("IGAA{}", state.next_number());
        state.put_token(&account.id, &token);
        Ok(json!({ "access_token": token, "token_type": "bearer", "expires_in": 5_183_944 }))
    };
    respond(refreshed())
}

/// A customer's picture, for whoever knows its address.
async fn photo(Extract(state): Shared, Path(number): Path<usize>) -> Response {
    match state.photo(number) {
        Some(content) => content.into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn on_node(
    state: Shared,
    Path((_, node)): Path<(String, String)>,
    query: Parameters,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    call(state, method, node, None, query, headers, body).await
}

async fn on_edge(
    state: Shared,
    Path((_, node, edge)): Path<(String, String, String)>,
    query: Parameters,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    call(state, method, node, Some(edge), query, headers, body).await
}

async fn call(
    Extract(state): Shared,
    method: Method,
    node: String,
    edge: Option<String>,
    Query(query): Parameters,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let account = match account(&state, &headers) {
        Ok(account) => account,
        Err(refusal) => return respond(Err(refusal)),
    };
    let path = edge
        .as_ref()
        .map_or_else(|| node.clone(), |edge| format!("{node}/{edge}"));
    let name = format!("{method} /{path}");
    let fault = state.meet_fault(false, &name);
    if let Some(refusal) = fault.as_ref().and_then(FaultKind::refusal) {
        return respond(Err(refusal));
    }
    match fault {
        Some(FaultKind::Outage) => {
            return (StatusCode::SERVICE_UNAVAILABLE, "try again").into_response();
        }
        Some(FaultKind::Slow { ms }) => tokio::time::sleep(Duration::from_millis(ms)).await,
        _ => {}
    }
    let asked = Call {
        state: &state,
        account,
        method,
        node,
        edge,
        query,
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    };
    let done = match perform(&asked) {
        Ok(done) => done,
        Err(refusal) => return respond(Err(refusal)),
    };
    if done.kept {
        state.keep_sent(&asked.account.id, &name, asked.body.clone(), done.id);
    }
    if let Some(item) = done.echo {
        tell(&state, item).await;
    }
    if fault == Some(FaultKind::AnswerLost) {
        return broken_answer();
    }
    respond(Ok(done.answer))
}

/// Tells the webhook what was sent, before the call is answered or beside it. An account that is not subscribed has no
/// echoes.
async fn tell(state: &Arc<State>, item: Item) {
    match state.echo() {
        Echo::Never => {}
        Echo::Before => drop(delivery::deliver(state, vec![item]).await),
        Echo::After => drop(delivery::enqueue(state, vec![item])),
    }
}

/// An answer whose body breaks off: the caller cannot know what became of its call.
fn broken_answer() -> Response {
    let cut = futures::stream::once(async {
        Err::<Bytes, _>(std::io::Error::other("connection cut on purpose"))
    });
    ([(header::CONTENT_LENGTH, "64")], Body::from_stream(cut)).into_response()
}

fn perform(call: &Call<'_>) -> Result<Done, Refusal> {
    match (call.method.as_str(), call.edge.as_deref()) {
        ("GET", None) if call.node == "me" => Ok(Done::answer(me(call))),
        ("GET", None) => comments::read(call)
            .or_else(|| profile(call))
            .ok_or_else(|| Refusal::unknown(&call.node)),
        ("POST", Some("messages")) if is_own(call) => messages::send(call),
        ("POST", Some("replies")) => comments::reply(call),
        ("POST", Some("comments")) => comments::write(call),
        ("DELETE", None) => comments::delete(call),
        (_, Some("subscribed_apps")) if is_own(call) => subscriptions(call),
        _ => Err(Refusal::unknown(&call.node)),
    }
}

/// Tells whether a node is the token's own account.
fn is_own(call: &Call<'_>) -> bool {
    let page = call.account.page.as_ref();
    call.node == "me" || call.node == call.account.id || page == Some(&call.node)
}

fn me(call: &Call<'_>) -> Value {
    let account = &call.account;
    match &account.page {
        Some(page) => json!({
            "id": page,
            "instagram_business_account": { "id": account.id, "username": account.username },
        }),
        // The id of an account is another for each app; webhooks name the one of the account.
        None => {
            json!({ "id": format!("9{}", account.id), "user_id": account.id, "username": account.username })
        }
    }
}

/// Customers are known by name once they wrote.
fn profile(call: &Call<'_>) -> Option<Done> {
    let known = call.state.customer(&call.account.id, &call.node);
    known.wrote.then(|| {
        let id = &call.node;
        let mut profile = json!({
            "id": id, "name": format!("Customer {id}"), "username": super::wording::username(id),
        });
        if let Some(picture) = known.picture {
            // Signed anew at each answer.
            let signature = call.state.next_number();
            profile["profile_pic"] = format!("{picture}?signature={signature}").into();
        }
        Done::answer(profile)
    })
}

/// Field names of which one unknown has the whole call refused.
const FIELDS: [&str; 15] = [
    "messages",
    "message_echoes",
    "message_reactions",
    "message_edit",
    "message_edits",
    "messaging_postbacks",
    "messaging_referral",
    "messaging_referrals",
    "messaging_seen",
    "message_reads",
    "comments",
    "live_comments",
    "mentions",
    "standby",
    "feed",
];

fn subscriptions(call: &Call<'_>) -> Result<Done, Refusal> {
    let account = &call.account;
    match call.method.as_str() {
        "GET" => {
            let app = json!({ "subscribed_fields": account.fields });
            let apps = if account.fields.is_empty() {
                vec![]
            } else {
                vec![app]
            };
            Ok(Done::answer(json!({ "data": apps })))
        }
        "POST" => {
            let asked = call
                .query
                .get("subscribed_fields")
                .map_or("", String::as_str);
            let fields: Vec<String> = asked.split(',').map(ToOwned::to_owned).collect();
            if !fields.iter().all(|field| FIELDS.contains(&field.as_str())) {
                return Err(Refusal::bad("Param subscribed_fields has an unknown field"));
            }
            call.state.subscribe(&account.id, fields);
            Ok(Done::answer(json!({ "success": true })))
        }
        "DELETE" => {
            call.state.subscribe(&account.id, Vec::new());
            Ok(Done::answer(json!({ "success": true })))
        }
        _ => Err(Refusal::unknown(&call.node)),
    }
}
