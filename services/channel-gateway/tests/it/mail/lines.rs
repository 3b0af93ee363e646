//! Which mailbox is whose: what is read, by which login, and never who entered an address first (B02).

use channel_gateway::app::mail_lines;
use chassis::auth::Caller;
use chassis::testing;
use serde_json::json;
use switchboard_proto::channel_gateway::v1::channel_gateway_service_server::ChannelGatewayService as _;
use switchboard_proto::channel_gateway::v1::{
    CreateChannelRequest, EmailCredentials, EnableChannelRequest, UpdateChannelRequest,
    create_channel_request::Credentials, email_credentials::Secret, update_channel_request,
};
use tonic_types::StatusExt as _;
use uuid::Uuid;

use super::servers::Servers;
use crate::world::{World, world};

/// A mailbox at the servers: its address, by which name the server is read, and as whom.
fn at(servers: &Servers, address: &str, host: &str, login: &str) -> EmailCredentials {
    let mut given = servers.by_password();
    address.clone_into(&mut given.address);
    login.clone_into(&mut given.username);
    if let Some(imap) = &mut given.imap {
        host.clone_into(&mut imap.host);
    }
    given
}

fn with_password(given: &EmailCredentials, password: &str) -> EmailCredentials {
    EmailCredentials {
        secret: Some(Secret::Password(password.to_owned())),
        ..given.clone()
    }
}

fn somebody() -> Caller {
    let account = testing::fresh_account();
    testing::service_caller(Some(&account), "tests", &["channels:admin"], None)
}

/// Why it was refused; nothing where it was not.
fn reason(refused: &tonic::Status) -> String {
    refused
        .get_details_error_info()
        .map(|info| info.reason)
        .unwrap_or_default()
}

async fn create(world: &World, caller: &Caller, given: &EmailCredentials) -> Result<Uuid, String> {
    let request = CreateChannelRequest {
        name: "Mail".to_owned(),
        credentials: Some(Credentials::Email(given.clone())),
        ..CreateChannelRequest::default()
    };
    let api = world.api();
    let created = api.create_channel(testing::request(caller, request)).await;
    let channel = created
        .map_err(|refused| reason(&refused))?
        .into_inner()
        .channel
        .unwrap();
    Ok(channel.channel_id.parse().unwrap())
}

async fn enable(world: &World, caller: &Caller, id: Uuid) -> Result<(), String> {
    let request = EnableChannelRequest {
        channel_id: id.to_string(),
    };
    let api = world.api();
    let enabled = api.enable_channel(testing::request(caller, request)).await;
    enabled.map(drop).map_err(|refused| reason(&refused))
}

async fn update(
    world: &World,
    caller: &Caller,
    id: Uuid,
    given: &EmailCredentials,
) -> Result<(), String> {
    let request = UpdateChannelRequest {
        channel_id: id.to_string(),
        credentials: Some(update_channel_request::Credentials::Email(given.clone())),
        ..UpdateChannelRequest::default()
    };
    let api = world.api();
    let updated = api.update_channel(testing::request(caller, request)).await;
    updated.map(drop).map_err(|refused| reason(&refused))
}

fn taken<T>() -> Result<T, String> {
    Err("CHANNEL_ALREADY_CONNECTED".to_owned())
}

async fn servers(world: &mut World) -> Servers {
    let servers = Servers::start(world, None).await;
    let users = json!({ "users": { "shop": "secret", "Shop": "secret", "other": "secret" } });
    servers.smtp.behave(&users).unwrap();
    servers
}

