//! From the outbox to EVENTS.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chassis::actor::Actor;
use chassis::clock;
use chassis::config::{self, RelayMode};
use chassis::envelope::Envelope;
use chassis::id;
use chassis::nats::PublishError;
use chassis::outbox::{self, Relay, Waker};
use chassis::relay::{RelayError, Round};
use prost::Message as _;
use switchboard_proto::conversation::v1::ChatCreated;
use uuid::Uuid;

use crate::world::{SERVICE, World, eventually};

const MODES: [RelayMode; 2] = [RelayMode::Singly, RelayMode::Batched];

fn relay(world: &World, mode: RelayMode) -> Relay {
    relay_of(world, mode, 256)
}

fn relay_of(world: &World, mode: RelayMode, batch: usize) -> Relay {
    let config = config::Relay {
        mode,
        batch,
        ..config::Relay::default()
    };
    Relay::new(
        world.pool().clone(),
        world.nats.clone(),
        world.streams.clone(),
        config,
        Waker::new(),
    )
}

/// Subject, sequence and chat id of everything in EVENTS.
async fn published(world: &World) -> Vec<(String, u64, String)> {
    let stored = world.stored(&world.streams.events()).await;
    let read = stored.into_iter().map(|message| {
        let envelope = Envelope::parse(&message.subject, &message.headers).unwrap();
        assert_eq!(envelope.account, world.account);
        assert_eq!(
            (envelope.entity.as_str(), envelope.event.as_str()),
            ("chat", "created")
        );
        let chat = ChatCreated::decode(message.payload).unwrap();
        (envelope.subject_id, envelope.sequence, chat.chat_id)
    });
    read.collect()
}

async fn left(world: &World) -> i64 {
    sqlx::query_scalar("select coalesce(sum(event_count), 0)::bigint from chassis.outbox")
        .fetch_one(world.pool())
        .await
        .unwrap()
}

fn expected(runs: &[(&str, u64, std::ops::Range<u32>)]) -> Vec<(String, u64, String)> {
    let events = runs.iter().flat_map(|(subject, first, numbers)| {
        (*first..)
            .zip(numbers.clone())
            .map(|(sequence, number)| ((*subject).to_owned(), sequence, number.to_string()))
    });
    events.collect()
}

#[tokio::test]
async fn committed_events_are_published_in_order_in_both_modes() {
    for mode in MODES {
        let world = World::new().await;
        world.write("chat-a", 0..3).await;
        world.write("chat-b", 3..40).await;
        world.write("chat-a", 40..41).await;
        let round = relay(&world, mode).round().await.unwrap();
        assert_eq!(
            round,
            Round::Published {
                events: 41,
                full: false
            },
            "{mode:?}"
        );
        let expected = expected(&[
            ("chat-a", 1, 0..3),
            ("chat-b", 1, 3..40),
            ("chat-a", 4, 40..41),
        ]);
        assert_eq!(published(&world).await, expected, "{mode:?}");
        assert_eq!(left(&world).await, 0);
        world.finish().await;
    }
}

#[tokio::test]
async fn an_event_carries_its_envelope_and_trace() {
    let world = World::new().await;
    let cause = Uuid::from_u128(6);
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let event = world
        .event("chat-a", 1)
        .actor(Actor::Rule("round-robin".into()))
        .cause(cause)
        .trace(chassis::trace::TraceContext::parse(traceparent));
    let (id, now) = (event.id(), clock::now());
    let mut connection = world.pool().acquire().await.unwrap();
    outbox::write(&mut connection, SERVICE, vec![event], now)
        .await
        .unwrap();
    drop(connection);
    relay(&world, RelayMode::Singly).round().await.unwrap();
    let stored = world.stored(&world.streams.events()).await;
    let [message] = stored.as_slice() else {
        panic!("one message")
    };
    let envelope = Envelope::parse(&message.subject, &message.headers).unwrap();
    assert_eq!(
        (envelope.id, envelope.time, envelope.cause),
        (id, now, Some(cause))
    );
    assert_eq!(envelope.actor, Some(Actor::Rule("round-robin".into())));
    assert_eq!(envelope.trace.traceparent().as_deref(), Some(traceparent));
    assert_eq!(envelope.kind, "switchboard.conversation.v1.ChatCreated");
    world.finish().await;
}

