//! Orders of buyers (F117). Orders follow the rights on leads; the buyer follows those on contacts (§9).

use chassis::auth::Caller;
use chassis::id::v7;
use chassis::outbox::Outgoing;
use switchboard_proto::crm_cards::v1 as wire_v1;
use time::OffsetDateTime;

use super::{App, RequestKey, contacts::unknown, history, sight};
use crate::domain::access::{self, Kind, Missing};
use crate::domain::entity::Order;
use crate::domain::ids::{ContactId, OrderId};
use crate::domain::status::StatusKind;
use crate::error::Error;
use crate::store::{contacts, orders};
use crate::wire;

/// Creates an order of status new for a buyer, under the account's next number.
pub async fn create(
    app: &App,
    caller: &Caller,
    key: &RequestKey,
    contact: ContactId,
    now: OffsetDateTime,
) -> Result<wire_v1::CreateOrderResponse, Error> {
    let sight = sight(caller, Kind::Contacts)?;
    access::may_create(caller.access(), Kind::Leads).map_err(|Missing| Error::CrmAccess)?;
    let account = caller.account();
    let mut transaction = app.begin().await?;
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
    let order = orders::insert(&mut transaction, account, v7(now).into(), buyer.id, now).await?;
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

/// Returns an order whose buyer the caller may see.
pub async fn get(app: &App, caller: &Caller, id: OrderId) -> Result<Order, Error> {
    let buyers = sight(caller, Kind::Contacts)?;
    sight(caller, Kind::Leads)?;
    let account = caller.account();
    let mut connection = app.pool.acquire().await?;
    let order = orders::get(&mut connection, account, id).await?;
    let order = order.ok_or_else(|| unknown_order(id))?;
    let buyer = contacts::get(&mut connection, account, order.contact).await?;
    match buyer {
        Some(buyer) if buyers.reaches(buyer.responsible) => Ok(order),
        _ => Err(unknown_order(id)),
    }
}

fn unknown_order(id: OrderId) -> Error {
    Error::unknown("order", "ORDER_UNKNOWN", id)
}

/// Moves an order to another kind of status. It locks the buyer first, as decisions do (D29).
pub async fn move_to(
    app: &App,
    caller: &Caller,
    id: OrderId,
    (status, expected): (StatusKind, Option<i64>),
    now: OffsetDateTime,
) -> Result<Order, Error> {
    let buyers = sight(caller, Kind::Contacts)?;
    sight(caller, Kind::Leads)?;
    let account = caller.account();
    let unknown = || unknown_order(id);
    let mut transaction = app.begin().await?;
    let found = orders::get(&mut transaction, account, id)
        .await?
        .ok_or_else(unknown)?;
    let buyer = contacts::lock(&mut transaction, account, found.contact).await?;
    buyer
        .filter(|buyer| buyers.reaches(buyer.responsible))
        .ok_or_else(unknown)?;
    // Under the lock it is read again: another move may have come first.
    let mut order = orders::get(&mut transaction, account, id)
        .await?
        .ok_or_else(unknown)?;
    if expected.is_some_and(|seen| seen != order.revision) {
        return Err(Error::Overtaken("order", order.revision));
    }
    if order.status == status {
        return Ok(order);
    }
    let before = order.clone();
    let previous = order.status;
    orders::set_status(&mut transaction, account, id, status, now).await?;
    order.status = status;
    order.revision += 1;
    let entries = history::order(account, &caller.actor(), (Some(&before), Some(&order)))?;
    history::write(&mut transaction, entries, now).await?;
    let moved = wire_v1::OrderMoved {
        order: Some(wire::order(&order)),
        previous_status: wire_v1::StatusKind::from(previous).into(),
    };
    let event = Outgoing::new(account, id, &moved).actor(caller.actor());
    app.commit(transaction, vec![event], now).await?;
    Ok(order)
}
