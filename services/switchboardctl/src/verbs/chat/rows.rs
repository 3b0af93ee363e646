//! How chats, conversations, messages and assignments are shown.

use switchboard_proto::assignment::v1::ChatAssignment;
use switchboard_proto::common::v1::{
    Attachment, ContentPart, attachment, content_part::Content, origin,
};
use switchboard_proto::conversation::v1::{Chat, Conversation, Message, message};

use crate::output::table::{harmless, harmless_lines};
use crate::output::{Cell, Show, View, cell, words};

/// How much of a deep link's payload a table shows (D30).
const PAYLOAD: usize = 40;

impl Show for Chat {
    const NAME: &'static str = "switchboard.conversation.v1.Chat";
    const OPTIONAL: &'static [&'static str] = &[
        "CAME BY",
        "CHANNEL",
        "NO",
        "UNANSWERED",
        "WHEN",
        "LABELS",
        "BOT",
        "RESPONSIBLE",
    ];
    const SPARSE: &'static [&'static str] = &["CAME BY", "LABELS", "BOT"];
    const HEADERS: &'static [&'static str] = &[
        "ID",
        "CLIENT",
        "CHANNEL",
        "STATE",
        "NO",
        "CAME BY",
        "LABELS",
        "BOT",
        "RESPONSIBLE",
        "UNANSWERED",
        "LAST MESSAGE",
        "WHEN",
    ];
    fn cells(&self, view: &View) -> Vec<Cell> {
        let number = self
            .open_conversation
            .as_ref()
            .map(|open| format!("#{}", open.number))
            .unwrap_or_default();
        let last = self.last_message.as_ref();
        vec![
            cell(&self.chat_id),
            cell(
                self.client
                    .as_ref()
                    .map(|client| [&self.name, &client.name, &client.username])
                    .and_then(|known| known.into_iter().find(|name| !name.is_empty()))
                    .map(String::as_str)
                    .unwrap_or_default(),
            ),
            cell(view.name(&self.channel_id)),
            cell(state(self, view)).by_word(),
            cell(number),
            cell(words::short(
                self.open_conversation
                    .as_ref()
                    .map(|open| open.start_payload.as_str())
                    .unwrap_or_default(),
                PAYLOAD,
            )),
            cell(words::short(&self.labels.join(", "), PAYLOAD)),
            cell(words::short(&self.bot_name, PAYLOAD)),
            cell(view.name(&self.responsible_agent_id)),
            cell(match (self.unanswered, self.waiting) {
                (0, _) => "0".to_owned(),
                (count, true) => count.to_string(),
                (count, false) => format!("{count}, waived"),
            }),
            cell(words::short(
                last.map(|last| last.text.as_str()).unwrap_or_default(),
                60,
            )),
            cell(words::ago(
                last.and_then(|last| last.time.as_ref()),
                view.now,
            ))
            .dim(),
        ]
    }
}

/// The state of a chat, and that it is put off: until the client writes, or until when.
fn state(chat: &Chat, view: &View) -> String {
    let state = words::word(chat.state().as_str_name(), "STATE_");
    match (chat.spam, chat.snoozed, chat.wake_time.as_ref()) {
        (true, ..) => "spam".to_owned(),
        (_, true, Some(until)) => {
            format!(
                "{state}, snoozed, back {}",
                words::ago(Some(until), view.now)
            )
        }
        (_, true, None) => format!("{state}, snoozed"),
        (_, false, _) => state,
    }
}

impl Show for Conversation {
    const NAME: &'static str = "switchboard.conversation.v1.Conversation";
    const SPARSE: &'static [&'static str] = &["CAME BY"];
    const HEADERS: &'static [&'static str] = &["ID", "NO", "CAME BY", "OPENED", "CLOSED"];
    fn cells(&self, view: &View) -> Vec<Cell> {
        let closed = self.close_time.as_ref();
        vec![
            cell(&self.conversation_id),
            cell(format!("#{}", self.number)),
            cell(words::short(&self.start_payload, PAYLOAD)),
            cell(words::ago(self.open_time.as_ref(), view.now)),
            cell(closed.map_or_else(|| "open".into(), |time| words::ago(Some(time), view.now))),
        ]
    }
}

