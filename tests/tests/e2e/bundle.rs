//! What helps somebody who is not here, in one file (O3.8). That no secret is in it: `secrets.rs`.

use std::collections::BTreeMap;
use std::io::Read as _;

use anyhow::{Context as _, ensure};
use sqlx::{Connection as _, PgConnection};
use switchboard_tests::command::{run, say};
use switchboard_tests::services::Kind;
use switchboard_tests::world::{Plan, World};

/// Has a bundle made; returns its files by their names within its folder.
pub async fn bundle(world: &World) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let token = world.system.tokens().operator();
    let file = world
        .system
        .folder()
        .join(format!("{}.tar.gz", uuid::Uuid::new_v4()));
    let path = file.to_str().context("a path")?;
    let said = say(world, &token, &["bundle", "--output-file", path]).await?;
    ensure!(said.starts_with(path), "{said}");
    let packed = std::fs::read(&file)?;
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(packed.as_slice()));
    let mut files = BTreeMap::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.display().to_string();
        let (_, name) = path.split_once('/').context("a folder")?;
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        files.insert(name.to_owned(), content);
    }
    Ok(files)
}

fn text(files: &BTreeMap<String, Vec<u8>>, name: &str) -> anyhow::Result<String> {
    let content = files.get(name).with_context(|| {
        let names: Vec<&String> = files.keys().collect();
        format!("{name} in {names:?}")
    })?;
    Ok(String::from_utf8(content.clone())?)
}

#[tokio::test(flavor = "multi_thread")]
async fn o3_8_a_bundle_has_all_that_helps_and_says_what_is_missing() -> anyhow::Result<()> {
    let mut world = World::start().await?;
    let database = world.system.database_url(Kind::Conversation)?;
    let mut connection = PgConnection::connect(database).await?;
    sqlx::query("create extension pg_stat_statements")
        .execute(&mut connection)
        .await?;
    connection.close().await?;
    let account = world.account(Plan::default()).await?;
    world.telegram.say(&account.bot_token, 601, "Hello").await?;
    account.chat_of(601).await?;
    world.system.kill(Kind::CrmCards)?;

    let files = bundle(&world).await?;
    let readme = text(&files, "README.txt")?;
    ensure!(
        readme.contains("crm-cards: everything: cannot reach crm-cards"),
        "{readme}"
    );
    ensure!(
        readme.contains("assignment: statements: pg_stat_statements is not installed")
            && !readme.contains("conversation: statements"),
        "{readme}"
    );
    let screen = text(&files, "status.txt")?;
    ensure!(screen.contains("crm-cards cannot be reached"), "{screen}");
    for service in ["assignment", "conversation", "channel-gateway"] {
        for (name, words) in [
            ("version.json", "\"schema\""),
            ("configuration.txt", "database.url"),
            ("log.jsonl", "\"message\":\"service ready\""),
            ("metrics.txt", "consumer_handled_total"),
            ("status.json", "\"streams\""),
            ("doctor.json", "\"findings\""),
            ("pauses.json", "\"consumers\""),
            ("deadletters.json", "{"),
            ("statements.txt", "from pg_stat_"),
        ] {
            let name = format!("{service}/{name}");
            let content = text(&files, &name)?;
            ensure!(content.contains(words), "{words} in {name}: {content}");
        }
    }
    let configuration = text(&files, "conversation/configuration.txt")?;
    ensure!(
        configuration.contains("SWITCHBOARD_DATABASE__URL"),
        "by what it is set: {configuration}"
    );
    let statements = text(&files, "conversation/statements.txt")?;
    ensure!(
        statements.contains("from pg_stat_statements") && statements.contains("(cost="),
        "{statements}"
    );

    // A file that is there is nobody's to overwrite.
    let token = world.system.tokens().operator();
    let there = world.system.folder().join("jwks.json");
    let there = there.to_str().context("a path")?;
    let refused = run(&world, &token, &["bundle", "--output-file", there]).await?;
    ensure!(!refused.status.success());
    Ok(())
}
