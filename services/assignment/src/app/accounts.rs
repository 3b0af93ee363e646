//! Accounts.

use chassis::actor::Actor;
use chassis::audit;
use chassis::outbox::{self, Outgoing};
use switchboard_proto::assignment::v1::AccountCreated;
use time::OffsetDateTime;

use super::App;
use crate::audit as told;
use crate::error::Error;
use crate::store::accounts::{self, AccountRow};
use crate::wire;

impl App {
    /// Creates an account. Creating it again with the same content answers the first.
    pub async fn create_account(
        &self,
        row: AccountRow,
        actor: Actor,
        now: OffsetDateTime,
    ) -> Result<AccountRow, Error> {
        let mut transaction = self.pool.begin().await?;
        if accounts::insert(&mut transaction, &row).await? {
            let entry = told::account(&row, actor.clone())?;
            audit::write(&mut transaction, crate::NAME, vec![entry], now).await?;
            let created = AccountCreated {
                account: Some(wire::account(&row)),
            };
            let event = Outgoing::new(&row.slug, &row.slug, &created).actor(actor);
            outbox::write(&mut transaction, crate::NAME, vec![event], now).await?;
            transaction.commit().await?;
            self.waker.wake();
            return Ok(row);
        }
        let first = accounts::get(&mut transaction, &row.slug).await?;
        match first {
            Some(first) if first.name == row.name && first.language == row.language => Ok(first),
            _ => Err(Error::AccountExists(row.slug.to_string())),
        }
    }

    /// Returns accounts after a slug.
    pub async fn list_accounts(&self, after: &str, limit: i64) -> Result<Vec<AccountRow>, Error> {
        let mut connection = self.pool.acquire().await?;
        Ok(accounts::list(&mut connection, after, limit).await?)
    }
}
