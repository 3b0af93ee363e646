use super::piece::written;
use super::*;
use switchboard_proto::common::v1::{
    Attachment, ContentPart, Location, ReplyReference, SharedLink, Text, TextEntity, text_entity,
};

fn part(content: Content) -> ContentPart {
    ContentPart {
        content: Some(content),
    }
}

fn text(text: &str) -> ContentPart {
    part(Content::Text(Text {
        text: text.to_owned(),
        entities: vec![],
    }))
}

fn file(id: &str, media_type: &str, size: i64) -> ContentPart {
    part(Content::Attachment(Attachment {
        attachment_id: id.to_owned(),
        media_type: media_type.to_owned(),
        size,
        ..Attachment::default()
    }))
}

fn command(action: Action, reply: &str, parts: Vec<ContentPart>) -> OutboundCommand {
    OutboundCommand {
        action: action.into(),
        chat_key: "7712309945511".into(),
        parts,
        reply: (!reply.is_empty()).then(|| ReplyReference {
            provider_key: reply.to_owned(),
            ..ReplyReference::default()
        }),
        ..OutboundCommand::default()
    }
}

fn sent(reply: &str, parts: Vec<ContentPart>, how: How<'_>) -> Vec<(String, Value)> {
    let command = command(Action::Send, reply, parts);
    let calls = plan(&command, how).unwrap();
    calls
        .iter()
        .map(|call| (call.method.clone(), body(call, &command.chat_key)))
        .collect()
}

#[test]
fn f093_a_message_goes_to_direct_and_answers_a_comment_only_where_it_says_so() {
    let recipient = json!({ "id": "7712309945511" });
    let direct = (
        "POST /me/messages".to_owned(),
        json!({ "recipient": recipient, "message": { "text": "Так, є 42 і 43" } }),
    );
    let words = || vec![text("Так, є 42 і 43")];
    assert_eq!(
        sent("", words(), How::default()),
        std::slice::from_ref(&direct)
    );
    assert_eq!(sent("aWdfZAG1f", words(), How::default()), [direct]);
}

#[test]
fn f091_an_answer_to_a_comment_goes_under_it_and_into_its_thread() {
    let key = "cmt:17865799348089039";
    for (name, comment, path, message) in [
        (
            "top",
            Target::default(),
            "POST /17865799348089039/replies",
            "Є",
        ),
        (
            "top, with a nick",
            Target {
                username: Some("olena.k"),
                parent: None,
            },
            "POST /17865799348089039/replies",
            "Є",
        ),
        (
            "in a thread",
            Target {
                username: Some("olena.k"),
                parent: Some("17865799348080001"),
            },
            "POST /17865799348080001/replies",
            "@olena.k Є",
        ),
        (
            "a parent that is no id",
            Target {
                username: None,
                parent: Some("../me"),
            },
            "POST /17865799348089039/replies",
            "Є",
        ),
    ] {
        let how = How {
            comment,
            window: Window::Closed,
            ..How::default()
        };
        let expected = (path.to_owned(), json!({ "message": message }));
        assert_eq!(sent(key, vec![text("Є")], how), [expected], "{name}");
    }
    let how = How {
        comment: Target {
            username: Some("olena.k"),
            parent: Some("1"),
        },
        ..How::default()
    };
    let named = sent(key, vec![text("@olena.k так"), text("ще")], how);
    let words: Vec<&Value> = named.iter().map(|(_, body)| &body["message"]).collect();
    assert_eq!(words, ["@olena.k так", "ще"]);
}

#[test]
fn x12_all_parts_of_a_message_go_one_way() {
    let long = "слово ".repeat(1_000);
    let commented = sent("cmt:1", vec![text(&long), text("ще")], How::default());
    assert!(commented.len() > 2);
    assert!(
        commented
            .iter()
            .all(|(method, _)| method == "POST /1/replies")
    );
    let written = sent("m1", vec![text(&long), text("ще")], How::default());
    assert!(written.iter().all(|(method, _)| method == MESSAGES));
    let mixed = command(
        Action::Send,
        "cmt:1",
        vec![text("a"), file("f", "image/png", 1)],
    );
    assert_eq!(plan(&mixed, How::default()).unwrap_err(), COMMENT_TEXT_ONLY);
}

