//! Whoever gets an internal message on an entity takes part in it (F183), and who may see an entity.

use chassis::access::{AccessRecord, View};
use chassis::actor::Actor;
use chassis::consumer::Delivery;
use chassis::testing;
use switchboard_proto::conversation::v1::{
    EntityReference, InternalMessage, InternalMessagePosted, entity_reference::Kind,
};
use switchboard_proto::crm_cards::v1::card_service_server::CardService as _;
use switchboard_proto::crm_cards::v1::check_entity_access_request::Entity;
use switchboard_proto::crm_cards::v1::company_service_server::CompanyService as _;
use switchboard_proto::crm_cards::v1::crm_cards_service_server::CrmCardsService as _;
use switchboard_proto::crm_cards::v1::entity_access_service_server::EntityAccessService as _;
use switchboard_proto::crm_cards::v1::order_service_server::OrderService as _;
use switchboard_proto::crm_cards::v1::*;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::world::{STRANGER, Tenant, World, deliver, reason, tenant, world};

const ANNA: Uuid = Uuid::from_u128(100);
const BOB: Uuid = Uuid::from_u128(200);
const EVE: Uuid = Uuid::from_u128(300);

/// A message of Anna's.
fn posted(tenant: &Tenant, kind: Kind, entity: &str, agents: &[Uuid]) -> Delivery {
    let event = InternalMessagePosted {
        message: Some(InternalMessage {
            entity: Some(EntityReference {
                kind: kind.into(),
                entity_id: entity.into(),
            }),
            ..Default::default()
        }),
        addressee_agent_ids: agents.iter().map(Uuid::to_string).collect(),
        contact_id: String::new(),
    };
    let mut delivery = deliver(&tenant.account, entity, &event);
    delivery.envelope.actor = Some(Actor::Agent(ANNA));
    delivery
}

fn texts(ids: &[Uuid]) -> Vec<String> {
    ids.iter().map(Uuid::to_string).collect()
}

#[tokio::test]
async fn f183_addressees_take_part_in_a_card_once_by_the_authors_act() {
    let (world, tenant) = (world().await, tenant());
    world.pipeline(&tenant).await;
    let card = world.card(&tenant, "Oak table").await;
    let first = posted(&tenant, Kind::Card, &card.card_id, &[BOB, ANNA]);
    let again = posted(&tenant, Kind::Card, &card.card_id, &[BOB]);
    let second = posted(&tenant, Kind::Card, &card.card_id, &[EVE]);
    world.handle(&[first.clone(), again, second]).await.unwrap();
    let changed = world.get_card(&tenant, &card.card_id).await.unwrap();
    assert_eq!(changed.participant_agent_ids, texts(&[ANNA, BOB, EVE]));
    assert_eq!(changed.revision, card.revision + 2);
    let history = world.history(&tenant, &card.card_id).await;
    let by_anna = format!("participants by agent:{ANNA}: ");
    let of_anna = history.iter().filter(|entry| entry.starts_with(&by_anna));
    assert_eq!(of_anna.count(), 2, "{history:?}");
    let published = world.published(&tenant.account).await;
    let updated: Vec<_> = published
        .iter()
        .filter(|event| event.name == "card.updated")
        .collect();
    assert_eq!(updated.len(), 2);
    assert_eq!(updated[0].cause, Some(first.envelope.id));
    assert_eq!(updated[0].actor, format!("agent:{ANNA}"));
    let told = updated[1].read::<CardUpdated>().card.unwrap();
    assert_eq!(told.participant_agent_ids, changed.participant_agent_ids);
    assert_eq!(told.revision, changed.revision);

    // Who was taken off since is not added again by a repeat.
    let off = RemoveCardParticipantsRequest {
        card_id: card.card_id.clone(),
        agent_ids: texts(&[BOB]),
    };
    world
        .api
        .remove_card_participants(tenant.ask(off))
        .await
        .unwrap();
    world.handle(&[first]).await.unwrap();
    let after = world.get_card(&tenant, &card.card_id).await.unwrap();
    assert_eq!(after.participant_agent_ids, texts(&[ANNA, EVE]));

    // A card that is not there any more, another account's, and a kind from the future are nobody's fault.
    let other = world.card(&tenant, "Gone").await;
    world.delete_card(&tenant, &other.card_id).await.unwrap();
    let stranger = crate::world::tenant();
    let late = [
        posted(&tenant, Kind::Card, &other.card_id, &[BOB]),
        posted(&stranger, Kind::Card, &card.card_id, &[BOB]),
        posted(&tenant, Kind::Unspecified, &card.card_id, &[BOB]),
    ];
    world.handle(&late).await.unwrap();
    let same = world.get_card(&tenant, &card.card_id).await.unwrap();
    assert_eq!(same, after);
}

