//! Between our values and the contracts: what is stored as protobuf, and what goes out.

mod album;
mod bot;
mod channel_rule;
mod internal_chat;
mod quick_reply;
mod search;

use std::collections::BTreeMap;

pub use album::{album, item, set_album};
pub use bot::{bot, bot_run, nps_total};
pub use channel_rule::{channel_rule, hours};
use chassis::grpc::{timestamp, timestamp_opt};
pub use internal_chat::{entity_kind, internal_message, internal_notification};
use prost::Message as _;
pub use quick_reply::{owner_kind, quick_reply};
pub use search::{searched, snippet};
use serde::{Deserialize, Serialize};
use switchboard_proto::common::v1::{self as common, content_part::Content};
use switchboard_proto::conversation::v1 as pb;
use time::OffsetDateTime;

use crate::domain::amendment::Moment;
use crate::domain::chat::Episode;
use crate::domain::chat_presence::Activity;
use crate::domain::preview::{self, Piece, Preview};
use crate::domain::words::{
    AmendmentKind, ChannelKind, ChatState, DeliveryState, Language, MessageKind, OpenReason,
};
use crate::domain::{ChatId, MessageId};
use crate::store::client::Profile;
use crate::store::message::Stored;
use crate::store::own_amendment::OwnAmendment;

/// Reads a time of the wire, in microseconds; none where it is absent or no time.
pub fn time(time: Option<&prost_types::Timestamp>) -> Option<OffsetDateTime> {
    chassis::grpc::Parse::new("conversation")
        .time_opt("time", time)
        .ok()
        .flatten()
}

/// Reads the kind of a channel; one from the future is unknown and survives.
pub fn channel_kind(kind: i32) -> ChannelKind {
    match common::ChannelKind::try_from(kind) {
        Ok(common::ChannelKind::TelegramBot) => ChannelKind::TelegramBot,
        Ok(common::ChannelKind::ViberBot) => ChannelKind::ViberBot,
        Ok(common::ChannelKind::Instagram) => ChannelKind::Instagram,
        Ok(common::ChannelKind::Email) => ChannelKind::Email,
        Ok(common::ChannelKind::Unspecified) | Err(_) => ChannelKind::Unknown,
    }
}

/// Writes the kind of a channel.
pub fn channel_kind_out(kind: ChannelKind) -> i32 {
    match kind {
        ChannelKind::TelegramBot => common::ChannelKind::TelegramBot,
        ChannelKind::ViberBot => common::ChannelKind::ViberBot,
        ChannelKind::Instagram => common::ChannelKind::Instagram,
        ChannelKind::Email => common::ChannelKind::Email,
        ChannelKind::Unknown => common::ChannelKind::Unspecified,
    }
    .into()
}

/// Writes a chat's state.
pub fn chat_state_out(state: ChatState) -> i32 {
    match state {
        ChatState::Unassigned => pb::chat::State::Unassigned,
        ChatState::Active => pb::chat::State::Active,
        ChatState::Inactive => pb::chat::State::Inactive,
    }
    .into()
}

/// Reads a chat's state; none for one this version does not know.
pub fn chat_state(state: i32) -> Option<ChatState> {
    match pb::chat::State::try_from(state).ok()? {
        pb::chat::State::Unassigned => Some(ChatState::Unassigned),
        pb::chat::State::Active => Some(ChatState::Active),
        pb::chat::State::Inactive => Some(ChatState::Inactive),
        pb::chat::State::Unspecified => None,
    }
}

/// Writes whose message it is.
pub fn message_kind_out(kind: MessageKind) -> i32 {
    match kind {
        MessageKind::Client => pb::message::Kind::Client,
        MessageKind::Agent => pb::message::Kind::Agent,
        MessageKind::Bot => pb::message::Kind::Bot,
        MessageKind::System => pb::message::Kind::System,
        MessageKind::Note => pb::message::Kind::Note,
    }
    .into()
}

