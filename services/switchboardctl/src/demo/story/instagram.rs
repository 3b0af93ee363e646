//! A customer on Instagram comments a post and is answered under it; what they write to Direct is in the same chat, and
//! answered there.

use rand::Rng as _;
use serde::Deserialize;
use serde_json::{Value, json};
use switchboard_proto::common::v1::origin;
use switchboard_proto::conversation::v1::{message, message_delivery::State};

use super::super::control::{Control, Delivered};
use super::super::wait::{Seen, check, unexpected, until};
use super::opening::{Opened, meet};
use super::read::plain_text;
use super::stage::Stage;
use super::talk::say;
use crate::context::Line;
use crate::error::CliError;

/// The post that is commented.
const POST: &str = "18139494541428835";

/// A call that Meta took.
#[derive(Clone, Deserialize)]
struct Sent {
    ordinal: u64,
    call: String,
    body: Value,
}

#[derive(Deserialize)]
struct Page {
    sent: Vec<Sent>,
}

/// The stand-in, and who acts there.
struct Instagram<'l> {
    control: Control,
    token: &'l str,
    user: String,
}

impl Instagram<'_> {
    async fn act(&self, mut action: Value) -> Result<Delivered, CliError> {
        if let Some(fields) = action.as_object_mut() {
            fields.insert("token".into(), self.token.into());
            fields.insert("customer".into(), self.user.as_str().into());
        }
        let body = json!({ "acts": [action] });
        self.control.post(&["acts"], &body).await
    }

    /// The ordinal of the newest call.
    async fn newest(&self) -> Result<u64, CliError> {
        let page: Page = self.control.get(&["sent"], &[]).await?;
        Ok(page.sent.last().map_or(0, |sent| sent.ordinal))
    }

    /// Waits for a call with this text after another: a story played before had the same texts.
    async fn sent(&self, stage: &Stage<'_>, after: u64, text: &str) -> Result<Sent, CliError> {
        until("the answer at the Graph API", stage.patience, async || {
            let mut page: Page = self.control.get(&["sent"], &[]).await?;
            page.sent.retain(|sent| sent.ordinal > after);
            let text = Value::from(text);
            let ours = |sent: &Sent| {
                [sent.body.get("message"), sent.body.pointer("/message/text")]
                    .contains(&Some(&text))
            };
            let all = page.sent.len();
            Ok(page.sent.into_iter().find(ours).map_or_else(
                || Seen::NotYet(format!("{all} calls, none with it")),
                Seen::Yes,
            ))
        })
        .await
    }
}

/// Plays the scene.
pub(crate) async fn play(stage: &mut Stage<'_>, line: &Line) -> Result<Opened, CliError> {
    stage.out.scene("Instagram: under the post, and in Direct");
    let instagram = Instagram {
        control: Control::new("the Graph API", "instagram", &line.control)?,
        token: &line.token,
        user: rand::rng()
            .random_range(7_000_000_000_000_u64..8_000_000_000_000)
            .to_string(),
    };
    // Under a comment stands a nick, and nothing else is known of who wrote it.
    let nick = format!("customer.{}", instagram.user);
    stage.turn_to(line, nick).await?;
    let opened = comment(stage, &instagram).await?;
    direct(stage, &instagram, &opened).await?;
    Ok(opened)
}

async fn comment(stage: &mut Stage<'_>, instagram: &Instagram<'_>) -> Result<Opened, CliError> {
    let text = "Is there a black one?";
    stage
        .out
        .says(&stage.name, &format!("[under a post] {text}"));
    let comment = json!({ "do": "comment", "media": POST, "text": text });
    let delivered = instagram.act(comment).await?;
    stage.out.fact("accepted", &delivered.told());
    let commented = delivered.keys.first().cloned();
    let commented = commented.ok_or_else(|| unexpected("the comment's id", "none"))?;
    let opened = meet(stage, "instagram", &instagram.user, text).await?;
    let origin = opened.first.origin.clone().unwrap_or_default();
    check(origin.kind() == origin::Kind::Comment, "a comment", || {
        format!("{origin:?}")
    })?;
    stage
        .out
        .fact("comment", "marked as one: it is answered where it stands");
    let link = until("the link of the post", stage.patience, async || {
        // The gateway looks the post up beside: the message is there before.
        let messages = stage
            .messages(&opened.chat_id, message::Kind::Client)
            .await?;
        let origin = messages.into_iter().next().and_then(|first| first.origin);
        let link = origin.unwrap_or_default().link;
        Ok(if link.contains(POST) {
            Seen::Yes(link)
        } else {
            Seen::NotYet(format!("“{link}”"))
        })
    })
    .await?;
    stage.out.fact("post", &link);

    let text = "There is, and it can be tried on here.";
    let before = instagram.newest().await?;
    let answer = say(stage, &opened, text, &opened.first.message_id).await?;
    let sent = instagram.sent(stage, before, text).await?;
    let wanted = format!("POST /{commented}/replies");
    check(sent.call == wanted, &wanted, || sent.call.clone())?;
    stage.out.fact(
        "Graph API",
        &format!("{} no. {}, under the comment", sent.call, sent.ordinal),
    );
    stage
        .reached(&opened.chat_id, &answer.message_id, State::Sent)
        .await?;
    stage.out.fact("delivery", "sent");
    Ok(opened)
}

async fn direct(
    stage: &mut Stage<'_>,
    instagram: &Instagram<'_>,
    opened: &Opened,
) -> Result<(), CliError> {
    let text = "Great! What does it cost?";
    stage.out.says(&stage.name, &format!("[Direct] {text}"));
    let delivered = instagram
        .act(json!({ "do": "write", "text": text }))
        .await?;
    stage.out.fact("accepted", &delivered.told());
    let chat = &opened.chat_id;
    let written = until("the message in the same chat", stage.patience, async || {
        let messages = stage.messages(chat, message::Kind::Client).await?;
        let texts: Vec<_> = messages.iter().map(plain_text).collect();
        Ok(match messages.into_iter().nth(1) {
            Some(second) if plain_text(&second) == text => Seen::Yes(second),
            _ => Seen::NotYet(format!("{texts:?}")),
        })
    })
    .await?;
    let kind = written.origin.unwrap_or_default().kind();
    check(
        matches!(kind, origin::Kind::Direct | origin::Kind::Unspecified),
        "a message of Direct",
        || format!("{kind:?}"),
    )?;
    stage.out.fact("message", "in the same chat");
    let decisions = stage.decisions(chat).await?.len();
    check(decisions == 1, "one decision for the chat", || {
        format!("{decisions} decisions")
    })?;
    let cards = stage.connections(chat).await?.cards.len();
    check(cards == 1, "one card of the chat", || {
        format!("{cards} cards")
    })?;
    stage.out.fact("no card", "the conversation is open");

    let text = "It is 800 hryvnias.";
    let before = instagram.newest().await?;
    let answer = say(stage, opened, text, "").await?;
    let sent = instagram.sent(stage, before, text).await?;
    let to = sent.body.pointer("/recipient/id").and_then(Value::as_str);
    check(
        sent.call == "POST /me/messages" && to == Some(instagram.user.as_str()),
        "a message to this customer's Direct",
        || format!("{} to {to:?}", sent.call),
    )?;
    stage.out.fact(
        "Graph API",
        &format!("{} no. {}, to Direct", sent.call, sent.ordinal),
    );
    stage.reached(chat, &answer.message_id, State::Sent).await?;
    stage.out.fact("delivery", "sent");
    Ok(())
}
