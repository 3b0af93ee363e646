//! Pipelines and sources.

use chassis::audit;
use chassis::auth::Caller;
use chassis::id::v7;
use switchboard_proto::crm_cards::v1 as wire_v1;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{App, Page, RequestKey};
use crate::audit as told;
use crate::domain::access;
use crate::domain::ids::SourceId;
use crate::domain::status::{DEFAULT_STATUSES, Pipeline, Status, StatusKind, one_is_new};
use crate::error::{Error, SERVICE};
use crate::store::pipelines as store;
use crate::wire;

fn may_set(caller: &Caller) -> Result<(), Error> {
    access::may_set(caller.access()).map_err(|access::Missing| Error::SettingsAccess)
}

/// Creates a pipeline; with the default statuses where none are given (D04).
pub async fn create(
    app: &App,
    caller: &Caller,
    key: &RequestKey,
    name: String,
    statuses: Vec<(String, StatusKind)>,
    now: OffsetDateTime,
) -> Result<wire_v1::CreatePipelineResponse, Error> {
    may_set(caller)?;
    let statuses = if statuses.is_empty() {
        DEFAULT_STATUSES
            .map(|(name, kind)| (name.to_owned(), kind))
            .to_vec()
    } else {
        statuses
    };
    if !one_is_new(statuses.iter().map(|(_, kind)| *kind)) {
        return Err(Error::Field {
            field: "statuses",
            description: "must have exactly one of kind new",
        });
    }
    let account = caller.account();
    let mut transaction = app.begin().await?;
    if let Some(answer) = key.earlier(&mut transaction, account, now).await? {
        return Ok(answer);
    }
    let statuses = statuses
        .into_iter()
        .map(|(name, kind)| Status {
            id: v7(now).into(),
            name,
            kind,
        })
        .collect();
    let pipeline = Pipeline {
        id: v7(now).into(),
        name,
        statuses,
    };
    store::insert(&mut transaction, account, &pipeline, now).await?;
    let made = wire::pipeline(&pipeline);
    let entry = told::pipeline(caller, &made)?;
    audit::write(&mut transaction, SERVICE, vec![entry], now).await?;
    let answer = wire_v1::CreatePipelineResponse {
        pipeline: Some(made),
    };
    key.keep(&mut transaction, account, &answer).await?;
    app.commit(transaction, Vec::new(), now).await?;
    Ok(answer)
}

/// Returns a page of pipelines by creation, each with its time for the next page.
pub async fn list(
    app: &App,
    caller: &Caller,
    after: Option<(OffsetDateTime, Uuid)>,
    size: u32,
) -> Result<Page<(Pipeline, OffsetDateTime)>, Error> {
    let mut connection = app.pool.acquire().await?;
    let after = after.unwrap_or((OffsetDateTime::UNIX_EPOCH, Uuid::nil()));
    let rows = store::list(
        &mut connection,
        caller.account(),
        after,
        i64::from(size) + 1,
    )
    .await?;
    Ok(Page::of(rows, size))
}

/// Creates a source.
pub async fn create_source(
    app: &App,
    caller: &Caller,
    key: &RequestKey,
    name: String,
    now: OffsetDateTime,
) -> Result<wire_v1::CreateSourceResponse, Error> {
    may_set(caller)?;
    let account = caller.account();
    let mut transaction = app.begin().await?;
    if let Some(answer) = key.earlier(&mut transaction, account, now).await? {
        return Ok(answer);
    }
    let id = SourceId::from(v7(now));
    if !store::insert_source(&mut transaction, account, id, &name, now).await? {
        return Err(Error::SourceExists);
    }
    let source = wire_v1::Source {
        source_id: id.to_string(),
        name,
    };
    let entry = told::source(caller, &source)?;
    audit::write(&mut transaction, SERVICE, vec![entry], now).await?;
    let answer = wire_v1::CreateSourceResponse {
        source: Some(source),
    };
    key.keep(&mut transaction, account, &answer).await?;
    app.commit(transaction, Vec::new(), now).await?;
    Ok(answer)
}

/// Returns a page of sources by name.
pub async fn list_sources(
    app: &App,
    caller: &Caller,
    after: &str,
    size: u32,
) -> Result<Page<(SourceId, String)>, Error> {
    let mut connection = app.pool.acquire().await?;
    let rows = store::list_sources(
        &mut connection,
        caller.account(),
        after,
        i64::from(size) + 1,
    )
    .await?;
    Ok(Page::of(rows, size))
}
