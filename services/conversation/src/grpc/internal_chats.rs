//! The gRPC API of internal chats.

use chassis::auth::Caller;
use chassis::clock;
use chassis::grpc::page_of;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use switchboard_proto::conversation::v1 as pb;
use switchboard_proto::conversation::v1::internal_chat_service_server::InternalChatService;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{PARSE, hash, text};
use crate::app::act::Repeat;
use crate::app::internal_chat::{InternalChats, Wanted};
use crate::app::internal_watch::InternalWatch;
use crate::domain::internal_chat::Entity;
use crate::store::internal_chat::Marked;
use crate::wire;

/// Agents that a message names at most.
const AGENTS_MAX: usize = 50;

/// Groups that a message names at most.
const GROUPS_MAX: usize = 20;

/// Notifications that are named at once, at most.
const MARKED_MAX: usize = 200;

/// Serves internal chats.
pub struct Api {
    /// The use cases.
    pub chats: InternalChats,
    /// What tells of notifications.
    pub watch: InternalWatch,
}

fn entity(reference: Option<pb::EntityReference>) -> Result<Entity, Status> {
    let reference = reference.unwrap_or_default();
    let kind = wire::entity_kind(reference.kind);
    let refuse = || {
        PARSE.refuse(
            "entity.kind",
            "must be a card, a contact, a company or an order",
        )
    };
    Ok(Entity {
        kind: kind.ok_or_else(refuse)?,
        id: PARSE.id("entity.entity_id", &reference.entity_id)?,
    })
}

/// Reads where a page begins: before this message.
fn before(token: &str) -> Result<Uuid, Status> {
    Ok(PARSE.page_token(token)?.unwrap_or(Uuid::max()))
}

#[tonic::async_trait]
impl InternalChatService for Api {
    async fn post_internal_message(
        &self,
        request: Request<pb::PostInternalMessageRequest>,
    ) -> Result<Response<pb::PostInternalMessageResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let wanted = Wanted {
            repeat: Repeat {
                request_id: PARSE.request_id(&request.request_id)?.map(str::to_owned),
                hash: hash(&caller, &request),
            },
            entity: entity(request.entity)?,
            text: text(request.text)?,
            agents: PARSE.ids("agent_ids", &request.agent_ids, AGENTS_MAX)?,
            groups: PARSE.ids("group_ids", &request.group_ids, GROUPS_MAX)?,
        };
        if wanted.agents.is_empty() && wanted.groups.is_empty() {
            return Err(PARSE.refuse("agent_ids", "or group_ids must name somebody"));
        }
        let answer = self.chats.post(&caller, wanted, clock::now()).await?;
        Ok(Response::new(answer))
    }

    async fn list_internal_messages(
        &self,
        request: Request<pb::ListInternalMessagesRequest>,
    ) -> Result<Response<pb::ListInternalMessagesResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let size = PARSE.page_size(request.page_size)?;
        let before = before(&request.page_token)?;
        let entity = entity(request.entity)?;
        let rows = self.chats.list(&caller, entity, before, size).await?;
        let (messages, next_page_token) =
            page_of(&rows, size, wire::internal_message, |row| row.id.uuid());
        Ok(Response::new(pb::ListInternalMessagesResponse {
            messages,
            next_page_token,
        }))
    }

    async fn list_internal_notifications(
        &self,
        request: Request<pb::ListInternalNotificationsRequest>,
    ) -> Result<Response<pb::ListInternalNotificationsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let size = PARSE.page_size(request.page_size)?;
        let before = before(&request.page_token)?;
        let unread_only = request.unread_only;
        let listed = self.chats.notifications(&caller, unread_only, before, size);
        let (rows, unread) = listed.await?;
        let (notifications, next_page_token) =
            page_of(&rows, size, wire::internal_notification, |row| {
                row.message.id.uuid()
            });
        Ok(Response::new(pb::ListInternalNotificationsResponse {
            notifications,
            next_page_token,
            unread: Some(unread),
        }))
    }

    async fn mark_internal_notifications(
        &self,
        request: Request<pb::MarkInternalNotificationsRequest>,
    ) -> Result<Response<pb::MarkInternalNotificationsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let field = "internal_message_ids";
        let messages: Vec<Uuid> = PARSE.ids(field, &request.internal_message_ids, MARKED_MAX)?;
        let marked = match (messages.is_empty(), request.entity, request.all) {
            (false, None, false) => Marked::Messages(messages),
            (true, Some(reference), false) => {
                let entity = entity(Some(reference))?;
                Marked::Of(entity.kind, vec![entity.id])
            }
            (true, None, true) => Marked::All,
            _ => {
                return Err(
                    PARSE.refuse(field, "or `entity` or `all` must be given, and one alone")
                );
            }
        };
        let unread = self.chats.mark(&caller, marked).await?;
        Ok(Response::new(pb::MarkInternalNotificationsResponse {
            unread: Some(unread),
        }))
    }

    type WatchInternalNotificationsStream =
        BoxStream<'static, Result<pb::WatchInternalNotificationsResponse, Status>>;

    async fn watch_internal_notifications(
        &self,
        request: Request<pb::WatchInternalNotificationsRequest>,
    ) -> Result<Response<Self::WatchInternalNotificationsStream>, Status> {
        let caller = Caller::of(&request)?;
        let mut told = self.watch.watch(caller)?;
        let told = futures::stream::poll_fn(move |context| told.poll_recv(context));
        Ok(Response::new(told.map(|told| Ok(told?)).boxed()))
    }
}
