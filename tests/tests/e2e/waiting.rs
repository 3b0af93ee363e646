//! Clients who wait: greeted by itself, told of when it takes too long, by the hours that there are (F211, B15, B16); and
//! what agents change of what they said.

use serde_json::json;
use switchboard_proto::conversation::v1::{Message, ResponseTimeExceeded, message::Kind};
use switchboard_tests::events::{Event, read_all};
use switchboard_tests::rpc::Rpc;
use switchboard_tests::world::{Account, Bearer, Plan, World, eventually, text_of};

const SET_RULE: &str = "conversation.v1.ChannelRuleService/SetChannelRule";
const SET_HOURS: &str = "assignment.v1.CalendarService/SetCalendar";
const CHATS: &str = "conversation.v1.ChatService";

/// Texts that the Bot API was given for a customer.
fn sent_to(world: &World, account: &Account, customer: i64) -> Vec<String> {
    let calls = world.telegram.sent(&account.bot_token).into_iter();
    calls
        .filter(|call| call.method == "sendMessage" && call.chat_id == customer)
        .map(|call| call.params["text"].as_str().unwrap_or_default().to_owned())
        .collect()
}

async fn exceeded(world: &World, account: &Account) -> anyhow::Result<Vec<ResponseTimeExceeded>> {
    let events = read_all(&world.nats.url(), Some(&account.slug)).await?;
    Ok(events.iter().filter_map(Event::decode).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn f211_b15_a_client_is_greeted_and_who_lets_them_wait_is_told_of() -> anyhow::Result<()> {
    let world = World::start().await?;
    let rpc = Rpc::of(&world)?;
    let account = world.account(Plan::default()).await?;
    let tokens = world.system.tokens();
    let admin = Bearer::new(&tokens.service(&account.slug, "shop", "channels:* chats:* agents:*"))?;
    let rule = json!({ "rule": {
        "channel_id": account.channel_id, "first_response_seconds": 1,
        "greeting": "Welcome!", "off_hours_reply": "We are back at nine.",
    } });
    rpc.call(SET_RULE, &admin, &rule).await?;

    let customer = 5_540_012_811;
    world
        .telegram
        .say(&account.bot_token, customer, "hello")
        .await?;
    eventually("the greeting", async || {
        Ok((sent_to(&world, &account, customer) == ["Welcome!"]).then_some(()))
    })
    .await?;
    let told = eventually("the wait", async || {
        Ok(exceeded(&world, &account).await?.pop())
    })
    .await?;
    let chat = account.chat_of(customer).await?;
    assert_eq!(
        (&told.chat_id, told.first, told.limit_seconds),
        (&chat.chat_id, true, 1)
    );
    assert_eq!(chat.unanswered, 1, "a greeting answers nobody (D08)");
    let kinds: Vec<Kind> = account
        .messages(&chat.chat_id)
        .await?
        .iter()
        .map(Message::kind)
        .collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == Kind::Bot).count(), 1);

    // Closed on all days: another reply, and the clock stands.
    let hours = json!({ "calendar": { "owner": { "account": true }, "time_zone": "Europe/Kyiv" } });
    rpc.call(SET_HOURS, &admin, &hours).await?;
    let night = 5_540_012_812;
    eventually("the closed door", async || {
        // The calendar comes by an event: who writes before that is greeted by day.
        let customer = night + i64::try_from(sent_count(&world, &account))?;
        world
            .telegram
            .say(&account.bot_token, customer, "anybody?")
            .await?;
        let words = eventually("an answer", async || {
            Ok(sent_to(&world, &account, customer).pop())
        })
        .await?;
        Ok((words == "We are back at nine.").then_some(()))
    })
    .await?;
    Ok(())
}

fn sent_count(world: &World, account: &Account) -> usize {
    world.telegram.sent(&account.bot_token).len()
}

#[tokio::test(flavor = "multi_thread")]
async fn b03_agents_edit_take_back_and_react_at_the_provider() -> anyhow::Result<()> {
    let world = World::start().await?;
    let rpc = Rpc::of(&world)?;
    let account = world.account(Plan::default()).await?;
    let customer = 5_540_012_821;
    world
        .telegram
        .say(&account.bot_token, customer, "how much?")
        .await?;
    let chat = eventually("a responsible", async || {
        let chat = account.chat_of(customer).await?;
        Ok((!chat.responsible_agent_id.is_empty()).then_some(chat))
    })
    .await?;
    let agent = account.agent(&chat.responsible_agent_id)?.id;
    let agent = Bearer::new(&world.system.tokens().agent(&account.slug, agent, "chats:*"))?;
    let send = json!({ "chat_id": chat.chat_id, "text": { "text": "42" } });
    let answer = rpc
        .call(
            "conversation.v1.ConversationService/SendMessage",
            &agent,
            &send,
        )
        .await?;
    let id = answer["message"]["message_id"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let called = |method: &str| {
        let calls = world.telegram.sent(&account.bot_token).into_iter();
        calls.filter(|call| call.method == method).count()
    };
    eventually("the message", async || {
        Ok((called("sendMessage") == 1).then_some(()))
    })
    .await?;

    let of = json!({ "chat_id": chat.chat_id, "message_id": id });
    let mut edit = of.clone();
    edit["text"] = json!({ "text": "43" });
    eventually("what was sent can be edited", async || {
        let edited = rpc
            .call(&format!("{CHATS}/EditMessage"), &agent, &edit)
            .await;
        Ok(edited.ok())
    })
    .await?;
    let shown = async || {
        let messages = account.messages(&chat.chat_id).await?;
        let found = messages
            .into_iter()
            .find(|message| message.message_id == id);
        anyhow::Ok(found.unwrap_or_default())
    };
    eventually("the edit", async || {
        let message = shown().await?;
        Ok((text_of(&message) == "43" && message.edit_time.is_some()).then_some(()))
    })
    .await?;
    assert_eq!(called("editMessageText"), 1);
    rpc.call(&format!("{CHATS}/DeleteMessage"), &agent, &of)
        .await?;
    eventually("the deletion", async || Ok(shown().await?.delete_time)).await?;
    assert_eq!(called("deleteMessage"), 1);

    let theirs = account.messages(&chat.chat_id).await?;
    let theirs = theirs
        .into_iter()
        .find(|message| message.kind() == Kind::Client);
    let theirs = theirs.unwrap_or_default().message_id;
    let react = json!({ "chat_id": chat.chat_id, "message_id": theirs, "emoji": "👍" });
    rpc.call(&format!("{CHATS}/ReactToMessage"), &agent, &react)
        .await?;
    eventually("the reaction", async || {
        let messages = account.messages(&chat.chat_id).await?;
        let found = messages
            .into_iter()
            .find(|message| message.message_id == theirs);
        Ok(found
            .filter(|message| !message.reactions.is_empty())
            .map(drop))
    })
    .await?;
    assert_eq!(called("setMessageReaction"), 1);
    Ok(())
}
