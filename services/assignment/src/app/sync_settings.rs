//! What a channel keeps in step with CRM (F037-F039).

use chassis::audit;
use chassis::auth::Caller;
use time::OffsetDateTime;

use super::App;
use super::access::{may_change_settings, sees_channel};
use crate::audit as told;
use crate::domain::ChannelId;
use crate::domain::sync::SyncPolicy;
use crate::error::{Error, SyncError};
use crate::store::sync::{self, SyncRow};

/// Channels that a refusal names at most.
const NAMED: i64 = 20;

impl App {
    /// Sets what a channel keeps in step, whole. It changes no chat: the next change or opening goes by it (F046).
    pub async fn set_sync(
        &self,
        caller: &Caller,
        channel: ChannelId,
        policy: SyncPolicy,
        expected: Option<i64>,
        now: OffsetDateTime,
    ) -> Result<SyncRow, Error> {
        may_change_settings(caller)?;
        if !sees_channel(caller, channel) {
            return Err(Error::UnknownChannel(channel));
        }
        let account = caller.account();
        let mut transaction = self.pool.begin().await?;
        // The lock of all that an account keeps in step.
        let allowed = sync::lock_contact_fields(&mut transaction, account).await?;
        let allowed = allowed.ok_or_else(|| Error::UnknownAccount(account.to_string()))?;
        let keeps_some = !(policy.from_crm.is_empty() && policy.to_crm.is_empty());
        if keeps_some && !allowed {
            return Err(SyncError::ContactFieldsOff.into());
        }
        let key = (account.clone(), channel);
        let before = sync::get(&mut transaction, &key).await?;
        if expected.is_some_and(|expected| expected != before.revision) {
            return Err(SyncError::Overtaken(before.revision).into());
        }
        let after = SyncRow {
            policy,
            revision: before.revision + 1,
            updated_at: Some(now),
        };
        sync::set(&mut transaction, &key, &after, now).await?;
        let entry = told::sync(caller, channel, &before, &after)?;
        audit::write(&mut transaction, crate::NAME, vec![entry], now).await?;
        transaction.commit().await?;
        self.waker.wake();
        Ok(after)
    }

    /// Returns what a channel keeps in step; the caller sees the channel.
    pub async fn get_sync(&self, caller: &Caller, channel: ChannelId) -> Result<SyncRow, Error> {
        if !sees_channel(caller, channel) {
            return Err(Error::UnknownChannel(channel));
        }
        let mut connection = self.pool.acquire().await?;
        let key = (caller.account().clone(), channel);
        Ok(sync::get(&mut connection, &key).await?)
    }

    /// Allows or forbids additional fields in a contact (F037).
    pub async fn set_contact_fields(
        &self,
        caller: &Caller,
        allowed: bool,
        now: OffsetDateTime,
    ) -> Result<(), Error> {
        may_change_settings(caller)?;
        let account = caller.account();
        let mut transaction = self.pool.begin().await?;
        let before = sync::lock_contact_fields(&mut transaction, account).await?;
        let before = before.ok_or_else(|| Error::UnknownAccount(account.to_string()))?;
        if !allowed {
            let channels = sync::channels_in_step(&mut transaction, account, NAMED).await?;
            if !channels.is_empty() {
                return Err(SyncError::ChannelsInStep(channels).into());
            }
        }
        sync::set_contact_fields(&mut transaction, account, allowed).await?;
        let entry = told::contact_fields(caller, before, allowed)?;
        audit::write(&mut transaction, crate::NAME, vec![entry], now).await?;
        transaction.commit().await?;
        self.waker.wake();
        Ok(())
    }

    /// Tells whether additional fields in a contact are allowed.
    pub async fn get_contact_fields(&self, caller: &Caller) -> Result<bool, Error> {
        let account = caller.account();
        let mut connection = self.pool.acquire().await?;
        let allowed = sync::contact_fields(&mut connection, account).await?;
        allowed.ok_or_else(|| Error::UnknownAccount(account.to_string()))
    }
}
