//! `SendMessage`: admitted, stored as queued, announced (§5, F101, B02).

use std::collections::BTreeMap;

use bytes::Bytes;
use chassis::auth::Caller;
use chassis::outbox::{self, Outgoing, Waker};
use chassis::request::{self, Claim};
use prost::Message as _;
use sqlx::{PgConnection, PgPool};
use switchboard_proto::assignment::v1 as assignment_pb;
use switchboard_proto::common::v1::{self as common, content_part::Content};
use switchboard_proto::conversation::v1 as pb;
use time::OffsetDateTime;
use tonic::Status;
use uuid::Uuid;

use super::access;
use super::announce::{self, Cause, First};
use super::assignments;
use super::bots::runs::{self, Heard, Outcome};
use super::open::{self, Opener};
use crate::domain::admission::{self, Standing};
use crate::domain::chat::Chat;
use crate::domain::preview::Preview;
use crate::domain::words::{DeliveryState, MessageKind, OpenReason};
use crate::domain::{AgentId, ChatId, MessageId};
use crate::error::{DOMAIN, Error};
use crate::figures;
use crate::store::{self, delivery::NewCommand, message::Stored};
use crate::wire;

/// How often assignment is asked before a chat that keeps changing is given up.
pub(super) const ADMISSIONS: usize = 5;

/// Asks assignment whether an agent may write.
#[tonic::async_trait]
pub trait Admission: Send + Sync + 'static {
    /// Claims, admits, or refuses with the status that the caller gets.
    async fn admit(
        &self,
        account: &chassis::id::AccountSlug,
        agent: AgentId,
        request: assignment_pb::AdmitReplyRequest,
    ) -> Result<assignment_pb::AdmitReplyResponse, Status>;
}

/// What an agent wants to send.
#[derive(Debug, Clone)]
pub struct Command {
    /// Makes it idempotent; none where the caller gave none.
    pub request_id: Option<String>,
    /// Hash of the request, which tells a repeat from a reuse.
    pub hash: [u8; 32],
    /// The chat.
    pub chat: ChatId,
    /// The call that it came by: what its request id is known under.
    pub method: &'static str,
    /// Subject of the mail that it is to be; empty elsewhere.
    pub subject: String,
    /// The text; empty where only files are sent.
    pub text: common::Text,
    /// The files, after the text.
    pub files: Vec<Uuid>,
    /// The message that is answered (F081).
    pub reply_to: Option<MessageId>,
    /// Id of the message to be.
    pub message: MessageId,
}

/// What came of one attempt.
enum Attempt {
    Stored(Box<pb::SendMessageResponse>),
    Repeated(Bytes),
    /// Assignment has to be asked, for a chat that stands so.
    Ask(Standing, assignment_pb::AdmitReplyRequest),
}

/// Assignment's word, and the standing it was given for.
pub(super) struct Admitted {
    standing: Standing,
    assignment: Option<assignment_pb::ChatAssignment>,
}

impl Admitted {
    /// Asks assignment about a chat that stands so.
    pub(super) async fn ask(
        admission: &dyn Admission,
        caller: &Caller,
        agent: AgentId,
        (standing, question): (Standing, assignment_pb::AdmitReplyRequest),
    ) -> Result<Self, Error> {
        let answer = admission.admit(caller.account(), agent, question).await;
        let assignment = answer.map_err(Error::Refused)?.assignment;
        Ok(Self {
            standing,
            assignment,
        })
    }
}

/// Stores a message for the client and queues it.
///
/// The own copy may admit; else assignment is asked with no transaction open, and what it admitted is stored only
/// if the chat still stands as it was told.
pub async fn send(
    pool: &PgPool,
    waker: &Waker,
    admission: &dyn Admission,
    caller: &Caller,
    command: &Command,
    now: OffsetDateTime,
) -> Result<pb::SendMessageResponse, Error> {
    access::may_use_chats(caller)?;
    let agent = access::agent(caller)?;
    let mut admitted = None;
    for asked in 0..=ADMISSIONS {
        let mut tx = pool.begin().await?;
        match attempt(&mut tx, caller, agent, command, admitted.as_ref(), now).await? {
            Attempt::Stored(response) => {
                tx.commit().await?;
                waker.wake();
                figures::STORED.of(["agent"]).increment(1);
                return Ok(*response);
            }
            Attempt::Repeated(answer) => return Ok(pb::SendMessageResponse::decode(answer)?),
            Attempt::Ask(standing, question) if asked < ADMISSIONS => {
                tx.rollback().await?;
                let asked = (standing, question);
                admitted = Some(Admitted::ask(admission, caller, agent, asked).await?);
            }
            Attempt::Ask(..) => break,
        }
    }
    Err(Error::ChatStateChanged)
}

