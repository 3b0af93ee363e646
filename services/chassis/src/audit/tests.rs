//! Entries in a real database.

mod collected;

use std::time::Duration;

use serde_json::{Value, json};
use switchboard_proto::assignment::v1 as pb;
use switchboard_proto::operator::v1::audit_service_server::AuditService as _;
use switchboard_proto::operator::v1::{AuditEntry, ListAuditEntriesRequest};
use time::OffsetDateTime;
use time::macros::datetime;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use uuid::Uuid;

use super::{Api, Entry, Subject, purge, snapshot, write};
use crate::access::ChannelGrant;
use crate::actor::Actor;
use crate::auth::Scope;
use crate::grpc::timestamp;
use crate::id::AgentId;
use crate::testing::{self, TestDatabase};

const SCOPES: &[Scope] = &[Scope::CHANNELS_ADMIN];
const NOON: OffsetDateTime = datetime!(2026-05-01 12:00:00 UTC);

async fn database() -> (TestDatabase, Api) {
    let database = testing::database(&crate::MIGRATOR).await;
    let api = Api::new("test", database.pool.clone(), SCOPES);
    (database, api)
}

fn renamed(account: &str, actor: &str, subject: Subject, from: &str, to: &str) -> Entry {
    let sides = (&json!({ "name": from }), &json!({ "name": to }));
    let actor = actor.parse().unwrap();
    Entry::new(
        &testing::account(account),
        actor,
        "thing.update",
        subject,
        sides,
    )
}

async fn note(database: &TestDatabase, entry: Entry, now: OffsetDateTime) {
    let mut tx = database.pool.begin().await.unwrap();
    write(&mut tx, "test", vec![entry], now).await.unwrap();
    tx.commit().await.unwrap();
}

fn names(entries: &[AuditEntry]) -> Vec<&str> {
    let name = |entry: &AuditEntry| match entry.changes[0].after.clone()?.kind? {
        prost_types::value::Kind::StringValue(text) => Some(text),
        _ => None,
    };
    assert!(entries.iter().all(|entry| name(entry).is_some()));
    entries
        .iter()
        .map(|entry| entry.subject_name.as_str())
        .collect()
}

#[test]
fn b11_a_setting_is_taken_as_its_contract_writes_it() {
    let role = pb::Role {
        role_id: "r".into(),
        name: "Sales".into(),
        leads: Some(pb::KindAccess {
            create: true,
            view: pb::View::Own.into(),
        }),
        revision: 7,
        ..pb::Role::default()
    };
    let value = snapshot(
        &role,
        &[
            "role_id",
            "revision",
            "agent_count",
            "leads.create",
            "no.such",
        ],
    );
    assert_eq!(
        value.unwrap(),
        json!({ "name": "Sales", "leads": { "view": "VIEW_OWN" }, "settings": false })
    );
}

#[tokio::test]
async fn b11_an_entry_comes_with_the_change_or_not_at_all() {
    let (database, api) = database().await;
    let acme = testing::account("acme");
    let caller = testing::service_caller(Some(&acme), "x", &["channels:admin"], None);
    let list = async || {
        let listed = testing::audited(&api, &caller, ListAuditEntriesRequest::default()).await;
        listed.unwrap()
    };
    let subject = || Subject::new("role", "r", "Sales");

    note(
        &database,
        renamed("acme", "service:x", subject(), "a", "a"),
        NOON,
    )
    .await;
    assert!(list().await.is_empty(), "nothing changed");
    let mut tx = database.pool.begin().await.unwrap();
    let entry = renamed("acme", "service:x", subject(), "a", "b");
    write(&mut tx, "test", vec![entry.clone()], NOON)
        .await
        .unwrap();
    tx.rollback().await.unwrap();
    assert!(list().await.is_empty(), "the change was not made");

    note(&database, entry, NOON).await;
    let listed = list().await;
    let [told] = listed.as_slice() else {
        panic!("one entry: {listed:?}");
    };
    assert!(Uuid::parse_str(&told.entry_id).is_ok());
    assert_eq!(
        (
            told.actor.as_str(),
            told.action.as_str(),
            told.service.as_str()
        ),
        ("service:x", "thing.update", "test")
    );
    assert_eq!(
        (&*told.subject_kind, &*told.subject_id, &*told.subject_name),
        ("role", "r", "Sales")
    );
    assert_eq!(told.time, Some(timestamp(NOON)));
    assert_eq!(testing::told(told), ["name: a -> b"]);
}

