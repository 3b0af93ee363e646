//! The one place that writes to stdout and stderr. Whoever reads may leave early (`| head -1`): that ends the command
//! quietly, as it ends other tools, and never by a panic.

use std::fmt::Arguments;
use std::io::{Error, ErrorKind, Write};

/// What a shell says of a tool that was ended because nobody reads any more: 128 and the number of SIGPIPE.
const NOBODY_READS: i32 = 141;

/// A line on stdout, with the words of `println!`.
macro_rules! say {
    () => { $crate::output::out::line(format_args!("")) };
    ($($words:tt)+) => { $crate::output::out::line(format_args!($($words)+)) };
}

/// A line on stderr, with the words of `eprintln!`.
macro_rules! note {
    () => { $crate::output::out::aside(format_args!("")) };
    ($($words:tt)+) => { $crate::output::out::aside(format_args!($($words)+)) };
}

pub(crate) use {note, say};

/// Writes a line to stdout.
pub(crate) fn line(text: Arguments<'_>) {
    if let Some(code) = written(&mut std::io::stdout().lock(), text) {
        std::process::exit(code);
    }
}

/// Writes bytes to stdout as they are.
pub(crate) fn bytes(bytes: &[u8]) {
    let mut out = std::io::stdout().lock();
    if let Err(error) = out.write_all(bytes).and_then(|()| out.flush()) {
        std::process::exit(code(&error));
    }
}

/// Writes a line to stderr. What nobody reads there is no reason to stop.
pub(crate) fn aside(text: Arguments<'_>) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Writes over the line on stderr on which the cursor stands: for what changes while somebody watches.
pub(crate) fn over(text: &str) {
    let mut out = std::io::stderr().lock();
    let _ = write!(out, "\r{text}\u{1b}[K").and_then(|()| out.flush());
}

/// Writes a line; returns the code to end with where that cannot be done.
fn written(out: &mut impl Write, text: Arguments<'_>) -> Option<i32> {
    let error = writeln!(out, "{text}").and_then(|()| out.flush()).err()?;
    Some(code(&error))
}

fn code(error: &Error) -> i32 {
    if error.kind() == ErrorKind::BrokenPipe {
        return NOBODY_READS;
    }
    aside(format_args!(
        "error: the answer cannot be written: {}",
        crate::error::plain(error)
    ));
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader that fails in one way.
    struct Gone(ErrorKind);

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_who_leaves_ends_the_command_without_a_word() {
        let mut read = Vec::new();
        assert_eq!(written(&mut read, format_args!("a {}", 1)), None);
        assert_eq!(read, b"a 1\n");
        for (kind, expected) in [
            (ErrorKind::BrokenPipe, NOBODY_READS),
            (ErrorKind::StorageFull, 1),
        ] {
            let ended = written(&mut Gone(kind), format_args!("a"));
            assert_eq!(ended, Some(expected), "{kind:?}");
        }
    }
}
