//! The table of what is kept: one row for each type of event.

use chassis::consumer::EventFilter;
use prost::Message as _;
use switchboard_proto::DomainEvent;
use switchboard_proto::assignment::v1 as assignment;
use switchboard_proto::channel_gateway::v1 as gateway;
use switchboard_proto::common::v1 as common;
use switchboard_proto::conversation::v1 as conversation;
use switchboard_proto::crm_cards::v1 as crm;

use super::{Kind, Ownership, Subject, Told, id, word};
use crate::domain::words::EntityKind;

macro_rules! kinds {
    ($($event:ty, $class:ident, $template:literal => $read:expr;)+) => {
        /// Everything that is kept, and therefore consumed: changes of state. Messages and deliveries stand in tables of their
        /// own, settings and presence in the audit and in assignment; decisions that changed nothing are left out. A further
        /// type is one row: event, whether it is a state's change or a key action, the sentence (see `template`; empty where
        /// `notices` words it), and what is kept of it.
        pub static KINDS: &[Kind] = &[$(Kind {
            filter: EventFilter::of::<$event>(),
            event: <$event as DomainEvent>::TYPE,
            key_action: $class,
            template: $template,
            read: |payload| {
                let read: fn($event) -> Told = $read;
                <$event>::decode(payload).map(read)
            },
        },)+];
    };
}

/// A change of state.
const STATE: bool = false;
/// A "Key action completed" (F194).
const KEY_ACTION: bool = true;

