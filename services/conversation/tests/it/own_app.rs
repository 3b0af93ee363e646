//! What somebody of ours wrote in the provider's own app: stored once, found again, an answer (D08).

use chassis::consumer::{Delivery, Handler as _};
use chassis::outbox::Waker;
use conversation::own_app::OwnApp;
use switchboard_proto::channel_gateway::v1::{self as gateway, inbound_event::Kind};
use switchboard_proto::common::v1 as common;
use switchboard_proto::conversation::v1 as pb;
use uuid::Uuid;

use crate::world::{World, at, client, inbound_message, parts, text_of};

pub fn own(number: i64, text: &str) -> gateway::OwnAppMessageReceived {
    gateway::OwnAppMessageReceived {
        channel_id: Uuid::from_u128(0xc4a1).to_string(),
        channel_kind: common::ChannelKind::TelegramBot.into(),
        chat_key: "7".into(),
        client: Some(client("7", "Ada")),
        provider_key: format!("7/{number}"),
        provider_number: number,
        parts: parts(text),
        time: Some(chassis::grpc::timestamp(at(number))),
        ..Default::default()
    }
}

pub async fn hear(world: &World, events: &[gateway::OwnAppMessageReceived]) {
    let handler = OwnApp::new(world.db.pool.clone(), Waker::new());
    let deliveries: Vec<Delivery> = (1..)
        .zip(events)
        .map(|(id, event)| world.event(id, world.chat("7"), event))
        .collect();
    handler.handle(&deliveries, at(0)).await.unwrap();
}

async fn agents_messages(world: &World) -> Vec<pb::Message> {
    let mut messages = world.history("7").await;
    messages.retain(|message| message.kind() == pb::message::Kind::Agent);
    messages
}

#[tokio::test]
async fn b01_a_repeated_message_of_the_own_app_changes_nothing() {
    let world = World::new().await;
    world
        .receive(&[world.message("7", "1", at(1), "hello")])
        .await;
    hear(&world, &[own(2, "from the phone")]).await;
    let before = world.everything().await;
    hear(
        &world,
        &[own(2, "from the phone"), own(2, "from the phone")],
    )
    .await;
    assert_eq!(world.everything().await, before);
    assert_eq!(agents_messages(&world).await.len(), 1);
    let chat = world.get_chat(&world.as_service(), "7").await.unwrap();
    assert_eq!(chat.unanswered, 0, "it is an answer");
}

#[tokio::test]
async fn replies_reactions_edits_and_deletions_find_what_was_written_in_the_own_app() {
    let world = World::new().await;
    hear(&world, &[own(2, "from the phone"), own(3, "second")]).await;
    let mut reply = world.message("7", "4", at(4), "yes");
    if let Some(Kind::Message(message)) = reply.kind.as_mut() {
        message.reply = Some(common::ReplyReference {
            provider_key: "7/2".into(),
            ..Default::default()
        });
    }
    let reaction = Kind::Reaction(gateway::InboundReaction {
        provider_key: "7/2".into(),
        emojis: vec!["👍".into()],
    });
    let edit = |own_app| {
        let text = if own_app { "edited" } else { "forged" };
        Kind::Edit(gateway::InboundEdit {
            provider_key: "7/2".into(),
            message: Some(inbound_message("7/2", text)),
            sent_at: None,
            own_app,
        })
    };
    let deletion = Kind::Deletion(gateway::InboundDeletion {
        provider_keys: vec!["7/3".into()],
    });
    world
        .receive(&[
            reply,
            world.item("r", "7", at(5), reaction),
            world.item("e1", "7", at(6), edit(true)),
            world.item("e2", "7", at(7), edit(false)),
            world.item("d", "7", at(8), deletion),
        ])
        .await;
    let messages = agents_messages(&world).await;
    assert_eq!(text_of(&messages[0]), "edited", "by its own side only");
    assert_eq!(messages[0].reactions.len(), 1);
    assert!(messages[1].parts.is_empty() && messages[1].delete_time.is_some());
    let reply = &world.client_messages("7").await[0];
    assert_eq!(
        reply.reply.as_ref().unwrap().message_id,
        messages[0].message_id
    );
    assert_eq!(world.count("select count(*) from parked").await, 0);
}

#[tokio::test]
async fn an_album_of_the_own_app_is_one_message() {
    let world = World::new().await;
    let item = |number, text| gateway::OwnAppMessageReceived {
        album_key: "g1".into(),
        ..own(number, text)
    };
    hear(&world, &[item(2, "two")]).await;
    hear(&world, &[item(1, "one"), item(2, "two"), item(3, "three")]).await;
    let messages = agents_messages(&world).await;
    assert_eq!(messages.len(), 1);
    assert_eq!(
        (messages[0].parts.len(), text_of(&messages[0]).as_str()),
        (3, "one")
    );
}
