//! Bots written with the libraries that most people use understand the stand-in: what they refuse, they would refuse of
//! Telegram too.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use switchboard_tests::telegram::StandIn;

use crate::TOKEN;

/// Lets a bot written in Python go through its session; what it saw.
async fn session(stand_in: &StandIn, script: &str) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("clients")
        .join(script);
    let run = tokio::process::Command::new("python3")
        .arg(&script)
        .args([&stand_in.url(), TOKEN])
        .kill_on_drop(true)
        .output();
    let done = tokio::time::timeout(Duration::from_mins(5), run)
        .await
        .unwrap()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(
        done.status.success(),
        "{} (its environment is made on the first run, and that needs python3-venv and PyPI) ended with {}:\n{said}",
        script.display(),
        done.status
    );
    serde_json::from_slice(&done.stdout).unwrap()
}

/// What both libraries must have seen.
fn check(stand_in: &StandIn, report: &Value) {
    assert_eq!(
        report["odd"],
        json!([]),
        "fields that the library does not know"
    );
    assert_eq!(
        report["updates"],
        json!([
            "message",
            "message",
            "message",
            "edited_message",
            "callback_query",
            "message_reaction",
            "my_chat_member",
            "my_chat_member",
            "business_connection",
            "business_message",
            "business_message",
            "edited_business_message",
            "deleted_business_messages",
        ])
    );
    let words: Vec<&str> = report["refusals"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|refusal| refusal[1].as_str())
        .collect();
    for (at, expected) in [
        "query is too old",
        "text is empty",
        "not modified",
        "no caption in the message",
        "PHOTO_INVALID_DIMENSIONS",
        "REACTION_INVALID",
        "BUSINESS_PEER_USAGE_MISSING",
        "message to delete not found",
        "3",
        "bot was blocked",
    ]
    .into_iter()
    .enumerate()
    {
        let said = words[at].to_lowercase().replace('_', " ");
        let expected = expected.to_lowercase().replace('_', " ");
        assert!(said.contains(&expected), "{expected}: {said}");
    }
    assert_eq!(words.len(), 10);
    let uploaded = stand_in.sent(TOKEN);
    let uploaded = uploaded.iter().flat_map(|sent| &sent.files);
    assert!(uploaded.filter(|file| file.name == "рахунок.pdf").count() == 1);
}

#[tokio::test]
async fn python_telegram_bot_reads_every_answer_and_update() {
    let stand_in = StandIn::start().await.unwrap();
    let report = session(&stand_in, "python_telegram_bot_check.py").await;
    check(&stand_in, &report);
}

#[tokio::test]
async fn aiogram_reads_every_answer_and_update() {
    let stand_in = StandIn::start().await.unwrap();
    let report = session(&stand_in, "aiogram_check.py").await;
    check(&stand_in, &report);
}
