//! `EditMessage`, `DeleteMessage`, `ReactToMessage`: what agents change of messages that are out. The provider is asked by a
//! command of its own, and the message changes when it has done so.

use std::collections::{BTreeMap, BTreeSet};

use chassis::actor::Actor;
use chassis::auth::Caller;
use chassis::grpc::timestamp;
use chassis::outbox::{Outgoing, Waker};
use prost::Message as _;
use sqlx::{PgConnection, PgPool};
use switchboard_proto::common::v1::{self as common, content_part::Content};
use switchboard_proto::conversation::v1::{self as pb, outbound_command::Action};
use time::OffsetDateTime;

use super::act::{Act, Repeat};
use super::announce::{self, Cause};
use super::deliveries::Report;
use super::{access, amend, send};
use crate::domain::amendment::Moment;
use crate::domain::chat::Chat;
use crate::domain::delivery;
use crate::domain::own_amendment::{How, Target, decide};
use crate::domain::words::{AmendmentKind, DeliveryState, MessageKind};
use crate::domain::{AgentId, ChatId, MessageId};
use crate::error::Error;
use crate::store;
use crate::store::delivery::NewCommand;
use crate::store::message::Stored;
use crate::store::own_amendment::OwnAmendment;
use crate::wire;

/// The actor under which the channel's one reaction stands, whichever agent set it.
const CHANNEL: &str = "rule:channel";

/// What is to be changed.
#[derive(Debug, Clone)]
pub enum Wanted {
    /// The text.
    Edit(common::Text),
    /// The message is taken back.
    Deletion,
    /// The reaction; empty takes it back.
    Reaction(String),
}

impl Wanted {
    const fn kind(&self) -> AmendmentKind {
        match self {
            Self::Edit(_) => AmendmentKind::Edit,
            Self::Deletion => AmendmentKind::Deletion,
            Self::Reaction(_) => AmendmentKind::Reaction,
        }
    }

    const fn method(&self) -> &'static str {
        match self {
            Self::Edit(_) => "EditMessage",
            Self::Deletion => "DeleteMessage",
            Self::Reaction(_) => "ReactToMessage",
        }
    }
}

/// A change that an agent asks for.
#[derive(Debug, Clone)]
pub struct Command {
    /// What makes it idempotent.
    pub repeat: Repeat,
    /// The chat.
    pub chat: ChatId,
    /// The message.
    pub message: MessageId,
    /// What is to be changed.
    pub wanted: Wanted,
    /// Id of the command to be.
    pub id: MessageId,
}

/// Changes a message, or has the provider asked to. Returns it as it is now.
pub async fn amend(
    pool: &PgPool,
    waker: &Waker,
    caller: &Caller,
    command: Command,
    now: OffsetDateTime,
) -> Result<pb::Message, Error> {
    access::may_use_chats(caller)?;
    let agent = access::agent(caller)?;
    let (method, kind) = (command.wanted.method(), command.wanted.kind());
    let mut act = Act::begin(pool, caller, command.chat, now).await?;
    if let Some(answer) = act.repeated(method, &command.repeat).await? {
        return Ok(answer);
    }
    let found = store::message::lock(&mut act.tx, &[command.message]).await?;
    let mut row = found
        .into_values()
        .find(|row| row.chat == act.chat.id)
        .ok_or(Error::MessageNotFound)?;
    let how = decide(agent, kind, target(&act.chat, &row)).map_err(Error::NotAmended)?;
    if kind == AmendmentKind::Reaction
        && !send::admits(&mut act.tx, &mut act.chat, agent, None).await?
    {
        return Err(Error::NotInChat);
    }
    let answer = match how {
        How::AtOnce => {
            let moment = Moment::new(now, command.id.to_string());
            let actor = act.cause.actor.clone();
            let body = edited_body(&row, &command.wanted)?;
            let event = apply(&act.chat, &mut row, (kind, &body, ""), &moment, actor)?;
            store::message::amend(&mut act.tx, &[&row]).await?;
            act.events_extend(event);
            wire::message(&row)?
        }
        How::ByCommand => {
            let amendment = ask(&mut act, &row, &command, agent).await?;
            let mut message = wire::message(&row)?;
            message.amendment = Some(wire::amendment(&amendment));
            message
        }
    };
    act.remember(method, &command.repeat, &answer).await?;
    act.finish(waker).await?;
    Ok(answer)
}

fn target(chat: &Chat, row: &Stored) -> Target {
    Target {
        channel: chat.channel_kind,
        kind: row.kind,
        author: row.agent,
        delivery: row.delivery,
        deleted: row.deleted_at.is_some(),
        has_key: !row.provider_key.is_empty(),
    }
}

