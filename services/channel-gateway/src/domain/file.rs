//! What is decided about a file from what is known of it: pure and total.

use std::time::Duration;

use switchboard_proto::common::v1::attachment::Kind;
use time::OffsetDateTime;
use uuid::Uuid;

/// A raw item above this travels as a reference (architecture §3).
pub const RAW_MAX: usize = 256 * 1024;

/// Characters of a file's name at most.
const NAME_MAX: usize = 200;

/// What is said of bytes of which nothing is known.
pub const UNKNOWN: &str = "application/octet-stream";

/// Extensions by media type, for links whose readers go by the extension.
const EXTENSIONS: [(&str, &str); 37] = [
    ("image/jpeg", "jpg"),
    ("image/png", "png"),
    ("image/gif", "gif"),
    ("image/webp", "webp"),
    ("image/heif", "heic"),
    ("image/bmp", "bmp"),
    ("image/tiff", "tiff"),
    ("image/svg+xml", "svg"),
    ("video/mp4", "mp4"),
    ("video/quicktime", "mov"),
    ("video/webm", "webm"),
    ("video/x-matroska", "mkv"),
    ("video/3gpp", "3gp"),
    ("video/x-msvideo", "avi"),
    ("audio/mpeg", "mp3"),
    ("audio/ogg", "ogg"),
    ("audio/m4a", "m4a"),
    ("audio/mp4", "m4a"),
    ("audio/aac", "aac"),
    ("audio/amr", "amr"),
    ("audio/wav", "wav"),
    ("audio/x-wav", "wav"),
    ("audio/x-flac", "flac"),
    ("application/pdf", "pdf"),
    ("application/zip", "zip"),
    ("application/json", "json"),
    ("application/msword", "doc"),
    ("application/vnd.ms-excel", "xls"),
    ("application/vnd.ms-powerpoint", "ppt"),
    (
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "docx",
    ),
    (
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "xlsx",
    ),
    (
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        "pptx",
    ),
    ("application/x-tgsticker", "tgs"),
    ("text/plain", "txt"),
    ("text/csv", "csv"),
    ("text/html", "html"),
    ("message/rfc822", "eml"),
];

/// Containers: who says what is inside knows better than who sees the outside only.
const CONTAINERS: [(&str, &[&str]); 7] = [
    (
        "application/zip",
        &[
            "application/vnd.",
            "application/epub+zip",
            "application/x-",
            "application/java-archive",
        ],
    ),
    (
        "application/x-ole-storage",
        &["application/msword", "application/vnd.ms-"],
    ),
    (
        "application/gzip",
        &["application/x-tgsticker", "application/x-"],
    ),
    ("video/mp4", &["audio/mp4", "audio/m4a", "audio/x-m4a"]),
    ("video/webm", &["audio/webm"]),
    ("audio/ogg", &["video/ogg", "application/ogg"]),
    ("text/xml", &["image/svg+xml", "application/"]),
];

/// Returns the key of an object: the account, the month in which it came, its id.
pub fn object_key(account: &str, came: OffsetDateTime, id: Uuid) -> String {
    format!(
        "{account}/{:04}/{:02}/{id}",
        came.year(),
        u8::from(came.month())
    )
}

/// Tells whether a key is one of an account's own: what a pack or a row names is not taken on trust.
pub fn is_own_key(account: &str, key: &str) -> bool {
    key.strip_prefix(account)
        .and_then(|rest| rest.strip_prefix('/'))
        .is_some_and(|rest| {
            rest.split('/')
                .all(|segment| !segment.is_empty() && segment != "." && segment != "..")
        })
}

/// Returns the media type of a file: what its bytes say, unless they only show the container of what it is said to be.
/// A picture, film or sound whose bytes do not bear it out is of unknown type.
pub fn media_type(told: &str, sniffed: Option<&str>) -> String {
    let told = essence(told);
    let told = told.as_deref();
    match (sniffed, told) {
        (Some(sniffed), Some(told)) if is_inside(sniffed, told) => told.to_owned(),
        (Some(sniffed), _) => sniffed.to_owned(),
        (None, Some(told)) if !has_signature(told) => told.to_owned(),
        (None, _) => UNKNOWN.to_owned(),
    }
}

