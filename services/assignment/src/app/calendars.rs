//! Working hours of an account, its channels and its agents (B04, B15, B16).

use std::collections::BTreeSet;

use chassis::access::ChannelGrant;
use chassis::audit;
use chassis::auth::{Caller, Scope};
use chassis::calendar::Calendar;
use chassis::id::AccountSlug;
use chassis::outbox::{self, Outgoing};
use sqlx::PgConnection;
use switchboard_proto::assignment::v1::CalendarUpdated;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::App;
use super::access::{may_change_settings, sees_channel};
use crate::audit as told;
use crate::domain::calendar::Owner;
use crate::error::Error;
use crate::store::calendars::{self, CalendarRow, Turn};
use crate::store::{accounts, agents};
use crate::wire;

/// Calendars of one transaction at most.
const AT_ONCE: i64 = 500;

/// When a calendar that this version cannot read is looked at again: another may have been set by then.
const UNREADABLE: Duration = Duration::HOUR;

/// Whether it is working time for an owner.
#[derive(Debug, Clone)]
pub struct WorkingTime {
    /// It is now.
    pub open: bool,
    /// When that changes next; none where it does not within a year.
    pub next_change: Option<OffsetDateTime>,
    /// The calendar that the owner goes by; none is always open.
    pub calendar: Option<CalendarRow>,
}

impl App {
    /// Sets an owner's calendar, whole; who goes by it follows at once.
    pub async fn set_calendar(
        &self,
        caller: &Caller,
        owner: Owner,
        calendar: Calendar,
        expected: Option<i64>,
        now: OffsetDateTime,
    ) -> Result<CalendarRow, Error> {
        may_set(caller, owner)?;
        let account = caller.account();
        let mut transaction = self.pool.begin().await?;
        exists(&mut transaction, account, owner).await?;
        let found = calendars::lock(&mut transaction, account, owner).await?;
        unchanged(expected, found)?;
        let before = calendars::get(&mut transaction, account, owner).await?;
        let state = calendar.state(now);
        let mut row = CalendarRow {
            account: account.clone(),
            owner,
            calendar,
            revision: found,
            updated_at: now,
        };
        let revision = calendars::set(&mut transaction, &row, state).await?;
        row.revision = revision.ok_or(Error::CalendarChanged)?;
        let entry = told::calendar(caller, owner, before.as_ref(), Some(&row))?;
        audit::write(&mut transaction, crate::NAME, vec![entry], now).await?;
        announce(&mut transaction, caller, &row, false, now).await?;
        transaction.commit().await?;
        self.waker.wake();
        self.follow(account, now).await;
        Ok(row)
    }

    /// Deletes an owner's calendar: they go by the account's.
    pub async fn delete_calendar(
        &self,
        caller: &Caller,
        owner: Owner,
        expected: Option<i64>,
        now: OffsetDateTime,
    ) -> Result<(), Error> {
        may_set(caller, owner)?;
        let account = caller.account();
        let mut transaction = self.pool.begin().await?;
        let found = calendars::lock(&mut transaction, account, owner).await?;
        if found == 0 {
            return Err(Error::UnknownCalendar);
        }
        unchanged(expected, found)?;
        let deleted = calendars::delete(&mut transaction, account, owner).await?;
        let deleted = deleted.ok_or(Error::UnknownCalendar)?;
        let entry = told::calendar(caller, owner, Some(&deleted), None)?;
        audit::write(&mut transaction, crate::NAME, vec![entry], now).await?;
        announce(&mut transaction, caller, &deleted, true, now).await?;
        transaction.commit().await?;
        self.waker.wake();
        self.follow(account, now).await;
        Ok(())
    }

    /// Returns an owner's own calendar.
    pub async fn get_calendar(&self, caller: &Caller, owner: Owner) -> Result<CalendarRow, Error> {
        sees(caller, owner)?;
        let mut connection = self.pool.acquire().await?;
        let found = calendars::get(&mut connection, caller.account(), owner).await?;
        found.ok_or(Error::UnknownCalendar)
    }

    /// Returns calendars after (owner, id); those of channels that the caller sees.
    pub async fn list_calendars(
        &self,
        caller: &Caller,
        after: (&str, Uuid),
        limit: i64,
    ) -> Result<Vec<CalendarRow>, Error> {
        let granted: Option<Vec<Uuid>> = match caller.access().map(|access| &access.channels) {
            None | Some(ChannelGrant::All) => None,
            Some(ChannelGrant::Some(channels)) => Some(channels.iter().copied().collect()),
        };
        let account = caller.account();
        let mut connection = self.pool.acquire().await?;
        Ok(calendars::list(&mut connection, account, granted.as_deref(), after, limit).await?)
    }

