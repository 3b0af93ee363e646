//! Transport of acts upon chats: parse, call, answer.

use chassis::auth::Caller;
use switchboard_proto::conversation::v1 as pb;
use switchboard_proto::conversation::v1::chat_service_server::ChatService;
use tonic::{Request, Response, Status};

use super::{Api, PARSE, hash, text};
use crate::app;
use crate::app::act::Repeat;
use crate::app::own_amend::Wanted;
use crate::app::rename::Look;

/// Characters of a chat's name at most.
const NAME_MAX: usize = 200;

/// Characters of a reaction at most.
const EMOJI_MAX: usize = 64;

/// Reads what makes a call idempotent.
fn repeat(caller: &Caller, id: &str, request: &impl prost::Message) -> Result<Repeat, Status> {
    Ok(Repeat {
        request_id: PARSE.request_id(id)?.map(str::to_owned),
        hash: hash(caller, request),
    })
}

#[tonic::async_trait]
impl ChatService for Api {
    async fn start_conversation(
        &self,
        request: Request<pb::StartConversationRequest>,
    ) -> Result<Response<pb::StartConversationResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let repeat = repeat(&caller, &request.request_id, &request)?;
        let chat = PARSE.id("chat_id", &request.chat_id)?;
        let now = chassis::clock::now();
        let (pool, waker) = (&self.pool, &self.waker);
        let answer = app::open::start(pool, waker, &caller, (chat, repeat), now).await?;
        Ok(Response::new(answer))
    }

    async fn mark_spam(
        &self,
        request: Request<pb::MarkSpamRequest>,
    ) -> Result<Response<pb::MarkSpamResponse>, Status> {
        let caller = Caller::of(&request)?;
        let chat = PARSE.id("chat_id", &request.get_ref().chat_id)?;
        let now = chassis::clock::now();
        let answer = app::spam::mark(&self.pool, &self.waker, &caller, chat, now).await?;
        Ok(Response::new(answer))
    }

    async fn restore_chat(
        &self,
        request: Request<pb::RestoreChatRequest>,
    ) -> Result<Response<pb::RestoreChatResponse>, Status> {
        let caller = Caller::of(&request)?;
        let chat = PARSE.id("chat_id", &request.get_ref().chat_id)?;
        let now = chassis::clock::now();
        let answer = app::spam::restore(&self.pool, &self.waker, &caller, chat, now).await?;
        Ok(Response::new(answer))
    }

    async fn update_chat(
        &self,
        request: Request<pb::UpdateChatRequest>,
    ) -> Result<Response<pb::UpdateChatResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let chat = PARSE.id("chat_id", &request.chat_id)?;
        let image = request.image_attachment_id.as_deref();
        let image = image.map(|id| PARSE.id_opt("image_attachment_id", id));
        let look = Look {
            name: request.name.as_deref().map(name).transpose()?,
            image: image.transpose()?,
        };
        if look.name.is_none() && look.image.is_none() {
            let rule =
                "or `image_attachment_id` must be given: nothing else of a chat can be changed";
            return Err(PARSE.refuse("name", rule));
        }
        let now = chassis::clock::now();
        let (pool, waker, files) = (&self.pool, &self.waker, &*self.files);
        let wanted = (chat, look);
        let answer = app::rename::rename(pool, waker, files, &caller, wanted, now).await?;
        Ok(Response::new(answer))
    }

    async fn waive_reply(
        &self,
        request: Request<pb::WaiveReplyRequest>,
    ) -> Result<Response<pb::WaiveReplyResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let chat = PARSE.id("chat_id", &request.chat_id)?;
        let seen = PARSE.id_opt("message_id", &request.message_id)?;
        let now = chassis::clock::now();
        let (pool, waker) = (&self.pool, &self.waker);
        let answer = app::read_state::waive_reply(pool, waker, &caller, (chat, seen), now).await?;
        Ok(Response::new(answer))
    }

    async fn mark_read(
        &self,
        request: Request<pb::MarkReadRequest>,
    ) -> Result<Response<pb::MarkReadResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let chat = PARSE.id("chat_id", &request.chat_id)?;
        let seen = PARSE.id_opt("message_id", &request.message_id)?;
        let now = chassis::clock::now();
        let (pool, waker) = (&self.pool, &self.waker);
        let answer = app::read_state::mark_read(pool, waker, &caller, (chat, seen), now).await?;
        Ok(Response::new(answer))
    }

    async fn add_note(
        &self,
        request: Request<pb::AddNoteRequest>,
    ) -> Result<Response<pb::AddNoteResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let now = chassis::clock::now();
        let command = app::note::Command {
            repeat: repeat(&caller, &request.request_id, &request)?,
            chat: PARSE.id("chat_id", &request.chat_id)?,
            text: text(request.text)?,
            note: chassis::id::v7(now).into(),
        };
        let answer = app::note::add(&self.pool, &self.waker, &caller, command, now).await?;
        Ok(Response::new(answer))
    }

    async fn edit_message(
        &self,
        request: Request<pb::EditMessageRequest>,
    ) -> Result<Response<pb::EditMessageResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let repeat = repeat(&caller, &request.request_id, &request)?;
        let target = (&*request.chat_id, &*request.message_id);
        let wanted = Wanted::Edit(text(request.text)?);
        let message = self.amend(&caller, repeat, target, wanted).await?;
        Ok(Response::new(pb::EditMessageResponse { message }))
    }

    async fn delete_message(
        &self,
        request: Request<pb::DeleteMessageRequest>,
    ) -> Result<Response<pb::DeleteMessageResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let repeat = repeat(&caller, &request.request_id, &request)?;
        let target = (&*request.chat_id, &*request.message_id);
        let message = self
            .amend(&caller, repeat, target, Wanted::Deletion)
            .await?;
        Ok(Response::new(pb::DeleteMessageResponse { message }))
    }

    async fn react_to_message(
        &self,
        request: Request<pb::ReactToMessageRequest>,
    ) -> Result<Response<pb::ReactToMessageResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let repeat = repeat(&caller, &request.request_id, &request)?;
        let target = (&*request.chat_id, &*request.message_id);
        let emoji = PARSE.text_opt("emoji", &request.emoji, EMOJI_MAX)?;
        let wanted = Wanted::Reaction(emoji.unwrap_or_default().to_owned());
        let message = self.amend(&caller, repeat, target, wanted).await?;
        Ok(Response::new(pb::ReactToMessageResponse { message }))
    }
}

impl Api {
    /// Has a message changed, named by chat and id.
    async fn amend(
        &self,
        caller: &Caller,
        repeat: Repeat,
        (chat, message): (&str, &str),
        wanted: Wanted,
    ) -> Result<Option<pb::Message>, Status> {
        let now = chassis::clock::now();
        let command = app::own_amend::Command {
            repeat,
            chat: PARSE.id("chat_id", chat)?,
            message: PARSE.id("message_id", message)?,
            wanted,
            id: chassis::id::v7(now).into(),
        };
        let (pool, waker) = (&self.pool, &self.waker);
        let message = app::own_amend::amend(pool, waker, caller, command, now).await?;
        Ok(Some(message))
    }
}

/// Reads a name: one line, trimmed, without control characters.
fn name(name: &str) -> Result<String, Status> {
    let name = name.trim();
    if name.chars().count() > NAME_MAX {
        return Err(PARSE.refuse("name", "must have at most 200 characters"));
    }
    if name.chars().any(char::is_control) {
        return Err(PARSE.refuse("name", "must be one line without control characters"));
    }
    Ok(name.to_owned())
}
