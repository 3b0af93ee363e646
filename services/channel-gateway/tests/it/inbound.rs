//! The gateway's share of INBOUND.

use channel_gateway::domain::inbound::Line;
use channel_gateway::domain::telegram::normalise;
use chassis::clock;
use chassis::consumer::{Delivery, Handler as _, HandlerError, Origin};
use chassis::testing;
use prost::Message as _;
use serde_json::{Value, json};
use switchboard_proto::channel_gateway::v1::ClientBlocked;
use switchboard_proto::conversation::v1::MessageQueued;
use switchboard_proto::operator::v1::DeadLetter;

use crate::world::{World, world};

fn item(world: &World, sequence: u64, update: &Value) -> Delivery {
    let line = Line {
        account: world.account.as_str(),
        channel: world.channel,
        provider_account: "7001",
    };
    let raw = update.to_string().into_bytes().into();
    let event = normalise(line, &raw, clock::now()).remove(0);
    // An item travels without an event's type: only the frame is borrowed.
    let mut delivery = world.delivery(&MessageQueued::default());
    delivery.payload = event.encode_to_vec().into();
    delivery.origin = Origin {
        stream: "INBOUND_0".to_owned(),
        sequence,
        index: 3,
    };
    delivery
}

/// Some second of 2023.
const BEGAN: i64 = 1_700_000_000;

fn member(second: i64, status: &str) -> Value {
    let time = BEGAN + second;
    let chat = json!({ "id": 23, "type": "private", "first_name": "A" });
    json!({ "update_id": time, "my_chat_member": {
        "chat": chat, "from": chat, "date": time, "new_chat_member": { "status": status } } })
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_are_announced_once_and_the_newest_wins_in_any_order() {
    let world = world().await;
    let inbound = world.inbound();
    let at = |time, status| item(&world, 1, &member(time, status));
    for batch in [
        vec![at(100, "member")],
        vec![at(200, "kicked"), at(200, "kicked")],
        vec![at(200, "kicked")],
        vec![at(150, "member")],
        vec![at(300, "kicked"), at(400, "member")],
    ] {
        inbound.handle(&batch, clock::now()).await.unwrap();
    }
    let events = world.events().await;
    let told: Vec<&str> = events
        .iter()
        .map(|(name, _)| name.as_str())
        .filter(|name| name.starts_with("client."))
        .collect();
    assert_eq!(told, ["client.blocked", "client.unblocked"]);
    let blocked = events
        .iter()
        .find(|(name, _)| name == "client.blocked")
        .unwrap();
    assert_eq!(
        ClientBlocked::decode(blocked.1.clone())
            .unwrap()
            .time
            .unwrap()
            .seconds,
        BEGAN + 200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn x04_what_is_not_understood_goes_to_the_dead_letters_once_with_its_raw_form() {
    let world = world().await;
    let inbound = world.inbound();
    let batch = [
        item(
            &world,
            9,
            &json!({ "update_id": 5, "hologram": { "x": 1 } }),
        ),
        item(&world, 9, &member(1, "member")),
    ];
    for _ in 0..3 {
        inbound.handle(&batch, clock::now()).await.unwrap();
    }
    let alone = inbound.handle(&batch[..1], clock::now()).await;
    assert_eq!(
        alone,
        Err(HandlerError::Unsupported(
            "unsupported: hologram".to_owned()
        ))
    );
    let stream = world
        .nats
        .jetstream
        .get_stream(world.streams.dead_letters())
        .await
        .unwrap();
    assert_eq!(stream.get_info().await.unwrap().state.messages, 1);
    let letter = stream.get_raw_message(1).await.unwrap();
    let letter = DeadLetter::decode(letter.payload).unwrap();
    assert_eq!(
        (
            letter.error.as_str(),
            letter.origin_sequence,
            letter.origin_index
        ),
        ("unsupported: hologram", 9, 3)
    );
    let kept =
        switchboard_proto::channel_gateway::v1::InboundEvent::decode(letter.payload).unwrap();
    assert_eq!(
        kept.raw,
        json!({ "update_id": 5, "hologram": { "x": 1 } })
            .to_string()
            .as_bytes()
    );
}

#[tokio::test]
async fn x04_every_dead_letter_is_counted_in_company_too_and_a_repeat_is_not() {
    let world = world().await;
    let inbound = world.inbound();
    let odd = |number: u64| {
        item(
            &world,
            number,
            &json!({ "update_id": number, "hologram": {} }),
        )
    };
    let batch = [odd(5), item(&world, 7, &member(1, "member")), odd(8)];
    let recorder = testing::recorder();
    let counted = metrics::set_default_local_recorder(&recorder);
    for batch in [&batch[..], &batch[..], &batch[1..]] {
        inbound.handle(batch, clock::now()).await.unwrap();
    }
    drop(counted);
    let told = recorder.handle().render();
    let expected = "dead_letters_total{consumer=\"gateway-inbound\",reason=\"unsupported\"} 2\n";
    assert!(told.contains(expected), "{told}");
}
