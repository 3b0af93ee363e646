//! A card made by hand (F009), from a chat with one call (F132) or with a form (F140), or without a chat.

use std::collections::BTreeMap;

use chassis::auth::Caller;
use chassis::id::{AgentId, v7};
use chassis::outbox::Outgoing;
use chassis::stamp::Stamp;
use sqlx::PgConnection;
use switchboard_proto::crm_cards::v1 as wire_v1;
use time::OffsetDateTime;

use super::{App, RequestKey, history, reached_chat, see_chats, sight, staff};
use crate::domain::access::{self, Kind, Missing};
use crate::domain::entity::{Card, CardKind, Contact};
use crate::domain::fields::{Entity, Given, Stored, changed};
use crate::domain::ids::{ChatId, ContactId, PipelineId, SourceId};
use crate::domain::money::Money;
use crate::domain::status::Status;
use crate::error::Error;
use crate::figures;
use crate::store::cards::NewCard;
use crate::store::contacts::Chat;
use crate::store::{cards, connections, contacts, fields, pipelines};
use crate::wire;

/// A card to be made.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Title; the contact's name where absent.
    pub title: Option<String>,
    /// The pipeline; that of the chat's channel, else the account's first, for a card from a chat without one (D28).
    pub pipeline: Option<PipelineId>,
    /// The chat it is created from.
    pub chat: Option<ChatId>,
    /// The source.
    pub source: Option<SourceId>,
    /// The responsible.
    pub responsible: Option<AgentId>,
    /// The contact of a card without a chat.
    pub contact: Option<ContactId>,
    /// Amount.
    pub amount: Option<Money>,
    /// Custom fields, by key.
    pub fields: Given,
}

impl Wanted {
    /// Tells whether somebody filled in a form (F140), which asks for required fields; one call makes a card without (F132).
    fn is_form(&self) -> bool {
        self.title.is_some() || self.amount.is_some() || !self.fields.is_empty()
    }
}

/// Creates a card. It locks its contact, so it stands before or after any decision, never beside one (D29).
pub async fn create(
    app: &App,
    caller: &Caller,
    key: &RequestKey,
    wanted: Wanted,
    now: OffsetDateTime,
) -> Result<wire_v1::CreateCardResponse, Error> {
    access::may_create(caller.access(), Kind::Leads).map_err(|Missing| Error::CrmAccess)?;
    if wanted.chat.is_some() {
        access::may_use_chats(caller.access()).map_err(|Missing| Error::ChatAccess)?;
    }
    let account = caller.account();
    let named = staff::named(app, caller, wanted.responsible).await?;
    let mut transaction = app.begin().await?;
    // A stored answer is not for who may not see the chat any more.
    let chat = match wanted.chat {
        None => None,
        Some(id) => Some(
            reached_chat(&mut transaction, caller, id)
                .await?
                .ok_or_else(|| Error::unknown("chat", "CHAT_UNKNOWN", id))?,
        ),
    };
    if let Some(answer) = key.earlier(&mut transaction, account, now).await? {
        return Ok(answer);
    }
    named.may_get("responsible_agent_id", wanted.responsible, None)?;
    let place = place(&mut transaction, caller, &wanted, chat.as_ref()).await?;
    let contact = contact_of(&mut transaction, caller, &wanted, chat.as_ref()).await?;
    let values = values(&mut transaction, caller, &wanted).await?;
    let messenger = chat
        .map(|chat| chat.messenger)
        .filter(|kind| !kind.is_empty());
    let mut card = made(&wanted, place, contact.as_ref(), messenger, now)?;
    // Nobody chose it, so that it is no act that others follow.
    let keeper = access::keeper(caller.access(), Kind::Leads);
    card.responsible = card.responsible.or(keeper);
    let new = NewCard {
        account: account.clone(),
        card,
        conversation: None,
        fields: values,
        contact_name: contact.map(|contact| contact.name).unwrap_or_default(),
    };
    let (card, events) = insert(&mut transaction, caller, new, now).await?;
    let mut shown = wire::card(&card);
    if wanted.chat.is_some() && see_chats(caller).is_err() {
        // What the chat is bound to stays hidden (D11).
        shown.contact_id.clear();
    }
    let answer = wire_v1::CreateCardResponse { card: Some(shown) };
    key.keep(&mut transaction, account, &answer).await?;
    app.commit(transaction, events, now).await?;
    figures::CARDS.of(["hand"]).increment(1);
    Ok(answer)
}

/// Inserts a card with its history; returns it as it is read, and its events. The caller holds its contact's lock.
pub(super) async fn insert(
    connection: &mut PgConnection,
    caller: &Caller,
    new: NewCard,
    now: OffsetDateTime,
) -> Result<(Card, Vec<Outgoing>), Error> {
    let account = caller.account();
    cards::insert(connection, std::slice::from_ref(&new)).await?;
    let mut card = new.card;
    if !new.fields.is_empty() {
        // Read again: values of fields are shown by what is defined.
        let read = cards::get(connection, account, card.id).await?;
        card = read.unwrap_or(card);
    }
    let entries = history::card(account, &caller.actor(), (None, Some(&card)))?;
    history::write(connection, entries, now).await?;
    let events = events(caller, &card);
    Ok((card, events))
}