impl Show for Message {
    const NAME: &'static str = "switchboard.conversation.v1.Message";
    const OPTIONAL: &'static [&'static str] = &["CAME BY", "UNDER", "WHEN", "DELIVERY", "SUBJECT"];
    const SPARSE: &'static [&'static str] = &["SUBJECT", "UNDER", "CAME BY"];
    const HEADERS: &'static [&'static str] = &[
        "ID", "FROM", "SUBJECT", "TEXT", "UNDER", "CAME BY", "DELIVERY", "WHEN",
    ];
    fn cells(&self, view: &View) -> Vec<Cell> {
        let from = match self.kind() {
            message::Kind::Agent => view.name(&self.agent_id),
            kind => words::word(kind.as_str_name(), "KIND_"),
        };
        let mut text = text_of(self);
        if self.edit_time.is_some() {
            text.push_str(" (edited)");
        }
        let delivery = self.delivery.as_ref();
        let state = delivery
            .map(|delivery| words::word(delivery.state().as_str_name(), "STATE_"))
            .unwrap_or_default();
        vec![
            cell(&self.message_id),
            cell(from),
            cell(words::short(&self.subject, 60)),
            cell(words::short(&text, 200)),
            cell(under(self)),
            cell(words::short(&self.start_payload, PAYLOAD)),
            cell(state).by_word(),
            cell(words::ago(self.time.as_ref(), view.now)).dim(),
        ]
    }
    fn more(&self, _: &View) -> Vec<String> {
        let failure = self
            .delivery
            .as_ref()
            .filter(|delivery| !delivery.reason.is_empty());
        let failure = failure.map(|failure| {
            let text = format!("reason    {}: {}", failure.reason, failure.detail);
            harmless(&text)
        });
        let file = |what: &str, file: &Option<Attachment>| {
            let file = file.as_ref()?;
            let state = words::word(file.state().as_str_name(), "STATE_");
            Some(format!("{what:<10}{} ({state})", file.attachment_id))
        };
        let album = (!self.album.is_empty()).then(|| format!("album     {}", self.album.len()));
        let whole = (!self.full_text.is_empty())
            .then(|| format!("full text\n{}", harmless_lines(&self.full_text)));
        let machine = self.automatic.then(|| "written by a machine".to_owned());
        failure
            .into_iter()
            .chain(machine)
            .chain(album)
            .chain(file("html", &self.html))
            .chain(file("original", &self.original))
            .chain(whole)
            .collect()
    }
}

/// Under what a message was written: the link of the post or story where it is known, else a word for it; nothing for
/// an ordinary message.
fn under(message: &Message) -> String {
    let origin = message.origin.clone().unwrap_or_default();
    match origin.kind() {
        origin::Kind::Direct | origin::Kind::Unspecified => String::new(),
        _ if !origin.link.is_empty() => origin.link,
        kind => words::word(kind.as_str_name(), "KIND_"),
    }
}

impl Show for ChatAssignment {
    const NAME: &'static str = "switchboard.assignment.v1.ChatAssignment";
    const HEADERS: &'static [&'static str] = &["CHAT", "NO", "RESPONSIBLE", "PARTICIPANTS"];
    fn cells(&self, view: &View) -> Vec<Cell> {
        let participants: Vec<_> = self
            .participant_agent_ids
            .iter()
            .map(|id| view.name(id))
            .collect();
        vec![
            cell(&self.chat_id),
            cell(format!("#{}", self.number)),
            cell(view.name(&self.agent_id)),
            cell(participants.join(", ")),
        ]
    }
}