kinds! {
    conversation::ChatCreated, STATE, "The client wrote for the first time" => |e| Told::of_chat(&e.chat_id, &e.channel_id);
    conversation::ConversationOpened, STATE, "" => |e| {
        let reason = word(e.reason().as_str_name(), "OPEN_REASON_");
        episode(&e.chat_id, &e.channel_id, &e.conversation_id, e.number)
            .with([("reason", reason), ("opener_agent_id", e.opener_agent_id), ("payload", e.start_payload)])
    };
    conversation::ConversationContinued, STATE, "" => |e| episode(&e.chat_id, &e.channel_id, &e.conversation_id, e.number);
    conversation::ConversationClosed, STATE, "" => |e| episode(&e.chat_id, &e.channel_id, &e.conversation_id, e.number);
    conversation::ChatRenamed, STATE, "" => |e| Told::of_chat(&e.chat_id, &e.channel_id).with([("name", e.name)]);
    conversation::ChatSpam, STATE, "" => |e| Told::of_chat(&e.chat_id, &e.channel_id);
    conversation::ChatLabelled, STATE, "" => |e| {
        Told::of_chat(&e.chat_id, &e.channel_id)
            .with([("added", e.added_labels.join(", ")), ("removed", e.removed_labels.join(", "))])
    };
    conversation::BotStarted, STATE, "" => |e| {
        Told::of_chat(&e.chat_id, &e.channel_id).with([("name", e.bot_name), ("bot_id", e.bot_id)])
    };
    conversation::BotStopped, STATE, "" => |e| {
        Told::of_chat(&e.chat_id, &e.channel_id)
            .with([("name", e.bot_name), ("bot_id", e.bot_id), ("reason", e.reason)])
    };
    conversation::NpsAnswered, STATE, "" => |e| {
        Told::of_chat(&e.chat_id, &e.channel_id).with([("score", e.score.to_string()), ("comment", e.comment)])
    };
    conversation::NpsSkipped, STATE, "" => |e| Told::of_chat(&e.chat_id, &e.channel_id).with([("reason", e.reason)]);
    conversation::ChatSnoozed, STATE, "" => |e| {
        let until = e.wake_time.map(|time| time.to_string()).unwrap_or_default();
        let woken = if e.snoozed { "" } else { "yes" };
        Told::of_chat(&e.chat_id, &e.channel_id).with([("until", until), ("woken", woken.to_owned())])
    };
    conversation::ResponseTimeExceeded, STATE, "The client waits for an answer longer than {limit_seconds} s" => |e| {
        episode(&e.chat_id, &e.channel_id, &e.conversation_id, e.number)
            .with([("limit_seconds", e.limit_seconds.to_string()), ("agent_id", e.responsible_agent_id)])
    };
    conversation::InternalMessagePosted, STATE, "An internal message was posted" => |e| {
        let message = e.message.unwrap_or_default();
        let entity = message.entity.unwrap_or_default();
        internal(&entity, &e.contact_id).with([("internal_message_id", message.internal_message_id)])
    };
    conversation::ChatRestored, STATE, "" => |e| Told::of_chat(&e.chat_id, &e.channel_id);

    assignment::ChatAssigned, STATE, "" => |e| {
        let rule = word(e.rule().as_str_name(), "ASSIGNMENT_RULE_");
        let assignment = e.assignment.unwrap_or_default();
        let agent = assignment.agent_id.clone();
        assigned(&assignment).with([("agent_id", agent), ("previous_agent_id", e.previous_agent_id), ("rule", rule)])
    };
    assignment::ChatUnassigned, STATE, "" => |e| {
        let reason = word(e.reason().as_str_name(), "PART_REASON_");
        assigned(&e.assignment.unwrap_or_default())
            .with([("previous_agent_id", e.previous_agent_id), ("reason", reason)])
    };
    assignment::ChatJoined, STATE, "" => |e| {
        assigned(&e.assignment.unwrap_or_default()).with([("agent_id", e.agent_id)])
    };
    assignment::ChatLeft, STATE, "" => |e| {
        let reason = word(e.reason().as_str_name(), "PART_REASON_");
        assigned(&e.assignment.unwrap_or_default()).with([("agent_id", e.agent_id), ("reason", reason)])
    };
    assignment::ChatOfferTaken, STATE, "The responsible took the chat" => |e| {
        let assignment = e.assignment.unwrap_or_default();
        assigned(&assignment).with([("agent_id", assignment.agent_id.clone())])
    };

    gateway::ChannelConnected, STATE, r#"Channel[ "{name}"] was connected"# => |e| {
        let kind = word(e.kind().as_str_name(), "CHANNEL_KIND_");
        channel(&e.channel_id).with([("name", e.name), ("channel_kind", kind)])
    };
    gateway::ChannelEnabled, STATE, r#"Channel[ "{name}"] was enabled"# => |e| channel(&e.channel_id).with([("name", e.name)]);
    gateway::ChannelUpdated, STATE, r#"Channel[ "{name}"] was changed"# => |e| {
        let enabled = if e.enabled { "yes" } else { "no" };
        channel(&e.channel_id).with([("name", e.name), ("enabled", enabled.to_owned())])
    };
    gateway::ChannelDisconnected, STATE, "The channel was disconnected[: {reason}]" => |e| {
        channel(&e.channel_id).with([("reason", e.reason)])
    };
    gateway::ChannelDegraded, STATE, "The channel needs an administrator[: {detail}]" => |e| {
        channel(&e.channel_id).with([("reason", e.reason), ("detail", e.detail)])
    };
    gateway::ChannelRecovered, STATE, "The channel is well again" => |e| channel(&e.channel_id).with([("reason", e.reason)]);
    gateway::ClientBlocked, STATE, "The client blocked the channel" => |e| of_key(&e.channel_id, e.chat_key);
    gateway::ClientUnblocked, STATE, "The client unblocked the channel" => |e| of_key(&e.channel_id, e.chat_key);
    gateway::LinkClicked, KEY_ACTION, "Key action completed: a link was followed[: {url}]" => |e| {
        Told::of_chat(&e.chat_id, &e.channel_id).with([("message_id", e.message_id), ("url", e.url)])
    };

    crm::CardCreated, STATE, "" => |e| card(&e.card.unwrap_or_default());
    crm::CardMoved, STATE, r#"Card[ "{title}"] was moved[ to {status}]"# => |e| {
        card(&e.card.unwrap_or_default()).with([
            ("previous_status_id", e.previous_status_id),
            ("previous_pipeline_id", e.previous_pipeline_id),
        ])
    };
    crm::CardUpdated, STATE, r#"Card[ "{title}"] was changed"# => |e| {
        let note = e.note.unwrap_or_default().note_id;
        card(&e.card.unwrap_or_default()).with([("note_id", note)])
    };
    crm::CardConverted, STATE, "" => |e| {
        let (contact, company) = (e.contact.unwrap_or_default(), e.company.unwrap_or_default());
        card(&e.card.unwrap_or_default()).with([
            ("contact_id", contact.contact_id),
            ("contact_name", contact.name),
            ("company_id", company.company_id),
            ("company_name", company.name),
        ])
    };
    crm::CardDeleted, STATE, r#"Card[ "{title}"] was deleted"# => |e| card(&e.card.unwrap_or_default());

    crm::ContactCreated, STATE, r#"Contact[ "{name}"] was created"# => |e| contact(&e.contact.unwrap_or_default());
    crm::ContactUpdated, STATE, r#"Contact[ "{name}"] was changed"# => |e| contact(&e.contact.unwrap_or_default());
    crm::ContactMerged, STATE, r#"Another contact was merged into contact[ "{name}"]"# => |e| {
        let told = contact(&e.contact.unwrap_or_default());
        // Nobody answers for the old id by itself: it leads to the one that stays.
        let settled = id(&e.merged_contact_id).map(|gone| (gone, None)).into_iter().collect();
        Told { settled, ..told }.with([("merged_contact_id", e.merged_contact_id)])
    };
    crm::ContactUnmerged, STATE, r#"Contact[ "{name}"] is one of its own again"# => |e| {
        let back = e.contact.unwrap_or_default();
        let told = contact(&back).with([("from_contact_id", e.from.unwrap_or_default().contact_id)]);
        let settled = id(&back.contact_id).map(|back_id| (back_id, id(&back.responsible_agent_id))).into_iter().collect();
        Told { settled, ..told }
    };
    crm::ContactDeleted, STATE, r#"Contact[ "{name}"] was deleted"# => |e| contact(&e.contact.unwrap_or_default());
    crm::DuplicateSuspected, STATE, "Two contacts may be one person" => |e| {
        let reason = e.reason.unwrap_or_default();
        let reason = word(reason.kind().as_str_name(), "KIND_");
        of(EntityKind::Contact, &e.first_contact_id, &e.first_contact_id)
            .with([("other_contact_id", e.second_contact_id), ("reason", reason)])
    };
    crm::CompanyCreated, STATE, r#"Company[ "{name}"] was created"# => |e| company(&e.company.unwrap_or_default());
    crm::CompanyUpdated, STATE, r#"Company[ "{name}"] was changed"# => |e| company(&e.company.unwrap_or_default());
    crm::CompanyDeleted, STATE, r#"Company[ "{name}"] was deleted"# => |e| company(&e.company.unwrap_or_default());

    crm::OrderCreated, STATE, "" => |e| order(&e.order.unwrap_or_default());
    crm::OrderMoved, STATE, "Order[ {number}] was moved[ to {status}]" => |e| {
        let previous = word(e.previous_status().as_str_name(), "STATUS_KIND_");
        order(&e.order.unwrap_or_default()).with([("previous_status", previous)])
    };
    crm::OrderUpdated, STATE, "Order[ {number}] was changed" => |e| order(&e.order.unwrap_or_default());

    crm::EntityResponsibleChanged, STATE, "The responsible of a {kind} changed" => |e| {
        let entity = e.entity.unwrap_or_default();
        linked(&entity).with([
            ("agent_id", entity.responsible_agent_id.clone()),
            ("previous_agent_id", e.previous_agent_id),
        ])
    };
    crm::ChatLinked, STATE, "The chat was linked to a {kind}" => |e| link(&e.entity.unwrap_or_default(), &e.chat_id);
    crm::ChatUnlinked, STATE, "The chat is not linked to a {kind} any more" => |e| {
        link(&e.entity.unwrap_or_default(), &e.chat_id)
    };
}

