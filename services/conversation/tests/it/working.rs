//! Who works with a chat, as agents see it: the Active tab, unassigned chats, reading before joining.

use chassis::access::{AccessRecord, ChannelGrant};
use chassis::auth::Caller;
use chassis::testing::{caller, full_access, request};
use switchboard_proto::assignment::v1 as assignment;
use switchboard_proto::conversation::v1::{
    self as pb, conversation_service_server::ConversationService as _,
};
use tonic::{Code, Status};

use crate::world::{World, agent, at, reason};

fn word(
    world: &World,
    key: &str,
    responsible: &str,
    joined: &[&str],
) -> assignment::ChatAssignment {
    let id = |name: &str| match name {
        "" => String::new(),
        name => agent(name).to_string(),
    };
    assignment::ChatAssignment {
        chat_id: world.chat(key).to_string(),
        channel_id: world.channel.to_string(),
        number: key.parse().unwrap(),
        agent_id: id(responsible),
        participant_agent_ids: joined.iter().map(|name| id(name)).collect(),
        version: 1,
        ..Default::default()
    }
}

impl World {
    /// Chats `1` to `count`, each with the conversation of its number.
    async fn chats(&self, count: i64) {
        for n in 1..=count {
            self.receive(&[self.message(&n.to_string(), "1", at(n), "hello")])
                .await;
        }
    }

    async fn assigned(&self, key: &str, responsible: &str, joined: &[&str]) {
        let assigned = assignment::ChatAssigned {
            assignment: Some(word(self, key, responsible, joined)),
            ..Default::default()
        };
        let number = key.parse().unwrap();
        self.hear(&[self.event(number, self.chat(key), &assigned)])
            .await;
    }
}

async fn keys(
    world: &World,
    by: &Caller,
    mut ask: pb::ListChatsRequest,
) -> Result<Vec<String>, Status> {
    let mut keys = Vec::new();
    loop {
        let answer = world
            .api
            .list_chats(request(by, ask.clone()))
            .await?
            .into_inner();
        let client = |chat: &pb::Chat| chat.client.as_ref().unwrap().user_id.clone();
        keys.extend(answer.chats.iter().map(client));
        if answer.next_page_token.is_empty() {
            return Ok(keys);
        }
        ask.page_token = answer.next_page_token;
    }
}

#[tokio::test]
async fn f127_f150_the_active_tab_has_the_open_chats_that_one_answers_for_or_has_joined() {
    let world = World::new().await;
    world.chats(8).await;
    world.assigned("1", "ann", &[]).await;
    world.assigned("2", "bob", &["eve", "ann"]).await;
    world.assigned("3", "bob", &[]).await;
    world.assigned("4", "ann", &["bob"]).await;
    world.assigned("5", "ann", &[]).await;
    world.assigned("6", "bob", &["ann"]).await;
    world.assigned("7", "bob", &["ann"]).await;
    let ann = world.as_agent("ann");
    world.close(&ann, "5").await.unwrap();
    world.close(&ann, "7").await.unwrap();
    let ask = |mine, page_size| pb::ListChatsRequest {
        mine,
        page_size,
        ..Default::default()
    };
    for page_size in [1, 2, 50] {
        let mine = keys(&world, &ann, ask(true, page_size)).await.unwrap();
        assert_eq!(mine, ["6", "4", "2", "1"], "pages of {page_size}");
    }
    let bobs = keys(&world, &world.as_agent("bob"), ask(true, 3))
        .await
        .unwrap();
    assert_eq!(bobs, ["6", "4", "3", "2"]);
    let eves = keys(&world, &world.as_agent("eve"), ask(true, 0))
        .await
        .unwrap();
    assert_eq!(eves, ["2"]);
    assert_eq!(keys(&world, &ann, ask(false, 0)).await.unwrap().len(), 8);
    // What was joined in one conversation is not joined in the next.
    world
        .receive(&[world.message("7", "2", at(100), "again")])
        .await;
    assert_eq!(keys(&world, &ann, ask(true, 0)).await.unwrap().len(), 4);
    let nobodys = keys(&world, &world.as_service(), ask(true, 0)).await;
    assert_eq!(nobodys.unwrap_err().code(), Code::InvalidArgument);
    let both = pb::ListChatsRequest {
        responsible: "me".into(),
        ..ask(true, 0)
    };
    assert_eq!(
        keys(&world, &ann, both).await.unwrap_err().code(),
        Code::InvalidArgument
    );
}

