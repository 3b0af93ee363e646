//! Instagram, out: echoes, comments of ours, private replies, pictures one by one.

use channel_gateway::app::told;
use chassis::clock;
use chassis::consumer::Handler as _;
use futures::StreamExt as _;
use prost::Message as _;
use serde_json::{Value, json};
use switchboard_proto::channel_gateway::v1::{
    DeliverySent, InboundEvent, OwnAppMessageReceived, inbound_event::Kind,
};
use switchboard_proto::common::v1::{
    Attachment, ContentPart, ReplyReference, content_part::Content,
};
use switchboard_proto::conversation::v1::OutboundCommand;
use uuid::Uuid;

use crate::graph::{Answer, Graph};
use crate::learnt::{comment, direct, instagram};
use crate::world::{World, world};

const CHAT: u128 = 77;

fn command(world: &World, channel: Uuid, out_seq: i64, text: &str, reply: &str) -> OutboundCommand {
    let reply = (!reply.is_empty()).then(|| ReplyReference {
        provider_key: reply.to_owned(),
        ..ReplyReference::default()
    });
    OutboundCommand {
        channel_id: channel.to_string(),
        reply,
        ..world.command(CHAT, out_seq, text)
    }
}

pub async fn hear(world: &World, channel: Uuid, entry: &Value) {
    let item = instagram(world, channel, entry);
    world.inbound().handle(&[item], clock::now()).await.unwrap();
}

fn echo(mid: &str, text: &str) -> Value {
    let now = clock::now().unix_timestamp() * 1_000;
    json!({ "messaging": [{ "sender": { "id": "178" }, "recipient": { "id": "77" }, "timestamp": now,
        "message": { "mid": mid, "text": text, "is_echo": true } }] })
}

