//! Playing one customer: writes, tells what became of it, waits for the answer.

use std::time::Duration;

use serde_json::json;
use switchboard_proto::channel_gateway::v1::{Channel, GetChannelRequest, channel::State};
use switchboard_proto::conversation::v1::{Chat, ListChatsRequest, ListMessagesRequest, message};
use tonic::Code;
use uuid::Uuid;

use super::stand_in::StandIn;
use super::wait::{Seen, until};
use crate::connect::Session;
use crate::error::CliError;
use crate::output::{View, note, say, words};
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
    heard(session, &stand_in, telegram.channel).await?;
    stand_in.name(id, name).await?;
    let before = stand_in.sent_total().await?;
    let channel = telegram.channel.to_string();
    let customer = id.to_string();
    let known = match chat_of(session, &channel, &customer).await? {
        Some(chat) => written(session, &chat.chat_id).await?,
        None => Vec::new(),
    };
    let delivered = stand_in.say(id, &json!({ "text": text })).await?;
    say!("{name}: {text}");
    say!("  {}", delivered.told());

    let chat = until("the message in a chat", APPEAR, async || {
        let Some(chat) = chat_of(session, &channel, &customer).await? else {
            return Ok(Seen::NotYet("no chat of this customer".into()));
        };
        let messages = written(session, &chat.chat_id).await?;
        Ok(if messages.iter().all(|id| known.contains(id)) {
            Seen::NotYet("the chat without the message".into())
        } else {
            Seen::Yes(chat)
        })
    })
    .await?;
    if let Some(told) = unopened(&chat) {
        say!("  chat {} · {told}", chat.chat_id);
        return Ok(());
    }
    // Distribution takes a moment; off, it never comes.
    let assigned = until("a responsible", DISTRIBUTE, async || {
        Ok(match chat_of(session, &channel, &customer).await? {
            Some(chat) if !chat.responsible_agent_id.is_empty() => Seen::Yes(chat),
            _ => Seen::NotYet(String::new()),
        })
    });
    let chat = assigned.await.unwrap_or(chat);
    let number = chat
        .open_conversation
        .as_ref()
        .map(|open| format!("conversation #{}", open.number));
    say!(
        "  chat {} · {} · {} · {}",
        chat.chat_id,
        words::word(chat.state().as_str_name(), "STATE_"),
        number.unwrap_or_default(),
        if chat.responsible_agent_id.is_empty() {
            "nobody has it yet".to_owned()
        } else {
            format!("{} answers", view.name(&chat.responsible_agent_id))
        },
    );
    if wait.is_zero() {
        return Ok(());
    }
    note!(
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
            Ok(answer) => say!("answer: {}", answer?.text()),
            Err(_) => say!("  no answer within {} s", wait.as_secs()),
        },
        _ = tokio::signal::ctrl_c() => {}
    }
    Ok(())
}

/// What is told of a customer's message that opened no conversation: nobody is to answer it.
fn unopened(chat: &Chat) -> Option<String> {
    if chat.open_conversation.is_some() {
        return None;
    }
    let why = if chat.spam {
        "the chat is marked as spam"
    } else {
        "it is an answer to the bot that asked for a score"
    };
    Some(format!(
        "the message is stored and no conversation opened: {why}"
    ))
}

/// Ids of the newest messages that a chat's client wrote.
async fn written(session: &Session, chat: &str) -> Result<Vec<String>, CliError> {
    let request = ListMessagesRequest {
        chat_id: chat.to_owned(),
        page_size: 200,
        ..ListMessagesRequest::default()
    };
    let mut conversation = session.conversation(&Role::Account).await?;
    let page = conversation.list_messages(request).await?.into_inner();
    let messages = page.messages.into_iter();
    let own = messages.filter(|message| message.kind() == message::Kind::Client);
    Ok(own.map(|message| message.message_id).collect())
}

/// Fails at once where nobody would hear the customer, with what to do.
async fn heard(session: &Session, stand_in: &StandIn, channel: Uuid) -> Result<(), CliError> {
    let request = GetChannelRequest {
        channel_id: channel.to_string(),
    };
    let mut gateway = session.channel_gateway(&Role::Account).await?;
    let found = match gateway.get_channel(request).await.map_err(CliError::from) {
        Ok(answer) => answer.into_inner().channel,
        Err(error) if error.code() == Some(Code::NotFound) => None,
        Err(error) => return Err(error),
    };
    let webhook = stand_in.has_webhook().await?;
    deaf(found.as_ref(), webhook, channel).map_or(Ok(()), Err)
}

/// Why a customer would not be heard, and what to do.
fn deaf(found: Option<&Channel>, webhook: bool, channel: Uuid) -> Option<CliError> {
    let program = crate::context::program();
    let (why, hint) = match found.map(Channel::state) {
        None => (
            "there is no channel of the demo's bot".to_owned(),
            "demo setup".to_owned(),
        ),
        Some(State::Enabled) if webhook => return None,
        Some(State::Enabled) => (
            "the stand-in for the Bot API knows no webhook of the channel".to_owned(),
            format!("channel enable {channel}"),
        ),
        Some(State::Disconnected) => (
            format!(
                "the demo's channel is disconnected: {}",
                found.map(|it| it.problem.as_str()).unwrap_or_default()
            ),
            format!("channel connect {channel} --bot-token-file FILE"),
        ),
        Some(_) => (
            "the demo's channel is disabled: customers are not heard".to_owned(),
            format!("channel enable {channel}"),
        ),
    };
    let why = why.trim_end_matches(": ");
    Some(CliError::failed(why, format!("`{program} {hint}`")))
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

#[cfg(test)]
mod tests {
    use switchboard_proto::conversation::v1::Conversation;

    use super::*;

    #[test]
    fn a_customer_whom_nobody_would_hear_is_told_why() {
        let of = |state: State| Channel {
            state: state.into(),
            ..Channel::default()
        };
        for (channel, webhook, expected) in [
            (None, false, Some("demo setup")),
            (Some(of(State::Disabled)), false, Some("channel enable")),
            (Some(of(State::Disconnected)), true, Some("channel connect")),
            (Some(of(State::Enabled)), false, Some("channel enable")),
            (Some(of(State::Enabled)), true, None),
        ] {
            let error = deaf(channel.as_ref(), webhook, Uuid::nil()).map(|error| error.render());
            match expected {
                None => assert_eq!(error, None),
                Some(hint) => assert!(error.is_some_and(|text| text.contains(hint)), "{hint}"),
            }
        }
    }

    #[test]
    fn f203_a_message_that_opens_nothing_is_told_and_not_waited_for() {
        let open = Chat {
            open_conversation: Some(Conversation::default()),
            ..Chat::default()
        };
        assert_eq!(unopened(&open), None);
        let spam = Chat {
            spam: true,
            ..Chat::default()
        };
        for (chat, word) in [(Chat::default(), "score"), (spam, "spam")] {
            let told = unopened(&chat).unwrap();
            assert!(
                told.contains("no conversation opened") && told.contains(word),
                "{told}"
            );
        }
    }
}
