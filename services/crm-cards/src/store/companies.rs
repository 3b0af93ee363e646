//! Companies.

use std::collections::HashMap;

use chassis::id::AccountSlug;
use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::contacts::read_fields;
use super::{account as slug, columns, stamp, unreadable};
use crate::domain::company::DEPTH_MAX;
use crate::domain::entity::Company;
use crate::domain::fields::Stored;
use crate::domain::ids::{ChatId, CompanyId};
use crate::domain::search;

/// Levels that are looked at: one more than there are. Deeper it need not be looked.
const LEVELS: i32 = 21;

struct Row {
    account: String,
    id: Uuid,
    name: String,
    parent: Option<Uuid>,
    phones: Vec<String>,
    emails: Vec<String>,
    fields: Option<Value>,
    responsible: Option<Uuid>,
    stamp_time: OffsetDateTime,
    stamp_event: Uuid,
    created_at: OffsetDateTime,
    revision: i64,
}

impl TryFrom<Row> for Company {
    type Error = sqlx::Error;
    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.id.into(),
            name: row.name,
            parent: row.parent.map(Into::into),
            phones: row.phones,
            emails: row.emails,
            fields: read_fields("company", row.id, row.fields)?,
            responsible: row.responsible.map(Into::into),
            stamp: stamp(row.stamp_time, row.stamp_event),
            created_at: row.created_at,
            revision: row.revision,
        })
    }
}

/// A checked query for companies: what follows `from`, with the company as `c`.
macro_rules! companies {
    ($from:tt, $($argument:expr),+ $(,)?) => {
        sqlx::query_as!(
            Row,
            r#"select c.account, c.id, c.name, c.parent, c.phones, c.emails, c.responsible, c.stamp_time, c.stamp_event,
                      c.created_at, c.revision,
                      case when c.fields <> '{}' then
                          (select jsonb_object_agg(f.key, jsonb_build_object(f.kind, c.fields -> f.id::text))
                           from field_definition f
                           where f.account = c.account and f.entity = 'company' and f.deleted_at is null
                             and c.fields ? f.id::text) end as fields
               from "# + $from,
            $($argument),+
        )
    };
}

/// Returns a company.
pub async fn get(
    connection: &mut PgConnection,
    account: &AccountSlug,
    company: CompanyId,
) -> Result<Option<Company>, sqlx::Error> {
    companies!(
        "company c where c.account = $1 and c.id = $2 and c.deleted_at is null",
        account.as_str(),
        company.uuid(),
    )
    .fetch_optional(connection)
    .await?
    .map(TryInto::try_into)
    .transpose()
}

/// Returns companies that are there, in the order of their ids here.
pub async fn in_order(
    connection: &mut PgConnection,
    account: &AccountSlug,
    ids: &[Uuid],
) -> Result<Vec<Company>, sqlx::Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows = companies!(
        "unnest($2::uuid[]) with ordinality k(id, place)
         join company c on c.account = $1 and c.id = k.id
         where c.deleted_at is null order by k.place",
        account.as_str(),
        ids,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// Locks companies in the order of their keys, to change them, and returns those that are there.
pub async fn lock_all(
    connection: &mut PgConnection,
    keys: &[(AccountSlug, CompanyId)],
) -> Result<HashMap<(AccountSlug, CompanyId), Company>, sqlx::Error> {
    let (accounts, ids) = columns(keys);
    let rows = companies!(
        "unnest($1::text[], $2::uuid[]) k(account, id)
         join company c on c.account = k.account and c.id = k.id
         where c.deleted_at is null order by c.account, c.id for no key update of c",
        &accounts,
        &ids,
    )
    .fetch_all(connection)
    .await?;
    keyed(rows)
}

/// Holds companies in the order of their keys as they are until the end of the transaction, and returns those that are there.
/// Who changes one waits, and then finds the chats and contacts that this transaction adds.
pub async fn hold(
    connection: &mut PgConnection,
    keys: &[(AccountSlug, CompanyId)],
) -> Result<HashMap<(AccountSlug, CompanyId), Company>, sqlx::Error> {
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let (accounts, ids) = columns(keys);
    let rows = companies!(
        "unnest($1::text[], $2::uuid[]) k(account, id)
         join company c on c.account = k.account and c.id = k.id
         where c.deleted_at is null order by c.account, c.id for share of c",
        &accounts,
        &ids,
    )
    .fetch_all(connection)
    .await?;
    keyed(rows)
}

fn keyed(rows: Vec<Row>) -> Result<HashMap<(AccountSlug, CompanyId), Company>, sqlx::Error> {
    rows.into_iter()
        .map(|mut row| {
            let account = slug(std::mem::take(&mut row.account))?;
            let company = Company::try_from(row)?;
            Ok(((account, company.id), company))
        })
        .collect()
}

/// Returns the values that locked companies keep, also of fields that are deleted.
pub async fn stored_fields_of(
    connection: &mut PgConnection,
    account: &AccountSlug,
    ids: &[Uuid],
) -> Result<HashMap<CompanyId, Stored>, sqlx::Error> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = sqlx::query!(
        "select id, fields from company where account = $1 and id = any($2)",
        account.as_str(),
        ids,
    )
    .fetch_all(connection)
    .await?;
    let stored = rows.into_iter().map(|row| {
        let fields = serde_json::from_value(row.fields);
        let fields = fields.map_err(|error| unreadable("company", row.id, error))?;
        Ok((row.id.into(), fields))
    });
    stored.collect()
}

