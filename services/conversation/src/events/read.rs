//! Reading what other services say: each event by its kind.

use chassis::access::AccessRecord;
use chassis::consumer::{Delivery, HandlerError};
use chassis::id::{self, AccountSlug};
use prost::Message as _;
use switchboard_proto::DomainEvent;
use switchboard_proto::assignment::v1 as assignment;
use switchboard_proto::channel_gateway::v1 as gateway;
use switchboard_proto::common::v1::Attachment;
use switchboard_proto::crm_cards::v1 as cards;
use time::OffsetDateTime;

use crate::app;
use crate::app::announce::Cause;
use crate::app::assignments::{self, Change};
use crate::app::cards::Told;
use crate::app::deliveries::{self, Report};
use crate::app::described::Described;
use crate::app::inbound::storable;
use crate::domain::internal_chat::Entity;
use crate::domain::words::{DeliveryState, EntityKind, Language};
use crate::store::attachment::Word;
use crate::store::client_photo::Photo;
use crate::store::delivery::{PartKey, StoredPart};
use crate::store::post::Post;
use crate::store::reach::{Block, Line};
use crate::store::working_hours::{Owner, Word as Hours};
use crate::wire;

/// Sorts one event to its kind. What is none of ours is ignored.
pub(super) fn read(
    delivery: &Delivery,
    cause: Cause,
    said: &mut app::events::Events,
) -> Result<(), HandlerError> {
    let account = delivery.envelope.account.clone();
    let kind = delivery.envelope.kind.as_str();
    match kind {
        assignment::ChatAssigned::TYPE
        | assignment::ChatUnassigned::TYPE
        | assignment::ChatJoined::TYPE
        | assignment::ChatOfferTaken::TYPE
        | assignment::ChatLeft::TYPE => said.assignments.extend(change(delivery, cause)?),
        assignment::AgentAccessChanged::TYPE => {
            let event: assignment::AgentAccessChanged = delivery.decode()?;
            if let Some(access) = event.access {
                let record = AccessRecord::try_from(access)
                    .map_err(|error| HandlerError::Poison(error.to_string()))?;
                said.access.push((account, record));
            }
        }
        assignment::AccountCreated::TYPE => {
            let event: assignment::AccountCreated = delivery.decode()?;
            let language = event.account.unwrap_or_default().language;
            // One from the future is read as the one of who says nothing.
            let language = Language::try_from(language.as_str()).unwrap_or(Language::English);
            said.languages.push((account, language));
        }
        assignment::CalendarUpdated::TYPE => {
            let event: assignment::CalendarUpdated = delivery.decode()?;
            said.hours.extend(hours(account, &event));
        }
        cards::CardCreated::TYPE | cards::CardConverted::TYPE | cards::OrderCreated::TYPE => {
            said.cards.extend(of_crm(delivery, account, cause)?);
        }
        cards::CardDeleted::TYPE | cards::ContactDeleted::TYPE | cards::CompanyDeleted::TYPE => {
            said.gone.extend(gone(delivery, account)?);
        }
        gateway::AttachmentStored::TYPE => {
            let event: gateway::AttachmentStored = delivery.decode()?;
            said.files.extend(file(delivery, account, event.attachment));
        }
        gateway::AttachmentFailed::TYPE => {
            let event: gateway::AttachmentFailed = delivery.decode()?;
            said.files.extend(file(delivery, account, event.attachment));
        }
        gateway::PostFound::TYPE => {
            let event: gateway::PostFound = delivery.decode()?;
            let (key, link) = (storable(&event.post_key), storable(&event.link));
            if !key.is_empty() && !link.is_empty() {
                said.posts.push(Post {
                    account,
                    key,
                    link,
                    said_at: delivery.envelope.time,
                });
            }
        }
        gateway::ClientDescribed::TYPE => {
            let event: gateway::ClientDescribed = delivery.decode()?;
            said.photos.extend(photo(delivery, &account, &event));
            let profile = wire::profile(&event.client.unwrap_or_default());
            if !profile.user_id.is_empty() {
                said.clients.push(Described {
                    account,
                    profile,
                    time: wire::time(event.time.as_ref()).unwrap_or(delivery.envelope.time),
                    cause,
                });
            }
        }
        gateway::ClientBlocked::TYPE | gateway::ClientUnblocked::TYPE => {
            said.blocks.push(block(delivery, account)?);
        }
        gateway::ChannelEnabled::TYPE
        | gateway::ChannelUpdated::TYPE
        | gateway::ChannelDisconnected::TYPE => said.lines.extend(line(delivery, account)?),
        _ => said.deliveries.extend(report(delivery, account)?),
    }
    Ok(())
}

