use super::*;
use switchboard_proto::common::v1::{ReplyReference, TextEntity, attachment, text_entity};

const ID: &str = "00000000-0000-0000-0000-000000000007";

fn sender() -> Sender {
    Sender {
        name: "Крамниця".to_owned(),
        avatar: String::new(),
    }
}

fn of(content: Content) -> ContentPart {
    ContentPart {
        content: Some(content),
    }
}

fn words(text: &str) -> ContentPart {
    of(Content::Text(plain(text)))
}

fn attached(kind: attachment::Kind, name: &str) -> ContentPart {
    of(Content::Attachment(Attachment {
        attachment_id: ID.to_owned(),
        kind: kind.into(),
        file_name: name.to_owned(),
        size: 9,
        ..Attachment::default()
    }))
}

fn photo() -> ContentPart {
    attached(attachment::Kind::Photo, "a.jpg")
}

fn document() -> ContentPart {
    attached(attachment::Kind::Document, "a.pdf")
}

fn contact(name: &str, phone: &str) -> ContentPart {
    of(Content::Contact(SharedContact {
        name: name.to_owned(),
        phone: phone.to_owned(),
        own: false,
    }))
}

fn send(parts: Vec<ContentPart>) -> OutboundCommand {
    OutboundCommand {
        action: Action::Send.into(),
        chat_key: "pQ7xN2aLr0uZ1mW8sYkTfA==".to_owned(),
        parts,
        ..OutboundCommand::default()
    }
}

