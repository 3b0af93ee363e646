//! Lists of contacts and companies, newest first.
//!
//! Only what is asked for stands in a statement, which is planned for its values each time: beside a rare word its index is
//! the way, beside a common one that of the list's order. Contacts are asked for in two parts, buyers and others, each in the
//! order of an index, which are merged.

use chassis::id::AccountSlug;
use sqlx::{PgConnection, Postgres, QueryBuilder};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Before;
use super::card_lists::Responsible;
use crate::domain::ids::CompanyId;

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
    statement("", account, filter, before, limit)
        .build_query_as()
        .persistent(false)
        .fetch_all(connection)
        .await
}

/// Writes the statement of a list behind a prefix, as `explain `.
pub fn statement(
    prefix: &'static str,
    account: &AccountSlug,
    filter: &Filter,
    before: Before,
    limit: i64,
) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new(prefix);
    query.push("select c.id, c.created_at from ");
    match filter.listed {
        Listed::Contacts { buyer, company } => {
            let parts = buyer.map_or_else(|| vec![true, false], |buyer| vec![buyer]);
            query.push("unnest(");
            query.push_bind(parts);
            query.push("::bool[]) k(buyer) cross join lateral (select id, created_at from contact where account = ");
            query.push_bind(account.to_string());
            query.push(" and buyer = k.buyer");
            push_id(&mut query, " and company = ", company);
        }
        Listed::Companies { parent } => {
            query.push("(select id, created_at from company where account = ");
            query.push_bind(account.to_string());
            push_id(&mut query, " and parent = ", parent);
        }
    }
    query.push(" and deleted_at is null");
    match filter.responsible {
        Responsible::Any => {}
        Responsible::Nobody => drop(query.push(" and responsible is null")),
        Responsible::Agent(agent) => push_id(&mut query, " and responsible = ", Some(agent)),
    }
    if let Some(words) = &filter.words {
        query.push(" and words @@ ");
        query.push_bind(words.clone());
        query.push("::text::tsquery");
    }
    query.push(" and (created_at, id) < (");
    query.push_bind(before.time);
    query.push(", ");
    query.push_bind(before.id);
    query.push(") order by created_at desc, id desc limit ");
    query.push_bind(limit);
    query.push(") c order by c.created_at desc, c.id desc limit ");
    query.push_bind(limit);
    query
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
