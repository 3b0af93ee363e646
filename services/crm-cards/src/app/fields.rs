//! Definitions of custom fields.

use chassis::audit;
use chassis::auth::Caller;
use chassis::id::v7;
use switchboard_proto::crm_cards::v1 as wire_v1;
use time::OffsetDateTime;

use super::pipelines::may_set;
use super::{App, RequestKey};
use crate::audit as told;
use crate::domain::fields::{Definition, Entity, FIELDS_MAX, FieldKind, wrong_options};
use crate::domain::ids::FieldId;
use crate::error::{Error, SERVICE};
use crate::store::fields as store;
use crate::wire;

/// A field to be made.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// What has it.
    pub entity: Entity,
    /// By what requests name it.
    pub key: String,
    /// Name to show.
    pub name: String,
    /// What its values are.
    pub kind: FieldKind,
    /// What can be chosen.
    pub options: Vec<String>,
    /// Asked for by forms.
    pub required: bool,
}

/// Creates a field at the end of its kind's. One of the same key and kind that was deleted comes back with the values that
/// entities have kept.
pub async fn create(
    app: &App,
    caller: &Caller,
    key: &RequestKey,
    wanted: Wanted,
    now: OffsetDateTime,
) -> Result<wire_v1::CreateFieldResponse, Error> {
    may_set(caller)?;
    check_options(wanted.kind, &wanted.options, "options")?;
    let account = caller.account();
    let mut transaction = app.begin().await?;
    if let Some(answer) = key.earlier(&mut transaction, account, now).await? {
        return Ok(answer);
    }
    let entity = wanted.entity;
    audit::alone(&mut transaction, account, "fields", entity.as_str()).await?;
    let known = store::of_entity(&mut transaction, account, entity).await?;
    if known.iter().any(|field| field.key == wanted.key) {
        return Err(Error::FieldExists(wanted.key));
    }
    if known.len() >= FIELDS_MAX {
        return Err(Error::TooManyFields);
    }
    let key_and_kind = (entity, wanted.key.as_str(), wanted.kind);
    let earlier = store::deleted(&mut transaction, account, key_and_kind).await?;
    let (id, revision) = earlier.unwrap_or_else(|| (v7(now).into(), 0));
    let last = known.iter().map(|field| field.position).max();
    let field = Definition {
        id,
        entity,
        key: wanted.key,
        name: wanted.name,
        kind: wanted.kind,
        options: wanted.options,
        required: wanted.required,
        position: last.map_or(0, |last| last.saturating_add(1)),
        revision: revision + 1,
    };
    store::put(&mut transaction, account, &field).await?;
    let made = wire::field(&field);
    let entry = told::field(caller, &(None, Some(made.clone())))?;
    audit::write(&mut transaction, SERVICE, vec![entry], now).await?;
    let answer = wire_v1::CreateFieldResponse { field: Some(made) };
    key.keep(&mut transaction, account, &answer).await?;
    app.commit(transaction, Vec::new(), now).await?;
    Ok(answer)
}

/// What of a field is to be changed; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Name.
    pub name: Option<String>,
    /// What can be chosen.
    pub options: Option<Vec<String>>,
    /// Asked for by forms.
    pub required: Option<bool>,
    /// Its place.
    pub position: Option<i32>,
    /// The revision that the caller saw.
    pub expected: Option<i64>,
}

fn unknown(id: FieldId) -> Error {
    Error::unknown("field", "FIELD_UNKNOWN", id)
}

/// Changes a field.
pub async fn update(
    app: &App,
    caller: &Caller,
    id: FieldId,
    change: Change,
    now: OffsetDateTime,
) -> Result<Definition, Error> {
    may_set(caller)?;
    let account = caller.account();
    let mut transaction = app.begin().await?;
    let before = store::lock(&mut transaction, account, id).await?;
    let before = before.ok_or_else(|| unknown(id))?;
    if change.expected.is_some_and(|seen| seen != before.revision) {
        return Err(Error::Overtaken("field", before.revision));
    }
    let mut field = before.clone();
    if let Some(name) = change.name {
        field.name = name;
    }
    if let Some(options) = change.options {
        check_options(field.kind, &options, "options.values")?;
        field.options = options;
    }
    field.required = change.required.unwrap_or(field.required);
    field.position = change.position.unwrap_or(field.position);
    if field == before {
        return Ok(before);
    }
    field.revision += 1;
    store::put(&mut transaction, account, &field).await?;
    let sides = (Some(wire::field(&before)), Some(wire::field(&field)));
    let entry = told::field(caller, &sides)?;
    audit::write(&mut transaction, SERVICE, vec![entry], now).await?;
    app.commit(transaction, Vec::new(), now).await?;
    Ok(field)
}

/// Deletes a field. Entities keep their values, which nobody sees any more.
pub async fn delete(
    app: &App,
    caller: &Caller,
    id: FieldId,
    now: OffsetDateTime,
) -> Result<(), Error> {
    may_set(caller)?;
    let account = caller.account();
    let mut transaction = app.begin().await?;
    let before = store::lock(&mut transaction, account, id).await?;
    let before = before.ok_or_else(|| unknown(id))?;
    store::delete(&mut transaction, account, id, now).await?;
    let entry = told::field(caller, &(Some(wire::field(&before)), None))?;
    audit::write(&mut transaction, SERVICE, vec![entry], now).await?;
    app.commit(transaction, Vec::new(), now).await?;
    Ok(())
}

/// Returns the fields of a kind of entity, by place.
pub async fn list(app: &App, caller: &Caller, entity: Entity) -> Result<Vec<Definition>, Error> {
    let mut connection = app.pool.acquire().await?;
    Ok(store::of_entity(&mut connection, caller.account(), entity).await?)
}

fn check_options(kind: FieldKind, options: &[String], field: &'static str) -> Result<(), Error> {
    match wrong_options(kind, options) {
        None => Ok(()),
        Some(description) => Err(Error::Field { field, description }),
    }
}
