//! Use cases: one a file, one transaction each. Transport brings the caller, the time and the connection.

pub mod access;
pub mod activity;
pub mod amend;
pub mod announce;
pub mod assignments;
pub mod attachments;
pub mod cards;
pub mod close;
pub mod deliveries;
pub mod described;
pub mod events;
pub mod inbound;
pub mod ingest;
pub mod posts;
pub mod read;
pub mod retry;
pub mod send;
pub mod sweep;