/// Reads that a client blocked a channel, or unblocked it.
fn block(delivery: &Delivery, account: AccountSlug) -> Result<Block, HandlerError> {
    let (blocked, channel, chat_key, time) =
        if delivery.envelope.kind == gateway::ClientBlocked::TYPE {
            let event: gateway::ClientBlocked = delivery.decode()?;
            (true, event.channel_id, event.chat_key, event.time)
        } else {
            let event: gateway::ClientUnblocked = delivery.decode()?;
            (false, event.channel_id, event.chat_key, event.time)
        };
    Ok(Block {
        account,
        chat: id::v5("chat", &[&channel, &chat_key]).into(),
        blocked,
        told_at: wire::time(time.as_ref()).unwrap_or(delivery.envelope.time),
    })
}

/// Reads that nothing can be sent by a channel any more, or again; none where it names none. One that was lost is well again by being
/// enabled alone.
fn line(delivery: &Delivery, account: AccountSlug) -> Result<Option<Line>, HandlerError> {
    let (off, channel) = match delivery.envelope.kind.as_str() {
        gateway::ChannelUpdated::TYPE => {
            let event: gateway::ChannelUpdated = delivery.decode()?;
            (!event.enabled, event.channel_id)
        }
        gateway::ChannelDisconnected::TYPE => {
            let event: gateway::ChannelDisconnected = delivery.decode()?;
            (true, event.channel_id)
        }
        _ => {
            let event: gateway::ChannelEnabled = delivery.decode()?;
            (false, event.channel_id)
        }
    };
    Ok(channel.parse().ok().map(|channel| Line {
        account,
        channel,
        off,
        told_at: delivery.envelope.time,
    }))
}

/// Reads what is said of the photo of a chat's client; none where nothing is.
fn photo(
    delivery: &Delivery,
    account: &AccountSlug,
    event: &gateway::ClientDescribed,
) -> Option<Photo> {
    let told = event.photo_attachment_id.as_deref()?;
    let file = match told {
        "" => None,
        id => Some(id.parse().ok()?),
    };
    Some(Photo {
        account: account.clone(),
        chat: id::v5("chat", &[&event.channel_id, &event.chat_key]).into(),
        file,
        told_at: wire::time(event.time.as_ref()).unwrap_or(delivery.envelope.time),
    })
}

/// Reads whose working hours have changed; none where they are an agent's.
fn hours(account: AccountSlug, event: &assignment::CalendarUpdated) -> Option<(Owner, Hours)> {
    use assignment::calendar_owner::Owner as Named;
    let calendar = event.calendar.as_ref()?;
    let channel = match calendar.owner.as_ref()?.owner.as_ref()? {
        Named::Account(_) => None,
        Named::ChannelId(id) => Some(id.parse().ok()?),
        Named::AgentId(_) => return None,
    };
    let word = wire::hours(calendar, event.deleted);
    Some((Owner { account, channel }, word))
}

