//! Labels on chats, and chats that are put off (B13).

use chassis::access::ChannelGrant;
use chassis::auth::Caller;
use chassis::outbox::Waker;
use chassis::testing::request;
use conversation::app::snooze;
use switchboard_proto::conversation::v1::{
    self as pb, chat_service_server::ChatService as _,
    conversation_service_server::ConversationService as _,
};
use time::Duration;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::world::{World, agent, at, reason};

impl World {
    async fn label(&self, key: &str, add: &[&str], remove: &[&str]) -> Result<pb::Chat, Status> {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        let ask = pb::LabelChatRequest {
            chat_id: self.chat(key).to_string(),
            add_labels: names(add),
            remove_labels: names(remove),
        };
        let answer = self.api.label_chat(request(&self.as_agent("ann"), ask));
        Ok(answer.await?.into_inner().chat.unwrap())
    }

    async fn snooze(&self, key: &str, ahead: Option<Duration>) -> Result<pb::Chat, Status> {
        let until = ahead.map(|ahead| chassis::clock::now() + ahead);
        let ask = pb::SnoozeChatRequest {
            chat_id: self.chat(key).to_string(),
            wake_time: until.map(chassis::grpc::timestamp),
        };
        let answer = self.api.snooze_chat(request(&self.as_agent("ann"), ask));
        Ok(answer.await?.into_inner().chat.unwrap())
    }

    /// Chat keys of a list, in its order.
    async fn keys(&self, ask: pb::ListChatsRequest) -> Vec<String> {
        let page = self
            .api
            .list_chats(request(&self.as_agent("ann"), ask))
            .await;
        let chats = page.unwrap().into_inner().chats;
        let user = |chat: pb::Chat| chat.client.unwrap().user_id;
        chats.into_iter().map(user).collect()
    }

    async fn labels(&self, beginning: &str) -> Vec<String> {
        self.labels_of(&self.as_agent("ann"), beginning).await
    }

    async fn labels_of(&self, caller: &Caller, beginning: &str) -> Vec<String> {
        let ask = pb::ListLabelsRequest {
            beginning: beginning.into(),
            ..Default::default()
        };
        let page = self.api.list_labels(request(caller, ask)).await;
        let labels = page.unwrap().into_inner().labels;
        labels.into_iter().map(|label| label.name).collect()
    }
}

fn of_label(label: &str) -> pb::ListChatsRequest {
    pb::ListChatsRequest {
        label: label.into(),
        ..Default::default()
    }
}

/// Chats 1, 2, 3: the last one wrote last.
async fn three() -> World {
    let world = World::new().await;
    for (key, second) in [("1", 1), ("2", 2), ("3", 3)] {
        let message = world.message(key, "1", at(second), "hello");
        world.receive(&[message]).await;
    }
    world
}

#[tokio::test]
async fn b13_chats_are_listed_by_label_in_the_lists_order() {
    let world = three().await;
    let labelled = world
        .label("1", &["VIP", " big  deal "], &[])
        .await
        .unwrap();
    assert_eq!(labelled.labels, ["VIP", "big deal"]);
    // Written in another way it is the same label, shown as it was written first.
    assert_eq!(
        world.label("2", &["vip"], &[]).await.unwrap().labels,
        ["VIP"]
    );
    assert_eq!(world.keys(of_label("Vip")).await, ["2", "1"]);
    assert_eq!(world.keys(of_label("BIG deal")).await, ["1"]);
    assert_eq!(world.keys(of_label("nobody's")).await, Vec::<String>::new());
    // With the client's next message it stands where the list has it.
    world
        .receive(&[world.message("1", "2", at(9), "again")])
        .await;
    assert_eq!(world.keys(of_label("vip")).await, ["1", "2"]);
    let page = pb::ListChatsRequest {
        page_size: 1,
        ..of_label("vip")
    };
    let first = world
        .api
        .list_chats(request(&world.as_agent("ann"), page.clone()));
    let token = first.await.unwrap().into_inner().next_page_token;
    let second = pb::ListChatsRequest {
        page_token: token,
        ..page
    };
    assert_eq!(world.keys(second).await, ["2"]);
    // Together with whose they are.
    sqlx::query("update chat set responsible = $1, state = 'active' where chat_id = $2")
        .bind(agent("ann").uuid())
        .bind(world.chat("2"))
        .execute(&world.db.pool)
        .await
        .unwrap();
    for (responsible, mine, expected) in [("me", false, "2"), ("none", false, "1"), ("", true, "2")]
    {
        let ask = pb::ListChatsRequest {
            responsible: responsible.into(),
            mine,
            ..of_label("vip")
        };
        assert_eq!(world.keys(ask).await, [expected], "{responsible} {mine}");
    }

    assert_eq!(world.labels("").await, ["big deal", "VIP"]);
    assert_eq!(world.labels("V").await, ["VIP"]);
    world.label("1", &[], &["Big Deal"]).await.unwrap();
    assert_eq!(world.labels("").await, ["VIP"], "those that chats have");
}

