//! Who may see an entity: asked by services that keep something about entities, as conversation keeps their internal chats.

use std::collections::BTreeSet;

use chassis::access::{AccessError, AccessRecord};
use chassis::auth::Caller;
use chassis::id::AgentId;
use switchboard_proto::common::v1::LinkedEntity;
use uuid::Uuid;

use super::history::About;
use super::{App, companies, contacts, list_cards, orders};
use crate::domain::access::{Kind, sight};
use crate::domain::fields::Entity;
use crate::error::Error;
use crate::store::{merges, participants};
use crate::wire;

/// An entity, and who may see it.
#[derive(Debug, Clone)]
pub struct Looked {
    /// Its id.
    pub id: Uuid,
    /// Contacts that were merged into it.
    pub merged: Vec<Uuid>,
    /// The entity whose responsible opens it to who sees own ones alone.
    pub owner: LinkedEntity,
    /// Who of those that were named may see it.
    pub agents: Vec<AgentId>,
}

/// Looks at an entity that the caller sees; tells which of these agents see it, too.
pub async fn look(
    app: &App,
    caller: &Caller,
    about: About,
    agents: &[AgentId],
) -> Result<Looked, Error> {
    let mut merged = Vec::new();
    let (id, kind, responsible, owner) = match about {
        About::Card(id) => {
            let card = list_cards::get(app, caller, id).await?;
            let owner = wire::linked_card(&card);
            (card.id.uuid(), Kind::Leads, card.responsible, owner)
        }
        About::Contact(id) => {
            let contact = contacts::get(app, caller, id).await?;
            let mut connection = app.pool.acquire().await?;
            let account = caller.account();
            merged = merges::merged_into(&mut connection, account, contact.id).await?;
            let owner = wire::linked_contact(&contact);
            (
                contact.id.uuid(),
                Kind::Contacts,
                contact.responsible,
                owner,
            )
        }
        About::Company(id) => {
            let company = companies::get(app, caller, id).await?;
            let owner = wire::linked_company(&company);
            (
                company.id.uuid(),
                Kind::Contacts,
                company.responsible,
                owner,
            )
        }
        About::Order(id) => {
            let order = orders::get(app, caller, id).await?;
            let buyer = contacts::get(app, caller, order.contact).await?;
            let owner = wire::linked_contact(&buyer);
            (order.id.uuid(), Kind::Contacts, buyer.responsible, owner)
        }
    };
    // An order is seen by who sees orders at all, and its buyer.
    let orders = matches!(about, About::Order(_));
    let sees = |record: &AccessRecord| {
        let reached = sight(Some(record), kind).is_ok_and(|sight| sight.reaches(responsible));
        record.active && reached && (!orders || sight(Some(record), Kind::Leads).is_ok())
    };
    let keys: BTreeSet<_> = agents
        .iter()
        .map(|agent| (caller.account().clone(), *agent))
        .collect();
    let records = app.staff.several(&keys).await;
    let records = records.map_err(|AccessError::Away(why)| Error::StaffAway(why))?;
    let seeing = records.into_values().filter(sees);
    Ok(Looked {
        id,
        merged,
        owner,
        agents: seeing.map(|record| record.agent).collect(),
    })
}

/// Returns who takes part in an entity that the caller sees and that is no card, as texts for the wire.
pub async fn participants(
    app: &App,
    caller: &Caller,
    (entity, id): (Entity, Uuid),
) -> Result<Vec<String>, Error> {
    let account = caller.account();
    let mut connection = app.pool.acquire().await?;
    let mut subjects = vec![id];
    if entity == Entity::Contact {
        subjects.extend(merges::merged_into(&mut connection, account, id.into()).await?);
    }
    let agents = participants::of(&mut connection, account, entity, &subjects).await?;
    Ok(agents.iter().map(Uuid::to_string).collect())
}
