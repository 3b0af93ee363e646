//! Transport of the recovery: contacts, cards and decisions told since the moment to which this service's database was set back
//! (O3.10).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use chassis::consumer::{Delivery, EventFilter, HandlerError};
use chassis::grpc::Parse;
use chassis::id::AccountSlug;
use chassis::recovery::{Durables, Replay};
use chassis::stamp::Stamp;
use sqlx::PgConnection;
use switchboard_proto::DomainEvent;
use switchboard_proto::common::v1 as common;
use switchboard_proto::conversation::v1::ConversationOpened;
use switchboard_proto::crm_cards::v1 as pb;
use time::OffsetDateTime;
use tonic::Status;
use uuid::Uuid;

use crate::app::openings::Opening;
use crate::app::recover::{self, Words};
use crate::domain::connection::{Connection, Facts, Rule};
use crate::domain::entity::{CardKind, Identity};
use crate::error::SERVICE;
use crate::events::parse;
use crate::store::decisions::Decided;
use crate::store::recovery::{ToldCard, ToldContact};
use crate::wire;

const PARSE: Parse = Parse::new(SERVICE);

/// Openings whose decision did not come yet, by conversation. Whoever begins anew reads them again.
type Openings = HashMap<(AccountSlug, Uuid), Opening>;

/// What `recover` does here.
pub struct Recovery(Mutex<Option<Openings>>);

/// The recovery of this process.
pub static RECOVERY: Recovery = Recovery(Mutex::new(None));

/// What is rebuilt out of events of our own.
const REBUILT: [&str; 9] = [
    pb::ConnectionDecided::TYPE,
    pb::CardCreated::TYPE,
    pb::CardMoved::TYPE,
    pb::CardUpdated::TYPE,
    pb::CardDeleted::TYPE,
    pb::ContactCreated::TYPE,
    pb::ContactUpdated::TYPE,
    pb::ContactDeleted::TYPE,
    pb::ChatLinked::TYPE,
];

#[tonic::async_trait]
impl Replay for Recovery {
    fn durables(&self) -> Durables {
        Durables {
            events: &["crm-cards-events"],
            inbound: &[],
        }
    }

    fn reads(&self) -> &'static [EventFilter] {
        const READS: [EventFilter; 1] = [EventFilter::of::<ConversationOpened>()];
        &READS
    }

    fn rebuilds(&self, event: &Delivery) -> bool {
        let kind = event.envelope.kind.as_str();
        // Values of custom fields stand under the ids of their definitions, which events do not carry; and notes by themselves.
        let whole = match kind {
            pb::CardCreated::TYPE => event
                .decode::<pb::CardCreated>()
                .is_ok_and(|event| event.card.is_none_or(|card| card.fields.is_empty())),
            pb::CardUpdated::TYPE => event.decode::<pb::CardUpdated>().is_ok_and(|event| {
                event.note.is_none() && event.card.is_none_or(|card| card.fields.is_empty())
            }),
            pb::ContactCreated::TYPE => event.decode::<pb::ContactCreated>().is_ok_and(|event| {
                event
                    .contact
                    .is_none_or(|contact| contact.fields.is_empty())
            }),
            pb::ContactUpdated::TYPE => event.decode::<pb::ContactUpdated>().is_ok_and(|event| {
                event
                    .contact
                    .is_none_or(|contact| contact.fields.is_empty())
            }),
            _ => true,
        };
        REBUILT.contains(&kind) && whole
    }

    async fn apply(
        &self,
        connection: &mut PgConnection,
        page: &[Delivery],
        _now: OffsetDateTime,
    ) -> anyhow::Result<()> {
        let words = {
            let mut openings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            words(page, openings.get_or_insert_default())?
        };
        Ok(recover::apply(connection, words).await?)
    }

    async fn compare(
        &self,
        connection: &mut PgConnection,
        page: &[Delivery],
    ) -> anyhow::Result<Vec<String>> {
        let words = words(page, &mut Openings::new())?;
        Ok(recover::compare(connection, &words).await?)
    }
}

