//! Clients' photos (F067): of whom one is looked for, and what is made of what a provider says. Pure and total.

use serde_json::json;
use sha2::{Digest as _, Sha256};
use switchboard_proto::channel_gateway::v1::{InboundEvent, inbound_event::Kind};
use switchboard_proto::common::v1::{ChannelKind, origin};
use time::Duration;

/// Bytes of a photo at most: what providers show in lists has far fewer.
pub const SIZE_MAX: u64 = 2 * 1024 * 1024;

/// After how long a client who writes is looked at anew.
pub const ANEW: Duration = Duration::days(1);

/// After how long already, where a message tells of another photo.
pub const CHANGED: Duration = Duration::hours(1);

/// Characters of an address at most.
const ADDRESS_MAX: usize = 4_096;

/// Bytes of a key, or of an id, at most.
const KEY_MAX: usize = 256;

/// Whose photo is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted<'e> {
    /// The provider's key of the chat.
    pub chat_key: &'e str,
    /// The provider's id of the client.
    pub user_id: &'e str,
    /// Where the item told that the photo is.
    pub told: Option<&'e [u8]>,
}

/// Returns whose photo an item has looked for: the client's, who wrote or began. A comment is no consent to be asked about
/// (channels.md §4.2), and mail knows no photos.
pub fn wanted(item: &InboundEvent) -> Option<Wanted<'_>> {
    let is_comment = match &item.kind {
        Some(Kind::Message(message)) => {
            let origin = message.origin.as_ref();
            origin.is_some_and(|origin| origin.kind() == origin::Kind::Comment)
        }
        Some(Kind::Start(_)) => false,
        _ => return None,
    };
    let told = Some(item.client_photo.as_ref()).filter(|told: &&[u8]| !told.is_empty());
    let is_known = match item.channel_kind() {
        ChannelKind::TelegramBot | ChannelKind::ViberBot => true,
        ChannelKind::Instagram => !is_comment,
        ChannelKind::Email | ChannelKind::Unspecified => false,
    };
    let user_id = item.client.as_ref()?.user_id.as_str();
    let fits = |key: &str| !key.is_empty() && key.len() <= KEY_MAX && !key.contains('\0');
    (is_known && fits(&item.chat_key) && fits(user_id)).then_some(Wanted {
        chat_key: &item.chat_key,
        user_id,
        told,
    })
}

/// A photo, as a provider tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Another photo has another one.
    pub version: Vec<u8>,
    /// Where its bytes are.
    pub reference: Vec<u8>,
}

impl Said {
    /// Returns a photo by its address; none where that is none.
    pub fn at(address: &str) -> Option<Self> {
        let reference = address_reference(address)?;
        Some(Self {
            version: version(&reference),
            reference,
        })
    }

    /// Returns a photo by what a message told of it.
    pub fn told(reference: Vec<u8>) -> Self {
        Self {
            version: version(&reference),
            reference,
        }
    }
}

/// Writes down where a photo is that has this address; none where that is none.
pub fn address_reference(address: &str) -> Option<Vec<u8>> {
    let address = address.trim();
    let fits = !address.is_empty() && address.len() <= ADDRESS_MAX;
    fits.then(|| json!({ "url": address }).to_string().into_bytes())
}

/// Returns what tells a photo from another, of which it holds nothing.
pub fn version(name: &[u8]) -> Vec<u8> {
    Sha256::digest(name).to_vec()
}

/// What is done about a photo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It is the one that was looked at last.
    Keep,
    /// There is none, or none any more.
    Remove,
    /// Its bytes are fetched.
    Fetch,
}

/// Decides about what a provider says, by the version that was looked at last.
pub fn step(looked_at: Option<&[u8]>, said: Option<&Said>) -> Step {
    match said {
        None => Step::Remove,
        Some(said) if looked_at == Some(&said.version) => Step::Keep,
        Some(_) => Step::Fetch,
    }
}

