//! What agents write each other on a card: it reaches each of them and nobody outside (F180 to F184, X09, X12).

use std::time::Duration;

use serde_json::{Value, json};
use switchboard_proto::conversation::v1::InternalMessagePosted;
use switchboard_tests::events::{Event, read_all};
use switchboard_tests::rpc::Rpc;
use switchboard_tests::world::{Account, Bearer, Plan, World, eventually, text_of};

const INTERNAL: &str = "conversation.v1.InternalChatService";

fn agent(world: &World, account: &Account, place: usize) -> anyhow::Result<Bearer> {
    let id = account.agents[place].id;
    let scopes = "chats:* crm:*";
    Bearer::new(&world.system.tokens().agent(&account.slug, id, scopes))
}

fn texts(answer: &Value, list: &str, at: &str) -> Vec<String> {
    let entries = answer[list].as_array().cloned().unwrap_or_default();
    let texts = entries
        .iter()
        .filter_map(|entry| entry.pointer(at)?.as_str());
    texts.map(str::to_owned).collect()
}

/// How many are unread; a message that is 0 is not written.
fn unread(told: &Value) -> i64 {
    let count = told.pointer("/unread/count").and_then(Value::as_i64);
    count.unwrap_or(0)
}

#[expect(
    clippy::too_many_lines,
    reason = "a story is read from its beginning to its end"
)]
#[tokio::test(flavor = "multi_thread")]
async fn f180_f181_f182_f183_f184_agents_write_each_other_on_a_card() -> anyhow::Result<()> {
    let world = World::start().await?;
    let rpc = Rpc::of(&world)?;
    let account = world.account(Plan::default()).await?;
    let customer = 5_540_012_831;
    world
        .telegram
        .say(&account.bot_token, customer, "how much?")
        .await?;
    let chat = eventually("a responsible", async || {
        let chat = account.chat_of(customer).await?;
        Ok((!chat.responsible_agent_id.is_empty()).then_some(chat))
    })
    .await?;
    let card = eventually("the card", async || {
        Ok(account.cards(&chat.chat_id).await?.pop())
    })
    .await?;
    let (ann, bob) = (agent(&world, &account, 0)?, agent(&world, &account, 1)?);
    let ids: Vec<String> = account
        .agents
        .iter()
        .map(|one| one.id.to_string())
        .collect();
    let tokens = world.system.tokens();
    let admin = Bearer::new(&tokens.service(&account.slug, "shop", "agents:* crm:*"))?;
    let group = json!({ "name": "Sales", "agent_ids": [ids[0], ids[1]] });
    let create = "assignment.v1.GroupService/CreateGroup";
    let group = rpc.call(create, &admin, &group).await?["group"]["group_id"].clone();

    // Bob hears of it at once.
    let watch = format!("{INTERNAL}/WatchInternalNotifications");
    let mut told = rpc.open(&watch, &bob, &json!({})).await?;
    let mut next = async || -> anyhow::Result<Value> {
        let told = tokio::time::timeout(Duration::from_secs(20), told.next()).await??;
        Ok(told.unwrap_or_default())
    };
    assert_eq!(unread(&next().await?), 0);

    let entity = json!({ "kind": "KIND_CARD", "entity_id": card.card_id });
    let post = json!({
        "request_id": "once", "entity": entity, "text": { "text": "A discount for them?" }, "group_ids": [group],
    });
    let method = format!("{INTERNAL}/PostInternalMessage");
    let posted = rpc.call(&method, &ann, &post).await?;
    assert_eq!(rpc.call(&method, &ann, &post).await?, posted, "B02");
    let heard = next().await?;
    assert_eq!(unread(&heard), 1);
    assert_eq!(texts(&heard, "changed", "/message/agent_id"), ids[..1]);

    // Both read it on the card; Bob is notified, and the author is not.
    let list = json!({ "entity": entity });
    let on = format!("{INTERNAL}/ListInternalMessages");
    for reader in [&ann, &bob] {
        let answer = rpc.call(&on, reader, &list).await?;
        let found = texts(&answer, "messages", "/text/text");
        assert_eq!(found, ["A discount for them?"]);
    }
    let notified = format!("{INTERNAL}/ListInternalNotifications");
    let of_bob = rpc.call(&notified, &bob, &json!({})).await?;
    assert_eq!(
        texts(&of_bob, "notifications", "/message/text/text").len(),
        1
    );
    let of_ann = rpc.call(&notified, &ann, &json!({})).await?;
    assert!(texts(&of_ann, "notifications", "/message/text/text").is_empty());
    let mark = format!("{INTERNAL}/MarkInternalNotifications");
    rpc.call(&mark, &bob, &list).await?;
    assert_eq!(unread(&next().await?), 0);

    // The group's agents take part in the card, by the author's act.
    let get = "crm_cards.v1.CrmCardsService/GetCard";
    let ask = json!({ "card_id": card.card_id });
    let mut part = eventually("the participants", async || {
        let card = rpc.call(get, &admin, &ask).await?;
        let part = card.pointer("/card/participant_agent_ids").cloned();
        Ok(part.and_then(|part| serde_json::from_value::<Vec<String>>(part).ok()))
    })
    .await?;
    part.sort();
    let mut both = ids[..2].to_vec();
    both.sort();
    assert_eq!(part, both);
    let history = "crm_cards.v1.HistoryService/ListHistory";
    let entries = json!({ "card_id": card.card_id, "kinds": ["KIND_PARTICIPANTS"] });
    let entries = rpc.call(history, &admin, &entries).await?;
    assert_eq!(
        texts(&entries, "entries", "/actor"),
        [format!("agent:{}", ids[0])]
    );

    // In the log it stands with its author, and of the chat nothing changed: the client got nothing, and still waits.
    let activity = json!({ "types": ["internal-message.posted"], "entity_id": card.card_id });
    eventually("the entry in the log", async || {
        let told = rpc.call(
            "conversation.v1.ActivityService/ListActivity",
            &ann,
            &activity,
        );
        let actors = texts(&told.await?, "entries", "/actor");
        Ok((actors == [format!("agent:{}", ids[0])]).then_some(()))
    })
    .await?;
    let events = read_all(&world.nats.url(), Some(&account.slug)).await?;
    let posted: Vec<InternalMessagePosted> = events.iter().filter_map(Event::decode).collect();
    assert_eq!(posted.len(), 1);
    let queued = events
        .iter()
        .filter(|event| event.subject.ends_with("message.queued"));
    assert_eq!(queued.count(), 0);
    let sent = world.telegram.sent(&account.bot_token);
    assert!(
        sent.iter().all(|call| call.method != "sendMessage"),
        "{sent:?}"
    );
    let after = account.chat_of(customer).await?;
    assert_eq!(after.unanswered, 1);
    let words = account.messages(&chat.chat_id).await?;
    assert!(words.iter().all(|word| !text_of(word).contains("discount")));
    Ok(())
}
