//! Edits: Telegram changes a text where it stands, in a message of its own or with files (channels.md §2.3).

use serde_json::{Map, Value, json};
use switchboard_proto::common::v1::ContentPart;

use super::call::{call, caption, text};
use super::chat::Chat;
use super::layout::{Piece, layout};
use super::plan::deletions;
use crate::domain::call::Call;
use crate::domain::delivery::{MESSAGE_EMPTY, Unfit};

const EDIT_TOO_LONG: Unfit = Unfit {
    reason: "MESSAGE_TOO_LONG",
    detail: "The text does not fit into the messages that were sent any more.",
};
const EDIT_UNFIT: Unfit = Unfit {
    reason: "MESSAGE_NOT_EDITABLE",
    detail: "Telegram lets bots change texts only, not which files a message has.",
};
/// Turns sent messages into what the parts say now.
pub(super) fn edits(
    parts: &[ContentPart],
    numbers: &[i64],
    chat: &Chat,
) -> Result<Vec<Call>, Unfit> {
    let messages = |pieces: &[Piece]| pieces.iter().map(Piece::messages).sum::<usize>();
    for captions in [true, false] {
        let pieces = layout(parts, captions)?;
        if pieces.is_empty() {
            return Err(MESSAGE_EMPTY);
        }
        if messages(&pieces) == numbers.len() {
            let calls = changes(&pieces, numbers);
            // Nothing but files without a text, or places: there is nothing that could change.
            return if calls.is_empty() {
                Err(EDIT_UNFIT)
            } else {
                Ok(calls)
            };
        }
    }
    let pieces = layout(parts, true)?;
    let texts = pieces.iter().all(|piece| matches!(piece, Piece::Text(_)));
    if messages(&pieces) > numbers.len() {
        return Err(if texts { EDIT_TOO_LONG } else { EDIT_UNFIT });
    }
    if !texts {
        return Err(EDIT_UNFIT);
    }
    // A text that became shorter needs fewer messages.
    let (kept, surplus) = numbers.split_at(pieces.len());
    let mut calls = changes(&pieces, kept);
    calls.extend(deletions(surplus, chat));
    Ok(calls)
}

/// Changes the texts of messages that were sent as these pieces.
fn changes(pieces: &[Piece], numbers: &[i64]) -> Vec<Call> {
    // A file that stands alone may have lost its text.
    let emptied = !pieces.iter().any(Piece::holds_text);
    let mut calls = Vec::new();
    let mut rest = numbers;
    for piece in pieces {
        let Some((number, _)) = rest.split_first() else {
            break;
        };
        match piece {
            Piece::Text(piece) => calls.push(edit("editMessageText", *number, text(piece))),
            Piece::Media(media)
                if media.caption.is_some()
                    || (emptied && calls.is_empty() && media.takes_caption()) =>
            {
                let mut params = caption(media);
                params.entry("caption").or_insert_with(|| json!(""));
                calls.push(edit("editMessageCaption", *number, params));
            }
            Piece::Media(_) | Piece::Place(_) | Piece::Contact(_) => {}
        }
        rest = rest.get(piece.messages()..).unwrap_or_default();
    }
    calls
}

fn edit(method: &str, number: i64, mut params: Map<String, Value>) -> Call {
    params.insert("message_id".into(), json!(number));
    call(method, Value::Object(params))
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchboard_proto::common::v1::{Attachment, Text, attachment, content_part::Content};

    fn text(text: &str) -> ContentPart {
        ContentPart {
            content: Some(Content::Text(Text {
                text: text.to_owned(),
                entities: vec![],
            })),
        }
    }

    fn photo() -> ContentPart {
        ContentPart {
            content: Some(Content::Attachment(Attachment {
                attachment_id: "a".to_owned(),
                kind: attachment::Kind::Photo.into(),
                ..Attachment::default()
            })),
        }
    }

    /// Method and parameters of each call, or the reason why there is none.
    fn planned(parts: &[ContentPart], numbers: &[i64]) -> Value {
        match edits(parts, numbers, &Chat::parse("5")) {
            Ok(calls) => calls
                .into_iter()
                .map(|call| json!([call.method, call.params]))
                .collect(),
            Err(unfit) => json!(unfit.reason),
        }
    }

    #[test]
    fn edits_change_texts_where_they_stand() {
        let long = "word ".repeat(1_500);
        for (name, numbers, parts, expected) in [
            (
                "text",
                vec![1],
                vec![text("b")],
                json!([["editMessageText", {"message_id": 1, "text": "b"}]]),
            ),
            (
                "under a file",
                vec![1],
                vec![photo(), text("b")],
                json!([["editMessageCaption", {"message_id": 1, "caption": "b"}]]),
            ),
            (
                "beside a file, as it was too long",
                vec![1, 2],
                vec![photo(), text("b")],
                json!([["editMessageText", {"message_id": 2, "text": "b"}]]),
            ),
            (
                "with an album",
                vec![1, 2],
                vec![photo(), photo(), text("b")],
                json!([["editMessageCaption", {"message_id": 1, "caption": "b"}]]),
            ),
            (
                "taken away from a file",
                vec![1],
                vec![photo()],
                json!([["editMessageCaption", {"message_id": 1, "caption": ""}]]),
            ),
            (
                "shorter",
                vec![1, 2, 3],
                vec![text("b")],
                json!([
                    ["editMessageText", {"message_id": 1, "text": "b"}],
                    ["deleteMessages", {"message_ids": [2, 3]}],
                ]),
            ),
            (
                "longer",
                vec![1],
                vec![text(&long)],
                json!("MESSAGE_TOO_LONG"),
            ),
            (
                "one more file",
                vec![1],
                vec![photo(), photo()],
                json!("MESSAGE_NOT_EDITABLE"),
            ),
            ("emptied", vec![1], vec![text(" ")], json!("MESSAGE_EMPTY")),
        ] {
            assert_eq!(planned(&parts, &numbers), expected, "{name}");
        }
    }
}