/// Tells whether a file that begins as this media type is a picture that every list can show.
pub fn is_picture(media_type: &str) -> bool {
    matches!(
        media_type,
        "image/jpeg" | "image/png" | "image/webp" | "image/gif"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchboard_proto::channel_gateway::v1::{
        InboundBlock, InboundMessage, InboundOwnAppMessage, InboundStart,
    };
    use switchboard_proto::common::v1::{ClientIdentity, Origin};

    fn item(channel: ChannelKind, kind: Kind) -> InboundEvent {
        InboundEvent {
            channel_kind: channel.into(),
            chat_key: "7".to_owned(),
            client: Some(ClientIdentity {
                user_id: "7".to_owned(),
                ..ClientIdentity::default()
            }),
            kind: Some(kind),
            ..InboundEvent::default()
        }
    }

    fn message(kind: origin::Kind) -> Kind {
        Kind::Message(InboundMessage {
            origin: Some(Origin {
                kind: kind.into(),
                ..Origin::default()
            }),
            ..InboundMessage::default()
        })
    }

    #[test]
    fn f067_who_writes_or_begins_is_looked_at_and_nobody_else() {
        let direct = || message(origin::Kind::Direct);
        let comment = || message(origin::Kind::Comment);
        let start = || Kind::Start(InboundStart::default());
        for (channel, kind, expected) in [
            (ChannelKind::TelegramBot, direct(), true),
            (ChannelKind::ViberBot, direct(), true),
            (ChannelKind::ViberBot, start(), true),
            (ChannelKind::Instagram, direct(), true),
            (ChannelKind::Instagram, comment(), false),
            (ChannelKind::Email, direct(), false),
            (ChannelKind::Unspecified, direct(), false),
            (
                ChannelKind::TelegramBot,
                Kind::Block(InboundBlock { blocked: true }),
                false,
            ),
            (
                ChannelKind::Instagram,
                Kind::OwnAppMessage(InboundOwnAppMessage::default()),
                false,
            ),
        ] {
            let item = item(channel, kind);
            assert_eq!(wanted(&item).is_some(), expected, "{item:?}");
        }
        for (chat_key, user_id) in [("", "7"), ("7", ""), ("7\0", "7"), (&*"7".repeat(300), "7")] {
            let mut item = item(ChannelKind::TelegramBot, direct());
            item.chat_key = chat_key.to_owned();
            item.client.as_mut().unwrap().user_id = user_id.to_owned();
            assert_eq!(wanted(&item), None, "{chat_key:?} {user_id:?}");
        }
        assert_eq!(wanted(&InboundEvent::default()), None);
    }

    #[test]
    fn f067_only_another_photo_is_fetched() {
        let said = Said::at("https://a.example/1").unwrap();
        let other = Said::at("https://a.example/2").unwrap();
        for (looked_at, said, expected) in [
            (None, None, Step::Remove),
            (Some(&said.version), None, Step::Remove),
            (None, Some(&said), Step::Fetch),
            (Some(&said.version), Some(&said), Step::Keep),
            (Some(&said.version), Some(&other), Step::Fetch),
        ] {
            assert_eq!(step(looked_at.map(Vec::as_slice), said), expected);
        }
    }

    #[test]
    fn f067_an_address_is_bounded_and_a_version_holds_nothing_of_it() {
        for (address, expected) in [
            ("https://a.example/1?token=secret", true),
            (" ", false),
            (&*"a".repeat(5_000), false),
        ] {
            assert_eq!(Said::at(address).is_some(), expected, "{address}");
        }
        let said = Said::at("https://a.example/1?token=secret").unwrap();
        assert_eq!(said.version.len(), 32);
        assert_eq!(Said::told(said.reference.clone()), said);
    }

    #[test]
    fn f067_what_no_list_can_show_is_no_photo() {
        for (media_type, expected) in [
            ("image/jpeg", true),
            ("image/png", true),
            ("image/webp", true),
            ("image/gif", true),
            ("image/svg+xml", false),
            ("image/heif", false),
            ("text/html", false),
            ("application/octet-stream", false),
        ] {
            assert_eq!(is_picture(media_type), expected, "{media_type}");
        }
    }
}
