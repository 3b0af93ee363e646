//! Pipelines, fields and cards from a terminal.

use anyhow::Context as _;
use serde_json::Value;
use switchboard_tests::command::{json, run, say};
use switchboard_tests::world::{Account, Plan, World};

use super::text_of;

async fn prepared() -> anyhow::Result<(World, Account, String)> {
    let world = World::start().await?;
    let plan = Plan {
        agents: 1,
        ..Plan::default()
    };
    let account = world.account(plan).await?;
    let tokens = world.system.tokens();
    let token = tokens.service(&account.slug, "admin", "crm:* channels:* agents:*");
    Ok((world, account, token))
}

fn names(pipeline: &Value) -> Vec<&str> {
    let statuses = pipeline["statuses"].as_array();
    let names = statuses
        .into_iter()
        .flatten()
        .map(|status| status["name"].as_str());
    names.flatten().collect()
}

/// A pipeline is changed by the names of its statuses (D04); a field is defined, and what it takes is checked by its type.
#[tokio::test(flavor = "multi_thread")]
async fn d04_pipelines_sources_and_fields_are_changed_by_command() -> anyhow::Result<()> {
    let (world, _, token) = prepared().await?;
    let create = ["pipeline", "create", "Repairs"];
    let made = json(&world, &token, &create).await?;
    assert_eq!(
        names(&made),
        ["New", "In progress", "Successful", "Rejected"]
    );
    let change = [
        "pipeline",
        "update",
        "repairs",
        "--name",
        "Mending",
        "--add",
        "Call=in-progress",
        "--remove",
        "In progress",
        "--rename",
        "Successful=Won",
        "--order",
        "New,Rejected",
    ];
    let changed = json(&world, &token, &change).await?;
    assert_eq!(names(&changed), ["New", "Rejected", "Won", "Call"]);
    assert_eq!(
        json(&world, &token, &["pipeline", "show", "Mending"]).await?,
        changed
    );
    let output = run(
        &world,
        &token,
        &["pipeline", "update", "Mending", "--remove", "Later"],
    )
    .await?;
    let said = String::from_utf8(output.stderr)?;
    assert!(
        output.status.code() == Some(2) && said.contains("New, Rejected, Won, Call"),
        "{said}"
    );
    say(&world, &token, &["pipeline", "delete", "Mending"]).await?;
    let list = json(&world, &token, &["pipeline", "list"]).await?;
    assert_eq!(list.as_array().map(Vec::len), Some(1));

    let source = json(&world, &token, &["source", "create", "Fair"]).await?;
    let source = text_of(&source, "sourceId")?;
    let renamed = json(&world, &token, &["source", "update", &source, "Kyiv fair"]).await?;
    assert_eq!(renamed["name"], "Kyiv fair");
    say(&world, &token, &["source", "delete", &source]).await?;
    let list = json(&world, &token, &["source", "list"]).await?;
    assert!(!list.to_string().contains("Kyiv fair"), "{list}");

    let define = [
        "field", "create", "card", "colour", "Colour", "select", "--option", "red", "--option",
        "green",
    ];
    let field = json(&world, &token, &define).await?;
    let field = text_of(&field, "fieldId")?;
    let update = [
        "field",
        "update",
        &field,
        "--required",
        "true",
        "--option",
        "blue",
    ];
    let field = json(&world, &token, &update).await?;
    assert_eq!(
        (&field["options"][0], &field["required"]),
        (&"blue".into(), &true.into())
    );
    let table = say(&world, &token, &["field", "list"]).await?;
    assert!(
        table.contains("colour") && table.contains("blue"),
        "{table}"
    );
    say(
        &world,
        &token,
        &["field", "delete", &text_of(&field, "fieldId")?],
    )
    .await?;
    let list = json(&world, &token, &["field", "list"]).await?;
    assert_eq!(list.as_array().map(Vec::len), Some(0));
    Ok(())
}

