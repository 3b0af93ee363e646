//! Orders of buyers (F117-F120). Orders follow the rights on leads; the buyer follows those on contacts (§9).

use chassis::auth::Caller;
use chassis::grpc::FieldViolation;
use chassis::id::v7;
use chassis::outbox::Outgoing;
use sqlx::PgConnection;
use switchboard_proto::crm_cards::v1 as wire_v1;
use time::OffsetDateTime;

use super::{App, Page, RequestKey, contacts::unknown, history, reached_chat, see_chats, sight};
use crate::domain::access::{self, Kind, Missing};
use crate::domain::entity::{Order, Ordered};
use crate::domain::fields::{Entity, Given, Stored, changed};
use crate::domain::ids::{ChatId, ContactId, OrderId};
use crate::domain::money::Currency;
use crate::domain::order::{self, Written};
use crate::domain::status::StatusKind;
use crate::error::Error;
use crate::store::orders::Filter;
use crate::store::{contacts, fields, orders};
use crate::wire;

/// An order to be made.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// The buyer; else the chat's.
    pub contact: Option<ContactId>,
    /// The chat it is created from.
    pub chat: Option<ChatId>,
    /// Currency of the prices.
    pub currency: Option<Currency>,
    /// Products.
    pub lines: Vec<Written>,
    /// What else is to be known of it, or empty.
    pub comment: String,
    /// Custom fields, by key.
    pub fields: Given,
}

/// Creates an order of status new for a buyer, under the account's next number.
pub async fn create(
    app: &App,
    caller: &Caller,
    key: &RequestKey,
    wanted: Wanted,
    now: OffsetDateTime,
) -> Result<wire_v1::CreateOrderResponse, Error> {
    let sight = sight(caller, Kind::Contacts)?;
    access::may_create(caller.access(), Kind::Leads).map_err(|Missing| Error::CrmAccess)?;
    let account = caller.account();
    let mut transaction = app.begin().await?;
    let contact = buyer_of(&mut transaction, caller, &wanted).await?;
    // A stored answer is not for who may not see the buyer any more.
    let buyer = contacts::lock(&mut transaction, account, contact).await?;
    let buyer = buyer
        .filter(|buyer| sight.reaches(buyer.responsible))
        .ok_or_else(|| unknown(contact))?;
    if let Some(answer) = key.earlier(&mut transaction, account, now).await? {
        return Ok(answer);
    }
    if !buyer.buyer {
        return Err(Error::NotABuyer);
    }
    let mut order = Order {
        id: v7(now).into(),
        number: 0,
        contact: buyer.id,
        chat: wanted.chat,
        status: StatusKind::New,
        lines: Vec::new(),
        total: None,
        comment: wanted.comment,
        fields: std::collections::BTreeMap::default(),
        created_at: now,
        updated_at: now,
        revision: 1,
    };
    if let Some(currency) = wanted.currency {
        price(&mut order, &wanted.lines, currency)?;
    } else if !wanted.lines.is_empty() {
        return Err(refuse("currency", "is required where there are lines"));
    }
    let kept = checked_fields(&mut transaction, caller, &Stored::new(), &wanted.fields).await?;
    order.number = orders::next_number(&mut transaction, account).await?;
    orders::insert(&mut transaction, account, &order, &kept).await?;
    // Read again: values of fields are shown by what is defined.
    let order = read(&mut transaction, caller, order.id).await?;
    let answer = wire_v1::CreateOrderResponse {
        order: Some(wire::order(&order)),
    };
    key.keep(&mut transaction, account, &answer).await?;
    let entries = history::order(account, &caller.actor(), (None, Some(&order)))?;
    history::write(&mut transaction, entries, now).await?;
    let created = wire_v1::OrderCreated {
        order: Some(wire::order(&order)),
    };
    let event = Outgoing::new(account, order.id, &created).actor(caller.actor());
    app.commit(transaction, vec![event], now).await?;
    Ok(answer)
}

/// Returns whom an order is for: the contact that is named, else the chat's. A chat that is named as well has to be his.
async fn buyer_of(
    connection: &mut PgConnection,
    caller: &Caller,
    wanted: &Wanted,
) -> Result<ContactId, Error> {
    let Some(id) = wanted.chat else {
        return wanted
            .contact
            .ok_or_else(|| refuse("contact_id", "is required where no chat is named"));
    };
    see_chats(caller)?;
    let chat = reached_chat(connection, caller, id).await?;
    let chat = chat.ok_or_else(|| Error::unknown("chat", "CHAT_UNKNOWN", id))?;
    let named = match wanted.contact {
        None => None,
        // By an id that was merged into another contact it is that one's.
        Some(contact) => {
            let live = contacts::live(connection, caller.account(), contact).await?;
            Some(live.unwrap_or(contact))
        }
    };
    match named {
        Some(contact) if contact != chat.contact => {
            Err(refuse("chat_id", "is not a chat of this contact"))
        }
        _ => Ok(chat.contact),
    }
}

