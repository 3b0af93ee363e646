//! Orders of buyers.

use std::collections::BTreeMap;

use chassis::id::AccountSlug;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::PgConnection;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::cards::{money, parts};
use super::unreadable;
use crate::domain::entity::{Order, Ordered};
use crate::domain::fields::{FieldValue, Stored};
use crate::domain::ids::{ChatId, ContactId, OrderId};
use crate::domain::order::Line;
use crate::domain::status::StatusKind;

/// A line as it is stored: numbers as their digits.
#[derive(Serialize, Deserialize)]
struct StoredLine {
    product: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    sku: String,
    quantity: String,
    price: String,
}

impl From<&Line> for StoredLine {
    fn from(line: &Line) -> Self {
        Self {
            product: line.product.clone(),
            sku: line.sku.clone(),
            quantity: line.quantity.to_string(),
            price: line.price.to_string(),
        }
    }
}

impl TryFrom<StoredLine> for Line {
    type Error = rust_decimal::Error;
    fn try_from(line: StoredLine) -> Result<Self, rust_decimal::Error> {
        Ok(Self {
            product: line.product,
            sku: line.sku,
            quantity: line.quantity.parse()?,
            price: line.price.parse()?,
        })
    }
}

struct Row {
    id: Uuid,
    number: i64,
    contact: Uuid,
    chat: Option<Uuid>,
    status: String,
    currency: Option<String>,
    amount: Option<String>,
    lines: Json<Vec<StoredLine>>,
    comment: String,
    fields: Option<Value>,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
    revision: i64,
}

impl TryFrom<Row> for Order {
    type Error = sqlx::Error;
    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        let id = row.id;
        let total = row.currency.as_deref().zip(row.amount.as_deref());
        let total = total
            .map(|(currency, amount)| money(currency, amount))
            .transpose()
            .map_err(|error| unreadable("buyer_order", id, error))?;
        let fields: Option<BTreeMap<String, FieldValue>> = row
            .fields
            .map(serde_json::from_value)
            .transpose()
            .map_err(|error| unreadable("buyer_order", id, error))?;
        let lines: Result<Vec<Line>, _> = row.lines.0.into_iter().map(Line::try_from).collect();
        Ok(Self {
            id: id.into(),
            number: row.number,
            contact: row.contact.into(),
            chat: row.chat.map(Into::into),
            status: StatusKind::try_from(row.status)
                .map_err(|error| unreadable("buyer_order", id, error))?,
            lines: lines.map_err(|error| unreadable("buyer_order", id, error))?,
            total,
            comment: row.comment,
            fields: fields.unwrap_or_default(),
            created_at: row.created_at,
            updated_at: row.updated_at,
            revision: row.revision,
        })
    }
}

/// A checked query for orders: what follows `from`, with the order as `o`.
macro_rules! orders {
    ($from:tt, $($argument:expr),+ $(,)?) => {
        sqlx::query_as!(
            Row,
            r#"select o.id as "id!", o.number as "number!", o.contact as "contact!", o.chat, o.status as "status!",
                      o.currency, o.amount::text as amount, o.lines as "lines!: Json<Vec<StoredLine>>",
                      o.comment as "comment!",
                      case when o.fields <> '{}' then
                          (select jsonb_object_agg(f.key, jsonb_build_object(f.kind, o.fields -> f.id::text))
                           from field_definition f
                           where f.account = o.account and f.entity = 'order' and f.deleted_at is null
                             and o.fields ? f.id::text) end as fields,
                      o.created_at as "created_at!", o.updated_at as "updated_at!", o.revision as "revision!"
               from "# + $from,
            $($argument),+
        )
    };
}

fn stored(lines: &[Line]) -> Json<Vec<StoredLine>> {
    Json(lines.iter().map(StoredLine::from).collect())
}

/// Gives out the account's next number. Its row stays locked until the end of the transaction: no gaps.
pub async fn next_number(
    connection: &mut PgConnection,
    account: &AccountSlug,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        "insert into order_number as n (account, last) values ($1, 1)
         on conflict (account) do update set last = n.last + 1 returning last",
        account.as_str(),
    )
    .fetch_one(connection)
    .await
}

