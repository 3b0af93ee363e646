//! Log lines: one JSON object each, with the same keys everywhere, nothing personal, and a level that is changed while it runs.

use std::collections::BTreeSet;

use anyhow::Context as _;
use reqwest::StatusCode;
use serde_json::{Map, Value};
use switchboard_tests::services::{Kind, binary};
use switchboard_tests::world::{Plan, World, eventually};
use tonic_types::StatusExt as _;
use uuid::Uuid;

use super::talk;

/// Keys of every line.
const KEYS: [&str; 4] = ["time", "level", "service", "target"];

fn lines(world: &World, kind: Kind) -> anyhow::Result<Vec<Map<String, Value>>> {
    let text = std::fs::read_to_string(world.system.log(kind))?;
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole
        .lines()
        .map(|line| {
            serde_json::from_str(line).with_context(|| format!("{}: {line:?}", kind.name()))
        })
        .collect()
}

/// O2.10: each line of each service is one JSON object with time, level, service and target; what customers and agents wrote, and
/// the bot's token, stand in none.
#[tokio::test(flavor = "multi_thread")]
async fn o210_every_line_is_json_with_the_same_keys_and_says_nothing_personal() -> anyhow::Result<()>
{
    let world = World::start().await?;
    let account = world.account(Plan::default()).await?;
    talk(&world, &account, 7_301_226_115).await?;
    for kind in Kind::ALL {
        let lines = lines(&world, kind)?;
        assert!(lines.len() > 5, "{}: {}", kind.name(), lines.len());
        for line in &lines {
            for key in KEYS {
                assert!(line[key].is_string(), "{}: {line:?}", kind.name());
            }
            assert_eq!(line["service"], kind.name());
        }
        let text = std::fs::read_to_string(world.system.log(kind))?;
        for private in [
            "Do you have it in blue?",
            "In blue and in red.",
            "7301226115",
            &account.bot_token,
        ] {
            assert!(!text.contains(private), "{}: {private}", kind.name());
        }
    }
    Ok(())
}

/// O2.10: which lines are written is changed while the service runs, for a while, and only from the machine itself.
#[tokio::test(flavor = "multi_thread")]
async fn o210_the_level_is_changed_while_it_runs_and_falls_back() -> anyhow::Result<()> {
    let world = World::start().await?;
    let kind = Kind::Conversation;
    let admin = &world
        .system
        .addresses(kind)
        .context("a running service")?
        .admin;
    let address = format!("http://{admin}/log-filter");
    let client = reqwest::Client::new();
    let get =
        async || -> anyhow::Result<String> { Ok(client.get(&address).send().await?.text().await?) };
    let configured = get().await?;
    let refused = client
        .put(&address)
        .body("conversation=louder")
        .send()
        .await?;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    let long = client
        .put(format!("{address}?for=5h"))
        .body("info")
        .send()
        .await?;
    assert_eq!(long.status(), StatusCode::BAD_REQUEST);
    let levels = || -> anyhow::Result<BTreeSet<String>> {
        let lines = lines(&world, kind)?;
        Ok(lines
            .iter()
            .filter_map(|line| Some(line["level"].as_str()?.to_owned()))
            .collect())
    };
    assert!(!levels()?.contains("debug"));
    let changed = client
        .put(format!("{address}?for=3s"))
        .body("debug")
        .send()
        .await?;
    assert_eq!(changed.status(), StatusCode::OK);
    assert_eq!(get().await?, "debug\n");
    eventually("lines of the level debug", async || {
        Ok(levels()?.contains("debug").then_some(()))
    })
    .await?;
    eventually("the configured filter again", async || {
        Ok((get().await? == configured).then_some(()))
    })
    .await
}

/// O3.9: a process that fails leaves the cause, then its last lines, where Kubernetes looks for them.
#[tokio::test]
async fn o39_a_process_that_fails_leaves_cause_and_last_lines() -> anyhow::Result<()> {
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    for (variable, value, cause, text) in [
        (
            "ADMIN__LISTEN",
            address.as_str(),
            "start",
            "cannot be bound",
        ),
        ("RELAY__MODE", "sometimes", "configuration", "relay.mode"),
    ] {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("termination-log");
        std::fs::write(&file, "")?;
        let ended = tokio::process::Command::new(binary("conversation")?)
            .env("SWITCHBOARD_TELEMETRY__TERMINATION_FILE", &file)
            .env(format!("SWITCHBOARD_{variable}"), value)
            .stdin(std::process::Stdio::null())
            .output()
            .await?;
        assert!(!ended.status.success());
        let told = std::fs::read_to_string(&file)?;
        assert!(told.starts_with(&format!("cause: {cause}\n")), "{told}");
        assert!(told.contains(text), "{told}");
        let lines = told.lines().filter(|line| line.starts_with('{'));
        assert_eq!(lines.count() > 0, cause == "start", "{told}");
    }
    Ok(())
}

/// O2.9: an error carries its trace id in its details as in its metadata.
#[tokio::test(flavor = "multi_thread")]
async fn o29_an_error_carries_the_trace_id_in_its_details() -> anyhow::Result<()> {
    let world = World::start().await?;
    let account = world.account(Plan::default()).await?;
    let refused = account.messages(&Uuid::new_v4().to_string()).await;
    let status: tonic::Status = refused.expect_err("no such chat").downcast()?;
    let told = status.get_details_request_info().context("request info")?;
    let id = told.request_id;
    assert!(
        id.len() == 32 && id.bytes().all(|it| it.is_ascii_hexdigit()),
        "{id}"
    );
    let header = status.metadata().get("switchboard-trace-id");
    assert_eq!(header.and_then(|it| it.to_str().ok()), Some(id.as_str()));
    Ok(())
}