/// Reads what is said of a card or an order; none where it was made without a chat.
fn of_crm(
    delivery: &Delivery,
    account: AccountSlug,
    cause: Cause,
) -> Result<Option<Told>, HandlerError> {
    let (kind, chat, parameters) = match delivery.envelope.kind.as_str() {
        cards::CardCreated::TYPE => {
            let card = delivery.decode::<cards::CardCreated>()?.card;
            let card = card.unwrap_or_default();
            let parameters = vec![("card_id", card.card_id), ("title", card.title)];
            ("card.created", card.chat_id, parameters)
        }
        cards::CardConverted::TYPE => {
            let event: cards::CardConverted = delivery.decode()?;
            let card = event.card.unwrap_or_default();
            let contact = event.contact.unwrap_or_default();
            let company = event.company.unwrap_or_default();
            let parameters = vec![
                ("card_id", card.card_id),
                ("title", card.title),
                ("contact_id", contact.contact_id),
                ("contact_name", contact.name),
                ("company_id", company.company_id),
                ("company_name", company.name),
            ];
            ("card.converted", card.chat_id, parameters)
        }
        _ => {
            let order = delivery.decode::<cards::OrderCreated>()?.order;
            let order = order.unwrap_or_default();
            let number = order.number.to_string();
            let parameters = vec![("order_id", order.order_id), ("number", number)];
            ("order.created", order.chat_id, parameters)
        }
    };
    let parameters = parameters.into_iter();
    Ok(chat.parse().ok().map(|chat| Told {
        kind,
        account,
        chat,
        parameters: parameters.filter(|(_, value)| !value.is_empty()).collect(),
        time: delivery.envelope.time,
        cause,
    }))
}

/// Reads which entity of CRM is gone; none where the event names none.
fn gone(
    delivery: &Delivery,
    account: AccountSlug,
) -> Result<Option<(AccountSlug, Entity)>, HandlerError> {
    let (kind, id) = match delivery.envelope.kind.as_str() {
        cards::CardDeleted::TYPE => {
            let card = delivery.decode::<cards::CardDeleted>()?.card;
            (EntityKind::Card, card.unwrap_or_default().card_id)
        }
        cards::ContactDeleted::TYPE => {
            let contact = delivery.decode::<cards::ContactDeleted>()?.contact;
            (EntityKind::Contact, contact.unwrap_or_default().contact_id)
        }
        _ => {
            let company = delivery.decode::<cards::CompanyDeleted>()?.company;
            (EntityKind::Company, company.unwrap_or_default().company_id)
        }
    };
    let entity = id.parse().ok().map(|id| Entity { kind, id });
    Ok(entity.map(|entity| (account, entity)))
}

/// Reads what is said of a file; none where it names none.
fn file(delivery: &Delivery, account: AccountSlug, file: Option<Attachment>) -> Option<Word> {
    let file = file?;
    Some(Word {
        id: file.attachment_id.parse().ok()?,
        account,
        word: file.encode_to_vec(),
        said_at: delivery.envelope.time,
    })
}

/// Reads an event about a chat's responsible or participants.
fn change(delivery: &Delivery, cause: Cause) -> Result<Option<Change>, HandlerError> {
    let mut confirms = false;
    let (word, notice, parameters) = match delivery.envelope.kind.as_str() {
        assignment::ChatAssigned::TYPE => {
            let event: assignment::ChatAssigned = delivery.decode()?;
            let rule = event
                .rule()
                .as_str_name()
                .trim_start_matches("ASSIGNMENT_RULE_");
            let rule = ("rule", rule.to_ascii_lowercase().replace('_', "-"));
            let word = event.assignment.unwrap_or_default();
            confirms = !word.agent_id.is_empty() && word.agent_id == event.previous_agent_id;
            let agent = ("agent_id", word.agent_id.clone());
            let previous = ("previous_agent_id", event.previous_agent_id);
            (word, "chat.assigned", vec![agent, previous, rule])
        }
        assignment::ChatUnassigned::TYPE => {
            let event: assignment::ChatUnassigned = delivery.decode()?;
            let reason = ("reason", assignments::reason(event.reason()));
            let previous = ("previous_agent_id", event.previous_agent_id);
            (
                event.assignment.unwrap_or_default(),
                "chat.unassigned",
                vec![previous, reason],
            )
        }
        assignment::ChatOfferTaken::TYPE => {
            let event: assignment::ChatOfferTaken = delivery.decode()?;
            // What agents read of it is what they did: they claimed, or wrote.
            confirms = true;
            let word = event.assignment.unwrap_or_default();
            let agent = ("agent_id", word.agent_id.clone());
            (word, "chat.offer-taken", vec![agent])
        }
        assignment::ChatJoined::TYPE => {
            let event: assignment::ChatJoined = delivery.decode()?;
            let agent = ("agent_id", event.agent_id);
            (
                event.assignment.unwrap_or_default(),
                "chat.joined",
                vec![agent],
            )
        }
        _ => {
            let event: assignment::ChatLeft = delivery.decode()?;
            let reason = ("reason", assignments::reason(event.reason()));
            let agent = ("agent_id", event.agent_id);
            (
                event.assignment.unwrap_or_default(),
                "chat.left",
                vec![agent, reason],
            )
        }
    };
    if word.chat_id.is_empty() {
        return Ok(None);
    }
    Ok(Some(Change {
        account: delivery.envelope.account.clone(),
        assignment: assignments::parse(&word)?,
        notice,
        parameters,
        confirms,
        time: delivery.envelope.time,
        cause,
    }))
}

