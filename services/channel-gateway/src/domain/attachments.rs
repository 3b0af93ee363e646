//! The files that items and commands name: pure and total.

use switchboard_proto::channel_gateway::v1::{InboundEvent, InboundMessage, inbound_event::Kind};
use switchboard_proto::common::v1::{Attachment, ContentPart, content_part::Content};
use uuid::Uuid;

/// Files of one item that are looked at; no channel lets a client send nearly as many.
const FILES_MAX: usize = 256;

/// Returns the files that an item names, with the provider's key of the message that holds them.
pub fn named(event: &InboundEvent) -> Vec<(&Attachment, &str)> {
    match &event.kind {
        Some(Kind::Message(message)) => of_message(message, &message.provider_key),
        Some(Kind::OwnAppMessage(own)) => own.message.as_ref().map_or_else(Vec::new, |message| {
            of_message(message, &message.provider_key)
        }),
        Some(Kind::Edit(edit)) => edit
            .message
            .as_ref()
            .map_or_else(Vec::new, |message| of_message(message, &edit.provider_key)),
        _ => Vec::new(),
    }
}

/// Does something to each file that content names.
pub fn for_each_of(parts: &mut [ContentPart], mut change: impl FnMut(&mut Attachment)) {
    for part in parts {
        match &mut part.content {
            Some(Content::Attachment(file)) => change(file),
            Some(Content::Sticker(sticker)) => sticker.attachment.iter_mut().for_each(&mut change),
            _ => {}
        }
    }
}

/// Does something to each file that an item names.
pub fn for_each_mut(event: &mut InboundEvent, mut change: impl FnMut(&mut Attachment)) {
    let message = match &mut event.kind {
        Some(Kind::Message(message)) => Some(message),
        Some(Kind::OwnAppMessage(own)) => own.message.as_mut(),
        Some(Kind::Edit(edit)) => edit.message.as_mut(),
        _ => None,
    };
    let Some(message) = message else {
        return;
    };
    for_each_of(&mut message.parts, &mut change);
    message.html.iter_mut().for_each(&mut change);
    message.original.iter_mut().for_each(&mut change);
}

/// Returns the ids of the files that content names: a command's are uploads, or files of other messages.
pub fn ids(parts: &[ContentPart]) -> Vec<Uuid> {
    let files = parts.iter().filter_map(of_part).take(FILES_MAX);
    files
        .filter_map(|file| file.attachment_id.parse().ok())
        .collect()
}

fn of_message<'m>(message: &'m InboundMessage, key: &'m str) -> Vec<(&'m Attachment, &'m str)> {
    message
        .parts
        .iter()
        .filter_map(of_part)
        .chain(&message.html)
        .chain(&message.original)
        .take(FILES_MAX)
        .map(|file| (file, key))
        .collect()
}

fn of_part(part: &ContentPart) -> Option<&Attachment> {
    match &part.content {
        Some(Content::Attachment(file)) => Some(file),
        Some(Content::Sticker(sticker)) => sticker.attachment.as_ref(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchboard_proto::channel_gateway::v1::{InboundEdit, InboundOwnAppMessage};
    use switchboard_proto::common::v1::{Sticker, Text};

    fn file(id: &str) -> Attachment {
        Attachment {
            attachment_id: id.to_owned(),
            ..Attachment::default()
        }
    }

    fn message() -> InboundMessage {
        let contents = [
            Content::Text(Text::default()),
            Content::Attachment(file("photo")),
            Content::Sticker(Sticker {
                attachment: Some(file("sticker")),
                ..Sticker::default()
            }),
            Content::Sticker(Sticker::default()),
        ];
        let parts = contents.map(|content| ContentPart {
            content: Some(content),
        });
        InboundMessage {
            provider_key: "7:1".to_owned(),
            parts: parts.to_vec(),
            html: Some(file("html")),
            original: Some(file("original")),
            ..InboundMessage::default()
        }
    }

    #[test]
    fn files_of_messages_edits_and_echoes_are_found_wherever_they_stand() {
        let edit = InboundEdit {
            provider_key: "7:2".to_owned(),
            message: Some(message()),
            ..InboundEdit::default()
        };
        let own = InboundOwnAppMessage {
            message: Some(message()),
            ..InboundOwnAppMessage::default()
        };
        for (kind, key) in [
            (Kind::Message(message()), "7:1"),
            (Kind::Edit(edit), "7:2"),
            (Kind::OwnAppMessage(own), "7:1"),
        ] {
            let event = InboundEvent {
                kind: Some(kind),
                ..InboundEvent::default()
            };
            let found: Vec<_> = named(&event)
                .into_iter()
                .map(|(file, key)| (file.attachment_id.as_str(), key))
                .collect();
            let expected = ["photo", "sticker", "html", "original"].map(|id| (id, key));
            assert_eq!(found, expected);
        }
        assert!(named(&InboundEvent::default()).is_empty());
    }

    #[test]
    fn a_message_of_countless_files_is_read_to_a_bound() {
        let part = ContentPart {
            content: Some(Content::Attachment(file(&Uuid::nil().to_string()))),
        };
        assert_eq!(ids(&vec![part; 10_000]).len(), FILES_MAX);
    }
}