    /// Tells whether it is working time for an owner, by their own calendar or the account's.
    pub async fn working_time(
        &self,
        account: &AccountSlug,
        owner: Owner,
        now: OffsetDateTime,
    ) -> Result<WorkingTime, Error> {
        let mut connection = self.pool.acquire().await?;
        exists(&mut connection, account, owner).await?;
        let mut calendar = calendars::get(&mut connection, account, owner).await?;
        if calendar.is_none() && owner != Owner::Account {
            calendar = calendars::get(&mut connection, account, Owner::Account).await?;
        }
        let hours = calendar.as_ref().map(|row| &row.calendar);
        Ok(WorkingTime {
            open: hours.is_none_or(|hours| hours.is_open(now)),
            next_change: hours.and_then(|hours| hours.next_change(now)),
            calendar,
        })
    }

    /// Looks at calendars whose working time may have begun or ended; returns accounts in which some began.
    pub async fn turn_calendars(
        &self,
        now: OffsetDateTime,
    ) -> Result<BTreeSet<AccountSlug>, sqlx::Error> {
        let mut opened = BTreeSet::new();
        loop {
            let mut transaction = self.pool.begin().await?;
            let due = calendars::due(&mut transaction, now, AT_ONCE).await?;
            if due.is_empty() {
                return Ok(opened);
            }
            let mut turns = Vec::with_capacity(due.len());
            for due in due {
                let (open, next_look) = if let Some(calendar) = &due.calendar {
                    calendar.state(now)
                } else {
                    let (owner, id) = &due.owner;
                    tracing::error!(account = %due.account, owner, %id, "a calendar cannot be read");
                    (due.open, now + UNREADABLE)
                };
                if open && !due.open {
                    opened.insert(due.account.clone());
                }
                turns.push(Turn {
                    account: due.account,
                    owner: due.owner,
                    open,
                    next_look,
                });
            }
            calendars::turn(&mut transaction, &turns).await?;
            transaction.commit().await?;
        }
    }

    /// Lets who goes by a calendar follow its change. What fails is left to the sweep.
    async fn follow(&self, account: &AccountSlug, now: OffsetDateTime) {
        if let Err(error) = self.settle_all(now).await {
            tracing::warn!(%error, "presence is left to follow working hours at the next sweep");
        }
        self.drain_soon(&[account.clone()].into(), now).await;
    }
}

/// Refuses who may not set an owner's calendar.
fn may_set(caller: &Caller, owner: Owner) -> Result<(), Error> {
    let scope = match owner {
        Owner::Account | Owner::Channel(_) => Scope::CHANNELS_ADMIN,
        Owner::Agent(_) => Scope::AGENTS_ADMIN,
    };
    if !caller.has_scope(scope) {
        return Err(Error::SettingsAccessMissing);
    }
    may_change_settings(caller)?;
    sees(caller, owner)
}

/// Refuses a channel that does not exist for the caller (F062).
fn sees(caller: &Caller, owner: Owner) -> Result<(), Error> {
    match owner {
        Owner::Channel(channel) if !sees_channel(caller, channel) => {
            Err(Error::UnknownChannel(channel))
        }
        _ => Ok(()),
    }
}

/// Refuses an owner that is none of the account. Channels are another service's: any may have hours.
async fn exists(
    connection: &mut PgConnection,
    account: &AccountSlug,
    owner: Owner,
) -> Result<(), Error> {
    match owner {
        Owner::Agent(agent) if agents::get(connection, account, agent).await?.is_none() => {
            Err(Error::UnknownAgent(agent))
        }
        _ if accounts::get(connection, account).await?.is_none() => {
            Err(Error::UnknownAccount(account.to_string()))
        }
        _ => Ok(()),
    }
}

fn unchanged(expected: Option<i64>, found: i64) -> Result<(), Error> {
    match expected {
        Some(expected) if expected != found => Err(Error::CalendarChanged),
        _ => Ok(()),
    }
}

async fn announce(
    connection: &mut PgConnection,
    caller: &Caller,
    row: &CalendarRow,
    deleted: bool,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let updated = CalendarUpdated {
        calendar: Some(wire::calendar::write(row)),
        deleted,
    };
    let subject = match row.owner {
        Owner::Account => row.account.to_string(),
        Owner::Channel(channel) => channel.to_string(),
        Owner::Agent(agent) => agent.to_string(),
    };
    let event = Outgoing::new(&row.account, subject, &updated).actor(caller.actor());
    outbox::write(connection, crate::NAME, vec![event], now).await
}
