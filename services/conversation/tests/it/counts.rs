//! How many chats each tab has: kept, and always what a count would find.

use chassis::access::ChannelGrant;
use chassis::testing::{caller, full_access, request};
use conversation::store::counts;
use switchboard_proto::conversation::v1::{
    self as pb, chat_service_server::ChatService as _,
    conversation_service_server::ConversationService as _,
};
use uuid::Uuid;

use crate::world::{World, agent, at};

const NONE: pb::ChatCounts = pb::ChatCounts {
    unassigned: 0,
    active: 0,
    inactive: 0,
    waiting: 0,
    unread: 0,
};

async fn counted(world: &World, ask: pb::ListChatsRequest) -> pb::ChatCounts {
    let by = world.as_agent("ann");
    let answer = world.api.list_chats(request(&by, ask)).await.unwrap();
    answer.into_inner().counts.unwrap()
}

/// Nothing stands in the kept counts that a scan would not find.
async fn right(world: &World) {
    let kept = "select account, responsible, channel_id, state, sum(chats), sum(waiting), sum(unread)
        from (select account, responsible, channel_id, state, chats, waiting, unread from chat_count union all
              select account, responsible, channel_id, state, chats, waiting, unread from chat_count_change) t
        group by 1, 2, 3, 4 having sum(chats) <> 0";
    let scanned = "select account, coalesce(responsible, '00000000-0000-0000-0000-000000000000'), channel_id, state,
        count(*), count(*) filter (where waiting and not spam), count(*) filter (where unread)
        from chat group by 1, 2, 3, 4";
    let differ = format!(
        "select count(*) from (({kept} except all {scanned}) union all ({scanned} except all {kept})) d"
    );
    let differ: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(differ))
        .fetch_one(&world.db.pool)
        .await
        .unwrap();
    assert_eq!(differ, 0);
}

#[tokio::test]
async fn f074_each_tab_comes_with_its_number() {
    let world = World::new().await;
    let all = pb::ListChatsRequest::default;
    assert_eq!(counted(&world, all()).await, NONE);
    let chats: Vec<_> = (1..=6)
        .map(|n| world.message(&n.to_string(), "1", at(n), "x"))
        .collect();
    world.receive(&chats).await;
    sqlx::query("update chat set responsible = $1, assignment_number = number, state = 'active' where chat_key in ('5', '6')")
        .bind(agent("ann").uuid())
        .execute(&world.db.pool)
        .await
        .unwrap();
    world.close(&world.as_agent("ann"), "1").await.unwrap();
    let spam = pb::MarkSpamRequest {
        chat_id: world.chat("2").to_string(),
    };
    let by = world.as_agent("ann");
    world.api.mark_spam(request(&by, spam)).await.unwrap();
    let expected = pb::ChatCounts {
        unassigned: 2,
        active: 2,
        inactive: 2,
        waiting: 5,
        unread: 6,
    };
    for fold in [false, true] {
        if fold {
            assert!(counts::fold(&world.db.pool).await.unwrap() > 0);
            assert_eq!(
                world.count("select count(*) from chat_count_change").await,
                0
            );
        }
        assert_eq!(counted(&world, all()).await, expected);
        let of = |responsible: &str| pb::ListChatsRequest {
            responsible: responsible.into(),
            // The tab that is listed says nothing about the numbers of the tabs.
            states: vec![pb::chat::State::Inactive.into()],
            ..all()
        };
        let mine = pb::ChatCounts {
            active: 2,
            waiting: 2,
            unread: 2,
            ..NONE
        };
        assert_eq!(counted(&world, of("me")).await, mine);
        let nobodys = pb::ChatCounts {
            active: 0,
            waiting: 3,
            unread: 4,
            ..expected
        };
        assert_eq!(counted(&world, of("none")).await, nobodys);
        let elsewhere = pb::ListChatsRequest {
            channel_id: Uuid::from_u128(9).to_string(),
            ..all()
        };
        assert_eq!(counted(&world, elsewhere).await, NONE);
        right(&world).await;
    }
    // Of channels that are not granted not even the number is told.
    let mut access = full_access(agent("bob"));
    access.channels = ChannelGrant::Some([Uuid::from_u128(9)].into());
    let bob = caller(&world.account, agent("bob"), &["chats:*"], access);
    let answer = world.api.list_chats(request(&bob, all())).await.unwrap();
    assert_eq!(answer.into_inner().counts.unwrap(), NONE);
}

#[tokio::test]
async fn counts_stay_right_while_many_write_and_somebody_folds() {
    let world = World::new().await;
    let ann = world.as_agent("ann");
    let write = async {
        for n in 1..=20 {
            let chats: Vec<_> = (1..=10)
                .map(|chat| world.message(&chat.to_string(), &n.to_string(), at(n), "x"))
                .collect();
            world.receive(&chats).await;
        }
    };
    let close = async {
        for n in 1..=60 {
            // A chat that is closed, or not there yet, refuses: as it may.
            drop(world.close(&ann, &(n % 10 + 1).to_string()).await);
            let waive = pb::WaiveReplyRequest {
                chat_id: world.chat(&(n % 7 + 1).to_string()).to_string(),
                ..Default::default()
            };
            drop(world.api.waive_reply(request(&ann, waive)).await);
        }
    };
    let fold = async {
        for _ in 0..30 {
            counts::fold(&world.db.pool).await.unwrap();
        }
    };
    tokio::join!(write, close, fold);
    right(&world).await;
    while counts::fold(&world.db.pool).await.unwrap() > 0 {}
    right(&world).await;
    assert_eq!(
        world
            .count("select sum(chats)::bigint from chat_count")
            .await,
        10
    );
}
