//! Parsing what requests have in common: ids, pages, times.

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use prost_types::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use time::OffsetDateTime;
use tonic::Status;

use super::errors::{FieldViolation, invalid};

/// Entries of a page when the request does not say.
pub const PAGE_SIZE_DEFAULT: u32 = 50;

/// Entries of a page at most; a larger wish is cut to this (AIP-158).
pub const PAGE_SIZE_MAX: u32 = 200;

/// Longer page tokens are none of ours.
const TOKEN_MAX: usize = 4096;

/// Parses fields of requests to a service, refusing the first that is wrong by name.
#[derive(Debug, Clone, Copy)]
pub struct Parse {
    domain: &'static str,
}

impl Parse {
    /// Makes a parser whose refusals carry this domain (the service's name).
    pub const fn new(domain: &'static str) -> Self {
        Self { domain }
    }

    /// Refuses a field.
    pub fn refuse(self, field: &str, description: &str) -> Status {
        invalid(self.domain, &[FieldViolation::new(field, description)])
    }

    /// Parses a required id.
    pub fn id<T: FromStr>(self, field: &str, text: &str) -> Result<T, Status> {
        self.id_opt(field, text)?
            .ok_or_else(|| self.refuse(field, "is required"))
    }

    /// Parses an id that may be absent (empty).
    pub fn id_opt<T: FromStr>(self, field: &str, text: &str) -> Result<Option<T>, Status> {
        if text.is_empty() {
            return Ok(None);
        }
        text.parse()
            .map(Some)
            .map_err(|_| self.refuse(field, "must be a UUID"))
    }

    /// Parses a list of ids of at most `max` entries.
    pub fn ids<T: FromStr>(
        self,
        field: &str,
        texts: &[String],
        max: usize,
    ) -> Result<Vec<T>, Status> {
        if texts.len() > max {
            return Err(self.refuse(field, &format!("must have at most {max} entries")));
        }
        texts.iter().map(|text| self.id(field, text)).collect()
    }

    /// Takes a required text of at most `max` characters, without the white space around it.
    pub fn text<'t>(self, field: &str, text: &'t str, max: usize) -> Result<&'t str, Status> {
        let text = self.text_opt(field, text, max)?;
        text.ok_or_else(|| self.refuse(field, "must not be empty"))
    }

    /// Takes a text of at most `max` characters that may be absent (blank).
    pub fn text_opt<'t>(
        self,
        field: &str,
        text: &'t str,
        max: usize,
    ) -> Result<Option<&'t str>, Status> {
        text_within(text, max).map_err(|description| self.refuse(field, &description))
    }

    /// Takes a request id: none when empty, else 1 to 100 visible characters.
    pub fn request_id(self, text: &str) -> Result<Option<&str>, Status> {
        if text.len() > 100 || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(self.refuse("request_id", "must be at most 100 visible ASCII characters"));
        }
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    /// Parses a page size: 0 is 50, above 200 is 200, below 0 is refused.
    pub fn page_size(self, size: i32) -> Result<u32, Status> {
        match u32::try_from(size) {
            Ok(0) => Ok(PAGE_SIZE_DEFAULT),
            Ok(size) => Ok(size.min(PAGE_SIZE_MAX)),
            Err(_) => Err(self.refuse("page_size", "must not be negative")),
        }
    }

    /// Parses a page token that [`page_token`] made; none for the first page.
    pub fn page_token<T: DeserializeOwned>(self, token: &str) -> Result<Option<T>, Status> {
        self.token("page_token", token)
    }

    /// Parses a token that [`page_token`] made, of any field; none where it is empty.
    pub fn token<T: DeserializeOwned>(self, field: &str, token: &str) -> Result<Option<T>, Status> {
        if token.is_empty() {
            return Ok(None);
        }
        let refused = || self.refuse(field, "is not one that this method returned");
        if token.len() > TOKEN_MAX {
            return Err(refused());
        }
        let json = URL_SAFE_NO_PAD.decode(token).map_err(|_| refused())?;
        serde_json::from_slice(&json)
            .map(Some)
            .map_err(|_| refused())
    }

    /// Parses a required time, truncated to microseconds.
    pub fn time(self, field: &str, time: Option<&Timestamp>) -> Result<OffsetDateTime, Status> {
        self.time_opt(field, time)?
            .ok_or_else(|| self.refuse(field, "is required"))
    }

    /// Parses a time that may be absent, truncated to microseconds.
    pub fn time_opt(
        self,
        field: &str,
        time: Option<&Timestamp>,
    ) -> Result<Option<OffsetDateTime>, Status> {
        let Some(time) = time else {
            return Ok(None);
        };
        from_timestamp(time)
            .map(Some)
            .ok_or_else(|| self.refuse(field, "is no time between the years 0001 and 9999"))
    }
}

