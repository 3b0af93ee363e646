//! Contacts, companies and cards as CSV files, from a terminal (I2.8).

use anyhow::Context as _;
use serde_json::Value;
use switchboard_tests::command::{json, run, say};
use switchboard_tests::world::{Plan, World};

use super::file;

/// A file comes in but for the rows that are wrong; those are mended in a file of their own and come in as well, and it all
/// goes out again as it was.
#[tokio::test(flavor = "multi_thread")]
async fn i28_files_are_imported_mended_and_exported_by_command() -> anyhow::Result<()> {
    let world = World::start().await?;
    let account = world.account(Plan::default()).await?;
    let tokens = world.system.tokens();
    let token = tokens.service(&account.slug, "admin", "crm:*");
    let folder = tempfile::tempdir()?;
    let path = |name: &str| {
        let path = folder.path().join(name);
        path.to_str().map(str::to_owned).context("a path")
    };
    let companies = file(folder.path(), "companies.csv", b"id,name\noak,Oak & Co\n")?;
    say(&world, &token, &["company", "import", &companies]).await?;
    let mut rows =
        "name;phones;company\r\nAnna;+380441234567;Oak & Co\r\nBob;12;oak\r\n".to_owned();
    // Several batches, in several pieces.
    for row in 0..3_000 {
        rows.push_str("Somebody with a long name, number ");
        rows.push_str(&row.to_string());
        rows.push_str(" in all;;oak\r\n");
    }
    let contacts = file(folder.path(), "contacts.csv", rows.as_bytes())?;
    let refused = path("refused.csv")?;

    let words = ["contact", "import", &contacts, "--dry-run"];
    let dry = run(&world, &token, &words).await?;
    let said = String::from_utf8(dry.stdout)?;
    assert_eq!(dry.status.code(), Some(1), "{said}");
    assert!(said.contains("nothing is written"), "{said}");
    assert!(said.contains("phones[0]"), "{said}");

    let words = [
        "contact",
        "import",
        &contacts,
        "--refusals",
        &refused,
        "-o",
        "json",
    ];
    let done = run(&world, &token, &words).await?;
    assert_eq!(done.status.code(), Some(1), "a row was refused");
    let told: Value = serde_json::from_slice(&done.stdout)?;
    assert_eq!(
        (&told["created"], &told["refused"]),
        (&3_001.into(), &1.into())
    );
    assert_eq!(told["refusedRows"][0]["line"], 3);

    let mended = std::fs::read_to_string(&refused)?;
    assert!(
        mended.contains("Bob") && !mended.contains("Anna"),
        "{mended}"
    );
    std::fs::write(&refused, mended.replace(",12,", ",+15208782491,"))?;
    let told = json(&world, &token, &["contact", "import", &refused]).await?;
    assert_eq!((&told["created"], &told["refused"]), (&1.into(), &0.into()));
    // The same file is the same import.
    let words = ["contact", "import", &contacts, "-o", "json"];
    let again: Value = serde_json::from_slice(&run(&world, &token, &words).await?.stdout)?;
    assert_eq!(
        (&again["created"], &again["unchanged"]),
        (&0.into(), &3_001.into())
    );

    let cards = file(
        folder.path(),
        "cards.csv",
        b"title,contact\nTable,+380441234567\n",
    )?;
    let told = json(&world, &token, &["card", "import", &cards]).await?;
    assert_eq!(told["created"], 1, "{told}");
    let out = path("out.csv")?;
    say(
        &world,
        &token,
        &["contact", "export", "--output-file", &out, "--excel"],
    )
    .await?;
    let exported = std::fs::read_to_string(&out)?;
    assert!(
        exported.starts_with("\u{feff}id;name;phones;"),
        "{exported:.80}"
    );
    assert!(exported.contains("Bob;'+15208782491;"), "{exported:.200}");
    let told = json(&world, &token, &["contact", "import", &out]).await?;
    assert_eq!(
        (&told["unchanged"], &told["refused"]),
        (&3_002.into(), &0.into())
    );
    let shown = say(&world, &token, &["card", "export"]).await?;
    assert!(shown.contains(",Table,"), "{shown}");

    let reader = tokens.service(&account.slug, "reader", "crm:read");
    let output = run(&world, &reader, &["contact", "import", &contacts]).await?;
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr)?.contains("SCOPE_MISSING"));
    Ok(())
}
