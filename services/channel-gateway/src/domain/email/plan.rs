//! What a command becomes in a mailbox: one mail, whatever it holds, in the thread that it belongs to.

use serde::{Deserialize, Serialize};
use serde_json::json;
use switchboard_proto::common::v1::{ContentPart, Text, TextEntity, content_part::Content};
use switchboard_proto::conversation::v1::{OutboundCommand, outbound_command::Action};

use super::normalise::Thread;
use crate::domain::call::{Call, FILE};
use crate::domain::delivery::{MESSAGE_EMPTY, UNSUPPORTED_COMMAND, UNSUPPORTED_CONTENT, Unfit};
use crate::domain::split::units;

/// The method of a mail's call.
pub const SEND: &str = "mail";

/// Files of one mail at most.
const FILES_MAX: usize = 50;

/// What a mail says, but for its files: the parameters of its call.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Draft {
    /// To whom.
    pub to: String,
    /// Subject of the mail that is answered.
    pub subject: String,
    /// Message-ID of the mail that is answered; empty where none is.
    pub in_reply_to: String,
    /// Message-IDs before that one, oldest first.
    pub references: Vec<String>,
    /// Our own Message-ID, with brackets.
    pub message_id: String,
    /// The text.
    pub text: String,
    /// Its formatting: kind, offset, length, address, language.
    pub entities: Vec<(i32, u32, u32, String, String)>,
    /// A machine wrote it.
    #[serde(default)]
    pub automatic: bool,
}

impl Draft {
    /// Returns the text with its formatting.
    pub fn text(&self) -> Text {
        let entities = self
            .entities
            .iter()
            .map(|(kind, offset, length, url, language)| TextEntity {
                kind: *kind,
                offset: *offset,
                length: *length,
                url: url.clone(),
                language: language.clone(),
            });
        Text {
            text: self.text.clone(),
            entities: entities.collect(),
        }
    }
}

/// Tells whether a Message-ID is of the form that our own have: it is never a client's, however long ago ours went out.
pub fn has_our_form(message_id: &str, domain: &str) -> bool {
    let inside = message_id
        .strip_prefix("<m")
        .and_then(|rest| rest.strip_suffix('>'));
    inside
        .and_then(|inside| inside.rsplit_once('@'))
        .filter(|(_, of)| of.eq_ignore_ascii_case(domain))
        .and_then(|(local, _)| local.split_once('.'))
        .is_some_and(|(message, attempt)| {
            uuid::Uuid::parse_str(message).is_ok() && attempt.parse::<i32>().is_ok()
        })
}

/// Turns a command into one call. `thread` is that of the mail that is answered, or the newest of the chat; without one
/// it is a new mail under the command's subject, or else under `subject`. A retry that an agent asks for is another mail, with an id of its own.
pub fn plan(
    command: &OutboundCommand,
    domain: &str,
    thread: Option<&Thread>,
    subject: &str,
) -> Result<Vec<Call>, Unfit> {
    if command.action() != Action::Send {
        return Err(UNSUPPORTED_COMMAND);
    }
    let mut draft = Draft {
        to: command.chat_key.clone(),
        subject: subject.to_owned(),
        message_id: format!("<m{}.{}@{domain}>", command.message_id, command.attempt),
        automatic: command.automatic,
        ..Draft::default()
    };
    if let Some(thread) = thread {
        if !thread.to.is_empty() {
            draft.to.clone_from(&thread.to);
        }
        draft.subject.clone_from(&thread.subject);
        draft.in_reply_to.clone_from(&thread.message_id);
        draft.references.clone_from(&thread.references);
    } else if !command.subject.is_empty() {
        draft.subject.clone_from(&command.subject);
    }
    let mut files = Vec::new();
    for part in &command.parts {
        add(part, &mut draft, &mut files)?;
    }
    if draft.text.trim().is_empty() && files.is_empty() {
        return Err(MESSAGE_EMPTY);
    }
    if files.len() > FILES_MAX {
        return Err(Unfit {
            reason: "TOO_MANY_FILES",
            detail: "A mail takes 50 files at most.",
        });
    }
    let mut params = json!(draft);
    params["files"] = files.iter().map(|id| json!({ FILE: id })).collect();
    Ok(vec![Call {
        method: SEND.to_owned(),
        params,
    }])
}

fn add(part: &ContentPart, draft: &mut Draft, files: &mut Vec<String>) -> Result<(), Unfit> {
    match &part.content {
        Some(Content::Text(text)) => append(draft, text),
        Some(Content::Attachment(file)) => files.push(file.attachment_id.clone()),
        Some(Content::Location(place)) => {
            let lines = [
                place.title.clone(),
                place.address.clone(),
                format!("{}, {}", place.latitude, place.longitude),
            ];
            append(draft, &plain(&lines));
        }
        Some(Content::Contact(contact)) => {
            append(
                draft,
                &plain(&[contact.name.clone(), contact.phone.clone()]),
            );
        }
        Some(Content::Link(link)) => append(draft, &plain(&[link.title.clone(), link.url.clone()])),
        Some(Content::Sticker(_) | Content::Button(_) | Content::Unsupported(_)) | None => {
            return Err(UNSUPPORTED_CONTENT);
        }
    }
    Ok(())
}

