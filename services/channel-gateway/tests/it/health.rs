//! Health: channels are looked at before their customers notice (B10).

use std::time::Duration;

use channel_gateway::app::health::{Terms, step};
use channel_gateway::provider::instagram::GraphApi;
use channel_gateway::provider::viber::ViberApi;
use chassis::{clock, testing};
use prost::Message as _;
use serde_json::{Value, json};
use switchboard_proto::channel_gateway::v1::channel_gateway_service_server::ChannelGatewayService as _;
use switchboard_proto::channel_gateway::v1::channel_health::{State, Webhook};
use switchboard_proto::channel_gateway::v1::{
    Channel, ChannelDegraded, ChannelRecovered, CreateChannelRequest, EnableChannelRequest,
    GetChannelRequest, InstagramCredentials, TelegramBotCredentials, UpdateChannelRequest,
    ViberBotCredentials, create_channel_request::Credentials, instagram_credentials::Login,
    update_channel_request,
};
use switchboard_tests::meta::StandIn as Meta;
use switchboard_tests::viber::{Fault, FaultKind, StandIn as Viber};
use uuid::Uuid;

use crate::webhooks::Gate;
use crate::world::{World, eventually, world};

pub const VIBER_TOKEN: &str = "4453b6ac12345678-e02c5f12174805f9-daf9cbb5448c51f3";
pub const IG_ACCOUNT: &str = "17841400008460056";

fn terms(world: &World) -> Terms {
    Terms::from(&world.config.health)
}

/// Looks at all channels, as some time after the last look.
pub async fn look(world: &World, minutes: i64) -> usize {
    let now = clock::now() + time::Duration::minutes(minutes);
    step(&world.app, &terms(world), now).await.unwrap()
}

pub async fn channel(world: &World, id: Uuid) -> Channel {
    let request = GetChannelRequest {
        channel_id: id.to_string(),
    };
    let got = world
        .api()
        .get_channel(testing::request(&world.caller, request))
        .await;
    got.unwrap().into_inner().channel.unwrap()
}

async fn reasons(world: &World, id: Uuid) -> Vec<String> {
    let health = channel(world, id).await.health.unwrap();
    health.problems.into_iter().map(|p| p.reason).collect()
}

pub async fn create(world: &World, credentials: Credentials) -> Result<Uuid, tonic::Status> {
    let request = CreateChannelRequest {
        name: "Line".to_owned(),
        credentials: Some(credentials),
        ..CreateChannelRequest::default()
    };
    let created = world
        .api()
        .create_channel(testing::request(&world.caller, request))
        .await?;
    Ok(created
        .into_inner()
        .channel
        .unwrap()
        .channel_id
        .parse()
        .unwrap())
}

pub async fn enable(world: &World, id: Uuid) -> Result<Channel, tonic::Status> {
    let request = EnableChannelRequest {
        channel_id: id.to_string(),
    };
    let enabled = world
        .api()
        .enable_channel(testing::request(&world.caller, request))
        .await?;
    Ok(enabled.into_inner().channel.unwrap())
}

/// Told reasons of an event, in order.
async fn told(world: &World, event: &str) -> Vec<String> {
    let events = world.events().await.into_iter();
    let told = events.filter(|(name, _)| name == event);
    told.map(|(name, payload)| match name.as_str() {
        "channel.degraded" => ChannelDegraded::decode(payload).unwrap().reason,
        _ => ChannelRecovered::decode(payload).unwrap().reason,
    })
    .collect()
}

pub fn viber_bot() -> Credentials {
    Credentials::ViberBot(ViberBotCredentials {
        token: VIBER_TOKEN.to_owned(),
        ..ViberBotCredentials::default()
    })
}

/// A world whose Viber channel is enabled.
pub async fn with_viber() -> (World, Viber, Uuid) {
    let mut world = world().await;
    let viber = Viber::start().await.unwrap();
    world.config.viber.api_url = viber.url();
    // A test's lease is shorter than the usual time limit of a call.
    world.config.viber.call_timeout = Duration::from_secs(2);
    world.app.viber = ViberApi::new(&world.config.viber).unwrap();
    world.app.public_url = Gate::open(&world).await.root().into();
    let id = create(&world, viber_bot()).await.unwrap();
    enable(&world, id).await.unwrap();
    // The Telegram bot's webhook stands at the older address: this is not about it.
    sqlx::query("update channel set state = 'disabled' where id = $1")
        .bind(world.channel)
        .execute(&world.app.pool)
        .await
        .unwrap();
    (world, viber, id)
}

