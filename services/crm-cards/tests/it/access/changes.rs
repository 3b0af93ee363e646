//! How an agent asks for what becomes of cards, and for settings.

use chassis::testing;
use switchboard_proto::crm_cards::v1::card_service_server::CardService as _;
use switchboard_proto::crm_cards::v1::crm_cards_service_server::CrmCardsService as _;
use switchboard_proto::crm_cards::v1::field_service_server::FieldService as _;
use switchboard_proto::crm_cards::v1::history_service_server::HistoryService as _;
use switchboard_proto::crm_cards::v1::list_history_request::Entity;
use switchboard_proto::crm_cards::v1::pipeline_service_server::PipelineService as _;
use switchboard_proto::crm_cards::v1::*;
use tonic::{Code, Response, Status};
use uuid::Uuid;

use super::{AGENT, Shop, shop};
use crate::world::{Tenant, tenant};

#[expect(clippy::too_many_lines, reason = "a list of all requests")]
/// The same of what becomes of cards. One that is deleted is made for it, of whom the shop's card is.
pub(super) async fn changes(
    shop: &Shop,
    tenant: &Tenant,
) -> Vec<(&'static str, Result<usize, Code>)> {
    let api = &shop.world.api;
    let code = |status: Status| status.code();
    let card_id = || shop.card.card_id.clone();
    let of = shop.world.get_card(&shop.owner, &card_id()).await.unwrap();
    let doomed = CreateCardRequest {
        title: "doomed".into(),
        responsible_agent_id: of.responsible_agent_id,
        ..CreateCardRequest::default()
    };
    let doomed = shop.world.new_card(&shop.owner, doomed).await.unwrap();
    let doomed_id = doomed.card_id.clone();
    let update = UpdateCardRequest {
        card_id: card_id(),
        title: Some("Mine".into()),
        ..UpdateCardRequest::default()
    };
    let note = AddCardNoteRequest {
        card_id: card_id(),
        text: "Mine".into(),
        ..AddCardNoteRequest::default()
    };
    let notes = ListCardNotesRequest {
        card_id: card_id(),
        ..ListCardNotesRequest::default()
    };
    let agent_ids = vec![Uuid::from_u128(7).to_string()];
    let add = AddCardParticipantsRequest {
        card_id: card_id(),
        agent_ids: agent_ids.clone(),
    };
    let remove = RemoveCardParticipantsRequest {
        card_id: card_id(),
        agent_ids,
    };
    let board = GetBoardRequest {
        pipeline_id: shop.pipeline.pipeline_id.clone(),
        column_size: 50,
    };
    let delete = DeleteCardRequest {
        card_id: doomed.card_id,
        expected_revision: None,
    };
    let history = |entity| ListHistoryRequest {
        entity: Some(entity),
        ..ListHistoryRequest::default()
    };
    let of_card = history(Entity::CardId(card_id()));
    let of_contact = history(Entity::ContactId(shop.contact.clone()));
    let of_order = history(Entity::OrderId(shop.order.order_id.clone()));
    let found = |answer: Result<Response<ListHistoryResponse>, Status>| {
        answer.map(|a| a.get_ref().entries.len()).map_err(code)
    };
    let shown = |board: Response<GetBoardResponse>| {
        let columns = board.into_inner().columns;
        let counted: i64 = columns.iter().map(|column| column.card_count).sum();
        let cards: usize = columns.iter().map(|column| column.cards.len()).sum();
        assert_eq!(
            usize::try_from(counted),
            Ok(cards),
            "as many as are counted"
        );
        cards
    };
    let one = |answer: Result<(), Status>| answer.map(|()| 1).map_err(code);
    let answers = vec![
        (
            "UpdateCard",
            one(api.update_card(tenant.ask(update)).await.map(drop)),
        ),
        (
            "AddCardNote",
            one(api.add_card_note(tenant.ask(note)).await.map(drop)),
        ),
        (
            "ListCardNotes",
            api.list_card_notes(tenant.ask(notes))
                .await
                .map(|a| a.get_ref().notes.len())
                .map_err(code),
        ),
        (
            "AddCardParticipants",
            one(api.add_card_participants(tenant.ask(add)).await.map(drop)),
        ),
        (
            "RemoveCardParticipants",
            one(api
                .remove_card_participants(tenant.ask(remove))
                .await
                .map(drop)),
        ),
        (
            "GetBoard",
            api.get_board(tenant.ask(board))
                .await
                .map(shown)
                .map_err(code),
        ),
        (
            "ListHistory of a card",
            found(api.list_history(tenant.ask(of_card)).await),
        ),
        (
            "ListHistory of a contact",
            found(api.list_history(tenant.ask(of_contact)).await),
        ),
        (
            "ListHistory of an order",
            found(api.list_history(tenant.ask(of_order)).await),
        ),
        (
            "DeleteCard",
            one(api.delete_card(tenant.ask(delete)).await.map(drop)),
        ),
    ];
    // What was refused leaves nothing behind for who counts.
    shop.world.delete_card(&shop.owner, &doomed_id).await.ok();
    answers
}

