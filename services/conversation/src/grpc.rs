//! Transport of requests: parse, call, answer.

mod activity;
pub mod bots;
pub mod channel_rules;
pub mod chat_presence;
mod chats;
pub mod internal_chats;
pub mod notifications;
pub mod quick_replies;
pub mod search;

use std::sync::Arc;

use chassis::auth::Caller;
use chassis::grpc::{Parse, page_token};
use chassis::outbox::Waker;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};
use sqlx::pool::PoolConnection;
use sqlx::{PgPool, Postgres};
use switchboard_proto::common::v1 as common;
use switchboard_proto::conversation::v1 as pb;
use switchboard_proto::conversation::v1::conversation_service_server::ConversationService;
use tonic::{Request, Response, Status};

use crate::app::history::{Place, Wanted};
use crate::app::quick_replies::Files;
use crate::app::send::Admission;
use crate::app::start_chat::{Contacts, Lines};
use crate::app::watch::{List, Watch};
use crate::app::{self, read};
use crate::domain::{ChatId, FILES_MAX, TEXT_MAX, label};
use crate::error::{DOMAIN, Error};
use crate::store::chat::{Narrowing, Whose};
use crate::wire;

pub use activity::Activities;

const PARSE: Parse = Parse::new(DOMAIN);

/// Chats that a request names at most.
const NAMED_MAX: usize = 5_000;

/// Formatted ranges of a text at most.
const ENTITIES_MAX: usize = 100;

/// Characters of a link at most.
const URL_MAX: usize = 2_048;

/// Characters of the name of a programming language at most.
const LANGUAGE_MAX: usize = 64;

/// The service's methods.
#[derive(Clone)]
pub struct Api {
    pool: PgPool,
    waker: Waker,
    admission: Arc<dyn Admission>,
    watch: Watch,
    files: Arc<dyn Files>,
    lines: Arc<dyn Lines>,
    contacts: Arc<dyn Contacts>,
}

/// The other services, as the methods ask them.
pub struct Others {
    /// Assignment: who may write.
    pub admission: Arc<dyn Admission>,
    /// The gateway: files.
    pub files: Arc<dyn Files>,
    /// The gateway: channels.
    pub lines: Arc<dyn Lines>,
    /// The CRM: contacts.
    pub contacts: Arc<dyn Contacts>,
}

impl Api {
    /// Makes the methods over a database.
    pub fn new(pool: PgPool, waker: Waker, watch: Watch, others: Others) -> Self {
        Self {
            pool,
            waker,
            admission: others.admission,
            watch,
            files: others.files,
            lines: others.lines,
            contacts: others.contacts,
        }
    }

    async fn connection(&self) -> Result<PoolConnection<Postgres>, Error> {
        Ok(self.pool.acquire().await?)
    }
}

