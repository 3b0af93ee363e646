//! What people who operate the system do from a terminal: see how it is, find out what is wrong, follow a message, replay
//! what could not be handled.

use anyhow::Context as _;
use serde_json::{Value, json};
use switchboard_tests::command::{json, run, say};
use switchboard_tests::services::Kind;
use switchboard_tests::world::{Account, Plan, World, eventually};

/// What `status` tells programs, whatever its exit code.
async fn status(world: &World) -> anyhow::Result<Value> {
    let token = world.system.tokens().operator();
    let told = run(world, &token, &["status", "-o", "json"]).await?;
    serde_json::from_slice(&told.stdout)
        .with_context(|| String::from_utf8_lossy(&told.stderr).into_owned())
}

fn of<'v>(status: &'v Value, service: &str) -> &'v Value {
    let services = status["services"].as_array().into_iter().flatten();
    let mut found = services.filter(|one| one["service"] == service);
    found.next().unwrap_or(&Value::Null)
}

/// A token of the account itself.
fn token_of(world: &World, account: &Account) -> String {
    let scopes = "chats:* crm:* channels:* agents:*";
    world
        .system
        .tokens()
        .service(&account.slug, "tests", scopes)
}

/// The status tells of every service, in one screen; while the broker or a service is away it says what and since when, and
/// afterwards that all is well again.
#[tokio::test(flavor = "multi_thread")]
async fn o201_o302_the_status_tells_of_all_services_and_of_what_is_away_since_when()
-> anyhow::Result<()> {
    let mut world = World::start().await?;
    let account = world.account(Plan::default()).await?;
    world
        .telegram
        .say(&account.bot_token, 901, "Добрий день")
        .await?;
    account.chat_of(901).await?;
    let well = eventually("all is well", async || {
        let told = status(&world).await?;
        let published = |kind: Kind| of(&told, kind.name())["outbox"]["events"] == "0";
        let calm = told["well"] == true && Kind::ALL.into_iter().all(published);
        Ok(calm.then_some(told))
    })
    .await?;
    for kind in Kind::ALL {
        let told = of(&well, kind.name());
        assert_eq!(told["replicas"][0]["ready"], true, "{told}");
        assert_ne!(told["consumers"], json!([]), "{told}");
    }
    let waiting = of(&well, "conversation")["findings"][0].clone();
    assert_eq!(
        (&waiting["subject"], &waiting["account"]),
        (&json!("waiting chats"), &json!(account.slug))
    );
    assert_eq!(waiting["count"], "1");
    let token = world.system.tokens().operator();
    let screen = say(&world, &token, &["status"]).await?;
    assert!(screen.starts_with("All is well"), "{screen}");
    assert!(screen.lines().count() <= 40, "{screen}");

    world.nats.kill()?;
    let away = eventually("the broker's absence is told", async || {
        let told = status(&world).await?;
        let parts = |kind: Kind| of(&told, kind.name())["unavailable"][0]["part"] == "nats";
        Ok(Kind::ALL.into_iter().all(parts).then_some(told))
    })
    .await?;
    for kind in Kind::ALL {
        let told = of(&away, kind.name());
        assert!(told["unavailable"][0]["sinceTime"].is_string(), "{told}");
        assert_eq!(
            told["outbox"]["events"], "0",
            "the database is asked all the same: {told}"
        );
    }
    let screen = say(&world, &token, &["status"]).await?;
    for words in [
        "nats away for",
        "NOT READY",
        "nats is away for all services",
    ] {
        assert!(screen.contains(words), "{words}\n{screen}");
    }
    world.nats.restart()?;

    world.system.kill(Kind::CrmCards)?;
    let gone = eventually("the rest is well again", async || {
        let told = status(&world).await?;
        let back = of(&told, "conversation")["unavailable"] == json!([]);
        Ok(back.then_some(told))
    })
    .await?;
    assert!(of(&gone, "crm-cards")["unreachable"].is_string(), "{gone}");
    assert_eq!(gone["problems"][0], "crm-cards cannot be reached", "{gone}");
    world.system.restart(Kind::CrmCards).await?;
    let back = eventually("the killed one is told as silent", async || {
        let told = status(&world).await?;
        let replicas = of(&told, "crm-cards")["replicas"]
            .as_array()
            .map_or(0, Vec::len);
        Ok((replicas == 2).then_some(told))
    })
    .await?;
    let replicas = &of(&back, "crm-cards")["replicas"];
    assert_ne!(replicas[0]["replicaId"], replicas[1]["replicaId"]);
    assert!(replicas[1]["reportTime"].as_str() < replicas[0]["reportTime"].as_str());
    Ok(())
}

