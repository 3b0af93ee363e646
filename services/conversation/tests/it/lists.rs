//! Lists: order, pages, filters, rights, plans.

use std::collections::BTreeSet;

use chassis::access::{ChannelGrant, ChatAccess};
use chassis::auth::Caller;
use chassis::testing::{caller, full_access, request, service_caller};
use conversation::store::chat::{self, Narrowing, Whose};
use conversation::store::message;
use sqlx::Row as _;
use switchboard_proto::conversation::v1::{
    self as pb, conversation_service_server::ConversationService as _,
};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::world::{World, agent, at, reason, text_of};

async fn list(
    world: &World,
    by: &Caller,
    list: pb::ListChatsRequest,
) -> Result<Vec<pb::Chat>, Status> {
    let mut chats = Vec::new();
    let mut ask = list;
    loop {
        let answer = world
            .api
            .list_chats(request(by, ask.clone()))
            .await?
            .into_inner();
        chats.extend(answer.chats);
        if answer.next_page_token.is_empty() {
            return Ok(chats);
        }
        ask.page_token = answer.next_page_token;
    }
}

fn clients(chats: &[pb::Chat]) -> Vec<String> {
    chats
        .iter()
        .map(|chat| chat.client.as_ref().unwrap().user_id.clone())
        .collect()
}

#[tokio::test]
async fn d07_chats_are_listed_by_last_client_message_over_pages() {
    let world = World::new().await;
    for n in 0..7 {
        // Two and two have the same time: the page must not lose one of them.
        world
            .receive(&[world.message(&n.to_string(), "1", at(n / 2), "x")])
            .await;
    }
    world
        .receive(&[world.message("0", "2", at(100), "again")])
        .await;
    let ask = pb::ListChatsRequest {
        page_size: 2,
        ..Default::default()
    };
    let chats = list(&world, &world.as_service(), ask).await.unwrap();
    let found = clients(&chats);
    assert_eq!(found.len(), 7);
    assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), 7, "each once");
    assert_eq!(found[0], "0");
    let times: Vec<i64> = chats
        .iter()
        .map(|chat| chat.last_client_message_time.unwrap().seconds)
        .collect();
    assert!(times.is_sorted_by(|one, other| one >= other), "{times:?}");
}

#[tokio::test]
async fn f074_f076_f077_f078_chats_are_filtered() {
    let world = World::new().await;
    for (n, key) in ["a", "b", "c"].into_iter().enumerate() {
        let time = at(i64::try_from(n).unwrap());
        world.receive(&[world.message(key, "1", time, "x")]).await;
    }
    let ann = world.as_agent("ann");
    world.close(&ann, "b").await.unwrap();
    sqlx::query("update chat set responsible = $1, assignment_number = number, state = 'active', unanswered = 0, waiting = false where chat_key = 'c'")
        .bind(agent("ann").uuid())
        .execute(&world.db.pool)
        .await
        .unwrap();
    let ask = pb::ListChatsRequest::default;
    for (name, ask, expected) in [
        ("all", ask(), vec!["c", "b", "a"]),
        (
            "open",
            pb::ListChatsRequest {
                states: vec![
                    pb::chat::State::Unassigned.into(),
                    pb::chat::State::Active.into(),
                ],
                ..ask()
            },
            vec!["c", "a"],
        ),
        (
            "mine",
            pb::ListChatsRequest {
                responsible: "me".into(),
                ..ask()
            },
            vec!["c"],
        ),
        (
            "an agent's",
            pb::ListChatsRequest {
                responsible: agent("bob").to_string(),
                ..ask()
            },
            vec![],
        ),
        (
            "nobody's",
            pb::ListChatsRequest {
                responsible: "none".into(),
                ..ask()
            },
            vec!["b", "a"],
        ),
        (
            "unanswered",
            pb::ListChatsRequest {
                unanswered_only: true,
                ..ask()
            },
            vec!["b", "a"],
        ),
        (
            "channel",
            pb::ListChatsRequest {
                channel_id: world.channel.to_string(),
                ..ask()
            },
            vec!["c", "b", "a"],
        ),
        (
            "other channel",
            pb::ListChatsRequest {
                channel_id: Uuid::from_u128(5).to_string(),
                ..ask()
            },
            vec![],
        ),
    ] {
        let chats = list(&world, &ann, ask).await.unwrap();
        assert_eq!(clients(&chats), expected, "{name}");
    }
    for wrong in [
        pb::ListChatsRequest {
            responsible: "everybody".into(),
            ..ask()
        },
        pb::ListChatsRequest {
            states: vec![99],
            ..ask()
        },
        pb::ListChatsRequest {
            page_token: "x".into(),
            ..ask()
        },
        pb::ListChatsRequest {
            page_size: -1,
            ..ask()
        },
    ] {
        let refused = list(&world, &ann, wrong).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
}

#[tokio::test]
async fn messages_are_paged_newest_first_by_time_then_number() {
    let world = World::new().await;
    let batch: Vec<_> = (0..9)
        .map(|n| world.message("7", &n.to_string(), at(n / 3), &n.to_string()))
        .collect();
    world.receive(&batch).await;
    let mut found = Vec::new();
    let mut token = String::new();
    loop {
        let ask = pb::ListMessagesRequest {
            chat_id: world.chat("7").to_string(),
            page_size: 4,
            page_token: token,
            full_text: false,
            ..Default::default()
        };
        let answer = world
            .api
            .list_messages(request(&world.as_service(), ask))
            .await
            .unwrap()
            .into_inner();
        found.extend(answer.messages);
        token = answer.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    let texts: Vec<_> = found
        .iter()
        .filter(|m| m.system.is_none())
        .map(text_of)
        .collect();
    assert_eq!(texts, ["8", "7", "6", "5", "4", "3", "2", "1", "0"]);
    assert_eq!(
        found.last().unwrap().system.as_ref().unwrap().kind,
        "conversation.opened"
    );
}

#[tokio::test]
async fn another_account_and_ungranted_channels_see_nothing() {
    let world = World::new().await;
    world.receive(&[world.message("7", "1", at(0), "x")]).await;
    let agent = agent("ann");
    let mut elsewhere = full_access(agent);
    elsewhere.channels = ChannelGrant::Some([Uuid::from_u128(5)].into());
    let other = chassis::testing::account("other");
    for by in [
        service_caller(Some(&other), "shop", &["chats:*"], None),
        caller(&other, agent, &["chats:*"], full_access(agent)),
        caller(&world.account, agent, &["chats:*"], elsewhere),
    ] {
        assert!(
            list(&world, &by, pb::ListChatsRequest::default())
                .await
                .unwrap()
                .is_empty()
        );
        let chat_id = world.chat("7").to_string();
        let statuses = [
            world.get_chat(&by, "7").await.unwrap_err(),
            world.close(&by, "7").await.unwrap_err(),
            world
                .api
                .list_messages(request(
                    &by,
                    pb::ListMessagesRequest {
                        chat_id: chat_id.clone(),
                        ..Default::default()
                    },
                ))
                .await
                .unwrap_err(),
            world
                .api
                .list_conversations(request(
                    &by,
                    pb::ListConversationsRequest {
                        chat_id,
                        ..Default::default()
                    },
                ))
                .await
                .unwrap_err(),
        ];
        for status in statuses {
            assert_eq!(
                (status.code(), reason(&status).as_str()),
                (Code::NotFound, "CHAT_NOT_FOUND")
            );
        }
        if by.agent().is_some() {
            let refused = world.send(&by, "7", "r", "hi").await.unwrap_err();
            assert_eq!(refused.code(), Code::NotFound);
        }
    }
    let mut none = full_access(agent);
    none.chats = ChatAccess::None;
    let none = caller(&world.account, agent, &["chats:*"], none);
    let refused = world.get_chat(&none, "7").await.unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::PermissionDenied, "CHAT_ACCESS_MISSING")
    );
    assert_eq!(
        list(&world, &none, pb::ListChatsRequest::default())
            .await
            .unwrap_err()
            .code(),
        Code::PermissionDenied
    );
    assert_eq!(world.assignment.times_asked(), 0);
}

