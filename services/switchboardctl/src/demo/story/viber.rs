//! A customer on Viber is answered, and Viber tells that the answer was delivered and seen.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use switchboard_proto::conversation::v1::message_delivery::State;

use super::super::control::{Control, Delivered};
use super::super::names::name_of;
use super::super::wait::{Seen, check, until};
use super::opening::{Opened, meet};
use super::stage::Stage;
use super::talk::say;
use crate::context::Line;
use crate::error::CliError;

/// A message that Viber took.
#[derive(Clone, Deserialize)]
struct Sent {
    ordinal: u64,
    receiver: String,
    message_token: u64,
    body: Map<String, Value>,
}

/// Plays the scene.
pub(crate) async fn play(stage: &mut Stage<'_>, line: &Line) -> Result<Opened, CliError> {
    stage.out.scene("Viber: answered, delivered, seen");
    let viber = Control::new("Viber", "viber", &line.control)?;
    let bot = ["bots", line.token.as_str()];
    // Viber's ids are 16 bytes in base64, which may hold a slash.
    let user = STANDARD.encode(rand::random::<[u8; 16]>());
    let customer = [&bot[..], &["customers", user.as_str()]].concat();
    let name = name_of(stage.customer + 1);
    viber.put(&customer, &json!({ "name": name })).await?;
    stage.turn_to(line, name.to_owned()).await?;

    let text = "Do you send to Odesa?";
    stage.out.says(name, text);
    let told = [&customer[..], &["say"]].concat();
    let delivered: Delivered = viber.post(&told, &json!({ "text": text })).await?;
    stage.out.fact("accepted", &delivered.told());
    let opened = meet(stage, "viber", &user, text).await?;

    let text = "We do: it is there the day after tomorrow.";
    let answer = say(stage, &opened, text, "").await?;
    let sent = until("the answer at Viber", stage.patience, async || {
        let all: Vec<Sent> = viber.get(&[&bot[..], &["sent"]].concat(), &[]).await?;
        let ours = all.into_iter().find(|sent| sent.receiver == user);
        Ok(ours.map_or_else(
            || Seen::NotYet("nothing for this customer".into()),
            Seen::Yes,
        ))
    })
    .await?;
    check(
        sent.body.get("text").is_some_and(|sent| sent == text),
        "the text as the agent wrote it",
        || format!("{:?}", sent.body.get("text")),
    )?;
    let fact = format!(
        "send_message no. {}, token {}",
        sent.ordinal, sent.message_token
    );
    stage.out.fact("Viber", &fact);
    let (chat, message) = (&opened.chat_id, &answer.message_id);
    stage.reached(chat, message, State::Sent).await?;
    stage.out.fact("delivery", "sent");
    for (receipt, what, state, word) in [
        (
            "delivered",
            "has the answer on the phone",
            State::Delivered,
            "delivered",
        ),
        ("seen", "reads it", State::Read, "read"),
    ] {
        stage.out.does(name, what);
        let told = [&customer[..], &[receipt]].concat();
        let receipt = json!({ "message_token": sent.message_token });
        let _: Delivered = viber.post(&told, &receipt).await?;
        stage.reached(chat, message, state).await?;
        stage.out.fact("delivery", word);
    }
    Ok(opened)
}
