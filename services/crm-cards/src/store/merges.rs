//! Contacts that are one now, and what went where, for the way back (B08).

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::ids::ContactId;
use crate::domain::merge::Gained;

/// Chats, cards and orders that one merge moves at most.
pub const MOVED_AT_ONCE: i64 = 1_000;

/// What a merge moved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Moved {
    /// Identities: scope and user id.
    pub identities: Vec<(String, String)>,
    /// Chats.
    pub chats: Vec<Uuid>,
    /// Cards, also deleted ones.
    pub cards: Vec<Uuid>,
    /// Orders.
    pub orders: Vec<Uuid>,
    /// Visitors who had come by the links of the contact that went.
    pub visits: Vec<Uuid>,
}

/// A merge as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Merge {
    /// The contact that went.
    pub source: ContactId,
    /// The contact that stayed.
    pub target: ContactId,
    /// What moved.
    pub moved: Moved,
    /// What the one that stayed gained.
    pub gained: Gained,
}

/// Counts the chats, cards and orders of a locked contact, each up to one more than a merge moves.
pub async fn size(
    connection: &mut PgConnection,
    account: &AccountSlug,
    contact: ContactId,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select (select count(*) from (select from chat where account = $1 and contact = $2 limit $3) t)
                  + (select count(*) from (select from card where account = $1 and contact = $2 and deleted_at is null
                                           limit $3) t)
                  + (select count(*) from (select from buyer_order where account = $1 and contact = $2 limit $3) t)
                  as "size!""#,
        account.as_str(),
        contact.uuid(),
        MOVED_AT_ONCE + 1,
    )
    .fetch_one(connection)
    .await
}

/// Moves all that a locked contact has to another one that is locked; returns what moved. Deleted cards stay: nobody finds
/// them by their contact.
pub async fn move_all(
    connection: &mut PgConnection,
    account: &AccountSlug,
    source: ContactId,
    target: ContactId,
    now: OffsetDateTime,
) -> Result<Moved, sqlx::Error> {
    let identities = sqlx::query!(
        "update identity set contact = $3 where account = $1 and contact = $2 returning scope, user_id",
        account.as_str(),
        source.uuid(),
        target.uuid(),
    )
    .fetch_all(&mut *connection)
    .await?;
    let chats = sqlx::query_scalar!(
        "update chat set contact = $3 where account = $1 and contact = $2 returning id",
        account.as_str(),
        source.uuid(),
        target.uuid(),
    )
    .fetch_all(&mut *connection)
    .await?;
    let cards = sqlx::query_scalar!(
        "with l as (select id from card where account = $1 and contact = $2 and deleted_at is null
                    order by id for no key update)
         update card c set contact = $3, updated_at = $4, revision = revision + 1
         from l where c.account = $1 and c.id = l.id returning c.id",
        account.as_str(),
        source.uuid(),
        target.uuid(),
        now,
    )
    .fetch_all(&mut *connection)
    .await?;
    let orders = sqlx::query_scalar!(
        "with l as (select id from buyer_order where account = $1 and contact = $2 order by id for no key update)
         update buyer_order o set contact = $3, updated_at = $4, revision = revision + 1
         from l where o.account = $1 and o.id = l.id returning o.id",
        account.as_str(),
        source.uuid(),
        target.uuid(),
        now,
    )
    .fetch_all(connection)
    .await?;
    Ok(Moved {
        identities: identities
            .into_iter()
            .map(|row| (row.scope, row.user_id))
            .collect(),
        chats,
        cards,
        orders,
        visits: Vec::new(),
    })
}

