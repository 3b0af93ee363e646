//! Pipelines, their statuses and sources: changed, deleted, and never with cards lost.

use chassis::audit::Api;
use chassis::testing;
use switchboard_proto::crm_cards::v1::crm_cards_service_server::CrmCardsService as _;
use switchboard_proto::crm_cards::v1::pipeline_connection::Mode;
use switchboard_proto::crm_cards::v1::pipeline_service_server::PipelineService as _;
use switchboard_proto::crm_cards::v1::*;
use switchboard_proto::operator::v1::ListAuditEntriesRequest;
use tonic::Code;
use uuid::Uuid;

use crate::world::{Tenant, World, fact, field, reason, tenant, world};

const CHANNEL: Uuid = Uuid::from_u128(1);

/// The statuses of a pipeline as they are, to be changed.
fn as_they_are(pipeline: &Pipeline) -> Vec<WantedStatus> {
    let statuses = pipeline.statuses.iter();
    statuses
        .map(|status| WantedStatus {
            status_id: status.status_id.clone(),
            name: status.name.clone(),
            kind: 0,
        })
        .collect()
}

fn with(pipeline: &Pipeline, statuses: Vec<WantedStatus>) -> UpdatePipelineRequest {
    UpdatePipelineRequest {
        pipeline_id: pipeline.pipeline_id.clone(),
        statuses: Some(WantedStatuses { statuses }),
        ..UpdatePipelineRequest::default()
    }
}

fn names(pipeline: &Pipeline) -> Vec<&str> {
    pipeline
        .statuses
        .iter()
        .map(|status| &*status.name)
        .collect()
}

fn route(from: &Status, to: &Status) -> CardsTo {
    CardsTo {
        from_status_id: from.status_id.clone(),
        to_status_id: to.status_id.clone(),
    }
}

async fn get(
    world: &World,
    tenant: &Tenant,
    pipeline: &Pipeline,
) -> Result<Pipeline, tonic::Status> {
    let request = GetPipelineRequest {
        pipeline_id: pipeline.pipeline_id.clone(),
    };
    let answer = world.api.get_pipeline(tenant.ask(request)).await?;
    Ok(answer.into_inner().pipeline.unwrap())
}

#[tokio::test]
async fn d04_statuses_are_added_renamed_reordered_and_taken_away_and_b11_it_is_told() {
    let (world, tenant) = (world().await, tenant());
    let pipeline = world.pipeline(&tenant).await;
    let mut wanted = as_they_are(&pipeline);
    wanted[0].name = "Fresh".into();
    wanted.swap(2, 3);
    wanted.remove(1);
    let call = WantedStatus {
        name: "Call".into(),
        kind: StatusKind::InProgress.into(),
        ..WantedStatus::default()
    };
    wanted.insert(1, call);
    let request = UpdatePipelineRequest {
        name: Some("Orders".into()),
        expected_revision: Some(1),
        ..with(&pipeline, wanted)
    };
    let answer = world
        .api
        .update_pipeline(tenant.ask(request.clone()))
        .await
        .unwrap()
        .into_inner();
    let changed = answer.pipeline.unwrap();
    assert_eq!(answer.cards_moved, 0);
    assert_eq!(names(&changed), ["Fresh", "Call", "Rejected", "Successful"]);
    assert_eq!((&*changed.name, changed.revision), ("Orders", 2));
    assert_eq!(
        changed.statuses[0].status_id,
        pipeline.statuses[0].status_id
    );
    assert_eq!(get(&world, &tenant, &pipeline).await.unwrap(), changed);
    let stale = world
        .api
        .update_pipeline(tenant.ask(request))
        .await
        .unwrap_err();
    assert_eq!(
        (stale.code(), fact(&stale, "revision")),
        (Code::Aborted, "2".into())
    );
    // What is as it was is no change.
    let same = with(&changed, as_they_are(&changed));
    let same = world.api.update_pipeline(tenant.ask(same)).await.unwrap();
    assert_eq!(same.into_inner().pipeline.unwrap().revision, 2);

    let audit = Api::new(
        "crm-cards",
        world.database.pool.clone(),
        crm_cards::audit::SCOPES,
    );
    let all = ListAuditEntriesRequest::default();
    let told = testing::audited(&audit, &tenant.caller, all).await.unwrap();
    let actions: Vec<&str> = told.iter().map(|entry| &*entry.action).collect();
    assert_eq!(actions, ["pipeline.update", "pipeline.create"]);
    let lines = testing::told(&told[0]);
    assert!(
        lines.contains(&"name: Sales -> Orders".to_owned()),
        "{lines:?}"
    );
    assert!(
        lines.contains(&"statuses[0].name: New -> Fresh".to_owned()),
        "{lines:?}"
    );
}