/// The content as an edit will have it: files stay, and the text stands below them as it did. Empty for all else.
fn edited_body(row: &Stored, wanted: &Wanted) -> Result<Vec<u8>, Error> {
    let Wanted::Edit(text) = wanted else {
        return Ok(Vec::new());
    };
    let mut content = wire::content(row)?;
    let is_text =
        |part: &common::ContentPart| matches!(part.content, Some(Content::Text(_)) | None);
    content.parts.retain(|part| !is_text(part));
    content.parts.push(common::ContentPart {
        content: Some(Content::Text(text.clone())),
    });
    Ok(wire::body(&content))
}

/// Keeps what is asked for, and queues the command.
async fn ask(
    act: &mut Act,
    row: &Stored,
    command: &Command,
    agent: AgentId,
) -> Result<OwnAmendment, Error> {
    let newest = store::own_amendment::newest(&mut act.tx, &[row.id]).await?;
    let under_way = [DeliveryState::Queued, DeliveryState::Sending];
    if newest.values().any(|one| under_way.contains(&one.state)) {
        return Err(Error::AmendmentUnderWay);
    }
    let amendment = OwnAmendment {
        id: command.id,
        account: act.chat.account.clone(),
        chat: act.chat.id,
        message: row.id,
        kind: command.wanted.kind(),
        agent,
        body: edited_body(row, &command.wanted)?,
        emoji: match &command.wanted {
            Wanted::Reaction(emoji) => emoji.clone(),
            _ => String::new(),
        },
        state: DeliveryState::Queued,
        reason: String::new(),
        detail: String::new(),
        created_at: act.now,
    };
    store::own_amendment::insert(&mut act.tx, &amendment).await?;
    let target_keys = match row.kind {
        MessageKind::Client => vec![row.provider_key.clone()],
        _ => store::own_amendment::keys(&mut act.tx, row.id, row.attempt).await?,
    };
    let action = match amendment.kind {
        AmendmentKind::Edit => Action::Edit,
        AmendmentKind::Deletion => Action::Delete,
        AmendmentKind::Reaction => Action::React,
    };
    let content = pb::Message::decode(amendment.body.as_slice())?;
    let emojis = Some(amendment.emoji.clone()).filter(|emoji| !emoji.is_empty());
    let queued = pb::OutboundCommand {
        action: action.into(),
        message_id: amendment.id.to_string(),
        chat_id: act.chat.id.to_string(),
        channel_id: act.chat.channel.to_string(),
        chat_key: act.chat.chat_key.clone(),
        out_seq: act.chat.next_command(),
        attempt: 1,
        parts: content.parts,
        reply: None,
        agent_id: agent.to_string(),
        conversation_id: row
            .conversation
            .map(|id| id.to_string())
            .unwrap_or_default(),
        target_keys,
        emojis: emojis.into_iter().collect(),
        automatic: false,
        subject: String::new(),
    };
    let (account, chat, out_seq) = (&act.chat.account, act.chat.id, queued.out_seq);
    let encoded = queued.encode_to_vec();
    let command = NewCommand {
        account: account.clone(),
        chat,
        out_seq,
        command: encoded,
    };
    store::delivery::keep_commands(&mut act.tx, &[command], act.now).await?;
    let event = pb::MessageQueued {
        command: Some(queued),
    };
    act.tell(announce::about_chat(&act.chat, &event, &act.cause));
    Ok(amendment)
}

/// Changes a locked message; what is older than what it has changes nothing.
fn apply(
    chat: &Chat,
    row: &mut Stored,
    (kind, body, emoji): (AmendmentKind, &[u8], &str),
    moment: &Moment,
    actor: Option<Actor>,
) -> Result<Option<Outgoing>, Error> {
    let cause = Cause {
        id: None,
        trace: chassis::trace::TraceContext::current(),
        actor,
    };
    match kind {
        AmendmentKind::Edit => {
            if row.deleted_at.is_some()
                || row.edited.as_ref().is_some_and(|edited| edited >= moment)
            {
                return Ok(None);
            }
            row.body = body.to_vec();
            row.edited = Some(moment.clone());
            let event = amend::edited(chat, row, false)?;
            Ok(Some(announce::about_chat(chat, &event, &cause)))
        }
        AmendmentKind::Deletion => {
            if row.deleted_at.is_some() {
                return Ok(None);
            }
            let mut content = wire::content(row)?;
            wire::erase(&mut content);
            content.album.clear();
            row.body = wire::body(&content);
            row.deleted_at = Some(moment.time);
            let event = pb::MessageDeleted {
                message_id: row.id.to_string(),
                chat_id: chat.id.to_string(),
                time: Some(timestamp(moment.time)),
            };
            Ok(Some(announce::about_chat(chat, &event, &cause)))
        }
        AmendmentKind::Reaction => {
            let emojis: Vec<String> = Some(emoji.to_owned())
                .filter(|emoji| !emoji.is_empty())
                .into_iter()
                .collect();
            if !row.reactions.set(CHANNEL, moment, &emojis) {
                return Ok(None);
            }
            let event = pb::MessageReacted {
                message_id: row.id.to_string(),
                chat_id: chat.id.to_string(),
                reactions: row.reactions.out(),
            };
            Ok(Some(announce::about_chat(chat, &event, &cause)))
        }
    }
}