/// Each thing that is examined is a line, and the exit code says how bad the worst is.
#[tokio::test(flavor = "multi_thread")]
async fn o106_the_doctor_tells_what_is_well_and_what_to_do_where_it_is_not() -> anyhow::Result<()> {
    let mut world = World::start().await?;
    world.account(Plan::default()).await?;
    let token = world.system.tokens().operator();
    let well = run(&world, &token, &["doctor", "-o", "json"]).await?;
    let told: Value = serde_json::from_slice(&well.stdout)?;
    let grade = |told: &Value, subject: &str| {
        let findings = told["findings"].as_array().into_iter().flatten();
        let of_subject = findings.filter(|one| one["subject"] == subject);
        of_subject
            .map(|one| one["grade"].as_str().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    for subject in [
        "reachable",
        "nats",
        "streams",
        "permissions",
        "postgres",
        "migrations",
        "jwks",
        "internal token",
        "object store",
        "webhook address",
        "channels",
        "clock",
        "versions",
    ] {
        let grades = grade(&told, subject);
        assert!(!grades.is_empty(), "{subject} in {told:#}");
        let fine = grades
            .iter()
            .all(|grade| grade == "ok" || (subject == "nats" && grade == "skip"));
        assert!(fine, "{subject}: {grades:?}\n{told:#}");
    }
    assert_eq!(well.status.code(), Some(0), "{told:#}");

    world.system.kill(Kind::Assignment)?;
    let broken = run(&world, &token, &["doctor"]).await?;
    let text = String::from_utf8(broken.stdout)?;
    assert_eq!(broken.status.code(), Some(2), "{text}");
    assert!(text.contains("fail reachable       assignment"), "{text}");
    assert!(text.contains("→ is it running?"), "{text}");
    Ok(())
}

/// A customer's message is found by its words, by its provider's key and by who wrote it, and followed to card, agent and
/// the answer's delivery; both decisions are explained by one verb.
#[tokio::test(flavor = "multi_thread")]
async fn o303_o304_a_message_is_followed_and_what_was_decided_is_explained() -> anyhow::Result<()> {
    let world = World::start().await?;
    let account = world.account(Plan::default()).await?;
    world
        .telegram
        .say(&account.bot_token, 902, "Чи є сорок другий розмір?")
        .await?;
    let chat = account.chat_of(902).await?.chat_id;
    let token = token_of(&world, &account);
    let found = eventually("the message with card and agent", async || {
        let told = json(&world, &token, &["find", "сорок", "другий"]).await?;
        let decided = told[0]["decision"]["outcome"].is_string()
            && told[0]["choices"]
                .as_array()
                .is_some_and(|choices| !choices.is_empty());
        Ok(decided.then_some(told))
    })
    .await?;
    assert_eq!(found.as_array().map(Vec::len), Some(1), "{found}");
    assert!(found[0]["storeTime"].is_string(), "{found}");
    let key = found[0]["message"]["providerKey"]
        .as_str()
        .context("a key")?
        .to_owned();
    let id = found[0]["message"]["messageId"]
        .as_str()
        .context("an id")?
        .to_owned();
    for by in [&key, &id] {
        let told = json(&world, &token, &["find", by]).await?;
        assert_eq!(
            told[0]["message"]["messageId"],
            id.as_str(),
            "by {by}: {told}"
        );
    }
    let nothing = json(&world, &token, &["find", "такого ніхто не писав"]).await?;
    assert_eq!(nothing, json!([]));
    let screen = say(&world, &token, &["find", &key]).await?;
    for words in [
        "stored       accepted from the provider",
        "card         created",
        "assignment",
    ] {
        assert!(screen.contains(words), "{words}\n{screen}");
    }

    let agent = account.agent(&account.chat_of(902).await?.responsible_agent_id)?;
    let of_agent = world
        .system
        .tokens()
        .agent(&account.slug, agent.id, "chats:* crm:*");
    say(
        &world,
        &of_agent,
        &["chat", "send", &chat, "Є, приходьте завтра"],
    )
    .await?;
    let delivered = eventually("the delivery", async || {
        let told = json(&world, &token, &["find", "приходьте"]).await?;
        Ok((told[0]["deliveries"][0]["state"] == "STATE_SENT").then_some(told))
    })
    .await?;
    assert_eq!(
        delivered[0]["decision"]["outcome"], "OUTCOME_CREATED",
        "{delivered}"
    );

    let card = account.cards(&chat).await?.pop().context("a card")?.card_id;
    for about in [&chat, &card, &id] {
        let why = json(&world, &token, &["explain", about]).await?;
        assert_eq!(
            why[0]["decision"]["cardId"],
            card.as_str(),
            "{about}: {why}"
        );
        assert_eq!(
            why[0]["choices"][0]["agentId"],
            agent.id.to_string(),
            "{about}: {why}"
        );
        assert!(
            why[0]["choices"][0]["candidates"][0]["agentId"].is_string(),
            "{why}"
        );
    }
    let screen = say(&world, &token, &["explain", &chat]).await?;
    assert!(
        screen.contains("facts") && screen.contains(" open"),
        "{screen}"
    );
    Ok(())
}

/// Has the provider send what nobody understands, three times in two ways.
async fn post_odd(world: &World, account: &Account) -> anyhow::Result<()> {
    let (url, secret) = world
        .telegram
        .webhook(&account.bot_token)
        .context("a webhook")?;
    let http = reqwest::Client::builder().no_proxy().build()?;
    for body in [
        "{ not json",
        "{ neither this",
        r#"{"update_id": 5, "shiny_new_thing": {"id": 1}}"#,
    ] {
        let posted = http
            .post(&url)
            .header("X-Telegram-Bot-Api-Secret-Token", &secret)
            .body(body);
        assert_eq!(posted.send().await?.status().as_u16(), 200, "{body}");
    }
    Ok(())
}

/// Dead letters are counted by cause, replayed by group with a dry run before, and a repeat changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn o305_dead_letters_are_replayed_by_cause_and_safely_twice() -> anyhow::Result<()> {
    let world = World::start().await?;
    let account = world.account(Plan::default()).await?;
    post_odd(&world, &account).await?;
    let token = world.system.tokens().operator();
    let groups = eventually("three letters", async || {
        let told = json(&world, &token, &["deadletter", "list", "--grouped"]).await?;
        let all: u64 = told
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|one| one["count"].as_u64())
            .sum();
        Ok((all == 3).then_some(told))
    })
    .await?;
    let first = &groups[0];
    assert!(
        first["firstTime"].is_string() && first["lastTime"].is_string(),
        "{groups}"
    );
    let group = first["group"].as_str().context("a group")?;
    let count = first["count"].as_u64().unwrap_or(0);
    let listed = json(&world, &token, &["deadletter", "list", "--group", group]).await?;
    assert_eq!(listed.as_array().map(|all| all.len() as u64), Some(count));
    let earlier = json(&world, &token, &["deadletter", "list", "--until", "1h"]).await?;
    assert_eq!(earlier, json!([]), "nothing is so old");

    let dry = run(
        &world,
        &token,
        &["deadletter", "replay", "--group", group, "--dry-run"],
    )
    .await?;
    let said = String::from_utf8(dry.stderr)?;
    assert!(
        dry.status.success() && said.contains("would replay"),
        "{said}"
    );
    let sequence = listed[0]["sequence"]
        .as_str()
        .context("a sequence")?
        .to_owned();
    let raw = run(&world, &token, &["deadletter", "show", &sequence, "--raw"]).await?;
    let raw = String::from_utf8_lossy(&raw.stdout).into_owned();
    assert!(
        raw.contains("not json") || raw.contains("neither") || raw.contains("shiny"),
        "{raw}"
    );

    // What nobody understands fails again and stays; a letter that is gone is no failure.
    let failing = run(
        &world,
        &token,
        &[
            "deadletter",
            "replay",
            "--group",
            group,
            "--rate",
            "100",
            "-o",
            "json",
        ],
    )
    .await?;
    assert_eq!(
        failing.status.code(),
        Some(1),
        "{}",
        String::from_utf8_lossy(&failing.stderr)
    );
    let outcomes: Value = serde_json::from_slice(&failing.stdout)?;
    assert_eq!(outcomes[0]["handled"], false, "{outcomes}");
    let gone = run(
        &world,
        &token,
        &["deadletter", "replay", "999999", "-o", "json"],
    )
    .await?;
    assert!(
        gone.status.success(),
        "{}",
        String::from_utf8_lossy(&gone.stderr)
    );
    let outcomes: Value = serde_json::from_slice(&gone.stdout)?;
    assert_eq!(outcomes[0]["gone"], true, "{outcomes}");
    Ok(())
}

