//! Limits of providers: how often a call is repeated, and who waits when too much was sent.

use std::time::Duration;

use channel_gateway::domain::instagram::errors::OUT_OF_ORDER;
use prost::Message as _;
use serde_json::json;
use switchboard_proto::channel_gateway::v1::DeliveryFailed;
use switchboard_proto::conversation::v1::OutboundCommand;
use switchboard_tests::viber::{Fault, FaultKind};
use uuid::Uuid;

use crate::echoes::hear;
use crate::graph::{Answer, Graph};
use crate::health::{VIBER_TOKEN, with_viber};
use crate::learnt::direct;
use crate::world::{World, eventually, world};

fn command(world: &World, channel: Uuid, chat: u128, out_seq: i64) -> OutboundCommand {
    OutboundCommand {
        channel_id: channel.to_string(),
        ..world.command(chat, out_seq, "hi")
    }
}

/// Makes chats due that wait, as time would.
async fn hasten(world: &World) {
    sqlx::query(
        "update lane set due_at = now(), paused_until = now() where due_at > now() and lease_until is null",
    )
    .execute(&world.app.pool)
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_meta_cannot_carry_out_is_tried_three_times_more_and_then_fails() {
    let mut world = world().await;
    let (graph, channel) = Graph::connect(&mut world).await;
    hear(&world, channel, &direct("m1", "Скільки?")).await;
    let error = |code: i64| json!({ "error": { "code": code, "message": "later" } });
    let answers = [(500, 2), (400, 1), (503, 77), (500, 2)];
    let answers = answers.map(|(status, code)| Answer::Json(status, error(code)));
    graph.answer("me/messages", answers);
    let replica = world.replica();
    world
        .queue([
            command(&world, channel, 77, 1),
            command(&world, channel, 77, 2),
        ])
        .await;
    eventually("the first fails and the second goes", async || {
        hasten(&world).await;
        let states = world.states(77).await;
        states[0].2 == "failed" && states[1].2 == "sent"
    })
    .await;
    assert_eq!(graph.calls("me/messages").len(), 5);
    let events = world.events().await;
    let failed = events.iter().find(|(name, _)| name == "delivery.failed");
    let failed = DeliveryFailed::decode(failed.unwrap().1.clone()).unwrap();
    let told = (failed.reason.as_str(), failed.detail.as_str());
    assert_eq!(told, (OUT_OF_ORDER.reason, OUT_OF_ORDER.detail));
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_who_do_not_answer_in_viber_hold_up_nobody_else() {
    let (world, viber, channel) = Box::pin(with_viber()).await;
    for chat in ["5", "6"] {
        let fault = Fault::towards(chat, FaultKind::Status { status: 12 });
        viber.fault(VIBER_TOKEN, fault).unwrap();
    }
    let replica = world.replica();
    world
        .queue([
            command(&world, channel, 5, 1),
            command(&world, channel, 6, 1),
        ])
        .await;
    let tried = async |chat: u128| -> i32 {
        sqlx::query_scalar("select tries from part where chat_id = $1")
            .bind(Uuid::from_u128(chat))
            .fetch_one(&world.app.pool)
            .await
            .unwrap()
    };
    eventually("both are refused", async || {
        tried(5).await == 1 && tried(6).await == 1
    })
    .await;
    world.queue([command(&world, channel, 7, 1)]).await;
    tokio::time::timeout(Duration::from_secs(10), world.until_states(7, &["sent"]))
        .await
        .expect("the third customer is written to");
    let waiting: i64 = sqlx::query_scalar(
        "select count(*) from lane where paused_until > now() + interval '4 minutes'",
    )
    .fetch_one(&world.app.pool)
    .await
    .unwrap();
    assert_eq!(waiting, 2);
    replica.stop().await;
}
