//! The rights lines (F060–F062, F174–F179), each through all services.

use std::time::Instant;

use serde_json::{Value, json};
use switchboard_tests::rpc::Rpc;
use switchboard_tests::world::{World, eventually};
use tonic::{Code, Status};

use super::people::{self, Kind, Person, of_kind, person};
use super::things::{self, Things};

const AGENT: &str = "assignment.v1.AssignmentService/GetAgent";
const UPDATE_AGENT: &str = "assignment.v1.AssignmentService/UpdateAgent";
const JOIN: &str = "assignment.v1.AssignmentService/JoinChat";
const CHANNELS: &str = "channel_gateway.v1.ChannelGatewayService/ListChannels";
const CHATS: &str = "conversation.v1.ConversationService/ListChats";
const CHAT: &str = "conversation.v1.ConversationService/GetChat";
const MESSAGES: &str = "conversation.v1.ConversationService/ListMessages";
const SEND: &str = "conversation.v1.ConversationService/SendMessage";
const CONNECTIONS: &str = "crm_cards.v1.CrmCardsService/GetChatConnections";
const CARD: &str = "crm_cards.v1.CrmCardsService/GetCard";
const CARDS: &str = "crm_cards.v1.CrmCardsService/ListCards";
const NEW_CARD: &str = "crm_cards.v1.CrmCardsService/CreateCard";
const CONTACT: &str = "crm_cards.v1.CrmCardsService/GetContact";

/// Somebody with a way to ask.
struct Seat<'w> {
    rpc: &'w Rpc,
    person: Person,
}

impl Seat<'_> {
    async fn ask(&self, method: &str, ask: Value) -> Result<Value, Status> {
        self.rpc.call(method, &self.person.bearer, &ask).await
    }

    async fn code(&self, method: &str, ask: Value) -> Code {
        self.ask(method, ask)
            .await
            .err()
            .map_or(Code::Ok, |status| status.code())
    }

    /// Whether the Chats section exists for this agent, from what a client of the API can read with the agent's token.
    async fn has_section(&self) -> anyhow::Result<bool> {
        let me = self.ask(AGENT, json!({})).await?;
        let access = &me["agent"]["access"];
        let may = matches!(
            access["chats"].as_str(),
            Some("CHAT_ACCESS_LIMITED" | "CHAT_ACCESS_FULL")
        );
        let channels = self.ask(CHANNELS, json!({ "page_size": 1 })).await?;
        Ok(may
            && channels["channels"]
                .as_array()
                .is_some_and(|channels| !channels.is_empty()))
    }
}

fn count(answer: &Value, field: &str) -> usize {
    answer[field].as_array().map_or(0, Vec::len)
}