#[tokio::test]
async fn f183_as_many_take_part_as_there_is_room_for() {
    let (world, tenant) = (world().await, tenant());
    world.pipeline(&tenant).await;
    let card = world.card(&tenant, "Oak table").await;
    let many: Vec<Uuid> = (1..=60).map(Uuid::from_u128).collect();
    let message = posted(&tenant, Kind::Card, &card.card_id, &many);
    world.handle(&[message]).await.unwrap();
    let changed = world.get_card(&tenant, &card.card_id).await.unwrap();
    assert_eq!(changed.participant_agent_ids, texts(&many[..50]));
}

#[tokio::test]
async fn f183_addressees_take_part_in_contacts_companies_and_orders() {
    let (world, tenant) = (world().await, tenant());
    world.pipeline(&tenant).await;
    let new = |name: &str| CreateContactRequest {
        name: name.into(),
        ..Default::default()
    };
    let contact = world.new_contact(&tenant, new("Olena")).await.unwrap();
    let twin = world.new_contact(&tenant, new("Olenka")).await.unwrap();
    let company = CreateCompanyRequest {
        name: "Kava".into(),
        ..Default::default()
    };
    let company = world.new_company(&tenant, company).await.unwrap();
    world.save_buyer(&tenant, &contact.contact_id).await;
    let order = world
        .create_order(&tenant, &contact.contact_id)
        .await
        .unwrap();
    let batch = [
        posted(&tenant, Kind::Contact, &contact.contact_id, &[BOB]),
        posted(&tenant, Kind::Contact, &twin.contact_id, &[EVE]),
        posted(&tenant, Kind::Company, &company.company_id, &[BOB, EVE]),
        posted(&tenant, Kind::Order, &order.order_id, &[EVE]),
        posted(&tenant, Kind::Order, &order.order_id, &[BOB]),
    ];
    world.handle(&batch).await.unwrap();
    world.handle(&batch).await.unwrap();

    let of_contact = async |contact: &Contact| {
        let ask = GetContactRequest {
            contact_id: contact.contact_id.clone(),
        };
        let answer = world.api.get_contact(tenant.ask(ask)).await.unwrap();
        answer.into_inner().contact.unwrap().participant_agent_ids
    };
    assert_eq!(of_contact(&contact).await, texts(&[BOB]));
    let ask = GetCompanyRequest {
        company_id: company.company_id.clone(),
    };
    let answer = world.api.get_company(tenant.ask(ask)).await.unwrap();
    let of_company = answer.into_inner().company.unwrap();
    assert_eq!(of_company.participant_agent_ids, texts(&[BOB, EVE]));
    let ask = GetOrderRequest {
        order_id: order.order_id.clone(),
    };
    let answer = world.api.get_order(tenant.ask(ask)).await.unwrap();
    let of_order = answer.into_inner().order.unwrap();
    assert_eq!(of_order.participant_agent_ids, texts(&[BOB, EVE]));
    let about = list_history_request::Entity::OrderId(order.order_id);
    let kinds = [history_entry::Kind::Participants];
    let history = world.history_of(&tenant, about, &kinds).await;
    assert_eq!(history.len(), 2, "{history:?}");

    // Who takes part in a contact that is merged into another one takes part in that, until the merge is taken back.
    world.merge(&tenant, &twin, &contact).await.unwrap();
    assert_eq!(of_contact(&contact).await, texts(&[BOB, EVE]));
}

