//! Telegram's Bot API: real inputs and answers (`SWITCHBOARD_FIXTURES`), our own cases (`tests/cases`), and calls over HTTP.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on must fail"
)]

mod answers;
mod calls;
mod cases;
mod inbound;

use std::path::{Path, PathBuf};

use bytes::Bytes;
use channel_gateway::domain::inbound::Line;
use channel_gateway::domain::telegram::file::FileRef;
use channel_gateway::domain::telegram::normalise;
use serde_json::Value;
use switchboard_proto::channel_gateway::v1::InboundEvent;
use switchboard_proto::common::v1::Attachment;
use time::OffsetDateTime;
use uuid::Uuid;

const LINE: Line<'static> = Line {
    account: "acme",
    channel: Uuid::from_u128(7),
    provider_account: "7001",
};

fn fixtures() -> Option<PathBuf> {
    let folder = std::env::var_os("SWITCHBOARD_FIXTURES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures"),
        PathBuf::from,
    );
    let folder = folder.join("telegram");
    if folder.join("index.json").is_file() {
        return Some(folder);
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "no fixtures in {}",
        folder.display()
    );
    println!("skipped: no fixtures");
    None
}

fn json_of(path: &Path) -> Value {
    let text = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn one(raw: &[u8]) -> InboundEvent {
    let raw = Bytes::copy_from_slice(raw);
    let received_at = OffsetDateTime::UNIX_EPOCH + time::Duration::days(21_000);
    let mut events = normalise(LINE, &raw, received_at);
    assert_eq!(events.len(), 1);
    let event = events.remove(0);
    assert_eq!(event.raw, raw, "the raw item travels along");
    assert!(!event.event_key.is_empty() && event.kind.is_some());
    assert_eq!(
        event,
        normalise(LINE, &raw, received_at).remove(0),
        "a repeat reads the same"
    );
    event
}

fn file_id(file: &Attachment) -> String {
    FileRef::read(&file.extension).unwrap().file_id
}