#[tokio::test]
async fn d04_the_kind_of_a_status_and_the_one_of_kind_new_stay() {
    let (world, tenant) = (world().await, tenant());
    let pipeline = world.pipeline(&tenant).await;
    let mut without_new = as_they_are(&pipeline);
    without_new.remove(0);
    let mut another_kind = as_they_are(&pipeline);
    another_kind[1].kind = StatusKind::Rejected.into();
    let mut nameless = as_they_are(&pipeline);
    nameless[2].name = " ".into();
    let mut foreign = as_they_are(&pipeline);
    foreign[3].status_id = Uuid::from_u128(9).to_string();
    for (statuses, expected) in [
        (without_new, "statuses"),
        (another_kind, "statuses.statuses[1].kind"),
        (nameless, "statuses.statuses[2].name"),
        (foreign, "statuses.statuses[3].status_id"),
    ] {
        let request = with(&pipeline, statuses);
        let refused = world
            .api
            .update_pipeline(tenant.ask(request))
            .await
            .unwrap_err();
        assert_eq!(
            (refused.code(), field(&refused).as_str()),
            (Code::InvalidArgument, expected)
        );
    }
    assert_eq!(get(&world, &tenant, &pipeline).await.unwrap(), pipeline);
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story, told to its end")]
async fn a_status_with_cards_goes_only_when_it_is_said_where_they_go() {
    let (world, tenant) = (world().await, tenant());
    let pipeline = world.pipeline(&tenant).await;
    let [_, work, won, lost] = pipeline.statuses.as_slice() else {
        panic!("four statuses");
    };
    let mut ids = Vec::new();
    for (title, status) in [("a", work), ("b", work), ("c", won)] {
        let card = world.card(&tenant, title).await;
        world.move_to(&tenant, &card.card_id, status).await.unwrap();
        ids.push(card.card_id);
    }
    let deleted = world.card(&tenant, "deleted").await;
    world
        .move_to(&tenant, &deleted.card_id, work)
        .await
        .unwrap();
    world.delete_card(&tenant, &deleted.card_id).await.unwrap();
    let mut left = as_they_are(&pipeline);
    left.drain(1..3);
    let request = with(&pipeline, left);
    let refused = world
        .api
        .update_pipeline(tenant.ask(request.clone()))
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused)),
        (Code::FailedPrecondition, "STATUS_HAS_CARDS".into())
    );
    assert_eq!(fact(&refused, &format!("cards[{}]", work.status_id)), "2");
    assert_eq!(fact(&refused, &format!("cards[{}]", won.status_id)), "1");
    assert!(
        refused.message().contains("In progress: 2"),
        "{}",
        refused.message()
    );
    let half = UpdatePipelineRequest {
        cards_to: vec![route(work, lost)],
        ..request.clone()
    };
    let refused = world
        .api
        .update_pipeline(tenant.ask(half))
        .await
        .unwrap_err();
    assert_eq!(fact(&refused, "status_ids"), won.status_id);
    assert_eq!(
        world
            .get_card(&tenant, &ids[0])
            .await
            .unwrap()
            .status
            .unwrap(),
        *work
    );
    for (to, expected) in [
        (work.clone(), "cards_to[0].to_status_id"),
        (
            Status {
                status_id: Uuid::from_u128(9).to_string(),
                ..lost.clone()
            },
            "cards_to",
        ),
    ] {
        let wrong = UpdatePipelineRequest {
            cards_to: vec![route(work, &to), route(won, lost)],
            ..request.clone()
        };
        let refused = world
            .api
            .update_pipeline(tenant.ask(wrong))
            .await
            .unwrap_err();
        assert_eq!(
            (refused.code(), field(&refused).as_str()),
            (Code::InvalidArgument, expected)
        );
    }
    let before = world.names(&tenant.account).await.len();
    let whole = UpdatePipelineRequest {
        cards_to: vec![route(work, lost), route(won, lost)],
        ..request
    };
    let answer = world
        .api
        .update_pipeline(tenant.ask(whole))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (answer.cards_moved, answer.pipeline.unwrap().statuses.len()),
        (3, 2)
    );
    for id in &ids {
        let card = world.get_card(&tenant, id).await.unwrap();
        assert_eq!(card.status.unwrap(), *lost);
        let told = &world.history(&tenant, id).await[0];
        assert!(
            told.starts_with("moved by service:tests: ") && told.contains("-> Rejected"),
            "{told}"
        );
    }
    // X10: one event a card.
    let events = world.published(&tenant.account).await.split_off(before);
    let mut moved: Vec<_> = events
        .iter()
        .map(|event| (&*event.name, &event.subject))
        .collect();
    moved.sort();
    let mut expected: Vec<_> = ids.iter().map(|id| ("card.moved", id)).collect();
    expected.sort();
    assert_eq!(moved, expected);
    assert!(events.iter().all(|event| event.actor == "service:tests"));
}

