//! Databases set back to an older moment, and brought forward by `scripts/recover`, as `deploy/RECOVERY.md` tells (O3.10).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use switchboard_proto::common::v1::Text;
use switchboard_proto::conversation::v1::chat_service_client::ChatServiceClient;
use switchboard_proto::conversation::v1::message_delivery::State as DeliveryState;
use switchboard_proto::conversation::v1::{
    AddNoteRequest, CloseConversationRequest, SendMessageRequest,
};
use switchboard_proto::crm_cards::v1::{MoveCardRequest, StatusKind};
use switchboard_tests::events::{check_envelopes, read_all};
use switchboard_tests::services::{Kind, binary};
use switchboard_tests::world::{Account, Plan, StoryAgent, World, eventually, text_of};
use tonic::transport::Endpoint;
use uuid::Uuid;

/// Customers: two who were there at the moment, one who came afterwards, and one who comes when all is over.
const FIRST: i64 = 771_001;
const SECOND: i64 = 771_002;
const LATER: i64 = 771_003;
const LAST: i64 = 771_004;

/// What somebody outside can see, and what must be as it was.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    /// Chats with their client, state, responsible, open conversation and number.
    chats: BTreeMap<String, (String, i32, String, String, i64)>,
    /// Messages with chat, conversation, kind, text and sequence.
    messages: BTreeMap<String, (String, String, i32, String, i64)>,
    /// Cards with chat, status, responsible and revision.
    cards: BTreeMap<String, (String, String, String, i64)>,
    /// Decisions by conversation, with rule and card.
    decisions: BTreeMap<String, (String, String)>,
}

async fn seen(account: &Account) -> anyhow::Result<Seen> {
    let mut seen = Seen {
        chats: BTreeMap::new(),
        messages: BTreeMap::new(),
        cards: BTreeMap::new(),
        decisions: BTreeMap::new(),
    };
    for chat in account.chats().await? {
        let id = chat.chat_id.clone();
        for message in account.messages(&id).await? {
            let text = text_of(&message);
            let of = (
                id.clone(),
                message.conversation_id,
                message.kind,
                text,
                message.sequence,
            );
            seen.messages.insert(message.message_id, of);
        }
        for card in account.cards(&id).await? {
            let status = card.status.unwrap_or_default().status_id;
            let of = (id.clone(), status, card.responsible_agent_id, card.revision);
            seen.cards.insert(card.card_id, of);
        }
        for decision in account.decisions(&id).await? {
            let of = (decision.rule, decision.card_id);
            seen.decisions.insert(decision.conversation_id, of);
        }
        let client = chat.client.unwrap_or_default().user_id;
        let open = chat.open_conversation.unwrap_or_default();
        let of = (
            client,
            chat.state,
            chat.responsible_agent_id,
            open.conversation_id,
            open.number,
        );
        seen.chats.insert(id, of);
    }
    Ok(seen)
}

/// Runs a step of the script for services, all where none is named.
async fn step(
    world: &World,
    step: &str,
    folder: &Path,
    services: &[Kind],
) -> anyhow::Result<String> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut command = tokio::process::Command::new(root.join("scripts/recover"));
    command.arg(step).arg(folder).stdin(Stdio::null());
    command.args(services.iter().map(|kind| kind.name()));
    let programs = binary("conversation")?;
    let programs = programs.parent().context("a folder of programs")?;
    let postgres =
        std::env::var("SWITCHBOARD_PG_BIN").unwrap_or_else(|_| "/usr/lib/postgresql/15/bin".into());
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{postgres}:{path}", programs.display()));
    for kind in Kind::ALL {
        let name = kind.name().to_uppercase().replace('-', "_");
        let variable = format!("SWITCHBOARD_{name}_DATABASE_URL");
        command.env(variable, world.system.database_url(kind)?);
    }
    let output = command
        .env("SWITCHBOARD_NATS_URL", world.nats.url())
        .output()
        .await?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.success(),
        "{step}: {said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    println!("{said}");
    Ok(said)
}

#[expect(clippy::unnecessary_wraps, reason = "as requests take it")]
fn text(text: &str) -> Option<Text> {
    Some(Text {
        text: text.to_owned(),
        entities: Vec::new(),
    })
}

