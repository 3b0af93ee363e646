//! Of messages that are searched (B12).

use std::ops::Range;

use switchboard_proto::common::v1::{ContentPart, content_part::Content};
use switchboard_proto::conversation::v1 as pb;

use crate::domain::search::snippet::Snippet;

/// Texts by which a message is found: its subject, its texts, buttons that were pressed, and names of files.
pub fn searched(message: &pb::Message) -> impl Iterator<Item = &str> {
    let parts = message.parts.iter().filter_map(text);
    std::iter::once(message.subject.as_str()).chain(parts)
}

fn text(part: &ContentPart) -> Option<&str> {
    match part.content.as_ref()? {
        Content::Text(text) => Some(&text.text),
        Content::Attachment(file) => Some(&file.file_name),
        Content::Button(press) => Some(&press.title),
        _ => None,
    }
}

/// Writes a snippet.
pub fn snippet(snippet: Snippet) -> pb::Snippet {
    let units = |units: usize| u32::try_from(units).unwrap_or(u32::MAX);
    let range = |range: Range<usize>| pb::TextRange {
        offset: units(range.start),
        length: units(range.len()),
    };
    pb::Snippet {
        text: snippet.text,
        matches: snippet.matches.into_iter().map(range).collect(),
    }
}
