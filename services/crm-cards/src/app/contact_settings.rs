//! How an account reads what is typed into contacts and companies.

use chassis::audit;
use chassis::auth::Caller;
use time::OffsetDateTime;

use super::App;
use super::pipelines::may_set;
use crate::audit as told;
use crate::domain::points::Region;
use crate::error::{Error, SERVICE};
use crate::store::contact_settings as store;

/// Sets the region whose phones are written without a country code, or none.
pub async fn set(
    app: &App,
    caller: &Caller,
    region: Option<Region>,
    now: OffsetDateTime,
) -> Result<(), Error> {
    may_set(caller)?;
    let account = caller.account();
    let mut transaction = app.begin().await?;
    audit::alone(&mut transaction, account, "contact-settings", account).await?;
    let before = store::region(&mut transaction, account).await?;
    store::set_region(&mut transaction, account, region).await?;
    let entry = told::contact_settings(caller, before, region)?;
    audit::write(&mut transaction, SERVICE, vec![entry], now).await?;
    app.commit(transaction, Vec::new(), now).await?;
    Ok(())
}

/// Returns that region, where one was set.
pub async fn get(app: &App, caller: &Caller) -> Result<Option<Region>, Error> {
    let mut connection = app.pool.acquire().await?;
    Ok(store::region(&mut connection, caller.account()).await?)
}
