//! What other services say: responsibles, deliveries, cards, rights.

use chassis::testing::request;
use switchboard_proto::assignment::v1 as assignment;
use switchboard_proto::channel_gateway::v1 as gateway;
use switchboard_proto::channel_gateway::v1::inbound_event::Kind;
use switchboard_proto::conversation::v1::{
    self as pb, conversation_service_server::ConversationService as _,
};
use switchboard_proto::crm_cards::v1 as cards;
use tonic::Code;

use crate::world::{World, agent, at, noon, reason};

use pb::message_delivery::State;

fn word(
    world: &World,
    responsible: &str,
    number: i64,
    version: i64,
    participants: &[&str],
) -> assignment::ChatAssignment {
    let id = |name: &str| {
        if name.is_empty() {
            String::new()
        } else {
            agent(name).to_string()
        }
    };
    assignment::ChatAssignment {
        chat_id: world.chat("7").to_string(),
        channel_id: world.channel.to_string(),
        number,
        agent_id: id(responsible),
        participant_agent_ids: participants.iter().map(|name| id(name)).collect(),
        version,
        ..Default::default()
    }
}

#[tokio::test]
async fn responsibles_are_copied_in_any_order_and_each_event_leaves_one_message() {
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let world = World::new().await;
        world
            .receive(&[world.message("7", "1", noon(), "hello")])
            .await;
        let subject = world.chat("7");
        let events = [
            world.event(
                1,
                subject,
                &assignment::ChatAssigned {
                    assignment: Some(word(&world, "ann", 1, 1, &[])),
                    ..Default::default()
                },
            ),
            world.event(
                2,
                subject,
                &assignment::ChatJoined {
                    assignment: Some(word(&world, "ann", 1, 2, &["bob"])),
                    agent_id: agent("bob").to_string(),
                },
            ),
            world.event(
                3,
                subject,
                &assignment::ChatAssigned {
                    assignment: Some(word(&world, "eve", 1, 3, &["bob"])),
                    previous_agent_id: agent("ann").to_string(),
                    rule: assignment::AssignmentRule::Hand.into(),
                    entity_changed: false,
                },
            ),
        ];
        for index in order {
            world.hear(std::slice::from_ref(&events[index])).await;
        }
        let before = world.everything().await;
        world.hear(&events).await;
        world.hear(&events).await;
        assert_eq!(world.everything().await, before, "{order:?}: repeats");
        let chat = world.get_chat(&world.as_service(), "7").await.unwrap();
        assert_eq!(chat.state(), pb::chat::State::Active);
        assert_eq!(
            chat.responsible_agent_id,
            agent("eve").to_string(),
            "{order:?}"
        );
        assert_eq!(chat.participant_agent_ids, [agent("bob").to_string()]);
        assert_eq!(
            chat.unanswered, 1,
            "system messages count for nothing (X09)"
        );
        assert_eq!(chat.last_message.unwrap().text, "hello");
        let kinds: Vec<_> = world
            .history("7")
            .await
            .into_iter()
            .filter_map(|m| m.system)
            .map(|s| s.kind)
            .collect();
        assert_eq!(
            kinds.iter().filter(|kind| *kind == "chat.assigned").count(),
            2
        );
        assert_eq!(
            kinds.iter().filter(|kind| *kind == "chat.joined").count(),
            1
        );
        // The responsible writes without asking; for who has joined the channel may say that they take over (D09).
        world
            .send(&world.as_agent("eve"), "7", "r1", "hi")
            .await
            .unwrap();
        world
            .send(&world.as_agent("bob"), "7", "r2", "hi")
            .await
            .unwrap();
        assert_eq!(world.assignment.times_asked(), 1);
        world
            .send(&world.as_agent("ann"), "7", "r3", "hi")
            .await
            .unwrap();
        assert_eq!(world.assignment.times_asked(), 2);
    }
}

#[tokio::test]
async fn a_responsible_who_came_before_the_chat_is_not_lost() {
    let world = World::new().await;
    let assigned = assignment::ChatAssigned {
        assignment: Some(word(&world, "ann", 1, 4, &[])),
        ..Default::default()
    };
    world
        .hear(&[world.event(1, world.chat("7"), &assigned)])
        .await;
    world
        .receive(&[world.message("7", "1", noon(), "hello")])
        .await;
    let chat = world.get_chat(&world.as_service(), "7").await.unwrap();
    assert_eq!(chat.responsible_agent_id, agent("ann").to_string());
    assert_eq!(chat.state(), pb::chat::State::Active);
}