/// A chat's responsible, once there is one.
async fn responsible(account: &Account, customer: i64) -> anyhow::Result<(String, StoryAgent)> {
    eventually("a responsible", async || {
        let chat = account.chat_of(customer).await?;
        let agent = account.agent(&chat.responsible_agent_id).ok();
        Ok(agent.map(|agent| (chat.chat_id, agent.clone())))
    })
    .await
}

/// The responsible of a customer's chat answers; returns the message.
async fn answer(account: &Account, customer: i64, words: &str) -> anyhow::Result<String> {
    let (chat_id, agent) = responsible(account, customer).await?;
    let request = SendMessageRequest {
        request_id: Uuid::new_v4().to_string(),
        chat_id,
        text: text(words),
        ..Default::default()
    };
    let sent = agent
        .clients
        .conversation
        .clone()
        .send_message(request)
        .await?;
    let message = sent.into_inner().message.context("a message")?;
    Ok(message.message_id)
}

async fn delivery(
    account: &Account,
    customer: i64,
    message: &str,
) -> anyhow::Result<Option<DeliveryState>> {
    let chat = account.chat_of(customer).await?;
    let messages = account.messages(&chat.chat_id).await?;
    let message = messages.into_iter().find(|one| one.message_id == message);
    Ok(message
        .and_then(|one| one.delivery)
        .map(|delivery| delivery.state()))
}

async fn delivered(
    account: &Account,
    customer: i64,
    message: &str,
    state: DeliveryState,
) -> anyhow::Result<()> {
    eventually(&format!("{state:?}"), async || {
        let found = delivery(account, customer, message).await?;
        Ok((found == Some(state)).then_some(()))
    })
    .await
}

async fn say(world: &World, account: &Account, customer: i64, words: &str) -> anyhow::Result<()> {
    let said = world
        .telegram
        .say(&account.bot_token, customer, words)
        .await?;
    ensure!(said.statuses == [200], "{said:?}");
    eventually("the message", async || {
        let chat = account.chat_of(customer).await?;
        let messages = account.messages(&chat.chat_id).await?;
        Ok(messages
            .iter()
            .any(|one| text_of(one) == words)
            .then_some(()))
    })
    .await
}

/// What was sent to customers, in the order of the provider.
fn provided(world: &World, account: &Account) -> Vec<String> {
    let sent = world.telegram.sent(&account.bot_token).into_iter();
    let messages = sent.filter(|call| call.method == "sendMessage");
    messages
        .map(|call| call.params["text"].to_string())
        .collect()
}

/// What happens after the moment; returns the answer that no provider has.
async fn afterwards(world: &mut World, account: &Account) -> anyhow::Result<String> {
    // A customer goes on, is answered, buys; the chat is closed and opened again by the next message, with a second card.
    say(world, account, FIRST, "А 43 є?").await?;
    let sent = answer(account, FIRST, "Є і 43").await?;
    delivered(account, FIRST, &sent, DeliveryState::Sent).await?;
    let (chat_id, agent) = responsible(account, FIRST).await?;
    let channel = Endpoint::from_shared(world.system.grpc_url(Kind::Conversation)?)?.connect_lazy();
    let token = world
        .system
        .tokens()
        .agent(&account.slug, agent.id, "chats:*");
    let bearer = switchboard_tests::world::Bearer::new(&token)?;
    let note = AddNoteRequest {
        chat_id: chat_id.clone(),
        text: text("Платить готівкою"),
        ..Default::default()
    };
    ChatServiceClient::with_interceptor(channel, bearer)
        .add_note(note)
        .await?;
    let won = account
        .pipeline
        .statuses
        .iter()
        .find(|one| one.kind() == StatusKind::Successful);
    let card = account.cards(&chat_id).await?.pop().context("a card")?;
    let moved = MoveCardRequest {
        card_id: card.card_id,
        status_id: won.context("won")?.status_id.clone(),
        ..Default::default()
    };
    agent.clients.crm.clone().move_card(moved).await?;
    let close = CloseConversationRequest {
        chat_id: chat_id.clone(),
        ..Default::default()
    };
    agent
        .clients
        .conversation
        .clone()
        .close_conversation(close)
        .await?;
    say(world, account, FIRST, "Ще одне питання").await?;
    eventually("a second card", async || {
        Ok((account.cards(&chat_id).await?.len() == 2).then_some(()))
    })
    .await?;
    // Somebody new comes and is answered.
    say(world, account, LATER, "Добрий вечір").await?;
    let sent = answer(account, LATER, "Вітаю").await?;
    delivered(account, LATER, &sent, DeliveryState::Sent).await?;
    eventually("a card of who is new", async || {
        let chat = account.chat_of(LATER).await?;
        let cards = account.cards(&chat.chat_id).await?;
        let same = cards
            .iter()
            .any(|card| card.responsible_agent_id == chat.responsible_agent_id);
        Ok((same && !chat.responsible_agent_id.is_empty()).then_some(()))
    })
    .await?;
    // An answer that the gateway never heard of.
    world.system.kill(Kind::ChannelGateway)?;
    let lost = answer(account, SECOND, "Чи дійшло?").await?;
    quiet(world, account).await?;
    Ok(lost)
}

