//! SQL: functions on a connection; the caller owns the transaction.

pub mod attachments;
pub mod attempts;
pub mod channels;
pub mod clients;
pub mod commands;
pub mod deliveries;
pub mod echoes;
pub mod fetches;
pub mod health;
pub mod lanes;
pub mod lines;
pub mod lookups;
pub mod mail_ids;
pub mod mailboxes;
pub mod notes;
pub mod photos;
pub mod private_replies;
pub mod problems;
pub mod provider_links;
pub mod raw_items;
pub mod recovery;
pub mod sealed;
pub mod short_links;
pub mod told;
pub mod uploads;
pub mod usage;
pub mod withdrawn;

/// The tables of this service.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();

/// Says that a stored value cannot be read: only a newer version or a hand could have written it.
pub(crate) fn unreadable(error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}
