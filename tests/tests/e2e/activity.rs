//! What happened in an account, read in one place: who opened and closed a conversation, and what the client did with a link.

use anyhow::Context as _;
use serde_json::{Value, json};
use switchboard_proto::conversation::v1::chat::State;
use switchboard_tests::command;
use switchboard_tests::rpc::Rpc;
use switchboard_tests::world::{Bearer, Plan, World, eventually};

const LIST: &str = "conversation.v1.ActivityService/ListActivity";
const BROWSER: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Safari/604.1";

/// The entries that are told, once there are so many.
async fn told(rpc: &Rpc, by: &Bearer, ask: Value, count: usize) -> anyhow::Result<Vec<Value>> {
    eventually("the log of what happened", async || {
        let answer = rpc.call(LIST, by, &ask).await?;
        let entries = answer["entries"].as_array().cloned().unwrap_or_default();
        Ok((entries.len() == count).then_some(entries))
    })
    .await
}

#[expect(
    clippy::too_many_lines,
    reason = "a story is read from its beginning to its end"
)]
#[tokio::test(flavor = "multi_thread")]
async fn f194_f214_f215_what_client_and_agent_did_is_listed_and_a_key_action_only_when_asked()
-> anyhow::Result<()> {
    let world = World::start().await?;
    let rpc = Rpc::of(&world)?;
    let account = world.account(Plan::default()).await?;
    let other = world.account(Plan::default()).await?;
    let tokens = world.system.tokens();
    let admin = Bearer::new(&tokens.service(&account.slug, "admin", "channels:* chats:*"))?;
    let shorten = json!({ "channel_id": account.channel_id, "shorten_links": true });
    let update = "channel_gateway.v1.ChannelGatewayService/UpdateChannel";
    rpc.call(update, &admin, &shorten).await?;

    // The client opens a conversation, is sent a link, follows it, and the agent closes the conversation.
    let customer = 5_540_012_875;
    world
        .telegram
        .say(&account.bot_token, customer, "Чи є 42 розмір?")
        .await?;
    let chat = eventually("a responsible", async || {
        let chat = account.chat_of(customer).await?;
        Ok((chat.state() == State::Active).then_some(chat))
    })
    .await?;
    let agent = account.agent(&chat.responsible_agent_id)?.id;
    let token = tokens.agent(&account.slug, agent, "chats:* crm:*");
    let by = Bearer::new(&token)?;
    let words = json!({ "chat_id": chat.chat_id, "text": { "text": "https://shop.example/oak" } });
    let method = "conversation.v1.ConversationService/SendMessage";
    rpc.call(method, &by, &words).await?;
    let short = eventually("the short link", async || {
        let sent = world.telegram.sent(&account.bot_token);
        let texts = sent.iter().filter_map(|sent| sent.params["text"].as_str());
        Ok(texts
            .filter(|text| text.contains("/l/"))
            .map(str::to_owned)
            .next())
    })
    .await?;
    let browser = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(BROWSER)
        .build()?;
    let answer = browser.get(&short).send().await?;
    assert!(answer.status().is_redirection(), "{answer:?}");
    let close = json!({ "chat_id": chat.chat_id });
    let method = "conversation.v1.ConversationService/CloseConversation";
    rpc.call(method, &by, &close).await?;

    // Both are listed by their types, with their authors (F214, F215).
    let both = json!({ "types": ["conversation.opened", "conversation.closed"] });
    let entries = told(&rpc, &by, both.clone(), 2).await?;
    let [closed, opened] = entries.as_slice() else {
        anyhow::bail!("{entries:?}");
    };
    assert_eq!(opened["type"], "conversation.opened");
    assert_eq!(opened["actor"], format!("client:{}", chat.client_id));
    assert_eq!(closed["type"], "conversation.closed");
    assert_eq!(closed["actor"], format!("agent:{agent}"));
    assert_eq!(closed["agent_id"], agent.to_string());
    for entry in [opened, closed] {
        assert_eq!(entry["chat_id"], chat.chat_id);
        assert_eq!(entry["number"], "1");
    }

    // What other services did to the chat is there, too; the followed link is not (F194).
    let of_chat = |more: Value| {
        let mut ask = json!({ "chat_id": chat.chat_id, "page_size": 200 });
        if let (Some(ask), Value::Object(more)) = (ask.as_object_mut(), more) {
            ask.extend(more);
        }
        ask
    };
    let clicked = told(&rpc, &by, of_chat(json!({ "types": ["link.clicked"] })), 1).await?;
    assert_eq!(clicked[0]["key_action"], true);
    assert_eq!(clicked[0]["parameters"]["url"], "https://shop.example/oak");
    told(&rpc, &by, of_chat(json!({ "types": ["card.created"] })), 1).await?;
    told(&rpc, &by, of_chat(json!({ "types": ["chat.assigned"] })), 1).await?;
    let types = async |ask: Value| -> anyhow::Result<Vec<String>> {
        let answer = rpc.call(LIST, &by, &ask).await?;
        let entries = answer["entries"].as_array().context("entries")?.clone();
        let types = entries.iter().filter_map(|entry| entry["type"].as_str());
        Ok(types.map(str::to_owned).collect())
    };
    let usual = types(of_chat(json!({}))).await?;
    assert!(!usual.contains(&"link.clicked".to_owned()), "{usual:?}");
    assert!(
        usual.contains(&"conversation.opened".to_owned()),
        "{usual:?}"
    );
    assert!(
        !usual.iter().any(|name| name.starts_with("message.")),
        "{usual:?}"
    );
    let asked = types(of_chat(json!({ "include_key_actions": true }))).await?;
    assert!(asked.contains(&"link.clicked".to_owned()), "{asked:?}");

    // Another account sees its own alone.
    let stranger = Bearer::new(&tokens.service(&other.slug, "shop", "chats:read"))?;
    let answer = rpc.call(LIST, &stranger, &both).await?;
    assert!(answer.get("entries").is_none(), "{answer}");

    // The same from a terminal.
    let list = [
        "activity",
        "list",
        "--type",
        "conversation.closed",
        "--actor",
        "agent",
    ];
    let told = command::json(&world, &token, &list).await?;
    assert_eq!(told[0]["eventId"], closed["event_id"]);
    let chat = ["activity", "list", "--chat", &chat.chat_id];
    let told = command::say(&world, &token, &chat).await?;
    assert!(told.contains("Conversation 1 was closed"), "{told}");
    assert!(!told.contains("Key action"), "{told}");
    let told = command::say(&world, &token, &[&chat[..], &["--key-actions"]].concat()).await?;
    assert!(told.contains("Key action completed"), "{told}");
    Ok(())
}
