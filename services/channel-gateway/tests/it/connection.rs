//! Verifying, disconnecting and connecting channels again.

use channel_gateway::domain::inbound::Line;
use channel_gateway::domain::instagram;
use chassis::consumer::Handler as _;
use chassis::{clock, testing};
use prost::Message as _;
use serde_json::json;
use switchboard_proto::channel_gateway::v1::capabilities::TextUnit;
use switchboard_proto::channel_gateway::v1::channel_gateway_service_server::ChannelGatewayService as _;
use switchboard_proto::channel_gateway::v1::channel_health::Webhook;
use switchboard_proto::channel_gateway::v1::{
    ConnectChannelRequest, ConnectChannelResponse, DisconnectChannelRequest,
    DisconnectChannelResponse, EmailCredentials, InstagramCredentials, TelegramBotCredentials,
    VerifyChannelRequest, VerifyChannelResponse, channel, connect_channel_request,
    create_channel_request::Credentials, email_credentials, instagram_credentials::Login,
};
use switchboard_proto::common::v1::ChannelKind;
use switchboard_proto::conversation::v1::MessageQueued;
use tonic::Code;
use tonic_types::StatusExt as _;
use uuid::Uuid;

use crate::health::{
    IG_ACCOUNT, channel, create, enable, look, viber_bot, with_instagram, with_viber,
};
use crate::webhooks::{Gate, items};
use crate::world::{World, world};

pub fn mailbox(address: &str) -> Credentials {
    let server = email_credentials::Secret::Password("secret".to_owned());
    Credentials::Email(EmailCredentials {
        address: address.to_owned(),
        imap: Some(email_credentials::Server {
            host: "mail.example.com".to_owned(),
            ..Default::default()
        }),
        smtp: Some(email_credentials::Server {
            host: "mail.example.com".to_owned(),
            ..Default::default()
        }),
        secret: Some(server),
        ..EmailCredentials::default()
    })
}

fn reason(status: &tonic::Status) -> String {
    status.get_details_error_info().unwrap().reason
}

async fn verify(world: &World, id: Uuid) -> Result<VerifyChannelResponse, tonic::Status> {
    let request = VerifyChannelRequest {
        channel_id: id.to_string(),
    };
    let answer = world
        .api()
        .verify_channel(testing::request(&world.caller, request))
        .await?;
    Ok(answer.into_inner())
}

async fn disconnect(world: &World) -> DisconnectChannelResponse {
    let request = DisconnectChannelRequest {
        channel_id: world.channel.to_string(),
    };
    let answer = world
        .api()
        .disconnect_channel(testing::request(&world.caller, request))
        .await;
    answer.unwrap().into_inner()
}

async fn connect(world: &World, token: &str) -> Result<ConnectChannelResponse, tonic::Status> {
    let request = ConnectChannelRequest {
        channel_id: world.channel.to_string(),
        credentials: Some(connect_channel_request::Credentials::TelegramBot(
            TelegramBotCredentials {
                token: token.to_owned(),
            },
        )),
    };
    let answer = world
        .api()
        .connect_channel(testing::request(&world.caller, request))
        .await?;
    Ok(answer.into_inner())
}

fn other_token(world: &World) -> String {
    format!("{}:AAE_fresh-token", world.token.split_once(':').unwrap().0)
}

