//! What a file is sent as: by its kind, its media type, and what Telegram takes (channels.md §2.3).

use serde_json::{Map, Value, json};
use switchboard_proto::common::v1::{Attachment, attachment};

use crate::domain::call::FILE;
use crate::domain::delivery::{UNSUPPORTED_CONTENT, Unfit};

/// Bytes of a picture at most; a larger one goes as a document.
pub const PHOTO_MAX: i64 = 10 * 1024 * 1024;

/// Bytes of any other file at most.
pub const FILE_MAX: i64 = 50 * 1024 * 1024;

/// Width and height of a picture together at most, in pixels.
const PHOTO_MEASURES: u64 = 10_000;

/// How many times longer one side of a picture may be than the other.
const PHOTO_RATIO: u64 = 20;

/// Duration of a round video at most.
const ROUND_MS: i64 = 60_000;

/// What Telegram shows as a picture, a voice message, or music; everything else of these kinds goes as a document.
const PHOTO: [&str; 4] = ["image/jpeg", "image/jpg", "image/png", "image/webp"];
const VIDEO: [&str; 1] = ["video/mp4"];
const ANIMATION: [&str; 2] = ["image/gif", "video/mp4"];
const AUDIO: [&str; 5] = [
    "audio/mpeg",
    "audio/mp3",
    "audio/mp4",
    "audio/m4a",
    "audio/x-m4a",
];
const VOICE: [&str; 2] = ["audio/ogg", "audio/opus"];

const FILE_TOO_LARGE: Unfit = Unfit {
    reason: "FILE_TOO_LARGE",
    detail: "The file is larger than 50 MB, which is what bots can send in Telegram.",
};
const FILE_UNAVAILABLE: Unfit = Unfit {
    reason: "FILE_UNAVAILABLE",
    detail: "The file is not in our store, so it cannot be sent.",
};

/// How a file is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// A picture.
    Photo,
    /// A film.
    Video,
    /// A short silent film.
    Animation,
    /// Music.
    Audio,
    /// A voice message.
    Voice,
    /// A round video.
    VideoNote,
    /// Anything.
    Document,
}

/// What may stand together in one album.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Album {
    /// Pictures and films.
    Visual,
    /// Music.
    Audio,
    /// Documents.
    Document,
}

impl Sort {
    /// Returns the method that sends one such file.
    pub const fn method(self) -> &'static str {
        match self {
            Self::Photo => "sendPhoto",
            Self::Video => "sendVideo",
            Self::Animation => "sendAnimation",
            Self::Audio => "sendAudio",
            Self::Voice => "sendVoice",
            Self::VideoNote => "sendVideoNote",
            Self::Document => "sendDocument",
        }
    }

    /// Returns the parameter that holds the file, which is the type of an album's item too.
    pub const fn field(self) -> &'static str {
        match self {
            Self::Photo => "photo",
            Self::Video => "video",
            Self::Animation => "animation",
            Self::Audio => "audio",
            Self::Voice => "voice",
            Self::VideoNote => "video_note",
            Self::Document => "document",
        }
    }

    /// Returns the kind of album that the file may stand in.
    pub const fn album(self) -> Option<Album> {
        match self {
            Self::Photo | Self::Video => Some(Album::Visual),
            Self::Audio => Some(Album::Audio),
            Self::Document => Some(Album::Document),
            Self::Animation | Self::Voice | Self::VideoNote => None,
        }
    }

    /// Tells whether a text can stand under the file.
    pub const fn takes_caption(self) -> bool {
        !matches!(self, Self::VideoNote)
    }

    /// Tells whether a text can stand above the file too.
    pub const fn takes_caption_above(self) -> bool {
        matches!(self, Self::Photo | Self::Video | Self::Animation)
    }
}

/// A file that is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Medium {
    /// How it is sent.
    pub sort: Sort,
    attachment_id: String,
    width: u32,
    height: u32,
    seconds: i64,
}

impl Medium {
    /// Decides how a file is sent.
    pub fn of(file: &Attachment) -> Result<Self, Unfit> {
        Self::sorted(file, sort_of(file))
    }

