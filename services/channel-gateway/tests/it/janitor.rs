//! Full streams, and what goes from them.

use std::time::Duration;

use async_nats::jetstream::consumer::pull::Config;
use async_nats::jetstream::stream::State;
use channel_gateway::tasks;
use chassis::janitor::{Janitor, Outcome};
use chassis::nats::{self, Declared, PublishError};
use futures::StreamExt as _;
use prost::Message as _;
use switchboard_proto::channel_gateway::v1::StreamRestarted;

use crate::world::{World, world};

const BOUND: u64 = 128 << 10;

/// A gateway whose streams hold about a hundred messages.
async fn tiny() -> (World, Janitor) {
    let mut world = world().await;
    world.config.nats.events_max_bytes = BOUND;
    world.config.nats.inbound_max_bytes = BOUND;
    let declared = [Declared::Inbound, Declared::Events];
    nats::declare(&world.nats, &world.streams, &world.config.nats, &declared)
        .await
        .unwrap();
    let janitor = tasks::janitor(&world.app, world.nats.clone(), world.streams.clone());
    (world, janitor)
}

impl World {
    async fn publish_a_kilobyte(&self, subject: &str) -> Result<(), PublishError> {
        let (subject, payload) = (subject.to_owned(), vec![0; 1_024].into());
        let headers = async_nats::HeaderMap::new();
        nats::publish(
            &self.nats,
            subject,
            headers,
            payload,
            Duration::from_secs(5),
        )
        .await
        .map(drop)
    }

    /// Publishes until the stream refuses; returns how often it did not.
    async fn fill(&self, subject: &str) -> u64 {
        let mut published = 0;
        let refused = loop {
            match self.publish_a_kilobyte(subject).await {
                Ok(()) => published += 1,
                Err(error) => break error,
            }
            assert!(published < 1_000, "the stream takes everything");
        };
        assert!(matches!(refused, PublishError::Full(_)), "{refused}");
        published
    }

    async fn consumer(&self, stream: &str, name: &str, filter: &str) {
        let config = Config {
            durable_name: Some(name.to_owned()),
            filter_subject: filter.to_owned(),
            ..Config::default()
        };
        self.nats
            .jetstream
            .create_consumer_on_stream(config, stream)
            .await
            .unwrap();
    }

    /// Acknowledges the next messages of a consumer.
    async fn acknowledge(&self, stream: &str, name: &str, count: usize) {
        let consumer: async_nats::jetstream::consumer::PullConsumer = self
            .nats
            .jetstream
            .get_consumer_from_stream(name, stream)
            .await
            .unwrap();
        // Not `fetch`, which takes what the broker has at hand: a consumer that was just made may have nothing yet.
        let fetched = consumer
            .batch()
            .max_messages(count)
            .expires(Duration::from_secs(10))
            .messages()
            .await;
        let acknowledged = fetched
            .unwrap()
            .fold(0, async |acknowledged, message| {
                message.unwrap().double_ack().await.unwrap();
                acknowledged + 1
            })
            .await;
        assert_eq!(acknowledged, count);
    }

    async fn state(&self, stream: &str) -> State {
        let stream = self.nats.jetstream.get_stream(stream).await.unwrap();
        stream.cached_info().state.clone()
    }

    async fn restarts(&self) -> Vec<StreamRestarted> {
        let events = self.events().await.into_iter();
        events
            .filter(|(kind, _)| kind == "stream.restarted")
            .map(|(_, payload)| StreamRestarted::decode(payload).unwrap())
            .collect()
    }
}

