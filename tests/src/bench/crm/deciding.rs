//! Openings that have waited, and how fast they are decided.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use sqlx::{Connection, PgConnection};
use switchboard_proto::common::v1::{ClientIdentity, OpenReason};
use switchboard_proto::conversation::v1::ConversationOpened;
use switchboard_proto::crm_cards::v1::pipeline_connection::Mode;
use switchboard_proto::crm_cards::v1::{
    CreatePipelineRequest, PipelineConnection, SetPipelineConnectionRequest,
};
use time::OffsetDateTime;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Endpoint;
use uuid::Uuid;

use super::{ACCOUNT, CHANNEL, CHAT, Crm, Size, id};
use crate::bench::statements;
use crate::replicas::Replica;
use crate::services::{Kind, System};
use crate::telling::Teller;
use crate::world::Bearer;

/// How the openings that had waited were decided.
pub(super) struct Decided {
    pub took: Duration,
    /// Cards that were made.
    pub cards: i64,
    /// What the database wrote to its log of changes meanwhile.
    pub wal_bytes: i64,
}

/// Channels of the chats.
const CHANNELS: u32 = 10;

/// Coprime to what people fill tables with: known clients come from all over them, each once.
const SPREAD: u64 = 7_919;

/// Has openings of new clients wait while the service is away, and measures how fast it decides them when it is back: from the
/// beginning of its first batch to the last decision.
pub(super) async fn decide(
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
