//! How the parts of a message are laid out over messages of Telegram: what goes together, what is split (F189, F190).

use switchboard_proto::common::v1::{
    ContentPart, Location, SharedContact, SharedLink, Text, content_part::Content,
};

use super::media::Medium;
use crate::domain::delivery::{UNSUPPORTED_CONTENT, Unfit};
use crate::domain::split::split;

/// Characters of a text message at most. Counted in UTF-16 code units, which are never fewer than Telegram's own.
pub const TEXT_MAX: u32 = 4_096;

/// Characters of a text under a file at most.
pub const CAPTION_MAX: u32 = 1_024;

/// Files of an album at most.
const ALBUM_MAX: usize = 10;

/// What one call sends.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// A text that fits.
    Text(Text),
    /// A file, or an album of them.
    Media(Media),
    /// A place.
    Place(Location),
    /// Contact data.
    Contact(SharedContact),
}

/// Files that go together.
#[derive(Debug, Clone, PartialEq)]
pub struct Media {
    /// One, or several that may stand in an album.
    pub items: Vec<Medium>,
    /// The text that goes with them.
    pub caption: Option<Text>,
    /// The text stands above them.
    pub above: bool,
}

impl Piece {
    /// Returns how many messages Telegram makes of it: each file of an album is one.
    pub fn messages(&self) -> usize {
        match self {
            Self::Media(media) => media.items.len(),
            Self::Text(_) | Self::Place(_) | Self::Contact(_) => 1,
        }
    }

    /// Tells whether it holds text that can be edited.
    pub fn holds_text(&self) -> bool {
        match self {
            Self::Text(_) => true,
            Self::Media(media) => media.caption.is_some(),
            Self::Place(_) | Self::Contact(_) => false,
        }
    }
}

impl Media {
    /// Tells whether a text can go with the files.
    pub fn takes_caption(&self) -> bool {
        self.items.iter().all(|item| item.sort.takes_caption())
    }
}

/// Lays the parts of a message out, in their order. With `captions`, a text beside files goes with them where it is
/// short enough: the one after them, or else the one before.
pub fn layout(parts: &[ContentPart], captions: bool) -> Result<Vec<Piece>, Unfit> {
    let mut pieces = Vec::new();
    for part in parts {
        add(
            &mut pieces,
            part.content.as_ref().ok_or(UNSUPPORTED_CONTENT)?,
        )?;
    }
    if captions {
        pieces = joined(pieces);
    }
    Ok(pieces.into_iter().flat_map(fitting).collect())
}

fn add(pieces: &mut Vec<Piece>, content: &Content) -> Result<(), Unfit> {
    match content {
        Content::Text(text) => {
            // A blank text is none: nothing stands between what is before it and after it.
            if !text.text.trim().is_empty() {
                pieces.push(Piece::Text(text.clone()));
            }
        }
        Content::Attachment(file) => add_file(pieces, Medium::of(file)?),
        // Only whoever made a sticker can send it as one.
        Content::Sticker(sticker) => {
            let file = sticker.attachment.as_ref().ok_or(UNSUPPORTED_CONTENT)?;
            add_file(pieces, Medium::document(file)?);
        }
        Content::Location(place) => pieces.push(Piece::Place(place.clone())),
        Content::Contact(contact) if contact.phone.trim().is_empty() => {
            return Err(UNSUPPORTED_CONTENT);
        }
        Content::Contact(contact) => pieces.push(Piece::Contact(contact.clone())),
        Content::Link(link) => pieces.push(Piece::Text(written_out(link)?)),
        Content::Button(_) | Content::Unsupported(_) => return Err(UNSUPPORTED_CONTENT),
    }
    Ok(())
}

fn add_file(pieces: &mut Vec<Piece>, file: Medium) {
    if let Some(Piece::Media(before)) = pieces.last_mut()
        && let Some(album) = file.sort.album()
        && before.items.len() < ALBUM_MAX
        && before
            .items
            .iter()
            .all(|item| item.sort.album() == Some(album))
    {
        before.items.push(file);
        return;
    }
    pieces.push(Piece::Media(Media {
        items: vec![file],
        caption: None,
        above: false,
    }));
}

fn written_out(link: &SharedLink) -> Result<Text, Unfit> {
    if link.url.trim().is_empty() {
        return Err(UNSUPPORTED_CONTENT);
    }
    let text = format!("{}\n{}", link.title, link.url);
    Ok(Text {
        text: text.trim().to_owned(),
        entities: Vec::new(),
    })
}

/// Joins texts with the files beside them.
fn joined(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut joined = Vec::with_capacity(pieces.len());
    let mut rest = pieces.into_iter().peekable();
    while let Some(piece) = rest.next() {
        let Piece::Media(mut media) = piece else {
            joined.push(piece);
            continue;
        };
        if media.takes_caption() {
            if let Some(caption) = rest.peek().and_then(caption) {
                rest.next();
                media.caption = Some(caption);
            } else if let Some(caption) = joined.last().and_then(caption) {
                joined.pop();
                media.caption = Some(caption);
                media.above = media
                    .items
                    .iter()
                    .all(|item| item.sort.takes_caption_above());
            }
        }
        joined.push(Piece::Media(media));
    }
    joined
}

