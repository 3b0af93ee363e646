//! What a chat is linked to: its contact with the company, cards and orders in work (F029).

use chassis::auth::Caller;

use super::{App, orders, reached_chat, see_chats, sight};
use crate::domain::access::Kind;
use crate::domain::entity::{Card, Company, Contact, Order, Ordered};
use crate::domain::ids::ChatId;
use crate::error::Error;
use crate::store::card_lists::{self, Filter, Responsible};
use crate::store::{Before, cards, companies, contacts};

/// Rows of each kind at most.
const MOST: i64 = 200;

/// What a chat is linked to, as far as the caller may see it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Connections {
    /// Its contact.
    pub contact: Option<Contact>,
    /// The contact's company.
    pub company: Option<Company>,
    /// Its cards, newest first.
    pub cards: Vec<Card>,
    /// The buyer's orders in a working status, newest first.
    pub orders: Vec<Order>,
    /// What the buyer has ordered (F120); none where the contact is no buyer that the caller may see.
    pub ordered: Option<Vec<Ordered>>,
}

/// Returns what a chat is linked to; nothing for a chat that CRM does not know yet, or that is not within
/// the caller's reach.
pub async fn get(app: &App, caller: &Caller, id: ChatId) -> Result<Connections, Error> {
    see_chats(caller)?;
    let (leads, people) = (sight(caller, Kind::Leads), sight(caller, Kind::Contacts));
    if leads.is_err() && people.is_err() {
        return Err(Error::CrmAccess);
    }
    let account = caller.account();
    let mut connection = app.pool.acquire().await?;
    let Some(chat) = reached_chat(&mut connection, caller, id).await? else {
        return Ok(Connections::default());
    };
    let mut found = Connections::default();
    if let Ok(people) = people {
        let contact = contacts::get(&mut connection, account, chat.contact).await?;
        let company = contact.as_ref().and_then(|contact| contact.company);
        found.contact = contact.filter(|contact| people.reaches(contact.responsible));
        if let Some(company) = company {
            let company = companies::get(&mut connection, account, company).await?;
            found.company = company.filter(|company| people.reaches(company.responsible));
        }
    }
    if let Ok(leads) = leads {
        let own = leads.narrowed_to();
        let filter = Filter {
            chat: Some(id),
            responsible: own.map_or(Responsible::Any, Responsible::Agent),
            ..Filter::default()
        };
        let cards = card_lists::page(&mut connection, account, &filter, Before::START, MOST);
        let ids: Vec<_> = cards.await?.into_iter().map(|(id, _)| id).collect();
        found.cards = cards::in_order(&mut connection, account, &ids).await?;
        // An order is reached through its buyer.
        if found.contact.as_ref().is_some_and(|contact| contact.buyer) {
            let of_buyer = orders::of_chat(&mut connection, caller, chat.contact, MOST).await?;
            (found.orders, found.ordered) = (of_buyer.0, Some(of_buyer.1));
        }
    }
    Ok(found)
}
