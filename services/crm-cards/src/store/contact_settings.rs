//! How an account reads what is typed into contacts and companies.

use chassis::id::AccountSlug;
use sqlx::PgConnection;

use super::unreadable;
use crate::domain::points::Region;

/// Returns the region whose phones are written without a country code, where one was set.
pub async fn region(
    connection: &mut PgConnection,
    account: &AccountSlug,
) -> Result<Option<Region>, sqlx::Error> {
    let code = sqlx::query_scalar!(
        "select phone_region from contact_setting where account = $1",
        account.as_str(),
    )
    .fetch_optional(connection)
    .await?;
    code.map(|code: String| {
        let known = Region::read(&code);
        known.ok_or_else(|| unreadable("contact_setting", account, "no region"))
    })
    .transpose()
}

/// Sets that region, or none.
pub async fn set_region(
    connection: &mut PgConnection,
    account: &AccountSlug,
    region: Option<Region>,
) -> Result<(), sqlx::Error> {
    match region {
        Some(region) => {
            sqlx::query!(
                "insert into contact_setting (account, phone_region) values ($1, $2)
                 on conflict (account) do update set phone_region = excluded.phone_region",
                account.as_str(),
                region.code(),
            )
            .execute(connection)
            .await
        }
        None => {
            sqlx::query!(
                "delete from contact_setting where account = $1",
                account.as_str()
            )
            .execute(connection)
            .await
        }
    }
    .map(drop)
}