/// Inserts an order. The caller holds the lock of its buyer.
pub async fn insert(
    connection: &mut PgConnection,
    account: &AccountSlug,
    order: &Order,
    fields: &Stored,
) -> Result<(), sqlx::Error> {
    let (currency, amount) = parts(order.total);
    sqlx::query!(
        "insert into buyer_order (account, id, number, contact, chat, status, currency, amount, lines, comment, fields,
                                  created_at, updated_at, revision)
         values ($1, $2, $3, $4, $5, $6, $7, $8::text::numeric, $9, $10, $11, $12, $13, $14)",
        account.as_str(),
        order.id.uuid(),
        order.number,
        order.contact.uuid(),
        order.chat.map(Uuid::from),
        order.status.as_str(),
        currency,
        amount,
        stored(&order.lines) as _,
        order.comment,
        Value::Object(fields.clone()),
        order.created_at,
        order.updated_at,
        order.revision,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Returns an order.
pub async fn get(
    connection: &mut PgConnection,
    account: &AccountSlug,
    order: OrderId,
) -> Result<Option<Order>, sqlx::Error> {
    orders!(
        "buyer_order o where o.account = $1 and o.id = $2",
        account.as_str(),
        order.uuid(),
    )
    .fetch_optional(connection)
    .await?
    .map(TryInto::try_into)
    .transpose()
}

/// Returns the values of an order's custom fields as they are stored.
pub async fn stored_fields(
    connection: &mut PgConnection,
    account: &AccountSlug,
    order: OrderId,
) -> Result<Stored, sqlx::Error> {
    let fields = sqlx::query_scalar!(
        "select fields from buyer_order where account = $1 and id = $2",
        account.as_str(),
        order.uuid(),
    )
    .fetch_one(connection)
    .await?;
    serde_json::from_value(fields).map_err(|error| unreadable("buyer_order", order, error))
}

/// Writes all of an order that can be changed. The caller holds the lock of its buyer.
pub async fn update(
    connection: &mut PgConnection,
    account: &AccountSlug,
    order: &Order,
    fields: &Stored,
) -> Result<(), sqlx::Error> {
    let (currency, amount) = parts(order.total);
    sqlx::query!(
        "update buyer_order
         set status = $3, currency = $4, amount = $5::text::numeric, lines = $6, comment = $7, fields = $8,
             updated_at = $9, revision = $10
         where account = $1 and id = $2",
        account.as_str(),
        order.id.uuid(),
        order.status.as_str(),
        currency,
        amount,
        stored(&order.lines) as _,
        order.comment,
        Value::Object(fields.clone()),
        order.updated_at,
        order.revision,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Which orders a list holds.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Kinds of status; all where empty.
    pub kinds: Vec<StatusKind>,
    /// Only of this buyer.
    pub contact: Option<ContactId>,
    /// Only created from this chat.
    pub chat: Option<ChatId>,
    /// Only of buyers of this responsible.
    pub responsible: Option<Uuid>,
}

/// Returns orders with numbers below one, the newest first. Each kind of status comes from an index in the list's order.
pub async fn page(
    connection: &mut PgConnection,
    account: &AccountSlug,
    filter: &Filter,
    below: i64,
    limit: i64,
) -> Result<Vec<Order>, sqlx::Error> {
    let all = StatusKind::ALL;
    let kinds = if filter.kinds.is_empty() {
        all
    } else {
        &filter.kinds
    };
    let mut kinds: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let kinds: Vec<String> = kinds.into_iter().map(str::to_owned).collect();
    orders!(
        "unnest($2::text[]) as k(kind), lateral (
             select p.* from buyer_order p
             where p.account = $1 and p.status = k.kind and p.number < $3
               and ($4::uuid is null or p.contact = $4) and ($5::uuid is null or p.chat = $5)
               and ($6::uuid is null or p.responsible = $6)
             order by p.number desc limit $7) as o
         order by o.number desc limit $7",
        account.as_str(),
        &kinds,
        below,
        filter.contact.map(Uuid::from),
        filter.chat.map(Uuid::from),
        filter.responsible,
        limit,
    )
    .fetch_all(connection)
    .await?
    .into_iter()
    .map(TryInto::try_into)
    .collect()
}

/// Returns the orders of a contact that are in a working status, newest first.
pub async fn in_work(
    connection: &mut PgConnection,
    account: &AccountSlug,
    contact: ContactId,
    limit: i64,
) -> Result<Vec<Order>, sqlx::Error> {
    let filter = Filter {
        kinds: vec![StatusKind::New, StatusKind::InProgress],
        contact: Some(contact),
        ..Filter::default()
    };
    page(connection, account, &filter, i64::MAX, limit).await
}

/// Returns what a buyer has ordered (F120), by kind of status and currency.
pub async fn ordered(
    connection: &mut PgConnection,
    account: &AccountSlug,
    contact: ContactId,
) -> Result<Vec<Ordered>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select status, currency, orders, amount::text as "amount!" from buyer_total
           where account = $1 and contact = $2 and orders > 0 order by status, currency"#,
        account.as_str(),
        contact.uuid(),
    )
    .fetch_all(connection)
    .await?;
    let rows = rows.into_iter().map(|row| {
        let bad = |error| unreadable("buyer_total", contact.uuid(), error);
        let sum = match row.currency.as_str() {
            "" => None,
            currency => {
                let sum = money(currency, &row.amount);
                Some(sum.map_err(|error| unreadable("buyer_total", contact.uuid(), error))?)
            }
        };
        Ok(Ordered {
            status: StatusKind::try_from(row.status).map_err(bad)?,
            orders: row.orders,
            sum,
        })
    });
    rows.collect()
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
    orders!(
        "buyer_order o where o.account = $1 and o.id = any($2) order by o.number",
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
