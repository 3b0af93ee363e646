//! The gRPC API of the chats of entities, and the External Lines field of lists.

use std::collections::HashMap;
use std::sync::Arc;

use chassis::auth::Caller;
use switchboard_proto::conversation::v1::FindChatsRequest;
use switchboard_proto::crm_cards::v1 as pb;
use switchboard_proto::crm_cards::v1::entity_chat_service_server::EntityChatService;
use switchboard_proto::crm_cards::v1::list_entity_chats_request::Entity;
use tonic::{Code, Request, Response, Status};
use uuid::Uuid;

use super::{Answer, PARSE};
use crate::app::App;
use crate::app::entity_chats::{self, About, Chats};
use crate::domain::external_line::ExternalLine;
use crate::domain::ids::ContactId;

/// Answers `switchboard.crm_cards.v1.EntityChatService`.
#[derive(Clone)]
pub struct EntityChats {
    app: App,
    chats: Arc<dyn Chats>,
}

impl EntityChats {
    /// Makes the handlers over the use cases; `chats` is conversation.
    pub fn new(app: App, chats: Arc<dyn Chats>) -> Self {
        Self { app, chats }
    }
}

#[tonic::async_trait]
impl EntityChatService for EntityChats {
    async fn list_entity_chats(
        &self,
        request: Request<pb::ListEntityChatsRequest>,
    ) -> Answer<pb::ListEntityChatsResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let size = PARSE.page_size(request.page_size)?;
        let about = match &request.entity {
            Some(Entity::CardId(id)) => About::Card(PARSE.id("card_id", id)?),
            Some(Entity::ContactId(id)) => About::Contact(PARSE.id("contact_id", id)?),
            Some(Entity::CompanyId(id)) => About::Company(PARSE.id("company_id", id)?),
            Some(Entity::OrderId(id)) => About::Order(PARSE.id("order_id", id)?),
            None => return Err(PARSE.refuse("entity", "is required")),
        };
        let messenger = PARSE.text_opt("messenger", &request.messenger, 40)?;
        let ids = entity_chats::list(&self.app, &caller, about, messenger).await?;
        if ids.is_empty() {
            return Ok(Response::new(pb::ListEntityChatsResponse::default()));
        }
        let wanted = FindChatsRequest {
            chat_ids: ids.iter().map(ToString::to_string).collect(),
            page_size: i32::try_from(size).unwrap_or(i32::MAX),
            page_token: request.page_token,
        };
        let found = self.chats.find(&caller, wanted).await.map_err(passed_on)?;
        Ok(Response::new(pb::ListEntityChatsResponse {
            chats: found.chats,
            next_page_token: found.next_page_token,
        }))
    }
}

/// What conversation refuses of the request is the caller's to mend; all else is that it does not answer.
fn passed_on(status: Status) -> Status {
    match status.code() {
        Code::InvalidArgument | Code::PermissionDenied | Code::ResourceExhausted => status,
        code => {
            tracing::warn!(
                ?code,
                error = status.message(),
                "conversation was not asked for chats"
            );
            Status::unavailable("the service of conversations does not answer: try again")
        }
    }
}

/// Writes the External Lines field of a contact (or company), by its id.
pub(super) fn external_lines(
    lines: &HashMap<Uuid, Vec<ExternalLine>>,
    id: impl Into<Uuid>,
) -> Vec<pb::ExternalLine> {
    let lines = lines.get(&id.into()).into_iter().flatten();
    let lines = lines.map(|line| pb::ExternalLine {
        messenger: line.messenger.clone(),
        account: line.account.clone(),
        name: line.name.clone(),
        chat_ids: line.chats.iter().map(ToString::to_string).collect(),
    });
    lines.collect()
}

/// Writes the External Lines field of a card: that of its contact.
pub(super) fn lines_of_card(
    lines: &HashMap<Uuid, Vec<ExternalLine>>,
    contact: Option<ContactId>,
) -> Vec<pb::ExternalLine> {
    contact.map_or_else(Vec::new, |contact| external_lines(lines, contact))
}
