//! Who a client is (B07, D27), and where he wrote (F089–F092).

use chassis::testing::request;
use switchboard_proto::channel_gateway::v1::{self as gateway, inbound_event::Kind};
use switchboard_proto::common::v1::{self as common, origin};
use switchboard_proto::conversation::v1 as pb;
use switchboard_proto::conversation::v1::conversation_service_server::ConversationService as _;
use uuid::Uuid;

use crate::world::{World, at, client, plain};

/// A message in a channel from a person of this scope and id.
fn from(world: &World, channel: u128, key: &str, scope: &str, user: &str) -> gateway::InboundEvent {
    gateway::InboundEvent {
        channel_id: Uuid::from_u128(channel).to_string(),
        client: Some(common::ClientIdentity {
            scope: scope.into(),
            phone: "+380671112233".into(),
            ..client(user, "Ada")
        }),
        ..world.message(user, key, at(1), "hello")
    }
}

#[tokio::test]
async fn b07_d27_clients_are_known_within_the_scope_of_their_provider() {
    // Two messages through two channels: is it one client, with a chat for each channel?
    for (one, other, clients) in [
        // Telegram and e-mail tell the same person everywhere.
        (("telegram", "5540012873"), ("telegram", "5540012873"), 1),
        (
            ("email", "olena@client.example"),
            ("email", "olena@client.example"),
            1,
        ),
        // Viber's ids hold for a bot, Instagram's for an account.
        (("viber:c1", "pQ7x"), ("viber:c2", "pQ7x"), 2),
        (("instagram:178", "7712"), ("instagram:179", "7712"), 2),
        // The same word elsewhere, a longer or a shorter id: never the same person, whatever the phone says.
        (("telegram", "77"), ("viber:c1", "77"), 2),
        (("telegram", "77"), ("telegram", "7"), 2),
        (("telegram", "7:7"), ("telegram:7", "7"), 2),
    ] {
        let world = World::new().await;
        world
            .receive(&[
                from(&world, 1, "1", one.0, one.1),
                from(&world, 2, "2", other.0, other.1),
            ])
            .await;
        assert_eq!(
            world.count("select count(*) from client").await,
            clients,
            "{one:?} {other:?}"
        );
        assert_eq!(world.count("select count(*) from chat").await, 2);
        let created = world.events_of::<pb::ChatCreated>().await;
        let told: std::collections::BTreeSet<_> = created
            .iter()
            .map(|event| event.client_id.clone())
            .collect();
        assert_eq!(i64::try_from(told.len()).unwrap(), clients);
    }
}

#[tokio::test]
async fn b07_what_one_item_of_a_batch_leaves_open_another_may_tell() {
    // A comment names the person, a Direct does not: in either order, at either time.
    for (comment_at, direct_at, comment_first) in [(1, 2, true), (1, 2, false), (2, 1, true)] {
        let world = World::new().await;
        let item = |key: &str, minute, username: &str| gateway::InboundEvent {
            client: Some(common::ClientIdentity {
                username: username.into(),
                ..client("7712", "")
            }),
            ..world.message("7712", key, at(minute), "hello")
        };
        let mut batch = [item("c", comment_at, "olena.k"), item("d", direct_at, "")];
        if !comment_first {
            batch.reverse();
        }
        world.receive(&batch).await;
        let named = "select count(*) from client where username = 'olena.k'";
        assert_eq!(
            world.count(named).await,
            1,
            "{comment_at} {direct_at} {comment_first}"
        );
    }
}

#[tokio::test]
async fn b07_one_identity_in_two_accounts_is_two_clients() {
    let world = World::new().await;
    let mut other = from(&world, 2, "2", "telegram", "77");
    other.account = "other".into();
    world
        .receive(&[from(&world, 1, "1", "telegram", "77")])
        .await;
    world.receive(&[other]).await;
    assert_eq!(world.count("select count(*) from client").await, 2);
}

#[tokio::test]
async fn f089_f090_f092_a_comment_keeps_its_post_and_its_parent_in_the_same_chat() {
    let world = World::new().await;
    let origin = |kind: origin::Kind, link: &str, parent: &str| common::Origin {
        kind: kind.into(),
        link: link.into(),
        parent_key: parent.into(),
        ..common::Origin::default()
    };
    let post = "https://www.instagram.com/p/Abc/";
    let origins = [
        origin(origin::Kind::Direct, "", ""),
        origin(origin::Kind::Comment, post, ""),
        origin(origin::Kind::Comment, post, "17865799348080001"),
        origin(
            origin::Kind::Story,
            "https://www.instagram.com/stories/shop/1/",
            "",
        ),
        origin(origin::Kind::Post, post, ""),
    ];
    for (number, origin) in (1..).zip(&origins) {
        let mut item = world.message("7", &number.to_string(), at(number), "how much?");
        item.channel_kind = common::ChannelKind::Instagram.into();
        if let Some(Kind::Message(message)) = item.kind.as_mut() {
            message.origin = Some(origin.clone());
        }
        world.receive(&[item]).await;
    }
    let shown = world.client_messages("7").await;
    let shown: Vec<_> = shown
        .into_iter()
        .map(|message| message.origin.unwrap())
        .collect();
    assert_eq!(shown, origins);
    let told: Vec<_> = world
        .events_of::<pb::MessageStored>()
        .await
        .into_iter()
        .filter_map(|event| event.message?.origin)
        .collect();
    assert_eq!(told, origins);
    let messages = world.client_messages("7").await;
    assert_eq!(messages[2].reply, None, "nobody knows the parent here");
    assert_eq!(world.count("select count(*) from conversation").await, 1);
}

#[tokio::test]
async fn f091_f092_f093_an_answer_to_a_comment_is_marked_and_a_plain_message_is_not() {
    let world = World::new().await;
    let post = "https://www.instagram.com/p/Abc/";
    let comment = |key: &str, time, parent: &str| {
        let mut item = world.message("7", key, time, "how much?");
        if let Some(Kind::Message(message)) = item.kind.as_mut() {
            message.origin = Some(common::Origin {
                kind: origin::Kind::Comment.into(),
                link: post.into(),
                parent_key: parent.into(),
                ..common::Origin::default()
            });
        }
        item
    };
    // The second stands under the first, in whose thread it is.
    world
        .receive(&[comment("1", at(1), ""), comment("2", at(2), "7/1")])
        .await;
    let comments = world.client_messages("7").await;
    let answered = comments[1].reply.as_ref().unwrap();
    assert_eq!(answered.message_id, comments[0].message_id);

    let ann = world.as_agent("ann");
    let send = pb::SendMessageRequest {
        request_id: "r1".into(),
        chat_id: world.chat("7").to_string(),
        text: Some(plain("100")),
        reply_to_message_id: comments[0].message_id.clone(),
        attachment_ids: Vec::new(),
    };
    let answer = world.api.send_message(request(&ann, send)).await.unwrap();
    let origin = answer.into_inner().message.unwrap().origin.unwrap();
    assert_eq!(origin.kind(), origin::Kind::Comment);
    assert_eq!(
        (origin.link.as_str(), origin.parent_key.as_str()),
        (post, "7/1")
    );
    let direct = world.send(&ann, "7", "r2", "in Direct").await.unwrap();
    assert_eq!(direct.origin, None);
}
