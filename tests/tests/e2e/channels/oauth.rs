//! A mailbox by OAuth 2: a real Dovecot and a real SMTP server that ask an authorization server about each access token.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::json;
use switchboard_proto::channel_gateway::v1::{
    self as gateway, ChannelDisconnected, channel::State as Line,
    connect_channel_request::Credentials as Again, create_channel_request::Credentials,
    email_credentials,
};
use switchboard_proto::conversation::v1::message_delivery::State as Delivery;
use switchboard_tests::events::{Event, read_all};
use switchboard_tests::oauth::TokenServer;
use switchboard_tests::servers::{Dovecot, SmtpServer, SmtpTls};
use switchboard_tests::services::Kind as Service;
use switchboard_tests::world::{Account, Plan, World, eventually, text_of, within};

use super::{answer, connect, delivered, environment, settled};

const CLIENT: &str = "olena@client.example";

fn mailbox(
    tokens: &TokenServer,
    dovecot: &Dovecot,
    smtp: &SmtpServer,
) -> gateway::EmailCredentials {
    let server = |port: u16| {
        Some(email_credentials::Server {
            host: "127.0.0.1".into(),
            port: port.into(),
            security: email_credentials::Security::None.into(),
        })
    };
    gateway::EmailCredentials {
        address: "sales@shop.example".into(),
        display_name: "Shop".into(),
        imap: server(dovecot.imap()),
        smtp: server(smtp.port()),
        username: "shop".into(),
        secret: Some(email_credentials::Secret::Oauth(email_credentials::OAuth {
            client_id: tokens.client_id().into(),
            client_secret: tokens.client_secret(),
            refresh_token: tokens.consent(),
            token_url: tokens.token_url(),
        })),
    }
}

fn mail(number: usize, text: &str) -> String {
    format!(
        "From: Olena <{CLIENT}>\r\nTo: sales@shop.example\r\nSubject: Order 551\r\n\
         Message-ID: <q{number}@client.example>\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n"
    )
}

/// Waits until a text stands in the chat.
async fn heard(account: &Account, chat: &str, text: &str) -> anyhow::Result<()> {
    within(Duration::from_secs(40), text, async || {
        let messages = account.messages(chat).await?;
        let found = messages.iter().any(|message| text_of(message) == text);
        Ok(found.then_some(()))
    })
    .await
}

async fn channel(account: &Account, channel_id: &str) -> anyhow::Result<gateway::Channel> {
    let request = gateway::GetChannelRequest {
        channel_id: channel_id.to_owned(),
    };
    let answer = account.admin.gateway.clone().get_channel(request).await?;
    answer.into_inner().channel.context("the channel")
}

