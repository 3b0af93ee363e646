//! Words of messages.
//!
//! The index of words knows no order: of a common word it would bring all of millions of messages. So an account's messages
//! are divided by time into buckets, each a scope of its own, and are looked for from the newest bucket on until there are enough.

use std::fmt::Write as _;

use chassis::id::AccountSlug;
use time::OffsetDateTime;

use super::query::{PAIR, Query, WORD, pair};
use super::{Scope, Word, short, words};
use crate::domain::{ChannelId, ChatId};

/// Found messages that are compared; of more, the newest.
pub const FOUND_MAX: i64 = 10_000;

/// Seconds of a bucket, about eighteen hours: of an account with ten million messages of a year it holds some twenty thousand. A
/// word of half of all is found in one of them; a rare one in the some five hundred of a year, of which each costs some microseconds.
const BUCKET: i64 = 1 << 16;

/// Before this everything is in one bucket.
const BEGIN: OffsetDateTime = time::macros::datetime!(2020-01-01 0:00 UTC);

/// Buckets that are looked through at most: some twelve years.
const BUCKETS_MAX: usize = 6_000;

/// Words of a message by which it can be found.
const WORDS_MAX: usize = 4_000;

/// Bytes of a vector up to which pairs of its words are kept, of a mebibyte that Postgres takes: some ten thousand words of a letter.
/// Phrases are found in what stands before.
const PAIRS_UNTIL: usize = 400_000;

/// What marks the lexemes of a message's channel and chat.
const CHANNEL: &str = "#";
const CHAT: &str = "@";

/// Returns the bucket of a time.
pub fn bucket(time: OffsetDateTime) -> i64 {
    (time - BEGIN).whole_seconds().max(0) / BUCKET
}

fn scope(account: &AccountSlug, bucket: i64) -> Scope {
    Scope::new(account, &bucket.to_string())
}

/// Writes the words of a message as a `tsvector`; none where it has none.
pub fn vector<'t>(
    account: &AccountSlug,
    bucket: i64,
    (channel, chat): (ChannelId, ChatId),
    texts: impl IntoIterator<Item = &'t str>,
) -> Option<String> {
    let scope = scope(account, bucket);
    let mut vector = scope.lexeme(CHANNEL, &short(channel.uuid()));
    let _ = write!(vector, " {}", scope.lexeme(CHAT, &short(chat.uuid())));
    let (mut place, mut any) = (0, false);
    for text in texts {
        let mut before: Option<Word> = None;
        for word in words(text).take(WORDS_MAX.saturating_sub(place)) {
            (place, any) = (place + 1, true);
            let _ = write!(vector, " {}:{place}", scope.lexeme(WORD, &word.normal));
            if let Some(before) = before.filter(|_| vector.len() < PAIRS_UNTIL) {
                let pair = pair(&before.normal, &word.normal);
                let _ = write!(vector, " {}", scope.lexeme(PAIR, &pair));
            }
            before = Some(word);
        }
        // The last word of one text does not stand before the first of the next.
        place += 1;
    }
    any.then_some(vector)
}

/// Where messages are searched for.
#[derive(Debug, Clone, Default)]
pub struct Within {
    /// Channels; none for all.
    pub channels: Option<Vec<ChannelId>>,
    /// One chat.
    pub chat: Option<ChatId>,
}

/// Writes a question as `tsquery`s over buckets, the newest first: of each what is looked up in the index, and the whole question, by
/// which what was found is looked at and compared.
pub fn queries(
    account: &AccountSlug,
    query: &Query,
    within: &Within,
    (oldest, newest): (i64, i64),
) -> (Vec<String>, Vec<String>) {
    let buckets = (oldest..=newest).rev().take(BUCKETS_MAX);
    let queries = buckets.map(|bucket| {
        let scope = scope(account, bucket);
        let mut sought = format!("({})", query.looked_up(&scope));
        if let Some(channels) = &within.channels {
            // Where there are none, one that no message has.
            let channels = channels
                .iter()
                .map(|id| scope.lexeme(CHANNEL, &short(id.uuid())));
            let channels = channels
                .chain([scope.lexeme(CHANNEL, "")])
                .collect::<Vec<_>>();
            let _ = write!(sought, " & ({})", channels.join(" | "));
        }
        if let Some(chat) = within.chat {
            let _ = write!(sought, " & {}", scope.lexeme(CHAT, &short(chat.uuid())));
        }
        (sought, query.tsquery(&scope))
    });
    queries.unzip()
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;
    use uuid::Uuid;

    #[test]
    fn b12_messages_are_divided_by_time() {
        for (time, expected) in [
            (datetime!(1970-01-01 0:00 UTC), 0),
            (datetime!(2020-01-01 18:12:15 UTC), 0),
            (datetime!(2020-01-01 18:12:16 UTC), 1),
            (datetime!(2026-03-02 12:00 UTC), 2969),
        ] {
            assert_eq!(bucket(time), expected, "{time}");
        }
    }

    #[test]
    fn b12_a_message_has_the_words_of_its_texts_and_is_asked_for_by_bucket() {
        let acme = AccountSlug::parse("acme").unwrap();
        let of = (
            ChannelId::from(Uuid::from_u128(1)),
            ChatId::from(Uuid::from_u128(2)),
        );
        let first = scope(&acme, 7).0;
        let expected =
            "'.#00000001' '.@00000002' '.wчи':1 '.wє':2 '.pчи є' '.wa':4".replace('.', &first);
        assert_eq!(vector(&acme, 7, of, ["Чи є?", "a"]), Some(expected));
        assert_eq!(vector(&acme, 7, of, ["", "!"]), None);
        let long = vector(&acme, 7, of, [&*"a ".repeat(10_000)]).unwrap();
        assert_eq!(long.matches("wa'").count(), WORDS_MAX);
        let widest = (0..WORDS_MAX).map(|n| format!("{n:щ>60}"));
        let widest = vector(&acme, 7, of, [&*widest.collect::<Vec<_>>().join(" ")]).unwrap();
        assert!(
            (PAIRS_UNTIL..1 << 20).contains(&widest.len()),
            "{}",
            widest.len()
        );

        let query = Query::parse("чи").unwrap();
        let within = Within {
            channels: Some(vec![of.0]),
            chat: Some(of.1),
        };
        let (whole, words) = queries(&acme, &query, &within, (6, 7));
        let expected = "(('.wчи':*)) & ('.#00000001' | '.#') & '.@00000002'".replace('.', &first);
        assert_eq!((whole.len(), &whole[0]), (2, &expected));
        assert_eq!(words[0], "('.wчи':*)".replace('.', &first));
        assert!(whole[1].starts_with(&format!("(('{}", scope(&acme, 6).0)));
    }
}
