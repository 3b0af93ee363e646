//! The names of streams and subjects.

use std::num::NonZeroU8;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::config;
use crate::id::AccountSlug;

/// The names of streams and subjects. A prefix keeps tests on one server apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Streams {
    prefix: Arc<str>,
    pub(super) root: Arc<str>,
    shards: usize,
}

impl Default for Streams {
    fn default() -> Self {
        Self::new(config::DEFAULT_SHARDS)
    }
}

impl Streams {
    /// Returns the names of an installation with so many `INBOUND_<n>`, numbered from 0.
    pub fn new(shards: NonZeroU8) -> Self {
        Self {
            prefix: "".into(),
            root: "switchboard".into(),
            shards: usize::from(shards.get()),
        }
    }

    /// Returns names that meet no others: for tests. The prefix is made of letters, digits and `_`.
    pub fn with_prefix(prefix: &str, shards: usize) -> Self {
        Self {
            prefix: format!("{prefix}_").into(),
            root: format!("switchboard-{prefix}").into(),
            shards: shards.max(1),
        }
    }

    /// The stream of domain events.
    pub fn events(&self) -> String {
        format!("{}EVENTS", self.prefix)
    }

    /// The stream of a shard of what providers sent.
    pub fn inbound(&self, shard: usize) -> String {
        format!("{}INBOUND_{shard}", self.prefix)
    }

    /// How many `INBOUND_<n>` there are.
    pub fn shards(&self) -> usize {
        self.shards
    }

    /// The stream of what could not be handled.
    pub fn dead_letters(&self) -> String {
        format!("{}DEAD_LETTERS", self.prefix)
    }

    /// The subject of an event.
    pub fn event_subject(&self, account: &str, service: &str, entity: &str, event: &str) -> String {
        format!("{}.v1.{account}.{service}.{entity}.{event}", self.root)
    }

    /// The account that a subject of events, or a filter of such, names; nothing if it names none or several.
    pub fn account_of(&self, subject: &str) -> Option<AccountSlug> {
        let (account, _) = subject
            .strip_prefix(&*self.root)?
            .strip_prefix(".v1.")?
            .split_once('.')?;
        AccountSlug::parse(account).ok()
    }

    /// The subject of a shard's packs.
    pub fn inbound_subject(&self, shard: usize) -> String {
        format!("{}.inbound.{shard}", self.root)
    }

    /// The subject of the packs in an `INBOUND_<n>`, by the stream's name.
    pub fn subject_of(&self, inbound_stream: &str) -> Option<String> {
        (0..self.shards)
            .find(|shard| self.inbound(*shard) == inbound_stream)
            .map(|shard| self.inbound_subject(shard))
    }

    /// The subject of a service's dead letters.
    pub fn dead_subject(&self, service: &str) -> String {
        format!("{}.dead.{service}", self.root)
    }

    /// Returns the shard of a key: the same for the same key and number of shards, on every machine.
    pub fn shard_of(&self, key: &str) -> usize {
        let hash = Sha256::digest(key.as_bytes());
        let number = hash
            .iter()
            .take(8)
            .fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
        usize::try_from(number % self.shards as u64).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_and_streams_are_those_of_the_design() {
        let streams = Streams::default();
        assert_eq!(
            streams.event_subject("acme", "conversation", "conversation", "opened"),
            "switchboard.v1.acme.conversation.conversation.opened"
        );
        assert_eq!(streams.events(), "EVENTS");
        assert_eq!(
            (streams.inbound(1), streams.inbound_subject(1)),
            ("INBOUND_1".into(), "switchboard.inbound.1".into())
        );
        assert_eq!(
            (streams.dead_letters(), streams.dead_subject("crm-cards")),
            ("DEAD_LETTERS".into(), "switchboard.dead.crm-cards".into())
        );
    }

    #[test]
    fn a_subject_or_filter_names_one_account_or_none() {
        let streams = Streams::default();
        for (subject, account) in [
            ("switchboard.v1.acme.>", Some("acme")),
            ("switchboard.v1.acme.conversation.*.*", Some("acme")),
            ("switchboard.v1.*.conversation.chat.created", None),
            ("switchboard.v1.>", None),
            ("switchboard.v1.acme", None),
            ("switchboard.inbound.0", None),
            ("other.v1.acme.>", None),
            (">", None),
        ] {
            let found = streams.account_of(subject);
            assert_eq!(
                found.as_ref().map(AccountSlug::as_str),
                account,
                "{subject}"
            );
        }
    }

    #[test]
    fn a_key_stays_on_its_shard_and_keys_spread() {
        let streams = Streams::with_prefix("t", 4);
        let mut counts = [0_u32; 4];
        for number in 0..4_000 {
            let key = format!("channel/{number}");
            assert_eq!(streams.shard_of(&key), streams.shard_of(&key));
            counts[streams.shard_of(&key)] += 1;
        }
        assert!(
            counts.iter().all(|count| (800..1_200).contains(count)),
            "{counts:?}"
        );
    }
}
