//! Instagram: comments and Direct.

use anyhow::Context as _;
use switchboard_proto::channel_gateway::v1 as gateway;
use switchboard_proto::common::v1::{Origin, origin};
use switchboard_proto::conversation::v1::{message::Kind, message_delivery};
use switchboard_tests::meta::{Action, StandIn as Meta};
use switchboard_tests::world::{Plan, World, eventually};

use super::{answer, connect, delivered, environment, settled};

const IG_ACCOUNT: &str = "17841400008460056";

#[tokio::test(flavor = "multi_thread")]
async fn f089_f091_f093_a_comment_is_answered_under_the_post_and_a_message_in_direct()
-> anyhow::Result<()> {
    let meta = Meta::start().await?;
    let world = World::start_with(environment(&[
        ("INSTAGRAM__INSTAGRAM_URL", &meta.url()),
        ("INSTAGRAM__FACEBOOK_URL", &meta.url()),
        ("INSTAGRAM__APP_SECRET", "app-secret"),
        ("INSTAGRAM__VERIFY_TOKEN", "verify-token"),
        ("AUTH__DEMO_SECRETS", "true"),
    ]))
    .await?;
    let account = world.account(Plan::default()).await?;
    let (token, customer) = ("IGAA-1", "7712309945511");
    meta.account(token, IG_ACCOUNT, "shop");
    let profile = gateway::InstagramCredentials {
        login: gateway::instagram_credentials::Login::Instagram.into(),
        account_id: IG_ACCOUNT.into(),
        access_token: token.into(),
        ..Default::default()
    };
    let credentials = gateway::create_channel_request::Credentials::Instagram(profile);
    connect(&account, credentials).await?;
    let webhook = world.system.http_url()?;
    meta.set_webhook(&format!("{webhook}/in/instagram")).await?;

    // A comment: a chat with the mark of where it was written (F089).
    let comment = Action::Comment {
        media: "18139494541428835".into(),
        text: "А є чорні?".into(),
        parent: None,
    };
    meta.act(token, customer, comment).await?;
    let chat = settled(&account, customer).await?;
    let messages = account.messages(&chat.chat_id).await?;
    let written = messages
        .iter()
        .find(|message| message.kind() == Kind::Client)
        .context("the comment")?;
    assert_eq!(
        written.origin.as_ref().map(Origin::kind),
        Some(origin::Kind::Comment)
    );
    let message = answer(&account, &chat, "Так, є чорні.", &written.message_id).await?;
    delivered(
        &account,
        &chat.chat_id,
        &message,
        message_delivery::State::Sent,
    )
    .await?;
    let sent = meta.sent().pop().context("a call")?;
    assert!(
        sent.call.ends_with("/replies"),
        "under the post (F091): {}",
        sent.call
    );

    // A message of the same person is in the same chat; what is simply written goes to Direct (F093, X12).
    let direct = Action::Write {
        text: "Скільки коштує?".into(),
        reply_to: None,
    };
    meta.act(token, customer, direct).await?;
    eventually("both in one chat", async || {
        let messages = account.messages(&chat.chat_id).await?;
        let own = messages
            .iter()
            .filter(|message| message.kind() == Kind::Client);
        Ok((own.count() == 2).then_some(()))
    })
    .await?;
    let message = answer(&account, &chat, "800 грн", "").await?;
    delivered(
        &account,
        &chat.chat_id,
        &message,
        message_delivery::State::Sent,
    )
    .await?;
    let sent = meta.sent().pop().context("a call")?;
    assert_eq!(
        (sent.call.as_str(), &sent.body["message"]["text"]),
        ("POST /me/messages", &serde_json::json!("800 грн"))
    );

    // The echo of our own message is no second one (channels.md §7.13).
    let messages = account.messages(&chat.chat_id).await?;
    let ours = messages
        .iter()
        .filter(|message| message.kind() == Kind::Agent);
    assert_eq!(ours.count(), 2, "{messages:?}");
    Ok(())
}