/// Waits until nothing is told any more.
async fn quiet(world: &World, account: &Account) -> anyhow::Result<()> {
    let mut before = 0;
    eventually("quiet", async || {
        let now = read_all(&world.nats.url(), Some(&account.slug))
            .await?
            .len();
        let same = std::mem::replace(&mut before, now) == now;
        if !same {
            // Between two looks at the same condition.
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        }
        Ok(same.then_some(()))
    })
    .await
}

/// A world with an account and what was there at the moment, which is kept in a folder.
async fn at_the_moment() -> anyhow::Result<(World, Account, tempfile::TempDir)> {
    let world = World::start().await?;
    let account = world.account(Plan::default()).await?;
    say(&world, &account, FIRST, "Добрий день, чи є 42?").await?;
    say(&world, &account, SECOND, "Скільки коштує?").await?;
    let sent = answer(&account, FIRST, "Є").await?;
    delivered(&account, FIRST, &sent, DeliveryState::Sent).await?;
    responsible(&account, SECOND).await?;
    quiet(&world, &account).await?;
    let folder = tempfile::tempdir()?;
    step(&world, "backup", folder.path(), &[]).await?;
    Ok((world, account, folder))
}

/// What is so after a recovery, whichever databases were set back.
async fn go_on(
    world: &World,
    account: &Account,
    before: &Seen,
    provided_before: &[String],
) -> anyhow::Result<()> {
    // What comes now goes on where it was: no gap, no repeat, no second card, and the next number.
    say(world, account, FIRST, "Дякую").await?;
    let sent = answer(account, FIRST, "Прошу").await?;
    delivered(account, FIRST, &sent, DeliveryState::Sent).await?;
    let sent = answer(account, SECOND, "Перепрошую за мовчання").await?;
    delivered(account, SECOND, &sent, DeliveryState::Sent).await?;
    say(world, account, LAST, "Я новий").await?;
    responsible(account, LAST).await?;
    quiet(world, account).await?;
    let after = seen(account).await?;
    let new: BTreeSet<&String> = after
        .cards
        .keys()
        .filter(|id| !before.cards.contains_key(*id))
        .collect();
    ensure!(new.len() == 1, "one card for who is new: {new:?}");
    let chat = account.chat_of(LAST).await?;
    let highest = before
        .chats
        .values()
        .map(|chat| chat.4)
        .max()
        .unwrap_or_default();
    let number = chat.open_conversation.unwrap_or_default().number;
    ensure!(number == highest + 1, "{number} after {highest}");
    let mut expected = provided_before.to_vec();
    expected.extend([
        "\"Прошу\"".to_owned(),
        "\"Перепрошую за мовчання\"".to_owned(),
    ]);
    ensure!(
        provided(world, account) == expected,
        "{:?}",
        provided(world, account)
    );
    // Events before and after are one sequence to whoever reads them.
    let events = read_all(&world.nats.url(), None).await?;
    check_envelopes(&events)?;
    Ok(())
}

