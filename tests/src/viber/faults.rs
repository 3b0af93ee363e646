//! Faults that a test injects: per bot, receiver and method, for a number of calls or until cleared.

use serde::{Deserialize, Serialize};

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum FaultKind {
    /// A refusal of Viber's: HTTP 200 with this status (12 is "too many requests").
    Status {
        /// Viber's status.
        status: u64,
    },
    /// 502 without doing anything, and without an answer of Viber's.
    ServerError,
    /// The call is done after this many milliseconds.
    Delay {
        /// Milliseconds to wait before doing what was asked.
        ms: u64,
    },
    /// The call is done and kept as sent, but the connection breaks before its answer: the outcome is uncertain.
    AnswerLost,
    /// The call is done and kept as sent, but no answer comes within this many milliseconds; then the connection breaks.
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
    /// Only towards this receiver; everywhere when absent.
    #[serde(default)]
    pub receiver: Option<String>,
    /// Only for this method; for all when absent.
    #[serde(default)]
    pub method: Option<String>,
    /// How many calls it spoils; without a number, all until it is cleared.
    #[serde(default)]
    pub times: Option<u32>,
}

impl Fault {
    /// A fault of every message to one customer until cleared.
    pub fn towards(receiver: &str, kind: FaultKind) -> Self {
        Self {
            kind,
            receiver: Some(receiver.to_owned()),
            method: None,
            times: None,
        }
    }

    /// A fault of every call of one method until cleared.
    pub fn of(method: &str, kind: FaultKind) -> Self {
        Self {
            kind,
            receiver: None,
            method: Some(method.to_owned()),
            times: None,
        }
    }

    /// The same for the next `times` calls only.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// Whether a call of `method` towards `receiver` meets this fault.
    pub(super) fn meets(&self, method: &str, receiver: Option<&str>) -> bool {
        let there = self.receiver.as_deref();
        there.is_none_or(|wanted| receiver == Some(wanted))
            && self.method.as_ref().is_none_or(|wanted| wanted == method)
    }
}
