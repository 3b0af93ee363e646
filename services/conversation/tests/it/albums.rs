//! Albums: what comes item by item is one message (channels.md §2.2).

use conversation::domain::album::ITEMS;
use switchboard_proto::channel_gateway::v1::{self as gateway, inbound_event::Kind};
use switchboard_proto::common::v1::{self as common, content_part::Content};
use switchboard_proto::conversation::v1 as pb;
use time::OffsetDateTime;

use crate::world::{World, at, parts, text_of};

fn photo(name: &str) -> common::ContentPart {
    common::ContentPart {
        content: Some(Content::Attachment(common::Attachment {
            attachment_id: chassis::id::v5("file", &[name]).to_string(),
            kind: common::attachment::Kind::Photo.into(),
            file_name: name.into(),
            ..Default::default()
        })),
    }
}

/// A photo `number` of the album, with a caption where there is one.
fn written(number: i64, caption: &str) -> gateway::InboundMessage {
    let mut content = vec![photo(&format!("{number}.jpg"))];
    if !caption.is_empty() {
        content.extend(parts(caption));
    }
    gateway::InboundMessage {
        provider_key: format!("7/{number}"),
        provider_number: number,
        parts: content,
        album_key: "g1".into(),
        ..Default::default()
    }
}

fn item(world: &World, number: i64, caption: &str) -> gateway::InboundEvent {
    let kind = Kind::Message(written(number, caption));
    world.item(&format!("upd:{number}"), "7", at(number), kind)
}

fn edit(world: &World, event: &str, number: i64, caption: &str) -> gateway::InboundEvent {
    let kind = Kind::Edit(gateway::InboundEdit {
        provider_key: format!("7/{number}"),
        message: Some(written(number, caption)),
        sent_at: Some(chassis::grpc::timestamp(at(number))),
        own_app: false,
    });
    world.item(event, "7", at(60), kind)
}

fn deletion(world: &World, event: &str, numbers: &[i64]) -> gateway::InboundEvent {
    let keys = numbers.iter().map(|number| format!("7/{number}"));
    let kind = Kind::Deletion(gateway::InboundDeletion {
        provider_keys: keys.collect(),
    });
    world.item(event, "7", at(90), kind)
}

/// The parts in words: file names and texts.
fn shown(message: &pb::Message) -> Vec<String> {
    let word = |part: &common::ContentPart| match &part.content {
        Some(Content::Attachment(file)) => file.file_name.clone(),
        Some(Content::Text(text)) => text.text.clone(),
        other => format!("{other:?}"),
    };
    message.parts.iter().map(word).collect()
}

/// Sets of what one call of the consumer gets.
fn batches(order: &[usize], together: usize) -> Vec<&[usize]> {
    order.chunks(together).collect()
}

#[tokio::test]
async fn f188_an_album_is_one_message_however_its_items_come() {
    let orders = [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ];
    let mut end = None;
    for order in orders {
        for together in [1, 2, 3] {
            let world = World::new().await;
            let items = [
                item(&world, 1, "receipt"),
                item(&world, 2, ""),
                item(&world, 3, ""),
            ];
            for batch in batches(&order, together) {
                let batch: Vec<_> = batch.iter().map(|index| items[*index].clone()).collect();
                world.receive(&batch).await;
            }
            let before = world.everything().await;
            for again in &items {
                world.receive(&[again.clone(), again.clone()]).await;
            }
            world.receive(&items).await;
            assert_eq!(world.everything().await, before, "{order:?}: repeats");

            let messages = world.client_messages("7").await;
            assert_eq!(messages.len(), 1, "{order:?} {together}");
            let mut message = messages[0].clone();
            assert_eq!(shown(&message), ["1.jpg", "2.jpg", "3.jpg", "receipt"]);
            let keys: Vec<&str> = message
                .album
                .iter()
                .map(|item| item.provider_key.as_str())
                .collect();
            assert_eq!(keys, ["7/1", "7/2", "7/3"]);
            assert_eq!(message.album[0].parts, [0, 3], "each part has its item");
            assert_eq!(message.provider_key, "7/1", "replies go to the first");
            // One wait, one line in the list, one event of the first and one of each batch that joined it.
            let chat = world.get_chat(&world.as_service(), "7").await.unwrap();
            assert_eq!(chat.unanswered, 1);
            assert_eq!(chat.last_message.unwrap().text, "receipt");
            assert_eq!(
                chat.last_client_message_time,
                Some(chassis::grpc::timestamp(at(3)))
            );
            let stored = world.events_of::<pb::MessageStored>().await;
            assert_eq!(stored.len(), 2, "the system's and the album's");
            let grown = world.events_of::<pb::MessageEdited>().await;
            assert_eq!(grown.len(), batches(&order, together).len() - 1);
            if let Some(last) = grown.last() {
                assert!(last.album_grew);
                let told = last.message.clone().unwrap();
                assert_eq!((shown(&told).len(), told.edit_time), (4, None));
            }
            // The place in the order of storing is all that may differ, and of one message it does not.
            message.conversation_id.clear();
            assert_eq!(*end.get_or_insert_with(|| message.clone()), message);
        }
    }
}