#[tokio::test(flavor = "multi_thread")]
async fn b10_verifying_says_what_the_provider_says_and_mends_nothing() {
    let world = world().await;
    let well = verify(&world, world.channel).await.unwrap();
    assert!(well.accepted && well.problems.is_empty());
    assert_eq!(
        (well.provider_name.as_str(), well.webhook()),
        ("shop_bot", Webhook::Set)
    );
    world.bot.pretend_webhook(json!({ "url": "" }));
    let lost = verify(&world, world.channel).await.unwrap();
    assert_eq!(lost.problems[0].reason, "WEBHOOK_MISSING");
    assert_eq!(
        world.bot.calls("setWebhook").len(),
        1,
        "it is not set again"
    );
    world.bot.refuse_token(&world.token);
    let refused = verify(&world, world.channel).await.unwrap();
    assert!(!refused.accepted);
    assert_eq!(refused.problems[0].reason, "CREDENTIALS_REFUSED");
    // As after any other look.
    assert_eq!(
        channel(&world, world.channel).await.state(),
        channel::State::Disconnected
    );
    assert_eq!(world.count("channel.disconnected").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn b10_a_channel_that_is_switched_off_lacks_no_webhook() {
    let world = world().await;
    let now = clock::now();
    channel_gateway::app::connection::disable(&world.app, &world.caller, world.channel, now)
        .await
        .unwrap();
    world.bot.pretend_webhook(json!({ "url": "" }));
    let off = verify(&world, world.channel).await.unwrap();
    assert!(off.accepted);
    assert_eq!((off.webhook(), off.problems), (Webhook::Missing, vec![]));
    assert_eq!(world.count("channel.degraded").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn verifying_a_provider_that_is_away_is_an_error() {
    let (world, viber, id) = Box::pin(with_viber()).await;
    viber.stop();
    let away = verify(&world, id).await.unwrap_err();
    assert_eq!(away.code(), Code::Unavailable);
}

#[tokio::test(flavor = "multi_thread")]
async fn pitfall_21_an_account_of_which_nothing_came_has_a_check_list_until_somebody_wrote() {
    let (world, _meta, id) = Box::pin(with_instagram("IGAA-first")).await;
    let silent = verify(&world, id).await.unwrap();
    let [problem] = silent.problems.as_slice() else {
        panic!("{:?}", silent.problems)
    };
    assert!(silent.accepted && problem.hint && problem.reason == "SILENCE");
    for cause in ["Live", "Advanced Access", "access to messages"] {
        assert!(problem.detail.contains(cause), "{}", problem.detail);
    }
    let wrote = json!({ "object": "instagram", "entry": [{ "id": IG_ACCOUNT, "time": 1, "messaging": [{
        "sender": { "id": "77" }, "recipient": { "id": IG_ACCOUNT }, "timestamp": 1_790_764_802_000_u64,
        "message": { "mid": "m1", "text": "hi" } }] }] });
    let line = Line {
        account: world.account.as_str(),
        channel: id,
        provider_account: IG_ACCOUNT,
    };
    let raw = wrote.to_string().into_bytes().into();
    let event = instagram::normalise(line, &raw, clock::now()).remove(0);
    let mut delivery = world.delivery(&MessageQueued::default());
    delivery.payload = event.encode_to_vec().into();
    let heard = world.inbound().handle(&[delivery], clock::now()).await;
    heard.unwrap();
    assert_eq!(verify(&world, id).await.unwrap().problems, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disconnected_channel_forgets_its_credentials_hears_nobody_and_fails_what_waits() {
    let world = world().await;
    let (gate, secret) = (Gate::open(&world).await, world.secret());
    let replica = world.replica();
    world.queue([world.command(1, 1, "before")]).await;
    world.until_states(1, &["sent"]).await;
    // A provider that asked to wait has nothing to say to what fails anyway.
    let paused = sqlx::query("update channel_rate set paused_until = now() + interval '1 hour'")
        .execute(&world.app.pool)
        .await
        .unwrap();
    assert_eq!(paused.rows_affected(), 1);

    let gone = disconnect(&world).await;
    assert!(gone.webhook_taken_back);
    let gone = gone.channel.unwrap();
    assert_eq!(gone.state(), channel::State::Disconnected);
    assert_eq!(world.bot.calls("deleteWebhook").len(), 1);
    assert_eq!(world.count("channel.disconnected").await, 1);
    // Safe to repeat.
    disconnect(&world).await;
    assert_eq!(world.count("channel.disconnected").await, 1);
    assert_eq!(look(&world, 5).await, 0, "nobody looks at it");

    let id = world.channel;
    let row: Vec<u8> = sqlx::query_scalar("select token_sealed from channel where id = $1")
        .bind(id)
        .fetch_one(&world.app.pool)
        .await
        .unwrap();
    let aad = format!("channel:{id}:token");
    assert!(
        world
            .app
            .sealer
            .open(&row, aad.as_bytes())
            .unwrap()
            .is_empty()
    );

    world.queue([world.command(1, 2, "after")]).await;
    world.until_states(1, &["sent", "failed"]).await;
    assert_eq!(world.states(1).await[1].3, "CHANNEL_DISCONNECTED");
    replica.stop().await;

    // What still comes, because the provider did not listen, is kept raw as for a channel that is switched off.
    let person = json!({ "id": 23, "first_name": "Sojan" });
    let chat = json!({ "id": 23, "type": "private" });
    let update = json!({ "update_id": 1, "message": { "message_id": 1, "from": person, "chat": chat, "date": 1, "text": "hi" } });
    let id_text = id.to_string();
    let status = gate.status(&id_text, &secret, update.to_string().into());
    assert_eq!(status.await, 200);
    assert_eq!(items(&world).await.len(), 1);
    assert_eq!(
        enable(&world, id).await.unwrap_err().code(),
        Code::FailedPrecondition
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_is_connected_again_with_credentials_of_the_same_line_only() {
    let world = world().await;
    disconnect(&world).await;
    let another = connect(&world, "99100:AAE_other-bot").await.unwrap_err();
    let field = &another.get_details_bad_request().unwrap().field_violations[0];
    assert_eq!(field.field, "telegram_bot.token");
    let asked = world.bot.calls("getMe");
    assert!(
        asked.iter().all(|call| !call.token.contains("99100")),
        "nobody signs in as another bot"
    );

    let token = other_token(&world);
    world.bot.refuse_token(&token);
    let refused = connect(&world, &token).await.unwrap_err();
    assert_eq!(reason(&refused), "CREDENTIALS_REFUSED");
    assert_eq!(
        channel(&world, world.channel).await.state(),
        channel::State::Disconnected,
        "refused credentials are not stored"
    );

    let again = connect(&world, &world.token)
        .await
        .unwrap()
        .channel
        .unwrap();
    assert_eq!(again.state(), channel::State::Enabled);
    assert_eq!(again.problem, "");
    assert_eq!(look(&world, 5).await, 1);
    // Of one that is enabled they are replaced, as by an update.
    let fresh = format!("{}:AAE_third-token", world.token.split_once(':').unwrap().0);
    connect(&world, &fresh).await.unwrap();
    assert!(
        world
            .bot
            .calls("setWebhook")
            .last()
            .unwrap()
            .token
            .ends_with("AAE_third-token")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_was_given_up_may_be_connected_elsewhere_and_then_not_here_again() {
    let world = world().await;
    let taken = world.create(&world.token, "").await.unwrap_err();
    assert_eq!(reason(&taken), "CHANNEL_ALREADY_CONNECTED");
    disconnect(&world).await;
    let elsewhere = world.create(&world.token, "").await.unwrap();
    enable(&world, elsewhere).await.unwrap();
    let refused = connect(&world, &other_token(&world)).await.unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::AlreadyExists, "CHANNEL_ALREADY_CONNECTED")
    );
    assert_eq!(
        channel(&world, world.channel).await.state(),
        channel::State::Disconnected
    );
}

fn profile(account_id: &str) -> Credentials {
    Credentials::Instagram(InstagramCredentials {
        login: Login::Instagram.into(),
        account_id: account_id.to_owned(),
        access_token: "IGAA-token".to_owned(),
        ..InstagramCredentials::default()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_channel_for_the_same_provider_account_is_refused_of_every_kind() {
    let world = world().await;
    for (name, credentials) in [
        ("viber", viber_bot()),
        ("instagram", profile("17841400008460056")),
        ("email", mailbox("Shop@Example.com")),
    ] {
        create(&world, credentials.clone()).await.unwrap();
        let refused = create(&world, credentials).await.unwrap_err();
        assert_eq!(reason(&refused), "CHANNEL_ALREADY_CONNECTED", "{name}");
    }
    let bot = world.create(&world.token, "").await.unwrap_err();
    assert_eq!(reason(&bot), "CHANNEL_ALREADY_CONNECTED");
    // However it is written, it is the same mailbox.
    let refused = create(&world, mailbox("shop@example.COM")).await;
    assert_eq!(reason(&refused.unwrap_err()), "CHANNEL_ALREADY_CONNECTED");
}

#[tokio::test(flavor = "multi_thread")]
async fn d15_what_a_channel_can_is_read_by_rpc_of_every_kind() {
    let world = world().await;
    let mut ids = vec![world.channel];
    for credentials in [
        viber_bot(),
        profile("17841400008460056"),
        mailbox("shop@example.com"),
    ] {
        ids.push(create(&world, credentials).await.unwrap());
    }
    let expected = [
        (ChannelKind::TelegramBot, 4_096, TextUnit::Characters, 0),
        (ChannelKind::ViberBot, 7_000, TextUnit::Characters, 0),
        (ChannelKind::Instagram, 1_000, TextUnit::Bytes, 24),
        (ChannelKind::Email, 0, TextUnit::Characters, 0),
    ];
    for (id, (kind, text, unit, window)) in ids.into_iter().zip(expected) {
        let channel = channel(&world, id).await;
        assert_eq!(channel.kind(), kind);
        let can = channel.capabilities.unwrap();
        assert_eq!(
            (can.text_limit, can.text_unit(), can.window_hours),
            (text, unit, window),
            "{kind:?}"
        );
    }
}
