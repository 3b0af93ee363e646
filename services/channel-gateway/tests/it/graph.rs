//! A tiny Graph API: answers as it is told, and remembers what it was asked.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use channel_gateway::app::connection;
use channel_gateway::provider::instagram::GraphApi;
use chassis::{clock, testing};
use serde_json::{Value, json};
use switchboard_proto::channel_gateway::v1::channel_gateway_service_server::ChannelGatewayService as _;
use switchboard_proto::channel_gateway::v1::{
    CreateChannelRequest, InstagramCredentials, create_channel_request, instagram_credentials,
};
use uuid::Uuid;

use crate::world::World;

/// How a call is answered.
pub enum Answer {
    /// So.
    Json(u16, Value),
    /// So, after a while.
    Slow(Value),
    /// Too late for whoever called; it was carried out.
    Late,
}

/// A call that came.
#[derive(Clone, Debug)]
pub struct Called {
    pub path: String,
    pub body: Value,
}

#[derive(Default)]
struct Inner {
    /// By the end of the path; what is not told is answered well.
    answers: HashMap<String, VecDeque<Answer>>,
    calls: Vec<Called>,
}

/// The stand-in. Clones share it.
#[derive(Clone, Default)]
pub struct Graph(Arc<Mutex<Inner>>);

impl Graph {
    /// Starts it, and connects a channel of the account `178` to it.
    pub async fn connect(world: &mut World) -> (Self, Uuid) {
        let graph = Self::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        world.config.instagram.instagram_url = format!("http://{}", listener.local_addr().unwrap());
        world.config.instagram.call_timeout = Duration::from_millis(700);
        let router = axum::Router::new()
            .fallback(answer)
            .with_state(graph.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        world.app.graph = GraphApi::new(&world.config.instagram).unwrap();
        // Accounts are unique in a database, and each test has its own.
        let credentials = InstagramCredentials {
            login: instagram_credentials::Login::Instagram.into(),
            account_id: "178".to_owned(),
            access_token: "IG-secret-token".to_owned(),
            ..InstagramCredentials::default()
        };
        let request = CreateChannelRequest {
            name: "Insta".to_owned(),
            credentials: Some(create_channel_request::Credentials::Instagram(credentials)),
            ..CreateChannelRequest::default()
        };
        let created = world
            .api()
            .create_channel(testing::request(&world.caller, request))
            .await
            .unwrap();
        let channel = created.into_inner().channel.unwrap().channel_id;
        let channel = channel.parse().unwrap();
        connection::enable(&world.app, &world.caller, channel, clock::now())
            .await
            .unwrap();
        (graph, channel)
    }

    /// Answers the next calls of this path so.
    pub fn answer(&self, path: &str, answers: impl IntoIterator<Item = Answer>) {
        let mut inner = self.0.lock().unwrap();
        let queue = inner.answers.entry(path.to_owned()).or_default();
        queue.extend(answers);
    }

    /// Calls of this path, without the version.
    pub fn calls(&self, path: &str) -> Vec<Called> {
        let inner = self.0.lock().unwrap();
        let calls = inner.calls.iter().filter(|call| call.path == path);
        calls.cloned().collect()
    }
}

async fn answer(State(graph): State<Graph>, uri: Uri, body: Bytes) -> Response {
    let path = uri.path().trim_start_matches('/');
    let path = path
        .split_once('/')
        .map_or(path, |(_, path)| path)
        .to_owned();
    let (told, number) = {
        let mut inner = graph.0.lock().unwrap();
        inner.calls.push(Called {
            path: path.clone(),
            body: serde_json::from_slice(&body).unwrap_or_default(),
        });
        let number = inner.calls.len();
        (
            inner.answers.get_mut(&path).and_then(VecDeque::pop_front),
            number,
        )
    };
    let well = match path.as_str() {
        "me" => json!({ "user_id": "178", "username": "shop" }),
        "me/messages" => json!({ "recipient_id": "77", "message_id": format!("mid{number}") }),
        path if path.ends_with("/replies") => json!({ "id": format!("9{number}") }),
        _ => json!({ "success": true }),
    };
    match told {
        Some(Answer::Json(status, body)) => {
            (StatusCode::from_u16(status).unwrap(), Json(body)).into_response()
        }
        Some(Answer::Slow(body)) => {
            tokio::time::sleep(Duration::from_millis(400)).await;
            Json(body).into_response()
        }
        Some(Answer::Late) => {
            tokio::time::sleep(Duration::from_secs(2)).await;
            Json(well).into_response()
        }
        None => Json(well).into_response(),
    }
}
