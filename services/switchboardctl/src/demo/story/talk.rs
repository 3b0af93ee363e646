//! Second scene: the customer corrects and shows, the agent answers, another agent is told who answers here.

use serde_json::{Value, json};
use switchboard_proto::common::v1::{Text, attachment, content_part::Content};
use switchboard_proto::conversation::v1::{
    Message, SendMessageRequest, message, message_delivery::State,
};
use tonic::Code;

use super::super::wait::{Seen, check, unexpected, until};
use super::opening::Opened;
use super::read::plain_text;
use super::stage::{Player, Stage};
use crate::error::CliError;
use crate::output::words;
use crate::token::Role;

/// Plays the scene.
pub(crate) async fn play(
    stage: &mut Stage<'_>,
    opened: &Opened,
    message_id: i64,
) -> Result<(), CliError> {
    stage.out.scene("They talk");
    edit(stage, opened, message_id).await?;
    let (photo, photo_id) = photo(stage, opened).await?;
    album(stage, opened).await?;
    answer(stage, opened, &photo, photo_id).await?;
    refuse_other(stage, opened).await
}

async fn edit(stage: &mut Stage<'_>, opened: &Opened, message_id: i64) -> Result<(), CliError> {
    let text = "Good day! Is the red one still there in size 42?";
    stage.out.does(&stage.name, &format!("edits: {text}"));
    stage
        .telegram
        .edit(stage.customer, &stage.name, message_id, text)
        .await?;
    until(
        "the edited text in place of the old one",
        stage.patience,
        async || {
            let messages = stage
                .messages(&opened.chat_id, message::Kind::Client)
                .await?;
            let texts: Vec<_> = messages.iter().map(plain_text).collect();
            let edited =
                texts == [text] && messages.iter().all(|message| message.edit_time.is_some());
            Ok(if edited {
                Seen::Yes(())
            } else {
                Seen::NotYet(format!("{texts:?}"))
            })
        },
    )
    .await?;
    stage.out.fact("message", "edited in place, still one");
    Ok(())
}

/// The sizes of one picture as Telegram words them; `name` tells pictures of a customer apart.
fn sizes(customer: i64, name: &str) -> Value {
    let size = |kind: &str, width: u32, height: u32, bytes: u32| {
        json!({
            "file_id": format!("AgACAgIAAxkBAAI{customer}{name}{kind}"),
            "file_unique_id": format!("AQAD{customer}{name}{kind}"),
            "width": width, "height": height, "file_size": bytes,
        })
    };
    json!([size("s", 90, 67, 1_412), size("x", 800, 600, 90_211)])
}

/// Three pictures at once are one message with three files, for whoever answers and for the count of the unanswered.
async fn album(stage: &mut Stage<'_>, opened: &Opened) -> Result<(), CliError> {
    let caption = "And this is what I have";
    stage
        .out
        .says(&stage.name, &format!("[album of 3 photos] {caption}"));
    let before = stage
        .messages(&opened.chat_id, message::Kind::Client)
        .await?
        .len();
    let mut items: Vec<Value> = ["a", "b", "c"]
        .iter()
        .map(|name| json!({ "photo": sizes(stage.customer, name) }))
        .collect();
    if let Some(first) = items.first_mut() {
        first["caption"] = caption.into();
    }
    stage.telegram.album(stage.customer, &items).await?;
    let wanted = items.len();
    let album = until(
        "one more message, with all photos of the album",
        stage.patience,
        async || {
            let messages = stage
                .messages(&opened.chat_id, message::Kind::Client)
                .await?;
            let count = messages.len();
            Ok(match messages.into_iter().last() {
                Some(last) if count == before + 1 && last.album.len() == wanted => Seen::Yes(last),
                Some(last) => Seen::NotYet(format!(
                    "{count} messages, {before} before, the last with {} items",
                    last.album.len()
                )),
                None => Seen::NotYet("no message".into()),
            })
        },
    )
    .await?;
    let files = album
        .parts
        .iter()
        .filter(|part| matches!(part.content, Some(Content::Attachment(_))))
        .count();
    check(
        files == wanted && plain_text(&album) == caption,
        "three photos and their caption",
        || crate::verbs::chat::text_of(&album),
    )?;
    stage.about([album.message_id.as_str()]);
    stage
        .out
        .fact("album", "three updates, one message with three photos");
    Ok(())
}

async fn photo(stage: &mut Stage<'_>, opened: &Opened) -> Result<(Message, i64), CliError> {
    let caption = "This one, from your window";
    stage.out.says(&stage.name, &format!("[photo] {caption}"));
    let content = json!({ "photo": sizes(stage.customer, ""), "caption": caption });
    let delivered = stage.telegram.say(stage.customer, &content).await?;
    let photo_id = delivered
        .message_id
        .ok_or_else(|| unexpected("a message id from the stand-in", "none"))?;
    let photo = until("a second message with a photo and its caption", stage.patience, async || {
        let messages = stage.messages(&opened.chat_id, message::Kind::Client).await?;
        let texts: Vec<_> = messages.iter().map(crate::verbs::chat::text_of).collect();
        let found = messages.into_iter().find(|message| {
            let photo = message.parts.iter().any(|part| {
                matches!(&part.content, Some(Content::Attachment(file)) if file.kind() == attachment::Kind::Photo)
            });
            photo && plain_text(message) == caption
        });
        Ok(found.map_or_else(|| Seen::NotYet(format!("{texts:?}")), Seen::Yes))
    })
    .await?;
    stage.about([photo.message_id.as_str()]);
    stage
        .out
        .fact("message", "photo and caption, in the same conversation");
    Ok((photo, photo_id))
}

