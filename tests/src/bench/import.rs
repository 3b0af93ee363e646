//! `scripts/bench --import`: how fast contacts of a CSV file come into CRM, are told to integrators, and go out again.

use std::fmt::{self, Write as _};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use futures::stream;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use switchboard_proto::assignment::v1::CreateAccountRequest;
use switchboard_proto::assignment::v1::assignment_service_client::AssignmentServiceClient;
use switchboard_proto::crm_cards::v1::transfer_service_client::TransferServiceClient;
use switchboard_proto::crm_cards::v1::{
    ExportRecordsRequest, ImportPlan, ImportProgress, ImportRecordsRequest, RecordKind,
};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Endpoint;

use super::statements::{self, Statement};
use crate::servers::{NatsServer, PostgresServer};
use crate::services::{Kind, Surroundings, System};
use crate::world::{Authorised, Bearer};

/// The account.
const ACCOUNT: &str = "bench";
/// Bytes of a piece of the file.
const PIECE: usize = 128 * 1024;
/// One contact in this many has the phone of the one before: those are suspected to be one person.
const TWIN_EVERY: usize = 20;

/// What was measured.
pub struct Imported {
    bytes: usize,
    progress: ImportProgress,
    import: Duration,
    /// Until the last event of it was with the broker.
    published: Duration,
    /// The same file again, of which nothing is new.
    again: Duration,
    export: Duration,
    statements: Vec<Statement>,
}

type Client = TransferServiceClient<Authorised>;

/// Starts CRM with its servers, and measures.
pub async fn measure(contacts: usize, with_statements: bool) -> anyhow::Result<Imported> {
    let nats = NatsServer::start()?;
    let postgres = PostgresServer::start()?;
    let mut system = System::prepare(Surroundings {
        nats_url: nats.url(),
        postgres_url: postgres.url(),
        telegram_url: String::new(),
        environment: Vec::new(),
        ..Surroundings::default()
    })
    .await?;
    for kind in [Kind::Assignment, Kind::CrmCards] {
        system.launch(kind)?;
        system.wait_ready(kind).await?;
    }
    let operator = Bearer::new(&system.tokens().operator())?;
    let channel = Endpoint::from_shared(system.grpc_url(Kind::Assignment)?)?.connect_lazy();
    AssignmentServiceClient::new(InterceptedService::new(channel, operator))
        .create_account(CreateAccountRequest {
            slug: ACCOUNT.to_owned(),
            ..CreateAccountRequest::default()
        })
        .await?;
    let token = system.tokens().service(ACCOUNT, "bench", "crm:*");
    let channel = Endpoint::from_shared(system.grpc_url(Kind::CrmCards)?)?.connect_lazy();
    let mut client =
        TransferServiceClient::new(InterceptedService::new(channel, Bearer::new(&token)?));

    let databases = [system.database_url(Kind::CrmCards)?.to_owned()];
    let mut database = PgConnection::connect(&databases[0]).await?;
    let file = file(contacts)?;
    if with_statements {
        statements::begin(&databases).await?;
    }
    let begun = Instant::now();
    let progress = import(&mut client, &file).await?;
    let imported = begun.elapsed();
    ensure!(
        usize::try_from(progress.created)? == contacts,
        "all are made: {progress:?}"
    );
    let statements = if with_statements {
        statements::taken(&databases).await?
    } else {
        Vec::new()
    };
    until_published(&mut database).await?;
    let published = begun.elapsed();
    let begun = Instant::now();
    let same = import(&mut client, &file).await?;
    let again = begun.elapsed();
    ensure!(
        usize::try_from(same.unchanged)? == contacts,
        "none is made twice: {same:?}"
    );
    let begun = Instant::now();
    let rows = export(&mut client).await?;
    let export = begun.elapsed();
    ensure!(usize::try_from(rows)? == contacts, "all go out: {rows}");
    Ok(Imported {
        bytes: file.len(),
        progress,
        import: imported,
        published,
        again,
        export,
        statements,
    })
}

/// A file of contacts, each with a phone and an address.
fn file(contacts: usize) -> anyhow::Result<Bytes> {
    let mut file = String::from("name,phones,emails\r\n");
    for row in 0..contacts {
        let twin = row % TWIN_EVERY == TWIN_EVERY - 1;
        let phone = 380_500_000_000_u64 + u64::try_from(row - usize::from(twin))?;
        write!(file, "Contact {row},+{phone},contact{row}@example.com\r\n")?;
    }
    Ok(file.into())
}

async fn import(client: &mut Client, file: &Bytes) -> anyhow::Result<ImportProgress> {
    let first = ImportRecordsRequest {
        plan: Some(ImportPlan {
            kind: RecordKind::Contact.into(),
            import_id: "bench".to_owned(),
            ..ImportPlan::default()
        }),
        chunk: Bytes::new(),
    };
    let mut left = file.clone();
    let pieces = std::iter::from_fn(move || {
        let piece = left.split_to(PIECE.min(left.len()));
        (!piece.is_empty()).then_some(ImportRecordsRequest {
            plan: None,
            chunk: piece,
        })
    });
    let parts = stream::iter(std::iter::once(first).chain(pieces));
    let mut answers = client.import_records(parts).await?.into_inner();
    let mut last = None;
    while let Some(answer) = answers.message().await? {
        last = Some(answer);
    }
    let last = last.filter(|last| last.done).context("a last answer")?;
    last.progress.context("how far it is")
}

async fn export(client: &mut Client) -> anyhow::Result<i64> {
    let request = ExportRecordsRequest {
        kind: RecordKind::Contact.into(),
        ..ExportRecordsRequest::default()
    };
    let mut parts = client.export_records(request).await?.into_inner();
    let mut rows = 0;
    while let Some(part) = parts.message().await? {
        rows = part.rows;
    }
    Ok(rows)
}

/// Waits until nothing is left in the outbox.
async fn until_published(database: &mut PgConnection) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_mins(5);
    loop {
        let left: bool =
            sqlx::query_scalar("select /* bench */ exists(select from chassis.outbox)")
                .fetch_one(&mut *database)
                .await?;
        if !left {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "events wait in the outbox");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

impl Imported {
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    fn rate(&self, taken: Duration) -> f64 {
        self.progress.rows as f64 / taken.as_secs_f64()
    }

    /// The figures as one object.
    pub fn json(&self) -> Value {
        json!({
            "contacts": self.progress.rows, "bytes": self.bytes,
            "import_seconds": self.import.as_secs_f64(), "rows_per_second": self.rate(self.import),
            "published_seconds": self.published.as_secs_f64(),
            "again_rows_per_second": self.rate(self.again), "export_rows_per_second": self.rate(self.export),
        })
    }
}

impl fmt::Display for Imported {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "{} contacts with a phone and an address each, one in {TWIN_EVERY} a duplicate, in one file",
            self.progress.rows
        )?;
        writeln!(
            out,
            "  imported in {:.1} s: {:.0} rows/s; all events with the broker after {:.1} s",
            self.import.as_secs_f64(),
            self.rate(self.import),
            self.published.as_secs_f64()
        )?;
        write!(
            out,
            "  the same file again: {:.0} rows/s; exported: {:.0} rows/s",
            self.rate(self.again),
            self.rate(self.export)
        )?;
        for statement in &self.statements {
            write!(out, "\n{statement}")?;
        }
        Ok(())
    }
}
