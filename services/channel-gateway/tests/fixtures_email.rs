//! Real mails (`SWITCHBOARD_FIXTURES`): each is read, none is lost, nothing panics; quoted history is cut as the sources'
//! own tests say, and reports are told apart from mails. Our own cases stand in `tests/cases/email`.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on must fail"
)]

use std::path::{Path, PathBuf};

use bytes::Bytes;
use channel_gateway::domain::email::report::{Action, Report, ReportKind};
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

/// Reports whose file name says otherwise than what they are.
const REPORTED_OTHERWISE: &[(&str, &str)] = &[(
    "sisimai/not-rb-issue-368-bug.eml",
    "it names the address and says that its mailbox is full: only its source could not read it",
)];

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

fn report_of(folder: &Path, record: &Value) -> (String, Mail) {
    let (name, raw) = bytes_of(folder, record);
    (name, whole(&raw))
}

#[test]
fn reports_are_told_apart_from_mails() {
    let Some(folder) = fixtures() else { return };
    let (mut all, mut right, mut failed) = (0_u32, 0_u32, Vec::new());
    for record in records(&folder) {
        if record["form"] != "bounce-family mail" {
            continue;
        }
        let (name, mail) = report_of(&folder, &record);
        let kind = mail.report.as_ref().map(|report| report.kind);
        let expected = record["expected"]["kind"].as_str().unwrap();
        let fits = match expected {
            // Among the bounces there are notices of success and of delay.
            "bounce" => matches!(
                kind,
                Some(ReportKind::Bounce | ReportKind::Delay | ReportKind::Delivered)
            ),
            "feedback report (ARF)" => kind == Some(ReportKind::Complaint),
            "auto-reply" => kind.is_none() && mail.automatic.is_some(),
            "not a bounce" => kind.is_none(),
            other => panic!("{name}: {other}"),
        };
        all += 1;
        if fits || REPORTED_OTHERWISE.iter().any(|(file, _)| *file == name) {
            right += 1;
        } else {
            failed.push(format!(
                "{name}: {expected}, not {kind:?} ({:?})",
                mail.automatic
            ));
        }
    }
    println!("{right} of {all} right\n{}", failed.join("\n"));
    assert!(all >= 190 && right * 100 >= all * 95, "{right} of {all}");
}

/// What the source calls a reason, in our words; several where the two divide the world otherwise.
fn reasons(theirs: &str) -> &'static [&'static str] {
    match theirs {
        "userunknown" => &["MAILBOX_UNKNOWN"],
        "mailboxfull" => &["MAILBOX_FULL"],
        "hostunknown" => &["HOST_UNKNOWN"],
        "expired" => &["EXPIRED", "NETWORK"],
        "networkerror" => &["NETWORK", "HOST_UNKNOWN", "EXPIRED"],
        "hasmoved" => &["MAILBOX_MOVED"],
        "spamdetected" => &["SPAM"],
        "filtered" => &["MAILBOX_UNKNOWN", "POLICY", "SUSPENDED"],
        "rejected" => &["SENDER_REJECTED", "POLICY"],
        "policyviolation" | "notcompliantrfc" => &["POLICY"],
        "toomanyconn" => &["BUSY", "NETWORK", "SYSTEM"],
        "mailererror" | "systemerror" => &["SYSTEM", "POLICY"],
        "syntaxerror" => &["PROTOCOL"],
        "delivered" => &[""],
        _ => &[],
    }
}

#[test]
fn reports_say_what_their_source_found_in_them() {
    let Some(folder) = fixtures() else { return };
    let (mut all, mut class, mut reason, mut failed) = (0_u32, 0_u32, 0_u32, Vec::new());
    for record in records(&folder) {
        let Some(verdicts) = record["expected"]["source_says"].as_array() else {
            continue;
        };
        let (name, mail) = report_of(&folder, &record);
        all += 1;
        let empty = Report {
            kind: ReportKind::Other,
            recipients: vec![],
            original_id: None,
            word: String::new(),
        };
        if verdicts
            .iter()
            .any(|verdict| verdict["reason"] == "vacation" || verdict["reason"] == "suspend")
        {
            // An answering machine: no report, and known to be automatic.
            let fits = mail.report.is_none() && mail.automatic.is_some();
            class += u32::from(fits);
            reason += u32::from(fits);
            continue;
        }
        let report = mail.report.unwrap_or(empty);
        let class_of = |status: &str| status.chars().next();
        let ours: Vec<_> = report
            .recipients
            .iter()
            .map(|found| (class_of(&found.status), found.reason, found.action))
            .collect();
        let classes = verdicts.iter().all(|verdict| {
            let status = verdict["status"].as_str().unwrap();
            ours.iter().any(|(class, _, action)| {
                *class == class_of(status)
                    && (*action == Action::Delivered) == status.starts_with('2')
            })
        });
        let told = verdicts.iter().all(|verdict| {
            let names = reasons(verdict["reason"].as_str().unwrap());
            ours.iter().any(|(_, reason, _)| names.contains(reason))
        });
        class += u32::from(classes);
        reason += u32::from(told);
        if !classes || !told {
            let details: Vec<_> = report
                .recipients
                .iter()
                .map(|found| (&found.status, &found.detail))
                .collect();
            failed.push(format!(
                "{name}: {verdicts:?}\n    not {ours:?} {details:?}"
            ));
        }
    }
    println!(
        "class of {class}, reason of {reason}, of {all}\n{}",
        failed.join("\n")
    );
    assert!(
        all >= 38 && class * 100 >= all * 95,
        "class of {class} of {all}"
    );
    assert!(reason * 100 >= all * 85, "reason of {reason} of {all}");
}

#[test]
fn a_report_that_names_a_recipient_is_read_so() {
    let Some(folder) = fixtures() else { return };
    let (mut named, mut found, mut ids, mut failed) = (0_u32, 0_u32, 0_u32, Vec::new());
    for record in records(&folder) {
        if record["form"] != "bounce-family mail" || record["expected"]["kind"] != "bounce" {
            continue;
        }
        let (name, raw) = bytes_of(&folder, &record);
        let text = String::from_utf8_lossy(&raw)
            .replace('\r', "\n")
            .to_lowercase();
        let report = read(&raw, &OURS).report;
        ids += u32::from(
            report
                .as_ref()
                .is_some_and(|report| report.original_id.is_some()),
        );
        let Some(written) = text
            .lines()
            .find_map(|line| line.strip_prefix("final-recipient:"))
        else {
            continue;
        };
        let written = written
            .rsplit(';')
            .next()
            .unwrap()
            .trim()
            .trim_matches(['<', '>']);
        if !written.contains('@') {
            continue;
        }
        named += 1;
        let fits = report.as_ref().is_some_and(|report| {
            report
                .recipients
                .iter()
                .any(|recipient| recipient.address.to_lowercase() == written)
        });
        found += u32::from(fits);
        if !fits {
            let ours = report.map(|report| report.recipients);
            failed.push(format!("{name}: {written} not in {ours:?}"));
        }
    }
    println!(
        "{found} of {named} recipients, {ids} ids\n{}",
        failed.join("\n")
    );
    assert!(named > 60 && found == named, "{found} of {named}");
}