fn refuse(field: &str, description: &str) -> Error {
    Error::Fields(vec![FieldViolation::new(field, description)])
}

/// Puts products and what they sum up to on an order.
fn price(order: &mut Order, lines: &[Written], currency: Currency) -> Result<(), Error> {
    let wrong = |wrong: order::Wrong| refuse(&wrong.field, &wrong.description);
    order.lines = order::lines(lines, currency).map_err(wrong)?;
    order.total = Some(order::total(&order.lines, currency).map_err(wrong)?);
    Ok(())
}

/// Returns the values of custom fields after a request; one that gives any gives all that are required.
async fn checked_fields(
    connection: &mut PgConnection,
    caller: &Caller,
    stored: &Stored,
    given: &Given,
) -> Result<Stored, Error> {
    if given.is_empty() {
        return Ok(stored.clone());
    }
    let form = stored.is_empty();
    let known = fields::of_entity(connection, caller.account(), Entity::Order).await?;
    changed(&known, stored, given, form).map_err(Error::of_fields)
}

async fn read(connection: &mut PgConnection, caller: &Caller, id: OrderId) -> Result<Order, Error> {
    let order = orders::get(connection, caller.account(), id).await?;
    order.ok_or_else(|| unknown_order(id))
}

/// Returns an order whose buyer the caller may see.
pub async fn get(app: &App, caller: &Caller, id: OrderId) -> Result<Order, Error> {
    let buyers = sight(caller, Kind::Contacts)?;
    sight(caller, Kind::Leads)?;
    let mut connection = app.pool.acquire().await?;
    let order = read(&mut connection, caller, id).await?;
    let buyer = contacts::get(&mut connection, caller.account(), order.contact).await?;
    match buyer {
        Some(buyer) if buyers.reaches(buyer.responsible) => Ok(order),
        _ => Err(unknown_order(id)),
    }
}

fn unknown_order(id: OrderId) -> Error {
    Error::unknown("order", "ORDER_UNKNOWN", id)
}

/// Returns a page of the orders whose buyers the caller may see, the newest first; `below` is the number of the last one
/// of the page before.
pub async fn list(
    app: &App,
    caller: &Caller,
    mut filter: Filter,
    below: Option<i64>,
    size: u32,
) -> Result<Page<Order>, Error> {
    let buyers = sight(caller, Kind::Contacts)?;
    sight(caller, Kind::Leads)?;
    filter.responsible = buyers.narrowed_to();
    let mut connection = app.pool.acquire().await?;
    if let Some(chat) = filter.chat {
        see_chats(caller)?;
        if reached_chat(&mut connection, caller, chat).await?.is_none() {
            return Ok(Page::of(Vec::new(), size));
        }
    }
    if let Some(contact) = filter.contact {
        match contacts::live(&mut connection, caller.account(), contact).await? {
            None => return Ok(Page::of(Vec::new(), size)),
            live => filter.contact = live,
        }
    }
    let below = below.unwrap_or(i64::MAX);
    let limit = i64::from(size) + 1;
    let rows = orders::page(&mut connection, caller.account(), &filter, below, limit).await?;
    Ok(Page::of(rows, size))
}

/// Returns what a buyer whom the caller may see has ordered (F120).
pub async fn totals(app: &App, caller: &Caller, contact: ContactId) -> Result<Vec<Ordered>, Error> {
    sight(caller, Kind::Leads)?;
    let buyer = super::contacts::get(app, caller, contact).await?.id;
    let mut connection = app.pool.acquire().await?;
    Ok(orders::ordered(&mut connection, caller.account(), buyer).await?)
}

