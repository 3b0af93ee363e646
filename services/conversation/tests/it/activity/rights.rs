//! Who is shown what of the log.

use chassis::access::{AccessRecord, ChannelGrant, ChatAccess, View};
use chassis::testing::service_caller;
use conversation::domain::activity::KINDS;
use switchboard_proto::common::v1 as common;
use switchboard_proto::conversation::v1 as pb;
use switchboard_proto::crm_cards::v1 as crm;
use tonic::Code;
use uuid::Uuid;

use super::{
    asked, card, contact, entity, keep, later, list, of_types, page, stamped, things, types, with,
};
use crate::world::{World, agent, reason};

#[expect(clippy::too_many_lines, reason = "a table is read as a whole")]
#[tokio::test]
async fn x11_f062_f174_f175_f176_f177_an_agent_sees_what_the_record_opens() {
    let world = World::new().await;
    things(&world).await;
    let chats = [
        "chat.assigned",
        "chat.created",
        "conversation.closed",
        "conversation.opened",
    ];
    let line = ["channel.enabled"];
    let people = ["chat.linked", "company.created", "contact.created"];
    let cards = ["card.converted", "card.created"];
    let order = ["order.created"];
    let elsewhere = |record: &mut AccessRecord| {
        record.channels = ChannelGrant::Some([Uuid::from_u128(5)].into());
    };
    for (name, by, expected) in [
        (
            "a service",
            world.as_service(),
            [&chats[..], &line, &people, &cards, &order].concat(),
        ),
        (
            "all",
            world.as_agent("ann"),
            [&chats[..], &line, &people, &cards, &order].concat(),
        ),
        (
            "limited",
            with(&world, "ann", |record| record.chats = ChatAccess::Limited),
            [&chats[..], &line].concat(),
        ),
        (
            "leads alone",
            with(&world, "ann", |record| record.contacts.view = View::None),
            [&chats[..], &line, &cards].concat(),
        ),
        (
            "contacts alone",
            with(&world, "ann", |record| record.leads.view = View::None),
            [&chats[..], &line, &people].concat(),
        ),
        (
            "own ones, and answers for them",
            with(&world, "ann", |record| {
                record.leads.view = View::Own;
                record.contacts.view = View::Own;
            }),
            [
                &chats[..],
                &line,
                &["chat.linked", "contact.created"],
                &cards,
                &order,
            ]
            .concat(),
        ),
        (
            "own ones, and has none",
            with(&world, "eve", |record| {
                record.leads.view = View::Own;
                record.contacts.view = View::Own;
            }),
            [&chats[..], &line].concat(),
        ),
        (
            "another channel",
            with(&world, "ann", elsewhere),
            vec![
                "card.converted",
                "company.created",
                "contact.created",
                "order.created",
            ],
        ),
        (
            "another account",
            service_caller(
                Some(&chassis::testing::account("other")),
                "shop",
                &["chats:*"],
                None,
            ),
            Vec::new(),
        ),
    ] {
        let entries = list(&world, &by, asked()).await;
        let mut seen = types(&entries);
        seen.sort_unstable();
        let mut expected = expected;
        expected.sort_unstable();
        assert_eq!(seen, expected, "{name}");
        // The same over each type by itself.
        for kind in KINDS {
            let entries = list(&world, &by, of_types(&[&kind.name()])).await;
            let seen = !entries.is_empty();
            assert_eq!(
                seen,
                expected.contains(&&*kind.name()),
                "{name}: {}",
                kind.name()
            );
        }
    }
    let none = with(&world, "ann", |record| record.chats = ChatAccess::None);
    let refused = page(&world, &none, asked()).await.unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::PermissionDenied, "CHAT_ACCESS_MISSING")
    );
}

