//! Identifiers: the account slug, typed UUIDs, and ids made from natural keys.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use uuid::{NoContext, Timestamp, Uuid};

/// The root of all ids made from natural keys. Changing it would give everything new ids.
const NAMESPACE: Uuid = Uuid::from_u128(0x9b1d_5f0e_7c2a_4e7d_8a35_54c0_91b3_d6e2);

/// The tenant: a slug of `[a-z0-9-]`, 1 to 40 characters. Every row, subject and token carries it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountSlug(Arc<str>);

/// A text that is no account slug.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an account is 1 to 40 characters of a-z, 0-9 and -")]
pub struct InvalidAccount;

impl AccountSlug {
    /// Parses a slug.
    pub fn parse(text: &str) -> Result<Self, InvalidAccount> {
        let fits = (1..=40).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if fits {
            Ok(Self(text.into()))
        } else {
            Err(InvalidAccount)
        }
    }

    /// Returns the slug as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The slug of no account: never equal to a parsed one, so that nothing can be found under it.
    pub(crate) fn none() -> Self {
        Self("".into())
    }
}

impl fmt::Display for AccountSlug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AccountSlug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl AsRef<str> for AccountSlug {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for AccountSlug {
    type Err = InvalidAccount;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl TryFrom<String> for AccountSlug {
    type Error = InvalidAccount;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl Serialize for AccountSlug {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for AccountSlug {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl sqlx::Type<sqlx::Postgres> for AccountSlug {
    fn type_info() -> sqlx::postgres::PgTypeInfo {
        <str as sqlx::Type<sqlx::Postgres>>::type_info()
    }
    fn compatible(ty: &sqlx::postgres::PgTypeInfo) -> bool {
        <str as sqlx::Type<sqlx::Postgres>>::compatible(ty)
    }
}

impl sqlx::postgres::PgHasArrayType for AccountSlug {
    fn array_type_info() -> sqlx::postgres::PgTypeInfo {
        <&str as sqlx::postgres::PgHasArrayType>::array_type_info()
    }
}

impl<'q> sqlx::Encode<'q, sqlx::Postgres> for AccountSlug {
    fn encode_by_ref(
        &self,
        buffer: &mut sqlx::postgres::PgArgumentBuffer,
    ) -> Result<sqlx::encode::IsNull, sqlx::error::BoxDynError> {
        <&str as sqlx::Encode<'q, sqlx::Postgres>>::encode_by_ref(&&*self.0, buffer)
    }
}

impl<'r> sqlx::Decode<'r, sqlx::Postgres> for AccountSlug {
    fn decode(value: sqlx::postgres::PgValueRef<'r>) -> Result<Self, sqlx::error::BoxDynError> {
        let text = <&str as sqlx::Decode<sqlx::Postgres>>::decode(value)?;
        Ok(Self::parse(text)?)
    }
}

/// Declares a newtype over a UUID, for an id that must not be mistaken for another.
///
/// ```
/// chassis::uuid_id!(
///     /// A chat.
///     pub struct ChatId
/// );
/// let id: ChatId = "0197e7a4-0000-7000-8000-000000000000".parse()?;
/// assert_eq!(id.uuid().to_string(), id.to_string());
/// # Ok::<(), uuid::Error>(())
/// ```
#[macro_export]
macro_rules! uuid_id {
    ($(#[$meta:meta])* $visibility:vis struct $name:ident $(;)?) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $visibility struct $name($crate::__private::uuid::Uuid);

        impl $name {
            /// Returns the plain UUID.
            pub const fn uuid(self) -> $crate::__private::uuid::Uuid {
                self.0
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                ::std::fmt::Display::fmt(&self.0, f)
            }
        }

        impl ::std::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                ::std::fmt::Display::fmt(&self.0, f)
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = $crate::__private::uuid::Error;
            fn from_str(text: &str) -> ::std::result::Result<Self, Self::Err> {
                $crate::__private::uuid::Uuid::parse_str(text).map(Self)
            }
        }

        impl ::std::convert::From<$crate::__private::uuid::Uuid> for $name {
            fn from(uuid: $crate::__private::uuid::Uuid) -> Self {
                Self(uuid)
            }
        }

        impl ::std::convert::From<$name> for $crate::__private::uuid::Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl $crate::__private::serde::Serialize for $name {
            fn serialize<S: $crate::__private::serde::Serializer>(
                &self,
                serializer: S,
            ) -> ::std::result::Result<S::Ok, S::Error> {
                $crate::__private::serde::Serialize::serialize(&self.0, serializer)
            }
        }

        impl<'de> $crate::__private::serde::Deserialize<'de> for $name {
            fn deserialize<D: $crate::__private::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> ::std::result::Result<Self, D::Error> {
                $crate::__private::serde::Deserialize::deserialize(deserializer).map(Self)
            }
        }

        impl $crate::__private::sqlx::Type<$crate::__private::sqlx::Postgres> for $name {
            fn type_info() -> $crate::__private::sqlx::postgres::PgTypeInfo {
                <$crate::__private::uuid::Uuid as $crate::__private::sqlx::Type<
                    $crate::__private::sqlx::Postgres,
                >>::type_info()
            }
            fn compatible(ty: &$crate::__private::sqlx::postgres::PgTypeInfo) -> bool {
                <$crate::__private::uuid::Uuid as $crate::__private::sqlx::Type<
                    $crate::__private::sqlx::Postgres,
                >>::compatible(ty)
            }
        }

        impl $crate::__private::sqlx::postgres::PgHasArrayType for $name {
            fn array_type_info() -> $crate::__private::sqlx::postgres::PgTypeInfo {
                <$crate::__private::uuid::Uuid as $crate::__private::sqlx::postgres::PgHasArrayType>::array_type_info()
            }
        }

        impl<'q> $crate::__private::sqlx::Encode<'q, $crate::__private::sqlx::Postgres> for $name {
            fn encode_by_ref(
                &self,
                buffer: &mut $crate::__private::sqlx::postgres::PgArgumentBuffer,
            ) -> ::std::result::Result<
                $crate::__private::sqlx::encode::IsNull,
                $crate::__private::sqlx::error::BoxDynError,
            > {
                <$crate::__private::uuid::Uuid as $crate::__private::sqlx::Encode<
                    'q,
                    $crate::__private::sqlx::Postgres,
                >>::encode_by_ref(&self.0, buffer)
            }
        }

        impl<'r> $crate::__private::sqlx::Decode<'r, $crate::__private::sqlx::Postgres> for $name {
            fn decode(
                value: $crate::__private::sqlx::postgres::PgValueRef<'r>,
            ) -> ::std::result::Result<Self, $crate::__private::sqlx::error::BoxDynError> {
                <$crate::__private::uuid::Uuid as $crate::__private::sqlx::Decode<
                    'r,
                    $crate::__private::sqlx::Postgres,
                >>::decode(value)
                .map(Self)
            }
        }
    };
}

uuid_id!(
    /// A member of staff.
    pub struct AgentId
);

/// Makes an id from a natural key: the same kind and parts always give the same `UUIDv5`.
///
/// `kind` separates ids of different things ("chat", "client", "card"); parts are length-prefixed, so that
/// `["ab", "c"]` and `["a", "bc"]` differ.
pub fn v5(kind: &str, parts: &[&str]) -> Uuid {
    Uuid::new_v5(&Uuid::new_v5(&NAMESPACE, kind.as_bytes()), &joined(parts))
}

/// Makes an id from a natural key and its time: `UUIDv8` of 48 bits of milliseconds, then a hash.
///
/// It is deterministic like [`v5`] and sorts by time like [`v7`]. Times before 1970 count as 1970.
pub fn v8(time: OffsetDateTime, kind: &str, parts: &[&str]) -> Uuid {
    let millis = u64::try_from(time.unix_timestamp_nanos() / 1_000_000).unwrap_or(0);
    let mut hash = Sha256::new();
    hash.update(joined(&[kind]));
    hash.update(joined(parts));
    let hash = hash.finalize();
    let mut bytes = [0_u8; 16];
    bytes[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
    bytes[6..].copy_from_slice(&hash[..10]);
    Uuid::new_v8(bytes)
}

/// Makes a new random id that sorts by the given time (`UUIDv7`).
pub fn v7(now: OffsetDateTime) -> Uuid {
    let seconds = u64::try_from(now.unix_timestamp()).unwrap_or(0);
    Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, now.nanosecond()))
}

fn joined(parts: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(parts.iter().map(|part| part.len() + 8).sum());
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn account_slugs_are_short_lower_case_words() {
        let forty = "a".repeat(40);
        let forty_one = "a".repeat(41);
        for (text, fits) in [
            ("acme", true),
            ("a-1", true),
            (forty.as_str(), true),
            ("", false),
            (forty_one.as_str(), false),
            ("Acme", false),
            ("a.b", false),
            ("a*", false),
            ("ä", false),
            ("a b", false),
        ] {
            assert_eq!(AccountSlug::parse(text).is_ok(), fits, "{text}");
        }
    }

    #[test]
    fn ids_of_natural_keys_repeat_and_do_not_collide_over_kinds_or_boundaries() {
        assert_eq!(v5("chat", &["a", "b"]), v5("chat", &["a", "b"]));
        assert_ne!(v5("chat", &["a", "b"]), v5("client", &["a", "b"]));
        assert_ne!(v5("chat", &["ab", "c"]), v5("chat", &["a", "bc"]));
        assert_ne!(v5("chat", &["a"]), v5("chat", &["a", ""]));
        assert_eq!(v5("chat", &["a"]).get_version_num(), 5);
        // Ids are stored for good: this one must never change.
        assert_eq!(v5("chat", &["acme", "1"]).to_string(), PINNED);
    }

    const PINNED: &str = "12c22825-6d52-5a3c-8e27-d2608cb5952b";

    #[test]
    fn timed_ids_sort_by_time_and_repeat() {
        let early = datetime!(2026-01-01 00:00:00 UTC);
        let late = datetime!(2026-01-01 00:00:00.001 UTC);
        assert_eq!(v8(early, "message", &["x"]), v8(early, "message", &["x"]));
        assert!(v8(early, "message", &["x"]) < v8(late, "message", &["a"]));
        assert_ne!(v8(early, "message", &["x"]), v8(early, "message", &["y"]));
        assert_eq!(v8(early, "message", &["x"]).get_version_num(), 8);
        assert!(v7(early) < v7(late));
        assert_ne!(v7(early), v7(early));
        assert_eq!(v7(early).get_version_num(), 7);
        let before_1970 = datetime!(1960-01-01 00:00:00 UTC);
        assert_eq!(v8(before_1970, "message", &["x"]).as_bytes()[..6], [0; 6]);
    }
}
