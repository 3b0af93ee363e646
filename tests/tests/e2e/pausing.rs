//! What operators stop for a while (O3.6): a channel, a consumer, the deliveries of an account, a replica. Nothing is lost, nothing
//! fails, the order stays, everybody is told, and it ends by itself.

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use switchboard_proto::common::v1::Text;
use switchboard_proto::conversation::v1::{SendMessageRequest, message_delivery::State};
use switchboard_tests::command::{json, run, say};
use switchboard_tests::replicas::Replica;
use switchboard_tests::services::Kind;
use switchboard_tests::world::{Account, Plan, World, eventually};
use uuid::Uuid;

use super::channels::{delivered, settled};

/// A customer has written, and somebody answers for the chat: its id.
async fn chat(world: &World, account: &Account, customer: i64) -> anyhow::Result<String> {
    let telegram = &world.telegram;
    telegram.say(&account.bot_token, customer, "Hello").await?;
    Ok(settled(account, &customer.to_string()).await?.chat_id)
}

/// The responsible answers: the message's id.
async fn answer(account: &Account, customer: i64, text: &str) -> anyhow::Result<String> {
    let chat = settled(account, &customer.to_string()).await?;
    let agent = account.agent(&chat.responsible_agent_id)?;
    let request = SendMessageRequest {
        request_id: Uuid::new_v4().to_string(),
        chat_id: chat.chat_id,
        text: Some(Text {
            text: text.into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let sent = agent
        .clients
        .conversation
        .clone()
        .send_message(request)
        .await?;
    Ok(sent.into_inner().message.context("a message")?.message_id)
}

fn texts(world: &World, account: &Account) -> Vec<String> {
    let sent = world.telegram.sent(&account.bot_token);
    let texts = sent.iter().filter_map(|sent| sent.params.get("text"));
    texts
        .filter_map(|text| Some(text.as_str()?.to_owned()))
        .collect()
}

/// What `status` tells programs.
async fn status(world: &World, token: &str) -> anyhow::Result<Value> {
    let told = run(world, token, &["status", "-o", "json"]).await?;
    Ok(serde_json::from_slice(&told.stdout)?)
}

fn of<'v>(status: &'v Value, service: &str) -> &'v Value {
    let mut services = status["services"].as_array().into_iter().flatten();
    services
        .find(|one| one["service"] == service)
        .unwrap_or(&Value::Null)
}

/// Sentences of the status about what is wrong.
fn problems(status: &Value) -> Vec<&str> {
    let problems = status["problems"].as_array().into_iter().flatten();
    problems.filter_map(Value::as_str).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn o3_6_a_paused_channel_is_silent_and_hears_through_a_restart_until_it_is_resumed()
-> anyhow::Result<()> {
    let mut world = World::start().await?;
    let account = world.account(Plan::default()).await?;
    let other = world.account(Plan::default()).await?;
    let token = world.system.tokens().operator();
    let chat_id = chat(&world, &account, 501).await?;
    chat(&world, &other, 502).await?;

    let channel = account.channel_id.as_str();
    let pause = [
        "pause", "channel", channel, "--for", "1h", "--reason", "a flood",
    ];
    let shown = say(&world, &token, &[pause.as_slice(), &["--dry-run"]].concat()).await?;
    ensure!(shown.contains("+ reason: a flood"), "{shown}");
    let none = json(&world, &token, &["pause", "list"]).await?;
    ensure!(none == json!([]), "a dry run changes nothing: {none}");
    let paused = json(&world, &token, &pause).await?;
    ensure!(
        paused["name"] == "Shop bot" && paused["actor"] == "service:operator",
        "{paused}"
    );

    let first = answer(&account, 501, "first").await?;
    let second = answer(&account, 501, "second").await?;
    // Another account's answer came later, and has gone: these would have gone before.
    let elsewhere = answer(&other, 502, "elsewhere").await?;
    let other_chat = other.chat_of(502).await?.chat_id;
    delivered(&other, &other_chat, &elsewhere, State::Sent).await?;
    ensure!(texts(&world, &account).is_empty());
    delivered(&account, &chat_id, &first, State::Queued).await?;

    // A restart ends nothing, and the client is heard all the time.
    ensure!(world.system.terminate(Kind::ChannelGateway)?);
    world.system.restart(Kind::ChannelGateway).await?;
    world
        .telegram
        .say(&account.bot_token, 501, "Are you there?")
        .await?;
    eventually("the client is heard", async || {
        Ok((account.chat_of(501).await?.unanswered == 2).then_some(()))
    })
    .await?;
    let later = answer(&other, 502, "later").await?;
    delivered(&other, &other_chat, &later, State::Sent).await?;
    ensure!(texts(&world, &account).is_empty());

    let told = status(&world, &token).await?;
    ensure!(told["well"] == false);
    let sentence = problems(&told)
        .into_iter()
        .find(|it| it.starts_with("channel Shop bot of"));
    ensure!(
        sentence.is_some_and(|it| it.ends_with("more: a flood")),
        "{told:#}"
    );
    let screen = say(&world, &token, &["status"]).await?;
    ensure!(
        screen.contains("PAUSED        channel Shop bot"),
        "{screen}"
    );
    let examined = run(&world, &token, &["doctor"]).await?;
    let text = String::from_utf8(examined.stdout)?;
    ensure!(examined.status.code() == Some(1), "{text}");
    ensure!(
        text.contains("warn paused") && text.contains("switchboardctl resume channel"),
        "{text}"
    );

    say(&world, &token, &["resume", "channel", channel]).await?;
    delivered(&account, &chat_id, &second, State::Sent).await?;
    ensure!(texts(&world, &account) == ["first", "second"]);
    let again = run(&world, &token, &["resume", "channel", channel]).await?;
    ensure!(again.status.success(), "twice is once");

    // Whoever administers the account is told as well, and the operators' list remembers.
    let admin = world
        .system
        .tokens()
        .service(&account.slug, "admin", "agents:* channels:*");
    eventually("both acts in the audit", async || {
        let list = ["audit", "list", "--actor", "service:operator"];
        let entries = json(&world, &admin, &list).await?;
        let entries = entries.as_array().into_iter().flatten();
        let actions: Vec<&str> = entries.filter_map(|it| it["action"].as_str()).collect();
        Ok(actions
            .starts_with(&["channel.resume", "channel.pause"])
            .then_some(()))
    })
    .await?;
    let ended = json(&world, &token, &["pause", "list", "--ended"]).await?;
    ensure!(ended[0]["endedBy"] == "service:operator", "{ended}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn o3_6_deliveries_of_an_account_wait_and_go_by_themselves_when_the_time_has_come()
-> anyhow::Result<()> {
    let world = World::start().await?;
    let account = world.account(Plan::default()).await?;
    let other = world.account(Plan::default()).await?;
    let token = world.system.tokens().operator();
    let chat_id = chat(&world, &account, 511).await?;
    chat(&world, &other, 512).await?;

    for (lasting, said) in [("25h", "86400"), ("0s", "86400")] {
        let pause = [
            "pause",
            "deliveries",
            &account.slug,
            "--for",
            lasting,
            "--reason",
            "x",
        ];
        let refused = run(&world, &token, &pause).await?;
        let text = String::from_utf8(refused.stderr)?;
        ensure!(!refused.status.success() && text.contains(said), "{text}");
    }
    let pause = [
        "pause",
        "deliveries",
        &account.slug,
        "--for",
        "6s",
        "--reason",
        "a check",
    ];
    let paused = json(&world, &token, &pause).await?;
    let ends: time::OffsetDateTime = time::OffsetDateTime::parse(
        paused["endTime"].as_str().context("its end")?,
        &time::format_description::well_known::Rfc3339,
    )?;
    answer(&account, 511, "one").await?;
    let last = answer(&account, 511, "two").await?;
    let elsewhere = answer(&other, 512, "elsewhere").await?;
    let other_chat = other.chat_of(512).await?.chat_id;
    delivered(&other, &other_chat, &elsewhere, State::Sent).await?;

    delivered(&account, &chat_id, &last, State::Sent).await?;
    ensure!(texts(&world, &account) == ["one", "two"]);
    let sent = world.telegram.sent(&account.bot_token);
    let begun = sent.first().context("a call")?.at_ms;
    ensure!(
        i128::from(begun) >= ends.unix_timestamp_nanos() / 1_000_000,
        "{begun} is before {ends}"
    );
    eventually("all is well again", async || {
        let told = status(&world, &token).await?;
        Ok((of(&told, "channel-gateway")["pauses"] == json!([])).then_some(()))
    })
    .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn o3_6_a_paused_consumer_takes_nothing_and_loses_nothing_through_a_restart()
-> anyhow::Result<()> {
    let mut world = World::start().await?;
    let account = world.account(Plan::default()).await?;
    let token = world.system.tokens().operator();
    let unknown = [
        "pause", "consumer", "inbound", "--for", "1h", "--reason", "x",
    ];
    let refused = run(&world, &token, &unknown).await?;
    let text = String::from_utf8(refused.stderr)?;
    ensure!(text.contains("conversation-inbound"), "{text}");

    let consumer = "conversation-inbound";
    let pause = [
        "pause", "consumer", consumer, "--for", "1h", "--reason", "a fix",
    ];
    say(&world, &token, &pause).await?;
    world.system.kill(Kind::Conversation)?;
    world.system.restart(Kind::Conversation).await?;
    world
        .telegram
        .say(&account.bot_token, 521, "Accepted")
        .await?;
    eventually("it waits in the stream", async || {
        let told = status(&world, &token).await?;
        let consumers = of(&told, "conversation")["consumers"].as_array().cloned();
        let waits = consumers.into_iter().flatten().any(|one| {
            one["consumer"] == consumer && (one["pending"] != "0" || one["ackPending"] != "0")
        });
        let sentence = format!("{consumer} is paused for");
        let said = problems(&told).iter().any(|it| it.starts_with(&sentence));
        Ok((waits && said).then_some(()))
    })
    .await?;
    ensure!(account.chats().await?.is_empty());
    let told = status(&world, &token).await?;
    ensure!(
        of(&told, "conversation")["replicas"][0]["ready"] == true,
        "whoever paused it knows: {told:#}"
    );
    say(&world, &token, &["resume", "consumer", consumer]).await?;
    account.chat_of(521).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn o3_6_a_drained_replica_gives_its_work_to_the_others() -> anyhow::Result<()> {
    let world = World::start().await?;
    let account = world.account(Plan::default()).await?;
    let token = world.system.tokens().operator();
    let told = status(&world, &token).await?;
    let only = of(&told, "conversation")["replicas"][0]["replicaId"]
        .as_str()
        .context("a replica")?
        .to_owned();
    let drain = ["drain", &only, "--for", "1h", "--reason", "a look"];
    let refused = run(&world, &token, &drain).await?;
    let text = String::from_utf8(refused.stderr)?;
    ensure!(
        !refused.status.success() && text.contains("no other replica is ready"),
        "{text}"
    );

    let mut second = Replica::new(Kind::Conversation, 2)?;
    second.launch(&world.system)?;
    second.wait_ready().await?;
    let replica = |told: &Value| {
        let replicas = of(told, "conversation")["replicas"].as_array().cloned();
        let mut replicas = replicas.into_iter().flatten();
        replicas.find(|one| one["replicaId"] == only.as_str())
    };
    // Until the first has heard that the second is ready.
    eventually("it is drained", async || {
        let drained = run(&world, &token, &drain).await?;
        Ok(drained.status.success().then_some(()))
    })
    .await?;
    let told = eventually("the drained replica is not ready", async || {
        let told = status(&world, &token).await?;
        let ready = replica(&told).context("the replica")?["ready"].clone();
        Ok((ready == false).then_some(told))
    })
    .await?;
    let checks = replica(&told).context("the replica")?["checks"].clone();
    let checks = checks.as_array().into_iter().flatten();
    let held: Vec<&Value> = checks.filter(|check| check["ok"] == false).collect();
    ensure!(
        held.len() == 1 && held[0]["name"] == "drained",
        "nothing else is wrong: {held:?}"
    );
    let sentence = "a replica of conversation (";
    ensure!(
        problems(&told).iter().any(|it| it.starts_with(sentence)),
        "{told:#}"
    );
    ensure!(
        !problems(&told).iter().any(|it| it.contains("not ready")),
        "{told:#}"
    );
    let log = std::fs::read_to_string(world.system.log(Kind::Conversation))?;
    ensure!(log.contains("stopped pulling"), "it hands back what it has");

    chat(&world, &account, 531).await?;
    let handled = std::fs::read_to_string(world.system.folder().join("conversation-2.log"))?;
    ensure!(!handled.contains("stopped pulling"));
    let resume = ["resume", "replica", &only];
    say(&world, &token, &resume).await?;
    eventually("it is ready again", async || {
        let told = status(&world, &token).await?;
        Ok((replica(&told).context("the replica")?["ready"] == true).then_some(()))
    })
    .await?;
    ensure!(second.terminate()?);
    Ok(())
}
