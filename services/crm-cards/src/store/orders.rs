//! Orders of buyers.

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::unreadable;
use crate::domain::entity::Order;
use crate::domain::ids::{ContactId, OrderId};
use crate::domain::status::StatusKind;

struct Row {
    id: Uuid,
    number: i64,
    contact: Uuid,
    status: String,
    created_at: OffsetDateTime,
    revision: i64,
}

impl TryFrom<Row> for Order {
    type Error = sqlx::Error;
    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.id.into(),
            number: row.number,
            contact: row.contact.into(),
            status: StatusKind::try_from(row.status)
                .map_err(|error| unreadable("buyer_order", row.id, error))?,
            created_at: row.created_at,
            revision: row.revision,
        })
    }
}

/// Inserts an order of status new under the account's next number. The number's row stays locked: no gaps.
pub async fn insert(
    connection: &mut PgConnection,
    account: &AccountSlug,
    id: OrderId,
    contact: ContactId,
    now: OffsetDateTime,
) -> Result<Order, sqlx::Error> {
    let number = sqlx::query_scalar!(
        "insert into order_number as n (account, last) values ($1, 1)
         on conflict (account) do update set last = n.last + 1 returning last",
        account.as_str(),
    )
    .fetch_one(&mut *connection)
    .await?;
    sqlx::query!(
        "insert into buyer_order (account, id, number, contact, status, created_at, updated_at)
         values ($1, $2, $3, $4, 'new', $5, $5)",
        account.as_str(),
        id.uuid(),
        number,
        contact.uuid(),
        now,
    )
    .execute(connection)
    .await?;
    Ok(Order {
        id,
        number,
        contact,
        status: StatusKind::New,
        created_at: now,
        revision: 1,
    })
}

/// Returns an order.
pub async fn get(
    connection: &mut PgConnection,
    account: &AccountSlug,
    order: OrderId,
) -> Result<Option<Order>, sqlx::Error> {
    sqlx::query_as!(
        Row,
        "select id, number, contact, status, created_at, revision from buyer_order where account = $1 and id = $2",
        account.as_str(),
        order.uuid(),
    )
    .fetch_optional(connection)
    .await?
    .map(TryInto::try_into)
    .transpose()
}

/// Sets the kind of an order's status. The caller holds the lock of its contact.
pub async fn set_status(
    connection: &mut PgConnection,
    account: &AccountSlug,
    order: OrderId,
    status: StatusKind,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update buyer_order set status = $3, updated_at = $4, revision = revision + 1
         where account = $1 and id = $2",
        account.as_str(),
        order.uuid(),
        status.as_str(),
        now,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Returns the orders of a contact that are in a working status, newest first.
pub async fn in_work(
    connection: &mut PgConnection,
    account: &AccountSlug,
    contact: ContactId,
    limit: i64,
) -> Result<Vec<Order>, sqlx::Error> {
    sqlx::query_as!(
        Row,
        "select id, number, contact, status, created_at, revision from buyer_order
         where account = $1 and contact = $2 and status in ('new', 'in-progress')
         order by number desc limit $3",
        account.as_str(),
        contact.uuid(),
        limit,
    )
    .fetch_all(connection)
    .await?
    .into_iter()
    .map(TryInto::try_into)
    .collect()
}

/// Returns orders, by their numbers.
pub async fn in_order(
    connection: &mut PgConnection,
    account: &AccountSlug,
    ids: &[Uuid],
) -> Result<Vec<Order>, sqlx::Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query_as!(
        Row,
        "select id, number, contact, status, created_at, revision from buyer_order
         where account = $1 and id = any($2) order by number",
        account.as_str(),
        ids,
    )
    .fetch_all(connection)
    .await?
    .into_iter()
    .map(TryInto::try_into)
    .collect()
}

/// Tells whether a contact has any order.
pub async fn any(
    connection: &mut PgConnection,
    account: &AccountSlug,
    contact: ContactId,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists(select from buyer_order where account = $1 and contact = $2) as "any!""#,
        account.as_str(),
        contact.uuid(),
    )
    .fetch_one(connection)
    .await
}
