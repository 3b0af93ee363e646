//! What people do with channels and files from a terminal: each verb once, against the running system.

mod crm;
mod customer;
mod filters;
mod replies;
mod transfer;

use std::path::Path;

use anyhow::Context as _;
use serde_json::Value;
use switchboard_proto::conversation::v1::{Chat, chat::State};
use switchboard_tests::command::{json, run, say};
use switchboard_tests::telegram::{Fault, FaultKind};
use switchboard_tests::world::{Account, Plan, World, eventually};

/// The smallest picture: one pixel.
const PICTURE: &[u8] =
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89";

/// A customer's chat, once somebody answers for it, with that agent's token.
async fn chat_with(
    world: &World,
    account: &Account,
    customer: i64,
) -> anyhow::Result<(Chat, String)> {
    world
        .telegram
        .say(&account.bot_token, customer, "Добрий день")
        .await?;
    let chat = eventually("a responsible", async || {
        let chat = account.chat_of(customer).await?;
        Ok((chat.state() == State::Active).then_some(chat))
    })
    .await?;
    let agent = account.agent(&chat.responsible_agent_id)?.id;
    let token = world
        .system
        .tokens()
        .agent(&account.slug, agent, "chats:* crm:*");
    Ok((chat, token))
}

/// The deliveries of a message as the command line tells them, once none of them waits any more.
async fn settled(
    world: &World,
    token: &str,
    chat: &str,
    message: &str,
) -> anyhow::Result<Vec<Value>> {
    eventually("the deliveries", async || {
        let of_message = ["chat", "deliveries", chat, "--message", message];
        let told = json(world, token, &of_message).await?;
        let told = told.as_array().cloned().unwrap_or_default();
        let waits =
            |it: &Value| matches!(it["state"].as_str(), Some("STATE_QUEUED" | "STATE_SENDING"));
        Ok((!told.is_empty() && !told.iter().any(waits)).then_some(told))
    })
    .await
}

fn text_of(value: &Value, field: &str) -> anyhow::Result<String> {
    let text = value[field].as_str();
    Ok(text
        .with_context(|| format!("{field} in {value}"))?
        .to_owned())
}

fn file(folder: &Path, name: &str, content: &[u8]) -> anyhow::Result<String> {
    let path = folder.join(name);
    std::fs::write(&path, content)?;
    Ok(path.to_str().context("a path")?.to_owned())
}

/// Files go out from a terminal with their caption, and what became of them is told there part by part (F130).
#[tokio::test(flavor = "multi_thread")]
async fn f130_a_file_is_sent_by_command_and_its_deliveries_are_told() -> anyhow::Result<()> {
    let world = World::start().await?;
    let account = world.account(Plan::default()).await?;
    let customer = 611;
    let (chat, token) = chat_with(&world, &account, customer).await?;
    let chat = chat.chat_id.as_str();
    let folder = tempfile::tempdir()?;
    let picture = file(folder.path(), "чек.png", PICTURE)?;
    // Larger than what is read at once.
    let table: Vec<u8> = b"size;price\n".repeat(20_000);
    let prices = file(folder.path(), "prices.csv", &table)?;

    let sent = json(
        &world,
        &token,
        &["chat", "send", chat, "Ось чек", "--file", &picture],
    )
    .await?;
    let message = text_of(&sent, "messageId")?;
    let told = settled(&world, &token, chat, &message).await?;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["state"], "STATE_SENT");
    let call = world.telegram.sent(&account.bot_token).pop();
    let call = call.context("a call")?;
    assert_eq!(
        (call.method.as_str(), &call.params["caption"]),
        ("sendPhoto", &"Ось чек".into())
    );
    assert_eq!(call.files[0].size, PICTURE.len());

    // Without a text, and what the name says it is.
    let sent = json(&world, &token, &["chat", "send", chat, "--file", &prices]).await?;
    let message = text_of(&sent, "messageId")?;
    settled(&world, &token, chat, &message).await?;
    let call = world.telegram.sent(&account.bot_token).pop();
    let call = call.context("a call")?;
    assert_eq!(
        (call.method.as_str(), call.files[0].size),
        ("sendDocument", table.len())
    );
    assert_eq!(
        (call.files[0].name.as_str(), call.files[0].mime.as_deref()),
        ("prices.csv", Some("text/csv"))
    );

    // What the provider refuses is told with its reason; the others of the chat stay beside it.
    world.telegram.fault(
        &account.bot_token,
        Fault::in_chat(customer, FaultKind::Blocked),
    )?;
    let sent = json(&world, &token, &["chat", "send", chat, "Ви тут?"]).await?;
    let message = text_of(&sent, "messageId")?;
    let told = settled(&world, &token, chat, &message).await?;
    assert_eq!(told[0]["state"], "STATE_FAILED");
    assert_eq!(told[0]["reason"], "CLIENT_BLOCKED_CHANNEL");
    let all = json(&world, &token, &["chat", "deliveries", chat]).await?;
    assert_eq!(all.as_array().map(Vec::len), Some(3));
    assert_eq!(all[0], told[0], "newest first");
    let table = say(&world, &token, &["chat", "deliveries", chat]).await?;
    for word in [
        "MESSAGE",
        "REASON",
        "failed",
        "sent",
        "CLIENT_BLOCKED_CHANNEL",
        &message,
    ] {
        assert!(table.contains(word), "{word} in\n{table}");
    }
    Ok(())
}

