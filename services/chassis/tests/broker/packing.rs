//! Packs: from accepted items to INBOUND and its handlers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chassis::clock;
use chassis::consumer::{Handler, HandlerError, Heard};
use chassis::id::AccountSlug;
use chassis::packs::{PackError, PackItem, Packer, PackerConfig};
use chassis::testing;
use chassis::trace::TraceContext;
use prost::Message as _;
use switchboard_proto::common::v1::Pack;
use uuid::Uuid;

use crate::world::{Recorder, World, eventually, numbers};

fn item(account: &AccountSlug, key: &str, text: impl std::fmt::Display) -> PackItem {
    PackItem {
        account: account.clone(),
        key: key.to_owned(),
        payload: text.to_string().into_bytes().into(),
        trace: TraceContext::none(),
        id: None,
    }
}

async fn packs(world: &World, shard: usize) -> Vec<Vec<String>> {
    let stored = world.stored(&world.streams.inbound(shard)).await;
    let packs = stored.into_iter().map(|message| {
        let pack = Pack::decode(message.payload).unwrap();
        pack.items
            .into_iter()
            .map(|item| String::from_utf8(item.payload.to_vec()).unwrap())
            .collect()
    });
    packs.collect()
}

#[tokio::test]
async fn idle_means_packs_of_one_and_load_makes_them_grow_in_order() {
    let world = World::new().await;
    let packer = Packer::new(
        world.nats.clone(),
        world.streams.clone(),
        PackerConfig::default(),
    );
    for number in 0..3 {
        packer
            .send("key", vec![item(&world.account, "key", number)])
            .await
            .unwrap();
    }
    let sends =
        (3..1_000).map(|number| packer.send("key", vec![item(&world.account, "key", number)]));
    for sent in futures::future::join_all(sends).await {
        sent.unwrap();
    }
    let packs = packs(&world, 0).await;
    assert!(packs[..3].iter().all(|pack| pack.len() == 1));
    assert!(packs.len() < 40, "{} packs", packs.len());
    assert!(packs.iter().all(|pack| pack.len() <= 64));
    let all: Vec<String> = packs.into_iter().flatten().collect();
    assert_eq!(
        all,
        (0..1_000)
            .map(|number| number.to_string())
            .collect::<Vec<_>>()
    );
    world.finish().await;
}

#[tokio::test]
async fn a_request_over_several_shards_is_answered_after_all() {
    let world = World::bounded(1 << 20, 2).await;
    let packer = Packer::new(
        world.nats.clone(),
        world.streams.clone(),
        PackerConfig::default(),
    );
    let items = (0..20)
        .map(|number| item(&world.account, &format!("key-{number}"), number))
        .collect();
    packer.send_all(items).await.unwrap();
    let (first, second) = (
        packs(&world, 0).await.concat(),
        packs(&world, 1).await.concat(),
    );
    assert!(!first.is_empty() && !second.is_empty());
    assert_eq!(first.len() + second.len(), 20);
    world.finish().await;
}

#[tokio::test]
async fn too_much_too_large_and_a_missing_stream_are_told_apart() {
    let world = World::new().await;
    let small = PackerConfig {
        queue: 4,
        queue_per_account: 4,
        ..PackerConfig::default()
    };
    let packer = Packer::new(world.nats.clone(), world.streams.clone(), small);
    let five = (0..5)
        .map(|number| item(&world.account, "key", number))
        .collect();
    assert!(matches!(
        packer.send("key", five).await,
        Err(PackError::Full(_))
    ));
    let large = "x".repeat(2 << 20);
    let large = packer
        .send("key", vec![item(&world.account, "key", large)])
        .await;
    assert!(matches!(large, Err(PackError::TooLarge { .. })));
    world
        .nats
        .jetstream
        .delete_stream(world.streams.inbound(0))
        .await
        .unwrap();
    let begun = Instant::now();
    let away = packer
        .send("key", vec![item(&world.account, "key", 1)])
        .await;
    assert!(matches!(away, Err(PackError::Away(_))), "{away:?}");
    assert!(begun.elapsed() < Duration::from_secs(1));
    world
        .nats
        .jetstream
        .delete_stream(world.streams.events())
        .await
        .unwrap();
    world
        .nats
        .jetstream
        .delete_stream(world.streams.dead_letters())
        .await
        .unwrap();
}

#[tokio::test]
async fn packs_are_handled_item_by_item_with_ids_that_stay() {
    let world = World::bounded(1 << 20, 2).await;
    let packer = Packer::new(
        world.nats.clone(),
        world.streams.clone(),
        PackerConfig::default(),
    );
    let id = Uuid::from_u128(7);
    let (account, expected) = (world.account.clone(), id);
    let recorder = Recorder::new("test-inbound", move |batch| {
        for delivery in batch {
            assert_eq!(delivery.envelope.account, account);
            assert_eq!(delivery.envelope.event, "item");
            if delivery.payload.as_ref() == b"7" {
                assert_eq!(
                    (delivery.envelope.id, delivery.envelope.subject_id.as_str()),
                    (expected, "key-7")
                );
            }
        }
        Ok(())
    });
    let handler: Arc<dyn Handler> = recorder.clone();
    world.consumers(&world.lifecycle).spawn_inbound(&handler);
    let items = (0..300).map(|number| PackItem {
        id: (number == 7).then_some(id),
        ..item(&world.account, &format!("key-{number}"), number)
    });
    packer.send_all(items.collect()).await.unwrap();
    eventually("all items are handled", async || {
        recorder.handled().len() == 300
    })
    .await;
    assert_eq!(recorder.distinct(), numbers(0..300));
    world.finish().await;
}

