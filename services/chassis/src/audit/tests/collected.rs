//! Entries of other services, collected from their events.

use bytes::Bytes;
use prost::Message as _;
use sqlx::PgPool;
use switchboard_proto::DomainEvent as _;
use switchboard_proto::operator::v1::SettingChanged;

use super::*;
use crate::audit::Collector;
use crate::consumer::{Delivery, Handler as _, HandlerError, Origin};
use crate::outbox::StoredEvents;

const OTHERS: &[(&str, &[Scope])] = &[
    ("crm-cards", &[Scope::CRM_ADMIN]),
    ("assignment", &[Scope::AGENTS_ADMIN]),
];

/// Changes a setting of a service in its own database; returns what is announced of it.
async fn changed(service: &str, entry: Entry, now: OffsetDateTime) -> Vec<Delivery> {
    let database = testing::database(&crate::MIGRATOR).await;
    let mut tx = database.pool.begin().await.unwrap();
    write(&mut tx, service, vec![entry], now).await.unwrap();
    tx.commit().await.unwrap();
    published(&database.pool).await
}

async fn published(pool: &PgPool) -> Vec<Delivery> {
    let rows: Vec<Vec<u8>> = sqlx::query_scalar("select events from chassis.outbox order by id")
        .fetch_all(pool)
        .await
        .unwrap();
    let events = rows.into_iter().flat_map(|row| {
        let row = StoredEvents::decode(row.as_slice()).unwrap();
        row.events.into_iter()
    });
    let origin = || Origin {
        stream: "EVENTS".into(),
        sequence: 1,
        index: 0,
    };
    events
        .map(|event| {
            let (envelope, payload) = event.into_parts().unwrap();
            Delivery {
                envelope,
                payload,
                origin: origin(),
            }
        })
        .collect()
}

#[tokio::test]
async fn b11_an_entry_is_announced_with_its_change_and_collected_once() {
    let (database, api) = database().await;
    let api = api.collecting(OTHERS);
    let subject = |name: &str| Subject::new("role", "r", name);
    let told = |name: &str| renamed("acme", "service:x", subject(name), "a", "b");
    let minute = |minute: i64| NOON + time::Duration::minutes(minute);
    note(&database, told("own"), minute(1)).await;
    let mut heard = changed("crm-cards", told("theirs"), minute(2)).await;
    heard.extend(changed("assignment", told("another's"), minute(0)).await);
    // What comes back of its own is there already.
    heard.extend(published(&database.pool).await);
    let [theirs, _, own] = heard.as_slice() else {
        panic!("an event each: {heard:?}");
    };
    assert_eq!(
        (own.envelope.service.as_str(), theirs.envelope.sequence),
        ("test", 1)
    );
    let entry = theirs.decode::<SettingChanged>().unwrap().entry.unwrap();
    assert_eq!(entry.entry_id, theirs.envelope.id.to_string());
    assert_eq!(theirs.envelope.kind, SettingChanged::TYPE);

    let collector = Collector::new("test", "test-audit", database.pool.clone());
    for _ in 0..2 {
        collector.handle(&heard, NOON).await.unwrap();
        collector.handle(&heard[..1], NOON).await.unwrap();
    }
    let list = async |scopes: &[&str], service: &str| {
        let acme = testing::account("acme");
        let caller = testing::service_caller(Some(&acme), "x", scopes, None);
        let request = ListAuditEntriesRequest {
            service: service.into(),
            ..ListAuditEntriesRequest::default()
        };
        testing::audited(&api, &caller, request).await.unwrap()
    };
    let every: &[&str] = &["channels:*", "crm:*", "agents:*"];
    for (scopes, service, expected) in [
        (every, "", vec!["theirs", "own", "another's"]),
        (every, "test", vec!["own"]),
        (every, "crm-cards", vec!["theirs"]),
        (every, "nobody", vec![]),
        // Of each service to who may change settings there.
        (&["channels:*"], "", vec!["own"]),
        (&["channels:*"], "crm-cards", vec![]),
        (&["channels:*", "crm:*"], "", vec!["theirs", "own"]),
        (&["channels:*", "crm:read"], "", vec!["own"]),
    ] {
        let listed = list(scopes, service).await;
        assert_eq!(names(&listed), expected, "{scopes:?} {service}");
    }
    let newest = &list(every, "").await[0];
    assert_eq!(newest, &entry, "the event tells the entry as it is listed");

    assert_eq!(
        purge(&database.pool, Duration::ZERO, minute(9))
            .await
            .unwrap(),
        3
    );
}

#[tokio::test]
async fn b11_an_event_without_an_entry_is_no_entry() {
    let (database, _) = database().await;
    let collector = Collector::new("test", "test-audit", database.pool.clone());
    let entry = renamed("acme", "service:x", Subject::new("role", "r", ""), "a", "b");
    let good = changed("crm-cards", entry, NOON).await;
    for spoil in [
        (|event| event.entry = None) as fn(&mut SettingChanged),
        |event| event.entry.as_mut().unwrap().entry_id = "x".into(),
        |event| event.entry.as_mut().unwrap().time = None,
        |event| event.entry.as_mut().unwrap().actor = "x".into(),
    ] {
        let mut bad = good.clone();
        let mut event = bad[0].decode::<SettingChanged>().unwrap();
        spoil(&mut event);
        bad[0].payload = Bytes::from(event.encode_to_vec());
        let refused = collector.handle(&bad, NOON).await;
        assert!(
            matches!(refused, Err(HandlerError::Poison(_))),
            "{refused:?}"
        );
    }
    assert_eq!(collector.handle(&good, NOON).await, Ok(()));
}
