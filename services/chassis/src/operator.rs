//! `OperatorService`: how this service is, what is wrong with what it depends on, its dead letters: listed, inspected,
//! replayed; and what is stopped for a while.

mod diagnose;
mod pausing;
mod report;
mod status;
pub mod subject;

use std::sync::Arc;

use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{RawMessageErrorKind, Stream};
use bytes::Bytes;
use prost::Message as _;
use serde::{Deserialize, Serialize};
use switchboard_proto::operator::v1::operator_service_server::OperatorService;
use switchboard_proto::operator::v1::{
    DeadLetter, DiagnoseRequest, DiagnoseResponse, EndPauseRequest, EndPauseResponse,
    GetDeadLetterRequest, GetDeadLetterResponse, GetPauseRequest, GetPauseResponse,
    GetReportRequest, GetReportResponse, GetStatusRequest, GetStatusResponse,
    ListDeadLettersRequest, ListDeadLettersResponse, ListPausesRequest, ListPausesResponse,
    ReplayDeadLettersRequest, ReplayDeadLettersResponse, ReplayOutcome, SetPauseRequest,
    SetPauseResponse,
};
use tonic::{Code, Request, Response, Status};

use crate::auth::Caller;
use crate::clock;
use crate::consumer::HandlerRegistry;
use crate::deadletter;
use crate::grpc::{self, FieldViolation, Parse, timestamp};
use crate::health::Readiness;
use crate::nats::{Nats, Streams};
use crate::pauses::Pauses;

pub(crate) use diagnose::Tried;
pub use pausing::Pausable;
pub(crate) use report::Reported;
pub(crate) use status::Sources;
pub use subject::Subject;

/// Letters of one replay at most.
const REPLAYED: usize = 200;

/// Letters looked at for one page at most: with an account that has few, a page may be empty and not the last.
const SCANNED: usize = 1_000;

/// The operator's service of one process.
pub struct Operator {
    service: &'static str,
    sources: Sources,
    /// What is tried beside; none where there are only dead letters.
    tried: Option<Tried>,
    /// What is reported beside.
    reported: Reported,
}

/// What is said of a letter that is not there any more.
const GONE: &str = "there is no such dead letter of this service: replayed before, or expired";

/// Why a letter was not handled.
enum NotHandled {
    /// It is not there any more.
    Gone,
    /// It fails again, or cannot be read.
    Failed(String),
}

/// Where the next page begins.
#[derive(Serialize, Deserialize)]
struct Cursor {
    from: u64,
}

impl Operator {
    /// Makes the service for dead letters; `registry` holds the handlers that replay uses.
    pub fn new(
        service: &'static str,
        nats: Nats,
        streams: Streams,
        registry: Arc<HandlerRegistry>,
    ) -> Self {
        let sources = Sources {
            service,
            ready: Readiness::new(),
            nats,
            streams,
            registry,
            pool: None,
            replicas: None,
            subjects: Vec::new(),
            pauses: Pauses::default(),
        };
        Self {
            service,
            sources,
            tried: None,
            reported: Reported::default(),
        }
    }

    /// Makes the service of all that it tells of and tries.
    pub(crate) fn whole(sources: Sources, tried: Tried, reported: Reported) -> Self {
        Self {
            service: sources.service,
            sources,
            tried: Some(tried),
            reported,
        }
    }

    async fn stream(&self) -> Result<Stream<()>, Status> {
        let stream = self
            .sources
            .nats
            .jetstream
            .get_stream_no_info(self.sources.streams.dead_letters())
            .await;
        stream.map_err(|error| {
            tracing::warn!(%error, "dead letters cannot be read");
            grpc::unavailable(self.service, "nats")
        })
    }