#[tokio::test]
async fn large_packs_come_in_batches_of_bounded_size() {
    let world = World::new().await;
    let packer = Packer::new(
        world.nats.clone(),
        world.streams.clone(),
        PackerConfig::default(),
    );
    let large = "x".repeat(400 << 10);
    for _ in 0..100 {
        packer
            .send("key", vec![item(&world.account, "key", &large)])
            .await
            .unwrap();
    }
    let recorder = Recorder::new("test-inbound", |_| Ok(()));
    let handler: Arc<dyn Handler> = recorder.clone();
    world.consumers(&world.lifecycle).spawn_inbound(&handler);
    eventually("all are handled", async || {
        recorder.handled.lock().unwrap().len() == 100
    })
    .await;
    assert!(
        recorder
            .batches
            .lock()
            .unwrap()
            .iter()
            .all(|batch| *batch <= 10)
    );
    world.finish().await;
}

/// Figures: `cargo test -p chassis --test broker -- --ignored --nocapture measure`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn measure_packs() {
    for senders in [1_u32, 8, 64, 256] {
        let world = World::bounded(1 << 20, 2).await;
        let packer = Packer::new(
            world.nats.clone(),
            world.streams.clone(),
            PackerConfig::default(),
        );
        let begun = Instant::now();
        let each = 20_000 / senders.max(10);
        let tasks = (0..senders).map(|sender| {
            let (packer, account) = (packer.clone(), testing::fresh_account());
            tokio::spawn(async move {
                let mut slowest = Duration::ZERO;
                for _ in 0..each {
                    let begun = Instant::now();
                    let key = format!("key-{sender}");
                    packer
                        .send(&key, vec![item(&account, &key, "x".repeat(400))])
                        .await
                        .unwrap();
                    slowest = slowest.max(begun.elapsed());
                }
                slowest
            })
        });
        let slowest = futures::future::join_all(tasks)
            .await
            .into_iter()
            .map(Result::unwrap)
            .max()
            .unwrap();
        let rate = f64::from(each * senders) / begun.elapsed().as_secs_f64();
        println!("{senders} senders: {rate:.0} items/s, slowest {slowest:?}");
        let recorder = Recorder::new("test-inbound", |_| Ok(()));
        let handler: Arc<dyn Handler> = recorder.clone();
        let (begun, sent) = (Instant::now(), (each * senders) as usize);
        world.consumers(&world.lifecycle).spawn_inbound(&handler);
        eventually("all are handled", async || {
            recorder.handled.lock().unwrap().len() >= sent
        })
        .await;
        let rate = f64::from(each * senders) / begun.elapsed().as_secs_f64();
        let batches = recorder.batches.lock().unwrap().len();
        println!("  taken by a handler that does nothing: {rate:.0} items/s in {batches} batches");
        world.finish().await;
    }
}

#[tokio::test]
async fn how_far_inbound_items_have_been_heard_is_told_whatever_waits() {
    let world = World::bounded(1 << 20, 2).await;
    let packer = Packer::new(
        world.nats.clone(),
        world.streams.clone(),
        PackerConfig::default(),
    );
    let healed = Arc::new(AtomicBool::new(false));
    let away = Arc::clone(&healed);
    let recorder = Recorder::new("test-inbound", move |batch| {
        let refuses = batch
            .iter()
            .any(|delivery| delivery.payload.as_ref() == b"1");
        if refuses && !away.load(Ordering::SeqCst) {
            return Err(HandlerError::Away("the database".into()));
        }
        Ok(())
    });
    let handler: Arc<dyn Handler> = recorder.clone();
    let heard = Heard::new(world.nats.clone(), world.streams.clone(), &handler);
    world.consumers(&world.lifecycle).spawn_inbound(&handler);
    packer
        .send("key", vec![item(&world.account, "key", 0)])
        .await
        .unwrap();
    eventually("all is heard", async || {
        let now = clock::now();
        recorder.handled().len() == 1 && heard.until(now).await.unwrap() == now
    })
    .await;
    let before = clock::now();
    for number in 1..3 {
        let pack = vec![item(&world.account, "key", number)];
        packer.send("key", pack).await.unwrap();
    }
    let after = clock::now();
    eventually("something waits", async || {
        let until = heard.until(clock::now()).await.unwrap();
        (before..after).contains(&until)
    })
    .await;
    healed.store(true, Ordering::SeqCst);
    eventually("all is heard again", async || {
        let now = clock::now();
        heard.until(now).await.unwrap() == now
    })
    .await;
    assert_eq!(recorder.distinct(), numbers(0..3));
    world.finish().await;
}
