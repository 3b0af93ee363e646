//! Real mails (`SWITCHBOARD_FIXTURES`): each is read, none is lost, nothing panics; quoted history is cut as the sources'
//! own tests say, and reports are told apart from mails. Our own cases stand in `tests/cases/email`.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on must fail"
)]

mod reports;

use std::path::{Path, PathBuf};

use bytes::Bytes;
use channel_gateway::domain::email::visible::visible_text;
use channel_gateway::domain::email::{Fetched, Folder, Mail, Ours, normalise, read};
use channel_gateway::domain::inbound::Line;
use serde_json::Value;
use switchboard_proto::channel_gateway::v1::inbound_event::Kind;
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

/// Quoted-reply cases in which we show something else on purpose.
const SHOWN_OTHERWISE: &[(&str, &str)] = &[
    (
        "email_reply_trimmer/forwarded_apple.json",
        "a forward is never cut",
    ),
    (
        "email_reply_trimmer/forwarded_gmail.json",
        "a forward is never cut",
    ),
    (
        "email_reply_trimmer/forwarded_message.json",
        "a forward is never cut",
    ),
    (
        "email_reply_trimmer/spam_1.json",
        "where nothing remains, the whole is shown",
    ),
    (
        "talon/html-inline-test_gmail_quote_blockquote-1.json",
        "what is quoted at the end is cut, whoever marked it",
    ),
    (
        "talon/html-inline-test_too_large_html-1.json",
        "its source gives up above a size at which we do not",
    ),
];

fn fixtures() -> Option<PathBuf> {
    let folder = std::env::var_os("SWITCHBOARD_FIXTURES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures"),
        PathBuf::from,
    );
    let folder = folder.join("email");
    if folder.join("index.json").is_file() {
        return Some(folder);
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "no fixtures in {}",
        folder.display()
    );
    println!("skipped: no fixtures");
    None
}

fn json_of(path: &Path) -> Value {
    let text = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn records(folder: &Path) -> Vec<Value> {
    let Value::Array(records) = json_of(&folder.join("index.json")) else {
        panic!("a list of records")
    };
    records
}

fn bytes_of(folder: &Path, record: &Value) -> (String, Bytes) {
    let name = record["file"].as_str().unwrap().to_owned();
    let raw = std::fs::read(folder.join(&name)).unwrap();
    (name, raw.into())
}

fn meta(raw: &Bytes, folder: Folder) -> Fetched<'static> {
    Fetched {
        raw_ref: "raw/1",
        size: u64::try_from(raw.len()).unwrap(),
        internal_date: OffsetDateTime::UNIX_EPOCH + time::Duration::days(20_000),
        folder,
        uid_key: "sales@shop.example:1:2",
    }
}

/// Normalises a mail and checks what must hold for any.
fn whole(raw: &Bytes) -> Mail {
    let received_at = OffsetDateTime::UNIX_EPOCH + time::Duration::days(20_001);
    for folder in [Folder::Inbox, Folder::Sent] {
        let meta = meta(raw, folder);
        let (events, files) = normalise(LINE, &OURS, &meta, raw, received_at);
        assert!(!events.is_empty());
        let again = normalise(LINE, &OURS, &meta, raw, received_at).0;
        assert_eq!(events, again, "a repeat reads the same");
        for event in &events {
            assert!(event.raw.is_empty() && event.raw_ref == "raw/1" && event.kind.is_some());
            assert!(!prost::Message::encode_to_vec(event).is_empty());
            let message = match event.kind.as_ref().unwrap() {
                Kind::Message(message) => message,
                Kind::OwnAppMessage(own) => own.message.as_ref().unwrap(),
                _ => continue,
            };
            assert!(!message.parts.is_empty() && !message.provider_key.is_empty());
            assert!(!event.chat_key.is_empty());
            let text = format!("{message:?}");
            assert!(!text.contains("\\0"), "NUL");
        }
        let mut ids: Vec<&str> = files
            .iter()
            .map(|file| file.attachment.attachment_id.as_str())
            .collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), files.len(), "each file has its own id");
    }
    read(raw, &OURS)
}

fn squeezed(text: &str) -> String {
    text.split_whitespace().collect()
}

#[test]
fn f002_every_real_mail_is_read_or_kept_raw() {
    let Some(folder) = fixtures() else { return };
    let mut count = 0;
    for record in records(&folder) {
        if !record["form"].as_str().unwrap().contains("mail") {
            continue;
        }
        let (name, raw) = bytes_of(&folder, &record);
        let mail = whole(&raw);
        assert!(!mail.message_id.is_empty(), "{name}");
        count += 1;
    }
    println!("{count} mails read");
    assert!(count > 200, "{count}");
}

