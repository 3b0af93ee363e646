//! `scripts/bench --crm`: boards, lists, searches and connections over large tables, asked at a fixed rate; and how many
//! openings the pipeline connection decides a second when it has fallen behind.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use rand::Rng as _;
use rand::seq::IndexedRandom as _;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use switchboard_proto::common::v1::{ClientIdentity, OpenReason};
use switchboard_proto::conversation::v1::ConversationOpened;
use switchboard_proto::crm_cards::v1::card_service_client::CardServiceClient;
use switchboard_proto::crm_cards::v1::crm_cards_service_client::CrmCardsServiceClient;
use switchboard_proto::crm_cards::v1::list_cards_request::Order;
use switchboard_proto::crm_cards::v1::pipeline_connection::Mode;
use switchboard_proto::crm_cards::v1::{
    CreatePipelineRequest, CreateSourceRequest, GetBoardRequest, GetChatConnectionsRequest,
    ListCardsRequest, ListContactsRequest, Pipeline, PipelineConnection,
    SetPipelineConnectionRequest, StatusKind,
};
use time::OffsetDateTime;
use tokio::task::JoinSet;
use tonic::Status;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Endpoint;
use uuid::Uuid;

use super::floor::{self, Floor};
use super::load::histogram;
use super::statements::{self, Statement};
use crate::replicas::Replica;
use crate::servers::{NatsServer, PostgresServer};
use crate::services::{Kind, Surroundings, System};
use crate::telling::Teller;
use crate::world::{Authorised, Bearer};

const ACCOUNT: &str = "bench";

/// What the database may hold in memory of its own: a quarter of a small server's, as its makers advise, and less than what
/// the filled tables take.
const MEMORY: &str = "1GB";

/// Agents who answer for the entities.
const AGENTS: u32 = 200;

/// How much there is and what is asked of it.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Cards, and as many contacts, each with a chat.
    pub rows: u32,
    /// Requests a second.
    pub rate: u32,
    /// How long.
    pub seconds: u64,
    /// Openings to be decided.
    pub openings: u32,
    /// One opening in so many is of a new client; the others are of clients who are known, each of another one.
    pub new_client_every: u32,
    /// Replicas that decide them.
    pub replicas: usize,
}

/// What is asked, in turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    Board,
    NewestOfPipeline,
    InWorkLastChanged,
    OfAgent,
    OfSource,
    OfMessenger,
    CardsByRareWord,
    CardsByCommonWord,
    NewestContacts,
    ContactsOfAgent,
    ContactByPhone,
    ContactsByName,
    Connections,
}

