//! The gRPC API of files: what comes is read as fast as it can be written, and not faster.

mod outlet;

use std::time::Duration;

use bytes::{Buf as _, Bytes};
use chassis::auth::Caller;
use chassis::clock;
use futures::stream::BoxStream;
use outlet::{Limits, Outlet};
use prost::Message as _;
use switchboard_proto::crm_cards::v1 as pb;
use switchboard_proto::crm_cards::v1::transfer_service_server::TransferService;
use tonic::{Request, Response, Status, Streaming};

use super::{Answer, Handlers, PARSE};
use crate::app::export::{self, Export};
use crate::app::import::{Import, Plan, Refused, Told};
use crate::app::transfers::Transfer;
use crate::domain::columns::RecordKind;
use crate::wire;

/// Bytes of a piece of a file at most.
const CHUNK_MAX: usize = 256 * 1024;
/// Bytes of one part of an exported file, about.
const PART: usize = 256 * 1024;
/// Bytes of refused rows in one answer, about.
const TOLD: usize = 1024 * 1024;
/// A call of which nothing comes, or is taken, for so long is over.
pub(super) const SILENCE: Duration = Duration::from_mins(1);
/// A call lasts this long at most: then the rights of the caller are looked at anew, by another call.
const LASTS: time::Duration = time::Duration::minutes(30);

#[tonic::async_trait]
impl TransferService for Handlers {
    type ImportRecordsStream = BoxStream<'static, Result<pb::ImportRecordsResponse, Status>>;
    type ExportRecordsStream = BoxStream<'static, Result<pb::ExportRecordsResponse, Status>>;

    async fn import_records(
        &self,
        request: Request<Streaming<pb::ImportRecordsRequest>>,
    ) -> Answer<Self::ImportRecordsStream> {
        let caller = Caller::of(&request)?;
        let mut parts = request.into_inner();
        let first = parts.message().await?.unwrap_or_default();
        let plan = plan(first.plan.unwrap_or_default())?;
        let import = Import::begin(&self.app, &caller, plan)?;
        let reading = Reading {
            transfer: self.transfers.admit(caller.account())?,
            import,
            parts,
        };
        let piece = piece(first.chunk)?;
        let answers = outlet::answers(self.limits(), |outlet| reading.run(piece, outlet));
        Ok(Response::new(answers))
    }

    async fn export_records(
        &self,
        request: Request<pb::ExportRecordsRequest>,
    ) -> Answer<Self::ExportRecordsStream> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let wanted = export::Wanted {
            kind: kind("kind", request.kind)?,
            delimiter: match request.delimiter.as_str() {
                "" | "," => b',',
                ";" => b';',
                "\t" => b'\t',
                _ => return Err(PARSE.refuse("delimiter", "must be a comma, a semicolon or a tab")),
            },
            marked: request.byte_order_mark,
        };
        let writing = Writing {
            export: Export::begin(&self.app, &caller, wanted).await?,
            transfer: self.transfers.admit(caller.account())?,
        };
        let parts = outlet::answers(self.limits(), |outlet| writing.run(outlet));
        Ok(Response::new(parts))
    }
}

impl Handlers {
    /// The limits of a call that begins.
    fn limits(&self) -> Limits {
        Limits {
            until: clock::now() + LASTS,
            silence: self.silence,
            stop: self.stop.clone(),
        }
    }
}

fn kind(field: &str, kind: i32) -> Result<RecordKind, Status> {
    wire::record_kind(kind).ok_or_else(|| PARSE.refuse(field, "must be a kind of record"))
}

fn plan(plan: pb::ImportPlan) -> Result<Plan, Status> {
    let id = plan.import_id;
    if id.is_empty() || id.len() > 100 || !id.bytes().all(|byte| byte.is_ascii_graphic()) {
        let text = "must be 1 to 100 visible ASCII characters";
        return Err(PARSE.refuse("plan.import_id", text));
    }
    Ok(Plan {
        kind: kind("plan.kind", plan.kind)?,
        id,
        dry_run: plan.dry_run,
        update: plan.update,
        pipeline: PARSE.id_opt("plan.pipeline_id", &plan.pipeline_id)?,
        with_cells: plan.with_cells,
    })
}

