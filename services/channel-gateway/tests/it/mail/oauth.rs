//! Access tokens of mailboxes: who asks for one, and whom that holds up.

use std::sync::Arc;
use std::time::Duration;

use channel_gateway::app::book::{Found, Known};
use channel_gateway::app::mail::{Post, login};
use channel_gateway::domain::credentials;
use channel_gateway::provider::imap::Secret;
use secrecy::ExposeSecret as _;
use switchboard_proto::channel_gateway::v1::{
    EmailCredentials, create_channel_request::Credentials, email_credentials,
};
use switchboard_tests::oauth::TokenServer;
use uuid::Uuid;

use crate::health::create;
use crate::world::{World, world};

/// A mailbox whose tokens are had at an address; nobody calls its servers here.
async fn channel(world: &World, tokens: &TokenServer, address: &str, token_url: String) -> Uuid {
    let server = Some(email_credentials::Server {
        host: "mail.example".to_owned(),
        port: 993,
        security: email_credentials::Security::Tls.into(),
    });
    let mailbox = EmailCredentials {
        address: address.to_owned(),
        username: address.to_owned(),
        imap: server.clone(),
        smtp: server,
        secret: Some(email_credentials::Secret::Oauth(email_credentials::OAuth {
            client_id: tokens.client_id().to_owned(),
            client_secret: tokens.client_secret(),
            refresh_token: tokens.consent(),
            token_url,
        })),
        ..EmailCredentials::default()
    };
    create(world, Credentials::Email(mailbox)).await.unwrap()
}

async fn known(world: &World, channel: Uuid) -> Arc<Known> {
    let found = match world.app.book.find_fresh(channel).await {
        Found::Known(known) => Some(known),
        _ => None,
    };
    found.unwrap()
}

/// Asks for an access token, another one where `renewed`, as somebody who knows the channel as it was.
async fn token(world: &World, known: &Known, renewed: bool) -> Option<String> {
    let credentials::Credentials::Email(mailbox) = &known.access else {
        return None;
    };
    let login = login(&world.app, known.id, known.credentials, mailbox, renewed).await;
    match login.ok()?.secret {
        Secret::Token(token) => Some(token.expose_secret().to_owned()),
        Secret::Password(_) => None,
    }
}

fn allow_here(world: &mut World) {
    world.config.mail.allow_plain = true;
    world.config.mail.allow_private = true;
    world.app.post = Post::new(&world.config.mail).unwrap();
}

// pitfall 36: a refresh token that is replaced at each use is used once
#[tokio::test(flavor = "multi_thread")]
async fn b10_of_several_who_need_another_token_one_asks_and_who_knows_an_old_grant_has_the_new_one()
{
    let mut world = world().await;
    allow_here(&mut world);
    let tokens = TokenServer::start("shop").await.unwrap();
    let id = channel(&world, &tokens, "sales@shop.example", tokens.token_url()).await;
    let old = known(&world, id).await;
    let first = token(&world, &old, false).await.unwrap();
    assert_eq!(token(&world, &old, false).await, Some(first.clone()));
    assert_eq!(tokens.asked(), 1);
    // Both had their token refused, as where mails are read and where they are handed over.
    // None is given before both have asked.
    let held = tokens.hold().await;
    let (one, other, ()) = tokio::join!(
        token(&world, &old, true),
        token(&world, &old, true),
        async { drop(held) }
    );
    assert_eq!(one, other);
    assert!(one.is_some() && one != Some(first));
    assert_eq!(tokens.asked(), 2);
    // Another replica, which has no token and did not hear of the new grant.
    world.app.post = Post::new(&world.config.mail).unwrap();
    assert!(token(&world, &old, false).await.is_some());
    assert_eq!(tokens.asked(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn b10_a_token_server_that_does_not_answer_holds_up_its_own_mailbox_alone() {
    let mut world = world().await;
    allow_here(&mut world);
    let tokens = TokenServer::start("shop").await.unwrap();
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nowhere = format!("http://{}/token", silent.local_addr().unwrap());
    let stuck = channel(&world, &tokens, "stuck@shop.example", nowhere).await;
    let stuck = known(&world, stuck).await;
    let good = channel(&world, &tokens, "sales@shop.example", tokens.token_url()).await;
    let good = known(&world, good).await;
    let waiting = token(&world, &stuck, false);
    let mut waiting = std::pin::pin!(waiting);
    let (_held, _) = tokio::select! {
        accepted = silent.accept() => accepted.unwrap(),
        ended = waiting.as_mut() => panic!("{ended:?}"),
    };
    let other = async {
        tokio::select! {
            had = token(&world, &good, false) => had,
            ended = waiting.as_mut() => panic!("{ended:?}"),
        }
    };
    let had = tokio::time::timeout(Duration::from_secs(5), other).await;
    assert!(had.unwrap().is_some());
}
