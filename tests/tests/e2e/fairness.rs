//! The campaign of distribution: three replicas of assignment, 20 agents, two channels, thousands of random openings,
//! closings and changes of presence, some told twice or in the wrong order, while replicas are killed. Afterwards each
//! choice is held against what the database itself observed.
//!
//! `SWITCHBOARD_FAIRNESS_EVENTS` (default 20,000) and `SWITCHBOARD_FAIRNESS_SEED` (default random, printed) steer it.

mod check;
mod drive;

use std::time::{Duration, Instant};

use anyhow::Context;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use switchboard_proto::assignment::v1::assignment_service_client::AssignmentServiceClient;
use switchboard_proto::assignment::v1::{
    CreateAccountRequest, CreateAgentRequest, Distribution, DistributionPolicy, PoolEntry,
    SetDistributionPolicyRequest, pool_entry::Member,
};
use switchboard_tests::replicas::Replica;
use switchboard_tests::servers::{NatsServer, PostgresServer};
use switchboard_tests::services::{Kind, Surroundings, System};
use switchboard_tests::world::{Authorised, Bearer};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Endpoint;
use uuid::Uuid;

/// Agents of the pool of both channels.
const AGENTS: usize = 20;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// What the campaign works with.
pub struct Field {
    /// Slug of the account.
    pub account: String,
    /// Agents, and how many open chats each may be given.
    pub agents: Vec<(Uuid, i32)>,
    /// The channel that gives chats in turn.
    pub in_turn: Uuid,
    /// The channel that gives chats by load.
    pub by_load: Uuid,
    /// A client of each replica, with an administrator's token.
    pub clients: Vec<AssignmentServiceClient<Authorised>>,
}

/// B04, D21, D25, X03: fair, within limits, nothing lost, whatever is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b04_distribution_is_fair_within_limits_whatever_comes_and_whoever_dies()
-> anyhow::Result<()> {
    let events = usize::try_from(setting("SWITCHBOARD_FAIRNESS_EVENTS").unwrap_or(20_000))?;
    let seed = setting("SWITCHBOARD_FAIRNESS_SEED").unwrap_or_else(rand::random);
    println!("campaign of {events} events, SWITCHBOARD_FAIRNESS_SEED={seed} plays the same");
    let nats = NatsServer::start()?;
    let postgres = PostgresServer::start_unsynced()?;
    let environment = ["REQUESTS_PER_SECOND_PER_ACCOUNT", "BURST"].map(|key| {
        let key = format!("SWITCHBOARD_LIMITS__{key}");
        (None, key, "100000".to_owned())
    });
    let mut system = System::prepare(Surroundings {
        nats_url: nats.url(),
        postgres_url: postgres.url(),
        telegram_url: String::new(),
        environment: environment.to_vec(),
        ..Surroundings::default()
    })
    .await?;
    system.launch(Kind::Assignment)?;
    system.wait_ready(Kind::Assignment).await?;
    let mut replicas = vec![
        Replica::new(Kind::Assignment, 2)?,
        Replica::new(Kind::Assignment, 3)?,
    ];
    for replica in &mut replicas {
        replica.launch(&system)?;
    }
    for replica in &mut replicas {
        replica.wait_ready().await?;
    }
    let field = prepare(&system, &replicas, seed).await?;
    let database = sqlx::PgPool::connect(system.database_url(Kind::Assignment)?).await?;
    check::observe(&database).await?;

    let nats_url = nats.url();
    let driving = drive::drive(&nats_url, &field, events, seed);
    let mut driving = std::pin::pin!(driving);
    let mut kills = 0;
    let mut random = StdRng::seed_from_u64(seed ^ 3);
    let driven = loop {
        // The moments are the experiment; nothing waits for a condition here.
        let pause = Duration::from_millis(random.random_range(1_000..4_000));
        tokio::select! {
            driven = &mut driving => break driven?,
            () = tokio::time::sleep(pause) => {}
        }
        kills += 1;
        let victim = random.random_range(0..=replicas.len());
        let down = Duration::from_millis(random.random_range(0..1_500));
        match replicas.get_mut(victim) {
            Some(replica) => replica.kill()?,
            None => system.kill(Kind::Assignment)?,
        }
        tokio::select! {
            driven = &mut driving => {
                relaunch(&mut system, &mut replicas, victim)?;
                break driven?;
            }
            () = tokio::time::sleep(down) => relaunch(&mut system, &mut replicas, victim)?,
        }
    };
    system.wait_ready(Kind::Assignment).await?;
    for replica in &mut replicas {
        replica.wait_ready().await?;
    }
    println!("{driven}; replicas killed {kills} times");
    let end = Instant::now() + Duration::from_mins(2);
    check::settled(&database, &field, &driven, end).await?;
    check::everything(&database, &field, &driven).await
}

fn relaunch(system: &mut System, replicas: &mut [Replica], victim: usize) -> anyhow::Result<()> {
    match replicas.get_mut(victim) {
        Some(replica) => replica.launch(system),
        None => system.launch(Kind::Assignment),
    }
}

/// Makes the account, its agents, and the policies of both channels.
async fn prepare(system: &System, replicas: &[Replica], seed: u64) -> anyhow::Result<Field> {
    let account = format!("fair{}", seed % 1_000_000);
    let urls = std::iter::once(system.grpc_url(Kind::Assignment)?);
    let urls: Vec<String> = urls.chain(replicas.iter().map(Replica::grpc_url)).collect();
    let client = |url: &String, token: &str| -> anyhow::Result<_> {
        let endpoint = Endpoint::from_shared(url.clone())?.connect_timeout(Duration::from_secs(2));
        let authorised = InterceptedService::new(endpoint.connect_lazy(), Bearer::new(token)?);
        Ok(AssignmentServiceClient::new(authorised))
    };
    let first = urls.first().context("a replica")?;
    client(first, &system.tokens().operator())?
        .create_account(CreateAccountRequest {
            slug: account.clone(),
            ..Default::default()
        })
        .await?;
    let token = system
        .tokens()
        .service(&account, "admin", "agents:* channels:* chats:*");
    let clients: Vec<_> = urls
        .iter()
        .map(|url| client(url, &token))
        .collect::<anyhow::Result<_>>()?;
    let mut admin = clients[0].clone();
    let mut random = StdRng::seed_from_u64(seed ^ 1);
    let mut agents = Vec::new();
    for number in 0..AGENTS {
        let (id, capacity) = (Uuid::new_v4(), random.random_range(3..=12));
        admin
            .create_agent(CreateAgentRequest {
                agent_id: id.to_string(),
                name: format!("Agent {number:02}"),
                capacity,
                ..Default::default()
            })
            .await?;
        agents.push((id, capacity));
    }
    let field = Field {
        account,
        in_turn: Uuid::new_v4(),
        by_load: Uuid::new_v4(),
        agents,
        clients,
    };
    for (channel, distribution) in [
        (field.in_turn, Distribution::RoundRobin),
        (field.by_load, Distribution::LeastLoaded),
    ] {
        let pool = field.agents.iter().map(|(agent, _)| PoolEntry {
            member: Some(Member::AgentId(agent.to_string())),
            weight: 1,
        });
        let policy = DistributionPolicy {
            channel_id: channel.to_string(),
            distribution: distribution.into(),
            pool: pool.collect(),
            // Who comes back may take all that they can: the limits are what is tried.
            waiting_per_minute: Some(0),
            ..Default::default()
        };
        admin
            .set_distribution_policy(SetDistributionPolicyRequest {
                policy: Some(policy),
            })
            .await?;
    }
    Ok(field)
}