fn piece(chunk: Bytes) -> Result<Bytes, Status> {
    if chunk.len() > CHUNK_MAX {
        return Err(PARSE.refuse("chunk", "must have at most 256 KiB"));
    }
    Ok(chunk)
}

/// A file that is being read.
struct Reading {
    import: Import,
    parts: Streaming<pb::ImportRecordsRequest>,
    #[expect(dead_code, reason = "held while the file is read")]
    transfer: Transfer,
}

impl Reading {
    /// Reads the file, beginning with this piece. A batch is written whole before it is told: no transaction is open, and no
    /// connection to the database held, while the client is waited for.
    async fn run(
        mut self,
        mut piece: Bytes,
        outlet: Outlet<pb::ImportRecordsResponse>,
    ) -> Result<(), Status> {
        loop {
            outlet.goes_on()?;
            let mut rest = piece.as_ref();
            let told = self.import.read(&mut rest, clock::now()).await?;
            let read = piece.len().saturating_sub(rest.len());
            piece.advance(read);
            if let Some(told) = told {
                tell(&outlet, told).await?;
                continue;
            }
            match outlet.part(self.parts.message()).await? {
                Some(part) if part.plan.is_some() => {
                    return Err(PARSE.refuse("plan", "stands in the first message alone"));
                }
                Some(part) => piece = self::piece(part.chunk)?,
                None => {
                    let told = self.import.end(clock::now()).await?;
                    return tell(&outlet, told).await;
                }
            }
        }
    }
}

async fn tell(outlet: &Outlet<pb::ImportRecordsResponse>, told: Told) -> Result<(), Status> {
    for answer in answers(told) {
        outlet.put(answer).await?;
    }
    Ok(())
}

/// Writes what is told, in as many answers as it takes.
fn answers(told: Told) -> Vec<pb::ImportRecordsResponse> {
    let counts = told.counts;
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let progress = pb::ImportProgress {
        bytes: count(counts.bytes),
        rows: count(counts.rows),
        created: count(counts.created),
        updated: count(counts.updated),
        unchanged: count(counts.unchanged),
        refused: count(counts.refused),
    };
    let mut answers = vec![pb::ImportRecordsResponse {
        columns: told.columns,
        ..Default::default()
    }];
    let mut size = 0;
    for refused in told.refused.into_iter().map(refused_row) {
        size += refused.encoded_len();
        if size > TOLD {
            size = refused.encoded_len();
            answers.push(pb::ImportRecordsResponse::default());
        }
        if let Some(last) = answers.last_mut() {
            last.refused.push(refused);
        }
    }
    for answer in &mut answers {
        answer.progress = Some(progress);
    }
    if let Some(last) = answers.last_mut() {
        last.done = told.done;
    }
    answers
}

fn refused_row(refused: Refused) -> pb::RefusedRow {
    let problems = refused.problems.into_iter().map(|problem| pb::RowProblem {
        column: problem.column,
        reason: problem.reason,
    });
    pb::RefusedRow {
        line: i64::try_from(refused.line).unwrap_or(i64::MAX),
        problems: problems.collect(),
        cells: refused.cells,
    }
}

/// A file that is being written.
struct Writing {
    export: Export,
    #[expect(dead_code, reason = "held while the file is written")]
    transfer: Transfer,
}

impl Writing {
    /// Writes the file. Each page has let go of its connection to the database before the client is waited for.
    async fn run(mut self, outlet: Outlet<pb::ExportRecordsResponse>) -> Result<(), Status> {
        loop {
            outlet.goes_on()?;
            let Some(part) = self.export.next().await? else {
                return Ok(());
            };
            let rows = i64::try_from(part.rows).unwrap_or(i64::MAX);
            let mut bytes = Bytes::from(part.bytes);
            while bytes.len() > PART {
                let chunk = bytes.split_to(PART);
                let answer = pb::ExportRecordsResponse {
                    chunk,
                    rows,
                    done: false,
                };
                outlet.put(answer).await?;
            }
            let answer = pb::ExportRecordsResponse {
                chunk: bytes,
                rows,
                done: part.done,
            };
            outlet.put(answer).await?;
        }
    }
}
