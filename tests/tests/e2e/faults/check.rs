//! Compares what went in with what is stored, published and sent.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, ensure};
use switchboard_proto::conversation::v1::{
    ListConversationsRequest, Message, MessageDelivery, MessageStored, message::Kind,
    message_delivery::State,
};
use switchboard_proto::crm_cards::v1::decision::Outcome;
use switchboard_proto::operator::v1::ListDeadLettersRequest;
use switchboard_proto::operator::v1::operator_service_client::OperatorServiceClient;
use switchboard_tests::events::{Event, check_envelopes, read_all};
use switchboard_tests::services;
use switchboard_tests::world::{Account, Bearer, World, text_of, within};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Endpoint;

use super::drive::{Answered, SentByCustomers};

/// How long the system may take to catch up after the last kill.
const CATCH_UP: Duration = Duration::from_secs(90);

/// What the system says it holds.
struct Stored {
    client: Vec<(String, String)>,
    agent: BTreeMap<String, Message>,
    conversations: BTreeMap<String, i64>,
    decisions: Vec<(String, bool)>,
    cards: usize,
}

/// Checks everything; an error says what does not fit.
pub async fn everything(
    world: &World,
    account: &Account,
    sent: &SentByCustomers,
    answered: &Answered,
) -> anyhow::Result<()> {
    let stored = within(CATCH_UP, "a settled system", async || {
        settled(account, sent, answered).await
    })
    .await?;
    check_client_messages(sent, &stored)?;
    check_conversations(&stored)?;
    check_sent(world, account, answered, &stored)?;
    let events = within(CATCH_UP, "all events", async || {
        let events = read_all(&world.nats.url(), Some(&account.slug)).await?;
        let count = |name: &str| events.iter().filter(|event| event.name() == name).count();
        let all = count("crm-cards.connection.decided") >= stored.conversations.len()
            && client_texts(&events).len() >= sent.texts.len();
        Ok(all.then_some(events))
    })
    .await?;
    check_events(&events, sent, &stored)?;
    check_no_dead_letters(world).await?;
    println!(
        "checked: {} client messages, {} conversations, {} cards, {} answers, {} events",
        stored.client.len(),
        stored.conversations.len(),
        stored.cards,
        stored.agent.len(),
        events.len()
    );
    Ok(())
}

/// Reads everything when nothing is under way any more.
async fn settled(
    account: &Account,
    sent: &SentByCustomers,
    answered: &Answered,
) -> anyhow::Result<Option<Stored>> {
    let mut stored = Stored {
        client: Vec::new(),
        agent: BTreeMap::new(),
        conversations: BTreeMap::new(),
        decisions: Vec::new(),
        cards: 0,
    };
    let chats = account.chats().await?;
    for chat in &chats {
        for message in account.messages(&chat.chat_id).await? {
            match message.kind() {
                Kind::Client => stored.client.push((
                    text_of(&message),
                    chat.client.clone().unwrap_or_default().user_id,
                )),
                Kind::Agent => drop(stored.agent.insert(message.message_id.clone(), message)),
                _ => {}
            }
        }
        let request = ListConversationsRequest {
            chat_id: chat.chat_id.clone(),
            page_size: 200,
            ..Default::default()
        };
        let page = account
            .admin
            .conversation
            .clone()
            .list_conversations(request)
            .await?
            .into_inner();
        stored.conversations.extend(
            page.conversations
                .into_iter()
                .map(|found| (found.conversation_id, found.number)),
        );
        let decisions = account.decisions(&chat.chat_id).await?;
        stored.decisions.extend(decisions.into_iter().map(|made| {
            (
                made.conversation_id.clone(),
                made.outcome() == Outcome::Created,
            )
        }));
        stored.cards += account.cards(&chat.chat_id).await?.len();
    }
    let final_state = |message: &Message| {
        let state = message.delivery.as_ref().map(MessageDelivery::state);
        matches!(state, Some(State::Sent | State::Failed | State::Uncertain))
    };
    let answers: usize = answered.messages.values().map(Vec::len).sum();
    let under_way: Vec<_> = stored
        .agent
        .values()
        .filter(|message| !final_state(message))
        .map(|message| {
            (
                text_of(message),
                message.chat_id.clone(),
                message.delivery.clone(),
            )
        })
        .collect();
    ensure!(
        stored.client.len() >= sent.texts.len()
            && stored.agent.len() >= answers
            && under_way.is_empty()
            && stored.decisions.len() >= stored.conversations.len(),
        "{} of {} client messages, {} of {answers} answers, {} of {} decisions, under way: {under_way:?}",
        stored.client.len(),
        sent.texts.len(),
        stored.agent.len(),
        stored.decisions.len(),
        stored.conversations.len()
    );
    Ok(Some(stored))
}

