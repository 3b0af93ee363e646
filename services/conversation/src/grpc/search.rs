//! The gRPC API of the search.

use chassis::auth::Caller;
use chassis::grpc::page_token;
use switchboard_proto::conversation::v1 as pb;
use switchboard_proto::conversation::v1::search_service_server::SearchService;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{PARSE, moment};
use crate::app::search::{Position, Searches, Wanted};
use crate::domain::search::query::Query;
use crate::domain::words::MessageKind;

/// Characters of what is searched for at most.
pub(super) const TEXT_MAX: usize = 200;

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
