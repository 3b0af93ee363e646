//! What the stories have in common: an account whose chats are given by hand, customers, and what they are linked to.

use anyhow::Context;
use serde_json::{Value, json};
use switchboard_proto::assignment::v1::Distribution;
use switchboard_tests::events::{Event, read_all};
use switchboard_tests::quiet::quiet;
use switchboard_tests::rpc::Rpc;
use switchboard_tests::world::{Account, Bearer, Plan, World, eventually};
use uuid::Uuid;

const ASSIGNMENT: &str = "assignment.v1.AssignmentService";
const CRM: &str = "crm_cards.v1.CrmCardsService";
const SYNC: &str = "assignment.v1.ResponsibleSyncService";
const SCOPES: &str = "chats:* crm:* channels:* agents:*";

pub const LEAD: &str = "ENTITY_KIND_LEAD";
pub const CONTACT: &str = "ENTITY_KIND_CONTACT";
pub const COMPANY: &str = "ENTITY_KIND_COMPANY";
pub const DEAL: &str = "ENTITY_KIND_DEAL";

/// An entity with a responsible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entity {
    Card(String),
    Contact(String),
    Company(String),
}

impl Entity {
    pub fn id(&self) -> &str {
        match self {
            Self::Card(id) | Self::Contact(id) | Self::Company(id) => id,
        }
    }

    /// How a method is called that does something with it, as it is asked, and where it stands in the answer.
    fn method(&self, verb: &str) -> (String, Value, &'static str) {
        let id = self.id();
        match self {
            Self::Card(_) if verb == "Get" => {
                (format!("{CRM}/GetCard"), json!({ "card_id": id }), "card")
            }
            Self::Card(_) => (
                format!("crm_cards.v1.CardService/{verb}Card"),
                json!({ "card_id": id }),
                "card",
            ),
            Self::Contact(_) if verb == "Get" => (
                format!("{CRM}/GetContact"),
                json!({ "contact_id": id }),
                "contact",
            ),
            Self::Contact(_) => (
                format!("crm_cards.v1.ContactService/{verb}Contact"),
                json!({ "contact_id": id }),
                "contact",
            ),
            Self::Company(_) => (
                format!("crm_cards.v1.CompanyService/{verb}Company"),
                json!({ "company_id": id }),
                "company",
            ),
        }
    }
}

/// A line of the account, with its bot.
#[derive(Clone, Debug)]
pub struct Line {
    pub channel: String,
    pub bot: String,
}

/// A customer's chat with what it is linked to; no card where its channel makes none.
#[derive(Clone, Debug)]
pub struct Talk {
    pub chat: String,
    pub contact: Entity,
    pub card: Option<Entity>,
}

impl Talk {
    pub fn card(&self) -> anyhow::Result<&Entity> {
        self.card.as_ref().context("a card")
    }
}

/// Who answers for a chat or an entity, by which act: its time and its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    pub agent: String,
    pub stamp: Value,
}

/// An account of a world.
pub struct Story {
    pub world: World,
    pub account: Account,
    rpc: Rpc,
    bearer: Bearer,
}

fn text(value: &Value, path: &str) -> String {
    let found = value.pointer(path).and_then(Value::as_str);
    found.unwrap_or_default().to_owned()
}

impl Story {
    pub async fn start() -> anyhow::Result<Self> {
        let world = World::start().await?;
        let by_hand = Plan {
            distribution: Distribution::Off,
            ..Plan::default()
        };
        let account = world.account(by_hand).await?;
        let token = world
            .system
            .tokens()
            .service(&account.slug, "story", SCOPES);
        Ok(Self {
            rpc: Rpc::of(&world)?,
            bearer: Bearer::new(&token)?,
            account,
            world,
        })
    }

    pub async fn ask(&self, method: &str, ask: Value) -> anyhow::Result<Value> {
        let answer = self.rpc.call(method, &self.bearer, &ask).await;
        answer.with_context(|| format!("{method} {ask}"))
    }

    /// The two agents.
    pub fn agents(&self) -> anyhow::Result<[String; 2]> {
        let ids = self.account.agents.iter().map(|agent| agent.id.to_string());
        let ids: Vec<String> = ids.collect();
        ids.try_into().ok().context("two agents")
    }

    pub fn line(&self) -> Line {
        Line {
            channel: self.account.channel_id.clone(),
            bot: self.account.bot_token.clone(),
        }
    }

    /// A further line, which makes cards by this mode.
    pub async fn further_line(&self, mode: &str) -> anyhow::Result<Line> {
        let line = Line {
            channel: Uuid::new_v4().to_string(),
            bot: format!("8{}:{}", rand_digits(), "B".repeat(35)),
        };
        let channel = json!({ "channel_id": line.channel, "name": "Further line",
            "telegram_bot": { "token": line.bot } });
        let gateway = "channel_gateway.v1.ChannelGatewayService";
        self.ask(&format!("{gateway}/CreateChannel"), channel)
            .await?;
        let connection = json!({ "connection": { "channel_id": line.channel, "mode": mode } });
        self.ask(&format!("{CRM}/SetPipelineConnection"), connection)
            .await?;
        let enable = json!({ "channel_id": line.channel });
        self.ask(&format!("{gateway}/EnableChannel"), enable)
            .await?;
        Ok(line)
    }