#[tokio::test]
async fn f124_an_unassigned_chat_is_seen_by_everybody_with_the_channel_and_by_nobody_else() {
    let world = World::new().await;
    world.chats(2).await;
    world.assigned("1", "ann", &[]).await;
    let unassigned = || pb::ListChatsRequest {
        states: vec![pb::chat::State::Unassigned.into()],
        ..Default::default()
    };
    for name in ["ann", "bob", "eve"] {
        let seen = keys(&world, &world.as_agent(name), unassigned())
            .await
            .unwrap();
        assert_eq!(seen, ["2"], "{name}");
    }
    let record = AccessRecord {
        channels: ChannelGrant::Some([].into()),
        ..full_access(agent("bob"))
    };
    let elsewhere = caller(&world.account, agent("bob"), &["chats:*"], record);
    assert!(
        keys(&world, &elsewhere, unassigned())
            .await
            .unwrap()
            .is_empty()
    );
    // Given back, it is there again.
    let unassigned_again = assignment::ChatUnassigned {
        assignment: Some(assignment::ChatAssignment {
            version: 2,
            ..word(&world, "1", "", &[])
        }),
        previous_agent_id: agent("ann").to_string(),
        reason: assignment::PartReason::AgentInactive.into(),
    };
    world
        .hear(&[world.event(20, world.chat("1"), &unassigned_again)])
        .await;
    let seen = keys(&world, &world.as_agent("bob"), unassigned())
        .await
        .unwrap();
    assert_eq!(seen, ["2", "1"]);
    let notices = world
        .history("1")
        .await
        .into_iter()
        .filter_map(|m| m.system);
    let notice = notices
        .filter(|notice| notice.kind == "chat.unassigned")
        .last();
    let notice = notice.unwrap();
    assert_eq!(notice.parameters["reason"], "agent-inactive");
    assert!(
        notice.text.ends_with("the agent is inactive"),
        "{}",
        notice.text
    );
}

#[tokio::test]
async fn f149_a_colleagues_chat_is_read_and_not_written_into_before_joining() {
    let world = World::new().await;
    world.chats(1).await;
    world.assigned("1", "ann", &[]).await;
    let bob = world.as_agent("bob");
    let list = pb::ListMessagesRequest {
        chat_id: world.chat("1").to_string(),
        ..Default::default()
    };
    let read = world.api.list_messages(request(&bob, list)).await;
    assert!(!read.unwrap().into_inner().messages.is_empty());
    world.assignment.answers(|_| {
        let facts = [("agent_name", "Ann")];
        let (code, text) = (
            Code::FailedPrecondition,
            "Ann is responsible; join it first",
        );
        Err(chassis::grpc::refusal(
            "assignment",
            code,
            "JOIN_REQUIRED",
            text,
            &facts,
        ))
    });
    let refused = world.send(&bob, "1", "r1", "hi").await.unwrap_err();
    assert_eq!(
        (refused.code(), &*reason(&refused)),
        (Code::FailedPrecondition, "JOIN_REQUIRED")
    );
    let published = world.published().await;
    assert!(!published.contains_key("message.queued"), "nothing is sent");
    // The responsible writes by the copy, whatever becomes of assignment.
    world
        .send(&world.as_agent("ann"), "1", "r2", "hi")
        .await
        .unwrap();
}
