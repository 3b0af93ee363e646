//! What agents read in a chat about cards made from it (F083).

use chassis::id::AccountSlug;
use time::OffsetDateTime;

use super::announce::{Cause, Notice};
use super::assignments::Note;
use crate::domain::ChatId;

/// A card was made from a chat.
#[derive(Debug, Clone)]
pub struct Created {
    /// Whose it is.
    pub account: AccountSlug,
    /// The chat.
    pub chat: ChatId,
    /// Id and title of the card.
    pub parameters: Vec<(&'static str, String)>,
    /// When.
    pub time: OffsetDateTime,
    /// The event.
    pub cause: Cause,
}

impl Created {
    /// Returns the system message that tells it.
    pub fn note(&self) -> Note<'_> {
        Note {
            chat: self.chat,
            account: &self.account,
            notice: Notice {
                of: self.cause.id.unwrap_or_default().to_string(),
                kind: "card.created",
                parameters: &self.parameters,
                time: self.time,
            },
            cause: &self.cause,
        }
    }
}
