//! Chats of entities (F143-F147, F152-F159): which there are is known here, what was said in them is asked of conversation.

use std::collections::HashMap;

use chassis::auth::Caller;
use switchboard_proto::conversation::v1::{FindChatsRequest, FindChatsResponse};
use tonic::Status;
use uuid::Uuid;

use super::{App, companies, contacts, list_cards, orders, see_chats};
use crate::domain::access;
use crate::domain::entity::Card;
use crate::domain::external_line::{ExternalLine, lines};
use crate::domain::ids::{CardId, ChatId, CompanyId, ContactId, OrderId};
use crate::error::Error;
use crate::store::entity_chats::{self as store, Of, Wanted};

/// Where chats are known with their messages.
#[tonic::async_trait]
pub trait Chats: Send + Sync {
    /// Returns those of the named chats that exist for the caller, the one with the newest message first.
    async fn find(
        &self,
        caller: &Caller,
        wanted: FindChatsRequest,
    ) -> Result<FindChatsResponse, Status>;
}

/// An entity whose chats are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// A card.
    Card(CardId),
    /// A contact.
    Contact(ContactId),
    /// A company.
    Company(CompanyId),
    /// An order.
    Order(OrderId),
}

/// Returns the chats of an entity that the caller sees, those that began last first: to whoever sees the entity they are
/// open, also where a colleague works with them (F148).
pub async fn list(
    app: &App,
    caller: &Caller,
    about: About,
    messenger: Option<&str>,
) -> Result<Vec<ChatId>, Error> {
    see_chats(caller)?;
    let channels = access::channels(caller.access());
    let wanted = Wanted {
        channels: channels.as_deref(),
        messenger,
    };
    let account = caller.account();
    let (card, contact) = match about {
        About::Card(id) => {
            let card = list_cards::get(app, caller, id).await?;
            (Some(card.id), card.contact)
        }
        About::Contact(id) => (None, Some(contacts::get(app, caller, id).await?.id)),
        About::Order(id) => (None, Some(orders::get(app, caller, id).await?.contact)),
        About::Company(id) => {
            let company = companies::get(app, caller, id).await?;
            let mut connection = app.pool.acquire().await?;
            return Ok(store::of_company(&mut connection, account, company.id, wanted).await?);
        }
    };
    let mut connection = app.pool.acquire().await?;
    Ok(store::of_card(&mut connection, account, (card, contact), wanted).await?)
}

/// Returns the External Lines field of contacts or companies (F157, F158), as far as their chats exist for the caller.
pub async fn external_lines(
    app: &App,
    caller: &Caller,
    (of, ids): (Of, &[Uuid]),
) -> Result<HashMap<Uuid, Vec<ExternalLine>>, Error> {
    if ids.is_empty() || see_chats(caller).is_err() {
        return Ok(HashMap::new());
    }
    let channels = access::channels(caller.access());
    let mut connection = app.pool.acquire().await?;
    let account = caller.account();
    let written = store::written(&mut connection, account, (of, ids), channels.as_deref());
    let written = written.await?.into_iter();
    Ok(written.map(|(id, chats)| (id, lines(chats))).collect())
}

/// Returns the External Lines field of the contacts of cards.
pub async fn lines_of_cards<'c>(
    app: &App,
    caller: &Caller,
    cards: impl IntoIterator<Item = &'c Card>,
) -> Result<HashMap<Uuid, Vec<ExternalLine>>, Error> {
    let contacts = cards.into_iter().filter_map(|card| card.contact);
    let mut contacts: Vec<Uuid> = contacts.map(ContactId::uuid).collect();
    contacts.sort_unstable();
    contacts.dedup();
    external_lines(app, caller, (Of::Contacts, &contacts)).await
}
