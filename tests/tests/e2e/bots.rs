//! Bots talk to a customer through all services (F187, F197, F198), and NPS ends a conversation (F202, F203).

use anyhow::Context as _;
use serde_json::{Value, json};
use switchboard_tests::rpc::Rpc;
use switchboard_tests::world::{Account, Bearer, Plan, World, eventually};

const BOTS: &str = "conversation.v1.BotService";

/// Texts that the Bot API was given for a customer.
fn sent_to(world: &World, account: &Account, customer: i64) -> Vec<String> {
    let calls = world.telegram.sent(&account.bot_token).into_iter();
    calls
        .filter(|call| call.method == "sendMessage" && call.chat_id == customer)
        .map(|call| call.params["text"].as_str().unwrap_or_default().to_owned())
        .collect()
}

/// Waits until the customer was told so many texts.
async fn told(
    world: &World,
    account: &Account,
    customer: i64,
    count: usize,
) -> anyhow::Result<Vec<String>> {
    eventually(&format!("{count} texts of the bot"), async || {
        let texts = sent_to(world, account, customer);
        Ok((texts.len() >= count).then_some(texts))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn f187_f197_a_bot_asks_a_customer_writes_the_field_and_hands_the_chat_over()
-> anyhow::Result<()> {
    let world = World::start().await?;
    let rpc = Rpc::of(&world)?;
    let account = world.account(Plan::default()).await?;
    let tokens = world.system.tokens();
    let scopes = "channels:* chats:* crm:* agents:*";
    let admin = Bearer::new(&tokens.service(&account.slug, "shop", scopes))?;
    let field =
        json!({ "entity": "ENTITY_CONTACT", "key": "city", "name": "City", "type": "TYPE_TEXT" });
    rpc.call("crm_cards.v1.FieldService/CreateField", &admin, &field)
        .await?;
    let agent = account.agents.last().context("an agent")?;
    let bot = json!({ "bot": {
        "name": "Asker", "enabled": true, "trigger": "TRIGGER_CONVERSATION_OPENED",
        "steps": [
            { "key": "where", "ask": { "text": { "text": "Where do you live?" } } },
            { "key": "city", "set_field": { "field": "city", "answer_of": "where" } },
            { "key": "give", "assign": { "agent_id": agent.id.to_string() } },
            { "key": "thanks", "send": { "text": { "text": "Thank you." } } },
        ],
    } });
    rpc.call(&format!("{BOTS}/CreateBot"), &admin, &bot).await?;

    let customer = 5_540_022_001;
    world
        .telegram
        .say(&account.bot_token, customer, "hello")
        .await?;
    told(&world, &account, customer, 1).await?;
    world
        .telegram
        .say(&account.bot_token, customer, "Lviv")
        .await?;
    let texts = told(&world, &account, customer, 2).await?;
    assert_eq!(texts, ["Where do you live?", "Thank you."]);
    let chat = account.chat_of(customer).await?;
    let chat_id = json!({ "chat_id": chat.chat_id });
    let connections = "crm_cards.v1.CrmCardsService/GetChatConnections";
    let linked = rpc.call(connections, &admin, &chat_id).await?;
    assert_eq!(linked["contact"]["fields"]["city"]["text"], json!("Lviv"));
    let given = eventually("the agent", async || {
        let chat = account.chat_of(customer).await?;
        Ok((chat.responsible_agent_id == agent.id.to_string()).then_some(chat))
    });
    assert_eq!(given.await?.bot_run_id, "", "it is done");
    let runs = rpc
        .call(&format!("{BOTS}/ListBotRuns"), &admin, &chat_id)
        .await?;
    assert_eq!(runs["runs"][0]["state"], json!("STATE_FINISHED"));
    assert_eq!(runs["runs"][0]["answers"]["where"], json!("Lviv"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn f202_f203_nps_is_sent_before_a_conversation_is_closed_and_its_score_opens_none()
-> anyhow::Result<()> {
    let world = World::start().await?;
    let rpc = Rpc::of(&world)?;
    let account = world.account(Plan::default()).await?;
    let tokens = world.system.tokens();
    let admin = Bearer::new(&tokens.service(&account.slug, "shop", "channels:* chats:*"))?;
    let nps = json!({ "bot": { "name": "NPS", "nps": true, "enabled": true } });
    let made = rpc.call(&format!("{BOTS}/CreateBot"), &admin, &nps).await?;
    let rule = json!({ "rule": {
        "channel_id": account.channel_id, "nps_bot_id": made["bot"]["bot_id"],
    } });
    let set = "conversation.v1.ChannelRuleService/SetChannelRule";
    rpc.call(set, &admin, &rule).await?;

    let customer = 5_540_022_002;
    world
        .telegram
        .say(&account.bot_token, customer, "hello")
        .await?;
    let chat = eventually("the chat", async || {
        let chats = account.chats().await?;
        Ok(chats
            .into_iter()
            .find(|chat| !chat.responsible_agent_id.is_empty()))
    })
    .await?;
    let who = account.agent(&chat.responsible_agent_id)?.id;
    let agent = Bearer::new(&tokens.agent(&account.slug, who, "chats:*"))?;
    let chat_id = json!({ "chat_id": chat.chat_id });
    let close = "conversation.v1.ConversationService/CloseConversation";
    let refused = rpc.call(close, &agent, &chat_id).await;
    assert!(refused.is_err(), "NPS comes first");
    rpc.call(&format!("{BOTS}/SendNps"), &agent, &chat_id)
        .await?;
    told(&world, &account, customer, 1).await?;
    rpc.call(close, &agent, &chat_id).await?;

    // By a button, as a bot of the customer's own may have put it under the question: its words count, not what it sends.
    let from = json!({ "id": customer, "is_bot": false, "first_name": "Олена" });
    let keys =
        json!([[{ "text": "9", "callback_data": "s1" }, { "text": "10", "callback_data": "s2" }]]);
    let press = json!({ "callback_query": {
        "id": "4382bfdwdsb323b2d9", "from": from, "chat_instance": "8428209589180549439", "data": "s2",
        "message": {
            "message_id": 4001, "date": 1_790_764_900, "text": "?",
            "from": { "id": 7001, "is_bot": true, "first_name": "Shop" },
            "chat": { "id": customer, "type": "private", "first_name": "Олена" },
            "reply_markup": { "inline_keyboard": keys },
        },
    } });
    world.telegram.deliver(&account.bot_token, press, 0).await?;
    told(&world, &account, customer, 2).await?;
    let chat = account.chat_of(customer).await?;
    assert!(chat.open_conversation.is_none(), "a score opens none");
    let asked = json!({ "from_time": "2026-01-01T00:00:00Z", "to_time": "2027-12-31T00:00:00Z" });
    let totals = rpc
        .call(&format!("{BOTS}/GetNpsTotals"), &agent, &asked)
        .await?;
    assert_eq!(totals["totals"][0]["promoters"], Value::from("1"));
    Ok(())
}

/// Uploads a file, as who makes bots does.
async fn upload(rpc: &Rpc, by: &Bearer, name: &str, bytes: &[u8]) -> anyhow::Result<String> {
    let create = "channel_gateway.v1.ChannelGatewayService/CreateUpload";
    let file = json!({ "file_name": name, "size": bytes.len() });
    let place = rpc.call(create, by, &file).await?;
    let url = place["put_url"].as_str().context("an address")?;
    let put = reqwest::Client::new().put(url).body(bytes.to_vec());
    put.send().await?.error_for_status()?;
    let id = place["attachment_id"].as_str().context("an id")?;
    Ok(id.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn f187_f189_a_bot_sends_every_customer_the_file_that_it_was_given_and_no_others()
-> anyhow::Result<()> {
    let world = World::start().await?;
    let rpc = Rpc::of(&world)?;
    let (account, other) = (
        world.account(Plan::default()).await?,
        world.account(Plan::default()).await?,
    );
    let tokens = world.system.tokens();
    let scopes = "channels:* chats:*";
    let admin = Bearer::new(&tokens.service(&account.slug, "shop", scopes))?;
    let foreign = Bearer::new(&tokens.service(&other.slug, "shop", scopes))?;
    let prices = upload(&rpc, &admin, "prices.txt", b"42: 100").await?;
    let theirs = upload(&rpc, &foreign, "prices.txt", b"42: 90").await?;
    let bot = |file: &str| {
        json!({ "bot": {
            "name": "Greeter", "enabled": true, "trigger": "TRIGGER_CONVERSATION_OPENED",
            "steps": [{ "key": "hello", "send": {
                "text": { "text": "Our prices, {{client.first_name|friend}}" }, "attachment_ids": [file],
            } }],
        } })
    };
    let create = format!("{BOTS}/CreateBot");
    let refused = rpc.call(&create, &admin, &bot(&theirs)).await;
    let refused = refused.expect_err("another account's file");
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    rpc.call(&create, &admin, &bot(&prices)).await?;

    for customer in [5_540_022_003, 5_540_022_004] {
        world
            .telegram
            .say(&account.bot_token, customer, "hello")
            .await?;
        let sent = eventually("the file", async || {
            let calls = world.telegram.sent(&account.bot_token).into_iter();
            let calls = calls.filter(|call| call.chat_id == customer);
            Ok(calls.into_iter().find(|call| call.method == "sendDocument"))
        })
        .await?;
        let caption = sent.params["caption"].as_str().unwrap_or_default();
        assert!(caption.starts_with("Our prices, "), "{caption}");
    }
    Ok(())
}