#[test]
fn real_mails_say_what_their_sources_assert() {
    let Some(folder) = fixtures() else { return };
    for record in records(&folder) {
        let asserts = &record["expected"]["source_asserts"];
        if asserts.is_null() {
            continue;
        }
        let (name, raw) = bytes_of(&folder, &record);
        let mail = whole(&raw);
        for (key, expected) in asserts.as_object().unwrap() {
            let text = expected.as_str().unwrap_or_default();
            match key.as_str() {
                "contact_email" => assert_eq!(mail.customer.key(), text, "{name}"),
                "subject" => assert_eq!(mail.subject, text, "{name}"),
                "content" => {
                    let visible =
                        visible_text(mail.plain.as_deref(), mail.html.as_deref(), &mail.subject);
                    assert_eq!(visible.text.trim(), text, "{name}");
                }
                "text_full" => assert_eq!(
                    mail.plain.as_deref().map(str::trim),
                    Some(text.trim()),
                    "{name}"
                ),
                "attachments" => {
                    let count = u64::try_from(mail.attachments.len()).unwrap();
                    assert_eq!(Some(count), expected.as_u64(), "{name}");
                }
                "conversation_uuid" => {
                    let address = format!("reply+{text}@");
                    assert!(
                        mail.to.iter().any(|to| to.email.starts_with(&address)),
                        "{name}"
                    );
                }
                "date" => {
                    let date =
                        OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339)
                            .unwrap();
                    assert_eq!(
                        mail.date.map(OffsetDateTime::unix_timestamp),
                        Some(date.unix_timestamp()),
                        "{name}"
                    );
                }
                "multipart" | "why" => {}
                other => panic!("{name}: {other} is not compared"),
            }
        }
    }
}

/// The second opinion on the fields of mails. Where both can be right, nothing is asserted.
#[test]
fn fields_of_real_mails_read_as_another_reader_reads_them() {
    let Some(folder) = fixtures() else { return };
    let (mut compared, mut same, mut differ) = (0_u32, 0_u32, Vec::new());
    for record in records(&folder) {
        let reading = &record["expected"]["cpython_reading"];
        if reading.is_null() {
            continue;
        }
        let (name, raw) = bytes_of(&folder, &record);
        let mail = read(&raw, &OURS);
        let mut compare = |what: &str, ours: &str, theirs: &Value| {
            let Some(theirs) = theirs.as_str() else {
                return;
            };
            compared += 1;
            if squeezed(ours) == squeezed(theirs) {
                same += 1;
            } else {
                differ.push(format!("{name}: {what}: {ours:?} / {theirs:?}"));
            }
        };
        compare("subject", &mail.subject, &reading["subject"]);
        compare("from", &mail.from.email, &reading["from"][0][1]);
        if !mail.id_made {
            compare("id", &mail.message_id, &reading["message_id"]);
        }
        if let (Some(date), Some(theirs)) = (mail.date, reading["date_utc"].as_str()) {
            let theirs =
                OffsetDateTime::parse(theirs, &time::format_description::well_known::Rfc3339)
                    .unwrap();
            compare(
                "date",
                &date.unix_timestamp().to_string(),
                &Value::from(theirs.unix_timestamp().to_string()),
            );
        }
    }
    println!("{same} of {compared} fields alike\n{}", differ.join("\n"));
    assert!(same * 100 >= compared * 95, "{same} of {compared}");
}

#[test]
fn quoted_history_is_cut_as_the_sources_say() {
    let Some(folder) = fixtures() else { return };
    let (mut cases, mut alike, mut failed) = (0_u32, 0_u32, Vec::new());
    for record in records(&folder) {
        if record["form"] != "quoted-reply trimming case" {
            continue;
        }
        let name = record["file"].as_str().unwrap();
        let case = json_of(&folder.join(name));
        let input = case["input"].as_str().unwrap();
        let html = case["kind"] == "html";
        let (plain, page) = if html {
            (None, Some(input))
        } else {
            (Some(input), None)
        };
        let shown = visible_text(
            plain.map(|text| text.replace("\r\n", "\n")).as_deref(),
            page,
            "",
        )
        .text;
        let expected = if let Some(text) = case["reply_only"].as_str() {
            text.replace("\r\n", "\n").trim().to_owned()
        } else if let Some(text) = case["reply_visible_text_ignoring_white_space"].as_str() {
            text.to_owned()
        } else {
            let page = case["html_after_trimming_ignoring_white_space"]
                .as_str()
                .unwrap();
            channel_gateway::domain::email::html::to_text(page)
        };
        cases += 1;
        let fits = if html {
            squeezed(&shown) == squeezed(&expected)
        } else {
            shown.trim() == expected
        };
        if fits {
            alike += 1;
        } else if let Some((_, why)) = SHOWN_OTHERWISE.iter().find(|(file, _)| *file == name) {
            println!("{name}: otherwise, {why}");
            alike += 1;
        } else {
            failed.push(format!("=== {name}\n{shown}\n--- expected\n{expected}"));
        }
    }
    println!("{alike} of {cases} alike\n{}", failed.join("\n"));
    assert!(
        cases >= 131 && alike * 100 >= cases * 95,
        "{alike} of {cases}"
    );
}

#[test]
fn replies_of_real_programs_are_shown_without_history() {
    let Some(folder) = fixtures() else { return };
    let mut failed = Vec::new();
    for record in records(&folder) {
        let Some(expected) = record["expected"]["reply_only_from_text_plain"].as_str() else {
            continue;
        };
        let (name, raw) = bytes_of(&folder, &record);
        let mail = read(&raw, &OURS);
        let shown = visible_text(mail.plain.as_deref(), mail.html.as_deref(), &mail.subject).text;
        // The source keeps signatures; we do not.
        let rest = expected.trim().strip_prefix(shown.trim()).map(str::trim);
        let signature = rest.is_some_and(|rest| {
            rest.starts_with("-- ") || rest.starts_with("--\n") || rest.starts_with("Sent from")
        });
        if squeezed(&shown) != squeezed(expected) && !signature {
            failed.push(format!("=== {name}\n{shown}\n--- expected\n{expected}"));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
