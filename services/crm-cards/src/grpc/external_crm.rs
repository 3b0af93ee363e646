//! The gRPC API for a CRM outside.

use chassis::access::AccessCopy;
use chassis::auth::Caller;
use chassis::clock;
use chassis::grpc::{FieldViolation, invalid};
use chassis::stamp::{Stamp, StampAhead};
use switchboard_proto::common::v1::LinkedEntity;
use switchboard_proto::crm_cards::v1 as pb;
use switchboard_proto::crm_cards::v1::external_crm_service_server::ExternalCrmService;
use switchboard_proto::crm_cards::v1::responsible_outcome::Outcome as WireOutcome;
use time::OffsetDateTime;
use tonic::{Request, Response, Status};

use super::{Answer, PARSE};
use crate::app::App;
use crate::app::external_crm::{self as app, Act, Among, Settled};
use crate::domain::entity::EntityKind;
use crate::domain::external::{Held, Outcome};
use crate::error::SERVICE;
use crate::wire;

/// Entities of one request at most.
const ENTITIES_MAX: usize = 200;

/// Answers `ExternalCrmService`.
#[derive(Clone)]
pub struct ExternalCrm {
    app: App,
    access: AccessCopy,
}

impl ExternalCrm {
    /// Makes the handlers over the use cases and the copy of access records, which knows the account's agents.
    pub const fn new(app: App, access: AccessCopy) -> Self {
        Self { app, access }
    }
}

#[tonic::async_trait]
impl ExternalCrmService for ExternalCrm {
    async fn set_entity_responsibles(
        &self,
        request: Request<pb::SetEntityResponsiblesRequest>,
    ) -> Answer<pb::SetEntityResponsiblesResponse> {
        let caller = Caller::of(&request)?;
        let entities = request.into_inner().entities;
        let now = clock::now();
        let acts = acts(&entities, now)?;
        let settled = app::set(&self.app, &self.access, &caller, &acts, now).await?;
        Ok(Response::new(pb::SetEntityResponsiblesResponse {
            outcomes: settled.into_iter().map(written).collect(),
        }))
    }
}

fn acts(entities: &[LinkedEntity], now: OffsetDateTime) -> Result<Vec<Act>, Status> {
    if entities.is_empty() || entities.len() > ENTITIES_MAX {
        return Err(PARSE.refuse("entities", "must be 1 to 200"));
    }
    let acts = entities.iter().enumerate();
    let acts: Vec<Act> = acts
        .map(|(place, entity)| act(&format!("entities[{place}]"), entity))
        .collect::<Result<_, _>>()?;
    let ahead = acts.iter().enumerate().filter_map(|(place, act)| {
        let refused = act.held.stamp.not_ahead(now).err();
        refused.map(|StampAhead| {
            let rule = StampAhead.to_string();
            FieldViolation::new(format!("entities[{place}].stamp.time"), rule)
        })
    });
    let ahead: Vec<FieldViolation> = ahead.collect();
    if ahead.is_empty() {
        Ok(acts)
    } else {
        Err(invalid(SERVICE, &ahead))
    }
}

fn act(field: &str, entity: &LinkedEntity) -> Result<Act, Status> {
    let named = |part: &str| format!("{field}.{part}");
    let among = match wire::entity_kind(entity.kind()) {
        Some(EntityKind::Lead | EntityKind::Deal) => Among::Cards,
        Some(EntityKind::Contact | EntityKind::Customer) => Among::Contacts,
        Some(EntityKind::Company) => Among::Companies,
        None => {
            let rule = "must be lead, deal, contact, company or customer";
            return Err(PARSE.refuse(&named("kind"), rule));
        }
    };
    let stamp = entity.stamp.clone().unwrap_or_default();
    let stamp = Stamp {
        time: PARSE.time(&named("stamp.time"), stamp.time.as_ref())?,
        event: PARSE.id(&named("stamp.event_id"), &stamp.event_id)?,
    };
    if stamp.time <= Stamp::ZERO.time {
        return Err(PARSE.refuse(&named("stamp.time"), "must be after 1970-01-01"));
    }
    let agent = &entity.responsible_agent_id;
    Ok(Act {
        among,
        entity: PARSE.id(&named("entity_id"), &entity.entity_id)?,
        held: Held {
            agent: PARSE.id_opt(&named("responsible_agent_id"), agent)?,
            stamp,
        },
    })
}

fn written((outcome, entity): Settled) -> pb::ResponsibleOutcome {
    let outcome = match outcome {
        Outcome::Applied => WireOutcome::Applied,
        Outcome::Confirmed | Outcome::Unchanged => WireOutcome::Unchanged,
        Outcome::Overtaken => WireOutcome::Overtaken,
        Outcome::AgentUnknown => WireOutcome::AgentUnknown,
        Outcome::AgentInactive => WireOutcome::AgentInactive,
        Outcome::UnknownEntity => WireOutcome::UnknownEntity,
    };
    pb::ResponsibleOutcome {
        outcome: outcome.into(),
        entity,
    }
}