impl Question {
    const ALL: [(Self, &'static str); 13] = [
        (Self::Board, "board of a pipeline"),
        (Self::NewestOfPipeline, "cards of a pipeline"),
        (Self::InWorkLastChanged, "cards in work by last change"),
        (Self::OfAgent, "cards of an agent"),
        (Self::OfSource, "cards of a source"),
        (Self::OfMessenger, "cards of a messenger"),
        (Self::CardsByRareWord, "cards by a name"),
        (Self::CardsByCommonWord, "cards by a word of 2 %"),
        (Self::NewestContacts, "contacts"),
        (Self::ContactsOfAgent, "contacts of an agent"),
        (Self::ContactByPhone, "contact by phone"),
        (Self::ContactsByName, "contacts by a name"),
        (Self::Connections, "connections of a chat"),
    ];
}

type Crm = CrmCardsServiceClient<Authorised>;

/// What questions are asked of.
struct Field {
    crm: Crm,
    cards: CardServiceClient<Authorised>,
    pipelines: Vec<Pipeline>,
    sources: Vec<String>,
    rows: u32,
}

/// What was measured.
pub struct Measured {
    size: Size,
    filled: Duration,
    answered: Vec<(&'static str, Histogram<u64>)>,
    all: Histogram<u64>,
    decided: Decided,
    /// While questions were asked, and while openings were decided.
    statements: [Vec<Statement>; 2],
    floor: Floor,
}

/// How the openings that had waited were decided.
struct Decided {
    took: Duration,
    /// Cards that were made.
    cards: i64,
    /// What the database wrote to its log of changes meanwhile.
    wal_bytes: i64,
}

/// Starts crm-cards with its servers, fills its tables, and measures.
pub async fn measure(size: Size, with_statements: bool) -> anyhow::Result<Measured> {
    let nats = NatsServer::start()?;
    let postgres = PostgresServer::start_with_memory(MEMORY)?;
    let environment = ["REQUESTS_PER_SECOND_PER_ACCOUNT", "BURST"].map(|key| {
        let key = format!("SWITCHBOARD_LIMITS__{key}");
        (None, key, "1000000".to_owned())
    });
    let mut system = System::prepare(Surroundings {
        nats_url: nats.url(),
        postgres_url: postgres.url(),
        telegram_url: String::new(),
        environment: environment.to_vec(),
    })
    .await?;
    system.launch(Kind::CrmCards)?;
    system.wait_ready(Kind::CrmCards).await?;
    let field = Arc::new(prepare(&system, size.rows).await?);
    let url = system.database_url(Kind::CrmCards)?.to_owned();
    let begun = Instant::now();
    fill(&url, &field).await?;
    let filled = begun.elapsed();

    let databases = [url.clone()];
    // Connections plan their statements at first, and the first pages come from the disk.
    ask_all(&field, size.rate, Duration::from_secs(size.seconds.min(10))).await?;
    statements::begin(&databases).await?;
    let answered = ask_all(&field, size.rate, Duration::from_secs(size.seconds)).await?;
    let taken = statements::taken(&databases).await?;
    let mut all = histogram();
    for (_, times) in &answered {
        all.add(times)?;
    }
    let decided = decide(&mut system, &nats.url(), &url, size).await?;
    let taken_deciding = statements::taken(&databases).await?;
    let floor = floor::measure(&nats.url(), &postgres.url(), 10_000).await?;
    Ok(Measured {
        size,
        filled,
        answered,
        all,
        decided,
        statements: if with_statements {
            [taken, taken_deciding]
        } else {
            [Vec::new(), Vec::new()]
        },
        floor,
    })
}

async fn prepare(system: &System, rows: u32) -> anyhow::Result<Field> {
    let token = system
        .tokens()
        .service(ACCOUNT, "bench", "crm:* channels:admin");
    let endpoint = Endpoint::from_shared(system.grpc_url(Kind::CrmCards)?)?;
    let authorised = InterceptedService::new(endpoint.connect_lazy(), Bearer::new(&token)?);
    let mut crm = Crm::new(authorised.clone());
    let (mut pipelines, mut sources) = (Vec::new(), Vec::new());
    for number in 0..4 {
        let pipeline = CreatePipelineRequest {
            name: format!("Pipeline {number}"),
            ..Default::default()
        };
        let made = crm.create_pipeline(pipeline).await?.into_inner();
        pipelines.push(made.pipeline.context("a pipeline")?);
        let source = CreateSourceRequest {
            name: format!("Source {number}"),
            ..Default::default()
        };
        let made = crm.create_source(source).await?.into_inner();
        sources.push(made.source.context("a source")?.source_id);
    }
    Ok(Field {
        crm,
        cards: CardServiceClient::new(authorised),
        pipelines,
        sources,
        rows,
    })
}

/// Fills the tables as a year of work would: entities of one person beside each other in time, most cards ended. What
/// triggers count is counted at the end.
async fn fill(url: &str, field: &Field) -> anyhow::Result<()> {
    let mut database = PgConnection::connect(url).await?;
    let statuses: Vec<Uuid> = field
        .pipelines
        .iter()
        .flat_map(|pipeline| &pipeline.statuses)
        .map(|status| status.status_id.parse())
        .collect::<Result<_, _>>()?;
    let sources: Vec<Uuid> = field
        .sources
        .iter()
        .map(|id| id.parse())
        .collect::<Result<_, _>>()?;
    let steps = [
        ("contacts", CONTACTS),
        ("identities", IDENTITIES),
        ("chats", CHATS),
        ("cards", CARDS),
        ("links", LINKS),
        ("decisions", DECISIONS),
    ];
    sqlx::query("set session_replication_role = replica")
        .execute(&mut database)
        .await?;
    for (what, sql) in steps {
        let begun = Instant::now();
        sqlx::query(sql)
            .bind(ACCOUNT)
            .bind(i64::from(field.rows))
            .bind(i64::from(AGENTS))
            .bind(&statuses)
            .bind(&sources)
            .execute(&mut database)
            .await
            .with_context(|| format!("{what} are not filled"))?;
        eprintln!(
            "{} {what} in {:.0} s",
            field.rows,
            begun.elapsed().as_secs_f64()
        );
    }
    sqlx::query(COUNTS).execute(&mut database).await?;
    sqlx::query("reset session_replication_role")
        .execute(&mut database)
        .await?;
    sqlx::query("vacuum analyze").execute(&mut database).await?;
    Ok(())
}

/// Of the arguments of all steps each takes what it needs; the rest is named so that all take the same.
macro_rules! step {
    ($sql:literal) => {
        concat!(
            "with unused as (select $3::bigint, $4::uuid[], $5::uuid[]), n as (
                select i, ('00000001-0000-0000-0000-' || hex)::uuid as contact,
                       ('00000002-0000-0000-0000-' || hex)::uuid as chat,
                       ('00000003-0000-0000-0000-' || hex)::uuid as card,
                       ('00000004-0000-0000-0000-' || lpad(to_hex(i % $3), 12, '0'))::uuid as agent,
                       'First' || i % 500 || ' Last' || i / 500 % 5000 as name, '+38050' || lpad(i::text, 7, '0') as phone,
                       now() - (($2 - i) * interval '30 seconds') as at
                from (select i, lpad(to_hex(i), 12, '0') as hex from generate_series(1, $2) i) g) ",
            $sql
        )
    };
}

const CONTACTS: &str = step!(
    "insert into contact (account, id, name, buyer, phones, responsible, created_at, words)
     select $1, contact, name, i % 10 = 0, array[phone], agent, at,
            array_to_tsvector(array['@' || $1, phone, '#telegram']) || setweight(to_tsvector('simple', name), 'A')
     from n"
);

const IDENTITIES: &str = step!(
    "insert into identity (account, scope, user_id, contact, name, username, phone, email, language)
     select $1, 'telegram', i::text, contact, name, 'user' || i, phone, '', 'uk' from n"
);

const CHATS: &str = step!(
    "insert into chat (account, id, channel, client, contact, created_at, messenger, scope, user_id)
     select $1, chat, ('00000005-0000-0000-0000-00000000000' || i % 10)::uuid, chat, contact, at, 'telegram', 'telegram', i::text
     from n"
);

// Of twenty cards one is new, one in work, nine each are won or lost.
const CARDS: &str = step!(
    "insert into card (account, id, kind, title, pipeline, status, status_kind, source, contact, chat, responsible,
                       created_at, updated_at, amount, currency, messenger, words)
     select $1, card, case when i % 10 = 0 then 'deal' else 'lead' end, title, s.pipeline, s.id, s.kind,
            ($5::uuid[])[1 + i % 4], contact, chat, agent, at, at + interval '1 hour',
            case when i % 3 = 0 then i % 10000 + 0.5 end, case when i % 3 = 0 then 'UAH' end, 'telegram',
            array_to_tsvector(array['@' || $1]) || setweight(to_tsvector('simple', title), 'A')
                || setweight(to_tsvector('simple', c.name), 'B')
     from (select n.*, case when i % 50 = 0 then 'Wholesale ' else 'Retail ' end || i as title,
                  case when i % 20 = 0 then 0 when i % 20 = 1 then 1 when i % 20 < 11 then 2 else 3 end as place
           from n) c
     join status s on s.account = $1 and s.id = ($4::uuid[])[1 + 4 * (i / 20 % 4) + place]"
);