/// The calls in a short form: the type, and the text or caption where there is one.
fn short(parts: Vec<ContentPart>) -> Vec<(String, String)> {
    let calls = plan(&send(parts), &sender()).unwrap();
    let read = |params: &Value, key: &str| {
        let text = params.get(key).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    calls
        .iter()
        .map(|call| {
            assert_eq!(call.method, "send_message");
            (read(&call.params, "type"), read(&call.params, "text"))
        })
        .collect()
}

#[test]
fn f190_pictures_go_one_by_one_and_a_caption_stands_on_the_first_or_before_other_files() {
    let long = "слово ".repeat(100);
    for (name, parts, expected) in [
        (
            "a caption",
            vec![photo(), words("Ось")],
            vec![("picture", "Ось")],
        ),
        (
            "on the first only",
            vec![photo(), photo(), words("Ось")],
            vec![("picture", "Ось"), ("picture", "")],
        ),
        (
            "what is said before stays before",
            vec![words("Ось"), photo()],
            vec![("text", "Ось"), ("picture", "")],
        ),
        (
            "too long: after",
            vec![photo(), words(&long)],
            vec![("picture", ""), ("text", long.trim())],
        ),
        (
            "a file has none: before",
            vec![document(), words("Ось")],
            vec![("text", "Ось"), ("file", "")],
        ),
        (
            "a picture and a file",
            vec![photo(), document(), words("Ось")],
            vec![("picture", "Ось"), ("file", "")],
        ),
        (
            "a file and a picture",
            vec![document(), photo(), words("Ось")],
            vec![("text", "Ось"), ("file", ""), ("picture", "")],
        ),
        (
            "only the next text is the caption",
            vec![photo(), words("Ось"), words("далі")],
            vec![("picture", "Ось"), ("text", "далі")],
        ),
        (
            "a blank one is none",
            vec![photo(), words(" ")],
            vec![("picture", "")],
        ),
    ] {
        let sent = short(parts);
        let sent: Vec<_> = sent
            .iter()
            .map(|(kind, text)| (kind.as_str(), text.as_str()))
            .collect();
        assert_eq!(sent, expected, "{name}");
    }
}

#[test]
fn a_caption_writes_its_links_out_and_has_no_marks() {
    let entity = |kind: text_entity::Kind, url: &str| TextEntity {
        kind: kind.into(),
        length: 3,
        url: url.to_owned(),
        ..TextEntity::default()
    };
    let caption = of(Content::Text(Text {
        text: "Ось".to_owned(),
        entities: vec![
            entity(text_entity::Kind::Bold, ""),
            entity(text_entity::Kind::TextLink, "https://a.example"),
        ],
    }));
    let expected = [("picture".to_owned(), "Ось (https://a.example)".to_owned())];
    assert_eq!(short(vec![photo(), caption]), expected);
}

#[test]
fn the_body_names_receiver_and_sender() {
    let calls = plan(&send(vec![words("Є 42")]), &sender()).unwrap();
    assert_eq!(
        body(&calls[0], "pQ7xN2aLr0uZ1mW8sYkTfA=="),
        json!({
            "receiver": "pQ7xN2aLr0uZ1mW8sYkTfA==", "min_api_version": 1, "sender": {"name": "Крамниця"},
            "type": "text", "text": "Є 42",
        })
    );
    for (name, avatar, expected) in [
        (" ", "", json!({"name": "Chat"})),
        (
            "Дуже довга назва крамниці взуття",
            "ftp://a.example/a.png",
            json!({"name": "Дуже довга назва крамниці вз"}),
        ),
        (
            "a",
            "https://a.example/a.png",
            json!({"name": "a", "avatar": "https://a.example/a.png"}),
        ),
    ] {
        let sender = Sender {
            name: name.to_owned(),
            avatar: avatar.to_owned(),
        };
        assert_eq!(sender.value(), expected, "{name}");
    }
}

#[test]
fn every_kind_has_its_shape() {
    let link = |url: &str, title: &str| {
        of(Content::Link(SharedLink {
            url: url.to_owned(),
            title: title.to_owned(),
        }))
    };
    let place = |title: &str| {
        of(Content::Location(Location {
            latitude: 49.8397,
            longitude: 24.0297,
            title: title.to_owned(),
            ..Location::default()
        }))
    };
    let sticker = |extension: &'static str, emoji: &str| {
        of(Content::Sticker(Sticker {
            attachment: Some(Attachment {
                attachment_id: ID.to_owned(),
                kind: attachment::Kind::Photo.into(),
                file_name: "a.png".to_owned(),
                extension: extension.into(),
                ..Attachment::default()
            }),
            emoji: emoji.to_owned(),
            set_name: String::new(),
        }))
    };
    let there = json!({"type": "location", "location": {"lat": 49.8397, "lon": 24.0297}});
    for (part, expected) in [
        (
            contact("Ігор", "+38 (050) 111-22-33"),
            vec![
                json!({"type": "contact", "contact": {"name": "Ігор", "phone_number": "+380501112233"}}),
            ],
        ),
        (
            contact("", "380501112233"),
            vec![
                json!({"type": "contact", "contact": {"name": "380501112233", "phone_number": "380501112233"}}),
            ],
        ),
        (place(""), vec![there.clone()]),
        (
            place("Відділення 12"),
            vec![json!({"type": "text", "text": "Відділення 12"}), there],
        ),
        (
            link("https://a.example", ""),
            vec![json!({"type": "url", "media": "https://a.example"})],
        ),
        (
            link("https://a.example", "Сюди"),
            vec![json!({"type": "text", "text": "Сюди\nhttps://a.example"})],
        ),
        (
            link("tg://resolve", ""),
            vec![json!({"type": "text", "text": "tg://resolve"})],
        ),
        (
            sticker(r#"{"url":"https://a.example","sticker_id":"46105"}"#, ""),
            vec![json!({"type": "sticker", "sticker_id": 46105})],
        ),
        (
            sticker("CAAC", "👍"),
            vec![json!({"type": "text", "text": "👍"})],
        ),
        (
            sticker("CAAC", ""),
            vec![json!({"type": "picture", "media": {"$file": ID}, "text": ""})],
        ),
        (
            photo(),
            vec![json!({"type": "picture", "media": {"$file": ID}, "text": ""})],
        ),
        (
            document(),
            vec![json!({"type": "file", "media": {"$file": ID}, "size": 9, "file_name": "a.pdf"})],
        ),
        (
            attached(attachment::Kind::Video, "a.mp4"),
            vec![json!({"type": "video", "media": {"$file": ID}, "size": 9})],
        ),
    ] {
        let calls = plan(&send(vec![part]), &sender()).unwrap();
        let params: Vec<Value> = calls
            .into_iter()
            .map(|mut call| {
                call.params
                    .as_object_mut()
                    .unwrap()
                    .remove("sender")
                    .unwrap();
                call.params
            })
            .collect();
        assert_eq!(params, expected);
    }
}

#[test]
fn long_texts_are_split_and_no_request_is_too_large() {
    for (name, character) in [
        ("letters", "слово "),
        ("three bytes each", "字"),
        ("pairs", "😀"),
        ("escaped", "\u{1}"),
        ("quotes", "\"\\"),
    ] {
        let text = character.repeat(9_000);
        let command = send(vec![words(&text)]);
        let mut read = String::new();
        for call in plan(&command, &sender()).unwrap() {
            let body = body(&call, &command.chat_key);
            assert!(body.to_string().len() <= BODY_MAX, "{name}");
            let piece = body["text"].as_str().unwrap();
            assert!(units(piece) <= TEXT_MAX, "{name}");
            read.push_str(piece);
        }
        let kept = |text: &str| text.split_whitespace().collect::<String>();
        assert_eq!(kept(&read), kept(&text), "{name}");
    }
}

#[test]
fn marks_that_would_make_a_text_too_long_are_left_out() {
    let bold = TextEntity {
        kind: text_entity::Kind::Bold.into(),
        length: 3,
        ..TextEntity::default()
    };
    for (length, expected) in [(6_998, "*aaa* "), (6_999, "aaa a")] {
        let text = format!("aaa {}", "a".repeat(length - 4));
        let part = of(Content::Text(Text {
            text,
            entities: vec![bold.clone()],
        }));
        let sent = short(vec![part]);
        assert!(
            sent.len() == 1 && sent[0].1.starts_with(expected),
            "{length}"
        );
    }
}

#[test]
fn an_answer_to_a_message_is_sent_as_any_other() {
    let reply = ReplyReference {
        provider_key: "5741311803571721087".to_owned(),
        ..ReplyReference::default()
    };
    let answer = OutboundCommand {
        reply: Some(reply),
        ..send(vec![words("a")])
    };
    assert_eq!(
        plan(&answer, &sender()),
        plan(&send(vec![words("a")]), &sender())
    );
}

#[test]
fn what_cannot_be_sent_is_named() {
    let action = |action: i32| OutboundCommand {
        action,
        ..send(vec![words("a")])
    };
    let nowhere = of(Content::Location(Location {
        latitude: f64::NAN,
        ..Location::default()
    }));
    let odd_chat = OutboundCommand {
        chat_key: "a\0".to_owned(),
        ..send(vec![words("a")])
    };
    let program = attached(attachment::Kind::Document, "setup.exe");
    for (command, reason) in [
        (send(vec![]), "MESSAGE_EMPTY"),
        (send(vec![words(" \n")]), "MESSAGE_EMPTY"),
        (send(vec![ContentPart::default()]), "UNSUPPORTED_CONTENT"),
        (
            send(vec![of(Content::Sticker(Sticker::default()))]),
            "UNSUPPORTED_CONTENT",
        ),
        (
            send(vec![of(Content::Link(SharedLink::default()))]),
            "UNSUPPORTED_CONTENT",
        ),
        (send(vec![contact("", "")]), "PHONE_UNFIT"),
        (
            send(vec![contact("", "+380501112233445566")]),
            "PHONE_UNFIT",
        ),
        (send(vec![nowhere]), "PLACE_UNFIT"),
        (send(vec![words("a"), program]), "FILE_KIND_REFUSED"),
        (odd_chat, "UNSUPPORTED_CONTENT"),
        (action(Action::Edit.into()), "UNSUPPORTED_COMMAND"),
        (action(Action::Delete.into()), "UNSUPPORTED_COMMAND"),
        (action(Action::React.into()), "UNSUPPORTED_COMMAND"),
        (action(99), "UNSUPPORTED_COMMAND"),
    ] {
        assert_eq!(plan(&command, &sender()).unwrap_err().reason, reason);
    }
    assert_eq!(short(vec![words("a\0b")])[0].1, "a\u{fffd}b");
}

// pitfall 11: tokens do not fit into a double
#[test]
fn the_key_of_a_sent_message_is_its_token_with_all_digits() {
    let answer = json!({"status": 0, "message_token": 18_446_744_073_709_551_615_u64});
    assert_eq!(
        provider_key(&answer).as_deref(),
        Some("18446744073709551615")
    );
    assert_eq!(provider_key(&json!({"status": 0})), None);
}
