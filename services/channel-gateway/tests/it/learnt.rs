//! What is asked of providers after an item was accepted, and what is answered to them.

use bytes::Bytes;
use channel_gateway::app::lookups;
use channel_gateway::domain::inbound::Line;
use channel_gateway::domain::{instagram, telegram};
use chassis::clock;
use chassis::consumer::{Delivery, Handler as _};
use prost::Message as _;
use serde_json::{Value, json};
use switchboard_proto::channel_gateway::v1::{
    ClientDescribed, InboundEvent, PostFound, inbound_event::Kind,
};
use switchboard_proto::common::v1::content_part::Content;
use switchboard_proto::conversation::v1::MessageQueued;
use uuid::Uuid;

use crate::graph::{Answer, Graph};
use crate::world::{World, eventually, world};

/// An item of Instagram as INBOUND brings it.
pub fn instagram(world: &World, channel: Uuid, entry: &Value) -> Delivery {
    let line = Line {
        account: world.account.as_str(),
        channel,
        provider_account: "178",
    };
    let mut entry = entry.clone();
    entry["id"] = json!("178");
    let body = json!({ "object": "instagram", "entry": [entry] });
    let raw = body.to_string().into_bytes().into();
    carried(
        world,
        &instagram::normalise(line, &raw, clock::now()).remove(0),
    )
}

fn carried(world: &World, event: &InboundEvent) -> Delivery {
    let mut delivery = world.delivery(&MessageQueued::default());
    delivery.payload = event.encode_to_vec().into();
    "INBOUND_0".clone_into(&mut delivery.origin.stream);
    delivery
}

pub fn comment(id: &str, from: &str, media: &str, parent: Option<&str>) -> Value {
    json!({ "time": clock::now().unix_timestamp(), "changes": [{ "field": "comments", "value": {
        "id": id, "text": "А є чорні?", "parent_id": parent,
        "from": { "id": from, "username": "olena.k" }, "media": { "id": media } } }] })
}

pub fn direct(mid: &str, text: &str) -> Value {
    let now = clock::now().unix_timestamp() * 1_000;
    json!({ "messaging": [{ "sender": { "id": "77" }, "recipient": { "id": "178" }, "timestamp": now,
        "message": { "mid": mid, "text": text } }] })
}

/// Makes questions that wait due.
async fn due(world: &World) {
    sqlx::query("update lookup set due_at = now() where due_at is not null")
        .execute(&world.app.pool)
        .await
        .unwrap();
}