fn plain(lines: &[String]) -> Text {
    let filled: Vec<&str> = lines
        .iter()
        .map(String::as_str)
        .filter(|line| !line.is_empty())
        .collect();
    Text {
        text: filled.join("\n"),
        entities: Vec::new(),
    }
}

/// Puts a text below what stands there, a blank line between.
fn append(draft: &mut Draft, text: &Text) {
    if !draft.text.is_empty() {
        draft.text.push_str("\n\n");
    }
    let offset = units(&draft.text);
    draft.text.push_str(&text.text);
    draft.entities.extend(text.entities.iter().map(|entity| {
        (
            entity.kind,
            entity.offset.saturating_add(offset),
            entity.length,
            entity.url.clone(),
            entity.language.clone(),
        )
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchboard_proto::common::v1::{Attachment, text_entity};

    fn part(content: Content) -> ContentPart {
        ContentPart {
            content: Some(content),
        }
    }

    fn text(text: &str, entities: Vec<TextEntity>) -> ContentPart {
        part(Content::Text(Text {
            text: text.to_owned(),
            entities,
        }))
    }

    fn command(parts: Vec<ContentPart>) -> OutboundCommand {
        OutboundCommand {
            action: Action::Send.into(),
            message_id: "018f-77".into(),
            chat_key: "olena@client.example".into(),
            attempt: 1,
            parts,
            ..OutboundCommand::default()
        }
    }

    // pitfall 29: the Message-ID is made before sending
    #[test]
    fn f189_a_message_of_texts_and_files_is_one_mail_in_its_thread() {
        let bold = TextEntity {
            kind: text_entity::Kind::Bold.into(),
            offset: 0,
            length: 2,
            ..TextEntity::default()
        };
        let file = part(Content::Attachment(Attachment {
            attachment_id: "f1".into(),
            ..Attachment::default()
        }));
        let thread = Thread {
            message_id: "<b@client.example>".into(),
            subject: "Order 551".into(),
            references: vec!["<a@client.example>".into()],
            to: "office@client.example".into(),
            ..Thread::default()
        };
        let sent = command(vec![text("😀 yes", vec![]), text("42", vec![bold]), file]);
        let calls = plan(&sent, "shop.example", Some(&thread), "Shop").unwrap();
        assert_eq!(calls.len(), 1);
        let params = &calls[0].params;
        let draft: Draft = serde_json::from_value(params.clone()).unwrap();
        assert_eq!(draft.to, "office@client.example");
        assert_eq!(
            (draft.subject.as_str(), draft.in_reply_to.as_str()),
            ("Order 551", "<b@client.example>")
        );
        assert_eq!(draft.message_id, "<m018f-77.1@shop.example>");
        assert_eq!(draft.text, "😀 yes\n\n42");
        assert_eq!(
            (draft.entities[0].1, draft.entities[0].2),
            (8, 2),
            "offsets count UTF-16 units"
        );
        assert_eq!(params["files"], json!([{ FILE: "f1" }]));
        assert_eq!(draft.text().entities[0].kind(), text_entity::Kind::Bold);
    }

    #[test]
    fn a_first_mail_has_a_subject_and_what_cannot_be_mailed_is_named() {
        let first = plan(
            &command(vec![text("hello", vec![])]),
            "shop.example",
            None,
            "Shop",
        )
        .unwrap();
        assert_eq!(first[0].params["subject"], "Shop");
        assert_eq!(first[0].params["to"], "olena@client.example");
        let edit = OutboundCommand {
            action: Action::Edit.into(),
            ..command(vec![text("a", vec![])])
        };
        for (command, reason) in [
            (command(vec![]), "MESSAGE_EMPTY"),
            (command(vec![text(" \n", vec![])]), "MESSAGE_EMPTY"),
            (command(vec![ContentPart::default()]), "UNSUPPORTED_CONTENT"),
            (edit, "UNSUPPORTED_COMMAND"),
        ] {
            assert_eq!(
                plan(&command, "shop.example", None, "Shop")
                    .unwrap_err()
                    .reason,
                reason
            );
        }
    }

    #[test]
    fn ids_of_our_form_are_known_whenever_they_come_back() {
        let id = "01934f00-0000-7000-8000-000000000001";
        for (message_id, expected) in [
            (format!("<m{id}.1@shop.example>"), true),
            (format!("<m{id}.12@Shop.Example>"), true),
            (format!("<m{id}.1@other.example>"), false),
            (format!("<m{id}@shop.example>"), false),
            (format!("<m{id}.x@shop.example>"), false),
            ("<m1.1@shop.example>".to_owned(), false),
            (format!("m{id}.1@shop.example"), false),
            (String::new(), false),
        ] {
            assert_eq!(
                has_our_form(&message_id, "shop.example"),
                expected,
                "{message_id}"
            );
        }
    }
}
