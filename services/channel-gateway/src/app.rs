//! Use cases: one a file, one transaction each.

pub mod accept;
pub mod announce;
pub mod book;
pub mod cancel;
pub mod channels;
pub mod claim;
pub mod connection;
pub mod deliveries;
pub mod dispatch;
pub mod inbound;
pub mod line;
pub mod queue;
pub mod restart;
pub mod settle;

use std::sync::Arc;

use chassis::outbox::Waker;
use chassis::seal::Sealer;
use sqlx::PgPool;

use crate::provider::telegram::BotApi;
use book::Book;

/// What use cases work with. Clones share it.
#[derive(Clone)]
pub struct App {
    /// The database.
    pub pool: PgPool,
    /// Opens and seals credentials.
    pub sealer: Sealer,
    /// The channels in memory.
    pub book: Arc<Book>,
    /// The Bot API.
    pub bots: BotApi,
    /// Mail servers may be connected to without TLS: for tests on one machine.
    pub plain_mail: bool,
    /// How providers reach us.
    pub public_url: Arc<str>,
    /// Wakes the relay after a commit.
    pub relay: Waker,
}
