//! The events of decisions.

use chassis::actor::Actor;
use chassis::grpc::timestamp;
use chassis::outbox::Outgoing;
use switchboard_proto::common::v1::LinkedEntity;
use switchboard_proto::crm_cards::v1 as wire_v1;

use super::{Opening, RULE};
use crate::domain::entity::Card;
use crate::store::decisions::Decided;
use crate::wire;

/// A card was made and linked to its chat.
pub(super) fn created_events(
    opening: &Opening,
    card: &Card,
    entity: &LinkedEntity,
) -> [Outgoing; 2] {
    let created = wire_v1::CardCreated {
        card: Some(wire::card(card)),
        conversation_id: opening.conversation.to_string(),
    };
    let linked = wire_v1::ChatLinked {
        chat_id: opening.chat.to_string(),
        entity: Some(entity.clone()),
    };
    let rule = || Actor::Rule(RULE.to_owned());
    [
        opening.event(card.id, &created).actor(rule()),
        opening.event(opening.chat, &linked).actor(rule()),
    ]
}

/// A conversation was decided about.
pub(super) fn decided_event(
    opening: &Opening,
    decided: &Decided,
    people: &[LinkedEntity],
    cards: &[LinkedEntity],
) -> Outgoing {
    let linked = people.iter().chain(cards).cloned().collect();
    let event = wire_v1::ConnectionDecided {
        decision: Some(wire::decision(decided)),
        revision: opening.revision,
        reason: opening.reason.into(),
        opener_agent_id: wire::text(opening.opener),
        open_time: Some(timestamp(opening.opened_at)),
        client_id: opening.client.to_string(),
        linked,
    };
    opening
        .event(opening.chat, &event)
        .actor(Actor::Rule(RULE.to_owned()))
}