fn words(page: &[Delivery], openings: &mut Openings) -> Result<Words, HandlerError> {
    let mut words = Words::default();
    for delivery in page {
        let account = delivery.envelope.account.clone();
        let card = match delivery.envelope.kind.as_str() {
            ConversationOpened::TYPE => {
                let opening = parse::opening(delivery)?;
                openings.insert((account, opening.conversation.uuid()), opening);
                continue;
            }
            pb::ConnectionDecided::TYPE => {
                let event: pb::ConnectionDecided = delivery.decode()?;
                let made = decided(&event.decision.unwrap_or_default())
                    .map_err(|status| malformed(&status))?;
                let opening = openings.remove(&(account.clone(), made.conversation.uuid()));
                words.decisions.push((account, made, opening));
                continue;
            }
            pb::ContactCreated::TYPE => {
                let event: pb::ContactCreated = delivery.decode()?;
                words
                    .contacts
                    .extend(contact(&account, event.contact, false)?);
                continue;
            }
            pb::ContactUpdated::TYPE => {
                let event: pb::ContactUpdated = delivery.decode()?;
                words
                    .contacts
                    .extend(contact(&account, event.contact, false)?);
                continue;
            }
            pb::ContactDeleted::TYPE => {
                let event: pb::ContactDeleted = delivery.decode()?;
                words
                    .contacts
                    .extend(contact(&account, event.contact, true)?);
                continue;
            }
            pb::CardCreated::TYPE => {
                let event: pb::CardCreated = delivery.decode()?;
                (event.card, event.conversation_id.parse().ok(), false)
            }
            pb::CardMoved::TYPE => (delivery.decode::<pb::CardMoved>()?.card, None, false),
            pb::CardUpdated::TYPE => (delivery.decode::<pb::CardUpdated>()?.card, None, false),
            pb::CardDeleted::TYPE => (delivery.decode::<pb::CardDeleted>()?.card, None, true),
            _ => continue,
        };
        let (card, conversation, deleted) = card;
        let time = delivery.envelope.time;
        words.cards.extend(told_card(
            &account,
            card,
            conversation,
            deleted.then_some(time),
        )?);
    }
    Ok(words)
}

fn malformed(status: &Status) -> HandlerError {
    HandlerError::Poison(status.message().to_owned())
}

fn decided(decision: &pb::Decision) -> Result<Decided, Status> {
    let (rule, facts) = (
        decision.connection.clone().unwrap_or_default(),
        decision.facts.unwrap_or_default(),
    );
    let count = |number: i32| u32::try_from(number).unwrap_or_default();
    let unknown = |field| PARSE.refuse(field, "is not known here");
    Ok(Decided {
        conversation: PARSE.id("conversation_id", &decision.conversation_id)?,
        number: decision.number,
        chat: PARSE.id("chat_id", &decision.chat_id)?,
        channel: PARSE.id("channel_id", &decision.channel_id)?,
        contact: PARSE.id("contact_id", &decision.contact_id)?,
        card: PARSE.id_opt("card_id", &decision.card_id)?,
        rule: Rule::try_from(decision.rule.clone()).map_err(|_| unknown("rule"))?,
        connection: Connection {
            mode: wire::mode(rule.mode).ok_or_else(|| unknown("connection.mode"))?,
            pipeline: PARSE.id_opt("connection.pipeline_id", &rule.pipeline_id)?,
            source: PARSE.id_opt("connection.source_id", &rule.source_id)?,
            scope: wire::scope(rule.scope).ok_or_else(|| unknown("connection.scope"))?,
            include_existing_chats: rule.include_existing_chats.unwrap_or_default(),
            activated_at: PARSE
                .time_opt("connection.activate_time", rule.activate_time.as_ref())?
                .unwrap_or(OffsetDateTime::UNIX_EPOCH),
        },
        facts: Facts {
            opened_by_client: facts.opened_by_client,
            chat_created_at: PARSE
                .time("facts.chat_create_time", facts.chat_create_time.as_ref())?,
            cards_ever_linked: count(facts.cards_ever_linked),
            card_in_work: facts.card_in_work,
            order_in_work: facts.order_in_work,
            contact_cards: count(facts.contact_cards),
            buyer: facts.buyer,
        },
        decided_at: PARSE.time("time", decision.time.as_ref())?,
    })
}

