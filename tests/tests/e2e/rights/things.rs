//! What is asked for: one of everything in an account, and what of it must not be read by whom.

use std::collections::BTreeMap;

use anyhow::Context;
use serde_json::{Value, json};
use switchboard_proto::assignment::v1::Distribution;
use switchboard_proto::crm_cards::v1::pipeline_connection::Mode;
use switchboard_tests::rpc::Rpc;
use switchboard_tests::world::{Account, Bearer, Plan, World, eventually};
use uuid::Uuid;

use super::people::{self, Person};

/// One of everything: ids and words by name.
pub struct Things {
    /// The account.
    pub account: Account,
    /// The token of its service.
    pub service: Bearer,
    /// Who answers for the chat.
    pub keeper: Person,
    named: BTreeMap<&'static str, String>,
}

impl Things {
    /// The id, or the word, of a thing.
    pub fn get(&self, name: &str) -> String {
        self.named[name].clone()
    }

    /// Ids and words of these things.
    pub fn some(&self, names: &[&str]) -> Vec<String> {
        names.iter().map(|name| self.get(name)).collect()
    }

    /// Ids and words of all things.
    pub fn all(&self) -> Vec<String> {
        self.named.values().cloned().collect()
    }

    /// What stands under a path in the answer to a question of the account's service.
    async fn ask(&self, rpc: &Rpc, method: &str, ask: Value, at: &str) -> anyhow::Result<String> {
        ask_as(rpc, &self.service, method, ask, at).await
    }

    fn keep(&mut self, name: &'static str, value: impl Into<String>) {
        self.named.insert(name, value.into());
    }
}

async fn ask_as(
    rpc: &Rpc,
    bearer: &Bearer,
    method: &str,
    ask: Value,
    at: &str,
) -> anyhow::Result<String> {
    let answer = rpc.call(method, bearer, &ask).await?;
    let found = answer.pointer(at).and_then(Value::as_str);
    Ok(found
        .with_context(|| format!("{method}: no {at} in {answer}"))?
        .to_owned())
}

const ASSIGNMENT: &str = "assignment.v1.AssignmentService";
const CONVERSATION: &str = "conversation.v1.ConversationService";
const CRM: &str = "crm_cards.v1.CrmCardsService";
const GATEWAY: &str = "channel_gateway.v1.ChannelGatewayService";

/// Makes an account with one of everything. `mark` stands in all its names.
pub async fn build(world: &World, rpc: &Rpc, mark: &str, customer: i64) -> anyhow::Result<Things> {
    let account = world
        .account(Plan {
            agents: 0,
            mode: Mode::Repeat,
            distribution: Distribution::Off,
        })
        .await?;
    let service = people::service(world, &account.slug)?;
    let everything = people::Kind::Owner.grants("");
    let keeper =
        people::person(world, rpc, &account, &format!("Keeper {mark}"), everything).await?;
    let mut things = Things {
        service,
        keeper,
        named: BTreeMap::new(),
        account,
    };
    let (channel, bot) = (
        things.account.channel_id.clone(),
        things.account.bot_token.clone(),
    );
    things.keep("keeper", things.keeper.id.to_string());
    things.keep("channel", channel.clone());
    things.keep("source", things.account.source_id.clone());
    things.keep("pipeline", things.account.pipeline.pipeline_id.clone());
    let status = things
        .account
        .pipeline
        .statuses
        .get(1)
        .context("a second status")?;
    things.keep("status", status.status_id.clone());
    let other = things.account.pipeline.statuses.get(2);
    let other = other.context("a third status")?.status_id.clone();
    things.keep("other status", other);
    things.keep("customer", customer.to_string());
    things.keep("words", format!("Words of a customer of {mark}"));
    // An own name for what else is named alike in every account.
    let name = json!({ "channel_id": channel, "name": format!("Line {mark}") });
    things
        .ask(
            rpc,
            &format!("{GATEWAY}/UpdateChannel"),
            name,
            "/channel/name",
        )
        .await?;
    things.keep("line", format!("Line {mark}"));
    elsewhere(rpc, &mut things, mark).await?;
    settings(rpc, &mut things, mark).await?;
    quick_replies(rpc, &mut things, mark).await?;
    world
        .telegram
        .say(&bot, customer, &things.get("words"))
        .await?;
    talk(rpc, &mut things, customer, mark).await?;
    crm(rpc, &mut things).await?;
    logged(rpc, &things).await?;
    Ok(things)
}

