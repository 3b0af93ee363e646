//! More of the control API: albums, edits, presses, reactions, and the chats of business accounts.

use std::sync::Arc;

use axum::extract::{Path, State as Extract};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::business::{self, Connection};
use super::control::{Answer, Shared, bot_of, hand_over, refuse};
use super::delivery::{self, DeliveryError};
use super::state::State;

/// Items of an album at most, as in Telegram.
const ALBUM: std::ops::RangeInclusive<usize> = 2..=10;

pub(super) fn router(state: Arc<State>) -> Router {
    let customer = "/control/bots/{token}/customers/{id}";
    let account = "/control/bots/{token}/business/{connection}";
    Router::new()
        .route(&format!("{customer}/album"), post(album))
        .route(&format!("{customer}/edit"), post(edit))
        .route(&format!("{customer}/press"), post(press))
        .route(&format!("{customer}/react"), post(react))
        .route(account, post(connect))
        .route(&format!("{account}/customers/{{id}}/say"), post(say))
        .route(&format!("{account}/customers/{{id}}/delete"), post(delete))
        .with_state(state)
}

#[derive(Deserialize)]
struct Album {
    /// Contents of its messages.
    items: Vec<Map<String, Value>>,
}

/// Sends the messages of an album, one update each, and answers when all were accepted.
async fn album(
    Extract(state): Shared,
    Path((token, id)): Path<(String, i64)>,
    Json(album): Json<Album>,
) -> Answer {
    let bot = bot_of(&state, &token)?;
    if !ALBUM.contains(&album.items.len()) {
        return Ok(refuse(
            StatusCode::BAD_REQUEST,
            "an album has 2 to 10 items",
        ));
    }
    let group = uuid::Uuid::new_v4().as_u64_pair().0.to_string();
    let mut accepted = Vec::new();
    for mut content in album.items {
        content.insert("media_group_id".to_owned(), json!(group));
        let update = bot.private_message(id, Value::Object(content));
        match delivery::deliver(&state, &bot, update, 0).await {
            Ok(delivered) => accepted.push(delivered),
            Err(error) => return Ok(refuse(StatusCode::CONFLICT, &error.to_string())),
        }
    }
    Ok(Json(json!({ "media_group_id": group, "delivered": accepted })).into_response())
}

#[derive(Deserialize)]
struct Edit {
    message_id: i64,
    /// The content as it is now.
    #[serde(flatten)]
    content: Map<String, Value>,
}

async fn edit(
    Extract(state): Shared,
    Path((token, id)): Path<(String, i64)>,
    Json(edit): Json<Edit>,
) -> Answer {
    let bot = bot_of(&state, &token)?;
    let update = bot.private_edit(id, edit.message_id, Value::Object(edit.content));
    Ok(hand_over(&state, &bot, update, 0, false).await)
}

#[derive(Deserialize)]
struct Press {
    message_id: i64,
    data: String,
}

async fn press(
    Extract(state): Shared,
    Path((token, id)): Path<(String, i64)>,
    Json(press): Json<Press>,
) -> Answer {
    let bot = bot_of(&state, &token)?;
    let update = bot.press(id, press.message_id, &press.data);
    Ok(hand_over(&state, &bot, update, 0, false).await)
}

#[derive(Deserialize)]
struct React {
    message_id: i64,
    emojis: Vec<String>,
}

async fn react(
    Extract(state): Shared,
    Path((token, id)): Path<(String, i64)>,
    Json(react): Json<React>,
) -> Answer {
    let bot = bot_of(&state, &token)?;
    let update = bot.reaction(id, react.message_id, &react.emojis);
    Ok(hand_over(&state, &bot, update, 0, false).await)
}

async fn connect(
    Extract(state): Shared,
    Path((token, id)): Path<(String, String)>,
    Json(connection): Json<Connection>,
) -> Answer {
    let bot = bot_of(&state, &token)?;
    let update = business::connect(&bot, &id, connection);
    Ok(hand_over(&state, &bot, update, 0, false).await)
}

#[derive(Deserialize)]
struct Said {
    /// Whether the owner of the account writes it, not the client.
    #[serde(default)]
    by_owner: bool,
    /// How many times it is delivered again after it was accepted.
    #[serde(default)]
    repeats: u32,
    /// `text`, or any other content of a message; with `message_id` and `edit_date` it is an edit.
    #[serde(flatten)]
    content: Map<String, Value>,
}

async fn say(
    Extract(state): Shared,
    Path((token, connection, id)): Path<(String, String, i64)>,
    Json(said): Json<Said>,
) -> Answer {
    let bot = bot_of(&state, &token)?;
    let content = Value::Object(said.content);
    Ok(
        match business::message(&bot, &connection, id, said.by_owner, content) {
            Some(update) => hand_over(&state, &bot, update, said.repeats, false).await,
            None => not_connected(),
        },
    )
}

#[derive(Deserialize)]
struct Deleted {
    message_ids: Vec<i64>,
}

async fn delete(
    Extract(state): Shared,
    Path((token, connection, id)): Path<(String, String, i64)>,
    Json(deleted): Json<Deleted>,
) -> Answer {
    let bot = bot_of(&state, &token)?;
    if bot.connection(&connection).is_none() {
        return Ok(not_connected());
    }
    let update = business::deletion(&bot, &connection, id, &deleted.message_ids);
    Ok(hand_over(&state, &bot, update, 0, false).await)
}

fn not_connected() -> Response {
    refuse(
        StatusCode::NOT_FOUND,
        &DeliveryError::NotConnected.to_string(),
    )
}
