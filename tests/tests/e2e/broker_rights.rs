//! The broker as it is shipped: each service has a user of its own, and what it needs is all it may.

use std::time::Duration;

use anyhow::Context;
use async_nats::jetstream::stream::RawMessageErrorKind;
use async_nats::jetstream::{self, consumer::PullConsumer, consumer::pull};
use futures::StreamExt as _;
use switchboard_proto::common::v1::Text;
use switchboard_proto::conversation::v1::{MessageDelivery, SendMessageRequest, message_delivery};
use switchboard_tests::command::{json, run};
use switchboard_tests::servers::NatsServer;
use switchboard_tests::world::{Plan, World, WorldOptions, eventually};
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread")]
async fn services_work_with_the_users_and_rights_of_the_shipped_broker() -> anyhow::Result<()> {
    let options = WorldOptions {
        shipped_broker: true,
        ..WorldOptions::default()
    };
    let world = World::start_with(options).await?;
    let account = world.account(Plan::default()).await?;
    let customer = 5_540_012_874;
    world
        .telegram
        .say(&account.bot_token, customer, "Anybody there?")
        .await?;
    // From the webhook to the card and to an agent: every stream and consumer.
    let chat = eventually("a responsible", async || {
        let chat = account.chat_of(customer).await?;
        Ok((!chat.responsible_agent_id.is_empty()).then_some(chat))
    })
    .await?;
    eventually("the card", async || {
        Ok(account.cards(&chat.chat_id).await?.pop())
    })
    .await?;
    let who = account
        .agents
        .iter()
        .find(|agent| agent.id.to_string() == chat.responsible_agent_id);
    let agent = who.context("an agent of the account")?;
    let send = SendMessageRequest {
        request_id: Uuid::new_v4().to_string(),
        chat_id: chat.chat_id.clone(),
        text: Some(Text {
            text: "Here I am".to_owned(),
            entities: Vec::new(),
        }),
        ..Default::default()
    };
    let mut client = agent.clients.conversation.clone();
    client.send_message(send).await?;
    eventually("the answer is sent", async || {
        let messages = account.messages(&chat.chat_id).await?;
        let answer = messages.into_iter().find(|message| {
            let state = message.delivery.as_ref().map(MessageDelivery::state);
            state == Some(message_delivery::State::Sent)
        });
        Ok(answer)
    })
    .await?;
    assert!(
        conversation_sees_what_is_left(&world).await? > 0,
        "the customer's words"
    );
    operator_is_told_of_every_stream_and_consumer(&world).await?;
    every_service_sees_how_old_what_waits_is(&world).await?;
    let log = world.nats.log()?;
    let refused: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("iolation"))
        .collect();
    assert!(refused.is_empty(), "{refused:?}");

    // Another service's inbox, its consumers and its subjects are closed.
    let events = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let heard = std::sync::Arc::clone(&events);
    let intruder = async_nats::ConnectOptions::new()
        .user_and_password("crm-cards".to_owned(), NatsServer::PASSWORD.to_owned())
        .event_callback(move |event| {
            let heard = std::sync::Arc::clone(&heard);
            async move {
                if let Ok(mut heard) = heard.lock() {
                    heard.push(event.to_string().to_lowercase());
                }
            }
        })
        .connect(world.nats.url())
        .await?;
    let _inbox = intruder.subscribe("_INBOX_conversation.>").await?;
    intruder
        .publish("switchboard.v1.acme.assignment.chat.assigned", "x".into())
        .await?;
    intruder
        .publish(
            "$JS.API.CONSUMER.MSG.NEXT.EVENTS.assignment-events",
            "1".into(),
        )
        .await?;
    intruder.flush().await?;
    eventually("three refusals", async || {
        let heard = events.lock().map_err(|_| anyhow::anyhow!("poisoned"))?;
        let refused = heard
            .iter()
            .filter(|event| event.contains("permissions violation"));
        Ok((refused.count() >= 3).then_some(()))
    })
    .await?;

    integrator_reads_what_an_operator_lets_him(&world, &account.slug).await
}

