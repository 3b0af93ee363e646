//! Answering, retrying, closing.

use chassis::testing::request;
use prost::Message as _;
use switchboard_proto::assignment::v1 as assignment;
use switchboard_proto::common::v1::content_part::Content;
use switchboard_proto::conversation::v1::{
    self as pb, conversation_service_server::ConversationService as _,
};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::world::{World, agent, at, noon, plain, reason, text_of};

/// What assignment answers to who claims a chat.
fn claimed(
    request: &assignment::AdmitReplyRequest,
    version: i64,
) -> assignment::AdmitReplyResponse {
    assignment::AdmitReplyResponse {
        assignment: Some(assignment::ChatAssignment {
            chat_id: request.chat_id.clone(),
            channel_id: request.channel_id.clone(),
            conversation_id: request.conversation_id.clone(),
            number: request.number,
            agent_id: request.agent_id.clone(),
            version,
            ..Default::default()
        }),
        claimed: true,
    }
}

#[tokio::test]
async fn f101_the_first_answer_is_admitted_by_assignment_and_then_by_the_copy() {
    let world = World::new().await;
    world
        .receive(&[world.message("7", "1", noon(), "hello")])
        .await;
    world.assignment.answers(|request| Ok(claimed(&request, 1)));
    let ann = world.as_agent("ann");
    let message = world.send(&ann, "7", "r1", "good day").await.unwrap();
    assert_eq!(message.kind(), pb::message::Kind::Agent);
    let delivery = message.delivery.unwrap();
    assert_eq!(delivery.state(), pb::message_delivery::State::Queued);
    assert_eq!((delivery.out_seq, delivery.attempt), (1, 1));
    {
        let asked = world.assignment.asked.lock().unwrap();
        assert_eq!(
            (asked[0].number, asked[0].revision, asked[0].open),
            (1, 1, true)
        );
        assert_eq!(
            (
                asked[0].request_id.as_str(),
                asked[0].opener_agent_id.as_str()
            ),
            ("r1", "")
        );
    }
    let chat = world.get_chat(&ann, "7").await.unwrap();
    assert_eq!(chat.state(), pb::chat::State::Active);
    assert_eq!(chat.responsible_agent_id, agent("ann").to_string());
    assert_eq!(chat.unanswered, 1, "queued is not sent");

    world.send(&ann, "7", "r2", "and more").await.unwrap();
    assert_eq!(
        world.assignment.times_asked(),
        1,
        "the copy admits the responsible"
    );
    let queued = world.events_of::<pb::MessageQueued>().await;
    let commands: Vec<_> = queued
        .into_iter()
        .filter_map(|event| event.command)
        .collect();
    assert_eq!(
        commands.iter().map(|c| c.out_seq).collect::<Vec<_>>(),
        [1, 2]
    );
    assert_eq!(
        (commands[0].chat_key.as_str(), commands[0].attempt),
        ("7", 1)
    );
    assert_eq!(commands[0].agent_id, agent("ann").to_string());
}

#[tokio::test]
async fn b02_a_repeated_request_sends_once_and_a_reused_id_is_refused() {
    let world = World::new().await;
    world
        .receive(&[world.message("7", "1", noon(), "hello")])
        .await;
    let ann = world.as_agent("ann");
    let first = world.send(&ann, "7", "r1", "good day").await.unwrap();
    let before = world.everything().await;
    for _ in 0..3 {
        let again = world.send(&ann, "7", "r1", "good day").await.unwrap();
        assert_eq!(again, first);
    }
    assert_eq!(world.everything().await, before);
    let refused = world
        .send(&ann, "7", "r1", "something else")
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::AlreadyExists, "REQUEST_ID_REUSED")
    );

    let (one, other) = tokio::join!(
        world.send(&ann, "7", "r2", "twice at once"),
        world.send(&ann, "7", "r2", "twice at once"),
    );
    assert_eq!(one.unwrap(), other.unwrap());
    assert_eq!(
        world
            .count("select count(*) from message where kind = 'agent'")
            .await,
        2
    );
}

#[tokio::test]
async fn x03_a_refusal_of_assignment_is_passed_on_as_it_is() {
    let world = World::new().await;
    world
        .receive(&[world.message("7", "1", noon(), "hello")])
        .await;
    world.assignment.answers(|_| {
        let facts = [("agent_id", "somebody")];
        let text = "the chat is another's";
        Err(chassis::grpc::refusal(
            "assignment",
            Code::Aborted,
            "CHAT_TAKEN",
            text,
            &facts,
        ))
    });
    let refused = world
        .send(&world.as_agent("bob"), "7", "r1", "me too")
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::Aborted, "CHAT_TAKEN")
    );
    assert_eq!(
        world
            .count("select count(*) from message where kind = 'agent'")
            .await,
        0
    );
    assert_eq!(
        world.count("select count(*) from chassis.request").await,
        0,
        "it may be tried again"
    );
}

