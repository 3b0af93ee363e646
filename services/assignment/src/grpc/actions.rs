//! What agents do with chats: parse, call the use case, answer.

use chassis::auth::Caller;
use chassis::clock;
use chassis::id::AgentId;
use prost::Message;
use switchboard_proto::assignment::v1 as pb;
use tonic::{Request, Response, Status};

use crate::app::App;
use crate::app::actions::{Acting, Deed};
use crate::app::admit::Reply;
use crate::app::hand::HandOver;
use crate::domain::actions::MAX_PARTICIPANTS;
use crate::domain::chat::{Opening, Told};
use crate::domain::words::GivenBack;
use crate::domain::{ChannelId, ChatId};
use crate::error::Error;
use crate::wire::PARSE;

/// What every act on a chat is asked with.
struct Asked<'r> {
    request_id: &'r str,
    chat_id: &'r str,
    expected: Option<&'r str>,
    deed: Deed,
}

async fn act<A: Message + Default>(
    app: &App,
    caller: &Caller,
    request: &impl Message,
    asked: Asked<'_>,
    answer: fn(Option<pb::ChatAssignment>) -> A,
) -> Result<Response<A>, Status> {
    let expected = asked.expected;
    let acting = Acting {
        caller,
        chat: PARSE.id("chat_id", asked.chat_id)?,
        expected: expected
            .map(|id| PARSE.id_opt("expected_agent_id", id))
            .transpose()?,
        request_id: PARSE.request_id(asked.request_id)?,
        deed: asked.deed,
    };
    let now = clock::now();
    let chat = acting.chat;
    let mut done = app.act(acting.clone(), request, answer, now).await;
    if app
        .learned(caller, chat, &done, now)
        .await
        .map_err(Error::from)?
    {
        done = app.act(acting, request, answer, now).await;
    }
    Ok(Response::new(done?))
}

pub(super) async fn unassign(
    app: &App,
    request: Request<pb::UnassignChatRequest>,
) -> Result<Response<pb::UnassignChatResponse>, Status> {
    let caller = Caller::of(&request)?;
    let request = request.into_inner();
    let given_back = if request.distribute {
        GivenBack::Queued
    } else {
        GivenBack::Stays
    };
    let asked = Asked {
        request_id: &request.request_id,
        chat_id: &request.chat_id,
        expected: request.expected_agent_id.as_deref(),
        deed: Deed::Unassign(given_back),
    };
    let answer = |assignment| pb::UnassignChatResponse { assignment };
    act(app, &caller, &request, asked, answer).await
}

pub(super) async fn redirect(
    app: &App,
    request: Request<pb::RedirectChatRequest>,
) -> Result<Response<pb::RedirectChatResponse>, Status> {
    let caller = Caller::of(&request)?;
    let request = request.into_inner();
    let asked = Asked {
        request_id: &request.request_id,
        chat_id: &request.chat_id,
        expected: request.expected_agent_id.as_deref(),
        deed: Deed::Redirect(PARSE.id("agent_id", &request.agent_id)?),
    };
    let answer = |assignment| pb::RedirectChatResponse { assignment };
    act(app, &caller, &request, asked, answer).await
}

pub(super) async fn join(
    app: &App,
    request: Request<pb::JoinChatRequest>,
) -> Result<Response<pb::JoinChatResponse>, Status> {
    let caller = Caller::of(&request)?;
    let request = request.into_inner();
    let asked = Asked {
        request_id: &request.request_id,
        chat_id: &request.chat_id,
        expected: request.expected_agent_id.as_deref(),
        deed: Deed::Join,
    };
    let answer = |assignment| pb::JoinChatResponse { assignment };
    act(app, &caller, &request, asked, answer).await
}

pub(super) async fn add(
    app: &App,
    request: Request<pb::AddParticipantsRequest>,
) -> Result<Response<pb::AddParticipantsResponse>, Status> {
    let caller = Caller::of(&request)?;
    let request = request.into_inner();
    let agents: Vec<AgentId> = PARSE.ids("agent_ids", &request.agent_ids, MAX_PARTICIPANTS)?;
    if agents.is_empty() {
        return Err(PARSE.refuse("agent_ids", "must name at least one agent"));
    }
    let asked = Asked {
        request_id: &request.request_id,
        chat_id: &request.chat_id,
        expected: request.expected_agent_id.as_deref(),
        deed: Deed::Add(agents),
    };
    let answer = |assignment| pb::AddParticipantsResponse { assignment };
    act(app, &caller, &request, asked, answer).await
}

