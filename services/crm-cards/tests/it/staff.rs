//! Who answers for what: agents of the account who are active, and whoever would lose what they make (X06, F135).

use chassis::access::{KindAccess, View};
use chassis::testing;
use chassis::testing::request;
use switchboard_proto::crm_cards::v1::card_service_server::CardService as _;
use switchboard_proto::crm_cards::v1::company_service_server::CompanyService as _;
use switchboard_proto::crm_cards::v1::contact_service_server::ContactService as _;
use switchboard_proto::crm_cards::v1::crm_cards_service_server::CrmCardsService as _;
use switchboard_proto::crm_cards::v1::*;
use tonic::Status;
use uuid::Uuid;

use crate::world::{STRANGER, Tenant, World, field, tenant, world};

const ANNA: Uuid = Uuid::from_u128(100);

/// An account with a pipeline, a card, a contact and a company.
async fn prepared() -> (World, Tenant, [String; 3]) {
    let (world, tenant) = (world().await, tenant());
    world.pipeline(&tenant).await;
    let card = made_card(&world, &tenant, "").await.unwrap().card_id;
    let contact = made_contact(&world, &tenant, "").await.unwrap().contact_id;
    let company = made_company(&world, &tenant, "").await.unwrap().company_id;
    (world, tenant, [card, contact, company])
}

async fn made_card(world: &World, tenant: &Tenant, responsible: &str) -> Result<Card, Status> {
    let ask = CreateCardRequest {
        title: "A wardrobe".into(),
        responsible_agent_id: responsible.into(),
        ..CreateCardRequest::default()
    };
    let answer = world.api.create_card(tenant.ask(ask)).await?;
    Ok(answer.into_inner().card.unwrap())
}

async fn made_contact(
    world: &World,
    tenant: &Tenant,
    responsible: &str,
) -> Result<Contact, Status> {
    let ask = CreateContactRequest {
        name: "Olena".into(),
        responsible_agent_id: responsible.into(),
        ..CreateContactRequest::default()
    };
    let answer = world.api.create_contact(tenant.ask(ask)).await?;
    Ok(answer.into_inner().contact.unwrap())
}

async fn made_company(
    world: &World,
    tenant: &Tenant,
    responsible: &str,
) -> Result<Company, Status> {
    let ask = CreateCompanyRequest {
        name: "Kava".into(),
        responsible_agent_id: responsible.into(),
        ..CreateCompanyRequest::default()
    };
    let answer = world.api.create_company(tenant.ask(ask)).await?;
    Ok(answer.into_inner().company.unwrap())
}

#[tokio::test]
async fn x06_nothing_is_given_to_who_is_no_agent_of_the_account() {
    let (world, tenant, [card, contact, company]) = prepared().await;
    let stranger = STRANGER.to_string();
    let update_card = UpdateCardRequest {
        card_id: card.clone(),
        responsible_agent_id: Some(stranger.clone()),
        ..UpdateCardRequest::default()
    };
    let update_contact = UpdateContactRequest {
        contact_id: contact,
        responsible_agent_id: Some(stranger.clone()),
        ..UpdateContactRequest::default()
    };
    let update_company = UpdateCompanyRequest {
        company_id: company,
        responsible_agent_id: Some(stranger.clone()),
        ..UpdateCompanyRequest::default()
    };
    let participants = AddCardParticipantsRequest {
        card_id: card.clone(),
        agent_ids: vec![ANNA.to_string(), stranger.clone()],
    };
    let before = world.published(&tenant.account).await.len();
    let by = &tenant.caller;
    for (refused, named) in [
        (
            made_card(&world, &tenant, &stranger).await.err(),
            "responsible_agent_id",
        ),
        (
            made_contact(&world, &tenant, &stranger).await.err(),
            "responsible_agent_id",
        ),
        (
            made_company(&world, &tenant, &stranger).await.err(),
            "responsible_agent_id",
        ),
        (
            world.api.update_card(request(by, update_card)).await.err(),
            "responsible_agent_id",
        ),
        (
            world
                .api
                .update_contact(request(by, update_contact))
                .await
                .err(),
            "responsible_agent_id",
        ),
        (
            world
                .api
                .update_company(request(by, update_company))
                .await
                .err(),
            "responsible_agent_id",
        ),
        (
            world
                .api
                .add_card_participants(request(by, participants))
                .await
                .err(),
            "agent_ids[1]",
        ),
    ] {
        assert_eq!(field(&refused.unwrap()), named);
    }
    assert_eq!(
        world.published(&tenant.account).await.len(),
        before,
        "nothing is half done"
    );
    assert!(made_card(&world, &tenant, &ANNA.to_string()).await.is_ok());
}

#[tokio::test]
async fn f135_who_sees_only_their_own_keeps_what_they_make() {
    let (world, tenant, _) = prepared().await;
    let mut record = testing::full_access(ANNA.into());
    let own = KindAccess {
        create: true,
        view: View::Own,
    };
    (record.leads, record.contacts) = (own, own);
    let anna = tenant.agent(record);
    let card = made_card(&world, &anna, "").await.unwrap();
    let contact = made_contact(&world, &anna, "").await.unwrap();
    let company = made_company(&world, &anna, "").await.unwrap();
    let responsibles = [
        &card.responsible_agent_id,
        &contact.responsible_agent_id,
        &company.responsible_agent_id,
    ];
    assert_eq!(responsibles, [&ANNA.to_string(); 3]);
    let card = GetCardRequest {
        card_id: card.card_id,
    };
    assert!(world.api.get_card(anna.ask(card)).await.is_ok());
    let contact = GetContactRequest {
        contact_id: contact.contact_id,
    };
    assert!(world.api.get_contact(anna.ask(contact)).await.is_ok());
    let names = world.names(&tenant.account).await;
    let told = names
        .iter()
        .filter(|name| *name == "entity.responsible-changed");
    assert_eq!(told.count(), 0, "nobody chose it: no chat follows it");
    // Who says somebody else means it, and who sees all keeps nothing for themselves.
    let bob = Uuid::from_u128(200).to_string();
    assert_eq!(
        made_card(&world, &anna, &bob)
            .await
            .unwrap()
            .responsible_agent_id,
        bob
    );
    assert_eq!(
        made_card(&world, &tenant, "")
            .await
            .unwrap()
            .responsible_agent_id,
        ""
    );
}
