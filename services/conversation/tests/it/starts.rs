//! Deep links by which clients come (D30, F122).

use switchboard_proto::channel_gateway::v1::{self as gateway, inbound_event::Kind};
use switchboard_proto::common::v1::ChannelKind;
use switchboard_proto::conversation::v1 as pb;
use time::OffsetDateTime;

use crate::world::{World, at};

fn viber(item: gateway::InboundEvent) -> gateway::InboundEvent {
    gateway::InboundEvent {
        channel_kind: ChannelKind::ViberBot.into(),
        ..item
    }
}

fn start(world: &World, event: &str, time: OffsetDateTime, payload: &str) -> gateway::InboundEvent {
    let kind = Kind::Start(gateway::InboundStart {
        payload: payload.into(),
    });
    viber(world.item(event, "7", time, kind))
}

fn message(world: &World, key: &str, time: OffsetDateTime) -> gateway::InboundEvent {
    viber(world.message("7", key, time, "hello"))
}

async fn payloads(world: &World) -> Vec<String> {
    let opened = world.events_of::<pb::ConversationOpened>().await;
    opened
        .into_iter()
        .map(|event| event.start_payload)
        .collect()
}

async fn open_payload(world: &World) -> String {
    let chat = world.get_chat(&world.as_service(), "7").await.unwrap();
    chat.open_conversation.unwrap().start_payload
}

#[tokio::test]
async fn d30_f122_a_payload_waits_for_the_conversation_that_is_opened_next() {
    for together in [false, true] {
        let world = World::new().await;
        let items = [
            start(&world, "s1", at(1), "ad_autumn"),
            message(&world, "1", at(5)),
        ];
        if together {
            // In either order of one batch.
            let mut turned = items.clone();
            turned.reverse();
            world.receive(&turned).await;
        } else {
            world.receive(&items[..1]).await;
            assert_eq!(
                world.count("select count(*) from chat").await,
                0,
                "a chat begins when its client writes"
            );
            world.receive(&items[1..]).await;
        }
        assert_eq!(payloads(&world).await, ["ad_autumn"]);
        assert_eq!(open_payload(&world).await, "ad_autumn");
        let created = world.events_of::<pb::ChatCreated>().await;
        assert_eq!(created.len(), 1);

        // A repeat, even after the end, is not another coming.
        world.close(&world.as_agent("ann"), "7").await.unwrap();
        let before = world.everything().await;
        world.receive(&items).await;
        assert_eq!(world.everything().await, before);
        world.receive(&[message(&world, "2", at(9))]).await;
        assert_eq!(payloads(&world).await, ["ad_autumn", ""]);
    }
}

#[tokio::test]
async fn d30_a_payload_that_comes_after_the_first_words_is_kept_with_the_open_conversation() {
    let world = World::new().await;
    world.receive(&[message(&world, "1", at(5))]).await;
    world
        .receive(&[start(&world, "s1", at(4), "ad_autumn")])
        .await;
    assert_eq!(open_payload(&world).await, "ad_autumn");
    // The first one stays with the conversation; history tells of each.
    world
        .receive(&[start(&world, "s2", at(6), "ad_winter")])
        .await;
    assert_eq!(open_payload(&world).await, "ad_autumn");
    let conversations: String = sqlx::query_scalar("select start_payload from conversation")
        .fetch_one(&world.db.pool)
        .await
        .unwrap();
    assert_eq!(conversations, "ad_autumn");
    let notices: Vec<String> = world
        .history("7")
        .await
        .into_iter()
        .filter_map(|message| message.system)
        .filter(|notice| notice.kind == "client.came")
        .map(|notice| notice.parameters["payload"].clone())
        .collect();
    assert_eq!(notices, ["ad_autumn", "ad_winter"]);
    let chat = world.get_chat(&world.as_service(), "7").await.unwrap();
    assert_eq!(chat.unanswered, 1, "nobody wrote");

    world.close(&world.as_agent("ann"), "7").await.unwrap();
    world.receive(&[message(&world, "2", at(9))]).await;
    assert_eq!(
        payloads(&world).await,
        ["", ""],
        "the next one begins without"
    );
    world.close(&world.as_agent("ann"), "7").await.unwrap();
    world
        .receive(&[start(&world, "s3", at(20), "ad_spring")])
        .await;
    world.receive(&[message(&world, "3", at(21))]).await;
    assert_eq!(payloads(&world).await, ["", "", "ad_spring"]);
}

#[tokio::test]
async fn d30_f122_a_payload_inside_a_message_opens_with_it_shows_on_it_and_waits_for_an_answer() {
    let world = World::new().await;
    let with = |key: &str, payload: &str| {
        let mut item = world.message("7", key, at(key.parse().unwrap()), "/start");
        if let Some(Kind::Message(message)) = item.kind.as_mut() {
            message.start_payload = payload.into();
        }
        item
    };
    world.receive(&[with("1", "lead_77")]).await;
    world.receive(&[with("2", "lead_78")]).await;
    assert_eq!(payloads(&world).await, ["lead_77"]);
    let shown: Vec<String> = world
        .client_messages("7")
        .await
        .into_iter()
        .map(|message| message.start_payload)
        .collect();
    assert_eq!(shown, ["lead_77", "lead_78"]);
    // Whoever came by a button waits to be greeted.
    let chat = world.get_chat(&world.as_service(), "7").await.unwrap();
    assert_eq!(chat.unanswered, 2);
}

#[tokio::test]
async fn what_is_empty_or_the_gateways_own_is_counted_and_leaves_nothing() {
    let world = World::new().await;
    let state = Kind::ProviderState(gateway::InboundProviderState {
        kind: "business_connection".into(),
        extension: bytes::Bytes::from_static(b"{}"),
    });
    let mut state = world.item("c", "7", at(2), state);
    state.client = None;
    world
        .receive(&[start(&world, "s1", at(1), ""), state])
        .await;
    assert_eq!(world.count("select count(*) from chat_start").await, 0);
    assert_eq!(world.count("select count(*) from chassis.outbox").await, 0);
}

#[tokio::test]
async fn d30_a_start_and_the_first_message_on_two_replicas_at_once_meet() {
    for _ in 0..10 {
        let world = World::new().await;
        let (link, words) = (
            [start(&world, "s1", at(1), "ad_autumn")],
            [message(&world, "1", at(5))],
        );
        let (one, other) = tokio::join!(
            world.try_receive(&link, at(9)),
            world.try_receive(&words, at(9)),
        );
        one.and(other).unwrap();
        assert_eq!(open_payload(&world).await, "ad_autumn");
    }
}

#[tokio::test]
async fn d30_a_continued_conversation_takes_the_payload_too() {
    let world = World::new().await;
    sqlx::query("insert into channel_rule values ($1, 'acme', 60)")
        .bind(world.channel)
        .execute(&world.db.pool)
        .await
        .unwrap();
    world.receive(&[message(&world, "1", at(5))]).await;
    world.close(&world.as_agent("ann"), "7").await.unwrap();
    world
        .receive(&[start(&world, "s1", at(6), "ad_autumn")])
        .await;
    let soon = chassis::clock::now();
    world
        .try_receive(&[message(&world, "2", at(7))], soon)
        .await
        .unwrap();
    assert_eq!(
        world.events_of::<pb::ConversationContinued>().await.len(),
        1
    );
    assert_eq!(open_payload(&world).await, "ad_autumn");
    assert_eq!(
        world
            .count("select count(*) from conversation where start_payload = 'ad_autumn'")
            .await,
        1
    );
    assert_eq!(
        world
            .count("select count(*) from chat_start where conversation_id is null")
            .await,
        0
    );
}
