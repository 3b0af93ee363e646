//! Raw items that are too large to travel: kept in the object store, referred to, read back.

use channel_gateway::app::{accept, connection};
use chassis::clock;
use chassis::consumer::{Delivery, Handler as _, HandlerError, Origin};
use prost::Message as _;
use serde_json::{Value, json};
use switchboard_proto::channel_gateway::v1::{InboundEvent, inbound_event::Kind};
use switchboard_proto::common::v1::PackItem;
use switchboard_proto::conversation::v1::MessageQueued;
use switchboard_proto::operator::v1::DeadLetter;

use crate::webhooks::{Gate, items};
use crate::world::{World, world};

/// An update with a field of 900 KiB beside what it says.
fn large(mut update: Value) -> Vec<u8> {
    update["padding"] = Value::from("x".repeat(900 * 1024));
    update.to_string().into_bytes()
}

fn event(item: &PackItem) -> InboundEvent {
    InboundEvent::decode(item.payload.clone()).unwrap()
}

/// An item as the consumer has it.
pub fn delivery(world: &World, item: &PackItem) -> Delivery {
    let mut delivery = world.delivery(&MessageQueued::default());
    delivery.payload = item.payload.clone();
    delivery.origin = Origin {
        stream: "INBOUND_0".to_owned(),
        sequence: 1,
        index: 0,
    };
    delivery
}

fn files(folder: &std::path::Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries
        .map(|entry| {
            if entry.file_type().unwrap().is_dir() {
                files(&entry.path())
            } else {
                1
            }
        })
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn x04_a_large_update_that_is_not_understood_is_kept_and_referred_to_under_one_key() {
    let world = world().await;
    let gate = Gate::open(&world).await;
    let (channel, secret) = (world.channel.to_string(), world.secret());
    let update = large(json!({ "update_id": 5, "hologram": {} }));
    for _ in 0..2 {
        assert_eq!(gate.status(&channel, &secret, update.clone()).await, 200);
    }
    let items = items(&world).await;
    let events: Vec<InboundEvent> = items.iter().map(event).collect();
    assert_eq!(events.len(), 2);
    assert!(items.iter().all(|item| item.payload.len() < 1_000));
    assert_eq!(events[0].raw_ref, events[1].raw_ref);
    assert_eq!(files(&world.config.files.folder), 1);
    let known = world.app.book.get(world.channel).unwrap();
    let raw = accept::raw_of(&world.store(), &known, &events[0]).await;
    assert_eq!(raw.unwrap(), update);
    // What is not an account's own is not read for it.
    let mut foreign = events[0].clone();
    foreign.raw_ref = foreign.raw_ref.replacen(world.account.as_str(), "other", 1);
    assert!(
        accept::raw_of(&world.store(), &known, &foreign)
            .await
            .is_err()
    );

    let alone = world
        .inbound()
        .handle(&[delivery(&world, &items[0])], clock::now())
        .await;
    assert_eq!(
        alone,
        Err(HandlerError::Unsupported(
            "unsupported: hologram".to_owned()
        ))
    );
    let pair = items.iter().map(|item| delivery(&world, item));
    let batch: Vec<Delivery> = pair.collect();
    world.inbound().handle(&batch, clock::now()).await.unwrap();
    let dead = world.streams.dead_letters();
    let stream = world.nats.jetstream.get_stream(dead).await.unwrap();
    let letter = stream.get_raw_message(1).await.unwrap();
    let letter = DeadLetter::decode(letter.payload).unwrap();
    let kept = InboundEvent::decode(letter.payload).unwrap();
    assert_eq!(kept.raw_ref, events[0].raw_ref);
}

#[tokio::test(flavor = "multi_thread")]
async fn x04_a_large_update_that_was_kept_raw_is_replayed_once_it_can_be_understood() {
    let world = world().await;
    let gate = Gate::open(&world).await;
    let (channel, secret) = (world.channel.to_string(), world.secret());
    let now = clock::now();
    connection::disable(&world.app, &world.caller, world.channel, now)
        .await
        .unwrap();
    let person = json!({ "id": 23, "first_name": "A", "type": "private" });
    let message = json!({ "message_id": 1, "from": person, "chat": person, "date": 1_790_764_802, "text": "hi" });
    let update = large(json!({ "update_id": 6, "message": message }));
    assert_eq!(gate.status(&channel, &secret, update).await, 200);
    let kept = items(&world).await.remove(0);
    assert!(matches!(event(&kept).kind, Some(Kind::Unsupported(_))));

    connection::enable(&world.app, &world.caller, world.channel, now)
        .await
        .unwrap();
    world
        .inbound()
        .handle(&[delivery(&world, &kept)], now)
        .await
        .unwrap();
    let mut read = items(&world).await;
    let read = read.iter_mut().map(|item| event(item));
    let read = read.filter(|event| matches!(event.kind, Some(Kind::Message(_))));
    let references: Vec<String> = read.map(|event| event.raw_ref).collect();
    assert_eq!(references, [event(&kept).raw_ref]);
    assert_eq!(files(&world.config.files.folder), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn x07_while_the_object_store_is_away_large_updates_are_answered_503_and_small_ones_200() {
    let world = world().await;
    let gate = Gate::open(&world).await;
    let (channel, secret) = (world.channel.to_string(), world.secret());
    // Where the account's folder belongs stands a file.
    let place = world.config.files.folder.join(world.account.as_str());
    std::fs::write(&place, b"").unwrap();
    let update = large(json!({ "update_id": 7, "hologram": {} }));
    let (status, again, _) = gate.post(&channel, &secret, update.clone()).await;
    assert_eq!((status, again.as_deref()), (503, Some("1")));
    let small = json!({ "update_id": 8, "hologram": {} }).to_string();
    assert_eq!(
        gate.status(&channel, &secret, small.into_bytes()).await,
        200
    );
    std::fs::remove_file(&place).unwrap();
    assert_eq!(gate.status(&channel, &secret, update).await, 200);
    assert_eq!(items(&world).await.len(), 2);
}
