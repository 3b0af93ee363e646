//! Lists: pages in order, and plans that use indexes.

use std::collections::HashMap;

use chassis::access::{ChannelGrant, KindAccess, View};
use chassis::testing;
use crm_cards::store::MIGRATOR;
use switchboard_proto::crm_cards::v1::contact_service_server::ContactService as _;
use switchboard_proto::crm_cards::v1::crm_cards_service_server::CrmCardsService as _;
use switchboard_proto::crm_cards::v1::pipeline_connection::Mode;
use switchboard_proto::crm_cards::v1::*;
use uuid::Uuid;

use crate::world::{Chat, Tenant, World, tenant, world};

const CHANNEL: Uuid = Uuid::from_u128(1);
const AGENT: Uuid = Uuid::from_u128(50);

#[tokio::test]
async fn pages_are_newest_first_without_gaps_or_repeats() {
    let (world, tenant) = (world().await, tenant());
    let pipeline = world.pipeline(&tenant).await;
    world.set_mode(&tenant, CHANNEL, Mode::Repeat).await;
    for user in 0..23 {
        let user = user.to_string();
        let opening = tenant.opening(
            Chat {
                channel: CHANNEL,
                user: &user,
            },
            1,
        );
        world.handle(&[opening.delivery()]).await.unwrap();
    }
    for card in world.cards(&tenant).await.iter().take(5) {
        world
            .move_card(&tenant, &pipeline, &card.card_id, StatusKind::Rejected)
            .await;
    }
    let cards = world.cards_of_all(&tenant).await;
    let titles: Vec<_> = cards.iter().map(|card| card.title.clone()).collect();
    let expected: Vec<_> = (0..23).rev().map(|user| format!("Client {user}")).collect();
    assert_eq!(titles, expected);
    assert_eq!(world.decisions_of_all(&tenant).await.len(), 23);
    let request = ListCardsRequest {
        status_kinds: vec![StatusKind::Rejected.into(), StatusKind::Rejected.into()],
        ..ListCardsRequest::default()
    };
    let rejected = world
        .api
        .list_cards(tenant.ask(request))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (rejected.cards.len(), rejected.next_page_token.as_str()),
        (5, "")
    );
    let request = ListContactsRequest {
        page_size: 10,
        ..ListContactsRequest::default()
    };
    let page = world
        .api
        .list_contacts(tenant.ask(request))
        .await
        .unwrap()
        .into_inner();
    assert!(page.contacts.len() == 10 && !page.next_page_token.is_empty());
    let request = ListContactsRequest {
        page_token: "junk".into(),
        ..ListContactsRequest::default()
    };
    let refused = world
        .api
        .list_contacts(tenant.ask(request))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
}

