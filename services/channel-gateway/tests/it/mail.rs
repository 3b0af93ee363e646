//! Mailboxes: mails with one id, mails under our own address, bounces, and servers that refuse the login.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Json;
use axum::routing::{get, post};
use bytes::Bytes;
use channel_gateway::app::book::Found;
use channel_gateway::app::mail::{Mailroom, Post};
use channel_gateway::app::mailbox::{Directory as _, Mail, Sink as _};
use channel_gateway::domain::email::{self, Fetched, Ours};
use channel_gateway::domain::inbound::Line;
use channel_gateway::domain::mailbox::Folder;
use chassis::clock;
use chassis::consumer::Handler as _;
use chassis::testing;
use prost::Message as _;
use serde_json::json;
use switchboard_proto::channel_gateway::v1::channel_gateway_service_server::ChannelGatewayService as _;
use switchboard_proto::channel_gateway::v1::{
    DeliveryFailed, EmailCredentials, InboundEvent, VerifyChannelRequest, channel,
    create_channel_request::Credentials, email_credentials, inbound_event::Kind,
};
use switchboard_proto::conversation::v1::{MessageQueued, OutboundCommand};
use switchboard_tests::servers::{Dovecot, SmtpServer, SmtpTls};
use tonic_types::StatusExt as _;
use uuid::Uuid;

use crate::connection::mailbox;
use crate::health::{channel, create, enable};
use crate::webhooks::items;
use crate::world::{Replica, World, eventually, world};

const CHAT: u128 = 41;
const CLIENT: &str = "olena@client.example";

/// A channel of a mailbox that nobody follows.
async fn unfollowed(world: &World) -> Uuid {
    let id = create(world, mailbox("sales@shop.example")).await.unwrap();
    sqlx::query("update channel set state = 'enabled' where id = $1")
        .bind(id)
        .execute(&world.app.pool)
        .await
        .unwrap();
    let found = world.app.book.find_fresh(id).await;
    assert!(matches!(found, Found::Known(_)));
    id
}

fn room(world: &World) -> Mailroom {
    Mailroom {
        app: world.app.clone(),
        intake: world.intake(),
    }
}

fn mail(world: &World, channel: Uuid, place: (Folder, u32, u32), raw: &str) -> Mail {
    let (folder, uidvalidity, uid) = place;
    let raw = Bytes::from(raw.replace('\n', "\r\n"));
    Mail {
        channel,
        account: world.account.to_string(),
        folder,
        uidvalidity,
        uid,
        internal_date: Some(clock::now()),
        size: u32::try_from(raw.len()).unwrap(),
        flags: Vec::new(),
        raw,
        cut: None,
    }
}

fn written(from: &str, id: &str, text: &str) -> String {
    format!("From: {from}\nTo: sales@shop.example\nSubject: order\nMessage-ID: <{id}>\n\n{text}\n")
}

/// What went into INBOUND, by its event key: the provider's key of a message, or what else it is.
async fn heard(world: &World) -> Vec<(String, String)> {
    let items = items(world).await;
    let mut heard: Vec<(String, String)> = items
        .iter()
        .map(|item| {
            let event = InboundEvent::decode(item.payload.clone()).unwrap();
            let what = match event.kind.unwrap() {
                Kind::Message(message) => message.provider_key,
                Kind::OwnAppMessage(own) => format!("own {}", own.message.unwrap().provider_key),
                Kind::Unsupported(unsupported) => {
                    assert!(!event.raw_ref.is_empty() && event.chat_key.is_empty());
                    unsupported.kind
                }
                Kind::ProviderState(state) => state.kind,
                other => format!("{other:?}"),
            };
            (event.event_key, what)
        })
        .collect();
    heard.sort();
    heard
}

async fn sent_key(world: &World, channel: Uuid, key: &str) {
    let sent = "insert into sent_key (channel_id, provider_key, chat_id, out_seq, part, sent_at)
                values ($1, $2, $3, 1, 0, now())";
    sqlx::query(sent)
        .bind(channel)
        .bind(key)
        .bind(Uuid::from_u128(CHAT))
        .execute(&world.app.pool)
        .await
        .unwrap();
}

