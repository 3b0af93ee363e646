//! Who changed which setting, from what to what.

use chassis::audit::Api;
use chassis::testing;
use switchboard_proto::crm_cards::v1::contact_service_server::ContactService as _;
use switchboard_proto::crm_cards::v1::crm_cards_service_server::CrmCardsService as _;
use switchboard_proto::crm_cards::v1::pipeline_connection::Mode;
use switchboard_proto::crm_cards::v1::*;
use switchboard_proto::operator::v1::{AuditEntry, ListAuditEntriesRequest};
use uuid::Uuid;

use crate::world::{Tenant, World, tenant, world};

async fn entries(world: &World, tenant: &Tenant) -> Vec<AuditEntry> {
    let pool = world.database.pool.clone();
    let api = Api::new("crm-cards", pool, crm_cards::audit::SCOPES);
    let all = ListAuditEntriesRequest::default();
    testing::audited(&api, &tenant.caller, all).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn b11_pipelines_and_sources_are_told_once_however_often_they_are_asked_for() {
    let (world, tenant) = (world().await, tenant());
    let pipeline = CreatePipelineRequest {
        request_id: "p".into(),
        name: "Sales".into(),
        ..Default::default()
    };
    let source = CreateSourceRequest {
        request_id: "s".into(),
        name: "Shop".into(),
    };
    for _ in 0..2 {
        let request = tenant.ask(pipeline.clone());
        world.api.create_pipeline(request).await.unwrap();
        world
            .api
            .create_source(tenant.ask(source.clone()))
            .await
            .unwrap();
    }
    let taken = CreateSourceRequest {
        request_id: String::new(),
        ..source
    };
    world
        .api
        .create_source(tenant.ask(taken))
        .await
        .unwrap_err();
    let told = entries(&world, &tenant).await;
    let [source, pipeline] = told.as_slice() else {
        panic!("two entries: {told:?}");
    };
    assert_eq!(source.action, "source.create");
    assert_eq!(testing::told(source), ["name: . -> Shop"]);
    assert_eq!(pipeline.action, "pipeline.create");
    assert_eq!(pipeline.actor, "service:tests");
    assert_eq!(
        (&*pipeline.subject_kind, &*pipeline.subject_name),
        ("pipeline", "Sales")
    );
    let lines = testing::told(pipeline);
    assert!(lines.contains(&"name: . -> Sales".to_owned()), "{lines:?}");
    assert!(
        lines.contains(&"statuses[0].kind: . -> STATUS_KIND_NEW".to_owned()),
        "{lines:?}"
    );
    let stranger = crate::world::tenant();
    assert!(entries(&world, &stranger).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn b11_a_channels_rule_is_told_from_what_it_was_to_what_it_became() {
    let (world, tenant) = (world().await, tenant());
    let agent = Uuid::from_u128(7);
    let by_agent = tenant.agent(testing::full_access(agent.into()));
    let pipeline = world.pipeline(&tenant).await;
    let channel = Uuid::from_u128(1);
    let rules = async || {
        let told = entries(&world, &tenant).await;
        let rules = told
            .into_iter()
            .filter(|entry| entry.action == "pipeline-connection.set");
        rules.collect::<Vec<_>>()
    };
    world.set_mode(&tenant, channel, Mode::None).await;
    assert!(rules().await.is_empty(), "off it was, and off it is");
    world.set_mode(&tenant, channel, Mode::Repeat).await;
    world.set_mode(&tenant, channel, Mode::Repeat).await;
    world.set_mode(&by_agent, channel, Mode::OneTime).await;
    let nowhere = PipelineConnection {
        channel_id: channel.to_string(),
        mode: Mode::Repeat.into(),
        pipeline_id: Uuid::from_u128(9).to_string(),
        ..Default::default()
    };
    world.connect(&tenant, nowhere).await.unwrap_err();
    let told = rules().await;
    let [once, repeat] = told.as_slice() else {
        panic!("two entries: {told:?}");
    };
    assert_eq!(
        testing::told(repeat),
        [
            "mode: MODE_NONE -> MODE_REPEAT".to_owned(),
            format!("pipeline_id:  -> {}", pipeline.pipeline_id),
        ]
    );
    assert_eq!(testing::told(once), ["mode: MODE_REPEAT -> MODE_ONE_TIME"]);
    assert_eq!(once.actor, format!("agent:{agent}"));
    assert_eq!(
        (&*once.subject_kind, &once.subject_id),
        ("channel", &channel.to_string())
    );
}

/// How many transactions wait for a lock.
async fn waiting(world: &World) -> i64 {
    let count =
        "select count(distinct l.pid) from pg_locks l join pg_stat_activity a on a.pid = l.pid
                 where not l.granted and a.datname = current_database()";
    sqlx::query_scalar(count)
        .fetch_one(&world.database.pool)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn b11_of_changes_at_once_each_tells_the_one_before() {
    let (world, tenant) = (world().await, tenant());
    world.pipeline(&tenant).await;
    let channel = Uuid::from_u128(1);
    let modes = [Mode::OneTime, Mode::Repeat, Mode::ContactWithoutCards];
    // Nobody writes before all have read what they may read.
    let mut held = world.database.pool.begin().await.unwrap();
    let lock = sqlx::query("lock table connection in share mode");
    lock.execute(&mut *held).await.unwrap();
    let setting =
        futures::future::join_all(modes.map(|mode| world.set_mode(&tenant, channel, mode)));
    let released = async {
        while waiting(&world).await < 3 {}
        held.commit().await.unwrap();
    };
    futures::join!(setting, released);
    let mut told = entries(&world, &tenant).await;
    told.retain(|entry| entry.subject_kind == "channel");
    let mode = |entry: &AuditEntry| {
        let lines = testing::told(entry);
        let line = lines.into_iter().find_map(|line| {
            let (before, after) = line.strip_prefix("mode: ")?.split_once(" -> ")?;
            Some((before.to_owned(), after.to_owned()))
        });
        line.unwrap()
    };
    let mut sides: Vec<_> = told.iter().map(mode).collect();
    let mut at = "MODE_NONE".to_owned();
    while let Some(next) = sides.iter().position(|(before, _)| *before == at) {
        at = sides.swap_remove(next).1;
    }
    assert!(sides.is_empty(), "a chain from none on: {told:?}");
    let now = GetPipelineConnectionRequest {
        channel_id: channel.to_string(),
    };
    let now = world.api.get_pipeline_connection(tenant.ask(now)).await;
    let now = now.unwrap().into_inner().connection.unwrap();
    assert_eq!(now.mode().as_str_name(), at);
}

#[tokio::test(flavor = "multi_thread")]
async fn b11_the_region_of_phones_is_told_and_only_who_may_set_sets_it() {
    let (world, tenant) = (world().await, tenant());
    let set = |region: &str| SetContactSettingsRequest {
        settings: Some(ContactSettings {
            phone_region: region.into(),
        }),
    };
    for region in ["UA", "UA", "PL", ""] {
        let request = tenant.ask(set(region));
        world.api.set_contact_settings(request).await.unwrap();
    }
    let told = entries(&world, &tenant).await;
    let told: Vec<_> = told.iter().map(testing::told).collect();
    assert_eq!(
        told,
        [
            ["phone_region: PL -> "],
            ["phone_region: UA -> PL"],
            ["phone_region:  -> UA"]
        ]
    );
    let mut record = testing::full_access(Uuid::from_u128(7).into());
    record.settings = false;
    let agent = tenant.agent(record);
    let refused = world.api.set_contact_settings(agent.ask(set("UA"))).await;
    let refused = refused.unwrap_err();
    assert_eq!(crate::world::reason(&refused), "SETTINGS_ACCESS_MISSING");
    let request = tenant.ask(GetContactSettingsRequest {});
    let answer = world.api.get_contact_settings(request).await.unwrap();
    assert_eq!(answer.into_inner().settings.unwrap().phone_region, "");
}
