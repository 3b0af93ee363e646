//! Quick replies from a terminal, with assignment knowing the groups and the gateway keeping the files.

use switchboard_tests::command::{json, run, say};
use switchboard_tests::world::{Plan, World, eventually};

use super::{PICTURE, chat_with, file, settled, text_of};

/// A group's reply with a file that an administrator prepared is found, rendered, corrected and sent by an agent of the group,
/// and by nobody else (F094, F095, F096, F097, B14).
#[tokio::test(flavor = "multi_thread")]
async fn b14_a_groups_reply_with_a_file_goes_from_its_folder_to_the_customer() -> anyhow::Result<()>
{
    let world = World::start().await?;
    let plan = Plan {
        agents: 2,
        ..Plan::default()
    };
    let account = world.account(plan).await?;
    let (chat, token) = chat_with(&world, &account, 619).await?;
    let (chat, number) = (chat.chat_id, chat.open_conversation.map(|open| open.number));
    let agent = account.agent(&chat_agent(&world, &token, &chat).await?)?;
    let tokens = world.system.tokens();
    let admin = tokens.service(&account.slug, "admin", "chats:* channels:* agents:*");
    let other = account.agents.iter().find(|one| one.id != agent.id);
    let other = other.map(|one| tokens.agent(&account.slug, one.id, "chats:*"));

    let id = agent.id.to_string();
    say(&world, &admin, &["group", "create", "Sales", &id]).await?;
    let folder = tempfile::tempdir()?;
    let picture = file(folder.path(), "prices.png", PICTURE)?;
    let words = "Hello, {{client.phone}}! {{agent.name}} about № {{conversation.number}}.";
    let create = [
        "reply",
        "create",
        "Prices",
        words,
        "--group",
        "Sales",
        "--folder",
        "Sales",
        "--shortcut",
        "/price",
        "--file",
        &picture,
    ];
    let made = json(&world, &admin, &create).await?;
    let reply = text_of(&made, "quickReplyId")?;
    assert_eq!(made["shortcut"], "price");

    let ids = say(&world, &token, &["reply", "list", "pri", "-o", "ids"]).await?;
    assert_eq!(ids.trim(), reply);
    let folders = json(&world, &token, &["reply", "folders"]).await?;
    assert_eq!(folders[0]["name"], "Sales");
    if let Some(other) = other {
        let none = say(&world, &other, &["reply", "list", "-o", "ids"]).await?;
        assert_eq!(none, "");
        let refused = run(&world, &other, &["reply", "render", &reply, &chat]).await?;
        assert!(!refused.status.success());
    }
    let change = ["reply", "update", &reply, "--title", "Mine"];
    let refused = run(&world, &token, &change).await?;
    assert!(String::from_utf8(refused.stderr)?.contains("settings"));

    let rendered = json(&world, &token, &["reply", "render", &reply, &chat]).await?;
    let text = text_of(&rendered["text"], "text")?;
    let number = number.unwrap_or_default();
    let name = text.strip_prefix("Hello! ");
    let name = name.and_then(|rest| rest.strip_suffix(&format!(" about № {number}.")));
    assert!(name.is_some_and(|name| !name.is_empty()), "{text}");
    assert_eq!(
        say(&world, &token, &["reply", "render", &reply, &chat]).await?,
        text.clone() + "\n"
    );
    let gone_out = world.telegram.sent(&account.bot_token).len();
    assert_eq!(gone_out, 0, "nothing is sent by it");

    let attachment = rendered["attachmentIds"][0].as_str().unwrap_or_default();
    let corrected = format!("{text} Corrected");
    let answer = [
        "chat",
        "send",
        &chat,
        &corrected,
        "--attachment",
        attachment,
    ];
    let message = json(&world, &token, &answer).await?;
    let message = text_of(&message, "messageId")?;
    let told = settled(&world, &token, &chat, &message).await?;
    assert!(
        told.iter().all(|part| part["state"] == "STATE_SENT"),
        "{told:?}"
    );
    eventually("the corrected text at the customer", async || {
        let sent = world.telegram.sent(&account.bot_token);
        let there = sent
            .iter()
            .any(|sent| format!("{sent:?}").contains("Corrected"));
        Ok(there.then_some(()))
    })
    .await?;
    let kept = json(&world, &token, &["reply", "show", &reply]).await?;
    assert_eq!(kept, made, "the reply stays as it was");
    say(&world, &admin, &["reply", "delete", &reply]).await?;
    let gone = run(&world, &token, &["reply", "show", &reply]).await?;
    assert!(!gone.status.success());
    Ok(())
}

/// Who answers for a chat.
async fn chat_agent(world: &World, token: &str, chat: &str) -> anyhow::Result<String> {
    let shown = json(world, token, &["chat", "show", chat]).await?;
    text_of(&shown, "responsibleAgentId")
}