#[test]
fn texts_have_at_most_a_thousand_bytes() {
    let long = "слово ".repeat(500);
    let sent = sent("", vec![text(&long)], How::default());
    let pieces: Vec<&str> = sent
        .iter()
        .map(|(_, body)| body["message"]["text"].as_str().unwrap())
        .collect();
    assert!(
        pieces
            .iter()
            .all(|piece| piece.len() <= 1_000 && piece.ends_with("слово"))
    );
    assert_eq!(
        pieces
            .iter()
            .map(|piece| piece.split(' ').count())
            .sum::<usize>(),
        500
    );
}

#[test]
fn pictures_go_together_and_all_else_alone_in_the_order_of_the_message() {
    let parts = || {
        let mut parts = vec![text("фото")];
        parts.extend((0..11).map(|index| file(&format!("i{index}"), "image/jpeg", 5)));
        parts.push(text("підпис"));
        parts.push(file("i11", "image/png; x=y", 5));
        parts.push(file("pdf", "application/pdf", 5));
        parts.push(file("film", "video/mp4", 5));
        parts
    };
    let shape = |how| -> Vec<String> {
        let shapes = sent("", parts(), how).into_iter().map(|(_, body)| {
            let message = &body["message"];
            match (message.get("text"), message.get("attachments")) {
                (Some(text), _) => text.as_str().unwrap().to_owned(),
                (_, Some(Value::Array(images))) => format!("{} images", images.len()),
                _ => {
                    let one = &message["attachment"];
                    format!(
                        "{} {}",
                        one["type"].as_str().unwrap(),
                        one["payload"]["url"][FILE].as_str().unwrap()
                    )
                }
            }
        });
        shapes.collect()
    };
    assert_eq!(
        shape(How::default()),
        [
            "фото",
            "10 images",
            "image i10",
            "підпис",
            "image i11",
            "file pdf",
            "video film"
        ]
    );
    let one = How {
        several_images: false,
        ..How::default()
    };
    assert_eq!(shape(one).len(), 16);
}

#[test]
fn links_are_written_out() {
    let linked = |words: &str, ranges: &[(u32, u32, &str)]| {
        let entities = ranges.iter().map(|(offset, length, url)| TextEntity {
            kind: text_entity::Kind::TextLink.into(),
            offset: *offset,
            length: *length,
            url: (*url).to_owned(),
            ..TextEntity::default()
        });
        written(&Text {
            text: words.to_owned(),
            entities: entities.collect(),
        })
        .text
    };
    for (words, ranges, expected) in [
        (
            "Дивіться тут!",
            &[(9, 4, "https://a.example")][..],
            "Дивіться тут! (https://a.example)",
        ),
        (
            "😀 тут і там",
            &[(3, 3, "u1"), (9, 3, "u2")],
            "😀 тут (u1) і там (u2)",
        ),
        (
            "https://a.example",
            &[(0, 17, "https://a.example")],
            "https://a.example",
        ),
        ("a\0b", &[(0, 99, "u")], "a\u{fffd}b (u)"),
        ("нема", &[], "нема"),
    ] {
        assert_eq!(linked(words, ranges), expected, "{words}");
    }
    let link = part(Content::Link(SharedLink {
        url: "https://a.example".into(),
        title: "Сукня".into(),
    }));
    let sent = sent("", vec![link], How::default());
    assert_eq!(sent[0].1["message"]["text"], "Сукня (https://a.example)");
}

#[test]
fn the_window_tags_or_refuses_what_goes_to_direct() {
    let agent = How {
        window: Window::HumanAgent,
        reply_to: true,
        ..How::default()
    };
    let sent = sent(
        "m1",
        vec![text("a"), file("f", "application/pdf", 1)],
        agent,
    );
    let expected = json!({
        "recipient": { "id": "7712309945511" }, "messaging_type": "MESSAGE_TAG", "tag": "HUMAN_AGENT",
        "message": { "text": "a" }, "reply_to": { "mid": "m1" },
    });
    assert_eq!(sent[0].1, expected);
    assert!(sent[1].1.get("reply_to").is_none() && sent[1].1["tag"] == "HUMAN_AGENT");
    let closed = How {
        window: Window::Closed,
        ..How::default()
    };
    let command = command(Action::Send, "m1", vec![text("a")]);
    assert_eq!(plan(&command, closed).unwrap_err(), WINDOW_CLOSED);
    let used = How {
        private_reply_used: true,
        ..closed
    };
    assert_eq!(plan(&command, used).unwrap_err(), PRIVATE_REPLY_USED);
    let another = How {
        private_reply: Some("18"),
        ..used
    };
    assert!(plan(&command, another).is_ok());
    let call = &plan(&command, agent).unwrap()[0];
    let plain = amended(call, Amendment::WithoutReply).unwrap();
    assert!(plain.params.get("reply_to").is_none());
    assert!(amended(&plain, Amendment::WithoutReply).is_none());
}

