//! The content of a Direct message as parts, in the order in which a reader sees them (channels.md §4.2).

use bytes::Bytes;
use serde_json::{Value, json};
use switchboard_proto::common::v1::{
    Attachment, ButtonPress, ContentPart, Location, Origin, SharedLink, Sticker, Text, Unsupported,
    attachment, content_part::Content, origin,
};
use uuid::Uuid;

use crate::domain::value::{filled, flag, id, list, object, text};

/// So many attachments of one message are read; Instagram knows no message with more than ten.
const ATTACHMENTS_MAX: usize = 100;

/// A longer link is none.
const LINK_MAX: usize = 8_192;

/// What a message holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Body {
    /// Empty where it holds nothing that is known.
    pub parts: Vec<ContentPart>,
    /// Where it was written.
    pub origin: Origin,
}

/// Reads a message. `mid` is its key, from which its files have theirs.
pub fn body(channel: Uuid, mid: &str, message: &Value) -> Body {
    let file = Files { channel, mid };
    let attachments = distinct(list(message, "attachments"));
    let mut contents = Vec::new();
    let mut link = String::new();
    let story = object(message, "reply_to").and_then(|reply| object(reply, "story"));
    // The story that is answered, before the answer.
    contents.extend(story.and_then(|story| file.linked("story", story, attachment::Kind::Photo)));
    let mut kind = story.map_or(origin::Kind::Direct, |_| origin::Kind::Story);
    for (index, attachment) in attachments {
        match type_of(attachment) {
            "story_mention" => kind = origin::Kind::Story,
            word if is_shared(word) && kind == origin::Kind::Direct => {
                kind = origin::Kind::Post;
                link = permalink(&url(attachment).unwrap_or_default()).unwrap_or_default();
            }
            _ => {}
        }
        file.read(&index.to_string(), message, attachment, &mut contents);
    }
    contents.extend(written(message));
    if contents.is_empty() && flag(message, "is_unsupported") {
        contents.push(named("is_unsupported"));
    }
    Body {
        parts: contents.into_iter().map(part).collect(),
        origin: Origin {
            kind: kind.into(),
            link,
            parent_key: String::new(),
            post_key: String::new(),
        },
    }
}

/// Returns the ids that files of a message have, if it has any: what is taken back names the message alone.
pub fn file_ids(channel: Uuid, mid: &str) -> impl Iterator<Item = Uuid> {
    let channel = channel.to_string();
    let places = (0..ATTACHMENTS_MAX).map(|index| index.to_string());
    places
        .chain(["story".to_owned()])
        .map(move |place| chassis::id::v5("attachment", &[&channel, mid, &place]))
}

/// Makes a part of a content.
pub fn part(content: Content) -> ContentPart {
    ContentPart {
        content: Some(content),
    }
}

/// What was written or pressed: the answer that was offered as a button is a press of it.
fn written(message: &Value) -> Option<Content> {
    let words = filled(message, "text");
    if let Some(reply) = object(message, "quick_reply") {
        return Some(Content::Button(ButtonPress {
            title: words.unwrap_or_default(),
            data: text(reply, "payload").unwrap_or_default(),
        }));
    }
    words.map(plain)
}

/// Makes a text without formatting: Instagram has none.
pub fn plain(text: String) -> Content {
    Content::Text(Text {
        text,
        entities: Vec::new(),
    })
}

/// Names what is shown by its kind only.
fn named(kind: &str) -> Content {
    let kind = kind.chars().filter(|c| !c.is_control()).take(64).collect();
    Content::Unsupported(Unsupported { kind })
}