#[tokio::test]
async fn a_round_that_takes_too_long_deletes_what_was_acknowledged_and_the_next_goes_on() {
    // Batches are looked at the clock for once, single events once for each, and once for their batch.
    for (mode, asks, expected_events) in [(RelayMode::Batched, 2, 16), (RelayMode::Singly, 6, 5)] {
        let world = World::new().await;
        world.write("chat-a", 0..30).await;
        let relay = relay_of(&world, mode, 8);
        let mut asked = 0;
        let mut over = || {
            asked += 1;
            asked > asks
        };
        let round = relay.round_until(&mut over).await.unwrap();
        let published_then = Round::Published {
            events: expected_events,
            full: true,
        };
        assert_eq!(round, published_then, "{mode:?}");
        assert_eq!(published(&world).await.len(), expected_events, "{mode:?}");
        let rest = i64::try_from(30 - expected_events).unwrap();
        assert_eq!(left(&world).await, rest, "{mode:?}");
        while left(&world).await > 0 {
            relay.round().await.unwrap();
        }
        assert_eq!(published(&world).await, expected(&[("chat-a", 1, 0..30)]));
        world.finish().await;
    }
}

#[tokio::test]
async fn a_relay_killed_between_publish_and_commit_doubles_nothing() {
    for mode in MODES {
        let world = World::new().await;
        world.write("chat-a", 0..20).await;
        world.write("chat-b", 20..45).await;
        sqlx::query("create table kept as select * from chassis.outbox")
            .execute(world.pool())
            .await
            .unwrap();
        relay(&world, mode).round().await.unwrap();
        // As if the transaction that deletes had never committed; meanwhile more was written.
        sqlx::query("insert into chassis.outbox overriding system value select * from kept")
            .execute(world.pool())
            .await
            .unwrap();
        world.write("chat-a", 45..60).await;
        let round = relay(&world, mode).round().await.unwrap();
        assert_eq!(
            round,
            Round::Published {
                events: 60,
                full: false
            },
            "{mode:?}"
        );
        let expected = expected(&[
            ("chat-a", 1, 0..20),
            ("chat-b", 1, 20..45),
            ("chat-a", 21, 45..60),
        ]);
        assert_eq!(published(&world).await, expected, "{mode:?}");
        assert_eq!(left(&world).await, 0);
        world.finish().await;
    }
}

#[tokio::test]
async fn the_broker_takes_batches_and_refuses_one_that_repeats_an_event() {
    let world = World::new().await;
    world.write("chat-a", 0..20).await;
    relay(&world, RelayMode::Batched).round().await.unwrap();
    let stored = world.stored(&world.streams.events()).await;
    let batch = stored[0].headers.get("Nats-Batch-Id").unwrap();
    assert!(
        stored
            .iter()
            .all(|message| message.headers.get("Nats-Batch-Id") == Some(batch))
    );
    // What the relay falls back on one event after the other.
    let mut headers = stored[7].headers.clone();
    headers.insert("Nats-Batch-Id", "another");
    headers.insert("Nats-Batch-Sequence", "1");
    headers.insert("Nats-Batch-Commit", "1");
    let subject = stored[7].subject.to_string();
    let repeated = chassis::nats::publish(
        &world.nats,
        subject,
        headers,
        "x".into(),
        Duration::from_secs(5),
    )
    .await;
    assert!(
        matches!(repeated, Err(PublishError::Refused { code: 10201, .. })),
        "{repeated:?}"
    );
    world.finish().await;
}

#[tokio::test]
async fn a_transaction_of_many_events_takes_rows_of_a_thousand_and_stays_in_order() {
    let world = World::new().await;
    world.write("chat-a", 0..2_345).await;
    let rows: i64 = sqlx::query_scalar("select count(*) from chassis.outbox")
        .fetch_one(world.pool())
        .await
        .unwrap();
    assert_eq!(rows, 3);
    let relay = relay_of(&world, RelayMode::Batched, 100);
    while left(&world).await > 0 {
        relay.round().await.unwrap();
    }
    assert_eq!(
        published(&world).await,
        expected(&[("chat-a", 1, 0..2_345)])
    );
    world.finish().await;
}

