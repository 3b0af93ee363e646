//! Our own mails (`tests/cases/email`) read as the cases say; mails made to cost time or memory stay small; no bytes
//! panic.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on must fail"
)]

use std::fmt::Write as _;
use std::path::Path;

use bytes::Bytes;
use channel_gateway::domain::email::bounce::RECIPIENTS_MAX;
use channel_gateway::domain::email::normalise::Thread;
use channel_gateway::domain::email::{
    DEPTH_MAX, EVENT_TEXT_MAX, Fetched, File, Folder, Ours, PARTS_MAX, Reading, Standing, TEXT_MAX,
    normalise, read, reading,
};
use channel_gateway::domain::inbound::Line;
use proptest::prelude::*;
use serde_json::{Value, json};
use switchboard_proto::channel_gateway::v1::{
    InboundEvent, InboundMessage, inbound_event::Kind, inbound_receipt,
};
use switchboard_proto::common::v1::{attachment, content_part::Content};
use time::OffsetDateTime;
use uuid::Uuid;

const LINE: Line<'static> = Line {
    account: "acme",
    channel: Uuid::from_u128(7),
    provider_account: "sales@shop.example",
};

const OURS: Ours<'static> = Ours {
    address: "sales@shop.example",
    domain: "gw.shop.example",
    aliases: &[],
    gateway_id: "gw-1",
};

fn normalised(raw: &Bytes, folder: Folder) -> (Vec<InboundEvent>, Vec<File>) {
    read_in(raw, folder).settle(&Standing::default())
}

fn read_in(raw: &Bytes, folder: Folder) -> Reading {
    let received_at = OffsetDateTime::UNIX_EPOCH + time::Duration::days(20_001);
    let meta = Fetched {
        raw_ref: "raw/1",
        size: u64::try_from(raw.len()).unwrap(),
        internal_date: OffsetDateTime::UNIX_EPOCH + time::Duration::days(20_000),
        folder,
        uid_key: "sales@shop.example:1:2",
    };
    reading(LINE, &OURS, &meta, raw, received_at)
}

/// The bytes of a case: each character is one byte.
fn bytes_of(case: &Value) -> Bytes {
    let lines: Vec<&str> = case["mail"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line.as_str().unwrap())
        .collect();
    let bytes = lines
        .join("\r\n")
        .chars()
        .map(|c| u8::try_from(u32::from(c)).unwrap())
        .collect::<Vec<_>>();
    bytes.into()
}

fn short_message(event: &InboundEvent, message: &InboundMessage, files: &[File]) -> Value {
    let parts = message
        .parts
        .iter()
        .map(|part| match part.content.as_ref().unwrap() {
            Content::Text(text) => json!({ "text": text.text }),
            Content::Attachment(file) => {
                let kind = attachment::Kind::try_from(file.kind).unwrap().as_str_name();
                assert_eq!(file.state(), attachment::State::Stored);
                let stored = files
                    .iter()
                    .find(|stored| stored.attachment == *file)
                    .expect("a file to store");
                assert_eq!(i64::try_from(stored.bytes.len()), Ok(file.size));
                json!({
                    "file": kind.trim_start_matches("KIND_").to_lowercase(),
                    "name": file.file_name, "type": file.media_type, "size": file.size,
                })
            }
            Content::Unsupported(unsupported) => json!({ "unsupported": unsupported.kind }),
            other => panic!("{other:?}"),
        });
    let client = event.client.as_ref().unwrap();
    assert_eq!(
        (client.scope.as_str(), &client.user_id),
        ("email", &event.chat_key)
    );
    let mut short = json!({
        "chat": event.chat_key, "name": client.name, "subject": message.subject, "parts": parts.collect::<Vec<_>>(),
    });
    if !message.references.is_empty() {
        short["references"] = json!(message.references);
    }
    if !message.start_payload.is_empty() {
        short["start"] = json!(message.start_payload);
    }
    if !message.full_text.is_empty() {
        short["full"] = json!(message.full_text);
    }
    if message.automatic {
        short["automatic"] = json!(true);
    }
    if let Some(page) = &message.html {
        let stored = files.iter().find(|file| file.attachment == *page).unwrap();
        short["html"] = json!(String::from_utf8(stored.bytes.to_vec()).unwrap());
    }
    short
}

