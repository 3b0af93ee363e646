//! A customer who is played from a terminal (F203).

use switchboard_tests::command::say;
use switchboard_tests::world::{Plan, World, eventually};

use super::{chat_with, file};

/// A score to the question of NPS opens no conversation: it is told so at once, and no answer is waited for.
#[tokio::test(flavor = "multi_thread")]
async fn f203_a_customers_score_is_told_to_be_stored_and_to_open_nothing() -> anyhow::Result<()> {
    let world = World::start().await?;
    let account = world.account(Plan::default()).await?;
    let customer = 623;
    let (chat, token) = chat_with(&world, &account, customer).await?;
    let chat = chat.chat_id.as_str();
    let tokens = world.system.tokens();
    let admin = tokens.service(&account.slug, "admin", "chats:* channels:* agents:*");
    let channel = account.channel_id.as_str();
    let bot = say(
        &world,
        &admin,
        &["bot", "create", "--nps", "NPS", "-o", "ids"],
    )
    .await?;
    let set = ["rule", "set", channel, "--nps-bot", bot.trim()];
    say(&world, &admin, &set).await?;
    say(&world, &token, &["bot", "nps", chat]).await?;
    eventually("the question", async || {
        Ok((!world.telegram.sent(&account.bot_token).is_empty()).then_some(()))
    })
    .await?;
    say(&world, &token, &["chat", "close", chat]).await?;

    let folder = tempfile::tempdir()?;
    let context = format!(
        "[telegram]\ncontrol = \"{}\"\nbot_token = \"{}\"\nchannel = \"{channel}\"\n",
        world.telegram.url(),
        account.bot_token
    );
    let context = file(folder.path(), "context.toml", context.as_bytes())?;
    let id = customer.to_string();
    let writes = async |text: &str, wait: &str| {
        let demo = [
            "--context-file",
            &context,
            "demo",
            "customer",
            text,
            "--id",
            &id,
            "--wait",
            wait,
        ];
        say(&world, &admin, &demo).await
    };
    let told = writes("10/10", "600").await?;
    assert!(
        told.contains("the message is stored and no conversation opened"),
        "{told}"
    );
    assert!(told.contains(chat), "{told}");
    // What comes next is an ordinary message, as soon as the bot is done with the score.
    eventually("a conversation", async || {
        let told = writes("Do you have size 42?", "0").await?;
        Ok(told.contains("conversation #").then_some(()))
    })
    .await
}