#[tokio::test]
async fn sequences_have_no_gaps_under_concurrent_writers_and_rollbacks() {
    let world = World::new().await;
    let waker = Relay::spawn(
        &world.lifecycle,
        world.pool().clone(),
        world.nats.clone(),
        world.streams.clone(),
        config::Relay {
            mode: RelayMode::Batched,
            ..config::Relay::default()
        },
    );
    let writers = (0..6_u32).map(|writer| {
        let (world, waker) = (&world, waker.clone());
        async move {
            for turn in 0..40_u32 {
                let mut transaction = world.pool().begin().await.unwrap();
                // Two subjects of five, in an order that would deadlock if it were not sorted.
                let subjects = [(writer + turn) % 5, (writer * 3 + turn * 2 + 1) % 5];
                let events = subjects
                    .iter()
                    .map(|s| world.event(&format!("chat-{s}"), turn))
                    .collect();
                outbox::write(&mut transaction, SERVICE, events, clock::now())
                    .await
                    .unwrap();
                if turn % 7 == 3 {
                    transaction.rollback().await.unwrap();
                } else {
                    transaction.commit().await.unwrap();
                    waker.wake();
                }
            }
        }
    });
    futures::future::join_all(writers).await;
    eventually("the outbox is emptied", async || left(&world).await == 0).await;
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    let published = published(&world).await;
    assert_eq!(published.len(), 6 * 2 * (40 - 6));
    for (subject, sequence, _) in published {
        let last = last.entry(subject.clone()).or_default();
        assert_eq!(sequence, *last + 1, "{subject}");
        *last = sequence;
    }
    world.finish().await;
}

#[tokio::test]
async fn two_relays_take_turns_and_keep_the_order() {
    let world = World::new().await;
    for _ in 0..2 {
        Relay::spawn(
            &world.lifecycle,
            world.pool().clone(),
            world.nats.clone(),
            world.streams.clone(),
            config::Relay {
                mode: RelayMode::Batched,
                batch: 10,
                ..config::Relay::default()
            },
        );
    }
    for turn in 0..30 {
        world.write("chat-a", turn * 10..turn * 10 + 10).await;
    }
    eventually("the outbox is emptied", async || left(&world).await == 0).await;
    assert_eq!(published(&world).await, expected(&[("chat-a", 1, 0..300)]));
    world.finish().await;
}

#[tokio::test]
async fn a_full_stream_refuses_and_nothing_is_dropped() {
    for mode in MODES {
        let world = World::bounded(64 << 10, 1).await;
        world.write("chat-a", 0..400).await;
        let relay = relay_of(&world, mode, 50);
        let refused = loop {
            match relay.round().await {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert!(
            matches!(refused, RelayError::Publish(PublishError::Full(_))),
            "{refused}"
        );
        let stored = published(&world).await;
        assert!(!stored.is_empty());
        assert_eq!(
            left(&world).await,
            400 - i64::try_from(stored.len()).unwrap(),
            "{mode:?}"
        );
        let stream = world
            .nats
            .jetstream
            .get_stream(world.streams.events())
            .await
            .unwrap();
        let mut all = stored;
        while left(&world).await > 0 {
            stream.purge().await.unwrap();
            let _ = relay.round().await;
            all.extend(published(&world).await);
        }
        assert_eq!(all, expected(&[("chat-a", 1, 0..400)]), "{mode:?}");
        world.finish().await;
    }
}

#[tokio::test]
async fn a_single_event_is_published_at_once() {
    let world = World::new().await;
    let waker = Relay::spawn(
        &world.lifecycle,
        world.pool().clone(),
        world.nats.clone(),
        world.streams.clone(),
        config::Relay {
            mode: RelayMode::Batched,
            ..config::Relay::default()
        },
    );
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut slowest = Duration::ZERO;
    for number in 0..10 {
        let begun = Instant::now();
        world.write("chat-a", number..number + 1).await;
        waker.wake();
        eventually("the outbox is emptied", async || left(&world).await == 0).await;
        slowest = slowest.max(begun.elapsed());
    }
    // Far below the poll: it was woken.
    assert!(slowest < Duration::from_millis(500), "{slowest:?}");
    world.finish().await;
}

/// Figures for the choice of a mode: `cargo test -p chassis --test broker -- --ignored --nocapture measure`.
#[tokio::test]
#[ignore = "a measurement"]
async fn measure_the_relay() {
    for (mode, batch, events) in [
        (RelayMode::Singly, 256, 2_000),
        (RelayMode::Batched, 64, 10_000),
        (RelayMode::Batched, 256, 20_000),
    ] {
        let world = World::bounded(64 << 20, 1).await;
        for first in (0..events).step_by(50) {
            world
                .write(&id::v7(clock::now()).to_string(), first..first + 50)
                .await;
        }
        let relay = relay_of(&world, mode, batch);
        let begun = Instant::now();
        while left(&world).await > 0 {
            relay.round().await.unwrap();
        }
        println!(
            "{mode:?} {batch}: {:.0} events/s",
            f64::from(events) / begun.elapsed().as_secs_f64()
        );
        world.finish().await;
    }
}
