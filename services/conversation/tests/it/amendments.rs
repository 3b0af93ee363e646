//! Edits, reactions and deletions, before and after what they amend.

use chassis::outbox::Waker;
use conversation::app::sweep::{Swept, sweep};
use switchboard_proto::channel_gateway::v1::{self as gateway, inbound_event::Kind};
use switchboard_proto::conversation::v1 as pb;
use time::{Duration, OffsetDateTime};

use crate::world::{World, at, inbound_message, noon, text_of};

fn edit(
    world: &World,
    event: &str,
    key: &str,
    time: OffsetDateTime,
    text: &str,
) -> gateway::InboundEvent {
    let kind = Kind::Edit(gateway::InboundEdit {
        own_app: false,
        provider_key: key.into(),
        message: Some(inbound_message(key, text)),
        sent_at: Some(chassis::grpc::timestamp(noon())),
    });
    world.item(event, "7", time, kind)
}

fn reaction(
    world: &World,
    event: &str,
    key: &str,
    time: OffsetDateTime,
    emojis: &[&str],
) -> gateway::InboundEvent {
    let kind = Kind::Reaction(gateway::InboundReaction {
        provider_key: key.into(),
        emojis: emojis.iter().map(|emoji| (*emoji).to_owned()).collect(),
    });
    world.item(event, "7", time, kind)
}

fn deletion(
    world: &World,
    event: &str,
    keys: &[&str],
    time: OffsetDateTime,
) -> gateway::InboundEvent {
    let kind = Kind::Deletion(gateway::InboundDeletion {
        provider_keys: keys.iter().map(|key| (*key).to_owned()).collect(),
    });
    world.item(event, "7", time, kind)
}

#[tokio::test]
async fn x08_edits_reactions_and_deletions_give_the_same_in_every_order() {
    // All orders of: the message, two edits, a reaction; each repeated.
    let orders = [
        [0, 1, 2, 3],
        [3, 2, 1, 0],
        [1, 0, 3, 2],
        [2, 1, 0, 3],
        [2, 3, 0, 1],
        [1, 2, 3, 0],
    ];
    for order in orders {
        for together in [false, true] {
            let world = World::new().await;
            let items = [
                world.message("7", "1", noon(), "first"),
                edit(&world, "upd:9", "7/1", at(10), "second"),
                edit(&world, "upd:10", "7/1", at(10), "third"),
                reaction(&world, "upd:11", "7/1", at(11), &["👍"]),
            ];
            let ordered: Vec<_> = order.iter().map(|index| items[*index].clone()).collect();
            if together {
                world.receive(&ordered).await;
            } else {
                for item in &ordered {
                    world.receive(std::slice::from_ref(item)).await;
                }
            }
            let before = world.everything().await;
            for item in &ordered {
                world.receive(std::slice::from_ref(item)).await;
            }
            assert_eq!(
                world.everything().await,
                before,
                "{order:?} {together}: repeats"
            );

            let messages = world.client_messages("7").await;
            assert_eq!(messages.len(), 1, "{order:?} {together}");
            assert_eq!(text_of(&messages[0]), "third", "{order:?} {together}");
            assert_eq!(messages[0].reactions.len(), 1, "{order:?} {together}");
            assert_eq!(world.count("select count(*) from parked").await, 0);
            let chat = world.get_chat(&world.as_service(), "7").await.unwrap();
            assert_eq!(
                chat.last_message.unwrap().text,
                "third",
                "{order:?} {together}"
            );
            assert_eq!(chat.unanswered, 1);
            let edited = world.events_of::<pb::MessageEdited>().await;
            assert_eq!(
                text_of(edited.last().unwrap().message.as_ref().unwrap()),
                "third"
            );
            assert_eq!(world.published().await["message.reacted"], 1);
        }
    }
}

#[tokio::test]
async fn a_deletion_that_came_first_leaves_a_message_without_content() {
    let world = World::new().await;
    world
        .receive(&[deletion(&world, "d", &["7/1", "7/2"], at(5))])
        .await;
    assert_eq!(world.count("select count(*) from parked").await, 2);
    world
        .receive(&[world.message("7", "1", noon(), "secret")])
        .await;
    let messages = world.client_messages("7").await;
    assert!(messages[0].parts.is_empty() && messages[0].delete_time.is_some());
    let stored = world.events_of::<pb::MessageStored>().await;
    let said = stored.iter().filter_map(|event| event.message.as_ref());
    assert!(
        said.clone().all(|message| message.parts.is_empty()),
        "not even the event tells it"
    );
    assert_eq!(
        said.filter(|message| message.delete_time.is_some()).count(),
        1
    );

    world
        .receive(&[world.message("7", "3", at(9), "stays")])
        .await;
    world
        .receive(&[deletion(&world, "d2", &["7/3"], at(10))])
        .await;
    assert_eq!(world.events_of::<pb::MessageDeleted>().await.len(), 1);
    world
        .receive(&[edit(&world, "e", "7/3", at(11), "back")])
        .await;
    let messages = world.client_messages("7").await;
    assert!(messages[1].parts.is_empty(), "what is deleted stays so");
    let chat = world.get_chat(&world.as_service(), "7").await.unwrap();
    assert_eq!(chat.last_message.unwrap().text, "");
}

#[tokio::test]
async fn an_edit_whose_message_never_comes_is_stored_as_the_message_it_carries() {
    let world = World::new().await;
    world
        .receive(&[
            edit(&world, "e", "7/1", at(10), "edited"),
            reaction(&world, "r", "9", at(10), &["👍"]),
            deletion(&world, "d", &["5"], at(10)),
        ])
        .await;
    let (pool, waker, wait) = (
        &world.db.pool,
        Waker::new(),
        std::time::Duration::from_hours(24),
    );
    let early = sweep(pool, &waker, wait, noon() + Duration::hours(23))
        .await
        .unwrap();
    assert_eq!(early, Swept::default());
    let late = noon() + Duration::hours(25);
    let swept = sweep(pool, &waker, wait, late).await.unwrap();
    assert_eq!(
        swept,
        Swept {
            edits: 1,
            reactions: 1
        }
    );
    let messages = world.client_messages("7").await;
    assert_eq!(text_of(&messages[0]), "edited");
    assert_eq!(world.published().await["conversation.opened"], 1);
    assert_eq!(
        world.count("select count(*) from parked").await,
        1,
        "the tombstone stays"
    );
    assert_eq!(
        sweep(pool, &waker, wait, late).await.unwrap(),
        Swept::default()
    );

    // Should the message come after all, it is the one that is stored.
    let before = world.everything().await;
    world
        .receive(&[world.message("7", "1", noon(), "original")])
        .await;
    assert_eq!(world.everything().await, before);
}

#[tokio::test]
async fn an_edit_and_its_message_on_two_replicas_at_once_meet() {
    for _ in 0..10 {
        let world = World::new().await;
        let message = [world.message("7", "1", noon(), "first")];
        let edit = [edit(&world, "e", "7/1", at(10), "edited")];
        let (one, other) = tokio::join!(
            world.try_receive(&message, noon()),
            world.try_receive(&edit, noon()),
        );
        one.and(other).unwrap();
        assert_eq!(text_of(&world.client_messages("7").await[0]), "edited");
        assert_eq!(world.count("select count(*) from parked").await, 0);
    }
}
