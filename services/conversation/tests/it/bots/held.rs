//! Runs that cannot go on, and requests that are made twice.

use super::*;

#[tokio::test]
async fn f187_a_run_that_cannot_be_read_holds_up_no_other_and_fails_at_last() {
    let (world, others) = (World::new().await, Others::default());
    let hello = world.bot(bot(vec![say("hello")])).await.unwrap();
    for key in ["7", "8"] {
        world.hello(key).await;
        world.start_bot(key, &hello).await.unwrap();
    }
    sqlx::query("update bot_run set body = '\\xff' where chat_id = $1")
        .bind(world.chat("7"))
        .execute(&world.db.pool)
        .await
        .unwrap();
    world.go_on(&others, now()).await;
    assert_eq!(world.said("8").await, ["hello, Ada"]);
    let mut later = now();
    for _ in 0..10 {
        later += Duration::HOUR;
        world.go_on(&others, later).await;
    }
    let (state, ended): (String, bool) =
        sqlx::query_as("select state, ended_at is not null from bot_run where chat_id = $1")
            .bind(world.chat("7"))
            .fetch_one(&world.db.pool)
            .await
            .unwrap();
    assert_eq!((&*state, ended), ("failed", true));
    let stopped = world.events_of::<pb::BotStopped>().await;
    let reasons: Vec<&str> = stopped.iter().map(|it| &*it.reason).collect();
    assert_eq!(reasons, ["finished", "failed"]);
    let history = world.history("7").await;
    let note = history.iter().find(|message| message.kind() == Kind::Note);
    assert_eq!(
        note.map(text_of).as_deref(),
        Some("Asker: it could not be moved on, however often it was tried")
    );
    // The chat is free for another one.
    world.start_bot("7", &hello).await.unwrap();
    world.go_on(&others, now()).await;
    assert_eq!(world.said("7").await, ["hello, Ada"]);
}

#[tokio::test]
async fn f187_a_request_that_is_repeated_begins_one_run() {
    let (world, others) = (World::new().await, Others::default());
    world.hello("7").await;
    let hello = world.bot(bot(vec![say("hello")])).await.unwrap();
    let start = |request_id: &str| {
        let ask = pb::StartBotRequest {
            chat_id: world.chat("7").to_string(),
            bot_id: hello.bot_id.clone(),
            request_id: request_id.into(),
        };
        let (api, by) = (world.bots(), world.as_agent("ann"));
        async move { api.start_bot(request(&by, ask)).await }
    };
    let mut ids = Vec::new();
    for request_id in ["one", "one", "two"] {
        let run = start(request_id).await.unwrap().into_inner().run.unwrap();
        ids.push(run.run_id);
        world.go_on(&others, now()).await;
    }
    assert_eq!((ids[0] == ids[1], ids[1] == ids[2]), (true, false));
    assert_eq!(world.said("7").await.len(), 2);
    let refused = start("not ascii: є").await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn f199_who_has_some_channels_makes_no_bot_for_all() {
    use chassis::access::ChannelGrant;
    use chassis::testing::{caller, full_access};
    let world = World::new().await;
    let everywhere = world.bot(bot(vec![say("hello")])).await.unwrap();
    let agent = crate::world::agent("ann");
    let mut access = full_access(agent);
    access.channels = ChannelGrant::Some([Uuid::from_u128(5)].into());
    let by = caller(
        &world.account,
        agent,
        &["chats:*", "channels:admin"],
        access,
    );
    let make = pb::CreateBotRequest {
        bot: Some(bot(vec![say("hello")])),
        ..Default::default()
    };
    let change = pb::UpdateBotRequest {
        bot: Some(pb::Bot {
            channel_ids: vec![Uuid::from_u128(5).to_string()],
            ..everywhere.clone()
        }),
        ..Default::default()
    };
    let delete = pb::DeleteBotRequest {
        bot_id: everywhere.bot_id.clone(),
    };
    let api = world.bots();
    for refused in [
        api.create_bot(request(&by, make)).await.map(drop),
        api.update_bot(request(&by, change)).await.map(drop),
        api.delete_bot(request(&by, delete)).await.map(drop),
    ] {
        let status = refused.unwrap_err();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::PermissionDenied, "CHANNELS_NOT_GRANTED")
        );
    }
}