/// Applies what the gateway says of such commands in locked chats. Returns their ids: what is said of them is said of no message.
pub async fn reported(
    connection: &mut PgConnection,
    chats: &mut BTreeMap<ChatId, Chat>,
    reports: &[Report],
    events: &mut Vec<Outgoing>,
) -> Result<BTreeSet<MessageId>, Error> {
    let ids: BTreeSet<MessageId> = reports.iter().map(|report| report.key.message).collect();
    let ids: Vec<MessageId> = ids.into_iter().collect();
    if ids.is_empty() {
        return Ok(BTreeSet::new());
    }
    let mut amendments = store::own_amendment::lock(connection, &ids).await?;
    if amendments.is_empty() {
        return Ok(BTreeSet::new());
    }
    let mine: BTreeSet<MessageId> = amendments.keys().copied().collect();
    let messages: BTreeSet<MessageId> = amendments.values().map(|one| one.message).collect();
    let messages: Vec<MessageId> = messages.into_iter().collect();
    let mut messages = store::message::lock(connection, &messages).await?;
    let ids: Vec<MessageId> = mine.iter().copied().collect();
    let mut parts = store::delivery::parts(connection, &ids).await?;
    let mut changed = BTreeSet::new();
    let own = |report: &&Report| {
        let amendment = amendments.get(&report.key.message);
        amendment.is_some_and(|one| one.account == report.account && one.chat == report.chat)
    };
    for report in reports.iter().filter(own) {
        if super::deliveries::merge(&mut parts, report) {
            changed.insert(report.key);
        }
    }
    let rows = changed
        .iter()
        .filter_map(|key| Some((*key, parts.get(key)?)));
    store::delivery::save_parts(connection, &rows.collect()).await?;
    let (mut saved, mut amended) = (Vec::new(), BTreeSet::new());
    for amendment in amendments.values_mut() {
        let of = parts.iter().filter(|(key, _)| key.message == amendment.id);
        let of: Vec<_> = of.map(|(_, part)| part).collect();
        let known: Vec<_> = of.iter().map(|part| part.part.clone()).collect();
        let expected = of.iter().map(|part| part.parts).max().unwrap_or(1);
        let sum = delivery::sum(&known, usize::try_from(expected).unwrap_or(1));
        if !amendment.state.moves_to(sum.state) {
            continue;
        }
        amendment.state = sum.state;
        amendment.reason = sum.reason;
        amendment.detail = sum.detail;
        saved.push(amendment.id);
        let (Some(chat), Some(row)) = (
            chats.get_mut(&amendment.chat),
            messages.get_mut(&amendment.message),
        ) else {
            continue;
        };
        let actor = Actor::Agent(amendment.agent.uuid());
        if amendment.state.is_sent() {
            let time = of.iter().map(|part| part.time).max();
            let moment = Moment::new(
                time.unwrap_or(amendment.created_at),
                amendment.id.to_string(),
            );
            let change = (amendment.kind, &*amendment.body, &*amendment.emoji);
            events.extend(apply(chat, row, change, &moment, Some(actor))?);
            amend::refresh(chat, row)?;
            amended.insert(row.id);
        } else if !matches!(
            amendment.state,
            DeliveryState::Queued | DeliveryState::Sending
        ) {
            let event = pb::MessageAmendmentFailed {
                message_id: amendment.message.to_string(),
                chat_id: amendment.chat.to_string(),
                amendment: Some(wire::amendment(amendment)),
            };
            let cause = Cause::request(actor);
            events.push(announce::about_chat(chat, &event, &cause));
        }
    }
    let saved: Vec<&OwnAmendment> = saved.iter().filter_map(|id| amendments.get(id)).collect();
    store::own_amendment::save(connection, &saved).await?;
    let amended: Vec<&Stored> = amended.iter().filter_map(|id| messages.get(id)).collect();
    store::message::amend(connection, &amended).await?;
    Ok(mine)
}

/// Says of messages what agents last asked to be changed of them, where that has not been done.
pub async fn describe(
    connection: &mut PgConnection,
    rows: &[Stored],
    messages: &mut [pb::Message],
) -> Result<(), Error> {
    // Only what is at the provider can be changed there.
    let ids: Vec<MessageId> = rows
        .iter()
        .filter(|row| row.delivery.is_some() || row.kind == MessageKind::Client)
        .map(|row| row.id)
        .collect();
    let newest = store::own_amendment::newest(connection, &ids).await?;
    for (row, message) in rows.iter().zip(messages) {
        let amendment = newest.get(&row.id);
        message.amendment = amendment
            .filter(|amendment| !amendment.state.is_sent())
            .map(wire::amendment);
    }
    Ok(())
}
