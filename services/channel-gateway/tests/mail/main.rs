//! Mailboxes over a real Dovecot and a real database, submission to a real SMTP server.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on must fail"
)]

mod follow;
mod imap;
mod oauth;
mod smtp;
mod world;
