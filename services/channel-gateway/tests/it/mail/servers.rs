//! Servers that refuse the login, are away, or may not be called.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Json;
use axum::routing::{get, post};
use channel_gateway::app::mail::Post;
use channel_gateway::app::mailbox::Directory as _;
use chassis::testing;
use serde_json::json;
use switchboard_proto::channel_gateway::v1::channel_gateway_service_server::ChannelGatewayService as _;
use switchboard_proto::channel_gateway::v1::{
    EmailCredentials, VerifyChannelRequest, channel, create_channel_request::Credentials,
    email_credentials,
};
use switchboard_proto::conversation::v1::OutboundCommand;
use switchboard_tests::servers::{Dovecot, SmtpServer, SmtpTls};
use tonic_types::StatusExt as _;
use uuid::Uuid;

use super::{CHAT, CLIENT, room};
use crate::health::{channel, create, enable};
use crate::world::{Replica, World, eventually, world};

/// A mailbox at real servers.
pub struct Servers {
    pub dovecot: Dovecot,
    pub smtp: SmtpServer,
}

impl Servers {
    pub async fn start(world: &mut World, introspection: Option<String>) -> Self {
        world.config.mail.allow_plain = true;
        world.config.mail.allow_private = true;
        world.config.mail.submit_timeout = Duration::from_secs(5);
        world.app.post = Post::new(&world.config.mail).unwrap();
        let servers = tokio::task::spawn_blocking(move || {
            let dovecot = Dovecot::start(introspection.as_deref()).unwrap();
            let smtp = SmtpServer::start(SmtpTls::None).unwrap();
            Self { dovecot, smtp }
        });
        servers.await.unwrap()
    }

    pub fn mailbox(&self, secret: email_credentials::Secret) -> EmailCredentials {
        let server = |port: u16| {
            Some(email_credentials::Server {
                host: "localhost".to_owned(),
                port: port.into(),
                security: email_credentials::Security::None.into(),
            })
        };
        EmailCredentials {
            address: "sales@shop.example".to_owned(),
            username: "shop".to_owned(),
            imap: server(self.dovecot.imap()),
            smtp: server(self.smtp.port()),
            secret: Some(secret),
            ..EmailCredentials::default()
        }
    }

    pub fn by_password(&self) -> EmailCredentials {
        let password = email_credentials::Secret::Password("secret".to_owned());
        self.mailbox(password)
    }
}

fn command(world: &World, channel: Uuid) -> OutboundCommand {
    OutboundCommand {
        channel_id: channel.to_string(),
        chat_key: CLIENT.to_owned(),
        ..world.command(CHAT, 1, "Так, є.")
    }
}

fn replica(world: &World) -> Replica {
    let mut terms = world.terms();
    terms.lease = Duration::from_secs(30);
    world.replica_on(terms)
}

fn is_wanted(world: &World, channel: Uuid) -> bool {
    let wanted = room(world).wanted();
    wanted.iter().any(|wanted| wanted.channel == channel)
}

