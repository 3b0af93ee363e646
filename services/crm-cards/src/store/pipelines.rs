//! Pipelines, their statuses, and sources.

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::unreadable;
use crate::domain::ids::{PipelineId, SourceId, StatusId};
use crate::domain::settings::Known;
use crate::domain::status::{Pipeline, Status, StatusKind};

/// Inserts a pipeline with its statuses.
pub async fn insert(
    connection: &mut PgConnection,
    account: &AccountSlug,
    pipeline: &Pipeline,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let ids: Vec<Uuid> = pipeline
        .statuses
        .iter()
        .map(|status| status.id.uuid())
        .collect();
    let names: Vec<String> = pipeline
        .statuses
        .iter()
        .map(|status| status.name.clone())
        .collect();
    let kinds: Vec<String> = pipeline
        .statuses
        .iter()
        .map(|status| status.kind.into())
        .collect();
    sqlx::query!(
        "insert into pipeline (account, id, name, created_at) values ($1, $2, $3, $4)",
        account.as_str(),
        pipeline.id.uuid(),
        pipeline.name,
        now,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "insert into status (account, id, pipeline, position, name, kind)
         select $1, s.id, $2, s.position, s.name, s.kind
         from unnest($3::uuid[], $4::text[], $5::text[]) with ordinality as s(id, name, kind, position)",
        account.as_str(),
        pipeline.id.uuid(),
        &ids,
        &names,
        &kinds,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Returns pipelines after a creation time and id, oldest first, with the time of each.
pub async fn list(
    connection: &mut PgConnection,
    account: &AccountSlug,
    after: (OffsetDateTime, Uuid),
    limit: i64,
) -> Result<Vec<(Pipeline, OffsetDateTime)>, sqlx::Error> {
    let rows = sqlx::query!(
        "select p.id, p.name, p.created_at, s.id as status, s.name as status_name, s.kind
         from (select * from pipeline
               where account = $1 and (created_at, id) > ($2, $3)
               order by created_at, id limit $4) p
         join status s on s.account = p.account and s.pipeline = p.id
         order by p.created_at, p.id, s.position",
        account.as_str(),
        after.0,
        after.1,
        limit,
    )
    .fetch_all(connection)
    .await?;
    let mut pipelines: Vec<(Pipeline, OffsetDateTime)> = Vec::new();
    for row in rows {
        let kind = StatusKind::try_from(row.kind)
            .map_err(|error| unreadable("status", row.status, error))?;
        let status = Status {
            id: row.status.into(),
            name: row.status_name,
            kind,
        };
        match pipelines.last_mut() {
            Some((pipeline, _)) if pipeline.id.uuid() == row.id => pipeline.statuses.push(status),
            _ => {
                let pipeline = Pipeline {
                    id: row.id.into(),
                    name: row.name,
                    statuses: vec![status],
                };
                pipelines.push((pipeline, row.created_at));
            }
        }
    }
    Ok(pipelines)
}

/// Returns a status with its pipeline.
pub async fn status(
    connection: &mut PgConnection,
    account: &AccountSlug,
    status: StatusId,
) -> Result<Option<(PipelineId, Status)>, sqlx::Error> {
    let row = sqlx::query!(
        "select pipeline, name, kind from status where account = $1 and id = $2",
        account.as_str(),
        status.uuid(),
    )
    .fetch_optional(connection)
    .await?;
    row.map(|row| {
        let kind =
            StatusKind::try_from(row.kind).map_err(|error| unreadable("status", status, error))?;
        Ok((
            row.pipeline.into(),
            Status {
                id: status,
                name: row.name,
                kind,
            },
        ))
    })
    .transpose()
}

/// Returns the status in which cards of a pipeline begin.
pub async fn status_new(
    connection: &mut PgConnection,
    account: &AccountSlug,
    pipeline: PipelineId,
) -> Result<Option<Status>, sqlx::Error> {
    let row = sqlx::query!(
        "select id, name from status where account = $1 and pipeline = $2 and kind = 'new'",
        account.as_str(),
        pipeline.uuid(),
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| Status {
        id: row.id.into(),
        name: row.name,
        kind: StatusKind::New,
    }))
}

/// Tells what the account has of what somebody wants to use.
pub async fn known(
    connection: &mut PgConnection,
    account: &AccountSlug,
    pipeline: Option<PipelineId>,
    source: Option<SourceId>,
) -> Result<Known, sqlx::Error> {
    let row = sqlx::query!(
        r#"select array(select id from pipeline where account = $1 limit 2) as "some!",
                  exists(select from pipeline where account = $1 and id = $2) as "pipeline!",
                  exists(select from source where account = $1 and id = $3) as "source!""#,
        account.as_str(),
        pipeline.map(Uuid::from),
        source.map(Uuid::from),
    )
    .fetch_one(connection)
    .await?;
    Ok(Known {
        only_pipeline: (row.some.len() == 1).then(|| row.some[0].into()),
        any_pipeline: !row.some.is_empty(),
        pipeline_exists: row.pipeline,
        source_exists: row.source,
    })
}

/// Inserts a source; false when the name is taken.
pub async fn insert_source(
    connection: &mut PgConnection,
    account: &AccountSlug,
    id: SourceId,
    name: &str,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let inserted = sqlx::query!(
        "insert into source (account, id, name, created_at) values ($1, $2, $3, $4)
         on conflict do nothing",
        account.as_str(),
        id.uuid(),
        name,
        now,
    )
    .execute(connection)
    .await?
    .rows_affected();
    Ok(inserted == 1)
}

/// Returns sources whose names come after one, by name.
pub async fn list_sources(
    connection: &mut PgConnection,
    account: &AccountSlug,
    after: &str,
    limit: i64,
) -> Result<Vec<(SourceId, String)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select id, name from source where account = $1 and name collate "C" > $2
           order by name collate "C" limit $3"#,
        account.as_str(),
        after,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.id.into(), row.name))
        .collect())
}
