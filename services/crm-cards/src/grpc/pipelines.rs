//! The gRPC API of pipelines and sources.

use chassis::auth::Caller;
use chassis::clock;
use switchboard_proto::crm_cards::v1 as pb;
use switchboard_proto::crm_cards::v1::pipeline_service_server::PipelineService;
use tonic::{Request, Response, Status};

use super::parse::{self, STATUSES_MAX};
use super::{Answer, Handlers, PARSE};
use crate::app::move_cards::MOVED_AT_ONCE;
use crate::app::{self, pipelines::Change};
use crate::domain::reshape::Wanted;
use crate::wire;

/// Cards that one call moves where it does not say.
const MOVED_BY_DEFAULT: i64 = 500;

#[tonic::async_trait]
impl PipelineService for Handlers {
    async fn get_pipeline(
        &self,
        request: Request<pb::GetPipelineRequest>,
    ) -> Answer<pb::GetPipelineResponse> {
        let caller = Caller::of(&request)?;
        let id = PARSE.id("pipeline_id", &request.get_ref().pipeline_id)?;
        let pipeline = app::pipelines::get(&self.app, &caller, id).await?;
        Ok(Response::new(pb::GetPipelineResponse {
            pipeline: Some(wire::pipeline(&pipeline)),
        }))
    }

    async fn update_pipeline(
        &self,
        request: Request<pb::UpdatePipelineRequest>,
    ) -> Answer<pb::UpdatePipelineResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let id = PARSE.id("pipeline_id", &request.pipeline_id)?;
        let change = Change {
            name: name(request.name.as_deref())?,
            statuses: request.statuses.as_ref().map(statuses).transpose()?,
            cards_to: parse::cards_to(&request.cards_to)?,
            expected: request.expected_revision,
        };
        let (pipeline, moved) =
            app::pipelines::update(&self.app, &caller, id, change, clock::now()).await?;
        Ok(Response::new(pb::UpdatePipelineResponse {
            pipeline: Some(wire::pipeline(&pipeline)),
            cards_moved: i32::try_from(moved).unwrap_or(i32::MAX),
        }))
    }

    async fn delete_pipeline(
        &self,
        request: Request<pb::DeletePipelineRequest>,
    ) -> Answer<pb::DeletePipelineResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let id = PARSE.id("pipeline_id", &request.pipeline_id)?;
        let cards_to = parse::cards_to(&request.cards_to)?;
        let wanted = (cards_to.as_slice(), request.expected_revision);
        let moved = app::pipelines::delete(&self.app, &caller, id, wanted, clock::now()).await?;
        Ok(Response::new(pb::DeletePipelineResponse {
            cards_moved: i32::try_from(moved).unwrap_or(i32::MAX),
        }))
    }

    async fn move_cards(
        &self,
        request: Request<pb::MoveCardsRequest>,
    ) -> Answer<pb::MoveCardsResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let from = PARSE.id("from_status_id", &request.from_status_id)?;
        let to = PARSE.id("to_status_id", &request.to_status_id)?;
        let limit = match i64::from(request.limit) {
            0 => MOVED_BY_DEFAULT,
            limit if (1..=MOVED_AT_ONCE).contains(&limit) => limit,
            _ => return Err(PARSE.refuse("limit", "must be 1 to 2000")),
        };
        let answer =
            app::move_cards::some(&self.app, &caller, (from, to), limit, clock::now()).await?;
        Ok(Response::new(answer))
    }

    async fn update_source(
        &self,
        request: Request<pb::UpdateSourceRequest>,
    ) -> Answer<pb::UpdateSourceResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let id = PARSE.id("source_id", &request.source_id)?;
        let name = PARSE.text("name", &request.name, 100)?.to_owned();
        let wanted = (name, request.expected_revision);
        let source = app::sources::rename(&self.app, &caller, id, wanted, clock::now()).await?;
        Ok(Response::new(pb::UpdateSourceResponse {
            source: Some(wire::source(&source)),
        }))
    }

    async fn delete_source(
        &self,
        request: Request<pb::DeleteSourceRequest>,
    ) -> Answer<pb::DeleteSourceResponse> {
        let caller = Caller::of(&request)?;
        let id = PARSE.id("source_id", &request.get_ref().source_id)?;
        app::sources::delete(&self.app, &caller, id, clock::now()).await?;
        Ok(Response::new(pb::DeleteSourceResponse {}))
    }
}

fn name(name: Option<&str>) -> Result<Option<String>, Status> {
    let name = name.map(|name| PARSE.text("name", name, 100)).transpose()?;
    Ok(name.map(str::to_owned))
}

fn statuses(wanted: &pb::WantedStatuses) -> Result<Vec<Wanted>, Status> {
    if wanted.statuses.len() > STATUSES_MAX {
        return Err(PARSE.refuse("statuses.statuses", "must have at most 100 entries"));
    }
    let statuses = wanted.statuses.iter().enumerate().map(|(place, status)| {
        let field = |name: &str| format!("statuses.statuses[{place}].{name}");
        let kind = match status.kind {
            0 => None,
            kind => Some(parse::kind(&field("kind"), kind)?),
        };
        Ok(Wanted {
            id: PARSE.id_opt(&field("status_id"), &status.status_id)?,
            name: PARSE.text(&field("name"), &status.name, 100)?.to_owned(),
            kind,
        })
    });
    statuses.collect()
}
