//! Albums as messages hold them.

use chassis::grpc::{timestamp, timestamp_opt};
use switchboard_proto::common::v1::{ContentPart, content_part::Content};
use switchboard_proto::conversation::v1 as pb;
use time::OffsetDateTime;

use super::time;
use crate::domain::album::{Album, Item};
use crate::domain::amendment::Moment;

/// Reads the album out of a message's content; an empty one where it is none.
pub fn album(content: &pb::Message) -> Album<ContentPart> {
    let mut album = Album::default();
    for item in &content.album {
        let own = item.parts.iter().filter_map(|place| {
            let place = usize::try_from(*place).ok()?;
            content.parts.get(place).cloned()
        });
        album.add(Item {
            key: item.provider_key.clone(),
            number: item.provider_number,
            edited: time(item.edit_time.as_ref())
                .map(|time| Moment::new(time, item.edit_key.clone())),
            deleted_at: time(item.delete_time.as_ref()),
            parts: own.collect(),
        });
    }
    album
}

/// Writes an album into a message's content.
pub fn set_album(content: &mut pb::Message, album: &Album<ContentPart>) {
    let (parts, places) = album.layout(|part| matches!(part.content, Some(Content::Text(_))));
    content.parts = parts;
    content.album = album
        .items()
        .iter()
        .zip(places)
        .map(|(item, parts)| pb::AlbumItem {
            provider_key: item.key.clone(),
            provider_number: item.number,
            parts,
            edit_time: item.edited.as_ref().map(|edited| timestamp(edited.time)),
            edit_key: item
                .edited
                .as_ref()
                .map_or_else(String::new, |edited| edited.key.clone()),
            delete_time: timestamp_opt(item.deleted_at),
        })
        .collect();
}

/// Makes an item of what came; a deletion that came first leaves nothing of it.
pub fn item(
    key: &str,
    number: i64,
    parts: &[ContentPart],
    deleted_at: Option<OffsetDateTime>,
) -> Item<ContentPart> {
    Item {
        key: key.to_owned(),
        number,
        edited: None,
        deleted_at,
        parts: if deleted_at.is_some() {
            Vec::new()
        } else {
            parts.to_vec()
        },
    }
}
