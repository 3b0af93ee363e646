//! `scripts/bench --chats`: lists, filters and searches over a year of chats and messages, asked at a fixed rate, alone and while
//! clients write.

mod fill;
mod questions;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::{Value, json};
use switchboard_proto::conversation::v1::ListChatsRequest;
use switchboard_proto::conversation::v1::notification_service_client::NotificationServiceClient;
use switchboard_proto::conversation::v1::search_service_client::SearchServiceClient;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Endpoint;
use uuid::Uuid;

use self::questions::{ALL, Field};
use super::asking::{self, Answered};
use super::load::{self, Driven};
use super::processes::Usage;
use super::statements::{self, Statement};
use crate::services::Kind;
use crate::world::{Account, Bearer, Plan, World, WorldOptions};

/// What the database may hold in memory of its own: see `crm`.
const MEMORY: &str = "1GB";

/// Agents who answered for the chats.
const AGENTS: u32 = 200;

/// Channels.
const CHANNELS: u32 = 10;

/// How much there is and what is asked of it.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Chats, each of ten messages.
    pub chats: u32,
    /// Requests a second.
    pub rate: u32,
    /// How long.
    pub seconds: u64,
    /// Messages that clients write a second meanwhile.
    pub arriving: u32,
}

/// What was measured.
pub struct Measured {
    size: Size,
    filled: Duration,
    alone: Answered,
    beside: Answered,
    driven: Driven,
    /// What the processes took while clients wrote.
    usage: Usage,
    /// While asked alone, and while clients wrote.
    statements: [Vec<Statement>; 2],
}

/// Starts everything, fills conversation's tables, and asks.
pub async fn measure(
    size: Size,
    environment: Vec<(Option<Kind>, String, String)>,
    with_statements: bool,
) -> anyhow::Result<Measured> {
    let mut world = World::start_with(WorldOptions {
        synced: true,
        memory: Some(MEMORY),
        environment,
        ..WorldOptions::default()
    })
    .await?;
    let plan = Plan {
        agents: 8,
        ..Plan::default()
    };
    let account = world.account(plan).await?;
    let begun = Instant::now();
    let field = Arc::new(prepare(&world, &account, size).await?);
    let filled = begun.elapsed();

    let databases = [world.system.database_url(Kind::Conversation)?.to_owned()];
    // Connections plan their statements at first, and the first pages come from the disk.
    ask(&field, size, size.seconds.min(10))
        .await
        .with_context(|| last_words(&world))?;
    statements::begin(&databases).await?;
    let alone = ask(&field, size, size.seconds).await?;
    let taken_alone = statements::taken(&databases).await?;
    statements::begin(&databases).await?;
    let (url, secret) = world
        .telegram
        .webhook(&account.bot_token)
        .context("a registered webhook")?;
    let target = load::Target {
        url,
        secret,
        connections: 40,
        new_chat_every: 10,
    };
    let sent = Arc::new(load::Sent::default());
    let during = Duration::from_secs(size.seconds);
    let before = Usage::of(&mut world)?;
    let (driven, beside) = tokio::join!(
        load::drive(&target, &sent, size.arriving, during),
        ask(&field, size, size.seconds)
    );
    let usage = Usage::of(&mut world)?.since(&before);
    let taken_beside = statements::taken(&databases).await?;
    Ok(Measured {
        size,
        filled,
        alone,
        beside: beside?,
        driven: driven?,
        usage,
        statements: if with_statements {
            [taken_alone, taken_beside]
        } else {
            [Vec::new(), Vec::new()]
        },
    })
}

/// What the service logged last, which tells why it could not answer.
fn last_words(world: &World) -> String {
    let log = std::fs::read_to_string(world.system.log(Kind::Conversation)).unwrap_or_default();
    let lines: Vec<&str> = log.lines().rev().take(5).collect();
    format!("the service says, the latest first: {}", lines.join("\n"))
}

async fn ask(field: &Arc<Field>, size: Size, seconds: u64) -> anyhow::Result<Answered> {
    let kinds = ALL.map(|(question, name)| (name, questions::turns(question)));
    asking::at_a_rate(&kinds, size.rate, Duration::from_secs(seconds), |place| {
        let field = Arc::clone(field);
        async move {
            match ALL.get(place) {
                Some((question, _)) => field.ask(*question).await,
                None => Ok(()),
            }
        }
    })
    .await
}

async fn prepare(world: &World, account: &Account, size: Size) -> anyhow::Result<Field> {
    let own: Vec<Uuid> = account.agents.iter().map(|agent| agent.id).collect();
    let made = (0..AGENTS).map(|number| fill::id(0x14, number));
    let agents: Vec<Uuid> = own.into_iter().chain(made).take(AGENTS as usize).collect();
    let first: Uuid = account.channel_id.parse()?;
    let made = (1..CHANNELS).map(|number| fill::id(0x15, number));
    let channels: Vec<Uuid> = std::iter::once(first).chain(made).collect();
    let filling = fill::Filling {
        account: &account.slug,
        chats: size.chats,
        agents: &agents,
        channels: &channels,
    };
    fill::fill(world.system.database_url(Kind::Conversation)?, &filling).await?;

    let agent = account.agents.first().context("an agent")?;
    let token = world
        .system
        .tokens()
        .agent(&account.slug, agent.id, "chats:*");
    let endpoint = Endpoint::from_shared(world.system.grpc_url(Kind::Conversation)?)?;
    let authorised = InterceptedService::new(endpoint.connect_lazy(), Bearer::new(&token)?);
    let mut clients = agent.clients.clone();
    let mut later = String::new();
    for _ in 0..20 {
        let request = ListChatsRequest {
            page_token: later,
            ..Default::default()
        };
        let page = clients.conversation.list_chats(request).await?.into_inner();
        later = page.next_page_token;
    }
    Ok(Field {
        clients,
        search: SearchServiceClient::new(authorised.clone()),
        notifications: NotificationServiceClient::new(authorised),
        chats: size.chats,
        agents,
        channels,
        later,
    })
}

impl Measured {
    /// The same as one JSON object.
    pub fn json(&self) -> Value {
        json!({
            "chats": self.size.chats, "messages": self.size.chats * fill::MESSAGES, "requests_per_second": self.size.rate,
            "filled_seconds": self.filled.as_secs_f64(), "alone": self.alone.json(), "beside": self.beside.json(),
            "arriving_per_second": self.size.arriving, "accepted": self.driven.accepted, "refused": self.driven.refused,
        })
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Size {
            chats,
            rate,
            arriving,
            ..
        } = self.size;
        writeln!(
            out,
            "{chats} chats with {} messages (filled in {:.0} s), PostgreSQL with shared_buffers = {MEMORY}, {rate} requests/s, one of ten a search, alone:",
            chats * fill::MESSAGES,
            self.filled.as_secs_f64()
        )?;
        write!(out, "{}", self.alone.lines())?;
        writeln!(
            out,
            "while clients write {arriving} messages/s ({} accepted, {} refused):",
            self.driven.accepted, self.driven.refused
        )?;
        write!(out, "{}", self.beside.lines())?;
        write!(out, "{}", self.usage)?;
        for (what, statements) in ["alone", "while clients write"]
            .iter()
            .zip(&self.statements)
        {
            if !statements.is_empty() {
                writeln!(out, "  statements {what}:")?;
            }
            for statement in statements {
                writeln!(out, "  {statement}")?;
            }
        }
        Ok(())
    }
}