#[tokio::test]
async fn cards_of_a_large_status_are_moved_some_at_a_time() {
    let (world, tenant) = (world().await, tenant());
    let pipeline = world.pipeline(&tenant).await;
    let [new, work, _, lost] = pipeline.statuses.as_slice() else {
        panic!("four statuses");
    };
    let insert = "insert into card (account, id, kind, title, pipeline, status, status_kind, created_at, updated_at)
                  select $1, gen_random_uuid(), 'lead', 'x', $2, $3, 'in-progress', now() - n * interval '1 s', now()
                  from generate_series(1, 2100) n";
    let uuid = |text: &str| text.parse::<Uuid>().unwrap();
    sqlx::query(insert)
        .bind(tenant.account.as_str())
        .bind(uuid(&pipeline.pipeline_id))
        .bind(uuid(&work.status_id))
        .execute(&world.database.pool)
        .await
        .unwrap();
    let mut left = as_they_are(&pipeline);
    left.remove(1);
    let request = UpdatePipelineRequest {
        cards_to: vec![route(work, lost)],
        ..with(&pipeline, left)
    };
    let refused = world
        .api
        .update_pipeline(tenant.ask(request.clone()))
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused), fact(&refused, "cards")),
        (
            Code::FailedPrecondition,
            "TOO_MANY_CARDS".into(),
            "2100".into()
        )
    );
    let some = |from: &Status, to: &Status, limit| MoveCardsRequest {
        from_status_id: from.status_id.clone(),
        to_status_id: to.status_id.clone(),
        limit,
    };
    for (request, expected) in [
        (some(work, work, 0), "to_status_id"),
        (some(work, lost, 2_001), "limit"),
        (
            some(
                work,
                &Status {
                    status_id: Uuid::from_u128(9).to_string(),
                    ..new.clone()
                },
                0,
            ),
            "to_status_id",
        ),
    ] {
        let refused = world.api.move_cards(tenant.ask(request)).await.unwrap_err();
        assert_eq!(field(&refused), expected);
    }
    let moved = world
        .api
        .move_cards(tenant.ask(some(work, lost, 0)))
        .await
        .unwrap()
        .into_inner();
    assert_eq!((moved.cards_moved, moved.cards_left), (500, 1_600));
    // The rest goes with the status, more than one row of events at once.
    let answer = world
        .api
        .update_pipeline(tenant.ask(request))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(answer.cards_moved, 1_600);
    assert_eq!(world.names(&tenant.account).await.len(), 2_100);
}