#[tokio::test]
async fn pipelines_and_sources_come_page_by_page() {
    use StatusKind::{InProgress, New, Rejected, Successful};
    let (world, tenant) = (world().await, tenant());
    for name in ["c", "a", "b"] {
        world.pipeline(&tenant).await;
        let source = CreateSourceRequest {
            name: name.into(),
            ..CreateSourceRequest::default()
        };
        world.api.create_source(tenant.ask(source)).await.unwrap();
    }
    let (mut names, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListSourcesRequest {
            page_size: 2,
            page_token,
        };
        let page = world
            .api
            .list_sources(tenant.ask(request))
            .await
            .unwrap()
            .into_inner();
        names.extend(page.sources.into_iter().map(|source| source.name));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(names, ["a", "b", "c"]);
    let request = ListPipelinesRequest {
        page_size: 2,
        page_token: String::new(),
    };
    let first = world
        .api
        .list_pipelines(tenant.ask(request))
        .await
        .unwrap()
        .into_inner();
    let request = ListPipelinesRequest {
        page_size: 2,
        page_token: first.next_page_token.clone(),
    };
    let second = world
        .api
        .list_pipelines(tenant.ask(request))
        .await
        .unwrap()
        .into_inner();
    assert_eq!((first.pipelines.len(), second.pipelines.len()), (2, 1));
    let kinds: Vec<_> = first.pipelines[0]
        .statuses
        .iter()
        .map(Status::kind)
        .collect();
    assert_eq!(kinds, [New, InProgress, Successful, Rejected]);
}

/// Fills an account with many rows, most of them in statuses that nobody asks for.
pub async fn fill(world: &World, tenant: &Tenant, pipeline: &Pipeline) {
    let statuses: Vec<Uuid> = pipeline
        .statuses
        .iter()
        .map(|status| status.status_id.parse().unwrap())
        .collect();
    let pipeline: Uuid = pipeline.pipeline_id.parse().unwrap();
    let pool = &world.database.pool;
    sqlx::raw_sql("create extension if not exists pgcrypto")
        .execute(pool)
        .await
        .ok();
    for statement in [
        "insert into contact (account, id, name, responsible, created_at)
         select $1, md5('contact' || n)::uuid, 'x', case when n % 5 > 0 then md5('agent' || n % 50)::uuid end,
                now() - n * interval '1 s' from generate_series(1, 20000) n
         where $2::uuid is not null and $3::uuid is not null and $4::uuid is not null",
        "insert into suspected_duplicate (account, first, second, phone, at)
         select $1, least(one, other), greatest(one, other), '+380501234567', now() - n * interval '1 s'
         from (select n, md5('contact' || n)::uuid as one, md5('contact' || n + 50)::uuid as other
               from generate_series(1, 19950) n) pair
         where $2::uuid is not null and $3::uuid is not null and $4::uuid is not null",
        "insert into chat (account, id, channel, client, contact, created_at)
         select $1, md5('chat' || n)::uuid, md5('channel' || n % 20)::uuid, md5('c' || n)::uuid,
                md5('contact' || n)::uuid, now() from generate_series(1, 20000) n
         where $2::uuid is not null and $3::uuid is not null and $4::uuid is not null",
        "insert into card (account, id, kind, title, pipeline, status, status_kind, contact, chat, responsible,
                           created_at, updated_at, messenger, words)
         select $1, md5('card' || n)::uuid, 'lead', 'x', $2, case when n % 1000 = 0 then $3 else $4 end,
                case when n % 1000 = 0 then 'new' else 'rejected' end, md5('contact' || n)::uuid,
                md5('chat' || n)::uuid, case when n % 5 > 0 then md5('agent' || n % 50)::uuid end,
                now() - n * interval '1 s', now() - (n * 7919) % 20000 * interval '1 s',
                case when n % 4 > 0 then 'telegram' else 'viber' end,
                ('''@' || $1 || ''' ''word' || n % 200 || ''':1A')::tsvector
         from generate_series(1, 20000) n",
        "insert into chat_card (account, chat, card, linked_at)
         select $1, md5('chat' || n)::uuid, md5('card' || n)::uuid, now() from generate_series(1, 20000) n
         where $2::uuid is not null and $3::uuid is not null and $4::uuid is not null",
        "insert into decision (account, conversation, number, chat, channel, contact, rule, connection, facts,
                               decided_at)
         select $1, md5('conversation' || n)::uuid, n, md5('chat' || n)::uuid, md5('channel' || n % 20)::uuid,
                md5('contact' || n)::uuid, 'CONNECTION_OFF',
                '{\"mode\":\"none\",\"pipeline\":null,\"source\":null,\"scope\":\"chat\",
                  \"include_existing_chats\":false,\"activated_at\":\"1970-01-01T00:00:00Z\"}'::jsonb,
                '{\"opened_by_client\":true,\"chat_created_at\":\"1970-01-01T00:00:00Z\",\"cards_ever_linked\":0,
                  \"card_in_work\":false,\"order_in_work\":false,\"contact_cards\":0,\"buyer\":false}'::jsonb,
                now() - n * interval '1 s' from generate_series(1, 20000) n
         where $2::uuid is not null and $3::uuid is not null and $4::uuid is not null",
    ] {
        sqlx::query(statement)
            .bind(tenant.account.as_str())
            .bind(pipeline)
            .bind(statuses[0])
            .bind(statuses[3])
            .execute(pool)
            .await
            .unwrap();
    }
    sqlx::raw_sql("analyze").execute(pool).await.unwrap();
}

/// Sequential scans, and rows fetched by index, per table, as the server counted them.
async fn scans(world: &World) -> HashMap<String, (i64, i64)> {
    let rows: Vec<(String, i64, i64)> = sqlx::query_as(
        "select relname::text, seq_scan, idx_tup_fetch from pg_stat_user_tables where schemaname = 'public'",
    )
    .fetch_all(&world.database.pool)
    .await
    .unwrap();
    rows.into_iter()
        .map(|(table, scanned, fetched)| (table, (scanned, fetched)))
        .collect()
}

