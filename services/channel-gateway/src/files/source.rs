//! Where the bytes of a client's file come from.

use std::time::Duration;

use serde::Deserialize;

use super::store::Bytestream;
use super::telegram::FromTelegram;
use super::web::Web;
use crate::app::book::Known;

/// Reason, as an agent reads it: more bytes than are taken.
pub const TOO_LARGE: &str = "The file is larger than files may be here.";
/// Reason: the provider does not have it any more.
pub const GONE: &str = "The provider does not have the file any more.";
/// Reason: its address is none that is called.
pub const ADDRESS: &str = "The file's address is none on the public internet.";
/// Reason: the provider refused.
pub const REFUSED: &str = "The provider does not hand the file out.";
/// Reason: nothing tells where it is.
pub const REFERENCE: &str = "The provider did not tell where the file is.";
/// Reason: all tries were in vain.
pub const NOT_HAD: &str = "The file could not be fetched, however often it was tried.";

/// Why bytes cannot be had. Holds neither address nor token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotOpened {
    /// Never.
    Never(&'static str),
    /// Not now; the provider may say when.
    Later(Option<Duration>),
}

/// Where a kind of file comes from.
#[tonic::async_trait]
pub trait Source: Send + Sync + 'static {
    /// Opens a file of a channel by the reference that its parser left.
    async fn open(&self, channel: &Known, reference: &[u8]) -> Result<Bytestream, NotOpened>;
}

/// What a parser leaves of a file.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Reference {
    Web { url: String },
    Telegram { file_id: String },
}

/// All sources.
pub struct Sources {
    /// Addresses on the internet.
    pub web: Web,
    /// The Bot API.
    pub telegram: FromTelegram,
}

#[tonic::async_trait]
impl Source for Sources {
    async fn open(&self, channel: &Known, reference: &[u8]) -> Result<Bytestream, NotOpened> {
        match serde_json::from_slice(reference) {
            Ok(Reference::Web { url }) => self.web.open(&url).await,
            Ok(Reference::Telegram { file_id }) => self.telegram.open(channel, &file_id).await,
            // Telegram's ids also come as they are.
            Err(_) => match std::str::from_utf8(reference) {
                Ok(file_id) if is_file_id(file_id) => self.telegram.open(channel, file_id).await,
                _ => Err(NotOpened::Never(REFERENCE)),
            },
        }
    }
}

fn is_file_id(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=256).contains(&text.len()) && text.bytes().all(plain)
}