// channels.md 5.1: "Same id with a different body hash: keep both"; pitfall 34: nothing twice
#[tokio::test(flavor = "multi_thread")]
async fn x04_two_mails_with_one_id_are_two_messages_and_a_repeat_is_one() {
    let world = world().await;
    let channel = unfollowed(&world).await;
    sent_key(&world, channel, "<m1.1@shop.example>").await;
    let one = written("Olena <olena@client.example>", "form@x", "42?");
    let two = written("Petro <petro@client.example>", "form@x", "42?");
    let three = written("Olena <olena@client.example>", "form@x", "43?");
    let ours = written(
        "Olena <olena@client.example>",
        "m1.1@shop.example",
        "Thanks",
    );
    for (uidvalidity, uid, raw) in [
        (1, 1, &one),
        (1, 2, &two),
        (1, 3, &three),
        (1, 4, &one),
        (1, 5, &ours),
        // The folder began a new life, in another order.
        (2, 1, &three),
        (2, 2, &ours),
        (2, 3, &two),
        (2, 4, &one),
    ] {
        // Nothing depends on what one process remembers.
        let mail = mail(&world, channel, (Folder::Inbox, uidvalidity, uid), raw);
        room(&world).accept(mail).await.unwrap();
    }
    let heard = heard(&world).await;
    let key = |place: &str| {
        let mut found = heard.iter().filter(|(event, _)| event == place);
        found.next().unwrap().1.clone()
    };
    assert_eq!(heard.len(), 9);
    assert_eq!(key("inbox:1:1"), "<form@x>", "the first has the id");
    for (first, again) in [
        ("inbox:1:1", "inbox:1:4"),
        ("inbox:1:1", "inbox:2:4"),
        ("inbox:1:2", "inbox:2:3"),
        ("inbox:1:3", "inbox:2:1"),
        ("inbox:1:5", "inbox:2:2"),
    ] {
        assert_eq!(key(first), key(again), "{first}");
    }
    assert_ne!(
        key("inbox:1:5"),
        "<m1.1@shop.example>",
        "an id of ours is ours"
    );
    let mut keys: Vec<&String> = heard.iter().map(|(_, key)| key).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn x04_of_two_mails_with_one_id_that_are_read_at_once_one_has_the_id() {
    let world = world().await;
    let channel = unfollowed(&world).await;
    let read = (0..8).map(|number| {
        let raw = written(CLIENT, "form@x", &format!("text {number}"));
        let mail = mail(&world, channel, (Folder::Inbox, 1, number + 1), &raw);
        let room = room(&world);
        async move { room.accept(mail).await.unwrap() }
    });
    futures::future::join_all(read).await;
    let mut keys: Vec<String> = heard(&world).await.into_iter().map(|it| it.1).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 8);
    assert_eq!(keys.iter().filter(|key| *key == "<form@x>").count(), 1);
}

// A reply names the mail that its writer knows by the id.
#[tokio::test(flavor = "multi_thread")]
async fn x04_a_reply_in_a_thread_finds_the_mail_of_its_own_chat() {
    let world = world().await;
    let channel = unfollowed(&world).await;
    let reply = |from: &str, id: &str| {
        let plain = written(from, id, "and?");
        plain.replace("\n\n", "\nIn-Reply-To: <form@x>\n\n")
    };
    for (uid, raw) in [
        (1, written("petro@client.example", "form@x", "42?")),
        (2, written(CLIENT, "form@x", "43?")),
        (3, reply("petro@client.example", "r1@x")),
        (4, reply(CLIENT, "r2@x")),
    ] {
        let mail = mail(&world, channel, (Folder::Inbox, 1, uid), &raw);
        room(&world).accept(mail).await.unwrap();
    }
    let items = items(&world).await;
    let mut named: Vec<(String, String, Vec<String>)> = items
        .iter()
        .filter_map(|item| {
            let event = InboundEvent::decode(item.payload.clone()).unwrap();
            match event.kind {
                Some(Kind::Message(message)) => {
                    Some((event.event_key, message.provider_key, message.references))
                }
                _ => None,
            }
        })
        .collect();
    named.sort();
    assert_eq!(named.len(), 4);
    assert_eq!(named[2].2, ["<form@x>"]);
    assert_ne!(named[1].1, "<form@x>");
    assert_eq!(named[3].2, [named[1].1.clone()]);
}