/// A card from its making to its end: values, moves, notes, participants, history and the board (F116, F140, F109).
#[tokio::test(flavor = "multi_thread")]
async fn f109_f116_f140_a_card_is_made_changed_and_told_of_by_command() -> anyhow::Result<()> {
    let (world, account, token) = prepared().await?;
    let agent = account.agents.first().context("an agent")?.id.to_string();
    let pipeline = account.pipeline.pipeline_id.as_str();
    say(
        &world,
        &token,
        &["field", "create", "card", "paid", "Paid", "flag"],
    )
    .await?;
    let make = [
        "card",
        "create",
        "--title",
        "Wardrobe",
        "--pipeline",
        pipeline,
        "--amount",
        "1200.5:UAH",
        "--set",
        "paid=no",
    ];
    let card = json(&world, &token, &make).await?;
    let id = text_of(&card, "cardId")?;
    assert_eq!(
        (&card["amount"]["amount"], &card["fields"]["paid"]["flag"]),
        (&"1200.50".into(), &false.into())
    );
    let update = [
        "card",
        "update",
        &id,
        "--responsible",
        &agent,
        "--set",
        "paid=yes",
        "--revision",
        "1",
    ];
    let changed = json(&world, &token, &update).await?;
    assert_eq!(changed["responsibleAgentId"], agent.as_str());
    let output = run(&world, &token, &update).await?;
    let said = String::from_utf8(output.stderr)?;
    assert!(
        output.status.code() == Some(1) && said.contains("CHANGED_MEANWHILE"),
        "{said}"
    );
    say(&world, &token, &["card", "move", &id, "in-progress"]).await?;
    say(
        &world,
        &token,
        &["card", "note", &id, "Calls back on Monday"],
    )
    .await?;
    let with = ["card", "participant", &id, "--add", &agent];
    let with = json(&world, &token, &with).await?;
    assert_eq!(with["participantAgentIds"][0], agent.as_str());

    let notes = say(&world, &token, &["card", "note", &id]).await?;
    assert!(
        notes.contains("Calls back on Monday") && notes.contains("service:admin"),
        "{notes}"
    );
    let history = say(&world, &token, &["card", "history", &id]).await?;
    for word in [
        "participants",
        "note",
        "moved",
        "responsible",
        "updated",
        "created",
        "In progress",
    ] {
        assert!(history.contains(word), "{word} in\n{history}");
    }
    let shown = say(&world, &token, &["card", "show", &id]).await?;
    assert!(
        shown.contains("paid  yes") && shown.contains("1\u{a0}200.50\u{a0}UAH"),
        "{shown}"
    );
    let found = json(
        &world,
        &token,
        &["card", "list", "--text", "ward", "--owner", &agent],
    )
    .await?;
    assert_eq!(found[0]["cardId"], id.as_str());
    let board = say(&world, &token, &["card", "board", pipeline]).await?;
    for word in ["In progress", "1 card", "0 cards", "Wardrobe"] {
        assert!(board.contains(word), "{word} in\n{board}");
    }
    let board = json(&world, &token, &["card", "board", pipeline]).await?;
    assert_eq!(board["columns"][1]["sums"][0]["amount"], "1200.50");
    say(&world, &token, &["card", "delete", &id]).await?;
    let gone = json(&world, &token, &["card", "list"]).await?;
    assert_eq!(gone.as_array().map(Vec::len), Some(0));
    Ok(())
}

