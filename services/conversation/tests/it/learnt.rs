//! What the gateway learns after a message was stored: pages of posts, names of people, all keys of what was sent.

use chassis::consumer::Delivery;
use chassis::testing::request;
use switchboard_proto::channel_gateway::v1::{self as gateway, inbound_event::Kind};
use switchboard_proto::common::v1::{self as common, origin};
use switchboard_proto::conversation::v1::{
    self as pb, conversation_service_server::ConversationService as _,
};
use uuid::Uuid;

use crate::world::{World, at, client, noon};

/// A comment under a post whose page is not known, from a person of whom only the id is known.
fn comment(world: &World, key: &str, second: i64) -> gateway::InboundEvent {
    let mut item = world.message("7", key, at(second), "how much?");
    item.channel_kind = common::ChannelKind::Instagram.into();
    item.client = Some(nameless());
    if let Some(Kind::Message(message)) = item.kind.as_mut() {
        message.origin = Some(common::Origin {
            kind: origin::Kind::Comment.into(),
            post_key: "17900".into(),
            ..common::Origin::default()
        });
    }
    item
}

fn nameless() -> common::ClientIdentity {
    common::ClientIdentity {
        name: String::new(),
        username: String::new(),
        ..client("7", "")
    }
}

#[tokio::test]
async fn f090_the_page_of_a_post_is_shown_with_comments_that_came_before_it_was_known() {
    for learnt_first in [true, false] {
        let world = World::new().await;
        let found = gateway::PostFound {
            channel_id: world.channel.to_string(),
            post_key: "17900".into(),
            link: "https://www.instagram.com/p/Abc/".into(),
            title: "Blue".into(),
        };
        let found = [world.event(1, world.channel, &found)];
        if learnt_first {
            world.hear(&found).await;
        }
        world.receive(&[comment(&world, "1", 1)]).await;
        world.hear(&found).await;
        let shown = world.client_messages("7").await.pop().unwrap();
        assert_eq!(
            shown.origin.unwrap().link,
            "https://www.instagram.com/p/Abc/"
        );
    }
}

#[tokio::test]
async fn a_description_names_a_client_and_a_later_message_without_a_name_leaves_it() {
    for described_first in [true, false] {
        let world = World::new().await;
        let described = gateway::ClientDescribed {
            channel_id: world.channel.to_string(),
            chat_key: "7".into(),
            client: Some(common::ClientIdentity {
                username: "olena".into(),
                ..client("7", "Olena")
            }),
            time: Some(chassis::grpc::timestamp(noon())),
            ..gateway::ClientDescribed::default()
        };
        let described = [world.event(1, world.chat("7"), &described)];
        if described_first {
            world.hear(&described).await;
        }
        world.receive(&[comment(&world, "1", 1)]).await;
        world.hear(&described).await;
        world.receive(&[comment(&world, "2", 600)]).await;
        let chat = world.get_chat(&world.as_service(), "7").await.unwrap();
        let shown = chat.client.unwrap();
        assert_eq!(
            (shown.name.as_str(), shown.username.as_str()),
            ("Olena", "olena"),
            "described first: {described_first}"
        );
        let told = world.events_of::<pb::ClientUpdated>().await.len();
        assert_eq!(told, usize::from(!described_first), "told once, if at all");
    }
}

/// What the gateway says of the photo of the client `7`, at a second.
pub fn photo(world: &World, id: Option<Uuid>, second: i64) -> Delivery {
    let told = gateway::ClientDescribed {
        channel_id: world.channel.to_string(),
        chat_key: "7".into(),
        client: None,
        time: Some(chassis::grpc::timestamp(at(second))),
        photo_attachment_id: Some(id.map(|id| id.to_string()).unwrap_or_default()),
    };
    world.event(u128::try_from(second).unwrap(), world.chat("7"), &told)
}