/// Writes why a conversation was opened.
pub fn open_reason_out(reason: OpenReason) -> i32 {
    match reason {
        OpenReason::ClientMessage => common::OpenReason::ClientMessage,
        OpenReason::AgentMessage => common::OpenReason::AgentMessage,
        OpenReason::AgentStart => common::OpenReason::AgentStart,
    }
    .into()
}

/// Writes a delivery's state.
pub fn delivery_state_out(state: DeliveryState) -> i32 {
    use pb::message_delivery::State;
    match state {
        DeliveryState::Queued => State::Queued,
        DeliveryState::Sending => State::Sending,
        DeliveryState::Sent => State::Sent,
        DeliveryState::Delivered => State::Delivered,
        DeliveryState::Read => State::Read,
        DeliveryState::Failed => State::Failed,
        DeliveryState::Uncertain => State::Uncertain,
        DeliveryState::Cancelled => State::Cancelled,
    }
    .into()
}

/// Writes a client.
pub fn identity_out(profile: &Profile) -> common::ClientIdentity {
    common::ClientIdentity {
        scope: profile.scope.clone(),
        user_id: profile.user_id.clone(),
        name: profile.name.clone(),
        username: profile.username.clone(),
        phone: profile.phone.clone(),
        email: profile.email.clone(),
        language: profile.language.clone(),
    }
}

/// Reads a client. A NUL, which Postgres cannot store, is dropped.
pub fn profile(identity: &common::ClientIdentity) -> Profile {
    let clean = |text: &str| text.replace('\0', "");
    Profile {
        scope: clean(&identity.scope),
        user_id: clean(&identity.user_id),
        name: clean(&identity.name),
        username: clean(&identity.username),
        phone: clean(&identity.phone),
        email: clean(&identity.email),
        language: clean(&identity.language),
    }
}

/// Writes a conversation.
pub fn conversation(chat: ChatId, episode: &Episode) -> pb::Conversation {
    pb::Conversation {
        conversation_id: episode.id.to_string(),
        chat_id: chat.to_string(),
        number: episode.number,
        revision: episode.revision,
        open_time: Some(timestamp(episode.opened_at)),
        close_time: timestamp_opt(episode.closed_at),
        start_payload: episode.start_payload.clone(),
    }
}

/// Writes a preview.
pub fn preview_out(preview: &Preview) -> pb::MessagePreview {
    pb::MessagePreview {
        message_id: preview.message.to_string(),
        kind: message_kind_out(preview.kind),
        text: preview.text.clone(),
        time: Some(timestamp(preview.time)),
    }
}

/// Renders content in one line.
pub fn preview_text(parts: &[common::ContentPart]) -> String {
    let pieces: Vec<Piece<'_>> = parts
        .iter()
        .map(|part| match &part.content {
            Some(Content::Text(text)) => Piece::Text(&text.text),
            Some(Content::Attachment(file)) => Piece::Word(file_word(file.kind)),
            Some(Content::Location(_)) => Piece::Word("[location]"),
            Some(Content::Contact(_)) => Piece::Word("[contact]"),
            Some(Content::Sticker(_)) => Piece::Word("[sticker]"),
            Some(Content::Button(press)) if !press.title.is_empty() => Piece::Text(&press.title),
            Some(Content::Button(_)) => Piece::Word("[button]"),
            Some(Content::Link(link)) if !link.title.is_empty() => Piece::Text(&link.title),
            Some(Content::Link(link)) if !link.url.is_empty() => Piece::Text(&link.url),
            Some(Content::Link(_)) => Piece::Word("[link]"),
            Some(Content::Unsupported(_)) | None => Piece::Word("[unsupported]"),
        })
        .collect();
    preview::line(&pieces)
}

