//! The lines themselves: each is asked how it stands with its provider, and one is disconnected and connected again
//! without its chats noticing more than that nobody is heard meanwhile.

use serde_json::json;
use switchboard_proto::channel_gateway::v1::{
    Channel, ConnectChannelRequest, DisconnectChannelRequest, VerifyChannelRequest,
    VerifyChannelResponse, ViberBotCredentials, channel::State, channel_health::Webhook,
    connect_channel_request::Credentials,
};
use switchboard_proto::conversation::v1::message;

use super::super::control::{Control, Delivered};
use super::super::wait::{Seen, check, until};
use super::opening::Opened;
use super::read::plain_text;
use super::stage::Stage;
use crate::context::Line;
use crate::error::CliError;
use crate::output::words;
use crate::token::Role;

/// Who does it: no agent, but the account's own token.
const ADMINISTRATOR: &str = "Admin";
/// As scripts/start connects the line.
const SENDER: &str = "Demo shop";

/// Plays the scene on every channel of the context.
pub(crate) async fn play(stage: &mut Stage<'_>) -> Result<(), CliError> {
    stage.out.scene("The lines, asked how they are");
    stage.out.does(ADMINISTRATOR, "asks each provider");
    let settings = &stage.session.settings;
    let others = [&settings.viber, &settings.instagram, &settings.mail];
    let mut channels = vec![settings.telegram()?.channel];
    channels.extend(others.into_iter().flatten().map(|line| line.channel));
    for channel in channels {
        let channel = channel.to_string();
        let answer = verify(stage, &channel).await?;
        let webhook = words::word(answer.webhook().as_str_name(), "WEBHOOK_");
        let problems: Vec<_> = answer
            .problems
            .iter()
            .map(|it| it.reason.as_str())
            .collect();
        check(
            answer.accepted && matches!(answer.webhook(), Webhook::Set | Webhook::NotUsed),
            "credentials that the provider accepts, and a webhook where it has one",
            || format!("webhook {webhook}, problems: {}", problems.join(", ")),
        )?;
        let text = format!("{}, webhook {webhook}", answer.provider_name);
        stage.out.fact("accepted", &text);
    }
    Ok(())
}

/// Disconnects the line of a chat and connects it again; the customer then writes into the same chat.
pub(crate) async fn again(
    stage: &mut Stage<'_>,
    line: &Line,
    opened: &Opened,
) -> Result<(), CliError> {
    stage.out.scene("Viber: disconnected, and connected again");
    let channel_id = line.channel.to_string();
    let mut gateway = stage.session.channel_gateway(&Role::Account).await?;
    stage.out.does(ADMINISTRATOR, "disconnects the line");
    let request = DisconnectChannelRequest {
        channel_id: channel_id.clone(),
    };
    let gone = gateway.disconnect_channel(request).await?.into_inner();
    // What was seen meanwhile is judged after the line is back: a story that stops leaves none disconnected.
    let asked = verify(stage, &channel_id).await;
    let request = ConnectChannelRequest {
        channel_id,
        credentials: Some(Credentials::ViberBot(ViberBotCredentials {
            token: line.token.clone(),
            sender_name: SENDER.to_owned(),
            ..ViberBotCredentials::default()
        })),
    };
    let back = gateway.connect_channel(request).await?.into_inner().channel;
    state(gone.channel, State::Disconnected)?;
    check(gone.webhook_taken_back, "the webhook taken back", || {
        "Viber was not told".into()
    })?;
    stage.out.fact(
        "disconnected",
        "the webhook taken back, the token forgotten",
    );
    let asked = asked?;
    check(!asked.accepted, "nothing to ask Viber with", || {
        asked.provider_name.clone()
    })?;
    let reasons: Vec<_> = asked.problems.iter().map(|it| it.reason.as_str()).collect();
    stage.out.fact("asked", &reasons.join(", "));
    stage
        .out
        .does(ADMINISTRATOR, "connects it again with the bot's token");
    state(back, State::Enabled)?;
    stage.out.fact("enabled", "the same line, with its chats");
    heard(stage, line, opened).await
}

/// The customer is heard again, in the chat that was there.
async fn heard(stage: &mut Stage<'_>, line: &Line, opened: &Opened) -> Result<(), CliError> {
    let client = stage
        .chat(&opened.chat_id)
        .await?
        .client
        .unwrap_or_default();
    let text = "Thank you, I take it!";
    stage.out.says(&client.name, text);
    let viber = Control::new("Viber", "viber", &line.control)?;
    let path = ["bots", &line.token, "customers", &client.user_id, "say"];
    let delivered: Delivered = viber.post(&path, &json!({ "text": text })).await?;
    stage.out.fact("accepted", &delivered.told());
    until("the message in the same chat", stage.patience, async || {
        let messages = stage
            .messages(&opened.chat_id, message::Kind::Client)
            .await?;
        let last = messages.last().map(plain_text).unwrap_or_default();
        Ok(if last == text {
            Seen::Yes(())
        } else {
            Seen::NotYet(format!("“{last}”"))
        })
    })
    .await?;
    stage
        .out
        .fact("message", "in the chat that was there before");
    Ok(())
}

fn state(channel: Option<Channel>, wanted: State) -> Result<(), CliError> {
    let word = |state: State| words::word(state.as_str_name(), "STATE_");
    let found = channel.unwrap_or_default().state();
    let expected = format!("the channel {}", word(wanted));
    check(found == wanted, &expected, || word(found))
}

async fn verify(stage: &Stage<'_>, channel: &str) -> Result<VerifyChannelResponse, CliError> {
    let mut gateway = stage.session.channel_gateway(&Role::Account).await?;
    let request = VerifyChannelRequest {
        channel_id: channel.to_owned(),
    };
    Ok(gateway.verify_channel(request).await?.into_inner())
}
