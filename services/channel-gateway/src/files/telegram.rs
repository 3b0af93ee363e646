//! Files of Telegram: the Bot API tells where one lies, and hands it out (channels.md §2.4).

use futures::StreamExt as _;

use super::source::{NotOpened, REFUSED, TOO_LARGE};
use super::store::{Broken, Bytestream};
use crate::app::book::Known;
use crate::domain::credentials::Credentials;
use crate::domain::refusal::Class;
use crate::domain::telegram::errors::{ApiError, classify};
use crate::domain::telegram::file::TOO_LARGE as TOO_LARGE_FOR_BOTS;
use crate::provider::CallError;
use crate::provider::telegram::BotApi;

/// Fetches files of bots.
pub struct FromTelegram {
    bots: BotApi,
    max_size: u64,
}

impl FromTelegram {
    /// Makes a source of files of at most so many bytes.
    pub fn new(bots: BotApi, max_size: u64) -> Self {
        Self { bots, max_size }
    }

    /// Opens a file by its id.
    pub async fn open(&self, channel: &Known, file_id: &str) -> Result<Bytestream, NotOpened> {
        let Credentials::Telegram(token) = &channel.access else {
            return Err(NotOpened::Never(REFUSED));
        };
        let file = self.bots.get_file(token, file_id).await;
        let file = file.map_err(|error| not_had(&error, TOO_LARGE_FOR_BOTS))?;
        if file.size.is_some_and(|size| size > self.max_size) {
            return Err(NotOpened::Never(TOO_LARGE));
        }
        // One more than is taken: the store tells what is too large from what broke off.
        let limit = self.max_size.saturating_add(1);
        let download = self.bots.download(token, &file.path, limit).await;
        let download = download.map_err(|error| not_had(&error, TOO_LARGE))?;
        let content = download.content;
        Ok(content
            .map(|piece| piece.map_err(|error| Broken(error.to_string())))
            .boxed())
    }
}

fn not_had(error: &CallError<ApiError>, too_large: &'static str) -> NotOpened {
    let CallError::Refused(refused) = error else {
        return NotOpened::Later(None);
    };
    if refused.description.contains("file is too big") {
        return NotOpened::Never(too_large);
    }
    match classify(refused) {
        Class::Refused(_) => NotOpened::Never(REFUSED),
        Class::Flood(wait) => NotOpened::Later(Some(wait)),
        _ => NotOpened::Later(None),
    }
}
