//! Pipelines and their statuses.

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
        "select p.id, p.name, p.created_at, p.revision, s.id as status, s.name as status_name, s.kind
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
                    revision: row.revision,
                };
                pipelines.push((pipeline, row.created_at));
            }
        }
    }
    Ok(pipelines)
}

/// Returns a pipeline.
pub async fn get(
    connection: &mut PgConnection,
    account: &AccountSlug,
    pipeline: PipelineId,
) -> Result<Option<Pipeline>, sqlx::Error> {
    let rows = sqlx::query!(
        "select p.name, p.revision, s.id as status, s.name as status_name, s.kind
         from pipeline p join status s on s.account = p.account and s.pipeline = p.id
         where p.account = $1 and p.id = $2 order by s.position",
        account.as_str(),
        pipeline.uuid(),
    )
    .fetch_all(connection)
    .await?;
    let mut found: Option<Pipeline> = None;
    for row in rows {
        let kind = StatusKind::try_from(row.kind)
            .map_err(|error| unreadable("status", row.status, error))?;
        let status = Status {
            id: row.status.into(),
            name: row.status_name,
            kind,
        };
        let found = found.get_or_insert_with(|| Pipeline {
            id: pipeline,
            name: row.name,
            statuses: Vec::new(),
            revision: row.revision,
        });
        found.statuses.push(status);
    }
    Ok(found)
}

/// Returns a pipeline, locked until the end of the transaction.
pub async fn lock(
    connection: &mut PgConnection,
    account: &AccountSlug,
    pipeline: PipelineId,
) -> Result<Option<Pipeline>, sqlx::Error> {
    // Locked first and read after, so that what was committed while the lock was waited for is seen.
    let locked = sqlx::query_scalar!(
        r#"select true as "locked!" from pipeline where account = $1 and id = $2 for update"#,
        account.as_str(),
        pipeline.uuid(),
    )
    .fetch_optional(&mut *connection)
    .await?;
    match locked {
        Some(_) => get(connection, account, pipeline).await,
        None => Ok(None),
    }
}

/// Locks statuses that go: no card comes into them until the transaction ends.
pub async fn lock_statuses(
    connection: &mut PgConnection,
    account: &AccountSlug,
    statuses: &[Status],
) -> Result<(), sqlx::Error> {
    let ids: Vec<Uuid> = statuses.iter().map(|status| status.id.uuid()).collect();
    sqlx::query!(
        "select id from status where account = $1 and id = any($2) order by id for update",
        account.as_str(),
        &ids,
    )
    .fetch_all(connection)
    .await
    .map(drop)
}

/// Writes name and revision of a locked pipeline.
pub async fn update(
    connection: &mut PgConnection,
    account: &AccountSlug,
    pipeline: &Pipeline,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update pipeline set name = $3, revision = $4 where account = $1 and id = $2",
        account.as_str(),
        pipeline.id.uuid(),
        pipeline.name,
        pipeline.revision,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Makes these the statuses of a locked pipeline. One that goes must not have cards: that is a violated constraint.
pub async fn set_statuses(
    connection: &mut PgConnection,
    account: &AccountSlug,
    pipeline: &Pipeline,
) -> Result<(), sqlx::Error> {
    let statuses = &pipeline.statuses;
    let ids: Vec<Uuid> = statuses.iter().map(|status| status.id.uuid()).collect();
    let names: Vec<String> = statuses.iter().map(|status| status.name.clone()).collect();
    let kinds: Vec<String> = statuses.iter().map(|status| status.kind.into()).collect();
    sqlx::query!(
        "delete from status where account = $1 and pipeline = $2 and id <> all($3)",
        account.as_str(),
        pipeline.id.uuid(),
        &ids,
    )
    .execute(&mut *connection)
    .await?;
    // What stays as it is is not written: cards that come into it meanwhile would wait.
    sqlx::query!(
        "insert into status as s (account, id, pipeline, position, name, kind)
         select $1, k.id, $2, k.position, k.name, k.kind
         from unnest($3::uuid[], $4::text[], $5::text[]) with ordinality as k(id, name, kind, position)
         where not exists (select from status t where t.account = $1 and t.id = k.id and t.position = k.position
                             and t.name = k.name)
         on conflict (account, id) do update set position = excluded.position, name = excluded.name",
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

/// Deletes a locked pipeline with its statuses, which must not have cards.
pub async fn delete(
    connection: &mut PgConnection,
    account: &AccountSlug,
    pipeline: PipelineId,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "delete from status where account = $1 and pipeline = $2",
        account.as_str(),
        pipeline.uuid(),
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "delete from pipeline where account = $1 and id = $2",
        account.as_str(),
        pipeline.uuid(),
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Returns the account's oldest pipeline (D28).
pub async fn first(
    connection: &mut PgConnection,
    account: &AccountSlug,
) -> Result<Option<PipelineId>, sqlx::Error> {
    let first = sqlx::query_scalar!(
        "select id from pipeline where account = $1 order by created_at, id limit 1",
        account.as_str(),
    )
    .fetch_optional(connection)
    .await?;
    Ok(first.map(Into::into))
}

/// Returns statuses with their pipelines. They stay until the transaction ends: cards may come into them.
pub async fn hold_statuses(
    connection: &mut PgConnection,
    account: &AccountSlug,
    statuses: &[StatusId],
) -> Result<Vec<(PipelineId, Status)>, sqlx::Error> {
    let ids: Vec<Uuid> = statuses.iter().map(|status| status.uuid()).collect();
    let rows = sqlx::query!(
        "select id, pipeline, name, kind from status where account = $1 and id = any($2)
         order by id for key share",
        account.as_str(),
        &ids,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let kind = StatusKind::try_from(row.kind)
                .map_err(|error| unreadable("status", row.id, error))?;
            let status = Status {
                id: row.id.into(),
                name: row.name,
                kind,
            };
            Ok((row.pipeline.into(), status))
        })
        .collect()
}

/// Returns the status in which cards of a pipeline begin; it stays until the transaction ends.
pub async fn status_new(
    connection: &mut PgConnection,
    account: &AccountSlug,
    pipeline: PipelineId,
) -> Result<Option<Status>, sqlx::Error> {
    let row = sqlx::query!(
        "select id, name from status where account = $1 and pipeline = $2 and kind = 'new' for key share",
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
                  exists(select from source where account = $1 and id = $3 and deleted_at is null) as "source!""#,
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
