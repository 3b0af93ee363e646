//! Opened conversations: the contact is found or made, the pipeline connection decides, the card is created (§6).
//!
//! A batch is one set of statements, whatever its size. Locks are taken in the order identity, contact, card; all
//! facts are read under the contacts' locks, and decisions within the batch see each other's cards.

mod people;
mod told;

use std::collections::{BTreeMap, HashMap};

use chassis::actor::Actor;
use chassis::id::{AccountSlug, AgentId};
use chassis::outbox::Outgoing;
use chassis::stamp::Stamp;
use chassis::trace::TraceContext;
use sqlx::PgConnection;
use switchboard_proto::common::v1::{LinkedEntity, OpenReason};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::app::history;
use crate::app::responsibles::{self, Taking};
use crate::domain::batch::{Ledger, Question};
use crate::domain::connection::Rule;
use crate::domain::entity::{self, Card, CardKind, Contact, Identity};
use crate::domain::fields::Stored;
use crate::domain::ids::{self, CardId, ChannelId, ChatId, ClientId, ContactId, ConversationId};
use crate::store::cards::{self, NewCard};
use crate::store::connections::{self, Ruled};
use crate::store::decisions::{self, Decided};
use crate::store::openings::{self as store, IdentityKey};
use crate::store::parked;
use crate::wire;
use people::{People, link_chats, recognise, suspect};
use told::{created_events, decided_event};

/// The rule that events of a decision name as their actor.
const RULE: &str = "pipeline-connection";

/// A conversation that was opened.
#[derive(Debug, Clone)]
pub struct Opening {
    /// The account.
    pub account: AccountSlug,
    /// The conversation.
    pub conversation: ConversationId,
    /// Its chat.
    pub chat: ChatId,
    /// The chat's channel.
    pub channel: ChannelId,
    /// The chat's client.
    pub client: ClientId,
    /// How the messenger knows the client.
    pub identity: Identity,
    /// Number of the conversation.
    pub number: i64,
    /// Its revision when it was opened.
    pub revision: i64,
    /// Why it was opened; unspecified where a newer service knows a reason that we do not.
    pub reason: OpenReason,
    /// The agent who opened it.
    pub opener: Option<AgentId>,
    /// When the chat was created.
    pub chat_created_at: OffsetDateTime,
    /// When it was opened.
    pub opened_at: OffsetDateTime,
    /// Payload of the deep link with which the client came (D30).
    pub start_payload: String,
    /// The contact whom an agent wrote to first (F084).
    pub contact: Option<ContactId>,
    /// The event that told of it.
    pub cause: Uuid,
    /// The trace that what follows belongs to.
    pub trace: TraceContext,
}

impl Opening {
    pub(super) fn identity_key(&self) -> IdentityKey {
        (
            self.account.clone(),
            self.identity.scope.clone(),
            self.identity.user_id.clone(),
        )
    }

    fn opened_by_client(&self) -> bool {
        self.reason == OpenReason::ClientMessage
    }

    /// Who brought contact and chat to us.
    fn actor(&self) -> Actor {
        self.opener
            .map_or(Actor::Client(self.client.uuid()), |agent| {
                Actor::Agent(agent.uuid())
            })
    }

    fn event<E: switchboard_proto::DomainEvent>(
        &self,
        subject: impl std::fmt::Display,
        event: &E,
    ) -> Outgoing {
        Outgoing::new(&self.account, subject, event)
            .cause(self.cause)
            .trace(self.trace.clone())
    }
}

/// What a batch led to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Events to be written.
    pub events: Vec<Outgoing>,
    /// The rules that decided, for the metrics.
    pub rules: Vec<Rule>,
}

/// Handles opened conversations. What was decided before is left out: it changes nothing and publishes nothing (X01).
///
/// The caller holds the parking locks of the conversations.
pub async fn handle(
    connection: &mut PgConnection,
    openings: Vec<Opening>,
    now: OffsetDateTime,
) -> Result<Outcome, sqlx::Error> {
    // The first look spares a repeat all work; the second, under the locks, is the one that counts.
    let openings = undecided(connection, openings).await?;
    if openings.is_empty() {
        return Ok(Outcome::default());
    }
    let people = recognise(connection, &openings, now).await?;
    let openings = undecided(connection, openings).await?;
    let mut outcome = Outcome::default();
    let mut entries = people.created(&openings, &mut outcome.events)?;
    people
        .identified(connection, &openings, &mut outcome.events)
        .await?;
    entries.extend(link_chats(connection, &openings, &people, &mut outcome.events).await?);
    history::write(connection, entries, now).await?;
    let suspected = suspect(connection, &openings, &people, now).await?;
    outcome.events.extend(suspected);
    decide(connection, &openings, &people, &mut outcome, now).await?;
    Ok(outcome)
}

