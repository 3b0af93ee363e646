//! Viber.

use anyhow::Context as _;
use switchboard_proto::channel_gateway::v1 as gateway;
use switchboard_proto::conversation::v1::message_delivery;
use switchboard_tests::viber::StandIn as Viber;
use switchboard_tests::world::{Plan, World};
use uuid::Uuid;

use super::{answer, connect, delivered, environment, settled};

#[tokio::test(flavor = "multi_thread")]
async fn f185_a_customer_of_viber_is_answered_and_receipts_come_back() -> anyhow::Result<()> {
    let viber = Viber::start().await?;
    let world = World::start_with(environment(&[("VIBER__API_URL", &viber.url())])).await?;
    let account = world.account(Plan::default()).await?;
    let token = "4453b6ac12345678-e02c5f12174805f9-daf9cbb5448c51f3".to_owned();
    let bot = gateway::ViberBotCredentials {
        token: token.clone(),
        sender_name: "Shop".into(),
        ..Default::default()
    };
    let channel = connect(
        &account,
        gateway::create_channel_request::Credentials::ViberBot(bot.clone()),
    )
    .await?;
    assert!(viber.webhook(&token).is_some(), "the webhook is registered");
    assert!(channel.capabilities.context("capabilities")?.read_receipts);
    let again = account
        .admin
        .gateway
        .clone()
        .create_channel(gateway::CreateChannelRequest {
            request_id: Uuid::new_v4().to_string(),
            name: "The same line".into(),
            credentials: Some(gateway::create_channel_request::Credentials::ViberBot(bot)),
            ..Default::default()
        })
        .await;
    if let Ok(made) = again {
        // Which bot a token is of only Viber tells: it is refused when it would be heard twice.
        let channel_id = made.into_inner().channel.context("a channel")?.channel_id;
        let request = gateway::EnableChannelRequest { channel_id };
        let refused = account.admin.gateway.clone().enable_channel(request).await;
        assert_eq!(refused.unwrap_err().code(), tonic::Code::AlreadyExists);
    }

    viber
        .say(&token, "pQ7xN2aLr0uZ1mW8sYkTfA==", "Коли відправите?")
        .await?;
    let chat = settled(&account, "pQ7xN2aLr0uZ1mW8sYkTfA==").await?;
    assert_eq!(chat.unanswered, 1);
    let message = answer(&account, &chat, "Завтра зранку.", "").await?;
    delivered(
        &account,
        &chat.chat_id,
        &message,
        message_delivery::State::Sent,
    )
    .await?;
    let sent = viber.sent(&token).pop().context("it went out")?;
    assert_eq!(sent.body["text"], "Завтра зранку.");
    assert_eq!(sent.receiver, "pQ7xN2aLr0uZ1mW8sYkTfA==");

    // Seen comes once for all, and never goes back to delivered (B03).
    for (event, state) in [
        ("delivered", message_delivery::State::Delivered),
        ("seen", message_delivery::State::Read),
    ] {
        viber
            .receipt(&token, &sent.receiver, event, sent.message_token)
            .await?;
        delivered(&account, &chat.chat_id, &message, state).await?;
    }
    viber
        .receipt(&token, &sent.receiver, "delivered", sent.message_token)
        .await?;
    delivered(
        &account,
        &chat.chat_id,
        &message,
        message_delivery::State::Read,
    )
    .await?;
    Ok(())
}