fn short(event: &InboundEvent, files: &[File]) -> Value {
    match event.kind.as_ref().unwrap() {
        Kind::Message(message) => {
            let mut short = short_message(event, message, files);
            short["message"] = json!(message.provider_key);
            short
        }
        Kind::OwnAppMessage(own) => {
            let message = own.message.as_ref().unwrap();
            let mut short = short_message(event, message, files);
            short["own"] = json!(message.provider_key);
            short
        }
        Kind::Receipt(receipt) => {
            let kind = inbound_receipt::Kind::try_from(receipt.kind)
                .unwrap()
                .as_str_name();
            json!({
                "receipt": kind.trim_start_matches("KIND_").to_lowercase(), "keys": receipt.provider_keys,
                "recipient": receipt.recipient, "reason": receipt.reason, "retryable": receipt.retryable,
            })
        }
        Kind::Block(block) => json!({ "blocked": block.blocked, "chat": event.chat_key }),
        Kind::ProviderState(state) => json!({ "state": state.kind }),
        Kind::Unsupported(unsupported) => json!({ "unsupported": unsupported.kind }),
        other => panic!("{other:?}"),
    }
}

#[test]
fn f003_mails_read_as_the_cases_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/email");
    let mut failed = Vec::new();
    let mut count = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read(file.unwrap().path()).unwrap();
        let Value::Array(cases) = serde_json::from_slice(&text).unwrap() else {
            panic!("a list of cases")
        };
        for case in cases {
            let folder = if case["folder"] == "sent" {
                Folder::Sent
            } else {
                Folder::Inbox
            };
            let standing = Standing {
                went_out: case["went_out"] == true,
                ..Standing::default()
            };
            let (events, files) = read_in(&bytes_of(&case), folder).settle(&standing);
            let read: Vec<Value> = events.iter().map(|event| short(event, &files)).collect();
            let mut keys: Vec<&str> = events
                .iter()
                .map(|event| event.event_key.as_str())
                .collect();
            keys.dedup();
            assert_eq!(keys.len(), events.len(), "each event has its own key");
            count += 1;
            let mut expected = case["expected"].clone();
            // Where a case says nothing of the page, it is not compared.
            for (expected, read) in expected.as_array_mut().unwrap().iter_mut().zip(&read) {
                if expected.get("html").is_none() && read.get("html").is_some() {
                    expected["html"] = read["html"].clone();
                }
            }
            if json!(read) != expected {
                failed.push(format!(
                    "{}:\n    {}\nnot {}",
                    case["name"],
                    json!(read),
                    case["expected"]
                ));
            }
        }
    }
    assert!(
        failed.is_empty(),
        "{} of {count}:\n{}",
        failed.len(),
        failed.join("\n")
    );
    assert!(count >= 50, "{count}");
}