    /// Returns this service's first letter at or after a sequence.
    async fn next(&self, stream: &Stream<()>, from: u64) -> Result<Option<DeadLetter>, Status> {
        let subject = self.sources.streams.dead_subject(self.service);
        let found = stream
            .raw_message_builder()
            .sequence(from.max(1))
            .next_by_subject(subject)
            .send()
            .await;
        match found {
            Ok(message) => Ok(Some(self.read(&message))),
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => {
                tracing::warn!(%error, "dead letters cannot be read");
                Err(grpc::unavailable(self.service, "nats"))
            }
        }
    }

    /// Returns the letter of a sequence, if it is this service's and still there.
    async fn find(&self, stream: &Stream<()>, sequence: u64) -> Result<Option<DeadLetter>, Status> {
        let found = self.next(stream, sequence).await?;
        Ok(found.filter(|letter| letter.sequence == sequence && sequence > 0))
    }

    fn read(&self, message: &StreamMessage) -> DeadLetter {
        let decoded = DeadLetter::decode(message.payload.clone());
        let letter = decoded.unwrap_or_else(|error| DeadLetter {
            service: self.service.to_owned(),
            error: format!("this dead letter itself cannot be decoded: {error}"),
            payload: message.payload.clone(),
            ..DeadLetter::default()
        });
        DeadLetter {
            sequence: message.sequence,
            ..letter
        }
    }

    /// Hands a letter to its handler, in this process, and removes it when it is handled.
    async fn replay(&self, stream: &Stream<()>, sequence: u64) -> Result<(), NotHandled> {
        let found = self.find(stream, sequence).await;
        let found = found.map_err(|status| NotHandled::Failed(status.message().to_owned()))?;
        let letter = found.ok_or(NotHandled::Gone)?;
        self.handle(stream, &letter)
            .await
            .map_err(NotHandled::Failed)
    }

    async fn handle(&self, stream: &Stream<()>, letter: &DeadLetter) -> Result<(), String> {
        let sequence = letter.sequence;
        let handler = self
            .sources
            .registry
            .get(&letter.consumer)
            .ok_or_else(|| format!("this service has no consumer {:?}", letter.consumer))?;
        let deliveries = deadletter::revive(letter)?;
        handler
            .handle(&deliveries, clock::now())
            .await
            .map_err(|error| error.to_string())?;
        // Should this fail, the letter stays and a second replay does nothing but remove it: handlers drop repeats.
        stream
            .delete_message(sequence)
            .await
            .map_err(|error| format!("handled, but not removed: {error}"))?;
        tracing::info!(
            sequence,
            consumer = letter.consumer,
            event = letter.event_id,
            "dead letter replayed"
        );
        Ok(())
    }
}

#[tonic::async_trait]
impl OperatorService for Operator {
    async fn get_status(
        &self,
        _request: Request<GetStatusRequest>,
    ) -> Result<Response<GetStatusResponse>, Status> {
        Ok(Response::new(self.sources.status(clock::now()).await))
    }

    async fn diagnose(
        &self,
        _request: Request<DiagnoseRequest>,
    ) -> Result<Response<DiagnoseResponse>, Status> {
        let findings = match &self.tried {
            Some(tried) => diagnose::diagnose(&self.sources, tried, clock::now()).await,
            None => Vec::new(),
        };
        Ok(Response::new(DiagnoseResponse {
            service: self.service.to_owned(),
            // Taken when all is done: whoever compares clocks knows when the answer came, not when the tries began.
            time: Some(timestamp(clock::now())),
            findings,
        }))
    }