const LINKS: &str = step!(
    "insert into chat_card (account, chat, card, linked_at) select $1, chat, card, at from n"
);

// Each card by a conversation of its own.
const DECISIONS: &str = step!(
    "insert into decision (account, conversation, number, chat, channel, contact, card, rule, connection, facts, decided_at)
     select $1, md5('conversation' || i)::uuid, i, chat, ('00000005-0000-0000-0000-00000000000' || i % 10)::uuid, contact,
            card, 'NOTHING_IN_WORK', '{}', '{}', at
     from n"
);

const COUNTS: &str =
    "insert into card_count (account, pipeline, status, responsible, currency, cards, amount)
     select account, pipeline, status, responsible, coalesce(currency, ''), count(*), coalesce(sum(amount), 0)
     from card where deleted_at is null group by 1, 2, 3, 4, 5";

/// Asks at a fixed rate, all kinds in turns; times count from the moment each was due.
async fn ask_all(
    field: &Arc<Field>,
    rate: u32,
    during: Duration,
) -> anyhow::Result<Vec<(&'static str, Histogram<u64>)>> {
    let mut answered: Vec<_> = Question::ALL.map(|(_, name)| (name, histogram())).into();
    let total = u64::from(rate) * during.as_secs();
    let (begun, mut asked) = (tokio::time::Instant::now(), JoinSet::new());
    for number in 0..total {
        let due = begun + Duration::from_secs(1) * u32::try_from(number)? / rate;
        tokio::time::sleep_until(due).await;
        let place = usize::try_from(number)? % Question::ALL.len();
        let field = Arc::clone(field);
        asked.spawn(async move {
            let question = Question::ALL.get(place).map(|(question, _)| *question);
            ask(&field, question.unwrap_or(Question::Board)).await?;
            Ok::<_, Status>((place, due.elapsed()))
        });
    }
    while let Some(done) = asked.join_next().await {
        let (place, took) = done??;
        if let Some((_, times)) = answered.get_mut(place) {
            times.record(u64::try_from(took.as_micros())?)?;
        }
    }
    Ok(answered)
}

