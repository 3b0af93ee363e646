//! Handlers, their failures, and the dead letters.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use chassis::config::{self, RelayMode};
use chassis::consumer::{Delivery, Handler, HandlerError, HandlerRegistry};
use chassis::inbox;
use chassis::lifecycle::Lifecycle;
use chassis::operator::Operator;
use chassis::outbox::{Relay, Waker};
use sqlx::PgPool;
use switchboard_proto::operator::v1::operator_service_server::OperatorService as _;
use switchboard_proto::operator::v1::{
    DeadLetter, GetDeadLetterRequest, ListDeadLettersRequest, ReplayDeadLettersRequest,
};
use tonic::Request;

use crate::world::{CREATED, Recorder, SERVICE, World, eventually, numbers, text};

async fn publish(world: &World, numbers: std::ops::Range<u32>) {
    world.write("chat-a", numbers).await;
    let config = config::Relay {
        mode: RelayMode::Batched,
        ..config::Relay::default()
    };
    let relay = Relay::new(
        world.pool().clone(),
        world.nats.clone(),
        world.streams.clone(),
        config,
        Waker::new(),
    );
    relay.round().await.unwrap();
}

fn operator(world: &World, handlers: &[Arc<dyn Handler>]) -> Operator {
    let registry = Arc::new(HandlerRegistry::new());
    for handler in handlers {
        registry.add(Arc::clone(handler));
    }
    Operator::new(SERVICE, world.nats.clone(), world.streams.clone(), registry)
}

async fn letters(operator: &Operator, account: &str) -> Vec<DeadLetter> {
    let request = ListDeadLettersRequest {
        account: account.into(),
        ..ListDeadLettersRequest::default()
    };
    operator
        .list_dead_letters(Request::new(request))
        .await
        .unwrap()
        .into_inner()
        .dead_letters
}