// Security: anybody can write our address into a mail.
#[tokio::test(flavor = "multi_thread")]
async fn x04_a_mail_under_our_own_address_is_ours_only_where_it_went_out_from_here() {
    let world = world().await;
    let channel = unfollowed(&world).await;
    sent_key(&world, channel, "<m1.1@shop.example>").await;
    let under = |id: &str| {
        let plain = written("Shop <sales@shop.example>", id, "Pay to ...");
        plain.replace("To: sales@shop.example", &format!("To: {CLIENT}"))
    };
    for (folder, uid, id) in [
        (Folder::Inbox, 1, "forged@x"),
        (Folder::Inbox, 2, "m1.1@shop.example"),
        // A blind copy to ourselves that overtakes what is filed among the sent ones.
        (Folder::Inbox, 3, "outlook@x"),
        (Folder::Sent, 1, "outlook@x"),
        (Folder::Inbox, 4, "outlook@x"),
    ] {
        let mail = mail(&world, channel, (folder, 1, uid), &under(id));
        room(&world).accept(mail).await.unwrap();
    }
    let expected = [
        ("inbox:1:1", "own-address-unproven"),
        ("inbox:1:2", "own-copy"),
        ("inbox:1:3", "own-address-unproven"),
        ("inbox:1:4", "own-copy"),
        ("sent:1:1", "own <outlook@x>"),
    ];
    let heard = heard(&world).await;
    let heard: Vec<(&str, &str)> = heard
        .iter()
        .map(|(key, what)| (key.as_str(), what.as_str()))
        .collect();
    assert_eq!(heard, expected);
}

/// A report about a mail of ours as the gateway's consumer has it.
fn report(world: &World, channel: Uuid, action: &str, uid: u32) -> InboundEvent {
    let raw = format!(
        "Return-Path: <>\nFrom: MAILER-DAEMON@mx.client.example\nTo: sales@shop.example\nSubject: report\n\
         Message-ID: <d{uid}@mx.client.example>\nMIME-Version: 1.0\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=D\n\n\
         --D\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.client.example\n\n\
         Final-Recipient: rfc822; olena@client.example\nAction: {action}\n\n\
         --D\nContent-Type: text/rfc822-headers\n\nMessage-ID: <m1.1@shop.example>\n\n--D--\n"
    );
    let raw = Bytes::from(raw.replace('\n', "\r\n"));
    let line = Line {
        account: world.account.as_str(),
        channel,
        provider_account: "sales@shop.example",
    };
    let ours = Ours {
        address: "sales@shop.example",
        domain: "shop.example",
        aliases: &[],
        gateway_id: "",
    };
    let meta = Fetched {
        raw_ref: "",
        size: u64::try_from(raw.len()).unwrap(),
        internal_date: clock::now(),
        folder: email::Folder::Inbox,
        uid_key: &format!("inbox:1:{uid}"),
    };
    email::normalise(line, &ours, &meta, &raw, clock::now())
        .0
        .remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn b03_a_bounce_counts_after_a_report_of_arrival_and_stays() {
    for (actions, together, expected) in [
        (
            &["expanded", "failed", "delivered", "expanded"][..],
            false,
            &["delivery.failed"][..],
        ),
        (
            &["delivered", "failed", "delivered"],
            false,
            &["delivery.delivered", "delivery.failed"],
        ),
        (&["delivered", "failed"], true, &["delivery.failed"]),
        (&["failed", "delivered"], true, &["delivery.failed"]),
        (&["expanded"], false, &[]),
        (&["delivered"], false, &["delivery.delivered"]),
    ] {
        let world = world().await;
        let channel = unfollowed(&world).await;
        world.queue([world.command(CHAT, 1, "a")]).await;
        sqlx::query("update part set state = 'sent', provider_key = '<m1.1@shop.example>'")
            .execute(&world.app.pool)
            .await
            .unwrap();
        sent_key(&world, channel, "<m1.1@shop.example>").await;
        let items: Vec<_> = actions
            .iter()
            .zip(1..)
            .map(|(action, uid)| {
                let mut delivery = world.delivery(&MessageQueued::default());
                let report = report(&world, channel, action, uid);
                delivery.payload = report.encode_to_vec().into();
                delivery
            })
            .collect();
        let at_once = if together { items.len() } else { 1 };
        for batch in items.chunks(at_once) {
            world.inbound().handle(batch, clock::now()).await.unwrap();
        }
        let events = world.events().await;
        let told: Vec<&str> = events
            .iter()
            .map(|(name, _)| name.as_str())
            .filter(|name| name.starts_with("delivery."))
            .collect();
        assert_eq!(told, expected, "{actions:?}");
        let state = world.states(CHAT).await.remove(0);
        let failed = events.iter().find(|(name, _)| name == "delivery.failed");
        if let Some((_, payload)) = failed {
            let failed = DeliveryFailed::decode(payload.clone()).unwrap();
            assert!(!failed.reason.is_empty());
            assert_eq!((state.2.as_str(), state.3), ("failed", failed.reason));
        }
    }
}

/// A mailbox at real servers.
struct Servers {
    dovecot: Dovecot,
    smtp: SmtpServer,
}

impl Servers {
    async fn start(world: &mut World, introspection: Option<String>) -> Self {
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

    fn mailbox(&self, secret: email_credentials::Secret) -> EmailCredentials {
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

    fn by_password(&self) -> EmailCredentials {
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