async fn events<E: prost::Message + Default>(world: &World, event: &str) -> Vec<E> {
    let events = world.events().await;
    let payloads = events.into_iter().filter(|(name, _)| name == event);
    payloads
        .map(|(_, payload)| E::decode(payload).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn pitfall_13_an_answer_that_never_came_is_settled_by_its_echo() {
    let mut world = world().await;
    let (graph, channel) = Graph::connect(&mut world).await;
    graph.answer("me/messages", [Answer::Late]);
    hear(&world, channel, &direct("m1", "Скільки?")).await;
    let replica = world.replica();
    world
        .queue([command(&world, channel, 1, "Сорок", "")])
        .await;
    world.until_states(CHAT, &["uncertain"]).await;
    for _ in 0..2 {
        hear(&world, channel, &echo("mid-x", "Сорок")).await;
    }
    world.until_states(CHAT, &["sent"]).await;
    let [sent] = events::<DeliverySent>(&world, "delivery.sent")
        .await
        .try_into()
        .unwrap();
    assert_eq!(
        (sent.provider_key.as_str(), sent.provider_keys),
        ("mid-x", vec!["mid-x".to_owned()])
    );
    assert_eq!(world.count("own-app-message.received").await, 0);
    // Pitfall 14: what was really written on the phone is told.
    hear(&world, channel, &echo("mid-y", "Сорок два")).await;
    hear(&world, channel, &echo("mid-z", "Сорок")).await;
    assert_eq!(world.count("own-app-message.received").await, 2);
    assert_eq!(graph.calls("me/messages").len(), 1, "it was not sent again");
    replica.stop().await;
}

pub fn own_comment(id: &str, text: &str, parent: Option<&str>) -> Value {
    let mut comment = comment(id, "178", "181", parent);
    comment["changes"][0]["value"]["text"] = json!(text);
    comment["changes"][0]["value"]["from"]["username"] = json!("shop");
    comment
}

/// Kinds of what went into INBOUND.
async fn kept(world: &World) -> Vec<(String, bool)> {
    let mut kinds = Vec::new();
    for shard in 0..world.streams.shards() {
        let name = world.streams.inbound(shard);
        let stream = world.nats.jetstream.get_stream(name).await.unwrap();
        let consumer = stream
            .create_consumer(async_nats::jetstream::consumer::pull::Config::default())
            .await
            .unwrap();
        let mut messages = consumer.fetch().max_messages(100).messages().await.unwrap();
        while let Some(message) = messages.next().await {
            let pack =
                switchboard_proto::common::v1::Pack::decode(message.unwrap().payload.clone())
                    .unwrap();
            for item in pack.items {
                let event = InboundEvent::decode(item.payload).unwrap();
                if let Some(Kind::Unsupported(unsupported)) = event.kind {
                    kinds.push((unsupported.kind, !event.raw.is_empty()));
                }
            }
        }
    }
    kinds
}

// pitfall 14: what was typed in the own app is told
#[tokio::test(flavor = "multi_thread")]
async fn f092_a_comment_of_ours_stands_in_the_chat_that_it_answers_and_is_kept_where_there_is_none()
{
    let mut world = world().await;
    let (_graph, channel) = Graph::connect(&mut world).await;
    hear(&world, channel, &comment("17", "77", "181", None)).await;
    for entry in [
        own_comment("20", "Так, є", Some("17")),
        own_comment("21", "@olena.k так", Some("17")),
        // Whom it is for is not known here.
        own_comment("22", "@petro так", Some("17")),
        own_comment("23", "Знижки!", None),
        own_comment("23", "Знижки!", None),
    ] {
        hear(&world, channel, &entry).await;
    }
    let told = events::<OwnAppMessageReceived>(&world, "own-app-message.received").await;
    let told: Vec<(&str, &str, &str)> = told
        .iter()
        .map(|event| {
            let client = event.client.as_ref().unwrap();
            (
                event.provider_key.as_str(),
                event.chat_key.as_str(),
                client.scope.as_str(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("cmt:20", "77", "instagram:178"),
            ("cmt:21", "77", "instagram:178")
        ]
    );
    let own = ("own-comment-without-chat".to_owned(), true);
    assert_eq!(kept(&world).await, [own.clone(), own]);
}

#[tokio::test(flavor = "multi_thread")]
async fn f091_the_webhook_of_our_own_comment_may_come_before_the_answer() {
    let mut world = world().await;
    let (graph, channel) = Graph::connect(&mut world).await;
    hear(&world, channel, &comment("17", "77", "181", None)).await;
    graph.answer("17/replies", [Answer::Slow(json!({ "id": "900" }))]);
    let replica = world.replica();
    world
        .queue([command(&world, channel, 1, "Так, є", "cmt:17")])
        .await;
    world.until_states(CHAT, &["sending"]).await;
    hear(&world, channel, &own_comment("900", "Так, є", Some("17"))).await;
    world.until_states(CHAT, &["sent"]).await;
    told::judge_held(&world.app, &world.intake(), clock::now())
        .await
        .unwrap();
    hear(&world, channel, &own_comment("900", "Так, є", Some("17"))).await;
    assert_eq!(world.count("own-app-message.received").await, 0);
    let [sent] = events::<DeliverySent>(&world, "delivery.sent")
        .await
        .try_into()
        .unwrap();
    assert_eq!(sent.provider_key, "cmt:900");
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f093_who_only_commented_gets_one_private_reply_for_each_comment() {
    let mut world = world().await;
    let (graph, channel) = Graph::connect(&mut world).await;
    hear(&world, channel, &comment("17", "77", "181", None)).await;
    let replica = world.replica();
    // Queued together: the second must not take the same comment.
    world
        .queue([
            command(&world, channel, 1, "Написали вам у Direct", ""),
            command(&world, channel, 2, "Ще раз", ""),
        ])
        .await;
    world.until_states(CHAT, &["sent", "failed"]).await;
    hear(&world, channel, &comment("18", "77", "181", None)).await;
    world
        .queue([command(&world, channel, 3, "І знову", "")])
        .await;
    world.until_states(CHAT, &["sent", "failed", "sent"]).await;
    hear(&world, channel, &direct("m1", "Дякую")).await;
    world
        .queue([command(&world, channel, 4, "Прошу", "")])
        .await;
    world
        .until_states(CHAT, &["sent", "failed", "sent", "sent"])
        .await;
    let calls = graph.calls("me/messages");
    let recipients: Vec<&Value> = calls.iter().map(|call| &call.body["recipient"]).collect();
    assert_eq!(
        recipients,
        [
            &json!({ "comment_id": "17" }),
            &json!({ "comment_id": "18" }),
            &json!({ "id": "77" })
        ]
    );
    // The customer did write, just now: not the window is what is closed.
    assert_eq!(world.states(CHAT).await[1].3, "PRIVATE_REPLY_USED");
    replica.stop().await;
}

async fn uploaded(world: &World) -> String {
    let id = chassis::id::v7(clock::now());
    let key = format!("{}/2026-11/{id}", world.account);
    sqlx::query(
        "insert into attachment (id, account, source, channel_id, kind, state, file_name, media_type, size, object_key, created_at, used_at)
         values ($1, $2, 'upload', $3, 1, 'stored', 'a.png', 'image/png', 5, $4, now(), now())",
    )
    .bind(id)
    .bind(world.account.as_str())
    .bind(world.channel)
    .bind(&key)
    .execute(&world.app.pool)
    .await
    .unwrap();
    world.store().put(&key, "bytes".into()).await.unwrap();
    id.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn f190_an_account_that_takes_one_picture_a_message_gets_them_one_by_one() {
    let mut world = world().await;
    let (graph, channel) = Graph::connect(&mut world).await;
    hear(&world, channel, &direct("m1", "Фото?")).await;
    let single =
        json!({ "error": { "code": 100, "error_subcode": 2_534_068, "message": "not enabled" } });
    graph.answer("me/messages", [Answer::Json(400, single)]);
    let mut parts = Vec::new();
    for _ in 0..3 {
        parts.push(ContentPart {
            content: Some(Content::Attachment(Attachment {
                attachment_id: uploaded(&world).await,
                kind: 1,
                media_type: "image/png".to_owned(),
                size: 5,
                ..Attachment::default()
            })),
        });
    }
    let pictures = |out_seq| OutboundCommand {
        parts: parts.clone(),
        ..command(&world, channel, out_seq, "", "")
    };
    let replica = world.replica();
    world.queue([pictures(1)]).await;
    world.until_states(CHAT, &["sent"]).await;
    let [sent] = events::<DeliverySent>(&world, "delivery.sent")
        .await
        .try_into()
        .unwrap();
    assert_eq!(sent.provider_keys.len(), 3, "{sent:?}");
    // Each picture's echo is known.
    for mid in &sent.provider_keys {
        hear(&world, channel, &echo(mid, "🖼")).await;
    }
    assert_eq!(world.count("own-app-message.received").await, 0);
    // It is remembered: the next ones are not refused first.
    world.queue([pictures(2)]).await;
    world
        .until_states(CHAT, &["sent", "sent", "sent", "sent"])
        .await;
    let calls = graph.calls("me/messages");
    let kinds: Vec<bool> = calls
        .iter()
        .map(|call| call.body["message"]["attachments"].is_array())
        .collect();
    assert_eq!(kinds, [true, false, false, false, false, false, false]);
    assert!(
        calls
            .iter()
            .all(|call| call.body.get("$rest").is_none() && call.body.get("$sent").is_none())
    );
    replica.stop().await;
}
