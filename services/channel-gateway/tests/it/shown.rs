//! What a channel shows of itself after an administrator acted (B10).

use chassis::testing;
use serde_json::json;
use switchboard_proto::channel_gateway::v1::channel_gateway_service_server::ChannelGatewayService as _;
use switchboard_proto::channel_gateway::v1::channel_health::{State, Webhook};
use switchboard_proto::channel_gateway::v1::{
    DisableChannelRequest, DisableChannelResponse, UpdateChannelRequest, VerifyChannelRequest,
    channel,
};

use crate::health::{channel, enable, look, with_viber};
use crate::world::{World, world};

async fn disable(world: &World) -> DisableChannelResponse {
    let request = DisableChannelRequest {
        channel_id: world.channel.to_string(),
    };
    let api = world.api();
    let disabled = api.disable_channel(testing::request(&world.caller, request));
    disabled.await.unwrap().into_inner()
}

async fn verify(world: &World) {
    let request = VerifyChannelRequest {
        channel_id: world.channel.to_string(),
    };
    let api = world.api();
    let verified = api.verify_channel(testing::request(&world.caller, request));
    verified.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn b10_disabling_says_whether_the_webhook_was_taken_back_and_hides_no_refusal() {
    let world = world().await;
    let well = disable(&world).await;
    assert!(well.webhook_taken_back);
    assert_eq!(well.channel.unwrap().problem, "");
    enable(&world, world.channel).await.unwrap();

    world.bot.refuse_token(&world.token);
    let refused = disable(&world).await;
    assert!(!refused.webhook_taken_back);
    let shown = refused.channel.unwrap();
    assert_eq!(shown.state(), channel::State::Disabled);
    assert!(!shown.problem.is_empty());
    // Nor when it is said once more.
    let again = disable(&world).await.channel.unwrap();
    assert_eq!(again.problem, shown.problem);
}

#[tokio::test(flavor = "multi_thread")]
async fn b10_credentials_that_were_refused_are_shown_also_of_a_disabled_channel() {
    let world = world().await;
    world.bot.refuse_token(&world.token);
    look(&world, 0).await;
    let lost = channel(&world, world.channel).await;
    assert_eq!(lost.state(), channel::State::Disconnected);
    disable(&world).await;
    let shown = channel(&world, world.channel).await;
    assert_eq!(shown.state(), channel::State::Disabled);
    assert_eq!(shown.problem, lost.problem);
    let problems = shown.health.unwrap().problems;
    assert_eq!(problems[0].reason, "CREDENTIALS_REFUSED");
}

#[tokio::test(flavor = "multi_thread")]
async fn b10_an_enabled_channel_is_well_at_once() {
    let (world, _viber, viber) = Box::pin(with_viber()).await;
    enable(&world, world.channel).await.unwrap();
    for id in [world.channel, viber] {
        let health = channel(&world, id).await.health.unwrap();
        assert_eq!(
            (
                health.state(),
                health.webhook(),
                health.check_time.is_some()
            ),
            (State::Well, Webhook::Set, true)
        );
    }
    assert_eq!(
        look(&world, 0).await,
        2,
        "it is looked at soon all the same"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn b10_what_verifying_found_is_shown_and_told_once() {
    let world = world().await;
    world
        .bot
        .pretend_webhook(json!({ "url": "https://other.example/hook" }));
    for _ in 0..2 {
        verify(&world).await;
    }
    let shown = channel(&world, world.channel).await;
    let health = shown.health.unwrap();
    assert_eq!(
        (health.state(), health.webhook()),
        (State::Degraded, Webhook::Foreign)
    );
    assert_eq!(health.problems[0].reason, "WEBHOOK_FOREIGN");
    assert_eq!(world.count("channel.degraded").await, 1);
    world.bot.pretend_webhook(json!(null));
    verify(&world).await;
    let health = channel(&world, world.channel).await.health.unwrap();
    assert_eq!(health.state(), State::Well);
    assert_eq!(world.count("channel.recovered").await, 1);
    // What a channel needs that is switched off is no problem.
    disable(&world).await;
    world.bot.pretend_webhook(json!({ "url": "" }));
    verify(&world).await;
    let health = channel(&world, world.channel).await.health.unwrap();
    assert!(health.problems.is_empty());
    assert_eq!(health.webhook(), Webhook::Missing);
    let rename = UpdateChannelRequest {
        channel_id: world.channel.to_string(),
        name: "Other".to_owned(),
        ..UpdateChannelRequest::default()
    };
    let api = world.api();
    api.update_channel(testing::request(&world.caller, rename))
        .await
        .unwrap();
    assert_eq!(world.count("channel.degraded").await, 1);
}