// pitfalls 15 and 33: what is refused for sending is heard still, and only the third refusal disconnects
#[tokio::test(flavor = "multi_thread")]
async fn b10_a_mailbox_whose_mails_are_refused_is_disconnected_by_the_third_and_is_read_still() {
    let mut world = world().await;
    let servers = Servers::start(&mut world, None).await;
    let good = json!({ "users": { "shop": "secret" } });
    let bad = json!({ "users": { "shop": "another" } });
    servers.smtp.behave(&good).unwrap();
    let id = create(&world, Credentials::Email(servers.by_password()))
        .await
        .unwrap();
    enable(&world, id).await.unwrap();
    let refusals = async || -> Vec<i32> {
        sqlx::query_scalar("select refusals from submission_refusal")
            .fetch_all(&world.app.pool)
            .await
            .unwrap()
    };
    // Time passes: the chat is due, and the last refusal is a while ago.
    let later = async || {
        for change in [
            "update lane set paused_until = 'epoch', due_at = now() where lease_until is null",
            "update submission_refusal set refused_at = refused_at - interval '1 minute'",
        ] {
            sqlx::query(change).execute(&world.app.pool).await.unwrap();
        }
    };
    servers.smtp.behave(&bad).unwrap();
    let replica = replica(&world);
    world.queue([command(&world, id)]).await;
    for count in 1..=2 {
        eventually("it was refused", async || refusals().await == [count]).await;
        world.until_states(CHAT, &["queued"]).await;
        assert_eq!(channel(&world, id).await.state(), channel::State::Enabled);
        later().await;
        replica.waker.wake();
    }
    world.until_states(CHAT, &["failed"]).await;
    assert_eq!(world.states(CHAT).await[0].3, "CREDENTIALS_REFUSED");
    eventually("it is told", async || {
        channel(&world, id).await.state() == channel::State::Disconnected
    })
    .await;
    assert!(is_wanted(&world, id), "clients are heard still");
    // Enabled anew, it begins anew.
    servers.smtp.behave(&good).unwrap();
    enable(&world, id).await.unwrap();
    assert!(refusals().await.is_empty());
    assert!(is_wanted(&world, id));
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b02_a_mailbox_is_enabled_only_where_it_can_be_read_and_mails_are_taken() {
    let mut world = world().await;
    let servers = Servers::start(&mut world, None).await;
    let id = create(&world, Credentials::Email(servers.by_password()))
        .await
        .unwrap();
    let verify = async || {
        let request = VerifyChannelRequest {
            channel_id: id.to_string(),
        };
        world
            .api()
            .verify_channel(testing::request(&world.caller, request))
            .await
            .map(tonic::Response::into_inner)
    };
    servers
        .smtp
        .behave(&json!({ "users": { "shop": "another" } }))
        .unwrap();
    let refused = enable(&world, id).await.unwrap_err();
    let reason = refused.get_details_error_info().unwrap().reason;
    assert_eq!(reason, "SMTP_CREDENTIALS_REFUSED");
    for word in ["SMTP", "password"] {
        assert!(refused.message().contains(word), "{}", refused.message());
    }
    assert_eq!(channel(&world, id).await.state(), channel::State::Disabled);
    servers
        .smtp
        .behave(&json!({ "users": { "shop": "secret" } }))
        .unwrap();
    enable(&world, id).await.unwrap();
    // One refusal disconnects nothing: whoever asks is told.
    servers
        .smtp
        .behave(&json!({ "users": { "shop": "another" } }))
        .unwrap();
    let verified = verify().await.unwrap();
    assert!(!verified.accepted);
    assert_eq!(verified.problems[0].reason, "SMTP_CREDENTIALS_REFUSED");
    assert_eq!(channel(&world, id).await.state(), channel::State::Enabled);
    // Servers that cannot be used are named.
    let port = servers.smtp.port();
    let Servers { dovecot, smtp } = servers;
    drop(smtp);
    let away = verify().await.unwrap_err();
    let said = away.message();
    assert!(
        said.contains("(SMTP, ") && said.contains(&format!("localhost:{port}")),
        "{said}"
    );
    let port = dovecot.imap();
    drop(dovecot);
    let away = verify().await.unwrap_err();
    let said = away.message();
    assert!(
        said.contains("(IMAP, ") && said.contains(&format!("localhost:{port}")),
        "{said}"
    );
    assert_eq!(away.code(), tonic::Code::Unavailable);
    assert!(!said.contains("secret"));
    // And so are those that may not be called.
    world.config.mail.allow_private = false;
    world.app.post = Post::new(&world.config.mail).unwrap();
    let refused = enable(&world, id).await.unwrap_err();
    assert!(
        refused.message().contains("may be called"),
        "{}",
        refused.message()
    );
}

// pitfall 36: a token that ran out is no refusal
#[tokio::test(flavor = "multi_thread")]
async fn b10_an_access_token_that_the_server_refuses_is_replaced_and_the_mail_goes() {
    let mut world = world().await;
    let count = Arc::new(AtomicUsize::new(0));
    let given = Arc::clone(&count);
    let token = move || {
        let number = given.fetch_add(1, Ordering::SeqCst) + 1;
        async move { Json(json!({ "access_token": format!("t{number}"), "expires_in": 3599 })) }
    };
    let introspect = async || Json(json!({ "active": true, "username": "shop" }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let root = format!("http://{}", listener.local_addr().unwrap());
    let app = axum::Router::new()
        .route("/token", post(token))
        .route("/introspect", get(introspect));
    tokio::spawn(async move { axum::serve(listener, app).await });
    let servers = Servers::start(&mut world, Some(format!("{root}/introspect?token="))).await;
    let secret = email_credentials::Secret::Oauth(email_credentials::OAuth {
        client_id: "app".to_owned(),
        refresh_token: "refresh".to_owned(),
        token_url: format!("{root}/token"),
        ..email_credentials::OAuth::default()
    });
    let accept = |token: &str| {
        let how = json!({ "users": {}, "tokens": { "shop": token } });
        servers.smtp.behave(&how).unwrap();
    };
    accept("t1");
    let id = create(&world, Credentials::Email(servers.mailbox(secret)))
        .await
        .unwrap();
    enable(&world, id).await.unwrap();
    assert_eq!(count.load(Ordering::SeqCst), 1);
    accept("t2");
    let replica = replica(&world);
    world.queue([command(&world, id)]).await;
    world.until_states(CHAT, &["sent"]).await;
    replica.stop().await;
    assert_eq!(count.load(Ordering::SeqCst), 2);
    assert_eq!(servers.smtp.received().unwrap().len(), 1);
    assert_eq!(channel(&world, id).await.state(), channel::State::Enabled);
}