async fn told<E: prost::Message + Default>(world: &World, event: &str) -> Vec<E> {
    let events = world.events().await;
    let payloads = events.into_iter().filter(|(name, _)| name == event);
    payloads
        .map(|(_, payload): (_, Bytes)| E::decode(payload).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn f090_a_posts_link_is_asked_once_after_acceptance_and_goes_with_later_comments() {
    let mut world = world().await;
    let (graph, channel) = Graph::connect(&mut world).await;
    graph.answer(
        "181",
        [
            Answer::Json(500, json!({ "error": { "code": 2, "message": "later" } })),
            Answer::Json(
                200,
                json!({ "permalink": "https://www.instagram.com/p/CxY/", "caption": "Cat" }),
            ),
        ],
    );
    let inbound = world.inbound();
    let batch = [
        instagram(&world, channel, &comment("17", "77", "181", None)),
        instagram(&world, channel, &comment("18", "78", "181", None)),
    ];
    inbound.handle(&batch, clock::now()).await.unwrap();
    assert!(graph.calls("181").is_empty(), "nobody waits for it");
    for _ in 0..4 {
        lookups::step(&world.app, clock::now()).await.unwrap();
        due(&world).await;
    }
    assert_eq!(
        graph.calls("181").len(),
        2,
        "the first answer was none, the second is kept"
    );
    let [post] = told::<PostFound>(&world, "post.found")
        .await
        .try_into()
        .unwrap();
    assert_eq!(
        (
            post.post_key.as_str(),
            post.link.as_str(),
            post.title.as_str()
        ),
        ("181", "https://www.instagram.com/p/CxY/", "Cat")
    );
    let mut items = [InboundEvent::decode(batch[1].payload.clone()).unwrap()];
    world.app.learnt.fill(channel, &mut items).await;
    let Some(Kind::Message(message)) = &items[0].kind else {
        panic!("a message");
    };
    assert_eq!(message.origin.as_ref().unwrap().link, post.link);
}

#[tokio::test(flavor = "multi_thread")]
async fn pitfall_15_a_person_is_asked_about_once_and_waits_while_the_token_is_refused() {
    let mut world = world().await;
    let (graph, channel) = Graph::connect(&mut world).await;
    let dead = json!({ "error": { "code": 190, "error_subcode": 463, "message": "expired" } });
    graph.answer(
        "77",
        [
            Answer::Json(400, dead),
            Answer::Json(
                200,
                json!({ "name": "Олена Коваль", "username": "olena.k" }),
            ),
        ],
    );
    let inbound = world.inbound();
    for mid in ["m1", "m2"] {
        let item = instagram(&world, channel, &direct(mid, "Скільки?"));
        inbound.handle(&[item], clock::now()).await.unwrap();
        lookups::step(&world.app, clock::now()).await.unwrap();
    }
    assert_eq!(graph.calls("77").len(), 1);
    due(&world).await;
    lookups::step(&world.app, clock::now()).await.unwrap();
    let [told] = told::<ClientDescribed>(&world, "client.described")
        .await
        .try_into()
        .unwrap();
    let client = told.client.unwrap();
    assert_eq!(
        (
            client.scope.as_str(),
            client.user_id.as_str(),
            client.name.as_str(),
            client.username.as_str()
        ),
        ("instagram:178", "77", "Олена Коваль", "olena.k")
    );
    due(&world).await;
    lookups::step(&world.app, clock::now()).await.unwrap();
    assert_eq!(graph.calls("77").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_that_cannot_be_seen_is_given_up() {
    let mut world = world().await;
    let (graph, channel) = Graph::connect(&mut world).await;
    let gone =
        json!({ "error": { "code": 100, "error_subcode": 33, "message": "no such object" } });
    graph.answer("182", [Answer::Json(400, gone)]);
    let item = instagram(&world, channel, &comment("17", "77", "182", None));
    for _ in 0..3 {
        world
            .inbound()
            .handle(std::slice::from_ref(&item), clock::now())
            .await
            .unwrap();
        lookups::step(&world.app, clock::now()).await.unwrap();
    }
    assert_eq!(graph.calls("182").len(), 1);
    assert!(told::<PostFound>(&world, "post.found").await.is_empty());
}

fn press(world: &World, query: &str) -> Delivery {
    let line = Line {
        account: world.account.as_str(),
        channel: world.channel,
        provider_account: "7001",
    };
    let update = json!({ "update_id": 9, "callback_query": { "id": query, "data": "order:ok",
        "from": { "id": 55, "is_bot": false, "first_name": "O" }, "chat_instance": "1",
        "message": { "message_id": 60, "date": 1_790_764_900, "chat": { "id": 55, "type": "private" },
            "text": "Ok?", "reply_markup": { "inline_keyboard": [[{ "text": "Так", "callback_data": "order:ok" }]] } } } });
    let raw = update.to_string().into_bytes().into();
    carried(
        world,
        &telegram::normalise(line, &raw, clock::now()).remove(0),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_press_of_a_button_is_a_message_and_is_answered_once() {
    let world = world().await;
    let item = press(&world, "2379");
    let event = InboundEvent::decode(item.payload.clone()).unwrap();
    let Some(Kind::Message(message)) = &event.kind else {
        panic!("a message");
    };
    let Some(Content::Button(button)) = &message.parts[0].content else {
        panic!("a press");
    };
    assert_eq!(
        (button.title.as_str(), button.data.as_str()),
        ("Так", "order:ok")
    );
    let inbound = world.inbound();
    for _ in 0..2 {
        inbound
            .handle(std::slice::from_ref(&item), clock::now())
            .await
            .unwrap();
    }
    eventually("the press is answered", async || {
        !world.bot.calls("answerCallbackQuery").is_empty()
    })
    .await;
    inbound
        .handle(&[press(&world, "2380")], clock::now())
        .await
        .unwrap();
    eventually("the next press is answered", async || {
        world.bot.calls("answerCallbackQuery").len() == 2
    })
    .await;
    let calls = world.bot.calls("answerCallbackQuery");
    let asked: Vec<&Value> = calls
        .iter()
        .map(|call| &call.body["callback_query_id"])
        .collect();
    assert_eq!(asked, ["2379", "2380"]);
}