/// A dry run tells what would change and changes nothing; a production context is not changed where nobody can say yes.
#[tokio::test(flavor = "multi_thread")]
async fn o203_o204_nothing_is_changed_by_a_dry_run_nor_in_production_without_a_yes()
-> anyhow::Result<()> {
    let world = World::start().await?;
    let account = world.account(Plan::default()).await?;
    let token = token_of(&world, &account);
    let agents = json(&world, &token, &["agent", "list"]).await?;
    let (id, name) = (&agents[0]["agentId"], &agents[0]["name"]);
    let (id, name) = (
        id.as_str().context("an id")?,
        name.as_str().context("a name")?,
    );
    let rename = ["agent", "update", id, "--name", "Somebody else"];
    let name_now = async || {
        let agents = json(&world, &token, &["agent", "list"]).await?;
        let all = agents.as_array().into_iter().flatten();
        let mut same = all.filter(|agent| agent["agentId"] == id);
        Ok::<_, anyhow::Error>(same.next().map(|agent| agent["name"].clone()))
    };
    let shown = say(&world, &token, &[&rename[..], &["--dry-run"]].concat()).await?;
    assert!(shown.contains(&format!("- name: {name}")), "{shown}");
    assert!(shown.contains("+ name: Somebody else"), "{shown}");
    assert_eq!(name_now().await?, Some(json!(name)));

    let folder = tempfile::tempdir()?;
    let contexts = folder.path().join("contexts.yaml");
    let command = async |arguments: &[&str]| {
        let mut command =
            tokio::process::Command::new(switchboard_tests::services::binary("switchboardctl")?);
        command
            .env("SWITCHBOARD_CTL_CONTEXTS", &contexts)
            .env("HOME", folder.path());
        command.args(arguments).stdin(std::process::Stdio::null());
        Ok::<_, anyhow::Error>(command.output().await?)
    };
    let mut add = vec![
        "context".to_owned(),
        "add".into(),
        "live".into(),
        "--production".into(),
    ];
    for kind in Kind::ALL {
        add.extend([format!("--{}", kind.name()), world.system.grpc_url(kind)?]);
    }
    add.extend([
        "--account".into(),
        account.slug.clone(),
        "--token".into(),
        token.clone(),
    ]);
    let add: Vec<&str> = add.iter().map(String::as_str).collect();
    let added = command(&add).await?;
    assert!(
        added.status.success(),
        "{}",
        String::from_utf8_lossy(&added.stderr)
    );
    let shown = command(&["context", "show"]).await?;
    assert!(!String::from_utf8_lossy(&shown.stdout).contains(&token));
    let read = command(&["agent", "list", "-o", "ids"]).await?;
    assert!(
        read.status.success(),
        "{}",
        String::from_utf8_lossy(&read.stderr)
    );
    let refused = command(&rename).await?;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("live is a production one"), "{said}");
    assert_eq!(name_now().await?, Some(json!(name)));
    let meant = command(&[&rename[..], &["--yes"]].concat()).await?;
    assert!(
        meant.status.success(),
        "{}",
        String::from_utf8_lossy(&meant.stderr)
    );
    assert_eq!(name_now().await?, Some(json!("Somebody else")));

    // Completions ask the server: the agent is offered by the name it has now.
    let mut asked =
        tokio::process::Command::new(switchboard_tests::services::binary("switchboardctl")?);
    asked
        .env("SWITCHBOARD_CTL_CONTEXTS", &contexts)
        .env("HOME", folder.path());
    asked
        .env("COMPLETE", "fish")
        .args(["--", "switchboardctl", "agent", "update", "Some"]);
    let offered = String::from_utf8(asked.output().await?.stdout)?;
    assert!(offered.contains("Somebody else"), "{offered:?}");
    Ok(())
}

