//! Faults that a test injects: per bot, chat and method, for a number of calls or until cleared.

use serde::{Deserialize, Serialize};

use super::answer::Refusal;

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum FaultKind {
    /// 403 "bot was blocked by the user".
    Blocked,
    /// 403 "user is deactivated".
    Deactivated,
    /// 400 "chat not found".
    ChatNotFound,
    /// 400 "message to be replied not found" (only for calls that reply without `allow_sending_without_reply`).
    ReplyNotFound,
    /// 401, as after the token was revoked.
    Unauthorized,
    /// 429 with `retry_after` seconds.
    Flood {
        /// Seconds to wait, in `parameters` and in the `Retry-After` header.
        retry_after: u64,
    },
    /// 502 without doing anything.
    ServerError,
    /// Any other refusal.
    Refuse {
        /// HTTP status and `error_code`.
        error_code: u16,
        /// Full description.
        description: String,
    },
    /// The call is done after this many milliseconds.
    Delay {
        /// Milliseconds to wait before doing what was asked.
        ms: u64,
    },
    /// The call is done and kept as sent, but the connection breaks before its answer: the outcome is uncertain.
    AnswerLost,
    /// The call is done and kept as sent, but no answer comes within this many milliseconds; then the connection breaks.
    /// Of a download half comes before.
    AnswerHangs {
        /// Milliseconds until the connection breaks.
        ms: u64,
    },
}

/// A fault and where it applies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// What goes wrong.
    #[serde(flatten)]
    pub kind: FaultKind,
    /// Only in this chat; everywhere when absent.
    #[serde(default)]
    pub chat_id: Option<i64>,
    /// Only for this method; for all sending methods when absent.
    #[serde(default)]
    pub method: Option<String>,
    /// How many calls it spoils; without a number, all until it is cleared.
    #[serde(default)]
    pub times: Option<u32>,
}

/// What no fault spoils that does not name it.
const BESIDE: [&str; 2] = ["download", "getUserProfilePhotos"];

impl Fault {
    /// A fault of every call in one chat until cleared.
    pub fn in_chat(chat_id: i64, kind: FaultKind) -> Self {
        Self {
            kind,
            chat_id: Some(chat_id),
            method: None,
            times: None,
        }
    }

    /// The same for the next `times` calls only.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// Whether a call of `method` in `chat_id` meets this fault.
    pub(super) fn meets(&self, method: &str, chat_id: Option<i64>, strict_reply: bool) -> bool {
        let everywhere = matches!(self.kind, FaultKind::Unauthorized | FaultKind::ServerError);
        self.chat_id.is_none_or(|wanted| chat_id == Some(wanted))
            && match &self.method {
                Some(wanted) => wanted.eq_ignore_ascii_case(method),
                // A download is no call, and a photo is asked for beside the calls: only who names them spoils them.
                None => (everywhere && !BESIDE.contains(&method)) || chat_id.is_some(),
            }
            && (self.kind != FaultKind::ReplyNotFound || strict_reply)
    }
}

impl FaultKind {
    /// The refusal this fault answers with, for the kinds that do nothing else.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Blocked => Some(Refusal::new(403, "Forbidden: bot was blocked by the user")),
            Self::Deactivated => Some(Refusal::new(403, "Forbidden: user is deactivated")),
            Self::ChatNotFound => Some(Refusal::bad("chat not found")),
            Self::ReplyNotFound => Some(Refusal::bad("message to be replied not found")),
            Self::Unauthorized => Some(Refusal::new(401, "Unauthorized")),
            Self::Flood { retry_after } => Some(Refusal::flood(*retry_after)),
            Self::ServerError => Some(Refusal::new(502, "Bad Gateway")),
            Self::Refuse {
                error_code,
                description,
            } => Some(Refusal::new(*error_code, description.clone())),
            Self::Delay { .. } | Self::AnswerLost | Self::AnswerHangs { .. } => None,
        }
    }
}
