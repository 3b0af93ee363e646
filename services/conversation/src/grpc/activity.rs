//! `ActivityService`: parse, call, answer.

use chassis::actor::Actor;
use chassis::auth::Caller;
use chassis::grpc::page_token;
use sqlx::PgPool;
use switchboard_proto::conversation::v1 as pb;
use switchboard_proto::conversation::v1::activity_service_server::ActivityService;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{PARSE, moment};
use crate::app;
use crate::domain::activity;
use crate::domain::words::EntityKind;
use crate::error::Error;
use crate::store::activity::{END, Filter};

/// Kinds of actors by which the log is listed, as actors begin.
const ACTOR_KINDS: [&str; 6] = ["agent", "client", "rule", "sync", "service", "bot"];

/// Types that a request names at most.
const TYPES_MAX: usize = 100;

/// Characters of an actor or a kind at most.
const TEXT_MAX: usize = 200;

/// The service's methods.
pub struct Activities {
    pool: PgPool,
}

impl Activities {
    /// Makes the methods over a database.
    pub fn new(pool: PgPool) -> Self {
        Self { pool }
    }
}

#[tonic::async_trait]
impl ActivityService for Activities {
    async fn list_activity(
        &self,
        request: Request<pb::ListActivityRequest>,
    ) -> Result<Response<pb::ListActivityResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let size = PARSE.page_size(request.page_size)?;
        let after = PARSE.page_token::<(i128, Uuid)>(&request.page_token)?;
        let after = after.map(|(nanos, event)| Ok::<_, Status>((moment(nanos)?, event)));
        let mut after = after.transpose()?.unwrap_or(END);
        if let Some(until) = PARSE.time_opt("until_time", request.until_time.as_ref())? {
            after = after.min((until, Uuid::nil()));
        }
        let filter = filter(&request)?;
        let mut connection = self.pool.acquire().await.map_err(Error::from)?;
        let (entries, next) =
            app::activity::list(&mut connection, &caller, &filter, after, size).await?;
        let token = next.map(|(time, event)| page_token(&(time.unix_timestamp_nanos(), event)));
        Ok(Response::new(pb::ListActivityResponse {
            entries,
            next_page_token: token.unwrap_or_default(),
        }))
    }
}

fn filter(request: &pb::ListActivityRequest) -> Result<Filter, Status> {
    let (actor, actor_kind) = actor(&request.actor)?;
    Ok(Filter {
        types: types(&request.types)?,
        actor,
        actor_kind,
        chat: PARSE.id_opt("chat_id", &request.chat_id)?,
        entity_kind: entity_kind(&request.entity_kind)?,
        entity: PARSE.id_opt("entity_id", &request.entity_id)?,
        since: PARSE.time_opt("since_time", request.since_time.as_ref())?,
        key_actions: request.include_key_actions,
    })
}

/// Reads types, each once.
fn types(named: &[String]) -> Result<Vec<String>, Status> {
    if named.len() > TYPES_MAX {
        return Err(PARSE.refuse("types", "must have at most 100 entries"));
    }
    let mut types = named.to_vec();
    types.sort();
    types.dedup();
    if types.iter().all(|name| activity::kind(name).is_some()) {
        return Ok(types);
    }
    let kept: Vec<String> = activity::KINDS.iter().map(activity::Kind::name).collect();
    let rule = format!("must name only what is kept: {}", kept.join(", "));
    Err(PARSE.refuse("types", &rule))
}

/// Reads by whom: one actor, or a kind of them.
fn actor(text: &str) -> Result<(Option<String>, Option<String>), Status> {
    let Some(text) = PARSE.text_opt("actor", text, TEXT_MAX)? else {
        return Ok((None, None));
    };
    if ACTOR_KINDS.contains(&text) {
        return Ok((None, Some(text.to_owned())));
    }
    let actor: Actor = text.parse().map_err(|_| {
        let kinds = ACTOR_KINDS.join(", ");
        let rule = format!("must be one of {kinds}, or an actor as agent:<uuid>");
        PARSE.refuse("actor", &rule)
    })?;
    Ok((Some(actor.to_string()), None))
}

fn entity_kind(text: &str) -> Result<Option<EntityKind>, Status> {
    let Some(text) = PARSE.text_opt("entity_kind", text, TEXT_MAX)? else {
        return Ok(None);
    };
    let kind = EntityKind::try_from(text);
    kind.map(Some).map_err(|_| {
        let rule = "must be card, contact, company, order or channel";
        PARSE.refuse("entity_kind", rule)
    })
}
