//! What agents change of messages that are out: at the provider first, then here (B03).

use chassis::auth::Caller;
use chassis::testing::request;
use switchboard_proto::assignment::v1 as assignment;
use switchboard_proto::channel_gateway::v1 as gateway;
use switchboard_proto::common::v1::{self as common, content_part::Content};
use switchboard_proto::conversation::v1::chat_service_server::ChatService as _;
use switchboard_proto::conversation::v1::message_delivery::State;
use switchboard_proto::conversation::v1::outbound_command::Action;
use switchboard_proto::conversation::v1::{self as pb};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::world::{World, at, noon, plain, reason, text_of};

fn part(world: &World, id: &str, attempt: i32) -> gateway::DeliveryRef {
    gateway::DeliveryRef {
        message_id: id.into(),
        chat_id: world.chat("7").to_string(),
        channel_id: world.channel.to_string(),
        out_seq: 1,
        attempt,
        part: 0,
        parts: 1,
    }
}

async fn sent(world: &World, event: u128, id: &str, key: &str) {
    let sent = gateway::DeliverySent {
        delivery: Some(part(world, id, 1)),
        provider_key: key.into(),
        time: Some(chassis::grpc::timestamp(at(500))),
        ..Default::default()
    };
    world
        .hear(&[world.event(event, world.chat("7"), &sent)])
        .await;
}

/// A client's message, and an answer of Ann's that was sent.
async fn talk() -> (World, Caller, pb::Message) {
    let world = World::new().await;
    world
        .receive(&[world.message("7", "1", noon(), "hello")])
        .await;
    let ann = world.as_agent("ann");
    let answer = world.send(&ann, "7", "r1", "42 hryvnia").await.unwrap();
    sent(&world, 1, &answer.message_id, "900").await;
    (world, ann, answer)
}

async fn edit(
    world: &World,
    by: &Caller,
    id: &str,
    request_id: &str,
    text: &str,
) -> Result<pb::Message, Status> {
    let edit = pb::EditMessageRequest {
        request_id: request_id.into(),
        chat_id: world.chat("7").to_string(),
        message_id: id.into(),
        text: Some(plain(text)),
    };
    let answer = world.api.edit_message(request(by, edit)).await?;
    Ok(answer.into_inner().message.unwrap())
}

async fn delete(world: &World, by: &Caller, id: &str) -> Result<pb::Message, Status> {
    let delete = pb::DeleteMessageRequest {
        request_id: String::new(),
        chat_id: world.chat("7").to_string(),
        message_id: id.into(),
    };
    let answer = world.api.delete_message(request(by, delete)).await?;
    Ok(answer.into_inner().message.unwrap())
}

async fn react(world: &World, by: &Caller, id: &str, emoji: &str) -> Result<pb::Message, Status> {
    let react = pb::ReactToMessageRequest {
        request_id: String::new(),
        chat_id: world.chat("7").to_string(),
        message_id: id.into(),
        emoji: emoji.into(),
    };
    let answer = world.api.react_to_message(request(by, react)).await?;
    Ok(answer.into_inner().message.unwrap())
}

async fn commands(world: &World) -> Vec<pb::OutboundCommand> {
    let queued = world.events_of::<pb::MessageQueued>().await.into_iter();
    queued.map(|event| event.command.unwrap()).collect()
}

async fn shown(world: &World, id: &str) -> pb::Message {
    let history = world.history("7").await;
    history.into_iter().find(|m| m.message_id == id).unwrap()
}