#[test]
fn mails_made_to_cost_memory_stay_small() {
    let fields = "From: a@x.example\r\nTo: sales@shop.example\r\nSubject: a\r\n";

    let mut many = format!("{fields}Content-Type: multipart/mixed; boundary=M\r\n\r\n");
    many.push_str(&"--M\r\nContent-Type: image/png; name=a.png\r\n\r\nx\r\n".repeat(10_000));
    let mail = read(&Bytes::from(many), &OURS);
    assert!(mail.cut && mail.attachments.len() < PARTS_MAX);

    let mut deep = fields.to_owned();
    for level in 0..100 {
        let _ = write!(
            deep,
            "Content-Type: multipart/mixed; boundary=L{level}\r\n\r\n--L{level}\r\n"
        );
    }
    deep.push_str("\r\ninnermost");
    let mail = read(&Bytes::from(deep), &OURS);
    assert!(mail.cut);
    let held: usize = mail.attachments.iter().map(|file| file.bytes.len()).sum();
    assert!(held + mail.plain.map_or(0, |plain| plain.len()) < 100 * 100 && DEPTH_MAX < 100);

    // Mails inside of mails are files: nobody goes into them.
    let nested = format!(
        "{fields}{}",
        "Content-Type: message/rfc822\r\n\r\n".repeat(100_000)
    );
    let mail = read(&Bytes::from(nested), &OURS);
    assert_eq!(mail.attachments.len(), 1);

    let mut large = format!("{fields}Content-Type: multipart/mixed; boundary=M\r\n\r\n--M\r\n\r\n")
        .into_bytes();
    large.resize(25 << 20, b'a');
    large.extend_from_slice(b"\r\n--M\r\nContent-Type: application/zip\r\n\r\n");
    large.resize(50 << 20, b'b');
    let raw = Bytes::from(large);
    let (events, files) = normalised(&raw, Folder::Inbox);
    let Some(Kind::Message(message)) = &events[0].kind else {
        panic!()
    };
    let Some(Content::Text(text)) = &message.parts[0].content else {
        panic!()
    };
    assert!(text.text.len() <= EVENT_TEXT_MAX && message.full_text.len() <= EVENT_TEXT_MAX);
    let within = raw.as_ptr_range();
    let copied: usize = files
        .iter()
        .filter(|file| !within.contains(&file.bytes.as_ptr()))
        .map(|file| file.bytes.len())
        .sum();
    assert!(copied <= TEXT_MAX, "files are slices of the mail");

    let addresses = format!("{fields}Cc: {}\r\n\r\nx", "a@x.example, ".repeat(200_000));
    assert!(read(&Bytes::from(addresses), &OURS).cc.len() <= 200 * 20);
    let ids = format!("{fields}References: {}\r\n\r\nx", "<a@x> ".repeat(200_000));
    assert!(read(&Bytes::from(ids), &OURS).references.len() <= 50);
    let groups = "Final-Recipient: rfc822; a@x.example\r\nAction: failed\r\n\r\n".repeat(50_000);
    let report = format!(
        "{fields}Content-Type: multipart/report; boundary=M\r\n\r\n--M\r\nContent-Type: message/delivery-status\r\n\r\n{groups}"
    );
    let mail = read(&Bytes::from(report), &OURS);
    assert!(mail.report.unwrap().recipients.len() <= RECIPIENTS_MAX);
    for body in [
        "\r\n".repeat(4 << 20),
        "=?".repeat(4 << 20),
        "> \r\n\r\n".repeat(1 << 20),
        "On 1:00 ".repeat(1 << 20),
    ] {
        let raw = Bytes::from(format!(
            "{fields}Subject: {}\r\n\r\n{body}",
            "=?utf-8?q?".repeat(100_000)
        ));
        let (events, _) = normalised(&raw, Folder::Inbox);
        assert!(prost::Message::encoded_len(&events[0]) < 4 * EVENT_TEXT_MAX);
    }
}