#[tokio::test]
async fn a_pipeline_goes_when_no_channel_names_it_and_its_cards_have_a_place() {
    let (world, tenant) = (world().await, tenant());
    let sales = world.pipeline(&tenant).await;
    world.set_mode(&tenant, CHANNEL, Mode::Repeat).await;
    let repairs = world.pipeline(&tenant).await;
    let request = CreateCardRequest {
        title: "x".into(),
        pipeline_id: sales.pipeline_id.clone(),
        ..CreateCardRequest::default()
    };
    let card = world.new_card(&tenant, request).await.unwrap();
    let delete = |cards_to| DeletePipelineRequest {
        pipeline_id: sales.pipeline_id.clone(),
        cards_to,
        expected_revision: Some(1),
    };
    let refused = world
        .api
        .delete_pipeline(tenant.ask(delete(Vec::new())))
        .await
        .unwrap_err();
    assert_eq!(
        (
            refused.code(),
            reason(&refused),
            fact(&refused, "channel_ids")
        ),
        (
            Code::FailedPrecondition,
            "PIPELINE_IN_USE".into(),
            CHANNEL.to_string()
        )
    );
    let elsewhere = PipelineConnection {
        channel_id: CHANNEL.to_string(),
        mode: Mode::Repeat.into(),
        pipeline_id: repairs.pipeline_id.clone(),
        ..PipelineConnection::default()
    };
    world.connect(&tenant, elsewhere).await.unwrap();
    let refused = world
        .api
        .delete_pipeline(tenant.ask(delete(Vec::new())))
        .await
        .unwrap_err();
    assert_eq!(reason(&refused), "STATUS_HAS_CARDS");
    let route = vec![route(&sales.statuses[0], &repairs.statuses[0])];
    let gone = world
        .api
        .delete_pipeline(tenant.ask(delete(route)))
        .await
        .unwrap();
    assert_eq!(gone.into_inner().cards_moved, 1);
    let card = world.get_card(&tenant, &card.card_id).await.unwrap();
    assert_eq!(
        (card.pipeline_id, card.status.unwrap()),
        (repairs.pipeline_id, repairs.statuses[0].clone())
    );
    let refused = get(&world, &tenant, &sales).await.unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused)),
        (Code::NotFound, "PIPELINE_UNKNOWN".into())
    );
    let list = world
        .api
        .list_pipelines(tenant.ask(ListPipelinesRequest::default()))
        .await
        .unwrap();
    assert_eq!(list.into_inner().pipelines.len(), 1);
}

/// No card is made in a status that goes at the same moment, nor is one lost.
#[tokio::test(flavor = "multi_thread")]
async fn cards_that_come_while_their_status_goes_have_a_place_in_the_end() {
    let (world, tenant) = (world().await, tenant());
    let pipeline = world.pipeline(&tenant).await;
    let (work, lost) = (&pipeline.statuses[1], &pipeline.statuses[3]);
    let mut cards = Vec::new();
    for number in 0..24 {
        cards.push(world.card(&tenant, &number.to_string()).await.card_id);
    }
    let mut left = as_they_are(&pipeline);
    left.remove(1);
    let request = UpdatePipelineRequest {
        cards_to: vec![route(work, lost)],
        ..with(&pipeline, left)
    };
    let moves = futures::future::join_all(cards.iter().map(|id| world.move_to(&tenant, id, work)));
    let goes = async { world.api.update_pipeline(tenant.ask(request)).await };
    let (moves, goes) = futures::join!(moves, goes);
    goes.unwrap();
    let mut came = 0;
    for (id, moved) in cards.iter().zip(moves) {
        let card = world.get_card(&tenant, id).await.unwrap();
        let expected = match moved {
            Ok(_) => {
                came += 1;
                lost
            }
            Err(refused) => {
                assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
                &pipeline.statuses[0]
            }
        };
        assert_eq!(card.status.as_ref(), Some(expected));
    }
    println!("{came} of 24 came in time");
}