/// Waits until all is as it was.
async fn as_it_was(account: &Account, before: &Seen) -> anyhow::Result<()> {
    let mut last = None;
    let equal = eventually("what was there", async || {
        let now = seen(account).await?;
        let equal = now == *before;
        last = Some(now);
        Ok(equal.then_some(()))
    })
    .await;
    if equal.is_err() {
        assert_eq!(last.as_ref(), Some(before));
    }
    equal
}

/// O3.10: all four databases are set back; customers' messages are there once under their old ids, nothing is doubled, nothing goes
/// out twice, and what nobody can tell of is uncertain.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o3_10_all_databases_are_set_back_and_brought_forward() -> anyhow::Result<()> {
    let (mut world, account, folder) = at_the_moment().await?;
    let lost = afterwards(&mut world, &account).await?;
    let before = seen(&account).await?;
    let provided_before = provided(&world, &account);
    let refused = step(&world, "forward", folder.path(), &[Kind::CrmCards]).await;
    let refused = format!("{:#}", refused.err().context("it runs still")?);
    ensure!(refused.contains("crm-cards still runs"), "{refused}");
    for kind in Kind::ALL {
        world.system.kill(kind)?;
    }
    step(&world, "restore", folder.path(), &[]).await?;
    step(&world, "forward", folder.path(), &[]).await?;
    // Made twice it changes nothing.
    step(&world, "forward", folder.path(), &[]).await?;
    for kind in Kind::ALL {
        world.system.launch(kind)?;
    }
    for kind in Kind::ALL {
        world.system.wait_ready(kind).await?;
    }
    delivered(&account, SECOND, &lost, DeliveryState::Uncertain).await?;
    quiet(&world, &account).await?;
    as_it_was(&account, &before).await?;
    step(&world, "check", folder.path(), &[]).await?;
    ensure!(
        provided(&world, &account) == provided_before,
        "nothing goes out twice"
    );
    let listed = std::fs::read_to_string(folder.path().join("conversation.ndjson"))?;
    let acts = listed.lines().filter(|line| line.contains("\"agent:"));
    ensure!(acts.count() >= 4, "what agents did is listed: {listed}");
    go_on(&world, &account, &before, &provided_before).await
}

/// O3.10: one database alone is set back; the others know more than it did.
async fn alone(kind: Kind) -> anyhow::Result<()> {
    let (mut world, account, folder) = at_the_moment().await?;
    let lost = afterwards(&mut world, &account).await?;
    let before = seen(&account).await?;
    let provided_before = provided(&world, &account);
    if kind != Kind::ChannelGateway {
        // It hears of the answer that was queued while it was away, and has it delivered.
        world.system.restart(Kind::ChannelGateway).await?;
        delivered(&account, SECOND, &lost, DeliveryState::Sent).await?;
        quiet(&world, &account).await?;
    }
    let mut sent_before = provided(&world, &account);
    world.system.kill(kind)?;
    step(&world, "restore", folder.path(), &[kind]).await?;
    step(&world, "forward", folder.path(), &[kind]).await?;
    world.system.launch(kind)?;
    world.system.wait_ready(kind).await?;
    let state = if kind == Kind::ChannelGateway {
        sent_before = provided_before;
        DeliveryState::Uncertain
    } else {
        DeliveryState::Sent
    };
    delivered(&account, SECOND, &lost, state).await?;
    quiet(&world, &account).await?;
    as_it_was(&account, &before).await?;
    step(&world, "check", folder.path(), &[kind]).await?;
    go_on(&world, &account, &before, &sent_before).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o3_10_conversations_database_alone_is_set_back() -> anyhow::Result<()> {
    alone(Kind::Conversation).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o3_10_the_gateways_database_alone_is_set_back() -> anyhow::Result<()> {
    alone(Kind::ChannelGateway).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o3_10_crms_database_alone_is_set_back() -> anyhow::Result<()> {
    alone(Kind::CrmCards).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o3_10_assignments_database_alone_is_set_back() -> anyhow::Result<()> {
    alone(Kind::Assignment).await
}
