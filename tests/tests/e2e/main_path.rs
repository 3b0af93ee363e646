//! A customer's message becomes a chat, a card and an assignment, and the agent's answer goes back.

use switchboard_proto::assignment::v1::ChatAssigned;
use switchboard_proto::channel_gateway::v1::DeliverySent;
use switchboard_proto::common::v1::{Text, content_part::Content};
use switchboard_proto::conversation::v1::{
    CloseConversationRequest, ListConversationsRequest, MessageStored, SendMessageRequest,
    chat::State, message::Kind as MessageKind, message_delivery,
};
use switchboard_proto::crm_cards::v1::{
    CardCreated, ConnectionDecided, ExplainCardRequest, MoveCardRequest, Status, StatusKind,
    decision::Outcome, explain_card_request::About,
};
use switchboard_tests::events::{Event, check_envelopes, read_all};
use switchboard_tests::world::{Plan, World, eventually, text_of};
use tonic::Code;
use tonic_types::StatusExt;

#[expect(
    clippy::too_many_lines,
    reason = "a story is read from its beginning to its end"
)]
#[tokio::test(flavor = "multi_thread")]
async fn a_message_becomes_a_chat_a_card_and_an_assignment_and_the_answer_goes_back()
-> anyhow::Result<()> {
    let world = World::start().await?;
    let account = world.account(Plan::default()).await?;
    let customer = 5_540_012_873;

    // The customer writes.
    let delivered = world
        .telegram
        .say(&account.bot_token, customer, "Добрий день, чи є 42 розмір?")
        .await?;
    assert_eq!(
        (delivered.statuses.as_slice(), delivered.body.as_str()),
        ([200].as_slice(), "")
    );
    let chat = account.chat_of(customer).await?;
    assert_eq!(chat.unanswered, 1);
    let first = chat
        .open_conversation
        .clone()
        .expect("an open conversation");
    assert_eq!(first.number, 1);

    // The pipeline connection decides, and says why.
    let card = eventually("the card", async || {
        Ok(account.cards(&chat.chat_id).await?.pop())
    })
    .await?;
    assert_eq!(
        card.status.as_ref().map(Status::kind),
        Some(StatusKind::New)
    );
    assert_eq!(
        (&card.source_id, &card.chat_id),
        (&account.source_id, &chat.chat_id)
    );
    let about = Some(About::CardId(card.card_id.clone()));
    let explained = account
        .admin
        .crm
        .clone()
        .explain_card(ExplainCardRequest { about })
        .await?
        .into_inner();
    let decision = explained.decision.expect("a decision");
    assert_eq!(decision.outcome(), Outcome::Created);
    assert_eq!(decision.conversation_id, first.conversation_id);
    assert!(!decision.rule.is_empty() && !decision.explanation.is_empty());

    // Distribution gives the chat to one of the two agents, and the card takes the same responsible (F026).
    let chat = eventually("a responsible", async || {
        let chat = account.chat_of(customer).await?;
        Ok((chat.state() == State::Active).then_some(chat))
    })
    .await?;
    let responsible = chat.responsible_agent_id.clone();
    let agent = account.agent(&responsible)?.clone();
    let other = account
        .agents
        .iter()
        .find(|other| other.id != agent.id)
        .expect("a second agent")
        .clone();
    eventually("the card's responsible", async || {
        let card = account.cards(&chat.chat_id).await?.pop();
        Ok(card.filter(|card| card.responsible_agent_id == responsible))
    })
    .await?;

    // The other agent is refused and told who has the chat (D19).
    let answer = |text: &str| SendMessageRequest {
        request_id: uuid::Uuid::new_v4().to_string(),
        chat_id: chat.chat_id.clone(),
        text: Some(Text {
            text: text.to_owned(),
            entities: Vec::new(),
        }),
        reply_to_message_id: String::new(),
        attachment_ids: Vec::new(),
    };
    let refused = other
        .clients
        .conversation
        .clone()
        .send_message(answer("Я відповім"))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused:?}");
    let info = refused.get_details_error_info().expect("ErrorInfo");
    assert_eq!(info.reason, "JOIN_REQUIRED");
    assert_eq!(info.metadata.get("agent_id"), Some(&responsible));

    // The responsible answers; the answer reaches the Bot API and its delivery state comes back.
    let sent = agent
        .clients
        .conversation
        .clone()
        .send_message(answer("Так, є 42 та 43."))
        .await?
        .into_inner();
    let sent = sent.message.expect("a message");
    assert_eq!(sent.kind(), MessageKind::Agent);
    eventually("the delivery state", async || {
        let messages = account.messages(&chat.chat_id).await?;
        let message = messages
            .into_iter()
            .find(|message| message.message_id == sent.message_id);
        let state = message
            .and_then(|message| message.delivery)
            .map(|delivery| delivery.state());
        Ok((state == Some(message_delivery::State::Sent)).then_some(()))
    })
    .await?;
    let calls = world.telegram.sent(&account.bot_token);
    let calls: Vec<_> = calls
        .iter()
        .filter(|call| call.method == "sendMessage")
        .collect();
    assert_eq!(calls.len(), 1, "{calls:?}");
    assert_eq!(
        account.chat_of(customer).await?.unanswered,
        0,
        "an answer that was sent resets the count (F072)"
    );

    // The customer writes on: an open conversation makes no second card (F016).
    world
        .telegram
        .say(&account.bot_token, customer, "Беру 42!")
        .await?;
    eventually("the second message", async || {
        let messages = account.messages(&chat.chat_id).await?;
        Ok(messages
            .iter()
            .any(|message| text_of(message) == "Беру 42!")
            .then_some(()))
    })
    .await?;
    assert_eq!(account.decisions(&chat.chat_id).await?.len(), 1);

    // Closing, and writing again: the next conversation, and the rule runs again.
    let won = account
        .pipeline
        .statuses
        .iter()
        .find(|status| status.kind() == StatusKind::Successful)
        .expect("won");
    let won = MoveCardRequest {
        card_id: card.card_id.clone(),
        status_id: won.status_id.clone(),
        ..Default::default()
    };
    agent.clients.crm.clone().move_card(won).await?;
    let close = CloseConversationRequest {
        chat_id: chat.chat_id.clone(),
        ..Default::default()
    };
    agent
        .clients
        .conversation
        .clone()
        .close_conversation(close.clone())
        .await?;
    let again = agent
        .clients
        .conversation
        .clone()
        .close_conversation(close)
        .await
        .unwrap_err();
    assert_eq!(again.code(), Code::FailedPrecondition);
    assert_eq!(
        again.get_details_error_info().expect("ErrorInfo").reason,
        "CONVERSATION_CLOSED"
    );
    assert_eq!(account.chat_of(customer).await?.state(), State::Inactive);
    world
        .telegram
        .say(&account.bot_token, customer, "Ще одне питання")
        .await?;
    let cards = eventually("the second card", async || {
        let cards = account.cards(&chat.chat_id).await?;
        Ok((cards.len() == 2).then_some(cards))
    })
    .await?;
    assert_ne!(cards[0].card_id, cards[1].card_id);
    let request = ListConversationsRequest {
        chat_id: chat.chat_id.clone(),
        ..Default::default()
    };
    let conversations = account
        .admin
        .conversation
        .clone()
        .list_conversations(request)
        .await?
        .into_inner();
    let numbers: Vec<_> = conversations
        .conversations
        .iter()
        .map(|conversation| conversation.number)
        .collect();
    assert_eq!(numbers, [2, 1]);

    // Every step is an event on its documented subject.
    let events = eventually("the events of the second opening", async || {
        let events = read_all(&world.nats.url(), Some(&account.slug)).await?;
        let assigned = events
            .iter()
            .filter(|event| event.name() == "assignment.chat.assigned")
            .count();
        Ok((assigned == 2).then_some(events))
    })
    .await?;
    check_envelopes(&events)?;
    let count = |name: &str| events.iter().filter(|event| event.name() == name).count();
    for (name, times) in [
        ("conversation.chat.created", 1),
        ("conversation.conversation.opened", 2),
        ("conversation.conversation.closed", 1),
        ("crm-cards.contact.created", 1),
        ("crm-cards.card.created", 2),
        ("crm-cards.card.moved", 1),
        ("crm-cards.connection.decided", 2),
        ("conversation.message.queued", 1),
        ("channel-gateway.delivery.sent", 1),
    ] {
        assert_eq!(count(name), times, "{name}");
    }

    // One trace shows webhook, stored, card and assignment.
    let of = |find: &dyn Fn(&Event) -> bool| {
        events
            .iter()
            .find(|event| find(event))
            .map(|event| event.trace_id().to_owned())
            .expect("the event")
    };
    let stored = of(&|event| {
        event.decode::<MessageStored>().and_then(|stored| stored.message).is_some_and(|message| {
            message.kind() == MessageKind::Client
                && matches!(&message.parts[0].content, Some(Content::Text(text)) if text.text.starts_with("Добрий"))
        })
    });
    let same_conversation = |id: &str| id == first.conversation_id;
    let card_trace = of(&|event| {
        event
            .decode::<CardCreated>()
            .is_some_and(|made| same_conversation(&made.conversation_id))
    });
    let assigned = of(&|event| {
        let assigned = event
            .decode::<ChatAssigned>()
            .and_then(|assigned| assigned.assignment);
        assigned.is_some_and(|assignment| same_conversation(&assignment.conversation_id))
    });
    let decided = of(&|event| {
        let decided = event
            .decode::<ConnectionDecided>()
            .and_then(|decided| decided.decision);
        decided.is_some_and(|decision| same_conversation(&decision.conversation_id))
    });
    assert_eq!([&card_trace, &decided, &assigned], [&stored; 3]);
    let delivered = events
        .iter()
        .find_map(Event::decode::<DeliverySent>)
        .expect("a delivery");
    assert!(!delivered.provider_key.is_empty());
    Ok(())
}
