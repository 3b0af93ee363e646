//! Use cases: one a file, one transaction each.

pub mod accept;
pub mod announce;
mod attempt;
pub mod book;
pub mod cancel;
pub mod channels;
pub mod claim;
pub mod connection;
pub mod deliveries;
pub mod dispatch;
pub mod inbound;
pub mod line;
pub mod noted;
pub mod queue;
pub mod restart;
pub mod settle;
pub mod told;

use std::sync::Arc;

use chassis::outbox::Waker;
use chassis::seal::Sealer;
use sqlx::PgPool;

use crate::provider::telegram::BotApi;
use crate::provider::viber::ViberApi;
use book::Book;
use noted::Noted;

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
    /// Viber's REST Bot API.
    pub viber: ViberApi,
    /// Mail servers may be connected to without TLS: for tests on one machine.
    pub plain_mail: bool,
    /// How providers reach us.
    pub public_url: Arc<str>,
    /// When channels were last heard, as noted.
    pub heard: Noted,
    /// When channels last delivered, as noted.
    pub spoke: Noted,
    /// Wakes the relay after a commit.
    pub relay: Waker,
}
