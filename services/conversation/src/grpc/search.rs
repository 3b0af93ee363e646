//! The gRPC API of the search.

use chassis::auth::Caller;
use chassis::grpc::page_token;
use switchboard_proto::conversation::v1 as pb;
use switchboard_proto::conversation::v1::search_service_server::SearchService;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{PARSE, moment};
use crate::app::search::{Held, Position, Searches, Wanted, held};
use crate::domain::search::query::Query;
use crate::domain::words::MessageKind;

/// Characters of what is searched for at most.
pub(super) const TEXT_MAX: usize = 200;

/// Characters of a provider's key at most.
const KEY_MAX: usize = 1_000;

/// Channels, or messages, that one request names at most.
const NAMED_MAX: usize = 200;

/// Serves the search.
pub struct Api(pub Searches);

/// Where a page begins, as its token tells it: when the search began; behind which message, by how well it answers, its time and id.
type Token = (i128, i64, i128, Uuid);

#[tonic::async_trait]
impl SearchService for Api {
    async fn search_messages(
        &self,
        request: Request<pb::SearchMessagesRequest>,
    ) -> Result<Response<pb::SearchMessagesResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let size = PARSE.page_size(request.page_size)?;
        let position = match PARSE.page_token::<Token>(&request.page_token)? {
            None => (chassis::clock::now(), None),
            Some((began, score, time, id)) => (moment(began)?, Some((score, moment(time)?, id))),
        };
        let wanted = wanted(&request)?;
        let page = self.0.messages(&caller, &wanted, position, size).await?;
        Ok(Response::new(pb::SearchMessagesResponse {
            hits: page.hits,
            next_page_token: page.next.and_then(token).unwrap_or_default(),
            cut: page.cut,
        }))
    }

    async fn find_messages(
        &self,
        request: Request<pb::FindMessagesRequest>,
    ) -> Result<Response<pb::FindMessagesResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let messages = held(self.0.pool(), &caller, of_request(&request)?).await?;
        Ok(Response::new(pb::FindMessagesResponse { messages }))
    }
}

/// What a request for certain messages holds: a key with channels, or ids.
fn of_request(request: &pb::FindMessagesRequest) -> Result<Held, Status> {
    let bounded = |field: &str, named: usize| {
        let rule = format!("must be 1 to {NAMED_MAX}");
        (1..=NAMED_MAX)
            .contains(&named)
            .then_some(())
            .ok_or_else(|| PARSE.refuse(field, &rule))
    };
    let Some(key) = PARSE.text_opt("provider_key", &request.provider_key, KEY_MAX)? else {
        bounded("message_ids", request.message_ids.len())?;
        let ids = request.message_ids.iter();
        let ids = ids.map(|id| PARSE.id("message_ids", id));
        return Ok(Held::Ids(ids.collect::<Result<_, _>>()?));
    };
    if !request.message_ids.is_empty() {
        return Err(PARSE.refuse("message_ids", "must not stand beside provider_key"));
    }
    bounded("channel_ids", request.channel_ids.len())?;
    let channels = request.channel_ids.iter();
    let channels = channels.map(|id| PARSE.id("channel_ids", id));
    Ok(Held::Key(
        key.to_owned(),
        channels.collect::<Result<_, _>>()?,
    ))
}

fn token((began, after): Position) -> Option<String> {
    let (score, time, id) = after?;
    let (began, time) = (began.unix_timestamp_nanos(), time.unix_timestamp_nanos());
    Some(page_token(&(began, score, time, id)))
}

fn wanted(request: &pb::SearchMessagesRequest) -> Result<Wanted, Status> {
    let text = PARSE.text("text", &request.text, TEXT_MAX)?;
    let query = Query::parse(text).ok_or_else(|| {
        let rule = "must have a word that is searched for, on both sides of each `or`";
        PARSE.refuse("text", rule)
    })?;
    let kinds = request.kinds().map(|kind| match kind {
        pb::message::Kind::Client => Ok(MessageKind::Client),
        pb::message::Kind::Agent => Ok(MessageKind::Agent),
        pb::message::Kind::Bot => Ok(MessageKind::Bot),
        pb::message::Kind::Note => Ok(MessageKind::Note),
        pb::message::Kind::System | pb::message::Kind::Unspecified => {
            Err(PARSE.refuse("kinds", "must be of clients, agents, bots or notes"))
        }
    });
    let kinds = kinds.map(|kind| Ok::<_, Status>(kind?.as_str().to_owned()));
    let kinds: Vec<String> = kinds.collect::<Result<_, _>>()?;
    Ok(Wanted {
        query,
        chat: PARSE.id_opt("chat_id", &request.chat_id)?,
        channel: PARSE.id_opt("channel_id", &request.channel_id)?,
        kinds: Some(kinds).filter(|kinds| !kinds.is_empty()),
        since: PARSE.time_opt("since_time", request.since_time.as_ref())?,
        until: PARSE.time_opt("until_time", request.until_time.as_ref())?,
    })
}
