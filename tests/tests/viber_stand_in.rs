//! The stand-in for Viber behaves as Viber does, where Switchboard relies on it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use switchboard_tests::viber::{DeliveryError, Fault, FaultKind, Options, StandIn};

const TOKEN: &str = "4453b6ac12345678-e02c5f12174805f9-daf9cbb5448c51f3";
const IGOR: &str = "pQ7xN2aLr0uZ1mW8sYkTfA==";

async fn call(stand_in: &StandIn, method: &str, body: &Value) -> Value {
    let request = reqwest::Client::new()
        .post(format!("{}/{method}", stand_in.url()))
        .header("X-Viber-Auth-Token", TOKEN)
        .json(body);
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200, "HTTP says 200 to refusals too");
    response.json().await.unwrap()
}

fn text(text: &str) -> Value {
    json!({ "receiver": IGOR, "sender": { "name": "Крамниця" }, "type": "text", "text": text })
}

/// What a webhook received: (whether the signature held, callback).
type Received = Arc<Mutex<Vec<(bool, Value)>>>;

/// A webhook that answers the first call, which is Viber's question, and refuses the next `refusals` with 503.
async fn webhook(refusals: usize) -> (String, Received) {
    let received = Received::default();
    let kept = Arc::clone(&received);
    let receive = async move |headers: HeaderMap, raw: String| {
        let signature = hex::decode(&headers["x-viber-content-signature"]).unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(TOKEN.as_bytes()).unwrap();
        mac.update(raw.as_bytes());
        let mut kept = kept.lock().unwrap();
        kept.push((
            mac.verify_slice(&signature).is_ok(),
            serde_json::from_str(&raw).unwrap(),
        ));
        if (2..refusals + 2).contains(&kept.len()) {
            StatusCode::SERVICE_UNAVAILABLE
        } else {
            StatusCode::OK
        }
    };
    let router = Router::new().route("/in", post(receive));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/in", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, router).await });
    (url, received)
}

#[tokio::test]
async fn a_webhook_is_asked_while_it_is_set_and_a_silent_one_is_refused() {
    let stand_in = StandIn::start().await.unwrap();
    assert_eq!(
        call(&stand_in, "send_message", &text("a")).await["status"],
        10
    );
    let dead = call(
        &stand_in,
        "set_webhook",
        &json!({ "url": "http://127.0.0.1:9/in" }),
    )
    .await;
    assert_eq!(dead["status"], 1);
    assert!(matches!(
        stand_in.say(TOKEN, IGOR, "a").await,
        Err(DeliveryError::NoWebhook)
    ));
    let (url, received) = webhook(0).await;
    let set = json!({ "url": url, "event_types": ["seen"] });
    assert_eq!(
        call(&stand_in, "set_webhook", &set).await["event_types"],
        json!(["seen"])
    );
    let question = received.lock().unwrap()[0].clone();
    assert_eq!(
        (question.0, &question.1["event"]),
        (true, &json!("webhook"))
    );
    assert_eq!(stand_in.webhook(TOKEN).unwrap().url, url);
    let info = call(&stand_in, "get_account_info", &json!({})).await;
    assert_eq!(
        (&info["status"], &info["webhook"]),
        (&json!(0), &json!(url))
    );
    assert!(matches!(
        stand_in.receipt(TOKEN, IGOR, "delivered", 5).await,
        Err(DeliveryError::NotAsked(_))
    ));
    call(&stand_in, "set_webhook", &json!({ "url": "" })).await;
    assert_eq!(stand_in.webhook(TOKEN), None);
}

#[tokio::test]
async fn callbacks_are_signed_repeated_until_accepted_and_then_lost() {
    let stand_in = StandIn::start().await.unwrap();
    let (url, received) = webhook(3).await;
    call(&stand_in, "set_webhook", &json!({ "url": url })).await;
    let said = stand_in.say(TOKEN, IGOR, "Коли?").await.unwrap();
    assert_eq!(said.statuses, [503, 503, 503, 200]);
    let twice = json!({ "event": "message", "message_token": said.message_token });
    assert_eq!(
        stand_in.deliver(TOKEN, twice, 1).await.unwrap().statuses,
        [200, 200]
    );
    {
        let received = received.lock().unwrap();
        assert!(
            received.iter().all(|(held, _)| *held),
            "every signature holds"
        );
        let tokens = received[1..]
            .iter()
            .map(|(_, callback)| &callback["message_token"]);
        assert!(
            tokens
                .clone()
                .all(|token| *token == json!(said.message_token))
        );
    }
    let (url, _) = webhook(usize::MAX - 2).await;
    call(&stand_in, "set_webhook", &json!({ "url": url })).await;
    let Err(DeliveryError::Lost(statuses)) = stand_in.say(TOKEN, IGOR, "?").await else {
        unreachable!("it was accepted")
    };
    assert_eq!(statuses, [503; 8]);
}