#[test]
fn a_mail_that_was_not_fetched_whole_says_so() {
    let raw = Bytes::from_static(b"From: a@x.example\r\nSubject: a\r\n\r\nstart");
    let meta = Fetched {
        raw_ref: "raw/1",
        size: 60_000_000,
        internal_date: OffsetDateTime::UNIX_EPOCH,
        folder: Folder::Inbox,
        uid_key: "k",
    };
    let received_at = OffsetDateTime::UNIX_EPOCH + time::Duration::days(20_001);
    let (events, files) = normalise(LINE, &OURS, &meta, &raw, received_at);
    let Some(Kind::Message(message)) = &events[0].kind else {
        panic!()
    };
    let original = message.original.as_ref().unwrap();
    assert_eq!(
        (original.state(), original.reason.as_str()),
        (attachment::State::Failed, "FILE_TOO_LARGE")
    );
    assert_eq!(original.size, 60_000_000);
    assert!(files.is_empty());
    let time = events[0].provider_time.unwrap().seconds;
    assert_eq!(
        time,
        received_at.unix_timestamp(),
        "a clock that is far off is not believed"
    );
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::sample::select(vec![
        "From: ",
        "To: ",
        "Subject: ",
        "Content-Type: ",
        "multipart/mixed; boundary=M",
        "multipart/report; boundary=M",
        "text/html",
        "message/delivery-status",
        "message/rfc822",
        "charset=",
        "koi8-u",
        "utf-7",
        "=?utf-8?B?",
        "=?koi8-u?Q?",
        "?=",
        "--M",
        "--M--",
        "\r\n",
        "\n",
        "\r",
        "\r\n\r\n",
        ":",
        ";",
        "\"",
        "<",
        ">",
        "(",
        ")",
        "\\",
        ",",
        "@",
        "a@b.example",
        "<a@b>",
        "filename*0*=",
        "%D0",
        "Content-Transfer-Encoding: base64\r\n",
        "Content-Transfer-Encoding: quoted-printable\r\n",
        "=D0",
        "=",
        "<div class=gmail_quote>",
        "<blockquote type=cite>",
        "</div>",
        "<table><tr><td>",
        "<!--",
        "-->",
        "<style>",
        "&#",
        "&amp;",
        "On 1 May 2025 Bob <b@x> wrote:",
        "> ",
        "-- \n",
        "Date: ",
        "Mon, 5 May 2025 10:00:00 +0300",
        "Final-Recipient: rfc822; a@b.example\n",
        "Action: failed\n",
        "Status: 5.1.1\n",
        "550 5.1.1 ",
        "MAILER-DAEMON",
        "Undeliverable",
        "References: ",
        "Message-ID: ",
        "Дякую",
        "format=flowed; delsp=yes",
        "cid:",
    ]);
    prop_oneof![
        6 => words.prop_map(|word| word.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..12),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_panic_and_a_repeat_reads_the_same(pieces in prop::collection::vec(piece(), 0..80)) {
        let raw = Bytes::from(pieces.concat());
        for folder in [Folder::Inbox, Folder::Sent] {
            let (events, files) = normalised(&raw, folder);
            prop_assert!(!events.is_empty());
            prop_assert!(events.iter().all(|event| event.kind.is_some()));
            let (again, same) = normalised(&raw, folder);
            prop_assert_eq!(&events, &again);
            prop_assert_eq!(files.len(), same.len());
        }
    }
}

/// A form's mail with one constant id, and another one.
fn form(from: &str, reply_to: &str, text: &str) -> Reading {
    let raw = format!(
        "From: {from}\r\nReply-To: {reply_to}\r\nTo: sales@shop.example\r\nSubject: form\r\n\
         Message-ID: <form@shop.example>\r\nReferences: <form@shop.example> <b@x>\r\n\r\n{text}\r\n"
    );
    read_in(&raw.into(), Folder::Inbox)
}

#[test]
fn mails_with_one_id_are_told_apart_by_what_they_say_and_by_whom() {
    let one = form("form@x.example", "olena@client.example", "42?");
    let claim = |reading: &Reading| reading.claim().unwrap().clone();
    let first = claim(&one);
    assert_eq!(first.message_id, "<form@shop.example>");
    assert_eq!(
        claim(&form("form@x.example", "olena@client.example", "42?")),
        first,
        "a repeat is the same"
    );
    let mut contents = vec![first.content];
    for other in [
        form("form@x.example", "olena@client.example", "43?"),
        form("form@x.example", "petro@client.example", "42?"),
        form("form@y.example", "olena@client.example", "42?"),
    ] {
        contents.push(claim(&other).content);
    }
    contents.sort_unstable();
    contents.dedup();
    assert_eq!(contents.len(), 4);

    let key = |standing: &Standing| -> (String, Vec<String>, String) {
        let (events, _) = one.clone().settle(standing);
        let Some(Kind::Message(message)) = &events[0].kind else {
            panic!()
        };
        let thread = Thread::read(&message.extension);
        (
            message.provider_key.clone(),
            message.references.clone(),
            thread.message_id,
        )
    };
    let (alone, references, _) = key(&Standing::default());
    assert_eq!(alone, "<form@shop.example>");
    assert_eq!(references, ["<b@x>", "<form@shop.example>"]);
    let further = Standing {
        further: true,
        further_references: [("<form@shop.example>".to_owned(), [7; 16])].into(),
        ..Standing::default()
    };
    let (own, references, answered) = key(&further);
    assert_eq!(own, key(&further).0, "it is the same whenever it is read");
    assert_ne!(own, alone);
    assert!(own.starts_with("<form@shop.example>#"));
    // What is answered is the mail, by the id that its sender knows.
    assert_eq!(answered, "<form@shop.example>");
    assert_eq!(
        references[1],
        format!("<form@shop.example>#{}", "07".repeat(16))
    );
}

#[test]
fn a_mail_that_was_not_fetched_whole_is_the_same_however_much_of_it_was() {
    let read = |text: &str| {
        let raw = Bytes::from(format!(
            "From: a@x.example\r\nSubject: a\r\nMessage-ID: <a@x>\r\n\r\n{text}"
        ));
        let meta = Fetched {
            raw_ref: "raw/1",
            size: 60_000_000,
            internal_date: OffsetDateTime::UNIX_EPOCH,
            folder: Folder::Inbox,
            uid_key: "k",
        };
        let at = OffsetDateTime::UNIX_EPOCH;
        reading(LINE, &OURS, &meta, &raw, at).claim().cloned()
    };
    assert_eq!(read("start"), read(""));
}
