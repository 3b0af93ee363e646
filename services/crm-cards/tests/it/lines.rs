//! Lines of the feature list that no other room of these tests bears by its number: from the rule of a channel to the chat's
//! connections.

use switchboard_proto::common::v1::EntityKind;
use switchboard_proto::crm_cards::v1::card_service_server::CardService as _;
use switchboard_proto::crm_cards::v1::contact_service_server::ContactService as _;
use switchboard_proto::crm_cards::v1::crm_cards_service_server::CrmCardsService as _;
use switchboard_proto::crm_cards::v1::pipeline_connection::Mode;
use switchboard_proto::crm_cards::v1::*;
use tonic::Code;
use uuid::Uuid;

use crate::world::{Chat, Opening, Tenant, World, field, reason, tenant, world};

const A: Uuid = Uuid::from_u128(1);
const B: Uuid = Uuid::from_u128(2);

fn opening(tenant: &Tenant, channel: Uuid, number: i64) -> Opening {
    tenant.opening(Chat { channel, user: "1" }, number)
}

async fn rule(world: &World, tenant: &Tenant, channel: Uuid) -> PipelineConnection {
    let request = GetPipelineConnectionRequest {
        channel_id: channel.to_string(),
    };
    let answer = world.api.get_pipeline_connection(tenant.ask(request));
    answer.await.unwrap().into_inner().connection.unwrap()
}

/// The lead of a client who wrote once, and the opening that made it.
async fn lead(world: &World, tenant: &Tenant) -> (Card, Opening) {
    world.pipeline(tenant).await;
    world.set_mode(tenant, A, Mode::Repeat).await;
    let opening = opening(tenant, A, 1);
    world.handle(&[opening.delivery()]).await.unwrap();
    (world.cards(tenant).await.remove(0), opening)
}

#[tokio::test]
async fn f001_f004_each_channel_has_its_own_rule_from_before_it_is_connected() {
    let (world, tenant) = (world().await, tenant());
    world.pipeline(&tenant).await;
    // Nobody has heard of the channels yet: a rule is set while they are being added.
    world.set_mode(&tenant, A, Mode::OneTime).await;
    let before = rule(&world, &tenant, A).await;
    world.set_mode(&tenant, B, Mode::Repeat).await;
    world.set_mode(&tenant, B, Mode::ContactWithoutCards).await;
    assert_eq!(rule(&world, &tenant, A).await, before);
    assert_eq!(
        rule(&world, &tenant, B).await.mode(),
        Mode::ContactWithoutCards
    );
    let openings = [opening(&tenant, A, 1), opening(&tenant, B, 2)];
    world
        .handle(&openings.map(|one| one.delivery()))
        .await
        .unwrap();
    let modes = world.decisions(&tenant).await.into_iter();
    let mut modes: Vec<Mode> = modes
        .map(|decision| decision.connection.unwrap().mode())
        .collect();
    modes.sort();
    assert_eq!(modes, [Mode::OneTime, Mode::ContactWithoutCards]);
}

#[tokio::test]
async fn f020_what_is_refused_or_not_saved_changes_nothing() {
    let (world, tenant) = (world().await, tenant());
    world.pipeline(&tenant).await;
    world.set_mode(&tenant, A, Mode::OneTime).await;
    let before = rule(&world, &tenant, A).await;
    let wrong = PipelineConnection {
        channel_id: A.to_string(),
        mode: Mode::Repeat.into(),
        pipeline_id: Uuid::from_u128(404).to_string(),
        ..PipelineConnection::default()
    };
    let refused = world.connect(&tenant, wrong).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(rule(&world, &tenant, A).await, before);
    let opening = opening(&tenant, A, 1);
    world.handle(&[opening.delivery()]).await.unwrap();
    assert_eq!(world.rule(&tenant, &opening).await, "FIRST_CARD_OF_CHAT");
}

#[tokio::test]
async fn f016_d01_repeat_looks_at_openings_alone_of_new_chats_and_of_known_ones() {
    let (world, tenant) = (world().await, tenant());
    let (card, _) = lead(&world, &tenant).await;
    // What is written into an open chat does not come here at all: no message is among the events that are read.
    let read = crm_cards::events::FILTERS.iter();
    let of_messages =
        read.filter(|filter| filter.entity == "message" || filter.event == "continued");
    assert_eq!(of_messages.count(), 0);
    let second = opening(&tenant, A, 2);
    world.handle(&[second.delivery()]).await.unwrap();
    assert_eq!(world.rule(&tenant, &second).await, "CARD_IN_WORK");
    let pipelines = ListPipelinesRequest::default();
    let pipelines = world
        .api
        .list_pipelines(tenant.ask(pipelines))
        .await
        .unwrap();
    let pipeline = pipelines.into_inner().pipelines.remove(0);
    world
        .move_card(&tenant, &pipeline, &card.card_id, StatusKind::Rejected)
        .await;
    let third = opening(&tenant, A, 3);
    world.handle(&[third.delivery()]).await.unwrap();
    assert_eq!(world.rule(&tenant, &third).await, "NOTHING_IN_WORK");
}

