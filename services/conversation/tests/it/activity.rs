//! The activity log: what is kept, once; who is shown what of it; filters, pages, plans; what is old.

use std::collections::BTreeSet;

use chassis::access::{AccessRecord, ChannelGrant, ChatAccess, View};
use chassis::actor::Actor;
use chassis::auth::Caller;
use chassis::consumer::{Delivery, Handler as _, HandlerError};
use chassis::testing::{caller, full_access, request, service_caller, take_outbox};
use conversation::activity::{Activity, filters};
use conversation::app::activity::sweep;
use conversation::domain::activity::{KINDS, Reach};
use conversation::grpc::Activities;
use conversation::store::activity::{self as store, END, Filter};
use sqlx::Row as _;
use switchboard_proto::assignment::v1 as assignment;
use switchboard_proto::channel_gateway::v1 as gateway;
use switchboard_proto::common::v1 as common;
use switchboard_proto::conversation::v1::{
    self as pb, activity_service_server::ActivityService as _,
};
use switchboard_proto::crm_cards::v1 as crm;
use time::Duration;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::world::{World, agent, at, noon, reason};

async fn keep(world: &World, batch: &[Delivery]) {
    let handler = Activity::new(world.db.pool.clone());
    handler.handle(batch, noon()).await.unwrap();
}

async fn page(
    world: &World,
    by: &Caller,
    ask: pb::ListActivityRequest,
) -> Result<pb::ListActivityResponse, Status> {
    let api = Activities::new(world.db.pool.clone());
    let answer = api.list_activity(request(by, ask)).await?;
    Ok(answer.into_inner())
}

/// All pages.
async fn list(
    world: &World,
    by: &Caller,
    mut ask: pb::ListActivityRequest,
) -> Vec<pb::ActivityEntry> {
    let mut entries = Vec::new();
    loop {
        let answer = page(world, by, ask.clone()).await.unwrap();
        entries.extend(answer.entries);
        ask.page_token = answer.next_page_token;
        if ask.page_token.is_empty() {
            return entries;
        }
    }
}