#[tokio::test]
async fn b03_an_edit_counts_once_the_provider_has_it() {
    let (world, ann, answer) = talk().await;
    let id = &*answer.message_id;
    let asked = edit(&world, &ann, id, "e1", "43 hryvnia").await.unwrap();
    assert_eq!(text_of(&asked), "42 hryvnia", "not yet");
    assert_eq!(asked.amendment.unwrap().state(), State::Queued);
    let again = edit(&world, &ann, id, "e1", "43 hryvnia").await.unwrap();
    assert!(again.amendment.is_some(), "a repeat is answered as before");
    let command = commands(&world).await.pop().unwrap();
    assert_eq!(command.action(), Action::Edit);
    assert_eq!(
        (command.out_seq, &*command.target_keys),
        (2, &["900".to_owned()][..])
    );
    assert_ne!(command.message_id, id, "its outcome is not the message's");
    let other = edit(&world, &ann, id, "e2", "44 hryvnia")
        .await
        .unwrap_err();
    assert_eq!(reason(&other), "AMENDMENT_UNDER_WAY");

    sent(&world, 2, &command.message_id, "900").await;
    sent(&world, 3, &command.message_id, "900").await;
    let now = shown(&world, id).await;
    assert_eq!(text_of(&now), "43 hryvnia");
    assert!(now.edit_time.is_some() && now.amendment.is_none());
    assert_eq!(now.delivery.unwrap().state(), State::Sent);
    assert_eq!(world.events_of::<pb::MessageEdited>().await.len(), 1);
    let chat = world.get_chat(&ann, "7").await.unwrap();
    assert_eq!(chat.last_message.unwrap().text, "43 hryvnia");
    assert_eq!(chat.unanswered, 0);
}

#[tokio::test]
async fn b03_what_the_provider_refuses_changes_nothing_and_says_so() {
    let (world, ann, answer) = talk().await;
    let id = &*answer.message_id;
    delete(&world, &ann, id).await.unwrap();
    let command = commands(&world).await.pop().unwrap();
    assert_eq!(command.action(), Action::Delete);
    let failed = gateway::DeliveryFailed {
        delivery: Some(part(&world, &command.message_id, 1)),
        reason: "MESSAGE_TOO_OLD".into(),
        detail: "Telegram takes messages back for two days.".into(),
        ..Default::default()
    };
    world
        .hear(&[world.event(2, world.chat("7"), &failed)])
        .await;
    let now = shown(&world, id).await;
    assert_eq!(text_of(&now), "42 hryvnia");
    assert_eq!(
        now.delivery.unwrap().state(),
        State::Sent,
        "it was sent, whatever became of that"
    );
    let amendment = now.amendment.unwrap();
    assert_eq!(
        (amendment.state(), &*amendment.reason),
        (State::Failed, "MESSAGE_TOO_OLD")
    );
    assert_eq!(
        world.events_of::<pb::MessageAmendmentFailed>().await.len(),
        1
    );

    // Once more, and now it is.
    delete(&world, &ann, id).await.unwrap();
    let command = commands(&world).await.pop().unwrap();
    sent(&world, 3, &command.message_id, "").await;
    let now = shown(&world, id).await;
    assert!(now.delete_time.is_some() && now.parts.is_empty() && now.amendment.is_none());
    assert_eq!(world.events_of::<pb::MessageDeleted>().await.len(), 1);
    let refused = edit(&world, &ann, id, "", "late").await.unwrap_err();
    assert_eq!(reason(&refused), "MESSAGE_DELETED");
}

#[tokio::test]
async fn b03_an_edit_keeps_the_files() {
    let (world, ann, answer) = talk().await;
    let content = pb::Message {
        parts: vec![
            common::ContentPart {
                content: Some(Content::Attachment(common::Attachment {
                    attachment_id: Uuid::from_u128(5).to_string(),
                    ..Default::default()
                })),
            },
            common::ContentPart {
                content: Some(Content::Text(plain("old"))),
            },
        ],
        ..Default::default()
    };
    sqlx::query("update message set body = $1 where message_id = $2")
        .bind(prost::Message::encode_to_vec(&content))
        .bind(answer.message_id.parse::<Uuid>().unwrap())
        .execute(&world.db.pool)
        .await
        .unwrap();
    edit(&world, &ann, &answer.message_id, "", "new")
        .await
        .unwrap();
    let parts = commands(&world).await.pop().unwrap().parts;
    assert_eq!(parts.len(), 2);
    assert!(matches!(parts[0].content, Some(Content::Attachment(_))));
    assert!(matches!(&parts[1].content, Some(Content::Text(text)) if text.text == "new"));
}

