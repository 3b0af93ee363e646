//! What providers tell of what was sent.

use channel_gateway::app::file_sweep;
use channel_gateway::domain::inbound::Line;
use channel_gateway::domain::viber;
use chassis::clock;
use chassis::consumer::{Delivery, Handler as _};
use prost::Message as _;
use serde_json::json;
use switchboard_proto::channel_gateway::v1::AttachmentFailed;
use switchboard_proto::conversation::v1::MessageQueued;
use uuid::Uuid;

use crate::graph::Graph;
use crate::learnt::instagram;
use crate::world::{World, world};

fn receipt(world: &World, event: &str, token: u64) -> Delivery {
    let line = Line {
        account: world.account.as_str(),
        channel: world.channel,
        provider_account: "pa:1",
    };
    let at = clock::now().unix_timestamp() * 1_000;
    let callback =
        json!({ "event": event, "message_token": token, "user_id": "a==", "timestamp": at });
    let raw = callback.to_string().into_bytes().into();
    let event = viber::normalise(line, &raw, clock::now()).remove(0);
    let mut delivery = world.delivery(&MessageQueued::default());
    delivery.payload = event.encode_to_vec().into();
    delivery
}

#[tokio::test(flavor = "multi_thread")]
async fn pitfall_09_receipts_of_what_we_did_not_send_and_repeats_say_nothing() {
    let world = world().await;
    world.queue([world.command(1, 1, "a")]).await;
    let sent = "with p as (update part set state = 'sent', provider_key = '900')
                insert into sent_key (channel_id, provider_key, chat_id, out_seq, part, sent_at)
                values ($1, '900', $2, 1, 0, now())";
    sqlx::query(sent)
        .bind(world.channel)
        .bind(Uuid::from_u128(1))
        .execute(&world.app.pool)
        .await
        .unwrap();
    let inbound = world.inbound();
    // 901 is the token of a message of the client's own; each device tells for itself.
    for (event, token) in [
        ("delivered", 901),
        ("delivered", 900),
        ("delivered", 900),
        ("seen", 900),
        ("delivered", 900),
        ("seen", 900),
    ] {
        let item = receipt(&world, event, token);
        inbound.handle(&[item], clock::now()).await.unwrap();
    }
    let events = world.events().await;
    let told: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    let told: Vec<&str> = told
        .into_iter()
        .filter(|name| name.starts_with("delivery."))
        .collect();
    assert_eq!(told, ["delivery.delivered", "delivery.read"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn pitfall_20_files_of_a_message_that_was_taken_back_are_erased() {
    let mut world = world().await;
    let (_graph, channel) = Graph::connect(&mut world).await;
    let inbound = world.inbound();
    let now = clock::now().unix_timestamp() * 1_000;
    let item = |message| {
        let entry = json!({ "messaging": [{ "sender": { "id": "77" }, "recipient": { "id": "178" },
            "timestamp": now, "message": message }] });
        instagram(&world, channel, &entry)
    };
    let image = json!({ "type": "image", "payload": { "url": "https://lookaside.fbsbx.com/x" } });
    let photos = item(json!({ "mid": "m1", "attachments": [image, image] }));
    let other = item(json!({ "mid": "m2", "attachments": [image] }));
    inbound
        .handle(&[photos, other], clock::now())
        .await
        .unwrap();
    let keys: Vec<String> = sqlx::query_scalar(
        "update attachment set state = 'stored', due_at = null, fence = fence + 1 returning object_key",
    )
    .fetch_all(&world.app.pool)
    .await
    .unwrap();
    assert_eq!(keys.len(), 3);
    for key in &keys {
        world.store().put(key, "bytes".into()).await.unwrap();
    }
    let deleted = item(json!({ "mid": "m1", "is_deleted": true }));
    for _ in 0..2 {
        inbound
            .handle(std::slice::from_ref(&deleted), clock::now())
            .await
            .unwrap();
    }
    let events = world.events().await;
    let failed: Vec<AttachmentFailed> = events
        .into_iter()
        .filter(|(name, _)| name == "attachment.failed")
        .map(|(_, payload)| AttachmentFailed::decode(payload).unwrap())
        .collect();
    assert_eq!(failed.len(), 2, "once each");
    assert!(
        failed
            .iter()
            .all(|event| event.attachment.as_ref().unwrap().reason == "MESSAGE_DELETED")
    );
    file_sweep::step(&world.app, clock::now()).await.unwrap();
    let mut left = 0;
    for key in &keys {
        left += usize::from(world.store().get(key).await.is_ok());
    }
    assert_eq!(left, 1, "the file of the other message stays");
    let states: Vec<(String, bool)> =
        sqlx::query_as("select state, reference is null from attachment order by state")
            .fetch_all(&world.app.pool)
            .await
            .unwrap();
    assert_eq!(states[0], ("failed".to_owned(), true));
}