fn episode(chat: &str, channel: &str, conversation: &str, number: i64) -> Told {
    Told {
        conversation: id(conversation),
        number,
        ..Told::of_chat(chat, channel)
    }
    .with([("number", number.to_string())])
}

fn assigned(word: &assignment::ChatAssignment) -> Told {
    Told {
        conversation: id(&word.conversation_id),
        number: word.number,
        ..Told::of_chat(&word.chat_id, &word.channel_id)
    }
}

fn channel(channel: &str) -> Told {
    Told {
        subject: Some(Subject {
            kind: EntityKind::Channel,
            id: id(channel),
            owner: None,
        }),
        ..Told::of_chat("", channel)
    }
}

fn of_key(channel: &str, chat_key: String) -> Told {
    Told {
        chat_key,
        ..Told::of_chat("", channel)
    }
}

/// An internal message on an entity: seen by who sees the entity, an order by who sees its buyer.
fn internal(entity: &conversation::EntityReference, buyer: &str) -> Told {
    let kind = word(entity.kind().as_str_name(), "KIND_");
    // Of one of a kind from the future nothing is told: whose rights open it is not known.
    let Ok(kind) = EntityKind::try_from(kind.as_str()) else {
        return Told::default();
    };
    let owner = if kind == EntityKind::Order {
        buyer
    } else {
        &entity.entity_id
    };
    of(kind, &entity.entity_id, owner)
}