#[tokio::test]
async fn poison_is_isolated_and_dead_lettered_while_the_rest_proceeds_and_is_replayed() {
    let world = World::new().await;
    publish(&world, 0..100).await;
    world.publish_garbage().await;
    publish(&world, 100..200).await;
    let healed = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let broken = Arc::clone(&healed);
    let recorder = Recorder::new("test-events", move |batch| {
        if !broken.load(Ordering::SeqCst) && batch.iter().any(|delivery| text(delivery) == "42") {
            return Err(HandlerError::Failed("42 is more than I can take".into()));
        }
        Ok(())
    });
    let begun = Instant::now();
    world
        .consumers(&world.lifecycle)
        .spawn_events(recorder.clone(), &CREATED);
    let handler: Arc<dyn Handler> = recorder.clone();
    let operator = operator(&world, std::slice::from_ref(&handler));
    eventually("both are dead letters", async || {
        letters(&operator, "").await.len() == 2
    })
    .await;
    println!("isolated within {:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(5));
    eventually("the rest is handled", async || {
        recorder.handled().len() == 199
    })
    .await;
    let mut expected = numbers(0..200);
    expected.remove("42");
    assert_eq!(recorder.distinct(), expected);

    let letters_now = letters(&operator, "").await;
    let failed = letters_now
        .iter()
        .find(|letter| !letter.event_id.is_empty())
        .unwrap();
    assert_eq!(
        (failed.error.as_str(), failed.attempts),
        ("42 is more than I can take", 5)
    );
    assert_eq!(
        (failed.consumer.as_str(), failed.service.as_str()),
        ("test-events", SERVICE)
    );
    assert_eq!(
        (failed.origin_stream.clone(), failed.origin_sequence),
        (world.streams.events(), 43)
    );
    assert_eq!(failed.account, world.account.as_str());
    assert!(failed.payload.is_empty() && failed.headers.contains_key("ce-id"));
    assert_eq!(letters(&operator, world.account.as_str()).await.len(), 1);
    let garbage = letters_now
        .iter()
        .find(|letter| letter.event_id.is_empty())
        .unwrap();
    let get = GetDeadLetterRequest {
        sequence: garbage.sequence,
    };
    let got = operator
        .get_dead_letter(Request::new(get))
        .await
        .unwrap()
        .into_inner()
        .dead_letter
        .unwrap();
    assert_eq!(
        (got.payload.as_ref(), got.attempts),
        (b"garbage".as_slice(), 0)
    );
    let missing = operator
        .get_dead_letter(Request::new(GetDeadLetterRequest { sequence: 99 }))
        .await;
    assert_eq!(missing.unwrap_err().code(), tonic::Code::NotFound);

    let replay = async || {
        let sequences = vec![failed.sequence, garbage.sequence];
        let request = Request::new(ReplayDeadLettersRequest { sequences });
        operator
            .replay_dead_letters(request)
            .await
            .unwrap()
            .into_inner()
            .outcomes
    };
    let outcomes = replay().await;
    assert!(
        !outcomes[0].handled && outcomes[0].error.contains("42"),
        "still broken"
    );
    healed.store(true, Ordering::SeqCst);
    let outcomes = replay().await;
    assert!(outcomes[0].handled, "{}", outcomes[0].error);
    assert!(!outcomes[1].handled && !outcomes[1].error.is_empty());
    assert_eq!(recorder.distinct(), numbers(0..200));
    let outcomes = replay().await;
    assert!(!outcomes[0].handled && outcomes[0].error.contains("replayed before"));
    assert_eq!(letters(&operator, "").await.len(), 1);
    assert_eq!(recorder.handled().len(), 200);
    world.finish().await;
}

#[tokio::test]
async fn lists_of_dead_letters_come_in_pages() {
    let world = World::new().await;
    publish(&world, 0..25).await;
    let recorder = Recorder::new("test-events", |batch| {
        batch[0].decode_as::<ThisIsNoEvent>().map(drop)
    });
    world
        .consumers(&world.lifecycle)
        .spawn_events(recorder, &CREATED);
    let operator = operator(&world, &[]);
    eventually("all are dead letters", async || {
        letters(&operator, "").await.len() == 25
    })
    .await;
    let (mut seen, mut page_token, mut pages) = (BTreeSet::new(), String::new(), 0);
    loop {
        let request = ListDeadLettersRequest {
            page_size: 10,
            page_token,
            account: String::new(),
        };
        let page = operator
            .list_dead_letters(Request::new(request))
            .await
            .unwrap()
            .into_inner();
        pages += 1;
        seen.extend(page.dead_letters.iter().map(|letter| letter.sequence));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!((seen.len(), pages), (25, 3));
    world.finish().await;
}

/// A message whose first field has another wire type than any event's.
#[derive(Clone, PartialEq, prost::Message)]
struct ThisIsNoEvent {
    #[prost(fixed64, tag = "1")]
    number: u64,
}

#[tokio::test]
async fn while_a_dependency_is_away_nothing_is_dead_lettered_and_the_service_is_not_ready() {
    let world = World::new().await;
    publish(&world, 0..50).await;
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let recorder = Recorder::new("test-events", move |_| {
        if counted.fetch_add(1, Ordering::SeqCst) < 8 {
            return Err(HandlerError::Away("the database".into()));
        }
        Ok(())
    });
    world
        .consumers(&world.lifecycle)
        .spawn_events(recorder.clone(), &CREATED);
    eventually("the dependency is missed", async || {
        world.ready.held() == [("test-events", "the database".to_owned())]
    })
    .await;
    eventually("all is handled", async || recorder.handled().len() == 50).await;
    assert_eq!(recorder.distinct(), numbers(0..50));
    eventually("the service is ready", async || world.ready.is_ready()).await;
    assert!(letters(&operator(&world, &[]), "").await.is_empty());
    world.finish().await;
}

#[tokio::test]
async fn bad_luck_is_tried_again_without_halving() {
    let world = World::new().await;
    publish(&world, 0..50).await;
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let recorder = Recorder::new("test-events", move |_| {
        match counted.fetch_add(1, Ordering::SeqCst) {
            0 | 1 => Err(HandlerError::Retry("deadlock".into())),
            2 => panic!("a handler that panics"),
            _ => Ok(()),
        }
    });
    world
        .consumers(&world.lifecycle)
        .spawn_events(recorder.clone(), &CREATED);
    eventually("all is handled", async || recorder.handled().len() == 50).await;
    assert_eq!(recorder.distinct(), numbers(0..50));
    assert!(letters(&operator(&world, &[]), "").await.is_empty());
    world.finish().await;
}

#[tokio::test]
async fn a_database_that_is_slow_for_long_is_waited_for() {
    let world = World::new().await;
    publish(&world, 0..1).await;
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let recorder = Recorder::new("test-events", move |_| {
        match counted.fetch_add(1, Ordering::SeqCst) {
            0..=6 => Err(HandlerError::Slow("statement timeout".into())),
            _ => Ok(()),
        }
    });
    world
        .consumers(&world.lifecycle)
        .spawn_events(recorder.clone(), &CREATED);
    eventually("all is handled", async || recorder.handled().len() == 1).await;
    eventually("the service is ready", async || world.ready.is_ready()).await;
    assert!(letters(&operator(&world, &[]), "").await.is_empty());
    world.finish().await;
}

#[tokio::test]
async fn at_the_stop_what_was_prefetched_is_handed_back_at_once() {
    let world = World::new().await;
    publish(&world, 0..600).await;
    publish(&world, 600..1_200).await;
    let first_life = Lifecycle::new();
    let stop = first_life.stop_token();
    let gate = Gate {
        durable: "test-events",
        stop,
        handled: AtomicUsize::new(0),
    };
    let gate = Arc::new(gate);
    world
        .consumers(&first_life)
        .spawn_events(gate.clone(), &CREATED);
    eventually("a batch is in hand", async || {
        gate.handled.load(Ordering::SeqCst) > 0
    })
    .await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    first_life.stop();
    first_life.drained(Duration::from_secs(10)).await.unwrap();
    let in_first_life = gate.handled.load(Ordering::SeqCst);
    assert!(in_first_life <= 512);

    let recorder = Recorder::new("test-events", |_| Ok(()));
    let begun = Instant::now();
    world
        .consumers(&world.lifecycle)
        .spawn_events(recorder.clone(), &CREATED);
    eventually("the rest is handled", async || {
        recorder.handled().len() >= 1_200 - in_first_life
    })
    .await;
    // Had it been left, it would come after ack_wait, ten seconds.
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(
        recorder.handled().len(),
        1_200 - in_first_life,
        "and nothing twice"
    );
    world.finish().await;
}

#[tokio::test]
async fn work_longer_than_the_brokers_patience_is_not_delivered_again() {
    let world = World::new().await;
    publish(&world, 0..600).await;
    publish(&world, 600..700).await;
    let life = Lifecycle::new();
    let stop = life.stop_token();
    let gate = Arc::new(Gate {
        durable: "test-events",
        stop,
        handled: AtomicUsize::new(0),
    });
    world.consumers(&life).spawn_events(gate.clone(), &CREATED);
    let recorder = Recorder::new("test-events", |_| Ok(()));
    eventually("a batch is in hand", async || {
        gate.handled.load(Ordering::SeqCst) > 0
    })
    .await;
    tokio::time::sleep(Duration::from_secs(12)).await;
    // A second replica gets nothing of what the first holds, though it does not acknowledge.
    world
        .consumers(&world.lifecycle)
        .spawn_events(recorder.clone(), &CREATED);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(recorder.handled().len(), 0);
    life.stop();
    let in_hand = gate.handled.load(Ordering::SeqCst);
    eventually("the rest is handed over", async || {
        recorder.handled().len() == 700 - in_hand
    })
    .await;
    world.finish().await;
}

/// Holds its first batch until the service stops, and finishes it then.
struct Gate {
    durable: &'static str,
    stop: tokio_util::sync::CancellationToken,
    handled: AtomicUsize,
}

#[tonic::async_trait]
impl Handler for Gate {
    fn durable(&self) -> &'static str {
        self.durable
    }

    async fn handle(
        &self,
        batch: &[Delivery],
        _now: time::OffsetDateTime,
    ) -> Result<(), HandlerError> {
        self.handled.fetch_add(batch.len(), Ordering::SeqCst);
        self.stop.cancelled().await;
        Ok(())
    }
}

/// Commits its work, then dies before the acknowledgement; a handler of the next life is told to live.
struct Mortal {
    pool: PgPool,
    dies: bool,
    committed: AtomicUsize,
}

#[tonic::async_trait]
impl Handler for Mortal {
    fn durable(&self) -> &'static str {
        "test-mortal"
    }

    async fn handle(
        &self,
        batch: &[Delivery],
        _now: time::OffsetDateTime,
    ) -> Result<(), HandlerError> {
        let ids: Vec<_> = batch.iter().map(|delivery| delivery.envelope.id).collect();
        let mut transaction = self.pool.begin().await?;
        let unseen = inbox::unseen(&mut transaction, self.durable(), &ids).await?;
        let count = i64::try_from(unseen.len()).unwrap();
        sqlx::query("update work set done = done + $1")
            .bind(count)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        self.committed.fetch_add(batch.len(), Ordering::SeqCst);
        if self.dies {
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}

#[tokio::test]
async fn what_comes_again_after_a_crash_is_recognised_by_the_inbox() {
    let world = World::new().await;
    sqlx::query("create table work as select 0::bigint as done")
        .execute(world.pool())
        .await
        .unwrap();
    publish(&world, 0..30).await;
    let mortal = |dies| {
        Arc::new(Mortal {
            pool: world.pool().clone(),
            dies,
            committed: AtomicUsize::new(0),
        })
    };
    let (first, second) = (mortal(true), mortal(false));
    let first_life = Lifecycle::new();
    world
        .consumers(&first_life)
        .spawn_events(first.clone(), &CREATED);
    eventually("a batch is committed", async || {
        first.committed.load(Ordering::SeqCst) > 0
    })
    .await;
    // Killed: nothing is handed back.
    first_life.abandon_token().cancel();

    world
        .consumers(&world.lifecycle)
        .spawn_events(second.clone(), &CREATED);
    eventually("all comes again", async || {
        second.committed.load(Ordering::SeqCst) == 30
    })
    .await;
    let done: i64 = sqlx::query_scalar("select done from work")
        .fetch_one(world.pool())
        .await
        .unwrap();
    assert_eq!(done, 30);
    world.finish().await;
}

#[tokio::test]
async fn the_inbox_forgets_after_seven_days() {
    let world = World::new().await;
    let ids: Vec<_> = (0..10).map(uuid::Uuid::from_u128).collect();
    let mut connection = world.pool().acquire().await.unwrap();
    assert_eq!(
        inbox::unseen(&mut connection, "a", &ids[..6])
            .await
            .unwrap(),
        ids[..6]
    );
    assert_eq!(
        inbox::unseen(&mut connection, "a", &ids).await.unwrap(),
        ids[6..]
    );
    assert_eq!(
        inbox::unseen(&mut connection, "b", &ids).await.unwrap(),
        ids
    );
    sqlx::query(
        "update chassis.inbox set seen_at = now() - interval '8 days' where consumer = 'a'",
    )
    .execute(&mut *connection)
    .await
    .unwrap();
    assert_eq!(
        inbox::purge(world.pool(), chassis::clock::now())
            .await
            .unwrap(),
        10
    );
    assert!(
        inbox::unseen(&mut connection, "b", &ids)
            .await
            .unwrap()
            .is_empty()
    );
    drop(connection);
    world.finish().await;
}

#[tokio::test]
async fn o3_6_a_paused_consumer_takes_nothing_until_its_time_has_come() {
    let world = World::new().await;
    let recorder = Recorder::new("test-events", |_| Ok(()));
    let other = Recorder::new("other-events", |_| Ok(()));
    let consumers = world.consumers(&world.lifecycle);
    consumers.spawn_events(recorder.clone(), &CREATED);
    publish(&world, 0..10).await;
    eventually("all is handled", async || recorder.distinct().len() == 10).await;

    let now = chassis::clock::now();
    let ends = now + time::Duration::HOUR;
    sqlx::query(
        "insert into chassis.pause (pause_id, kind, subject_id, name, account, began_at, ends_at, actor, reason)
         values (gen_random_uuid(), 'consumer', 'test-events', '', '', $1, $2, 'service:x', 'a test')",
    )
    .bind(now)
    .bind(ends)
    .execute(world.pool())
    .await
    .unwrap();
    world.pauses.refresh(world.pool(), now).await.unwrap();
    publish(&world, 10..20).await;
    // One that is not paused hears of them.
    consumers.spawn_events(other.clone(), &CREATED);
    eventually("another has them", async || other.distinct().len() == 20).await;
    assert_eq!(recorder.distinct(), numbers(0..10));
    assert!(
        world.ready.is_ready(),
        "whoever stopped it knows: {:?}",
        world.ready.held()
    );

    world.pauses.refresh(world.pool(), ends).await.unwrap();
    eventually("the rest is handled", async || {
        recorder.distinct() == numbers(0..20)
    })
    .await;
    world.lifecycle.stop();
}
