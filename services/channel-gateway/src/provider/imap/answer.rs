//! Answers of a server as they are read of a connection, without one: for whoever looks at odd ones.

use async_imap::imap_proto::{AttributeValue, Response};

use super::fetch::{Envelope, read as read_envelope};
use super::guard::Scanner;
use super::outline::{Outline, outline};

/// What an answer tells of a message.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// What it is.
    pub envelope: Envelope,
    /// What it consists of.
    pub outline: Outline,
}

/// Tells whether bytes that come in these pieces are let through to the parser.
pub fn admitted(pieces: &[&[u8]], literal_max: usize) -> bool {
    let mut scanner = Scanner::new(literal_max);
    pieces.iter().all(|piece| scanner.scan(piece).is_ok())
}

/// Reads what answers tell of messages, until one is not understood. They must have been admitted.
pub fn read(mut answers: &[u8]) -> Vec<Told> {
    let mut all = Vec::new();
    while let Ok((rest, response)) = Response::parse(answers) {
        if let Response::Fetch(_, attributes) = &response {
            let mut told = Told::default();
            read_envelope(attributes, &mut told.envelope);
            for attribute in attributes {
                if let AttributeValue::BodyStructure(root) = attribute {
                    told.outline = outline(root);
                }
            }
            all.push(told);
        }
        if rest.len() == answers.len() {
            break;
        }
        answers = rest;
    }
    all
}
