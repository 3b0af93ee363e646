//! The events of this service, and the system messages that go with them.

use chassis::actor::Actor;
use chassis::grpc::{timestamp, timestamp_opt};
use chassis::outbox::Outgoing;
use chassis::trace::TraceContext;
use switchboard_proto::DomainEvent;
use switchboard_proto::conversation::v1 as pb;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::chat::{Chat, Episode};
use crate::domain::words::{MessageKind, OpenReason};
use crate::domain::{AgentId, ConversationId, MessageId};
use crate::store::client::Profile;
use crate::store::message::Stored;
use crate::wire;

/// What led to an event: the event or item before it, its trace, and who acted.
#[derive(Debug, Clone)]
pub struct Cause {
    /// Id of the event or inbound item; none for a request.
    pub id: Option<Uuid>,
    /// The trace it belongs to.
    pub trace: TraceContext,
    /// Who acted.
    pub actor: Option<Actor>,
}

impl Cause {
    /// Makes the cause of what a request does.
    pub fn request(actor: Actor) -> Self {
        Self {
            id: None,
            trace: TraceContext::current(),
            actor: Some(actor),
        }
    }

    /// Returns the same cause with another actor.
    #[must_use]
    pub fn by(&self, actor: Actor) -> Self {
        Self {
            actor: Some(actor),
            ..self.clone()
        }
    }

    /// Returns the actor as system messages name it; empty where nobody is known.
    pub fn actor_text(&self) -> String {
        self.actor
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default()
    }
}

/// Makes an event about a chat.
pub fn about_chat(chat: &Chat, event: &impl DomainEvent, cause: &Cause) -> Outgoing {
    outgoing(Outgoing::new(&chat.account, chat.id, event), cause)
}

/// Adds a cause to an event.
pub fn outgoing(event: Outgoing, cause: &Cause) -> Outgoing {
    let event = event.cause(cause.id).trace(cause.trace.clone());
    match &cause.actor {
        Some(actor) => event.actor(actor.clone()),
        None => event,
    }
}

/// `chat.created`
pub fn chat_created(chat: &Chat, client: &Profile, cause: &Cause) -> Outgoing {
    let event = pb::ChatCreated {
        chat_id: chat.id.to_string(),
        channel_id: chat.channel.to_string(),
        channel_kind: wire::channel_kind_out(chat.channel_kind),
        client_id: chat.client.to_string(),
        client: Some(wire::identity_out(client)),
        create_time: Some(timestamp(chat.created_at)),
        chat_key: chat.chat_key.clone(),
    };
    about_chat(chat, &event, cause)
}

/// What is new when a conversation is opened.
#[derive(Debug, Clone, Copy, Default)]
pub struct First {
    /// The chat was created by the same act.
    pub of_chat: bool,
    /// The contact whom an agent writes to first (F084).
    pub to: Option<Uuid>,
}

/// `conversation.opened`
pub fn opened(
    chat: &Chat,
    episode: &Episode,
    client: &Profile,
    (reason, first): (OpenReason, First),
    cause: &Cause,
) -> Outgoing {
    let event = pb::ConversationOpened {
        conversation_id: episode.id.to_string(),
        chat_id: chat.id.to_string(),
        channel_id: chat.channel.to_string(),
        channel_kind: wire::channel_kind_out(chat.channel_kind),
        client_id: chat.client.to_string(),
        client: Some(wire::identity_out(client)),
        number: episode.number,
        revision: episode.revision,
        reason: wire::open_reason_out(reason),
        opener_agent_id: episode
            .opener
            .map(|agent| agent.to_string())
            .unwrap_or_default(),
        chat_is_new: first.of_chat,
        chat_create_time: Some(timestamp(chat.created_at)),
        open_time: Some(timestamp(episode.opened_at)),
        start_payload: episode.start_payload.clone(),
        contact_id: first
            .to
            .map(|contact| contact.to_string())
            .unwrap_or_default(),
    };
    about_chat(chat, &event, cause)
}

/// `conversation.continued`
pub fn continued(chat: &Chat, episode: &Episode, now: OffsetDateTime, cause: &Cause) -> Outgoing {
    let event = pb::ConversationContinued {
        conversation_id: episode.id.to_string(),
        chat_id: chat.id.to_string(),
        channel_id: chat.channel.to_string(),
        number: episode.number,
        revision: episode.revision,
        time: Some(timestamp(now)),
    };
    about_chat(chat, &event, cause)
}

