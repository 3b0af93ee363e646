//! Every secret is replaced while the services run, none of them is started again, and messages go on (O2.15).

use anyhow::{Context, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use sqlx::{Connection as _, PgConnection};
use switchboard_tests::servers::Certificate;
use switchboard_tests::services::{Kind, replace};
use switchboard_tests::tokens::TokenMaker;
use switchboard_tests::world::{ADMIN, Account, Bearer, Plan, World, WorldOptions, eventually};

use super::channels::settled;

const FIRST: &str = "first-password";
const SECOND: &str = "second-password";

#[tokio::test(flavor = "multi_thread")]
async fn o2_15_every_secret_is_rotated_without_a_restart() -> anyhow::Result<()> {
    let secrets = tempfile::tempdir()?;
    let file = |name: &str| secrets.path().join(name);
    std::fs::write(file("database"), format!("{FIRST}\n"))?;
    let mut environment = vec![(
        None,
        "SWITCHBOARD_DATABASE__PASSWORD_FILE".to_owned(),
        file("database").display().to_string(),
    )];
    for kind in Kind::ALL {
        // What the address holds beside it is not used.
        std::fs::write(
            file(kind.name()),
            switchboard_tests::servers::NatsServer::PASSWORD,
        )?;
        let path = file(kind.name()).display().to_string();
        environment.push((Some(kind), "SWITCHBOARD_NATS__PASSWORD_FILE".into(), path));
    }
    let mut world = World::start_with(WorldOptions {
        shipped_broker: true,
        tls: true,
        environment,
        ..WorldOptions::default()
    })
    .await?;
    let account = world.account(Plan::default()).await?;
    let begun = processes(&mut world)?;
    let admin = |tokens: &TokenMaker| tokens.service(&account.slug, "tests", ADMIN);
    let arrives = async |world: &World, customer| {
        arrives(world, &account, &admin(world.system.tokens()), customer).await
    };
    arrives(&world, 1).await?;

    // The database: connections are ended as well, so that what is read next needs the new password.
    world.postgres.ask_for_password(None, FIRST).await?;
    arrives(&world, 2).await?;
    replace(&file("database"), SECOND)?;
    world.postgres.ask_for_password(Some(FIRST), SECOND).await?;
    arrives(&world, 3).await?;

    // The broker: who is connected is cut off, and the file comes later than that.
    for kind in Kind::ALL {
        let password = format!("new of {}", kind.name());
        world.nats.change_password(kind.name(), &password)?;
        replace(&file(kind.name()), &password)?;
    }
    arrives(&world, 4).await?;

    sealing(&world).await?;
    arrives(&world, 5).await?;

    // Certificates: callers who trust the next one alone are answered once it is there.
    let next = Certificate::new()?;
    world.system.certify(&next, &[&next])?;
    arrives(&world, 6).await?;

    let next = signing(&world)?;
    self::arrives(&world, &account, &admin(&next), 7).await?;
    ensure!(
        processes(&mut world)? == begun,
        "a service was started again"
    );
    Ok(())
}

fn processes(world: &mut World) -> anyhow::Result<Vec<u32>> {
    let mut all = Vec::new();
    for kind in Kind::ALL {
        let process = world.system.process(kind).context("a process")?;
        ensure!(process.ended().is_none(), "{} ended", kind.name());
        all.push(process.pid());
    }
    Ok(all)
}

/// A customer writes; it is stored, has an agent and a card.
async fn arrives(
    world: &World,
    account: &Account,
    token: &str,
    customer: i64,
) -> anyhow::Result<()> {
    let telegram = &world.telegram;
    eventually("a webhook that is accepted", async || {
        let said = telegram.say(&account.bot_token, customer, "Hello").await;
        Ok(said.is_ok().then_some(()))
    })
    .await
    .with_context(|| format!("customer {customer}"))?;
    // Clients of their own each time: they connect by the secrets of that moment.
    eventually("a chat with agent and card", async || {
        let account = Account {
            admin: world.clients(&Bearer::new(token)?)?,
            ..account.clone()
        };
        let chat = settled(&account, &customer.to_string()).await?;
        let cards = account.cards(&chat.chat_id).await?;
        Ok((cards.len() == 1).then_some(()))
    })
    .await
    .with_context(|| format!("customer {customer}"))
}

/// A new key comes last, then first; what was sealed by the former one is sealed anew, and the former one goes.
async fn sealing(world: &World) -> anyhow::Result<()> {
    let path = world.system.folder().join("sealing.key");
    let former = std::fs::read_to_string(&path)?.trim().to_owned();
    let key: [u8; 32] = rand::random();
    let next = STANDARD.encode(key);
    let id = Sha256::new()
        .chain_update(b"switchboard key id")
        .chain_update(key)
        .finalize();
    let id = id.get(..4).context("four bytes")?.to_vec();
    let mut database = PgConnection::connect(&format!(
        "{}?password={SECOND}",
        world.system.database_url(Kind::ChannelGateway)?
    ))
    .await?;
    replace(&path, &format!("{former}\n{next}\n"))?;
    replace(&path, &format!("{next}\n{former}\n"))?;
    eventually("everything sealed anew", async || {
        let sealed: Vec<(Vec<u8>, Vec<u8>)> =
            sqlx::query_as("select token_sealed, secret_sealed from channel")
                .fetch_all(&mut database)
                .await?;
        ensure!(!sealed.is_empty(), "nothing is sealed");
        let mut all = sealed.iter().flat_map(|(token, secret)| [token, secret]);
        Ok(all
            .all(|text| text.get(1..5) == Some(&id[..]))
            .then_some(()))
    })
    .await?;
    replace(&path, &format!("{next}\n"))?;
    Ok(())
}

/// The issuer signs with another key, and the services get tokens signed by it.
fn signing(world: &World) -> anyhow::Result<TokenMaker> {
    let folder = tempfile::tempdir()?;
    let next = TokenMaker::create(folder.path())?;
    let tokens = world.system.tokens();
    for (path, next) in [
        (tokens.jwks_file(), next.jwks_file()),
        (tokens.internal_token_file(), next.internal_token_file()),
    ] {
        replace(path, &std::fs::read_to_string(next)?)?;
    }
    Ok(next)
}
