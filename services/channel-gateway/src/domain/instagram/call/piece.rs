//! What Instagram can take of a message: texts without formatting, and files of few types.

use switchboard_proto::common::v1::{
    Attachment, ContentPart, SharedLink, Text, content_part::Content, text_entity,
};

use super::UNSUPPORTED_CONTENT;
use crate::domain::delivery::Unfit;

const MEGABYTE: i64 = 1_000_000;

/// Bytes of a picture at most.
pub const PICTURE_MAX: i64 = 8 * MEGABYTE;

/// Bytes of sound, a film or a document at most.
pub const FILE_MAX: i64 = 25 * MEGABYTE;

const FILE_TYPE_UNSUPPORTED: Unfit = Unfit {
    reason: "FILE_TYPE_UNSUPPORTED",
    detail: "Instagram takes PNG, JPEG and GIF pictures, sound, films, and PDF documents.",
};
const FILE_TOO_LARGE: Unfit = Unfit {
    reason: "FILE_TOO_LARGE",
    detail: "Instagram takes pictures up to 8 MB and other files up to 25 MB.",
};

/// What Instagram can take of a content.
pub enum Piece<'a> {
    /// A text without formatting.
    Text(Text),
    /// A file; whether Instagram takes it, [`media`] tells.
    File(&'a Attachment),
}

/// Returns what of a part Instagram can take.
pub fn content(part: &ContentPart) -> Result<Piece<'_>, Unfit> {
    Ok(match &part.content {
        Some(Content::Text(text)) => Piece::Text(written(text)),
        Some(Content::Link(link)) => Piece::Text(shared(link)),
        Some(Content::Attachment(file)) if !file.attachment_id.contains('\0') => Piece::File(file),
        _ => return Err(UNSUPPORTED_CONTENT),
    })
}

fn unformatted(text: &str) -> Text {
    Text {
        text: text.replace('\0', "\u{fffd}"),
        entities: Vec::new(),
    }
}

fn shared(link: &SharedLink) -> Text {
    let title = link.title.trim();
    if title.is_empty() || link.url.is_empty() {
        return unformatted(if title.is_empty() { &link.url } else { title });
    }
    unformatted(&format!("{title} ({})", link.url))
}

/// Instagram has no formatting: the address behind a text is written after it.
pub fn written(text: &Text) -> Text {
    let links = text
        .entities
        .iter()
        .filter(|entity| entity.kind() == text_entity::Kind::TextLink && !entity.url.is_empty());
    let mut links: Vec<(u32, &str)> = links
        .map(|entity| {
            (
                entity.offset.saturating_add(entity.length),
                entity.url.as_str(),
            )
        })
        .collect();
    links.sort_by_key(|(end, _)| *end);
    let mut links = links.into_iter().peekable();
    let mut plain = String::with_capacity(text.text.len());
    let mut units = 0;
    for character in text.text.chars() {
        while let Some((_, url)) = links.next_if(|(end, _)| *end <= units) {
            add(&mut plain, url);
        }
        plain.push(character);
        units = units.saturating_add(if character.len_utf16() == 2 { 2 } else { 1 });
    }
    for (_, url) in links {
        add(&mut plain, url);
    }
    unformatted(&plain)
}

fn add(plain: &mut String, url: &str) {
    // The text may be the address itself.
    if !plain.ends_with(url) {
        plain.push_str(" (");
        plain.push_str(url);
        plain.push(')');
    }
}

/// Returns Instagram's word for a file, where it takes such files of that size.
pub fn media(file: &Attachment) -> Result<&'static str, Unfit> {
    let full = file.media_type.to_ascii_lowercase();
    let media_type = full.split(';').next().unwrap_or_default().trim();
    let (kind, max) = match media_type {
        "image/png" | "image/jpeg" | "image/gif" => ("image", PICTURE_MAX),
        "audio/aac" | "audio/mp4" | "audio/m4a" | "audio/x-m4a" | "audio/wav" | "audio/x-wav"
        | "audio/wave" | "audio/vnd.wave" => ("audio", FILE_MAX),
        "video/mp4" | "video/ogg" | "video/x-msvideo" | "video/avi" | "video/quicktime"
        | "video/webm" => ("video", FILE_MAX),
        "application/pdf" => ("file", FILE_MAX),
        _ => return Err(FILE_TYPE_UNSUPPORTED),
    };
    if file.size > max {
        return Err(FILE_TOO_LARGE);
    }
    Ok(kind)
}
