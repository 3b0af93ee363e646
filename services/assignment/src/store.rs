//! SQL: functions on a connection, so that the caller owns the transaction. Writes are sets.

pub mod accounts;
pub mod agents;
pub mod availability;
pub mod calendars;
pub mod chats;
pub mod choices;
pub mod conversations;
pub mod groups;
pub mod leases;
pub mod loads;
pub mod policies;
mod pools;
pub mod purge;
pub mod recovery;
pub mod releases;
pub mod reply_rules;
pub mod roles;
pub mod rosters;
pub mod sync;
mod turns;

/// The migrations of this service, applied after those of chassis.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();

/// Names a row that cannot be read: a word of a newer version, or a number out of range.
fn unreadable<E>(column: &'static str) -> impl FnOnce(E) -> sqlx::Error
where
    E: std::error::Error + Send + Sync + 'static,
{
    move |error| sqlx::Error::ColumnDecode {
        index: column.into(),
        source: Box::new(error),
    }
}
