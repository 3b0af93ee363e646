//! Lists of contacts and companies, newest first.
//!
//! Only what is asked for stands in a statement, which is planned for its values each time. Words are looked for as
//! `domain::walk` tells. Contacts are asked for in two parts, buyers and others, each in the
//! order of an index, which are merged.

use chassis::id::AccountSlug;
use sqlx::{PgConnection, Postgres, QueryBuilder};
use time::OffsetDateTime;
use uuid::Uuid;

use super::card_lists::{Responsible, rows, steps};
use super::{Before, words};
use crate::domain::ids::CompanyId;
use crate::domain::walk::{self, Way};

/// What is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    /// Contacts.
    Contacts {
        /// Only buyers, or only others.
        buyer: Option<bool>,
        /// Only of this company.
        company: Option<CompanyId>,
    },
    /// Companies.
    Companies {
        /// Only those that belong to this one.
        parent: Option<CompanyId>,
    },
}

impl Listed {
    const fn table(self) -> &'static str {
        match self {
            Self::Contacts { .. } => "contact",
            Self::Companies { .. } => "company",
        }
    }
}

/// Which of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// What is listed.
    pub listed: Listed,
    /// Whom they belong to.
    pub responsible: Responsible,
    /// Only with these words, as `domain::search` writes them.
    pub words: Option<String>,
}

/// Returns the ids of a page with the times by which they are ordered.
pub async fn page(
    connection: &mut PgConnection,
    account: &AccountSlug,
    filter: &Filter,
    before: Before,
    limit: i64,
) -> Result<Vec<(Uuid, OffsetDateTime)>, sqlx::Error> {
    let Some(words) = &filter.words else {
        return rows(connection, statement("", account, filter, before, limit)).await;
    };
    if let Way::Walk(entries) =
        words::way(connection, filter.listed.table(), account, words, limit).await?
    {
        let each = i64::try_from(walk::each(entries, parts(filter))).unwrap_or(i64::MAX);
        let walked = walk_statement("", account, (filter, words), before, each);
        let steps = steps(connection, walked).await?;
        if let Some(page) = walk::page(steps, usize::try_from(limit).unwrap_or(usize::MAX)) {
            return Ok(page);
        }
    }
    let words = words_statement("", account, (filter, words), before, limit);
    rows(connection, words).await
}

/// Writes all statements that a page may take, behind a prefix, as `explain `.
pub fn statements(
    prefix: &'static str,
    account: &AccountSlug,
    filter: &Filter,
    before: Before,
    limit: i64,
) -> Vec<QueryBuilder<Postgres>> {
    let Some(words) = &filter.words else {
        return vec![statement(prefix, account, filter, before, limit)];
    };
    let each = i64::try_from(walk::each(walk::ENTRIES, parts(filter))).unwrap_or(i64::MAX);
    vec![
        walk_statement(prefix, account, (filter, words), before, each),
        words_statement(prefix, account, (filter, words), before, limit),
    ]
}

/// Writes the statement of a list without words behind a prefix.
fn statement(
    prefix: &'static str,
    account: &AccountSlug,
    filter: &Filter,
    before: Before,
    limit: i64,
) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new(prefix);
    query.push("select c.id, c.time from ");
    push_parts(&mut query, filter);
    query.push(" cross join lateral (");
    push_part(&mut query, "", account, filter, before, limit);
    query.push(") c order by c.time desc, c.id desc limit ");
    query.push_bind(limit);
    query
}

/// Writes the statement that looks for words among the newest of each part, behind a prefix.
fn walk_statement(
    prefix: &'static str,
    account: &AccountSlug,
    (filter, words): (&Filter, &str),
    before: Before,
    each: i64,
) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new(prefix);
    query.push("select c.id, c.time, c.hit, c.place = ");
    query.push_bind(each);
    query.push(" as last from ");
    push_parts(&mut query, filter);
    query.push(" cross join lateral (select w.id, w.time, w.words @@ ");
    query.push_bind(words.to_owned());
    query.push("::text::tsquery as hit, row_number() over (order by w.time desc, w.id desc) as place from (");
    push_part(&mut query, ", words", account, filter, before, each);
    query.push(") w) c where c.hit or c.place = ");
    query.push_bind(each);
    query
}

/// Writes the statement that takes all with words from their index, behind a prefix: once for all parts.
fn words_statement(
    prefix: &'static str,
    account: &AccountSlug,
    (filter, words): (&Filter, &str),
    before: Before,
    limit: i64,
) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new(prefix);
    query.push("with found as materialized (select id, created_at as time from ");
    query.push(filter.listed.table());
    query.push(" where account = ");
    query.push_bind(account.to_string());
    if let Listed::Contacts {
        buyer: Some(buyer), ..
    } = filter.listed
    {
        query.push(" and buyer = ");
        query.push_bind(buyer);
    }
    query.push(" and words @@ ");
    query.push_bind(words.to_owned());
    query.push("::text::tsquery");
    push_conditions(&mut query, filter, before);
    query.push(") select id, time from found order by time desc, id desc limit ");
    query.push_bind(limit);
    query
}

/// Contacts are asked for in two parts, companies in one.
fn push_parts(query: &mut QueryBuilder<Postgres>, filter: &Filter) {
    match filter.listed {
        Listed::Contacts { buyer, .. } => {
            let parts = buyer.map_or_else(|| vec![true, false], |buyer| vec![buyer]);
            query.push("unnest(");
            query.push_bind(parts);
            query.push("::bool[]) k(buyer)");
        }
        Listed::Companies { .. } => drop(query.push("(select) k")),
    }
}

const fn parts(filter: &Filter) -> usize {
    match filter.listed {
        Listed::Contacts { buyer: None, .. } => 2,
        _ => 1,
    }
}

/// Those of a part `k` in the list's order, behind a place.
fn push_part(
    query: &mut QueryBuilder<Postgres>,
    more: &'static str,
    account: &AccountSlug,
    filter: &Filter,
    before: Before,
    limit: i64,
) {
    query.push("select id, created_at as time");
    query.push(more);
    query.push(" from ");
    query.push(filter.listed.table());
    query.push(" where account = ");
    query.push_bind(account.to_string());
    if let Listed::Contacts { .. } = filter.listed {
        query.push(" and buyer = k.buyer");
    }
    push_conditions(query, filter, before);
    query.push(" order by created_at desc, id desc limit ");
    query.push_bind(limit);
}

fn push_conditions(query: &mut QueryBuilder<Postgres>, filter: &Filter, before: Before) {
    match filter.listed {
        Listed::Contacts { company, .. } => push_id(query, " and company = ", company),
        Listed::Companies { parent } => push_id(query, " and parent = ", parent),
    }
    query.push(" and deleted_at is null");
    match filter.responsible {
        Responsible::Any => {}
        Responsible::Nobody => drop(query.push(" and responsible is null")),
        Responsible::Agent(agent) => push_id(query, " and responsible = ", Some(agent)),
    }
    query.push(" and (created_at, id) < (");
    query.push_bind(before.time);
    query.push(", ");
    query.push_bind(before.id);
    query.push(")");
}

fn push_id(
    query: &mut QueryBuilder<Postgres>,
    condition: &'static str,
    id: Option<impl Into<Uuid>>,
) {
    if let Some(id) = id {
        query.push(condition);
        query.push_bind(id.into());
    }
}