#[tokio::test]
async fn full_events_lose_only_what_all_services_acknowledged_and_who_is_overtaken_is_told() {
    let (world, janitor) = tiny().await;
    let events = world.streams.events();
    let kept = janitor.kept.iter().find(|kept| kept.stream == events);
    let kept = kept.unwrap();
    let subject =
        world
            .streams
            .event_subject(world.account.as_str(), "conversation", "chat", "created");
    let everything = subject.replace("conversation.chat.created", ">");
    world.consumer(&events, "shop", &everything).await;
    world.consumer(&events, "unbound", "").await;
    let quiet = subject.replace("conversation.chat.created", "crm-cards.card.created");
    world.consumer(&events, "quiet", &quiet).await;
    let (missing, others) = kept.own.split_last().unwrap();
    for durable in others {
        world.consumer(&events, durable, &subject).await;
    }
    let all = usize::try_from(world.fill(&subject).await).unwrap();
    assert!(all > 80, "{all}");
    for durable in others {
        world.acknowledge(&events, durable, all).await;
    }
    let outcome = janitor.tidy(kept).await.unwrap();
    assert_eq!(outcome, Outcome::Held(vec![(*missing).to_owned()]));

    // One service is slow: it holds what it did not acknowledge, even of what it was given.
    world.consumer(&events, missing, &subject).await;
    let outcome = janitor.tidy(kept).await.unwrap();
    assert_eq!(outcome, Outcome::Held(vec![(*missing).to_owned()]));
    assert_eq!(world.restarts().await, []);
    assert!(world.publish_a_kilobyte(&subject).await.is_err());
    world.acknowledge(&events, missing, 10).await;
    assert_eq!(janitor.tidy(kept).await.unwrap(), Outcome::Purged(10));
    let state = world.state(&events).await;
    assert_eq!(state.first_sequence, 11);
    let restarts = world.restarts().await;
    assert_eq!(restarts.len(), 1);
    assert_eq!(
        (restarts[0].stream.as_str(), restarts[0].first_sequence),
        (events.as_str(), 11)
    );
    assert_eq!(restarts[0].consumers, ["shop"]);
    let first_time = chassis::grpc::timestamp(state.first_timestamp);
    assert_eq!(restarts[0].first_time, Some(first_time));
    world.publish_a_kilobyte(&subject).await.unwrap();

    // All have caught up: down to 60 %, and who has read that much is told nothing.
    let more = usize::try_from(world.fill(&subject).await).unwrap() + 1;
    for durable in others {
        world.acknowledge(&events, durable, more).await;
    }
    world.acknowledge(&events, missing, all - 10 + more).await;
    world.acknowledge(&events, "shop", 60).await;
    janitor.round().await;
    let state = world.state(&events).await;
    #[expect(clippy::cast_precision_loss, reason = "a ratio")]
    let fill = state.bytes as f64 / BOUND as f64;
    assert!((0.57..=0.6).contains(&fill), "{fill}");
    assert_eq!(world.restarts().await.len(), 1);
    assert_eq!(janitor.tidy(kept).await.unwrap(), Outcome::Kept);
    world.publish_a_kilobyte(&subject).await.unwrap();
}

#[tokio::test]
async fn full_inbound_loses_only_what_both_consumers_acknowledged() {
    let (world, janitor) = tiny().await;
    let (stream, subject) = (world.streams.inbound(1), world.streams.inbound_subject(1));
    let kept = janitor.kept.iter().find(|kept| kept.stream == stream);
    let kept = kept.unwrap();
    for durable in kept.own {
        world.consumer(&stream, durable, &subject).await;
    }
    world.fill(&subject).await;
    world.acknowledge(&stream, kept.own[0], 20).await;
    let outcome = janitor.tidy(kept).await.unwrap();
    assert_eq!(outcome, Outcome::Held(vec![kept.own[1].to_owned()]));
    world.acknowledge(&stream, kept.own[1], 7).await;
    assert_eq!(janitor.tidy(kept).await.unwrap(), Outcome::Purged(7));
    assert_eq!(world.state(&stream).await.first_sequence, 8);
    world.publish_a_kilobyte(&subject).await.unwrap();
    assert_eq!(world.restarts().await, []);
}