fn check_client_messages(sent: &SentByCustomers, stored: &Stored) -> anyhow::Result<()> {
    let mut seen = BTreeSet::new();
    for (text, customer) in &stored.client {
        let expected = sent
            .texts
            .get(text)
            .with_context(|| format!("{text} was stored and never sent"))?;
        ensure!(
            expected.to_string() == *customer,
            "{text} is in the chat of {customer}"
        );
        ensure!(seen.insert(text), "{text} is stored twice");
    }
    ensure!(
        seen.len() == sent.texts.len(),
        "{} of {} messages are stored",
        seen.len(),
        sent.texts.len()
    );
    Ok(())
}

fn check_conversations(stored: &Stored) -> anyhow::Result<()> {
    let numbers: BTreeSet<i64> = stored.conversations.values().copied().collect();
    let expected: BTreeSet<i64> = (1..=i64::try_from(stored.conversations.len())?).collect();
    ensure!(
        numbers == expected,
        "conversation numbers have gaps or doubles"
    );
    let decided: BTreeSet<&String> = stored.decisions.iter().map(|(id, _)| id).collect();
    ensure!(
        decided.len() == stored.decisions.len(),
        "a conversation was decided twice"
    );
    ensure!(
        decided == stored.conversations.keys().collect(),
        "each conversation has its decision"
    );
    let created = stored
        .decisions
        .iter()
        .filter(|(_, created)| *created)
        .count();
    ensure!(
        created == stored.cards,
        "{created} decisions made a card, {} cards are there",
        stored.cards
    );
    Ok(())
}

/// Each answer was sent once, in the order of its chat; only an uncertain one may be missing at the provider.
fn check_sent(
    world: &World,
    account: &Account,
    answered: &Answered,
    stored: &Stored,
) -> anyhow::Result<()> {
    let calls = world.telegram.sent(&account.bot_token);
    let mut at: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, call) in calls
        .iter()
        .filter(|call| call.method == "sendMessage")
        .enumerate()
    {
        let text = call
            .params
            .get("text")
            .and_then(|text| text.as_str())
            .context("a text")?;
        ensure!(at.insert(text, index).is_none(), "{text} was sent twice");
    }
    let mut uncertain = 0;
    for (chat, messages) in &answered.messages {
        let mut last = None;
        for (id, text) in messages {
            let message = stored
                .agent
                .get(id)
                .with_context(|| format!("{text} of chat {chat} is not stored"))?;
            let state = message.delivery.as_ref().map(MessageDelivery::state);
            let position = at.get(text.as_str()).copied();
            match state {
                Some(State::Uncertain) => uncertain += 1,
                Some(State::Sent) => {
                    ensure!(position.is_some(), "{text} is called sent and was not");
                }
                other => anyhow::bail!("{text} is {other:?}: {:?}", message.delivery),
            }
            if position.is_some() {
                ensure!(
                    last < position,
                    "{text} of chat {chat} overtook the answer before"
                );
                last = position;
            }
        }
    }
    let known: BTreeSet<String> = stored.agent.values().map(text_of).collect();
    ensure!(
        at.keys().all(|text| known.contains(*text)),
        "something was sent that is not stored"
    );
    println!("{} answers sent, {uncertain} uncertain", at.len());
    Ok(())
}

fn client_texts(events: &[Event]) -> Vec<String> {
    let messages = events
        .iter()
        .filter_map(|event| event.decode::<MessageStored>()?.message);
    messages
        .filter(|message| message.kind() == Kind::Client)
        .map(|message| text_of(&message))
        .collect()
}

fn check_events(events: &[Event], sent: &SentByCustomers, stored: &Stored) -> anyhow::Result<()> {
    check_envelopes(events)?;
    let texts = client_texts(events);
    let distinct: BTreeSet<&String> = texts.iter().collect();
    ensure!(
        distinct.len() == texts.len(),
        "message.stored was published twice for a message"
    );
    ensure!(
        distinct == sent.texts.keys().collect(),
        "message.stored is missing for a message"
    );
    for (name, expected) in [
        (
            "conversation.conversation.opened",
            stored.conversations.len(),
        ),
        ("crm-cards.connection.decided", stored.conversations.len()),
        ("crm-cards.card.created", stored.cards),
    ] {
        let count = events.iter().filter(|event| event.name() == name).count();
        ensure!(
            count == expected,
            "{name}: {count} events, {expected} expected"
        );
    }
    Ok(())
}

async fn check_no_dead_letters(world: &World) -> anyhow::Result<()> {
    for kind in services::Kind::ALL {
        let channel = Endpoint::from_shared(world.system.grpc_url(kind)?)?
            .connect()
            .await?;
        let bearer = Bearer::new(&world.system.tokens().operator())?;
        let mut operator = OperatorServiceClient::new(InterceptedService::new(channel, bearer));
        let letters = operator
            .list_dead_letters(ListDeadLettersRequest::default())
            .await?
            .into_inner()
            .dead_letters;
        ensure!(letters.is_empty(), "{} gave up on {letters:?}", kind.name());
    }
    Ok(())
}