/// Contacts and companies from a terminal: phones by the account's region (B07), companies, duplicates with their reason, a
/// merge there and back (B08), and a chat's client who is a known buyer (F113).
#[tokio::test(flavor = "multi_thread")]
async fn b07_b08_f113_contacts_and_companies_are_kept_by_command() -> anyhow::Result<()> {
    let (world, account, token) = prepared().await?;
    let region = ["contact", "settings", "--phone-region", "ua"];
    assert_eq!(json(&world, &token, &region).await?["phoneRegion"], "UA");
    let company = json(&world, &token, &["company", "create", "Oak"]).await?;
    let company = text_of(&company, "companyId")?;
    say(
        &world,
        &token,
        &["field", "create", "contact", "city", "City", "text"],
    )
    .await?;
    let agent = account.agents.first().context("an agent")?.id.to_string();
    let make = [
        "contact",
        "create",
        "Anna",
        "--phone",
        "044 123 45 67",
        "--email",
        "Anna@Example.com",
        "--company",
        &company,
        "--responsible",
        &agent,
        "--set",
        "city=Kyiv",
        "--buyer",
    ];
    let anna = json(&world, &token, &make).await?;
    assert_eq!(
        (
            &anna["phones"][0],
            &anna["emails"][0],
            &anna["fields"]["city"]["text"]
        ),
        (
            &"+380441234567".into(),
            &"anna@example.com".into(),
            &"Kyiv".into()
        )
    );
    let anna = text_of(&anna, "contactId")?;
    let twin = ["contact", "create", "Hanna", "--phone", "+380441234567"];
    let twin = json(&world, &token, &twin).await?;
    let twin = text_of(&twin, "contactId")?;
    let pairs = say(&world, &token, &["contact", "duplicates"]).await?;
    assert!(pairs.contains("same phone +380441234567"), "{pairs}");
    let found = ["contact", "list", "--phone", "0441234567", "--buyer", "no"];
    let found = json(&world, &token, &found).await?;
    assert_eq!(found[0]["contactId"].as_str(), Some(twin.as_str()));
    let refused = run(&world, &token, &["company", "delete", &company]).await?;
    let said = String::from_utf8(refused.stderr)?;
    assert!(
        !refused.status.success() && said.contains("1 contacts"),
        "{said}"
    );

    one_person_and_two(&world, &token, &anna, &twin).await?;
    let list = json(&world, &token, &["contact", "list", "--company", &company]).await?;
    assert_eq!(list.as_array().map(Vec::len), Some(1));

    let update = [
        "contact",
        "update",
        &anna,
        "--name",
        "Anna B",
        "--phone",
        "none",
        "--company",
        "none",
    ];
    let changed = json(&world, &token, &update).await?;
    assert_eq!(changed["name"], "Anna B");
    assert_eq!(changed["phones"].as_array().map_or(0, Vec::len), 0);
    let renamed = [
        "company",
        "update",
        &company,
        "--name",
        "Oak and Ash",
        "--responsible",
        &agent,
    ];
    say(&world, &token, &renamed).await?;
    let history = say(&world, &token, &["company", "history", &company]).await?;
    assert!(history.contains("Oak and Ash"), "{history}");
    say(&world, &token, &["company", "delete", &company]).await?;
    let list = json(&world, &token, &["company", "list"]).await?;
    assert_eq!(list.as_array().map(Vec::len), Some(0));
    Ok(())
}

/// A merge there and back, and a binding.
async fn one_person_and_two(
    world: &World,
    token: &str,
    anna: &str,
    twin: &str,
) -> anyhow::Result<()> {
    let merged = json(world, token, &["contact", "merge", twin, anna]).await?;
    assert_eq!(merged["contactId"].as_str(), Some(anna));
    let by_old_id = json(world, token, &["contact", "show", twin]).await?;
    assert_eq!(by_old_id["contactId"].as_str(), Some(anna));
    let history = say(
        world,
        token,
        &["contact", "history", anna, "--kind", "merged"],
    )
    .await?;
    assert!(history.contains(twin), "{history}");
    let back = json(world, token, &["contact", "unmerge", twin]).await?;
    assert_eq!(back["contactId"].as_str(), Some(twin));
    let pairs = json(world, token, &["contact", "duplicates"]).await?;
    assert_eq!(pairs.as_array().map(Vec::len), Some(0));
    say(world, token, &["contact", "bind", anna, "--contact", twin]).await?;
    Ok(())
}