#[tokio::test]
async fn b11_entries_are_listed_newest_first_page_by_page_and_narrowed() {
    let (database, api) = database().await;
    let caller =
        testing::service_caller(Some(&testing::account("acme")), "x", &["channels:*"], None);
    let anna = format!("agent:{}", Uuid::from_u128(1));
    let minute = |minute: i64| NOON + time::Duration::minutes(minute);
    for (at, account, actor, kind, id, name) in [
        (0, "acme", "service:x", "role", "1", "first"),
        (1, "acme", anna.as_str(), "role", "2", "second"),
        (2, "other", "service:x", "role", "1", "another account's"),
        (2, "acme", anna.as_str(), "group", "1", "third"),
        // Of the same moment: both are there, whichever way.
        (3, "acme", "service:y", "group", "3", "twin"),
        (3, "acme", "service:y", "group", "3", "twin"),
    ] {
        let entry = renamed(account, actor, Subject::new(kind, id, name), "a", "b");
        note(&database, entry, minute(at)).await;
    }
    let asked = |request: ListAuditEntriesRequest| testing::audited(&api, &caller, request);
    let all = ListAuditEntriesRequest::default;
    for (what, request, expected) in [
        (
            "all",
            all(),
            vec!["twin", "twin", "third", "second", "first"],
        ),
        (
            "a kind",
            ListAuditEntriesRequest {
                subject_kind: "role".into(),
                ..all()
            },
            vec!["second", "first"],
        ),
        (
            "an id",
            ListAuditEntriesRequest {
                subject_id: "1".into(),
                ..all()
            },
            vec!["third", "first"],
        ),
        (
            "both",
            ListAuditEntriesRequest {
                subject_id: "1".into(),
                subject_kind: "role".into(),
                ..all()
            },
            vec!["first"],
        ),
        (
            "an actor",
            ListAuditEntriesRequest {
                actor: anna.clone(),
                ..all()
            },
            vec!["third", "second"],
        ),
        (
            "a time",
            ListAuditEntriesRequest {
                since_time: Some(timestamp(minute(1))),
                until_time: Some(timestamp(minute(3))),
                ..all()
            },
            vec!["third", "second"],
        ),
    ] {
        assert_eq!(names(&asked(request).await.unwrap()), expected, "{what}");
    }

    let (mut listed, mut request) = (
        Vec::new(),
        ListAuditEntriesRequest {
            page_size: 1,
            ..all()
        },
    );
    loop {
        let page = api.list_audit_entries(testing::request(&caller, request.clone()));
        let page = page.await.unwrap().into_inner();
        assert_eq!(page.entries.len(), 1);
        listed.extend(page.entries);
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    assert_eq!(listed, asked(all()).await.unwrap());

    let wrong = ListAuditEntriesRequest {
        actor: "Anna".into(),
        ..all()
    };
    assert_eq!(
        asked(wrong).await.unwrap_err().code(),
        Code::InvalidArgument
    );
}

#[tokio::test]
async fn b11_who_may_not_change_settings_does_not_see_their_changes() {
    let (database, api) = database().await;
    let acme = testing::account("acme");
    let agent = AgentId::from(Uuid::from_u128(1));
    let (granted, other) = (Uuid::from_u128(2), Uuid::from_u128(3));
    for subject in [
        Subject::new("role", "r", "role"),
        Subject::new(Subject::CHANNEL, &granted, "granted"),
        Subject::new(Subject::CHANNEL, &other, "other"),
    ] {
        note(
            &database,
            renamed("acme", "service:x", subject, "a", "b"),
            NOON,
        )
        .await;
    }
    let ask = |caller| {
        let api = api.clone();
        async move { testing::audited(&api, &caller, ListAuditEntriesRequest::default()).await }
    };
    let reason = |refused: Result<Vec<AuditEntry>, Status>| {
        refused
            .unwrap_err()
            .get_details_error_info()
            .unwrap()
            .reason
    };
    let mut record = testing::full_access(agent);
    let all = ask(testing::caller(
        &acme,
        agent,
        &["channels:*"],
        record.clone(),
    ))
    .await;
    assert_eq!(all.unwrap().len(), 3);
    record.channels = ChannelGrant::Some([granted].into());
    let some = ask(testing::caller(
        &acme,
        agent,
        &["channels:*"],
        record.clone(),
    ))
    .await;
    let mut seen = some.unwrap();
    seen.sort_by(|one, two| one.subject_name.cmp(&two.subject_name));
    assert_eq!(names(&seen), ["granted", "role"], "what is hidden stays so");

    record.settings = false;
    let without = testing::caller(&acme, agent, &["channels:*"], record);
    assert_eq!(reason(ask(without).await), "SETTINGS_ACCESS_MISSING");
    let elsewhere = testing::service_caller(Some(&acme), "x", &["crm:*", "agents:*"], None);
    assert_eq!(reason(ask(elsewhere).await), "SCOPE_MISSING");
    let stranger = testing::account("stranger");
    let stranger = testing::service_caller(Some(&stranger), "x", &["channels:*"], None);
    assert!(ask(stranger).await.unwrap().is_empty());
}

#[tokio::test]
async fn b11_entries_are_forgotten_when_they_are_old_enough() {
    let (database, api) = database().await;
    let acme = testing::account("acme");
    let caller = testing::service_caller(Some(&acme), "x", &["channels:*"], None);
    let day = Duration::from_hours(24);
    for (age, name) in [(0, "new"), (399, "old"), (401, "too old")] {
        let sides = (&Value::Null, &json!({ "name": name }));
        let actor = Actor::Service("x".into());
        let subject = Subject::new("role", "r", name);
        let entry = Entry::new(&acme, actor, "role.create", subject, sides);
        note(&database, entry, NOON - day * age).await;
    }
    let left = async || {
        let listed = testing::audited(&api, &caller, ListAuditEntriesRequest::default()).await;
        listed.unwrap().len()
    };
    for (kept, purged, expected) in [
        (Duration::MAX, 0, 3),
        (day * 400, 1, 2),
        (day * 400, 0, 2),
        (day, 1, 1),
    ] {
        let forgotten = purge(&database.pool, kept, NOON).await.unwrap();
        assert_eq!((forgotten, left().await), (purged, expected), "{kept:?}");
    }
}