#[tokio::test]
async fn b03_who_may_not_change_a_message_is_told_why() {
    let (world, ann, answer) = talk().await;
    let bob = world.as_agent("bob");
    let theirs = world.client_messages("7").await.remove(0).message_id;
    let own = &*answer.message_id;
    let queued = world
        .send(&ann, "7", "r2", "queued")
        .await
        .unwrap()
        .message_id;
    for (what, refused, expected) in [
        (
            "a colleague's",
            edit(&world, &bob, own, "", "x").await,
            "NOT_THE_AUTHOR",
        ),
        (
            "the client's",
            delete(&world, &ann, &theirs).await,
            "NOT_THE_AUTHOR",
        ),
        (
            "not sent",
            edit(&world, &ann, &queued, "", "x").await,
            "MESSAGE_NOT_SENT",
        ),
        (
            "a reaction on an own one",
            react(&world, &ann, own, "x").await,
            "NOT_THE_CLIENTS_MESSAGE",
        ),
        (
            "of another chat",
            edit(&world, &ann, &Uuid::from_u128(9).to_string(), "", "x").await,
            "MESSAGE_NOT_FOUND",
        ),
    ] {
        assert_eq!(reason(&refused.unwrap_err()), expected, "{what}");
    }
    let service = edit(&world, &world.as_service(), own, "", "x")
        .await
        .unwrap_err();
    assert_eq!(
        (service.code(), &*reason(&service)),
        (Code::PermissionDenied, "AGENT_REQUIRED")
    );
    let empty = edit(&world, &ann, own, "", "").await.unwrap_err();
    assert_eq!(empty.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn b03_the_channel_has_one_reaction_whoever_sets_it() {
    let (world, ann, _) = talk().await;
    let theirs = world.client_messages("7").await.remove(0).message_id;
    let outside = react(&world, &world.as_agent("bob"), &theirs, "👍").await;
    assert_eq!(reason(&outside.unwrap_err()), "NOT_IN_CHAT");
    let assigned = assignment::ChatAssigned {
        assignment: Some(assignment::ChatAssignment {
            chat_id: world.chat("7").to_string(),
            channel_id: world.channel.to_string(),
            agent_id: crate::world::agent("ann").to_string(),
            number: 1,
            version: 1,
            ..Default::default()
        }),
        ..Default::default()
    };
    world
        .hear(&[world.event(9, world.chat("7"), &assigned)])
        .await;
    for (event, emoji, expected) in [(2, "👍", vec!["👍"]), (3, "❤", vec!["❤"]), (4, "", vec![])]
    {
        react(&world, &ann, &theirs, emoji).await.unwrap();
        let command = commands(&world).await.pop().unwrap();
        assert_eq!(command.action(), Action::React);
        assert_eq!(command.target_keys, ["7/1"]);
        let moment = gateway::DeliverySent {
            delivery: Some(part(&world, &command.message_id, 1)),
            time: Some(chassis::grpc::timestamp(at(event))),
            ..Default::default()
        };
        let event = u128::try_from(event).unwrap();
        world
            .hear(&[world.event(event, world.chat("7"), &moment)])
            .await;
        let now = shown(&world, &theirs).await;
        let emojis: Vec<_> = now.reactions.iter().map(|one| &*one.emoji).collect();
        assert_eq!(emojis, expected);
    }
}

#[tokio::test]
async fn f098_a_note_is_changed_at_once_and_by_nobody_else() {
    let (world, ann, _) = talk().await;
    let note = pb::AddNoteRequest {
        request_id: String::new(),
        chat_id: world.chat("7").to_string(),
        text: Some(plain("pays in cash")),
    };
    let note = world.api.add_note(request(&ann, note)).await.unwrap();
    let id = note.into_inner().message.unwrap().message_id;
    let changed = edit(&world, &ann, &id, "", "pays by card").await.unwrap();
    assert_eq!(text_of(&changed), "pays by card");
    assert!(changed.amendment.is_none());
    let refused = delete(&world, &world.as_agent("bob"), &id)
        .await
        .unwrap_err();
    assert_eq!(reason(&refused), "NOT_THE_AUTHOR");
    delete(&world, &ann, &id).await.unwrap();
    assert!(shown(&world, &id).await.delete_time.is_some());
    let commands = commands(&world).await;
    assert_eq!(commands.len(), 1, "the answer's: a note goes nowhere");
}