#[tokio::test]
async fn one_replica_tidies_at_a_time() {
    let (world, janitor) = tiny().await;
    let stream = world.streams.inbound(0);
    let kept = janitor.kept.iter().find(|kept| kept.stream == stream);
    world.fill(&world.streams.inbound_subject(0)).await;
    let mut other = world.app.pool.begin().await.unwrap();
    sqlx::query("select pg_advisory_xact_lock(x'73626a616e69746f'::bigint)")
        .execute(&mut *other)
        .await
        .unwrap();
    assert_eq!(janitor.tidy(kept.unwrap()).await.unwrap(), Outcome::Locked);
    other.rollback().await.unwrap();
    assert!(matches!(
        janitor.tidy(kept.unwrap()).await.unwrap(),
        Outcome::Held(_)
    ));
}

#[tokio::test]
async fn a_service_that_wants_few_events_does_not_hold_the_others() {
    let (world, janitor) = tiny().await;
    let events = world.streams.events();
    let kept = janitor.kept.iter().find(|kept| kept.stream == events);
    let kept = kept.unwrap();
    let account = world.account.as_str();
    let subject = |event| {
        let streams = &world.streams;
        streams.event_subject(account, "conversation", "chat", event)
    };
    for durable in kept.own {
        world
            .consumer(&events, durable, &subject("transferred"))
            .await;
    }
    world
        .publish_a_kilobyte(&subject("transferred"))
        .await
        .unwrap();
    for durable in kept.own {
        world.acknowledge(&events, durable, 1).await;
    }
    world.fill(&subject("created")).await;
    let outcome = janitor.tidy(kept).await.unwrap();
    assert!(
        matches!(outcome, Outcome::Purged(purged) if purged > 30),
        "{outcome:?}"
    );

    // What one of them is meant to get holds from there on.
    world
        .publish_a_kilobyte(&subject("transferred"))
        .await
        .unwrap();
    let last = world.state(&events).await.last_sequence;
    for _ in 0..5 {
        world.fill(&subject("created")).await;
        janitor.round().await;
    }
    assert_eq!(world.state(&events).await.first_sequence, last);
}

#[tokio::test]
async fn o28_a_stream_that_ends_before_where_it_had_ended_is_told_and_kept_in_mind() {
    let (world, janitor) = tiny().await;
    let inbound = world.streams.inbound(0);
    let kept = janitor.kept.iter().find(|kept| kept.stream == inbound);
    let kept = kept.unwrap();
    let subject = world.streams.inbound_subject(0);
    let told = async || {
        let recorder = chassis::testing::recorder();
        let counted = metrics::set_default_local_recorder(&recorder);
        janitor.tidy(kept).await.unwrap();
        drop(counted);
        let told = recorder.handle().render();
        let named = format!("inbound_sequence_regressed{{stream=\"{inbound}\"}} ");
        let line = told.lines().find_map(|line| line.strip_prefix(&named));
        line.unwrap().to_owned()
    };
    for _ in 0..5 {
        world.publish_a_kilobyte(&subject).await.unwrap();
    }
    assert_eq!(told().await, "0");
    assert_eq!(told().await, "0", "nothing came, nothing went");
    let jetstream = &world.nats.jetstream;
    let stream = jetstream.get_stream(&inbound).await.unwrap();
    stream.purge().await.unwrap();
    assert_eq!(told().await, "0", "what is purged has been read");

    // A broker that was restored from yesterday.
    jetstream.delete_stream(&inbound).await.unwrap();
    let declared = [Declared::Inbound];
    nats::declare(&world.nats, &world.streams, &world.config.nats, &declared)
        .await
        .unwrap();
    world.publish_a_kilobyte(&subject).await.unwrap();
    assert_eq!(told().await, "1");
    for _ in 0..9 {
        world.publish_a_kilobyte(&subject).await.unwrap();
    }
    assert_eq!(told().await, "1", "it does not grow over");
}
