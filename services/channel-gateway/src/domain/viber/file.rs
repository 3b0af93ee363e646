//! Files as Viber takes them: pictures, films, and everything else as a file (channels.md §3.3).

use serde_json::{Map, Value, json};
use switchboard_proto::common::v1::{Attachment, attachment::Kind};
use uuid::Uuid;

use crate::domain::call::FILE;
use crate::domain::delivery::Unfit;

/// Bytes of a picture at most: what iOS takes. Android takes three times as much, and nobody knows what the client has.
pub const PICTURE_MAX: i64 = 1024 * 1024;
/// Bytes of a film at most.
pub const VIDEO_MAX: i64 = 26 * 1024 * 1024;
/// Length of a film at most.
const VIDEO_MS_MAX: i64 = 180_000;
/// Bytes of any file at most.
pub const FILE_MAX: i64 = 50 * 1024 * 1024;
/// Characters of a file's name at most.
const NAME_MAX: usize = 256;
/// Characters of a file name's ending at most; a longer one is none.
const ENDING_MAX: usize = 16;

const FILE_TOO_LARGE: Unfit = Unfit {
    reason: "FILE_TOO_LARGE",
    detail: "Viber takes files of 50 MB at most.",
};
const FILE_KIND_REFUSED: Unfit = Unfit {
    reason: "FILE_KIND_REFUSED",
    detail: "Viber does not take programs and other files that can be run.",
};
const FILE_SIZE_UNKNOWN: Unfit = Unfit {
    reason: "FILE_SIZE_UNKNOWN",
    detail: "Viber must be told how large a file is, and that is not known of this one.",
};
const FILE_UNKNOWN: Unfit = Unfit {
    reason: "FILE_UNKNOWN",
    detail: "The file is not in our store.",
};

/// Endings of what Viber holds for programs, sorted.
static REFUSED: [&str; 47] = [
    "action", "apk", "app", "bat", "bin", "cmd", "com", "command", "cpl", "csh", "ex_", "exe",
    "gadget", "inf1", "ins", "inx", "ipa", "isu", "job", "jse", "ksh", "lnk", "msc", "msi", "msp",
    "mst", "osx", "out", "paf", "pif", "prg", "ps1", "reg", "rgs", "run", "sct", "shb", "shs",
    "u3p", "vb", "vbe", "vbs", "vbscript", "workflow", "ws", "wsf", "wsh",
];

/// Endings of media types, for names that have none.
static ENDINGS: [(&str, &str); 14] = [
    ("image/jpeg", "jpg"),
    ("image/png", "png"),
    ("image/gif", "gif"),
    ("image/webp", "webp"),
    ("image/heic", "heic"),
    ("video/mp4", "mp4"),
    ("video/quicktime", "mov"),
    ("video/webm", "webm"),
    ("audio/ogg", "ogg"),
    ("audio/mpeg", "mp3"),
    ("audio/mp4", "m4a"),
    ("application/pdf", "pdf"),
    ("application/zip", "zip"),
    ("text/plain", "txt"),
];

/// Tells whether a file goes out as a picture, which alone can have a caption.
pub fn is_picture(file: &Attachment) -> bool {
    let ending = ending(file);
    file.kind() == Kind::Photo
        && matches!(ending.as_str(), "jpg" | "jpeg" | "png" | "gif")
        && file.size <= PICTURE_MAX
}

