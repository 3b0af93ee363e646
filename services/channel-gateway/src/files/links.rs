//! Links to files: signed ones for agents, unguessable ones for providers.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chassis::seal::Sealer;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rand::Rng as _;
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::domain::file::link_name;
use crate::store::provider_links;

/// How long an agent's link is good.
pub const READ_FOR: Duration = Duration::minutes(15);

/// How long an announced file may be put.
pub const PUT_FOR: Duration = Duration::hours(1);

/// How long a provider's link is good, and at which age another one is made: phones ask for a file long after it was
/// sent (channels.md §3.4).
const PROVIDER_FOR: Duration = Duration::days(30);
const PROVIDER_AT_LEAST: Duration = Duration::days(15);

/// What stands in a path as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'.')
    .remove(b'-')
    .remove(b'_')
    .remove(b'~');

/// What a link lets its holder do; a signature for one is none for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Read the file.
    Read,
    /// Put the announced bytes.
    Put,
}

impl Deed {
    fn purpose(self) -> &'static str {
        match self {
            Self::Read => "file.read",
            Self::Put => "file.put",
        }
    }
}

/// Makes and reads links. Clones share it.
#[derive(Clone)]
pub struct Links {
    sealer: Sealer,
    base: Arc<str>,
}

impl Links {
    /// Makes links that begin with the public address.
    pub fn new(sealer: Sealer, public_url: &str) -> Self {
        Self {
            sealer,
            base: public_url.trim_end_matches('/').into(),
        }
    }

    /// Returns the address to which an upload is put, and until when.
    pub fn to_put(&self, id: Uuid, now: OffsetDateTime) -> (String, OffsetDateTime) {
        let (query, end) = self.signed(Deed::Put, id, now + PUT_FOR);
        (format!("{}/files/up/{id}?{query}", self.base), end)
    }

    /// Returns the link by which a file is read, and until when.
    pub fn to_read(
        &self,
        id: Uuid,
        file_name: &str,
        media_type: &str,
        now: OffsetDateTime,
    ) -> (String, OffsetDateTime) {
        let (query, end) = self.signed(Deed::Read, id, now + READ_FOR);
        let name = link_name(file_name, media_type);
        let name = utf8_percent_encode(&name, PLAIN);
        (format!("{}/files/{id}/{name}?{query}", self.base), end)
    }

    /// Returns a provider's link.
    pub fn for_provider(&self, code: &str, file_name: &str, media_type: &str) -> String {
        let name = link_name(file_name, media_type);
        let name = utf8_percent_encode(&name, PLAIN);
        format!("{}/f/{code}/{name}", self.base)
    }

    /// Tells whether a link was made here for this and is still good.
    pub fn is_good(
        &self,
        deed: Deed,
        id: Uuid,
        end: i64,
        signature: &str,
        now: OffsetDateTime,
    ) -> bool {
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
        let signed = self
            .sealer
            .is_signed(deed.purpose(), &text(id, end), &signature);
        signed && now.unix_timestamp() < end
    }

    fn signed(&self, deed: Deed, id: Uuid, end: OffsetDateTime) -> (String, OffsetDateTime) {
        let end = end.replace_nanosecond(0).unwrap_or(end);
        let seconds = end.unix_timestamp();
        let signature = self.sealer.sign(deed.purpose(), &text(id, seconds));
        let signature = URL_SAFE_NO_PAD.encode(signature);
        (format!("e={seconds}&s={signature}"), end)
    }
}

fn text(id: Uuid, end: i64) -> String {
    format!("{id}\n{end}")
}

/// Returns the code of a link to a file, a lasting one that exists or a new one.
pub async fn provider_code(
    connection: &mut PgConnection,
    attachment: Uuid,
    now: OffsetDateTime,
) -> Result<String, sqlx::Error> {
    let lasting = provider_links::lasting(connection, attachment, now + PROVIDER_AT_LEAST).await?;
    if let Some(code) = lasting {
        return Ok(code);
    }
    let bytes: [u8; 24] = rand::rng().random();
    let code = URL_SAFE_NO_PAD.encode(bytes);
    provider_links::insert(connection, &code, attachment, now, now + PROVIDER_FOR).await?;
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_good_for_its_file_its_deed_and_its_time() {
        let links = Links::new(Sealer::from_key(&[7; 32]), "https://gw.example/");
        let (now, id) = (OffsetDateTime::UNIX_EPOCH, Uuid::from_u128(7));
        let (url, end) = links.to_read(id, "чек 1.jpg", "image/jpeg", now);
        let (path, query) = url.split_once('?').unwrap();
        assert_eq!(
            path,
            format!("https://gw.example/files/{id}/%D1%87%D0%B5%D0%BA%201.jpg")
        );
        let signature = query.split_once("s=").unwrap().1;
        let (seconds, other) = (end.unix_timestamp(), Uuid::from_u128(8));
        let late = now + READ_FOR;
        let good = |deed, id, end, now| links.is_good(deed, id, end, signature, now);
        assert!(good(Deed::Read, id, seconds, now));
        assert!(!good(Deed::Read, id, seconds, late), "too late");
        assert!(!good(Deed::Read, id, seconds + 1, now), "another end");
        assert!(!good(Deed::Read, other, seconds, now), "another file");
        assert!(!good(Deed::Put, id, seconds, now), "another deed");
        assert!(!links.is_good(Deed::Read, id, seconds, "", now), "unsigned");
        let elsewhere = Links::new(Sealer::from_key(&[8; 32]), "https://gw.example");
        assert!(!elsewhere.is_good(Deed::Read, id, seconds, signature, now));
    }
}