async fn ask(field: &Field, question: Question) -> Result<(), Status> {
    let about = About::chosen(field);
    if let Some(request) = about.cards(question) {
        return field.crm.clone().list_cards(request).await.map(drop);
    }
    if let Some(request) = about.contacts(question) {
        return field.crm.clone().list_contacts(request).await.map(drop);
    }
    if question == Question::Connections {
        let request = GetChatConnectionsRequest {
            chat_id: id(CHAT, about.row),
        };
        return field
            .crm
            .clone()
            .get_chat_connections(request)
            .await
            .map(drop);
    }
    let request = GetBoardRequest {
        pipeline_id: about.pipeline,
        column_size: 0,
    };
    field.cards.clone().get_board(request).await.map(drop)
}

/// What one question is about, by chance.
struct About {
    row: u32,
    pipeline: String,
    source: String,
    agent: String,
}

impl About {
    fn chosen(field: &Field) -> Self {
        let mut random = rand::rng();
        let pipeline = field.pipelines.choose(&mut random);
        Self {
            row: random.random_range(1..=field.rows),
            pipeline: pipeline
                .map(|pipeline| pipeline.pipeline_id.clone())
                .unwrap_or_default(),
            source: field
                .sources
                .choose(&mut random)
                .cloned()
                .unwrap_or_default(),
            agent: id(AGENT, random.random_range(0..AGENTS)),
        }
    }

    fn cards(&self, question: Question) -> Option<ListCardsRequest> {
        let nothing = ListCardsRequest::default();
        Some(match question {
            Question::NewestOfPipeline => ListCardsRequest {
                pipeline_id: self.pipeline.clone(),
                ..nothing
            },
            Question::InWorkLastChanged => ListCardsRequest {
                status_kinds: vec![StatusKind::New.into(), StatusKind::InProgress.into()],
                order: Order::UpdateTime.into(),
                ..nothing
            },
            Question::OfAgent => ListCardsRequest {
                responsible_agent_id: self.agent.clone(),
                ..nothing
            },
            Question::OfSource => ListCardsRequest {
                source_id: self.source.clone(),
                ..nothing
            },
            Question::OfMessenger => ListCardsRequest {
                messenger: "telegram".into(),
                ..nothing
            },
            Question::CardsByRareWord => ListCardsRequest {
                text: format!("last{}", self.row / 500 % 5_000),
                ..nothing
            },
            Question::CardsByCommonWord => ListCardsRequest {
                text: "wholesale".into(),
                ..nothing
            },
            _ => return None,
        })
    }

