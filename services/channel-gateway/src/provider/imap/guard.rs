//! What a mail server may send before it is parsed: bounded literals, bounded lines, bounded nesting.
//!
//! The parser makes room for as much as a server announces, and recurses as deep as it nests.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::provider::wire::Wire;

/// The longest line outside literals: the answer to a search for everything in a very large folder fits.
const LINE_MAX: usize = 16 * 1024 * 1024;

/// How deep parentheses may nest. Servers themselves stop at about a hundred.
const DEPTH_MAX: u32 = 200;

/// A connection whose incoming bytes are watched.
#[derive(Debug)]
pub struct Guarded {
    wire: Wire,
    scanner: Scanner,
}

impl Guarded {
    /// Watches a connection; literals of up to `literal_max` bytes pass.
    pub fn new(wire: Wire, literal_max: usize) -> Self {
        Self {
            wire,
            scanner: Scanner::new(literal_max),
        }
    }

    /// Returns the connection.
    pub fn wire(&mut self) -> &mut Wire {
        &mut self.wire
    }

    /// Returns the connection, unwatched.
    pub fn into_wire(self) -> Wire {
        self.wire
    }
}

/// Follows lines and literals through the stream of bytes.
#[derive(Debug)]
pub(super) struct Scanner {
    literal_max: usize,
    /// Bytes of the present literal that are still to come.
    literal: usize,
    /// Length of the present line.
    line: usize,
    depth: u32,
    quoted: bool,
    escaped: bool,
    announced: Announced,
}

/// How far the announcement of a literal, `{123}` at the end of a line, was read.
#[derive(Debug, Clone, Copy)]
enum Announced {
    No,
    Digits(usize),
    Closed(usize),
}

impl Scanner {
    /// Begins before the first byte.
    pub fn new(literal_max: usize) -> Self {
        Self {
            literal_max,
            literal: 0,
            line: 0,
            depth: 0,
            quoted: false,
            escaped: false,
            announced: Announced::No,
        }
    }

    /// Follows further bytes; says why where they are not let through.
    pub fn scan(&mut self, mut bytes: &[u8]) -> Result<(), &'static str> {
        while !bytes.is_empty() {
            if self.literal > 0 {
                let inside = self.literal.min(bytes.len());
                self.literal -= inside;
                bytes = bytes.get(inside..).unwrap_or_default();
                continue;
            }
            let Some((byte, rest)) = bytes.split_first() else {
                break;
            };
            bytes = rest;
            self.byte(*byte)?;
        }
        Ok(())
    }

    fn byte(&mut self, byte: u8) -> Result<(), &'static str> {
        self.line += 1;
        if self.line > LINE_MAX {
            return Err("a line of the mail server has no end");
        }
        self.announced = match (self.announced, byte) {
            (_, b'{') => Announced::Digits(0),
            (Announced::Digits(size), b'0'..=b'9') => Announced::Digits(
                size.saturating_mul(10)
                    .saturating_add(usize::from(byte - b'0')),
            ),
            (Announced::Digits(size), b'+') => Announced::Digits(size),
            (Announced::Digits(size), b'}') | (Announced::Closed(size), b'\r') => {
                Announced::Closed(size)
            }
            (Announced::Closed(size), b'\n') => return self.begin(size),
            _ => Announced::No,
        };
        if byte == b'\n' {
            (self.line, self.depth) = (0, 0);
            (self.quoted, self.escaped) = (false, false);
        } else if self.quoted {
            self.quoted = self.escaped || byte != b'"';
            self.escaped = !self.escaped && byte == b'\\';
        } else {
            match byte {
                b'"' => self.quoted = true,
                b'(' => self.depth += 1,
                b')' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
            if self.depth > DEPTH_MAX {
                return Err("an answer of the mail server is nested too deep");
            }
        }
        Ok(())
    }

    /// Begins a literal. The line goes on behind it.
    fn begin(&mut self, size: usize) -> Result<(), &'static str> {
        self.announced = Announced::No;
        (self.quoted, self.escaped) = (false, false);
        if size > self.literal_max {
            return Err("the mail server sends more than was asked for");
        }
        self.literal = size;
        Ok(())
    }
}

impl AsyncRead for Guarded {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let read = Pin::new(&mut this.wire).poll_read(cx, buf);
        if matches!(read, Poll::Ready(Ok(()))) {
            let new = buf.filled().get(before..).unwrap_or_default();
            if let Err(why) = this.scanner.scan(new) {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, why)));
            }
        }
        read
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().wire).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().wire).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().wire).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_cost_too_much_is_refused_before_it_is_parsed() {
        let deep = format!("* 1 FETCH (BODYSTRUCTURE {})\r\n", "(".repeat(500));
        let quoted = format!(
            "* 1 FETCH (X \"{}\\\"{}\")\r\n",
            "(".repeat(500),
            "(".repeat(500)
        );
        let lines = "* (\r\n".repeat(500);
        for (what, text, passes) in [
            ("small literal", "* 1 FETCH (BODY[] {5}\r\n12345)\r\n", true),
            ("large literal", "* 1 FETCH (BODY[] {101}\r\n", false),
            (
                "endless number",
                "* X {99999999999999999999999999}\r\n",
                false,
            ),
            ("literal plus", "* X {101+}\r\n", false),
            (
                "announced inside a literal",
                "* X {9}\r\n{9999}\r\n\r\n",
                true,
            ),
            ("after a literal", "* X {2}\r\nab {9999}\r\n", false),
            ("no literal", "* OK {9999} is text\r\n", true),
            ("deep", deep.as_str(), false),
            ("quoted", quoted.as_str(), true),
            ("many lines", lines.as_str(), true),
        ] {
            let whole = Scanner::new(100).scan(text.as_bytes());
            let mut bytewise = Scanner::new(100);
            let pieces = text
                .as_bytes()
                .chunks(1)
                .try_for_each(|piece| bytewise.scan(piece));
            assert_eq!((whole.is_ok(), pieces.is_ok()), (passes, passes), "{what}");
        }
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut scanner = Scanner::new(100);
        let chunk = vec![b'x'; 1024 * 1024];
        let ended = (0..20).map(|_| scanner.scan(&chunk)).find(Result::is_err);
        assert!(ended.is_some());
    }
}