fn types(entries: &[pb::ActivityEntry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.r#type.as_str()).collect()
}

fn asked() -> pb::ListActivityRequest {
    pb::ListActivityRequest::default()
}

fn of_types(types: &[&str]) -> pb::ListActivityRequest {
    pb::ListActivityRequest {
        types: types.iter().map(|&name| name.to_owned()).collect(),
        ..asked()
    }
}

/// Events of the service itself, as they are published: a client opened a conversation and an agent closed it.
async fn opened_and_closed(world: &World) -> Vec<Delivery> {
    world.receive(&[world.message("7", "1", at(0), "x")]).await;
    world.close(&world.as_agent("ann"), "7").await.unwrap();
    take_outbox(&world.db.pool).await
}

/// A delivery of another service, so many seconds after noon.
fn later(delivery: Delivery, seconds: i64) -> Delivery {
    let mut delivery = delivery;
    delivery.envelope.time = at(seconds);
    delivery
}

fn by(delivery: Delivery, actor: Actor) -> Delivery {
    let mut delivery = delivery;
    delivery.envelope.actor = Some(actor);
    delivery
}

fn clicked(world: &World, id: u128) -> Delivery {
    let event = gateway::LinkClicked {
        channel_id: world.channel.to_string(),
        chat_id: world.chat("7").to_string(),
        message_id: Uuid::from_u128(9).to_string(),
        url: "https://shop.example/oak".into(),
        visitor_id: String::new(),
        time: None,
    };
    later(world.event(id, world.chat("7"), &event), 60)
}

/// An entity's id.
fn entity(number: u128) -> Uuid {
    Uuid::from_u128(0xe000 + number)
}

fn stamped(second: i64) -> Option<common::Stamp> {
    Some(common::Stamp {
        time: Some(chassis::grpc::timestamp(at(second))),
        event_id: Uuid::from_u128(1).to_string(),
    })
}

fn card(number: u128, responsible: &str, second: i64, chat: Option<Uuid>) -> crm::Card {
    crm::Card {
        card_id: entity(number).to_string(),
        kind: common::EntityKind::Lead.into(),
        title: format!("Card {number}"),
        chat_id: chat.map(|chat| chat.to_string()).unwrap_or_default(),
        responsible_agent_id: agent(responsible).to_string(),
        responsible_stamp: stamped(second),
        ..Default::default()
    }
}

fn contact(number: u128, responsible: &str) -> crm::Contact {
    crm::Contact {
        contact_id: entity(number).to_string(),
        name: format!("Contact {number}"),
        responsible_agent_id: agent(responsible).to_string(),
        responsible_stamp: stamped(1),
        ..Default::default()
    }
}

#[tokio::test]
async fn f214_f215_opened_and_closed_conversations_are_listed_with_their_authors() {
    let world = World::new().await;
    let batch = opened_and_closed(&world).await;
    keep(&world, &batch).await;
    let ann = world.as_agent("ann");
    let both = of_types(&["conversation.opened", "conversation.closed"]);
    let entries = list(&world, &ann, both).await;
    assert_eq!(
        types(&entries),
        ["conversation.closed", "conversation.opened"]
    );
    let [closed, opened] = entries.as_slice() else {
        panic!("{entries:?}");
    };
    let chat = world.get_chat(&ann, "7").await.unwrap();
    assert_eq!(opened.actor, format!("client:{}", chat.client_id));
    assert_eq!(opened.agent_id, "");
    assert_eq!(closed.actor, format!("agent:{}", agent("ann")));
    assert_eq!(closed.agent_id, agent("ann").to_string());
    for entry in &entries {
        assert_eq!(entry.chat_id, world.chat("7").to_string());
        assert_eq!(entry.channel_id, world.channel.to_string());
        assert_eq!((entry.number, entry.key_action), (1, false));
        assert_eq!(entry.conversation_id, opened.conversation_id);
        assert_eq!(entry.parameters["number"], "1");
    }
    assert!(!opened.conversation_id.is_empty());
    assert_eq!(opened.text, "Conversation 1 was opened");
    assert_eq!(closed.text, "Conversation 1 was closed");
    let closings = list(&world, &ann, of_types(&["conversation.closed"])).await;
    assert_eq!(types(&closings), ["conversation.closed"]);
    // Messages are among what is published, and not in the log.
    assert!(
        batch
            .iter()
            .any(|delivery| delivery.is::<pb::MessageStored>())
    );
    let all = list(&world, &ann, asked()).await;
    let kept: BTreeSet<&str> = types(&all).into_iter().collect();
    let expected = ["chat.created", "conversation.closed", "conversation.opened"];
    assert_eq!(kept, expected.into());
}

#[tokio::test]
async fn b01_a_repeat_makes_no_second_entry_and_the_order_does_not_matter() {
    let world = World::new().await;
    let mut batch = opened_and_closed(&world).await;
    batch.reverse();
    let (first, rest) = batch.split_at(1);
    keep(&world, rest).await;
    keep(&world, first).await;
    let before = list(&world, &world.as_service(), asked()).await;
    let twice = [batch.clone(), batch].concat();
    keep(&world, &twice).await;
    let after = list(&world, &world.as_service(), asked()).await;
    assert_eq!(before, after);
    assert_eq!(world.count("select count(*) from activity").await, 3);
}

#[tokio::test]
async fn f194_key_actions_are_listed_only_where_they_are_asked_for() {
    let world = World::new().await;
    keep(&world, &opened_and_closed(&world).await).await;
    keep(&world, &[clicked(&world, 50)]).await;
    let ann = world.as_agent("ann");
    let of_chat = || pb::ListActivityRequest {
        chat_id: world.chat("7").to_string(),
        ..asked()
    };
    for ask in [asked(), of_chat()] {
        let entries = list(&world, &ann, ask.clone()).await;
        assert_eq!(entries.len(), 3, "{entries:?}");
        assert!(entries.iter().all(|entry| !entry.key_action));
        let with = pb::ListActivityRequest {
            include_key_actions: true,
            ..ask
        };
        let entries = list(&world, &ann, with).await;
        assert_eq!(entries.len(), 4, "{entries:?}");
        let action = entries.iter().find(|entry| entry.key_action).unwrap();
        assert_eq!(action.r#type, "link.clicked");
        assert_eq!(action.parameters["url"], "https://shop.example/oak");
    }
    let named = list(&world, &ann, of_types(&["link.clicked"])).await;
    assert_eq!(types(&named), ["link.clicked"]);
    let named = of_types(&["link.clicked", "conversation.opened"]);
    let named = list(&world, &ann, named).await;
    assert_eq!(types(&named), ["link.clicked", "conversation.opened"]);
}

/// One thing of everything that rights are about.
async fn things(world: &World) {
    keep(world, &opened_and_closed(world).await).await;
    let chat = world.chat("7");
    let (channel, client) = (world.channel, Uuid::from_u128(0xc11e));
    let assigned = assignment::ChatAssigned {
        assignment: Some(assignment::ChatAssignment {
            chat_id: chat.to_string(),
            channel_id: channel.to_string(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let converted = crm::CardConverted {
        card: Some(card(2, "ann", 1, None)),
        contact: Some(contact(3, "ann")),
        ..Default::default()
    };
    let order = crm::OrderCreated {
        order: Some(crm::Order {
            order_id: entity(5).to_string(),
            number: 1,
            contact_id: entity(3).to_string(),
            ..Default::default()
        }),
    };
    let linked = crm::ChatLinked {
        chat_id: chat.to_string(),
        entity: Some(common::LinkedEntity {
            kind: common::EntityKind::Contact.into(),
            entity_id: entity(3).to_string(),
            responsible_agent_id: agent("ann").to_string(),
            stamp: stamped(1),
        }),
    };
    let created = crm::CardCreated {
        card: Some(card(1, "ann", 1, Some(chat))),
        conversation_id: String::new(),
    };
    let person = crm::ContactCreated {
        contact: Some(contact(3, "ann")),
    };
    let company = crm::CompanyCreated {
        company: Some(crm::Company {
            company_id: entity(4).to_string(),
            name: "Kava".into(),
            responsible_agent_id: agent("bob").to_string(),
            responsible_stamp: stamped(1),
            ..Default::default()
        }),
    };
    let enabled = gateway::ChannelEnabled {
        channel_id: channel.to_string(),
        name: "Line".into(),
        ..Default::default()
    };
    let batch = [
        world.event(1, chat, &assigned),
        by(
            world.event(2, entity(1), &created),
            Actor::Rule("pipeline-connection".into()),
        ),
        world.event(3, entity(2), &converted),
        by(world.event(4, entity(3), &person), Actor::Client(client)),
        world.event(5, entity(4), &company),
        world.event(6, entity(5), &order),
        world.event(7, chat, &linked),
        world.event(8, channel, &enabled),
    ];
    let batch: Vec<Delivery> = (1..)
        .zip(batch)
        .map(|(n, delivery)| later(delivery, n))
        .collect();
    keep(world, &batch).await;
}

fn with(world: &World, name: &str, change: impl FnOnce(&mut AccessRecord)) -> Caller {
    let id = agent(name);
    let mut record = full_access(id);
    change(&mut record);
    caller(&world.account, id, &["chats:*"], record)
}

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
                stamp: stamped(second),
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

#[tokio::test]
async fn what_an_event_does_not_name_is_filled_in_from_the_chat() {
    let world = World::new().await;
    opened_and_closed(&world).await;
    let blocked = |key: &str| gateway::ClientBlocked {
        channel_id: world.channel.to_string(),
        chat_key: key.into(),
        time: None,
    };
    let created = crm::CardCreated {
        card: Some(card(1, "ann", 1, Some(world.chat("7")))),
        conversation_id: String::new(),
    };
    let of_strangers = crm::CardCreated {
        card: Some(card(2, "ann", 1, Some(Uuid::from_u128(77)))),
        conversation_id: String::new(),
    };
    keep(
        &world,
        &[
            later(world.event(1, world.channel, &blocked("7")), 4),
            later(world.event(2, entity(1), &created), 3),
            later(world.event(3, world.channel, &blocked("8")), 2),
            later(world.event(4, entity(2), &of_strangers), 1),
        ],
    )
    .await;
    let entries = list(&world, &world.as_service(), asked()).await;
    let chat = world.chat("7").to_string();
    let channel = world.channel.to_string();
    let places: Vec<(&str, &str)> = entries
        .iter()
        .map(|entry| (entry.chat_id.as_str(), entry.channel_id.as_str()))
        .collect();
    let unknown = Uuid::from_u128(77).to_string();
    assert_eq!(
        places,
        [
            (chat.as_str(), channel.as_str()),
            (&chat, &channel),
            ("", &channel),
            (&unknown, "")
        ]
    );
    // What is of a chat whose channel is not known is of no channel that was granted.
    let narrowed = with(&world, "ann", |record| {
        record.channels = ChannelGrant::Some([world.channel].into());
    });
    assert_eq!(list(&world, &narrowed, asked()).await.len(), 3);
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_told_apart_and_one_of_no_interest_is_passed_over() {
    let world = World::new().await;
    let created = world.event(1, entity(1), &crm::CardCreated::default());
    let mut broken = created.clone();
    broken.payload = b"\xff\xff".as_slice().into();
    let handler = Activity::new(world.db.pool.clone());
    let outcome = handler.handle(&[created, broken], noon()).await;
    assert!(
        matches!(outcome, Err(HandlerError::Poison(_))),
        "{outcome:?}"
    );
    let other = world.event(2, entity(1), &pb::ClientUpdated::default());
    keep(&world, &[other]).await;
    assert_eq!(world.count("select count(*) from activity").await, 0);
    assert_eq!(filters().len(), KINDS.len());
}

#[tokio::test]
async fn f214_the_list_is_filtered_by_actor_chat_entity_and_time_over_pages() {
    let world = World::new().await;
    things(&world).await;
    let service = world.as_service();
    let all = list(&world, &service, asked()).await;
    for size in [1, 2, 5] {
        let ask = pb::ListActivityRequest {
            page_size: size,
            ..asked()
        };
        assert_eq!(list(&world, &service, ask).await, all, "pages of {size}");
    }
    assert!(
        all.is_sorted_by_key(|entry| {
            let time = entry.time.unwrap();
            std::cmp::Reverse((time.seconds, time.nanos))
        }),
        "{all:?}"
    );
    let time = |seconds| Some(chassis::grpc::timestamp(at(seconds)));
    let ann = format!("agent:{}", agent("ann"));
    let expect = |wanted: &dyn Fn(&pb::ActivityEntry) -> bool| {
        let wanted = all.iter().filter(|entry| wanted(entry)).cloned();
        wanted.collect::<Vec<_>>()
    };
    for (name, ask, expected) in [
        (
            "agents",
            pb::ListActivityRequest {
                actor: "agent".into(),
                ..asked()
            },
            expect(&|entry| entry.actor.starts_with("agent:")),
        ),
        (
            "one agent",
            pb::ListActivityRequest {
                actor: ann.clone(),
                ..asked()
            },
            expect(&|entry| entry.actor == ann),
        ),
        (
            "rules, of a type",
            pb::ListActivityRequest {
                actor: "rule".into(),
                ..of_types(&["card.created", "card.moved"])
            },
            expect(&|entry| entry.r#type == "card.created"),
        ),
        (
            "bots",
            pb::ListActivityRequest {
                actor: "bot".into(),
                ..asked()
            },
            Vec::new(),
        ),
        (
            "a chat",
            pb::ListActivityRequest {
                chat_id: world.chat("7").to_string(),
                page_size: 2,
                ..asked()
            },
            expect(&|entry| !entry.chat_id.is_empty()),
        ),
        (
            "an entity",
            pb::ListActivityRequest {
                entity_kind: "contact".into(),
                entity_id: entity(3).to_string(),
                ..asked()
            },
            expect(&|entry| entry.entity_id == entity(3).to_string()),
        ),
        (
            "an entity of another kind",
            pb::ListActivityRequest {
                entity_kind: "card".into(),
                entity_id: entity(3).to_string(),
                ..asked()
            },
            Vec::new(),
        ),
        (
            "a kind of entity",
            pb::ListActivityRequest {
                entity_kind: "card".into(),
                page_size: 1,
                ..asked()
            },
            expect(&|entry| entry.entity_kind == "card"),
        ),
        (
            "a while",
            pb::ListActivityRequest {
                since_time: time(2),
                until_time: time(5),
                ..asked()
            },
            expect(&|entry| (at(2)..at(5)).contains(&of(entry))),
        ),
    ] {
        assert_eq!(list(&world, &service, ask).await, expected, "{name}");
        assert!(
            name == "bots" || name.contains("another") || !expected.is_empty(),
            "{name}"
        );
    }
    for wrong in [
        of_types(&["message.stored"]),
        pb::ListActivityRequest {
            actor: "robot".into(),
            ..asked()
        },
        pb::ListActivityRequest {
            chat_id: "7".into(),
            ..asked()
        },
        pb::ListActivityRequest {
            entity_kind: "chat".into(),
            ..asked()
        },
        pb::ListActivityRequest {
            page_token: "x".into(),
            ..asked()
        },
        pb::ListActivityRequest {
            page_size: -1,
            ..asked()
        },
    ] {
        let refused = page(&world, &service, wrong).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
}

fn of(entry: &pb::ActivityEntry) -> time::OffsetDateTime {
    let time = entry.time.unwrap();
    time::OffsetDateTime::from_unix_timestamp(time.seconds).unwrap()
}

/// 12,000 entries of a channel that is not granted stand before two of one that is.
const CROWD: &str = "
    insert into activity (account, event_id, type, time, actor, key_action, chat_id, channel_id, number, entity_kind, parameters)
        select 'acme', gen_random_uuid(), case n % 2 when 0 then 'chat.created' else 'conversation.opened' end,
            timestamptz '2026-03-02 12:00:00Z' - n * interval '1 second', 'agent:00000000-0000-0000-0000-000000000001', false,
            ('00000000-0000-0000-0000-' || lpad((n % 100)::text, 12, '0'))::uuid,
            case when n in (11000, 12000) then '00000000-0000-0000-0000-00000000c4a1'
                 else '00000000-0000-0000-0000-000000000001' end::uuid,
            0, '', '{}'
        from generate_series(1, 12000) n";

#[tokio::test]
async fn a_page_looks_through_so_much_and_the_next_one_goes_on_behind_it() {
    let world = World::new().await;
    sqlx::raw_sql(CROWD).execute(&world.db.pool).await.unwrap();
    let narrowed = with(&world, "ann", |record| {
        record.channels = ChannelGrant::Some([world.channel].into());
    });
    let both = of_types(&["chat.created", "conversation.opened"]);
    for ask in [asked(), both] {
        let first = page(&world, &narrowed, ask.clone()).await.unwrap();
        assert_eq!(first.entries, []);
        assert!(!first.next_page_token.is_empty());
        let entries = list(&world, &narrowed, ask).await;
        let seconds: Vec<i64> = entries
            .iter()
            .map(|entry| (noon() - of(entry)).whole_seconds())
            .collect();
        assert_eq!(seconds, [11_000, 12_000]);
    }
}

#[tokio::test]
async fn what_is_older_than_it_is_kept_is_swept_step_by_step() {
    let world = World::new().await;
    sqlx::raw_sql(CROWD).execute(&world.db.pool).await.unwrap();
    let day = std::time::Duration::from_hours(24);
    let pool = &world.db.pool;
    let now = noon() + Duration::DAY - Duration::seconds(6_000);
    assert_eq!(sweep(pool, std::time::Duration::MAX, now).await.unwrap(), 0);
    assert_eq!(sweep(pool, day, now).await.unwrap(), 6_000);
    let oldest = "select count(*) from activity where time < timestamptz '2026-03-02 12:00:00Z' - interval '6000 seconds'";
    assert_eq!(world.count(oldest).await, 0);
    assert_eq!(world.count("select count(*) from activity").await, 6_000);
    assert_eq!(sweep(pool, day, now).await.unwrap(), 0);
}

/// How the server would execute a prepared statement.
async fn plan(connection: &mut sqlx::PgConnection, mode: &str, execute: &str) -> String {
    let set = sqlx::AssertSqlSafe(format!("set plan_cache_mode = {mode}"));
    sqlx::raw_sql(set).execute(&mut *connection).await.unwrap();
    let explain = sqlx::AssertSqlSafe(format!("explain execute {execute}"));
    let plan = sqlx::raw_sql(explain).fetch_all(connection).await.unwrap();
    let lines: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
    lines.join("\n")
}

#[tokio::test]
async fn what_is_old_is_found_by_its_day() {
    let world = World::new().await;
    sqlx::raw_sql(CROWD).execute(&world.db.pool).await.unwrap();
    sqlx::raw_sql("analyze activity")
        .execute(&world.db.pool)
        .await
        .unwrap();
    let mut connection = world.db.pool.acquire().await.unwrap();
    let long_ago = noon() - Duration::days(300);
    let swept = store::sweep(&mut connection, long_ago).await.unwrap();
    assert_eq!(swept, (0, false));
    let statement: String = sqlx::query_scalar(
        "select name from pg_prepared_statements where statement like 'delete from activity%'",
    )
    .fetch_one(&mut *connection)
    .await
    .unwrap();
    for mode in ["force_generic_plan", "force_custom_plan"] {
        let execute = format!("{statement} ('2025-01-01Z', 5000)");
        let plan = plan(&mut connection, mode, &execute).await;
        assert!(plan.contains("activity_by_age"), "{plan}");
        assert!(!plan.contains("Seq Scan"), "{plan}");
    }
}

#[tokio::test]
async fn f214_each_filter_is_read_from_its_index() {
    let world = World::new().await;
    sqlx::raw_sql(CROWD).execute(&world.db.pool).await.unwrap();
    sqlx::raw_sql("analyze activity")
        .execute(&world.db.pool)
        .await
        .unwrap();
    let mut connection = world.db.pool.acquire().await.unwrap();
    let id = Uuid::from_u128(1);
    let asked = Filter::default;
    let everything = Reach::of(None);
    let narrowed = Reach {
        channels: Some(vec![Uuid::from_u128(9)]),
        ..Reach::of(None)
    };
    let actor = || "agent:00000000-0000-0000-0000-000000000001".to_owned();
    for (name, by, filter, index) in [
        ("newest", "key_action = wanted", asked(), "activity_newest"),
        (
            "of types",
            " type = wanted",
            Filter {
                types: vec!["chat.created".into(), "chat.joined".into()],
                ..asked()
            },
            "activity_by_type",
        ),
        (
            "by one actor",
            " actor = wanted",
            Filter {
                actor: Some(actor()),
                ..asked()
            },
            "activity_by_actor",
        ),
        (
            "by a kind of actor",
            "actor_kind = wanted",
            Filter {
                actor_kind: Some("agent".into()),
                ..asked()
            },
            "activity_by_actor_kind",
        ),
        (
            "of a chat",
            "chat_id = wanted",
            Filter {
                chat: Some(id.into()),
                ..asked()
            },
            "activity_of_chat",
        ),
        (
            "of an entity",
            " entity_id = wanted",
            Filter {
                entity: Some(id),
                ..asked()
            },
            "activity_of_entity",
        ),
    ] {
        for reach in [&everything, &narrowed] {
            store::list(&mut connection, &world.account, &filter, reach, END, 51)
                .await
                .unwrap();
        }
        // The statements are those that the store itself prepared: the list, and where its looking ended.
        let prepared: Vec<(String, i32)> = sqlx::query_as(
            "select name, cardinality(parameter_types) from pg_prepared_statements
             where position($1 in statement) > 0 and statement like '%from activity%'",
        )
        .bind(by)
        .fetch_all(&mut *connection)
        .await
        .unwrap();
        assert_eq!(prepared.len(), 2, "{name}: {prepared:?}");
        let value = match name {
            "newest" => "false",
            "of types" => "chat.created",
            "by a kind of actor" => "agent",
            "by one actor" => &actor(),
            _ => "00000000-0000-0000-0000-000000000001",
        };
        let place = format!(
            "array['{value}'], 'acme', '9999-01-01', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '0001-01-01'"
        );
        for (statement, parameters) in prepared {
            let parameters = match parameters {
                6 => format!("{place}, 5000"),
                _ => format!(
                    "{place}, 51, null, array['', 'card'], array['contact'], null, array[]::text[], true, null, null, null, \
                     null, 51"
                ),
            };
            for mode in ["force_generic_plan", "force_custom_plan"] {
                let plan = plan(
                    &mut connection,
                    mode,
                    &format!("{statement} ({parameters})"),
                )
                .await;
                assert!(
                    plan.contains(&format!("{index} on activity")),
                    "{name}: {plan}"
                );
                assert!(!plan.contains("Seq Scan"), "{name}: {plan}");
                assert!(
                    plan.contains("ROW("),
                    "{name}: the page is found by the index: {plan}"
                );
                // Groups are merged; within each nothing is sorted.
                assert_eq!(plan.matches("Sort Key").count(), 1, "{name}: {plan}");
            }
        }
    }
}