/// Rows are narrowed by their fields, and answers come as programs want them.
#[tokio::test(flavor = "multi_thread")]
async fn o202_lists_are_narrowed_and_written_in_each_form() -> anyhow::Result<()> {
    let world = World::start().await?;
    let account = world.account(Plan::default()).await?;
    let token = token_of(&world, &account);
    let all = json(&world, &token, &["agent", "list"]).await?;
    let name = all[0]["name"].as_str().context("a name")?;
    let one = json(
        &world,
        &token,
        &["agent", "list", "--where", &format!("name={name}")],
    )
    .await?;
    assert_eq!(one.as_array().map(Vec::len), Some(1));
    let yaml = say(&world, &token, &["agent", "list", "-o", "yaml"]).await?;
    assert!(
        yaml.starts_with("- ") && yaml.contains("\n  agentId: "),
        "{yaml}"
    );
    let names = say(&world, &token, &["agent", "list", "-o", "name"]).await?;
    assert_eq!(names.lines().count(), all.as_array().map_or(0, Vec::len));
    let wide = say(&world, &token, &["channel", "list", "-o", "wide"]).await?;
    assert!(wide.contains("TOKEN ENDS"), "{wide}");
    let none = run(
        &world,
        &token,
        &["agent", "list", "--where", "name=nobody", "--fail-empty"],
    )
    .await?;
    assert_eq!(none.status.code(), Some(3));
    let odd = run(&world, &token, &["agent", "list", "--where", "nme=x"]).await?;
    assert_eq!(odd.status.code(), Some(2));
    Ok(())
}

/// Each service tells what it is.
#[test]
fn o107_each_service_tells_its_version() -> anyhow::Result<()> {
    for kind in Kind::ALL {
        let binary = switchboard_tests::services::binary(kind.name())?;
        let output = std::process::Command::new(binary)
            .args(["version", "--output", "json"])
            .env_clear()
            .output()?;
        let told: Value = serde_json::from_slice(&output.stdout)?;
        assert_eq!(told["service"], kind.name());
        assert!(told["schema"]["service"].as_u64() > Some(0), "{told}");
        assert!(told["events"]["published"].as_u64() > Some(0), "{told}");
        assert!(
            told["build"]
                .as_str()
                .is_some_and(|build| build.contains("rustc")),
            "{told}"
        );
    }
    Ok(())
}