#[tonic::async_trait]
impl ConversationService for Api {
    async fn list_chats(
        &self,
        request: Request<pb::ListChatsRequest>,
    ) -> Result<Response<pb::ListChatsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let size = PARSE.page_size(request.page_size)?;
        let after = PARSE.page_token::<(i128, uuid::Uuid)>(&request.page_token)?;
        let after = after.map(|(nanos, chat)| Ok::<_, Status>((moment(nanos)?, chat.into())));
        let after = after.transpose()?;
        let (narrowing, whose) = (narrowing(&caller, &request)?, whose_of(&caller, &request)?);
        let mut connection = self.connection().await?;
        let ((chats, next), counts) =
            read::chats(&mut connection, &caller, narrowing, whose, after, size).await?;
        let token = next.map(|(time, chat)| page_token(&(time.unix_timestamp_nanos(), chat)));
        Ok(Response::new(pb::ListChatsResponse {
            chats,
            next_page_token: token.unwrap_or_default(),
            counts,
        }))
    }

    type WatchChatsStream = BoxStream<'static, Result<pb::WatchChatsResponse, Status>>;

    async fn watch_chats(
        &self,
        request: Request<pb::WatchChatsRequest>,
    ) -> Result<Response<Self::WatchChatsStream>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let list = request.list.unwrap_or_default();
        if list.page_size != 0 || !list.page_token.is_empty() {
            return Err(PARSE.refuse("list", "must have neither page_size nor page_token"));
        }
        if !list.text.is_empty() {
            return Err(PARSE.refuse(
                "list.text",
                "must be empty: what is searched for is listed only",
            ));
        }
        let place = PARSE.token::<(i64, uuid::Uuid)>("resume_token", &request.resume_token)?;
        let place = place.map(|(changed, chat)| (changed, ChatId::from(chat)));
        let list = List {
            whose: whose_of(&caller, &list)?,
            narrowing: narrowing(&caller, &list)?,
        };
        let mut told = self.watch.watch(caller, list, place).await?;
        let told = futures::stream::poll_fn(move |context| told.poll_recv(context));
        let told = told.map(|told| {
            let (changes, place) = told?;
            Ok(pb::WatchChatsResponse {
                changes,
                resume_token: page_token(&place),
            })
        });
        Ok(Response::new(told.boxed()))
    }

    async fn find_chats(
        &self,
        request: Request<pb::FindChatsRequest>,
    ) -> Result<Response<pb::FindChatsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let size = PARSE.page_size(request.page_size)?;
        let after = PARSE.page_token::<(i128, uuid::Uuid)>(&request.page_token)?;
        let after = after.map(|(nanos, chat)| Ok::<_, Status>((moment(nanos)?, chat.into())));
        let after = after.transpose()?;
        let ids: Vec<ChatId> = PARSE.ids("chat_ids", &request.chat_ids, NAMED_MAX)?;
        let mut connection = self.connection().await?;
        let (chats, next) = read::found(&mut connection, &caller, &ids, after, size).await?;
        let token = next.map(|(time, chat)| page_token(&(time.unix_timestamp_nanos(), chat)));
        Ok(Response::new(pb::FindChatsResponse {
            chats,
            next_page_token: token.unwrap_or_default(),
        }))
    }

    async fn get_chat(
        &self,
        request: Request<pb::GetChatRequest>,
    ) -> Result<Response<pb::GetChatResponse>, Status> {
        let caller = Caller::of(&request)?;
        let id = PARSE.id("chat_id", &request.get_ref().chat_id)?;
        let mut connection = self.connection().await?;
        let chat = read::chat(&mut connection, &caller, id).await?;
        Ok(Response::new(pb::GetChatResponse { chat: Some(chat) }))
    }

    async fn list_messages(
        &self,
        request: Request<pb::ListMessagesRequest>,
    ) -> Result<Response<pb::ListMessagesResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let wanted = Wanted {
            chat: PARSE.id("chat_id", &request.chat_id)?,
            place: place(&request)?,
            size: PARSE.page_size(request.page_size)?,
            full_text: request.full_text,
        };
        let mut connection = self.connection().await?;
        let page = app::history::page(&mut connection, &caller, wanted).await?;
        let token = |place: Option<Place>| place.map(|place| page_token(&Token::of(place)));
        Ok(Response::new(pb::ListMessagesResponse {
            messages: page.messages,
            next_page_token: token(page.next).unwrap_or_default(),
            newer_page_token: token(page.newer).unwrap_or_default(),
        }))
    }

    async fn list_conversations(
        &self,
        request: Request<pb::ListConversationsRequest>,
    ) -> Result<Response<pb::ListConversationsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let chat: ChatId = PARSE.id("chat_id", &request.chat_id)?;
        let size = PARSE.page_size(request.page_size)?;
        let below = PARSE.page_token::<i64>(&request.page_token)?;
        let mut connection = self.connection().await?;
        let (conversations, next) =
            read::conversations(&mut connection, &caller, chat, below, size).await?;
        Ok(Response::new(pb::ListConversationsResponse {
            conversations,
            next_page_token: next.map(|number| page_token(&number)).unwrap_or_default(),
        }))
    }

    async fn send_message(
        &self,
        request: Request<pb::SendMessageRequest>,
    ) -> Result<Response<pb::SendMessageResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let now = chassis::clock::now();
        let command = app::send::Command {
            request_id: PARSE.request_id(&request.request_id)?.map(str::to_owned),
            hash: hash(&caller, &request),
            chat: PARSE.id("chat_id", &request.chat_id)?,
            files: files(&request.attachment_ids)?,
            text: if request.attachment_ids.is_empty() || request.text.is_some() {
                text(request.text)?
            } else {
                common::Text::default()
            },
            reply_to: PARSE.id_opt("reply_to_message_id", &request.reply_to_message_id)?,
            message: chassis::id::v7(now).into(),
            method: "SendMessage",
            subject: String::new(),
        };
        let admission = &*self.admission;
        let response =
            app::send::send(&self.pool, &self.waker, admission, &caller, &command, now).await?;
        Ok(Response::new(response))
    }

    async fn retry_message(
        &self,
        request: Request<pb::RetryMessageRequest>,
    ) -> Result<Response<pb::RetryMessageResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let command = app::retry::Command {
            request_id: PARSE.request_id(&request.request_id)?.map(str::to_owned),
            hash: hash(&caller, &request),
            chat: PARSE.id("chat_id", &request.chat_id)?,
            message: PARSE.id("message_id", &request.message_id)?,
        };
        let admission = &*self.admission;
        let now = chassis::clock::now();
        let response =
            app::retry::retry(&self.pool, &self.waker, admission, &caller, &command, now).await?;
        Ok(Response::new(response))
    }

    async fn close_conversation(
        &self,
        request: Request<pb::CloseConversationRequest>,
    ) -> Result<Response<pb::CloseConversationResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let chat = PARSE.id("chat_id", &request.chat_id)?;
        let meant = PARSE.id_opt("conversation_id", &request.conversation_id)?;
        let now = chassis::clock::now();
        let response =
            app::close::close(&self.pool, &self.waker, &caller, chat, meant, now).await?;
        Ok(Response::new(response))
    }

    async fn list_outbound_commands(
        &self,
        request: Request<pb::ListOutboundCommandsRequest>,
    ) -> Result<Response<pb::ListOutboundCommandsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let chat = PARSE.id("chat_id", &request.chat_id)?;
        let size = PARSE.page_size(request.page_size)?;
        let mut connection = self.connection().await?;
        let from = request.from_out_seq;
        let commands = read::commands(&mut connection, &caller, chat, from, size).await?;
        Ok(Response::new(pb::ListOutboundCommandsResponse { commands }))
    }
}