#[tokio::test]
async fn f023_f028_f029_f030_f031_a_client_who_writes_first_gets_a_new_lead_that_is_linked_to_the_chat()
 {
    let (world, tenant) = (world().await, tenant());
    world.pipeline(&tenant).await;
    world.set_mode(&tenant, A, Mode::Repeat).await;
    // A manager who writes first makes none (F023).
    let by_agent = opening(&tenant, A, 1).by_agent();
    world.handle(&[by_agent.delivery()]).await.unwrap();
    assert_eq!(world.rule(&tenant, &by_agent).await, "OPENED_BY_AGENT");
    assert!(world.cards(&tenant).await.is_empty());
    let by_client = opening(&tenant, A, 2);
    world.handle(&[by_client.delivery()]).await.unwrap();
    let seen = world.connections(&tenant, &by_client.chat()).await;
    // In work it is shown with the chat (F029), in the status new (F028), for a client who is no buyer (F031).
    let card = &seen.cards[0];
    assert_eq!(card.status.as_ref().unwrap().kind(), StatusKind::New);
    assert!(!seen.contact.unwrap().buyer);
    // Cards from this chat can be asked for (F030).
    let of_chat = ListCardsRequest {
        chat_id: by_client.chat(),
        ..ListCardsRequest::default()
    };
    let found = world.api.list_cards(tenant.ask(of_chat)).await.unwrap();
    let found = found.into_inner().cards;
    assert_eq!((found.len(), &found[0].card_id), (1, &card.card_id));
}

#[tokio::test]
async fn f084_whom_an_agent_wrote_to_first_gets_the_identity_and_no_second_contact() {
    let (world, tenant) = (world().await, tenant());
    world.pipeline(&tenant).await;
    let contact = async |name: &str| {
        let create = CreateContactRequest {
            name: name.into(),
            ..CreateContactRequest::default()
        };
        let made = world.api.create_contact(tenant.ask(create)).await.unwrap();
        made.into_inner().contact.unwrap()
    };
    let (known, gone) = (contact("Olena").await, contact("Petro").await);
    let written = |user: &str, number: i64, contact_id: &str| {
        let chat = Chat { channel: A, user };
        let mut opening = tenant.opening(chat, number).by_agent();
        opening.event.contact_id = contact_id.into();
        opening
    };
    let first = written("77", 1, &known.contact_id);
    world.handle(&[first.delivery()]).await.unwrap();
    let seen = world.connections(&tenant, &first.chat()).await;
    let now = seen.contact.unwrap();
    assert_eq!((&now.contact_id, &*now.name), (&known.contact_id, "Olena"));
    assert_eq!(now.identities[0].user_id, "77");
    assert_eq!(now.revision, known.revision + 1);
    // Somebody who is known stays who they are; a contact that is no more is made anew.
    let second = written("77", 2, &gone.contact_id);
    let delete = DeleteContactRequest {
        contact_id: gone.contact_id.clone(),
        ..DeleteContactRequest::default()
    };
    world.api.delete_contact(tenant.ask(delete)).await.unwrap();
    let third = written("78", 3, &gone.contact_id);
    world
        .handle(&[second.delivery(), third.delivery()])
        .await
        .unwrap();
    let of_second = world.connections(&tenant, &second.chat()).await.contact;
    assert_eq!(of_second.unwrap().contact_id, known.contact_id);
    let of_third = world
        .connections(&tenant, &third.chat())
        .await
        .contact
        .unwrap();
    assert_eq!(of_third.name, "Client 78");
    assert_ne!(of_third.contact_id, gone.contact_id);
}

#[tokio::test]
async fn d16_of_a_contact_without_any_card_one_opening_makes_one() {
    let (world, tenant) = (world().await, tenant());
    world.pipeline(&tenant).await;
    for channel in [A, B] {
        world
            .set_mode(&tenant, channel, Mode::ContactWithoutCards)
            .await;
    }
    let openings = [
        opening(&tenant, A, 1),
        opening(&tenant, B, 2),
        opening(&tenant, A, 3),
    ];
    world
        .handle(&openings.map(|one| one.delivery()))
        .await
        .unwrap();
    assert_eq!(world.cards(&tenant).await.len(), 1);
}

