//! Sources of cards.

use chassis::audit;
use chassis::auth::Caller;
use chassis::id::v7;
use switchboard_proto::crm_cards::v1 as wire_v1;
use time::OffsetDateTime;

use super::pipelines::{CHANNELS_NAMED, may_set};
use super::{App, Page, RequestKey};
use crate::audit as told;
use crate::domain::ids::SourceId;
use crate::domain::status::Source;
use crate::error::{Error, SERVICE, violates};
use crate::store::{connections, sources as store};
use crate::wire;

/// Creates a source.
pub async fn create(
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
    let source = Source {
        id: v7(now).into(),
        name,
        revision: 1,
    };
    if !store::insert(&mut transaction, account, &source, now).await? {
        return Err(Error::SourceExists);
    }
    let source = wire::source(&source);
    let entry = told::source(caller, &(None, Some(source.clone())))?;
    audit::write(&mut transaction, SERVICE, vec![entry], now).await?;
    let answer = wire_v1::CreateSourceResponse {
        source: Some(source),
    };
    key.keep(&mut transaction, account, &answer).await?;
    app.commit(transaction, Vec::new(), now).await?;
    Ok(answer)
}

/// Returns a page of sources by name.
pub async fn list(
    app: &App,
    caller: &Caller,
    after: &str,
    size: u32,
) -> Result<Page<Source>, Error> {
    let mut connection = app.pool.acquire().await?;
    let limit = i64::from(size) + 1;
    let rows = store::list(&mut connection, caller.account(), after, limit).await?;
    Ok(Page::of(rows, size))
}

fn unknown(id: SourceId) -> Error {
    Error::unknown("source", "SOURCE_UNKNOWN", id)
}

/// Renames a source.
pub async fn rename(
    app: &App,
    caller: &Caller,
    id: SourceId,
    (name, expected): (String, Option<i64>),
    now: OffsetDateTime,
) -> Result<Source, Error> {
    may_set(caller)?;
    let account = caller.account();
    let mut transaction = app.begin().await?;
    let before = store::lock(&mut transaction, account, id).await?;
    let before = before.ok_or_else(|| unknown(id))?;
    if expected.is_some_and(|seen| seen != before.revision) {
        return Err(Error::Overtaken("source", before.revision));
    }
    if before.name == name {
        return Ok(before);
    }
    let source = Source {
        name,
        revision: before.revision + 1,
        ..before.clone()
    };
    store::update(&mut transaction, account, &source)
        .await
        .map_err(|error| {
            if violates(&error, "source_by_name") {
                Error::SourceExists
            } else {
                error.into()
            }
        })?;
    let sides = (Some(wire::source(&before)), Some(wire::source(&source)));
    let entry = told::source(caller, &sides)?;
    audit::write(&mut transaction, SERVICE, vec![entry], now).await?;
    app.commit(transaction, Vec::new(), now).await?;
    Ok(source)
}

/// Deletes a source that no channel gives to its cards. Cards that carry it keep it.
pub async fn delete(
    app: &App,
    caller: &Caller,
    id: SourceId,
    now: OffsetDateTime,
) -> Result<(), Error> {
    may_set(caller)?;
    let account = caller.account();
    let mut transaction = app.begin().await?;
    let before = store::lock(&mut transaction, account, id).await?;
    let before = before.ok_or_else(|| unknown(id))?;
    let channels =
        connections::naming(&mut transaction, account, None, Some(id), CHANNELS_NAMED).await?;
    if !channels.is_empty() {
        return Err(Error::InUse("source", channels));
    }
    store::delete(&mut transaction, account, id, now).await?;
    let entry = told::source(caller, &(Some(wire::source(&before)), None))?;
    audit::write(&mut transaction, SERVICE, vec![entry], now).await?;
    app.commit(transaction, Vec::new(), now).await?;
    Ok(())
}