    fn contacts(&self, question: Question) -> Option<ListContactsRequest> {
        let nothing = ListContactsRequest::default();
        Some(match question {
            Question::NewestContacts => nothing,
            Question::ContactsOfAgent => ListContactsRequest {
                responsible_agent_id: self.agent.clone(),
                ..nothing
            },
            Question::ContactByPhone => ListContactsRequest {
                phone: format!("+38050{:07}", self.row),
                ..nothing
            },
            Question::ContactsByName => ListContactsRequest {
                text: format!("first{} last{}", self.row % 500, self.row / 500 % 5_000),
                ..nothing
            },
            _ => return None,
        })
    }
}

// Kinds of ids, as the filling makes them.
const CHAT: u128 = 2;
const AGENT: u128 = 4;
const CHANNEL: u128 = 5;

/// Channels of the chats.
const CHANNELS: u32 = 10;

/// Coprime to what people fill tables with: known clients come from all over them, each once.
const SPREAD: u64 = 7_919;

/// The id of a row of a kind.
fn id(kind: u128, row: u32) -> String {
    Uuid::from_u128((kind << 96) | u128::from(row)).to_string()
}

/// Has openings of new clients wait while the service is away, and measures how fast it decides them when it is back: from the
/// beginning of its first batch to the last decision.
async fn decide(
    system: &mut System,
    nats_url: &str,
    database_url: &str,
    Size {
        openings,
        replicas,
        rows,
        new_client_every,
        ..
    }: Size,
) -> anyhow::Result<Decided> {
    prepare_rules(system).await?;
    system.terminate(Kind::CrmCards)?;
    let mut teller = Teller::connect(nats_url, ACCOUNT).await?;
    for number in 1..=openings {
        let known = (!number.is_multiple_of(new_client_every.max(1)))
            .then(|| u32::try_from(u64::from(number) * SPREAD % u64::from(rows)))
            .transpose()?;
        let opened = opening(number, known.map(|row| row + 1));
        let chat = opened.chat_id.parse()?;
        teller.tell(chat, &opened, (Uuid::new_v4(), None)).await?;
        if teller.under_way() >= 500 {
            teller.settle().await?;
        }
    }
    teller.settle().await?;
    statements::begin(&[database_url.to_owned()]).await?;
    let mut database = PgConnection::connect(database_url).await?;
    let from: String = sqlx::query_scalar("select pg_current_wal_insert_lsn()::text")
        .fetch_one(&mut database)
        .await?;
    let launched = OffsetDateTime::now_utc();
    system.launch(Kind::CrmCards)?;
    let mut others = Vec::new();
    for number in 2..=replicas {
        let mut other = Replica::new(Kind::CrmCards, number)?;
        other.launch(system)?;
        others.push(other);
    }
    let deadline = Instant::now() + Duration::from_mins(5);
    loop {
        // By the index of times: a look at the whole table would take a core from who decides.
        let decided: i64 = sqlx::query_scalar(
            "select /* bench */ count(*) from decision where account = $1 and decided_at > $2",
        )
        .bind(ACCOUNT)
        .bind(launched)
        .fetch_one(&mut database)
        .await?;
        if decided == i64::from(openings) {
            let ended = OffsetDateTime::now_utc();
            let (begun, cards): (OffsetDateTime, i64) = sqlx::query_as(
                "select min(decided_at), count(card) from decision where account = $1 and decided_at > $2",
            )
            .bind(ACCOUNT)
            .bind(launched)
            .fetch_one(&mut database)
            .await?;
            let took = (ended - begun).unsigned_abs();
            let wal_bytes =
                sqlx::query_scalar("select (pg_current_wal_insert_lsn() - $1::pg_lsn)::bigint")
                    .bind(from)
                    .fetch_one(&mut database)
                    .await?;
            return Ok(Decided {
                took,
                cards,
                wal_bytes,
            });
        }
        ensure!(
            Instant::now() < deadline,
            "{decided} of {openings} are decided"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Has all channels make a card where none is in work.
async fn prepare_rules(system: &System) -> anyhow::Result<()> {
    let token = system
        .tokens()
        .service(ACCOUNT, "bench", "crm:* channels:admin");
    let endpoint = Endpoint::from_shared(system.grpc_url(Kind::CrmCards)?)?;
    let authorised = InterceptedService::new(endpoint.connect_lazy(), Bearer::new(&token)?);
    let mut crm = Crm::new(authorised);
    let made = CreatePipelineRequest {
        name: "Openings".into(),
        ..Default::default()
    };
    let pipeline = crm.create_pipeline(made).await?.into_inner().pipeline;
    let pipeline_id = pipeline.context("a pipeline")?.pipeline_id;
    for number in 0..CHANNELS {
        let connection = PipelineConnection {
            channel_id: id(CHANNEL, number),
            mode: Mode::Repeat.into(),
            pipeline_id: pipeline_id.clone(),
            ..Default::default()
        };
        let request = SetPipelineConnectionRequest {
            connection: Some(connection),
        };
        crm.set_pipeline_connection(request).await?;
    }
    Ok(())
}

/// An opening of a new client, or of one who is known.
fn opening(number: u32, known: Option<u32>) -> ConversationOpened {
    let now = OffsetDateTime::now_utc();
    let now = prost_types::Timestamp {
        seconds: now.unix_timestamp(),
        nanos: i32::try_from(now.nanosecond()).unwrap_or_default(),
    };
    let new = || Uuid::new_v4().to_string();
    let chat_id = known.map_or_else(new, |row| id(CHAT, row));
    ConversationOpened {
        conversation_id: new(),
        channel_id: id(CHANNEL, known.unwrap_or(number) % CHANNELS),
        channel_kind: 1,
        client_id: if known.is_some() {
            chat_id.clone()
        } else {
            new()
        },
        chat_id,
        client: Some(ClientIdentity {
            scope: "telegram".into(),
            user_id: known.map_or_else(|| format!("new{number}"), |row| row.to_string()),
            name: format!("Client {number}"),
            ..Default::default()
        }),
        number: number.into(),
        revision: 1,
        reason: OpenReason::ClientMessage.into(),
        chat_is_new: known.is_none(),
        chat_create_time: Some(now),
        open_time: Some(now),
        ..Default::default()
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn millis(times: &Histogram<u64>, quantile: f64) -> f64 {
    times.value_at_quantile(quantile) as f64 / 1_000.0
}

impl Measured {
    fn rate(&self) -> f64 {
        f64::from(self.size.openings) / self.decided.took.as_secs_f64()
    }

    /// The same as one JSON object.
    pub fn json(&self) -> Value {
        let figures = |times: &Histogram<u64>| json!({ "requests": times.len(), "p50_ms": millis(times, 0.5), "p99_ms": millis(times, 0.99) });
        let answered = self.answered.iter();
        let answered: serde_json::Map<String, Value> = answered
            .map(|(name, times)| ((*name).to_owned(), figures(times)))
            .collect();
        json!({
            "rows": self.size.rows, "requests_per_second": self.size.rate, "filled_seconds": self.filled.as_secs_f64(),
            "all": figures(&self.all), "answered": answered,
            "openings": self.size.openings, "new_client_every": self.size.new_client_every, "cards": self.decided.cards, "replicas": self.size.replicas, "decided_seconds": self.decided.took.as_secs_f64(),
            "decisions_per_second": self.rate(), "deciding_wal_bytes": self.decided.wal_bytes, "floor_messages_per_second": self.floor.rate(),
        })
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Size {
            rows,
            rate,
            openings,
            new_client_every,
            replicas,
            ..
        } = self.size;
        writeln!(
            out,
            "{rows} cards and {rows} contacts, PostgreSQL with shared_buffers = {MEMORY}, {rate} requests/s in turns"
        )?;
        let all = std::iter::once(("all", &self.all));
        let each = self.answered.iter().map(|(name, times)| (*name, times));
        for (name, times) in all.chain(each) {
            writeln!(
                out,
                "  {name:30} {:5} requests, p50 {:5.1} ms, p99 {:5.1} ms",
                times.len(),
                millis(times, 0.5),
                millis(times, 0.99)
            )?;
        }
        writeln!(
            out,
            "  {openings} openings that waited, one in {new_client_every} of a new client: decided by {replicas} replicas in {:.2} s, {:.0} decisions/s, {} with a card",
            self.decided.took.as_secs_f64(),
            self.rate(),
            self.decided.cards
        )?;
        for (what, statements) in ["while asked", "while deciding"]
            .iter()
            .zip(&self.statements)
        {
            if !statements.is_empty() {
                writeln!(out, "  {what}:")?;
            }
            for statement in statements {
                writeln!(out, "  {statement}")?;
            }
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