async fn attempt(
    tx: &mut PgConnection,
    caller: &Caller,
    agent: AgentId,
    command: &Command,
    admitted: Option<&Admitted>,
    now: OffsetDateTime,
) -> Result<Attempt, Error> {
    let (account, method) = (caller.account(), command.method);
    // A stored answer is not for who may not see the chat any more.
    let mut chat = access::lock_chat(tx, caller, command.chat).await?;
    if let Some(request_id) = &command.request_id {
        match request::claim(tx, account, method, request_id, &command.hash, now).await? {
            Claim::New => {}
            Claim::Done(answer) => return Ok(Attempt::Repeated(answer)),
            Claim::Conflict => return Err(Error::RequestIdReused(request_id.clone())),
        }
    }
    if chat.spam {
        return Err(Error::ChatIsSpam);
    }
    if !admits(tx, &mut chat, agent, admitted).await? {
        let question = question(&chat, agent, request_key(command));
        return Ok(Attempt::Ask(Standing::of(&chat), question));
    }
    let response = store_message(tx, caller, agent, command, &mut chat, now).await?;
    if let Some(request_id) = &command.request_id {
        request::store(tx, account, method, request_id, &response.0.encode_to_vec()).await?;
    }
    outbox::write(tx, DOMAIN, response.1, now).await?;
    Ok(Attempt::Stored(Box::new(response.0)))
}

/// Tells whether an agent may write into a locked chat: by the own copy, or by what assignment has answered for a
/// chat that still stands so. Else it is to be asked.
pub(super) async fn admits(
    tx: &mut PgConnection,
    chat: &mut Chat,
    agent: AgentId,
    admitted: Option<&Admitted>,
) -> Result<bool, Error> {
    // What assignment answered holds whatever becomes of this message.
    if let Some(word) = admitted.and_then(|admitted| admitted.assignment.as_ref()) {
        assignments::learn(tx, chat, word).await?;
    }
    let standing = Standing::of(chat);
    let copy = store::assignment::get(tx, &[chat.id])
        .await?
        .remove(&chat.id);
    let by_copy = admission::copy_admits(chat, copy.as_ref(), agent);
    Ok(by_copy || admitted.is_some_and(|admitted| admitted.standing == standing))
}

/// Tells assignment what is known of the chat, which it applies first.
pub(super) fn question(
    chat: &Chat,
    agent: AgentId,
    request_id: String,
) -> assignment_pb::AdmitReplyRequest {
    let standing = Standing::of(chat);
    let episode = chat.episode.as_ref();
    assignment_pb::AdmitReplyRequest {
        request_id,
        chat_id: chat.id.to_string(),
        channel_id: chat.channel.to_string(),
        conversation_id: episode.map(|e| e.id.to_string()).unwrap_or_default(),
        number: standing.number,
        revision: standing.revision,
        open: standing.open,
        opener_agent_id: episode
            .and_then(|episode| episode.opener)
            .map(|opener| opener.to_string())
            .unwrap_or_default(),
        agent_id: agent.to_string(),
        open_time: episode.map(|episode| chassis::grpc::timestamp(episode.opened_at)),
    }
}

/// The request id, or what stands for it where the caller gave none.
pub(super) fn request_key(command: &Command) -> String {
    let own = || command.message.to_string();
    command.request_id.clone().unwrap_or_else(own)
}

pub(super) async fn store_message(
    tx: &mut PgConnection,
    caller: &Caller,
    agent: AgentId,
    command: &Command,
    chat: &mut Chat,
    now: OffsetDateTime,
) -> Result<(pb::SendMessageResponse, Vec<Outgoing>), Error> {
    let cause = Cause::request(caller.actor());
    let mut events = Vec::new();
    let mut rows = Vec::new();
    let (reply, origin) = match command.reply_to {
        Some(target) => reply(tx, chat.id, target).await?,
        None => (None, None),
    };
    if chat.open_episode().is_none() {
        let opener = Opener {
            agent,
            reason: OpenReason::AgentMessage,
            key: request_key(command),
            first: First::default(),
        };
        let row = open::open(tx, chat, opener, &cause, &mut events, now).await?;
        rows.push(row);
    }
    let mut outcome = Outcome::default();
    if chat.bot.is_some() {
        // An agent takes over from a bot.
        let mut chats = BTreeMap::from([(chat.id, chat.clone())]);
        let heard = vec![(chat.id, Heard::Agent, cause.clone())];
        let ids: Vec<Uuid> = chat.bot.iter().map(|(run, _)| *run).collect();
        let mut known = store::bots::runs::readable(tx, &ids).await?;
        outcome = runs::hear(tx, &mut chats, &mut known, heard, now).await?;
        store::bots::runs::save(tx, &outcome.runs).await?;
        if let Some(after) = chats.remove(&chat.id) {
            *chat = after;
        }
    }
    events.append(&mut outcome.events);
    rows.append(&mut outcome.rows);
    // Who answers has read what is answered.
    let before = chat.clone();
    chat.read();
    events.extend(announce::read_mark(&before, chat, &cause));
    let files: Vec<String> = command.files.iter().map(Uuid::to_string).collect();
    let content = pb::Message {
        parts: parts(&files, command.text.clone()),
        reply,
        origin,
        subject: command.subject.clone(),
        ..pb::Message::default()
    };
    let (id, kind) = (command.message, MessageKind::Agent);
    let mut row = announce::new_message(chat, id, kind, Some(agent), now, &content);
    row.delivery = Some(DeliveryState::Queued);
    row.out_seq = chat.next_command();
    row.attempt = 1;
    row.delivery_at = Some(now);
    chat.show(Preview {
        message: id,
        kind,
        text: wire::preview_text(&content.parts),
        time: now,
    });
    let message = wire::message(&row)?;
    events.push(announce::stored(chat, message.clone(), &cause));
    events.push(queue(tx, chat, &row, &cause, now).await?);
    rows.push(row);
    store::message::insert(tx, &rows, now).await?;
    store::chat::save(tx, std::iter::once(&*chat)).await?;
    let response = pb::SendMessageResponse {
        message: Some(message),
    };
    Ok((response, events))
}

