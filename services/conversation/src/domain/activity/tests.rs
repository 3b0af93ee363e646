use std::collections::BTreeSet;

use switchboard_proto::assignment::v1 as assignment;
use switchboard_proto::channel_gateway::v1 as gateway;
use switchboard_proto::conversation::v1 as conversation;
use switchboard_proto::crm_cards::v1 as crm;
use switchboard_proto::{DomainEvent, EVENTS};

use super::*;

const CHAT: &str = "00000000-0000-0000-0000-0000000000c1";
const CHANNEL: &str = "00000000-0000-0000-0000-0000000000c2";
const EPISODE: &str = "00000000-0000-0000-0000-0000000000c3";
const ENTITY: &str = "00000000-0000-0000-0000-0000000000e1";
const OTHER: &str = "00000000-0000-0000-0000-0000000000e2";
const AGENT: &str = "00000000-0000-0000-0000-0000000000a1";

fn told<E: DomainEvent>(event: &E) -> (&'static Kind, Told) {
    read(E::TYPE, &event.encode_to_vec()).unwrap().unwrap()
}

/// What is kept of an event in one line, and its sentence; empty where chats word it.
fn line<E: DomainEvent>(event: &E) -> (String, String) {
    let (kind, told) = told(event);
    let mut parts = vec![kind.name()];
    let mut part = |name: &str, value: Option<String>| {
        parts.extend(value.map(|value| {
            format!(
                "{name} {}",
                value.trim_start_matches("00000000-0000-0000-0000-0000000000")
            )
        }));
    };
    part("chat", told.chat.map(|id| id.to_string()));
    part("key", Some(told.chat_key).filter(|key| !key.is_empty()));
    part("channel", told.channel.map(|id| id.to_string()));
    part("in", told.conversation.map(|id| id.to_string()));
    part(
        "no",
        Some(told.number)
            .filter(|number| *number > 0)
            .map(|number| number.to_string()),
    );
    let subject = told.subject.as_ref();
    part(
        "of",
        subject.map(|subject| subject.kind.as_str().to_owned()),
    );
    part(
        "id",
        subject
            .and_then(|subject| subject.id)
            .map(|id| id.to_string()),
    );
    part(
        "owner",
        subject
            .and_then(|subject| subject.owner)
            .map(|id| id.to_string()),
    );
    let parameters: BTreeMap<String, String> = told
        .parameters
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect();
    for (name, value) in &parameters {
        part(&format!("{name}:"), Some(value.clone()));
    }
    let sentence = sentence(&kind.name(), &parameters).unwrap_or_default();
    (parts.join(", "), sentence)
}

fn assigned() -> assignment::ChatAssignment {
    assignment::ChatAssignment {
        chat_id: CHAT.into(),
        channel_id: CHANNEL.into(),
        conversation_id: EPISODE.into(),
        number: 7,
        agent_id: AGENT.into(),
        ..Default::default()
    }
}

fn card() -> crm::Card {
    crm::Card {
        card_id: ENTITY.into(),
        kind: common::EntityKind::Lead.into(),
        title: "Oak".into(),
        pipeline_id: "p".into(),
        status: Some(crm::Status {
            status_id: "s".into(),
            name: "New".into(),
            kind: crm::StatusKind::New.into(),
        }),
        chat_id: CHAT.into(),
        ..Default::default()
    }
}

#[test]
fn f214_f215_what_is_kept_of_conversations_and_chats() {
    for (kept, expected, sentence) in [
        (
            line(&conversation::ConversationOpened {
                conversation_id: EPISODE.into(),
                chat_id: CHAT.into(),
                channel_id: CHANNEL.into(),
                number: 7,
                reason: common::OpenReason::ClientMessage.into(),
                start_payload: "autumn".into(),
                ..Default::default()
            }),
            "conversation.opened, chat c1, channel c2, in c3, no 7, number: 7, payload: autumn, reason: client-message",
            "",
        ),
        (
            line(&conversation::ConversationClosed {
                conversation_id: EPISODE.into(),
                chat_id: CHAT.into(),
                channel_id: CHANNEL.into(),
                number: 7,
                actor: format!("agent:{AGENT}"),
                ..Default::default()
            }),
            "conversation.closed, chat c1, channel c2, in c3, no 7, number: 7",
            "",
        ),
        (
            line(&conversation::ChatCreated {
                chat_id: CHAT.into(),
                channel_id: CHANNEL.into(),
                ..Default::default()
            }),
            "chat.created, chat c1, channel c2",
            "The client wrote for the first time",
        ),
        (
            line(&assignment::ChatAssigned {
                assignment: Some(assigned()),
                previous_agent_id: OTHER.into(),
                rule: assignment::AssignmentRule::FirstReply.into(),
                entity_changed: false,
            }),
            "chat.assigned, chat c1, channel c2, in c3, no 7, agent_id: a1, previous_agent_id: e2, rule: first-reply",
            "",
        ),
        (
            line(&assignment::ChatLeft {
                assignment: Some(assigned()),
                agent_id: OTHER.into(),
                reason: assignment::PartReason::Redirected.into(),
            }),
            "chat.left, chat c1, channel c2, in c3, no 7, agent_id: e2, reason: redirected",
            "",
        ),
        (
            line(&assignment::ChatOfferTaken {
                assignment: Some(assigned()),
            }),
            "chat.offer-taken, chat c1, channel c2, in c3, no 7, agent_id: a1",
            "The responsible took the chat",
        ),
        // An event that says nothing is kept as such.
        (
            line(&assignment::ChatUnassigned::default()),
            "chat.unassigned",
            "",
        ),
    ] {
        assert_eq!(kept, (expected.to_owned(), sentence.to_owned()));
    }
}

