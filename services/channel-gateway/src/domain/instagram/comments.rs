//! Comments under posts (channels.md §4.3): a comment and a Direct message of one person stand in one chat.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use switchboard_proto::channel_gateway::v1::{
    InboundMessage, InboundOwnAppMessage, inbound_event::Kind,
};
use switchboard_proto::common::v1::{
    ContentPart, Origin, ReplyReference, Unsupported, content_part::Content, origin,
};

use super::content::{part, plain};
use super::normalise::{Known, Reading, Unknown};
use super::wire::{comment_key, is_id, key, when};
use crate::domain::value::{filled, id, object, text};

/// What the gateway must know of a comment to find its post and to answer it: `InboundMessage.extension`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comment {
    /// Id of the comment.
    pub comment: String,
    /// Id of the post; empty where Meta did not tell.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub media: String,
    /// `FEED`, `REELS`, `STORY` or `AD`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub product: String,
    /// The comment that this one answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Nick of who wrote it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub username: String,
    /// The advertisement under which it stands.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub ad: String,
    /// It was written during a broadcast.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub live: bool,
}

impl Comment {
    /// Reads what stands in a message's extension; none where that is no comment's.
    pub fn of(extension: &[u8]) -> Option<Self> {
        serde_json::from_slice(extension).ok()
    }

    fn bytes(&self) -> Bytes {
        serde_json::to_vec(self).unwrap_or_default().into()
    }
}

/// Tells whether a comment of ours names somebody else than this nick at its beginning, as answers in threads do.
pub fn names_other(message: &InboundMessage, nick: &str) -> bool {
    let words = message.parts.iter().find_map(|part| match &part.content {
        Some(Content::Text(text)) => Some(text.text.trim_start()),
        _ => None,
    });
    let named = words
        .and_then(|words| words.strip_prefix('@'))
        .and_then(|words| {
            words
                .split(|c: char| c.is_whitespace() || ",:;!?".contains(c))
                .next()
        })
        .map(|named| named.trim_end_matches('.'));
    named.is_some_and(|named| !named.is_empty() && !named.eq_ignore_ascii_case(nick))
}

/// Tells whether a field of changes is about comments.
pub fn is_comment(field: &str) -> bool {
    matches!(field, "comments" | "live_comments" | "mentions")
}

/// Reads a comment. The post's link is not in it: it is looked up by [`Comment::media`].
///
/// What we or the owner wrote comes back as well: it is marked as our own (F092). A comment that does not tell who
/// wrote it, as a mention under somebody else's post, belongs to no chat.
pub fn read(
    known: Known<'_>,
    field: &str,
    value: &Value,
    entry: &Value,
) -> Result<Reading, Unknown> {
    let unknown = || field.to_owned();
    let id_of_comment = key(value, "id").or_else(|| key(value, "comment_id"));
    let comment_id = id_of_comment.filter(|id| is_id(id)).ok_or_else(unknown)?;
    let from = object(value, "from").unwrap_or(&Value::Null);
    let username = text(from, "username").or_else(|| text(value, "username"));
    let username = username.unwrap_or_default();
    let from_id = id(from, "id").unwrap_or_default();
    let own = from_id == known.own_id() || known.is_named(&username);
    if from_id.is_empty() && !own {
        return Err(unknown());
    }
    let media = object(value, "media").unwrap_or(&Value::Null);
    let parent = key(value, "parent_id").filter(|id| is_id(id));
    let comment = Comment {
        media: id(media, "id")
            .or_else(|| id(value, "media_id"))
            .unwrap_or_default(),
        product: text(media, "media_product_type").unwrap_or_default(),
        parent: parent.clone(),
        username: username.clone(),
        ad: id(media, "ad_id").unwrap_or_default(),
        live: field == "live_comments",
        comment: comment_id.clone(),
    };
    let provider_key = comment_key(&comment_id);
    let parent_key = parent.map(|id| comment_key(&id)).unwrap_or_default();
    let message = InboundMessage {
        provider_key: provider_key.clone(),
        parts: vec![words(value, field)],
        reply: (!parent_key.is_empty()).then(|| ReplyReference {
            provider_key: parent_key.clone(),
            ..ReplyReference::default()
        }),
        origin: Some(Origin {
            kind: origin::Kind::Comment.into(),
            link: String::new(),
            parent_key,
            post_key: Some(comment.media.clone())
                .filter(|id| is_id(id))
                .unwrap_or_default(),
        }),
        extension: comment.bytes(),
        ..InboundMessage::default()
    };
    let times = [
        (value, "timestamp"),
        (value, "created_time"),
        (entry, "time"),
    ];
    Ok(Reading {
        event_key: Some(provider_key),
        // Whose comment was answered is not told: whoever has the parent knows.
        client: (!own).then(|| known.client(&from_id, &username)),
        time: times.iter().find_map(|(holder, name)| when(holder, name)),
        kind: if own {
            Kind::OwnAppMessage(InboundOwnAppMessage {
                message: Some(message),
                automatic: false,
            })
        } else {
            Kind::Message(message)
        },
    })
}

/// A comment can be a picture alone, of which Meta tells nothing.
fn words(value: &Value, field: &str) -> ContentPart {
    part(filled(value, "text").map_or_else(
        || {
            Content::Unsupported(Unsupported {
                kind: field.to_owned(),
            })
        },
        plain,
    ))
}