fn is_inside(container: &str, told: &str) -> bool {
    CONTAINERS
        .iter()
        .filter(|(kind, _)| *kind == container)
        .any(|(_, inside)| inside.iter().any(|prefix| told.starts_with(prefix)))
}

/// Files of these types begin with something by which they are known.
fn has_signature(media_type: &str) -> bool {
    let media = ["image/", "video/", "audio/"];
    media_type == "application/pdf"
        || (media_type != "image/svg+xml"
            && media.iter().any(|media| media_type.starts_with(media)))
}

/// Returns a media type without its parameters, where it is one that may stand in a header.
pub fn essence(told: &str) -> Option<String> {
    let essence = told
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let (kind, subtype) = essence.split_once('/')?;
    let is_token = |text: &str| {
        !text.is_empty()
            && text.len() <= 100
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    (is_token(kind) && is_token(subtype)).then_some(essence)
}

/// Returns what a file is to a reader, by its media type: for uploads, of which nobody says it.
pub fn kind_of(media_type: &str) -> Kind {
    match media_type.split_once('/') {
        Some(("image", "jpeg" | "png" | "webp" | "bmp" | "heic" | "heif")) => Kind::Photo,
        Some(("image", "gif")) => Kind::Animation,
        Some(("video", _)) => Kind::Video,
        Some(("audio", _)) => Kind::Audio,
        _ => Kind::Document,
    }
}

/// Cleans a file's name of what leads elsewhere or steers a terminal, and bounds it; its extension stays.
pub fn clean_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let clean: String = last
        .chars()
        .map(|c| {
            if c.is_control() || is_invisible(c) {
                '_'
            } else {
                c
            }
        })
        .collect();
    let clean = clean.trim().trim_start_matches('.');
    let length = clean.chars().count();
    if length <= NAME_MAX {
        return clean.to_owned();
    }
    let extension = extension_of(clean).map_or_else(String::new, |found| format!(".{found}"));
    let stem = NAME_MAX.saturating_sub(extension.chars().count());
    clean.chars().take(stem).chain(extension.chars()).collect()
}

/// Characters that turn the direction of what follows, so that a name seems to end in another extension.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Returns a name for a link: with the extension of its type, whatever the file was called.
pub fn link_name(file_name: &str, media_type: &str) -> String {
    let name = clean_name(file_name);
    let proper = EXTENSIONS
        .iter()
        .find(|(kind, _)| *kind == media_type)
        .map(|(_, extension)| *extension);
    let own = extension_of(&name).map(str::to_ascii_lowercase);
    let is_proper = |own: &str| {
        proper == Some(own)
            || EXTENSIONS
                .iter()
                .any(|(kind, extension)| *kind == media_type && *extension == own)
            || (own == "jpeg" && media_type == "image/jpeg")
    };
    let stem = name
        .rsplit_once('.')
        .map_or(name.as_str(), |(stem, _)| stem);
    match (own, proper) {
        (Some(own), Some(_)) if is_proper(&own) => name,
        (_, Some(proper)) if stem.is_empty() => format!("file.{proper}"),
        (Some(_), Some(proper)) => format!("{stem}.{proper}"),
        (None, Some(proper)) => format!("{name}.{proper}"),
        (Some(_), None) => name,
        (None, None) if name.is_empty() => "file.bin".to_owned(),
        (None, None) => format!("{name}.bin"),
    }
}

fn extension_of(name: &str) -> Option<&str> {
    let (stem, extension) = name.rsplit_once('.')?;
    let plain = !stem.is_empty()
        && (1..=8).contains(&extension.len())
        && extension.bytes().all(|byte| byte.is_ascii_alphanumeric());
    plain.then_some(extension)
}