/// Of an entity about whose responsible nothing is said.
fn of(kind: EntityKind, entity: &str, owner: &str) -> Told {
    Told {
        subject: Some(Subject {
            kind,
            id: id(entity),
            owner: id(owner),
        }),
        ..Told::default()
    }
}

fn card(card: &crm::Card) -> Told {
    let status = card.status.clone().unwrap_or_default();
    let owner = Ownership {
        entity: &card.card_id,
        agent: &card.responsible_agent_id,
        stamp: card.responsible_stamp.as_ref(),
    };
    Told::of_entity(EntityKind::Card, owner)
        .in_chat(&card.chat_id)
        .with([
            ("title", card.title.clone()),
            ("kind", word(card.kind().as_str_name(), "ENTITY_KIND_")),
            (
                "status_kind",
                word(status.kind().as_str_name(), "STATUS_KIND_"),
            ),
            ("status", status.name),
            ("status_id", status.status_id),
            ("pipeline_id", card.pipeline_id.clone()),
        ])
}

fn contact(contact: &crm::Contact) -> Told {
    let owner = Ownership {
        entity: &contact.contact_id,
        agent: &contact.responsible_agent_id,
        stamp: contact.responsible_stamp.as_ref(),
    };
    let buyer = if contact.buyer { "yes" } else { "" };
    Told::of_entity(EntityKind::Contact, owner)
        .with([("name", contact.name.clone()), ("buyer", buyer.to_owned())])
}

fn company(company: &crm::Company) -> Told {
    let owner = Ownership {
        entity: &company.company_id,
        agent: &company.responsible_agent_id,
        stamp: company.responsible_stamp.as_ref(),
    };
    Told::of_entity(EntityKind::Company, owner).with([("name", company.name.clone())])
}

fn order(order: &crm::Order) -> Told {
    of(EntityKind::Order, &order.order_id, &order.contact_id)
        .in_chat(&order.chat_id)
        .with([
            ("number", order.number.to_string()),
            ("status", word(order.status().as_str_name(), "STATUS_KIND_")),
        ])
}

/// An entity that chats are linked to. Of one of a kind from the future nothing is told: whose rights open it is not known.
fn linked(entity: &common::LinkedEntity) -> Told {
    use common::EntityKind as Wire;
    let kind = match entity.kind() {
        Wire::Lead | Wire::Deal => EntityKind::Card,
        Wire::Contact | Wire::Customer => EntityKind::Contact,
        Wire::Company => EntityKind::Company,
        Wire::Unspecified => return Told::default(),
    };
    let owner = Ownership {
        entity: &entity.entity_id,
        agent: &entity.responsible_agent_id,
        stamp: entity.stamp.as_ref(),
    };
    let name = word(entity.kind().as_str_name(), "ENTITY_KIND_");
    Told::of_entity(kind, owner).with([("kind", name)])
}

/// A link between a chat and an entity.
fn link(entity: &common::LinkedEntity, chat: &str) -> Told {
    let told = linked(entity);
    if told.subject.is_some() {
        told.in_chat(chat)
    } else {
        told
    }
}
