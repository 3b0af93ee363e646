//! The activity log: what is kept of what happened, and that it is kept once.

mod lists;
mod rights;

use std::collections::BTreeSet;

use chassis::access::{AccessRecord, ChannelGrant};
use chassis::actor::Actor;
use chassis::auth::Caller;
use chassis::consumer::{Delivery, Handler as _, HandlerError};
use chassis::testing::{caller, full_access, request, take_outbox};
use conversation::activity::{Activity, filters};
use conversation::domain::activity::KINDS;
use conversation::grpc::Activities;
use switchboard_proto::assignment::v1 as assignment;
use switchboard_proto::channel_gateway::v1 as gateway;
use switchboard_proto::common::v1 as common;
use switchboard_proto::conversation::v1::{
    self as pb, activity_service_server::ActivityService as _,
};
use switchboard_proto::crm_cards::v1 as crm;
use tonic::Status;
use uuid::Uuid;

use crate::world::{World, agent, at, noon};

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

fn stamped(second: i64) -> common::Stamp {
    common::Stamp {
        time: Some(chassis::grpc::timestamp(at(second))),
        event_id: Uuid::from_u128(1).to_string(),
    }
}

fn card(number: u128, responsible: &str, second: i64, chat: Option<Uuid>) -> crm::Card {
    crm::Card {
        card_id: entity(number).to_string(),
        kind: common::EntityKind::Lead.into(),
        title: format!("Card {number}"),
        chat_id: chat.map(|chat| chat.to_string()).unwrap_or_default(),
        responsible_agent_id: agent(responsible).to_string(),
        responsible_stamp: Some(stamped(second)),
        ..Default::default()
    }
}

fn contact(number: u128, responsible: &str) -> crm::Contact {
    crm::Contact {
        contact_id: entity(number).to_string(),
        name: format!("Contact {number}"),
        responsible_agent_id: agent(responsible).to_string(),
        responsible_stamp: Some(stamped(1)),
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
    assert!(batch.iter().any(Delivery::is::<pb::MessageStored>));
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
            stamp: Some(stamped(1)),
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
            responsible_stamp: Some(stamped(1)),
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