    /// Sends a file as a document, whatever it is.
    pub fn document(file: &Attachment) -> Result<Self, Unfit> {
        Self::sorted(file, Sort::Document)
    }

    fn sorted(file: &Attachment, sort: Sort) -> Result<Self, Unfit> {
        if file.attachment_id.is_empty() {
            return Err(UNSUPPORTED_CONTENT);
        }
        if file.state() == attachment::State::Failed {
            return Err(FILE_UNAVAILABLE);
        }
        if file.size > FILE_MAX {
            return Err(FILE_TOO_LARGE);
        }
        Ok(Self {
            sort,
            attachment_id: file.attachment_id.clone(),
            width: file.width,
            height: file.height,
            seconds: file.duration_ms.clamp(0, 86_400_000) / 1_000,
        })
    }

    /// Returns what stands in a call where the file is wanted.
    pub fn file(&self) -> Value {
        json!({ FILE: self.attachment_id })
    }

    /// Adds what Telegram cannot see of the file itself.
    pub fn describe(&self, params: &mut Map<String, Value>) {
        let measures: &[(&str, i64)] = match self.sort {
            Sort::Video | Sort::Animation => &[
                ("width", i64::from(self.width)),
                ("height", i64::from(self.height)),
                ("duration", self.seconds),
            ],
            Sort::Audio | Sort::Voice => &[("duration", self.seconds)],
            Sort::VideoNote => &[
                ("length", i64::from(self.width)),
                ("duration", self.seconds),
            ],
            Sort::Photo | Sort::Document => &[],
        };
        for (name, value) in measures.iter().filter(|(_, value)| *value > 0) {
            params.insert((*name).to_owned(), json!(value));
        }
        match self.sort {
            Sort::Video => params.insert("supports_streaming".into(), json!(true)),
            // Else a film that was sent as a document would become a film again.
            Sort::Document => params.insert("disable_content_type_detection".into(), json!(true)),
            _ => None,
        };
    }
}

fn sort_of(file: &Attachment) -> Sort {
    use attachment::Kind;
    let media_type = file.media_type.split(';').next().unwrap_or_default();
    let media_type = media_type.trim().to_ascii_lowercase();
    let is = |known: &[&str]| known.contains(&media_type.as_str());
    let may_be = |known: &[&str]| media_type.is_empty() || is(known);
    let or_document = |fits: bool, sort: Sort| if fits { sort } else { Sort::Document };
    match file.kind() {
        Kind::Photo if is(&["image/gif"]) => Sort::Animation,
        Kind::Photo => or_document(may_be(&PHOTO) && is_a_fitting_picture(file), Sort::Photo),
        Kind::Video => or_document(may_be(&VIDEO), Sort::Video),
        Kind::Animation => or_document(may_be(&ANIMATION), Sort::Animation),
        Kind::VideoNote if file.width != file.height || file.duration_ms > ROUND_MS => {
            or_document(may_be(&VIDEO), Sort::Video)
        }
        Kind::VideoNote => or_document(may_be(&VIDEO), Sort::VideoNote),
        Kind::Voice => or_document(may_be(&VOICE) || is(&AUDIO), Sort::Voice),
        Kind::Audio => or_document(may_be(&AUDIO), Sort::Audio),
        Kind::Document => Sort::Document,
        // Somebody who does not say what it is wants it shown as what it is.
        Kind::Unspecified if is(&PHOTO) => or_document(is_a_fitting_picture(file), Sort::Photo),
        Kind::Unspecified if is(&VIDEO) => Sort::Video,
        Kind::Unspecified if is(&["image/gif"]) => Sort::Animation,
        Kind::Unspecified => or_document(is(&AUDIO), Sort::Audio),
    }
}

/// Tells whether Telegram takes a picture as such, by what is known of it; 0 is unknown.
fn is_a_fitting_picture(file: &Attachment) -> bool {
    let (width, height) = (u64::from(file.width), u64::from(file.height));
    let (short, long) = (width.min(height), width.max(height));
    let proportioned = short == 0 || long <= short.saturating_mul(PHOTO_RATIO);
    file.size <= PHOTO_MAX && width + height <= PHOTO_MEASURES && proportioned
}

