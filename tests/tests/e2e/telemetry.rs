//! What people who run it see: metrics behind alerts and dashboards, runbooks, log lines.

mod logs;
mod otlp;
mod prometheus;
mod runbooks;
mod told;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use switchboard_proto::common::v1::Text;
use switchboard_proto::conversation::v1::{MessageDelivery, SendMessageRequest, message_delivery};
use switchboard_tests::services::Kind;
use switchboard_tests::world::{Account, Plan, World, eventually, within};
use told::{Series, parse};
use uuid::Uuid;

/// Gauges are looked at every ten seconds, streams every forty.
const LOOKED: Duration = Duration::from_mins(1);

/// A folder of the repository.
fn folder(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(path)
}

/// Everything that `/metrics` of a service tells.
async fn scraped(world: &World, kind: Kind) -> anyhow::Result<Vec<Series>> {
    let admin = &world
        .system
        .addresses(kind)
        .context("a running service")?
        .admin;
    let text = reqwest::get(format!("http://{admin}/metrics")).await?;
    parse(&text.text().await?)
}

async fn all_scraped(world: &World) -> anyhow::Result<Vec<Series>> {
    let mut all = Vec::new();
    for kind in Kind::ALL {
        all.extend(scraped(world, kind).await?);
    }
    Ok(all)
}

/// The value of a series of a service; nothing where there is none.
async fn value(
    world: &World,
    kind: Kind,
    name: &str,
    labels: &[(&str, &str)],
) -> anyhow::Result<Option<f64>> {
    let series = scraped(world, kind).await?;
    let found = series.iter().find(|series| {
        series.name == name
            && labels
                .iter()
                .all(|(label, value)| series.labels.get(*label).is_some_and(|it| it == value))
    });
    Ok(found.map(|series| series.value))
}

/// A customer writes, gets a card and an agent, and the agent's answer is sent.
async fn talk(world: &World, account: &Account, customer: i64) -> anyhow::Result<()> {
    let words = "Do you have it in blue?";
    world
        .telegram
        .say(&account.bot_token, customer, words)
        .await?;
    let chat = eventually("a responsible", async || {
        let chat = account.chat_of(customer).await?;
        Ok((!chat.responsible_agent_id.is_empty()).then_some(chat))
    })
    .await?;
    eventually("the card", async || {
        Ok(account.cards(&chat.chat_id).await?.pop())
    })
    .await?;
    let agent = account.agent(&chat.responsible_agent_id)?;
    let send = SendMessageRequest {
        request_id: Uuid::new_v4().to_string(),
        chat_id: chat.chat_id.clone(),
        text: Some(Text {
            text: "In blue and in red.".to_owned(),
            entities: Vec::new(),
        }),
        ..Default::default()
    };
    agent
        .clients
        .conversation
        .clone()
        .send_message(send)
        .await?;
    eventually("the answer is sent", async || {
        let messages = account.messages(&chat.chat_id).await?;
        Ok(messages.into_iter().find(|message| {
            let state = message.delivery.as_ref().map(MessageDelivery::state);
            state == Some(message_delivery::State::Sent)
        }))
    })
    .await?;
    Ok(())
}

/// The figures that the tables in `deploy/metrics` declare, with their labels.
fn declared() -> anyhow::Result<BTreeMap<String, BTreeSet<String>>> {
    let mut all = BTreeMap::new();
    for kind in Kind::ALL {
        let table = folder("deploy/metrics").join(format!("{}.md", kind.name()));
        for line in std::fs::read_to_string(table)?.lines() {
            let cells: Vec<&str> = line.split(" | ").collect();
            let [name, _, _, labels, _] = cells.as_slice() else {
                continue;
            };
            let Some(name) = name.strip_prefix("| `").and_then(|it| it.strip_suffix('`')) else {
                continue;
            };
            let labels = labels
                .split(", ")
                .map(|label| label.trim_matches('`').to_owned());
            let labels = labels.filter(|label| !label.is_empty()).collect();
            all.insert(name.to_owned(), labels);
        }
    }
    Ok(all)
}

/// The words that alerts and dashboards are made of.
fn words_used() -> anyhow::Result<BTreeSet<String>> {
    let mut files = vec![folder("deploy/chart/alerts/rules.yaml")];
    for entry in std::fs::read_dir(folder("deploy/chart/dashboards"))? {
        files.push(entry?.path());
    }
    let mut words = BTreeSet::new();
    for file in files {
        let text = std::fs::read_to_string(&file)?;
        let split = |c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':');
        words.extend(text.split(split).map(str::to_owned));
    }
    Ok(words)
}

/// The figures that alerts and dashboards use: by their names, or by the parts of a histogram.
fn used() -> anyhow::Result<BTreeMap<String, BTreeSet<String>>> {
    let words = words_used()?;
    let mut used = declared()?;
    used.retain(|name, _| {
        ["", "_bucket", "_sum", "_count"]
            .iter()
            .any(|end| words.contains(&format!("{name}{end}")))
    });
    let process = words.iter().filter(|word| word.starts_with("process_"));
    used.extend(process.map(|name| (name.clone(), BTreeSet::new())));
    Ok(used)
}

