//! The photo of a person, as the Bot API tells it.
//!
//! `getUserProfilePhotos {user_id, offset, limit}` answers `{"total_count":1,"photos":[[{"file_id":"AgAC…a",
//! "file_unique_id":"AQADa","width":160,"height":160,"file_size":9112},…]]}`: each photo in several sizes, the photo that is
//! shown now first. The list is empty where the person has none, or hides it from the bot by their settings. A person whom the
//! bot has never met is refused: 400 "user not found". `getFile` and the download are as for any file (channels.md §2.4); a
//! `file_unique_id` stays with the photo, whoever asks and whenever (core.telegram.org/bots/api#getuserprofilephotos,
//! #userprofilephotos, #photosize).

use serde_json::Value;

use super::file::FileRef;
use crate::domain::photo::{Said, version};
use crate::domain::value::{id, int, list, size};

/// Pixels of a side at most, where a photo has a size that small: Telegram shows 640, lists less.
const SIDE_MAX: u32 = 640;

/// Returns the photo that a person shows: the largest size of it that is not too large for a list, else the smallest. None
/// where there is none.
pub fn shown(answer: &Value) -> Option<Said> {
    let sizes = list(answer, "photos").first()?.as_array()?;
    let measured = sizes.iter().filter_map(|it| {
        let file_id = id(it, "file_id")?;
        Some((size(it, "width").max(size(it, "height")), it, file_id))
    });
    let fits = |side: u32| side <= SIDE_MAX;
    // Those that fit come after all that do not; among the former the larger is better, among the latter the smaller.
    let (_, it, file_id) = measured.max_by_key(|(side, ..)| {
        if fits(*side) {
            (true, *side)
        } else {
            (false, u32::MAX - *side)
        }
    })?;
    let unique = id(it, "file_unique_id").unwrap_or_else(|| file_id.clone());
    let reference = FileRef {
        file_id,
        size: int(it, "file_size").unwrap_or(0).max(0),
    };
    Some(Said {
        version: version(unique.as_bytes()),
        reference: reference.extension().into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sizes(sides: &[u32]) -> Value {
        let photo = |side: &u32| {
            json!({ "file_id": format!("id{side}"), "file_unique_id": format!("u{side}"), "width": side, "height": side,
                    "file_size": 9 })
        };
        json!({ "total_count": 1, "photos": [sides.iter().map(photo).collect::<Vec<_>>()] })
    }

    #[test]
    fn f067_the_largest_size_that_a_list_needs_is_taken() {
        for (answer, expected) in [
            (sizes(&[160, 320, 640]), Some("id640")),
            (sizes(&[640, 160]), Some("id640")),
            (sizes(&[160, 1_280]), Some("id160")),
            (sizes(&[2_560, 1_280]), Some("id1280")),
            (sizes(&[]), None),
            (json!({ "total_count": 0, "photos": [] }), None),
            (json!({ "photos": [[{ "width": 640 }]] }), None),
            (json!({ "photos": {} }), None),
            (json!(true), None),
        ] {
            let said = shown(&answer);
            let file = said.map(|said| FileRef::read(&said.reference).unwrap().file_id);
            assert_eq!(file.as_deref(), expected, "{answer}");
        }
    }

    #[test]
    fn f067_the_same_photo_is_known_under_another_file_id() {
        let photo = |file: &str, unique: &str| {
            let answer = json!({ "photos": [[{ "file_id": file, "file_unique_id": unique, "width": 160, "height": 160 }]] });
            shown(&answer).unwrap().version
        };
        assert_eq!(photo("a", "u"), photo("b", "u"));
        assert_ne!(photo("a", "u"), photo("a", "v"));
    }
}
