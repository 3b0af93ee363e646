//! Entities as a CRM outside names them.

use std::collections::HashMap;

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use uuid::Uuid;

use super::contacts::{self, ROUNDS};
use crate::domain::entity::Contact;
use crate::domain::ids::ContactId;

/// Locks contacts, sorted, and returns them with where each id leads that they were named by: to itself, or to the contact that
/// it was merged into. Contacts that are not there are left out.
pub async fn lock_contacts(
    connection: &mut PgConnection,
    account: &AccountSlug,
    ids: &[Uuid],
) -> Result<(HashMap<Uuid, Uuid>, HashMap<Uuid, Contact>), sqlx::Error> {
    for _ in 0..ROUNDS {
        let lead_to = live(connection, account, ids).await?;
        let keys = lead_to
            .values()
            .map(|id| (account.clone(), ContactId::from(*id)));
        let mut keys: Vec<_> = keys.collect();
        keys.sort();
        keys.dedup();
        let locked = contacts::lock_all(connection, &keys).await?;
        // Where a merge took one away meanwhile, its id leads elsewhere by now.
        if locked.len() == keys.len() {
            let locked = locked
                .into_values()
                .map(|contact| (contact.id.uuid(), contact));
            return Ok((lead_to, locked.collect()));
        }
    }
    Err(contacts::merged_meanwhile())
}

async fn live(
    connection: &mut PgConnection,
    account: &AccountSlug,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, Uuid>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"with recursive way as (
               select c.id as named, c.id, c.merged_into, c.deleted_at
               from unnest($2::uuid[]) k(id) join contact c on c.account = $1 and c.id = k.id
               union
               select w.named, c.id, c.merged_into, c.deleted_at from way w
               join contact c on c.account = $1 and c.id = w.merged_into)
           select named as "named!", id as "id!" from way where deleted_at is null"#,
        account.as_str(),
        ids,
    )
    .fetch_all(connection)
    .await?;
    let rows = rows.into_iter();
    Ok(rows.map(|row| (row.named, row.id)).collect())
}