#[tokio::test(flavor = "multi_thread")]
async fn b02_nobody_keeps_another_account_from_its_address_by_having_it_on_a_server_of_its_own() {
    let mut world = world().await;
    let servers = servers(&mut world).await;
    let (squatter, owner) = (somebody(), somebody());
    let address = "shop@example.org";
    let theirs = at(&servers, address, "127.0.0.1", "shop");
    let early = create(&world, &squatter, &theirs).await.unwrap();
    enable(&world, &squatter, early).await.unwrap();
    let own = at(&servers, address, "localhost", "shop");
    let own = create(&world, &owner, &own).await.unwrap();
    enable(&world, &owner, own).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn b02_that_a_mailbox_is_connected_learns_only_who_has_its_password() {
    let mut world = world().await;
    let servers = servers(&mut world).await;
    let (first, other) = (somebody(), somebody());
    let given = at(&servers, "shop@example.org", "localhost", "shop");
    let id = create(&world, &first, &given).await.unwrap();
    enable(&world, &first, id).await.unwrap();

    // Entering it tells nothing, under its address or another one.
    for address in ["shop@example.org", "sales@elsewhere.example"] {
        let guessed = at(&servers, address, "localhost", "shop");
        let guessed = with_password(&guessed, "guessed");
        let guess = create(&world, &other, &guessed).await.unwrap();
        let refused = enable(&world, &other, guess).await;
        assert_eq!(refused, Err("CREDENTIALS_REFUSED".to_owned()), "{address}");
        // Who has the password is told, however server and login are written.
        let known = at(&servers, address, "LOCALHOST", "Shop");
        update(&world, &other, guess, &known).await.unwrap();
        let refused = enable(&world, &other, guess).await;
        assert_eq!(refused, taken(), "{address}");
        sqlx::query("delete from channel where id = $1")
            .bind(guess)
            .execute(&world.app.pool)
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b02_in_its_account_a_mailbox_is_one_channel_s_and_so_is_an_address_at_a_server() {
    let mut world = world().await;
    let servers = servers(&mut world).await;
    let caller = somebody();
    let make = async |address: &str, host: &str, login: &str| {
        let given = at(&servers, address, host, login);
        create(&world, &caller, &given).await.map(drop)
    };
    assert_eq!(make("shop@example.org", "localhost", "shop").await, Ok(()));
    for (name, address, host, login, expected) in [
        ("the same", "shop@example.org", "localhost", "shop", taken()),
        (
            "under another address",
            "sales@example.org",
            "localhost",
            "shop",
            taken(),
        ),
        (
            "the address by another login",
            "shop@example.org",
            "localhost",
            "other",
            taken(),
        ),
        (
            "written otherwise",
            "Shop@Example.org",
            "Localhost.",
            "SHOP",
            taken(),
        ),
        (
            "the address at another server",
            "shop@example.org",
            "127.0.0.1",
            "shop",
            Ok(()),
        ),
        (
            "another mailbox of the server",
            "other@example.org",
            "localhost",
            "other",
            Ok(()),
        ),
    ] {
        assert_eq!(make(address, host, login).await, expected, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b02_a_mailbox_that_was_proven_is_not_kept_by_credentials_of_another_server() {
    let mut world = world().await;
    let servers = servers(&mut world).await;
    let (first, owner) = (somebody(), somebody());
    let given = at(&servers, "shop@example.org", "127.0.0.1", "shop");
    let id = create(&world, &first, &given).await.unwrap();
    let proven = async || -> bool {
        sqlx::query_scalar("select proven_at is not null from channel where id = $1")
            .bind(id)
            .fetch_one(&world.app.pool)
            .await
            .unwrap()
    };
    enable(&world, &first, id).await.unwrap();
    sqlx::query("update channel set state = 'disabled' where id = $1")
        .bind(id)
        .execute(&world.app.pool)
        .await
        .unwrap();
    // Other words for the same one change nothing.
    let same = with_password(&given, "another");
    update(&world, &first, id, &same).await.unwrap();
    assert!(proven().await);
    // Whoever only enters another server has not proven that one, and keeps nobody from it.
    let elsewhere = at(&servers, "shop@example.org", "localhost", "shop");
    update(&world, &first, id, &elsewhere).await.unwrap();
    assert!(!proven().await);
    let own = create(&world, &owner, &elsewhere).await.unwrap();
    enable(&world, &owner, own).await.unwrap();
    assert_eq!(enable(&world, &first, id).await, taken());
}

#[tokio::test(flavor = "multi_thread")]
async fn mailboxes_that_were_connected_before_get_what_they_are_told_apart_by() {
    let mut world = world().await;
    let servers = servers(&mut world).await;
    let (first, other) = (somebody(), somebody());
    let given = at(&servers, "shop@example.org", "localhost", "shop");
    let id = create(&world, &first, &given).await.unwrap();
    enable(&world, &first, id).await.unwrap();
    let forget = "update channel set mail_host = null, mail_login = null where kind = 'email'";
    sqlx::query(forget).execute(&world.app.pool).await.unwrap();
    // In its account it is known by its address meanwhile.
    let again = create(&world, &first, &given).await;
    assert_eq!(again, taken());
    // One that reads the same under another address, as could be before.
    let twice = at(&servers, "sales@example.org", "localhost", "shop");
    let twice = create(&world, &other, &twice).await.unwrap();
    sqlx::query(forget).execute(&world.app.pool).await.unwrap();
    assert_eq!(mail_lines::fill(&world.app).await.unwrap(), 1);
    let known: Vec<(Uuid, String, String)> =
        sqlx::query_as("select id, mail_host, mail_login from channel where mail_host is not null")
            .fetch_all(&world.app.pool)
            .await
            .unwrap();
    assert_eq!(known, [(id, "localhost".to_owned(), "shop".to_owned())]);
    assert_eq!(enable(&world, &other, twice).await, taken());
    assert_eq!(mail_lines::fill(&world.app).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_mailboxes_that_are_one_the_proven_one_is_filled_in_whoever_entered_it_first() {
    let mut world = world().await;
    let servers = servers(&mut world).await;
    let (squatter, owner) = (somebody(), somebody());
    let given = at(&servers, "shop@example.org", "localhost", "shop");
    let guessed = with_password(&given, "guessed");
    let early = create(&world, &squatter, &guessed).await.unwrap();
    let own = create(&world, &owner, &given).await.unwrap();
    enable(&world, &owner, own).await.unwrap();
    assert!(early < own, "it is the first in the order of ids");
    let forget = "update channel set mail_host = null, mail_login = null where kind = 'email'";
    sqlx::query(forget).execute(&world.app.pool).await.unwrap();
    assert_eq!(mail_lines::fill(&world.app).await.unwrap(), 1);
    let known: Vec<Uuid> = sqlx::query_scalar("select id from channel where mail_host is not null")
        .fetch_all(&world.app.pool)
        .await
        .unwrap();
    assert_eq!(known, [own]);
}