/// A second channel, on which nobody writes.
async fn elsewhere(rpc: &Rpc, things: &mut Things, mark: &str) -> anyhow::Result<()> {
    let other = Uuid::new_v4().to_string();
    let token = format!(
        "{}:{}",
        7_900_000_000_u64 + u64::from(rand::random::<u16>()),
        "B".repeat(35)
    );
    let new = json!({ "channel_id": other, "name": format!("Other {mark}"), "telegram_bot": { "token": token } });
    things
        .ask(
            rpc,
            &format!("{GATEWAY}/CreateChannel"),
            new,
            "/channel/channel_id",
        )
        .await?;
    things.keep("other channel", other);
    Ok(())
}

/// Roles, groups, calendars, a policy.
async fn settings(rpc: &Rpc, things: &mut Things, mark: &str) -> anyhow::Result<()> {
    let keeper = things.get("keeper");
    let channel = things.get("channel");
    let role =
        json!({ "name": format!("Role {mark}"), "leads": { "create": true, "view": "VIEW_OWN" } });
    let role = things
        .ask(
            rpc,
            "assignment.v1.RoleService/CreateRole",
            role,
            "/role/role_id",
        )
        .await?;
    things.keep("role", role);
    let group = json!({ "name": format!("Group {mark}"), "agent_ids": [keeper] });
    let group = things
        .ask(
            rpc,
            "assignment.v1.GroupService/CreateGroup",
            group,
            "/group/group_id",
        )
        .await?;
    things.keep("group", group);
    let hours: Vec<Value> = ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"]
        .iter()
        .map(|day| json!({ "weekday": format!("WEEKDAY_{day}"), "hours": [{ "start": "00:00", "end": "24:00" }] }))
        .collect();
    for owner in [
        json!({ "account": true }),
        json!({ "channel_id": channel }),
        json!({ "agent_id": keeper }),
    ] {
        let calendar =
            json!({ "calendar": { "owner": owner, "time_zone": "Europe/Kyiv", "weekly": hours } });
        let set = "assignment.v1.CalendarService/SetCalendar";
        things
            .ask(rpc, set, calendar, "/calendar/time_zone")
            .await?;
    }
    let policy = json!({ "policy": {
        "channel_id": channel, "distribution": "DISTRIBUTION_OFF", "agent_ids": [keeper],
    } });
    things
        .ask(
            rpc,
            &format!("{ASSIGNMENT}/SetDistributionPolicy"),
            policy,
            "/policy/channel_id",
        )
        .await?;
    // Never sent: there are hours on all days.
    let words = format!("Closed, says {mark}");
    let closed = json!({ "rule": { "channel_id": channel, "off_hours_reply": words } });
    let set = "conversation.v1.ChannelRuleService/SetChannelRule";
    things.ask(rpc, set, closed, "/rule/channel_id").await?;
    things.keep("rule words", words);
    let scenario = json!({ "bot": {
        "name": format!("Bot {mark}"), "enabled": true,
        "steps": [{ "key": "hello", "send": { "text": { "text": "Hello" } } }],
    } });
    let create = "conversation.v1.BotService/CreateBot";
    let bot = things.ask(rpc, create, scenario, "/bot/bot_id").await?;
    things.keep("scenario", bot);
    Ok(())
}

