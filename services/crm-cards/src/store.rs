//! SQL. Functions take a connection: the use case owns the transaction.
//!
//! Whatever writes sets sorts them first; locks are taken in the order pipeline, status, identity, contact,
//! company, card, order, participants.

pub mod card_changes;
pub mod card_lists;
pub mod cards;
pub mod companies;
pub mod connections;
pub mod contact_changes;
pub mod contact_settings;
pub mod contacts;
pub mod counts;
pub mod decisions;
pub mod duplicates;
pub mod entity_chats;
pub mod exports;
pub mod external;
pub mod fields;
pub mod history;
pub mod imports;
pub mod merges;
pub mod notes;
pub mod openings;
pub mod orders;
pub mod parked;
pub mod parked_sync;
pub mod participants;
pub mod person_lists;
pub mod pipelines;
pub mod recovery;
pub mod sources;
pub mod talks;
mod words;

use chassis::id::AccountSlug;
use chassis::stamp::Stamp;
use time::OffsetDateTime;
use uuid::Uuid;

/// The tables of this service.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();

/// Where a page of a list begins: before this row, in the order newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Before {
    /// Time of the last row of the page before.
    pub time: OffsetDateTime,
    /// Id of the last row of the page before.
    pub id: Uuid,
}

impl Before {
    /// Before nothing: the first page. A sentinel, so that one plan, by index, serves all pages.
    pub const START: Self = Self {
        time: time::macros::datetime!(9999-01-01 00:00:00 UTC),
        id: Uuid::max(),
    };
}

/// Names a row that the domain refuses.
fn unreadable(
    table: &'static str,
    id: impl std::fmt::Display,
    error: impl std::fmt::Display,
) -> sqlx::Error {
    sqlx::Error::Decode(format!("{table} {id}: {error}").into())
}

/// Splits keys into the two arrays that `unnest` takes.
fn columns<'k, I: Into<Uuid> + Copy + 'k>(
    keys: impl IntoIterator<Item = &'k (AccountSlug, I)>,
) -> (Vec<String>, Vec<Uuid>) {
    keys.into_iter()
        .map(|(account, id)| (account.to_string(), (*id).into()))
        .unzip()
}

fn account(text: String) -> Result<AccountSlug, sqlx::Error> {
    AccountSlug::try_from(text).map_err(|error| sqlx::Error::Decode(error.into()))
}

const fn stamp(time: OffsetDateTime, event: Uuid) -> Stamp {
    Stamp { time, event }
}
