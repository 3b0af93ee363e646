//! A rehearsal (O1.5): what `helm test` runs, against a real system.

use serde_json::{Value, json};
use switchboard_tests::command;
use switchboard_tests::services::Kind;
use switchboard_tests::world::{Account, Plan, World, eventually};

fn token_of(world: &World, account: &Account) -> String {
    let scopes = "chats:* crm:* channels:* agents:*";
    world
        .system
        .tokens()
        .service(&account.slug, "rehearsal", scopes)
}

/// Plays a rehearsal; returns its exit code and what it told.
async fn rehearse(world: &World, token: &str, patience: &str) -> anyhow::Result<(i32, Value)> {
    let webhooks = world.system.http_url()?;
    let arguments = [
        "rehearse",
        "--webhooks",
        &webhooks,
        "--patience",
        patience,
        "-o",
        "json",
    ];
    let played = command::run(world, token, &arguments).await?;
    let told = serde_json::from_slice(&played.stdout)
        .map_err(|_| anyhow::anyhow!("{}", String::from_utf8_lossy(&played.stderr)))?;
    Ok((played.status.code().unwrap_or(-1), told))
}

fn steps(told: &Value) -> Vec<&str> {
    let steps = told["steps"].as_array().into_iter().flatten();
    steps.filter_map(|step| step["step"].as_str()).collect()
}

/// What an account has: everything that a rehearsal could leave behind.
async fn there_is(world: &World, token: &str) -> anyhow::Result<Value> {
    let list = async |noun: &'static str| command::json(world, token, &[noun, "list"]).await;
    Ok(json!({
        "channels": list("channel").await?, "chats": list("chat").await?, "cards": list("card").await?,
        "agents": list("agent").await?, "pipelines": list("pipeline").await?, "contacts": list("contact").await?,
    }))
}

fn count(there: &Value) -> Vec<(&str, usize)> {
    let kinds = there.as_object().into_iter().flatten();
    kinds
        .map(|(kind, all)| (kind.as_str(), all.as_array().map_or(0, Vec::len)))
        .collect()
}

fn named<'v>(there: &'v Value, kind: &str) -> Vec<&'v Value> {
    let all = there[kind].as_array().into_iter().flatten();
    all.filter(|one| one["name"] == "Rehearsal").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn o105_a_rehearsal_goes_through_the_whole_system_and_puts_everything_away()
-> anyhow::Result<()> {
    let world = World::start().await?;
    let account = world.account(Plan::default()).await?;
    let token = token_of(&world, &account);
    let before = there_is(&world, &token).await?;

    let (code, told) = rehearse(&world, &token, "30").await?;
    assert_eq!((code, &told["passed"]), (0, &json!(true)), "{told:#}");
    let all = [
        "prepared", "accepted", "stored", "card", "assigned", "put away",
    ];
    assert_eq!(steps(&told), all, "{told:#}");
    assert_eq!(told["left"], json!([]), "{told:#}");

    let after = there_is(&world, &token).await?;
    for (kind, there) in count(&after) {
        let of_it = before[kind].as_array().map_or(0, Vec::len);
        // What cannot be deleted is there once, and switched off; the card is gone.
        let more = usize::from(kind != "cards");
        assert_eq!(there, of_it + more, "{kind}: {after:#}");
    }
    let channel = named(&after, "channels")[0];
    assert_eq!(channel["state"], "STATE_DISCONNECTED", "{channel:#}");
    let agent = named(&after, "agents")[0];
    assert_ne!(agent["active"], json!(true), "{agent:#}");
    let chats = after["chats"].as_array().into_iter().flatten();
    let chat = chats
        .into_iter()
        .find(|chat| chat["channelId"] == channel["channelId"])
        .unwrap_or(&Value::Null);
    assert_eq!(chat["state"], "STATE_INACTIVE", "{chat:#}");
    for flag in ["unread", "waiting", "openConversation"] {
        let quiet = [json!(null), json!(false)].contains(&chat[flag]);
        assert!(quiet, "{flag}: {chat:#}");
    }

    // Another one finds what is there, and leaves no more of it.
    let (code, told) = rehearse(&world, &token, "30").await?;
    assert_eq!(code, 0, "{told:#}");
    let again = there_is(&world, &token).await?;
    assert_eq!(count(&again), count(&after), "{again:#}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn o105_a_rehearsal_that_breaks_off_says_where_and_the_next_one_takes_up_what_it_left()
-> anyhow::Result<()> {
    let mut world = World::start().await?;
    let account = world.account(Plan::default()).await?;
    let token = token_of(&world, &account);
    let played = command::run(&world, &token, &["rehearse", "--webhooks", "ftp://x"]).await?;
    assert_eq!(played.status.code(), Some(2), "{played:?}");

    // Accepted is a message all the same, and stored once somebody can.
    world.system.kill(Kind::Conversation)?;
    let (code, told) = rehearse(&world, &token, "2").await?;
    assert_eq!((code, &told["passed"]), (1, &json!(false)), "{told:#}");
    assert_eq!(
        steps(&told),
        ["prepared", "accepted", "put away"],
        "{told:#}"
    );
    assert!(told["error"].is_string(), "{told:#}");
    assert_ne!(told["left"], json!([]), "{told:#}");
    let channels = command::json(&world, &token, &["channel", "list"]).await?;
    let channels = json!({ "channels": channels });
    let channel = named(&channels, "channels")[0];
    assert_eq!(channel["state"], "STATE_DISCONNECTED", "{channel:#}");
    world.system.restart(Kind::Conversation).await?;

    let (code, told) = eventually("a rehearsal goes through again", async || {
        let (code, told) = rehearse(&world, &token, "30").await?;
        Ok((code == 0).then_some((code, told)))
    })
    .await?;
    assert_eq!((code, &told["left"]), (0, &json!([])), "{told:#}");
    let after = there_is(&world, &token).await?;
    assert_eq!(after["cards"], json!([]), "{after:#}");
    assert_eq!(named(&after, "channels").len(), 1, "{after:#}");
    assert_eq!(named(&after, "agents").len(), 1, "{after:#}");
    Ok(())
}