#[test]
fn what_cannot_be_sent_is_named() {
    let location = part(Content::Location(Location::default()));
    let odd_chat = OutboundCommand {
        chat_key: "5\0".to_owned(),
        ..command(Action::Send, "", vec![text("a")])
    };
    let future = OutboundCommand {
        action: 99,
        ..command(Action::Send, "", vec![text("a")])
    };
    for (command, reason) in [
        (command(Action::Send, "", vec![]), "MESSAGE_EMPTY"),
        (
            command(Action::Send, "", vec![text(" \n")]),
            "MESSAGE_EMPTY",
        ),
        (
            command(Action::Send, "cmt:1", vec![text(" ")]),
            "MESSAGE_EMPTY",
        ),
        (
            command(Action::Send, "", vec![location]),
            "UNSUPPORTED_CONTENT",
        ),
        (
            command(Action::Send, "", vec![file("f", "image/webp", 1)]),
            "FILE_TYPE_UNSUPPORTED",
        ),
        (
            command(Action::Send, "", vec![file("f", "", 1)]),
            "FILE_TYPE_UNSUPPORTED",
        ),
        (
            command(Action::Send, "", vec![file("f", "image/png", 8_000_001)]),
            "FILE_TOO_LARGE",
        ),
        (
            command(Action::Send, "", vec![file("f", "video/mp4", 25_000_001)]),
            "FILE_TOO_LARGE",
        ),
        (
            command(Action::Edit, "m1", vec![text("a")]),
            "UNSUPPORTED_COMMAND",
        ),
        (command(Action::Delete, "m1", vec![]), "UNSUPPORTED_COMMAND"),
        (command(Action::Delete, "", vec![]), "UNSUPPORTED_COMMAND"),
        (
            command(Action::React, "cmt:1", vec![text("👍")]),
            "UNSUPPORTED_COMMAND",
        ),
        (
            command(Action::React, "m1", vec![text("🦄")]),
            "REACTION_UNSUPPORTED",
        ),
        (odd_chat, "UNSUPPORTED_CONTENT"),
        (future, "UNSUPPORTED_COMMAND"),
    ] {
        assert_eq!(plan(&command, How::default()).unwrap_err().reason, reason);
    }
}

#[test]
fn comments_are_deleted_and_messages_reacted_to() {
    let how = How {
        targets: &["cmt:1", "cmt:2"],
        ..How::default()
    };
    let deleted = plan(&command(Action::Delete, "", vec![]), how).unwrap();
    let methods: Vec<&str> = deleted.iter().map(|call| call.method.as_str()).collect();
    assert_eq!(methods, ["DELETE /1", "DELETE /2"]);
    assert_eq!(body(&deleted[0], "7"), json!({}));
    let reacted = |parts| {
        let command = command(Action::React, "m1", parts);
        body(&plan(&command, How::default()).unwrap()[0], "7")
    };
    assert_eq!(
        reacted(vec![text("❤️")]),
        json!({ "recipient": { "id": "7" }, "sender_action": "react", "payload": { "message_id": "m1", "reaction": "love" } })
    );
    assert_eq!(
        reacted(vec![]),
        json!({ "recipient": { "id": "7" }, "sender_action": "unreact", "payload": { "message_id": "m1" } })
    );
}

#[test]
fn what_was_sent_is_known_by_the_key_under_which_it_comes_back() {
    let answered = &plan(
        &command(Action::Send, "cmt:1", vec![text("a")]),
        How::default(),
    )
    .unwrap()[0];
    let written = private_reply("Написали вам у Direct", "17865799348089039");
    assert_eq!(
        body(&written, "7"),
        json!({ "recipient": { "comment_id": "17865799348089039" }, "message": { "text": "Написали вам у Direct" } })
    );
    let answer = json!({ "recipient_id": "7", "message_id": "aWdf" });
    assert_eq!(provider_key(&written, &answer).as_deref(), Some("aWdf"));
    assert_eq!(
        provider_key(answered, &json!({ "id": 178 })).as_deref(),
        Some("cmt:178")
    );
    assert_eq!(provider_key(answered, &json!({ "success": true })), None);
    assert_eq!(provider_key(&deleted("1"), &json!({ "id": "1" })), None);
}
