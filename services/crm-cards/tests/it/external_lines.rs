//! The External Lines field of cards, contacts and companies.

use chassis::access::{ChannelGrant, ChatAccess};
use chassis::testing;
use switchboard_proto::crm_cards::v1::card_service_server::CardService as _;
use switchboard_proto::crm_cards::v1::company_service_server::CompanyService as _;
use switchboard_proto::crm_cards::v1::crm_cards_service_server::CrmCardsService as _;
use switchboard_proto::crm_cards::v1::pipeline_connection::Mode;
use switchboard_proto::crm_cards::v1::*;
use uuid::Uuid;

use crate::world::{Chat, Tenant, World, tenant, world};

const FIRST: Uuid = Uuid::from_u128(1);
const SECOND: Uuid = Uuid::from_u128(2);
const ANNA: Uuid = Uuid::from_u128(100);

/// Lines as `messenger account: number of chats`.
fn told(lines: &[ExternalLine]) -> Vec<String> {
    let line = |line: &ExternalLine| {
        let chats = line.chat_ids.len();
        format!("{} {}: {chats}", line.messenger, line.account)
    };
    lines.iter().map(line).collect()
}

async fn listed_cards(world: &World, tenant: &Tenant) -> Vec<Card> {
    let request = ListCardsRequest::default();
    let answer = world.api.list_cards(tenant.ask(request)).await.unwrap();
    answer.into_inner().cards
}

async fn listed_contacts(world: &World, tenant: &Tenant) -> Vec<Contact> {
    let request = ListContactsRequest::default();
    let answer = world.api.list_contacts(tenant.ask(request)).await.unwrap();
    answer.into_inner().contacts
}

async fn board(world: &World, tenant: &Tenant, pipeline: &Pipeline) -> Vec<Card> {
    let request = GetBoardRequest {
        pipeline_id: pipeline.pipeline_id.clone(),
        column_size: 0,
    };
    let board = world.api.get_board(tenant.ask(request)).await.unwrap();
    let columns = board.into_inner().columns.into_iter();
    columns.flat_map(|column| column.cards).collect()
}

async fn companies(world: &World, tenant: &Tenant) -> Vec<Company> {
    let request = ListCompaniesRequest::default();
    let answer = world.api.list_companies(tenant.ask(request)).await.unwrap();
    answer.into_inner().companies
}

#[tokio::test]
async fn f152_f153_f157_f158_lists_show_the_clients_account_and_messenger_with_both_bots_chats() {
    let (world, tenant) = (world().await, tenant());
    let pipeline = world.pipeline(&tenant).await;
    // One card of the client over all chats (D02): the second bot makes none (F154).
    for channel in [FIRST, SECOND] {
        let connection = PipelineConnection {
            channel_id: channel.to_string(),
            mode: Mode::Repeat.into(),
            scope: pipeline_connection::Scope::Client.into(),
            ..PipelineConnection::default()
        };
        world.connect(&tenant, connection).await.unwrap();
    }
    let chat = |channel| Chat { channel, user: "7" };
    let mut first = tenant.opening(chat(FIRST), 1);
    let mut second = tenant.opening(chat(SECOND), 2);
    for opening in [&mut first, &mut second] {
        opening.event.client.as_mut().unwrap().username = "olena".into();
    }
    world.handle(&[first.delivery()]).await.unwrap();
    world.handle(&[second.delivery()]).await.unwrap();
    let cards = listed_cards(&world, &tenant).await;
    assert_eq!(cards.len(), 1);
    assert_eq!(told(&cards[0].external_lines), ["telegram @olena: 2"]);
    assert_eq!(cards[0].external_lines[0].name, "Client 7");
    let contacts = listed_contacts(&world, &tenant).await;
    assert_eq!(contacts.len(), 1);
    assert_eq!(contacts[0].external_lines, cards[0].external_lines);
    assert_eq!(board(&world, &tenant, &pipeline).await, cards);
    let request = GetCardRequest {
        card_id: cards[0].card_id.clone(),
    };
    let card = world.api.get_card(tenant.ask(request)).await.unwrap();
    assert_eq!(card.into_inner().card.unwrap(), cards[0]);
    // The company has those of its contacts.
    let company = CreateCompanyRequest {
        name: "Kava".into(),
        ..CreateCompanyRequest::default()
    };
    let company = world.new_company(&tenant, company).await.unwrap();
    assert!(
        companies(&world, &tenant).await[0]
            .external_lines
            .is_empty()
    );
    let change = UpdateContactRequest {
        contact_id: contacts[0].contact_id.clone(),
        company_id: Some(company.company_id),
        ..UpdateContactRequest::default()
    };
    world.update_contact(&tenant, change).await.unwrap();
    let listed = companies(&world, &tenant).await;
    assert_eq!(listed[0].external_lines, cards[0].external_lines);
}

#[tokio::test]
async fn x11_the_external_lines_field_holds_no_chat_of_a_channel_that_is_not_granted() {
    let (world, tenant) = (world().await, tenant());
    let pipeline = world.pipeline(&tenant).await;
    world.set_mode(&tenant, FIRST, Mode::Repeat).await;
    let mut second = tenant.opening(
        Chat {
            channel: SECOND,
            user: "7",
        },
        2,
    );
    let mut first = tenant.opening(
        Chat {
            channel: FIRST,
            user: "7",
        },
        1,
    );
    for opening in [&mut first, &mut second] {
        opening.event.client.as_mut().unwrap().username = "olena".into();
    }
    world
        .handle(&[first.delivery(), second.delivery()])
        .await
        .unwrap();
    let mut record = testing::full_access(ANNA.into());
    record.channels = ChannelGrant::Some([SECOND].into());
    let of_second = tenant.agent(record.clone());
    let cards = listed_cards(&world, &of_second).await;
    assert_eq!(told(&cards[0].external_lines), ["telegram @olena: 1"]);
    assert_eq!(cards[0].external_lines[0].chat_ids, [second.chat()]);
    record.channels = ChannelGrant::Some([Uuid::from_u128(9)].into());
    let of_none = tenant.agent(record.clone());
    assert!(
        listed_cards(&world, &of_none).await[0]
            .external_lines
            .is_empty()
    );
    assert!(
        board(&world, &of_none, &pipeline).await[0]
            .external_lines
            .is_empty()
    );
    // Limited access to chats hides what is bound to them (D11).
    record.channels = ChannelGrant::All;
    record.chats = ChatAccess::Limited;
    let limited = tenant.agent(record);
    assert!(
        listed_contacts(&world, &limited).await[0]
            .external_lines
            .is_empty()
    );
}