/// Quick replies of the account, of the group, and of the keeper.
async fn quick_replies(rpc: &Rpc, things: &mut Things, mark: &str) -> anyhow::Result<()> {
    const CREATE: &str = "conversation.v1.QuickReplyService/CreateQuickReply";
    let words = format!("A quick reply of {mark}");
    let folder = format!("Folder {mark}");
    things.keep("reply words", words.clone());
    things.keep("folder", folder.clone());
    let (service, keeper) = (things.service.clone(), things.keeper.bearer.clone());
    for (thing, kind, owner, bearer) in [
        ("quick reply", "ACCOUNT", String::new(), &service),
        (
            "group's quick reply",
            "GROUP",
            things.get("group"),
            &service,
        ),
        ("keeper's quick reply", "AGENT", String::new(), &keeper),
    ] {
        let new = json!({
            "owner_kind": format!("OWNER_KIND_{kind}"), "owner_id": owner, "folder": folder,
            "title": format!("Reply {mark}"), "text": { "text": words },
        });
        let made = ask_as(rpc, bearer, CREATE, new, "/quick_reply/quick_reply_id").await?;
        things.keep(thing, made);
    }
    Ok(())
}

/// The chat, its messages with a file, and their delivery.
async fn talk(rpc: &Rpc, things: &mut Things, customer: i64, mark: &str) -> anyhow::Result<()> {
    let chat = things.account.chat_of(customer).await?;
    let open = chat.open_conversation.context("an open conversation")?;
    let id = chat.chat_id;
    things.keep("chat", id.clone());
    things.keep("client", chat.client_id);
    things.keep("conversation", open.conversation_id);
    let messages = things.account.messages(&id).await?;
    let words = things.get("words");
    let of_client = messages
        .iter()
        .find(|message| switchboard_tests::world::text_of(message) == words);
    let of_client = of_client.context("the client's message")?;
    things.keep("message", of_client.message_id.clone());
    things.keep("provider key", of_client.provider_key.clone());
    let keeper = things.keeper.bearer.clone();
    // Assignment hears of the chat by events.
    let claim = json!({ "chat_id": id });
    eventually("the claim", async || {
        Ok(Some(
            rpc.call(&format!("{ASSIGNMENT}/ClaimChat"), &keeper, &claim)
                .await?,
        ))
    })
    .await?;
    let file = json!({ "file_name": format!("{mark}.txt"), "size": 4, "media_type": "text/plain" });
    let upload = rpc
        .call(&format!("{GATEWAY}/CreateUpload"), &keeper, &file)
        .await?;
    let at = |field: &str| {
        upload[field]
            .as_str()
            .map(str::to_owned)
            .context("an upload")
    };
    let put = reqwest::Client::new()
        .put(at("put_url")?)
        .body("file")
        .send()
        .await?;
    anyhow::ensure!(
        put.status().is_success(),
        "the upload answered {}",
        put.status()
    );
    things.keep("attachment", at("attachment_id")?);
    let answer = json!({
        "chat_id": id, "text": { "text": format!("An answer of {mark}") }, "attachment_ids": [at("attachment_id")?],
    });
    let method = format!("{CONVERSATION}/SendMessage");
    let message = ask_as(rpc, &keeper, &method, answer, "/message/message_id").await?;
    things.keep("answer", message);
    // Everything is told once both parts are delivered and the file stands in the channel.
    eventually("the answer's delivery", async || {
        let ask = json!({ "chat_id": id });
        let answer = rpc
            .call(&format!("{GATEWAY}/ListDeliveries"), &things.service, &ask)
            .await?;
        let rows = answer["deliveries"].as_array().cloned().unwrap_or_default();
        let sent = !rows.is_empty() && rows.iter().all(|row| row["state"] == "STATE_SENT");
        Ok(sent.then_some(()))
    })
    .await?;
    Ok(())
}

