//! Use cases: one a file, each in one transaction.

pub mod access;
pub mod accounts;
pub mod actions;
pub mod admit;
pub mod agents;
pub mod assign;
pub mod board;
pub mod calendars;
pub mod change;
pub mod claim;
pub mod drain;
pub mod give_back;
pub mod groups;
pub mod hand;
pub mod hear;
pub mod learn;
pub mod memory;
pub mod offers;
pub mod once;
pub mod policies;
pub mod presence;
pub mod provisional;
pub mod purge;
pub mod read;
pub mod recover;
pub mod release;
pub mod roles;
pub mod streams;
pub mod sync;
pub mod sync_settings;

use std::sync::Arc;

use chassis::outbox::Waker;
use sqlx::PgPool;
use tokio::sync::Notify;

/// What use cases work with.
#[derive(Clone)]
pub struct App {
    /// This service's database.
    pub pool: PgPool,
    /// Wakes the relay after a commit.
    pub waker: Waker,
    /// Wakes the sweep of waiting chats where more wait than are given within a request.
    pub more_wait: Arc<Notify>,
    /// What agents may do, as requests remember it.
    pub known: access::KnownAccess,
    /// What choices need again and again.
    pub memory: memory::Memory,
    /// Where chats are asked for that are not known here yet.
    pub source: Option<Arc<dyn learn::Source>>,
}
