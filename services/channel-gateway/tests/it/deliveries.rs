//! Deliveries: order, fencing, pace.

use std::sync::Arc;
use std::time::Duration;

use chassis::testing;
use prost::Message as _;
use serde_json::json;
use switchboard_proto::channel_gateway::v1::channel_gateway_service_server::ChannelGatewayService as _;
use switchboard_proto::channel_gateway::v1::{DeliverySent, ListDeliveriesRequest};
use switchboard_proto::conversation::v1::MessageCancelled;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::bot::Answer;
use crate::refusals::no;
use crate::world::{eventually, world};

#[tokio::test(flavor = "multi_thread")]
async fn b03_answers_go_out_in_order_whatever_order_they_come_in() {
    let world = world().await;
    let replica = world.replica();
    for seq in [3, 1, 2, 2, 1] {
        world
            .queue([world.command(5, seq, &format!("m{seq}"))])
            .await;
    }
    world.until_states(5, &["sent", "sent", "sent"]).await;
    assert_eq!(world.bot.texts(), ["m1", "m2", "m3"]);
    let first = &world.bot.calls("sendMessage")[0];
    assert_eq!(
        (first.body["chat_id"].clone(), first.token.clone()),
        (json!(5), format!("bot{}", world.token))
    );
    eventually("events", async || world.count("delivery.sent").await == 3).await;
    let sent = world
        .events()
        .await
        .into_iter()
        .find(|(name, _)| name == "delivery.sent")
        .unwrap();
    let sent = DeliverySent::decode(sent.1).unwrap();
    assert!(sent.provider_key.starts_with("5:"), "{}", sent.provider_key);

    let request = ListDeliveriesRequest {
        chat_id: Uuid::from_u128(5).to_string(),
        page_size: 2,
        page_token: String::new(),
    };
    let page = world
        .api()
        .list_deliveries(testing::request(&world.caller, request.clone()))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        page.deliveries
            .iter()
            .map(|delivery| delivery.out_seq)
            .collect::<Vec<_>>(),
        [3, 2]
    );
    let rest = ListDeliveriesRequest {
        page_token: page.next_page_token,
        ..request.clone()
    };
    let rest = world
        .api()
        .list_deliveries(testing::request(&world.caller, rest))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (rest.deliveries.len(), rest.next_page_token.as_str()),
        (1, "")
    );
    let stranger =
        testing::service_caller(Some(&testing::fresh_account()), "x", &["chats:read"], None);
    let none = world
        .api()
        .list_deliveries(testing::request(&stranger, request))
        .await
        .unwrap()
        .into_inner();
    assert!(none.deliveries.is_empty());
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_dispatchers_send_nothing_twice_and_keep_each_chats_order() {
    let world = world().await;
    let (one, two) = (world.replica(), world.replica());
    for seq in 1..=10 {
        world
            .queue((1..=20).map(|chat| world.command(chat, seq, &format!("{chat}/{seq}"))))
            .await;
        one.waker.wake();
    }
    world.bot.until(200).await;
    for chat in 1..=20 {
        world.until_states(chat, &["sent"; 10]).await;
    }
    one.stop().await;
    two.stop().await;
    let texts = world.bot.texts();
    assert_eq!(texts.len(), 200);
    for chat in 1..=20 {
        let of_chat: Vec<&String> = texts
            .iter()
            .filter(|text| text.starts_with(&format!("{chat}/")))
            .collect();
        assert_eq!(
            of_chat,
            (1..=10)
                .map(|seq| format!("{chat}/{seq}"))
                .collect::<Vec<_>>()
                .iter()
                .collect::<Vec<_>>()
        );
    }
    assert_eq!(world.count("delivery.sent").await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn b03_an_attempt_that_was_interrupted_is_uncertain_and_not_sent_again() {
    let world = world().await;
    let release = Arc::new(Notify::new());
    world.bot.answer([Answer::Held(release.clone())]);
    let killed = world.replica();
    world
        .queue([world.command(5, 1, "first"), world.command(5, 2, "second")])
        .await;
    world.bot.until(1).await;
    // The process dies between attempt and outcome: what it would have written is lost with it.
    killed.kill();
    world.end_leases().await;
    let successor = world.replica();
    world.until_states(5, &["uncertain", "sent"]).await;
    assert_eq!(world.bot.texts(), ["first", "second"]);
    eventually("event", async || {
        world.count("delivery.uncertain").await == 1
    })
    .await;
    successor.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_could_outlive_its_lease_is_not_made() {
    let world = world().await;
    let mut terms = world.terms();
    terms.lease = world.config.telegram.call_timeout;
    let hasty = world.replica_on(terms);
    world.queue([world.command(5, 1, "a")]).await;
    eventually("it is given back", async || {
        let tries: i32 = sqlx::query_scalar("select tries from part")
            .fetch_one(&world.app.pool)
            .await
            .unwrap();
        tries > 0
    })
    .await;
    hasty.stop().await;
    assert!(world.bot.texts().is_empty());
    let replica = world.replica();
    world.until_states(5, &["sent"]).await;
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_stored_fails_and_its_chat_goes_on() {
    let world = world().await;
    let replica = world.replica();
    let odd = || world.command(5, 1, "a\0b");
    world.source.0.lock().unwrap().push(odd());
    world.queue([world.command(5, 2, "next")]).await;
    world.until_states(5, &["failed", "sent"]).await;
    world.queue([odd()]).await;
    assert_eq!(world.states(5).await[0].3, "UNSUPPORTED_CONTENT");
    assert_eq!(world.bot.texts(), ["next"]);
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_outcome_under_an_old_number_settles_its_own_attempt_only() {
    let world = world().await;
    let release = Arc::new(Notify::new());
    world.bot.answer([Answer::Held(release.clone())]);
    let replica = world.replica();
    world.queue([world.command(5, 1, "slow")]).await;
    world.bot.until(1).await;
    world.end_leases().await;
    world.until_states(5, &["uncertain"]).await;
    release.notify_one();
    world.until_states(5, &["sent"]).await;
    assert_eq!(world.bot.texts(), ["slow"]);
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_command_is_asked_for_after_a_while() {
    let world = world().await;
    world
        .source
        .0
        .lock()
        .unwrap()
        .extend([world.command(5, 1, "one"), world.command(5, 2, "two")]);
    let replica = world.replica();
    world.queue([world.command(5, 3, "three")]).await;
    world.until_states(5, &["sent", "sent", "sent"]).await;
    assert_eq!(world.bot.texts(), ["one", "two", "three"]);
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_taken_back_before_or_after_it_came_is_not_sent() {
    let world = world().await;
    let cancelled = |out_seq| MessageCancelled {
        message_id: world.command(5, out_seq, "").message_id,
        chat_id: Uuid::from_u128(5).to_string(),
        out_seq,
    };
    world.hear(&[world.delivery(&cancelled(2))]).await;
    world
        .queue([
            world.command(5, 1, "a"),
            world.command(5, 2, "b"),
            world.command(5, 3, "c"),
        ])
        .await;
    world
        .hear(&[world.delivery(&cancelled(3)), world.delivery(&cancelled(3))])
        .await;
    let replica = world.replica();
    world
        .until_states(5, &["sent", "cancelled", "cancelled"])
        .await;
    assert_eq!(
        (world.bot.texts(), world.count("delivery.cancelled").await),
        (vec!["a".to_owned()], 2)
    );
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_text_goes_out_in_parts_and_half_of_it_is_none() {
    let world = world().await;
    let replica = world.replica();
    let long = "слово ".repeat(1_500);
    world.queue([world.command(5, 1, &long)]).await;
    world.until_states(5, &["sent"; 3]).await;
    world.bot.answer([no(400, "Bad Request: message is odd")]);
    world.queue([world.command(6, 1, &long)]).await;
    world.until_states(6, &["failed"; 3]).await;
    eventually("events", async || world.count("delivery.failed").await == 3).await;
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_keeps_to_its_rate() {
    let world = world().await;
    let mut terms = world.terms();
    terms.chat = channel_gateway::domain::rate::Rate::per_second(5.0, 1);
    let replica = world.replica_on(terms);
    world
        .queue((1..=4).map(|seq| world.command(5, seq, "a")))
        .await;
    world.until_states(5, &["sent"; 4]).await;
    let calls = world.bot.calls("sendMessage");
    let spread = calls[3].at - calls[0].at;
    assert!(
        spread >= Duration::from_millis(550) && spread < Duration::from_secs(3),
        "{spread:?}"
    );
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_with_too_much_to_say_does_not_hold_up_another() {
    let world = world().await;
    let other = world.create("88001:AAE_other-token", "").await.unwrap();
    let now = chassis::clock::now();
    channel_gateway::app::connection::enable(&world.app, &world.caller, other, now)
        .await
        .unwrap();
    let mut terms = world.terms();
    terms.channel = channel_gateway::domain::rate::Rate::per_second(5.0, 5);
    let replica = world.replica_on(terms);
    world
        .queue((1..=2_000).map(|chat| world.command(chat, 1, "much")))
        .await;
    world.bot.until(5).await;
    let began = std::time::Instant::now();
    let mut command = world.command(9_999, 1, "little");
    command.channel_id = other.to_string();
    world.queue([command]).await;
    eventually("the other channel", async || {
        world.bot.texts().contains(&"little".to_owned())
    })
    .await;
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
    let sent = world.bot.texts().len();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let more = world.bot.texts().len() - sent;
    assert!((3..=7).contains(&more), "5 a second, were {more}");
    replica.stop().await;
}