#[cfg(test)]
mod tests {
    use super::*;
    use attachment::Kind;

    fn file(kind: Kind, media_type: &str) -> Attachment {
        Attachment {
            attachment_id: "a".into(),
            kind: kind.into(),
            media_type: media_type.into(),
            ..Attachment::default()
        }
    }

    #[test]
    fn f130_files_go_as_what_telegram_shows_them_as() {
        for (kind, media_type, expected) in [
            (Kind::Photo, "image/jpeg", Sort::Photo),
            (Kind::Photo, "IMAGE/PNG; x=y", Sort::Photo),
            (Kind::Photo, "", Sort::Photo),
            (Kind::Photo, "image/gif", Sort::Animation),
            (Kind::Photo, "image/heic", Sort::Document),
            (Kind::Photo, "image/svg+xml", Sort::Document),
            (Kind::Video, "video/mp4", Sort::Video),
            (Kind::Video, "video/x-matroska", Sort::Document),
            (Kind::Animation, "video/mp4", Sort::Animation),
            (Kind::Animation, "image/webp", Sort::Document),
            (Kind::VideoNote, "video/mp4", Sort::VideoNote),
            (Kind::VideoNote, "video/webm", Sort::Document),
            (Kind::Voice, "audio/ogg", Sort::Voice),
            (Kind::Voice, "audio/mpeg", Sort::Voice),
            (Kind::Voice, "audio/mp4", Sort::Voice),
            (Kind::Voice, "audio/webm", Sort::Document),
            (Kind::Audio, "audio/mpeg", Sort::Audio),
            (Kind::Audio, "audio/ogg", Sort::Document),
            (Kind::Document, "image/jpeg", Sort::Document),
            (Kind::Document, "", Sort::Document),
            (Kind::Unspecified, "image/jpeg", Sort::Photo),
            (Kind::Unspecified, "video/mp4", Sort::Video),
            (Kind::Unspecified, "image/gif", Sort::Animation),
            (Kind::Unspecified, "audio/mpeg", Sort::Audio),
            (Kind::Unspecified, "application/pdf", Sort::Document),
        ] {
            let sort = Medium::of(&file(kind, media_type)).unwrap().sort;
            assert_eq!(sort, expected, "{kind:?} {media_type}");
        }
    }

    #[test]
    fn pictures_and_round_videos_that_do_not_fit_go_otherwise() {
        let picture = |size, width, height| Attachment {
            size,
            width,
            height,
            ..file(Kind::Photo, "image/jpeg")
        };
        let round = |width, height, duration_ms| Attachment {
            width,
            height,
            duration_ms,
            ..file(Kind::VideoNote, "video/mp4")
        };
        for (name, file, expected) in [
            ("fits", picture(PHOTO_MAX, 1280, 960), Sort::Photo),
            ("heavy", picture(PHOTO_MAX + 1, 1280, 960), Sort::Document),
            ("largest", picture(1, 5_000, 5_000), Sort::Photo),
            ("too large", picture(1, 5_001, 5_000), Sort::Document),
            ("narrowest", picture(1, 2_000, 100), Sort::Photo),
            ("too narrow", picture(1, 100, 2_001), Sort::Document),
            ("unknown", picture(0, 0, 0), Sort::Photo),
            ("round", round(384, 384, 60_000), Sort::VideoNote),
            ("oblong", round(384, 640, 9_000), Sort::Video),
            ("long", round(384, 384, 61_000), Sort::Video),
        ] {
            assert_eq!(Medium::of(&file).unwrap().sort, expected, "{name}");
        }
    }

    #[test]
    fn what_cannot_be_had_or_sent_is_named() {
        let large = Attachment {
            size: FILE_MAX + 1,
            ..file(Kind::Document, "")
        };
        let lost = Attachment {
            state: attachment::State::Failed.into(),
            ..file(Kind::Document, "")
        };
        for (file, reason) in [
            (Attachment::default(), "UNSUPPORTED_CONTENT"),
            (large, "FILE_TOO_LARGE"),
            (lost, "FILE_UNAVAILABLE"),
        ] {
            assert_eq!(Medium::of(&file).unwrap_err().reason, reason);
        }
    }
}