/// Nothing is uploaded where one of the files cannot be read; one that was uploaded for a message that is refused is
/// named, and can be sent later.
#[tokio::test(flavor = "multi_thread")]
async fn f130_a_file_whose_message_was_refused_is_named_and_sent_later() -> anyhow::Result<()> {
    let world = World::start().await?;
    let account = world.account(Plan::default()).await?;
    let (chat, token) = chat_with(&world, &account, 612).await?;
    let other = account
        .agents
        .iter()
        .find(|agent| agent.id.to_string() != chat.responsible_agent_id);
    let other = other.context("another agent")?.id;
    let stranger = world
        .system
        .tokens()
        .agent(&account.slug, other, "chats:* crm:*");
    let folder = tempfile::tempdir()?;
    let prices = file(folder.path(), "prices.txt", b"42: 900")?;

    let words = ["chat", "send", &chat.chat_id, "--file", &prices];
    let absent = [&words[..], &["--file", "/nowhere/absent.png"]].concat();
    let output = run(&world, &token, &absent).await?;
    let said = String::from_utf8(output.stderr)?;
    assert!(
        !output.status.success() && said.contains("absent.png"),
        "{said}"
    );
    assert!(!said.contains("--attachment"), "{said}");

    let output = run(&world, &stranger, &words).await?;
    let said = String::from_utf8(output.stderr)?;
    assert!(
        !output.status.success() && said.contains("JOIN_REQUIRED"),
        "{said}"
    );
    let id = said
        .split("--attachment ")
        .nth(1)
        .context("the file's id")?;
    let id = id.split_whitespace().next().context("the file's id")?;
    say(&world, &stranger, &["chat", "join", &chat.chat_id]).await?;
    let sent = json(
        &world,
        &stranger,
        &["chat", "send", &chat.chat_id, "--attachment", id],
    )
    .await?;
    let message = text_of(&sent, "messageId")?;
    let told = settled(&world, &stranger, &chat.chat_id, &message).await?;
    assert_eq!(told[0]["state"], "STATE_SENT");
    Ok(())
}

/// A channel's name, its short links (F195) and what it can (D15).
#[tokio::test(flavor = "multi_thread")]
async fn d15_f195_a_channel_is_renamed_and_tells_what_it_can_by_command() -> anyhow::Result<()> {
    let world = World::start().await?;
    let account = world.account(Plan::default()).await?;
    let token = world
        .system
        .tokens()
        .service(&account.slug, "admin", "channels:*");
    let channel = account.channel_id.as_str();
    let renamed = json(&world, &token, &["channel", "rename", channel, "Kyiv shop"]).await?;
    assert_eq!(renamed["name"], "Kyiv shop");

    for (word, shown) in [("on", "short"), ("off", "as-typed")] {
        say(&world, &token, &["channel", "short-links", channel, word]).await?;
        let known = say(&world, &token, &["channel", "show", channel]).await?;
        let line = known.lines().find(|line| line.starts_with("links"));
        assert_eq!(
            line.and_then(|line| line.split_whitespace().nth(1)),
            Some(shown),
            "{known}"
        );
        assert!(known.contains("Kyiv shop"), "{known}");
    }

    let can = json(&world, &token, &["channel", "capabilities", channel]).await?;
    assert_eq!(
        (&can["textLimit"], &can["reply"]),
        (&4_096.into(), &true.into())
    );
    let told = say(&world, &token, &["channel", "capabilities", channel]).await?;
    assert!(
        told.contains("4096 characters") && told.contains("50 MiB"),
        "{told}"
    );

    // Whoever may only read changes nothing.
    let reader = world
        .system
        .tokens()
        .service(&account.slug, "reader", "channels:read");
    let output = run(&world, &reader, &["channel", "rename", channel, "Mine"]).await?;
    assert_eq!(output.status.code(), Some(1));
    Ok(())
}
