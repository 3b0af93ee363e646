//! Definitions of custom fields.

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::unreadable;
use crate::domain::fields::{Definition, Entity, FieldKind};
use crate::domain::ids::FieldId;

struct Row {
    id: Uuid,
    entity: String,
    key: String,
    name: String,
    kind: String,
    options: Vec<String>,
    required: bool,
    position: i32,
    revision: i64,
}

impl TryFrom<Row> for Definition {
    type Error = sqlx::Error;
    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        let id = row.id;
        let bad = |error| unreadable("field_definition", id, error);
        Ok(Self {
            id: id.into(),
            entity: Entity::try_from(row.entity).map_err(bad)?,
            key: row.key,
            name: row.name,
            kind: FieldKind::try_from(row.kind).map_err(bad)?,
            options: row.options,
            required: row.required,
            position: row.position,
            revision: row.revision,
        })
    }
}

/// Returns the fields of a kind of entity, by place; there are at most 100.
pub async fn of_entity(
    connection: &mut PgConnection,
    account: &AccountSlug,
    entity: Entity,
) -> Result<Vec<Definition>, sqlx::Error> {
    sqlx::query_as!(
        Row,
        "select id, entity, key, name, kind, options, required, position, revision from field_definition
         where account = $1 and entity = $2 and deleted_at is null order by position, key",
        account.as_str(),
        entity.as_str(),
    )
    .fetch_all(connection)
    .await?
    .into_iter()
    .map(TryInto::try_into)
    .collect()
}

/// Returns a field, locked until the end of the transaction.
pub async fn lock(
    connection: &mut PgConnection,
    account: &AccountSlug,
    field: FieldId,
) -> Result<Option<Definition>, sqlx::Error> {
    sqlx::query_as!(
        Row,
        "select id, entity, key, name, kind, options, required, position, revision from field_definition
         where account = $1 and id = $2 and deleted_at is null for no key update",
        account.as_str(),
        field.uuid(),
    )
    .fetch_optional(connection)
    .await?
    .map(TryInto::try_into)
    .transpose()
}

/// Returns the id and revision of the field of this key and kind that was deleted last.
pub async fn deleted(
    connection: &mut PgConnection,
    account: &AccountSlug,
    (entity, key, kind): (Entity, &str, FieldKind),
) -> Result<Option<(FieldId, i64)>, sqlx::Error> {
    let row = sqlx::query!(
        "select id, revision from field_definition
         where account = $1 and entity = $2 and key = $3 and kind = $4 and deleted_at is not null
         order by deleted_at desc limit 1",
        account.as_str(),
        entity.as_str(),
        key,
        kind.as_str(),
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| (row.id.into(), row.revision)))
}

/// Writes a field: a new one, one that was deleted, or one that is locked. Its key, its kind and what has it stay.
pub async fn put(
    connection: &mut PgConnection,
    account: &AccountSlug,
    field: &Definition,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into field_definition (account, id, entity, key, name, kind, options, required, position, revision)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         on conflict (account, id) do update
         set name = excluded.name, options = excluded.options, required = excluded.required,
             position = excluded.position, revision = excluded.revision, deleted_at = null",
        account.as_str(),
        field.id.uuid(),
        field.entity.as_str(),
        field.key,
        field.name,
        field.kind.as_str(),
        &field.options,
        field.required,
        field.position,
        field.revision,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Marks a locked field as deleted. Entities keep their values.
pub async fn delete(
    connection: &mut PgConnection,
    account: &AccountSlug,
    field: FieldId,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update field_definition set deleted_at = $3 where account = $1 and id = $2",
        account.as_str(),
        field.uuid(),
        now,
    )
    .execute(connection)
    .await
    .map(drop)
}
