//! Attempts through mail servers.

use bytes::Bytes;
use chassis::clock;
use futures::TryStreamExt as _;
use switchboard_proto::channel_gateway::v1::RecipientRefusal;
use uuid::Uuid;

use super::{Answered, App, FILE_MISSING, Known, Work, disconnected, no_file};
use crate::app::mailbox::NoAccount;
use crate::app::{mail, sent_copy};
use crate::domain::call::{self, Call};
use crate::domain::channel::ChannelKind;
use crate::domain::credentials::{self, MailSecret};
use crate::domain::email::compose::{Outgoing, OutgoingFile, compose};
use crate::domain::email::plan::Draft;
use crate::domain::mailbox::{self, Verdict};
use crate::domain::refusal::{Class, Refusal};
use crate::domain::smtp::{self, SmtpReply, Stage};
use crate::provider::imap::Login;
use crate::provider::smtp::{Accepted, Envelope, Server};
use crate::store::mailboxes;

/// Bytes of one file of a mail at most.
const MAIL_FILE_MAX: i64 = 36 * 1024 * 1024;

/// Hands a mail over. Mail is the exception to *uncertain*: the very same bytes may go again (channels.md §1).
pub(super) async fn send(
    app: &App,
    known: &Known,
    mailbox: &credentials::Email,
    work: &Work,
    call: &Call,
) -> Answered {
    let refuse = |reason, detail| {
        Answered::Refused(Class::Refused(Refusal {
            reason,
            detail,
            retryable: false,
        }))
    };
    let Ok(draft) = serde_json::from_value::<Draft>(call.params.clone()) else {
        return refuse("MESSAGE_REFUSED", "The mail cannot be read any more.");
    };
    let mut files = Vec::new();
    for id in call::files(&call.params) {
        match mail_file(app, work, &id).await {
            Ok(file) => files.push(file),
            Err(answered) => return answered,
        }
    }
    let to = [draft.to.clone()];
    let composed = compose(&Outgoing {
        from: &mailbox.address,
        from_name: if mailbox.display_name.is_empty() {
            &known.name
        } else {
            &mailbox.display_name
        },
        to: &to,
        subject: &draft.subject,
        in_reply_to: &draft.in_reply_to,
        references: &draft.references,
        message_id: &draft.message_id,
        text: draft.text(),
        files: &files,
        // The same for every try: they are one mail.
        date: Some(work.part.queued_at),
        gateway_id: &mail::gateway_id(known.id),
        automatic: draft.automatic,
        ..Outgoing::default()
    });
    let raw = match composed {
        Ok(raw) => raw,
        Err(unfit) => {
            tracing::info!(%unfit, channel.id = %known.id, "a mail cannot be written");
            return refuse(
                "ADDRESS_UNFIT",
                "The client's address is none that a mail can go to.",
            );
        }
    };
    let envelope = Envelope {
        from: Some(mailbox.address.clone()),
        to: to.to_vec(),
    };
    match hand_over(app, known, mailbox, work, &envelope, &raw).await {
        Ok((login, accepted)) => {
            sent_copy::keep(app, known.id, mailbox, login, &draft.message_id, raw);
            Answered::SentInPart(draft.message_id, refusals(&accepted.refused))
        }
        Err(answered) => answered,
    }
}

/// Logs in and hands a mail over. An access token that is refused is replaced once, as where mails are read; a login
/// that stays refused is no reason yet to give the channel up.
async fn hand_over(
    app: &App,
    known: &Known,
    mailbox: &credentials::Email,
    work: &Work,
    envelope: &Envelope,
    raw: &[u8],
) -> Result<(Login, Accepted), Answered> {
    let renewable = matches!(mailbox.secret, MailSecret::OAuth { .. });
    let mut renewed = false;
    loop {
        let login = mail::login(app, known.id, known.credentials, mailbox, renewed).await;
        let login = match login {
            Ok(login) => login,
            Err(NoAccount::Away) => return Err(Answered::NotReached),
            Err(NoAccount::Refused(_)) => {
                let refusal = disconnected(ChannelKind::Email);
                return Err(Answered::Refused(refused(app, known, refusal).await));
            }
        };
        let server = Server {
            endpoint: mail::endpoint(&mailbox.smtp),
            login: Some(login.clone()),
        };
        let error = match app.post.submission.send(&server, envelope, raw).await {
            Ok(accepted) => {
                taken(app, known).await;
                return Ok((login, accepted));
            }
            Err(error) => error,
        };
        tracing::info!(%error, channel.id = %known.id, "a mail was not taken");
        let refusal = match error.class() {
            Class::Disconnected(refusal) => refusal,
            class => return Err(Answered::Refused(class)),
        };
        // Whoever takes the chat when the lease has ended must not find this attempt under way.
        let in_time = clock::now() + app.post.limit < work.lease_until;
        if renewed || !renewable || !in_time {
            return Err(Answered::Refused(refused(app, known, refusal).await));
        }
        renewed = true;
    }
}