#[tokio::test]
async fn x11_names_of_people_and_clients_are_told_to_who_may_know_them() {
    let world = World::new().await;
    things(&world).await;
    let converted = || of_types(&["card.converted"]);
    let all = list(&world, &world.as_agent("ann"), converted()).await;
    assert_eq!(all[0].parameters["contact_name"], "Contact 3");
    assert!(all[0].text.contains("Contact 3"), "{}", all[0].text);
    let leads = with(&world, "ann", |record| record.contacts.view = View::Own);
    let leads = list(&world, &leads, converted()).await;
    assert_eq!(leads[0].text, r#"Lead "Card 2" became a deal"#);
    assert!(
        !leads[0]
            .parameters
            .keys()
            .any(|key| key.starts_with("contact_")),
        "{leads:?}"
    );
    // Which client a contact is is not told to who does not see all channels, nor can it be tried out.
    let created = || of_types(&["contact.created"]);
    let client = format!("client:{}", Uuid::from_u128(0xc11e));
    let by_client = || pb::ListActivityRequest {
        actor: client.clone(),
        ..asked()
    };
    let ann = world.as_agent("ann");
    assert_eq!(list(&world, &ann, created()).await[0].actor, client);
    assert_eq!(list(&world, &ann, by_client()).await.len(), 1);
    let narrowed = with(&world, "ann", |record| {
        record.channels = ChannelGrant::Some([world.channel].into());
    });
    assert_eq!(list(&world, &narrowed, created()).await[0].actor, "client");
    assert_eq!(list(&world, &narrowed, by_client()).await, []);
    let opened = list(&world, &narrowed, of_types(&["conversation.opened"])).await;
    assert!(
        opened[0].actor.starts_with("client:"),
        "of a chat that is seen"
    );
}

#[tokio::test]
async fn f177_who_gives_an_entity_away_sees_its_entries_no_more() {
    let world = World::new().await;
    let own = |name: &str| {
        with(&world, name, |record| {
            record.leads.view = View::Own;
            record.contacts.view = View::Own;
        })
    };
    let moved = |id: u128, to: &str, second: i64| {
        let event = crm::EntityResponsibleChanged {
            entity: Some(common::LinkedEntity {
                kind: common::EntityKind::Deal.into(),
                entity_id: entity(1).to_string(),
                responsible_agent_id: agent(to).to_string(),
                stamp: Some(stamped(second)),
            }),
            ..Default::default()
        };
        world.event(id, entity(1), &event)
    };
    let created = crm::CardCreated {
        card: Some(card(1, "ann", 1, None)),
        conversation_id: String::new(),
    };
    let created = world.event(1, entity(1), &created);
    let seen = async |name: &str| list(&world, &own(name), asked()).await.len();
    // The later stamp comes first.
    keep(&world, &[moved(3, "eve", 9)]).await;
    keep(&world, &[created, moved(2, "bob", 5)]).await;
    assert_eq!(
        (seen("ann").await, seen("bob").await, seen("eve").await),
        (0, 0, 3)
    );
    keep(&world, &[moved(4, "ann", 10)]).await;
    assert_eq!(
        (seen("ann").await, seen("bob").await, seen("eve").await),
        (4, 0, 0)
    );

    // A contact that was merged away is nobody's by itself.
    let person = crm::ContactCreated {
        contact: Some(contact(8, "bob")),
    };
    keep(&world, &[world.event(10, entity(8), &person)]).await;
    assert_eq!(seen("bob").await, 1);
    let merged = crm::ContactMerged {
        contact: Some(contact(9, "ann")),
        merged_contact_id: entity(8).to_string(),
        ..Default::default()
    };
    keep(&world, &[later(world.event(11, entity(9), &merged), 90)]).await;
    assert_eq!((seen("bob").await, seen("ann").await), (0, 5));
    let back = crm::ContactUnmerged {
        contact: Some(contact(8, "bob")),
        from: Some(contact(9, "ann")),
        ..Default::default()
    };
    keep(&world, &[later(world.event(12, entity(8), &back), 95)]).await;
    assert_eq!((seen("bob").await, seen("ann").await), (2, 5));
}
