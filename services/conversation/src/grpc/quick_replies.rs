//! The gRPC API of quick replies.

use chassis::auth::Caller;
use chassis::clock;
use chassis::grpc::page_of;
use serde::{Deserialize, Serialize};
use switchboard_proto::common::v1::Text;
use switchboard_proto::conversation::v1 as pb;
use switchboard_proto::conversation::v1::quick_reply_service_server::QuickReplyService;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{PARSE, files, hash, text};
use crate::app::quick_replies::{Asked, Change, QuickReplies, Wanted};
use crate::domain::quick_reply::{Owner, OwnerKind, shortcut};
use crate::wire;

/// Characters of a title at most.
const TITLE_MAX: usize = 100;

/// Characters of a folder's name at most.
const FOLDER_MAX: usize = 60;

/// Characters of a question at most.
const SEARCH_MAX: usize = 200;

/// Serves quick replies.
pub struct Api(pub QuickReplies);

/// Where a page of quick replies ended.
#[derive(Serialize, Deserialize)]
struct After {
    later: bool,
    title: String,
    id: Uuid,
}

/// Where a page of folders ended.
#[derive(Serialize, Deserialize)]
struct AfterFolder {
    name: String,
}

/// Refuses a page token whose text Postgres cannot take: we have made none such.
fn storable(text: &str) -> Result<(), Status> {
    if text.contains('\0') {
        return Err(PARSE.refuse("page_token", "is not one that this method returned"));
    }
    Ok(())
}

fn folder(name: &str) -> Result<String, Status> {
    let name = PARSE.text_opt("folder", name, FOLDER_MAX)?;
    Ok(name.unwrap_or_default().to_owned())
}

fn typed(word: &str) -> Result<String, Status> {
    shortcut(word).map_err(|rule| PARSE.refuse("shortcut", rule))
}

fn title(title: &str) -> Result<String, Status> {
    Ok(PARSE.text("title", title, TITLE_MAX)?.to_owned())
}

/// Takes a text of a message, or none at all: whether it may be left out, the use case knows.
fn some_text(given: Option<Text>) -> Result<Text, Status> {
    match given {
        Some(given) if !given.text.is_empty() => text(Some(given)),
        Some(given) if !given.entities.is_empty() => {
            Err(PARSE.refuse("text.entities", "must lie inside the text"))
        }
        _ => Ok(Text::default()),
    }
}

/// Reads whose a quick reply is to be. An agent's own is the calling one's.
fn owner(caller: &Caller, kind: i32, id: &str) -> Result<Owner, Status> {
    let refuse = |rule: &str| Err(PARSE.refuse("owner_id", rule));
    match wire::owner_kind(kind) {
        None => Err(PARSE.refuse("owner_kind", "must be the account, a group or an agent")),
        Some(OwnerKind::Account) if id.is_empty() => Ok(Owner::Account),
        Some(OwnerKind::Account) => refuse("must be empty where it is the account's"),
        Some(OwnerKind::Group) => Ok(Owner::Group(PARSE.id("owner_id", id)?)),
        Some(OwnerKind::Agent) => match (PARSE.id_opt("owner_id", id)?, caller.agent()) {
            (None, Some(own)) => Ok(Owner::Agent(own)),
            (Some(named), Some(own)) if named != own => {
                refuse("must be the calling agent, or empty: agents have no others' quick replies")
            }
            (Some(named), _) => Ok(Owner::Agent(named)),
            (None, None) => refuse("is required where no agent calls"),
        },
    }
}

