//! Use cases: one a file, one transaction each. Transport brings the caller, the time and the connection.

pub mod access;
pub mod act;
pub mod amend;
pub mod announce;
pub mod assignments;
pub mod attachments;
pub mod cards;
pub mod close;
pub mod deliveries;
pub mod described;
pub mod events;
pub mod history;
pub mod inbound;
pub mod ingest;
pub mod note;
pub mod open;
pub mod posts;
pub mod quick_replies;
pub mod read;
pub mod read_state;
pub mod rename;
pub mod retry;
pub mod send;
pub mod spam;
pub mod sweep;
pub mod watch;