/// O2.6: every metric that an alert or a panel asks for is told by a running system, with the labels that it declares. And no
/// label holds an id: whoever else writes, in whatever account, makes no more series.
#[tokio::test(flavor = "multi_thread")]
async fn o26_metrics_of_alerts_and_dashboards_are_told_and_no_label_names_anybody()
-> anyhow::Result<()> {
    let world = World::start().await?;
    let account = world.account(Plan::default()).await?;
    talk(&world, &account, 7_001).await?;
    let used = used()?;
    assert!(used.len() > 30, "{used:?}");
    within(LOOKED, "every metric that is used", async || {
        let all = all_scraped(&world).await?;
        let missing: Vec<&String> = used
            .iter()
            .filter(|(name, labels)| !all.iter().any(|series| series.is_of(name, labels)))
            .map(|(name, _)| name)
            .collect();
        anyhow::ensure!(missing.is_empty(), "not told: {missing:?}");
        Ok(Some(()))
    })
    .await?;

    let before: BTreeSet<String> = identities(&all_scraped(&world).await?);
    let other = world.account(Plan::default()).await?;
    for customer in 7_002..7_005 {
        talk(&world, &other, customer).await?;
    }
    let all = all_scraped(&world).await?;
    let more: Vec<String> = identities(&all)
        .difference(&before)
        // Which calls end how within a test differs; methods and codes are words of ours.
        .filter(|series| !series.starts_with("grpc_server_seconds"))
        .cloned()
        .collect();
    assert!(more.is_empty(), "series that others made: {more:#?}");
    let strange: Vec<&Series> = all
        .iter()
        .filter(|series| series.names_somebody())
        .collect();
    assert!(strange.is_empty(), "{strange:#?}");
    for kind in Kind::ALL {
        let count = scraped(&world, kind).await?.len();
        assert!(count < 5_000, "{}: {count} series", kind.name());
    }
    Ok(())
}

fn identities(series: &[Series]) -> BTreeSet<String> {
    series.iter().map(Series::identity).collect()
}

/// O2.8: how much waits and for how long is true while the one who handles it is away: told by nobody who is dead, and by others
/// as soon as it is back and cannot handle it.
#[tokio::test(flavor = "multi_thread")]
async fn o28_what_waits_is_told_while_the_database_is_away() -> anyhow::Result<()> {
    let mut world = World::start().await?;
    let account = world.account(Plan::default()).await?;
    talk(&world, &account, 7_101).await?;
    let inbound = [("consumer", "conversation-inbound")];
    let pending =
        async |world: &World, name: &str| value(world, Kind::Conversation, name, &inbound).await;
    within(LOOKED, "nothing waits", async || {
        Ok((pending(&world, "consumer_pending").await? == Some(0.0)).then_some(()))
    })
    .await?;
    world.postgres.kill()?;
    // The gateway accepts for channels that it knows; nobody can store.
    world
        .telegram
        .say(&account.bot_token, 7_102, "Anybody there?")
        .await?;
    within(LOOKED, "it waits", async || {
        let waits = pending(&world, "consumer_pending").await? > Some(0.0);
        let age = pending(&world, "consumer_oldest_seconds").await?;
        Ok((waits && age > Some(5.0)).then_some(()))
    })
    .await?;
    world.postgres.restart()?;
    within(LOOKED, "nothing waits any more", async || {
        let waits = pending(&world, "consumer_pending").await?;
        let age = pending(&world, "consumer_oldest_seconds").await?;
        Ok((waits == Some(0.0) && age == Some(0.0)).then_some(()))
    })
    .await?;
    Ok(())
}

/// O2.8: how much waits in an outbox and for how long is told while the broker is away.
#[tokio::test(flavor = "multi_thread")]
async fn o28_what_waits_in_the_outbox_is_told_while_the_broker_is_away() -> anyhow::Result<()> {
    let mut world = World::start().await?;
    let account = world.account(Plan::default()).await?;
    talk(&world, &account, 7_111).await?;
    let told = async |world: &World, name: &str| value(world, Kind::Conversation, name, &[]).await;
    world.nats.kill()?;
    let chat = account.chat_of(7_111).await?;
    let agent = account.agent(&chat.responsible_agent_id)?;
    let send = SendMessageRequest {
        request_id: Uuid::new_v4().to_string(),
        chat_id: chat.chat_id.clone(),
        text: Some(Text {
            text: "And in green.".to_owned(),
            entities: Vec::new(),
        }),
        ..Default::default()
    };
    agent
        .clients
        .conversation
        .clone()
        .send_message(send)
        .await?;
    within(LOOKED, "it waits", async || {
        let events = told(&world, "outbox_events").await?;
        let age = told(&world, "outbox_oldest_seconds").await?;
        Ok((events > Some(0.0) && age > Some(5.0)).then_some(()))
    })
    .await?;
    world.nats.restart()?;
    within(LOOKED, "nothing waits any more", async || {
        let events = told(&world, "outbox_events").await?;
        let age = told(&world, "outbox_oldest_seconds").await?;
        Ok((events == Some(0.0) && age == Some(0.0)).then_some(()))
    })
    .await?;
    Ok(())
}
