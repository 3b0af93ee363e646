//! How lists are read from their indexes.

use conversation::store::chat::{self, Narrowing, Whose};
use conversation::store::{message, response_wait};
use sqlx::Row as _;
use uuid::Uuid;

use crate::world::{World, at};

/// A hundredth of what the bench asks lists of: enough for the server to prefer an index where it has one.
const FILL: &str = "
        insert into client (client_id, account, scope, user_id, name, username, phone, email, language, profile_time, created_at)
            values ('00000000-0000-0000-0000-000000000001', 'acme', 's', 'u', '', '', '', '', '', now(), now());
        insert into chat (chat_id, account, channel_id, channel_kind, chat_key, client_id, state, conversation_id, number, last_client_message_at, created_at, responsible)
            select gen_random_uuid(), 'acme', ('00000000-0000-0000-0000-00000000c4a' || n % 5)::uuid, 'telegram-bot', n::text,
                '00000000-0000-0000-0000-000000000001', case when n % 50 = 0 then 'active' else 'inactive' end,
                case when n % 50 = 0 then gen_random_uuid() end, case when n % 50 = 0 then n else 0 end, now() - n * interval '1 second', now(),
                case when n % 10 = 0 then '00000000-0000-0000-0000-000000000002'::uuid end
            from generate_series(1, 10000) n;
        insert into chat_label (account, key, chat_id, listed_at)
            select account, case when n % 100 = 0 then 'vip' else 'other' end, chat_id, last_client_message_at
            from (select *, row_number() over () as n from chat) c;
        insert into message (message_id, account, chat_id, channel_id, kind, body, provider_key, provider_number, time, sequence, created_at)
            select gen_random_uuid(), 'acme', '00000000-0000-0000-0000-000000000003', '00000000-0000-0000-0000-00000000c4a1',
                'client', '', n::text, n, now() - n * interval '1 second', n, now()
            from generate_series(1, 100000) n;
        analyze chat, message, chat_label";

async fn fill(world: &World) {
    sqlx::raw_sql(FILL).execute(&world.db.pool).await.unwrap();
}

#[tokio::test]
async fn lists_are_read_from_their_indexes() {
    const ALL: &str = r"from chat\s+where.*w.chat_id = chat.chat_id\)\)\s+order by";
    const AGENTS: &str = r"from chat.*\)\) and responsible = \$12";
    let world = World::new().await;
    fill(&world).await;
    // The statements are those that the store itself prepared on this connection; they are planned as the server
    // does after a while, without looking at the parameters.
    let mut connection = world.db.pool.acquire().await.unwrap();
    let everything = Narrowing::default();
    let agent = Uuid::from_u128(2).into();
    for whose in [Whose::All, Whose::Nobodys, Whose::Of(agent)] {
        chat::list(
            &mut connection,
            &world.account,
            &everything,
            whose,
            None,
            51,
        )
        .await
        .unwrap();
    }
    let chat = Uuid::from_u128(3).into();
    message::history(&mut connection, chat, None, 51)
        .await
        .unwrap();
    message::newer(&mut connection, chat, (at(0), 1, 1), 51)
        .await
        .unwrap();
    let position = "'9999-01-01', 'ffffffff-ffff-ffff-ffff-ffffffffffff'";
    let listed = format!("'acme', {position}, null, null, null, false, 51, null, null, null");
    let mine = format!("{listed}, '00000000-0000-0000-0000-000000000002'");
    let history = "'00000000-0000-0000-0000-000000000003', '9999-01-01', 1, 1, 51".to_owned();
    // What a list is narrowed to decides on the index, so the server must look at it.
    let (generic, custom) = ("force_generic_plan", "force_custom_plan");
    let channel = format!(
        "'acme', {position}, null, '00000000-0000-0000-0000-00000000c4a2', null, false, 51, null, null, null"
    );
    let unanswered = format!("'acme', {position}, null, null, null, true, 51, null, null, null");
    let unread = format!("'acme', {position}, null, null, null, false, 51, true, null, null");
    let snoozed = format!("'acme', {position}, null, null, null, false, 51, null, true, null");
    let unread_of_agent = format!("{unread}, '00000000-0000-0000-0000-000000000002'");
    for (statement, mode, parameters, index) in [
        (ALL, generic, &listed, "chat_by_last_client_message"),
        (ALL, custom, &channel, "chat_by_channel"),
        (ALL, custom, &unanswered, "chat_waiting"),
        (ALL, custom, &unread, "chat_unread"),
        (ALL, custom, &snoozed, "chat_snoozed"),
        (
            AGENTS,
            custom,
            &unread_of_agent,
            "chat_unread_by_responsible",
        ),
        (
            r"from chat.*and responsible is null",
            generic,
            &listed,
            "chat_of_nobody",
        ),
        (AGENTS, generic, &mine, "chat_by_responsible"),
        (
            r"from message.*order by time desc",
            generic,
            &history,
            "message_history",
        ),
        (
            r"from message.*order by time,",
            generic,
            &history,
            "message_history",
        ),
    ] {
        let name: String =
            sqlx::query_scalar("select name from pg_prepared_statements where statement ~ $1")
                .bind(statement)
                .fetch_one(&mut *connection)
                .await
                .unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("set plan_cache_mode = {mode}")))
            .execute(&mut *connection)
            .await
            .unwrap();
        let explain = sqlx::AssertSqlSafe(format!("explain execute {name} ({parameters})"));
        let plan: Vec<sqlx::postgres::PgRow> = sqlx::raw_sql(explain)
            .fetch_all(&mut *connection)
            .await
            .unwrap();
        let lines: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
        let plan = lines.join("\n");
        assert!(plan.contains(index), "{plan}");
        assert!(
            !plan.contains("Seq Scan") && !plan.contains("Sort"),
            "{plan}"
        );
        assert!(
            plan.contains("Index Cond: (") && plan.contains("ROW("),
            "the page is found by the index: {plan}"
        );
    }
}