/// Returns where the card begins; the status stays until the transaction ends.
pub(super) async fn place(
    connection: &mut PgConnection,
    caller: &Caller,
    wanted: &Wanted,
    chat: Option<&Chat>,
) -> Result<(PipelineId, Status), Error> {
    let account = caller.account();
    let refuse = |field, description| Error::Field { field, description };
    let known = pipelines::known(connection, account, wanted.pipeline, wanted.source).await?;
    if wanted.source.is_some() && !known.source_exists {
        return Err(refuse("source_id", "the account has no such source"));
    }
    let pipeline = match (wanted.pipeline.or(known.only_pipeline), chat) {
        (Some(pipeline), _) => pipeline,
        (None, None) => {
            let text = "the account has not exactly one pipeline: choose one";
            return Err(refuse("pipeline_id", text));
        }
        (None, Some(chat)) => {
            let text = "the account has no pipeline: create one first";
            let pipeline = pipeline_of_chat(connection, caller, chat).await?;
            pipeline.ok_or_else(|| refuse("pipeline_id", text))?
        }
    };
    let status = pipelines::status_new(connection, account, pipeline)
        .await?
        .ok_or_else(|| refuse("pipeline_id", "the account has no such pipeline"))?;
    Ok((pipeline, status))
}

/// Returns the pipeline of cards from a chat: that of its channel, else the account's first; none where it has none (D28).
pub(super) async fn pipeline_of_chat(
    connection: &mut PgConnection,
    caller: &Caller,
    chat: &Chat,
) -> Result<Option<PipelineId>, sqlx::Error> {
    let rule = connections::get(connection, caller.account(), chat.channel).await?;
    match rule.and_then(|rule| rule.pipeline) {
        Some(pipeline) => Ok(Some(pipeline)),
        None => pipelines::first(connection, caller.account()).await,
    }
}

/// Returns the card's contact, locked.
async fn contact_of(
    connection: &mut PgConnection,
    caller: &Caller,
    wanted: &Wanted,
    chat: Option<&Chat>,
) -> Result<Option<Contact>, Error> {
    let account = caller.account();
    let refuse = |description| {
        Err(Error::Field {
            field: "contact_id",
            description,
        })
    };
    match (chat, wanted.contact) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => refuse("a card from a chat has the chat's contact: leave it out"),
        (Some(chat), None) => Ok(contacts::lock(connection, account, chat.contact).await?),
        (None, Some(id)) => {
            let people = sight(caller, Kind::Contacts).ok();
            let contact = contacts::lock(connection, account, id)
                .await?
                .filter(|contact| people.is_some_and(|sight| sight.reaches(contact.responsible)));
            match contact {
                None => refuse("the account has no such contact"),
                contact => Ok(contact),
            }
        }
    }
}

async fn values(
    connection: &mut PgConnection,
    caller: &Caller,
    wanted: &Wanted,
) -> Result<Stored, Error> {
    if !wanted.is_form() {
        return Ok(Stored::new());
    }
    let known = fields::of_entity(connection, caller.account(), Entity::Card).await?;
    changed(&known, &Stored::new(), &wanted.fields, true).map_err(Error::of_fields)
}

pub(super) fn made(
    wanted: &Wanted,
    (pipeline, status): (PipelineId, Status),
    contact: Option<&Contact>,
    messenger: Option<String>,
    now: OffsetDateTime,
) -> Result<Card, Error> {
    let title = wanted
        .title
        .clone()
        .or_else(|| contact.map(|contact| contact.name.clone()));
    let title = title.ok_or(Error::Field {
        field: "title",
        description: "is required for a card without a chat",
    })?;
    let stamp = match wanted.responsible {
        None => Stamp::ZERO,
        Some(_) => Stamp::next_for_person(Stamp::ZERO, now, v7(now)),
    };
    Ok(Card {
        id: v7(now).into(),
        kind: CardKind::of(contact.is_some_and(|contact| contact.buyer)),
        title,
        pipeline,
        status,
        source: wanted.source,
        source_detail: String::new(),
        contact: contact.map(|contact| contact.id),
        chat: wanted.chat,
        responsible: wanted.responsible,
        stamp,
        created_at: now,
        updated_at: now,
        revision: 1,
        amount: wanted.amount,
        fields: BTreeMap::new(),
        participants: Vec::new(),
        messenger,
    })
}

/// What is told of a card that is made.
pub(super) fn events(caller: &Caller, card: &Card) -> Vec<Outgoing> {
    let account = caller.account();
    let created = wire_v1::CardCreated {
        card: Some(wire::card(card)),
        conversation_id: String::new(),
    };
    let mut events = vec![Outgoing::new(account, card.id, &created)];
    if let Some(chat) = card.chat {
        let linked = wire_v1::ChatLinked {
            chat_id: chat.to_string(),
            entity: Some(wire::linked_card(card)),
        };
        events.push(Outgoing::new(account, chat, &linked));
    }
    // A responsible that nobody chose (stamp zero) is no act that others follow.
    if card.responsible.is_some() && card.stamp > Stamp::ZERO {
        let changed = wire_v1::EntityResponsibleChanged {
            entity: Some(wire::linked_card(card)),
            chat_ids: card.chat.iter().map(ToString::to_string).collect(),
            previous_agent_id: String::new(),
        };
        // The act that the stamp names is this event.
        events.push(Outgoing::with_id(
            card.stamp.event,
            account,
            card.id,
            &changed,
        ));
    }
    events
        .into_iter()
        .map(|event| event.actor(caller.actor()))
        .collect()
}
