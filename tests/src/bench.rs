//! The load generator behind `scripts/bench`: signed webhooks at a fixed rate or flat out, what came of them, what it
//! cost, and the floor of the same machine in the same run.

mod answers;
mod asking;
pub mod chats;
pub mod crm;
pub mod distribution;
mod floor;
pub mod import;
mod load;
mod processes;
mod report;
mod statements;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use sqlx::Connection;

use crate::services::Kind;
use crate::world::{Plan, World, WorldOptions};

pub use report::Report;

/// What is driven.
#[derive(Clone, Debug, clap::Parser)]
#[command(
    about = "Drives signed webhooks through the whole system and prints what it did and cost"
)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub struct Options {
    /// Webhooks a second (1,000 unless said); 0 drives flat out. With --crm and --chats requests a second (50 unless said).
    #[arg(long)]
    pub rate: Option<u32>,
    /// How long, in seconds.
    #[arg(long, default_value_t = 30)]
    pub seconds: u64,
    /// Seconds of the same load beforehand that are not counted.
    #[arg(long, default_value_t = 5)]
    pub warm_up: u64,
    /// One message in this many opens a new chat.
    #[arg(long, default_value_t = 10)]
    pub new_chat_every: u32,
    /// Connections that webhooks come by (Telegram's default is 40).
    #[arg(long, default_value_t = 40)]
    pub connections: usize,
    /// Answers of agents a second, beside the webhooks.
    #[arg(long, default_value_t = 0)]
    pub answers: u32,
    /// A setting of all services, such as `RELAY__WAIT=50ms`; may be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
    pub set: Vec<(String, String)>,
    /// Print the statements that took most of the database's time, by service.
    #[arg(long)]
    pub statements: bool,
    /// Measure distribution instead: chats that wait for agents of a large pool.
    #[arg(long)]
    pub distribution: bool,
    /// Agents of the pool, with --distribution.
    #[arg(long, default_value_t = 1_000)]
    pub agents: usize,
    /// Chats that wait, with --distribution.
    #[arg(long, default_value_t = 10_000)]
    pub waiting: usize,
    /// Measure lists and searches of chats instead, over a year of them, alone and while clients write.
    #[arg(long)]
    pub chats: bool,
    /// Chats, each of ten messages, with --chats.
    #[arg(long, default_value_t = 1_000_000)]
    pub year: u32,
    /// Messages that clients write a second meanwhile, with --chats.
    #[arg(long, default_value_t = 500)]
    pub arriving: u32,
    /// Measure CRM instead: boards, lists, searches and connections over large tables, and decisions.
    #[arg(long)]
    pub crm: bool,
    /// Cards, and as many contacts, with --crm.
    #[arg(long, default_value_t = 1_000_000)]
    pub rows: u32,
    /// Openings that wait to be decided, with --crm.
    #[arg(long, default_value_t = 20_000)]
    pub openings: u32,
    /// With `--crm`: one opening in so many is of a new client.
    #[arg(long, default_value_t = 4)]
    pub new_client_every: u32,
    /// With `--crm`: replicas of crm-cards that decide.
    #[arg(long, default_value_t = 1)]
    pub replicas: usize,
    /// Measure the import of contacts from a file instead.
    #[arg(long)]
    pub import: bool,
    /// Contacts of the file, with --import.
    #[arg(long, default_value_t = 100_000)]
    pub contacts: usize,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    pub json: bool,
}

impl Options {
    /// Webhooks a second; 0 drives flat out.
    pub fn webhooks(&self) -> u32 {
        self.rate.unwrap_or(1_000)
    }
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("KEY=VALUE is expected")?;
    Ok((format!("SWITCHBOARD_{key}"), value.to_owned()))
}

/// What the services are told besides the defaults: (service or none for all, variable, value).
pub fn environment(more: &[(String, String)]) -> Vec<(Option<Kind>, String, String)> {
    let unlimited = |kind, key: &str| {
        (
            Some(kind),
            format!("SWITCHBOARD_{key}"),
            "1000000".to_owned(),
        )
    };
    let gateway = Kind::ChannelGateway;
    let more = more.iter().cloned();
    [
        unlimited(gateway, "HTTP__REQUESTS_PER_SECOND_PER_ACCOUNT"),
        unlimited(gateway, "HTTP__BURST"),
        // The provider's own limits are not what is measured here.
        unlimited(gateway, "DELIVERY__CHANNEL_PER_SECOND"),
        unlimited(gateway, "DELIVERY__CHAT_PER_SECOND"),
        unlimited(gateway, "DELIVERY__CHANNEL_BURST"),
        unlimited(gateway, "DELIVERY__CHAT_BURST"),
        unlimited(
            Kind::Conversation,
            "LIMITS__REQUESTS_PER_SECOND_PER_ACCOUNT",
        ),
        unlimited(Kind::Conversation, "LIMITS__BURST"),
    ]
    .into_iter()
    .chain(more.map(|(key, value)| (None, key, value)))
    .collect()
}

/// Starts a private system, drives it, measures the floor, and stops everything.
pub async fn run(options: Options) -> anyhow::Result<Report> {
    let mut world = World::start_with(WorldOptions {
        synced: true,
        environment: environment(&options.set),
        ..WorldOptions::default()
    })
    .await?;
    let account = Arc::new(
        world
            .account(Plan {
                agents: 8,
                ..Plan::default()
            })
            .await?,
    );
    let (url, secret) = world
        .telegram
        .webhook(&account.bot_token)
        .context("a registered webhook")?;
    let watcher = watch::Watcher::start(&world.nats.url(), &account.slug).await?;
    let sent = Arc::new(load::Sent::default());
    let target = load::Target {
        url,
        secret,
        connections: options.connections,
        new_chat_every: options.new_chat_every,
    };
    if options.warm_up > 0 {
        load::drive(
            &target,
            &sent,
            options.webhooks(),
            Duration::from_secs(options.warm_up),
        )
        .await?;
    }
    // What autovacuum does within a minute, and a run of seconds would not see: the planner learns how tables look.
    for kind in Kind::ALL {
        let mut database = sqlx::PgConnection::connect(world.system.database_url(kind)?).await?;
        sqlx::query("analyze").execute(&mut database).await?;
    }
    let databases: Vec<String> = Kind::ALL
        .into_iter()
        .map(|kind| world.system.database_url(kind).map(str::to_owned))
        .collect::<Result<_, _>>()?;
    if options.statements {
        statements::begin(&databases).await?;
    }
    watcher.forget_latencies(sent.count());
    sent.forget_latencies();
    let before = processes::Usage::of(&mut world)?;
    let answers = answers::Answers::start(
        &account,
        options.answers,
        Duration::from_secs(options.seconds),
    );
    let driven = load::drive(
        &target,
        &sent,
        options.webhooks(),
        Duration::from_secs(options.seconds),
    )
    .await?;
    let stored = watcher.until_all(&sent, driven).await?;
    let answers = answers.finish(&world, &account).await?;
    let usage = processes::Usage::of(&mut world)?.since(&before);
    let statements = if options.statements {
        statements::taken(&databases).await?
    } else {
        Vec::new()
    };
    let floor = floor::measure(&world.nats.url(), &world.postgres.url(), driven.accepted).await?;
    Ok(Report {
        options,
        driven,
        webhook: sent.latencies(),
        stored,
        answers,
        usage,
        statements,
        floor,
    })
}
