//! The last lines, kept for whoever asks (O3.8), and for the moment when the process ends: Kubernetes shows what then stands in
//! the termination file (`kubectl describe pod`), when the log itself may be gone.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::panic::PanicHookInfo;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing_subscriber::fmt::MakeWriter;

/// Lines that are kept, and their bytes.
const KEPT: (usize, usize) = (1_000, 512 * 1024);

/// Lines of a termination message at most.
const LINES: usize = 100;

/// What Kubernetes reads of the file, in bytes.
const BYTES: usize = 4_096;

/// Characters of a panic that are told: what it says may be long.
const PANIC: usize = 500;

/// Why a process ends that was not asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Its configuration cannot be used.
    Configuration,
    /// It could not start.
    Start,
    /// A part of it that it cannot do without failed.
    Task,
    /// It panicked: a mistake in the code.
    Panic,
}

impl Cause {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Start => "start",
            Self::Task => "task",
            Self::Panic => "panic",
        }
    }
}

static TAIL: Mutex<Tail> = Mutex::new(Tail::new());
static PANICKED: Mutex<Option<String>> = Mutex::new(None);

/// The last lines, the oldest first.
struct Tail {
    lines: VecDeque<String>,
    bytes: usize,
}

impl Tail {
    const fn new() -> Self {
        Self {
            lines: VecDeque::new(),
            bytes: 0,
        }
    }

    fn keep(&mut self, line: String) {
        self.bytes += line.len();
        self.lines.push_back(line);
        while self.lines.len() > KEPT.0 || self.bytes > KEPT.1 {
            let Some(gone) = self.lines.pop_front() else {
                return;
            };
            self.bytes -= gone.len();
        }
    }
}

/// Returns the last lines as they were written, the oldest first.
pub(crate) fn recent() -> Vec<String> {
    lock(&TAIL).lines.iter().cloned().collect()
}

/// Writes lines on stdout and keeps the last of them.
pub(super) struct Kept;

impl<'a> MakeWriter<'a> for Kept {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        Self
    }
}

impl Write for Kept {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        lock(&TAIL).keep(String::from_utf8_lossy(line).into_owned());
        io::stdout().lock().write_all(line)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().lock().flush()
    }
}

/// Has panics logged as one line of JSON, with where they happened, and remembered for [`terminated`].
pub(super) fn log_panics() {
    std::panic::set_hook(Box::new(|panic: &PanicHookInfo<'_>| {
        let text = panic.payload_as_str().unwrap_or("it says nothing");
        let text: String = text.chars().take(PANIC).collect();
        let place = panic
            .location()
            .map_or_else(String::new, ToString::to_string);
        tracing::error!(location = place, panic = text, "panicked");
        *lock(&PANICKED) = Some(format!("{place}: {text}"));
    }));
}

/// Returns where it panicked last and what that said.
pub fn panicked() -> Option<String> {
    lock(&PANICKED).clone()
}

/// Leaves the cause and the last lines where Kubernetes looks for them. Where the file is not there already, there is no
/// Kubernetes, and nothing is written.
pub fn terminated(file: &Path, cause: Cause, text: &str) {
    if !file.exists() {
        return;
    }
    let message = message(cause, text, lock(&TAIL).lines.iter().map(String::as_str));
    // Nobody is left to tell.
    let _ = std::fs::write(file, message);
}

/// The cause first, then as many of the last lines as fit.
fn message<'a>(
    cause: Cause,
    text: &str,
    lines: impl DoubleEndedIterator<Item = &'a str>,
) -> String {
    let head = format!(
        "cause: {}\nversion: {}\n{text}\n",
        cause.as_str(),
        env!("CARGO_PKG_VERSION")
    );
    let mut head: String = head.chars().take(BYTES / 4).collect();
    let mut left = BYTES - head.len().min(BYTES);
    let mut fitting: Vec<&str> = lines
        .rev()
        .take(LINES)
        .take_while(|line| {
            let fits = line.len() <= left;
            left = left.saturating_sub(line.len());
            fits
        })
        .collect();
    fitting.reverse();
    head.extend(fitting);
    head
}

fn lock<T>(kept: &Mutex<T>) -> MutexGuard<'_, T> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o39_the_cause_stands_first_and_the_newest_lines_fit() {
        let lines: Vec<String> = (0..300)
            .map(|number| format!("{{\"line\":{number},\"text\":\"{}\"}}\n", "x".repeat(40)))
            .collect();
        let told = message(
            Cause::Panic,
            "services/x.rs:7: oh",
            lines.iter().map(String::as_str),
        );
        assert!(told.starts_with("cause: panic\n"), "{told}");
        assert!(told.contains("services/x.rs:7: oh"));
        assert!(told.len() <= BYTES, "{}", told.len());
        assert!(told.contains("\"line\":299,") && !told.contains("\"line\":199,"));
        assert!(told.find("\"line\":298,") < told.find("\"line\":299,"));
    }

    #[test]
    fn o3_8_the_newest_lines_are_kept_within_bounds() {
        let mut tail = Tail::new();
        for number in 0..1_100 {
            tail.keep(format!("{number}\n"));
        }
        assert_eq!(tail.lines.len(), KEPT.0);
        assert_eq!(tail.lines.front().map(String::as_str), Some("100\n"));
        let bytes: usize = tail.lines.iter().map(String::len).sum();
        assert_eq!(tail.bytes, bytes);
        for _ in 0..100 {
            tail.keep("x".repeat(10_000));
        }
        assert_eq!(tail.lines.len(), KEPT.1 / 10_000);
        // One that is larger than all may be: nothing of it is kept.
        tail.keep("x".repeat(KEPT.1 + 1));
        assert_eq!((tail.lines.len(), tail.bytes), (0, 0));
    }

    #[test]
    fn o39_nothing_is_written_where_nobody_looks() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("termination-log");
        terminated(&file, Cause::Start, "no broker");
        assert!(!file.exists());
        std::fs::write(&file, "").unwrap();
        terminated(&file, Cause::Start, "no broker");
        let told = std::fs::read_to_string(&file).unwrap();
        assert!(
            told.starts_with("cause: start\n") && told.contains("no broker"),
            "{told}"
        );
    }
}
