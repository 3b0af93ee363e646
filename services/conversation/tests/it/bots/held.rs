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