/// What each request that changes a setting answered.
async fn settings(shop: &Shop, tenant: &Tenant) -> Vec<(&'static str, Code)> {
    let api = &shop.world.api;
    let code = |answer: Result<(), Status>| answer.err().map_or(Code::Ok, |status| status.code());
    let pipeline_id = || shop.pipeline.pipeline_id.clone();
    let status = |at: usize| shop.pipeline.statuses[at].status_id.clone();
    let source = CreateSourceRequest {
        name: "Fair".into(),
        ..CreateSourceRequest::default()
    };
    let made = api.create_source(shop.owner.ask(source)).await.unwrap();
    let source_id = made.into_inner().source.unwrap().source_id;
    let kind = field::Type::Text;
    let field_id = shop
        .world
        .field(&shop.owner, "city", kind)
        .await
        .unwrap()
        .field_id;
    let create = CreateFieldRequest {
        entity: field::Entity::Card.into(),
        key: "size".into(),
        name: "Size".into(),
        r#type: kind.into(),
        ..CreateFieldRequest::default()
    };
    let rename = UpdatePipelineRequest {
        pipeline_id: pipeline_id(),
        name: Some("Mine".into()),
        ..UpdatePipelineRequest::default()
    };
    let delete = DeletePipelineRequest {
        pipeline_id: pipeline_id(),
        ..DeletePipelineRequest::default()
    };
    let moves = MoveCardsRequest {
        from_status_id: status(0),
        to_status_id: status(1),
        limit: 0,
    };
    let source = UpdateSourceRequest {
        source_id: source_id.clone(),
        name: "Mine".into(),
        expected_revision: None,
    };
    let update = UpdateFieldRequest {
        field_id: field_id.clone(),
        name: Some("Mine".into()),
        ..UpdateFieldRequest::default()
    };
    vec![
        (
            "CreateField",
            code(api.create_field(tenant.ask(create)).await.map(drop)),
        ),
        (
            "UpdateField",
            code(api.update_field(tenant.ask(update)).await.map(drop)),
        ),
        (
            "DeleteField",
            code(
                api.delete_field(tenant.ask(DeleteFieldRequest { field_id }))
                    .await
                    .map(drop),
            ),
        ),
        (
            "UpdatePipeline",
            code(api.update_pipeline(tenant.ask(rename)).await.map(drop)),
        ),
        (
            "MoveCards",
            code(api.move_cards(tenant.ask(moves)).await.map(drop)),
        ),
        (
            "DeletePipeline",
            code(api.delete_pipeline(tenant.ask(delete)).await.map(drop)),
        ),
        (
            "UpdateSource",
            code(api.update_source(tenant.ask(source)).await.map(drop)),
        ),
        (
            "DeleteSource",
            code(
                api.delete_source(tenant.ask(DeleteSourceRequest { source_id }))
                    .await
                    .map(drop),
            ),
        ),
    ]
}

#[tokio::test]
async fn settings_are_changed_by_who_may_in_the_own_account_alone() {
    let shop = shop().await;
    let mut record = testing::full_access(AGENT.into());
    record.settings = false;
    let without = shop.owner.agent(record);
    for (request, answer) in settings(&shop, &without).await {
        assert_eq!(answer, Code::PermissionDenied, "{request}");
    }
    let shop = super::shop().await;
    for (request, answer) in settings(&shop, &tenant()).await {
        let expected = match request {
            "CreateField" => Code::Ok,
            "MoveCards" => Code::InvalidArgument,
            _ => Code::NotFound,
        };
        assert_eq!(answer, expected, "{request}");
    }
    let fields = ListFieldsRequest {
        entity: field::Entity::Card.into(),
    };
    let stranger = shop
        .world
        .api
        .list_fields(tenant().ask(fields))
        .await
        .unwrap();
    assert!(stranger.into_inner().fields.is_empty());
    let pipeline = GetPipelineRequest {
        pipeline_id: shop.pipeline.pipeline_id.clone(),
    };
    let refused = shop
        .world
        .api
        .get_pipeline(tenant().ask(pipeline))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    let shop = super::shop().await;
    for (request, answer) in settings(&shop, &shop.owner).await {
        // A channel makes cards in it.
        let expected = match request {
            "DeletePipeline" => Code::FailedPrecondition,
            _ => Code::Ok,
        };
        assert_eq!(answer, expected, "{request}");
    }
}