/// Returns the values that a locked company keeps, also of fields that are deleted.
pub async fn stored_fields(
    connection: &mut PgConnection,
    account: &AccountSlug,
    company: CompanyId,
) -> Result<Stored, sqlx::Error> {
    let fields = sqlx::query_scalar!(
        "select fields from company where account = $1 and id = $2",
        account.as_str(),
        company.uuid(),
    )
    .fetch_one(connection)
    .await?;
    serde_json::from_value(fields).map_err(|error| unreadable("company", company, error))
}

/// Writes a company whole, a new one or a locked one, with what it keeps of custom fields by the ids of their definitions.
pub async fn put(
    connection: &mut PgConnection,
    account: &AccountSlug,
    company: &Company,
    fields: &Stored,
) -> Result<(), sqlx::Error> {
    put_all(connection, account, &[(company, fields)]).await
}

/// Writes companies whole, each once, new ones or locked ones, with what they keep of custom fields.
pub async fn put_all(
    connection: &mut PgConnection,
    account: &AccountSlug,
    companies: &[(&Company, &Stored)],
) -> Result<(), sqlx::Error> {
    let mut companies: Vec<_> = companies.iter().collect();
    companies.sort_by_key(|(company, _)| company.id);
    let text = |field: fn(&Company) -> String| -> Vec<String> {
        companies
            .iter()
            .map(|(company, _)| field(company))
            .collect()
    };
    let id = |field: fn(&Company) -> Option<Uuid>| -> Vec<Option<Uuid>> {
        companies
            .iter()
            .map(|(company, _)| field(company))
            .collect()
    };
    let time = |field: fn(&Company) -> OffsetDateTime| -> Vec<OffsetDateTime> {
        companies
            .iter()
            .map(|(company, _)| field(company))
            .collect()
    };
    let ids: Vec<Uuid> = companies.iter().map(|(one, _)| one.id.uuid()).collect();
    let events: Vec<Uuid> = companies.iter().map(|(one, _)| one.stamp.event).collect();
    let revisions: Vec<i64> = companies.iter().map(|(one, _)| one.revision).collect();
    let fields: Vec<Value> = companies
        .iter()
        .map(|(_, fields)| Value::Object((*fields).clone()))
        .collect();
    let words: Vec<String> = companies
        .iter()
        .map(|(company, _)| search::person(account, &company.found()))
        .collect();
    // No list of lists can be passed, and neither phones nor addresses have ends of lines.
    sqlx::query!(
        "insert into company (account, id, name, parent, phones, emails, fields, responsible, stamp_time, stamp_event,
                              created_at, revision, words)
         select $1, k.id, k.name, k.parent, string_to_array(k.phones, E'\\n'), string_to_array(k.emails, E'\\n'), k.fields,
                k.responsible, k.stamp_time, k.stamp_event, k.created_at, k.revision, k.words::tsvector
         from unnest($2::uuid[], $3::text[], $4::uuid[], $5::text[], $6::text[], $7::jsonb[], $8::uuid[],
                     $9::timestamptz[], $10::uuid[], $11::timestamptz[], $12::bigint[], $13::text[])
           as k(id, name, parent, phones, emails, fields, responsible, stamp_time, stamp_event, created_at, revision,
                words)
         on conflict (account, id) do update
         set name = excluded.name, parent = excluded.parent, phones = excluded.phones, emails = excluded.emails,
             fields = excluded.fields, responsible = excluded.responsible, stamp_time = excluded.stamp_time,
             stamp_event = excluded.stamp_event, revision = excluded.revision, words = excluded.words",
        account.as_str(),
        &ids,
        &text(|company| company.name.clone()),
        &id(|company| company.parent.map(Into::into)) as &[Option<Uuid>],
        &text(|company| company.phones.join("\n")),
        &text(|company| company.emails.join("\n")),
        &fields,
        &id(|company| company.responsible.map(Into::into)) as &[Option<Uuid>],
        &time(|company| company.stamp.time),
        &events,
        &time(|company| company.created_at),
        &revisions,
        &words,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Sets responsibles and their stamps. The caller holds the companies' locks and has compared the stamps.
pub async fn set_responsibles(
    connection: &mut PgConnection,
    companies: &[(AccountSlug, Company)],
) -> Result<(), sqlx::Error> {
    let accounts: Vec<String> = companies
        .iter()
        .map(|(account, _)| account.to_string())
        .collect();
    let ids: Vec<Uuid> = companies
        .iter()
        .map(|(_, company)| company.id.uuid())
        .collect();
    let responsibles: Vec<Option<Uuid>> = companies
        .iter()
        .map(|(_, company)| company.responsible.map(Into::into))
        .collect();
    let times: Vec<OffsetDateTime> = companies
        .iter()
        .map(|(_, company)| company.stamp.time)
        .collect();
    let events: Vec<Uuid> = companies
        .iter()
        .map(|(_, company)| company.stamp.event)
        .collect();
    let revisions: Vec<i64> = companies
        .iter()
        .map(|(_, company)| company.revision)
        .collect();
    sqlx::query!(
        "update company c set responsible = k.responsible, stamp_time = k.stamp_time, stamp_event = k.stamp_event,
                              revision = k.revision
         from unnest($1::text[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::uuid[], $6::bigint[])
           as k(account, id, responsible, stamp_time, stamp_event, revision)
         where c.account = k.account and c.id = k.id",
        &accounts,
        &ids,
        &responsibles as &[Option<Uuid>],
        &times,
        &events,
        &revisions,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Returns the chats of companies: those of their contacts.
pub async fn chats_of(
    connection: &mut PgConnection,
    companies: &[(AccountSlug, CompanyId)],
) -> Result<HashMap<(AccountSlug, CompanyId), Vec<ChatId>>, sqlx::Error> {
    let (accounts, ids) = columns(companies);
    let rows = sqlx::query!(
        r#"select k.account as "account!", k.company as "company!", h.id
           from unnest($1::text[], $2::uuid[]) k(account, company)
           join contact c on c.account = k.account and c.company = k.company and c.deleted_at is null
           join chat h on h.account = c.account and h.contact = c.id order by h.id"#,
        &accounts,
        &ids,
    )
    .fetch_all(connection)
    .await?;
    let mut chats: HashMap<_, Vec<ChatId>> = HashMap::new();
    for row in rows {
        let key = (slug(row.account)?, row.company.into());
        chats.entry(key).or_default().push(row.id.into());
    }
    Ok(chats)
}

/// Returns a company and those that it belongs to, nearest first, a bounded number.
pub async fn above(
    connection: &mut PgConnection,
    account: &AccountSlug,
    company: CompanyId,
    limit: i32,
) -> Result<Vec<CompanyId>, sqlx::Error> {
    let ids = sqlx::query_scalar!(
        r#"with recursive way as (
               select id, parent, 1 as depth from company where account = $1 and id = $2
               union all
               select c.id, c.parent, w.depth + 1 from way w
               join company c on c.account = $1 and c.id = w.parent where w.depth < $3)
           select id as "id!" from way order by depth"#,
        account.as_str(),
        company.uuid(),
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(ids.into_iter().map(Into::into).collect())
}

/// Returns how deep others belong to a company, itself counted, up to a bound.
pub async fn below(
    connection: &mut PgConnection,
    account: &AccountSlug,
    company: CompanyId,
    limit: i32,
) -> Result<i32, sqlx::Error> {
    sqlx::query_scalar!(
        r#"with recursive way as (
               select id, 1 as depth from company where account = $1 and id = $2
               union all
               select c.id, w.depth + 1 from way w
               join company c on c.account = $1 and c.parent = w.id and c.deleted_at is null where w.depth < $3)
           select coalesce(max(depth), 1) as "depth!" from way"#,
        account.as_str(),
        company.uuid(),
        limit,
    )
    .fetch_one(connection)
    .await
}

/// Returns companies and those that they belong to, each with the one above it, a bounded number of levels.
pub async fn above_all(
    connection: &mut PgConnection,
    account: &AccountSlug,
    companies: &[Uuid],
) -> Result<Vec<(CompanyId, Option<CompanyId>)>, sqlx::Error> {
    if companies.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query!(
        r#"with recursive way as (
               select id, parent, 1 as depth from company where account = $1 and id = any($2)
               union
               select c.id, c.parent, w.depth + 1 from way w
               join company c on c.account = $1 and c.id = w.parent where w.depth < $3)
           select distinct id as "id!", parent from way"#,
        account.as_str(),
        companies,
        LEVELS,
    )
    .fetch_all(connection)
    .await?;
    let rows = rows.into_iter();
    Ok(rows
        .map(|row| (row.id.into(), row.parent.map(Into::into)))
        .collect())
}

/// Returns how deep others belong to companies, themselves counted, up to a bound.
pub async fn below_all(
    connection: &mut PgConnection,
    account: &AccountSlug,
    companies: &[Uuid],
) -> Result<Vec<(CompanyId, usize)>, sqlx::Error> {
    if companies.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query!(
        r#"with recursive way as (
               select id as top, id, 1 as depth from company where account = $1 and id = any($2)
               union all
               select w.top, c.id, w.depth + 1 from way w
               join company c on c.account = $1 and c.parent = w.id and c.deleted_at is null where w.depth < $3)
           select top as "top!", max(depth) as "depth!" from way group by top"#,
        account.as_str(),
        companies,
        LEVELS,
    )
    .fetch_all(connection)
    .await?;
    let rows = rows.into_iter();
    Ok(rows
        .map(|row| {
            (
                row.top.into(),
                usize::try_from(row.depth).unwrap_or(DEPTH_MAX),
            )
        })
        .collect())
}

/// What keeps a company from being deleted: how much of each belongs to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Links {
    /// Contacts.
    pub contacts: i64,
    /// Companies.
    pub companies: i64,
}

/// Counts what belongs to a locked company, up to 1,000 of each.
pub async fn links(
    connection: &mut PgConnection,
    account: &AccountSlug,
    company: CompanyId,
) -> Result<Links, sqlx::Error> {
    sqlx::query_as!(
        Links,
        r#"select
               (select count(*) from (select from contact where account = $1 and company = $2 and deleted_at is null
                                      limit 1000) t) as "contacts!",
               (select count(*) from (select from company where account = $1 and parent = $2 and deleted_at is null
                                      limit 1000) t) as "companies!""#,
        account.as_str(),
        company.uuid(),
    )
    .fetch_one(connection)
    .await
}

/// Marks a locked company as deleted.
pub async fn delete(
    connection: &mut PgConnection,
    account: &AccountSlug,
    company: CompanyId,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update company set deleted_at = $3, revision = revision + 1 where account = $1 and id = $2",
        account.as_str(),
        company.uuid(),
        now,
    )
    .execute(connection)
    .await
    .map(drop)
}
