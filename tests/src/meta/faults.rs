//! Faults that a test injects, into calls of the Graph API or into what the webhook gets.

use serde::{Deserialize, Serialize};

use super::answer::Refusal;

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum FaultKind {
    /// A call is refused with these numbers.
    Refuse {
        /// `code`.
        code: i64,
        /// `error_subcode`.
        #[serde(default)]
        subcode: Option<i64>,
    },
    /// A call is refused: too many were made.
    Flood {
        /// Seconds to wait, in the `Retry-After` header.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// A call is answered 503 by something before the Graph API, and not done.
    Outage,
    /// A call is done after this many milliseconds.
    Slow {
        /// Milliseconds.
        ms: u64,
    },
    /// A call is done, but the connection breaks before its answer.
    AnswerLost,
    /// An item is delivered again after it was accepted.
    Twice,
    /// An item is never delivered.
    Never,
}

/// A fault and where it applies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// What goes wrong.
    #[serde(flatten)]
    pub kind: FaultKind,
    /// Only where this stands in `POST /me/messages`, or in the word for an item, as `echo` or `comments`.
    #[serde(default)]
    pub of: Option<String>,
    /// How many calls or items it spoils; without a number, all until it is cleared.
    #[serde(default)]
    pub times: Option<u32>,
}

impl Fault {
    /// A fault of everything in whose name this stands.
    pub fn of(what: &str, kind: FaultKind) -> Self {
        Self {
            kind,
            of: Some(what.to_owned()),
            times: None,
        }
    }

    /// The same for the next `times` only.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    pub(super) fn meets(&self, of_webhook: bool, name: &str) -> bool {
        let webhook = matches!(self.kind, FaultKind::Twice | FaultKind::Never);
        webhook == of_webhook
            && self
                .of
                .as_ref()
                .is_none_or(|part| name.contains(part.as_str()))
    }
}

impl FaultKind {
    /// The refusal that this fault answers with, for the kinds that do nothing else.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Refuse { code, subcode } => {
                Some(Refusal::new(*code, *subcode, "Refused on purpose."))
            }
            Self::Flood { retry_after } => Some(Refusal {
                retry_after: *retry_after,
                ..Refusal::new(613, None, "Calls to this api have exceeded the rate limit.")
            }),
            _ => None,
        }
    }
}
