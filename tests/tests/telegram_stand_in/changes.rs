//! What was sent is changed: edits, deletions, reactions; business accounts; the webhook's state.

use std::sync::Arc;

use serde_json::{Value, json};
use switchboard_tests::telegram::{Connection, DeliveryError, StandIn};

use crate::{TOKEN, call, webhook};

async fn refusal(stand_in: &StandIn, method: &str, body: Value) -> String {
    let (status, answer) = call(stand_in, method, body).await;
    assert_eq!(status, 400, "{answer}");
    let description = answer["description"].as_str().unwrap();
    description.trim_start_matches("Bad Request: ").to_owned()
}

async fn sent(stand_in: &StandIn, method: &str, body: Value) -> i64 {
    let (status, answer) = call(stand_in, method, body).await;
    assert_eq!(status, 200, "{answer}");
    answer["result"]["message_id"].as_i64().unwrap()
}

#[tokio::test]
async fn texts_and_captions_are_edited_each_by_its_own_method() {
    let stand_in = StandIn::start().await.unwrap();
    let text = sent(
        &stand_in,
        "sendMessage",
        json!({ "chat_id": 55, "text": "a" }),
    )
    .await;
    let photo = json!({ "chat_id": 55, "photo": "https://a.example/1", "caption": "a" });
    let photo = sent(&stand_in, "sendPhoto", photo).await;
    let edit = |id: i64, field: &str, words: &str| json!({ "chat_id": 55, "message_id": id, field: words });
    let (_, answer) = call(&stand_in, "editMessageText", edit(text, "text", "b")).await;
    assert_eq!(answer["result"]["text"], json!("b"));
    let (_, answer) = call(&stand_in, "editMessageCaption", edit(photo, "caption", "b")).await;
    assert_eq!(answer["result"]["caption"], json!("b"));
    assert!(answer["result"]["photo"].is_array());
    let (_, answer) = call(&stand_in, "editMessageCaption", edit(photo, "caption", "")).await;
    assert_eq!(answer["result"].get("caption"), None);
    for (method, body, words) in [
        (
            "editMessageText",
            edit(text, "text", "b"),
            "message is not modified",
        ),
        (
            "editMessageCaption",
            edit(photo, "caption", ""),
            "message is not modified",
        ),
        (
            "editMessageText",
            edit(photo, "text", "b"),
            "there is no text in the message to edit",
        ),
        (
            "editMessageCaption",
            edit(text, "caption", "b"),
            "there is no caption in the message to edit",
        ),
        (
            "editMessageText",
            edit(7, "text", "b"),
            "message to edit not found",
        ),
    ] {
        let said = refusal(&stand_in, method, body).await;
        assert!(said.starts_with(words), "{said}");
    }
}

#[tokio::test]
async fn messages_are_deleted_and_reacted_to_as_long_as_they_are_there() {
    let stand_in = StandIn::start().await.unwrap();
    let mut ids = Vec::new();
    for text in ["a", "b", "c"] {
        ids.push(
            sent(
                &stand_in,
                "sendMessage",
                json!({ "chat_id": 55, "text": text }),
            )
            .await,
        );
    }
    let react = |id: i64, emojis: &[&str]| {
        let reaction: Vec<Value> = emojis
            .iter()
            .map(|emoji| json!({ "type": "emoji", "emoji": emoji }))
            .collect();
        json!({ "chat_id": 55, "message_id": id, "reaction": reaction })
    };
    assert_eq!(
        call(&stand_in, "setMessageReaction", react(ids[0], &["👍"]))
            .await
            .0,
        200
    );
    assert_eq!(
        call(&stand_in, "setMessageReaction", react(ids[0], &[]))
            .await
            .0,
        200
    );
    for (body, words) in [
        (react(ids[0], &["👍", "🔥"]), "REACTIONS_TOO_MANY"),
        (react(ids[0], &["❤\u{fe0f}"]), "REACTION_INVALID"),
        (react(7, &["👍"]), "message to react not found"),
    ] {
        assert_eq!(refusal(&stand_in, "setMessageReaction", body).await, words);
    }
    let delete = |id: i64| json!({ "chat_id": 55, "message_id": id });
    assert_eq!(
        call(&stand_in, "deleteMessage", delete(ids[0])).await.0,
        200
    );
    let gone = refusal(&stand_in, "deleteMessage", delete(ids[0])).await;
    assert_eq!(gone, "message to delete not found");
    let several = json!({ "chat_id": 55, "message_ids": [ids[0], ids[1], ids[2], 7] });
    assert_eq!(call(&stand_in, "deleteMessages", several).await.0, 200);
    let last = stand_in.sent(TOKEN).pop().unwrap();
    assert_eq!(last.message_ids, ids[1..], "what is gone is passed over");
    let none = json!({ "chat_id": 55, "message_ids": [] });
    let said = refusal(&stand_in, "deleteMessages", none).await;
    assert_eq!(said, "message identifiers are not specified");
    let edit = json!({ "chat_id": 55, "message_id": ids[1], "text": "x" });
    let said = refusal(&stand_in, "editMessageText", edit).await;
    assert_eq!(said, "message to edit not found");
}

