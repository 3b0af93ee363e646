//! Use cases: one a file, one transaction each.

pub mod accept;
pub mod announce;
pub mod around;
pub mod attachments;
mod attempt;
pub mod audited;
pub mod book;
pub mod cancel;
pub mod channels;
pub mod claim;
pub mod connection;
pub mod deliveries;
pub mod dispatch;
mod examine;
pub mod fetch;
pub mod file_sweep;
pub mod health;
pub mod inbound;
pub mod learnt;
pub mod line;
pub mod lookups;
pub mod mail;
pub mod mail_lines;
pub mod mailbox;
pub mod noted;
pub mod operated;
pub mod photos;
pub mod presses;
pub mod queue;
pub mod recover;
pub mod reseal;
pub mod restart;
pub mod sent_copy;
pub mod settle;
pub mod short_links;
pub mod told;
mod trouble;
pub mod unclaimed;
pub mod uploads;
pub mod verify;

use std::sync::Arc;

use chassis::outbox::Waker;
use chassis::pauses::Pauses;
use chassis::seal::Sealer;
use sqlx::PgPool;

use crate::files::Files;
use crate::provider::instagram::GraphApi;
use crate::provider::telegram::BotApi;
use crate::provider::viber::ViberApi;
use book::Book;
use learnt::Learnt;
use mail::Post;
use noted::Noted;
use presses::Presses;

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
    /// The object store and the links to what is in it.
    pub files: Files,
    /// Viber's REST Bot API.
    pub viber: ViberApi,
    /// The Graph API.
    pub graph: GraphApi,
    /// What mail goes over.
    pub post: Post,
    /// Mail servers may be connected to without TLS: for tests on one machine.
    pub plain_mail: bool,
    /// How providers reach us.
    pub public_url: Arc<str>,
    /// When channels were last heard, as noted.
    pub heard: Noted,
    /// When channels last delivered, as noted.
    pub spoke: Noted,
    /// What providers told of posts and people.
    pub learnt: Learnt,
    /// Whose photos are looked for, as noted.
    pub photos: photos::asked::Noted,
    /// Which presses of buttons were answered.
    pub presses: Presses,
    /// What is paused.
    pub pauses: Pauses,
    /// Wakes the relay after a commit.
    pub relay: Waker,
}
