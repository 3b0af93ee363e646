//! SQL: functions on a connection whose transaction the caller owns. Sets in, sets out; what is locked or inserted
//! is sorted first.

pub mod account;
pub mod activity;
pub mod assignment;
pub mod attachment;
pub mod auto_reply;
pub mod bots;
pub mod channel_rule;
pub mod chat;
pub mod chat_words;
pub mod client;
pub mod client_photo;
pub mod conversation;
pub mod counts;
pub mod delivery;
pub mod filters;
pub mod first_message;
pub mod internal_chat;
pub mod key;
pub mod labels;
pub mod lock;
pub mod message;
pub mod message_words;
pub mod notifications;
pub mod own_amendment;
pub mod parked;
pub mod post;
pub mod quick_replies;
pub mod reach;
pub mod recovery;
pub mod response_wait;
pub mod search_fill;
pub mod start;
pub mod working_hours;

/// The tables of this service, applied after those of the chassis.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();

/// Makes a database error of a stored value that cannot be read: which table and column, and why.
pub(crate) fn unreadable(
    column: &'static str,
    error: impl std::error::Error + Send + Sync + 'static,
) -> sqlx::Error {
    sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: Box::new(error),
    }
}

/// Has the rest of a transaction found by what indexes bring together, whatever the planner guesses of words: neither by reading
/// tables whole, nor by walking through one in the order that is asked for.
pub(crate) async fn by_bitmaps(connection: &mut sqlx::PgConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql("set local enable_seqscan = off; set local enable_indexscan = off")
        .execute(connection)
        .await
        .map(drop)
}