fn type_of(attachment: &Value) -> &str {
    attachment
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// Posts, reels and stories of others that were shared.
fn is_shared(kind: &str) -> bool {
    matches!(
        kind,
        "share" | "ig_post" | "post" | "ig_reel" | "reel" | "ig_story" | "story"
    )
}

fn payload(attachment: &Value) -> &Value {
    attachment.get("payload").unwrap_or(&Value::Null)
}

/// The address of an attachment, where it has one that can be called.
fn url(attachment: &Value) -> Option<String> {
    let found = filled(payload(attachment), "url").or_else(|| filled(attachment, "url"))?;
    usable(found)
}

fn usable(url: String) -> Option<String> {
    let web = url.starts_with("https://") || url.starts_with("http://");
    (web && url.len() <= LINK_MAX).then_some(url)
}

/// Returns the address of a post where it is one that lasts: Instagram's own page of it, without what was tracked in it.
/// All others are signed and expire, and whoever has them has the file: they go nowhere (channels.md §1).
pub fn permalink(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let host = rest.split(['/', '?', '#']).next()?;
    let ours = ["www.instagram.com", "instagram.com", "instagr.am", "ig.me"];
    let page = url.split(['?', '#']).next()?;
    (url.starts_with("https://") && ours.contains(&host) && url.len() <= LINK_MAX)
        .then(|| page.to_owned())
}

/// Leaves out what a share repeats of the post or reel beside it, and keeps each attachment's place.
fn distinct(attachments: &[Value]) -> Vec<(usize, &Value)> {
    let all: Vec<(usize, &Value, Vec<String>)> = attachments
        .iter()
        .enumerate()
        .take(ATTACHMENTS_MAX)
        .map(|(index, attachment)| (index, attachment, marks(attachment)))
        .collect();
    let same = |left: &[String], right: &[String]| left.iter().any(|mark| right.contains(mark));
    let repeats = |index: usize, attachment: &Value, marks: &[String]| {
        type_of(attachment) == "share"
            && all.iter().any(|(other, beside, others)| {
                let narrower = type_of(beside) != "share" || *other < index;
                is_shared(type_of(beside)) && narrower && *other != index && same(marks, others)
            })
    };
    all.iter()
        .filter(|(index, attachment, marks)| !repeats(*index, attachment, marks))
        .map(|(index, attachment, _)| (*index, *attachment))
        .collect()
}

/// By what a post is known: its id, and what its address says.
fn marks(attachment: &Value) -> Vec<String> {
    let payload = payload(attachment);
    let ids = ["ig_post_media_id", "reel_video_id", "media_id", "id"];
    let mut marks: Vec<String> = ids.iter().filter_map(|name| id(payload, name)).collect();
    if let Some(url) = url(attachment) {
        let asset = url
            .split(['?', '&'])
            .find(|part| part.starts_with("asset_id="));
        marks.extend(asset.map(ToOwned::to_owned));
        marks.push(url);
    }
    marks
}

/// Makes files: each is known by the message's key and its place in it.
struct Files<'a> {
    channel: Uuid,
    mid: &'a str,
}

impl Files<'_> {
    fn read(&self, index: &str, message: &Value, attachment: &Value, into: &mut Vec<Content>) {
        use attachment::Kind;
        let sticker = id(payload(attachment), "sticker_id").or_else(|| id(message, "sticker_id"));
        let word = match type_of(attachment) {
            "image" if sticker.is_some() => "sticker",
            word => word,
        };
        match word {
            "sticker" => into.push(self.sticker(index, attachment)),
            "image" | "story_mention" => into.push(self.file(index, attachment, Kind::Photo)),
            "animated_image" => into.push(self.file(index, attachment, Kind::Animation)),
            "video" => into.push(self.file(index, attachment, Kind::Video)),
            "audio" => into.push(self.file(index, attachment, Kind::Audio)),
            "file" => into.push(self.file(index, attachment, Kind::Document)),
            "like_heart" => into.push(Content::Sticker(Sticker {
                emoji: "\u{2764}\u{fe0f}".to_owned(),
                ..Sticker::default()
            })),
            "ephemeral" => into.push(named("view-once")),
            "fallback" => into.push(link(attachment)),
            "location" => into.push(place(attachment).unwrap_or_else(|| named("location"))),
            "" => into.push(named("attachment")),
            word if is_shared(word) => self.shared(index, word, attachment, into),
            word => into.push(named(word)),
        }
    }

    /// What is shared is a link with a title; and a file, where the address is not the page but the picture or film.
    fn shared(&self, index: &str, word: &str, attachment: &Value, into: &mut Vec<Content>) {
        let url = url(attachment);
        let page = url.as_deref().and_then(permalink);
        let title = filled(payload(attachment), "title").or_else(|| filled(attachment, "title"));
        into.push(Content::Link(SharedLink {
            url: page.clone().unwrap_or_default(),
            title: title.unwrap_or_default(),
        }));
        if url.is_some() && page.is_none() {
            let kind = match word {
                "ig_reel" | "reel" => attachment::Kind::Video,
                _ => attachment::Kind::Photo,
            };
            into.push(self.file(index, attachment, kind));
        }
    }

    fn sticker(&self, index: &str, attachment: &Value) -> Content {
        if url(attachment).is_none() {
            return named("sticker");
        }
        let picture = self.attachment(index, attachment, attachment::Kind::Photo);
        Content::Sticker(Sticker {
            attachment: Some(picture),
            ..Sticker::default()
        })
    }

    fn file(&self, index: &str, attachment: &Value, kind: attachment::Kind) -> Content {
        Content::Attachment(self.attachment(index, attachment, kind))
    }

    /// A file where there is something to fetch.
    fn linked(&self, index: &str, holder: &Value, kind: attachment::Kind) -> Option<Content> {
        url(holder).map(|_| self.file(index, holder, kind))
    }

    /// Instagram tells neither name, size nor media type: the download does.
    fn attachment(&self, index: &str, attachment: &Value, kind: attachment::Kind) -> Attachment {
        use attachment::State;
        let url = url(attachment);
        let (state, reason) = match url {
            Some(_) => (State::Pending, ""),
            None => (State::Failed, "LINK_MISSING"),
        };
        let names = [&self.channel.to_string(), self.mid, index];
        Attachment {
            attachment_id: chassis::id::v5("attachment", &names).to_string(),
            kind: kind.into(),
            state: state.into(),
            reason: reason.to_owned(),
            extension: url.map_or_else(Bytes::new, |url| json!({ "url": url }).to_string().into()),
            ..Attachment::default()
        }
    }
}