/// Returns a text as a caption, where it fits.
fn caption(piece: &Piece) -> Option<Text> {
    let Piece::Text(text) = piece else {
        return None;
    };
    let mut pieces = split(text, CAPTION_MAX);
    (pieces.len() == 1).then(|| pieces.remove(0))
}

fn fitting(piece: Piece) -> Vec<Piece> {
    match piece {
        Piece::Text(text) => split(&text, TEXT_MAX)
            .into_iter()
            .map(Piece::Text)
            .collect(),
        other => vec![other],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchboard_proto::common::v1::{Attachment, Sticker, attachment};

    fn part(word: &str) -> ContentPart {
        let file = |kind: attachment::Kind| {
            Content::Attachment(Attachment {
                attachment_id: word.to_owned(),
                kind: kind.into(),
                ..Attachment::default()
            })
        };
        let content = match word {
            "photo" => file(attachment::Kind::Photo),
            "video" => file(attachment::Kind::Video),
            "doc" => file(attachment::Kind::Document),
            "audio" => file(attachment::Kind::Audio),
            "voice" => file(attachment::Kind::Voice),
            "round" => file(attachment::Kind::VideoNote),
            "place" => Content::Location(Location::default()),
            "sticker" => Content::Sticker(Sticker {
                attachment: Some(Attachment {
                    attachment_id: "s".to_owned(),
                    ..Attachment::default()
                }),
                ..Sticker::default()
            }),
            "long" => Content::Text(Text {
                text: "word ".repeat(300),
                entities: vec![],
            }),
            text => Content::Text(Text {
                text: text.to_owned(),
                entities: vec![],
            }),
        };
        ContentPart {
            content: Some(content),
        }
    }

    /// One word a message: `album[photo+video]`, with `<` for a text above and `>` for one below.
    fn shape(pieces: &[Piece]) -> String {
        let words: Vec<String> = pieces
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) if text.text.len() > 1_000 => "long".to_owned(),
                Piece::Text(text) => text.text.clone(),
                Piece::Place(_) => "place".to_owned(),
                Piece::Contact(_) => "contact".to_owned(),
                Piece::Media(media) => {
                    let items: Vec<&str> =
                        media.items.iter().map(|item| item.sort.field()).collect();
                    let items = if items.len() > 3 {
                        format!("{}x{}", items.len(), items[0])
                    } else {
                        items.join("+")
                    };
                    match &media.caption {
                        Some(caption) if media.above => format!("{}<{items}", caption.text),
                        Some(caption) => format!("{items}>{}", caption.text),
                        None => items,
                    }
                }
            })
            .collect();
        words.join(" ")
    }

    #[test]
    fn f189_f190_files_and_texts_go_together_where_they_can_and_are_split_in_order() {
        for (parts, expected) in [
            ("a", "a"),
            ("a b", "a b"),
            ("photo a", "photo>a"),
            ("a photo", "a<photo"),
            ("a doc", "document>a"),
            ("a photo b", "a photo>b"),
            ("photo a photo", "photo>a photo"),
            ("photo long", "photo long"),
            ("photo video long", "photo+video long"),
            ("long photo", "long photo"),
            ("long photo b", "long photo>b"),
            ("photo video", "photo+video"),
            ("photo video a", "photo+video>a"),
            ("a photo video", "a<photo+video"),
            ("photo doc a", "photo document>a"),
            ("a photo doc", "a<photo document"),
            ("doc doc photo photo", "document+document photo+photo"),
            ("doc audio", "document audio"),
            ("audio audio", "audio+audio"),
            ("voice voice a", "voice voice>a"),
            ("round a", "video_note a"),
            ("a round", "a video_note"),
            ("sticker", "document"),
            ("place a", "place a"),
            ("photo place photo", "photo place photo"),
        ] {
            let parts: Vec<ContentPart> = parts.split(' ').map(part).collect();
            assert_eq!(shape(&layout(&parts, true).unwrap()), expected);
        }
    }

    #[test]
    fn f190_eleven_pictures_become_an_album_and_one_more() {
        for (count, expected) in [
            (2, "photo+photo"),
            (10, "10xphoto"),
            (11, "10xphoto photo"),
            (25, "10xphoto 10xphoto 5xphoto"),
        ] {
            let parts = vec![part("photo"); count];
            assert_eq!(shape(&layout(&parts, true).unwrap()), expected);
        }
    }

    #[test]
    fn without_captions_every_text_stands_alone() {
        let parts: Vec<ContentPart> = ["a", "photo", "b"].map(part).into();
        assert_eq!(shape(&layout(&parts, false).unwrap()), "a photo b");
    }
}
