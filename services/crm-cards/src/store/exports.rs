//! Records in the order in which files hold them, page by page.

use chassis::id::AccountSlug;
use sqlx::{PgConnection, Postgres, QueryBuilder};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Before;
use super::card_lists::Responsible;

/// Which companies: those that belong to none, or to none that is in the file, or those that belong to some of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Those with which files begin.
    Top,
    /// Those of these companies.
    Below(Vec<Uuid>),
}

/// Returns the ids of a page of companies with the times of their creation, newest first.
pub async fn companies(
    connection: &mut PgConnection,
    account: &AccountSlug,
    (place, responsible): (&Place, Responsible),
    before: Before,
    limit: i64,
) -> Result<Vec<(Uuid, OffsetDateTime)>, sqlx::Error> {
    companies_statement("", account, (place, responsible), before, limit)
        .build_query_as()
        .persistent(false)
        .fetch_all(connection)
        .await
}

/// Writes the statement of a page of companies behind a prefix, as `explain `.
pub fn companies_statement(
    prefix: &'static str,
    account: &AccountSlug,
    (place, responsible): (&Place, Responsible),
    before: Before,
    limit: i64,
) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new(prefix);
    query.push("select c.id, c.created_at from ");
    if let Place::Below(parents) = place {
        query.push("unnest(");
        query.push_bind(parents.clone());
        query.push("::uuid[]) k(parent) cross join lateral ");
    }
    query.push("(select id, created_at from company c where c.account = ");
    query.push_bind(account.to_string());
    query.push(" and deleted_at is null");
    match responsible {
        Responsible::Any => {}
        Responsible::Nobody => drop(query.push(" and responsible is null")),
        Responsible::Agent(agent) => {
            query.push(" and responsible = ");
            query.push_bind(agent);
        }
    }
    match (place, responsible) {
        (Place::Below(_), _) => drop(query.push(" and parent = k.parent")),
        (Place::Top, Responsible::Agent(agent)) => {
            // Of a company that the caller does not see theirs begin anew.
            // One by one, by their keys: as a set they would all be read for each page.
            query.push(
                " and (select p.responsible from company p where p.account = c.account and p.id = c.parent)
                   is distinct from ",
            );
            query.push_bind(agent);
        }
        (Place::Top, _) => drop(query.push(" and parent is null")),
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

/// A status with its pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedStatus {
    /// The pipeline.
    pub pipeline: Uuid,
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
}

/// Returns all statuses of pipelines.
pub async fn statuses(
    connection: &mut PgConnection,
    account: &AccountSlug,
    pipelines: &[Uuid],
) -> Result<Vec<NamedStatus>, sqlx::Error> {
    sqlx::query_as!(
        NamedStatus,
        "select pipeline, id, name from status where account = $1 and pipeline = any($2)",
        account.as_str(),
        pipelines,
    )
    .fetch_all(connection)
    .await
}
