//! Filters, pages, plans, and what is old.

use chassis::access::ChannelGrant;
use conversation::app::activity::sweep;
use conversation::domain::activity::Reach;
use conversation::store::activity::{self as store, END, Filter};
use sqlx::Row as _;
use switchboard_proto::conversation::v1 as pb;
use time::Duration;
use tonic::Code;
use uuid::Uuid;

use super::{asked, entity, list, of_types, page, things, with};
use crate::world::{World, agent, at, noon};

#[expect(clippy::too_many_lines, reason = "a table is read as a whole")]
#[tokio::test]
async fn f214_the_list_is_filtered_by_actor_chat_entity_and_time_over_pages() {
    let world = World::new().await;
    things(&world).await;
    let service = world.as_service();
    let all = list(&world, &service, asked()).await;
    for size in [1, 2, 5] {
        let ask = pb::ListActivityRequest {
            page_size: size,
            ..asked()
        };
        assert_eq!(list(&world, &service, ask).await, all, "pages of {size}");
    }
    assert!(
        all.is_sorted_by_key(|entry| {
            let time = entry.time.unwrap();
            std::cmp::Reverse((time.seconds, time.nanos))
        }),
        "{all:?}"
    );
    let time = |seconds| Some(chassis::grpc::timestamp(at(seconds)));
    let ann = format!("agent:{}", agent("ann"));
    let expect = |wanted: &dyn Fn(&pb::ActivityEntry) -> bool| {
        let wanted = all.iter().filter(|entry| wanted(entry)).cloned();
        wanted.collect::<Vec<_>>()
    };
    for (name, ask, expected) in [
        (
            "agents",
            pb::ListActivityRequest {
                actor: "agent".into(),
                ..asked()
            },
            expect(&|entry| entry.actor.starts_with("agent:")),
        ),
        (
            "one agent",
            pb::ListActivityRequest {
                actor: ann.clone(),
                ..asked()
            },
            expect(&|entry| entry.actor == ann),
        ),
        (
            "rules, of a type",
            pb::ListActivityRequest {
                actor: "rule".into(),
                ..of_types(&["card.created", "card.moved"])
            },
            expect(&|entry| entry.r#type == "card.created"),
        ),
        (
            "bots",
            pb::ListActivityRequest {
                actor: "bot".into(),
                ..asked()
            },
            Vec::new(),
        ),
        (
            "a chat",
            pb::ListActivityRequest {
                chat_id: world.chat("7").to_string(),
                page_size: 2,
                ..asked()
            },
            expect(&|entry| !entry.chat_id.is_empty()),
        ),
        (
            "an entity",
            pb::ListActivityRequest {
                entity_kind: "contact".into(),
                entity_id: entity(3).to_string(),
                ..asked()
            },
            expect(&|entry| entry.entity_id == entity(3).to_string()),
        ),
        (
            "an entity of another kind",
            pb::ListActivityRequest {
                entity_kind: "card".into(),
                entity_id: entity(3).to_string(),
                ..asked()
            },
            Vec::new(),
        ),
        (
            "a kind of entity",
            pb::ListActivityRequest {
                entity_kind: "card".into(),
                page_size: 1,
                ..asked()
            },
            expect(&|entry| entry.entity_kind == "card"),
        ),
        (
            "a while",
            pb::ListActivityRequest {
                since_time: time(2),
                until_time: time(5),
                ..asked()
            },
            expect(&|entry| (at(2)..at(5)).contains(&of(entry))),
        ),
    ] {
        assert_eq!(list(&world, &service, ask).await, expected, "{name}");
        assert!(
            name == "bots" || name.contains("another") || !expected.is_empty(),
            "{name}"
        );
    }
    for wrong in [
        of_types(&["message.stored"]),
        pb::ListActivityRequest {
            actor: "robot".into(),
            ..asked()
        },
        pb::ListActivityRequest {
            chat_id: "7".into(),
            ..asked()
        },
        pb::ListActivityRequest {
            entity_kind: "chat".into(),
            ..asked()
        },
        pb::ListActivityRequest {
            page_token: "x".into(),
            ..asked()
        },
        pb::ListActivityRequest {
            page_size: -1,
            ..asked()
        },
    ] {
        let refused = page(&world, &service, wrong).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
}

fn of(entry: &pb::ActivityEntry) -> time::OffsetDateTime {
    let time = entry.time.unwrap();
    time::OffsetDateTime::from_unix_timestamp(time.seconds).unwrap()
}

/// 12,000 entries of a channel that is not granted stand before two of one that is.
const CROWD: &str = "
    insert into activity (account, event_id, type, time, actor, key_action, chat_id, channel_id, number, entity_kind, parameters)
        select 'acme', gen_random_uuid(), case n % 2 when 0 then 'chat.created' else 'conversation.opened' end,
            timestamptz '2026-03-02 12:00:00Z' - n * interval '1 second', 'agent:00000000-0000-0000-0000-000000000001', false,
            ('00000000-0000-0000-0000-' || lpad((n % 100)::text, 12, '0'))::uuid,
            case when n in (11000, 12000) then '00000000-0000-0000-0000-00000000c4a1'
                 else '00000000-0000-0000-0000-000000000001' end::uuid,
            0, '', '{}'
        from generate_series(1, 12000) n";

#[tokio::test]
async fn a_page_looks_through_so_much_and_the_next_one_goes_on_behind_it() {
    let world = World::new().await;
    sqlx::raw_sql(CROWD).execute(&world.db.pool).await.unwrap();
    let narrowed = with(&world, "ann", |record| {
        record.channels = ChannelGrant::Some([world.channel].into());
    });
    let both = of_types(&["chat.created", "conversation.opened"]);
    for ask in [asked(), both] {
        let first = page(&world, &narrowed, ask.clone()).await.unwrap();
        assert_eq!(first.entries, []);
        assert!(!first.next_page_token.is_empty());
        let entries = list(&world, &narrowed, ask).await;
        let seconds: Vec<i64> = entries
            .iter()
            .map(|entry| (noon() - of(entry)).whole_seconds())
            .collect();
        assert_eq!(seconds, [11_000, 12_000]);
    }
}

#[tokio::test]
async fn what_is_older_than_it_is_kept_is_swept_step_by_step() {
    let world = World::new().await;
    sqlx::raw_sql(CROWD).execute(&world.db.pool).await.unwrap();
    let day = std::time::Duration::from_hours(24);
    let pool = &world.db.pool;
    let now = noon() + Duration::DAY - Duration::seconds(6_000);
    assert_eq!(sweep(pool, std::time::Duration::MAX, now).await.unwrap(), 0);
    assert_eq!(sweep(pool, day, now).await.unwrap(), 6_000);
    let oldest = "select count(*) from activity where time < timestamptz '2026-03-02 12:00:00Z' - interval '6000 seconds'";
    assert_eq!(world.count(oldest).await, 0);
    assert_eq!(world.count("select count(*) from activity").await, 6_000);
    assert_eq!(sweep(pool, day, now).await.unwrap(), 0);
}

/// How the server would execute a prepared statement.
async fn plan(connection: &mut sqlx::PgConnection, mode: &str, execute: &str) -> String {
    let set = sqlx::AssertSqlSafe(format!("set plan_cache_mode = {mode}"));
    sqlx::raw_sql(set).execute(&mut *connection).await.unwrap();
    let explain = sqlx::AssertSqlSafe(format!("explain execute {execute}"));
    let plan = sqlx::raw_sql(explain).fetch_all(connection).await.unwrap();
    let lines: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
    lines.join("\n")
}

#[tokio::test]
async fn what_is_old_is_found_by_its_day() {
    let world = World::new().await;
    sqlx::raw_sql(CROWD).execute(&world.db.pool).await.unwrap();
    sqlx::raw_sql("analyze activity")
        .execute(&world.db.pool)
        .await
        .unwrap();
    let mut connection = world.db.pool.acquire().await.unwrap();
    let long_ago = noon() - Duration::days(300);
    let swept = store::sweep(&mut connection, long_ago).await.unwrap();
    assert_eq!(swept, (0, false));
    let statement: String = sqlx::query_scalar(
        "select name from pg_prepared_statements where statement like 'delete from activity%'",
    )
    .fetch_one(&mut *connection)
    .await
    .unwrap();
    for mode in ["force_generic_plan", "force_custom_plan"] {
        let execute = format!("{statement} ('2025-01-01Z', 5000)");
        let plan = plan(&mut connection, mode, &execute).await;
        assert!(plan.contains("activity_by_age"), "{plan}");
        assert!(!plan.contains("Seq Scan"), "{plan}");
    }
}

#[expect(clippy::too_many_lines, reason = "a table is read as a whole")]
#[tokio::test]
async fn f214_each_filter_is_read_from_its_index() {
    let world = World::new().await;
    sqlx::raw_sql(CROWD).execute(&world.db.pool).await.unwrap();
    sqlx::raw_sql("analyze activity")
        .execute(&world.db.pool)
        .await
        .unwrap();
    let mut connection = world.db.pool.acquire().await.unwrap();
    let id = Uuid::from_u128(1);
    let asked = Filter::default;
    let everything = Reach::of(None);
    let narrowed = Reach {
        channels: Some(vec![Uuid::from_u128(9)]),
        ..Reach::of(None)
    };
    let actor = || "agent:00000000-0000-0000-0000-000000000001".to_owned();
    for (name, by, filter, index) in [
        ("newest", "key_action = wanted", asked(), "activity_newest"),
        (
            "of types",
            " type = wanted",
            Filter {
                types: vec!["chat.created".into(), "chat.joined".into()],
                ..asked()
            },
            "activity_by_type",
        ),
        (
            "by one actor",
            " actor = wanted",
            Filter {
                actor: Some(actor()),
                ..asked()
            },
            "activity_by_actor",
        ),
        (
            "by a kind of actor",
            "actor_kind = wanted",
            Filter {
                actor_kind: Some("agent".into()),
                ..asked()
            },
            "activity_by_actor_kind",
        ),
        (
            "of a chat",
            "chat_id = wanted",
            Filter {
                chat: Some(id.into()),
                ..asked()
            },
            "activity_of_chat",
        ),
        (
            "of an entity",
            " entity_id = wanted",
            Filter {
                entity: Some(id),
                ..asked()
            },
            "activity_of_entity",
        ),
    ] {
        for reach in [&everything, &narrowed] {
            store::list(&mut connection, &world.account, &filter, reach, END, 51)
                .await
                .unwrap();
        }
        // The statements are those that the store itself prepared: the list, and where its looking ended.
        let prepared: Vec<(String, i32)> = sqlx::query_as(
            "select name, cardinality(parameter_types) from pg_prepared_statements
             where position($1 in statement) > 0 and statement like '%from activity%'",
        )
        .bind(by)
        .fetch_all(&mut *connection)
        .await
        .unwrap();
        assert_eq!(prepared.len(), 2, "{name}: {prepared:?}");
        let value = match name {
            "newest" => "false",
            "of types" => "chat.created",
            "by a kind of actor" => "agent",
            "by one actor" => &actor(),
            _ => "00000000-0000-0000-0000-000000000001",
        };
        let place = format!(
            "array['{value}'], 'acme', '9999-01-01', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '0001-01-01'"
        );
        for (statement, parameters) in prepared {
            let parameters = match parameters {
                6 => format!("{place}, 5000"),
                _ => format!(
                    "{place}, 51, null, array['', 'card'], array['contact'], null, array[]::text[], true, null, null, null, \
                     null, 51"
                ),
            };
            for mode in ["force_generic_plan", "force_custom_plan"] {
                let plan = plan(
                    &mut connection,
                    mode,
                    &format!("{statement} ({parameters})"),
                )
                .await;
                assert!(
                    plan.contains(&format!("{index} on activity")),
                    "{name}: {plan}"
                );
                assert!(!plan.contains("Seq Scan"), "{name}: {plan}");
                assert!(
                    plan.contains("ROW("),
                    "{name}: the page is found by the index: {plan}"
                );
                // Groups are merged; within each nothing is sorted.
                assert_eq!(plan.matches("Sort Key").count(), 1, "{name}: {plan}");
            }
        }
    }
}