/// Moves back what a merge moved, where it is still there, and what has come through the same identities since: their chats,
/// and the cards made from these. Returns what moved.
pub async fn move_back(
    connection: &mut PgConnection,
    account: &AccountSlug,
    merge: &Merge,
    now: OffsetDateTime,
) -> Result<Moved, sqlx::Error> {
    let (source, target) = (merge.source.uuid(), merge.target.uuid());
    let (scopes, users): (Vec<String>, Vec<String>) =
        merge.moved.identities.iter().cloned().unzip();
    let identities = sqlx::query!(
        "update identity i set contact = $2 from unnest($4::text[], $5::text[]) k(scope, user_id)
         where i.account = $1 and i.contact = $3 and i.scope = k.scope and i.user_id = k.user_id
         returning i.scope, i.user_id",
        account.as_str(),
        source,
        target,
        &scopes,
        &users,
    )
    .fetch_all(&mut *connection)
    .await?;
    let chats = sqlx::query_scalar!(
        "update chat h set contact = $2
         where h.account = $1 and h.contact = $3
           and (h.id = any($4) or (h.scope, h.user_id) in (select * from unnest($5::text[], $6::text[])))
         returning h.id",
        account.as_str(),
        source,
        target,
        &merge.moved.chats,
        &scopes,
        &users,
    )
    .fetch_all(&mut *connection)
    .await?;
    let cards = sqlx::query_scalar!(
        "with l as (select id from card
                    where account = $1 and contact = $3 and deleted_at is null and (id = any($4) or chat = any($5))
                    order by id for no key update)
         update card c set contact = $2, updated_at = $6, revision = revision + 1
         from l where c.account = $1 and c.id = l.id returning c.id",
        account.as_str(),
        source,
        target,
        &merge.moved.cards,
        &chats,
        now,
    )
    .fetch_all(&mut *connection)
    .await?;
    let orders = sqlx::query_scalar!(
        "with l as (select id from buyer_order where account = $1 and contact = $3 and id = any($4)
                    order by id for no key update)
         update buyer_order o set contact = $2, updated_at = $5, revision = revision + 1
         from l where o.account = $1 and o.id = l.id returning o.id",
        account.as_str(),
        source,
        target,
        &merge.moved.orders,
        now,
    )
    .fetch_all(connection)
    .await?;
    Ok(Moved {
        identities: identities
            .into_iter()
            .map(|row| (row.scope, row.user_id))
            .collect(),
        chats,
        cards,
        orders,
        visits: merge.moved.visits.clone(),
    })
}

/// Keeps a merge, and lets the id of the contact that went lead to the other.
pub async fn keep(
    connection: &mut PgConnection,
    account: &AccountSlug,
    merge: &Merge,
    actor: &str,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into contact_merge (account, source, target, at, actor, identities, chats, cards, orders, gained, visits)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        account.as_str(),
        merge.source.uuid(),
        merge.target.uuid(),
        now,
        actor,
        Json(&merge.moved.identities) as _,
        &merge.moved.chats,
        &merge.moved.cards,
        &merge.moved.orders,
        Json(&merge.gained) as _,
        &merge.moved.visits,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "update contact set merged_into = $3, deleted_at = $4, revision = revision + 1
         where account = $1 and id = $2",
        account.as_str(),
        merge.source.uuid(),
        merge.target.uuid(),
        now,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Returns by what merge a contact went, if it did.
pub async fn of_source(
    connection: &mut PgConnection,
    account: &AccountSlug,
    source: ContactId,
) -> Result<Option<Merge>, sqlx::Error> {
    let row = sqlx::query!(
        r#"select target, identities as "identities: Json<Vec<(String, String)>>", chats, cards, orders, visits,
                  gained as "gained: Json<Gained>"
           from contact_merge where account = $1 and source = $2"#,
        account.as_str(),
        source.uuid(),
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| Merge {
        source,
        target: row.target.into(),
        moved: Moved {
            identities: row.identities.0,
            chats: row.chats,
            cards: row.cards,
            orders: row.orders,
            visits: row.visits,
        },
        gained: row.gained.0,
    }))
}

/// Returns the contacts that were merged into one, and into those.
pub async fn merged_into(
    connection: &mut PgConnection,
    account: &AccountSlug,
    contact: ContactId,
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"with recursive gone as (
               select source from contact_merge where account = $1 and target = $2
               union all
               select m.source from gone g join contact_merge m on m.account = $1 and m.target = g.source)
           select source as "source!" from gone"#,
        account.as_str(),
        contact.uuid(),
    )
    .fetch_all(connection)
    .await
}

/// Lets a contact that went stand for itself again, and forgets the merge.
pub async fn forget(
    connection: &mut PgConnection,
    account: &AccountSlug,
    source: ContactId,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update contact set merged_into = null, deleted_at = null, revision = revision + 1
         where account = $1 and id = $2",
        account.as_str(),
        source.uuid(),
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "delete from contact_merge where account = $1 and source = $2",
        account.as_str(),
        source.uuid(),
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Locks two contacts in the order of their ids, whether they are there or were merged away: until the end of the
/// transaction nobody merges either.
pub async fn lock_both(
    connection: &mut PgConnection,
    account: &AccountSlug,
    contacts: [ContactId; 2],
) -> Result<(), sqlx::Error> {
    let ids = contacts.map(ContactId::uuid).to_vec();
    sqlx::query!(
        "select id from contact where account = $1 and id = any($2) order by id for no key update",
        account.as_str(),
        &ids,
    )
    .fetch_all(connection)
    .await
    .map(drop)
}
