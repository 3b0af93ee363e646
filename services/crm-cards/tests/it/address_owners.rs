//! Addresses of a contact by which others are known: what is written there first would stand in their chats (F084).

use chassis::access::{KindAccess, View};
use chassis::testing;
use switchboard_proto::common::v1::ClientIdentity;
use switchboard_proto::crm_cards::v1::crm_cards_service_server::CrmCardsService as _;
use switchboard_proto::crm_cards::v1::*;
use uuid::Uuid;

use crate::world::{Chat, Tenant, World, tenant, world};

const CHANNEL: Uuid = Uuid::from_u128(1);
const ANNA: Uuid = Uuid::from_u128(100);

/// Somebody writes a mail; returns who that is.
async fn writes(world: &World, tenant: &Tenant, address: &str, number: i64) -> Contact {
    let chat = Chat {
        channel: CHANNEL,
        user: address,
    };
    let mut opening = tenant.opening(chat, number);
    opening.event.client = Some(ClientIdentity {
        scope: "email".into(),
        user_id: address.into(),
        name: format!("Writer {number}"),
        email: address.into(),
        ..ClientIdentity::default()
    });
    world.handle(&[opening.delivery()]).await.unwrap();
    let found = world.connections(tenant, &opening.chat()).await;
    found.contact.unwrap()
}

async fn owners(world: &World, tenant: &Tenant, contact: &Contact) -> Vec<AddressOwner> {
    let request = GetContactRequest {
        contact_id: contact.contact_id.clone(),
    };
    let answer = world.api.get_contact(tenant.ask(request)).await.unwrap();
    answer.into_inner().address_owners
}

#[tokio::test]
async fn f084_addresses_by_which_others_are_known_are_told_with_their_contacts() {
    let (world, tenant) = (world().await, tenant());
    let writer = writes(&world, &tenant, "boris@x.example", 1).await;
    let made = CreateContactRequest {
        name: "Olena".into(),
        emails: ["olena@x.example", "Boris@X.example"]
            .map(String::from)
            .into(),
        responsible_agent_id: ANNA.to_string(),
        ..CreateContactRequest::default()
    };
    let olena = world.new_contact(&tenant, made).await.unwrap();
    let told = owners(&world, &tenant, &olena).await;
    assert_eq!(
        told,
        [AddressOwner {
            address: "boris@x.example".into(),
            contact_id: writer.contact_id.clone(),
            name: writer.name.clone(),
        }]
    );
    assert_eq!(owners(&world, &tenant, &writer).await, [], "their own");

    // Who sees own contacts alone is told that it is somebody's, and not whose.
    let own = KindAccess {
        create: true,
        view: View::Own,
    };
    let mut record = testing::full_access(ANNA.into());
    (record.leads, record.contacts) = (own, own);
    let told = owners(&world, &tenant.agent(record), &olena).await;
    assert_eq!(
        told,
        [AddressOwner {
            address: "boris@x.example".into(),
            ..AddressOwner::default()
        }]
    );

    // Another account's people are nobody here.
    let elsewhere = crate::world::tenant();
    writes(&world, &elsewhere, "olena@x.example", 1).await;
    assert_eq!(owners(&world, &tenant, &olena).await.len(), 1);

    // Merged, they are one.
    let merged = world.merge(&tenant, &writer, &olena).await.unwrap();
    assert_eq!(owners(&world, &tenant, &merged).await, []);
    assert_eq!(owners(&world, &tenant, &writer).await, []);
}
