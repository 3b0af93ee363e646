//! What agents read in a chat about cards and orders made from it (F083, F133, F142, X10).

use chassis::id::AccountSlug;
use time::OffsetDateTime;

use super::announce::{Cause, Notice};
use super::assignments::Note;
use crate::domain::ChatId;

/// A card was made from a chat, or converted, or an order was made.
#[derive(Debug, Clone)]
pub struct Told {
    /// What happened, as the kind of the system message says it.
    pub kind: &'static str,
    /// Whose it is.
    pub account: AccountSlug,
    /// The chat.
    pub chat: ChatId,
    /// Ids and names of what it is about.
    pub parameters: Vec<(&'static str, String)>,
    /// When.
    pub time: OffsetDateTime,
    /// The event.
    pub cause: Cause,
}

impl Told {
    /// Returns the system message that tells it.
    pub fn note(&self) -> Note<'_> {
        Note {
            chat: self.chat,
            account: &self.account,
            notice: Notice {
                of: self.cause.id.unwrap_or_default().to_string(),
                kind: self.kind,
                parameters: &self.parameters,
                time: self.time,
            },
            cause: &self.cause,
        }
    }
}