/// `conversation.closed`
pub fn closed(chat: &Chat, episode: &Episode, cause: &Cause) -> Outgoing {
    let event = pb::ConversationClosed {
        conversation_id: episode.id.to_string(),
        chat_id: chat.id.to_string(),
        channel_id: chat.channel.to_string(),
        number: episode.number,
        revision: episode.revision,
        close_time: timestamp_opt(episode.closed_at),
        actor: cause.actor_text(),
    };
    about_chat(chat, &event, cause)
}

/// `conversation.read`, where the mark of the conversation changed between two moments of its chat.
pub fn read_mark(before: &Chat, chat: &Chat, cause: &Cause) -> Option<Outgoing> {
    let episode = chat.episode.as_ref()?;
    (before.read_version != chat.read_version).then(|| {
        let event = pb::ConversationRead {
            conversation_id: episode.id.to_string(),
            chat_id: chat.id.to_string(),
            channel_id: chat.channel.to_string(),
            number: episode.number,
            unread: chat.unread,
            version: chat.read_version,
        };
        about_chat(chat, &event, cause)
    })
}

/// `chat.snoozed`, where a chat was put out of sight, taken up again, or has another time, between two moments of it.
pub fn snoozed(before: &Chat, chat: &Chat, cause: &Cause) -> Option<Outgoing> {
    (before.snooze != chat.snooze).then(|| {
        let event = pb::ChatSnoozed {
            chat_id: chat.id.to_string(),
            channel_id: chat.channel.to_string(),
            snoozed: chat.snooze.is_some(),
            wake_time: timestamp_opt(chat.snooze.and_then(|snooze| snooze.until)),
        };
        about_chat(chat, &event, cause)
    })
}

/// `message.stored`
pub fn stored(chat: &Chat, message: pb::Message, cause: &Cause) -> Outgoing {
    let event = pb::MessageStored {
        message: Some(carried(message)),
        channel_id: chat.channel.to_string(),
        unanswered: chat.unanswered,
    };
    about_chat(chat, &event, cause)
}

/// Leaves out of a message what events do not carry: the whole text of a mail, which may be large.
pub fn carried(mut message: pb::Message) -> pb::Message {
    message.full_text.clear();
    message
}

/// A message that has no row yet, in its chat's next place.
pub fn new_message(
    chat: &mut Chat,
    id: MessageId,
    kind: MessageKind,
    agent: Option<AgentId>,
    time: OffsetDateTime,
    content: &pb::Message,
) -> Stored {
    Stored {
        id,
        account: chat.account.clone(),
        chat: chat.id,
        channel: chat.channel,
        conversation: chat.episode.as_ref().map(|episode| episode.id),
        kind,
        agent,
        body: wire::body(content),
        provider_key: String::new(),
        provider_number: 0,
        time,
        sequence: chat.next_sequence(),
        edited: None,
        deleted_at: None,
        reactions: wire::Reactions::default(),
        delivery: None,
        out_seq: 0,
        attempt: 0,
        failure_reason: String::new(),
        failure_detail: String::new(),
        retryable: false,
        delivery_at: None,
    }
}

/// A system message (F082, F083): the row and its event. `of` is what it reports, once.
pub struct Notice<'n> {
    /// What the id is made of: the event that led here, or conversation and revision.
    pub of: String,
    /// Kind, for example `conversation.opened`.
    pub kind: &'static str,
    /// Parameters.
    pub parameters: &'n [(&'n str, String)],
    /// When; history sorts it there.
    pub time: OffsetDateTime,
}

/// Writes a system message into a chat.
pub fn system(
    chat: &mut Chat,
    notice: &Notice<'_>,
    cause: &Cause,
) -> Result<(Stored, Outgoing), prost::DecodeError> {
    let content = pb::Message {
        system: Some(wire::notice(
            notice.kind,
            notice.parameters,
            cause.actor_text(),
        )),
        ..pb::Message::default()
    };
    let id = wire::system_id(&notice.of, notice.kind);
    let row = new_message(chat, id, MessageKind::System, None, notice.time, &content);
    let event = stored(chat, wire::message(&row)?, cause);
    Ok((row, event))
}

/// What the id of a system message about a conversation's change of state is made of.
pub fn of_revision(conversation: ConversationId, revision: i64) -> String {
    format!("{conversation}/{revision}")
}

/// What the id of a system message about an act upon a chat is made of: the place that it takes.
pub fn of_act(chat: &Chat) -> String {
    format!("{}/{}", chat.id, chat.sequence + 1)
}