/// What a message to the client holds: files, and a text where there is one.
pub(super) fn parts(files: &[String], text: common::Text) -> Vec<common::ContentPart> {
    let part = |content| common::ContentPart {
        content: Some(content),
    };
    // What a file is, the gateway knows: it says so when it takes the command.
    let files = files.iter().map(|file| {
        part(Content::Attachment(common::Attachment {
            attachment_id: file.clone(),
            state: common::attachment::State::Pending.into(),
            ..common::Attachment::default()
        }))
    });
    let mut parts: Vec<_> = files.collect();
    // Below the files, as captions stand: where a channel takes no such caption, the text goes after them.
    if !text.text.is_empty() {
        parts.push(part(Content::Text(text)));
    }
    parts
}

/// Refers to the message that is answered, with the key by which the provider knows it. An answer to a comment stands
/// under the same post, and is marked so (F091, F092).
async fn reply(
    tx: &mut PgConnection,
    chat: ChatId,
    target: MessageId,
) -> Result<(Option<common::ReplyReference>, Option<common::Origin>), Error> {
    let wrong = Error::Invalid {
        field: "reply_to_message_id",
        rule: "must be a message of this chat",
    };
    let target = store::message::get(tx, chat, target).await?.ok_or(wrong)?;
    let origin = wire::content(&target)?.origin;
    let origin = origin.filter(|origin| origin.kind() == common::origin::Kind::Comment);
    let origin = origin.map(|comment| common::Origin {
        parent_key: target.provider_key.clone(),
        ..comment
    });
    let reply = common::ReplyReference {
        message_id: target.id.to_string(),
        provider_key: target.provider_key,
        quote: String::new(),
    };
    Ok((Some(reply), origin))
}

/// Keeps the command that sends a message, under the number that its row carries, and announces it.
pub(super) async fn queue(
    tx: &mut PgConnection,
    chat: &Chat,
    row: &Stored,
    cause: &Cause,
    now: OffsetDateTime,
) -> Result<Outgoing, Error> {
    let (command, event) = queued(chat, row, cause)?;
    store::delivery::keep_commands(tx, &[command], now).await?;
    Ok(event)
}

/// Makes the command that sends a message, under the number that its row carries, and the event that announces it.
pub(super) fn queued(
    chat: &Chat,
    row: &Stored,
    cause: &Cause,
) -> Result<(NewCommand, Outgoing), Error> {
    let content = pb::Message::decode(row.body.as_slice())?;
    let command = pb::OutboundCommand {
        action: pb::outbound_command::Action::Send.into(),
        message_id: row.id.to_string(),
        chat_id: chat.id.to_string(),
        channel_id: chat.channel.to_string(),
        chat_key: chat.chat_key.clone(),
        out_seq: row.out_seq,
        attempt: row.attempt,
        parts: content.parts,
        reply: content.reply,
        agent_id: row.agent.map(|agent| agent.to_string()).unwrap_or_default(),
        conversation_id: row
            .conversation
            .map(|id| id.to_string())
            .unwrap_or_default(),
        target_keys: Vec::new(),
        emojis: Vec::new(),
        automatic: row.kind == MessageKind::Bot,
        subject: content.subject,
    };
    let kept = NewCommand {
        account: chat.account.clone(),
        chat: chat.id,
        out_seq: row.out_seq,
        command: command.encode_to_vec(),
    };
    let event = pb::MessageQueued {
        command: Some(command),
    };
    Ok((kept, announce::about_chat(chat, &event, cause)))
}
