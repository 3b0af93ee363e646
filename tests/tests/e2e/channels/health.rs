//! A channel loses its provider and finds it again: by itself, by an administrator abroad, by being connected anew (B10).

use anyhow::Context as _;
use serde_json::json;
use switchboard_proto::channel_gateway::v1::{
    self as gateway, ChannelDegraded, ChannelRecovered, channel::State as Line,
    channel_health::State as Health, connect_channel_request::Credentials,
};
use switchboard_tests::events::{Event, read_all};
use switchboard_tests::world::{Account, Plan, World, eventually};

use super::{environment, settled};

async fn channel(account: &Account) -> anyhow::Result<gateway::Channel> {
    let channel_id = account.channel_id.clone();
    let mut gateway = account.admin.gateway.clone();
    let answer = gateway
        .get_channel(gateway::GetChannelRequest { channel_id })
        .await?;
    answer.into_inner().channel.context("the channel")
}

/// Waits until the channel's health is this, for these reasons.
async fn is(account: &Account, state: Health, reasons: &[&str]) -> anyhow::Result<()> {
    eventually(&format!("{state:?} for {reasons:?}"), async || {
        let health = channel(account).await?.health.unwrap_or_default();
        let found = health
            .problems
            .iter()
            .map(|problem| problem.reason.as_str());
        Ok((health.state() == state && found.eq(reasons.iter().copied())).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn b10_a_channel_is_mended_told_of_and_connected_again() -> anyhow::Result<()> {
    let world = World::start_with(environment(&[
        ("HEALTH__POLL", "200ms"),
        ("HEALTH__TELEGRAM", "1s"),
    ]))
    .await?;
    let account = world.account(Plan::default()).await?;
    let (bot, customer) = (account.bot_token.as_str(), 5_540_014_001_i64);
    let telegram = &world.telegram;
    telegram.say(bot, customer, "Добрий день").await?;
    let chat = settled(&account, &customer.to_string()).await?;
    is(&account, Health::Well, &[]).await?;

    // Lost: it is registered again without asking.
    let address = telegram.webhook(bot).context("a webhook")?;
    let call = format!("{}/bot{bot}/deleteWebhook", telegram.url());
    reqwest::get(call).await?.error_for_status()?;
    assert!(telegram.webhook(bot).is_none());
    eventually("the webhook again", async || Ok(telegram.webhook(bot))).await?;
    is(&account, Health::Well, &[]).await?;

    // Led elsewhere: it is told, and not taken back.
    let elsewhere = json!({ "url": "https://other.example/hook" });
    let elsewhere = elsewhere.as_object().cloned().unwrap_or_default();
    telegram.pretend_webhook(bot, elsewhere);
    is(&account, Health::Degraded, &["WEBHOOK_FOREIGN"]).await?;
    telegram.pretend_webhook(bot, serde_json::Map::new());
    is(&account, Health::Well, &[]).await?;
    let told = eventually("both events", async || {
        let events = read_all(&world.nats.url(), Some(&account.slug)).await?;
        let degraded = events.iter().filter_map(Event::decode::<ChannelDegraded>);
        let recovered = events.iter().filter_map(Event::decode::<ChannelRecovered>);
        let degraded: Vec<_> = degraded.map(|it| it.reason).collect();
        let recovered: Vec<_> = recovered.map(|it| it.reason).collect();
        Ok((degraded == recovered && !degraded.is_empty()).then_some(degraded))
    })
    .await?;
    assert!(
        told.iter().any(|reason| reason == "WEBHOOK_FOREIGN"),
        "{told:?}"
    );

    // Disconnected: nobody calls us, and nothing is known to call with.
    let mut admin = account.admin.gateway.clone();
    let channel_id = account.channel_id.clone();
    let request = gateway::DisconnectChannelRequest {
        channel_id: channel_id.clone(),
    };
    let gone = admin.disconnect_channel(request).await?.into_inner();
    assert!(gone.webhook_taken_back && telegram.webhook(bot).is_none());
    assert_eq!(channel(&account).await?.state(), Line::Disconnected);
    let request = gateway::VerifyChannelRequest {
        channel_id: channel_id.clone(),
    };
    let asked = admin.verify_channel(request).await?.into_inner();
    assert!(!asked.accepted, "{asked:?}");

    // Connected again: the same line at the same address, and the same chat.
    let token = bot.to_owned();
    let request = gateway::ConnectChannelRequest {
        channel_id,
        credentials: Some(Credentials::TelegramBot(gateway::TelegramBotCredentials {
            token,
        })),
    };
    let back = admin.connect_channel(request).await?.into_inner().channel;
    assert_eq!(back.context("the channel")?.state(), Line::Enabled);
    let again = telegram.webhook(bot).context("a webhook")?;
    assert_eq!(again.0, address.0);
    telegram.say(bot, customer, "Я знову тут").await?;
    eventually("both messages in the chat", async || {
        let chats = account.chats().await?;
        let same = chats.len() == 1 && chats.iter().all(|it| it.chat_id == chat.chat_id);
        let unanswered = chats.first().map(|chat| chat.unanswered);
        Ok((same && unanswered == Some(2)).then_some(()))
    })
    .await?;
    is(&account, Health::Well, &[]).await
}