/// Judges a refused login: only the third in a row disconnects the channel (channels.md §7.33); until then the mail waits.
async fn refused(app: &App, known: &Known, refusal: Refusal) -> Class {
    let counted = async {
        let mut connection = app.pool.acquire().await?;
        let apart = mailbox::APART.as_secs_f64();
        let (id, number) = (known.id, known.credentials);
        mailboxes::submission_refused(&mut connection, id, number, apart, clock::now()).await
    };
    let refusals = match counted.await {
        Ok(refusals) => u32::try_from(refusals).unwrap_or(1),
        Err(error) => {
            tracing::warn!(%error, channel.id = %known.id, "a refused login could not be counted");
            1
        }
    };
    match mailbox::after_refusal(refusals, mailbox::APART) {
        Verdict::Again(_) => Class::Outage,
        Verdict::GiveUp => Class::Disconnected(refusal),
    }
}

/// Notes that the server let us in.
async fn taken(app: &App, known: &Known) {
    let noted = async {
        let mut connection = app.pool.acquire().await?;
        mailboxes::submission_taken(&mut connection, known.id).await
    };
    if let Err(error) = noted.await {
        tracing::warn!(%error, channel.id = %known.id, "former refusals could not be forgotten");
    }
}

/// Says of each refused recipient why, in words that agents read.
fn refusals(refused: &[(String, SmtpReply)]) -> Vec<RecipientRefusal> {
    let said = refused.iter().map(|(address, reply)| {
        let (reason, detail) = match smtp::classify(reply, Stage::Recipient) {
            Class::Refused(refusal) | Class::Disconnected(refusal) => {
                (refusal.reason, refusal.detail)
            }
            // The others have it: this one is not tried alone.
            _ => (
                "RECIPIENT_PUT_OFF",
                "The mail server did not take this recipient now.",
            ),
        };
        RecipientRefusal {
            address: address.clone(),
            reason: reason.to_owned(),
            detail: detail.to_owned(),
        }
    });
    said.collect()
}

async fn mail_file(app: &App, work: &Work, id: &str) -> Result<OutgoingFile, Answered> {
    let Ok(id) = id.parse::<Uuid>() else {
        return Err(Answered::Refused(Class::Refused(FILE_MISSING)));
    };
    let opened = app.files.open(&app.pool, &work.account, id).await;
    let (row, bytes) = opened.map_err(no_file)?;
    // A mail is put together in memory: what is larger than any server takes is not read.
    if row.size > MAIL_FILE_MAX {
        return Err(Answered::Refused(Class::Refused(Refusal {
            reason: "FILE_TOO_LARGE",
            detail: "The file is larger than mail servers take.",
            retryable: false,
        })));
    }
    let pieces: Vec<Bytes> = bytes
        .try_collect()
        .await
        .map_err(|_| Answered::NotReached)?;
    Ok(OutgoingFile {
        name: row.file_name,
        media_type: row.media_type,
        bytes: pieces.concat().into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipient_that_was_refused_is_told_with_its_reason() {
        let refused = [
            ("gone@x.example", 550, "5.1.1 unknown", "ADDRESS_UNKNOWN"),
            ("full@x.example", 450, "4.2.2 full", "RECIPIENT_PUT_OFF"),
            ("wary@x.example", 550, "5.7.1 spam", "REJECTED_BY_POLICY"),
        ];
        let replies: Vec<(String, SmtpReply)> = refused
            .iter()
            .map(|(address, code, text, _)| ((*address).to_owned(), SmtpReply::read(*code, text)))
            .collect();
        let told = refusals(&replies);
        for ((address, _, _, reason), told) in refused.iter().zip(&told) {
            assert_eq!(
                (told.address.as_str(), told.reason.as_str()),
                (*address, *reason)
            );
            assert!(!told.detail.is_empty());
        }
        assert_eq!(told.len(), refused.len());
    }
}
