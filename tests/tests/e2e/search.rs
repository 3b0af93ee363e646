//! What a customer wrote is found, and the chat by what CRM calls the customer.

use serde_json::{Value, json};
use switchboard_tests::command;
use switchboard_tests::rpc::Rpc;
use switchboard_tests::world::{Bearer, Plan, World, eventually};

const SEARCH: &str = "conversation.v1.SearchService/SearchMessages";
const CHATS: &str = "conversation.v1.ConversationService/ListChats";

#[tokio::test(flavor = "multi_thread")]
async fn b12_f075_a_message_and_its_chat_are_found() -> anyhow::Result<()> {
    let world = World::start().await?;
    let rpc = Rpc::of(&world)?;
    let account = world.account(Plan::default()).await?;
    let other = world.account(Plan::default()).await?;
    let tokens = world.system.tokens();
    let token = tokens.service(&account.slug, "shop", "chats:* crm:*");
    let by = Bearer::new(&token)?;
    let customer = 5_540_012_912;
    let words = "Чи є п’ять розмірів?";
    world
        .telegram
        .say(&account.bot_token, customer, words)
        .await?;
    let chat = account.chat_of(customer).await?.chat_id;
    let found = async |method: &str, what: &str, text: &str| {
        eventually(&format!("{text} in {method}"), async || {
            let answer = rpc.call(method, &by, &json!({ "text": text })).await?;
            Ok(answer[what].get(0).cloned())
        })
        .await
    };
    let hit = found(SEARCH, "hits", "РОЗМІРІВ п'ят").await?;
    assert_eq!(hit["message"]["chat_id"], chat);
    assert_eq!(hit["snippet"]["text"], words);
    assert_eq!(hit["snippet"]["matches"].as_array().map(Vec::len), Some(2));

    // The contact gets another name, by which the chat is found.
    let linked = "crm_cards.v1.CrmCardsService/GetChatConnections";
    let contact = eventually("the contact", async || {
        let answer = rpc.call(linked, &by, &json!({ "chat_id": chat })).await?;
        Ok(answer["contact"]["contact_id"].as_str().map(str::to_owned))
    })
    .await?;
    let renamed = json!({ "contact_id": contact, "name": "Кав’ярня Зоря" });
    let update = "crm_cards.v1.ContactService/UpdateContact";
    rpc.call(update, &by, &renamed).await?;
    let listed = found(CHATS, "chats", "зор кав").await?;
    assert_eq!(listed["chat_id"], chat);

    // Another account finds nothing.
    let stranger = Bearer::new(&tokens.service(&other.slug, "shop", "chats:read"))?;
    for (method, text) in [(SEARCH, words), (CHATS, "зоря")] {
        let answer = rpc
            .call(method, &stranger, &json!({ "text": text }))
            .await?;
        let none = [&answer["hits"], &answer["chats"]];
        assert!(none.into_iter().all(Value::is_null), "{answer}");
    }

    // The same from a terminal.
    let search = ["chat", "search", "розмірів", "пять"];
    let told = command::say(&world, &token, &search).await?;
    assert!(told.contains(words) && told.contains(&chat), "{told}");
    let narrowed = ["--from", "1d", "--chat", &chat];
    let search = [&search[..], &narrowed[..]].concat();
    let told = command::json(&world, &token, &search).await?;
    assert_eq!(told[0]["message"]["chatId"], chat);
    let list = ["chat", "list", "--text", "кав’ярня"];
    let told = command::json(&world, &token, &list).await?;
    assert_eq!(told[0]["chatId"], chat);
    Ok(())
}
