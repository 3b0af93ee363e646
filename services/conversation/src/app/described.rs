//! Clients whom a provider describes after their messages came, for these named them by an id alone.

use std::collections::BTreeMap;

use chassis::id::AccountSlug;
use chassis::outbox::Outgoing;
use sqlx::PgConnection;
use switchboard_proto::conversation::v1 as pb;
use time::OffsetDateTime;

use super::announce::{self, Cause};
use crate::domain::{ChatId, ClientId};
use crate::error::Error;
use crate::store::client::{Profile, Seen};
use crate::store::client_photo::Photo;
use crate::{store, wire};

/// What a provider said of a client.
#[derive(Debug, Clone)]
pub struct Described {
    /// Whose client it is.
    pub account: AccountSlug,
    /// What is known now; what is empty says nothing.
    pub profile: Profile,
    /// When the provider said it.
    pub time: OffsetDateTime,
    /// What led to it.
    pub cause: Cause,
}

/// Writes descriptions; a client that has not been heard of yet is made, so that the order does not matter. Returns the
/// events of clients that changed by it.
pub async fn apply(
    connection: &mut PgConnection,
    described: &[Described],
    now: OffsetDateTime,
) -> Result<Vec<Outgoing>, Error> {
    let mut newest = BTreeMap::<ClientId, &Described>::new();
    for word in described {
        let kept = newest
            .entry(word.profile.client(&word.account))
            .or_insert(word);
        if kept.time <= word.time {
            *kept = word;
        }
    }
    if newest.is_empty() {
        return Ok(Vec::new());
    }
    let seen: BTreeMap<ClientId, Seen> = newest
        .iter()
        .map(|(id, word)| {
            let seen = Seen {
                account: word.account.clone(),
                profile: word.profile.clone(),
                time: word.time,
            };
            (*id, seen)
        })
        .collect();
    let known = store::client::insert_or_lock(connection, &seen, now).await?;
    let changed: BTreeMap<ClientId, Seen> = known
        .iter()
        .filter_map(|(id, known)| {
            let seen = merged(known, seen.get(id)?);
            (seen.profile != known.profile).then_some((*id, seen))
        })
        .collect();
    let rows = changed.iter().map(|(id, seen)| (*id, seen)).collect();
    store::client::update(connection, &rows).await?;
    let events = changed.iter().filter_map(|(id, seen)| {
        let event = pb::ClientUpdated {
            client_id: id.to_string(),
            client: Some(wire::identity_out(&seen.profile)),
        };
        let event = Outgoing::new(&seen.account, id, &event);
        Some(announce::outgoing(event, &newest.get(id)?.cause))
    });
    Ok(events.collect())
}

/// Returns the newest word on the photo of each chat's client, sorted.
pub fn newest(photos: &[Photo]) -> Vec<Photo> {
    let mut newest = BTreeMap::<ChatId, &Photo>::new();
    for word in photos {
        let kept = newest.entry(word.chat).or_insert(word);
        if kept.told_at <= word.told_at {
            *kept = word;
        }
    }
    newest.into_values().cloned().collect()
}

/// The newer of two words stands; where it says nothing the older does.
fn merged(known: &Seen, said: &Seen) -> Seen {
    let (newer, older) = if known.time < said.time {
        (said, known)
    } else {
        (known, said)
    };
    Seen {
        account: known.account.clone(),
        profile: newer.profile.clone().filled(&older.profile),
        time: newer.time,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn f067_of_several_words_on_a_photo_the_newest_counts_whatever_their_order() {
        let photo = |chat: u128, file: Option<u128>, minute: i64| Photo {
            account: chassis::testing::account("acme"),
            chat: Uuid::from_u128(chat).into(),
            file: file.map(Uuid::from_u128),
            told_at: OffsetDateTime::UNIX_EPOCH + time::Duration::minutes(minute),
        };
        let words = [
            photo(2, Some(1), 1),
            photo(1, Some(2), 3),
            photo(1, None, 2),
            photo(2, None, 1),
        ];
        assert_eq!(newest(&words), [photo(1, Some(2), 3), photo(2, None, 1)]);
        assert!(newest(&[]).is_empty());
    }

    #[test]
    fn the_newer_word_stands_and_an_empty_one_takes_nothing_away() {
        let seen = |name: &str, username: &str, minute: i64| Seen {
            account: chassis::testing::account("acme"),
            profile: Profile {
                name: name.into(),
                username: username.into(),
                ..Profile::default()
            },
            time: OffsetDateTime::UNIX_EPOCH + time::Duration::minutes(minute),
        };
        for (known, said, expected) in [
            (("", "", 1), ("Olena", "olena", 2), ("Olena", "olena", 2)),
            (("", "", 2), ("Olena", "olena", 1), ("Olena", "olena", 2)),
            (("Olena", "o", 1), ("Lena", "", 2), ("Lena", "o", 2)),
            (("Olena", "", 2), ("Lena", "l", 1), ("Olena", "l", 2)),
        ] {
            let seen = |(name, username, minute)| seen(name, username, minute);
            assert_eq!(merged(&seen(known), &seen(said)), seen(expected));
        }
    }
}
