//! Roles.

use chassis::access::KindAccess;
use chassis::id::AccountSlug;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::agents::{view_of, view_word};
use super::unreadable;
use crate::domain::RoleId;
use crate::domain::access::Rights;

/// A role as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Its id.
    pub id: RoleId,
    /// Its name, one of its kind in the account.
    pub name: String,
    /// What it grants.
    pub rights: Rights,
    /// Raised with every change.
    pub revision: i64,
    /// How many agents have it.
    pub agents: i64,
    /// When it was created.
    pub created_at: OffsetDateTime,
}

struct Row {
    role_id: RoleId,
    name: String,
    leads_create: bool,
    leads_view: String,
    contacts_create: bool,
    contacts_view: String,
    settings: bool,
    revision: i64,
    created_at: OffsetDateTime,
    agents: i64,
}

impl TryFrom<Row> for Role {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.role_id,
            name: row.name,
            rights: Rights {
                leads: KindAccess {
                    create: row.leads_create,
                    view: view_of(&row.leads_view).map_err(unreadable("role.leads_view"))?,
                },
                contacts: KindAccess {
                    create: row.contacts_create,
                    view: view_of(&row.contacts_view).map_err(unreadable("role.contacts_view"))?,
                },
                settings: row.settings,
            },
            revision: row.revision,
            agents: row.agents,
            created_at: row.created_at,
        })
    }
}

/// Inserts a role that nobody has yet; returns whether id and name were new in the account.
pub async fn insert(
    connection: &mut PgConnection,
    account: &AccountSlug,
    role: &Role,
) -> Result<bool, sqlx::Error> {
    let rights = &role.rights;
    let inserted = sqlx::query!(
        "insert into role (account, role_id, name, leads_create, leads_view, contacts_create,
             contacts_view, settings, revision, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         on conflict do nothing",
        account.as_str(),
        role.id.uuid(),
        role.name,
        rights.leads.create,
        view_word(rights.leads.view),
        rights.contacts.create,
        view_word(rights.contacts.view),
        rights.settings,
        role.revision,
        role.created_at,
    )
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Writes what of a locked role can change; a taken name is a violated constraint.
pub async fn update(
    connection: &mut PgConnection,
    account: &AccountSlug,
    role: &Role,
) -> Result<(), sqlx::Error> {
    let rights = &role.rights;
    sqlx::query!(
        "update role set name = $3, leads_create = $4, leads_view = $5, contacts_create = $6,
             contacts_view = $7, settings = $8, revision = $9
         where account = $1 and role_id = $2",
        account.as_str(),
        role.id.uuid(),
        role.name,
        rights.leads.create,
        view_word(rights.leads.view),
        rights.contacts.create,
        view_word(rights.contacts.view),
        rights.settings,
        role.revision,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Deletes a role; one that agents have is a violated constraint.
pub async fn delete(
    connection: &mut PgConnection,
    account: &AccountSlug,
    role: RoleId,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "delete from role where account = $1 and role_id = $2",
        account.as_str(),
        role.uuid(),
    )
    .execute(connection)
    .await
    .map(drop)
}

/// How a role is held while it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// Against a change, while an agent gets it.
    Share,
    /// Against everything else, while it changes.
    Change,
}

/// Locks a role; returns whether it exists.
pub async fn lock(
    connection: &mut PgConnection,
    account: &AccountSlug,
    role: RoleId,
    hold: Hold,
) -> Result<Option<Role>, sqlx::Error> {
    // Locked first and read after, so that what was committed while the lock was waited for is seen.
    let locked = match hold {
        Hold::Share => sqlx::query_scalar!(
            r#"select true as "locked!" from role where account = $1 and role_id = $2 for share"#,
            account.as_str(),
            role.uuid(),
        )
        .fetch_optional(&mut *connection)
        .await?,
        Hold::Change => sqlx::query_scalar!(
            r#"select true as "locked!" from role where account = $1 and role_id = $2 for update"#,
            account.as_str(),
            role.uuid(),
        )
        .fetch_optional(&mut *connection)
        .await?,
    };
    match locked {
        Some(_) => get(connection, account, role).await,
        None => Ok(None),
    }
}

/// Returns a role.
pub async fn get(
    connection: &mut PgConnection,
    account: &AccountSlug,
    role: RoleId,
) -> Result<Option<Role>, sqlx::Error> {
    let row = sqlx::query_as!(
        Row,
        r#"select r.role_id as "role_id: RoleId", r.name, r.leads_create, r.leads_view,
               r.contacts_create, r.contacts_view, r.settings, r.revision, r.created_at,
               (select count(*) from agent a where a.account = r.account and a.role_id = r.role_id) as "agents!"
           from role r where r.account = $1 and r.role_id = $2"#,
        account.as_str(),
        role.uuid(),
    )
    .fetch_optional(connection)
    .await?;
    row.map(Role::try_from).transpose()
}

/// Returns roles of an account after (name, id), by name.
pub async fn list(
    connection: &mut PgConnection,
    account: &AccountSlug,
    after: (&str, Uuid),
    limit: i64,
) -> Result<Vec<Role>, sqlx::Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"select r.role_id as "role_id: RoleId", r.name, r.leads_create, r.leads_view,
               r.contacts_create, r.contacts_view, r.settings, r.revision, r.created_at,
               (select count(*) from agent a where a.account = r.account and a.role_id = r.role_id) as "agents!"
           from role r where r.account = $1 and (r.name, r.role_id) > ($2, $3)
           order by r.name, r.role_id limit $4"#,
        account.as_str(),
        after.0,
        after.1,
        limit,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(Role::try_from).collect()
}