/// Leaves out what has been decided, and repeats within the batch.
async fn undecided(
    connection: &mut PgConnection,
    openings: Vec<Opening>,
) -> Result<Vec<Opening>, sqlx::Error> {
    let keys: Vec<_> = openings
        .iter()
        .map(|opening| (opening.account.clone(), opening.conversation))
        .collect();
    let mut seen = decisions::decided(connection, &keys).await?;
    let mut openings = openings;
    openings.retain(|opening| seen.insert((opening.account.clone(), opening.conversation)));
    Ok(openings)
}

/// Decides all openings one after another and stores what follows.
async fn decide(
    connection: &mut PgConnection,
    openings: &[Opening],
    people: &People,
    outcome: &mut Outcome,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let (rules, mut ledger) = gather(connection, openings, people).await?;
    let mut linked = linked_entities(connection, openings).await?;
    let mut new_cards = Vec::new();
    let mut made = Vec::new();
    let mut entries = Vec::new();
    let actor = Actor::Rule(RULE.to_owned());
    for opening in openings {
        let contact = people.of(opening)?;
        let (rule, facts, decision) = ledger.decide(&Question {
            account: opening.account.clone(),
            channel: opening.channel,
            chat: opening.chat,
            chat_created_at: opening.chat_created_at,
            contact: contact.id,
            opened_by_client: opening.opened_by_client(),
        });
        let entities = linked
            .entry((opening.account.clone(), opening.chat))
            .or_default();
        let mut card_id = None;
        if decision.create {
            let card = card(
                opening,
                contact,
                rules.get(&(opening.account.clone(), opening.channel)),
                now,
            )?;
            let entity = wire::linked_card(&card);
            entries.extend(history::card(
                &opening.account,
                &actor,
                (None, Some(&card)),
            )?);
            outcome
                .events
                .extend(created_events(opening, &card, &entity));
            entities.insert(0, entity);
            card_id = Some(card.id);
            new_cards.push(NewCard {
                account: opening.account.clone(),
                card,
                conversation: Some(opening.conversation),
                fields: Stored::new(),
                contact_name: contact.name.clone(),
            });
        }
        let decided = Decided {
            conversation: opening.conversation,
            number: opening.number,
            chat: opening.chat,
            channel: opening.channel,
            contact: contact.id,
            card: card_id,
            rule: decision.rule,
            connection: rule,
            facts,
            decided_at: now,
        };
        outcome.events.push(decided_event(
            opening,
            &decided,
            &linked_people(people, opening, contact),
            entities,
        ));
        outcome.rules.push(decision.rule);
        made.push((opening.account.clone(), decided));
    }
    if !new_cards.is_empty() {
        new_cards.sort_by(|a, b| (&a.account, a.card.id).cmp(&(&b.account, b.card.id)));
        cards::insert(connection, &new_cards).await?;
    }
    history::write(connection, entries, now).await?;
    made.sort_by(|(a, x), (b, y)| (a, x.conversation).cmp(&(b, y.conversation)));
    if decisions::insert(connection, &made).await? != made.len() as u64 {
        // The contact's lock rules this out; were it broken, the whole batch must not stand.
        return Err(sqlx::Error::Protocol(
            "a conversation was decided meanwhile".into(),
        ));
    }
    let takings = overtaken(connection, &made).await?;
    outcome
        .events
        .extend(responsibles::apply(connection, takings, responsibles::SYNC, now).await?);
    Ok(())
}

/// The contact and its company, as what a chat is linked to.
fn linked_people(people: &People, opening: &Opening, contact: &Contact) -> Vec<LinkedEntity> {
    let company = people.company_of(&opening.account, contact);
    let mut linked = vec![wire::linked_contact(contact)];
    linked.extend(company.map(wire::linked_company));
    linked
}

