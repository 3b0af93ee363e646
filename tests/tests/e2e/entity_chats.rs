//! From cards to dialogs and back: the blocks of a card's chats, system messages about what was made of a chat, and closing a
//! dialog from the card.

use anyhow::Context as _;
use serde_json::{Value, json};
use switchboard_proto::channel_gateway::v1::TelegramBotCredentials;
use switchboard_proto::channel_gateway::v1::create_channel_request::Credentials;
use switchboard_proto::conversation::v1::message::Kind as MessageKind;
use switchboard_proto::crm_cards::v1 as crm;
use switchboard_proto::crm_cards::v1::pipeline_connection::{Mode, Scope};
use switchboard_tests::rpc::Rpc;
use switchboard_tests::services::Kind;
use switchboard_tests::world::{Account, Bearer, Plan, World, eventually};
use time::OffsetDateTime;
use tonic::Code;
use uuid::Uuid;

const CHATS: &str = "crm_cards.v1.EntityChatService/ListEntityChats";
const CARDS: &str = "crm_cards.v1.CardService";
const CRM: &str = "crm_cards.v1.CrmCardsService";
const CLOSE: &str = "conversation.v1.ConversationService/CloseConversation";

/// Somebody of an account who asks.
struct Asker<'w> {
    rpc: &'w Rpc,
    bearer: Bearer,
}

impl<'w> Asker<'w> {
    fn agent(world: &World, rpc: &'w Rpc, account: &Account, at: usize) -> anyhow::Result<Self> {
        let agent = account.agents.get(at).context("an agent")?.id;
        let token = world
            .system
            .tokens()
            .agent(&account.slug, agent, "chats:* crm:*");
        let bearer = Bearer::new(&token)?;
        Ok(Self { rpc, bearer })
    }

    async fn ask(&self, method: &str, ask: Value) -> anyhow::Result<Value> {
        let answer = self.rpc.call(method, &self.bearer, &ask).await;
        answer.with_context(|| format!("{method} {ask}"))
    }

    /// The blocks of an entity's chats.
    async fn blocks(&self, entity: &Value) -> anyhow::Result<Vec<Value>> {
        let answer = self.ask(CHATS, entity.clone()).await?;
        Ok(answer["chats"].as_array().cloned().unwrap_or_default())
    }

    /// Waits until the block on top is a chat whose last message says this.
    async fn on_top(&self, entity: &Value, chat: &str, text: &str) -> anyhow::Result<Value> {
        eventually(&format!("{text:?} on top"), async || {
            let top = self.blocks(entity).await?.into_iter().next();
            Ok(top.filter(|top| top["chat_id"] == chat && top["last_message"]["text"] == text))
        })
        .await
    }
}

/// Waits for the next second of the clock: providers tell the times of messages in whole seconds.
async fn next_second() -> anyhow::Result<()> {
    let now = OffsetDateTime::now_utc().unix_timestamp();
    eventually("the next second", async || {
        Ok((OffsetDateTime::now_utc().unix_timestamp() > now).then_some(()))
    })
    .await
}

/// A rule that makes one card of a client over all chats (D02).
async fn one_card_of_a_client(account: &Account, channel: &str) -> anyhow::Result<()> {
    let connection = crm::PipelineConnection {
        channel_id: channel.to_owned(),
        mode: Mode::Repeat.into(),
        scope: Scope::Client.into(),
        source_id: account.source_id.clone(),
        ..Default::default()
    };
    let request = crm::SetPipelineConnectionRequest {
        connection: Some(connection),
    };
    account
        .admin
        .crm
        .clone()
        .set_pipeline_connection(request)
        .await?;
    Ok(())
}

/// Waits for a system message of a chat of this kind; returns its sentence.
async fn notice(account: &Account, chat: &str, kind: &str) -> anyhow::Result<String> {
    eventually(kind, async || {
        let messages = account.messages(chat).await?;
        let system = messages
            .into_iter()
            .filter(|message| message.kind() == MessageKind::System);
        let mut told = system.filter_map(|message| message.system);
        Ok(told
            .find(|notice| notice.kind == kind)
            .map(|notice| notice.text))
    })
    .await
}

