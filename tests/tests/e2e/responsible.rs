//! Who answers for a chat, as agents see it through the services: unassigned, claimed, answered, handed over, coming back.

use anyhow::Context;
use switchboard_proto::assignment::v1::{
    AssignChatRequest, ChatOfferTaken, ChatUnassigned, ClaimChatRequest, Distribution,
    DistributionPolicy, ExplainAssignmentRequest, PartReason, Presence,
    SetDistributionPolicyRequest, SetPresenceRequest,
};
use switchboard_proto::common::v1::Text;
use switchboard_proto::conversation::v1::{
    Chat, CloseConversationRequest, ListChatsRequest, Message, SendMessageRequest, chat::State,
};
use switchboard_tests::events::{Event, read_all};
use switchboard_tests::world::{Account, Plan, StoryAgent, World, eventually, within};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use uuid::Uuid;

/// Chats of these stories wait for a hand unless a policy says otherwise.
fn by_hand() -> Plan {
    Plan {
        distribution: Distribution::Off,
        ..Plan::default()
    }
}

fn pair(account: &Account) -> anyhow::Result<(&StoryAgent, &StoryAgent)> {
    let [one, other] = account.agents.as_slice() else {
        anyhow::bail!("two agents");
    };
    Ok((one, other))
}

async fn policy(account: &Account, policy: DistributionPolicy) -> anyhow::Result<()> {
    let policy = DistributionPolicy {
        channel_id: account.channel_id.clone(),
        agent_ids: account.agents.iter().map(|a| a.id.to_string()).collect(),
        ..policy
    };
    let mut client = account.admin.assignment.clone();
    client
        .set_distribution_policy(SetDistributionPolicyRequest {
            policy: Some(policy),
        })
        .await?;
    Ok(())
}

async fn write(agent: &StoryAgent, chat: &Chat, text: &str) -> Result<Message, Status> {
    let send = SendMessageRequest {
        request_id: Uuid::new_v4().to_string(),
        chat_id: chat.chat_id.clone(),
        text: Some(Text {
            text: text.to_owned(),
            entities: Vec::new(),
        }),
        ..Default::default()
    };
    let answer = agent
        .clients
        .conversation
        .clone()
        .send_message(send)
        .await?;
    Ok(answer.into_inner().message.unwrap_or_default())
}

async fn list(agent: &StoryAgent, request: ListChatsRequest) -> anyhow::Result<Vec<String>> {
    let mut client = agent.clients.conversation.clone();
    let chats = client.list_chats(request).await?.into_inner().chats;
    Ok(chats.into_iter().map(|chat| chat.chat_id).collect())
}

/// The Active tab of an agent.
async fn mine(agent: &StoryAgent) -> anyhow::Result<Vec<String>> {
    let request = ListChatsRequest {
        mine: true,
        ..Default::default()
    };
    list(agent, request).await
}

async fn unassigned(agent: &StoryAgent) -> anyhow::Result<Vec<String>> {
    let request = ListChatsRequest {
        states: vec![State::Unassigned.into()],
        ..Default::default()
    };
    list(agent, request).await
}

/// Waits until a customer's chat has this responsible and is in this state.
async fn settled(
    account: &Account,
    customer: i64,
    responsible: Option<Uuid>,
    state: State,
) -> anyhow::Result<Chat> {
    let wanted = responsible.map(|id| id.to_string()).unwrap_or_default();
    let what = format!(
        "a chat {} with the responsible {wanted:?}",
        state.as_str_name()
    );
    eventually(&what, async || {
        let chat = account.chat_of(customer).await?;
        let fits = chat.responsible_agent_id == wanted && chat.state() == state;
        Ok(fits.then_some(chat))
    })
    .await
}

