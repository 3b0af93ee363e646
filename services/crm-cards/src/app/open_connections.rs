//! Opening the window of a chat's connections (F178): a manager who has not worked with its lead or contact gets a lead of his
//! own.

use chassis::access::{AccessRecord, View};
use chassis::auth::Caller;
use chassis::id::AgentId;
use chassis::stamp::Stamp;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::chat_connections::{self, Connections};
use super::create_card::{self, Wanted};
use super::{App, reached_chat, see_chats};
use crate::domain::entity::Contact;
use crate::domain::ids::{CardId, ChatId, card_of_opener};
use crate::error::Error;
use crate::figures;
use crate::store::cards::NewCard;
use crate::store::{cards, contacts};

/// Returns what a chat is linked to, and the lead that was made for the caller first, where one was.
pub async fn open(
    app: &App,
    caller: &Caller,
    id: ChatId,
    now: OffsetDateTime,
) -> Result<(Connections, Option<CardId>), Error> {
    see_chats(caller)?;
    let made = match caller.access().filter(|record| is_manager_of_own(record)) {
        None => None,
        Some(record) => own_lead(app, caller, record.agent, id, now).await?,
    };
    Ok((chat_connections::get(app, caller, id).await?, made))
}

/// The role of F177 and F178: creates leads and contacts, and sees his own of both.
fn is_manager_of_own(record: &AccessRecord) -> bool {
    [record.leads, record.contacts]
        .iter()
        .all(|rights| rights.create && rights.view == View::Own)
}

/// Makes the agent's own lead, unless he works with the contact or one of the chat's cards already, or has had one before.
async fn own_lead(
    app: &App,
    caller: &Caller,
    agent: AgentId,
    id: ChatId,
    now: OffsetDateTime,
) -> Result<Option<CardId>, Error> {
    let account = caller.account();
    let mut transaction = app.begin().await?;
    let Some(chat) = reached_chat(&mut transaction, caller, id).await? else {
        return Ok(None);
    };
    // Under the contact's lock a second window of the same manager finds the lead of the first.
    let Some(contact) = contacts::lock(&mut transaction, account, chat.contact).await? else {
        return Ok(None);
    };
    let card = card_of_opener(account, id, agent);
    if works_with(&mut transaction, caller, (agent, id, card), &contact).await? {
        return Ok(None);
    }
    // Without a pipeline there is nowhere to put a lead: the window shows what there is.
    let pipeline = create_card::pipeline_of_chat(&mut transaction, caller, &chat).await?;
    let Some(pipeline) = pipeline else {
        return Ok(None);
    };
    let wanted = Wanted {
        pipeline: Some(pipeline),
        chat: Some(id),
        responsible: Some(agent),
        ..Wanted::default()
    };
    let place = create_card::place(&mut transaction, caller, &wanted, Some(&chat)).await?;
    let messenger = Some(chat.messenger).filter(|kind| !kind.is_empty());
    let mut lead = create_card::made(&wanted, place, Some(&contact), messenger, now)?;
    lead.id = card;
    // To look is no act on who is responsible: the dialog and others who answer for the client stay as they are, also where
    // they are kept in step with leads.
    lead.stamp = Stamp::ZERO;
    let new = NewCard {
        account: account.clone(),
        card: lead,
        conversation: None,
        fields: serde_json::Map::default(),
        contact_name: contact.name,
    };
    let (lead, events) = create_card::insert(&mut transaction, caller, new, now).await?;
    app.commit(transaction, events, now).await?;
    figures::CARDS.of(["opening-connections"]).increment(1);
    Ok(Some(lead.id))
}

async fn works_with(
    connection: &mut PgConnection,
    caller: &Caller,
    (agent, chat, own): (AgentId, ChatId, CardId),
    contact: &Contact,
) -> Result<bool, Error> {
    if contact.responsible == Some(agent) {
        return Ok(true);
    }
    let account = caller.account();
    Ok(cards::worked_with(connection, account, chat, (agent, own)).await?)
}
