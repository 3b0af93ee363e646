//! Notifications of internal messages (F182): whose they are, how they are marked, told and forgotten.

use std::time::Duration;

use chassis::access::{AccessCopy, View};
use chassis::auth::Caller;
use chassis::testing::{full_access, request, service_caller};
use conversation::app::internal_chat as app;
use futures::StreamExt as _;
use switchboard_proto::conversation::v1::entity_reference::Kind;
use switchboard_proto::conversation::v1::internal_chat_service_server::InternalChatService as _;
use switchboard_proto::conversation::v1::{self as pb};
use switchboard_proto::crm_cards::v1 as crm;
use tonic::Code;
use uuid::Uuid;

use super::{
    BUYER, CARD, CONTACT, ORDER, SALES, Staff, TWIN, card, crm_caller, message, of, replica,
    text_of,
};
use crate::world::{agent, noon, reason};

#[tokio::test]
async fn f182_marks_are_each_agents_own() {
    let staff = Staff::new().await;
    let (ann, bob) = (staff.agent("ann"), staff.agent("bob"));
    let mut posted = Vec::new();
    for text in ["one", "two", "three"] {
        let message = staff
            .post(&ann, message(text, &[], &[SALES]))
            .await
            .unwrap();
        posted.push(message.message.unwrap().internal_message_id);
    }
    let on_order = pb::PostInternalMessageRequest {
        entity: Some(of(Kind::Order, ORDER)),
        ..message("four", &["bob"], &[])
    };
    staff.post(&ann, on_order).await.unwrap();
    let told = staff.world.events_of::<pb::InternalMessagePosted>().await;
    assert_eq!(told.last().unwrap().contact_id, BUYER.to_string());

    let of_messages = pb::MarkInternalNotificationsRequest {
        internal_message_ids: vec![posted[1].clone(), Uuid::nil().to_string()],
        ..Default::default()
    };
    assert_eq!(staff.mark(&bob, of_messages.clone()).await.unwrap(), 3);
    assert_eq!(staff.mark(&bob, of_messages.clone()).await.unwrap(), 3);
    let unread = staff.notified(&bob, true).await;
    let texts: Vec<&str> = unread.0.iter().map(|(text, _)| text.as_str()).collect();
    assert_eq!(texts, ["four", "three", "one"]);
    assert_eq!(staff.notified(&bob, false).await.0.len(), 4);
    let of_card = pb::MarkInternalNotificationsRequest {
        entity: Some(card()),
        ..Default::default()
    };
    assert_eq!(staff.mark(&bob, of_card.clone()).await.unwrap(), 1);
    let all = pb::MarkInternalNotificationsRequest {
        all: true,
        ..Default::default()
    };
    assert_eq!(staff.mark(&bob, all.clone()).await.unwrap(), 0);
    assert_eq!(staff.notified(&staff.agent("cid"), true).await.1, 3);

    let both = pb::MarkInternalNotificationsRequest {
        all: true,
        ..of_card
    };
    for wrong in [both, pb::MarkInternalNotificationsRequest::default()] {
        let refused = staff.mark(&bob, wrong).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
    let shop = service_caller(Some(&staff.world.account), "shop", &["crm:*"], None);
    let refused = staff.mark(&shop, all).await.unwrap_err();
    assert_eq!(reason(&refused), "AGENT_REQUIRED");
}

/// A message on a contact.
fn on_contact(text: &str, id: Uuid) -> pb::PostInternalMessageRequest {
    pb::PostInternalMessageRequest {
        entity: Some(of(Kind::Contact, id)),
        ..message(text, &["bob"], &[])
    }
}

fn mark_of(entity: pb::EntityReference) -> pb::MarkInternalNotificationsRequest {
    pb::MarkInternalNotificationsRequest {
        entity: Some(entity),
        ..Default::default()
    }
}

#[tokio::test]
async fn f182_b08_who_reads_a_contacts_internal_chat_has_read_that_of_what_was_merged_into_it() {
    let staff = Staff::new().await;
    let (ann, bob) = (staff.agent("ann"), staff.agent("bob"));
    let (twin, contact) = (of(Kind::Contact, TWIN), of(Kind::Contact, CONTACT));
    for (text, id) in [("one", TWIN), ("two", CONTACT)] {
        staff.post(&ann, on_contact(text, id)).await.unwrap();
    }
    assert_eq!(staff.mark(&bob, mark_of(contact.clone())).await.unwrap(), 1);
    staff.others.merged.lock().unwrap().push(TWIN);
    assert_eq!(staff.on(&bob, contact.clone()).await.unwrap().len(), 2);
    assert_eq!(staff.mark(&bob, mark_of(contact)).await.unwrap(), 0);
    // By its old id it is the same.
    staff.post(&ann, on_contact("three", TWIN)).await.unwrap();
    assert_eq!(staff.notified(&bob, true).await.1, 1);
    assert_eq!(staff.mark(&bob, mark_of(twin.clone())).await.unwrap(), 0);
    // What CRM does not show any more can still be marked.
    staff.post(&ann, on_contact("four", CONTACT)).await.unwrap();
    staff.others.blind.lock().unwrap().insert(agent("bob"));
    let marked = staff.mark(&bob, mark_of(of(Kind::Contact, CONTACT)));
    assert_eq!(marked.await.unwrap(), 0);
}

#[tokio::test]
async fn f182_what_is_deleted_notifies_nobody_any_more() {
    let staff = Staff::new().await;
    let (ann, bob) = (staff.agent("ann"), staff.agent("bob"));
    let world = &staff.world;
    staff
        .post(&ann, message("on the card", &[], &[SALES]))
        .await
        .unwrap();
    staff
        .post(&ann, on_contact("on the contact", CONTACT))
        .await
        .unwrap();
    let on_order = pb::PostInternalMessageRequest {
        entity: Some(of(Kind::Order, ORDER)),
        ..message("on the order", &["bob"], &[])
    };
    staff.post(&ann, on_order).await.unwrap();
    let card = crm::CardDeleted {
        card: Some(crm::Card {
            card_id: CARD.to_string(),
            ..Default::default()
        }),
    };
    // Of another account: another card.
    let mut elsewhere = world.event(1, CARD, &card);
    elsewhere.envelope.account = chassis::testing::account("other");
    // An id is one kind's alone.
    let company = crm::CompanyDeleted {
        company: Some(crm::Company {
            company_id: CARD.to_string(),
            ..Default::default()
        }),
    };
    world
        .hear(&[elsewhere, world.event(2, CARD, &company)])
        .await;
    assert_eq!(staff.notified(&bob, true).await.1, 3);

    let watched = staff
        .api
        .watch_internal_notifications(request(&bob, pb::WatchInternalNotificationsRequest {}));
    let mut stream = watched.await.unwrap().into_inner();
    let first = stream.next().await.unwrap().unwrap();
    assert_eq!(first.unread.unwrap().count, 3);
    let contact = crm::ContactDeleted {
        contact: Some(crm::Contact {
            contact_id: CONTACT.to_string(),
            ..Default::default()
        }),
    };
    for _ in 0..2 {
        world
            .hear(&[
                world.event(3, CARD, &card),
                world.event(4, CONTACT, &contact),
            ])
            .await;
    }
    let left = vec![("on the order".to_owned(), false)];
    assert_eq!(staff.notified(&bob, true).await, (left, 1));
    assert_eq!(staff.notified(&staff.agent("cid"), true).await.1, 0);
    assert_eq!(
        staff.notified(&bob, false).await.0.len(),
        3,
        "as read ones they stay"
    );
    // Who watches is told.
    let told = tokio::time::timeout(Duration::from_secs(20), stream.next());
    let told = told.await.unwrap().unwrap().unwrap();
    assert_eq!(told.unread.unwrap().count, 1);
    let mut texts: Vec<_> = told.changed.into_iter().map(text_of).collect();
    texts.sort();
    let read = |text: &str| (text.to_owned(), true);
    assert_eq!(texts, [read("on the card"), read("on the contact")]);
    staff.lifecycle.stop();
}

/// Bob, with rights over own ones alone.
fn own_ones(staff: &Staff) -> Caller {
    let mut record = full_access(agent("bob"));
    (record.leads.view, record.contacts.view) = (View::Own, View::Own);
    crm_caller(&staff.world, record)
}

#[tokio::test]
async fn x11_what_rights_close_is_notified_of_no_more() {
    let staff = Staff::new().await;
    let ann = staff.agent("ann");
    staff
        .post(&ann, message("one", &["bob"], &[]))
        .await
        .unwrap();
    let on_order = pb::PostInternalMessageRequest {
        entity: Some(of(Kind::Order, ORDER)),
        ..message("two", &["bob"], &[])
    };
    staff.post(&ann, on_order).await.unwrap();
    let seen = async |caller: &Caller| {
        let (texts, count) = staff.notified(caller, false).await;
        assert_eq!(usize::try_from(count).unwrap(), texts.len());
        texts.into_iter().map(|(text, _)| text).collect::<Vec<_>>()
    };
    assert_eq!(seen(&staff.agent("bob")).await, ["two", "one"]);
    let bob = own_ones(&staff);
    assert!(seen(&bob).await.is_empty(), "both are Ann's");
    for (entity, expected) in [(CARD, &["one"][..]), (BUYER, &["two", "one"])] {
        sqlx::query("update activity_owner set responsible = $1 where entity_id = $2")
            .bind(agent("bob").uuid())
            .bind(entity)
            .execute(&staff.world.db.pool)
            .await
            .unwrap();
        assert_eq!(seen(&bob).await, expected);
    }
    let mut record = full_access(agent("bob"));
    record.leads.view = View::None;
    assert!(seen(&crm_caller(&staff.world, record)).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn f182_a_stream_tells_what_happens_on_any_replica() {
    let staff = Staff::new().await;
    let (ann, bob) = (staff.agent("ann"), staff.agent("bob"));
    staff
        .post(&ann, message("one", &["bob"], &[]))
        .await
        .unwrap();
    let other = replica(&staff.world, &staff.others, &staff.lifecycle);
    let open = async || {
        let ask = pb::WatchInternalNotificationsRequest {};
        let stream = other.watch_internal_notifications(request(&bob, ask)).await;
        stream.unwrap().into_inner()
    };
    let mut stream = open().await;
    let mut next = async || {
        let told = tokio::time::timeout(Duration::from_secs(20), stream.next()).await;
        let told = told.unwrap().unwrap();
        told.map(|told| {
            let changed: Vec<_> = told.changed.into_iter().map(text_of).collect();
            (changed, told.unread.unwrap().count)
        })
    };
    let one = |text: &str, read: bool| vec![(text.to_owned(), read)];
    assert_eq!(next().await.unwrap(), (one("one", false), 1));
    staff
        .post(&bob, message("his own", &["ann"], &[]))
        .await
        .unwrap();
    staff
        .post(&ann, message("two", &[], &[SALES]))
        .await
        .unwrap();
    assert_eq!(next().await.unwrap(), (one("two", false), 2));
    let all = pb::MarkInternalNotificationsRequest {
        all: true,
        ..Default::default()
    };
    staff.mark(&bob, all).await.unwrap();
    let (mut marked, unread) = next().await.unwrap();
    marked.sort();
    assert_eq!(
        (marked, unread),
        ([one("one", true), one("two", true)].concat(), 0)
    );
    // Many at once are told in pages, each once.
    sqlx::query(
        "with made as (
             insert into internal_message
             select account, gen_random_uuid(), entity_kind, entity_id, owner_id, author, body, agent_ids, group_ids, created_at
             from internal_message cross join generate_series(1, 300) where account = 'acme' and agent_ids = '{}'
             returning *),
         raised as (update internal_notified set version = version + 1 where agent_id = $1 returning version)
         insert into internal_notification (account, agent_id, message_id, version, created_at)
         select account, $1, message_id, version, created_at from made, raised",
    )
    .bind(agent("bob").uuid())
    .execute(&staff.world.db.pool)
    .await
    .unwrap();
    assert_eq!(next().await.unwrap().0.len(), 200);
    assert_eq!(next().await.unwrap().0.len(), 100);

    // With other rights it ends; opened again it begins with what is unread.
    let mut narrowed = full_access(agent("bob"));
    narrowed.version += 1;
    let key = (staff.world.account.clone(), narrowed);
    let mut connection = staff.world.db.pool.acquire().await.unwrap();
    AccessCopy::apply(&mut connection, &[key]).await.unwrap();
    drop(connection);
    let ended = next().await.unwrap_err();
    assert_eq!(
        (ended.code(), &*reason(&ended)),
        (Code::Aborted, "ACCESS_CHANGED")
    );
    let told = open().await.next().await.unwrap().unwrap();
    assert_eq!((told.changed.len(), told.unread.unwrap().count), (50, 300));
    staff.lifecycle.stop();
}

#[tokio::test]
async fn f182_notifications_are_forgotten_and_found_by_their_indexes() {
    let staff = Staff::new().await;
    let (ann, bob) = (staff.agent("ann"), staff.agent("bob"));
    let pool = &staff.world.db.pool;
    staff
        .post(&ann, message("old", &["bob"], &[]))
        .await
        .unwrap();
    sqlx::query("update internal_notification set created_at = $1")
        .bind(noon() - app::KEPT - Duration::from_secs(1))
        .execute(pool)
        .await
        .unwrap();
    staff
        .post(&ann, message("new", &["bob"], &[]))
        .await
        .unwrap();
    assert_eq!(app::sweep(pool, noon()).await.unwrap(), 1);
    assert_eq!(
        staff.notified(&bob, false).await,
        (vec![("new".to_owned(), false)], 1)
    );
    assert_eq!(
        staff.on(&ann, card()).await.unwrap(),
        ["new", "old"],
        "messages stay"
    );

    sqlx::raw_sql(
        "insert into internal_notification (account, agent_id, message_id, version, read, created_at)
         select 'acme', md5((i % 50)::text)::uuid, gen_random_uuid(), i, i % 10 > 0, now() from generate_series(1, 50000) i;
         insert into internal_message
         select 'acme', gen_random_uuid(), 'card', md5((i % 5000)::text)::uuid, gen_random_uuid(), 'agent:x', '', '{}', '{}', now()
         from generate_series(1, 50000) i;
         analyze internal_notification; analyze internal_message",
    )
    .execute(pool)
    .await
    .unwrap();
    for (query, index) in [
        (
            "select from internal_notification where account = 'acme' and agent_id = md5('7')::uuid
               and (version, message_id) > (49000, gen_random_uuid()) order by version, message_id limit 200",
            "internal_notification_by_version",
        ),
        (
            "select from internal_notification where account = 'acme' and agent_id = md5('7')::uuid
               and message_id < 'ffffffff-ffff-ffff-ffff-ffffffffffff' order by message_id desc limit 51",
            "internal_notification_pkey",
        ),
        (
            "select from internal_notification where account = 'acme' and message_id = md5('7')::uuid and not read",
            "internal_notification_of_message",
        ),
        (
            "select from internal_message where account = 'acme' and entity_id = md5('7')::uuid
               and message_id < 'ffffffff-ffff-ffff-ffff-ffffffffffff' order by message_id desc limit 51",
            "internal_message_of_entity",
        ),
    ] {
        let explain = sqlx::AssertSqlSafe(format!("explain {query}"));
        let plan: Vec<String> = sqlx::query_scalar(explain).fetch_all(pool).await.unwrap();
        let plan = plan.join("\n");
        assert!(plan.contains(index) && !plan.contains("Sort"), "{plan}");
    }
}