/// Locks the buyer of an order first, as decisions do (D29), then reads the order: another change may have come before.
async fn lock(
    connection: &mut PgConnection,
    caller: &Caller,
    id: OrderId,
    expected: Option<i64>,
) -> Result<Order, Error> {
    let buyers = sight(caller, Kind::Contacts)?;
    sight(caller, Kind::Leads)?;
    let mut contact = read(connection, caller, id).await?.contact;
    loop {
        let buyer = contacts::lock(connection, caller.account(), contact).await?;
        let order = read(connection, caller, id).await?;
        if order.contact != contact {
            // The buyer was merged into another meanwhile.
            contact = order.contact;
            continue;
        }
        buyer
            .filter(|buyer| buyers.reaches(buyer.responsible))
            .ok_or_else(|| unknown_order(id))?;
        if expected.is_some_and(|seen| seen != order.revision) {
            return Err(Error::Overtaken("order", order.revision));
        }
        return Ok(order);
    }
}

/// Moves an order to another kind of status.
pub async fn move_to(
    app: &App,
    caller: &Caller,
    id: OrderId,
    (status, expected): (StatusKind, Option<i64>),
    now: OffsetDateTime,
) -> Result<Order, Error> {
    let mut transaction = app.begin().await?;
    let before = lock(&mut transaction, caller, id, expected).await?;
    if before.status == status {
        return Ok(before);
    }
    let mut order = before.clone();
    order.status = status;
    let stored = orders::stored_fields(&mut transaction, caller.account(), id).await?;
    let order = write(&mut transaction, caller, (&before, order), &stored, now).await?;
    let moved = wire_v1::OrderMoved {
        order: Some(wire::order(&order)),
        previous_status: wire_v1::StatusKind::from(before.status).into(),
    };
    let event = Outgoing::new(caller.account(), id, &moved).actor(caller.actor());
    app.commit(transaction, vec![event], now).await?;
    Ok(order)
}

/// What of an order is to be changed; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// The revision that the caller saw.
    pub expected: Option<i64>,
    /// Currency of the prices.
    pub currency: Option<Currency>,
    /// Products.
    pub lines: Option<Vec<Written>>,
    /// What else is to be known of it.
    pub comment: Option<String>,
    /// Custom fields, by key.
    pub fields: Given,
}

/// Changes an order (F119). What is as it was already changes nothing and is no event.
pub async fn update(
    app: &App,
    caller: &Caller,
    id: OrderId,
    change: Change,
    now: OffsetDateTime,
) -> Result<Order, Error> {
    let mut transaction = app.begin().await?;
    let before = lock(&mut transaction, caller, id, change.expected).await?;
    let mut order = before.clone();
    let currency_before = before.total.map(|total| total.currency);
    let currency = change.currency.or(currency_before);
    match (&change.lines, currency) {
        (Some(lines), Some(currency)) => price(&mut order, lines, currency)?,
        (Some(lines), None) if !lines.is_empty() => {
            return Err(refuse("currency", "is required where there are lines"));
        }
        (None, Some(currency)) if currency_before != Some(currency) => {
            if !order.lines.is_empty() {
                return Err(refuse("lines", "have to be given in the new currency"));
            }
            price(&mut order, &[], currency)?;
        }
        _ => {}
    }
    if let Some(comment) = change.comment {
        order.comment = comment;
    }
    let stored = orders::stored_fields(&mut transaction, caller.account(), id).await?;
    let kept = checked_fields(&mut transaction, caller, &stored, &change.fields).await?;
    if order == before && kept == stored {
        return Ok(before);
    }
    let order = write(&mut transaction, caller, (&before, order), &kept, now).await?;
    let updated = wire_v1::OrderUpdated {
        order: Some(wire::order(&order)),
    };
    let event = Outgoing::new(caller.account(), id, &updated).actor(caller.actor());
    app.commit(transaction, vec![event], now).await?;
    Ok(order)
}

/// Writes a changed order and its history; returns it as it is read.
async fn write(
    connection: &mut PgConnection,
    caller: &Caller,
    (before, mut order): (&Order, Order),
    fields: &Stored,
    now: OffsetDateTime,
) -> Result<Order, Error> {
    let account = caller.account();
    order.revision += 1;
    order.updated_at = now;
    orders::update(connection, account, &order, fields).await?;
    let order = read(connection, caller, order.id).await?;
    let entries = history::order(account, &caller.actor(), (Some(before), Some(&order)))?;
    history::write(connection, entries, now).await?;
    Ok(order)
}

/// The buyer's part of what a chat is linked to: orders in work, and what was ordered.
pub(super) async fn of_chat(
    connection: &mut PgConnection,
    caller: &Caller,
    contact: ContactId,
    most: i64,
) -> Result<(Vec<Order>, Vec<Ordered>), Error> {
    let account = caller.account();
    let in_work = orders::in_work(connection, account, contact, most).await?;
    let ordered = orders::ordered(connection, account, contact).await?;
    Ok((in_work, ordered))
}
