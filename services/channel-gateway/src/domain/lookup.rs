//! What a provider is asked about items after they were accepted: the page of a post (F090), the name of a person.

use serde::{Deserialize, Serialize};
use switchboard_proto::channel_gateway::v1::{InboundEvent, InboundMessage, inbound_event::Kind};
use switchboard_proto::common::v1::{ChannelKind, origin};

use super::instagram::content::permalink;
use super::instagram::wire::is_id;
use super::name::{clean, shown};

/// Characters of a title at most.
const WORDS_MAX: usize = 1_000;

/// What is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum About {
    /// A post.
    Post,
    /// A person who wrote.
    Person,
}

impl About {
    /// Returns the word that is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Post => "post",
            Self::Person => "person",
        }
    }

    /// Reads a stored word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Post, Self::Person]
            .into_iter()
            .find(|about| about.as_str() == word)
    }
}

/// What a provider said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// Of a post.
    Post {
        /// Its page.
        link: String,
        /// Its words.
        title: String,
    },
    /// Of a person.
    Person {
        /// Name to show.
        name: String,
        /// Nick.
        username: String,
    },
}

impl Answer {
    /// Returns what was said of a post; none where it has no page that lasts.
    pub fn post(link: &str, title: &str) -> Option<Self> {
        Some(Self::Post {
            link: permalink(link)?,
            title: cut(title),
        })
    }

    /// Returns what was said of the person with this key; none where that is nothing.
    pub fn person(name: &str, username: &str, key: &str) -> Option<Self> {
        let (name, username) = (cut(name), clean(username.trim_start_matches('@')));
        let told = Some(name.as_str()).filter(|name| !name.is_empty());
        let name = shown(told, &username, key);
        (!name.is_empty() || !username.is_empty()).then_some(Self::Person { name, username })
    }
}

fn cut(text: &str) -> String {
    let words = text.chars().filter(|c| *c != '\0').take(WORDS_MAX);
    words.collect::<String>().trim().to_owned()
}

/// Returns what an item leaves open, and under which id the provider knows that.
///
/// Only Instagram leaves anything open. A person is asked about once they wrote in Direct: a comment is no consent, and
/// brings the nick itself (channels.md §4.2).
pub fn open(item: &InboundEvent) -> Option<(About, &str)> {
    if item.channel_kind() != ChannelKind::Instagram {
        return None;
    }
    let message = message(item)?;
    let origin = message.origin.as_ref()?;
    if origin.kind() == origin::Kind::Comment {
        return Some((About::Post, origin.post_key.as_str())).filter(|(_, key)| is_id(key));
    }
    let client = item.client.as_ref()?;
    let unknown = client.name.is_empty() && client.username.is_empty();
    let wrote = unknown && matches!(item.kind, Some(Kind::Message(_)));
    Some((About::Person, client.user_id.as_str())).filter(|(_, key)| wrote && is_id(key))
}

fn message(item: &InboundEvent) -> Option<&InboundMessage> {
    match &item.kind {
        Some(Kind::Message(message)) => Some(message),
        Some(Kind::OwnAppMessage(own)) => own.message.as_ref(),
        _ => None,
    }
}