#[tokio::test]
async fn f033_lead_deal_and_contact_of_one_client_have_a_responsible_each() {
    let (world, tenant) = (world().await, tenant());
    let (lead, opening) = lead(&world, &tenant).await;
    let from_chat = CreateCardRequest {
        chat_id: opening.chat(),
        responsible_agent_id: Uuid::from_u128(102).to_string(),
        ..CreateCardRequest::default()
    };
    let other = world.new_card(&tenant, from_chat).await.unwrap();
    let of_lead = UpdateCardRequest {
        card_id: lead.card_id.clone(),
        responsible_agent_id: Some(Uuid::from_u128(101).to_string()),
        ..UpdateCardRequest::default()
    };
    world.update_card(&tenant, of_lead).await.unwrap();
    let of_contact = UpdateContactRequest {
        contact_id: lead.contact_id.clone(),
        responsible_agent_id: Some(Uuid::from_u128(103).to_string()),
        ..UpdateContactRequest::default()
    };
    world.update_contact(&tenant, of_contact).await.unwrap();
    let convert = ConvertCardRequest {
        card_id: other.card_id,
        ..ConvertCardRequest::default()
    };
    world.api.convert_card(tenant.ask(convert)).await.unwrap();
    let seen = world.connections(&tenant, &opening.chat()).await;
    let of_cards = seen.cards.iter();
    let of_cards: Vec<_> = of_cards
        .map(|card| (card.kind(), card.responsible_agent_id.clone()))
        .collect();
    let expected = [(EntityKind::Deal, 102), (EntityKind::Lead, 101)];
    let expected = expected.map(|(kind, agent)| (kind, Uuid::from_u128(agent).to_string()));
    assert_eq!(of_cards, expected);
    let contact = seen.contact.unwrap().responsible_agent_id;
    assert_eq!(contact, Uuid::from_u128(103).to_string());
}

#[tokio::test]
async fn d06_only_the_edit_of_the_responsible_is_told_as_such() {
    let (world, tenant) = (world().await, tenant());
    let (card, _) = lead(&world, &tenant).await;
    let title = UpdateCardRequest {
        card_id: card.card_id.clone(),
        title: Some("Another".into()),
        ..UpdateCardRequest::default()
    };
    let changed = world.update_card(&tenant, title).await.unwrap();
    let named = UpdateContactRequest {
        contact_id: card.contact_id.clone(),
        name: Some("Olena".into()),
        ..UpdateContactRequest::default()
    };
    world.update_contact(&tenant, named).await.unwrap();
    let told = |names: Vec<String>| {
        names
            .iter()
            .filter(|name| *name == "entity.responsible-changed")
            .count()
    };
    assert_eq!(told(world.names(&tenant.account).await), 0);
    let responsible = UpdateCardRequest {
        card_id: changed.card_id,
        responsible_agent_id: Some(Uuid::from_u128(100).to_string()),
        ..UpdateCardRequest::default()
    };
    world.update_card(&tenant, responsible).await.unwrap();
    assert_eq!(told(world.names(&tenant.account).await), 1);
}

#[tokio::test]
async fn f110_f112_f114_a_lead_gets_an_application_any_time_and_is_saved_as_a_buyer_with_what_is_known()
 {
    let (world, tenant) = (world().await, tenant());
    let (first, opening) = lead(&world, &tenant).await;
    let from_chat = CreateCardRequest {
        chat_id: opening.chat(),
        ..CreateCardRequest::default()
    };
    // Before the buyer is saved (F110, F114) ...
    let second = world.new_card(&tenant, from_chat.clone()).await.unwrap();
    assert_eq!(
        (second.kind(), &second.contact_id),
        (EntityKind::Lead, &first.contact_id)
    );
    let named = UpdateContactRequest {
        contact_id: first.contact_id.clone(),
        name: Some("Olena".into()),
        phones: Some(ContactPoints {
            values: vec!["+380441234567".into()],
        }),
        ..UpdateContactRequest::default()
    };
    let known = world.update_contact(&tenant, named).await.unwrap();
    world.save_buyer(&tenant, &first.contact_id).await;
    // ... which takes the lead's data (F112), and after it.
    let buyer = world
        .connections(&tenant, &opening.chat())
        .await
        .contact
        .unwrap();
    assert!(buyer.buyer);
    assert_eq!((buyer.name, buyer.phones), (known.name, known.phones));
    let third = world.new_card(&tenant, from_chat).await.unwrap();
    assert_eq!(third.kind(), EntityKind::Deal);
    assert_eq!(
        world
            .connections(&tenant, &opening.chat())
            .await
            .cards
            .len(),
        3
    );
}