#[tokio::test]
async fn a_business_account_is_answered_for_while_its_client_wrote_and_its_owner_allows_it() {
    let stand_in = Arc::new(StandIn::start().await.unwrap());
    let (url, received) = webhook(0).await;
    call(&stand_in, "setWebhook", json!({ "url": url })).await;
    let shop = |can_reply: bool, enabled: bool| -> Connection {
        serde_json::from_value(json!({ "owner": 42, "can_reply": can_reply, "enabled": enabled }))
            .unwrap()
    };
    let answer = json!({ "chat_id": 55, "text": "Є", "business_connection_id": "bc" });
    let hello = json!({ "text": "Ціна?" });
    let nobody = stand_in
        .say_to_business(TOKEN, "bc", 55, false, hello.clone())
        .await;
    assert!(matches!(nobody, Err(DeliveryError::NotConnected)));
    let said = refusal(&stand_in, "sendMessage", answer.clone()).await;
    assert_eq!(said, "business connection not found");
    stand_in
        .connect(TOKEN, "bc", shop(true, true))
        .await
        .unwrap();
    let said = refusal(&stand_in, "sendMessage", answer.clone()).await;
    assert_eq!(said, "BUSINESS_PEER_USAGE_MISSING");
    stand_in
        .say_to_business(TOKEN, "bc", 55, false, hello)
        .await
        .unwrap();
    let price = json!({ "text": "120" });
    stand_in
        .say_to_business(TOKEN, "bc", 55, true, price)
        .await
        .unwrap();
    let (_, sent) = call(&stand_in, "sendMessage", answer.clone()).await;
    let sent = &sent["result"];
    assert_eq!(
        (
            &sent["from"]["id"],
            &sent["business_connection_id"],
            &sent["sender_business_bot"]["id"]
        ),
        (&json!(42), &json!("bc"), &json!(7001))
    );
    let delete = json!({ "business_connection_id": "bc", "message_ids": [sent["message_id"]] });
    assert_eq!(
        call(&stand_in, "deleteBusinessMessages", delete).await.0,
        200
    );
    stand_in
        .connect(TOKEN, "bc", shop(false, true))
        .await
        .unwrap();
    let said = refusal(&stand_in, "sendMessage", answer.clone()).await;
    assert!(said.starts_with("not enough rights"), "{said}");
    stand_in
        .connect(TOKEN, "bc", shop(true, false))
        .await
        .unwrap();
    let said = refusal(&stand_in, "sendMessage", answer).await;
    assert_eq!(said, "business connection not found");
    let received = received.lock().unwrap();
    let writers: Vec<&Value> = received
        .iter()
        .filter_map(|(_, update)| update.pointer("/business_message/from/id"))
        .collect();
    assert_eq!(writers, [&json!(55), &json!(42)]);
}

#[tokio::test]
async fn the_webhooks_state_can_be_what_a_test_needs() {
    let stand_in = StandIn::start().await.unwrap();
    let (url, _) = webhook(0).await;
    call(
        &stand_in,
        "setWebhook",
        json!({ "url": url, "allowed_updates": ["message"] }),
    )
    .await;
    let bad = json!({ "url": "https://other.example/x", "pending_update_count": 3_500 });
    stand_in.pretend_webhook(TOKEN, bad.as_object().unwrap().clone());
    let (_, info) = call(&stand_in, "getWebhookInfo", json!({})).await;
    assert_eq!(
        (
            &info["result"]["url"],
            &info["result"]["pending_update_count"]
        ),
        (&json!("https://other.example/x"), &json!(3_500))
    );
    stand_in.pretend_webhook(TOKEN, serde_json::Map::new());
    let (_, info) = call(&stand_in, "getWebhookInfo", json!({})).await;
    assert_eq!(info["result"]["url"], json!(url));
}