#[tokio::test]
async fn replies_edits_reactions_and_deletions_find_the_album_by_any_item() {
    let world = World::new().await;
    world
        .receive(&[item(&world, 1, "old"), item(&world, 2, "")])
        .await;
    world.receive(&[item(&world, 3, "")]).await;
    let mut reply = world.message("7", "9", at(30), "the second one");
    if let Some(Kind::Message(message)) = reply.kind.as_mut() {
        message.reply = Some(common::ReplyReference {
            provider_key: "7/2".into(),
            ..Default::default()
        });
    }
    let reaction = Kind::Reaction(gateway::InboundReaction {
        provider_key: "7/3".into(),
        emojis: vec!["👍".into()],
    });
    let reaction = world.item("upd:10", "7", at(31), reaction);
    world
        .receive(&[reply, reaction, edit(&world, "upd:11", 1, "new")])
        .await;
    let messages = world.client_messages("7").await;
    assert_eq!(messages.len(), 2);
    let (album, reply) = (&messages[0], &messages[1]);
    assert_eq!(
        reply.reply.as_ref().unwrap().message_id,
        album.message_id,
        "by its second item"
    );
    assert_eq!(album.reactions.len(), 1);
    assert_eq!(shown(album), ["1.jpg", "2.jpg", "3.jpg", "new"]);
    assert!(album.edit_time.is_some());

    // An edit of one item is not older than one of another.
    let mut earlier = edit(&world, "upd:12", 2, "below");
    earlier.provider_time = Some(chassis::grpc::timestamp(at(40)));
    world.receive(&[earlier]).await;
    world.receive(&[deletion(&world, "upd:13", &[3])]).await;
    let album = &world.client_messages("7").await[0];
    assert_eq!(shown(album), ["1.jpg", "2.jpg", "new", "below"]);
    assert!(album.delete_time.is_none() && album.album[2].delete_time.is_some());
    assert_eq!(world.published().await.get("message.deleted"), None);

    world.receive(&[deletion(&world, "upd:14", &[1, 2])]).await;
    let album = &world.client_messages("7").await[0];
    assert!(album.parts.is_empty() && album.delete_time.is_some());
    assert_eq!(world.published().await["message.deleted"], 1);
    assert_eq!(world.count("select count(*) from parked").await, 0);
}

#[tokio::test]
async fn x08_what_overtakes_items_of_an_album_gives_the_same() {
    let mut end = None;
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1], [3, 1, 0, 2]] {
        for together in [1, 2, 4] {
            let world = World::new().await;
            let items = [
                item(&world, 1, "old"),
                item(&world, 2, ""),
                edit(&world, "upd:9", 1, "new"),
                deletion(&world, "upd:10", &[2]),
            ];
            for batch in batches(&order, together) {
                let batch: Vec<_> = batch.iter().map(|index| items[*index].clone()).collect();
                world.receive(&batch).await;
            }
            let messages = world.client_messages("7").await;
            assert_eq!(messages.len(), 1, "{order:?} {together}");
            let message = &messages[0];
            assert_eq!(shown(message), ["1.jpg", "new"], "{order:?} {together}");
            assert_eq!(world.count("select count(*) from parked").await, 0);
            let chat = world.get_chat(&world.as_service(), "7").await.unwrap();
            assert_eq!(
                (chat.unanswered, chat.last_message.unwrap().text.as_str()),
                (1, "new")
            );
            let album = message.album.clone();
            assert_eq!(*end.get_or_insert_with(|| album.clone()), album);
        }
    }
}

#[tokio::test]
async fn an_album_has_a_bound_and_nothing_beyond_it_is_lost() {
    let world = World::new().await;
    let many = i64::try_from(ITEMS).unwrap() + 3;
    let items: Vec<_> = (1..=many).map(|number| item(&world, number, "")).collect();
    world.receive(&items[..10]).await;
    world.receive(&items[10..]).await;
    let before = world.everything().await;
    world.receive(&items).await;
    assert_eq!(world.everything().await, before);
    let messages = world.client_messages("7").await;
    let lengths: Vec<usize> = messages.iter().map(|message| message.parts.len()).collect();
    assert_eq!(lengths, [ITEMS, 1, 1, 1]);
}

#[tokio::test]
async fn albums_of_two_chats_and_messages_between_keep_apart() {
    let world = World::new().await;
    let other = |number: i64| {
        let message = gateway::InboundMessage {
            provider_key: format!("8/{number}"),
            ..written(number, "")
        };
        world.item(
            &format!("upd:8:{number}"),
            "8",
            at(number),
            Kind::Message(message),
        )
    };
    world
        .receive(&[
            item(&world, 1, ""),
            other(1),
            world.message("7", "5", at(5), "between"),
            other(2),
            item(&world, 6, ""),
        ])
        .await;
    let seven = world.client_messages("7").await;
    assert_eq!(seven.len(), 2);
    assert_eq!(shown(&seven[0]), ["1.jpg", "6.jpg"]);
    assert_eq!(text_of(&seven[1]), "between");
    assert_eq!(world.client_messages("8").await[0].parts.len(), 2);
    // An item that comes after the end belongs to what was there: it opens nothing.
    world.close(&world.as_agent("ann"), "7").await.unwrap();
    world.receive(&[item(&world, 7, "")]).await;
    assert_eq!(world.client_messages("7").await[0].parts.len(), 3);
    assert_eq!(world.count("select count(*) from conversation").await, 2);
}

#[tokio::test]
async fn two_items_on_two_replicas_at_once_meet() {
    for _ in 0..10 {
        let world = World::new().await;
        let (one, two) = ([item(&world, 1, "a")], [item(&world, 2, "")]);
        let now = OffsetDateTime::UNIX_EPOCH + time::Duration::days(20_000);
        let (first, second) =
            tokio::join!(world.try_receive(&one, now), world.try_receive(&two, now));
        first.and(second).unwrap();
        let messages = world.client_messages("7").await;
        assert_eq!(messages.len(), 1);
        assert_eq!(shown(&messages[0]), ["1.jpg", "2.jpg", "a"]);
    }
}
