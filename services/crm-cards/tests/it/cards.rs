//! Cards, contacts and orders by hand.

use switchboard_proto::common::v1::EntityKind;
use switchboard_proto::crm_cards::v1::crm_cards_service_server::CrmCardsService as _;
use switchboard_proto::crm_cards::v1::*;
use tonic::Code;
use uuid::Uuid;

use crate::world::{Chat, field, reason, tenant, world};

#[tokio::test]
async fn b02_a_request_id_makes_one_of_many_and_refuses_other_content() {
    let (world, tenant) = (world().await, tenant());
    world.pipeline(&tenant).await;
    let request = CreateCardRequest {
        request_id: "r1".into(),
        title: "By hand".into(),
        ..CreateCardRequest::default()
    };
    let five = (0..5).map(|_| world.api.create_card(tenant.ask(request.clone())));
    let answers = futures::future::join_all(five).await;
    let mut ids: Vec<_> = answers
        .into_iter()
        .map(|answer| answer.unwrap().into_inner().card.unwrap().card_id)
        .collect();
    ids.dedup();
    assert_eq!(ids.len(), 1);
    assert_eq!(world.cards(&tenant).await.len(), 1);
    assert_eq!(world.names(&tenant.account).await, ["card.created"]);
    let other = CreateCardRequest {
        title: "Another".into(),
        ..request
    };
    let refused = world.api.create_card(tenant.ask(other)).await.unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::AlreadyExists, "REQUEST_ID_REUSED")
    );
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a list of wrong requests")]
async fn wrong_requests_are_refused_with_their_reason_or_field() {
    let (world, tenant) = (world().await, tenant());
    let create = |request: CreateCardRequest| world.api.create_card(tenant.ask(request));
    let empty = CreateCardRequest::default();
    let refused = create(empty.clone()).await.unwrap_err();
    assert_eq!(field(&refused), "pipeline_id");
    let pipeline = world.pipeline(&tenant).await;
    assert_eq!(field(&create(empty.clone()).await.unwrap_err()), "title");
    let unknown = Uuid::from_u128(404).to_string();
    let chat = CreateCardRequest {
        chat_id: unknown.clone(),
        ..empty.clone()
    };
    let refused = create(chat).await.unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::NotFound, "CHAT_UNKNOWN")
    );
    let source = CreateCardRequest {
        source_id: unknown.clone(),
        title: "x".into(),
        ..empty.clone()
    };
    assert_eq!(field(&create(source).await.unwrap_err()), "source_id");
    let titled = CreateCardRequest {
        title: "x".into(),
        ..empty
    };
    let card = create(titled).await.unwrap().into_inner().card.unwrap();
    let other = world.pipeline(&tenant).await;
    let foreign = other.statuses[0].status_id.clone();
    for (status_id, code) in [
        (foreign, Code::InvalidArgument),
        (unknown.clone(), Code::InvalidArgument),
    ] {
        let request = MoveCardRequest {
            card_id: card.card_id.clone(),
            status_id,
            ..MoveCardRequest::default()
        };
        let refused = world.api.move_card(tenant.ask(request)).await.unwrap_err();
        assert_eq!(
            (refused.code(), field(&refused).as_str()),
            (code, "status_id")
        );
    }
    let status_id = pipeline.statuses[0].status_id.clone();
    let request = MoveCardRequest {
        card_id: unknown.clone(),
        status_id,
        ..MoveCardRequest::default()
    };
    let refused = world.api.move_card(tenant.ask(request)).await.unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::NotFound, "CARD_UNKNOWN")
    );
    let two_new = CreatePipelineRequest {
        name: "x".into(),
        statuses: vec![
            NewStatus {
                name: "New".into(),
                kind: StatusKind::New.into()
            };
            2
        ],
        ..CreatePipelineRequest::default()
    };
    assert_eq!(
        field(
            &world
                .api
                .create_pipeline(tenant.ask(two_new))
                .await
                .unwrap_err()
        ),
        "statuses"
    );
    let source = CreateSourceRequest {
        name: "Shop".into(),
        ..CreateSourceRequest::default()
    };
    world
        .api
        .create_source(tenant.ask(source.clone()))
        .await
        .unwrap();
    let refused = world
        .api
        .create_source(tenant.ask(source))
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::AlreadyExists, "SOURCE_EXISTS")
    );
    let request = CreateOrderRequest {
        contact_id: unknown,
        ..CreateOrderRequest::default()
    };
    let refused = world
        .api
        .create_order(tenant.ask(request))
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::NotFound, "CONTACT_UNKNOWN")
    );
}

#[tokio::test]
async fn f111_f117_d05_a_buyer_gets_orders_and_its_leads_become_deals() {
    let (world, tenant) = (world().await, tenant());
    world.pipeline(&tenant).await;
    let opening = tenant.opening(
        Chat {
            channel: Uuid::from_u128(1),
            user: "1",
        },
        1,
    );
    world.handle(&[opening.delivery()]).await.unwrap();
    let responsible = Uuid::from_u128(9).to_string();
    let request = CreateCardRequest {
        chat_id: opening.chat(),
        responsible_agent_id: responsible.clone(),
        ..CreateCardRequest::default()
    };
    world.api.create_card(tenant.ask(request)).await.unwrap();
    let contact = world.contacts(&tenant).await.remove(0);
    let refused = world
        .create_order(&tenant, &contact.contact_id)
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::FailedPrecondition, "CONTACT_NOT_A_BUYER")
    );
    world.save_buyer(&tenant, &contact.contact_id).await;
    world.save_buyer(&tenant, &contact.contact_id).await;
    let order = world
        .create_order(&tenant, &contact.contact_id)
        .await
        .unwrap();
    assert_eq!((order.number, order.status()), (1, StatusKind::New));
    world
        .move_order(&tenant, &order.order_id, StatusKind::InProgress)
        .await;
    world
        .move_order(&tenant, &order.order_id, StatusKind::InProgress)
        .await;
    let connections = world.connections(&tenant, &opening.chat()).await;
    assert!(connections.contact.unwrap().buyer);
    assert_eq!(connections.cards[0].kind(), EntityKind::Deal);
    assert_eq!(connections.orders[0].status(), StatusKind::InProgress);
    let expected = [
        "contact.created",
        "chat.linked",
        "connection.decided",
        "card.created",
        "chat.linked",
        "entity.responsible-changed",
        "contact.updated",
        "card.updated",
        "order.created",
        "order.moved",
    ];
    assert_eq!(world.names(&tenant.account).await, expected);
    // The next decision knows the customer, the deal and its responsible.
    let again = tenant.opening(
        Chat {
            channel: Uuid::from_u128(1),
            user: "1",
        },
        2,
    );
    world.handle(&[again.delivery()]).await.unwrap();
    let decided: ConnectionDecided = world
        .published(&tenant.account)
        .await
        .last()
        .unwrap()
        .read();
    let kinds: Vec<_> = decided
        .linked
        .iter()
        .map(switchboard_proto::common::v1::LinkedEntity::kind)
        .collect();
    assert_eq!(kinds, [EntityKind::Customer, EntityKind::Deal]);
    assert_eq!(decided.linked[1].responsible_agent_id, responsible);
    assert!(
        decided.linked[1]
            .stamp
            .as_ref()
            .unwrap()
            .time
            .unwrap()
            .seconds
            > 0
    );
}
