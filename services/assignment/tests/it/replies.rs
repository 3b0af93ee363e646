//! Claiming, answering, handing over.

use std::collections::BTreeMap;

use chassis::testing::request;
use switchboard_proto::assignment::v1 as pb;
use switchboard_proto::assignment::v1::assignment_service_server::AssignmentService as _;
use tonic::Code;

use crate::world::{Talk, World, noon, reason};

#[tokio::test(flavor = "multi_thread")]
async fn x03_of_sixteen_who_answer_at_once_one_becomes_responsible_and_the_others_are_told_who() {
    let world = World::new().await;
    let mut agents = Vec::new();
    for n in 0..16 {
        agents.push(world.agent(&format!("Agent {n}")).await);
    }
    let talk = Talk::new(&world, 1);
    let events = world.events().await;
    // The chat is not known here yet: the answers overtake every event.
    let asked = agents
        .iter()
        .map(|agent| world.admit(*agent, &talk, (1, true)));
    let answers = futures::future::join_all(asked).await;
    let responsible = world.responsible(&talk).await.unwrap();
    let mut admitted = 0;
    for (agent, answer) in agents.iter().zip(answers) {
        match answer {
            Ok(answer) => {
                admitted += 1;
                assert!(answer.claimed);
                assert_eq!(*agent, responsible);
                assert_eq!(answer.assignment.unwrap().agent_id, responsible.to_string());
            }
            Err(status) => {
                assert_eq!(status.code(), Code::FailedPrecondition);
                let (reason, metadata) = reason(&status);
                assert_eq!(reason, "JOIN_REQUIRED");
                assert_eq!(metadata["agent_id"], responsible.to_string());
                assert!(metadata["agent_name"].starts_with("Agent "));
            }
        }
    }
    assert_eq!(admitted, 1);
    assert_eq!(world.events().await, events + 1, "one chat.assigned");
    assert_eq!(world.load(responsible).await, 1);
    world.loads_are_true().await;
    let choices = world.explain(&talk).await;
    assert_eq!(choices.len(), 1);
    assert_eq!(choices[0].rule, i32::from(pb::AssignmentRule::FirstReply));
}