/// What a message says, in one text; files and the like by a word.
pub(crate) fn text_of(message: &Message) -> String {
    if message.delete_time.is_some() {
        return "(deleted)".into();
    }
    if let Some(system) = &message.system {
        return if system.text.is_empty() {
            system.kind.clone()
        } else {
            system.text.clone()
        };
    }
    message
        .parts
        .iter()
        .map(part)
        .filter(|text| !text.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

fn part(part: &ContentPart) -> String {
    match &part.content {
        Some(Content::Text(text)) => text.text.clone(),
        Some(Content::Attachment(file)) => {
            let kind = match file.kind() {
                // One just sent, which nobody has looked at yet.
                attachment::Kind::Unspecified => "file".to_owned(),
                kind => words::word(kind.as_str_name(), "KIND_"),
            };
            // The name comes with what the gateway says of it.
            format!("[{}]", format!("{kind} {}", file.file_name).trim_end())
        }
        Some(Content::Location(place)) => {
            format!("[place {:.4}, {:.4}]", place.latitude, place.longitude)
        }
        Some(Content::Contact(contact)) => format!("[contact {}]", contact.name),
        Some(Content::Sticker(sticker)) => format!("[sticker {}]", sticker.emoji),
        Some(Content::Button(button)) => format!("[button {}]", button.title),
        Some(Content::Link(link)) => [link.title.as_str(), link.url.as_str()]
            .into_iter()
            .filter(|text| !text.is_empty())
            .collect::<Vec<_>>()
            .join(" "),
        Some(Content::Unsupported(other)) => format!("[{}]", other.kind),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use switchboard_proto::common::v1::{Origin, Text};
    use switchboard_proto::conversation::v1::{SystemNotice, chat};

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn where_a_message_was_written_is_told_by_its_link() {
        let origin = |kind: origin::Kind, link: &str| Origin {
            kind: kind.into(),
            link: link.into(),
            ..Origin::default()
        };
        for (origin, expected) in [
            (None, ""),
            (Some(origin(origin::Kind::Direct, "")), ""),
            (Some(origin(origin::Kind::Comment, "")), "comment"),
            (
                Some(origin(origin::Kind::Comment, "https://x/p/1")),
                "https://x/p/1",
            ),
        ] {
            let message = Message {
                origin,
                ..Message::default()
            };
            assert_eq!(under(&message), expected);
        }
    }

    #[test]
    fn b13_f197_a_list_marks_what_is_put_off_labelled_or_with_a_bot() {
        let globals = Cli::parse_from(["switchboardctl", "chat", "list"]).globals;
        let view = View::new(&globals);
        let in_hours = |hours: i64| prost_types::Timestamp {
            seconds: view.now.unix_timestamp() + hours * 3_600 + 60,
            nanos: 0,
        };
        let chat = Chat {
            state: chat::State::Active.into(),
            labels: vec!["VIP".into(), "late".into()],
            bot_name: "Greeter".into(),
            ..Chat::default()
        };
        let snoozed = |until| Chat {
            snoozed: true,
            wake_time: until,
            ..chat.clone()
        };
        for (chat, expected) in [
            (chat.clone(), "active"),
            (snoozed(None), "active, snoozed"),
            (snoozed(Some(in_hours(2))), "active, snoozed, back in 2 h"),
            (
                Chat {
                    spam: true,
                    ..snoozed(None)
                },
                "spam",
            ),
        ] {
            let cells = chat.cells(&view);
            let of = |header: &str| {
                let place = Chat::HEADERS.iter().position(|it| *it == header);
                cells[place.unwrap()].text()
            };
            assert_eq!(of("STATE"), expected);
            assert_eq!((of("LABELS"), of("BOT")), ("VIP, late", "Greeter"));
        }
    }

    #[test]
    fn a_message_is_told_in_one_text() {
        let content = |content| ContentPart {
            content: Some(content),
        };
        let photo = Attachment {
            kind: attachment::Kind::Photo.into(),
            ..Attachment::default()
        };
        let text = Text {
            text: "this one".into(),
            entities: Vec::new(),
        };
        let message = Message {
            parts: vec![
                content(Content::Attachment(photo)),
                content(Content::Text(text)),
                ContentPart { content: None },
            ],
            ..Message::default()
        };
        assert_eq!(text_of(&message), "[photo] this one");
        let unknown = Message {
            parts: vec![content(Content::Attachment(Attachment::default()))],
            ..Message::default()
        };
        assert_eq!(text_of(&unknown), "[file]");
        let named = Attachment {
            kind: attachment::Kind::Document.into(),
            file_name: "prices.csv".into(),
            ..Attachment::default()
        };
        let named = Message {
            parts: vec![content(Content::Attachment(named))],
            ..Message::default()
        };
        assert_eq!(text_of(&named), "[document prices.csv]");
        let deleted = Message {
            delete_time: Some(prost_types::Timestamp::default()),
            ..message.clone()
        };
        assert_eq!(text_of(&deleted), "(deleted)");
        let system = SystemNotice {
            kind: "conversation.opened".into(),
            ..SystemNotice::default()
        };
        assert_eq!(
            text_of(&Message {
                system: Some(system),
                ..message
            }),
            "conversation.opened"
        );
    }
}