/// A link that Meta found in a text.
fn link(attachment: &Value) -> Content {
    let title = filled(attachment, "title").or_else(|| filled(payload(attachment), "title"));
    let url = url(attachment).filter(|url| !is_signed(url));
    Content::Link(SharedLink {
        url: url.unwrap_or_default(),
        title: title.unwrap_or_default(),
    })
}

/// Tells whether an address is one of Meta's own, of files that are given to whoever has it.
fn is_signed(url: &str) -> bool {
    let host = url.split(['/', '?', '#']).nth(2).unwrap_or_default();
    let host = host.rsplit('@').next().unwrap_or_default();
    let host = host
        .split(':')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    ["fbsbx.com", "fbcdn.net", "cdninstagram.com"]
        .iter()
        .any(|domain| host.ends_with(domain))
}

fn place(attachment: &Value) -> Option<Content> {
    let coordinates = object(payload(attachment), "coordinates")?;
    let degrees = |name: &str| coordinates.get(name).and_then(Value::as_f64);
    Some(Content::Location(Location {
        latitude: degrees("lat")?,
        longitude: degrees("long")?,
        title: filled(attachment, "title").unwrap_or_default(),
        ..Location::default()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_instagrams_own_pages_are_links_that_last() {
        for (url, expected) in [
            (
                "https://www.instagram.com/p/DAbc/?igsh=x#a",
                Some("https://www.instagram.com/p/DAbc/"),
            ),
            (
                "https://instagram.com/reel/D1/",
                Some("https://instagram.com/reel/D1/"),
            ),
            ("http://www.instagram.com/p/DAbc/", None),
            ("https://www.instagram.com@evil.example/p/", None),
            (
                "https://lookaside.fbsbx.com/ig_messaging_cdn/?asset_id=1&signature=x",
                None,
            ),
            ("https://scontent.cdninstagram.com/v/1.jpg?oh=1", None),
            ("www.instagram.com/p/DAbc/", None),
        ] {
            assert_eq!(permalink(url).as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn a_signed_address_stands_nowhere_but_in_the_gateways_own_reference() {
        let signed = "https://lookaside.fbsbx.com/ig_messaging_cdn/?asset_id=1&signature=x";
        for kind in [
            "image",
            "video",
            "audio",
            "file",
            "sticker",
            "share",
            "ig_post",
            "ig_reel",
            "reel",
            "story_mention",
            "fallback",
            "template",
            "unheard_of",
            "ephemeral",
        ] {
            let message = json!({
                "attachments": [{ "type": kind, "url": signed, "payload": { "url": signed, "title": "підпис" } }],
                "reply_to": { "story": { "id": "1", "url": signed } },
            });
            let mut body = body(Uuid::nil(), "m1", &message);
            for part in &mut body.parts {
                match &mut part.content {
                    Some(Content::Attachment(file)) => file.extension.clear(),
                    Some(Content::Sticker(sticker)) => sticker.attachment = None,
                    _ => {}
                }
            }
            assert!(
                !format!("{body:?}").contains("signature"),
                "{kind}: {body:?}"
            );
        }
    }

    #[test]
    fn files_of_a_message_have_ids_of_their_own_that_stay() {
        let image = json!({ "type": "image", "payload": { "url": "https://a.example/1" } });
        let message = json!({ "attachments": [image, image] });
        let ids = |channel: u128, mid: &str| -> Vec<String> {
            let body = body(Uuid::from_u128(channel), mid, &message);
            let files = body
                .parts
                .into_iter()
                .filter_map(|part| match part.content {
                    Some(Content::Attachment(file)) => Some(file.attachment_id),
                    _ => None,
                });
            files.collect()
        };
        let first = ids(1, "m1");
        assert!(first.len() == 2 && first[0] != first[1]);
        assert_eq!(first, ids(1, "m1"));
        assert_ne!(first, ids(1, "m2"));
        assert_ne!(first, ids(2, "m1"));
    }
}
