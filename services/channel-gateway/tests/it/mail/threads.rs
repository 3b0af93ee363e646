//! In which thread an answer stands.

use chassis::clock;
use chassis::consumer::Handler as _;
use prost::Message as _;
use serde_json::Value;
use switchboard_proto::common::v1::ReplyReference;
use switchboard_proto::conversation::v1::{MessageQueued, OutboundCommand};
use uuid::Uuid;

use super::{CHAT, CLIENT, read, unfollowed};
use crate::world::{World, world};

/// A mail of the client's that answers others.
fn answer(id: &str, before: &[&str], fields: &str) -> String {
    let references: Vec<String> = before.iter().map(|id| format!("<{id}>")).collect();
    let last = references.last().cloned().unwrap_or_default();
    format!(
        "From: Olena <{CLIENT}>\nTo: sales@shop.example\nSubject: Re: order\nMessage-ID: <{id}>\n\
         In-Reply-To: {last}\nReferences: {}\n{fields}\nhello\n",
        references.join(" ")
    )
}

async fn hear(world: &World, channel: Uuid, uid: u32, raw: &str) {
    let mut delivery = world.delivery(&MessageQueued::default());
    delivery.payload = read(world, channel, raw, uid).encode_to_vec().into();
    world
        .inbound()
        .handle(&[delivery], clock::now())
        .await
        .unwrap();
}

/// What an answer answers, and the ids before that.
async fn thread(world: &World, command: OutboundCommand) -> (String, Vec<String>) {
    let out_seq = command.out_seq;
    world.queue([command]).await;
    let params: Value =
        sqlx::query_scalar("select params from part where chat_id = $1 and out_seq = $2")
            .bind(Uuid::from_u128(CHAT))
            .bind(out_seq)
            .fetch_one(&world.app.pool)
            .await
            .unwrap();
    let references = params["references"].as_array().unwrap().iter();
    (
        params["in_reply_to"].as_str().unwrap().to_owned(),
        references
            .map(|id| id.as_str().unwrap().to_owned())
            .collect(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_stands_below_what_the_client_wrote_and_not_below_their_autoresponder() {
    let world = world().await;
    let channel = unfollowed(&world).await;
    let command = |out_seq| OutboundCommand {
        channel_id: channel.to_string(),
        chat_key: CLIENT.to_owned(),
        ..world.command(CHAT, out_seq, "yes")
    };
    let away = answer(
        "away@x",
        &["m1@shop.example"],
        "Auto-Submitted: auto-replied\n",
    );
    hear(&world, channel, 1, &away).await;
    let (answered, _) = thread(&world, command(1)).await;
    assert_eq!(answered, "<away@x>", "there is nothing else");

    hear(&world, channel, 2, &answer("one@x", &["a@x", "b@x"], "")).await;
    let again = answer(
        "again@x",
        &["a@x", "b@x", "one@x", "m2@shop.example"],
        "Precedence: auto_reply\n",
    );
    hear(&world, channel, 3, &again).await;
    let (answered, before) = thread(&world, command(2)).await;
    assert_eq!(answered, "<one@x>");
    assert_eq!(before, ["<a@x>", "<b@x>"], "the thread is whole");

    // What a person wrote last counts.
    hear(&world, channel, 4, &answer("two@x", &["a@x", "one@x"], "")).await;
    hear(
        &world,
        channel,
        5,
        &answer("off@x", &["two@x"], "X-Autoreply: yes\n"),
    )
    .await;
    let (answered, before) = thread(&world, command(3)).await;
    assert_eq!((answered.as_str(), before.len()), ("<two@x>", 2));

    // Unless the agent answers that very message.
    let reply = ReplyReference {
        provider_key: "<off@x>".to_owned(),
        ..ReplyReference::default()
    };
    let chosen = OutboundCommand {
        reply: Some(reply),
        ..command(4)
    };
    let (answered, before) = thread(&world, chosen).await;
    assert_eq!(
        (answered.as_str(), before),
        ("<off@x>", vec!["<two@x>".to_owned()])
    );
}