/// Hashes a request with who asks: a stored answer is for them alone.
fn hash(caller: &Caller, request: &impl prost::Message) -> [u8; 32] {
    let actor = caller.actor().to_string();
    let content = [actor.as_bytes(), b"\0", &request.encode_to_vec()].concat();
    chassis::request::hash(&content)
}

/// Where a page of messages stands, as its token tells it.
#[derive(Serialize, Deserialize)]
enum Token {
    End,
    Before(i128, i64, i64),
    After(i128, i64, i64),
    Stored(i64),
    Around(uuid::Uuid),
}

impl Token {
    fn of(place: Place) -> Self {
        match place {
            Place::End => Self::End,
            Place::Before((time, number, stored)) => {
                Self::Before(time.unix_timestamp_nanos(), number, stored)
            }
            Place::After((time, number, stored)) => {
                Self::After(time.unix_timestamp_nanos(), number, stored)
            }
            Place::Stored(after) => Self::Stored(after),
            Place::Around(message) => Self::Around(message.uuid()),
        }
    }

    fn place(self) -> Result<Place, Status> {
        Ok(match self {
            Self::End => Place::End,
            Self::Before(time, number, stored) => Place::Before((moment(time)?, number, stored)),
            Self::After(time, number, stored) => Place::After((moment(time)?, number, stored)),
            Self::Stored(after) => Place::Stored(after),
            Self::Around(message) => Place::Around(message.into()),
        })
    }
}

/// Reads where a page of messages shall stand: one of three ways to say it, or none for the newest.
fn place(request: &pb::ListMessagesRequest) -> Result<Place, Status> {
    let token = PARSE.page_token::<Token>(&request.page_token)?;
    let around = PARSE.id_opt("around_message_id", &request.around_message_id)?;
    match (token, around, request.after_sequence) {
        (None, None, None) => Ok(Place::End),
        (Some(token), None, None) => token.place(),
        (None, Some(message), None) => Ok(Place::Around(message)),
        (None, None, Some(after)) if after >= 0 => Ok(Place::Stored(after)),
        (None, None, Some(_)) => Err(PARSE.refuse("after_sequence", "must not be negative")),
        (_, Some(_), _) => {
            let rule = "must be empty together with `page_token` or `after_sequence`";
            Err(PARSE.refuse("around_message_id", rule))
        }
        (Some(_), None, Some(_)) => Err(PARSE.refuse(
            "after_sequence",
            "must be absent together with `page_token`",
        )),
    }
}

/// Reads the time of a page token: a year of four digits, which is what is ever stored.
fn moment(nanos: i128) -> Result<time::OffsetDateTime, Status> {
    time::OffsetDateTime::from_unix_timestamp_nanos(nanos)
        .ok()
        .filter(|time| (1..=9999).contains(&time.year()))
        .ok_or_else(|| PARSE.refuse("page_token", "is not one that this method returned"))
}

/// Reads whose chats a list is of.
fn whose_of(caller: &Caller, list: &pb::ListChatsRequest) -> Result<Whose, Status> {
    if list.mine {
        mine(caller, &list.responsible)
    } else {
        whose(caller, &list.responsible)
    }
}

