//! A customer writes a mail, and the answer is handed over by SMTP in its thread.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use switchboard_proto::conversation::v1::message_delivery::State;

use super::super::control::Control;
use super::super::customer::chat_of;
use super::super::names::name_of;
use super::super::wait::{Seen, check, until};
use super::opening::{Opened, meet};
use super::read::plain_text;
use super::stage::Stage;
use super::talk::say;
use crate::context::Line;
use crate::error::CliError;

/// A mailbox is heard from the moment at which it was first looked into: the mail is put there again, as the same mail,
/// while nothing came of it.
const AGAIN: Duration = Duration::from_secs(3);

/// What the customer's program quotes below their words.
const QUOTED: &str = "Your order 551 has left us.";

/// A mail that was handed over.
#[derive(Clone, Deserialize)]
struct Sent {
    ordinal: u64,
    from: String,
    to: Vec<String>,
    raw: String,
}

#[derive(Deserialize)]
struct Page {
    sent: Vec<Sent>,
}

/// Plays the scene.
pub(crate) async fn play(stage: &mut Stage<'_>, line: &Line) -> Result<Opened, CliError> {
    stage.out.scene("E-mail: answered in the thread");
    let mail = Control::new("the mailbox", "mail", &line.control)?;
    let name = name_of(stage.customer + 2);
    stage.turn_to(line, name.to_owned()).await?;
    let address = format!("{}.{}@client.example", name.to_lowercase(), stage.customer);
    let (subject, text) = ("Order 551", "Where is my order?");
    let whole = format!("{text}\n\nOn Mon, 23 Nov 2026, Demo shop wrote:\n> {QUOTED}\n");
    let id = format!("{}@client.example", crate::clock::new_id());
    let written = json!({
        "name": name, "from": address, "to": line.token, "subject": subject, "text": whole, "message_id": id,
    });

    stage.out.says(
        name,
        &format!("[mail “{subject}” to {}] {text}", line.token),
    );
    let mut put = None::<tokio::time::Instant>;
    until("the mail in a chat", stage.patience, async || {
        if put.is_none_or(|put| put.elapsed() > AGAIN) {
            let _: Value = mail.post(&["mails"], &written).await?;
            put = Some(tokio::time::Instant::now());
        }
        Ok(
            match chat_of(stage.session, &stage.channel, &address).await? {
                Some(_) => Seen::Yes(()),
                None => Seen::NotYet("no chat of this customer".into()),
            },
        )
    })
    .await?;
    stage.out.fact("accepted", "read from the mailbox by IMAP");
    let opened = meet(stage, "email", &address, text).await?;
    details(stage, &opened, subject).await?;

    let text = "It left us this morning.";
    let answer = say(stage, &opened, text, &opened.first.message_id).await?;
    let sent = until(
        "the answer at the SMTP server",
        stage.patience,
        async || {
            let page: Page = mail.get(&["sent"], &[]).await?;
            let ours = page
                .sent
                .into_iter()
                .find(|sent| sent.to == [address.as_str()]);
            Ok(ours.map_or_else(
                || Seen::NotYet("nothing for this customer".into()),
                Seen::Yes,
            ))
        },
    )
    .await?;
    let (head, body) = sent.raw.split_once("\r\n\r\n").unwrap_or_default();
    for (wanted, within) in [
        (format!("Subject: Re: {subject}"), head),
        (format!("In-Reply-To: <{id}>"), head),
        (text.to_owned(), body),
    ] {
        check(within.contains(&wanted), &wanted, || within.to_owned())?;
    }
    check(sent.from == line.token, "the mailbox as the sender", || {
        sent.from.clone()
    })?;
    stage.out.fact(
        "SMTP",
        &format!(
            "mail no. {} to {address}, “Re: {subject}” in the thread",
            sent.ordinal
        ),
    );
    stage
        .reached(&opened.chat_id, &answer.message_id, State::Sent)
        .await?;
    stage.out.fact("delivery", "sent");
    Ok(opened)
}

/// The mail is more than what is shown of it: its subject, the whole text with the quoted history, the original.
async fn details(stage: &mut Stage<'_>, opened: &Opened, subject: &str) -> Result<(), CliError> {
    let mail = stage
        .whole_message(&opened.chat_id, &opened.first.message_id)
        .await?;
    check(mail.subject == subject, "the mail's subject", || {
        mail.subject.clone()
    })?;
    stage.out.fact("subject", &mail.subject);
    check(
        mail.full_text.contains(QUOTED) && !plain_text(&mail).contains(QUOTED),
        "the quoted history in the full text, and not in what is shown",
        || mail.full_text.clone(),
    )?;
    let lines = mail.full_text.lines().count();
    let fact = format!("{lines} lines with the quoted history, which the message leaves out");
    stage.out.fact("full text", &fact);
    let original = mail.original.unwrap_or_default();
    check(
        !original.attachment_id.is_empty(),
        "the mail as it came, as a file",
        || "none".into(),
    )?;
    stage.out.fact(
        "original",
        &format!("kept as file {}", original.attachment_id),
    );
    Ok(())
}