/// The card, its contact as a buyer, and an order.
async fn crm(rpc: &Rpc, things: &mut Things) -> anyhow::Result<()> {
    let chat = things.get("chat");
    let card = eventually("the card", async || {
        Ok(things.account.cards(&chat).await?.pop())
    })
    .await?;
    things.keep("card", card.card_id);
    things.keep("contact", card.contact_id.clone());
    let buyer = json!({ "contact_id": card.contact_id });
    things
        .ask(
            rpc,
            &format!("{CRM}/SaveBuyer"),
            buyer.clone(),
            "/contact/contact_id",
        )
        .await?;
    let order = things
        .ask(rpc, &format!("{CRM}/CreateOrder"), buyer, "/order/order_id")
        .await?;
    things.keep("order", order);
    let note = json!({ "card_id": things.get("card"), "text": format!("Note on {chat}") });
    things.keep("note", format!("Note on {chat}"));
    let add = "crm_cards.v1.CardService/AddCardNote";
    let note = things.ask(rpc, add, note, "/note/note_id").await?;
    things.keep("note id", note);
    let words = format!("Among us on {chat}");
    let mut internal = super::requests::internal_message(things);
    internal["text"]["text"] = json!(words);
    things.keep("internal words", words);
    let post = "conversation.v1.InternalChatService/PostInternalMessage";
    let at = "/message/internal_message_id";
    let internal = things.ask(rpc, post, internal, at).await?;
    things.keep("internal message", internal);
    // It makes the keeper take part, which is heard of by an event.
    let card = json!({ "card_id": things.get("card") });
    eventually("the keeper's part", async || {
        let get = format!("{CRM}/GetCard");
        let answer = rpc.call(&get, &things.service, &card).await?;
        Ok(answer.pointer("/card/participant_agent_ids/0").map(|_| ()))
    })
    .await?;
    people(rpc, things).await?;
    let field = json!({
        "entity": "ENTITY_CARD", "key": "city", "name": "City", "type": "TYPE_TEXT",
    });
    let create = "crm_cards.v1.FieldService/CreateField";
    let field = things.ask(rpc, create, field, "/field/field_id").await?;
    things.keep("field", field);
    Ok(())
}

/// Waits until the log of what happened has the last of it, and the search the message.
async fn logged(rpc: &Rpc, things: &Things) -> anyhow::Result<()> {
    let list = "conversation.v1.ActivityService/ListActivity";
    for ask in [
        json!({ "types": ["contact.merged"], "entity_id": things.get("merger") }),
        json!({ "types": ["conversation.opened"], "chat_id": things.get("chat") }),
    ] {
        eventually("the log of what happened", async || {
            let told = rpc.call(list, &things.service, &ask).await?;
            Ok(told["entries"].get(0).map(|_| ()))
        })
        .await?;
    }
    let search = "conversation.v1.SearchService/SearchMessages";
    let ask = json!({ "text": things.get("words") });
    eventually("the words of the message", async || {
        let told = rpc.call(search, &things.service, &ask).await?;
        Ok(told["hits"].get(0).map(|_| ()))
    })
    .await
}

/// A company, a contact that is one person with the buyer, one that was merged into another, and one of nobody.
async fn people(rpc: &Rpc, things: &mut Things) -> anyhow::Result<()> {
    const CONTACTS: &str = "crm_cards.v1.ContactService";
    let name = json!({ "name": "A company" });
    let create = "crm_cards.v1.CompanyService/CreateCompany";
    let company = things.ask(rpc, create, name, "/company/company_id").await?;
    things.keep("company", company);
    let phone = json!({ "values": ["+380441234567"] });
    let known = json!({ "contact_id": things.get("contact"), "phones": phone });
    let update = format!("{CONTACTS}/UpdateContact");
    things
        .ask(rpc, &update, known, "/contact/contact_id")
        .await?;
    let create = format!("{CONTACTS}/CreateContact");
    for (thing, phones) in [
        ("twin", json!(["+380441234567"])),
        ("free contact", json!([])),
        ("merged", json!([])),
        ("merger", json!([])),
    ] {
        let new = json!({ "name": thing, "phones": phones });
        let made = things.ask(rpc, &create, new, "/contact/contact_id").await?;
        things.keep(thing, made);
    }
    let merge = format!("{CONTACTS}/MergeContacts");
    let both = json!({
        "from_contact_id": things.get("merged"), "into_contact_id": things.get("merger"),
    });
    things.ask(rpc, &merge, both, "/contact/contact_id").await?;
    Ok(())
}
