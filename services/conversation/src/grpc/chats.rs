//! Transport of acts upon chats: parse, call, answer.

use chassis::auth::Caller;
use chassis::grpc::page_token;
use prost::Message as _;
use switchboard_proto::common::v1 as common;
use switchboard_proto::conversation::v1 as pb;
use switchboard_proto::conversation::v1::chat_service_server::ChatService;
use tonic::{Request, Response, Status};

use super::{Api, PARSE, files, hash, narrowing, text};
use crate::app;
use crate::app::act::Repeat;
use crate::app::own_amend::Wanted as Amendment;
use crate::app::rename::Look;
use crate::app::send::Command;
use crate::app::start_chat::Wanted;
use crate::app::{filters, labels, snooze};
use crate::domain::chat::Snooze;
use crate::domain::label::{self, Label};
use crate::store::filters::Filter;

/// Characters of a chat's name at most.
const NAME_MAX: usize = 200;

/// Characters of a mail's subject at most.
const SUBJECT_MAX: usize = 200;

/// Characters of a reaction at most.
const EMOJI_MAX: usize = 64;

/// Characters of a filter's name at most.
const FILTER_NAME_MAX: usize = 100;

/// How far ahead a chat is put off at most.
const SNOOZED_MAX: time::Duration = time::Duration::days(366);

/// Reads a label.
fn named(field: &str, given: &str) -> Result<Label, Status> {
    label::read(given).map_err(|rule| PARSE.refuse(field, rule))
}

