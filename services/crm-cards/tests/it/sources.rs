//! Sources of cards.

use switchboard_proto::crm_cards::v1::crm_cards_service_server::CrmCardsService as _;
use switchboard_proto::crm_cards::v1::pipeline_connection::Mode;
use switchboard_proto::crm_cards::v1::pipeline_service_server::PipelineService as _;
use switchboard_proto::crm_cards::v1::*;
use tonic::Code;
use uuid::Uuid;

use crate::world::{fact, field, reason, tenant, world};

const CHANNEL: Uuid = Uuid::from_u128(1);

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story, told to its end")]
async fn f024_f025_a_source_is_renamed_and_deleted_and_its_cards_keep_it() {
    let (world, tenant) = (world().await, tenant());
    let pipeline = world.pipeline(&tenant).await;
    let create = |name: &str| CreateSourceRequest {
        name: name.into(),
        ..CreateSourceRequest::default()
    };
    let fair = world
        .api
        .create_source(tenant.ask(create("Fair")))
        .await
        .unwrap();
    let fair = fair.into_inner().source.unwrap();
    world
        .api
        .create_source(tenant.ask(create("Shop")))
        .await
        .unwrap();
    let rename = |name: &str, seen| UpdateSourceRequest {
        source_id: fair.source_id.clone(),
        name: name.into(),
        expected_revision: Some(seen),
    };
    let taken = world
        .api
        .update_source(tenant.ask(rename("Shop", 1)))
        .await
        .unwrap_err();
    assert_eq!(
        (taken.code(), reason(&taken)),
        (Code::AlreadyExists, "SOURCE_EXISTS".into())
    );
    let renamed = world
        .api
        .update_source(tenant.ask(rename("Kyiv fair", 1)))
        .await
        .unwrap();
    assert_eq!(renamed.into_inner().source.unwrap().revision, 2);
    let stale = world
        .api
        .update_source(tenant.ask(rename("x", 1)))
        .await
        .unwrap_err();
    assert_eq!(fact(&stale, "revision"), "2");
    let with_source = |title: &str| CreateCardRequest {
        title: title.into(),
        source_id: fair.source_id.clone(),
        ..CreateCardRequest::default()
    };
    let card = world.new_card(&tenant, with_source("x")).await.unwrap();
    let rule = |source: &str| PipelineConnection {
        channel_id: CHANNEL.to_string(),
        mode: Mode::Repeat.into(),
        pipeline_id: pipeline.pipeline_id.clone(),
        source_id: source.into(),
        ..PipelineConnection::default()
    };
    world.connect(&tenant, rule(&fair.source_id)).await.unwrap();
    let delete = || DeleteSourceRequest {
        source_id: fair.source_id.clone(),
    };
    let refused = world
        .api
        .delete_source(tenant.ask(delete()))
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
            "SOURCE_IN_USE".into(),
            CHANNEL.to_string()
        )
    );
    world.connect(&tenant, rule("")).await.unwrap();
    world.api.delete_source(tenant.ask(delete())).await.unwrap();
    let kept = world.get_card(&tenant, &card.card_id).await.unwrap();
    assert_eq!(kept.source_id, fair.source_id);
    let refused = world.new_card(&tenant, with_source("y")).await.unwrap_err();
    assert_eq!(field(&refused), "source_id");
    assert_eq!(
        field(
            &world
                .connect(&tenant, rule(&fair.source_id))
                .await
                .unwrap_err()
        ),
        "connection.source_id"
    );
    let list = world
        .api
        .list_sources(tenant.ask(ListSourcesRequest::default()))
        .await
        .unwrap();
    let names: Vec<_> = list
        .into_inner()
        .sources
        .into_iter()
        .map(|source| source.name)
        .collect();
    assert_eq!(names, ["Shop"]);
    // Its name is free again.
    world
        .api
        .create_source(tenant.ask(create("Kyiv fair")))
        .await
        .unwrap();
}
