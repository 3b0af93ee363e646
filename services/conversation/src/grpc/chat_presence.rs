//! The gRPC API of who is in a chat.

use chassis::auth::Caller;
use chassis::clock;
use chassis::lifecycle::Lifecycle;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use switchboard_proto::conversation::v1 as pb;
use switchboard_proto::conversation::v1::chat_presence_service_server::ChatPresenceService;
use tonic::{Request, Response, Status};

use super::PARSE;
use crate::app::chat_presence::ChatPresence;
use crate::domain::chat_presence::Activity;

/// Serves who is in a chat.
pub struct Api(pub ChatPresence, pub Lifecycle);

type Answers = BoxStream<'static, Result<pb::WatchChatPresenceResponse, Status>>;

#[tonic::async_trait]
impl ChatPresenceService for Api {
    async fn report_chat_presence(
        &self,
        request: Request<pb::ReportChatPresenceRequest>,
    ) -> Result<Response<pb::ReportChatPresenceResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let chat = PARSE.id("chat_id", &request.chat_id)?;
        let activity = match request.activity() {
            pb::chat_presence::Activity::Viewing => Some(Activity::Viewing),
            pb::chat_presence::Activity::Typing => Some(Activity::Typing),
            pb::chat_presence::Activity::Left => None,
            pb::chat_presence::Activity::Unspecified => {
                let rule = "must be viewing, typing or left";
                return Err(PARSE.refuse("activity", rule));
            }
        };
        let answer = self.0.report(&caller, chat, activity, clock::now()).await?;
        Ok(Response::new(answer))
    }

    type WatchChatPresenceStream = Answers;

    async fn watch_chat_presence(
        &self,
        request: Request<pb::WatchChatPresenceRequest>,
    ) -> Result<Response<Answers>, Status> {
        let caller = Caller::of(&request)?;
        let chat = PARSE.id("chat_id", &request.get_ref().chat_id)?;
        let mut told = self.0.watch(caller, chat, &self.1).await?;
        let told = futures::stream::poll_fn(move |context| told.poll_recv(context));
        Ok(Response::new(told.map(|told| Ok(told?)).boxed()))
    }
}