#[test]
fn f214_what_is_kept_of_channels_cards_and_people() {
    let entity = common::LinkedEntity {
        kind: common::EntityKind::Customer.into(),
        entity_id: ENTITY.into(),
        responsible_agent_id: AGENT.into(),
        stamp: None,
    };
    let contact = crm::Contact {
        contact_id: ENTITY.into(),
        name: "Olena".into(),
        ..Default::default()
    };
    for (kept, expected, sentence) in [
        (
            line(&gateway::ChannelDegraded {
                channel_id: CHANNEL.into(),
                reason: "TOKEN_EXPIRES".into(),
                detail: "Renew it".into(),
                time: None,
            }),
            "channel.degraded, channel c2, of channel, id c2, detail: Renew it, reason: TOKEN_EXPIRES",
            "The channel needs an administrator: Renew it",
        ),
        (
            line(&gateway::ClientBlocked {
                channel_id: CHANNEL.into(),
                chat_key: "77".into(),
                time: None,
            }),
            "client.blocked, key 77, channel c2",
            "The client blocked the channel",
        ),
        (
            line(&crm::CardMoved {
                card: Some(card()),
                previous_status_id: "r".into(),
                previous_pipeline_id: String::new(),
            }),
            "card.moved, chat c1, of card, id e1, owner e1, kind: lead, pipeline_id: p, previous_status_id: r, status: New, \
             status_id: s, status_kind: new, title: Oak",
            r#"Card "Oak" was moved to New"#,
        ),
        (
            line(&crm::ContactMerged {
                contact: Some(contact),
                merged_contact_id: OTHER.into(),
                ..Default::default()
            }),
            "contact.merged, of contact, id e1, owner e1, merged_contact_id: e2, name: Olena",
            r#"Another contact was merged into contact "Olena""#,
        ),
        (
            line(&crm::OrderMoved {
                order: Some(crm::Order {
                    order_id: ENTITY.into(),
                    number: 3,
                    contact_id: OTHER.into(),
                    status: crm::StatusKind::Successful.into(),
                    ..Default::default()
                }),
                previous_status: crm::StatusKind::New.into(),
            }),
            "order.moved, of order, id e1, owner e2, number: 3, previous_status: new, status: successful",
            "Order 3 was moved to successful",
        ),
        (
            line(&crm::EntityResponsibleChanged {
                entity: Some(entity.clone()),
                ..Default::default()
            }),
            "entity.responsible-changed, of contact, id e1, owner e1, agent_id: a1, kind: customer",
            "The responsible of a customer changed",
        ),
        (
            line(&crm::ChatLinked {
                chat_id: CHAT.into(),
                entity: Some(entity),
            }),
            "chat.linked, chat c1, of contact, id e1, owner e1, kind: customer",
            "The chat was linked to a customer",
        ),
        // What it is linked to is not known: nor is whose rights open that.
        (
            line(&crm::ChatLinked {
                chat_id: CHAT.into(),
                entity: None,
            }),
            "chat.linked",
            "The chat was linked to a ?",
        ),
    ] {
        assert_eq!(kept, (expected.to_owned(), sentence.to_owned()));
    }
}

#[test]
fn f194_a_followed_link_is_a_key_action_and_nothing_else_is() {
    let event = gateway::LinkClicked {
        channel_id: CHANNEL.into(),
        chat_id: CHAT.into(),
        url: "https://shop.example/oak".into(),
        ..Default::default()
    };
    let (kept, sentence) = line(&event);
    assert_eq!(
        kept,
        "link.clicked, chat c1, channel c2, url: https://shop.example/oak"
    );
    let text = "Key action completed: a link was followed: https://shop.example/oak";
    assert_eq!(sentence, text);
    let actions: Vec<String> = KINDS
        .iter()
        .filter(|kind| kind.key_action)
        .map(Kind::name)
        .collect();
    assert_eq!(actions, ["link.clicked"]);
}