/// The plan of a statement that the store prepared on this connection, whatever its parameters.
async fn explained(
    connection: &mut sqlx::PgConnection,
    statement: &str,
    parameters: &str,
) -> String {
    explained_as(connection, statement, parameters, "force_generic_plan").await
}

/// The same in a mode of planning.
async fn explained_as(
    connection: &mut sqlx::PgConnection,
    statement: &str,
    parameters: &str,
    mode: &str,
) -> String {
    let name: String =
        sqlx::query_scalar("select name from pg_prepared_statements where statement ~ $1")
            .bind(statement)
            .fetch_one(&mut *connection)
            .await
            .unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("set plan_cache_mode = {mode}")))
        .execute(&mut *connection)
        .await
        .unwrap();
    let explain = sqlx::AssertSqlSafe(format!("explain execute {name} ({parameters})"));
    let plan = sqlx::raw_sql(explain).fetch_all(connection).await.unwrap();
    let lines: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
    lines.join("\n")
}

#[tokio::test]
async fn b13_a_labels_list_is_read_from_its_index() {
    let world = World::new().await;
    fill(&world).await;
    let mut connection = world.db.pool.acquire().await.unwrap();
    let vip = Narrowing {
        label: Some("vip".into()),
        ..Narrowing::default()
    };
    chat::list(&mut connection, &world.account, &vip, Whose::All, None, 51)
        .await
        .unwrap();
    let parameters = "'acme', '9999-01-01', 'ffffffff-ffff-ffff-ffff-ffffffffffff', null, null, null, false, 51, null, null, null, 'vip',
         false, null, null, '{}'";
    let plan = explained(&mut connection, "chat_label", parameters).await;
    assert!(
        plan.contains("chat_label_listed") && !plan.contains("Seq Scan"),
        "{plan}"
    );
}

#[tokio::test]
async fn what_is_new_is_read_from_its_indexes() {
    let world = World::new().await;
    fill(&world).await;
    let mut connection = world.db.pool.acquire().await.unwrap();
    let chat = Uuid::from_u128(3).into();
    message::stored_after(&mut connection, chat, 1, 51)
        .await
        .unwrap();
    let place = (1, Uuid::nil().into());
    chat::changes::after(&mut connection, &world.account, place, 51)
        .await
        .unwrap();
    let stored = "'00000000-0000-0000-0000-000000000003', 90000, 51".to_owned();
    let changed = "'acme', 1, '00000000-0000-0000-0000-000000000000', 100000, 51".to_owned();
    for (statement, parameters, index) in [
        (r"sequence > \$2", &stored, "message_chat_id_sequence_key"),
        (r"order by changed", &changed, "chat_by_change"),
    ] {
        let plan = explained(&mut connection, statement, parameters).await;
        assert!(plan.contains(index) && !plan.contains("Sort"), "{plan}");
    }
}