/// What `status` and `doctor` have the services ask the broker.
async fn operator_is_told_of_every_stream_and_consumer(world: &World) -> anyhow::Result<()> {
    let token = world.system.tokens().operator();
    let told = json(world, &token, &["status"]).await?;
    for service in told["services"].as_array().into_iter().flatten() {
        assert_eq!(service["unavailable"], serde_json::json!([]), "{service}");
        assert_eq!(service["deadLetters"], "0", "{service}");
    }
    let told = run(world, &token, &["doctor"]).await?;
    let text = String::from_utf8(told.stdout)?;
    assert!(
        text.contains("the broker answers for every consumer"),
        "{text}"
    );
    assert!(!text.contains("fail "), "{text}");
    Ok(())
}

/// The broker as a service of that name has it.
async fn broker_of(world: &World, service: &str) -> anyhow::Result<jetstream::Context> {
    let client = async_nats::ConnectOptions::new()
        .user_and_password(service.to_owned(), NatsServer::PASSWORD.to_owned())
        .custom_inbox_prefix(format!("_INBOX_{service}"))
        .request_timeout(Some(Duration::from_secs(2)))
        .connect(world.nats.url())
        .await?;
    Ok(jetstream::new(client))
}

/// What each service asks when events wait for it: how old the oldest is (O2.8).
async fn every_service_sees_how_old_what_waits_is(world: &World) -> anyhow::Result<()> {
    for (service, consumer) in [
        ("channel-gateway", "channel-gateway-events"),
        ("conversation", "conversation-events"),
        ("crm-cards", "crm-cards-events"),
        ("assignment", "assignment-events"),
    ] {
        let events = broker_of(world, service)
            .await?
            .get_stream_no_info("EVENTS")
            .await?;
        let asked = events.consumer_info(consumer).await;
        asked.with_context(|| format!("{service} looks at its consumer"))?;
        let oldest = events
            .get_first_raw_message_by_subject("switchboard.v1.*.conversation.>", 1)
            .await;
        oldest.with_context(|| format!("{service} looks for the oldest event"))?;
    }
    Ok(())
}

/// What conversation asks the broker before a bot lets a customer run out of time; returns in how many shards something is.
async fn conversation_sees_what_is_left(world: &World) -> anyhow::Result<usize> {
    let conversation = broker_of(world, "conversation").await?;
    let mut found = 0;
    for shard in 0..2 {
        let Ok(stream) = conversation.get_stream(format!("INBOUND_{shard}")).await else {
            continue;
        };
        stream.consumer_info("conversation-inbound").await?;
        let subject = format!("switchboard.inbound.{shard}");
        match stream.get_first_raw_message_by_subject(&subject, 1).await {
            Ok(_) => found += 1,
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found)
}

/// An operator makes a consumer for one account; the integrator reads by it, and by no other.
async fn integrator_reads_what_an_operator_lets_him(
    world: &World,
    account: &str,
) -> anyhow::Result<()> {
    let operator = async_nats::connect_with_options(
        world.nats.url(),
        async_nats::ConnectOptions::new()
            .user_and_password("operator".to_owned(), NatsServer::PASSWORD.to_owned()),
    )
    .await?;
    let events = jetstream::new(operator).get_stream("EVENTS").await?;
    let filtered = pull::Config {
        durable_name: Some("integrator".to_owned()),
        filter_subject: format!("switchboard.v1.{account}.>"),
        ..pull::Config::default()
    };
    events.create_consumer(filtered).await?;

    let integrator = async_nats::ConnectOptions::new()
        .user_and_password("integrator".to_owned(), NatsServer::PASSWORD.to_owned())
        .custom_inbox_prefix("_INBOX_integrator")
        .request_timeout(Some(Duration::from_secs(2)))
        .connect(world.nats.url())
        .await?;
    let integrator = jetstream::new(integrator);
    let own: PullConsumer = integrator
        .get_consumer_from_stream("integrator", "EVENTS")
        .await?;
    let mut batch = own.fetch().max_messages(3).messages().await?;
    let mut read = 0;
    while let Some(message) = batch.next().await {
        let message = message.map_err(|error| anyhow::anyhow!(error))?;
        message
            .double_ack()
            .await
            .map_err(|error| anyhow::anyhow!(error))?;
        read += 1;
    }
    assert_eq!(read, 3);
    let others: Result<PullConsumer, _> = integrator
        .get_consumer_from_stream("crm-cards-events", "EVENTS")
        .await;
    assert!(others.is_err(), "another's consumer is closed");
    Ok(())
}
