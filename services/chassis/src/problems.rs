//! The last warnings and errors of this process, for whoever asks how it is.
//!
//! They are taken from the log as it is written, so that they hold what log lines may hold: never message text, names,
//! phones, addresses or tokens.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value};
use switchboard_proto::operator::v1::{Level, LoggedProblem};
use time::OffsetDateTime;

use crate::grpc::timestamp;

/// How many are kept.
const KEPT: usize = 20;

/// A text is cut to so many characters.
const LENGTH: usize = 300;

/// Fields of a log line that say why.
const REASONS: [&str; 3] = ["error", "reason", "event"];

/// Fields of a log line that say where.
const PLACES: [&str; 6] = [
    "consumer",
    "stream",
    "dependency",
    "latch",
    "task",
    "channel",
];

static PROBLEMS: Mutex<Problems> = Mutex::new(Problems::new());

/// Problems, the newest first.
struct Problems(VecDeque<Problem>);

struct Problem {
    level: Level,
    text: String,
    time: OffsetDateTime,
    count: u64,
}

impl Problems {
    const fn new() -> Self {
        Self(VecDeque::new())
    }

    /// Keeps a problem; what says the same as an earlier one is counted with it.
    fn keep(&mut self, level: Level, text: String, time: OffsetDateTime) {
        let earlier = self
            .0
            .iter()
            .position(|known| known.level == level && known.text == text);
        let count = earlier
            .and_then(|at| self.0.remove(at))
            .map_or(0, |known| known.count);
        self.0.push_front(Problem {
            level,
            text,
            time,
            count: count + 1,
        });
        self.0.truncate(KEPT);
    }

    fn told(&self) -> Vec<LoggedProblem> {
        let told = self.0.iter().map(|problem| LoggedProblem {
            level: problem.level.into(),
            text: problem.text.clone(),
            time: Some(timestamp(problem.time)),
            count: problem.count,
        });
        told.collect()
    }
}

/// Keeps a log line, if it is a warning or an error.
pub(crate) fn keep(level: tracing::Level, line: &Map<String, Value>, time: OffsetDateTime) {
    let level = match level {
        tracing::Level::ERROR => Level::Fail,
        tracing::Level::WARN => Level::Warn,
        _ => return,
    };
    PROBLEMS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .keep(level, text(line), time);
}

/// Returns what is kept, the newest first.
pub(crate) fn told() -> Vec<LoggedProblem> {
    PROBLEMS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .told()
}

/// What a line says: its message, where, and why. All else differs from line to line.
fn text(line: &Map<String, Value>) -> String {
    let field = |name: &str| line.get(name).and_then(Value::as_str);
    let mut text = field("message").unwrap_or_default().to_owned();
    let places = PLACES
        .iter()
        .filter_map(|name| Some(format!(" [{name} {}]", field(name)?)));
    text.extend(places);
    let reasons = REASONS
        .iter()
        .filter_map(|name| Some(format!(": {}", field(name)?)));
    text.extend(reasons);
    text.chars().take(LENGTH).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }

    #[test]
    fn o201_a_line_is_told_by_what_it_says_where_and_why() {
        for (value, expected) in [
            (
                json!({"message": "cannot pull", "consumer": "crm-cards-events", "error": "timed out"}),
                "cannot pull [consumer crm-cards-events]: timed out",
            ),
            (
                json!({"message": "not ready", "latch": "nats", "reason": "not connected", "failures": 3}),
                "not ready [latch nats]: not connected",
            ),
            (json!({"message": "odd", "trace_id": "4bf9"}), "odd"),
            (json!({}), ""),
        ] {
            assert_eq!(text(&line(value)), expected);
        }
        let long = line(json!({"message": "x".repeat(1_000)}));
        assert_eq!(text(&long).len(), LENGTH);
    }

    #[test]
    fn o201_what_says_the_same_is_counted_and_the_oldest_go() {
        let mut problems = Problems::new();
        let at = |second| OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(second);
        problems.keep(Level::Warn, "a".into(), at(1));
        problems.keep(Level::Fail, "a".into(), at(2));
        problems.keep(Level::Warn, "b".into(), at(3));
        problems.keep(Level::Warn, "a".into(), at(4));
        let told: Vec<_> = problems
            .told()
            .into_iter()
            .map(|problem| (problem.text, problem.count, problem.time.unwrap().seconds))
            .collect();
        assert_eq!(
            told,
            [("a".into(), 2, 4), ("b".into(), 1, 3), ("a".into(), 1, 2)]
        );
        for number in 0..50 {
            problems.keep(Level::Warn, number.to_string(), at(number));
        }
        let told = problems.told();
        assert_eq!((told.len(), told[0].text.as_str()), (KEPT, "49"));
    }
}
