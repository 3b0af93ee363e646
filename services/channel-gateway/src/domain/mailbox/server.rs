//! What is told of a server of a mailbox that cannot be used: which, why, and what to do.

use std::fmt;

/// Characters of a problem that are told.
const PROBLEM_MAX: usize = 200;

/// A server that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerAway {
    /// What it is for: `IMAP`, `SMTP`, or `OAuth`.
    pub server: &'static str,
    /// Host and port.
    pub address: String,
    /// What happened; without secrets.
    pub problem: String,
}

impl ServerAway {
    /// Makes it; the problem becomes one bounded line.
    pub fn new(server: &'static str, address: String, problem: &str) -> Self {
        let line = problem
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c });
        let line: String = line.take(PROBLEM_MAX).collect();
        let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        Self {
            server,
            address,
            problem: line.trim_end_matches('.').to_owned(),
        }
    }
}

impl fmt::Display for ServerAway {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            server,
            address,
            problem,
        } = self;
        let what = match *server {
            "IMAP" => "incoming mail server",
            "SMTP" => "outgoing mail server",
            _ => "server that gives access tokens",
        };
        write!(
            out,
            "the {what} ({server}, {address}) cannot be used: {problem}. Check its host, port and security, and that it \
             can be reached from the internet; then try again"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_cannot_be_used_is_named_with_what_to_do() {
        let away = ServerAway::new(
            "SMTP",
            "smtp.shop.example:465".into(),
            "no\r\nconnection  now.",
        );
        let said = away.to_string();
        for word in [
            "outgoing mail server (SMTP, smtp.shop.example:465)",
            ": no connection now. Check",
            "host, port and security",
        ] {
            assert!(said.contains(word), "{said}");
        }
        let long = ServerAway::new("IMAP", String::new(), &"x".repeat(1_000));
        assert_eq!(long.problem.len(), PROBLEM_MAX);
    }
}