async fn shown_photo(world: &World) -> String {
    let chat = world.get_chat(&world.as_service(), "7").await.unwrap();
    let list = pb::ListChatsRequest::default();
    let listed = world
        .api
        .list_chats(request(&world.as_service(), list))
        .await;
    let listed = listed.unwrap().into_inner().chats.remove(0);
    assert_eq!(listed, chat, "lists show what the chat shows");
    assert_eq!(chat.client.unwrap().name, "Olena", "a photo tells no name");
    chat.client_photo_attachment_id
}

#[tokio::test]
async fn f067_the_newest_word_on_a_clients_photo_is_shown_in_whatever_order_it_comes() {
    let (first, second) = (Uuid::from_u128(1), Uuid::from_u128(2));
    for told_first in [true, false] {
        let world = World::new().await;
        if told_first {
            world.hear(&[photo(&world, Some(first), 5)]).await;
        }
        let mut item = world.message("7", "1", at(1), "hello");
        item.client = Some(client("7", "Olena"));
        world.receive(&[item]).await;
        let expected = if told_first {
            first.to_string()
        } else {
            String::new()
        };
        assert_eq!(shown_photo(&world).await, expected);
        world
            .hear(&[photo(&world, Some(second), 7), photo(&world, None, 6)])
            .await;
        world.hear(&[photo(&world, Some(first), 5)]).await;
        assert_eq!(shown_photo(&world).await, second.to_string());
        world.hear(&[photo(&world, None, 8)]).await;
        assert_eq!(shown_photo(&world).await, "");
        assert!(world.events_of::<pb::ClientUpdated>().await.is_empty());
    }
}

#[tokio::test]
async fn f067_a_word_on_the_name_alone_leaves_the_photo() {
    let world = World::new().await;
    let mut item = world.message("7", "1", at(1), "hello");
    item.client = Some(client("7", "Olena"));
    world.receive(&[item]).await;
    world.hear(&[photo(&world, Some(Uuid::nil()), 5)]).await;
    let described = gateway::ClientDescribed {
        channel_id: world.channel.to_string(),
        chat_key: "7".into(),
        client: Some(client("7", "Olena")),
        time: Some(chassis::grpc::timestamp(at(9))),
        photo_attachment_id: None,
    };
    world
        .hear(&[world.event(9, world.chat("7"), &described)])
        .await;
    assert_eq!(shown_photo(&world).await, Uuid::nil().to_string());
}

#[tokio::test]
async fn a_reply_to_any_picture_of_our_album_finds_it() {
    let world = World::new().await;
    world
        .receive(&[world.message("7", "1", at(1), "hello")])
        .await;
    let sent = world
        .send(&world.as_agent("ann"), "7", "r1", "look")
        .await
        .unwrap();
    let delivered = gateway::DeliverySent {
        delivery: Some(gateway::DeliveryRef {
            message_id: sent.message_id.clone(),
            chat_id: world.chat("7").to_string(),
            channel_id: world.channel.to_string(),
            out_seq: 1,
            attempt: 1,
            part: 0,
            parts: 1,
        }),
        provider_key: "a1".into(),
        provider_keys: vec!["a1".into(), "a2".into(), "a3".into()],
        time: Some(chassis::grpc::timestamp(at(2))),
        ..gateway::DeliverySent::default()
    };
    let delivered = [world.event(1, world.chat("7"), &delivered)];
    world.hear(&delivered).await;
    world.hear(&delivered).await;
    for (number, key) in (2..).zip(["a1", "a3"]) {
        let mut item = world.message("7", &number.to_string(), at(number), "this one");
        if let Some(Kind::Message(message)) = item.kind.as_mut() {
            message.reply = Some(common::ReplyReference {
                provider_key: key.into(),
                ..common::ReplyReference::default()
            });
        }
        world.receive(&[item]).await;
        let answer = world.client_messages("7").await.pop().unwrap();
        assert_eq!(answer.reply.unwrap().message_id, sent.message_id, "{key}");
    }
}
