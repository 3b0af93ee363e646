//! The Bot API stand-in behaves as the Bot API does, where Switchboard relies on it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod changes;
mod clients;
mod uploads;

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::{Value, json};
use switchboard_tests::telegram::{Fault, FaultKind, StandIn};

const TOKEN: &str = "7001:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

async fn call(stand_in: &StandIn, method: &str, body: Value) -> (u16, Value) {
    let url = format!("{}/bot{TOKEN}/{method}", stand_in.url());
    let response = reqwest::Client::new()
        .post(url)
        .json(&body)
        .send()
        .await
        .unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

/// What a webhook received: (secret header, update).
type Received = Arc<Mutex<Vec<(Option<String>, Value)>>>;

/// A webhook that refuses the first `refusals` calls with 503.
async fn webhook(refusals: usize) -> (String, Received) {
    let received = Received::default();
    let (kept, left) = (Arc::clone(&received), Arc::new(Mutex::new(refusals)));
    let receive = async move |headers: HeaderMap, body: String| {
        let secret = headers
            .get("x-telegram-bot-api-secret-token")
            .map(|v| v.to_str().unwrap().to_owned());
        kept.lock()
            .unwrap()
            .push((secret, serde_json::from_str(&body).unwrap()));
        let mut left = left.lock().unwrap();
        if *left > 0 {
            *left -= 1;
            return StatusCode::SERVICE_UNAVAILABLE;
        }
        StatusCode::OK
    };
    let router = Router::new().route("/in", post(receive));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/in", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, router).await });
    (url, received)
}

#[tokio::test]
async fn sends_are_answered_and_kept_in_order() {
    let stand_in = StandIn::start().await.unwrap();
    for text in ["one", "two"] {
        let (status, answer) = call(
            &stand_in,
            "sendMessage",
            json!({ "chat_id": 55, "text": text }),
        )
        .await;
        assert_eq!((status, &answer["result"]["text"]), (200, &json!(text)));
    }
    let form = reqwest::multipart::Form::new()
        .text("chat_id", "55")
        .text("caption", "чек")
        .part(
            "photo",
            reqwest::multipart::Part::bytes(b"jpeg".to_vec())
                .file_name("r.jpg")
                .mime_str("image/jpeg")
                .unwrap(),
        );
    let url = format!("{}/bot{TOKEN}/sendPhoto", stand_in.url());
    let answer: Value = reqwest::Client::new()
        .post(url)
        .multipart(form)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(answer["result"]["caption"], json!("чек"));
    let sent = stand_in.sent(TOKEN);
    assert_eq!(
        sent.iter().map(|s| s.method.as_str()).collect::<Vec<_>>(),
        ["sendMessage", "sendMessage", "sendPhoto"]
    );
    assert_eq!(
        sent.iter().map(|s| s.ordinal).collect::<Vec<_>>(),
        [1, 2, 3]
    );
    assert!(
        sent.windows(2)
            .all(|pair| pair[0].message_ids < pair[1].message_ids)
    );
    assert_eq!((sent[2].files[0].size, sent[2].chat_id), (4, 55));
}

#[tokio::test]
async fn refusals_have_telegrams_words_and_codes() {
    let stand_in = StandIn::start().await.unwrap();
    let (status, answer) = call(
        &stand_in,
        "sendMessage",
        json!({ "chat_id": 55, "text": " " }),
    )
    .await;
    assert_eq!(
        (status, &answer["description"]),
        (400, &json!("Bad Request: message text is empty"))
    );
    let reply =
        json!({ "chat_id": 55, "text": "x", "reply_parameters": { "message_id": 999_999 } });
    let (_, answer) = call(&stand_in, "sendMessage", reply).await;
    assert_eq!(
        answer["description"],
        json!("Bad Request: message to be replied not found")
    );
    let malformed = format!("{}/bot12:short/getMe", stand_in.url());
    assert_eq!(
        reqwest::get(malformed).await.unwrap().status().as_u16(),
        404
    );
    let message = json!({ "chat_id": 55, "text": "x" });
    for (kind, code) in [
        (FaultKind::Blocked, 403),
        (FaultKind::ChatNotFound, 400),
        (FaultKind::Unauthorized, 401),
        (FaultKind::ServerError, 502),
    ] {
        stand_in
            .fault(TOKEN, Fault::in_chat(55, kind).times(1))
            .unwrap();
        let (status, answer) = call(&stand_in, "sendMessage", message.clone()).await;
        assert_eq!(
            (status, &answer["ok"], &answer["error_code"]),
            (code, &json!(false), &json!(code))
        );
    }
    stand_in
        .fault(
            TOKEN,
            Fault::in_chat(55, FaultKind::Flood { retry_after: 3 }).times(1),
        )
        .unwrap();
    let (status, answer) = call(&stand_in, "sendMessage", message.clone()).await;
    assert_eq!(
        (status, &answer["parameters"]["retry_after"]),
        (429, &json!(3))
    );
    assert_eq!(call(&stand_in, "sendMessage", message).await.0, 200);
    assert_eq!(stand_in.sent(TOKEN).len(), 1);
}

#[tokio::test]
async fn a_lost_answer_breaks_the_connection_after_the_message_was_sent() {
    let stand_in = StandIn::start().await.unwrap();
    stand_in
        .fault(TOKEN, Fault::in_chat(55, FaultKind::AnswerLost).times(1))
        .unwrap();
    let url = format!("{}/bot{TOKEN}/sendMessage", stand_in.url());
    let response = reqwest::Client::new()
        .post(url)
        .json(&json!({ "chat_id": 55, "text": "x" }))
        .send()
        .await;
    let answer = match response {
        Ok(response) => response.bytes().await.map(|_| ()),
        Err(error) => Err(error),
    };
    assert!(answer.is_err());
    assert_eq!(stand_in.sent(TOKEN).len(), 1);
}

#[tokio::test]
async fn a_customers_words_come_with_the_secret_and_are_repeated_until_accepted() {
    let stand_in = StandIn::start().await.unwrap();
    let (url, received) = webhook(3).await;
    let set = json!({ "url": url, "secret_token": "s-1", "allowed_updates": ["message"] });
    assert_eq!(
        call(&stand_in, "setWebhook", set).await.1["result"],
        json!(true)
    );
    let first = stand_in.say(TOKEN, 55, "Добрий день").await.unwrap();
    let second = stand_in.say(TOKEN, 55, "?").await.unwrap();
    assert_eq!(first.statuses, [503, 503, 503, 200]);
    assert!(first.update_id < second.update_id && first.message_id < second.message_id);
    let received = received.lock().unwrap();
    assert_eq!(received.len(), 5);
    assert!(
        received
            .iter()
            .all(|(secret, _)| secret.as_deref() == Some("s-1"))
    );
    assert_eq!(
        received[0].1["message"]["chat"],
        json!({ "id": 55, "type": "private", "first_name": "Customer 55" })
    );
}

#[tokio::test]
async fn updates_of_a_chat_keep_their_order_and_repeats_are_the_same_update() {
    let stand_in = Arc::new(StandIn::start().await.unwrap());
    let (url, received) = webhook(1).await;
    call(&stand_in, "setWebhook", json!({ "url": url })).await;
    let update = json!({ "message": { "message_id": 7, "chat": { "id": 9, "type": "private" }, "date": 1, "text": "a" } });
    let delivered = stand_in.deliver(TOKEN, update, 4).await.unwrap();
    assert_eq!(delivered.statuses, [503, 200, 200, 200, 200, 200]);
    let ids: Vec<Value> = received
        .lock()
        .unwrap()
        .iter()
        .map(|(_, update)| update["update_id"].clone())
        .collect();
    assert!(ids.iter().all(|id| *id == ids[0]));
    let control = format!("{}/control/bots/{TOKEN}", stand_in.url());
    let client = reqwest::Client::new();
    for text in ["1", "2", "3"] {
        let said = json!({ "text": text, "no_wait": true });
        client
            .post(format!("{control}/customers/9/say"))
            .json(&said)
            .send()
            .await
            .unwrap();
    }
    let last: Value = client
        .post(format!("{control}/customers/9/say"))
        .json(&json!({ "text": "4" }))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(last["statuses"], json!([200]));
    let texts: Vec<String> = received.lock().unwrap()[6..]
        .iter()
        .map(|(_, update)| update["message"]["text"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(texts, ["1", "2", "3", "4"]);
}

#[tokio::test]
async fn files_are_given_by_id_and_path() {
    let stand_in = StandIn::start().await.unwrap();
    stand_in
        .put_file(TOKEN, "AgAC1", "photos/file_1.jpg", "jpeg".into())
        .unwrap();
    let (_, answer) = call(&stand_in, "getFile", json!({ "file_id": "AgAC1" })).await;
    assert_eq!(answer["result"]["file_path"], json!("photos/file_1.jpg"));
    let url = format!("{}/file/bot{TOKEN}/photos/file_1.jpg", stand_in.url());
    assert_eq!(
        reqwest::get(url).await.unwrap().text().await.unwrap(),
        "jpeg"
    );
    let (status, _) = call(&stand_in, "getFile", json!({ "file_id": "other" })).await;
    assert_eq!(status, 400);
}