/// Returns the parameters of a call that sends a file; a caption is that of a picture.
///
/// What a client's app would not show as picture or film goes out as a file: then it can be opened at least.
pub fn params(file: &Attachment, caption: &str) -> Result<Map<String, Value>, Unfit> {
    let id: Uuid = file.attachment_id.parse().map_err(|_| FILE_UNKNOWN)?;
    if file.size > FILE_MAX {
        return Err(FILE_TOO_LARGE);
    }
    let media = json!({ (FILE): id.to_string() });
    if is_picture(file) {
        return Ok(object(json!({
            "type": "picture", "media": media, "text": caption,
        })));
    }
    if file.size <= 0 {
        return Err(FILE_SIZE_UNKNOWN);
    }
    if is_film(file) {
        let mut params = object(json!({ "type": "video", "media": media, "size": file.size }));
        if file.duration_ms > 0 {
            // A begun second counts: 0 would say that there is none.
            params.insert("duration".into(), json!((file.duration_ms + 999) / 1_000));
        }
        return Ok(params);
    }
    let name = name(file);
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    if REFUSED
        .binary_search(&ending.to_lowercase().as_str())
        .is_ok()
    {
        return Err(FILE_KIND_REFUSED);
    }
    Ok(object(json!({
        "type": "file", "media": media, "size": file.size, "file_name": name,
    })))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn is_film(file: &Attachment) -> bool {
    matches!(file.kind(), Kind::Video | Kind::VideoNote | Kind::Animation)
        && ending(file) == "mp4"
        && file.size <= VIDEO_MAX
        && file.duration_ms <= VIDEO_MS_MAX
}

/// Returns what the file is by its media type, else by its name.
fn ending(file: &Attachment) -> String {
    let kind = file.media_type.split(';').next().unwrap_or_default().trim();
    let known = ENDINGS
        .iter()
        .find(|(media_type, _)| media_type.eq_ignore_ascii_case(kind));
    known.map_or_else(
        || named_ending(&file.file_name).unwrap_or_default(),
        |(_, ending)| (*ending).to_owned(),
    )
}

fn named_ending(name: &str) -> Option<String> {
    let (stem, ending) = name.trim().rsplit_once('.')?;
    let fits = !stem.is_empty()
        && (1..=ENDING_MAX).contains(&ending.chars().count())
        && ending.chars().all(|c| c.is_alphanumeric() || c == '_');
    fits.then(|| ending.to_lowercase())
}

/// Returns a name with an ending, as Viber wants it, that is no path.
fn name(file: &Attachment) -> String {
    let tidy: String = file
        .file_name
        .trim()
        .chars()
        .map(|c| match c {
            '/' | '\\' => '_',
            c if c.is_control() => '_',
            c => c,
        })
        .collect();
    let named = named_ending(&tidy).and_then(|_| tidy.rsplit_once('.'));
    let known = ending(file);
    let (stem, ending) = named.unwrap_or((&tidy, &known));
    let stem = if stem.is_empty() { "file" } else { stem };
    let ending = if ending.is_empty() { "dat" } else { ending };
    let room = NAME_MAX - ENDING_MAX - 1;
    let stem: String = stem.chars().take(room).collect();
    format!("{stem}.{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "00000000-0000-0000-0000-000000000007";

    fn file(kind: Kind, name: &str, media_type: &str, size: i64) -> Attachment {
        Attachment {
            attachment_id: ID.to_owned(),
            kind: kind.into(),
            file_name: name.to_owned(),
            media_type: media_type.to_owned(),
            size,
            ..Attachment::default()
        }
    }

    #[test]
    fn a_file_goes_out_as_what_the_clients_app_can_show() {
        for (kind, name, media_type, size, expected) in [
            (Kind::Photo, "a.JPG", "", 9, "picture"),
            (Kind::Photo, "", "image/png", 9, "picture"),
            (Kind::Photo, "", "image/jpeg", 0, "picture"),
            (Kind::Photo, "a.webp", "image/webp", 9, "file a.webp"),
            (
                Kind::Photo,
                "a.jpg",
                "image/jpeg",
                PICTURE_MAX + 1,
                "file a.jpg",
            ),
            (Kind::Document, "a.jpg", "image/jpeg", 9, "file a.jpg"),
            (Kind::Video, "a.mp4", "video/mp4", 9, "video"),
            (Kind::Animation, "", "video/mp4; codecs=avc1", 9, "video"),
            (Kind::Animation, "a.gif", "image/gif", 9, "file a.gif"),
            (Kind::Video, "a.webm", "", 9, "file a.webm"),
            (
                Kind::Video,
                "a.mp4",
                "video/mp4",
                VIDEO_MAX + 1,
                "file a.mp4",
            ),
            (Kind::Voice, "", "audio/ogg", 9, "file file.ogg"),
            (
                Kind::Document,
                "Накладна 5",
                "application/pdf",
                9,
                "file Накладна 5.pdf",
            ),
            (
                Kind::Document,
                "a/../b\\c\0.txt",
                "",
                9,
                "file a_.._b_c_.txt",
            ),
            (
                Kind::Document,
                "price v1.2 final",
                "",
                9,
                "file price v1.2 final.dat",
            ),
            (Kind::Document, ".env", "", 9, "file .env.dat"),
            (Kind::Document, "", "", 9, "file file.dat"),
            (Kind::Document, "a.pdf", "", 0, "FILE_SIZE_UNKNOWN"),
            (Kind::Document, "a.pdf", "", FILE_MAX + 1, "FILE_TOO_LARGE"),
            (Kind::Photo, "a.jpg", "", FILE_MAX + 1, "FILE_TOO_LARGE"),
            (Kind::Document, "setup.EXE", "", 9, "FILE_KIND_REFUSED"),
            (
                Kind::Document,
                "app.apk",
                "application/pdf",
                9,
                "FILE_KIND_REFUSED",
            ),
        ] {
            let read = match params(&file(kind, name, media_type, size), "") {
                Ok(params) => {
                    let name = params.get("file_name").and_then(Value::as_str);
                    let kind = params["type"].as_str().unwrap_or_default();
                    assert_eq!(params["media"], json!({ (FILE): ID }));
                    name.map_or(kind.to_owned(), |name| format!("{kind} {name}"))
                }
                Err(unfit) => unfit.reason.to_owned(),
            };
            assert_eq!(read, expected, "{kind:?} {name} {media_type} {size}");
        }
    }

    #[test]
    fn a_film_tells_its_begun_seconds_and_is_a_file_when_it_is_too_long() {
        let film = |duration_ms| Attachment {
            duration_ms,
            ..file(Kind::Video, "a.mp4", "", 9)
        };
        assert_eq!(params(&film(12_001), "").unwrap()["duration"], json!(13));
        assert!(!params(&film(0), "").unwrap().contains_key("duration"));
        assert_eq!(params(&film(180_001), "").unwrap()["type"], json!("file"));
    }

    #[test]
    fn names_are_bounded_and_keep_their_ending() {
        let long = file(Kind::Document, &format!("{}.pdf", "ї".repeat(400)), "", 9);
        let params = params(&long, "").unwrap();
        let name = params["file_name"].as_str().unwrap();
        assert!(name.chars().count() <= NAME_MAX && name.ends_with("ї.pdf"));
    }

    #[test]
    fn a_file_without_an_id_of_ours_is_refused() {
        let strange = Attachment {
            attachment_id: "x".to_owned(),
            ..file(Kind::Photo, "a.jpg", "", 9)
        };
        assert_eq!(params(&strange, "").unwrap_err(), FILE_UNKNOWN);
    }

    #[test]
    fn what_is_refused_can_be_searched() {
        assert!(REFUSED.is_sorted());
    }
}
