//! From a report to events: receipts about mails of ours, or a block.

use switchboard_proto::channel_gateway::v1::{
    InboundBlock, InboundEvent, InboundProviderState, InboundReceipt, inbound_event::Kind,
    inbound_receipt,
};

use super::identity;
use crate::domain::email::address::{Address, folded};
use crate::domain::email::report::{Action, Recipient, Report, ReportKind};

/// What a report says about a mail of ours, for each address; nothing where it does not tell of which mail.
pub fn reported(frame: &InboundEvent, report: &Report) -> Vec<InboundEvent> {
    if report.kind == ReportKind::Complaint {
        return complained(frame, report).into_iter().collect();
    }
    if report.kind == ReportKind::Other {
        return Vec::new();
    }
    let Some(original) = &report.original_id else {
        return Vec::new();
    };
    let receipts = report
        .recipients
        .iter()
        .enumerate()
        .map(|(index, recipient)| {
            let mut event = frame.clone();
            if index > 0 {
                event.event_key = format!("{}:{index}", event.event_key);
            }
            event.chat_key = folded(&recipient.address);
            event.kind = Some(match receipt(recipient, original) {
                Some(receipt) => Kind::Receipt(receipt),
                // The mail stays sent: another report may follow, and what it says counts.
                None => Kind::ProviderState(InboundProviderState {
                    kind: "mail-expanded".to_owned(),
                    extension: original.clone().into_bytes().into(),
                }),
            });
            event
        });
    receipts.collect()
}

/// None where it says nothing about whether the mail arrived.
fn receipt(recipient: &Recipient, original: &str) -> Option<InboundReceipt> {
    use inbound_receipt::Kind;
    let kind = match recipient.action {
        Action::Failed => Kind::Failed,
        Action::Delayed => Kind::Delayed,
        Action::Delivered => Kind::Delivered,
        Action::Expanded => return None,
        Action::Displayed => Kind::Read,
    };
    Some(InboundReceipt {
        kind: kind.into(),
        provider_keys: vec![original.to_owned()],
        up_to: false,
        reason: recipient.reason.to_owned(),
        detail: recipient.detail.clone(),
        // A full mailbox may be emptied.
        retryable: kind == Kind::Failed
            && (!recipient.permanent || recipient.reason == "MAILBOX_FULL"),
        recipient: recipient.address.clone(),
        named_recipients: recipient.named.clone(),
    })
}

/// Who complains wants no more mail: that is a block (channels.md §6, "Customer can block").
fn complained(frame: &InboundEvent, report: &Report) -> Option<InboundEvent> {
    if !matches!(
        report.word.as_str(),
        "abuse" | "opt-out" | "opt-out-list" | "complaint" | "fraud"
    ) {
        return None;
    }
    let recipient = report.recipients.first()?;
    let person = Address {
        name: String::new(),
        email: recipient.address.clone(),
    };
    let chat_key = person.key();
    Some(InboundEvent {
        client: Some(identity(&person, &chat_key)),
        chat_key,
        kind: Some(Kind::Block(InboundBlock { blocked: true })),
        ..frame.clone()
    })
}

/// Names a report that belongs to no mail of ours.
pub fn word(report: &Report) -> &'static str {
    match report.kind {
        ReportKind::Bounce => "bounce",
        ReportKind::Delay => "delay",
        ReportKind::Delivered | ReportKind::Expanded => "delivery-notice",
        ReportKind::Read => "read-receipt",
        ReportKind::Complaint => "feedback-report",
        ReportKind::Other => "report",
    }
}
