//! Playing one customer: writes, tells what became of it, waits for the answer.

use std::time::Duration;

use serde_json::json;
use switchboard_proto::conversation::v1::{Chat, ListChatsRequest};

use super::stand_in::StandIn;
use super::wait::{Seen, until};
use crate::connect::Session;
use crate::error::CliError;
use crate::output::{View, words};
use crate::token::Role;

/// How long the chat may take to appear.
const APPEAR: Duration = Duration::from_secs(20);

/// How long distribution may take before nobody is told to have the chat.
const DISTRIBUTE: Duration = Duration::from_secs(2);

/// Runs the verb.
pub(crate) async fn run(
    session: &Session,
    mut view: View,
    text: &str,
    id: i64,
    name: &str,
    wait: Duration,
) -> Result<(), CliError> {
    view.learn_names(session).await;
    let telegram = session.settings.telegram()?;
    let stand_in = StandIn::new(telegram)?;
    stand_in.name(id, name).await?;
    let before = stand_in.sent_total().await?;
    let earlier = chat_of(session, &telegram.channel.to_string(), &id.to_string())
        .await?
        .map_or(0, |chat| chat.unanswered);
    let delivered = stand_in.say(id, &json!({ "text": text })).await?;
    println!("{name}: {text}");
    println!("  {}", delivered.told());

    let chat = until("the message in a chat", APPEAR, async || {
        Ok(
            match chat_of(session, &telegram.channel.to_string(), &id.to_string()).await? {
                Some(chat) if chat.unanswered > earlier || earlier == 0 && chat.unanswered > 0 => {
                    Seen::Yes(chat)
                }
                Some(chat) => Seen::NotYet(format!(
                    "the chat with {} unanswered messages",
                    chat.unanswered
                )),
                None => Seen::NotYet("no chat of this customer".into()),
            },
        )
    })
    .await?;
    // Distribution takes a moment; off, it never comes.
    let assigned = until("a responsible", DISTRIBUTE, async || {
        Ok(
            match chat_of(session, &telegram.channel.to_string(), &id.to_string()).await? {
                Some(chat) if !chat.responsible_agent_id.is_empty() => Seen::Yes(chat),
                _ => Seen::NotYet(String::new()),
            },
        )
    });
    let chat = assigned.await.unwrap_or(chat);
    let number = chat
        .open_conversation
        .as_ref()
        .map(|open| format!("conversation #{}", open.number));
    println!(
        "  chat {} · {} · {} · {}",
        chat.chat_id,
        words::word(chat.state().as_str_name(), "STATE_"),
        number.unwrap_or_else(|| "no open conversation".into()),
        if chat.responsible_agent_id.is_empty() {
            "nobody has it yet".to_owned()
        } else {
            format!("{} answers", view.name(&chat.responsible_agent_id))
        },
    );
    if wait.is_zero() {
        return Ok(());
    }
    eprintln!(
        "  waiting for an answer; give one: {} chat send {} 'Good day!' --as AGENT",
        crate::context::program(),
        chat.chat_id
    );
    let answer = async {
        loop {
            if let Some(answer) = stand_in
                .sent_to(id, before)
                .await?
                .into_iter()
                .find(|sent| !sent.text().is_empty())
            {
                return Ok::<_, CliError>(answer);
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    };
    tokio::select! {
        answer = tokio::time::timeout(wait, answer) => match answer {
            Ok(answer) => println!("answer: {}", answer?.text()),
            Err(_) => println!("  no answer within {} s", wait.as_secs()),
        },
        _ = tokio::signal::ctrl_c() => {}
    }
    Ok(())
}

/// The chat of a customer on a channel. The newest chats are enough: the customer has just written, or never.
pub(crate) async fn chat_of(
    session: &Session,
    channel: &str,
    user_id: &str,
) -> Result<Option<Chat>, CliError> {
    let request = ListChatsRequest {
        page_size: 200,
        channel_id: channel.to_owned(),
        ..ListChatsRequest::default()
    };
    let chats = session
        .conversation(&Role::Account)
        .await?
        .list_chats(request)
        .await?
        .into_inner()
        .chats;
    Ok(chats.into_iter().find(|chat| {
        chat.client
            .as_ref()
            .is_some_and(|client| client.user_id == user_id)
    }))
}