fn refusal(status: &Status) -> String {
    let info = status.get_details_error_info();
    info.map(|info| info.reason).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn f100_f123_f124_f102_f103_nobody_answers_at_first_and_a_hand_may_say_who_and_say_anew()
-> anyhow::Result<()> {
    let world = World::start().await?;
    let account = world.account(by_hand()).await?;
    let (one, other) = pair(&account)?;
    let customer = 7_001;
    world
        .telegram
        .say(&account.bot_token, customer, "Is anybody there?")
        .await?;
    let chat = settled(&account, customer, None, State::Unassigned).await?;
    // The card came without a responsible either (F027).
    let card = eventually("the card", async || {
        Ok(account.cards(&chat.chat_id).await?.pop())
    })
    .await?;
    assert_eq!(card.responsible_agent_id, "");
    for agent in [one, other] {
        assert_eq!(
            unassigned(agent).await?,
            std::slice::from_ref(&chat.chat_id)
        );
        assert!(mine(agent).await?.is_empty());
    }
    for agent in [one, other] {
        let assign = AssignChatRequest {
            chat_id: chat.chat_id.clone(),
            agent_id: agent.id.to_string(),
            ..Default::default()
        };
        account.admin.assignment.clone().assign_chat(assign).await?;
        settled(&account, customer, Some(agent.id), State::Active).await?;
    }
    assert!(unassigned(one).await?.is_empty());
    assert!(mine(one).await?.is_empty());
    assert_eq!(mine(other).await?, [chat.chat_id]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn f125_a_chat_is_claimed_before_assignment_has_heard_of_it() -> anyhow::Result<()> {
    let world = World::start().await?;
    let account = world.account(by_hand()).await?;
    let (one, other) = pair(&account)?;
    // The broker holds events back from assignment, as when it lags.
    let broker = async_nats::connect(world.nats.url()).await?;
    let held = async |until: OffsetDateTime| -> anyhow::Result<()> {
        let until = until.format(&Rfc3339)?;
        let pause = format!("{{\"pause_until\":\"{until}\"}}");
        let subject = "$JS.API.CONSUMER.PAUSE.EVENTS.assignment-events";
        let answer = broker.request(subject, pause.into()).await?;
        let answer = String::from_utf8_lossy(&answer.payload).into_owned();
        anyhow::ensure!(!answer.contains("\"error\""), "{answer}");
        Ok(())
    };
    held(OffsetDateTime::now_utc() + time::Duration::HOUR).await?;
    let customer = 7_012;
    world
        .telegram
        .say(&account.bot_token, customer, "Anybody there?")
        .await?;
    let chat = settled(&account, customer, None, State::Unassigned).await?;
    let claim = ClaimChatRequest {
        chat_id: chat.chat_id.clone(),
        ..Default::default()
    };
    one.clients
        .assignment
        .clone()
        .claim_chat(claim.clone())
        .await?;
    let late = other.clients.assignment.clone().claim_chat(claim).await;
    assert_eq!(refusal(&late.unwrap_err()), "CHAT_HAS_RESPONSIBLE");
    let chat = settled(&account, customer, Some(one.id), State::Active).await?;
    // What comes late changes nothing of it.
    held(OffsetDateTime::now_utc() - time::Duration::HOUR).await?;
    let knows = async || {
        let asked = ExplainAssignmentRequest {
            chat_id: chat.chat_id.clone(),
            ..Default::default()
        };
        let mut client = one.clients.assignment.clone();
        let choices = client.explain_assignment(asked).await?;
        let choices = choices.into_inner().choices;
        Ok((choices.len() == 1).then_some(choices))
    };
    let choices = eventually("one choice", knows).await?;
    assert_eq!(choices[0].agent_id, one.id.to_string());
    write(one, &chat, "I am").await?;
    settled(&account, customer, Some(one.id), State::Active).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn f125_f126_f127_f128_d18_writing_needs_a_claim_where_the_channel_wants_it()
-> anyhow::Result<()> {
    let world = World::start().await?;
    let account = world.account(by_hand()).await?;
    let (one, other) = pair(&account)?;
    let claims = DistributionPolicy {
        distribution: Distribution::Off.into(),
        claim_before_reply: true,
        ..Default::default()
    };
    policy(&account, claims).await?;
    let customer = 7_002;
    world
        .telegram
        .say(&account.bot_token, customer, "Who takes me?")
        .await?;
    let chat = settled(&account, customer, None, State::Unassigned).await?;
    let refused = write(one, &chat, "I do").await.unwrap_err();
    assert_eq!(
        (refused.code(), refusal(&refused).as_str()),
        (Code::FailedPrecondition, "CLAIM_REQUIRED")
    );
    let claim = ClaimChatRequest {
        chat_id: chat.chat_id.clone(),
        ..Default::default()
    };
    one.clients.assignment.clone().claim_chat(claim).await?;
    let chat = settled(&account, customer, Some(one.id), State::Active).await?;
    assert_eq!(mine(one).await?, std::slice::from_ref(&chat.chat_id));
    assert!(mine(other).await?.is_empty());
    write(one, &chat, "Now I do").await?;
    let refused = write(other, &chat, "Me too").await.unwrap_err();
    assert_eq!(refusal(&refused), "JOIN_REQUIRED");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn b05_d13_a_returning_client_finds_who_answered_before_if_they_are_there()
-> anyhow::Result<()> {
    let world = World::start().await?;
    let account = world.account(by_hand()).await?;
    let (one, other) = pair(&account)?;
    let customer = 7_003;
    let say = |text| world.telegram.say(&account.bot_token, customer, text);
    let close = |chat: &Chat| {
        let close = CloseConversationRequest {
            chat_id: chat.chat_id.clone(),
            ..Default::default()
        };
        let mut client = account.admin.conversation.clone();
        async move { client.close_conversation(close).await }
    };
    say("Good day").await?;
    let chat = settled(&account, customer, None, State::Unassigned).await?;
    // F101: the first answer makes the responsible.
    write(one, &chat, "Good day to you").await?;
    let chat = settled(&account, customer, Some(one.id), State::Active).await?;
    // By default a client who comes back is nobody's.
    close(&chat).await?;
    settled(&account, customer, Some(one.id), State::Inactive).await?;
    say("Me again").await?;
    settled(&account, customer, None, State::Unassigned).await?;
    let keeps = |distribution: Distribution| DistributionPolicy {
        distribution: distribution.into(),
        keep_previous: true,
        ..Default::default()
    };
    // Where the channel keeps who had the client before, it is they, without a hand.
    policy(&account, keeps(Distribution::Off)).await?;
    let chat = settled(&account, customer, Some(one.id), State::Active).await?;
    // If they are not there, distribution looks for somebody else.
    policy(&account, keeps(Distribution::LeastLoaded)).await?;
    close(&chat).await?;
    settled(&account, customer, Some(one.id), State::Inactive).await?;
    let away = SetPresenceRequest {
        presence: Presence::Offline.into(),
        ..Default::default()
    };
    one.clients.assignment.clone().set_presence(away).await?;
    say("And again").await?;
    settled(&account, customer, Some(other.id), State::Active).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn b04_what_is_offered_is_taken_by_writing_or_goes_to_somebody_else() -> anyhow::Result<()> {
    let world = World::start().await?;
    let account = world.account(by_hand()).await?;
    let (one, other) = pair(&account)?;
    let offers = DistributionPolicy {
        distribution: Distribution::RoundRobin.into(),
        offer_seconds: 10,
        ..Default::default()
    };
    policy(&account, offers).await?;
    let (first, second) = (7_004, 7_005);
    let mut offered = Vec::new();
    for customer in [first, second] {
        world
            .telegram
            .say(&account.bot_token, customer, "An offer for you")
            .await?;
        let chat = eventually("somebody is offered the chat", async || {
            let chat = account.chat_of(customer).await?;
            Ok((chat.state() == State::Active).then_some(chat))
        })
        .await?;
        offered.push(chat);
    }
    let [ours, left] = offered.as_slice() else {
        anyhow::bail!("two chats");
    };
    let (taker, passer) = if ours.responsible_agent_id == one.id.to_string() {
        (one, other)
    } else {
        (other, one)
    };
    assert_eq!(left.responsible_agent_id, passer.id.to_string(), "in turn");
    // The own copy of conversation names the responsible, and still assignment is asked, and hears of it.
    write(taker, ours, "I take it").await?;
    let events = async || read_all(&world.nats.url(), Some(&account.slug)).await;
    let taking = eventually("the offer is taken", async || {
        let events = events().await?;
        Ok(events.iter().find_map(Event::decode::<ChatOfferTaken>))
    })
    .await?;
    let taking = taking.assignment.context("an assignment")?;
    assert_eq!(
        (taking.chat_id, taking.agent_id),
        (ours.chat_id.clone(), taker.id.to_string())
    );
    // The other is not answered: it goes to the one who takes what they are offered, and the first one stays.
    within(
        std::time::Duration::from_secs(40),
        "the offer passes",
        async || {
            let chat = account.chat_of(second).await?;
            Ok((chat.responsible_agent_id == taker.id.to_string()).then_some(()))
        },
    )
    .await?;
    let stays = account.chat_of(first).await?;
    assert_eq!(stays.responsible_agent_id, taker.id.to_string());
    let gone: Vec<_> = events()
        .await?
        .iter()
        .filter_map(Event::decode::<ChatUnassigned>)
        .map(|event| (event.previous_agent_id.clone(), event.reason()))
        .collect();
    assert_eq!(gone, [(passer.id.to_string(), PartReason::OfferPassed)]);
    Ok(())
}
