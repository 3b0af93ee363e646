//! The campaign of the pipeline connection: two replicas of crm-cards, and 64 hands that open conversations, close cards, make
//! orders, save buyers and change settings of the same few chats at once, some openings told twice, while replicas are killed.
//! Afterwards all that was told is replayed in the order of the transactions that did it, and each decision is held against a
//! model that shares no line with the service.
//!
//! `SWITCHBOARD_DECIDING_ACTS` (default 4,000) and `SWITCHBOARD_DECIDING_SEED` (default random, printed) steer it.

mod check;
mod drive;

use std::time::Duration;

use anyhow::Context;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use switchboard_proto::crm_cards::v1::card_service_client::CardServiceClient;
use switchboard_proto::crm_cards::v1::crm_cards_service_client::CrmCardsServiceClient;
use switchboard_proto::crm_cards::v1::{CreatePipelineRequest, Pipeline};
use switchboard_tests::replicas::Replica;
use switchboard_tests::servers::{NatsServer, PostgresServer};
use switchboard_tests::services::{Kind, Surroundings, System};
use switchboard_tests::world::{Authorised, Bearer};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Endpoint;
use uuid::Uuid;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// The clients of one replica.
#[derive(Clone)]
pub struct Clients {
    crm: CrmCardsServiceClient<Authorised>,
    cards: CardServiceClient<Authorised>,
}

/// What the campaign works with.
pub struct Field {
    account: String,
    channels: [Uuid; 2],
    pipeline: Pipeline,
    clients: Vec<Clients>,
}

/// X02, X04, B06, D29: no act, in whatever order and whoever dies, makes two cards or none where the rule says otherwise.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn x04_d29_every_decision_is_what_the_facts_at_its_moment_say_whatever_comes_and_whoever_dies()
-> anyhow::Result<()> {
    let acts = usize::try_from(setting("SWITCHBOARD_DECIDING_ACTS").unwrap_or(4_000))?;
    let seed = setting("SWITCHBOARD_DECIDING_SEED").unwrap_or_else(rand::random);
    println!("campaign of {acts} acts, SWITCHBOARD_DECIDING_SEED={seed} plays the same");
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
    system.launch(Kind::CrmCards)?;
    system.wait_ready(Kind::CrmCards).await?;
    let mut second = Replica::new(Kind::CrmCards, 2)?;
    second.launch(&system)?;
    second.wait_ready().await?;
    let field = prepare(&system, &second, seed).await?;

    let nats_url = nats.url();
    let driving = drive::drive(&nats_url, &field, acts, seed);
    let mut driving = std::pin::pin!(driving);
    let mut random = StdRng::seed_from_u64(seed ^ 3);
    let mut kills = 0;
    let driven = loop {
        // The moments are the experiment; nothing waits for a condition here.
        let pause = Duration::from_millis(random.random_range(500..2_500));
        tokio::select! {
            driven = &mut driving => break driven?,
            () = tokio::time::sleep(pause) => {}
        }
        kills += 1;
        let first = random.random_bool(0.5);
        if first {
            system.kill(Kind::CrmCards)?;
        } else {
            second.kill()?;
        }
        let down = Duration::from_millis(random.random_range(0..1_000));
        let ended = tokio::select! {
            driven = &mut driving => Some(driven?),
            () = tokio::time::sleep(down) => None,
        };
        if first {
            system.launch(Kind::CrmCards)?;
        } else {
            second.launch(&system)?;
        }
        if let Some(driven) = ended {
            break driven;
        }
    };
    system.wait_ready(Kind::CrmCards).await?;
    second.wait_ready().await?;
    println!("{driven}; replicas killed {kills} times");
    check::everything(&nats_url, &field, &driven).await
}

/// Makes the account's pipeline; the rules of its channels come and go.
async fn prepare(system: &System, second: &Replica, seed: u64) -> anyhow::Result<Field> {
    let account = format!("decide{}", seed % 1_000_000);
    let token = system
        .tokens()
        .service(&account, "tests", "crm:* channels:admin");
    let client = |url: String| -> anyhow::Result<_> {
        let endpoint = Endpoint::from_shared(url)?.connect_timeout(Duration::from_secs(2));
        let authorised = InterceptedService::new(endpoint.connect_lazy(), Bearer::new(&token)?);
        Ok(Clients {
            crm: CrmCardsServiceClient::new(authorised.clone()),
            cards: CardServiceClient::new(authorised),
        })
    };
    let clients = vec![
        client(system.grpc_url(Kind::CrmCards)?)?,
        client(second.grpc_url())?,
    ];
    let mut first = clients.first().context("a client")?.crm.clone();
    let request = CreatePipelineRequest {
        name: "Sales".into(),
        ..Default::default()
    };
    let made = first.create_pipeline(request).await?.into_inner();
    Ok(Field {
        account,
        channels: [Uuid::new_v4(), Uuid::new_v4()],
        pipeline: made.pipeline.context("a pipeline")?,
        clients,
    })
}
