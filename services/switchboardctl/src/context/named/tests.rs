//! Contexts: made, kept, and shown without secrets.

use clap::Parser as _;

use super::*;
use crate::cli::Cli;

fn globals(line: &str) -> Globals {
    let words = std::iter::once("switchboardctl").chain(line.split_whitespace());
    Cli::parse_from(words).globals
}

#[test]
fn o203_a_context_is_made_of_a_file_and_of_what_is_typed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ctl.toml");
    let text =
        "account = 'demo'\nkey = 'keys/signing.pem'\n[services]\nassignment = 'http://a:1'\n";
    std::fs::write(&file, text).unwrap();
    let globals = globals("status --account acme --conversation http://b:2");
    let table = made(Some(&file), true, &globals).unwrap();
    let context = parsed("x", &table).unwrap();
    assert_eq!(context.account.as_deref(), Some("acme"));
    assert_eq!(context.key, Some(folder.path().join("keys/signing.pem")));
    assert_eq!(context.services.assignment.as_deref(), Some("http://a:1"));
    assert_eq!(context.services.conversation.as_deref(), Some("http://b:2"));
    assert!(context.production);
}

#[test]
fn o203_the_file_is_for_its_owner_alone_and_written_whole() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep").join("contexts.yaml");
    let mut contexts = Contexts::default();
    let table = toml::from_str("token = 'ey'\n").unwrap();
    contexts.contexts.insert("live".into(), table);
    contexts.current = Some("live".into());
    write(&path, &contexts).unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let read = read(&path).unwrap();
    assert_eq!(read.current.as_deref(), Some("live"));
    assert_eq!(read.contexts.len(), 1);
}

#[test]
fn o203_a_context_is_shown_without_its_secrets() {
    let text = "token = 'ey'\naccount = 'demo'\n[nats]\nurl = 'nats://me:p@ss@host:4222'\n[telegram]\nbot_token = '7:x'\n";
    let shown = Value::from(masked(&toml::from_str(text).unwrap())).to_string();
    assert!(
        shown.contains("demo") && shown.contains("nats://…@host:4222"),
        "{shown}"
    );
    for secret in ["ey'", "\"ey\"", "p@ss", "7:x"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}