#[tokio::test(flavor = "multi_thread")]
async fn f060_f061_f062_the_section_exists_with_a_channel_and_access_which_an_administrator_gives()
-> anyhow::Result<()> {
    let world = super::world().await?;
    let rpc = Rpc::of(&world)?;
    // An account without a channel.
    let bare = format!("bare{}", rand::random::<u32>());
    let operator = switchboard_tests::world::Bearer::new(&world.system.tokens().operator())?;
    let make = "assignment.v1.AssignmentService/CreateAccount";
    rpc.call(make, &operator, &json!({ "slug": bare })).await?;
    let shop = things::build(&world, &rpc, "Shop", 5_500_000_011).await?;
    let alone = {
        let id = uuid::Uuid::new_v4();
        let new = json!({ "agent_id": id.to_string(), "name": "Alone" });
        let make = "assignment.v1.AssignmentService/CreateAgent";
        rpc.call(make, &people::service(&world, &bare)?, &new)
            .await?;
        let token = world.system.tokens().agent(&bare, id, people::ALL_SCOPES);
        Seat {
            rpc: &rpc,
            person: Person {
                id,
                bearer: switchboard_tests::world::Bearer::new(&token)?,
            },
        }
    };
    assert!(!alone.has_section().await?, "no channel is connected");
    assert_eq!(count(&alone.ask(CHATS, json!({})).await?, "chats"), 0);

    let seat = async |kind| -> anyhow::Result<Seat<'_>> {
        let person = of_kind(
            &world,
            &rpc,
            &shop.account,
            kind,
            &shop.get("other channel"),
        )
        .await?;
        Ok(Seat { rpc: &rpc, person })
    };
    let full = seat(Kind::Full).await?;
    assert!(full.has_section().await?);
    assert_eq!(count(&full.ask(CHATS, json!({})).await?, "chats"), 1);
    // F062: the section exists by another channel, and that one's chats are all there is.
    let elsewhere = seat(Kind::Elsewhere).await?;
    assert!(elsewhere.has_section().await?);
    assert_eq!(count(&elsewhere.ask(CHATS, json!({})).await?, "chats"), 0);
    // F175: channels are there and chats are not.
    let none = seat(Kind::None).await?;
    assert!(!none.has_section().await?);
    assert_eq!(none.code(CHATS, json!({})).await, Code::PermissionDenied);

    // F061: without a channel there is no section; nobody gives it to themselves, an administrator does.
    let mut grants = Kind::Full.grants("");
    grants["channels"] = json!({});
    let left = person(&world, &rpc, &shop.account, "Left out", grants.clone()).await?;
    let left = Seat {
        rpc: &rpc,
        person: left,
    };
    assert!(!left.has_section().await?);
    assert_eq!(count(&left.ask(CHATS, json!({})).await?, "chats"), 0);
    grants["channels"] = json!({ "channel_ids": [shop.get("channel")] });
    let give = json!({ "agent_id": left.person.id.to_string(), "grants": grants });
    assert_eq!(
        left.code(UPDATE_AGENT, give.clone()).await,
        Code::PermissionDenied
    );
    let admin = seat(Kind::Admin).await?;
    assert!(
        !admin.has_section().await?,
        "settings open no channel by themselves (D21)"
    );
    admin.ask(UPDATE_AGENT, give).await?;
    eventually("the section", async || {
        Ok(left.has_section().await?.then_some(()))
    })
    .await?;
    let chats = eventually("the chat", async || {
        let chats = left.ask(CHATS, json!({})).await?;
        Ok((count(&chats, "chats") > 0).then_some(chats))
    })
    .await?;
    assert_eq!(chats["chats"][0]["chat_id"], shop.get("chat"));
    Ok(())
}

/// A chat whose card this agent answers for: distribution gave it to them.
async fn own_chat(
    world: &World,
    rpc: &Rpc,
    shop: &Things,
    who: &Person,
    customer: i64,
) -> anyhow::Result<(String, String)> {
    let policy = json!({ "policy": {
        "channel_id": shop.get("channel"), "distribution": "DISTRIBUTION_ROUND_ROBIN", "agent_ids": [who.id.to_string()],
    } });
    rpc.call(
        "assignment.v1.AssignmentService/SetDistributionPolicy",
        &shop.service,
        &policy,
    )
    .await?;
    for calendar in [
        json!({ "channel_id": shop.get("channel") }),
        json!({ "account": true }),
    ] {
        rpc.call(
            "assignment.v1.CalendarService/DeleteCalendar",
            &shop.service,
            &json!({ "owner": calendar }),
        )
        .await?;
    }
    let online = json!({ "presence": "PRESENCE_ONLINE" });
    rpc.call(
        "assignment.v1.AssignmentService/SetPresence",
        &who.bearer,
        &online,
    )
    .await?;
    world
        .telegram
        .say(&shop.account.bot_token, customer, "Is it mine?")
        .await?;
    let chat = shop.account.chat_of(customer).await?.chat_id;
    let card = eventually("the card of its own responsible", async || {
        let card = shop.account.cards(&chat).await?.pop();
        Ok(card.filter(|card| card.responsible_agent_id == who.id.to_string()))
    })
    .await?;
    Ok((chat, card.card_id))
}

