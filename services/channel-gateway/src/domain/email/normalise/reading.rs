//! A mail as it was read, and what it becomes by what came, and went out, before it.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use switchboard_proto::channel_gateway::v1::{
    InboundEvent, InboundMessage, InboundProviderState, inbound_event::Kind,
};

use super::File;
use crate::domain::email::address::Address;
use crate::domain::email::read::Mail;
use crate::domain::inbound::unsupported;

/// Half a SHA-256.
pub type Hash = [u8; 16];

/// What a mail from the mailbox's own address is, that came in and that nobody here sent.
pub const UNPROVEN: &str = "own-address-unproven";

/// Where a mail stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// A client wrote it.
    Client,
    /// It lies among what was sent from the mailbox: whoever put it there may log in.
    Sent,
    /// It came in, and says that the mailbox's own address wrote it.
    OwnAddress,
}

/// What must be looked up of a mail before it is known what it becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Its Message-ID.
    pub message_id: String,
    /// Hash of what it says.
    pub content: Hash,
    /// Where it stands.
    pub side: Side,
    /// Its Message-ID is of the form that ours have.
    pub our_form: bool,
    /// The key of its chat; empty where it has none.
    pub chat_key: String,
    /// Message-IDs of earlier mails that it names.
    pub references: Vec<String>,
}

/// What was found of a mail.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Another mail has its Message-ID.
    pub further: bool,
    /// A mail with its Message-ID went out from the mailbox.
    pub went_out: bool,
    /// Of the mails that it names, those that do not have their Message-IDs for themselves: hashes of what they say.
    pub further_references: BTreeMap<String, Hash>,
}

/// A mail that was read.
#[derive(Debug, Clone)]
pub struct Reading {
    pub(super) events: Vec<InboundEvent>,
    pub(super) files: Vec<File>,
    pub(super) claim: Option<Claim>,
}

impl Reading {
    /// Returns what must be looked up; none where nothing depends on it.
    pub fn claim(&self) -> Option<&Claim> {
        self.claim.as_ref()
    }

    /// Returns the events and files of the mail, as it stands.
    ///
    /// The first mail with an id is known by the id, so that answers, threads and bounces find it. A further one of
    /// another content has a key of its own, the same whenever it is read: a constant id, or one of ours, must not make a
    /// client's mail vanish.
    ///
    /// A mail that came in and says that our own address wrote it proves nothing: anybody can write that, and would answer
    /// clients in the shop's name. Where the id is one that went out, it is the copy of a mail that is known from there
    /// (a blind copy to ourselves, a rule that files what was sent). Otherwise it is kept as it came, and is nobody's:
    /// neither an answer of ours nor a chat. What a colleague sent with another program is told when it appears among
    /// what was sent; until then nothing of it is lost.
    pub fn settle(mut self, standing: &Standing) -> (Vec<InboundEvent>, Vec<File>) {
        let Some(claim) = self.claim else {
            return (self.events, self.files);
        };
        for event in &mut self.events {
            if claim.side == Side::OwnAddress {
                event.kind = Some(if standing.went_out {
                    Kind::ProviderState(InboundProviderState {
                        kind: "own-copy".to_owned(),
                        extension: claim.message_id.clone().into_bytes().into(),
                    })
                } else {
                    unsupported(UNPROVEN)
                });
                continue;
            }
            let Some(message) = message(event) else {
                continue;
            };
            if standing.further {
                message.provider_key = further_key(&claim.message_id, &claim.content);
            }
            for reference in &mut message.references {
                if let Some(content) = standing.further_references.get(reference) {
                    *reference = further_key(reference, content);
                }
            }
        }
        (self.events, self.files)
    }
}

fn message(event: &mut InboundEvent) -> Option<&mut InboundMessage> {
    match &mut event.kind {
        Some(Kind::Message(message)) => Some(message),
        Some(Kind::OwnAppMessage(own)) => own.message.as_mut(),
        _ => None,
    }
}

/// Returns the key of a mail whose Message-ID another mail has. No Message-ID looks like it: what stands behind the
/// bracket is never read as part of one.
pub fn further_key(message_id: &str, content: &Hash) -> String {
    format!("{message_id}#{}", hex::encode(content))
}

/// Returns the hash of a Message-ID.
pub fn id_hash(message_id: &str) -> Hash {
    half(&Sha256::digest(message_id))
}

/// Returns the hash of what a mail says and of whom it is from or for, by which mails with one id are told apart. Of a mail
/// that was not fetched whole, it is made of what is the same however much of it was.
pub(super) fn content(mail: &Mail, person: &Address, whole: bool) -> Hash {
    let mut hash = Sha256::new();
    if whole {
        hash.update(mail.content_hash());
    } else {
        let date = mail.date.map_or(0, time::OffsetDateTime::unix_timestamp);
        for piece in [&mail.from.email, &mail.subject, &date.to_string()] {
            hash.update(piece);
            hash.update([0]);
        }
    }
    // A form writes for all from one address.
    hash.update(person.key());
    half(&hash.finalize())
}

fn half(digest: &[u8]) -> Hash {
    let mut half = Hash::default();
    for (to, from) in half.iter_mut().zip(digest) {
        *to = *from;
    }
    half
}
