//! How the search reads: few pages, whatever is asked for.

use conversation::app::search::of_chats;
use conversation::app::search_words::fill;
use conversation::domain::search::messages::{Within, bucket, queries};
use conversation::domain::search::query::Query;
use conversation::store::chat::{self, Narrowing, Whose};
use conversation::store::message_words::{self, Sought};
use sqlx::Row as _;
use uuid::Uuid;

use super::chats::{filled, many};
use super::write;
use crate::world::{World, at};

/// The plan of a statement that the store prepared on this connection, with settings and for these parameters.
async fn explained(
    connection: &mut sqlx::PgConnection,
    (statement, settings): (&str, &str),
    parameters: &str,
) -> String {
    let name: String =
        sqlx::query_scalar("select name from pg_prepared_statements where statement ~ $1")
            .bind(statement)
            .fetch_one(&mut *connection)
            .await
            .unwrap();
    let settings = format!("{settings}; set plan_cache_mode = force_custom_plan");
    let explain = format!("explain (analyze, costs off, timing off) execute {name} ({parameters})");
    let settings = sqlx::AssertSqlSafe(settings);
    sqlx::raw_sql(settings)
        .execute(&mut *connection)
        .await
        .unwrap();
    let explain = sqlx::AssertSqlSafe(explain);
    let plan = sqlx::raw_sql(explain).fetch_all(connection).await.unwrap();
    let lines: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
    lines.join("\n")
}

/// As the store sets it.
const BITMAPS: &str = "set enable_seqscan = off; set enable_indexscan = off";

#[tokio::test]
async fn b12_a_search_reads_the_index_of_words_and_of_common_words_only_the_newest_buckets() {
    let world = World::new().await;
    write(&world, 10_050).await;
    while fill(&world.db.pool, at(3_600)).await.unwrap() {}
    let mut connection = world.db.pool.acquire().await.unwrap();
    let buckets = (bucket(at(-10_050 * 3_600)), bucket(at(3_600)));
    let all = buckets.1 - buckets.0 + 1;
    assert_eq!(all, 553);
    // Eighteen messages stand in a bucket: for the newest 1,000, which are asked for here, 56 buckets are looked at.
    for (text, channel, looked_at) in [
        ("слово", None, 56),
        ("слово", Some(world.channel), 56),
        ("слово 10050", None, all),
        ("слово", Some(Uuid::max()), all),
    ] {
        let query = Query::parse(text).unwrap();
        let within = Within {
            channels: channel.map(|id| vec![id.into()]),
            chat: None,
        };
        let sought = Sought {
            queries: queries(&world.account, &query, &within, buckets),
            ..Default::default()
        };
        message_words::find(&mut connection, &world.account, &sought, (None, at(0)), 51)
            .await
            .unwrap();
        let array = |texts: &[String]| format!("array[$${}$$]", texts.join("$$, $$"));
        let parameters = format!(
            "'acme', {}, {}, now(), null, null, null, null, null, 1000, null, null, null, 51",
            array(&sought.queries.0),
            array(&sought.queries.1)
        );
        let statement = ("matched as materialized", BITMAPS);
        let plan = explained(&mut connection, statement, &parameters).await;
        let index = plan
            .lines()
            .find(|line| line.contains("on message_words_found"));
        let loops = format!("loops={looked_at})");
        assert!(
            index.is_some_and(|line| line.contains(&loops)),
            "{text}: {plan}"
        );
        assert!(!plan.contains("Seq Scan on message_words"), "{plan}");
    }
}

#[tokio::test]
async fn f075_rare_words_are_read_from_their_index_and_common_ones_along_the_list() {
    let world = filled().await;
    many(&world).await;
    let analyze = sqlx::raw_sql("analyze chat, chat_words");
    analyze.execute(&world.db.pool).await.unwrap();
    let by = world.as_service();
    let mut connection = world.db.pool.acquire().await.unwrap();
    // Of the newest 300 chats all are Олександр's: for one more the list is looked through.
    for (text, limit) in [("олена", 51), ("олександр", 51), ("олександр", 301)]
    {
        let narrowing = Narrowing {
            words: of_chats(&by, None, text),
            ..Default::default()
        };
        let (account, whose) = (&world.account, Whose::All);
        chat::list(&mut connection, account, &narrowing, whose, None, limit)
            .await
            .unwrap();
    }
    let words = of_chats(&by, None, "олександр").unwrap();
    let place = "'9999-01-01', 'ffffffff-ffff-ffff-ffff-ffffffffffff'";
    let listed = format!("'acme', {place}, null, null, null, false, 51, null, null");
    let ids = "array['00000000-0000-0000-0000-000000000001'::uuid], false, null, null";
    let along = r"from chat.*w.chat_id = chat.chat_id\)\)\s+order by";
    for (statement, parameters, indexes) in [
        (
            (r"from chat_words where", BITMAPS),
            format!("$${words}$$, 5000"),
            ["Bitmap Index Scan on chat_words_found"; 2],
        ),
        (
            (r"chat_id = any\(\$12\)\s+and \(not", BITMAPS),
            format!("{listed}, null, {ids}"),
            ["Bitmap Index Scan on chat_pkey"; 2],
        ),
        (
            (r"limit \$12\) chat where", "reset all"),
            format!("{listed}, $${words}$$, 300, false, null"),
            ["chat_by_last_client_message", "chat_words_pkey"],
        ),
        (
            (along, "reset all"),
            format!("{listed}, $${words}$$"),
            ["chat_by_last_client_message", "chat_words_pkey"],
        ),
    ] {
        let plan = explained(&mut connection, statement, &parameters).await;
        let read = indexes.iter().all(|index| plan.contains(index));
        assert!(read && !plan.contains("Seq Scan"), "{plan}");
    }
}
