//! Working hours of channels: copies of assignment's calendars, which is asked once about those that nobody has told of.

use std::collections::{BTreeMap, BTreeSet};

use chassis::calendar::Calendar;
use sqlx::{PgConnection, PgPool};
use tonic::Status;

use crate::error::Error;
use crate::store::channel_rule::Key;
use crate::store::working_hours::{self as store, Owner, Word};

/// Calendars that assignment is asked for in one round, at most.
const ASKED: usize = 100;

/// Asks assignment for calendars.
#[tonic::async_trait]
pub trait Hours: Send + Sync + 'static {
    /// Returns an owner's own calendar.
    async fn calendar(&self, owner: &Owner) -> Result<Word, Status>;
}

/// The calendars that channels go by: their own, or the account's. Where there is none it is always working time.
pub type Calendars = BTreeMap<Key, Option<Calendar>>;

/// Has assignment asked about the calendars of channels that nobody has told of. While it does not answer, they stay unknown:
/// what needs them waits.
pub async fn learn(
    pool: &PgPool,
    hours: &dyn Hours,
    channels: &BTreeSet<Key>,
) -> Result<(), Error> {
    let owners = owners(channels);
    let mut connection = pool.acquire().await?;
    let known = store::several(&mut connection, &owners).await?;
    drop(connection);
    let (mut told, mut refused) = (Vec::new(), Ok(()));
    let missing = owners.iter().filter(|owner| !known.contains_key(owner));
    for owner in missing.take(ASKED) {
        match hours.calendar(owner).await {
            Ok(word) => told.push((owner.clone(), word)),
            Err(status) => {
                refused = Err(Error::Refused(status));
                break;
            }
        }
    }
    if !told.is_empty() {
        let mut connection = pool.acquire().await?;
        store::keep(&mut connection, &told).await?;
    }
    refused
}

/// Returns the calendars of channels, of those where they are known.
pub async fn known(
    connection: &mut PgConnection,
    channels: &BTreeSet<Key>,
) -> Result<Calendars, Error> {
    let known = store::several(connection, &owners(channels)).await?;
    let of = |account, channel| known.get(&Owner { account, channel });
    let calendars = channels.iter().filter_map(|(account, channel)| {
        let own = of(account.clone(), Some(*channel))?;
        let accounts = of(account.clone(), None)?;
        let key = (account.clone(), *channel);
        Some((key, own.clone().or_else(|| accounts.clone())))
    });
    Ok(calendars.collect())
}

/// Those whose calendars channels may go by.
fn owners(channels: &BTreeSet<Key>) -> Vec<Owner> {
    let owners: BTreeSet<Owner> = channels
        .iter()
        .flat_map(|(account, channel)| {
            [None, Some(*channel)].map(|channel| Owner {
                account: account.clone(),
                channel,
            })
        })
        .collect();
    owners.into_iter().collect()
}
