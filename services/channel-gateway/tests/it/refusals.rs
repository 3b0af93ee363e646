//! Deliveries: what a provider refuses, puts off or does not answer.

use std::sync::Arc;
use std::time::Duration;

use channel_gateway::app::book::aad;
use prost::Message as _;
use serde_json::json;
use switchboard_proto::channel_gateway::v1::DeliveryFailed;
use switchboard_proto::common::v1::{
    ContentPart, ReplyReference, Text, TextEntity, content_part::Content, text_entity,
};
use switchboard_proto::conversation::v1::{OutboundCommand, outbound_command::Action};
use tokio::sync::Notify;

use crate::bot::Answer;
use crate::world::{eventually, world};

pub fn no(code: u16, description: &'static str) -> Answer {
    Answer::No(code, description, json!({}))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_asks_to_wait_is_waited_for() {
    let world = world().await;
    world.bot.answer([Answer::No(
        429,
        "Too Many Requests: retry after 1",
        json!({ "retry_after": 1 }),
    )]);
    let replica = world.replica();
    world
        .queue([world.command(5, 1, "a"), world.command(6, 1, "b")])
        .await;
    world.until_states(5, &["sent"]).await;
    world.until_states(6, &["sent"]).await;
    let calls = world.bot.calls("sendMessage");
    let refused = calls[0].body["chat_id"].clone();
    let again = calls
        .iter()
        .skip(1)
        .find(|call| call.body["chat_id"] == refused)
        .unwrap();
    let waited = again.at - calls[0].at;
    assert!(
        waited >= Duration::from_secs(1) && waited < Duration::from_secs(3),
        "{waited:?}"
    );
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_that_stay_fail_with_a_reason_and_the_next_has_its_turn() {
    let world = world().await;
    world.bot.answer([
        no(403, "Forbidden: bot was blocked by the user"),
        no(400, "Bad Request: chat not found"),
        no(502, "Bad Gateway"),
    ]);
    let replica = world.replica();
    let edit = OutboundCommand {
        action: Action::Edit.into(),
        ..world.command(5, 3, "c")
    };
    world
        .queue([
            world.command(5, 1, "a"),
            world.command(5, 2, "b"),
            edit,
            world.command(5, 4, "d"),
        ])
        .await;
    world
        .until_states(5, &["failed", "failed", "failed", "sent"])
        .await;
    let reasons: Vec<String> = world
        .states(5)
        .await
        .into_iter()
        .map(|part| part.3)
        .collect();
    assert_eq!(
        reasons,
        [
            "CLIENT_BLOCKED_CHANNEL",
            "CHAT_NOT_FOUND",
            "MESSAGE_NOT_SENT",
            ""
        ]
    );
    assert_eq!(world.count("client.blocked").await, 1);
    // An outage is none of the message's failures.
    assert_eq!(world.bot.texts(), ["a", "b", "d", "d"]);
    eventually("events", async || world.count("delivery.failed").await == 3).await;
    let events = world.events().await;
    let failed = events.iter().filter(|(name, _)| name == "delivery.failed");
    let details: Vec<String> = failed
        .map(|(_, event)| DeliveryFailed::decode(event.clone()).unwrap().detail)
        .collect();
    assert!(
        details.iter().all(|detail| detail.len() > 10),
        "{details:?}"
    );
    replica.stop().await;
}

// pitfall 06: formatting that is refused goes as plain text
#[tokio::test(flavor = "multi_thread")]
async fn what_can_be_mended_is_sent_again_at_once() {
    let world = world().await;
    world.bot.answer([
        no(400, "Bad Request: message to be replied not found"),
        no(400, "Bad Request: can't parse entities: bad offset"),
        Answer::No(
            400,
            "Bad Request: group chat was upgraded to a supergroup chat",
            json!({ "migrate_to_chat_id": -100 }),
        ),
    ]);
    let bold = TextEntity {
        kind: text_entity::Kind::Bold.into(),
        offset: 0,
        length: 1,
        ..TextEntity::default()
    };
    let text = Text {
        text: "a".to_owned(),
        entities: vec![bold],
    };
    let mut command = world.command(5, 1, "a");
    command.parts = vec![ContentPart {
        content: Some(Content::Text(text)),
    }];
    command.reply = Some(ReplyReference {
        provider_key: "5:17".to_owned(),
        ..ReplyReference::default()
    });
    let replica = world.replica();
    world.queue([command]).await;
    world.until_states(5, &["sent"]).await;
    let bodies: Vec<_> = world
        .bot
        .calls("sendMessage")
        .into_iter()
        .map(|call| call.body)
        .collect();
    let has = |field: &str| {
        bodies
            .iter()
            .map(|body| body.get(field).is_some())
            .collect::<Vec<_>>()
    };
    assert_eq!(has("reply_parameters"), [true, false, false, false]);
    assert_eq!(has("entities"), [true, true, false, false]);
    assert_eq!(bodies[3]["chat_id"], json!(-100));
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_credentials_disconnect_the_channel() {
    let world = world().await;
    world.bot.refuse_token(&world.token);
    let replica = world.replica();
    world
        .queue([world.command(5, 1, "a"), world.command(5, 2, "b")])
        .await;
    world.until_states(5, &["failed", "failed"]).await;
    assert!(
        world
            .states(5)
            .await
            .iter()
            .all(|part| part.3 == "CREDENTIALS_REFUSED")
    );
    assert_eq!(
        world.bot.calls("sendMessage").len(),
        1,
        "the second is not even tried"
    );
    assert_eq!(world.count("channel.disconnected").await, 1);
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_old_credentials_says_nothing_of_those_stored_meanwhile() {
    let world = world().await;
    world.bot.refuse_token(&world.token);
    let bot = world.token.split_once(':').unwrap().0;
    let fresh = format!("{bot}:AAE_fresh-token");
    let sealed = world
        .app
        .sealer
        .seal(fresh.as_bytes(), &aad(world.channel, "token"))
        .unwrap();
    // As another replica does it: this one's memory still has the old ones.
    sqlx::query("update channel set token_sealed = $1, credentials = credentials + 1")
        .bind(sealed)
        .execute(&world.app.pool)
        .await
        .unwrap();
    let replica = world.replica();
    world.queue([world.command(5, 1, "a")]).await;
    world.until_states(5, &["sent"]).await;
    assert_eq!(world.bot.calls("sendMessage").len(), 2);
    assert_eq!(world.count("channel.disconnected").await, 0);
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_is_not_the_bot_apis_is_tried_again() {
    let world = world().await;
    world.bot.answer([
        Answer::Between(401),
        Answer::Between(404),
        Answer::Between(413),
    ]);
    let replica = world.replica();
    world.queue([world.command(5, 1, "a")]).await;
    world.until_states(5, &["sent"]).await;
    assert_eq!(world.bot.texts().len(), 4);
    assert_eq!(world.count("channel.disconnected").await, 0);
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_does_not_come_is_uncertain() {
    let world = world().await;
    world.bot.answer([Answer::Held(Arc::new(Notify::new()))]);
    let replica = world.replica();
    world
        .queue([world.command(5, 1, "a"), world.command(5, 2, "b")])
        .await;
    world.until_states(5, &["uncertain", "sent"]).await;
    assert_eq!(world.bot.texts(), ["a", "b"]);
    replica.stop().await;
}
