//! What the stand-in remembers and shows: calls, files, customers.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A file that came with a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentFile {
    /// Form field.
    pub field: String,
    /// File name as sent.
    pub name: String,
    /// Content type as sent.
    pub mime: Option<String>,
    /// Bytes.
    pub size: usize,
    /// SHA-256 of the content, hexadecimal.
    pub sha256: String,
}

/// An outgoing call that was accepted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sent {
    /// 1 for the first call accepted, counting up without gaps per bot.
    pub ordinal: u64,
    /// When, Unix milliseconds.
    pub at_ms: i64,
    /// Method, for example `sendMessage`.
    pub method: String,
    /// The chat it went to.
    pub chat_id: i64,
    /// The message ids that the answer gave (several for an album).
    pub message_ids: Vec<i64>,
    /// All parameters as they came.
    pub params: Map<String, Value>,
    /// Uploaded files.
    pub files: Vec<SentFile>,
    /// What each message holds that is more than a text: an edit's answer repeats it.
    #[serde(skip)]
    pub(super) media: Vec<Value>,
}

/// A person who writes to the bot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Customer {
    /// First name; "Customer n" unless told.
    pub first_name: Option<String>,
    /// Last name.
    pub last_name: Option<String>,
    /// Name with `@` in Telegram, here without.
    pub username: Option<String>,
    /// Language of the app.
    pub language_code: Option<String>,
    /// File of the photo that this person shows; none unless put.
    #[serde(default)]
    pub photo: Option<String>,
    /// Whether the bot is blocked by this person: sends answer 403.
    #[serde(default)]
    pub blocked: bool,
}