/// Reads the rules and all facts, each in one query.
async fn gather(
    connection: &mut PgConnection,
    openings: &[Opening],
    people: &People,
) -> Result<(HashMap<(AccountSlug, ChannelId), Ruled>, Ledger), sqlx::Error> {
    let mut channels: Vec<_> = openings
        .iter()
        .map(|opening| (opening.account.clone(), opening.channel))
        .collect();
    channels.sort();
    channels.dedup();
    let rules = connections::of_channels(connection, &channels).await?;
    let mut keys = openings
        .iter()
        .map(|opening| {
            Ok((
                opening.account.clone(),
                opening.chat,
                people.of(opening)?.id,
            ))
        })
        .collect::<Result<Vec<_>, sqlx::Error>>()?;
    keys.sort();
    keys.dedup();
    let known = store::facts(connection, &keys).await?;
    let mut ledger = Ledger::default();
    for (key, ruled) in &rules {
        ledger
            .connections
            .insert(key.clone(), ruled.connection.clone());
    }
    for (account, chat, contact) in keys {
        let Some(known) = known.get(&(account.clone(), chat)) else {
            continue;
        };
        let mut about_contact = known.contact;
        let row = people.contacts.get(&(account.clone(), contact));
        about_contact.buyer = row.is_some_and(|contact| contact.buyer);
        ledger.chats.insert((account.clone(), chat), known.chat);
        ledger.contacts.insert((account, contact), about_contact);
    }
    Ok((rules, ledger))
}

/// Reads what the chats are linked to already, cards only.
async fn linked_entities(
    connection: &mut PgConnection,
    openings: &[Opening],
) -> Result<HashMap<(AccountSlug, ChatId), Vec<LinkedEntity>>, sqlx::Error> {
    let mut chats: Vec<_> = openings
        .iter()
        .map(|opening| (opening.account.clone(), opening.chat))
        .collect();
    chats.sort();
    chats.dedup();
    let linked = store::linked_cards(connection, &chats).await?;
    Ok(linked
        .into_iter()
        .map(|(chat, cards)| {
            let entities = cards
                .into_iter()
                .map(|linked| {
                    wire::linked(
                        linked.kind.into(),
                        linked.card,
                        linked.responsible,
                        linked.stamp,
                    )
                })
                .collect();
            (chat, entities)
        })
        .collect())
}

/// Makes the card: status new of the rule's pipeline (F028), the channel's source (F024), no responsible yet (F027).
fn card(
    opening: &Opening,
    contact: &Contact,
    ruled: Option<&Ruled>,
    now: OffsetDateTime,
) -> Result<Card, sqlx::Error> {
    let rule = ruled.map(|ruled| &ruled.connection);
    let pipeline = rule.and_then(|rule| rule.pipeline);
    let status = ruled.and_then(|ruled| ruled.status.clone());
    let (Some(pipeline), Some(status)) = (pipeline, status) else {
        let text = format!(
            "connection {}: no pipeline with a status new",
            opening.channel
        );
        return Err(sqlx::Error::Decode(text.into()));
    };
    Ok(Card {
        id: ids::card_of(opening.conversation),
        kind: CardKind::of(contact.buyer),
        title: opening.identity.display_name().to_owned(),
        pipeline,
        status,
        source: rule.and_then(|rule| rule.source),
        source_detail: opening.start_payload.clone(),
        contact: Some(contact.id),
        chat: Some(opening.chat),
        responsible: None,
        stamp: Stamp::ZERO,
        created_at: now,
        updated_at: now,
        revision: 1,
        amount: None,
        fields: BTreeMap::new(),
        participants: Vec::new(),
        messenger: Some(entity::messenger(&opening.identity.scope).to_owned()),
    })
}

/// Takes out the responsibles that came before these decisions.
async fn overtaken(
    connection: &mut PgConnection,
    made: &[(AccountSlug, Decided)],
) -> Result<Vec<Taking>, sqlx::Error> {
    let cards: HashMap<(&AccountSlug, ConversationId), Option<CardId>> = made
        .iter()
        .map(|(account, decided)| ((account, decided.conversation), decided.card))
        .collect();
    let keys: Vec<_> = made
        .iter()
        .map(|(account, decided)| (account.clone(), decided.conversation))
        .collect();
    let parked = parked::take(connection, &keys).await?;
    Ok(parked
        .into_iter()
        .filter_map(|row| {
            let card = (*cards.get(&(&row.account, row.conversation))?)?;
            Some(Taking {
                account: row.account,
                card,
                agent: row.agent.into(),
                stamp: row.stamp,
                cause: row.cause,
                trace: row
                    .traceparent
                    .as_deref()
                    .map_or_else(TraceContext::none, TraceContext::parse),
            })
        })
        .collect())
}
