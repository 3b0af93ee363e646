//! Saved filters and presence in chats from a terminal (B13, B19).

use switchboard_tests::command::{json, run, say};
use switchboard_tests::world::{Plan, World, eventually};

use super::{chat_with, text_of};

/// A filter is kept, told as it is typed, applied to a list with more typed beside it, changed and deleted.
#[tokio::test(flavor = "multi_thread")]
async fn b13_a_list_is_kept_under_a_name_and_applied_by_it() -> anyhow::Result<()> {
    let world = World::start().await?;
    let account = world.account(Plan::default()).await?;
    let (chat, token) = chat_with(&world, &account, 621).await?;
    let chat = chat.chat_id.as_str();
    say(&world, &token, &["chat", "label", chat, "VIP"]).await?;

    let create = [
        "filter",
        "create",
        "My VIPs",
        "--responsible",
        "me",
        "--label",
        "vip",
    ];
    let made = json(&world, &token, &create).await?;
    let filter = text_of(&made, "filterId")?;
    let told = say(&world, &token, &["filter", "list"]).await?;
    for word in [&*filter, "My VIPs", "own", "--responsible me --label vip"] {
        assert!(told.contains(word), "{word} in\n{told}");
    }
    let listed = async |more: &[&str]| {
        let list = [&["chat", "list", "--filter", "my vips", "-o", "ids"], more].concat();
        say(&world, &token, &list).await
    };
    assert_eq!(listed(&[]).await?.trim(), chat);
    assert_eq!(listed(&["--responsible", "none"]).await?, "");

    let update = ["filter", "update", "My VIPs", "--name", "Asleep"];
    say(&world, &token, &update).await?;
    let update = ["filter", "update", "asleep", "--snoozed", "yes"];
    let changed = json(&world, &token, &update).await?;
    assert_eq!(changed["filterId"], filter.as_str());
    assert_eq!(
        changed["list"]["label"], "",
        "the list is another one, whole"
    );
    let asleep = ["chat", "list", "--filter", &filter];
    let nobody = say(&world, &token, &[&asleep[..], &["-o", "ids"]].concat()).await?;
    assert_eq!(nobody, "");
    say(&world, &token, &["chat", "snooze", chat, "--for", "2h"]).await?;
    let table = say(&world, &token, &asleep).await?;
    for word in ["LABELS", "VIP", "snoozed, back in"] {
        assert!(table.contains(word), "{word} in\n{table}");
    }

    // One that all share: here a service's token makes it, and the agent lists by it.
    let admin = world
        .system
        .tokens()
        .service(&account.slug, "admin", "chats:*");
    let shared = ["filter", "create", "Late", "--shared", "--unanswered"];
    say(&world, &admin, &shared).await?;
    let late = say(&world, &token, &["chat", "list", "--filter", "late"]).await?;
    assert!(late.contains(chat), "{late}");

    say(&world, &token, &["filter", "delete", "Asleep"]).await?;
    let gone = run(&world, &token, &asleep).await?;
    assert!(String::from_utf8(gone.stderr)?.contains("no filter is named"));
    Ok(())
}

/// Who writes in a chat is seen there until they say that they have left.
#[tokio::test(flavor = "multi_thread")]
async fn b19_who_is_in_a_chat_is_told_by_command() -> anyhow::Result<()> {
    let world = World::start().await?;
    let account = world.account(Plan::default()).await?;
    let (chat, token) = chat_with(&world, &account, 622).await?;
    let agent = chat.responsible_agent_id.as_str();
    let chat = chat.chat_id.as_str();
    let says = async |word: &str| say(&world, &token, &["chat", "presence", chat, word]).await;
    let present = async || json(&world, &token, &["chat", "presence", chat]).await;
    assert_eq!(present().await?, serde_json::json!([]));
    for (word, expected) in [
        ("--viewing", "ACTIVITY_VIEWING"),
        ("--typing", "ACTIVITY_TYPING"),
    ] {
        let told = says(word).await?;
        assert!(told.contains(word.trim_start_matches("--")), "{told}");
        eventually("the agent in the chat", async || {
            let there = present().await?;
            let sees = there[0]["agentId"] == agent && there[0]["activity"] == expected;
            Ok(sees.then_some(()))
        })
        .await?;
    }
    says("--left").await?;
    eventually("nobody in the chat", async || {
        Ok((present().await? == serde_json::json!([])).then_some(()))
    })
    .await
}