/// Reads that the caller's Active tab is wanted (F127, F150).
fn mine(caller: &Caller, responsible: &str) -> Result<Whose, Status> {
    if !responsible.is_empty() {
        return Err(PARSE.refuse("responsible", "must be empty together with `mine`"));
    }
    let agent = caller.agent().map(Whose::WorkedBy);
    agent.ok_or_else(|| PARSE.refuse("mine", "is of an agent's token only"))
}

/// Reads whose chats are wanted: `me`, `none`, an agent, or everybody's (F078).
fn whose(caller: &Caller, responsible: &str) -> Result<Whose, Status> {
    match responsible {
        "" => Ok(Whose::All),
        "none" => Ok(Whose::Nobodys),
        "me" => caller
            .agent()
            .map(Whose::Of)
            .ok_or_else(|| PARSE.refuse("responsible", "is `me` of an agent's token only")),
        agent => agent
            .parse()
            .map(Whose::Of)
            .map_err(|_| PARSE.refuse("responsible", "must be `me`, `none` or a UUID")),
    }
}

fn narrowing(caller: &Caller, request: &pb::ListChatsRequest) -> Result<Narrowing, Status> {
    let state = |state: &i32| {
        wire::chat_state(*state)
            .map(|state| state.as_str().to_owned())
            .ok_or_else(|| PARSE.refuse("states", "names a state that there is not"))
    };
    let states: Vec<String> = request.states.iter().map(state).collect::<Result<_, _>>()?;
    let channel = PARSE.id_opt("channel_id", &request.channel_id)?;
    let words = |text: &str| {
        let words = app::search::of_chats(caller, channel, text);
        words.ok_or_else(|| PARSE.refuse("text", "must have a letter or a digit"))
    };
    let text = PARSE.text_opt("text", &request.text, search::TEXT_MAX)?;
    Ok(Narrowing {
        granted: None,
        channel,
        states: Some(states).filter(|states| !states.is_empty()),
        waiting_only: request.unanswered_only,
        unread: read_state(request.read_state)?,
        snoozed: request.snoozed,
        label: match &*request.label {
            "" => None,
            name => Some(
                label::read(name)
                    .map_err(|rule| PARSE.refuse("label", rule))?
                    .key,
            ),
        },
        words: text.map(words).transpose()?,
    })
}

/// Reads whether unread chats are wanted, or read ones; none for both (F209).
fn read_state(state: i32) -> Result<Option<bool>, Status> {
    use pb::list_chats_request::ReadState;
    match ReadState::try_from(state) {
        Ok(ReadState::Unspecified) => Ok(None),
        Ok(ReadState::Read) => Ok(Some(false)),
        Ok(ReadState::Unread) => Ok(Some(true)),
        Err(_) => Err(PARSE.refuse("read_state", "names a state that there is not")),
    }
}

/// Takes ids of files, 20 at most.
fn files(ids: &[String]) -> Result<Vec<uuid::Uuid>, Status> {
    if ids.len() > FILES_MAX {
        return Err(PARSE.refuse("attachment_ids", "must have at most 20 entries"));
    }
    let ids = ids.iter().enumerate();
    ids.map(|(place, id)| PARSE.id(&format!("attachment_ids[{place}]"), id))
        .collect()
}

/// Takes a text of 1 to 20,000 characters as it is, with ranges that lie inside it.
fn text(text: Option<common::Text>) -> Result<common::Text, Status> {
    let text = text.unwrap_or_default();
    PARSE.text("text.text", &text.text, TEXT_MAX)?;
    if text.text.chars().count() > TEXT_MAX {
        return Err(PARSE.refuse("text.text", "must have at most 20000 characters"));
    }
    if text.entities.len() > ENTITIES_MAX {
        return Err(PARSE.refuse("text.entities", "must have at most 100 entries"));
    }
    let length = u64::try_from(text.text.encode_utf16().count()).unwrap_or(u64::MAX);
    for (place, entity) in text.entities.iter().enumerate() {
        let wrong =
            |field: &str, rule: &str| PARSE.refuse(&format!("text.entities[{place}]{field}"), rule);
        let end = u64::from(entity.offset) + u64::from(entity.length);
        if entity.length == 0 || end > length {
            return Err(wrong("", "must lie inside the text"));
        }
        if !fits(&entity.url, URL_MAX) {
            return Err(wrong(
                ".url",
                "must have at most 2048 characters, and no NUL",
            ));
        }
        if !fits(&entity.language, LANGUAGE_MAX) {
            return Err(wrong(
                ".language",
                "must have at most 64 characters, and no NUL",
            ));
        }
    }
    Ok(text)
}

fn fits(text: &str, max: usize) -> bool {
    text.chars().count() <= max && !text.contains('\0')
}
