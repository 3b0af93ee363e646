//! Once and only once: repeats, races, idempotent requests.

use std::collections::BTreeSet;

use futures::future::{join_all, try_join_all};
use serde_json::json;
use switchboard_proto::assignment::v1::Distribution;
use switchboard_proto::common::v1::Text;
use switchboard_proto::conversation::v1::{
    RetryMessageRequest, SendMessageRequest, message::Kind, message_delivery::State,
};
use switchboard_tests::events::{check_envelopes, read_all};
use switchboard_tests::telegram::{Fault, FaultKind};
use switchboard_tests::world::{Account, Plan, World, eventually, text_of};
use tonic::Code;
use tonic_types::StatusExt;

fn request(chat_id: &str, text: &str) -> SendMessageRequest {
    SendMessageRequest {
        request_id: uuid::Uuid::new_v4().to_string(),
        chat_id: chat_id.to_owned(),
        text: Some(Text {
            text: text.to_owned(),
            entities: Vec::new(),
        }),
        reply_to_message_id: String::new(),
        attachment_ids: Vec::new(),
    }
}

async fn client_texts(account: &Account, chat_id: &str) -> anyhow::Result<Vec<String>> {
    let messages = account.messages(chat_id).await?;
    Ok(messages
        .iter()
        .filter(|message| message.kind() == Kind::Client)
        .map(text_of)
        .collect())
}

/// X01, B01: the provider repeats, and nothing doubles.
#[tokio::test(flavor = "multi_thread")]
async fn x01_b01_the_same_update_delivered_five_times_is_one_message_one_conversation_one_card()
-> anyhow::Result<()> {
    let world = World::start().await?;
    let account = world.account(Plan::default()).await?;
    let update = json!({ "update_id": 812_004_417, "message": {
        "message_id": 3051, "date": 1_790_764_802,
        "from": { "id": 77, "is_bot": false, "first_name": "Олена" },
        "chat": { "id": 77, "type": "private", "first_name": "Олена" },
        "text": "Добрий день" } });
    world
        .telegram
        .deliver(&account.bot_token, update.clone(), 4)
        .await?;
    let chat = account.chat_of(77).await?;
    eventually("the card", async || {
        Ok(account.cards(&chat.chat_id).await?.pop())
    })
    .await?;
    // Once more after everything was done, and then something new: what the repeat could have changed comes before it.
    world
        .telegram
        .deliver(&account.bot_token, update, 0)
        .await?;
    world
        .telegram
        .say(&account.bot_token, 77, "є питання")
        .await?;
    eventually("the second text", async || {
        Ok(client_texts(&account, &chat.chat_id)
            .await?
            .contains(&"є питання".to_owned())
            .then_some(()))
    })
    .await?;
    assert_eq!(
        client_texts(&account, &chat.chat_id).await?,
        ["Добрий день", "є питання"]
    );
    assert_eq!(account.chats().await?.len(), 1);
    assert_eq!(account.cards(&chat.chat_id).await?.len(), 1);
    assert_eq!(account.chat_of(77).await?.unanswered, 2);
    let events = read_all(&world.nats.url(), Some(&account.slug)).await?;
    check_envelopes(&events)?;
    let count = |name: &str| events.iter().filter(|event| event.name() == name).count();
    assert_eq!(count("conversation.conversation.opened"), 1);
    assert_eq!(count("crm-cards.card.created"), 1);
    Ok(())
}

/// X02, X07: first messages at the same moment; numbers without gaps or doubles.
// pitfall 17: first messages at once make one conversation
#[tokio::test(flavor = "multi_thread")]
async fn x02_x07_two_first_messages_at_once_open_one_conversation_and_numbers_have_no_gaps()
-> anyhow::Result<()> {
    let world = World::start().await?;
    let account = world.account(Plan::default()).await?;
    let customers = 100..130_i64;
    // Telegram keeps messages of a chat in order; a button press comes by another queue, so both really meet.
    let update = |customer: i64, press: bool| {
        let from = json!({ "id": customer, "is_bot": false, "first_name": "Ігор" });
        let chat = json!({ "id": customer, "type": "private", "first_name": "Ігор" });
        if press {
            json!({ "callback_query": { "id": format!("press{customer}"), "from": from, "chat_instance": "1", "data": "go",
                "message": { "message_id": 1, "date": 1_790_764_900, "chat": chat, "text": "?" } } })
        } else {
            json!({ "message": { "message_id": 2, "date": 1_790_764_901, "from": from, "chat": chat, "text": "привіт" } })
        }
    };
    let both = customers
        .clone()
        .flat_map(|customer| [(customer, false), (customer, true)]);
    try_join_all(both.map(|(customer, press)| {
        world
            .telegram
            .deliver(&account.bot_token, update(customer, press), 1)
    }))
    .await?;
    let expected = customers.clone().count();
    let chats = eventually("all chats with both messages", async || {
        let chats = account.chats().await?;
        let whole = chats.len() == expected && chats.iter().all(|chat| chat.unanswered == 2);
        Ok(whole.then_some(chats))
    })
    .await?;
    let numbers: BTreeSet<i64> = chats
        .iter()
        .filter_map(|chat| Some(chat.open_conversation.as_ref()?.number))
        .collect();
    assert_eq!(numbers, (1..=i64::try_from(expected)?).collect());
    for chat in &chats {
        eventually("one card", async || {
            Ok((account.cards(&chat.chat_id).await?.len() == 1).then_some(()))
        })
        .await?;
    }
    let events = read_all(&world.nats.url(), Some(&account.slug)).await?;
    check_envelopes(&events)?;
    let opened = events
        .iter()
        .filter(|event| event.name() == "conversation.conversation.opened")
        .count();
    assert_eq!(opened, expected);
    Ok(())
}