pub(super) async fn leave(
    app: &App,
    request: Request<pb::LeaveChatRequest>,
) -> Result<Response<pb::LeaveChatResponse>, Status> {
    let caller = Caller::of(&request)?;
    let request = request.into_inner();
    let asked = Asked {
        request_id: &request.request_id,
        chat_id: &request.chat_id,
        expected: request.expected_agent_id.as_deref(),
        deed: Deed::Leave,
    };
    let answer = |assignment| pb::LeaveChatResponse { assignment };
    act(app, &caller, &request, asked, answer).await
}

pub(super) async fn claim(
    app: &App,
    request: Request<pb::ClaimChatRequest>,
) -> Result<Response<pb::ClaimChatResponse>, Status> {
    let caller = Caller::of(&request)?;
    let request = request.into_inner();
    let chat = PARSE.id("chat_id", &request.chat_id)?;
    let request_id = PARSE.request_id(&request.request_id)?;
    let now = clock::now();
    let named = (chat, request_id);
    let mut done = app.claim_chat(&caller, &request, named, now).await;
    if app
        .learned(&caller, chat, &done, now)
        .await
        .map_err(Error::from)?
    {
        done = app.claim_chat(&caller, &request, named, now).await;
    }
    Ok(Response::new(done?))
}

pub(super) async fn assign(
    app: &App,
    request: Request<pb::AssignChatRequest>,
) -> Result<Response<pb::AssignChatResponse>, Status> {
    let caller = Caller::of(&request)?;
    let request = request.into_inner();
    let expected = request.expected_agent_id.as_deref();
    let hand = HandOver {
        chat: PARSE.id("chat_id", &request.chat_id)?,
        agent: PARSE.id("agent_id", &request.agent_id)?,
        expected: expected
            .map(|id| PARSE.id_opt("expected_agent_id", id))
            .transpose()?,
        request_id: PARSE.request_id(&request.request_id)?,
    };
    let now = clock::now();
    let mut done = app.assign_chat(&caller, &request, hand, now).await;
    if app
        .learned(&caller, hand.chat, &done, now)
        .await
        .map_err(Error::from)?
    {
        done = app.assign_chat(&caller, &request, hand, now).await;
    }
    Ok(Response::new(done?))
}

pub(super) async fn admit(
    app: &App,
    request: Request<pb::AdmitReplyRequest>,
) -> Result<Response<pb::AdmitReplyResponse>, Status> {
    let caller = Caller::of(&request)?;
    let request = request.into_inner();
    let reply = Reply {
        account: caller.account().clone(),
        chat: PARSE.id::<ChatId>("chat_id", &request.chat_id)?,
        channel: PARSE.id::<ChannelId>("channel_id", &request.channel_id)?,
        told: told(&request)?,
        agent: PARSE.id("agent_id", &request.agent_id)?,
        request_id: PARSE
            .request_id(&request.request_id)?
            .unwrap_or_default()
            .to_owned(),
    };
    Ok(Response::new(app.admit_reply(&reply, clock::now()).await?))
}

/// Reads what the caller knows of a chat's newest conversation; none before its first.
fn told(request: &pb::AdmitReplyRequest) -> Result<Option<Told>, Status> {
    if request.number == 0 {
        return Ok(None);
    }
    if request.number < 0 || request.revision < 1 {
        return Err(PARSE.refuse("number", "and revision begin at 1"));
    }
    let time = PARSE.time_opt("open_time", request.open_time.as_ref())?;
    let opener = PARSE.id_opt("opener_agent_id", &request.opener_agent_id)?;
    Ok(Some(Told {
        conversation: PARSE.id("conversation_id", &request.conversation_id)?,
        number: request.number,
        revision: request.revision,
        open: request.open,
        opening: time.map(|time| Opening {
            time,
            opener,
            event: None,
            traceparent: String::new(),
        }),
        decided: false,
    }))
}