#[expect(
    clippy::too_many_lines,
    reason = "a story is read from its beginning to its end"
)]
#[tokio::test(flavor = "multi_thread")]
async fn f133_f142_to_f148_f152_to_f156_f159_a_card_shows_its_clients_chats_the_newest_message_on_top()
-> anyhow::Result<()> {
    let mut world = World::start().await?;
    let account = world.account(Plan::default()).await?;
    one_card_of_a_client(&account, &account.channel_id).await?;
    let second_token = format!("{}:{}", 7_100_000_001_u64, "B".repeat(35));
    let second_bot = Credentials::TelegramBot(TelegramBotCredentials {
        token: second_token.clone(),
    });
    let second = super::channels::connect(&account, second_bot).await?;
    one_card_of_a_client(&account, &second.channel_id).await?;
    let customer = 5_540_012_874;
    world
        .telegram
        .say(&account.bot_token, customer, "Is it there in blue?")
        .await?;
    let first_chat = account.chat_of(customer).await?;
    let card = eventually("the card", async || {
        Ok(account.cards(&first_chat.chat_id).await?.pop())
    })
    .await?;
    // The lead is told of in the chat (F133), and its card leads back there by itself (F143).
    let told = notice(&account, &first_chat.chat_id, "card.created").await?;
    assert!(told.contains(&card.title), "{told}");
    let rpc = Rpc::of(&world)?;
    let agents = [0, 1].map(|at| Asker::agent(&world, &rpc, &account, at));
    let [one, other] = agents;
    let (one, other) = (one?, other?);
    let of_card = json!({ "card_id": card.card_id });
    let top = one
        .on_top(&of_card, &first_chat.chat_id, "Is it there in blue?")
        .await?;
    assert_eq!(top["last_message"]["kind"], "KIND_CLIENT");

    // The same person writes to another bot: another chat of the same card, and no other lead (F152-F154).
    next_second().await?;
    world
        .telegram
        .say(&second_token, customer, "And here?")
        .await?;
    let second_chat = eventually("the second chat", async || {
        let chats = account.chats().await?;
        Ok(chats
            .into_iter()
            .find(|chat| chat.channel_id == second.channel_id))
    })
    .await?;
    one.on_top(&of_card, &second_chat.chat_id, "And here?")
        .await?;
    assert_eq!(one.blocks(&of_card).await?.len(), 2);
    eventually("the decision", async || {
        let decisions = account.decisions(&second_chat.chat_id).await?;
        Ok(decisions.into_iter().next())
    })
    .await?;
    assert!(account.cards(&second_chat.chat_id).await?.is_empty());

    // Whoever left the last message, the client (F155) or an employee (F147), its chat is on top, with that time (F156).
    next_second().await?;
    world
        .telegram
        .say(&account.bot_token, customer, "Hello?")
        .await?;
    one.on_top(&of_card, &first_chat.chat_id, "Hello?").await?;
    let responsible = eventually("a responsible", async || {
        let chats = account.chats().await?.into_iter();
        let mut chats = chats.filter(|chat| chat.chat_id == second_chat.chat_id);
        let agent = chats.next().map(|chat| chat.responsible_agent_id);
        Ok(agent.filter(|agent| !agent.is_empty()))
    })
    .await?;
    let (answering, watching) = if account.agents[0].id.to_string() == responsible {
        (&one, &other)
    } else {
        (&other, &one)
    };
    next_second().await?;
    let answer = json!({
        "request_id": Uuid::new_v4().to_string(),
        "chat_id": second_chat.chat_id,
        "text": { "text": "Yes, two of them" },
    });
    answering
        .ask("conversation.v1.ConversationService/SendMessage", answer)
        .await?;
    // A colleague sees it from the card, too (F148).
    let top = watching
        .on_top(&of_card, &second_chat.chat_id, "Yes, two of them")
        .await?;
    assert_eq!(top["last_message"]["kind"], "KIND_AGENT");
    let sent = account.messages(&second_chat.chat_id).await?;
    let sent = sent
        .iter()
        .rfind(|message| message.kind() == MessageKind::Agent);
    let time = sent.and_then(|message| message.time).context("its time")?;
    let shown = top["last_message"]["time"].as_str().unwrap_or_default();
    let shown: prost_types::Timestamp = shown.parse()?;
    assert_eq!(shown, time);
    assert_ne!(top["last_message"]["time"], top["create_time"]);

    // A page at a time they are the same; the first one is where a click on the External Lines field leads (F159).
    let whole: Vec<Value> = one.blocks(&of_card).await?;
    let first_page = one
        .ask(CHATS, json!({ "card_id": card.card_id, "page_size": 1 }))
        .await?;
    let next = first_page["next_page_token"].as_str().context("a token")?;
    let rest = json!({ "card_id": card.card_id, "page_size": 1, "page_token": next });
    let rest = one.ask(CHATS, rest).await?;
    assert_eq!(first_page["chats"][0]["chat_id"], whole[0]["chat_id"]);
    assert_eq!(rest["chats"][0]["chat_id"], whole[1]["chat_id"]);
    let seen = one.ask(&format!("{CRM}/GetCard"), of_card.clone()).await?;
    let line = &seen["card"]["external_lines"][0];
    assert_eq!(line["messenger"], "telegram");
    assert_eq!(line["chat_ids"].as_array().map(Vec::len), Some(2));
    let viber = json!({ "card_id": card.card_id, "messenger": "viber" });
    assert!(one.blocks(&viber).await?.is_empty());

    // The dialog is closed from the card, without opening the chat (F146).
    let closed = json!({ "chat_id": whole[0]["chat_id"] });
    watching.ask(CLOSE, closed).await?;
    eventually("a closed dialog", async || {
        let blocks = one.blocks(&of_card).await?;
        let closed = blocks
            .iter()
            .find(|block| block["chat_id"] == whole[0]["chat_id"]);
        Ok(closed
            .filter(|block| block["state"] == "STATE_INACTIVE")
            .cloned())
    })
    .await?;

    // What the lead is converted into has the same blocks (F144), and the chat tells of it (F137).
    let convert = json!({
        "card_id": card.card_id,
        "contact": { "name": "Olena Kovalenko", "buyer": true },
        "company": { "name": "Kava" },
    });
    let made = one.ask(&format!("{CARDS}/ConvertCard"), convert).await?;
    let ids = |blocks: &[Value]| -> Vec<Value> {
        blocks
            .iter()
            .map(|block| block["chat_id"].clone())
            .collect()
    };
    let expected = ids(&one.blocks(&of_card).await?);
    assert_eq!(expected.len(), 2);
    for entity in [
        json!({ "contact_id": made["contact"]["contact_id"] }),
        json!({ "company_id": made["company"]["company_id"] }),
    ] {
        assert_eq!(ids(&one.blocks(&entity).await?), expected, "{entity}");
    }
    let told = notice(&account, &first_chat.chat_id, "card.converted").await?;
    assert!(
        told.ends_with(r#"became a deal, contact "Olena Kovalenko", company "Kava""#),
        "{told}"
    );
    // A deal by the quick form is told of, too (F142).
    let deal = json!({ "chat_id": first_chat.chat_id, "title": "Chairs" });
    one.ask(&format!("{CRM}/CreateCard"), deal).await?;
    let told = eventually("the deal's system message", async || {
        let messages = account.messages(&first_chat.chat_id).await?.into_iter();
        let mut system = messages.filter_map(|message| message.system);
        Ok(system.find(|notice| notice.text.contains("Chairs")))
    })
    .await?;
    assert_eq!(told.text, r#"Card "Chairs" was created"#);
    let order = json!({ "chat_id": first_chat.chat_id });
    let order = one.ask(&format!("{CRM}/CreateOrder"), order).await?;
    let of_order = json!({ "order_id": order["order"]["order_id"] });
    assert_eq!(ids(&one.blocks(&of_order).await?), expected);
    let told = notice(&account, &first_chat.chat_id, "order.created").await?;
    assert_eq!(told, "Order 1 was created");

    // Without the service that knows messages it is told that it does not answer; the card itself is there.
    world.system.kill(Kind::Conversation)?;
    let away = rpc
        .call(CHATS, &one.bearer, &of_card)
        .await
        .err()
        .context("a refusal")?;
    assert_eq!(away.code(), Code::Unavailable, "{away}");
    assert!(away.message().contains("conversations"), "{away}");
    one.ask(&format!("{CRM}/GetCard"), of_card.clone()).await?;
    Ok(())
}