/// Reads an event about a part of a message to a client; none where it is no such event.
fn report(delivery: &Delivery, account: AccountSlug) -> Result<Option<Report>, HandlerError> {
    let said_at = delivery.envelope.time;
    let at = |time: Option<&prost_types::Timestamp>| wire::time(time).unwrap_or(said_at);
    let mut further_keys = Vec::new();
    let (what, mut part) = match delivery.envelope.kind.as_str() {
        gateway::DeliverySent::TYPE => {
            let event: gateway::DeliverySent = delivery.decode()?;
            let mut part = blank(DeliveryState::Sent, at(event.time.as_ref()));
            part.provider_key = storable(&event.provider_key);
            further_keys = event
                .provider_keys
                .iter()
                .map(|key| storable(key))
                .collect();
            (event.delivery, part)
        }
        gateway::DeliveryDelivered::TYPE => {
            let event: gateway::DeliveryDelivered = delivery.decode()?;
            (
                event.delivery,
                blank(DeliveryState::Delivered, at(event.time.as_ref())),
            )
        }
        gateway::DeliveryRead::TYPE => {
            let event: gateway::DeliveryRead = delivery.decode()?;
            (
                event.delivery,
                blank(DeliveryState::Read, at(event.time.as_ref())),
            )
        }
        gateway::DeliveryFailed::TYPE => {
            let event: gateway::DeliveryFailed = delivery.decode()?;
            let mut part = blank(DeliveryState::Failed, at(event.time.as_ref()));
            part.part.reason = storable(&event.reason);
            part.part.detail = storable(&event.detail);
            part.part.retryable = event.retryable;
            (event.delivery, part)
        }
        gateway::DeliveryUncertain::TYPE => {
            let event: gateway::DeliveryUncertain = delivery.decode()?;
            let mut part = blank(DeliveryState::Uncertain, at(event.time.as_ref()));
            part.part.detail = storable(&event.detail);
            part.part.retryable = true;
            (event.delivery, part)
        }
        gateway::DeliveryCancelled::TYPE => {
            let event: gateway::DeliveryCancelled = delivery.decode()?;
            (
                event.delivery,
                blank(DeliveryState::Cancelled, at(event.time.as_ref())),
            )
        }
        _ => return Ok(None),
    };
    let what = what.unwrap_or_default();
    let broken = |field| HandlerError::Poison(format!("delivery: {field} is no UUID"));
    part.channel = what.channel_id.parse().map_err(|_| broken("channel_id"))?;
    part.parts = what.parts.max(1);
    Ok(Some(Report {
        account,
        chat: what.chat_id.parse().map_err(|_| broken("chat_id"))?,
        key: PartKey {
            message: what.message_id.parse().map_err(|_| broken("message_id"))?,
            attempt: what.attempt,
            part: what.part,
        },
        part,
        further_keys,
    }))
}

fn blank(state: DeliveryState, time: OffsetDateTime) -> StoredPart {
    deliveries::part(uuid::Uuid::nil().into(), 1, state, time)
}