/// What a client said in words: texts, and titles of buttons that were pressed; what a button without a title sent.
pub fn words(parts: &[common::ContentPart]) -> String {
    let words = parts.iter().filter_map(|part| match &part.content {
        Some(Content::Text(text)) => Some(&*text.text),
        Some(Content::Button(press)) if press.title.is_empty() => Some(&*press.data),
        Some(Content::Button(press)) => Some(&*press.title),
        _ => None,
    });
    words.collect::<Vec<_>>().join("\n")
}

fn file_word(kind: i32) -> &'static str {
    use common::attachment::Kind;
    match Kind::try_from(kind) {
        Ok(Kind::Photo) => "[photo]",
        Ok(Kind::Voice) => "[voice]",
        Ok(Kind::Audio) => "[audio]",
        Ok(Kind::Video) => "[video]",
        Ok(Kind::VideoNote) => "[video note]",
        Ok(Kind::Animation) => "[animation]",
        Ok(Kind::Document | Kind::Unspecified) | Err(_) => "[file]",
    }
}

/// Drops from a message's content what its writer took back (B17): nothing is left but that there was one.
pub fn erase(content: &mut pb::Message) {
    content.parts.clear();
    content.subject.clear();
    content.full_text.clear();
    content.html = None;
    content.original = None;
}

/// Reads the content of a stored message.
pub fn content(stored: &Stored) -> Result<pb::Message, prost::DecodeError> {
    pb::Message::decode(stored.body.as_slice())
}

/// Content of a message as it is stored; nothing that has a column.
pub fn body(message: &pb::Message) -> Vec<u8> {
    pb::Message {
        parts: message.parts.clone(),
        reply: message.reply.clone(),
        origin: message.origin.clone(),
        system: message.system.clone(),
        album: message.album.clone(),
        subject: message.subject.clone(),
        full_text: message.full_text.clone(),
        automatic: message.automatic,
        html: message.html.clone(),
        original: message.original.clone(),
        references: message.references.clone(),
        start_payload: message.start_payload.clone(),
        ..pb::Message::default()
    }
    .encode_to_vec()
}

/// Writes a stored message.
pub fn message(stored: &Stored) -> Result<pb::Message, prost::DecodeError> {
    let content = content(stored)?;
    let delivery = stored.delivery.map(|state| pb::MessageDelivery {
        state: delivery_state_out(state),
        out_seq: stored.out_seq,
        attempt: stored.attempt,
        reason: stored.failure_reason.clone(),
        detail: stored.failure_detail.clone(),
        retryable: stored.retryable,
        update_time: timestamp_opt(stored.delivery_at),
    });
    Ok(pb::Message {
        message_id: stored.id.to_string(),
        chat_id: stored.chat.to_string(),
        conversation_id: stored
            .conversation
            .map(|id| id.to_string())
            .unwrap_or_default(),
        kind: message_kind_out(stored.kind),
        agent_id: stored.agent.map(|id| id.to_string()).unwrap_or_default(),
        time: Some(timestamp(stored.time)),
        sequence: stored.sequence,
        edit_time: timestamp_opt(stored.edited.as_ref().map(|moment| moment.time)),
        delete_time: timestamp_opt(stored.deleted_at),
        reactions: stored.reactions.out(),
        delivery,
        provider_key: stored.provider_key.clone(),
        ..content
    })
}

/// What a system message says (D33).
pub fn notice(kind: &str, parameters: &[(&str, String)], actor: String) -> pb::SystemNotice {
    let mut notice = pb::SystemNotice {
        kind: kind.to_owned(),
        parameters: parameters
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.clone()))
            .collect(),
        actor,
        text: String::new(),
    };
    notice.text = crate::notices::sentence(Language::English, &notice);
    notice
}

/// Reactions on a message by actor, as stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Reactions(BTreeMap<String, ReactionsOf>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct ReactionsOf {
    time: i64,
    key: String,
    emojis: Vec<String>,
}