    async fn list_dead_letters(
        &self,
        request: Request<ListDeadLettersRequest>,
    ) -> Result<Response<ListDeadLettersResponse>, Status> {
        let request = request.into_inner();
        let parse = Parse::new(self.service);
        let size = parse.page_size(request.page_size)? as usize;
        let cursor: Option<Cursor> = parse.page_token(&request.page_token)?;
        let mut from = cursor.map_or(1, |cursor| cursor.from);
        let stream = self.stream().await?;
        let mut dead_letters = Vec::new();
        let mut next_page_token = String::new();
        for scanned in 0.. {
            if dead_letters.len() == size || scanned == SCANNED {
                next_page_token = grpc::page_token(&Cursor { from });
                break;
            }
            let Some(letter) = self.next(&stream, from).await? else {
                break;
            };
            from = letter.sequence + 1;
            if request.account.is_empty() || request.account == letter.account {
                dead_letters.push(DeadLetter {
                    payload: Bytes::new(),
                    ..letter
                });
            }
        }
        Ok(Response::new(ListDeadLettersResponse {
            dead_letters,
            next_page_token,
        }))
    }

    async fn get_dead_letter(
        &self,
        request: Request<GetDeadLetterRequest>,
    ) -> Result<Response<GetDeadLetterResponse>, Status> {
        let sequence = request.into_inner().sequence;
        let found = self.find(&self.stream().await?, sequence).await?;
        let dead_letter = found.ok_or_else(|| {
            grpc::refusal(
                self.service,
                Code::NotFound,
                "DEAD_LETTER_NOT_FOUND",
                "there is no such dead letter of this service",
                &[("sequence", &sequence.to_string())],
            )
        })?;
        Ok(Response::new(GetDeadLetterResponse {
            dead_letter: Some(dead_letter),
        }))
    }

    async fn replay_dead_letters(
        &self,
        request: Request<ReplayDeadLettersRequest>,
    ) -> Result<Response<ReplayDeadLettersResponse>, Status> {
        let sequences = request.into_inner().sequences;
        if sequences.is_empty() || sequences.len() > REPLAYED {
            let violation = FieldViolation::new("sequences", format!("1 to {REPLAYED} are needed"));
            return Err(grpc::invalid(self.service, &[violation]));
        }
        let stream = self.stream().await?;
        let mut outcomes = Vec::with_capacity(sequences.len());
        // One after the other: an operator replays what failed, and wants to know which fails again.
        for sequence in sequences {
            let outcome = match self.replay(&stream, sequence).await {
                Ok(()) => (true, String::new(), false),
                Err(NotHandled::Gone) => (false, GONE.to_owned(), true),
                Err(NotHandled::Failed(error)) => (false, error, false),
            };
            let (handled, error, gone) = outcome;
            outcomes.push(ReplayOutcome {
                sequence,
                handled,
                error,
                gone,
            });
        }
        Ok(Response::new(ReplayDeadLettersResponse { outcomes }))
    }

    async fn get_report(
        &self,
        _request: Request<GetReportRequest>,
    ) -> Result<Response<GetReportResponse>, Status> {
        let report = report::report(&self.sources, &self.reported, clock::now());
        Ok(Response::new(report.await))
    }

    async fn set_pause(
        &self,
        request: Request<SetPauseRequest>,
    ) -> Result<Response<SetPauseResponse>, Status> {
        let actor = Caller::of(&request)?.actor();
        let set = self
            .sources
            .set_pause(request.into_inner(), actor, clock::now());
        Ok(Response::new(set.await?))
    }

    async fn end_pause(
        &self,
        request: Request<EndPauseRequest>,
    ) -> Result<Response<EndPauseResponse>, Status> {
        let actor = Caller::of(&request)?.actor();
        let ended = self
            .sources
            .end_pause(request.into_inner(), actor, clock::now());
        Ok(Response::new(ended.await?))
    }

    async fn get_pause(
        &self,
        request: Request<GetPauseRequest>,
    ) -> Result<Response<GetPauseResponse>, Status> {
        let found = self.sources.get_pause(request.into_inner(), clock::now());
        Ok(Response::new(found.await?))
    }

    async fn list_pauses(
        &self,
        request: Request<ListPausesRequest>,
    ) -> Result<Response<ListPausesResponse>, Status> {
        let listed = self.sources.list_pauses(request.into_inner(), clock::now());
        Ok(Response::new(listed.await?))
    }
}