    /// Sets what a line keeps in step.
    pub async fn keep(
        &self,
        line: &Line,
        from_crm: &[&str],
        to_crm: &[&str],
    ) -> anyhow::Result<()> {
        let sync = json!({ "sync": {
            "channel_id": line.channel, "from_crm": from_crm, "to_crm": to_crm } });
        self.ask(&format!("{SYNC}/SetResponsibleSync"), sync)
            .await?;
        Ok(())
    }

    /// A customer writes to a line; waits until what follows from it is done.
    pub async fn write(&self, line: &Line, customer: i64) -> anyhow::Result<Talk> {
        let said = self
            .world
            .telegram
            .say(&line.bot, customer, "Hello")
            .await?;
        anyhow::ensure!(
            said.statuses.contains(&200),
            "the webhook answered {said:?}"
        );
        let user = customer.to_string();
        let chat = eventually("the customer's open chat", async || {
            let chats = self.account.chats().await?;
            let found = chats.into_iter().find(|chat| {
                let client = chat.client.as_ref();
                chat.channel_id == line.channel
                    && chat.open_conversation.is_some()
                    && client.is_some_and(|client| client.user_id == user)
            });
            Ok(found.map(|chat| chat.chat_id))
        })
        .await?;
        quiet(&self.world).await?;
        let linked = json!({ "chat_id": chat });
        let linked = self
            .ask(&format!("{CRM}/GetChatConnections"), linked)
            .await?;
        let card = text(&linked, "/cards/0/card_id");
        Ok(Talk {
            contact: Entity::Contact(text(&linked, "/contact/contact_id")),
            card: (!card.is_empty()).then_some(Entity::Card(card)),
            chat,
        })
    }

    /// The conversation of a chat ends.
    pub async fn close(&self, chat: &str) -> anyhow::Result<()> {
        let close = "conversation.v1.ConversationService/CloseConversation";
        self.ask(close, json!({ "chat_id": chat })).await?;
        quiet(&self.world).await
    }

    /// Somebody says who answers for an entity; empty: nobody.
    pub async fn give(&self, entity: &Entity, agent: &str) -> anyhow::Result<()> {
        self.change(entity, "responsible_agent_id", json!(agent))
            .await
    }

    /// Somebody changes a field of an entity.
    pub async fn change(&self, entity: &Entity, field: &str, value: Value) -> anyhow::Result<()> {
        let (method, mut ask, _) = entity.method("Update");
        ask[field] = value;
        self.ask(&method, ask).await.map(drop)
    }

    /// A company to which these entities' contacts belong.
    pub async fn company_of(&self, contact: &Entity) -> anyhow::Result<Entity> {
        let create = "crm_cards.v1.CompanyService/CreateCompany";
        let made = self.ask(create, json!({ "name": "Oak" })).await?;
        let id = text(&made, "/company/company_id");
        self.change(contact, "company_id", json!(id)).await?;
        Ok(Entity::Company(id))
    }

    /// Somebody says who answers for a chat.
    pub async fn assign(&self, chat: &str, agent: &str) -> anyhow::Result<()> {
        let assign = json!({ "chat_id": chat, "agent_id": agent });
        let answer = self.ask(&format!("{ASSIGNMENT}/AssignChat"), assign).await;
        answer.map(drop)
    }

    /// Who answers for a chat.
    pub async fn chat(&self, chat: &str) -> anyhow::Result<Held> {
        let asked = json!({ "chat_id": chat });
        let answer = self
            .ask(&format!("{ASSIGNMENT}/GetChatAssignment"), asked)
            .await?;
        Ok(Held {
            agent: text(&answer, "/assignment/agent_id"),
            stamp: answer["assignment"]["stamp"].clone(),
        })
    }

    /// Who answers for an entity.
    pub async fn entity(&self, entity: &Entity) -> anyhow::Result<Held> {
        let (method, ask, name) = entity.method("Get");
        let answer = self.ask(&method, ask).await?;
        Ok(Held {
            agent: text(&answer[name], "/responsible_agent_id"),
            stamp: answer[name]["responsible_stamp"].clone(),
        })
    }

    /// Who answers for these chats, when all is at rest.
    pub async fn chats(&self, chats: &[&str]) -> anyhow::Result<Vec<String>> {
        quiet(&self.world).await?;
        let mut agents = Vec::new();
        for chat in chats {
            agents.push(self.chat(chat).await?.agent);
        }
        Ok(agents)
    }

    /// Who answers for these entities, when all is at rest.
    pub async fn entities(&self, entities: &[&Entity]) -> anyhow::Result<Vec<String>> {
        quiet(&self.world).await?;
        let mut agents = Vec::new();
        for entity in entities {
            agents.push(self.entity(entity).await?.agent);
        }
        Ok(agents)
    }

    /// The events of the account of these names, when all is at rest.
    pub async fn events(&self, names: &[&str]) -> anyhow::Result<Vec<Event>> {
        quiet(&self.world).await?;
        let events = read_all(&self.world.nats.url(), Some(&self.account.slug)).await?;
        let found = events
            .into_iter()
            .filter(|event| names.contains(&event.name()));
        Ok(found.collect())
    }

    /// How many events of each of these names there are.
    pub async fn counts<const N: usize>(&self, names: [&str; N]) -> anyhow::Result<[usize; N]> {
        let events = self.events(&names).await?;
        Ok(names.map(|name| events.iter().filter(|event| event.name() == name).count()))
    }
}

fn rand_digits() -> u32 {
    100_000_000 + u32::try_from(Uuid::new_v4().as_u128() % 800_000_000).unwrap_or(0)
}