#[tokio::test]
async fn sends_are_answered_with_tokens_that_no_double_holds() {
    let stand_in = StandIn::start_with(Options {
        unanswered_max: 3,
        strict_receivers: true,
        ..Options::fast()
    })
    .await
    .unwrap();
    let (url, _) = webhook(0).await;
    call(&stand_in, "set_webhook", &json!({ "url": url })).await;
    assert_eq!(
        call(&stand_in, "send_message", &text("a")).await["status"],
        5
    );
    stand_in.say(TOKEN, IGOR, "a").await.unwrap();
    let mut tokens = Vec::new();
    for words in ["1", "2", "3"] {
        let answer = call(&stand_in, "send_message", &text(words)).await;
        assert_eq!(answer["status"], 0, "{answer}");
        tokens.push(answer["message_token"].as_u64().unwrap());
    }
    assert!(tokens.iter().all(|token| *token > 1 << 53));
    assert!(tokens.iter().any(|token| i64::try_from(*token).is_err()));
    let sent = stand_in.sent(TOKEN);
    assert_eq!(
        sent.iter()
            .map(|sent| sent.message_token)
            .collect::<Vec<_>>(),
        tokens
    );
    assert_eq!((sent[2].ordinal, &sent[2].body["text"]), (3, &json!("3")));
    // Enough, until the customer answers.
    assert_eq!(
        call(&stand_in, "send_message", &text("4")).await["status"],
        12
    );
    stand_in.say(TOKEN, IGOR, "a").await.unwrap();
    assert_eq!(
        call(&stand_in, "send_message", &text("4")).await["status"],
        0
    );
    let large = json!({ "receiver": IGOR, "sender": { "name": "a" }, "type": "text", "text": "a", "keyboard": "k".repeat(30_000) });
    assert_eq!(call(&stand_in, "send_message", &large).await["status"], 3);
}

#[tokio::test]
async fn faults_spoil_what_they_name() {
    let stand_in = StandIn::start().await.unwrap();
    let (url, _) = webhook(0).await;
    call(&stand_in, "set_webhook", &json!({ "url": url })).await;
    let flood = Fault::towards(IGOR, FaultKind::Status { status: 12 });
    stand_in.fault(TOKEN, flood.times(1)).unwrap();
    assert_eq!(
        call(&stand_in, "send_message", &text("a")).await["status"],
        12
    );
    assert_eq!(
        call(&stand_in, "send_message", &text("a")).await["status"],
        0
    );
    for (kind, sent) in [
        (FaultKind::ServerError, 1),
        (FaultKind::AnswerLost, 2),
        (FaultKind::AnswerHangs { ms: 1 }, 3),
    ] {
        stand_in
            .fault(TOKEN, Fault::of("send_message", kind).times(1))
            .unwrap();
        let request = reqwest::Client::new()
            .post(format!("{}/send_message", stand_in.url()))
            .header("X-Viber-Auth-Token", TOKEN)
            .json(&text("a"));
        let answer = match request.send().await {
            Ok(answer) => answer.json::<Value>().await,
            Err(error) => Err(error),
        };
        assert!(answer.is_err());
        assert_eq!(stand_in.sent(TOKEN).len(), sent);
    }
    stand_in
        .fault(
            TOKEN,
            Fault::of("get_account_info", FaultKind::Status { status: 2 }),
        )
        .unwrap();
    assert_eq!(
        call(&stand_in, "get_account_info", &json!({})).await["status"],
        2
    );
    stand_in.clear_faults(TOKEN);
    assert_eq!(
        call(&stand_in, "get_account_info", &json!({})).await["status"],
        0
    );
}

#[tokio::test]
async fn vibers_own_library_understands_all_of_it() {
    let stand_in = StandIn::start().await.unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/viberbot_check.py");
    let control = format!("http://{}", stand_in.address());
    let run = tokio::process::Command::new("python3")
        .arg(script)
        .args([&stand_in.url(), &control, TOKEN])
        .kill_on_drop(true)
        .output();
    let done = tokio::time::timeout(std::time::Duration::from_mins(5), run)
        .await
        .unwrap()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(
        done.status.success(),
        "the bot written with viberbot (its environment is made on the first run, and that needs python3-venv and PyPI) \
         ended with {}:\n{said}",
        done.status
    );
    let report: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(report["odd"], json!([]));
    assert_eq!(report["refusals"], json!([10, 6, 3, 1]));
    let sent = stand_in.sent(TOKEN);
    let tokens: Vec<u64> = sent.iter().map(|sent| sent.message_token).collect();
    assert_eq!(report["tokens"], json!(tokens));
    let kinds: Vec<&Value> = sent.iter().map(|sent| &sent.body["type"]).collect();
    assert_eq!(kinds.len(), report["kinds"].as_array().unwrap().len());
    assert!(
        sent.iter()
            .all(|sent| sent.body.get("auth_token").is_none())
    );
}
