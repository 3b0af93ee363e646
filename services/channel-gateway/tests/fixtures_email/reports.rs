//! Reports about mails that we sent: told apart from mails, and read as their sources read them.

use channel_gateway::domain::email::report::{Action, Report, ReportKind};
use channel_gateway::domain::email::{Mail, read};
use serde_json::Value;
use std::path::Path;

use crate::{OURS, bytes_of, fixtures, records, whole};

/// Reports whose file name says otherwise than what they are.
const REPORTED_OTHERWISE: &[(&str, &str)] = &[(
    "sisimai/not-rb-issue-368-bug.eml",
    "it names the address and says that its mailbox is full: only its source could not read it",
)];

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
                    && matches!(action, Action::Delivered | Action::Expanded)
                        == status.starts_with('2')
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
