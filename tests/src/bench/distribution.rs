//! `scripts/bench --distribution`: how fast waiting chats find their agents in a large pool, what one choice costs the
//! database, and what the check of an agent's rights adds to a request.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use switchboard_proto::assignment::v1::assignment_service_client::AssignmentServiceClient;
use switchboard_proto::assignment::v1::{
    ChannelGrant, CreateAccountRequest, CreateAgentRequest, Distribution, DistributionPolicy,
    GetChatAssignmentRequest, Grants, KindAccess, PoolEntry, Presence,
    SetDistributionPolicyRequest, SetPresenceRequest, View, pool_entry::Member,
};
use time::OffsetDateTime;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Endpoint;
use uuid::Uuid;

use super::floor::{self, Floor};
use super::load::histogram;
use super::statements::{self, Statement};
use crate::replicas::Replica;
use crate::servers::{NatsServer, PostgresServer};
use crate::services::{Kind, Surroundings, System};
use crate::telling::{Conversation, Teller};
use crate::world::{Authorised, Bearer};

/// Chats that come one at a time when the queue is empty.
const SINGLES: usize = 400;

/// Chats before them that are not counted: connections plan their statements at first.
const WARM_UP: usize = 400;

/// Chats that are heard of together, before each of them is decided by itself.
const ROUND: usize = 20;

/// How long the database is watched with nothing to do, in order to know what sweeps cost meanwhile.
const IDLE: Duration = Duration::from_secs(3);

/// Requests of each kind by which the check of rights is measured.
const REQUESTS: usize = 2_000;

/// How much is distributed.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Agents of the pool.
    pub agents: usize,
    /// Chats that wait.
    pub waiting: usize,
}

/// What was measured.
pub struct Distributed {
    size: Size,
    drained: Duration,
    /// Milliseconds of the database a chat, while the queue was drained.
    database_each: f64,
    /// For one chat that comes alone.
    alone: Alone,
    /// From the decision of the pipeline connection being published to the responsible, microseconds.
    single: Histogram<u64>,
    /// Requests of a service, which has no rights to be looked up, and of an agent, microseconds.
    by_service: Histogram<u64>,
    by_agent: Histogram<u64>,
    statements: Vec<Statement>,
    floor: Floor,
}

/// Milliseconds of the database for one chat that comes alone, without the sweeps that go on meanwhile.
#[derive(Clone, Copy, Debug, Default)]
struct Alone {
    /// Until its opening is known.
    hearing: f64,
    /// From the decision of the pipeline connection to the commit that names an agent: what the choice needs is read, and
    /// all that it leads to is written.
    choosing: f64,
    /// Taking both from the outbox to the broker.
    publishing: f64,
}

type Client = AssignmentServiceClient<Authorised>;

struct Field {
    account: String,
    channel: Uuid,
    agents: Vec<Uuid>,
    admin: Client,
}