/// Takes a text of at most `max` characters without the white space around it; none for a blank one. Says what must hold
/// where it does not: the rule of all texts that somebody types.
pub fn text_within(text: &str, max: usize) -> Result<Option<&str>, String> {
    let text = text.trim();
    // A NUL is valid UTF-8 that Postgres cannot store.
    if text.contains('\0') {
        return Err("must not contain a NUL character".to_owned());
    }
    if text.chars().count() > max {
        return Err(format!("must have at most {max} characters"));
    }
    Ok(Some(text).filter(|text| !text.is_empty()))
}

/// Makes an opaque page token of where the next page begins.
pub fn page_token(cursor: &impl Serialize) -> String {
    // A cursor is a plain struct of ours; should it ever not serialise, paging ends instead of the process.
    serde_json::to_vec(cursor)
        .map(|json| URL_SAFE_NO_PAD.encode(json))
        .unwrap_or_default()
}

/// Writes a time for the wire.
pub fn timestamp(time: OffsetDateTime) -> Timestamp {
    Timestamp {
        seconds: time.unix_timestamp(),
        nanos: time.nanosecond().cast_signed(),
    }
}

/// Writes a time that may be absent for the wire.
pub fn timestamp_opt(time: Option<OffsetDateTime>) -> Option<Timestamp> {
    time.map(timestamp)
}

fn from_timestamp(time: &Timestamp) -> Option<OffsetDateTime> {
    let nanos = u32::try_from(time.nanos)
        .ok()
        .filter(|nanos| *nanos < 1_000_000_000)?;
    let time = OffsetDateTime::from_unix_timestamp(time.seconds)
        .ok()?
        .replace_nanosecond(nanos)
        .ok()?;
    Some(crate::clock::truncate(time)).filter(|time| time.year() >= 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use time::macros::datetime;
    use tonic::Code;
    use tonic_types::StatusExt as _;
    use uuid::Uuid;

    const PARSE: Parse = Parse::new("test");

    #[test]
    fn page_sizes_have_a_default_and_a_maximum() {
        for (asked, expected) in [
            (0, Some(50)),
            (1, Some(1)),
            (200, Some(200)),
            (201, Some(200)),
            (-1, None),
        ] {
            assert_eq!(PARSE.page_size(asked).ok(), expected, "{asked}");
        }
    }

    #[test]
    fn page_tokens_return_what_was_put_in_and_foreign_ones_are_refused() {
        #[derive(Serialize, Deserialize, PartialEq, Debug)]
        struct Cursor {
            after: i64,
        }
        let token = page_token(&Cursor { after: 7 });
        assert_eq!(
            PARSE.page_token::<Cursor>(&token).unwrap(),
            Some(Cursor { after: 7 })
        );
        assert_eq!(PARSE.page_token::<Cursor>("").unwrap(), None);
        let long = "a".repeat(TOKEN_MAX + 1);
        for bad in ["!", "e30", "bnVsbA", long.as_str()] {
            let status = PARSE.page_token::<Cursor>(bad).unwrap_err();
            assert_eq!(status.code(), Code::InvalidArgument, "{bad}");
        }
    }

    #[test]
    fn a_wrong_field_is_named() {
        let named = |status: Status| {
            status.get_details_bad_request().unwrap().field_violations[0]
                .field
                .clone()
        };
        assert_eq!(
            named(PARSE.id::<Uuid>("chat_id", "x").unwrap_err()),
            "chat_id"
        );
        assert_eq!(
            named(PARSE.id::<Uuid>("chat_id", "").unwrap_err()),
            "chat_id"
        );
        assert_eq!(named(PARSE.text("name", "  ", 10).unwrap_err()), "name");
        assert_eq!(
            named(PARSE.text("name", "12345678901", 10).unwrap_err()),
            "name"
        );
        assert_eq!(named(PARSE.text("name", "a\0", 10).unwrap_err()), "name");
        assert_eq!(named(PARSE.request_id("a b").unwrap_err()), "request_id");
        assert_eq!(PARSE.id_opt::<Uuid>("chat_id", "").unwrap(), None);
        assert_eq!(PARSE.text("name", " ä ", 1).unwrap(), "ä");
    }

    #[test]
    fn times_survive_the_wire_in_microseconds() {
        let time = datetime!(2026-01-02 03:04:05.123456 UTC);
        assert_eq!(PARSE.time("time", Some(&timestamp(time))).unwrap(), time);
        let finer = Timestamp {
            seconds: 1,
            nanos: 1_999,
        };
        assert_eq!(
            PARSE.time("time", Some(&finer)).unwrap().nanosecond(),
            1_000
        );
        for (seconds, nanos) in [(i64::MAX, 0), (0, -1), (0, 1_000_000_000), (i64::MIN, 0)] {
            assert!(
                PARSE
                    .time("time", Some(&Timestamp { seconds, nanos }))
                    .is_err(),
                "{seconds} {nanos}"
            );
        }
    }
}