fn stamp(stamp: Option<common::Stamp>) -> Result<Stamp, Status> {
    let Some(stamp) = stamp else {
        return Ok(Stamp::ZERO);
    };
    Ok(Stamp {
        time: PARSE.time("responsible_stamp.time", stamp.time.as_ref())?,
        event: PARSE.id("responsible_stamp.event_id", &stamp.event_id)?,
    })
}

fn contact(
    account: &AccountSlug,
    contact: Option<pb::Contact>,
    deleted: bool,
) -> Result<Option<ToldContact>, HandlerError> {
    let Some(contact) = contact else {
        return Ok(None);
    };
    let identity = |of: common::ClientIdentity| Identity {
        scope: of.scope,
        user_id: of.user_id,
        name: of.name,
        username: of.username,
        phone: of.phone,
        email: of.email,
        language: of.language,
    };
    let read = || {
        Ok(ToldContact {
            account: account.clone(),
            id: PARSE.id("contact_id", &contact.contact_id)?,
            name: contact.name,
            buyer: contact.buyer,
            company: PARSE.id_opt("company_id", &contact.company_id)?,
            phones: contact.phones,
            emails: contact.emails,
            responsible: PARSE.id_opt("responsible_agent_id", &contact.responsible_agent_id)?,
            stamp: stamp(contact.responsible_stamp)?,
            created_at: PARSE.time("create_time", contact.create_time.as_ref())?,
            revision: contact.revision,
            identities: contact.identities.into_iter().map(identity).collect(),
            deleted,
        })
    };
    read()
        .map(Some)
        .map_err(|status: Status| malformed(&status))
}

fn told_card(
    account: &AccountSlug,
    card: Option<pb::Card>,
    conversation: Option<Uuid>,
    deleted_at: Option<OffsetDateTime>,
) -> Result<Option<ToldCard>, HandlerError> {
    let Some(card) = card else {
        return Ok(None);
    };
    let kind = if card.kind() == common::EntityKind::Deal {
        CardKind::Deal
    } else {
        CardKind::Lead
    };
    let read = || {
        let status = card.status.clone().unwrap_or_default();
        let amount = card.amount.clone();
        let agents = &card.participant_agent_ids;
        Ok(ToldCard {
            account: account.clone(),
            id: PARSE.id("card_id", &card.card_id)?,
            kind,
            title: card.title.clone(),
            status: PARSE.id("status.status_id", &status.status_id)?,
            source: PARSE.id_opt("source_id", &card.source_id)?,
            source_detail: card.source_detail.clone(),
            contact: PARSE.id_opt("contact_id", &card.contact_id)?,
            chat: PARSE.id_opt("chat_id", &card.chat_id)?,
            conversation,
            responsible: PARSE.id_opt("responsible_agent_id", &card.responsible_agent_id)?,
            stamp: stamp(card.responsible_stamp.clone())?,
            created_at: PARSE.time("create_time", card.create_time.as_ref())?,
            updated_at: PARSE.time("update_time", card.update_time.as_ref())?,
            revision: card.revision,
            amount: amount.map(|money| (money.currency, money.amount)),
            participants: PARSE.ids("participant_agent_ids", agents, agents.len())?,
            messenger: Some(card.messenger.clone()).filter(|kind| !kind.is_empty()),
            deleted_at,
        })
    };
    read()
        .map(Some)
        .map_err(|status: Status| malformed(&status))
}
