//! Lines: what an account has proven is its own, what it has only entered is nobody's (B02).

use std::collections::HashMap;

use axum::Json;
use axum::extract::Query;
use axum::routing::{get, post};
use channel_gateway::app::book::Found;
use channel_gateway::app::mail::Post;
use channel_gateway::domain::channel::ChannelKind;
use channel_gateway::domain::credentials::Credentials as Stored;
use chassis::auth::Caller;
use chassis::testing;
use secrecy::ExposeSecret as _;
use serde_json::json;
use switchboard_proto::channel_gateway::v1::channel_gateway_service_server::ChannelGatewayService as _;
use switchboard_proto::channel_gateway::v1::{
    Channel, ConnectChannelRequest, CreateChannelRequest, DisconnectChannelRequest,
    EmailCredentials, EnableChannelRequest, InstagramCredentials, TelegramBotCredentials,
    UpdateChannelRequest, ViberBotCredentials, channel, connect_channel_request,
    create_channel_request::Credentials, email_credentials, instagram_credentials::Login,
    update_channel_request,
};
use switchboard_tests::servers::{Dovecot, SmtpServer, SmtpTls};
use tonic_types::StatusExt as _;
use uuid::Uuid;

use crate::connection::mailbox;
use crate::health::{create, enable, viber_bot, with_instagram, with_viber};
use crate::world::{World, world};

fn reason(status: &tonic::Status) -> String {
    status.get_details_error_info().unwrap().reason
}

/// Somebody of another account.
fn stranger() -> Caller {
    let account = testing::fresh_account();
    testing::service_caller(Some(&account), "tests", &["channels:admin"], None)
}

async fn create_as(
    world: &World,
    caller: &Caller,
    credentials: Credentials,
) -> Result<Uuid, tonic::Status> {
    let request = CreateChannelRequest {
        name: "Line".to_owned(),
        credentials: Some(credentials),
        ..CreateChannelRequest::default()
    };
    let api = world.api();
    let created = api
        .create_channel(testing::request(caller, request))
        .await?;
    let channel = created.into_inner().channel.unwrap();
    Ok(channel.channel_id.parse().unwrap())
}

async fn enable_as(world: &World, caller: &Caller, id: Uuid) -> Result<Channel, tonic::Status> {
    let request = EnableChannelRequest {
        channel_id: id.to_string(),
    };
    let api = world.api();
    let enabled = api
        .enable_channel(testing::request(caller, request))
        .await?;
    Ok(enabled.into_inner().channel.unwrap())
}

fn bot(token: &str) -> TelegramBotCredentials {
    TelegramBotCredentials {
        token: token.to_owned(),
    }
}

fn telegram(token: &str) -> Credentials {
    Credentials::TelegramBot(bot(token))
}

