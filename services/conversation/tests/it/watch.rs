//! Watching a list of chats: everything that changes is told once, whoever commits in which order.

use std::collections::BTreeSet;
use std::time::Duration;

use chassis::access::ChannelGrant;
use chassis::auth::Caller;
use chassis::testing::{caller, full_access, request};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use switchboard_proto::conversation::v1::{
    self as pb, conversation_service_server::ConversationService as _,
};
use tonic::Status;
use uuid::Uuid;

use crate::learnt::photo;
use crate::world::{World, agent, at, noon, reason};

/// Longer than any look takes.
const PATIENCE: Duration = Duration::from_secs(20);

struct Watching {
    stream: BoxStream<'static, Result<pb::WatchChatsResponse, Status>>,
    token: String,
}

impl Watching {
    /// Begins to watch and waits for the first answer.
    async fn begin(world: &World, by: &Caller, list: pb::ListChatsRequest, token: &str) -> Self {
        let ask = pb::WatchChatsRequest {
            list: Some(list),
            resume_token: token.into(),
        };
        let answer = world.api.watch_chats(request(by, ask)).await.unwrap();
        Self {
            stream: answer.into_inner(),
            token: String::new(),
        }
    }

    async fn next(&mut self) -> Result<Vec<pb::ChatChange>, Status> {
        let next = tokio::time::timeout(PATIENCE, self.stream.next()).await;
        let told = next.unwrap().unwrap()?;
        self.token = told.resume_token;
        Ok(told.changes)
    }

    /// Returns the next change, as the chat's key and whether it is listed.
    async fn change(&mut self) -> (String, bool) {
        loop {
            let changes = self.next().await.unwrap();
            if let [change] = &*changes {
                return (key(change), change.listed);
            }
            assert!(changes.is_empty(), "one at a time: {changes:?}");
        }
    }
}

fn key(change: &pb::ChatChange) -> String {
    let client = change.chat.as_ref().unwrap().client.as_ref();
    client.unwrap().user_id.clone()
}

#[tokio::test]
async fn f067_a_clients_photo_that_comes_or_goes_is_told_to_who_watches() {
    let world = World::new().await;
    world
        .receive(&[world.message("7", "1", noon(), "hello")])
        .await;
    let list = pb::ListChatsRequest::default();
    let mut watching = Watching::begin(&world, &world.as_service(), list, "").await;
    assert!(watching.next().await.unwrap().is_empty(), "the place alone");
    for (file, second) in [(Some(Uuid::nil()), 5), (None, 6)] {
        world.hear(&[photo(&world, file, second)]).await;
        let chat = loop {
            if let Some(change) = watching.next().await.unwrap().pop() {
                break change.chat.unwrap();
            }
        };
        let expected = file.map(|id| id.to_string()).unwrap_or_default();
        assert_eq!(chat.client_photo_attachment_id, expected);
    }
}

#[tokio::test]
async fn f064_f065_a_list_stays_live() {
    let world = World::new().await;
    let unassigned = pb::ListChatsRequest {
        states: vec![pb::chat::State::Unassigned.into()],
        ..Default::default()
    };
    let mut watching = Watching::begin(&world, &world.as_service(), unassigned, "").await;
    assert!(watching.next().await.unwrap().is_empty(), "the place alone");
    world
        .receive(&[world.message("7", "1", noon(), "hello")])
        .await;
    assert_eq!(watching.change().await, ("7".into(), true));
    world.close(&world.as_agent("ann"), "7").await.unwrap();
    assert_eq!(
        watching.change().await,
        ("7".into(), false),
        "it has left the list"
    );
    world
        .receive(&[world.message("7", "2", at(5), "again")])
        .await;
    assert_eq!(watching.change().await, ("7".into(), true));
}