#[tokio::test(flavor = "multi_thread")]
async fn b10_a_foreign_webhook_degrades_the_channel_once_and_its_end_is_told_once() {
    let world = world().await;
    assert_eq!(look(&world, 0).await, 1);
    let health = channel(&world, world.channel).await.health.unwrap();
    assert_eq!(
        (health.state(), health.webhook()),
        (State::Well, Webhook::Set)
    );
    assert_eq!(look(&world, 0).await, 0, "it is not due");

    let foreign = "https://other.example/hook/secret";
    world.bot.pretend_webhook(json!({ "url": foreign }));
    for minutes in [2, 4] {
        assert_eq!(look(&world, minutes).await, 1);
    }
    let degraded = channel(&world, world.channel).await;
    let health = degraded.health.unwrap();
    assert_eq!(
        (health.state(), health.webhook()),
        (State::Degraded, Webhook::Foreign)
    );
    assert_eq!(health.problems[0].reason, "WEBHOOK_FOREIGN");
    assert!(degraded.problem.contains("other.example") && !degraded.problem.contains("secret"));
    assert_eq!(
        world.bot.calls("setWebhook").len(),
        1,
        "nothing is taken back silently"
    );

    world.bot.pretend_webhook(Value::Null);
    for minutes in [6, 8] {
        look(&world, minutes).await;
    }
    assert_eq!(told(&world, "channel.degraded").await, ["WEBHOOK_FOREIGN"]);
    assert_eq!(told(&world, "channel.recovered").await, ["WEBHOOK_FOREIGN"]);
    assert!(reasons(&world, world.channel).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn b10_a_lost_webhook_is_set_again_once_an_hour_and_else_told() {
    let world = world().await;
    world.bot.pretend_webhook(json!({ "url": "" }));
    look(&world, 0).await;
    assert_eq!(world.bot.calls("setWebhook").len(), 2);
    assert!(reasons(&world, world.channel).await.is_empty());
    // Somebody takes it away again and again.
    look(&world, 2).await;
    assert_eq!(world.bot.calls("setWebhook").len(), 2);
    assert_eq!(reasons(&world, world.channel).await, ["WEBHOOK_MISSING"]);
    look(&world, 70).await;
    assert_eq!(world.bot.calls("setWebhook").len(), 3);
    assert_eq!(told(&world, "channel.recovered").await, ["WEBHOOK_MISSING"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn b10_of_many_replicas_one_looks_at_a_channel() {
    let world = world().await;
    let (terms, now) = (terms(&world), clock::now());
    let replicas = (0..8).map(|_| step(&world.app, &terms, now));
    let looked = futures::future::try_join_all(replicas).await.unwrap();
    assert_eq!(looked.iter().sum::<usize>(), 1);
    assert_eq!(world.bot.calls("getWebhookInfo").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn b10_what_was_seen_before_an_administrator_acted_is_not_written() {
    let world = world().await;
    let now = clock::now();
    sqlx::query("update channel_health set fence = 7, lease_until = 'epoch', check_at = 'epoch'")
        .execute(&world.app.pool)
        .await
        .unwrap();
    world
        .bot
        .pretend_webhook(json!({ "url": "https://other.example/" }));
    let mut connection = world.app.pool.acquire().await.unwrap();
    let claimed = channel_gateway::store::health::claim(&mut connection, now, now, 10).await;
    let row = claimed.unwrap().remove(0);
    enable(&world, world.channel).await.unwrap();
    let looked = channel_gateway::store::health::Looked {
        row: &row,
        check_at: Some(now),
    };
    let written = channel_gateway::store::health::write(&mut connection, &looked).await;
    assert!(!written.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn b10_a_refused_token_disconnects_and_a_new_one_is_told_as_recovery() {
    let world = world().await;
    world.bot.refuse_token(&world.token);
    look(&world, 0).await;
    let lost = channel(&world, world.channel).await;
    assert_eq!(lost.health.unwrap().state(), State::Disconnected);
    assert!(!lost.problem.is_empty());
    assert_eq!(world.count("channel.disconnected").await, 1);
    assert_eq!(look(&world, 10).await, 0, "who is refused is left alone");
    let token = format!("{}:AAE_fresh-token", world.token.split_once(':').unwrap().0);
    let update = UpdateChannelRequest {
        channel_id: world.channel.to_string(),
        credentials: Some(update_channel_request::Credentials::TelegramBot(
            TelegramBotCredentials { token },
        )),
        ..UpdateChannelRequest::default()
    };
    let api = world.api();
    api.update_channel(testing::request(&world.caller, update))
        .await
        .unwrap();
    enable(&world, world.channel).await.unwrap();
    assert_eq!(
        told(&world, "channel.recovered").await,
        ["CREDENTIALS_REFUSED"]
    );
    assert_eq!(world.count("channel.degraded").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn b10_a_provider_out_of_reach_changes_nothing_until_it_lasts() {
    let mut world = world().await;
    world
        .bot
        .pretend_webhook(json!({ "pending_update_count": 5_000 }));
    look(&world, 0).await;
    world.config.telegram.api_url = "http://127.0.0.1:1".to_owned();
    world.app.bots =
        channel_gateway::provider::telegram::BotApi::new(&world.config.telegram).unwrap();
    look(&world, 10).await;
    assert_eq!(reasons(&world, world.channel).await, ["WEBHOOK_BACKLOG"]);
    // The time counts from the first look that was not answered.
    assert_eq!(look(&world, 18).await, 1);
    look(&world, 26).await;
    assert_eq!(
        reasons(&world, world.channel).await,
        ["WEBHOOK_BACKLOG", "PROVIDER_UNREACHABLE"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn b10_a_silence_is_a_hint_and_the_channel_stays_well() {
    let world = world().await;
    sqlx::query("update channel set last_inbound_at = now() - interval '4 days'")
        .execute(&world.app.pool)
        .await
        .unwrap();
    look(&world, 0).await;
    sqlx::query("update channel_health set active_days = (1::bigint << 30) - 1")
        .execute(&world.app.pool)
        .await
        .unwrap();
    look(&world, 2).await;
    let health = channel(&world, world.channel).await.health.unwrap();
    assert_eq!(health.state(), State::Well);
    let silence = &health.problems[0];
    assert!(silence.hint && silence.reason == "SILENCE");
}

#[tokio::test(flavor = "multi_thread")]
async fn b10_a_viber_webhook_that_was_lost_is_set_again() {
    let (world, viber, id) = Box::pin(with_viber()).await;
    let ours = viber.webhook(VIBER_TOKEN).unwrap().url;
    let token = VIBER_TOKEN.to_owned().into();
    world.app.viber.remove_webhook(&token).await.unwrap();
    assert!(viber.webhook(VIBER_TOKEN).is_none());
    assert_eq!(look(&world, 0).await, 1);
    assert_eq!(viber.webhook(VIBER_TOKEN).unwrap().url, ours);
    let health = channel(&world, id).await.health.unwrap();
    assert_eq!(
        (health.state(), health.webhook()),
        (State::Well, Webhook::Set)
    );
    assert_eq!(world.count("channel.degraded").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn b10_a_viber_bot_without_balance_waits_and_is_told_of_once() {
    let (world, viber, id) = Box::pin(with_viber()).await;
    let fault = Fault::of("send_message", FaultKind::Status { status: 24 });
    viber.fault(VIBER_TOKEN, fault).unwrap();
    let replica = world.replica();
    let command = |chat: u128| {
        let mut command = world.command(chat, 1, "hello");
        command.channel_id = id.to_string();
        command.chat_key = format!("pQ7xN2aLr0uZ1mW8sYk{chat}");
        command
    };
    world.queue([command(31), command(32)]).await;
    eventually("the pause is told", async || {
        !told(&world, "channel.degraded").await.is_empty()
    })
    .await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    world.queue([command(33)]).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(
        told(&world, "channel.degraded").await,
        ["BALANCE_EXHAUSTED"]
    );
    for chat in [31, 32, 33] {
        world.until_states(chat, &["queued"]).await;
    }
    // Somebody has paid, and the pause is over.
    viber.clear_faults(VIBER_TOKEN);
    for pause in [
        "update channel_rate set paused_until = 'epoch'",
        "update lane set paused_until = 'epoch', due_at = now()",
    ] {
        sqlx::query(pause).execute(&world.app.pool).await.unwrap();
    }
    for chat in [31, 32, 33] {
        world.until_states(chat, &["sent"]).await;
    }
    assert_eq!(
        told(&world, "channel.recovered").await,
        ["BALANCE_EXHAUSTED"]
    );
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b10_an_instagram_token_is_renewed_and_a_dropped_subscription_comes_back() {
    let (world, meta, id) = Box::pin(with_instagram("IGAA-first")).await;
    // As Meta leaves it after an outage.
    meta.subscribe(IG_ACCOUNT, &[]);
    look(&world, 0).await;
    assert!(meta.subscribed(IG_ACCOUNT).contains(&"comments".to_owned()));
    let first = channel(&world, id).await.health.unwrap();
    assert_eq!(
        (first.state(), first.webhook()),
        (State::Well, Webhook::Set)
    );
    let ends = first.token_expire_time.unwrap().seconds - clock::now().unix_timestamp();
    assert_eq!(ends / 86_400, 59, "59 days and some hours");

    // The older token is gone: whoever still used it would be refused.
    meta.forget_token("IGAA-first");
    let days = |days: i64| days * 24 * 60;
    look(&world, 20).await;
    let well = channel(&world, id).await.health.unwrap();
    assert_eq!(well.state(), State::Well, "the new token is in use");
    assert_eq!(
        well.token_expire_time, first.token_expire_time,
        "it lasts: nothing is renewed"
    );
    look(&world, days(31)).await;
    let renewed = channel(&world, id).await.health.unwrap();
    assert!(renewed.token_expire_time.unwrap().seconds > first.token_expire_time.unwrap().seconds);
    let sealed: Vec<u8> = sqlx::query_scalar("select token_sealed from channel where id = $1")
        .bind(id)
        .fetch_one(&world.app.pool)
        .await
        .unwrap();
    assert!(!String::from_utf8_lossy(&sealed).contains("IGAA"));
}

/// A world whose Instagram channel is enabled.
pub async fn with_instagram(token: &str) -> (World, Meta, Uuid) {
    let mut world = world().await;
    let meta = Meta::start().await.unwrap();
    meta.account(token, IG_ACCOUNT, "shop.ua");
    world.config.instagram.instagram_url = meta.url();
    world.config.instagram.facebook_url = meta.url();
    world.app.graph = GraphApi::new(&world.config.instagram).unwrap();
    let credentials = Credentials::Instagram(InstagramCredentials {
        login: Login::Instagram.into(),
        account_id: IG_ACCOUNT.to_owned(),
        access_token: token.to_owned(),
        ..InstagramCredentials::default()
    });
    let id = create(&world, credentials).await.unwrap();
    enable(&world, id).await.unwrap();
    sqlx::query("update channel set state = 'disabled' where id = $1")
        .bind(world.channel)
        .execute(&world.app.pool)
        .await
        .unwrap();
    (world, meta, id)
}

#[tokio::test(flavor = "multi_thread")]
async fn b10_a_dead_instagram_token_disconnects_the_channel() {
    let (world, meta, id) = Box::pin(with_instagram("IGAA-first")).await;
    meta.forget_token("IGAA-first");
    look(&world, 0).await;
    let lost = channel(&world, id).await.health.unwrap();
    assert_eq!(lost.state(), State::Disconnected);
    assert_eq!(lost.problems[0].reason, "CREDENTIALS_REFUSED");
}

#[tokio::test(flavor = "multi_thread")]
async fn b10_a_mailbox_that_cannot_be_read_is_told() {
    let world = world().await;
    let id = create(&world, crate::connection::mailbox("shop@example.com"))
        .await
        .unwrap();
    sqlx::query("update channel set state = case id when $1 then 'enabled' else 'disabled' end")
        .bind(id)
        .execute(&world.app.pool)
        .await
        .unwrap();
    sqlx::query(
        "insert into mailbox (channel_id, account, owner, fence, lease_until, failing_since, problem)
         values ($1, $2, $1, 1, now() + interval '1 hour', now() - interval '11 minutes', 'connection refused')",
    )
    .bind(id)
    .bind(world.account.as_str())
    .execute(&world.app.pool)
    .await
    .unwrap();
    look(&world, 0).await;
    assert_eq!(reasons(&world, id).await, ["MAILBOX_UNREADABLE"]);
    sqlx::query("update mailbox set failing_since = null")
        .execute(&world.app.pool)
        .await
        .unwrap();
    look(&world, 2).await;
    assert_eq!(
        told(&world, "channel.recovered").await,
        ["MAILBOX_UNREADABLE"]
    );
}