fn profile(account_id: &str, token: &str) -> Credentials {
    Credentials::Instagram(InstagramCredentials {
        login: Login::Instagram.into(),
        account_id: account_id.to_owned(),
        access_token: token.to_owned(),
        ..InstagramCredentials::default()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn b02_a_line_that_was_only_entered_is_not_reserved_from_its_owner() {
    let world = world().await;
    let squatter = stranger();
    for (name, entered, theirs) in [
        (
            "telegram",
            telegram("99501:AAE_invented"),
            telegram("99501:AAE_true-token"),
        ),
        (
            "instagram",
            profile("17841400008460057", "invented"),
            profile("17841400008460057", "IGAA"),
        ),
        (
            "email",
            mailbox("boss@example.com"),
            mailbox("boss@example.com"),
        ),
    ] {
        let early = create_as(&world, &squatter, entered.clone()).await.unwrap();
        create(&world, theirs).await.expect(name);
        // Inside its account it stands once.
        let twice = create_as(&world, &squatter, entered).await.unwrap_err();
        assert_eq!(
            reason(&twice),
            "CHANNEL_ALREADY_CONNECTED",
            "{name} {early}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b02_a_proven_line_is_one_channel_s_and_others_are_told_at_once_or_when_they_enable() {
    let world = world().await;
    let squatter = stranger();
    let token = "99502:AAE_true-token";
    let early = create_as(&world, &squatter, telegram("99502:AAE_some-token"));
    let early = early.await.unwrap();
    let own = create(&world, telegram(token)).await.unwrap();
    enable(&world, own).await.unwrap();
    let late = enable_as(&world, &squatter, early).await.unwrap_err();
    assert_eq!(reason(&late), "CHANNEL_ALREADY_CONNECTED");
    let another = create_as(&world, &stranger(), telegram("99502:AAE_x")).await;
    assert_eq!(reason(&another.unwrap_err()), "CHANNEL_ALREADY_CONNECTED");
    let free = create_as(&world, &squatter, telegram("99503:AAE_x")).await;
    let update = UpdateChannelRequest {
        channel_id: free.unwrap().to_string(),
        credentials: Some(update_channel_request::Credentials::TelegramBot(bot(token))),
        ..UpdateChannelRequest::default()
    };
    let api = world.api();
    let moved = api
        .update_channel(testing::request(&squatter, update))
        .await;
    assert_eq!(reason(&moved.unwrap_err()), "CHANNEL_ALREADY_CONNECTED");
}

#[tokio::test(flavor = "multi_thread")]
async fn b02_a_line_that_was_given_up_is_not_taken_again_by_unproven_credentials() {
    let world = world().await;
    let api = world.api();
    let request = DisconnectChannelRequest {
        channel_id: world.channel.to_string(),
    };
    api.disconnect_channel(testing::request(&world.caller, request))
        .await
        .unwrap();
    let bot_id = world.token.split_once(':').unwrap().0;
    let update = UpdateChannelRequest {
        channel_id: world.channel.to_string(),
        credentials: Some(update_channel_request::Credentials::TelegramBot(bot(
            &format!("{bot_id}:AAE_invented"),
        ))),
        ..UpdateChannelRequest::default()
    };
    api.update_channel(testing::request(&world.caller, update))
        .await
        .unwrap();
    // Who has it proven has it.
    let other = stranger();
    let theirs = create_as(&world, &other, telegram(&world.token)).await;
    enable_as(&world, &other, theirs.unwrap()).await.unwrap();
    let back = enable(&world, world.channel).await.unwrap_err();
    assert_eq!(reason(&back), "CHANNEL_ALREADY_CONNECTED");
    let connect = ConnectChannelRequest {
        channel_id: world.channel.to_string(),
        credentials: Some(connect_channel_request::Credentials::TelegramBot(bot(
            &world.token,
        ))),
    };
    let back = api.connect_channel(testing::request(&world.caller, connect));
    assert_eq!(
        reason(&back.await.unwrap_err()),
        "CHANNEL_ALREADY_CONNECTED"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn b02_what_comes_for_a_line_goes_to_the_channel_that_has_it_proven() {
    let (world, _meta, id) = Box::pin(with_instagram("IGAA-first")).await;
    let line = "17841400008460056";
    // As it would be had it been entered elsewhere before.
    sqlx::query(
        "insert into channel (id, account, kind, name, state, provider_account, token_sealed, secret_sealed, created_at)
         select gen_random_uuid(), 'squatter', kind, name, 'disabled', provider_account, token_sealed, secret_sealed, created_at
         from channel where id = $1",
    )
    .bind(id)
    .execute(&world.app.pool)
    .await
    .unwrap();
    let find = async || match world.app.book.find_line(ChannelKind::Instagram, line).await {
        Found::Known(known) => Some(known.id),
        _ => None,
    };
    assert_eq!(find().await, Some(id));
    sqlx::query("update channel set proven_at = null, changed_at = now()")
        .execute(&world.app.pool)
        .await
        .unwrap();
    world.app.book.refresh().await.unwrap();
    assert_eq!(find().await, None, "nobody's");
}

#[tokio::test(flavor = "multi_thread")]
async fn b02_a_viber_token_is_refused_again_also_once_its_bot_is_known() {
    let (world, _viber, first) = Box::pin(with_viber()).await;
    for caller in [world.caller.clone(), stranger()] {
        let again = create_as(&world, &caller, viber_bot()).await.unwrap_err();
        assert_eq!(reason(&again), "CHANNEL_ALREADY_CONNECTED");
    }
    // Another token tells nothing before it is proven. Here it becomes one of the bot that is connected already.
    let token = "4453b6ac12345678-e02c5f12174805f9-daf9cbb5448c5000".to_owned();
    let another = Credentials::ViberBot(ViberBotCredentials {
        token,
        ..ViberBotCredentials::default()
    });
    let second = create(&world, another.clone()).await.unwrap();
    enable(&world, second).await.unwrap();
    let bot: String =
        sqlx::query_scalar("delete from channel where id = $1 returning provider_account")
            .bind(second)
            .fetch_one(&world.app.pool)
            .await
            .unwrap();
    sqlx::query("update channel set provider_account = $2 where id = $1")
        .bind(first)
        .bind(bot)
        .execute(&world.app.pool)
        .await
        .unwrap();
    let second = create(&world, another).await.unwrap();
    let refused = enable(&world, second).await.unwrap_err();
    assert_eq!(reason(&refused), "CHANNEL_ALREADY_CONNECTED");
}

/// Answers as a token endpoint that rotates: `n` brings `n+1`, and is void then. Returns its address.
async fn token_endpoint() -> String {
    let next = std::sync::Arc::new(std::sync::Mutex::new(1_u32));
    let answer = async move |body: String| {
        let mut next = next.lock().unwrap();
        if !body.contains(&format!("refresh_token=refresh-{next}&")) {
            let void = Json(json!({ "error": "invalid_grant" }));
            return (axum::http::StatusCode::BAD_REQUEST, void);
        }
        *next += 1;
        let tokens = json!({ "access_token": "good", "refresh_token": format!("refresh-{next}") });
        (axum::http::StatusCode::OK, Json(tokens))
    };
    let introspect = async |Query(asked): Query<HashMap<String, String>>| {
        let good = asked.get("token").is_some_and(|token| token == "good");
        Json(json!({ "active": good, "username": "shop" }))
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let root = format!("http://{}", listener.local_addr().unwrap());
    let app = axum::Router::new()
        .route("/token", post(answer))
        .route("/introspect", get(introspect));
    tokio::spawn(async move { axum::serve(listener, app).await });
    root
}

#[tokio::test(flavor = "multi_thread")]
async fn pitfall_36_a_refresh_token_that_is_rotated_while_it_is_proven_is_the_one_that_is_stored() {
    let mut world = world().await;
    world.config.mail.allow_plain = true;
    world.config.mail.allow_private = true;
    world.app.post = Post::new(&world.config.mail).unwrap();
    let root = token_endpoint().await;
    let url = format!("{root}/introspect?token=");
    let dovecot = tokio::task::spawn_blocking(move || Dovecot::start(Some(&url)));
    let dovecot = dovecot.await.unwrap().unwrap();
    let smtp = tokio::task::spawn_blocking(|| SmtpServer::start(SmtpTls::None));
    let smtp = smtp.await.unwrap().unwrap();
    smtp.behave(&json!({ "users": {}, "tokens": { "shop": "good" } }))
        .unwrap();
    let server = |port: u16| email_credentials::Server {
        host: "localhost".to_owned(),
        port: port.into(),
        security: email_credentials::Security::None.into(),
    };
    let given = |refresh: &str| EmailCredentials {
        address: "shop@example.com".to_owned(),
        username: "shop".to_owned(),
        imap: Some(server(dovecot.imap())),
        smtp: Some(server(smtp.port())),
        secret: Some(email_credentials::Secret::Oauth(email_credentials::OAuth {
            client_id: "app".to_owned(),
            refresh_token: refresh.to_owned(),
            token_url: format!("{root}/token"),
            ..email_credentials::OAuth::default()
        })),
        ..EmailCredentials::default()
    };
    let created = create(&world, mailbox("shop@example.com")).await.unwrap();
    let connect = ConnectChannelRequest {
        channel_id: created.to_string(),
        credentials: Some(connect_channel_request::Credentials::Email(given(
            "refresh-1",
        ))),
    };
    let api = world.api();
    // It is proven before it is stored, and once more when the channel is enabled: with what the first time brought.
    let connected = api.connect_channel(testing::request(&world.caller, connect));
    let connected = connected.await.unwrap().into_inner().channel.unwrap();
    assert_eq!(connected.state(), channel::State::Enabled);
    assert_eq!(stored(&world, created), "refresh-3");
    // Of one that is enabled they are proven once.
    let update = UpdateChannelRequest {
        channel_id: created.to_string(),
        credentials: Some(update_channel_request::Credentials::Email(given(
            "refresh-3",
        ))),
        ..UpdateChannelRequest::default()
    };
    api.update_channel(testing::request(&world.caller, update))
        .await
        .unwrap();
    assert_eq!(stored(&world, created), "refresh-4");
}

fn stored(world: &World, channel: Uuid) -> String {
    use channel_gateway::domain::credentials::MailSecret;
    let known = world.app.book.get(channel).unwrap();
    match &known.access {
        Stored::Email(mailbox) => match &mailbox.secret {
            MailSecret::OAuth { refresh_token, .. } => refresh_token.expose_secret().to_owned(),
            MailSecret::Password(_) => String::new(),
        },
        _ => String::new(),
    }
}