impl Reactions {
    /// Sets what an actor's reactions are now; tells whether that changed what is seen. An older word changes nothing.
    pub fn set(&mut self, actor: &str, moment: &Moment, emojis: &[String]) -> bool {
        let micros = micros(moment.time);
        let known = self.0.get(actor);
        if known
            .is_some_and(|known| Moment::new(from_micros(known.time), known.key.clone()) >= *moment)
        {
            return false;
        }
        let changed = known.map_or(!emojis.is_empty(), |known| known.emojis != emojis);
        let now = ReactionsOf {
            time: micros,
            key: moment.key.clone(),
            emojis: emojis.to_vec(),
        };
        self.0.insert(actor.to_owned(), now);
        changed
    }

    /// Writes them.
    pub fn out(&self) -> Vec<common::Reaction> {
        let of_actor = |(actor, of): (&String, &ReactionsOf)| {
            let time = Some(timestamp(from_micros(of.time)));
            let reaction = |emoji: &String| common::Reaction {
                emoji: emoji.clone(),
                actor: actor.clone(),
                time,
            };
            of.emojis.iter().map(reaction).collect::<Vec<_>>()
        };
        self.0.iter().flat_map(of_actor).collect()
    }
}

fn micros(time: OffsetDateTime) -> i64 {
    i64::try_from(time.unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX)
}

fn from_micros(micros: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// Id of a system message: made of what it reports, so that a repeat stores none twice.
pub fn system_id(cause: &str, kind: &str) -> MessageId {
    chassis::id::v5("system", &[cause, kind]).into()
}

/// Writes what an agent asked to be changed of a message.
pub fn amendment(amendment: &OwnAmendment) -> pb::MessageAmendment {
    use pb::message_amendment::Kind;
    let kind = match amendment.kind {
        AmendmentKind::Edit => Kind::Edit,
        AmendmentKind::Deletion => Kind::Deletion,
        AmendmentKind::Reaction => Kind::Reaction,
    };
    pb::MessageAmendment {
        kind: kind.into(),
        agent_id: amendment.agent.to_string(),
        state: delivery_state_out(amendment.state),
        reason: amendment.reason.clone(),
        detail: amendment.detail.clone(),
        create_time: Some(timestamp(amendment.created_at)),
    }
}

/// Writes what an agent does in a chat; left where they do nothing there (B19).
pub const fn activity_out(activity: Option<Activity>) -> pb::chat_presence::Activity {
    match activity {
        Some(Activity::Viewing) => pb::chat_presence::Activity::Viewing,
        Some(Activity::Typing) => pb::chat_presence::Activity::Typing,
        None => pb::chat_presence::Activity::Left,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn kinds_from_the_future_survive() {
        assert_eq!(channel_kind(999), ChannelKind::Unknown);
        assert_eq!(chat_state(999), None);
        assert_eq!(file_word(999), "[file]");
    }

    #[test]
    fn of_several_reactions_of_one_actor_the_newest_stands() {
        let at = |second: u8, key: &str| {
            let noon = datetime!(2026-05-01 12:00 UTC)
                .replace_second(second)
                .unwrap();
            Moment::new(noon, key)
        };
        let mut reactions = Reactions::default();
        assert!(reactions.set("client:1", &at(2, "b"), &["👍".into()]));
        assert!(
            !reactions.set("client:1", &at(1, "a"), &["🔥".into()]),
            "older"
        );
        assert!(
            !reactions.set("client:1", &at(2, "b"), &["👍".into()]),
            "repeated"
        );
        assert!(
            !reactions.set("client:1", &at(3, "c"), &["👍".into()]),
            "the same again"
        );
        assert!(reactions.set("client:1", &at(4, "d"), &[]), "taken back");
        assert!(reactions.out().is_empty());
        let stored = serde_json::to_string(&reactions).unwrap();
        assert_eq!(
            serde_json::from_str::<Reactions>(&stored).unwrap(),
            reactions
        );
    }
}