#[tokio::test]
async fn an_answer_into_an_ended_chat_opens_the_next_conversation() {
    let world = World::new().await;
    world
        .receive(&[world.message("7", "1", noon(), "hello")])
        .await;
    let ann = world.as_agent("ann");
    world.close(&ann, "7").await.unwrap();
    let message = world.send(&ann, "7", "r1", "one more thing").await.unwrap();
    let opened = world.events_of::<pb::ConversationOpened>().await;
    let opened = opened.last().unwrap();
    assert_eq!(message.conversation_id, opened.conversation_id);
    assert_eq!((opened.number, opened.chat_is_new), (2, false));
    assert_eq!(
        opened.reason(),
        switchboard_proto::common::v1::OpenReason::AgentMessage
    );
    assert_eq!(opened.opener_agent_id, agent("ann").to_string());
    assert_eq!(opened.client.as_ref().unwrap().name, "Ada");
    let asked = world.assignment.asked.lock().unwrap()[0].clone();
    assert_eq!((asked.number, asked.revision, asked.open), (1, 2, false));
    let again = world.send(&ann, "7", "r1", "one more thing").await.unwrap();
    assert_eq!(again.message_id, message.message_id);
}

#[tokio::test]
async fn a_chat_that_changed_while_it_was_admitted_is_admitted_anew() {
    let world = World::new().await;
    world
        .receive(&[world.message("7", "1", noon(), "hello")])
        .await;
    // No transaction is open while assignment thinks: else this would wait for the chat's lock.
    world.assignment.meanwhile(
        &world,
        "update chat set closed_at = now(), revision = revision + 1, state = 'inactive';
         update conversation set closed_at = now(), revision = revision + 1",
    );
    let ann = world.as_agent("ann");
    let message = world.send(&ann, "7", "r1", "still there?").await.unwrap();
    let asked = world.assignment.asked.lock().unwrap().clone();
    assert_eq!(
        asked
            .iter()
            .map(|a| (a.revision, a.open))
            .collect::<Vec<_>>(),
        [(1, true), (2, false)]
    );
    let number = world.count("select number from chat").await;
    assert_eq!(number, 2, "the message opened the next conversation");
    assert!(!message.conversation_id.is_empty());
}