/// Puts into an item what is known already.
pub fn fill(item: &mut InboundEvent, answer: &Answer) {
    match answer {
        Answer::Person { name, username } => {
            if let Some(client) = &mut item.client {
                client.name.clone_from(name);
                client.username.clone_from(username);
            }
        }
        Answer::Post { link, .. } => {
            let message = match &mut item.kind {
                Some(Kind::Message(message)) => Some(message),
                Some(Kind::OwnAppMessage(own)) => own.message.as_mut(),
                _ => None,
            };
            if let Some(origin) = message.and_then(|message| message.origin.as_mut()) {
                origin.link.clone_from(link);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::inbound::Line;
    use crate::domain::instagram::normalise;
    use crate::domain::name::NAME_MAX;
    use serde_json::{Value, json};
    use time::OffsetDateTime;
    use uuid::Uuid;

    fn item(entry: &Value) -> InboundEvent {
        let line = Line {
            account: "acme",
            channel: Uuid::nil(),
            provider_account: "178",
        };
        let mut entry = entry.clone();
        entry["id"] = json!("178");
        let body = json!({ "object": "instagram", "entry": [entry] });
        normalise(
            line,
            &body.to_string().into_bytes().into(),
            OffsetDateTime::UNIX_EPOCH,
        )
        .remove(0)
    }

    fn comment(media: &Value) -> InboundEvent {
        item(&json!({ "changes": [{ "field": "comments", "value": {
            "id": "17", "text": "A?", "from": { "id": "77", "username": "olena.k" }, "media": { "id": media } } }] }))
    }

    fn direct(sender: &str, recipient: &str) -> InboundEvent {
        item(
            &json!({ "messaging": [{ "sender": { "id": sender }, "recipient": { "id": recipient },
            "timestamp": 1_790_764_802_450_i64, "message": { "mid": "m1", "text": "A?" } }] }),
        )
    }

    #[test]
    fn f090_a_comment_leaves_its_post_open_and_a_message_its_writer() {
        let read = item(
            &json!({ "messaging": [{ "sender": { "id": "77" }, "recipient": { "id": "178" },
            "timestamp": 1_790_764_802_450_i64, "read": { "mid": "m9" } }] }),
        );
        for (item, expected) in [
            (comment(&json!("181")), Some((About::Post, "181"))),
            (comment(&json!("181/../me")), None),
            (comment(&json!(null)), None),
            (direct("77", "178"), Some((About::Person, "77"))),
            // An echo: the client did not write.
            (direct("178", "77"), None),
            (read, None),
        ] {
            assert_eq!(open(&item), expected, "{item:?}");
        }
        let mut telegram = direct("77", "178");
        telegram.channel_kind = ChannelKind::TelegramBot.into();
        assert_eq!(open(&telegram), None);
    }

    #[test]
    fn f090_what_is_known_goes_with_the_item_and_is_not_asked_again() {
        let mut it = comment(&json!("181"));
        fill(
            &mut it,
            &Answer::post("https://www.instagram.com/p/CxY/?igsh=1", "Cat").unwrap(),
        );
        let link = message(&it).unwrap().origin.clone().unwrap().link;
        assert_eq!(link, "https://www.instagram.com/p/CxY/");
        let mut it = direct("77", "178");
        fill(&mut it, &Answer::person("Olena", "@olena.k", "77").unwrap());
        let client = it.client.clone().unwrap();
        assert_eq!(
            (client.name.as_str(), client.username.as_str()),
            ("Olena", "olena.k")
        );
        assert_eq!(open(&it), None);
    }

    #[test]
    fn only_a_page_that_lasts_is_a_link_and_only_words_are_a_name() {
        for (link, expected) in [
            ("https://www.instagram.com/reel/CxY/", true),
            ("https://scontent.cdninstagram.com/v/t51?sig=1", false),
            ("http://www.instagram.com/p/CxY/", false),
            ("https://evil.example/?www.instagram.com", false),
            ("javascript:alert(1)", false),
            ("", false),
        ] {
            assert_eq!(Answer::post(link, "").is_some(), expected, "{link}");
        }
        assert_eq!(Answer::person(" ", "\0", "77"), None);
        let long = "n".repeat(NAME_MAX * 2);
        for (name, username, expected) in [
            (long.as_str(), "", ("n".repeat(NAME_MAX).as_str(), "")),
            ("\u{3164}", "olena", ("olena", "olena")),
            ("\u{3164}", "", ("77", "")),
            ("", "olena\u{202e}", ("", "olena")),
        ] {
            let Some(Answer::Person { name, username }) = Answer::person(name, username, "77")
            else {
                panic!("a name");
            };
            assert_eq!((name.as_str(), username.as_str()), expected);
        }
    }

    #[test]
    fn stored_words_and_answers_read_back() {
        for about in [About::Post, About::Person] {
            assert_eq!(About::parse(about.as_str()), Some(about));
        }
        assert_eq!(About::parse("other"), None);
        let answer = Answer::person("A", "b", "77").unwrap();
        let stored = serde_json::to_value(&answer).unwrap();
        assert_eq!(serde_json::from_value::<Answer>(stored).unwrap(), answer);
    }
}