#[tokio::test]
async fn an_unassigned_chat_is_unassigned_and_another_account_changes_nothing() {
    let world = World::new().await;
    world
        .receive(&[world.message("7", "1", noon(), "hello")])
        .await;
    let assigned = assignment::ChatAssigned {
        assignment: Some(word(&world, "ann", 1, 1, &[])),
        ..Default::default()
    };
    let unassigned = assignment::ChatUnassigned {
        assignment: Some(word(&world, "", 1, 2, &[])),
        previous_agent_id: agent("ann").to_string(),
        ..Default::default()
    };
    let mut foreign = world.event(9, world.chat("7"), &assigned);
    foreign.envelope.account = chassis::testing::account("other");
    let before = world.everything().await;
    world.hear(&[foreign]).await;
    assert_eq!(world.everything().await, before);
    let subject = world.chat("7");
    world
        .hear(&[
            world.event(1, subject, &assigned),
            world.event(2, subject, &unassigned),
        ])
        .await;
    let chat = world.get_chat(&world.as_service(), "7").await.unwrap();
    assert_eq!(
        (chat.state(), chat.responsible_agent_id.as_str()),
        (pb::chat::State::Unassigned, "")
    );
}

#[tokio::test]
async fn a_card_is_told_in_its_chat() {
    let world = World::new().await;
    world
        .receive(&[world.message("7", "1", noon(), "hello")])
        .await;
    let created = cards::CardCreated {
        card: Some(cards::Card {
            card_id: world.chat("card").to_string(),
            title: "Lead 1".into(),
            chat_id: world.chat("7").to_string(),
            ..Default::default()
        }),
        conversation_id: String::new(),
    };
    let event = world.event(1, world.chat("card"), &created);
    world.hear(&[event.clone(), event]).await;
    let notices: Vec<_> = world
        .history("7")
        .await
        .into_iter()
        .filter_map(|m| m.system)
        .collect();
    let told: Vec<_> = notices
        .iter()
        .filter(|notice| notice.kind == "card.created")
        .collect();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].text, "Card \"Lead 1\" was created");
}

fn part(
    world: &World,
    message: &pb::Message,
    attempt: i32,
    part: i32,
    parts: i32,
) -> gateway::DeliveryRef {
    gateway::DeliveryRef {
        message_id: message.message_id.clone(),
        chat_id: message.chat_id.clone(),
        channel_id: world.channel.to_string(),
        out_seq: 1,
        attempt,
        part,
        parts,
    }
}

async fn delivery(world: &World, message: &pb::Message) -> pb::MessageDelivery {
    let history = world.history("7").await;
    let found = history
        .into_iter()
        .find(|m| m.message_id == message.message_id)
        .unwrap();
    found.delivery.unwrap()
}

#[tokio::test]
async fn b03_delivery_only_moves_forward_in_every_order() {
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
        let world = World::new().await;
        world
            .receive(&[world.message("7", "1", noon(), "hello")])
            .await;
        let message = world
            .send(&world.as_agent("ann"), "7", "r1", "answer")
            .await
            .unwrap();
        let subject = world.chat("7");
        let whole = Some(part(&world, &message, 1, 0, 1));
        let events = [
            world.event(
                1,
                subject,
                &gateway::DeliverySent {
                    delivery: whole.clone(),
                    provider_key: "900".into(),
                    ..Default::default()
                },
            ),
            world.event(
                2,
                subject,
                &gateway::DeliveryDelivered {
                    delivery: whole.clone(),
                    time: None,
                },
            ),
            world.event(
                3,
                subject,
                &gateway::DeliveryRead {
                    delivery: whole,
                    time: None,
                },
            ),
        ];
        for index in order {
            world.hear(std::slice::from_ref(&events[index])).await;
            world.hear(std::slice::from_ref(&events[index])).await;
        }
        assert_eq!(
            delivery(&world, &message).await.state(),
            State::Read,
            "{order:?}"
        );
        // A client's reply to it finds it by the provider's key.
        let mut reply = world.message("7", "2", at(5), "re");
        if let Some(Kind::Message(inbound)) = reply.kind.as_mut() {
            inbound.reply = Some(switchboard_proto::common::v1::ReplyReference {
                provider_key: "900".into(),
                ..Default::default()
            });
        }
        world.receive(&[reply]).await;
        let reply = world
            .client_messages("7")
            .await
            .pop()
            .unwrap()
            .reply
            .unwrap();
        assert_eq!(reply.message_id, message.message_id, "{order:?}");
    }
}

#[tokio::test]
async fn f071_an_answer_resets_the_counter_when_it_was_sent_but_not_what_came_after_it() {
    let world = World::new().await;
    let unanswered = async || {
        world
            .get_chat(&world.as_service(), "7")
            .await
            .unwrap()
            .unanswered
    };
    world
        .receive(&[
            world.message("7", "1", at(0), "a"),
            world.message("7", "2", at(1), "b"),
        ])
        .await;
    let message = world
        .send(&world.as_agent("ann"), "7", "r1", "answer")
        .await
        .unwrap();
    world.receive(&[world.message("7", "3", at(2), "c")]).await;
    assert_eq!(unanswered().await, 3);
    let subject = world.chat("7");
    // Of two parts one is out: nothing is answered yet.
    let sent = |number| gateway::DeliverySent {
        delivery: Some(part(&world, &message, 1, number, 2)),
        provider_key: format!("90{number}"),
        ..Default::default()
    };
    world.hear(&[world.event(1, subject, &sent(0))]).await;
    assert_eq!(unanswered().await, 3);
    assert_eq!(delivery(&world, &message).await.state(), State::Sending);
    world.hear(&[world.event(2, subject, &sent(1))]).await;
    assert_eq!(unanswered().await, 1, "the third came after the answer");
    world.hear(&[world.event(2, subject, &sent(1))]).await;
    assert_eq!(unanswered().await, 1);
}

