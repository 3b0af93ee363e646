//! Files of Telegram messages: what they are, and how they are found again at Telegram.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use switchboard_proto::common::v1::{Attachment, attachment};
use uuid::Uuid;

use crate::domain::value::{id, int, size, text};

/// Bytes of a file that the Bot API gives away at most (channels.md §2.4).
pub const DOWNLOAD_MAX: i64 = 20 * 1024 * 1024;

/// Why a larger one cannot be had.
pub const TOO_LARGE: &str =
    "The file is larger than 20 MB, and Telegram does not give such files to bots.";

/// Characters of a file's name that are kept.
const NAME_MAX: usize = 255;

/// How a file is found at Telegram: what `Attachment.extension` holds, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRef {
    /// What `getFile` asks for. Valid for this bot only.
    pub file_id: String,
    /// Size in bytes as Telegram told it; 0 where it did not.
    #[serde(default)]
    pub size: i64,
}

impl FileRef {
    /// Reads the extension of an attachment. A bare file id, as older events carry it, is one too.
    pub fn read(extension: &[u8]) -> Option<Self> {
        if let Ok(read) = serde_json::from_slice(extension) {
            return Some(read);
        }
        let bare = std::str::from_utf8(extension).ok()?;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        (!bare.is_empty() && bare.chars().all(plain)).then(|| Self {
            file_id: bare.to_owned(),
            size: 0,
        })
    }

    /// Returns what an attachment carries.
    pub fn extension(&self) -> Bytes {
        serde_json::to_vec(self).unwrap_or_default().into()
    }
}

/// Reads a file of a message; none where Telegram names none. One that is too large for bots is known to be lost at
/// once: the message keeps its place with the file's name and size (channels.md §2.4, §7.1).
pub fn read(channel: Uuid, file: &Value, kind: attachment::Kind) -> Option<Attachment> {
    let file_id = id(file, "file_id")?;
    let unique = id(file, "file_unique_id").unwrap_or_else(|| file_id.clone());
    let bytes = int(file, "file_size").unwrap_or(0).max(0);
    let (state, reason) = if bytes > DOWNLOAD_MAX {
        (attachment::State::Failed, TOO_LARGE)
    } else {
        (attachment::State::Pending, "")
    };
    // A round video has one measure.
    let round = size(file, "length");
    let name = text(file, "file_name").unwrap_or_default();
    let reference = FileRef {
        file_id,
        size: bytes,
    };
    Some(Attachment {
        attachment_id: chassis::id::v5("attachment", &[&channel.to_string(), &unique]).to_string(),
        kind: kind.into(),
        state: state.into(),
        reason: reason.to_owned(),
        file_name: name.chars().take(NAME_MAX).collect(),
        media_type: text(file, "mime_type").unwrap_or_default(),
        size: bytes,
        width: size(file, "width").max(round),
        height: size(file, "height").max(round),
        duration_ms: i64::from(size(file, "duration")) * 1_000,
        extension: reference.extension(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    // pitfall 01: a file that is too large is a placeholder, and no error
    #[test]
    fn a_file_that_bots_cannot_have_says_so() {
        for (bytes, state) in [
            (json!(null), attachment::State::Pending),
            (json!(DOWNLOAD_MAX), attachment::State::Pending),
            (json!(DOWNLOAD_MAX + 1), attachment::State::Failed),
            (json!("5368709120"), attachment::State::Failed),
        ] {
            let file = json!({"file_id": "BQAC1", "file_unique_id": "AgAD1", "file_size": bytes});
            let read = read(Uuid::nil(), &file, attachment::Kind::Document).unwrap();
            assert_eq!(read.state(), state, "{bytes}");
            assert_eq!(read.reason.is_empty(), state == attachment::State::Pending);
            let reference = FileRef::read(&read.extension).unwrap();
            assert_eq!(
                (reference.file_id.as_str(), reference.size),
                ("BQAC1", read.size)
            );
        }
    }

    #[test]
    fn references_are_json_or_bare_ids() {
        let of = |extension: &str| FileRef::read(extension.as_bytes()).map(|read| read.file_id);
        assert_eq!(of("AgACAgIAAx-_x").as_deref(), Some("AgACAgIAAx-_x"));
        assert_eq!(of(r#"{"file_id":"a","size":3}"#).as_deref(), Some("a"));
        assert_eq!(of(r#"{"file_id":"a"}"#).as_deref(), Some("a"));
        assert_eq!(of(""), None);
        assert_eq!(of("{}"), None);
        assert_eq!(of("https://a.example/b"), None);
    }
}
