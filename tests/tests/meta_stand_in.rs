//! The Graph API stand-in behaves as Meta does, where Switchboard relies on it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use serde_json::{Value, json};
use switchboard_tests::meta::{
    Act, Action, DeliveryError, Echo, Fault, FaultKind, Options, StandIn,
};

const TOKEN: &str = "IGAA-1";
const ACCOUNT: &str = "17841400008460056";
const CUSTOMER: &str = "7712309945511";

/// What a webhook received, in order, and how often it refuses first.
#[derive(Clone, Default)]
struct Received {
    bodies: Arc<Mutex<Vec<(String, String)>>>,
    refusals: Arc<Mutex<usize>>,
}

impl Received {
    fn items(&self) -> Vec<Value> {
        let bodies = self.bodies.lock().unwrap();
        let entries = bodies.iter().flat_map(|(_, body)| {
            let body: Value = serde_json::from_str(body).unwrap();
            body["entry"].as_array().unwrap().clone()
        });
        let items = entries.flat_map(|entry| {
            let lists = ["messaging", "changes"].map(|list| entry[list].as_array().cloned());
            lists.into_iter().flatten().flatten().collect::<Vec<_>>()
        });
        items.collect()
    }
}

async fn webhook(refusals: usize) -> (String, Received) {
    let received = Received::default();
    *received.refusals.lock().unwrap() = refusals;
    let prove = async |Query(query): Query<Vec<(String, String)>>| {
        let of = |name: &str| query.iter().find(|(key, _)| key == name).unwrap().1.clone();
        assert_eq!(of("hub.mode"), "subscribe");
        if of("hub.verify_token") == "verify-token" {
            (StatusCode::OK, of("hub.challenge"))
        } else {
            (StatusCode::FORBIDDEN, String::new())
        }
    };
    let receive = async |State(received): State<Received>, headers: HeaderMap, body: String| {
        let signature = headers["x-hub-signature-256"].to_str().unwrap().to_owned();
        received.bodies.lock().unwrap().push((signature, body));
        let mut left = received.refusals.lock().unwrap();
        if *left > 0 {
            *left -= 1;
            return StatusCode::SERVICE_UNAVAILABLE;
        }
        StatusCode::OK
    };
    let router = Router::new()
        .route("/in", get(prove).post(receive))
        .with_state(received.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/in", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, router).await });
    (url, received)
}

/// A stand-in with one account that is subscribed to all that Switchboard reads.
async fn world(refusals: usize) -> (StandIn, Received) {
    let stand_in = StandIn::start().await.unwrap();
    stand_in.account(TOKEN, ACCOUNT, "the.shop");
    let (url, received) = webhook(refusals).await;
    stand_in.set_webhook(&url).await.unwrap();
    let fields = "messages,message_echoes,message_reactions,message_edit,messaging_postbacks,messaging_seen,comments";
    let path = format!("{ACCOUNT}/subscribed_apps?subscribed_fields={fields}");
    assert_eq!(
        post(&stand_in, &path, &json!({})).await,
        (200, json!({ "success": true }))
    );
    (stand_in, received)
}

async fn call(request: reqwest::RequestBuilder) -> (u16, Value) {
    let answer = request.bearer_auth(TOKEN).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn post(stand_in: &StandIn, path: &str, body: &Value) -> (u16, Value) {
    let url = format!("{}/v25.0/{path}", stand_in.url());
    call(reqwest::Client::new().post(url).json(body)).await
}

async fn read(stand_in: &StandIn, path: &str) -> (u16, Value) {
    call(reqwest::Client::new().get(format!("{}/{path}", stand_in.url()))).await
}

fn write(text: &str) -> Action {
    Action::Write {
        text: text.to_owned(),
        reply_to: None,
    }
}

fn text_to(customer: &str, text: &str) -> Value {
    json!({ "recipient": { "id": customer }, "message": { "text": text } })
}

fn numbers(answer: &(u16, Value)) -> (u16, i64, i64) {
    let error = &answer.1["error"];
    let number = |name: &str| error[name].as_i64().unwrap_or_default();
    (answer.0, number("code"), number("error_subcode"))
}

#[tokio::test]
async fn a_batch_is_signed_ascii_and_repeated_until_it_is_accepted() {
    let (stand_in, received) = world(3).await;
    stand_in.account("IGAA-2", "18", "other");
    stand_in.subscribe("18", &["messages", "comments"]);
    let act = |token: &str, action| Act {
        token: token.to_owned(),
        customer: CUSTOMER.to_owned(),
        action,
    };
    let comment = Action::Comment {
        media: "18139494541428835".to_owned(),
        text: "А є чорні?".to_owned(),
        parent: None,
    };
    let acts = vec![
        act(TOKEN, write("Ціна?")),
        act("IGAA-2", write("Hi")),
        act("IGAA-2", comment),
    ];
    let delivered = stand_in.batch(acts).await.unwrap();
    assert_eq!(delivered.statuses, [503, 503, 503, 200]);
    assert_eq!(delivered.keys.len(), 3);
    let bodies = received.bodies.lock().unwrap();
    assert!(
        bodies.iter().all(|body| body == &bodies[0]),
        "a repeat is the same"
    );
    let (signature, body) = &bodies[0];
    assert!(body.is_ascii() && *signature == stand_in.sign(body.as_bytes()));
    let body: Value = serde_json::from_str(body).unwrap();
    let ids: Vec<&Value> = body["entry"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["id"])
        .collect();
    assert_eq!(ids, [ACCOUNT, "18", "18"]);
    assert_eq!(
        body["entry"][2]["changes"][0]["value"]["text"],
        "А є чорні?"
    );
}

#[tokio::test]
async fn what_is_sent_comes_back_before_its_answer_or_after_it() {
    let (stand_in, received) = world(0).await;
    let refused = post(&stand_in, "me/messages", &text_to(CUSTOMER, "a")).await;
    assert_eq!(
        numbers(&refused),
        (400, 10, 2_534_022),
        "nobody is written to first"
    );
    stand_in.act(TOKEN, CUSTOMER, write("Ціна?")).await.unwrap();
    stand_in.set_echo(Echo::Before);
    let (status, answer) = post(&stand_in, "me/messages", &text_to(CUSTOMER, "500")).await;
    assert_eq!((status, &answer["recipient_id"]), (200, &json!(CUSTOMER)));
    let echo = received.items().pop().unwrap();
    assert_eq!(echo["message"]["mid"], answer["message_id"]);
    assert_eq!(
        (&echo["message"]["is_echo"], &echo["sender"]["id"]),
        (&json!(true), &json!(ACCOUNT))
    );
    stand_in.set_echo(Echo::Never);
    post(&stand_in, "me/messages", &text_to(CUSTOMER, "600")).await;
    assert_eq!(received.items().len(), 2);
    let calls: Vec<String> = stand_in.sent().into_iter().map(|sent| sent.call).collect();
    assert_eq!(calls, ["POST /me/messages", "POST /me/messages"]);
    stand_in.close_window(ACCOUNT, CUSTOMER);
    let late = post(&stand_in, "me/messages", &text_to(CUSTOMER, "a")).await;
    assert_eq!(numbers(&late), (400, 10, 2_534_022));
    let mut tagged = text_to(CUSTOMER, "a");
    tagged["messaging_type"] = json!("MESSAGE_TAG");
    tagged["tag"] = json!("HUMAN_AGENT");
    assert_eq!(post(&stand_in, "me/messages", &tagged).await.0, 200);
}

#[tokio::test]
async fn comments_have_posts_one_level_and_one_private_reply() {
    let (stand_in, received) = world(0).await;
    stand_in.set_echo(Echo::Before);
    let comment = Action::Comment {
        media: "18139494541428835".to_owned(),
        text: "А є чорні?".to_owned(),
        parent: None,
    };
    let delivered = stand_in.act(TOKEN, CUSTOMER, comment).await.unwrap();
    let comment = delivered.keys[0].as_str();
    let (_, media) = read(&stand_in, "v25.0/18139494541428835?fields=permalink").await;
    assert_eq!(
        media["permalink"],
        "https://www.instagram.com/p/18139494541428835/"
    );
    let (_, now) = read(&stand_in, &format!("v25.0/{comment}?fields=text,from")).await;
    assert_eq!(now["from"]["id"], CUSTOMER);
    let answer = json!({ "message": "Є" });
    let (status, made) = post(&stand_in, &format!("{comment}/replies"), &answer).await;
    assert_eq!(status, 200);
    let made = made["id"].as_str().unwrap();
    let event = received.items().pop().unwrap();
    assert_eq!(event["value"]["id"], made);
    assert_eq!(
        (&event["value"]["from"]["id"], &event["value"]["parent_id"]),
        (&json!(ACCOUNT), &json!(comment))
    );
    let deeper = post(&stand_in, &format!("{made}/replies"), &answer).await;
    assert_eq!(numbers(&deeper).1, 100);
    let private = json!({ "recipient": { "comment_id": comment }, "message": { "text": "a" } });
    assert_eq!(
        post(&stand_in, "me/messages", &private).await.1["recipient_id"],
        CUSTOMER
    );
    let again = post(&stand_in, "me/messages", &private).await;
    assert_eq!(numbers(&again), (400, 100, 2_534_025));
    let closed = post(&stand_in, "me/messages", &text_to(CUSTOMER, "a")).await;
    assert_eq!(
        numbers(&closed).2,
        2_534_022,
        "a private reply opens no window"
    );
    let url = format!("{}/v25.0/{made}", stand_in.url());
    let deleted = call(reqwest::Client::new().delete(url)).await;
    assert_eq!(deleted, (200, json!({ "success": true })));
}

#[tokio::test]
async fn messages_are_checked_as_meta_checks_them() {
    let (stand_in, _) = world(0).await;
    stand_in.act(TOKEN, CUSTOMER, write("a")).await.unwrap();
    let image = json!({ "type": "image", "payload": { "url": "https://cdn.example.ua/1.jpg" } });
    let film = json!({ "type": "video", "payload": { "url": "https://cdn.example.ua/1.mp4" } });
    for (message, status) in [
        (json!({ "text": "я".repeat(500) }), 200),
        (json!({ "text": "я".repeat(501) }), 400),
        (json!({ "text": "" }), 400),
        (json!({ "attachments": vec![image.clone(); 10] }), 200),
        (json!({ "attachments": vec![image.clone(); 11] }), 400),
        (json!({ "attachments": [image, film] }), 400),
        (json!({ "attachment": film }), 200),
        (json!({ "text": "a", "attachment": film }), 400),
        (json!({}), 400),
    ] {
        let body = json!({ "recipient": { "id": CUSTOMER }, "message": message });
        assert_eq!(
            post(&stand_in, "me/messages", &body).await.0,
            status,
            "{message}"
        );
    }
    let react = json!({ "recipient": { "id": CUSTOMER }, "sender_action": "react", "payload": { "message_id": "m", "reaction": "love" } });
    assert_eq!(post(&stand_in, "me/messages", &react).await.0, 200);
}

#[tokio::test]
async fn accounts_are_known_by_tokens_that_live_and_are_renewed() {
    let (stand_in, _) = world(0).await;
    let (_, me) = read(&stand_in, "v25.0/me?fields=user_id,username").await;
    assert_eq!(
        (&me["user_id"], &me["username"]),
        (&json!(ACCOUNT), &json!("the.shop"))
    );
    let (_, renewed) = read(
        &stand_in,
        "refresh_access_token?grant_type=ig_refresh_token",
    )
    .await;
    assert!(
        stand_in
            .subscribed(ACCOUNT)
            .contains(&"comments".to_owned())
    );
    let (_, apps) = read(&stand_in, "v25.0/me/subscribed_apps").await;
    assert_eq!(
        apps["data"][0]["subscribed_fields"]
            .as_array()
            .unwrap()
            .len(),
        7
    );
    let unknown = post(
        &stand_in,
        "me/subscribed_apps?subscribed_fields=messages,telepathy",
        &json!({}),
    )
    .await;
    assert_eq!(numbers(&unknown).1, 100);
    stand_in.forget_token(TOKEN);
    let dead = read(&stand_in, "v25.0/me").await;
    assert_eq!(numbers(&dead), (400, 190, 467));
    let token = renewed["access_token"].as_str().unwrap();
    let delivered = stand_in.act(token, CUSTOMER, write("a")).await.unwrap();
    assert_eq!(delivered.statuses, [200]);
    stand_in.page_account("EAAG-1", "19", "paged", "555");
    let subscribed = stand_in.act("EAAG-1", CUSTOMER, write("a")).await;
    assert!(matches!(subscribed, Err(DeliveryError::NotSubscribed(_))));
    let client = reqwest::Client::new();
    let me = client
        .get(format!("{}/v25.0/me?fields=id", stand_in.url()))
        .bearer_auth("EAAG-1");
    let me: Value = me.send().await.unwrap().json().await.unwrap();
    assert_eq!(
        (&me["id"], &me["instagram_business_account"]["id"]),
        (&json!("555"), &json!("19"))
    );
}

#[tokio::test]
async fn faults_break_calls_and_deliveries() {
    let (stand_in, received) = world(0).await;
    stand_in.act(TOKEN, CUSTOMER, write("a")).await.unwrap();
    let message = text_to(CUSTOMER, "a");
    for (kind, expected) in [
        (
            FaultKind::Refuse {
                code: 190,
                subcode: Some(463),
            },
            (400, 190, 463),
        ),
        (
            FaultKind::Flood {
                retry_after: Some(3),
            },
            (400, 613, 0),
        ),
    ] {
        stand_in.fault(Fault::of("messages", kind).times(1));
        assert_eq!(
            numbers(&post(&stand_in, "me/messages", &message).await),
            expected
        );
    }
    stand_in.fault(Fault::of("POST /me/messages", FaultKind::Outage).times(1));
    let url = format!("{}/v25.0/me/messages", stand_in.url());
    let request = || {
        reqwest::Client::new()
            .post(&url)
            .bearer_auth(TOKEN)
            .json(&message)
    };
    assert_eq!(request().send().await.unwrap().status().as_u16(), 503);
    stand_in.fault(Fault::of("messages", FaultKind::AnswerLost).times(1));
    let lost = match request().send().await {
        Ok(answer) => answer.bytes().await.map(|_| ()),
        Err(error) => Err(error),
    };
    assert!(lost.is_err() && stand_in.sent().len() == 1);
    stand_in.fault(Fault::of("messages", FaultKind::Twice).times(1));
    let twice = stand_in.act(TOKEN, CUSTOMER, write("b")).await.unwrap();
    assert_eq!(twice.statuses, [200, 200]);
    stand_in.set_echo(Echo::Before);
    stand_in.fault(Fault::of("echoes", FaultKind::Never));
    let before = received.items().len();
    assert_eq!(post(&stand_in, "me/messages", &message).await.0, 200);
    assert_eq!(received.items().len(), before);
}

#[tokio::test]
async fn a_webhook_that_does_not_know_the_token_is_not_entered() {
    let options = Options {
        verify_token: "another".to_owned(),
        ..Options::fast()
    };
    let stand_in = StandIn::start_with(options).await.unwrap();
    let (url, _) = webhook(0).await;
    assert!(matches!(
        stand_in.set_webhook(&url).await,
        Err(DeliveryError::Webhook(_))
    ));
}

#[tokio::test]
async fn customers_are_played_over_http_as_well() {
    let (stand_in, received) = world(0).await;
    let control = format!("{}/control/acts", stand_in.url());
    let acts = json!({ "acts": [
        { "token": TOKEN, "customer": CUSTOMER, "do": "write", "text": "a" },
        { "token": TOKEN, "customer": CUSTOMER, "do": "attach", "kind": "image", "url": "https://a.example/1" },
        { "token": TOKEN, "customer": CUSTOMER, "do": "story_reply", "text": "Ціна?", "url": "https://a.example/2" },
        { "token": TOKEN, "customer": CUSTOMER, "do": "unsend", "mid": "m1" },
        { "token": TOKEN, "customer": CUSTOMER, "do": "edit", "mid": "m1", "text": "b", "number": 1 },
        { "token": TOKEN, "customer": CUSTOMER, "do": "react", "mid": "m1", "emoji": "❤️" },
        { "token": TOKEN, "customer": CUSTOMER, "do": "react", "mid": "m1" },
        { "token": TOKEN, "customer": CUSTOMER, "do": "read", "mid": "m1" },
        { "token": TOKEN, "customer": CUSTOMER, "do": "press", "title": "a", "payload": "b" },
        { "token": TOKEN, "customer": CUSTOMER, "do": "raw", "item": { "teleport": {} } },
        { "token": TOKEN, "customer": CUSTOMER, "do": "comment", "media": "18", "text": "a" },
    ]});
    let answer = reqwest::Client::new()
        .post(&control)
        .json(&acts)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    assert_eq!(received.items().len(), 11);
    assert!(received.items()[2]["message"]["reply_to"]["story"]["url"].is_string());
}