#[tokio::test]
async fn d18_d19_who_may_not_write_into_a_chat_starts_no_bot_there() {
    let (world, others) = (World::new().await, Others::default());
    let hello = world.bot(bot(vec![say("hello")])).await.unwrap();
    world.hello("7").await;
    world
        .assignment
        .answers(|_| Err(Status::failed_precondition("claim the chat first")));
    let refused = world.start_bot("7", &hello).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.message()),
        (Code::FailedPrecondition, "claim the chat first")
    );
    world.go_on(&others, now()).await;
    assert!(world.runs("7").await.is_empty() && world.said("7").await.is_empty());
    assert!(world.events_of::<pb::BotStarted>().await.is_empty());
    // A service is no participant.
    let ask = pb::StartBotRequest {
        chat_id: world.chat("7").to_string(),
        bot_id: hello.bot_id.clone(),
        ..Default::default()
    };
    let asked = world.assignment.times_asked();
    world
        .bots()
        .start_bot(request(&world.as_service(), ask))
        .await
        .unwrap();
    assert_eq!(world.assignment.times_asked(), asked);
}

#[tokio::test]
async fn f199_a_bot_names_no_agent_field_or_channel_that_there_is_not() {
    let world = World::new().await;
    let assign = |agent: Uuid| {
        let agent_id = agent.to_string();
        step(
            "give",
            pb::bot_step::Act::Assign(pb::bot_step::Assign { agent_id }),
        )
    };
    let set = |field: &str| {
        let set = pb::bot_step::SetField {
            field: field.into(),
            text: "x".into(),
            ..Default::default()
        };
        step("set", pb::bot_step::Act::SetField(set))
    };
    let mut wrong = bot(vec![assign(NOBODY), set("shoes")]);
    wrong.channel_ids = vec![NOBODY.to_string()];
    let refused = world.bot(wrong).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    for part in [
        "bot.steps[0].assign.agent_id: step \"give\"",
        "bot.steps[1].set_field.field: step \"set\"",
        "bot.channel_ids[0]",
    ] {
        assert!(refused.message().contains(part), "{part}: {refused}");
    }
    let mut made = world
        .bot(bot(vec![assign(Uuid::from_u128(5)), set("city")]))
        .await
        .unwrap();
    let away = Api {
        things: Arc::new(Account { away: true }),
        ..world.bots()
    };
    let by = world.as_service();
    // What it named before is not asked for again.
    made.name = "Renamed".into();
    let update = |bot: &pb::Bot| pb::UpdateBotRequest {
        bot: Some(bot.clone()),
        expected_revision: None,
    };
    away.update_bot(request(&by, update(&made))).await.unwrap();
    made.steps[0] = assign(Uuid::from_u128(6));
    let refused = away.update_bot(request(&by, update(&made))).await;
    assert_eq!(refused.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
async fn f197_runs_in_the_chats_of_a_card_are_listed_for_who_sees_both() {
    use chassis::access::{ChannelGrant, View};
    use chassis::testing::{caller, full_access};
    let (world, others) = (World::new().await, Others::default());
    let hello = world.bot(bot(vec![say("hello")])).await.unwrap();
    let asks = world.bot(bot(vec![ask("which")])).await.unwrap();
    for (key, bot) in [("7", &hello), ("8", &asks), ("9", &asks)] {
        world.hello(key).await;
        world.start_bot(key, bot).await.unwrap();
    }
    world.go_on(&others, now()).await;
    let card = Uuid::from_u128(0xca);
    for (key, linked) in [("7", true), ("8", true), ("9", false)] {
        sqlx::query("insert into entity_link values ('acme', $1, $2, $3, 1)")
            .bind(world.chat(key))
            .bind(card)
            .bind(linked)
            .execute(&world.db.pool)
            .await
            .unwrap();
    }
    sqlx::query("insert into entity_name values ('acme', $1, 'card', 'Olena', null, 1)")
        .bind(card)
        .execute(&world.db.pool)
        .await
        .unwrap();
    let list = async |by: &chassis::auth::Caller, running_only| {
        let ask = pb::ListBotRunsRequest {
            entity_id: card.to_string(),
            running_only,
            ..Default::default()
        };
        let api = world.bots();
        let runs = api.list_bot_runs(request(by, ask)).await.unwrap();
        let runs = runs.into_inner().runs.into_iter();
        runs.map(|run| run.chat_id).collect::<Vec<_>>()
    };
    let chats = |keys: &[&str]| -> Vec<String> {
        let ids = keys.iter().map(|key| world.chat(key).to_string());
        ids.collect()
    };
    let ann = world.as_agent("ann");
    assert_eq!(list(&ann, false).await, chats(&["8", "7"]));
    assert_eq!(list(&ann, true).await, chats(&["8"]));
    let agent = crate::world::agent("ann");
    let mut access = full_access(agent);
    access.channels = ChannelGrant::Some([Uuid::from_u128(5)].into());
    let elsewhere = caller(&world.account, agent, &["chats:*"], access);
    assert!(list(&elsewhere, false).await.is_empty());
    for view in [View::None, View::Own] {
        let mut access = full_access(agent);
        access.leads.view = view;
        let blind = caller(&world.account, agent, &["chats:*"], access);
        assert!(list(&blind, false).await.is_empty(), "{view:?}");
    }
    let both = pb::ListBotRunsRequest {
        chat_id: world.chat("7").to_string(),
        entity_id: card.to_string(),
        ..Default::default()
    };
    let refused = world.bots().list_bot_runs(request(&ann, both)).await;
    assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn f197_the_runs_of_a_card_are_read_by_indexes() {
    use conversation::store::bots::runs::{Listed, list};
    use sqlx::Row as _;
    let world = World::new().await;
    sqlx::raw_sql(
        "insert into bot_run (run_id, account, bot_id, bot_name, nps, chat_id, channel_id, conversation_id, body, state,
             started_by, started_at, ended_at)
         select gen_random_uuid(), 'acme', gen_random_uuid(), 'Asker', false, ('00000000-0000-0000-0000-' ||
             lpad((n % 2000)::text, 12, '0'))::uuid, gen_random_uuid(), gen_random_uuid(), '', 'finished', 'x',
             now() - n * interval '1 minute', now()
         from generate_series(1, 20000) n;
         insert into entity_link
         select 'acme', ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid,
             ('00000000-0000-0000-0000-' || lpad((n / 2)::text, 12, '0'))::uuid, true, 1
         from generate_series(1, 2000) n;
         analyze bot_run, entity_link",
    )
    .execute(&world.db.pool)
    .await
    .unwrap();
    let mut connection = world.db.pool.acquire().await.unwrap();
    let listed = Listed {
        chat: None,
        entity: Some(Uuid::from_u128(0x500)),
        granted: None,
        running: false,
    };
    let place = (now(), Uuid::max());
    let found = list(&mut connection, &world.account, &listed, place, 51)
        .await
        .unwrap();
    assert_eq!(found.len(), 20);
    let name: String = sqlx::query_scalar(
        "select name from pg_prepared_statements
         where statement ~ 'l.chat_id from entity_link' and statement !~ 'pg_prepared_statements'",
    )
    .fetch_one(&mut *connection)
    .await
    .unwrap();
    for mode in ["force_custom_plan", "force_generic_plan"] {
        let explain = format!(
            "set plan_cache_mode = {mode};
             explain execute {name} ('acme', '00000000-0000-0000-0000-000000000500', now(),
                 'ffffffff-ffff-ffff-ffff-ffffffffffff', false, 51, null)"
        );
        let plan = sqlx::raw_sql(sqlx::AssertSqlSafe(explain))
            .fetch_all(&mut *connection)
            .await
            .unwrap();
        let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
        let plan = plan.join("\n");
        for index in ["entity_link_by_entity", "bot_run_by_chat"] {
            assert!(plan.contains(index), "{mode}: {plan}");
        }
        assert!(!plan.contains("Seq Scan on bot_run"), "{mode}: {plan}");
    }
}