async fn answer(
    stage: &mut Stage<'_>,
    opened: &Opened,
    photo: &Message,
    photo_id: i64,
) -> Result<(), CliError> {
    let text = format!(
        "Hello {}! Yes, 42 is here. Shall I put it aside for you?",
        stage.name
    );
    let sent = say(stage, opened, &text, &photo.message_id).await?;

    let call = until("the answer at the Bot API", stage.patience, async || {
        let calls = stage
            .telegram
            .sent_to(stage.customer, stage.sent_before)
            .await?;
        let seen = format!("{} calls for this customer", calls.len());
        Ok(calls
            .into_iter()
            .find(|call| call.text() == text)
            .map_or_else(|| Seen::NotYet(seen), Seen::Yes))
    })
    .await?;
    check(
        call.replies_to() == Some(photo_id),
        "a reply to the photo",
        || format!("{:?}", call.replies_to()),
    )?;
    let ids: Vec<_> = call.message_ids.iter().map(ToString::to_string).collect();
    stage.out.fact(
        "Bot API",
        &format!(
            "{} no. {}, message {}, as a reply to the photo",
            call.method,
            call.ordinal,
            ids.join(", ")
        ),
    );

    stage
        .reached(&opened.chat_id, &sent.message_id, State::Sent)
        .await?;
    stage.out.fact("delivery", "sent");
    until(
        "nothing unanswered in the chat",
        stage.patience,
        async || {
            let unanswered = stage.chat(&opened.chat_id).await?.unanswered;
            Ok(if unanswered == 0 {
                Seen::Yes(())
            } else {
                Seen::NotYet(format!("{unanswered} unanswered"))
            })
        },
    )
    .await?;
    stage.out.fact("unanswered", "0");
    Ok(())
}

/// The responsible agent answers, to a message where one is named.
pub(crate) async fn say(
    stage: &mut Stage<'_>,
    opened: &Opened,
    text: &str,
    reply_to: &str,
) -> Result<Message, CliError> {
    stage.out.says(&opened.agent.name, text);
    let sent = send(stage, &opened.agent, opened, text, reply_to).await?;
    stage.about([sent.message_id.as_str()]);
    let name = sent
        .delivery
        .as_ref()
        .map(|delivery| words::word(delivery.state().as_str_name(), "STATE_"));
    stage.out.fact(
        "answer",
        &format!(
            "stored, {}",
            name.unwrap_or_else(|| "without delivery".into())
        ),
    );
    Ok(sent)
}

async fn refuse_other(stage: &mut Stage<'_>, opened: &Opened) -> Result<(), CliError> {
    let other = stage.other_than(&opened.agent)?;
    let text = "Hi, can I help?";
    stage.out.says(&other.name, text);
    let refused = match send(stage, &other, opened, text, "").await {
        Err(error)
            if matches!(
                error.code(),
                Some(Code::FailedPrecondition | Code::PermissionDenied | Code::Aborted)
            ) =>
        {
            error
        }
        Err(error) => return Err(error),
        Ok(_) => {
            return Err(unexpected(
                "a refusal of the second agent",
                "the message was taken",
            ));
        }
    };
    let told = refused.render();
    let responsible = &opened.agent;
    let names = told.contains(&responsible.name) || told.contains(&responsible.id.to_string());
    check(
        names,
        &format!("a refusal that names {}", responsible.name),
        || told.clone(),
    )?;
    stage.out.fact(
        "refused",
        &format!("{refused} ({})", refused.reason().unwrap_or_default()),
    );

    let calls = stage
        .telegram
        .sent_to(stage.customer, stage.sent_before)
        .await?;
    check(
        calls.iter().all(|call| call.text() != text),
        "nothing of it at the Bot API",
        || "it was sent".into(),
    )?;
    let stored = stage
        .messages(&opened.chat_id, message::Kind::Agent)
        .await?;
    check(stored.len() == 1, "one answer in the chat", || {
        format!("{} answers", stored.len())
    })?;
    stage.out.fact("chat", "still has one answer");
    Ok(())
}

async fn send(
    stage: &Stage<'_>,
    agent: &Player,
    opened: &Opened,
    text: &str,
    reply_to: &str,
) -> Result<Message, CliError> {
    let mut client = stage.session.conversation(&Role::Agent(agent.id)).await?;
    let request = SendMessageRequest {
        request_id: crate::clock::new_id(),
        chat_id: opened.chat_id.clone(),
        text: Some(Text {
            text: text.to_owned(),
            entities: Vec::new(),
        }),
        reply_to_message_id: reply_to.to_owned(),
        attachment_ids: Vec::new(),
    };
    Ok(client
        .send_message(request)
        .await?
        .into_inner()
        .message
        .unwrap_or_default())
}