#[tonic::async_trait]
impl QuickReplyService for Api {
    async fn create_quick_reply(
        &self,
        request: Request<pb::CreateQuickReplyRequest>,
    ) -> Result<Response<pb::CreateQuickReplyResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let wanted = Wanted {
            request_id: PARSE.request_id(&request.request_id)?.map(str::to_owned),
            hash: hash(&caller, &request),
            owner: owner(&caller, request.owner_kind, &request.owner_id)?,
            folder: folder(&request.folder)?,
            shortcut: typed(&request.shortcut)?,
            title: title(&request.title)?,
            files: files(&request.attachment_ids)?,
            text: some_text(request.text)?,
        };
        let answer = self.0.create(&caller, wanted, clock::now()).await?;
        Ok(Response::new(answer))
    }

    async fn update_quick_reply(
        &self,
        request: Request<pb::UpdateQuickReplyRequest>,
    ) -> Result<Response<pb::UpdateQuickReplyResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let id = PARSE.id("quick_reply_id", &request.quick_reply_id)?;
        let change = Change {
            folder: request.folder.as_deref().map(folder).transpose()?,
            shortcut: request.shortcut.as_deref().map(typed).transpose()?,
            title: request.title.as_deref().map(title).transpose()?,
            text: request.text.map(|text| some_text(Some(text))).transpose()?,
            files: request
                .attachments
                .map(|named| files(&named.attachment_ids))
                .transpose()?,
            expected: request.expected_revision,
        };
        let reply = self.0.update(&caller, id, change, clock::now()).await?;
        Ok(Response::new(pb::UpdateQuickReplyResponse {
            quick_reply: Some(wire::quick_reply(&reply)),
        }))
    }

    async fn get_quick_reply(
        &self,
        request: Request<pb::GetQuickReplyRequest>,
    ) -> Result<Response<pb::GetQuickReplyResponse>, Status> {
        let caller = Caller::of(&request)?;
        let id = PARSE.id("quick_reply_id", &request.get_ref().quick_reply_id)?;
        let reply = self.0.get(&caller, id).await?;
        Ok(Response::new(pb::GetQuickReplyResponse {
            quick_reply: Some(wire::quick_reply(&reply)),
        }))
    }

    async fn delete_quick_reply(
        &self,
        request: Request<pb::DeleteQuickReplyRequest>,
    ) -> Result<Response<pb::DeleteQuickReplyResponse>, Status> {
        let caller = Caller::of(&request)?;
        let id = PARSE.id("quick_reply_id", &request.get_ref().quick_reply_id)?;
        self.0.delete(&caller, id, clock::now()).await?;
        Ok(Response::new(pb::DeleteQuickReplyResponse {}))
    }

    async fn list_quick_replies(
        &self,
        request: Request<pb::ListQuickRepliesRequest>,
    ) -> Result<Response<pb::ListQuickRepliesResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let size = PARSE.page_size(request.page_size)?;
        let after: Option<After> = PARSE.page_token(&request.page_token)?;
        let after = after.map_or_else(Default::default, |at| (at.later, at.title, at.id));
        storable(&after.1)?;
        let kind = match request.owner_kind {
            0 => None,
            kind => {
                let refuse = || PARSE.refuse("owner_kind", "names a kind that there is not");
                Some(wire::owner_kind(kind).ok_or_else(refuse)?)
            }
        };
        let search = PARSE.text_opt("search", &request.search, SEARCH_MAX)?;
        let asked = Asked {
            search: search.unwrap_or_default().to_owned(),
            folder: folder(&request.folder)?,
            kind,
            changeable: request.changeable,
            after,
            limit: i64::from(size) + 1,
        };
        let rows = self.0.list(&caller, &asked).await?;
        let entry = |(_, reply): &(bool, _)| wire::quick_reply(reply);
        let (quick_replies, next_page_token) =
            page_of(&rows, size, entry, |(later, reply)| After {
                later: *later,
                title: reply.title.clone(),
                id: reply.id.uuid(),
            });
        Ok(Response::new(pb::ListQuickRepliesResponse {
            quick_replies,
            next_page_token,
        }))
    }

    async fn list_quick_reply_folders(
        &self,
        request: Request<pb::ListQuickReplyFoldersRequest>,
    ) -> Result<Response<pb::ListQuickReplyFoldersResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let size = PARSE.page_size(request.page_size)?;
        let after: Option<AfterFolder> = PARSE.page_token(&request.page_token)?;
        let after = after.map(|at| at.name).unwrap_or_default();
        storable(&after)?;
        let rows = self.0.folders(&caller, &after, i64::from(size) + 1).await?;
        let entry = |(name, replies): &(String, i64)| pb::QuickReplyFolder {
            name: name.clone(),
            quick_replies: i32::try_from(*replies).unwrap_or(i32::MAX),
        };
        let (folders, next_page_token) = page_of(&rows, size, entry, |(name, _)| AfterFolder {
            name: name.clone(),
        });
        Ok(Response::new(pb::ListQuickReplyFoldersResponse {
            folders,
            next_page_token,
        }))
    }

    async fn render_quick_reply(
        &self,
        request: Request<pb::RenderQuickReplyRequest>,
    ) -> Result<Response<pb::RenderQuickReplyResponse>, Status> {
        let caller = Caller::of(&request)?;
        let chat = PARSE.id("chat_id", &request.get_ref().chat_id)?;
        let id = PARSE.id("quick_reply_id", &request.get_ref().quick_reply_id)?;
        Ok(Response::new(self.0.render(&caller, chat, id).await?))
    }
}