/// Starts two replicas of assignment with their servers, and measures.
pub async fn measure(size: Size, with_statements: bool) -> anyhow::Result<Distributed> {
    let nats = NatsServer::start()?;
    let postgres = PostgresServer::start()?;
    let environment = ["REQUESTS_PER_SECOND_PER_ACCOUNT", "BURST"].map(|key| {
        let key = format!("SWITCHBOARD_LIMITS__{key}");
        (None, key, "1000000".to_owned())
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
    let mut second = Replica::new(Kind::Assignment, 2)?;
    second.launch(&system)?;
    second.wait_ready().await?;

    let field = prepare(&system, size).await?;
    let url = system.database_url(Kind::Assignment)?.to_owned();
    let mut database = PgConnection::connect(&url).await?;
    let mut teller = Teller::connect(&nats.url(), &field.account).await?;
    for number in 1..=size.waiting {
        tell(&mut teller, &conversation(&field, number)?).await?;
        if teller.under_way() >= 500 {
            teller.settle().await?;
        }
    }
    teller.settle().await?;
    until(
        &mut database,
        "all chats wait",
        i64::try_from(size.waiting)?,
    )
    .await?;
    // What autovacuum does within a minute, and a run of seconds would not see: the planner learns how tables look.
    sqlx::query("analyze").execute(&mut database).await?;

    let databases = [url];
    statements::begin(&databases).await?;
    let begun = Instant::now();
    distribute(&field, Distribution::LeastLoaded).await?;
    until(&mut database, "nobody waits", 0).await?;
    let drained = begun.elapsed();
    let taken = statements::taken(&databases).await?;
    let database_each = total(&taken) / count(size.waiting);

    // What autovacuum does within a minute: ten thousand chats that wait no longer are not looked through again.
    sqlx::query("vacuum analyze").execute(&mut database).await?;
    let (alone, single, of_choosing) =
        one_by_one(&field, &mut teller, &mut database, &databases, size).await?;

    let (by_service, by_agent) = requests(&system, &field).await?;
    let floor = floor::measure(&nats.url(), &postgres.url(), size.waiting as u64).await?;
    Ok(Distributed {
        size,
        drained,
        database_each,
        alone,
        single,
        by_service,
        by_agent,
        statements: if with_statements {
            of_choosing
        } else {
            Vec::new()
        },
        floor,
    })
}

/// Has chats come alone. Returns what they cost, after how long they had an agent, and the statements of the choices.
async fn one_by_one(
    field: &Field,
    teller: &mut Teller,
    database: &mut PgConnection,
    databases: &[String],
    size: Size,
) -> anyhow::Result<(Alone, Histogram<u64>, Vec<Statement>)> {
    statements::begin(databases).await?;
    tokio::time::sleep(IDLE).await;
    let idle_each_second = total(&statements::taken(databases).await?) / IDLE.as_secs_f64();

    let (mut alone, mut single, mut of_choosing) = (Alone::default(), histogram(), Vec::new());
    let mut number = size.waiting;
    for round in 0..(WARM_UP + SINGLES) / ROUND {
        let counts = round >= WARM_UP / ROUND;
        let (mut opened, begun) = (Vec::with_capacity(ROUND), Instant::now());
        statements::begin(databases).await?;
        for _ in 0..ROUND {
            number += 1;
            let conversation = conversation(field, number)?;
            let event = tell_opened(teller, &conversation).await?;
            teller.settle().await?;
            state(database, conversation.chat, "open").await?;
            opened.push((conversation, event));
        }
        let hearing = statements::taken(databases).await?;
        let idle_hearing = idle_each_second * begun.elapsed().as_secs_f64();

        let begun = Instant::now();
        statements::begin(databases).await?;
        // One after the other, each by itself.
        for (conversation, event) in opened {
            let told = Instant::now();
            tell_decided(teller, &conversation, event).await?;
            teller.settle().await?;
            state(database, conversation.chat, "agent_id is not null").await?;
            if counts {
                single.record(u64::try_from(told.elapsed().as_micros())?)?;
            }
        }
        let choosing = statements::taken(databases).await?;
        let idle_choosing = idle_each_second * begun.elapsed().as_secs_f64();
        if counts {
            let published = publishing(&hearing) + publishing(&choosing);
            alone.publishing += published;
            alone.hearing += total(&hearing) - publishing(&hearing) - idle_hearing;
            alone.choosing += total(&choosing) - publishing(&choosing) - idle_choosing;
            statements::add(&mut of_choosing, choosing);
        }
    }
    for milliseconds in [
        &mut alone.hearing,
        &mut alone.choosing,
        &mut alone.publishing,
    ] {
        *milliseconds /= count(SINGLES);
    }
    Ok((alone, single, of_choosing))
}

/// Milliseconds of what the relay asks.
fn publishing(statements: &[Statement]) -> f64 {
    let relay = |statement: &&Statement| {
        let asks = ["from chassis.outbox", "pg_try_advisory_xact_lock"];
        asks.iter().any(|asked| statement.query.contains(asked))
    };
    statements.iter().filter(relay).map(|s| s.total).sum()
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn count(count: usize) -> f64 {
    count as f64
}

/// Milliseconds that the service's own statements took: what asks how far it is does not count.
fn total(statements: &[Statement]) -> f64 {
    let own = |statement: &&Statement| !statement.query.contains("/* bench */");
    statements.iter().filter(own).map(|s| s.total).sum()
}

fn conversation(field: &Field, number: usize) -> anyhow::Result<Conversation> {
    Ok(Conversation {
        chat: Uuid::new_v4(),
        channel: field.channel,
        id: Uuid::new_v4(),
        number: i64::try_from(number)?,
        time: OffsetDateTime::now_utc(),
    })
}

async fn tell(teller: &mut Teller, conversation: &Conversation) -> anyhow::Result<()> {
    let opened = tell_opened(teller, conversation).await?;
    tell_decided(teller, conversation, opened).await
}

async fn tell_opened(teller: &mut Teller, conversation: &Conversation) -> anyhow::Result<Uuid> {
    let event = Uuid::new_v4();
    let opened = conversation.opened();
    teller
        .tell(conversation.chat, &opened, (event, None))
        .await?;
    Ok(event)
}

async fn tell_decided(
    teller: &mut Teller,
    conversation: &Conversation,
    opened: Uuid,
) -> anyhow::Result<()> {
    let event = (Uuid::new_v4(), Some(opened));
    teller
        .tell(conversation.chat, &conversation.decided(), event)
        .await
}

/// Waits until so many chats wait.
async fn until(database: &mut PgConnection, what: &str, waiting: i64) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_mins(3);
    loop {
        let now: i64 = sqlx::query_scalar(
            "select /* bench */ count(*) from chat_assignment where waiting_since is not null",
        )
        .fetch_one(&mut *database)
        .await?;
        if now == waiting {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{what}: {now} still wait");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until something holds of a chat.
async fn state(database: &mut PgConnection, chat: Uuid, what: &str) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(30);
    let select = format!("select /* bench */ {what} from chat_assignment where chat_id = $1");
    loop {
        let found: Option<bool> = sqlx::query_scalar(sqlx::AssertSqlSafe(select.clone()))
            .bind(chat)
            .fetch_optional(&mut *database)
            .await?;
        if found == Some(true) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "a chat waits in vain: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn client(system: &System, token: &str) -> anyhow::Result<Client> {
    let url = system.grpc_url(Kind::Assignment)?;
    let endpoint = Endpoint::from_shared(url)?.connect_timeout(Duration::from_secs(2));
    let authorised = InterceptedService::new(endpoint.connect_lazy(), Bearer::new(token)?);
    Ok(AssignmentServiceClient::new(authorised))
}

/// Makes the account and its agents, all online, each with room for twice their share.
async fn prepare(system: &System, size: Size) -> anyhow::Result<Field> {
    let account = "bench".to_owned();
    client(system, &system.tokens().operator())?
        .create_account(CreateAccountRequest {
            slug: account.clone(),
            ..Default::default()
        })
        .await?;
    let token = system
        .tokens()
        .service(&account, "admin", "agents:* channels:* chats:*");
    let admin = client(system, &token)?;
    let capacity = i32::try_from(2 * size.waiting.div_ceil(size.agents) + 1)?;
    let all = || KindAccess {
        create: true,
        view: View::All.into(),
    };
    let grants = Grants {
        channels: Some(ChannelGrant {
            all: true,
            channel_ids: Vec::new(),
        }),
        leads: Some(all()),
        contacts: Some(all()),
        settings: false,
    };
    let agents: Vec<Uuid> = stream::iter(0..size.agents)
        .map(|number| {
            let (mut admin, grants) = (admin.clone(), grants.clone());
            async move {
                let id = Uuid::new_v4();
                let create = CreateAgentRequest {
                    agent_id: id.to_string(),
                    name: format!("Agent {number:04}"),
                    capacity,
                    grants: Some(grants),
                    ..Default::default()
                };
                admin.create_agent(create).await?;
                let online = SetPresenceRequest {
                    agent_id: id.to_string(),
                    presence: Presence::Online.into(),
                    ..Default::default()
                };
                admin.set_presence(online).await?;
                anyhow::Ok(id)
            }
        })
        .buffer_unordered(8)
        .try_collect()
        .await?;
    let field = Field {
        account,
        channel: Uuid::new_v4(),
        agents,
        admin,
    };
    distribute(&field, Distribution::Off).await?;
    Ok(field)
}

async fn distribute(field: &Field, distribution: Distribution) -> anyhow::Result<()> {
    let pool = field.agents.iter().map(|agent| PoolEntry {
        member: Some(Member::AgentId(agent.to_string())),
        weight: 1,
    });
    let policy = DistributionPolicy {
        channel_id: field.channel.to_string(),
        distribution: distribution.into(),
        pool: pool.collect(),
        waiting_per_minute: Some(0),
        ..Default::default()
    };
    let set = SetDistributionPolicyRequest {
        policy: Some(policy),
    };
    field.admin.clone().set_distribution_policy(set).await?;
    Ok(())
}

/// The same warm request by a service, whose token says all, and by an agent, whose rights are looked up.
async fn requests(
    system: &System,
    field: &Field,
) -> anyhow::Result<(Histogram<u64>, Histogram<u64>)> {
    let mut database = PgConnection::connect(system.database_url(Kind::Assignment)?).await?;
    let chat: Uuid = sqlx::query_scalar("select chat_id from chat_assignment limit 1")
        .fetch_one(&mut database)
        .await?;
    let agent = *field.agents.first().context("an agent")?;
    let token = system.tokens().agent(&field.account, agent, "chats:*");
    let mut callers = [field.admin.clone(), client(system, &token)?];
    let mut times = [histogram(), histogram()];
    // In turns, so that whatever else the machine does meets both.
    for round in 0..REQUESTS + 100 {
        for (caller, times) in callers.iter_mut().zip(&mut times) {
            let get = GetChatAssignmentRequest {
                chat_id: chat.to_string(),
            };
            let begun = Instant::now();
            caller.get_chat_assignment(get).await?;
            if round >= 100 {
                times.record(u64::try_from(begun.elapsed().as_micros())?)?;
            }
        }
    }
    let [by_service, by_agent] = times;
    Ok((by_service, by_agent))
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn micros(histogram: &Histogram<u64>, quantile: f64) -> f64 {
    histogram.value_at_quantile(quantile) as f64
}

impl Distributed {
    fn rate(&self) -> f64 {
        count(self.size.waiting) / self.drained.as_secs_f64()
    }

    /// The same as one JSON object.
    pub fn json(&self) -> Value {
        json!({
            "agents": self.size.agents, "waiting": self.size.waiting,
            "drained_seconds": self.drained.as_secs_f64(), "assignments_per_second": self.rate(),
            "database_ms_each_drained": self.database_each, "database_ms_alone_hearing": self.alone.hearing,
            "database_ms_alone_choosing": self.alone.choosing, "database_ms_alone_publishing": self.alone.publishing,
            "alone_p50_ms": micros(&self.single, 0.5) / 1_000.0, "alone_p99_ms": micros(&self.single, 0.99) / 1_000.0,
            "request_of_service_p50_us": micros(&self.by_service, 0.5),
            "request_of_agent_p50_us": micros(&self.by_agent, 0.5),
            "floor_messages_per_second": self.floor.rate(),
        })
    }
}

impl fmt::Display for Distributed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "{} chats wait for {} agents, 2 replicas, by load",
            self.size.waiting, self.size.agents
        )?;
        writeln!(
            out,
            "  drained in {:.2} s: {:.0} assignments/s, {:.2} ms of the database each",
            self.drained.as_secs_f64(),
            self.rate(),
            self.database_each
        )?;
        writeln!(
            out,
            "  a chat that comes alone: {:.2} ms of the database to choose, {:.2} ms to hear of it before, {:.2} ms to \
             publish both; assigned after p50 {:.1} ms, p99 {:.1} ms",
            self.alone.choosing,
            self.alone.hearing,
            self.alone.publishing,
            micros(&self.single, 0.5) / 1_000.0,
            micros(&self.single, 0.99) / 1_000.0
        )?;
        writeln!(
            out,
            "  a warm request: of a service p50 {:.0} µs, of an agent, whose rights are checked, p50 {:.0} µs",
            micros(&self.by_service, 0.5),
            micros(&self.by_agent, 0.5)
        )?;
        for statement in &self.statements {
            writeln!(out, "  {statement}")?;
        }
        write!(
            out,
            "  floor: {} events in {:.2} s, {} rows in {:.2} s",
            self.floor.events.0,
            self.floor.events.1.as_secs_f64(),
            self.floor.rows.0,
            self.floor.rows.1.as_secs_f64()
        )
    }
}