/// Reads the labels of a request.
fn names(field: &str, given: &[String]) -> Result<Vec<Label>, Status> {
    if given.len() > label::OF_CHAT_MAX {
        return Err(PARSE.refuse(field, "must have at most 20 entries"));
    }
    let given = given.iter().enumerate();
    given
        .map(|(place, given)| named(&format!("{field}[{place}]"), given))
        .collect()
}

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

    async fn start_chat(
        &self,
        request: Request<pb::StartChatRequest>,
    ) -> Result<Response<pb::StartChatResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let Repeat { request_id, hash } = repeat(&caller, &request.request_id, &request)?;
        let now = chassis::clock::now();
        let subject = request.subject.trim();
        if subject.chars().count() > SUBJECT_MAX || subject.chars().any(char::is_control) {
            return Err(PARSE.refuse("subject", "must be one line of at most 200 characters"));
        }
        let wanted = Wanted {
            contact: PARSE.id("contact_id", &request.contact_id)?,
            channel: PARSE.id("channel_id", &request.channel_id)?,
            address: request.address.clone(),
            command: Command {
                request_id,
                hash,
                chat: uuid::Uuid::nil().into(),
                method: app::start_chat::METHOD,
                subject: subject.to_owned(),
                files: files(&request.attachment_ids)?,
                text: match request.text {
                    Some(given) => text(Some(given))?,
                    None => common::Text::default(),
                },
                reply_to: None,
                message: chassis::id::v7(now).into(),
            },
        };
        let (store, peers) = ((&self.pool, &self.waker), (&*self.lines, &*self.contacts));
        let admission = &*self.admission;
        let answer = app::start_chat::start(store, peers, admission, &caller, wanted, now).await?;
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

    async fn label_chat(
        &self,
        request: Request<pb::LabelChatRequest>,
    ) -> Result<Response<pb::LabelChatResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let chat = PARSE.id("chat_id", &request.chat_id)?;
        let wanted = labels::Wanted {
            added: names("add_labels", &request.add_labels)?,
            removed: names("remove_labels", &request.remove_labels)?
                .into_iter()
                .map(|label| label.key)
                .collect(),
        };
        if wanted
            .added
            .iter()
            .any(|label| wanted.removed.contains(&label.key))
        {
            return Err(PARSE.refuse("remove_labels", "must not name what is added, too"));
        }
        let now = chassis::clock::now();
        let answer = labels::label(&self.pool, &self.waker, &caller, (chat, wanted), now).await?;
        Ok(Response::new(answer))
    }

    async fn list_labels(
        &self,
        request: Request<pb::ListLabelsRequest>,
    ) -> Result<Response<pb::ListLabelsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let size = PARSE.page_size(request.page_size)?;
        let after = PARSE.page_token::<String>(&request.page_token)?;
        let after = after.unwrap_or_default();
        if after.contains('\0') {
            return Err(PARSE.refuse("page_token", "must be one of an answer"));
        }
        let beginning = match &*request.beginning {
            "" => String::new(),
            beginning => named("beginning", beginning)?.key,
        };
        let mut connection = self.connection().await?;
        let wanted = (&*beginning, &*after);
        let (labels, next) = labels::list(&mut connection, &caller, wanted, size).await?;
        Ok(Response::new(pb::ListLabelsResponse {
            labels,
            next_page_token: next.map(|key| page_token(&key)).unwrap_or_default(),
        }))
    }

    async fn save_chat_filter(
        &self,
        request: Request<pb::SaveChatFilterRequest>,
    ) -> Result<Response<pb::SaveChatFilterResponse>, Status> {
        let caller = Caller::of(&request)?;
        let given = request.into_inner().filter;
        let given = given.ok_or_else(|| PARSE.refuse("filter", "is required"))?;
        let mut list = given.list.unwrap_or_default();
        // What cannot be listed is not kept either.
        narrowing(&caller, &list)?;
        (list.page_size, list.page_token) = (0, String::new());
        let now = chassis::clock::now();
        let id = PARSE.id_opt("filter.filter_id", &given.filter_id)?;
        let filter = Filter {
            id: id.unwrap_or_else(|| chassis::id::v7(now)),
            owner: uuid::Uuid::nil(),
            name: PARSE
                .text("filter.name", &given.name, FILTER_NAME_MAX)?
                .to_owned(),
            body: list.encode_to_vec(),
        };
        let saved = filters::save(&self.pool, &caller, filter, given.shared, now).await?;
        Ok(Response::new(pb::SaveChatFilterResponse {
            filter: Some(saved),
        }))
    }

    async fn list_chat_filters(
        &self,
        request: Request<pb::ListChatFiltersRequest>,
    ) -> Result<Response<pb::ListChatFiltersResponse>, Status> {
        let caller = Caller::of(&request)?;
        let filters = filters::list(&self.pool, &caller).await?;
        Ok(Response::new(pb::ListChatFiltersResponse { filters }))
    }

    async fn delete_chat_filter(
        &self,
        request: Request<pb::DeleteChatFilterRequest>,
    ) -> Result<Response<pb::DeleteChatFilterResponse>, Status> {
        let caller = Caller::of(&request)?;
        let id = PARSE.id("filter_id", &request.get_ref().filter_id)?;
        filters::delete(&self.pool, &caller, id, chassis::clock::now()).await?;
        Ok(Response::new(pb::DeleteChatFilterResponse {}))
    }

    async fn snooze_chat(
        &self,
        request: Request<pb::SnoozeChatRequest>,
    ) -> Result<Response<pb::SnoozeChatResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let chat = PARSE.id("chat_id", &request.chat_id)?;
        let until = PARSE.time_opt("wake_time", request.wake_time.as_ref())?;
        let now = chassis::clock::now();
        if until.is_some_and(|until| until <= now || until - now > SNOOZED_MAX) {
            return Err(PARSE.refuse("wake_time", "must lie ahead, at most a year"));
        }
        let wanted = (chat, Snooze { until });
        let answer = snooze::snooze(&self.pool, &self.waker, &caller, wanted, now).await?;
        Ok(Response::new(answer))
    }

    async fn wake_chat(
        &self,
        request: Request<pb::WakeChatRequest>,
    ) -> Result<Response<pb::WakeChatResponse>, Status> {
        let caller = Caller::of(&request)?;
        let chat = PARSE.id("chat_id", &request.get_ref().chat_id)?;
        let now = chassis::clock::now();
        let answer = snooze::wake(&self.pool, &self.waker, &caller, chat, now).await?;
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
        let wanted = Amendment::Edit(text(request.text)?);
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
            .amend(&caller, repeat, target, Amendment::Deletion)
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
        let wanted = Amendment::Reaction(emoji.unwrap_or_default().to_owned());
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
        wanted: Amendment,
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