#[tokio::test]
async fn a_cut_is_bridged_and_what_was_told_is_not_told_again() {
    let world = World::new().await;
    let (by, all) = (world.as_service(), pb::ListChatsRequest::default);
    let mut watching = Watching::begin(&world, &by, all(), "").await;
    watching.next().await.unwrap();
    world.receive(&[world.message("1", "1", noon(), "a")]).await;
    assert_eq!(watching.change().await.0, "1");
    let token = watching.token.clone();
    drop(watching);
    // More than is read at once.
    let many: Vec<_> = (2..=1_202)
        .map(|n| world.message(&n.to_string(), "1", at(n), "b"))
        .collect();
    for batch in many.chunks(300) {
        world.receive(batch).await;
    }
    let mut watching = Watching::begin(&world, &by, all(), &token).await;
    let mut told = Vec::new();
    while told.len() < many.len() {
        told.extend(watching.next().await.unwrap().iter().map(key));
    }
    let distinct: BTreeSet<_> = told.iter().collect();
    assert_eq!((told.len(), distinct.len()), (1_201, 1_201), "each once");
    assert!(!distinct.contains(&"1".to_owned()));
    world.receive(&[world.message("9", "2", at(5), "c")]).await;
    assert_eq!(watching.change().await.0, "9");
}

#[tokio::test]
async fn what_commits_late_is_told_late_and_not_lost() {
    let world = World::new().await;
    for chat in ["1", "2"] {
        world
            .receive(&[world.message(chat, "1", noon(), "a")])
            .await;
    }
    let by = world.as_service();
    let mut watching = Watching::begin(&world, &by, pb::ListChatsRequest::default(), "").await;
    watching.next().await.unwrap();
    // It begins first and ends last.
    let mut slow = world.db.pool.begin().await.unwrap();
    sqlx::query(
        "update chat set name = 'slow', changed = pg_current_xact_id() where chat_key = '1'",
    )
    .execute(&mut *slow)
    .await
    .unwrap();
    world.receive(&[world.message("2", "2", at(1), "b")]).await;
    slow.commit().await.unwrap();
    let mut told = Vec::new();
    while told.len() < 2 {
        told.extend(watching.next().await.unwrap().iter().map(key));
    }
    told.sort();
    assert_eq!(told, ["1", "2"]);
}

#[tokio::test]
async fn f062_nothing_beyond_the_rights_is_told_and_other_rights_end_the_stream() {
    let world = World::new().await;
    let granted = |channel: Uuid, version| {
        let mut access = full_access(agent("ann"));
        access.channels = ChannelGrant::Some([channel].into());
        access.version = version;
        access
    };
    let elsewhere = granted(Uuid::from_u128(5), 1);
    let ann = caller(
        &world.account,
        agent("ann"),
        &["chats:*"],
        elsewhere.clone(),
    );
    let mut tx = world.db.pool.begin().await.unwrap();
    let record = [(world.account.clone(), elsewhere)];
    chassis::access::AccessCopy::apply(&mut tx, &record)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let all = pb::ListChatsRequest::default();
    let mut watching = Watching::begin(&world, &ann, all.clone(), "").await;
    watching.next().await.unwrap();
    let mut other = Watching::begin(&world, &world.as_service(), all, "").await;
    other.next().await.unwrap();
    world
        .receive(&[world.message("7", "1", noon(), "hello")])
        .await;
    assert_eq!(other.change().await.0, "7", "who may see it is told");

    let mut tx = world.db.pool.begin().await.unwrap();
    let record = [(world.account.clone(), granted(world.channel, 2))];
    chassis::access::AccessCopy::apply(&mut tx, &record)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let ended = watching.next().await.unwrap_err();
    assert_eq!(
        reason(&ended),
        "ACCESS_CHANGED",
        "and nothing before: {ended:?}"
    );
}

#[tokio::test]
async fn tokens_of_another_database_and_odd_requests_are_refused() {
    let world = World::new().await;
    let by = world.as_service();
    let token = chassis::grpc::page_token(&(i64::MAX - 1, Uuid::nil()));
    let mut watching = Watching::begin(&world, &by, pb::ListChatsRequest::default(), &token).await;
    assert_eq!(reason(&watching.next().await.unwrap_err()), "PLACE_UNKNOWN");
    for (list, token) in [
        (
            pb::ListChatsRequest {
                page_size: 5,
                ..Default::default()
            },
            "",
        ),
        (pb::ListChatsRequest::default(), "nonsense"),
        (
            pb::ListChatsRequest {
                responsible: "me".into(),
                ..Default::default()
            },
            "",
        ),
    ] {
        let ask = pb::WatchChatsRequest {
            list: Some(list),
            resume_token: token.into(),
        };
        let refused = world
            .api
            .watch_chats(request(&by, ask))
            .await
            .err()
            .unwrap();
        assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    }
}