#[tokio::test]
async fn b03_x09_a_failed_send_answers_nothing_and_a_retry_is_a_new_attempt() {
    let world = World::new().await;
    let ann = world.as_agent("ann");
    world.receive(&[world.message("7", "1", at(0), "a")]).await;
    let message = world.send(&ann, "7", "r1", "answer").await.unwrap();
    let retry = |id: &str| pb::RetryMessageRequest {
        request_id: id.into(),
        chat_id: message.chat_id.clone(),
        message_id: message.message_id.clone(),
    };
    let refused = world
        .api
        .retry_message(request(&ann, retry("t0")))
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::FailedPrecondition, "MESSAGE_NOT_RETRYABLE")
    );

    let subject = world.chat("7");
    let failed = gateway::DeliveryFailed {
        delivery: Some(part(&world, &message, 1, 0, 1)),
        reason: "CLIENT_BLOCKED_CHANNEL".into(),
        detail: "the client blocked the bot".into(),
        retryable: true,
        time: None,
    };
    world.hear(&[world.event(1, subject, &failed)]).await;
    let now = delivery(&world, &message).await;
    assert_eq!(
        (now.state(), now.reason.as_str(), now.retryable),
        (State::Failed, "CLIENT_BLOCKED_CHANNEL", true)
    );
    assert_eq!(world.get_chat(&ann, "7").await.unwrap().unanswered, 1);

    let again = world
        .api
        .retry_message(request(&ann, retry("t1")))
        .await
        .unwrap()
        .into_inner()
        .message
        .unwrap();
    let queued = again.delivery.clone().unwrap();
    assert_eq!(
        (queued.state(), queued.attempt, queued.out_seq),
        (State::Queued, 2, 2)
    );
    assert_eq!(
        (again.message_id.clone(), queued.reason),
        (message.message_id.clone(), String::new())
    );
    let repeated = world
        .api
        .retry_message(request(&ann, retry("t1")))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(repeated.message.unwrap(), again);
    let commands: Vec<_> = world
        .events_of::<pb::MessageQueued>()
        .await
        .into_iter()
        .filter_map(|event| event.command)
        .map(|command| (command.message_id, command.out_seq, command.attempt))
        .collect();
    let id = message.message_id.clone();
    assert_eq!(commands, [(id.clone(), 1, 1), (id, 2, 2)]);

    // The word on the first attempt comes again, late: the second is what counts.
    world.hear(&[world.event(1, subject, &failed)]).await;
    assert_eq!(delivery(&world, &message).await.state(), State::Queued);
    let sent = gateway::DeliverySent {
        delivery: Some(part(&world, &message, 2, 0, 1)),
        provider_key: "901".into(),
        ..Default::default()
    };
    world.hear(&[world.event(2, subject, &sent)]).await;
    assert_eq!(delivery(&world, &message).await.state(), State::Sent);
    assert_eq!(world.get_chat(&ann, "7").await.unwrap().unanswered, 0);
}

#[tokio::test]
async fn a_reaction_to_our_message_may_come_before_we_hear_that_it_was_sent() {
    let world = World::new().await;
    world.receive(&[world.message("7", "1", at(0), "a")]).await;
    let message = world
        .send(&world.as_agent("ann"), "7", "r1", "answer")
        .await
        .unwrap();
    let reaction = Kind::Reaction(gateway::InboundReaction {
        provider_key: "900".into(),
        emojis: vec!["👍".into()],
    });
    world
        .receive(&[world.item("r", "7", at(3), reaction)])
        .await;
    assert_eq!(world.count("select count(*) from parked").await, 1);
    let sent = gateway::DeliverySent {
        delivery: Some(part(&world, &message, 1, 0, 1)),
        provider_key: "900".into(),
        ..Default::default()
    };
    world.hear(&[world.event(1, world.chat("7"), &sent)]).await;
    assert_eq!(world.count("select count(*) from parked").await, 0);
    let reacted = world.events_of::<pb::MessageReacted>().await;
    assert_eq!(reacted[0].message_id, message.message_id);
    assert_eq!(reacted[0].reactions[0].emoji, "👍");
}

#[tokio::test]
async fn rights_are_kept_by_their_version() {
    let world = World::new().await;
    let agent = agent("ann");
    let changed = |version, active| assignment::AgentAccessChanged {
        access: Some(assignment::AgentAccess {
            agent_id: agent.to_string(),
            version,
            active,
            ..Default::default()
        }),
    };
    let subject = agent.uuid();
    world
        .hear(&[
            world.event(2, subject, &changed(2, false)),
            world.event(1, subject, &changed(1, true)),
        ])
        .await;
    let version = "select version from chassis.agent_access where record ->> 'active' = 'false'";
    assert_eq!(world.count(version).await, 2);
}