/// Returns the wait before a file is tried to be fetched after `tries` tries: from 2 seconds on, four times as long each
/// time, up to a quarter of an hour; `roll` (0 to 1) spreads those who wait.
pub fn retry_wait(tries: u32, roll: f64) -> Duration {
    let exponent = tries.saturating_sub(1).min(10);
    let wait = Duration::from_secs(2).saturating_mul(4_u32.saturating_pow(exponent));
    let wait = wait.min(Duration::from_mins(15));
    wait.mul_f64(0.5 + roll.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_of_the_account_the_month_and_the_id_and_no_other_is_an_accounts_own() {
        let came = OffsetDateTime::from_unix_timestamp(1_790_764_802).unwrap();
        let key = object_key("acme", came, Uuid::nil());
        assert_eq!(key, "acme/2026/09/00000000-0000-0000-0000-000000000000");
        assert!(is_own_key("acme", &key));
        for foreign in [
            "acme",
            "acme/",
            "acme2/x",
            "other/x",
            "acme/../other/x",
            "acme//x",
            "",
        ] {
            assert!(!is_own_key("acme", foreign), "{foreign}");
        }
    }

    #[test]
    fn bytes_tell_the_type_unless_they_are_but_a_container() {
        for (told, sniffed, expected) in [
            ("image/png", Some("image/jpeg"), "image/jpeg"),
            ("", Some("application/pdf"), "application/pdf"),
            ("image/jpeg", Some("text/html"), "text/html"),
            ("image/jpeg", None, UNKNOWN),
            ("image/svg+xml", None, "image/svg+xml"),
            ("Text/Plain; charset=utf-8", None, "text/plain"),
            ("nonsense", None, UNKNOWN),
            ("text/plain\r\nx: y", None, UNKNOWN),
            (
                "application/x-tgsticker",
                Some("application/gzip"),
                "application/x-tgsticker",
            ),
            ("audio/mp4", Some("video/mp4"), "audio/mp4"),
            (
                "application/vnd.oasis.opendocument.text",
                Some("application/zip"),
                "application/vnd.oasis.opendocument.text",
            ),
            ("image/png", Some("application/zip"), "application/zip"),
        ] {
            assert_eq!(media_type(told, sniffed), expected, "{told} {sniffed:?}");
        }
    }

    #[test]
    fn names_lead_nowhere_and_keep_their_extension() {
        let long = format!("{}.pdf", "я".repeat(500));
        for (name, expected) in [
            ("рахунок.pdf", "рахунок.pdf"),
            ("../../etc/passwd", "passwd"),
            ("C:\\x\\y.doc", "y.doc"),
            (".htaccess", "htaccess"),
            ("a\r\nb\u{0}.txt", "a__b_.txt"),
            ("cod\u{202e}gpj.exe", "cod_gpj.exe"),
            ("  ", ""),
        ] {
            assert_eq!(clean_name(name), expected, "{name}");
        }
        let bounded = clean_name(&long);
        assert_eq!(
            std::path::Path::new(&bounded).extension(),
            Some("pdf".as_ref())
        );
        assert_eq!(bounded.chars().count(), NAME_MAX);
    }

    #[test]
    fn links_end_in_the_extension_of_the_type() {
        for (name, media_type, expected) in [
            ("чек.JPG", "image/jpeg", "чек.JPG"),
            ("a.jpeg", "image/jpeg", "a.jpeg"),
            ("a.png", "image/jpeg", "a.jpg"),
            ("", "image/jpeg", "file.jpg"),
            ("voice", "audio/ogg", "voice.ogg"),
            ("1.2 ціни", "application/pdf", "1.2 ціни.pdf"),
            ("a.xyz", UNKNOWN, "a.xyz"),
            ("a", UNKNOWN, "a.bin"),
            ("", UNKNOWN, "file.bin"),
        ] {
            assert_eq!(link_name(name, media_type), expected, "{name} {media_type}");
        }
    }

    #[test]
    fn waits_grow_to_a_bound_and_are_spread() {
        for (tries, roll, expected) in [
            (0, 1.0, 2),
            (1, 1.0, 2),
            (2, 0.0, 4),
            (4, 1.0, 128),
            (40, 1.0, 900),
        ] {
            assert_eq!(retry_wait(tries, roll), Duration::from_secs(expected));
        }
    }
}
