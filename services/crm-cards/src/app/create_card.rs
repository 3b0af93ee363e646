//! A card made by hand (F009).

use chassis::auth::Caller;
use chassis::id::{AgentId, v7};
use chassis::outbox::Outgoing;
use chassis::stamp::Stamp;
use switchboard_proto::crm_cards::v1 as wire_v1;
use time::OffsetDateTime;

use super::{App, RequestKey, reached_chat, see_chats};
use crate::domain::access::{self, Kind, Missing};
use crate::domain::entity::{Card, CardKind, Contact};
use crate::domain::ids::{ChatId, PipelineId, SourceId};
use crate::error::Error;
use crate::store::cards::NewCard;
use crate::store::{cards, contacts, pipelines};
use crate::wire;

/// A card to be made.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Title; the contact's name where absent.
    pub title: Option<String>,
    /// The pipeline; may be absent where the account has exactly one.
    pub pipeline: Option<PipelineId>,
    /// The chat it is created from.
    pub chat: Option<ChatId>,
    /// The source.
    pub source: Option<SourceId>,
    /// The responsible.
    pub responsible: Option<AgentId>,
}

/// Creates a card. It locks the chat's contact, so it stands before or after any decision, never beside one (D29).
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
    let mut transaction = app.begin().await?;
    // A stored answer is not for who may not see the chat any more.
    let contact = contact_of(&mut transaction, caller, wanted.chat).await?;
    if let Some(answer) = key.earlier(&mut transaction, account, now).await? {
        return Ok(answer);
    }
    let card = made(&mut transaction, caller, &wanted, contact.as_ref(), now).await?;
    let events = events(caller, &card);
    let new = NewCard {
        account: account.clone(),
        card,
        conversation: None,
    };
    cards::insert(&mut transaction, std::slice::from_ref(&new)).await?;
    let mut shown = wire::card(&new.card);
    if see_chats(caller).is_err() {
        // What the chat is bound to stays hidden (D11).
        shown.contact_id.clear();
    }
    let answer = wire_v1::CreateCardResponse { card: Some(shown) };
    key.keep(&mut transaction, account, &answer).await?;
    app.commit(transaction, events, now).await?;
    metrics::counter!("crm_cards_created_total", "by" => "hand").increment(1);
    Ok(answer)
}

/// Returns the chat's contact, locked.
async fn contact_of(
    connection: &mut sqlx::PgConnection,
    caller: &Caller,
    chat: Option<ChatId>,
) -> Result<Option<Contact>, Error> {
    let Some(id) = chat else { return Ok(None) };
    let account = caller.account();
    let chat = reached_chat(connection, caller, id)
        .await?
        .ok_or_else(|| Error::unknown("chat", "CHAT_UNKNOWN", id))?;
    Ok(contacts::lock(connection, account, chat.contact).await?)
}

async fn made(
    connection: &mut sqlx::PgConnection,
    caller: &Caller,
    wanted: &Wanted,
    contact: Option<&Contact>,
    now: OffsetDateTime,
) -> Result<Card, Error> {
    let account = caller.account();
    let refuse = |field, description| Error::Field { field, description };
    let known = pipelines::known(connection, account, wanted.pipeline, wanted.source).await?;
    if wanted.source.is_some() && !known.source_exists {
        return Err(refuse("source_id", "the account has no such source"));
    }
    let pipeline = wanted.pipeline.or(known.only_pipeline).ok_or_else(|| {
        refuse(
            "pipeline_id",
            "the account has not exactly one pipeline: choose one",
        )
    })?;
    let status = pipelines::status_new(connection, account, pipeline)
        .await?
        .ok_or_else(|| refuse("pipeline_id", "the account has no such pipeline"))?;
    let title = wanted
        .title
        .clone()
        .or_else(|| contact.map(|contact| contact.name.clone()));
    let title = title.ok_or_else(|| refuse("title", "is required for a card without a chat"))?;
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
    })
}

fn events(caller: &Caller, card: &Card) -> Vec<Outgoing> {
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
    if card.responsible.is_some() {
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
