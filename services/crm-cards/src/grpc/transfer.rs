//! The gRPC API of files: what comes is read as fast as it can be written, and not faster.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use chassis::auth::Caller;
use chassis::{clock, grpc};
use futures::stream::{self, BoxStream, StreamExt as _};
use prost::Message as _;
use switchboard_proto::crm_cards::v1 as pb;
use switchboard_proto::crm_cards::v1::transfer_service_server::TransferService;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status, Streaming};

use super::{Answer, Handlers, PARSE};
use crate::app::export::{self, Export};
use crate::app::import::{Import, Plan, Refused, Told};
use crate::app::transfers::Transfer;
use crate::domain::columns::RecordKind;
use crate::error::SERVICE;
use crate::wire;

/// Bytes of a piece of a file at most.
const CHUNK_MAX: usize = 256 * 1024;
/// Bytes of one part of an exported file, about.
const PART: usize = 256 * 1024;
/// Bytes of refused rows in one answer, about.
const TOLD: usize = 1024 * 1024;
/// A call that says nothing for so long is over.
const SILENCE: Duration = Duration::from_mins(1);
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
            piece: piece(first.chunk)?,
            answers: VecDeque::new(),
            until: clock::now() + LASTS,
            stop: self.stop.clone(),
            ended: false,
        };
        Ok(Response::new(
            stream::try_unfold(reading, Reading::next).boxed(),
        ))
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
            parts: VecDeque::new(),
            until: clock::now() + LASTS,
            stop: self.stop.clone(),
        };
        Ok(Response::new(
            stream::try_unfold(writing, Writing::next).boxed(),
        ))
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

/// Refuses to go on where the time of a call is over, or that of this replica.
fn goes_on(until: OffsetDateTime, stop: &CancellationToken) -> Result<(), Status> {
    if stop.is_cancelled() {
        return Err(grpc::unavailable(SERVICE, "this replica, which stops"));
    }
    if clock::now() > until {
        return Err(over(
            "the call has lasted for half an hour: go on with another",
        ));
    }
    Ok(())
}

fn over(message: &str) -> Status {
    grpc::refusal(
        SERVICE,
        Code::DeadlineExceeded,
        "TRANSFER_OVER",
        message,
        &[],
    )
}

/// A file that is being read. Nothing is done but what the answers are taken for.
struct Reading {
    import: Import,
    parts: Streaming<pb::ImportRecordsRequest>,
    piece: Bytes,
    answers: VecDeque<pb::ImportRecordsResponse>,
    until: OffsetDateTime,
    stop: CancellationToken,
    ended: bool,
    #[expect(dead_code, reason = "held while the file is read")]
    transfer: Transfer,
}

impl Reading {
    async fn next(mut self) -> Result<Option<(pb::ImportRecordsResponse, Self)>, Status> {
        loop {
            if let Some(answer) = self.answers.pop_front() {
                return Ok(Some((answer, self)));
            }
            if self.ended {
                return Ok(None);
            }
            goes_on(self.until, &self.stop)?;
            let mut rest = self.piece.as_ref();
            let told = self.import.read(&mut rest, clock::now()).await?;
            let read = self.piece.len().saturating_sub(rest.len());
            self.piece.advance(read);
            if let Some(told) = told {
                self.answers.extend(answers(told));
                continue;
            }
            match self.part().await? {
                Some(part) if part.plan.is_some() => {
                    return Err(PARSE.refuse("plan", "stands in the first message alone"));
                }
                Some(part) => self.piece = piece(part.chunk)?,
                None => {
                    let told = self.import.end(clock::now()).await?;
                    self.answers.extend(answers(told));
                    self.ended = true;
                }
            }
        }
    }

    async fn part(&mut self) -> Result<Option<pb::ImportRecordsRequest>, Status> {
        let part = tokio::time::timeout(SILENCE, self.parts.message());
        match self.stop.run_until_cancelled(part).await {
            None => Err(grpc::unavailable(SERVICE, "this replica, which stops")),
            Some(Err(_)) => Err(over("nothing has come for a minute")),
            Some(Ok(part)) => part,
        }
    }
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
    parts: VecDeque<pb::ExportRecordsResponse>,
    until: OffsetDateTime,
    stop: CancellationToken,
    #[expect(dead_code, reason = "held while the file is written")]
    transfer: Transfer,
}

impl Writing {
    async fn next(mut self) -> Result<Option<(pb::ExportRecordsResponse, Self)>, Status> {
        loop {
            if let Some(part) = self.parts.pop_front() {
                return Ok(Some((part, self)));
            }
            goes_on(self.until, &self.stop)?;
            let Some(part) = self.export.next().await? else {
                return Ok(None);
            };
            let rows = i64::try_from(part.rows).unwrap_or(i64::MAX);
            let mut bytes = Bytes::from(part.bytes);
            while bytes.len() > PART {
                let chunk = bytes.split_to(PART);
                self.parts.push_back(pb::ExportRecordsResponse {
                    chunk,
                    rows,
                    done: false,
                });
            }
            self.parts.push_back(pb::ExportRecordsResponse {
                chunk: bytes,
                rows,
                done: part.done,
            });
        }
    }
}
