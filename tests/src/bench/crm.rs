//! `scripts/bench --crm`: boards, lists, searches and connections over large tables, asked at a fixed rate; and how many
//! openings the pipeline connection decides a second when it has fallen behind.

mod deciding;
mod fill;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use rand::Rng as _;
use rand::seq::IndexedRandom as _;
use serde_json::{Value, json};
use switchboard_proto::crm_cards::v1::card_service_client::CardServiceClient;
use switchboard_proto::crm_cards::v1::crm_cards_service_client::CrmCardsServiceClient;
use switchboard_proto::crm_cards::v1::list_cards_request::Order;
use switchboard_proto::crm_cards::v1::{
    CreatePipelineRequest, CreateSourceRequest, GetBoardRequest, GetChatConnectionsRequest,
    ListCardsRequest, ListContactsRequest, Pipeline, StatusKind,
};
use tonic::Status;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Endpoint;
use uuid::Uuid;

use self::deciding::Decided;
use super::asking::{self, Answered};
use super::floor::{self, Floor};
use super::statements::{self, Statement};
use crate::servers::{NatsServer, PostgresServer};
use crate::services::{Kind, Surroundings, System};
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
    answered: Answered,
    decided: Decided,
    /// While questions were asked, and while openings were decided.
    statements: [Vec<Statement>; 2],
    floor: Floor,
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
        ..Surroundings::default()
    })
    .await?;
    system.launch(Kind::CrmCards)?;
    system.wait_ready(Kind::CrmCards).await?;
    let field = Arc::new(prepare(&system, size.rows).await?);
    let url = system.database_url(Kind::CrmCards)?.to_owned();
    let begun = Instant::now();
    fill::fill(&url, &field).await?;
    let filled = begun.elapsed();

    let databases = [url.clone()];
    // Connections plan their statements at first, and the first pages come from the disk.
    ask_all(&field, size.rate, Duration::from_secs(size.seconds.min(10))).await?;
    statements::begin(&databases).await?;
    let answered = ask_all(&field, size.rate, Duration::from_secs(size.seconds)).await?;
    let taken = statements::taken(&databases).await?;
    let decided = deciding::decide(&mut system, &nats.url(), &url, size).await?;
    let taken_deciding = statements::taken(&databases).await?;
    let floor = floor::measure(&nats.url(), &postgres.url(), 10_000).await?;
    Ok(Measured {
        size,
        filled,
        answered,
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

/// Asks at a fixed rate, all kinds in turns.
async fn ask_all(field: &Arc<Field>, rate: u32, during: Duration) -> anyhow::Result<Answered> {
    let kinds = Question::ALL.map(|(_, name)| (name, 1));
    asking::at_a_rate(&kinds, rate, during, |place| {
        let field = Arc::clone(field);
        async move {
            match Question::ALL.get(place) {
                Some((question, _)) => ask(&field, *question).await,
                None => Ok(()),
            }
        }
    })
    .await
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

/// The id of a row of a kind.
fn id(kind: u128, row: u32) -> String {
    Uuid::from_u128((kind << 96) | u128::from(row)).to_string()
}

impl Measured {
    fn rate(&self) -> f64 {
        f64::from(self.size.openings) / self.decided.took.as_secs_f64()
    }

    /// The same as one JSON object.
    pub fn json(&self) -> Value {
        json!({
            "rows": self.size.rows, "requests_per_second": self.size.rate, "filled_seconds": self.filled.as_secs_f64(),
            "answered": self.answered.json(),
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
        write!(out, "{}", self.answered.lines())?;
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