#[test]
fn messages_and_deliveries_are_not_consumed_and_each_type_is_once_and_known() {
    let names: BTreeSet<String> = KINDS.iter().map(Kind::name).collect();
    assert_eq!(names.len(), KINDS.len());
    for entity in ["message", "delivery", "attachment", "own-app-message"] {
        assert!(
            !KINDS.iter().any(|kind| kind.filter.entity == entity),
            "{entity}"
        );
    }
    for known in KINDS {
        let event = EVENTS.iter().find(|event| event.kind == known.event);
        let event = event.unwrap();
        assert_eq!(
            (event.service, event.entity, event.event),
            (
                known.filter.service,
                known.filter.entity,
                known.filter.event
            )
        );
        assert!(std::ptr::eq(kind(&known.name()).unwrap(), known));
        assert!((known.read)(&[]).is_ok(), "an empty event is read");
    }
    assert!(kind("message.stored").is_none());
    assert!(read("switchboard.conversation.v1.MessageStored", &[]).is_none());
    let broken = read(crm::CardCreated::TYPE, b"\xff\xff");
    assert!(broken.unwrap().is_err());
}

/// An event that is neither kept nor said to be left out is one that somebody forgot.
#[test]
fn each_event_of_the_contracts_is_kept_or_left_out() {
    const LEFT_OUT: &[&str] = &[
        // Have tables of their own.
        "message.stored",
        "message.queued",
        "message.cancelled",
        "message.edited",
        "message.deleted",
        "message.reacted",
        "message.amendment-failed",
        "own-app-message.received",
        "delivery.sent",
        "delivery.delivered",
        "delivery.read",
        "delivery.failed",
        "delivery.uncertain",
        "delivery.cancelled",
        "attachment.stored",
        "attachment.failed",
        // Describe what is there.
        "client.updated",
        "client.described",
        "post.found",
        // A mark that readers leave, many times a day.
        "conversation.read",
        // Settings, which the audit lists, and what follows from them.
        "setting.changed",
        "account.created",
        "agent.updated",
        "agent.access-changed",
        "agent.presence-changed",
        "calendar.updated",
        "role.updated",
        "role.deleted",
        "group.updated",
        "group.deleted",
        // Change nothing by themselves.
        "connection.decided",
        "responsible-sync.requested",
        "responsible-sync.skipped",
        "entity.responsible-skipped",
        "stream.restarted",
    ];
    for event in EVENTS {
        let name = format!("{}.{}", event.entity, event.event);
        assert_ne!(
            kind(&name).is_some(),
            LEFT_OUT.contains(&name.as_str()),
            "{name}: keep it by a row of `KINDS`, or say here that it is left out"
        );
    }
}

#[test]
fn f177_the_newest_stamp_says_who_owns_an_entity_in_any_order() {
    let at = |second: i64| OffsetDateTime::from_unix_timestamp(second).unwrap();
    let stamped = |agent: &str, second: i64| crm::ContactUpdated {
        contact: Some(crm::Contact {
            contact_id: ENTITY.into(),
            responsible_agent_id: agent.into(),
            responsible_stamp: Some(common::Stamp {
                time: Some(chassis::grpc::timestamp(at(second))),
                event_id: OTHER.into(),
            }),
            ..Default::default()
        }),
    };
    let merged = crm::ContactMerged {
        contact: Some(crm::Contact {
            contact_id: OTHER.into(),
            ..Default::default()
        }),
        merged_contact_id: ENTITY.into(),
        ..Default::default()
    };
    let event = Uuid::from_u128(5);
    let first = told(&stamped(AGENT, 10)).1;
    let second = told(&stamped(OTHER, 20)).1;
    let gone = told(&merged).1;
    let owner = |told: &[(&Told, i64)]| {
        let owners = told
            .iter()
            .flat_map(|(told, second)| told.owners((at(*second), event)).map(|owner| ("a", owner)));
        newest(owners)[&("a", ENTITY.parse().unwrap())].responsible
    };
    let (agent, other) = (Some(AGENT.parse().unwrap()), Some(OTHER.parse().unwrap()));
    assert_eq!(owner(&[(&first, 11)]), agent);
    assert_eq!(owner(&[(&first, 11), (&second, 21)]), other);
    assert_eq!(owner(&[(&second, 21), (&first, 11)]), other);
    assert_eq!(owner(&[(&gone, 30), (&second, 21)]), None);
    assert_eq!(owner(&[(&gone, 15), (&second, 21)]), other);
}

#[test]
fn texts_are_cut_and_cleaned() {
    let event = crm::CompanyCreated {
        company: Some(crm::Company {
            company_id: ENTITY.into(),
            name: format!("a\0{}", "ї".repeat(VALUE_MAX)),
            ..Default::default()
        }),
    };
    let (_, told) = told(&event);
    let expected = format!("a{}", "ї".repeat(VALUE_MAX - 1));
    assert_eq!(told.parameters, [("name", expected)]);
}