#[tokio::test]
async fn lists_and_decisions_among_many_rows_scan_no_table() {
    let (world, tenant) = (world().await, tenant());
    let pipeline = world.pipeline(&tenant).await;
    fill(&world, &tenant, &pipeline).await;
    let owned = uuid_of(&world, "select md5('agent7')::uuid").await;
    let channel = uuid_of(&world, "select md5('channel7')::uuid").await;
    let chat_id = uuid_of(&world, "select md5('chat7')::uuid")
        .await
        .to_string();
    let own = KindAccess {
        create: true,
        view: View::Own,
    };
    let mut record = testing::full_access(owned.into());
    (record.leads, record.contacts) = (own, own);
    let own = tenant.agent(record);
    let mut record = testing::full_access(AGENT.into());
    record.channels = ChannelGrant::Some([channel, CHANNEL].into());
    let granted = tenant.agent(record);

    flush(&world).await;
    let before = scans(&world).await;
    // Six times each: from the sixth on a server may use one plan for all values.
    for _ in 0..6 {
        for tenant in [&tenant, &own, &granted] {
            lists(&world, tenant, &pipeline).await;
        }
        let in_chat = ListCardsRequest {
            chat_id: chat_id.clone(),
            ..ListCardsRequest::default()
        };
        assert_eq!(
            world
                .api
                .list_cards(tenant.ask(in_chat))
                .await
                .unwrap()
                .into_inner()
                .cards
                .len(),
            1
        );
        let of_chat = ListDecisionsRequest {
            chat_id: chat_id.clone(),
            ..ListDecisionsRequest::default()
        };
        assert_eq!(
            world
                .api
                .list_decisions(tenant.ask(of_chat))
                .await
                .unwrap()
                .into_inner()
                .decisions
                .len(),
            1
        );
        world.connections(&tenant, &chat_id).await;
        let user = chassis::id::v7(chassis::clock::now()).to_string();
        world
            .handle(&[tenant
                .opening(
                    Chat {
                        channel: CHANNEL,
                        user: &user,
                    },
                    1,
                )
                .delivery()])
            .await
            .unwrap();
    }
    flush(&world).await;
    let after = scans(&world).await;
    for table in [
        "card",
        "contact",
        "chat",
        "chat_card",
        "decision",
        "suspected_duplicate",
    ] {
        let ((scanned_before, fetched_before), (scanned, fetched)) = (before[table], after[table]);
        assert_eq!(scanned_before, scanned, "{table}");
        // Six rounds of at most nine lists, each of at most four kinds with a page of 51.
        let fetched = fetched - fetched_before;
        assert!(fetched < 6 * 9 * 4 * 51, "{table}: {fetched} rows fetched");
    }
}

/// Asks for the first page of each list.
async fn lists(world: &World, tenant: &Tenant, pipeline: &Pipeline) {
    for request in [
        ListCardsRequest::default(),
        ListCardsRequest {
            status_kinds: vec![StatusKind::New.into()],
            ..ListCardsRequest::default()
        },
        ListCardsRequest {
            pipeline_id: pipeline.pipeline_id.clone(),
            ..ListCardsRequest::default()
        },
    ] {
        world.api.list_cards(tenant.ask(request)).await.unwrap();
    }
    world
        .api
        .list_contacts(tenant.ask(ListContactsRequest::default()))
        .await
        .unwrap();
    world
        .api
        .list_decisions(tenant.ask(ListDecisionsRequest::default()))
        .await
        .unwrap();
    let duplicates = ListSuspectedDuplicatesRequest::default();
    let listed = world.api.list_suspected_duplicates(tenant.ask(duplicates));
    listed.await.unwrap();
}

pub async fn uuid_of(world: &World, query: &'static str) -> Uuid {
    sqlx::query_scalar(query)
        .fetch_one(&world.database.pool)
        .await
        .unwrap()
}

/// Makes every session of the pool tell its counts: they are told when a session is idle, or when asked.
async fn flush(world: &World) {
    let mut sessions = Vec::new();
    for _ in 0..8 {
        sessions.push(world.database.pool.acquire().await.unwrap());
    }
    for session in &mut sessions {
        sqlx::query("select pg_stat_force_next_flush()")
            .execute(&mut **session)
            .await
            .unwrap();
        sqlx::query("select 1")
            .execute(&mut **session)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn migrations_apply_to_a_fresh_database_once() {
    let world = world().await;
    MIGRATOR.run(&world.database.pool).await.unwrap();
}
