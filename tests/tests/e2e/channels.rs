//! One customer per channel writes, becomes a chat with a card and a responsible, and is answered the same way (F185).
//! What the channels' stories share; each channel has a room of its own.

mod health;
mod instagram;
mod mail;
mod oauth;
mod photos;
mod telegram;
mod viber;

use std::time::Duration;

use anyhow::Context as _;
use switchboard_proto::channel_gateway::v1 as gateway;
use switchboard_proto::common::v1::Text;
use switchboard_proto::conversation::v1::{
    self as conversation, SendMessageRequest, chat::State, message_delivery,
};
use switchboard_proto::{assignment::v1 as assignment, crm_cards::v1 as crm};
use switchboard_tests::services::Kind as Service;
use switchboard_tests::world::{Account, WorldOptions, eventually, within};
use uuid::Uuid;

pub fn environment(pairs: &[(&str, &str)]) -> WorldOptions {
    WorldOptions {
        environment: pairs
            .iter()
            .map(|(key, value)| {
                let key = format!("SWITCHBOARD_{key}");
                (Some(Service::ChannelGateway), key, (*value).to_owned())
            })
            .collect(),
        ..WorldOptions::default()
    }
}

/// Connects a further channel to an account, as its first one is.
pub(super) async fn connect(
    account: &Account,
    credentials: gateway::create_channel_request::Credentials,
) -> anyhow::Result<gateway::Channel> {
    let channel_id = Uuid::new_v4().to_string();
    let mut admin = account.admin.clone();
    admin
        .gateway
        .create_channel(gateway::CreateChannelRequest {
            request_id: Uuid::new_v4().to_string(),
            channel_id: channel_id.clone(),
            name: "Further line".into(),
            credentials: Some(credentials),
        })
        .await?;
    admin
        .crm
        .set_pipeline_connection(crm::SetPipelineConnectionRequest {
            connection: Some(crm::PipelineConnection {
                channel_id: channel_id.clone(),
                mode: crm::pipeline_connection::Mode::Repeat.into(),
                source_id: account.source_id.clone(),
                ..Default::default()
            }),
        })
        .await?;
    admin
        .assignment
        .set_distribution_policy(assignment::SetDistributionPolicyRequest {
            policy: Some(assignment::DistributionPolicy {
                channel_id: channel_id.clone(),
                distribution: assignment::Distribution::RoundRobin.into(),
                agent_ids: account
                    .agents
                    .iter()
                    .map(|agent| agent.id.to_string())
                    .collect(),
                keep_previous: false,
                ..Default::default()
            }),
        })
        .await?;
    let enabled = admin
        .gateway
        .enable_channel(gateway::EnableChannelRequest { channel_id })
        .await?;
    enabled.into_inner().channel.context("a channel")
}

/// The chat of a client, once it has a responsible and a card.
pub async fn settled(account: &Account, user_id: &str) -> anyhow::Result<conversation::Chat> {
    let chat = eventually("the client's chat with a responsible", async || {
        let chats = account.chats().await?;
        Ok(chats.into_iter().find(|chat| {
            chat.state() == State::Active
                && chat
                    .client
                    .as_ref()
                    .is_some_and(|client| client.user_id == user_id)
        }))
    })
    .await?;
    eventually("its card", async || {
        Ok(account.cards(&chat.chat_id).await?.pop())
    })
    .await?;
    Ok(chat)
}

/// Answers as the responsible, to a message where one is named.
async fn answer(
    account: &Account,
    chat: &conversation::Chat,
    text: &str,
    reply_to: &str,
) -> anyhow::Result<String> {
    let agent = account.agent(&chat.responsible_agent_id)?;
    let sent = agent
        .clients
        .conversation
        .clone()
        .send_message(SendMessageRequest {
            request_id: Uuid::new_v4().to_string(),
            chat_id: chat.chat_id.clone(),
            text: Some(Text {
                text: text.to_owned(),
                entities: Vec::new(),
            }),
            reply_to_message_id: reply_to.to_owned(),
            ..Default::default()
        })
        .await?;
    Ok(sent.into_inner().message.context("a message")?.message_id)
}

/// Waits until a message has this delivery state.
pub async fn delivered(
    account: &Account,
    chat: &str,
    message: &str,
    state: message_delivery::State,
) -> anyhow::Result<()> {
    within(
        Duration::from_secs(30),
        &format!("delivery state {state:?}"),
        async || {
            let messages = account.messages(chat).await?;
            let of = messages.into_iter().find(|it| it.message_id == message);
            let now = of
                .and_then(|it| it.delivery)
                .map(|delivery| delivery.state());
            Ok((now == Some(state)).then_some(()))
        },
    )
    .await
}