#[expect(clippy::too_many_lines, reason = "four roles before the same chat")]
#[tokio::test(flavor = "multi_thread")]
async fn f174_f175_f176_f177_a_role_opens_chats_and_what_crm_has_of_them() -> anyhow::Result<()> {
    let world = super::world().await?;
    let rpc = Rpc::of(&world)?;
    let shop = things::build(&world, &rpc, "Shop", 5_500_000_021).await?;
    let chat = json!({ "chat_id": shop.get("chat") });
    let card = json!({ "card_id": shop.get("card") });
    let contact = json!({ "contact_id": shop.get("contact") });
    let words = |text: &str| json!({ "chat_id": shop.get("chat"), "text": { "text": text } });
    let seat = async |kind| -> anyhow::Result<Seat<'_>> {
        let person = of_kind(&world, &rpc, &shop.account, kind, "").await?;
        Ok(Seat { rpc: &rpc, person })
    };

    // F174: chats, and the lead and contact that are bound to them.
    let full = seat(Kind::Full).await?;
    let bound = full.ask(CONNECTIONS, chat.clone()).await?;
    assert_eq!(bound["contact"]["contact_id"], shop.get("contact"));
    assert_eq!(bound["cards"][0]["card_id"], shop.get("card"));
    assert_eq!(
        full.ask(CARD, card.clone()).await?["card"]["chat_id"],
        shop.get("chat")
    );
    full.ask(JOIN, chat.clone()).await?;
    full.ask(SEND, words("Full")).await?;

    // F175: none of it.
    let none = seat(Kind::None).await?;
    for (method, ask) in [
        (CHATS, json!({})),
        (CHAT, chat.clone()),
        (MESSAGES, chat.clone()),
        (SEND, words("None")),
        (JOIN, chat.clone()),
        (CONNECTIONS, chat.clone()),
        (CARD, card.clone()),
        (CARDS, json!({})),
        (CONTACT, contact.clone()),
        (NEW_CARD, chat.clone()),
    ] {
        assert_eq!(
            none.code(method, ask).await,
            Code::PermissionDenied,
            "F175 {method}"
        );
    }

    // F176, D11: sees and answers chats; what CRM has of them is hidden; may create a lead and not open it.
    let limited = seat(Kind::Limited).await?;
    assert_eq!(count(&limited.ask(CHATS, json!({})).await?, "chats"), 1);
    limited.ask(JOIN, chat.clone()).await?;
    limited.ask(SEND, words("Limited")).await?;
    let read = limited.ask(MESSAGES, chat.clone()).await?.to_string();
    assert!(
        read.contains("card.created") && !read.contains(&shop.get("card")),
        "{read}"
    );
    for (method, ask) in [
        (CONNECTIONS, chat.clone()),
        (CARD, card.clone()),
        (CARDS, json!({})),
        (CARDS, chat.clone()),
        (CONTACT, contact.clone()),
    ] {
        assert_eq!(
            limited.code(method, ask).await,
            Code::PermissionDenied,
            "F176 {method}"
        );
    }
    let made = limited.ask(NEW_CARD, chat.clone()).await?;
    assert_eq!(
        made["card"]["contact_id"].as_str().unwrap_or_default(),
        "",
        "D11: the contact stays hidden"
    );
    let made = json!({ "card_id": made["card"]["card_id"] });
    assert_eq!(
        limited.code(CARD, made.clone()).await,
        Code::PermissionDenied
    );
    assert_eq!(full.code(CARD, made).await, Code::Ok);

    // F177: own leads and contacts. Of a colleague's the chat is there and the lead is not.
    let own = seat(Kind::Own).await?;
    own.ask(CHAT, chat.clone()).await?;
    let bound = own.ask(CONNECTIONS, chat.clone()).await?;
    assert_eq!(
        (count(&bound, "cards"), bound.get("contact")),
        (0, None),
        "{bound}"
    );
    assert_eq!(own.code(CARD, card).await, Code::NotFound);
    // Who answers for the lead sees the link to its chat, and it opens.
    let (own_chat, own_card) = own_chat(&world, &rpc, &shop, &own.person, 5_500_000_022).await?;
    let link = own.ask(CARD, json!({ "card_id": own_card })).await?;
    assert_eq!(link["card"]["chat_id"], own_chat);
    own.ask(CHAT, json!({ "chat_id": own_chat })).await?;
    let bound = own.ask(CONNECTIONS, json!({ "chat_id": own_chat })).await?;
    assert_eq!(bound["cards"][0]["card_id"], own_card);
    let cards = own.ask(CARDS, json!({})).await?;
    assert_eq!(
        (count(&cards, "cards"), &cards["cards"][0]["card_id"]),
        (1, &json!(own_card))
    );
    // A colleague of the same role does not.
    let colleague = seat(Kind::Own).await?;
    assert_eq!(
        colleague.code(CARD, json!({ "card_id": own_card })).await,
        Code::NotFound
    );
    let bound = colleague
        .ask(CONNECTIONS, json!({ "chat_id": own_chat }))
        .await?;
    assert_eq!(count(&bound, "cards"), 0);
    Ok(())
}