#[tokio::test]
async fn b13_labels_tell_of_their_changes_once_and_are_limited() {
    let world = three().await;
    for _ in 0..2 {
        world.label("1", &["VIP"], &[]).await.unwrap();
    }
    world.label("1", &["New"], &["vip"]).await.unwrap();
    let told = world.events_of::<pb::ChatLabelled>().await;
    assert_eq!(told.len(), 2, "what is so already is no change");
    assert_eq!(told[1].labels, ["New"]);
    assert_eq!(
        (&*told[1].added_labels, &*told[1].removed_labels),
        (&["New".to_owned()][..], &["VIP".to_owned()][..])
    );
    let history = world.history("1").await;
    let notice = history.last().unwrap().system.clone().unwrap();
    assert_eq!(notice.kind, "chat.labelled");
    assert_eq!(
        notice.text,
        "The chat is labelled New and no longer labelled VIP"
    );

    let many: Vec<String> = (0..20).map(|number| format!("l{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let refused = world.label("1", &many, &[]).await.unwrap_err();
    assert_eq!(
        (refused.code(), &*reason(&refused)),
        (Code::FailedPrecondition, "TOO_MANY_LABELS")
    );
    assert_eq!(
        world.labels("l").await,
        Vec::<String>::new(),
        "nothing of it is kept"
    );
    for (add, remove) in [
        (&["a"][..], &["A"][..]),
        (&[""], &[]),
        (&[], &["x\ny\u{7}"]),
    ] {
        let refused = world.label("1", add, remove).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{add:?}");
    }
    // Another account's labels are its own.
    let other = chassis::testing::account("other");
    let agent = agent("eve");
    let eve = chassis::testing::caller(
        &other,
        agent,
        &["chats:*"],
        chassis::testing::full_access(agent),
    );
    let page = world
        .api
        .list_labels(request(&eve, pb::ListLabelsRequest::default()));
    assert!(page.await.unwrap().into_inner().labels.is_empty());
}

#[tokio::test]
async fn b13_f062_labels_are_those_of_chats_that_the_caller_may_see() {
    let world = three().await;
    // Chat 2 is of another channel, before it gets its label.
    let other = Uuid::from_u128(0xc4a2);
    sqlx::query("update chat set channel_id = $1 where chat_id = $2")
        .bind(other)
        .bind(world.chat("2"))
        .execute(&world.db.pool)
        .await
        .unwrap();
    world.label("1", &["both", "first"], &[]).await.unwrap();
    world.label("2", &["both", "second"], &[]).await.unwrap();
    let seen = async |granted: &[Uuid]| {
        let mut record = chassis::testing::full_access(agent("bob"));
        record.channels = ChannelGrant::Some(granted.iter().copied().collect());
        let bob = chassis::testing::caller(&world.account, record.agent, &["chats:*"], record);
        world.labels_of(&bob, "").await
    };
    assert_eq!(seen(&[world.channel]).await, ["both", "first"]);
    assert_eq!(seen(&[other]).await, ["both", "second"]);
    assert_eq!(
        seen(&[other, world.channel]).await,
        ["both", "first", "second"]
    );
    assert_eq!(seen(&[Uuid::from_u128(9)]).await, Vec::<String>::new());
    assert_eq!(seen(&[]).await, Vec::<String>::new());
    assert_eq!(world.labels("").await, ["both", "first", "second"]);
    // With the last chat that had it, it goes.
    world.label("1", &[], &["both"]).await.unwrap();
    assert_eq!(seen(&[world.channel]).await, ["first"]);
    assert_eq!(world.labels_of(&world.as_service(), "b").await, ["both"]);
}

/// The part of the migration that fills the table where labels came before it.
fn fill() -> &'static str {
    let migration = include_str!("../../migrations/0034_small_gaps.sql");
    &migration[migration.find("do $$").unwrap()..]
}

#[tokio::test]
async fn b13_labels_from_before_are_filled_in_by_their_channels() {
    let world = three().await;
    for (key, labels) in [("1", &["both", "first"][..]), ("2", &["both"])] {
        world.label(key, labels, &[]).await.unwrap();
    }
    let rows = "select count(*) from channel_label";
    assert_eq!(world.count(rows).await, 3);
    sqlx::raw_sql("truncate channel_label")
        .execute(&world.db.pool)
        .await
        .unwrap();
    sqlx::raw_sql(fill()).execute(&world.db.pool).await.unwrap();
    assert_eq!(world.count(rows).await, 3);
    let wrong = "select count(*) from channel_label l join chat c using (chat_id) where l.channel_id <> c.channel_id";
    assert_eq!(world.count(wrong).await, 0);
}

#[tokio::test]
async fn b13_labels_of_a_channel_are_found_by_their_index() {
    let world = three().await;
    let pool = &world.db.pool;
    sqlx::raw_sql(
        "insert into channel_label (account, channel_id, key, chat_id)
         select 'acme', md5((i % 20)::text)::uuid, 'l' || i % 100, gen_random_uuid() from generate_series(1, 50000) i;
         analyze channel_label",
    )
    .execute(pool)
    .await
    .unwrap();
    let plan: Vec<String> = sqlx::query_scalar(
        "explain select from unnest(array[md5('a')::uuid, md5('b')::uuid]) granted (channel_id)
         join channel_label c on c.account = 'acme' and c.channel_id = granted.channel_id and c.key = 'l7' limit 1",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let plan = plan.join("\n");
    assert!(
        plan.contains("channel_label_pkey") && !plan.contains("Seq Scan"),
        "{plan}"
    );
}

#[tokio::test]
async fn b13_a_snoozed_chat_comes_back_in_its_time_once_and_unread() {
    let world = three().await;
    let (hour, waker) = (Duration::hours(1), Waker::new());
    let snoozed = world.snooze("1", Some(hour)).await.unwrap();
    assert!(snoozed.snoozed && snoozed.wake_time.is_some());
    let read = pb::MarkReadRequest {
        chat_id: world.chat("1").to_string(),
        ..Default::default()
    };
    world
        .api
        .mark_read(request(&world.as_agent("ann"), read))
        .await
        .unwrap();
    let asked = |snoozed| pb::ListChatsRequest {
        snoozed: Some(snoozed),
        ..Default::default()
    };
    assert_eq!(world.keys(asked(true)).await, ["1"]);
    assert_eq!(world.keys(asked(false)).await, ["3", "2"]);
    assert_eq!(world.keys(pb::ListChatsRequest::default()).await.len(), 3);

    let pool = &world.db.pool;
    snooze::round(pool, &waker, chassis::clock::now())
        .await
        .unwrap();
    assert_eq!(world.keys(asked(true)).await, ["1"], "not yet");
    let due = chassis::clock::now() + hour + Duration::SECOND;
    let (one, other) = tokio::join!(
        snooze::round(pool, &waker, due),
        snooze::round(pool, &waker, due),
    );
    assert_eq!((one.unwrap(), other.unwrap()), (false, false));
    let chat = world.get_chat(&world.as_agent("ann"), "1").await.unwrap();
    assert!(!chat.snoozed && chat.wake_time.is_none() && chat.unread);
    let told = world.events_of::<pb::ChatSnoozed>().await;
    assert_eq!(
        told.iter().map(|it| it.snoozed).collect::<Vec<_>>(),
        [true, false]
    );
    let woken = world.history("1").await;
    let woken = woken
        .iter()
        .filter(|it| it.system.as_ref().is_some_and(|it| it.kind == "chat.woken"));
    assert_eq!(woken.count(), 1);
}

#[tokio::test]
async fn b13_a_snoozed_chat_comes_back_with_the_clients_next_message_or_its_end() {
    let world = three().await;
    for key in ["1", "2", "3"] {
        assert!(world.snooze(key, None).await.unwrap().wake_time.is_none());
    }
    world
        .receive(&[world.message("1", "2", at(9), "again")])
        .await;
    world.close(&world.as_agent("ann"), "2").await.unwrap();
    let wake = pb::WakeChatRequest {
        chat_id: world.chat("3").to_string(),
    };
    for _ in 0..2 {
        let woken = world
            .api
            .wake_chat(request(&world.as_agent("ann"), wake.clone()));
        assert!(!woken.await.unwrap().into_inner().chat.unwrap().snoozed);
    }
    let told = world.events_of::<pb::ChatSnoozed>().await;
    assert_eq!(told.iter().filter(|it| !it.snoozed).count(), 3, "each once");
    for wrong in [Duration::seconds(-1), Duration::days(400)] {
        let refused = world.snooze("1", Some(wrong)).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
}

#[tokio::test]
async fn b13_filters_are_kept_for_oneself_or_shared_with_settings() {
    let world = World::new().await;
    let (ann, bob) = (world.as_agent("ann"), world.as_agent("bob"));
    let save = |name: &str, shared, id: &str| pb::SaveChatFilterRequest {
        filter: Some(pb::ChatFilter {
            filter_id: id.into(),
            name: name.into(),
            shared,
            list: Some(pb::ListChatsRequest {
                label: "VIP".into(),
                page_size: 7,
                ..Default::default()
            }),
        }),
    };
    let kept = |name: &str, shared| {
        world
            .api
            .save_chat_filter(request(&ann, save(name, shared, "")))
    };
    let mine = kept("Mine", false)
        .await
        .unwrap()
        .into_inner()
        .filter
        .unwrap();
    let all = kept("All of us", true)
        .await
        .unwrap()
        .into_inner()
        .filter
        .unwrap();
    let names = async |by| -> Vec<String> {
        let ask = pb::ListChatFiltersRequest::default();
        let listed = world.api.list_chat_filters(request(by, ask)).await;
        let filters = listed.unwrap().into_inner().filters;
        assert!(
            filters
                .iter()
                .all(|it| it.list.as_ref().unwrap().page_size == 0)
        );
        filters.into_iter().map(|filter| filter.name).collect()
    };
    assert_eq!(names(&ann).await, ["All of us", "Mine"]);
    let again = kept("mine", false).await.unwrap_err();
    let told = (again.code(), &*reason(&again));
    assert_eq!(told, (Code::AlreadyExists, "FILTER_NAME_TAKEN"));
    assert_eq!(names(&bob).await, ["All of us"]);
    // Another's is neither changed nor deleted, and nobody learns that it is there.
    let taken = world
        .api
        .save_chat_filter(request(&bob, save("Bob's", false, &mine.filter_id)));
    assert_eq!(reason(&taken.await.unwrap_err()), "FILTER_NOT_FOUND");
    let delete = |id: &str| pb::DeleteChatFilterRequest {
        filter_id: id.into(),
    };
    let refused = world
        .api
        .delete_chat_filter(request(&bob, delete(&mine.filter_id)))
        .await;
    assert_eq!(reason(&refused.unwrap_err()), "FILTER_NOT_FOUND");
    let changed = world
        .api
        .save_chat_filter(request(&ann, save("Yours", false, &mine.filter_id)));
    changed.await.unwrap();
    for id in [&mine.filter_id, &all.filter_id] {
        world
            .api
            .delete_chat_filter(request(&ann, delete(id)))
            .await
            .unwrap();
    }
    assert_eq!(names(&ann).await, Vec::<String>::new());

    let mut record = chassis::testing::full_access(agent("eve"));
    record.settings = false;
    let eve = chassis::testing::caller(&world.account, agent("eve"), &["chats:*"], record);
    let refused = world
        .api
        .save_chat_filter(request(&eve, save("All", true, "")))
        .await;
    assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
    let mut wrong = save("Wrong", false, "");
    wrong
        .filter
        .as_mut()
        .unwrap()
        .list
        .as_mut()
        .unwrap()
        .channel_id = "no id".into();
    let refused = world.api.save_chat_filter(request(&ann, wrong)).await;
    assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument);
}
