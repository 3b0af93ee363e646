//! Who asks: an agent of every kind, and others.

use std::fmt;

use serde_json::{Value, json};
use switchboard_tests::rpc::Rpc;
use switchboard_tests::world::{Account, Bearer, World};
use uuid::Uuid;

/// All that a token of an account can be used for: what is refused then is refused by rights.
pub const ALL_SCOPES: &str = "chats:* crm:* channels:* agents:* integrations:*";

/// The kinds of agents, in the order of the columns of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Everything, settings too.
    Owner,
    /// Every channel, all leads and contacts (F174).
    Full,
    /// Every channel, own leads and contacts (F177); responsible for nothing of what is asked for.
    Own,
    /// Every channel; creates leads and contacts and sees none (F176).
    Limited,
    /// Every channel; neither leads nor contacts (F175).
    None,
    /// All leads and contacts, settings, and no channel (D21).
    Admin,
    /// All leads and contacts on another channel (F062).
    Elsewhere,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Owner,
        Self::Full,
        Self::Own,
        Self::Limited,
        Self::None,
        Self::Admin,
        Self::Elsewhere,
    ];

    /// What is granted; `other` is the channel of those elsewhere.
    pub fn grants(self, other: &str) -> Value {
        let both = |create: bool, view: &str| {
            let kind = json!({ "create": create, "view": view });
            (kind.clone(), kind)
        };
        let (leads, contacts) = match self {
            Self::Owner | Self::Full | Self::Admin | Self::Elsewhere => both(true, "VIEW_ALL"),
            Self::Own => both(true, "VIEW_OWN"),
            Self::Limited => both(true, "VIEW_NONE"),
            Self::None => both(false, "VIEW_NONE"),
        };
        let channels = match self {
            Self::Admin => json!({}),
            Self::Elsewhere => json!({ "channel_ids": [other] }),
            _ => json!({ "all": true }),
        };
        let settings = matches!(self, Self::Owner | Self::Admin);
        json!({ "channels": channels, "leads": leads, "contacts": contacts, "settings": settings })
    }
}

/// An agent with a token of all scopes.
#[derive(Clone)]
pub struct Person {
    /// Their id.
    pub id: Uuid,
    /// Their token.
    pub bearer: Bearer,
}

impl fmt::Debug for Person {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "agent {}", self.id)
    }
}

/// The token of a service of the account, with all scopes.
pub fn service(world: &World, account: &str) -> anyhow::Result<Bearer> {
    let tokens = world.system.tokens();
    Bearer::new(&tokens.service(account, "everything", ALL_SCOPES))
}

/// Makes an agent with these grants.
pub async fn person(
    world: &World,
    rpc: &Rpc,
    account: &Account,
    name: &str,
    grants: Value,
) -> anyhow::Result<Person> {
    let id = Uuid::new_v4();
    let ask = json!({ "agent_id": id.to_string(), "name": name, "grants": grants });
    let admin = service(world, &account.slug)?;
    rpc.call("assignment.v1.AssignmentService/CreateAgent", &admin, &ask)
        .await?;
    let token = world.system.tokens().agent(&account.slug, id, ALL_SCOPES);
    Ok(Person {
        id,
        bearer: Bearer::new(&token)?,
    })
}

/// Makes an agent of a kind.
pub async fn of_kind(
    world: &World,
    rpc: &Rpc,
    account: &Account,
    kind: Kind,
    other_channel: &str,
) -> anyhow::Result<Person> {
    let grants = kind.grants(other_channel);
    person(world, rpc, account, &format!("{kind:?}"), grants).await
}