#[tokio::test]
async fn bad_requests_are_refused_by_name() {
    let world = World::new().await;
    world
        .receive(&[world.message("7", "1", noon(), "hello")])
        .await;
    let ann = world.as_agent("ann");
    for text in ["", "  ", &"a".repeat(20_001), "a\0b"] {
        let refused = world.send(&ann, "7", "r", text).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
    let unknown = world.send(&ann, "nobody", "r", "hi").await.unwrap_err();
    assert_eq!(
        (unknown.code(), reason(&unknown).as_str()),
        (Code::NotFound, "CHAT_NOT_FOUND")
    );
    let service = world
        .send(&world.as_service(), "7", "r", "hi")
        .await
        .unwrap_err();
    assert_eq!(
        (service.code(), reason(&service).as_str()),
        (Code::PermissionDenied, "AGENT_REQUIRED")
    );
    let reply = pb::SendMessageRequest {
        request_id: "r".into(),
        chat_id: world.chat("7").to_string(),
        text: Some(plain("re")),
        reply_to_message_id: world.chat("7").to_string(),
        attachment_ids: Vec::new(),
    };
    let refused = world
        .api
        .send_message(request(&ann, reply))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(
        world
            .count("select count(*) from message where kind = 'agent'")
            .await,
        0
    );
}

#[tokio::test]
async fn f081_a_quoted_reply_carries_the_providers_key() {
    let world = World::new().await;
    world
        .receive(&[world.message("7", "42", noon(), "hello")])
        .await;
    let target = world.client_messages("7").await[0].message_id.clone();
    let reply = pb::SendMessageRequest {
        request_id: String::new(),
        chat_id: world.chat("7").to_string(),
        text: Some(plain("re")),
        reply_to_message_id: target.clone(),
        attachment_ids: Vec::new(),
    };
    world
        .api
        .send_message(request(&world.as_agent("ann"), reply))
        .await
        .unwrap();
    let queued = world.events_of::<pb::MessageQueued>().await;
    let reply = queued[0].command.as_ref().unwrap().reply.clone().unwrap();
    assert_eq!(
        (reply.message_id, reply.provider_key),
        (target, "7/42".into())
    );
}

#[tokio::test]
async fn f189_a_text_stands_below_the_files_that_it_goes_with() {
    let world = World::new().await;
    world
        .receive(&[world.message("7", "42", noon(), "hello")])
        .await;
    let files = [11, 12].map(|number| Uuid::from_u128(number).to_string());
    let sent = pb::SendMessageRequest {
        request_id: String::new(),
        chat_id: world.chat("7").to_string(),
        text: Some(plain("both of them")),
        reply_to_message_id: String::new(),
        attachment_ids: files.to_vec(),
    };
    world
        .api
        .send_message(request(&world.as_agent("ann"), sent))
        .await
        .unwrap();
    let queued = world.events_of::<pb::MessageQueued>().await;
    let parts = &queued[0].command.as_ref().unwrap().parts;
    let order: Vec<&str> = parts
        .iter()
        .map(|part| match part.content.as_ref().unwrap() {
            Content::Attachment(file) => &file.attachment_id,
            Content::Text(text) => &text.text,
            other => panic!("{other:?}"),
        })
        .map(String::as_str)
        .collect();
    assert_eq!(order, [files[0].as_str(), &files[1], "both of them"]);
}

#[tokio::test]
async fn f105_closing_twice_is_refused_with_the_number() {
    let world = World::new().await;
    world
        .receive(&[world.message("7", "1", at(0), "one")])
        .await;
    let ann = world.as_agent("ann");
    let closed = world.close(&ann, "7").await.unwrap();
    assert!(closed.close_time.is_some());
    let refused = world.close(&ann, "7").await.unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::FailedPrecondition, "CONVERSATION_CLOSED")
    );
    let events = world.events_of::<pb::ConversationClosed>().await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].actor, format!("agent:{}", agent("ann")));
    world
        .receive(&[world.message("7", "2", at(1), "two")])
        .await;
    // The one that is meant is not the one that is open.
    let close = pb::CloseConversationRequest {
        chat_id: world.chat("7").to_string(),
        conversation_id: closed.conversation_id,
    };
    let refused: Status = world
        .api
        .close_conversation(request(&ann, close))
        .await
        .unwrap_err();
    assert_eq!(reason(&refused), "CONVERSATION_CLOSED");
    let system: Vec<_> = world
        .history("7")
        .await
        .into_iter()
        .filter_map(|m| m.system)
        .map(|s| s.kind)
        .collect();
    assert_eq!(
        system
            .iter()
            .filter(|kind| *kind == "conversation.closed")
            .count(),
        1
    );
    let conversations = world
        .api
        .list_conversations(request(
            &ann,
            pb::ListConversationsRequest {
                chat_id: world.chat("7").to_string(),
                ..Default::default()
            },
        ))
        .await
        .unwrap()
        .into_inner()
        .conversations;
    assert_eq!(
        conversations.iter().map(|c| c.number).collect::<Vec<_>>(),
        [2, 1]
    );
}

#[tokio::test]
async fn commands_are_numbered_without_gaps_under_concurrency_and_can_be_listed() {
    let world = std::sync::Arc::new(World::new().await);
    world
        .receive(&[world.message("7", "1", noon(), "hello")])
        .await;
    let mut tasks = Vec::new();
    for task in 0..8 {
        let world = std::sync::Arc::clone(&world);
        tasks.push(tokio::spawn(async move {
            let ann = world.as_agent("ann");
            for round in 0..5 {
                let id = format!("r-{task}-{round}");
                world.send(&ann, "7", &id, &id).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let internal = chassis::testing::service_caller(
        Some(&world.account),
        "channel-gateway",
        &["internal"],
        None,
    );
    let list = pb::ListOutboundCommandsRequest {
        chat_id: world.chat("7").to_string(),
        from_out_seq: 31,
        page_size: 200,
    };
    let answer = world
        .api
        .list_outbound_commands(request(&internal, list))
        .await
        .unwrap();
    let commands = answer.into_inner().commands;
    assert_eq!(
        commands.iter().map(|c| c.out_seq).collect::<Vec<_>>(),
        (31..=40).collect::<Vec<i64>>()
    );
    let queued = world.events_of::<pb::MessageQueued>().await;
    let events: Vec<i64> = queued
        .iter()
        .map(|e| e.command.as_ref().unwrap().out_seq)
        .collect();
    assert_eq!(
        events,
        (1..=40).collect::<Vec<i64>>(),
        "events stand in the order of the numbers"
    );
    let newest = world.history("7").await.pop().unwrap();
    assert!(!text_of(&newest).is_empty() && newest.encoded_len() > 0);
}