/// One question to each service about the chat.
const SERVICES: [&str; 4] = [
    "assignment.v1.AssignmentService/GetChatAssignment",
    CHAT,
    "crm_cards.v1.CrmCardsService/ExplainCard",
    "channel_gateway.v1.ChannelGatewayService/GetAttachment",
];

#[tokio::test(flavor = "multi_thread")]
async fn f179_f062_a_changed_role_and_a_changed_grant_hold_in_every_service() -> anyhow::Result<()>
{
    let world = super::world().await?;
    let rpc = Rpc::of(&world)?;
    let shop = things::build(&world, &rpc, "Shop", 5_500_000_031).await?;
    let role = |leads: &str| {
        let kind = json!({ "create": false, "view": leads });
        json!({ "role_id": shop.get("role"), "leads": kind, "contacts": kind })
    };
    let update_role = async |leads: &str| {
        rpc.call(
            "assignment.v1.RoleService/UpdateRole",
            &shop.service,
            &role(leads),
        )
        .await
    };
    update_role("VIEW_ALL").await?;
    let channels = |granted: Value| json!({ "channels": granted });
    let id = uuid::Uuid::new_v4();
    let new = json!({ "agent_id": id.to_string(), "name": "Clerk", "role_id": shop.get("role") });
    rpc.call(
        "assignment.v1.AssignmentService/CreateAgent",
        &shop.service,
        &new,
    )
    .await?;
    let token = world
        .system
        .tokens()
        .agent(&shop.account.slug, id, people::ALL_SCOPES);
    let clerk = Seat {
        rpc: &rpc,
        person: Person {
            id,
            bearer: switchboard_tests::world::Bearer::new(&token)?,
        },
    };
    let ask = |method: &str| match method {
        method if method.ends_with("GetAttachment") => {
            json!({ "attachment_id": shop.get("attachment") })
        }
        // Lists of a chat are empty for who does not reach it; why there is a card is refused.
        method if method.ends_with("ExplainCard") => json!({ "card_id": shop.get("card") }),
        _ => json!({ "chat_id": shop.get("chat") }),
    };
    let all = async |what: &str, expected: Code| -> anyhow::Result<()> {
        let began = Instant::now();
        for method in SERVICES {
            eventually(what, async || {
                let code = clerk.code(method, ask(method)).await;
                Ok((code == expected).then_some(()))
            })
            .await?;
            // Within a second, on a machine that does nothing else meanwhile.
            let took = began.elapsed();
            println!("{what}: {method} after {} ms", took.as_millis());
        }
        Ok(())
    };
    let grant = async |granted: Value| {
        let update = json!({ "agent_id": id.to_string(), "grants": channels(granted) });
        rpc.call(UPDATE_AGENT, &shop.service, &update).await
    };
    all("a new agent", Code::Ok).await?;
    update_role("VIEW_NONE").await?;
    all("a role without rights", Code::PermissionDenied).await?;
    update_role("VIEW_ALL").await?;
    all("the role as it was", Code::Ok).await?;
    grant(json!({ "channel_ids": [shop.get("other channel")] })).await?;
    all("another channel", Code::NotFound).await?;
    grant(json!({ "channel_ids": [shop.get("channel")] })).await?;
    all("the channel", Code::Ok).await?;
    let off = |active: bool| json!({ "agent_id": id.to_string(), "active": active });
    rpc.call(UPDATE_AGENT, &shop.service, &off(false)).await?;
    all("an inactive agent", Code::PermissionDenied).await?;
    rpc.call(UPDATE_AGENT, &shop.service, &off(true)).await?;
    all("an agent who is back", Code::Ok).await?;
    Ok(())
}
