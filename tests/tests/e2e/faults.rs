//! The campaign: customers and agents write while services, broker and database are killed at seeded random moments.
//! Afterwards what went in is compared, from outside, with what is stored, published and sent.
//!
//! `SWITCHBOARD_FAULT_SECONDS` (default 120) and `SWITCHBOARD_FAULT_SEED` (default random, printed) steer it.

pub(crate) mod check;
pub(crate) mod drive;

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use switchboard_tests::servers::{NatsServer, PostgresServer};
use switchboard_tests::services::{Kind, System};
use switchboard_tests::world::{Plan, World, WorldOptions};

/// Client messages a second.
const RATE: u32 = 100;
/// How many customers write.
const CUSTOMERS: i64 = 300;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Service(Kind),
    Nats,
    Postgres,
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// The checks read everything at once; how much one account may ask is not what is tried.
pub(crate) fn unlimited() -> Vec<(Option<Kind>, String, String)> {
    ["REQUESTS_PER_SECOND_PER_ACCOUNT", "BURST"]
        .map(|key| {
            (
                None,
                format!("SWITCHBOARD_LIMITS__{key}"),
                "100000".to_owned(),
            )
        })
        .to_vec()
}

/// X01–X04, X07, B01–B03 under load and kills: nothing lost, nothing double.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_whatever_is_killed() -> anyhow::Result<()> {
    let seconds = setting("SWITCHBOARD_FAULT_SECONDS").unwrap_or(120);
    let seed = setting("SWITCHBOARD_FAULT_SEED").unwrap_or_else(rand::random);
    println!(
        "campaign of {seconds} s, seed {seed}: SWITCHBOARD_FAULT_SEED={seed} plays the same kills"
    );
    let mut world = World::start_with(WorldOptions {
        synced: true,
        environment: unlimited(),
        ..WorldOptions::default()
    })
    .await?;
    let account = std::sync::Arc::new(
        world
            .account(Plan {
                agents: 4,
                ..Plan::default()
            })
            .await?,
    );

    let end = Instant::now() + Duration::from_secs(seconds);
    let go_on = || Instant::now() < end;
    let (sent, answered, kills) = {
        let World {
            system,
            telegram,
            nats,
            postgres,
        } = &mut world;
        let customers = drive::customers(telegram, &account, seed, go_on);
        let agents = drive::agents(&account, seed, go_on);
        tokio::join!(
            customers,
            agents,
            kill_until(system, nats, postgres, seed, end)
        )
    };
    let (sent, answered, kills) = (sent?, answered?, kills?);
    println!(
        "{} client messages accepted ({} of them repeated), {} answers admitted, {} refused; killed: {}",
        sent.texts.len(),
        sent.repeated,
        answered.messages.values().map(Vec::len).sum::<usize>(),
        answered.refused,
        kills
    );
    for kind in Kind::ALL {
        world.system.wait_ready(kind).await?;
    }
    let checked = check::everything(&world, &account, &sent, &answered).await;
    if checked.is_err() && std::env::var_os("SWITCHBOARD_KEEP").is_some() {
        println!(
            "kept: {:?}, {}",
            world.system.folder(),
            world.postgres.url()
        );
        std::future::pending::<()>().await;
    }
    checked
}

/// Kills and restarts until the end; then everything runs. Tells how often each was killed.
async fn kill_until(
    system: &mut System,
    nats: &mut NatsServer,
    postgres: &mut PostgresServer,
    seed: u64,
    end: Instant,
) -> anyhow::Result<String> {
    let mut random = StdRng::seed_from_u64(seed);
    let victims: Vec<_> = Kind::ALL
        .into_iter()
        .map(Victim::Service)
        .chain([Victim::Nats, Victim::Postgres])
        .collect();
    let mut deaths = vec![0; victims.len()];
    loop {
        // The moments are the experiment; nothing waits for a condition here.
        tokio::time::sleep(Duration::from_millis(random.random_range(500..4_000))).await;
        if Instant::now() >= end {
            let told = victims
                .iter()
                .zip(&deaths)
                .map(|(victim, deaths)| format!("{victim:?} {deaths} times"));
            return Ok(told.collect::<Vec<_>>().join(", "));
        }
        let index = random.random_range(0..victims.len());
        let down = Duration::from_millis(random.random_range(0..1_500));
        deaths[index] += 1;
        match victims[index] {
            Victim::Service(kind) => {
                system.kill(kind)?;
                tokio::time::sleep(down).await;
                system.launch(kind)?;
            }
            Victim::Nats => {
                tokio::task::block_in_place(|| nats.kill())?;
                tokio::time::sleep(down).await;
                tokio::task::block_in_place(|| nats.restart())?;
            }
            Victim::Postgres => {
                tokio::task::block_in_place(|| postgres.kill())?;
                tokio::time::sleep(down).await;
                tokio::task::block_in_place(|| postgres.restart())?;
            }
        }
    }
}
