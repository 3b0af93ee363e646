//! The gRPC API of notifications.

use chassis::auth::Caller;
use chassis::grpc::page_token;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use sqlx::PgPool;
use switchboard_proto::conversation::v1 as pb;
use switchboard_proto::conversation::v1::notification_service_server::NotificationService;
use tonic::{Request, Response, Status};

use super::{PARSE, moment};
use crate::app::notifications;
use crate::app::watch::Watch;
use crate::domain::ChatId;
use crate::error::Error;

/// Notifications that are named at once, at most.
const MARKED_MAX: usize = 200;

/// Serves notifications.
pub struct Api {
    /// The database.
    pub pool: PgPool,
    /// What tells of changes of chats.
    pub watch: Watch,
}

#[tonic::async_trait]
impl NotificationService for Api {
    async fn list_notifications(
        &self,
        request: Request<pb::ListNotificationsRequest>,
    ) -> Result<Response<pb::ListNotificationsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let size = PARSE.page_size(request.page_size)?;
        let after = PARSE.page_token::<(i128, uuid::Uuid)>(&request.page_token)?;
        let after = after.map(|(nanos, chat)| Ok::<_, Status>((moment(nanos)?, chat.into())));
        let after = after.transpose()?;
        let mut connection = self.pool.acquire().await.map_err(Error::from)?;
        let (page, unread) =
            notifications::list(&mut connection, &caller, request.unread_only, after, size).await?;
        let token = page
            .1
            .map(|(time, chat)| page_token(&(time.unix_timestamp_nanos(), chat)));
        Ok(Response::new(pb::ListNotificationsResponse {
            notifications: page.0,
            next_page_token: token.unwrap_or_default(),
            unread: Some(unread),
        }))
    }

    async fn mark_notifications(
        &self,
        request: Request<pb::MarkNotificationsRequest>,
    ) -> Result<Response<pb::MarkNotificationsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let chats: Vec<ChatId> = PARSE.ids("chat_ids", &request.chat_ids, MARKED_MAX)?;
        let chats = match (request.all, chats.is_empty()) {
            (true, true) => None,
            (false, false) => Some(chats),
            _ => return Err(PARSE.refuse("chat_ids", "or `all` must be given, and not both")),
        };
        let unread = notifications::mark(&self.pool, &caller, chats).await?;
        Ok(Response::new(pb::MarkNotificationsResponse {
            unread: Some(unread),
        }))
    }

    type WatchNotificationsStream =
        BoxStream<'static, Result<pb::WatchNotificationsResponse, Status>>;

    async fn watch_notifications(
        &self,
        request: Request<pb::WatchNotificationsRequest>,
    ) -> Result<Response<Self::WatchNotificationsStream>, Status> {
        let caller = Caller::of(&request)?;
        let mut told = notifications::watch(self.pool.clone(), &self.watch, caller).await?;
        let told = futures::stream::poll_fn(move |context| told.poll_recv(context));
        Ok(Response::new(told.map(|told| Ok(told?)).boxed()))
    }
}
