//! Sending to Direct: what is let through, and what comes back of it.

use serde_json::{Value, json};

use super::answer::Refusal;
use super::api::{Call, Done};
use super::wording;

pub(super) fn send(call: &Call<'_>) -> Result<Done, Refusal> {
    let recipient = &call.body["recipient"];
    if let Some(comment) = recipient["comment_id"].as_str() {
        return private_reply(call, comment);
    }
    let customer = recipient["id"]
        .as_str()
        .ok_or_else(|| Refusal::bad("recipient"))?;
    if let Some(action) = call.body["sender_action"].as_str() {
        return sender_action(call, customer, action);
    }
    check_window(call, customer)?;
    check(&call.body["message"])?;
    Ok(sent(call, customer))
}

fn check_window(call: &Call<'_>, customer: &str) -> Result<(), Refusal> {
    let known = call.state.customer(&call.account.id, customer);
    let by_person = call.body["tag"] == "HUMAN_AGENT" && call.state.options.human_agent;
    if known.open || known.wrote && by_person {
        return Ok(());
    }
    Err(Refusal::new(
        10,
        Some(2_534_022),
        "(#10) This message is sent outside of allowed window.",
    ))
}

fn check(message: &Value) -> Result<(), Refusal> {
    let text = message.get("text").and_then(Value::as_str);
    let one = message.get("attachment").map(std::slice::from_ref);
    let several = message
        .get("attachments")
        .and_then(Value::as_array)
        .map(Vec::as_slice);
    match (text, one.or(several)) {
        (Some(""), None) => Err(Refusal::bad("message text is empty")),
        (Some(text), None) if text.len() > 1_000 => Err(Refusal::bad(
            "Length of param message[text] must be less than or equal to 1000",
        )),
        (Some(_), None) => Ok(()),
        (None, Some(attachments)) => check_attachments(attachments),
        _ => Err(Refusal::bad("A message is either text or attachments")),
    }
}

fn check_attachments(attachments: &[Value]) -> Result<(), Refusal> {
    let of = |attachment: &Value, pointer: &str| {
        attachment
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    if attachments.len() > 1 && attachments.iter().any(|it| of(it, "/type") != "image") {
        return Err(Refusal::bad("Only images go together"));
    }
    if attachments.is_empty() || attachments.len() > 10 {
        return Err(Refusal::bad("One to ten images"));
    }
    let web = attachments.iter().all(|it| {
        let url = of(it, "/payload/url");
        url.starts_with("https://") || url.starts_with("http://127.0.0.1")
    });
    let kinds = ["image", "audio", "video", "file"];
    let known = attachments
        .iter()
        .all(|it| kinds.contains(&of(it, "/type").as_str()));
    if web && known {
        Ok(())
    } else {
        Err(Refusal::bad("The attachment cannot be fetched"))
    }
}

fn sent(call: &Call<'_>, customer: &str) -> Done {
    let mid = call.state.next_mid();
    Done {
        answer: json!({ "recipient_id": customer, "message_id": mid }),
        echo: Some(wording::echo(
            &call.account,
            customer,
            &mid,
            &call.body["message"],
        )),
        id: Some(mid),
        kept: true,
    }
}

/// One message to Direct for each comment; it opens no window.
fn private_reply(call: &Call<'_>, comment: &str) -> Result<Done, Refusal> {
    let known = call
        .state
        .comment(comment)
        .ok_or_else(|| Refusal::unknown(comment))?;
    if call.body["message"].get("text").is_none() {
        return Err(Refusal::bad("A private reply is a text"));
    }
    check(&call.body["message"])?;
    if !call.state.note_private_reply(comment) {
        return Err(Refusal::new(
            100,
            Some(2_534_025),
            "(#100) Activity already replied to",
        ));
    }
    Ok(sent(call, &known.from))
}

/// Reactions of the account have no echo.
fn sender_action(call: &Call<'_>, customer: &str, action: &str) -> Result<Done, Refusal> {
    let needs_message = matches!(action, "react" | "unreact");
    let named = call.body.pointer("/payload/message_id").is_some();
    let known = needs_message || matches!(action, "typing_on" | "typing_off" | "mark_seen");
    if !known || needs_message != named {
        return Err(Refusal::bad("sender_action"));
    }
    Ok(Done {
        answer: json!({ "recipient_id": customer }),
        kept: true,
        ..Done::default()
    })
}