/// An agent who sees leads and contacts so far.
fn record(agent: Uuid, leads: View, contacts: View) -> AccessRecord {
    let mut record = testing::full_access(agent.into());
    // Newer than what was fetched.
    record.version = 2;
    record.leads.view = leads;
    record.contacts.view = contacts;
    record
}

async fn check(
    world: &World,
    tenant: &Tenant,
    entity: Entity,
    agents: &[Uuid],
) -> Result<CheckEntityAccessResponse, Status> {
    let ask = CheckEntityAccessRequest {
        entity: Some(entity),
        agent_ids: texts(agents),
    };
    let answer = world.api.check_entity_access(tenant.ask(ask)).await?;
    Ok(answer.into_inner())
}

#[tokio::test]
async fn f181_x11_who_may_see_an_entity_is_told_as_reading_it_would_be() {
    let (world, tenant) = (world().await, tenant());
    world.pipeline(&tenant).await;
    let contact = CreateContactRequest {
        name: "Olena".into(),
        responsible_agent_id: EVE.to_string(),
        ..Default::default()
    };
    let contact = world.new_contact(&tenant, contact).await.unwrap();
    world.save_buyer(&tenant, &contact.contact_id).await;
    let order = world
        .create_order(&tenant, &contact.contact_id)
        .await
        .unwrap();
    let card = CreateCardRequest {
        title: "Oak table".into(),
        contact_id: contact.contact_id.clone(),
        responsible_agent_id: BOB.to_string(),
        ..Default::default()
    };
    let card = world.new_card(&tenant, card).await.unwrap();
    let card_of = || Entity::CardId(card.card_id.clone());
    let contact_of = || Entity::ContactId(contact.contact_id.clone());
    let order_of = || Entity::OrderId(order.order_id.clone());

    // Bob and Eve see their own ones alone; Anna sees leads, and no contacts. Each was told by an event.
    let records = [
        record(ANNA, View::All, View::None),
        record(BOB, View::Own, View::Own),
        record(EVE, View::Own, View::Own),
    ];
    let keys: Vec<_> = records
        .iter()
        .map(|record| (tenant.account.clone(), record.clone()))
        .collect();
    let mut connection = world.database.pool.acquire().await.unwrap();
    chassis::access::AccessCopy::apply(&mut connection, &keys)
        .await
        .unwrap();
    let all = [ANNA, BOB, EVE, STRANGER];
    for (entity, seeing, owner) in [
        (card_of(), &[ANNA, BOB][..], &card.card_id),
        (contact_of(), &[EVE], &contact.contact_id),
        (order_of(), &[EVE], &contact.contact_id),
    ] {
        let told = check(&world, &tenant, entity, &all).await.unwrap();
        let mut agents = told.agent_ids;
        agents.sort();
        assert_eq!(agents, texts(seeing), "{owner}");
        assert_eq!(told.owner.unwrap().entity_id, *owner);
    }
    // It says of each what reading in their own name says.
    for (record, entity, code) in [
        (&records[0], card_of(), Code::Ok),
        (&records[0], contact_of(), Code::PermissionDenied),
        (&records[1], card_of(), Code::Ok),
        (&records[1], contact_of(), Code::NotFound),
        (&records[1], order_of(), Code::NotFound),
        (&records[2], order_of(), Code::Ok),
        (&records[2], card_of(), Code::NotFound),
    ] {
        let agent = tenant.agent(record.clone());
        let answer = check(&world, &agent, entity.clone(), &[]).await;
        let got = answer.map_or_else(|status| status.code(), |_| Code::Ok);
        assert_eq!(got, code, "{:?} of {entity:?}", record.agent);
    }
    let elsewhere = check(&world, &crate::world::tenant(), card_of(), &all).await;
    let elsewhere = elsewhere.unwrap_err();
    assert_eq!(
        (elsewhere.code(), &*reason(&elsewhere)),
        (Code::NotFound, "CARD_UNKNOWN")
    );
}
