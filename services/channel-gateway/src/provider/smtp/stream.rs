//! Connections as the SMTP client needs them: secured by `STARTTLS`, and in ASCII.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};

use super::SendError;
use crate::domain::smtp::{SmtpReply, Stage};
use crate::provider::wire::Wire;

/// The longest line of a reply before TLS.
const LINE_MAX: usize = 1_000;

/// Lines of a reply before TLS at most.
const LINES_MAX: usize = 100;

/// Makes a server begin TLS. It reads not a byte beyond the reply, so nothing sent in the clear is taken for what comes
/// later.
pub(super) async fn start_tls(wire: &mut Wire, hello: &str) -> Result<(), SendError> {
    expect_ok(wire).await?;
    write(wire, &format!("EHLO {hello}\r\n")).await?;
    let able = expect_ok(wire).await?;
    let offered = able
        .lines()
        .any(|line| line.trim().eq_ignore_ascii_case("STARTTLS"));
    if !offered {
        let why = "it offers no STARTTLS, which is required";
        return Err(SendError::NotReached(why.into()));
    }
    write(wire, "STARTTLS\r\n").await?;
    expect_ok(wire).await.map(drop)
}

async fn write(wire: &mut Wire, line: &str) -> Result<(), SendError> {
    let written = async {
        wire.write_all(line.as_bytes()).await?;
        wire.flush().await
    };
    written.await.map_err(broke)
}

/// Reads a reply and returns its text if it is positive.
async fn expect_ok(wire: &mut Wire) -> Result<String, SendError> {
    let mut text = String::new();
    for _ in 0..LINES_MAX {
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') && line.len() < LINE_MAX {
            line.push(wire.read_u8().await.map_err(broke)?);
        }
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        let code = line.get(..3).and_then(|code| code.parse::<u16>().ok());
        let Some(code) = code else {
            return Err(SendError::NotReached("this is no mail server".into()));
        };
        text.push_str(line.get(4..).unwrap_or_default());
        text.push('\n');
        if line.as_bytes().get(3) != Some(&b'-') {
            return if (200..400).contains(&code) {
                Ok(text)
            } else {
                Err(SendError::Refused {
                    stage: Stage::Greeting,
                    reply: SmtpReply::read(code, &text),
                })
            };
        }
    }
    Err(SendError::NotReached("its reply has no end".into()))
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "it stands where errors are mapped"
)]
fn broke(error: io::Error) -> SendError {
    SendError::NotReached(error.to_string())
}

/// A connection as the SMTP client reads it: beginning with a preface, and in ASCII, as replies are by the protocol. It
/// takes any other byte for a broken connection, which would turn "accepted" into "unknown".
#[derive(Debug)]
pub(super) struct Replies {
    /// The connection.
    pub(super) wire: Wire,
    /// What is read first.
    pub(super) preface: &'static [u8],
}

impl AsyncTokioStream for Replies {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.wire.peer()
    }
}

impl AsyncRead for Replies {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.preface.is_empty() {
            let (now, later) = this
                .preface
                .split_at(this.preface.len().min(buf.remaining()));
            buf.put_slice(now);
            this.preface = later;
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut this.wire).poll_read(cx, buf);
        for byte in buf.filled_mut().iter_mut().skip(before) {
            if !byte.is_ascii() {
                *byte = b'?';
            }
        }
        read
    }
}

impl AsyncWrite for Replies {
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