#[tokio::test]
async fn f115_f118_the_usual_forms_are_filled_in_from_the_chat() {
    let (world, tenant) = (world().await, tenant());
    let (card, opening) = lead(&world, &tenant).await;
    let amount = Money {
        currency: "UAH".into(),
        amount: "1200.50".into(),
    };
    let form = CreateCardRequest {
        chat_id: opening.chat(),
        title: "Three tables".into(),
        amount: Some(amount.clone()),
        ..CreateCardRequest::default()
    };
    let application = world.new_card(&tenant, form).await.unwrap();
    assert_eq!(
        (&*application.title, application.amount),
        ("Three tables", Some(amount))
    );
    let form = CreateOrderRequest {
        chat_id: opening.chat(),
        currency: "UAH".into(),
        lines: vec![OrderLine {
            product: "Table".into(),
            quantity: "3".into(),
            price: "400.00".into(),
            ..OrderLine::default()
        }],
        comment: "By Friday".into(),
        ..CreateOrderRequest::default()
    };
    let early = world
        .api
        .create_order(tenant.ask(form.clone()))
        .await
        .unwrap_err();
    assert_eq!(reason(&early), "CONTACT_NOT_A_BUYER");
    world.save_buyer(&tenant, &card.contact_id).await;
    let order = world.api.create_order(tenant.ask(form)).await.unwrap();
    let order = order.into_inner().order.unwrap();
    assert_eq!(
        (order.total.unwrap().amount, &*order.comment),
        ("1200.00".to_owned(), "By Friday")
    );
    assert_eq!(order.contact_id, card.contact_id);
}

#[tokio::test]
async fn f131_to_f142_what_is_made_and_changed_in_the_dialogs_window_stands_in_its_connections_at_once()
 {
    let (world, tenant) = (world().await, tenant());
    world.pipeline(&tenant).await;
    let opening = opening(&tenant, A, 1);
    world.handle(&[opening.delivery()]).await.unwrap();
    let chat = opening.chat();
    // The dialog's window opens CRM (F131): nothing is there but the contact.
    assert!(world.connections(&tenant, &chat).await.cards.is_empty());
    // One press makes the lead (F132); it is a block there (F134) and opens from it (F135).
    let press = CreateCardRequest {
        chat_id: chat.clone(),
        ..CreateCardRequest::default()
    };
    let lead = world.new_card(&tenant, press).await.unwrap();
    let block = world.connections(&tenant, &chat).await.cards.remove(0);
    assert_eq!(block, lead);
    assert_eq!(world.get_card(&tenant, &block.card_id).await.unwrap(), lead);
    // It is converted into a contact (F136, F137), whose changes show at once (F138, F139).
    let convert = ConvertCardRequest {
        card_id: lead.card_id,
        ..ConvertCardRequest::default()
    };
    let made = world.api.convert_card(tenant.ask(convert)).await.unwrap();
    let contact = made.into_inner().contact.unwrap();
    let change = UpdateContactRequest {
        contact_id: contact.contact_id.clone(),
        name: Some("Olena".into()),
        ..UpdateContactRequest::default()
    };
    world.api.update_contact(tenant.ask(change)).await.unwrap();
    let seen = world.connections(&tenant, &chat).await;
    assert_eq!(seen.contact.unwrap().name, "Olena");
    // A deal by a quick form has the contact filled in (F140, F141) and is a block (F142).
    let form = CreateCardRequest {
        chat_id: chat.clone(),
        title: "Chairs".into(),
        ..CreateCardRequest::default()
    };
    let deal = world.new_card(&tenant, form).await.unwrap();
    assert_eq!(deal.contact_id, contact.contact_id);
    let seen = world.connections(&tenant, &chat).await;
    assert_eq!(seen.cards[0], deal);
}

#[tokio::test]
async fn bad_amounts_and_strangers_statuses_are_refused_by_their_field() {
    let (world, tenant) = (world().await, tenant());
    let (card, _) = lead(&world, &tenant).await;
    let stranger = crate::world::tenant();
    let theirs = world.pipeline(&stranger).await;
    let moved = world
        .move_to(&tenant, &card.card_id, &theirs.statuses[0])
        .await;
    assert_eq!(field(&moved.unwrap_err()), "status_id");
    for amount in ["1.234", "1234567890123456", "-1", "1e3", "x"] {
        let change = UpdateCardRequest {
            card_id: card.card_id.clone(),
            amount: Some(Money {
                currency: "UAH".into(),
                amount: amount.into(),
            }),
            ..UpdateCardRequest::default()
        };
        let refused = world.update_card(&tenant, change).await.unwrap_err();
        assert_eq!(
            (refused.code(), &*field(&refused)),
            (Code::InvalidArgument, "amount.amount"),
            "{amount}"
        );
    }
}