/// X03: two answer at the same moment.
#[tokio::test(flavor = "multi_thread")]
async fn x03_of_agents_who_answer_at_once_one_becomes_responsible_and_the_others_are_told_who()
-> anyhow::Result<()> {
    let world = World::start().await?;
    let plan = Plan {
        agents: 4,
        distribution: Distribution::Off,
        ..Plan::default()
    };
    let account = world.account(plan).await?;
    for customer in 200..210 {
        world
            .telegram
            .say(&account.bot_token, customer, "хто тут?")
            .await?;
        let chat = account.chat_of(customer).await?;
        let answers = account.agents.iter().map(|agent| {
            let mut client = agent.clients.conversation.clone();
            let request = request(&chat.chat_id, &format!("я, {}", agent.id));
            async move { (agent.id, client.send_message(request).await) }
        });
        let answers = join_all(answers).await;
        let winners: Vec<_> = answers
            .iter()
            .filter(|(_, answer)| answer.is_ok())
            .map(|(id, _)| id.to_string())
            .collect();
        assert_eq!(winners.len(), 1, "{answers:?}");
        for (_, answer) in &answers {
            let Err(refused) = answer else { continue };
            let info = refused.get_details_error_info().expect("ErrorInfo");
            assert_eq!(
                (info.reason.as_str(), info.metadata.get("agent_id")),
                ("JOIN_REQUIRED", winners.first())
            );
        }
        eventually("the responsible", async || {
            let chat = account.chat_of(customer).await?;
            Ok((chat.responsible_agent_id == winners[0]).then_some(()))
        })
        .await?;
        let agents: Vec<_> = account
            .messages(&chat.chat_id)
            .await?
            .into_iter()
            .filter(|message| message.kind() == Kind::Agent)
            .collect();
        assert_eq!(agents.len(), 1);
    }
    Ok(())
}

/// B02: a request id makes sending idempotent.
#[tokio::test(flavor = "multi_thread")]
async fn b02_a_repeated_request_answers_the_first_result_and_sends_nothing_twice()
-> anyhow::Result<()> {
    let world = World::start().await?;
    let account = world
        .account(Plan {
            agents: 1,
            ..Plan::default()
        })
        .await?;
    world
        .telegram
        .say(&account.bot_token, 300, "привіт")
        .await?;
    let chat = account.chat_of(300).await?;
    let agent = &account.agents[0].clients.conversation;
    let asked = request(&chat.chat_id, "один раз");
    let answers = try_join_all((0..8).map(|_| {
        let (mut client, asked) = (agent.clone(), asked.clone());
        async move { client.send_message(asked).await }
    }))
    .await?;
    let ids: BTreeSet<_> = answers
        .into_iter()
        .filter_map(|answer| Some(answer.into_inner().message?.message_id))
        .collect();
    assert_eq!(ids.len(), 1);
    let other = SendMessageRequest {
        text: Some(Text {
            text: "інше".into(),
            entities: Vec::new(),
        }),
        ..asked
    };
    let refused = agent.clone().send_message(other).await.unwrap_err();
    assert_eq!(refused.code(), Code::AlreadyExists);
    assert_eq!(
        refused.get_details_error_info().expect("ErrorInfo").reason,
        "REQUEST_ID_REUSED"
    );
    // A second message stands behind the first: when it is out, a double of the first would be out too.
    agent
        .clone()
        .send_message(request(&chat.chat_id, "другий"))
        .await?;
    eventually("both at the provider", async || {
        let sent = world.telegram.sent(&account.bot_token);
        Ok((sent
            .iter()
            .filter(|call| call.method == "sendMessage")
            .count()
            >= 2)
            .then_some(()))
    })
    .await?;
    assert_eq!(
        world
            .telegram
            .sent(&account.bot_token)
            .iter()
            .filter(|call| call.method == "sendMessage")
            .count(),
        2
    );
    Ok(())
}

/// B03: a delivery state only moves forward, a failure says why, and a retry really sends.
#[tokio::test(flavor = "multi_thread")]
async fn b03_a_failed_delivery_says_why_and_a_retry_sends_as_a_new_attempt() -> anyhow::Result<()> {
    let world = World::start().await?;
    let account = world
        .account(Plan {
            agents: 1,
            ..Plan::default()
        })
        .await?;
    world
        .telegram
        .say(&account.bot_token, 400, "привіт")
        .await?;
    let chat = account.chat_of(400).await?;
    let agent = &account.agents[0].clients.conversation;
    world
        .telegram
        .fault(&account.bot_token, Fault::in_chat(400, FaultKind::Blocked))?;
    let message = agent
        .clone()
        .send_message(request(&chat.chat_id, "Ви тут?"))
        .await?
        .into_inner()
        .message
        .expect("a message");
    let state_of = async |wanted: State| {
        eventually(&format!("{wanted:?}"), async || {
            let messages = account.messages(&chat.chat_id).await?;
            let delivery = messages
                .into_iter()
                .find(|found| found.message_id == message.message_id)
                .and_then(|found| found.delivery);
            Ok(delivery.filter(|delivery| delivery.state() == wanted))
        })
        .await
    };
    let failed = state_of(State::Failed).await?;
    assert_eq!(failed.reason, "CLIENT_BLOCKED_CHANNEL");
    assert!(!failed.detail.is_empty());
    world.telegram.clear_faults(&account.bot_token);
    let retry = RetryMessageRequest {
        request_id: uuid::Uuid::new_v4().to_string(),
        chat_id: chat.chat_id.clone(),
        message_id: message.message_id.clone(),
    };
    agent.clone().retry_message(retry).await?;
    let sent = state_of(State::Sent).await?;
    assert_eq!(sent.attempt, 2);
    assert!(sent.out_seq > failed.out_seq);
    Ok(())
}