/// Chats and messages enough for the server to prefer an index where it has one.
const FILL: &str = "
        insert into client (client_id, account, scope, user_id, name, username, phone, email, language, profile_time, created_at)
            values ('00000000-0000-0000-0000-000000000001', 'acme', 's', 'u', '', '', '', '', '', now(), now());
        insert into chat (chat_id, account, channel_id, channel_kind, chat_key, client_id, state, last_client_message_at, created_at, responsible)
            select gen_random_uuid(), 'acme', '00000000-0000-0000-0000-00000000c4a1', 'telegram-bot', n::text,
                '00000000-0000-0000-0000-000000000001', 'inactive', now() - n * interval '1 second', now(),
                case when n % 10 = 0 then '00000000-0000-0000-0000-000000000002'::uuid end
            from generate_series(1, 5000) n;
        insert into chat_label (account, key, chat_id, listed_at)
            select account, case when n % 100 = 0 then 'vip' else 'other' end, chat_id, last_client_message_at
            from (select *, row_number() over () as n from chat) c;
        insert into message (message_id, account, chat_id, channel_id, kind, body, provider_key, provider_number, time, sequence, created_at)
            select gen_random_uuid(), 'acme', '00000000-0000-0000-0000-000000000003', '00000000-0000-0000-0000-00000000c4a1',
                'client', '', n::text, n, now() - n * interval '1 second', n, now()
            from generate_series(1, 5000) n;
        analyze chat, message, chat_label";

async fn fill(world: &World) {
    sqlx::raw_sql(FILL).execute(&world.db.pool).await.unwrap();
}

#[tokio::test]
async fn lists_are_read_from_their_indexes() {
    const ALL: &str = r"from chat\s+where.*w.chat_id = chat.chat_id\)\)\s+order by";
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
    for (statement, mode, parameters, index) in [
        (ALL, generic, &listed, "chat_by_last_client_message"),
        (ALL, custom, &channel, "chat_by_channel"),
        (ALL, custom, &unanswered, "chat_waiting"),
        (ALL, custom, &unread, "chat_unread"),
        (ALL, custom, &snoozed, "chat_snoozed"),
        (
            r"from chat.*and responsible is null",
            generic,
            &listed,
            "chat_of_nobody",
        ),
        (
            r"from chat.*and responsible = \$12",
            generic,
            &mine,
            "chat_by_responsible",
        ),
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
    let name: String =
        sqlx::query_scalar("select name from pg_prepared_statements where statement ~ $1")
            .bind(statement)
            .fetch_one(&mut *connection)
            .await
            .unwrap();
    sqlx::raw_sql("set plan_cache_mode = force_generic_plan")
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
    let stored = "'00000000-0000-0000-0000-000000000003', 4000, 51".to_owned();
    let changed = "'acme', 1, '00000000-0000-0000-0000-000000000000', 100000, 51".to_owned();
    for (statement, parameters, index) in [
        (r"sequence > \$2", &stored, "message_chat_id_sequence_key"),
        (r"order by changed", &changed, "chat_by_change"),
    ] {
        let plan = explained(&mut connection, statement, parameters).await;
        assert!(plan.contains(index) && !plan.contains("Sort"), "{plan}");
    }
}