#[tokio::test]
async fn lists_of_open_chats_and_of_few_channels_are_read_from_their_indexes() {
    let world = World::new().await;
    fill(&world).await;
    let mut connection = world.db.pool.acquire().await.unwrap();
    let agent = Uuid::from_u128(2).into();
    let channel = Uuid::from_u128(0xc4a1);
    let open = |channels: Option<Vec<Uuid>>| Narrowing {
        states: Some(vec!["active".into()]),
        granted: channels,
        ..Narrowing::default()
    };
    let granted = Narrowing {
        granted: Some(vec![channel]),
        ..Narrowing::default()
    };
    for (narrowing, whose) in [
        (open(None), Whose::All),
        (open(None), Whose::Of(agent)),
        (open(Some(vec![channel])), Whose::All),
        (granted, Whose::All),
    ] {
        let account = &world.account;
        chat::list(&mut connection, account, &narrowing, whose, None, 51)
            .await
            .unwrap();
    }
    let listed = "'acme', '9999-01-01', 'ffffffff-ffff-ffff-ffff-ffffffffffff', null, null, null, false, 51, null, null, null";
    let channels = format!("{listed}, '{{{channel}}}'");
    let unanswered = channels.replace("false, 51", "true, 51");
    let (generic, custom) = ("force_generic_plan", "force_custom_plan");
    for (statement, parameters, mode, index) in [
        (
            r"state = \$12 and \(not",
            format!("{listed}, 'active', false"),
            generic,
            "chat_open",
        ),
        (
            r"state = \$12 and responsible",
            format!("{listed}, 'active', '00000000-0000-0000-0000-000000000002'"),
            generic,
            "chat_open_by_responsible",
        ),
        (
            r"channel_id = among.channel and state",
            format!("{channels}, 'active', false"),
            generic,
            "chat_open_by_channel",
        ),
        (
            r"channel_id = among.channel\s+order",
            channels,
            generic,
            "chat_by_channel",
        ),
        (
            r"channel_id = among.channel\s+order",
            unanswered,
            custom,
            "chat_waiting_by_channel",
        ),
    ] {
        let plan = explained_as(&mut connection, statement, &parameters, mode).await;
        let index = format!("using {index} on chat");
        assert!(
            plan.contains(&index) && !plan.contains("Seq Scan"),
            "{plan}"
        );
        assert!(
            plan.contains("Index Cond: (") && plan.contains("ROW("),
            "the page is found by the index: {plan}"
        );
    }
}

#[tokio::test]
async fn f211_of_a_hundred_thousand_waits_only_those_that_are_due_are_read() {
    let world = World::new().await;
    fill(&world).await;
    sqlx::raw_sql(
        "insert into response_wait (chat_id, account, channel_id, conversation_id, number, since, first, planned, due_at)
             select gen_random_uuid(), 'acme', '00000000-0000-0000-0000-00000000c4a1', gen_random_uuid(), n, now(), true, true,
                 now() + n * interval '1 minute'
             from generate_series(-2, 100000) n;
         analyze response_wait",
    )
    .execute(&world.db.pool)
    .await
    .unwrap();
    let mut connection = world.db.pool.acquire().await.unwrap();
    response_wait::unplanned(&mut connection, 500)
        .await
        .unwrap();
    response_wait::exceeded(&mut connection, at(0), 500)
        .await
        .unwrap();
    for (statement, parameters, index) in [
        ("not w.planned", "500", "response_wait_unplanned"),
        ("due as materialized", "now(), 500", "response_wait_due"),
    ] {
        let plan = explained(&mut connection, statement, parameters).await;
        assert!(
            plan.contains(index)
                && plan.matches("Seq Scan on").count()
                    == plan.matches("Seq Scan on channel_rule").count(),
            "{plan}"
        );
    }
}