/// No secret stands in a log or in an event.
async fn is_kept_secret(
    world: &World,
    account: &Account,
    tokens: &TokenServer,
) -> anyhow::Result<()> {
    let secrets = tokens.secrets();
    anyhow::ensure!(secrets.len() > 6, "{}", secrets.len());
    let found = |text: &str| {
        secrets
            .iter()
            .find(|secret| text.contains(secret.as_str()))
            .cloned()
    };
    for kind in Service::ALL {
        let log = std::fs::read(world.system.log(kind))?;
        let log = String::from_utf8_lossy(&log);
        assert!(!log.is_empty());
        assert_eq!(found(&log), None, "in the log of {}", kind.name());
    }
    let events = read_all(&world.nats.url(), Some(&account.slug)).await?;
    for event in &events {
        let payload = String::from_utf8_lossy(&event.payload);
        assert_eq!(found(&payload), None, "in {}", event.subject);
        assert_eq!(
            found(&format!("{:?}", event.headers)),
            None,
            "at {}",
            event.subject
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn f185_b10_a_mailbox_by_oauth_lives_on_when_its_token_ends_and_is_told_of_when_its_grant_does()
-> anyhow::Result<()> {
    let tokens = TokenServer::start("shop").await?;
    let mut dovecot = Dovecot::start(Some(&tokens.introspection_url()))?;
    let smtp = SmtpServer::start(SmtpTls::None)?;
    smtp.behave(&json!({ "introspection": tokens.introspection_url() }))?;
    let world = World::start_with(environment(&[
        ("MAIL__ALLOW_PLAIN", "true"),
        ("MAIL__ALLOW_PRIVATE", "true"),
        ("MAIL__RENEW", "500ms"),
        ("MAIL__LEASE", "3s"),
        ("MAIL__AFTER_REFUSAL", "300ms"),
        ("TELEMETRY__LOG_FILTER", "debug"),
    ]))
    .await?;
    let account = world.account(Plan::default()).await?;
    let credentials = Credentials::Email(mailbox(&tokens, &dovecot, &smtp));
    let line = connect(&account, credentials).await?.channel_id;
    let (mut number, mut last) = (0, None::<Instant>);
    // A channel begins with what comes after it was connected: the mail is sent until the mailbox is followed.
    within(Duration::from_secs(40), "the mail's chat", async || {
        if last.is_none_or(|last| last.elapsed() > Duration::from_secs(1)) {
            number += 1;
            last = Some(Instant::now());
            dovecot.deliver("shop", &mail(number, "Do you have size 42?"))?;
        }
        Ok(account.chats().await?.pop())
    })
    .await?;
    let chat = settled(&account, CLIENT).await?;
    let id = chat.chat_id.as_str();
    let sent = answer(&account, &chat, "Yes.", "").await?;
    delivered(&account, id, &sent, Delivery::Sent).await?;
    let asked = tokens.asked();
    assert!(
        asked <= 2,
        "to prove it when it is made and enabled: {asked}"
    );

    // The token ends before its time, and the connection with it: one other is asked for, and both ways go on.
    tokens.expire();
    dovecot.restart()?;
    // A session of Dovecot outlives it for a while.
    let patience = Duration::from_secs(40);
    within(patience, "another token", async || {
        Ok((tokens.asked() > asked).then_some(()))
    })
    .await?;
    dovecot.deliver("shop", &mail(100, "And 43?"))?;
    heard(&account, id, "And 43?").await?;
    assert_eq!(tokens.asked(), asked + 1);
    let sent = answer(&account, &chat, "Also 43.", "").await?;
    delivered(&account, id, &sent, Delivery::Sent).await?;
    assert_eq!(tokens.asked(), asked + 1);
    // It ends while only an answer shows it.
    tokens.expire();
    let sent = answer(&account, &chat, "And 44.", "").await?;
    delivered(&account, id, &sent, Delivery::Sent).await?;
    assert_eq!(tokens.asked(), asked + 2);
    assert_eq!(smtp.received()?.len(), 3);
    assert_eq!(channel(&account, &line).await?.state(), Line::Enabled);

    // The grant is taken back: it is told, in words that say what to do, after three tries and not one more.
    tokens.revoke();
    tokens.expire();
    dovecot.restart()?;
    within(patience, "it is disconnected", async || {
        let state = channel(&account, &line).await?.state();
        Ok((state == Line::Disconnected).then_some(()))
    })
    .await?;
    let health = channel(&account, &line).await?.health.context("health")?;
    let problem = health.problems.first().context("a problem")?;
    assert_eq!(problem.reason, "CREDENTIALS_REFUSED");
    let words = "an administrator must connect the mailbox anew";
    assert!(problem.detail.contains(words), "{problem:?}");
    let told = eventually("the event", async || {
        let events = read_all(&world.nats.url(), Some(&account.slug)).await?;
        Ok(events.iter().find_map(Event::decode::<ChannelDisconnected>))
    })
    .await?;
    assert!(
        told.channel_id == line && told.reason.contains(words),
        "{told:?}"
    );
    let refused = tokens.asked();
    assert_eq!(refused, asked + 5);

    // Connected anew, with another consent, it goes on where it stood.
    dovecot.deliver("shop", &mail(101, "Hello?"))?;
    let request = gateway::ConnectChannelRequest {
        channel_id: line.clone(),
        credentials: Some(Again::Email(mailbox(&tokens, &dovecot, &smtp))),
    };
    account
        .admin
        .gateway
        .clone()
        .connect_channel(request)
        .await?;
    heard(&account, id, "Hello?").await?;
    let since = tokens.asked() - refused;
    assert!((1..=2).contains(&since), "nobody asked meanwhile: {since}");
    is_kept_secret(&world, &account, &tokens).await
}