#[tokio::test(flavor = "multi_thread")]
async fn x03_of_two_who_press_reply_at_once_one_gets_the_chat_and_the_other_is_told_who() {
    let world = World::new().await;
    let (anna, boris) = (world.agent("Anna").await, world.agent("Boris").await);
    for number in 1..=10 {
        let talk = Talk::new(&world, number);
        world.handle(&[talk.opened()]).await;
        let (first, second) = tokio::join!(world.claim(anna, &talk), world.claim(boris, &talk));
        let refused = [&first, &second]
            .into_iter()
            .find_map(|claim| claim.as_ref().err())
            .unwrap();
        assert!(first.is_ok() != second.is_ok());
        assert_eq!(refused.code(), Code::Aborted);
        let (reason, metadata) = reason(refused);
        let (id, name) = if first.is_ok() {
            (anna, "Anna")
        } else {
            (boris, "Boris")
        };
        assert_eq!(
            (reason.as_str(), metadata["agent_name"].as_str()),
            ("CHAT_HAS_RESPONSIBLE", name)
        );
        assert_eq!(metadata["agent_id"], id.to_string());
        // Whoever has it and presses again gets the same answer.
        let again = world.claim(id, &talk).await.unwrap();
        assert_eq!(Some(again), first.ok().or(second.ok()));
    }
    world.loads_are_true().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d19_only_the_responsible_and_who_has_joined_may_write() {
    let world = World::new().await;
    let (anna, boris, vera) = (
        world.agent("Anna").await,
        world.agent("Boris").await,
        world.agent("Vera").await,
    );
    let talk = Talk::new(&world, 1);
    world.handle(&[talk.opened()]).await;
    assert!(world.admit(anna, &talk, (1, true)).await.unwrap().claimed);
    // The same message asked again is told the same; another message of hers is admitted and claims nothing.
    assert!(world.admit(anna, &talk, (1, true)).await.unwrap().claimed);
    let other = pb::AdmitReplyRequest {
        request_id: "another".into(),
        ..talk.admission(anna, (1, true))
    };
    let answer = world
        .api
        .admit_reply(request(&world.internal(), other))
        .await
        .unwrap()
        .into_inner();
    assert!(!answer.claimed);
    assert!(world.admit(boris, &talk, (1, true)).await.is_err());
    sqlx::query("insert into chat_participant values ($1, $2, $3)")
        .bind(talk.chat.uuid())
        .bind(boris.uuid())
        .bind(noon())
        .execute(&world.db.pool)
        .await
        .unwrap();
    let joined = world.admit(boris, &talk, (1, true)).await.unwrap();
    assert!(!joined.claimed);
    let assignment = joined.assignment.unwrap();
    assert_eq!(assignment.agent_id, anna.to_string());
    assert_eq!(assignment.participant_agent_ids, [boris.to_string()]);
    assert!(world.admit(vera, &talk, (1, true)).await.is_err());
    // An inactive chat admits anybody, claims nothing, and names no responsible: the message will open it.
    let closed = world.admit(vera, &talk, (2, false)).await.unwrap();
    assert!(!closed.claimed && closed.assignment.unwrap().agent_id.is_empty());
    assert_eq!(world.load(anna).await, 0);
    world.loads_are_true().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_opened_by_an_agent_is_theirs_whoever_answers_first() {
    let world = World::new().await;
    let (anna, boris) = (world.agent("Anna").await, world.agent("Boris").await);
    let talk = Talk::new(&world, 1).opened_by(anna);
    let told_before_the_event = world.admit(anna, &talk, (1, true)).await.unwrap();
    assert_eq!(
        told_before_the_event.assignment.unwrap().agent_id,
        anna.to_string()
    );
    let refused = world.admit(boris, &talk, (1, true)).await.unwrap_err();
    assert_eq!(reason(&refused).1["agent_name"], "Anna");
    let before = world.events().await;
    world.handle(&[talk.opened(), talk.decided()]).await;
    assert_eq!(world.events().await, before, "already hers");
    let choices = world.explain(&talk).await;
    assert_eq!(choices.len(), 1);
    assert_eq!(choices[0].rule, i32::from(pb::AssignmentRule::Opener));
}

#[tokio::test(flavor = "multi_thread")]
async fn f103_a_chat_is_handed_over_unless_the_responsible_is_another_than_the_caller_saw() {
    let world = World::new().await;
    let (anna, boris, vera) = (
        world.agent("Anna").await,
        world.agent("Boris").await,
        world.agent_with("Vera", 1, None).await,
    );
    let talk = Talk::new(&world, 1);
    world.handle(&[talk.opened()]).await;
    let hand = async |to: chassis::id::AgentId, expected: Option<String>, id: &str| {
        let assign = pb::AssignChatRequest {
            request_id: id.into(),
            chat_id: talk.chat.to_string(),
            agent_id: to.to_string(),
            expected_agent_id: expected,
        };
        let answer = world.api.assign_chat(request(&world.admin(), assign)).await;
        answer.map(|answer| answer.into_inner().assignment.unwrap())
    };
    // F102: by hand before anyone replies; nobody is expected.
    let first = hand(anna, Some(String::new()), "one").await.unwrap();
    assert_eq!(first.agent_id, anna.to_string());
    let late = hand(boris, Some(String::new()), "two").await.unwrap_err();
    assert_eq!(late.code(), Code::Aborted);
    let (reason_of_late, metadata) = reason(&late);
    assert_eq!(reason_of_late, "RESPONSIBLE_CHANGED");
    assert_eq!(metadata["agent_name"], "Anna");
    let second = hand(boris, Some(anna.to_string()), "three").await.unwrap();
    assert!(second.version > first.version);
    let stamp = |a: &pb::ChatAssignment| a.stamp.as_ref().unwrap().time.unwrap();
    let nanos = |t: prost_types::Timestamp| (t.seconds, t.nanos);
    assert!(
        nanos(stamp(&second)) > nanos(stamp(&first)),
        "a person's act is later than what it replaces"
    );
    // The same request id again: the same answer, though the chat has moved on meanwhile.
    hand(anna, None, "four").await.unwrap();
    assert_eq!(
        hand(boris, Some(anna.to_string()), "three").await.unwrap(),
        second
    );
    assert_eq!(world.responsible(&talk).await, Some(anna));
    let reused = hand(vera, None, "three").await.unwrap_err();
    assert_eq!(reason(&reused).0, "REQUEST_ID_REUSED");
    // D25: by hand the capacity may be exceeded.
    let other = Talk::new(&world, 2);
    world.handle(&[other.opened()]).await;
    hand(vera, None, "five").await.unwrap();
    world.admit(vera, &other, (1, true)).await.unwrap();
    assert_eq!(world.load(vera).await, 2);
    world.loads_are_true().await;
    let nobody = hand(uuid::Uuid::from_u128(404).into(), None, "six")
        .await
        .unwrap_err();
    assert_eq!(reason(&nobody).0, "AGENT_NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_need_an_open_known_chat_and_an_agent() {
    let world = World::new().await;
    let anna = world.agent("Anna").await;
    let talk = Talk::new(&world, 1);
    let unknown = world.claim(anna, &talk).await.unwrap_err();
    assert_eq!(
        (unknown.code(), reason(&unknown).0.as_str()),
        (Code::NotFound, "CHAT_NOT_FOUND")
    );
    world.handle(&[talk.closed(2)]).await;
    let closed = world.claim(anna, &talk).await.unwrap_err();
    assert_eq!(reason(&closed).0, "CHAT_NOT_OPEN");
    let claim = pb::ClaimChatRequest {
        request_id: String::new(),
        chat_id: talk.chat.to_string(),
    };
    let service = world
        .api
        .claim_chat(request(&world.admin(), claim))
        .await
        .unwrap_err();
    assert_eq!(reason(&service).0, "AGENT_REQUIRED");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_hands_at_once_leave_true_loads() {
    let world = World::new().await;
    let mut agents = Vec::new();
    for name in ["Anna", "Boris", "Vera", "Hryhorii"] {
        agents.push(world.agent(name).await);
    }
    let talks: Vec<Talk> = (1..=6).map(|n| Talk::new(&world, n)).collect();
    world
        .handle(&talks.iter().map(Talk::opened).collect::<Vec<_>>())
        .await;
    let admin = world.admin();
    let hands = talks
        .iter()
        .flat_map(|talk| agents.iter().map(move |agent| (talk, *agent)));
    let hands = hands.map(|(talk, agent)| {
        let assign = pb::AssignChatRequest {
            chat_id: talk.chat.to_string(),
            agent_id: agent.to_string(),
            ..Default::default()
        };
        world.api.assign_chat(request(&admin, assign))
    });
    for answer in futures::future::join_all(hands).await {
        answer.unwrap();
    }
    world.loads_are_true().await;
    let mut loads = BTreeMap::new();
    for agent in agents {
        loads.insert(agent, world.load(agent).await);
    }
    assert_eq!(loads.values().sum::<i32>(), 6);
}
