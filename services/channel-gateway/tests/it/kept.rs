//! What Instagram sent and is kept raw: comments of ours without a chat, items of a channel that is switched off, batches
//! that are too long; and what a replay makes of it.

use channel_gateway::app::connection;
use chassis::clock;
use chassis::consumer::{Delivery, Handler as _, HandlerError};
use prost::Message as _;
use serde_json::{Value, json};
use switchboard_proto::channel_gateway::v1::{
    InboundEvent, OwnAppMessageReceived, inbound_event::Kind,
};
use switchboard_proto::common::v1::PackItem;
use switchboard_proto::operator::v1::DeadLetter;
use switchboard_tests::meta::StandIn as Meta;

use crate::echoes::own_comment;
use crate::graph::Graph;
use crate::health::{IG_ACCOUNT, with_instagram};
use crate::learnt::{comment, instagram};
use crate::raw::delivery;
use crate::webhooks::{Gate, items};
use crate::world::{World, world};

fn event(item: &PackItem) -> InboundEvent {
    InboundEvent::decode(item.payload.clone()).unwrap()
}

fn unsupported(item: &PackItem) -> Option<String> {
    match event(item).kind {
        Some(Kind::Unsupported(unsupported)) => Some(unsupported.kind),
        _ => None,
    }
}

/// Items that are kept raw as this, as the consumer has them, each alone.
async fn kept(world: &World, kind: &str) -> Vec<Delivery> {
    let items = items(world).await;
    let kept = items
        .iter()
        .filter(|item| unsupported(item).as_deref() == Some(kind));
    kept.map(|item| delivery(world, item)).collect()
}

async fn alone(world: &World, item: &Delivery) -> Result<(), HandlerError> {
    let one = std::slice::from_ref(item);
    world.inbound().handle(one, clock::now()).await
}

/// What the customers of the account said, by the keys of the items.
async fn heard(world: &World) -> Vec<String> {
    let items = items(world).await;
    let events = items.iter().map(event);
    let messages = events.filter(|event| matches!(event.kind, Some(Kind::Message(_))));
    let mut keys: Vec<String> = messages.map(|event| event.event_key).collect();
    keys.sort();
    keys.dedup();
    keys
}

async fn letters(world: &World) -> Vec<DeadLetter> {
    let dead = world.streams.dead_letters();
    let stream = world.nats.jetstream.get_stream(dead).await.unwrap();
    let last = stream.get_info().await.unwrap().state.last_sequence;
    let mut letters = Vec::new();
    for sequence in 1..=last {
        let message = stream.get_raw_message(sequence).await.unwrap();
        letters.push(DeadLetter::decode(message.payload).unwrap());
    }
    letters
}

async fn hear(world: &World, item: Delivery) {
    world.inbound().handle(&[item], clock::now()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn x04_a_comment_of_ours_without_a_chat_stays_kept_until_its_chat_is_known_and_is_told_then()
{
    let mut world = world().await;
    let (_graph, channel) = Graph::connect(&mut world).await;
    let own = [
        own_comment("23", "Знижки!", None),
        own_comment("24", "Так, є", Some("17")),
    ];
    for entry in &own {
        hear(&world, instagram(&world, channel, entry)).await;
        // As a repeat of Meta's has it: it is kept once.
        hear(&world, instagram(&world, channel, entry)).await;
    }
    let mut kept = kept(&world, "own-comment-without-chat").await;
    // On which shard an item stands, its channel decides: here they are in the order of their keys.
    kept.sort_by_key(|item| item.decode_as::<InboundEvent>().unwrap().event_key);
    let [nobodys, answer] = <[Delivery; 2]>::try_from(kept).unwrap();
    let refused = HandlerError::Unsupported("unsupported: own-comment-without-chat".to_owned());
    for _ in 0..2 {
        for item in [&nobodys, &answer] {
            assert_eq!(alone(&world, item).await, Err(refused.clone()));
        }
    }
    assert_eq!(world.count("own-app-message.received").await, 0);
    assert_eq!(items(&world).await.len(), 2, "no replay keeps it anew");

    // What it answers was heard late.
    hear(
        &world,
        instagram(&world, channel, &comment("17", "77", "181", None)),
    )
    .await;
    for _ in 0..2 {
        assert_eq!(alone(&world, &answer).await, Ok(()));
        assert_eq!(alone(&world, &nobodys).await, Err(refused.clone()));
    }
    let events = world.events().await;
    let told: Vec<(String, String)> = events
        .into_iter()
        .filter(|(name, _)| name == "own-app-message.received")
        .map(|(_, payload)| OwnAppMessageReceived::decode(payload).unwrap())
        .map(|event| (event.provider_key, event.chat_key))
        .collect();
    assert_eq!(told, [("cmt:24".to_owned(), "77".to_owned())], "told once");
}

fn said(account: &str, mid: &str) -> Value {
    json!({ "id": account, "time": 1_790_764_802_000_u64, "messaging": [{
        "sender": { "id": "77" }, "recipient": { "id": account }, "timestamp": 1_790_764_802_000_u64,
        "message": { "mid": mid, "text": "hello" } }] })
}

/// Posts a body of these entries as Meta signs it.
async fn post(gate: &Gate, meta: &Meta, entries: &[Value]) -> u16 {
    let body = json!({ "object": "instagram", "entry": entries }).to_string();
    gate.meta(&body, &meta.sign(body.as_bytes())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn x04_a_channel_that_is_switched_off_keeps_its_own_items_of_a_batch_once_and_no_others() {
    let (mut world, meta, channel) = Box::pin(with_instagram("IGAA-first")).await;
    world.config.instagram.app_secret = "app-secret".into();
    let gate = Gate::open(&world).await;
    connection::disable(&world.app, &world.caller, channel, clock::now())
        .await
        .unwrap();
    let batch = [
        said(IG_ACCOUNT, "m1"),
        said("5", "other"),
        said(IG_ACCOUNT, "m2"),
    ];
    for _ in 0..2 {
        assert_eq!(post(&gate, &meta, &batch).await, 200);
    }
    let stored = items(&world).await;
    let mut ids: Vec<&str> = stored.iter().map(|item| item.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(
        (stored.len(), ids.len()),
        (4, 2),
        "a repeat has the same ids"
    );
    let mut raw = stored.iter().map(event).map(|event| event.raw);
    assert!(raw.all(|raw| !String::from_utf8_lossy(&raw).contains("other")));

    // All of them in one batch, as a busy consumer has them: as letters, each once.
    let mut batch = kept(&world, "channel-disabled").await;
    for (place, (item, stored)) in (1..).zip(batch.iter_mut().zip(&stored)) {
        item.envelope.id = stored.id.parse().unwrap();
        item.envelope.kind = chassis::envelope::INBOUND_TYPE.to_owned();
        item.origin.sequence = place;
    }
    world.inbound().handle(&batch, clock::now()).await.unwrap();
    let own = letters(&world).await;
    let own: Vec<&DeadLetter> = own.iter().filter(|it| !it.account.is_empty()).collect();
    assert_eq!(own.len(), 2);

    connection::enable(&world.app, &world.caller, channel, clock::now())
        .await
        .unwrap();
    for item in &batch {
        assert_eq!(alone(&world, item).await, Ok(()));
    }
    assert_eq!(heard(&world).await, ["msg:m1", "msg:m2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn x04_of_a_batch_that_is_too_long_all_is_taken_in_and_nothing_is_nobodys() {
    let (mut world, meta, _) = Box::pin(with_instagram("IGAA-first")).await;
    world.config.instagram.app_secret = "app-secret".into();
    let gate = Gate::open(&world).await;
    let entries: Vec<Value> = (0..1_500)
        .map(|number| said(IG_ACCOUNT, &format!("m{number}")))
        .collect();
    assert_eq!(post(&gate, &meta, &entries).await, 200);
    assert!(letters(&world).await.is_empty(), "all of it is known");
    assert_eq!(heard(&world).await.len(), 1_000);
    let rest = kept(&world, "batch").await;
    assert_eq!(rest.len(), 1);
    assert_eq!(alone(&world, &rest[0]).await, Ok(()));
    assert_eq!(heard(&world).await.len(), 1_500);
}
