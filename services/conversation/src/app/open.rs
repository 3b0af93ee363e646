//! A conversation that an agent opens: by writing into an inactive chat, or by starting it (F170, F205).

use chassis::auth::Caller;
use chassis::id;
use chassis::outbox::{Outgoing, Waker};
use sqlx::{PgConnection, PgPool};
use switchboard_proto::conversation::v1 as pb;
use time::OffsetDateTime;

use super::access;
use super::act::{Act, Repeat};
use super::announce::{self, Cause, First, Notice};
use crate::domain::chat::{Chat, Episode};
use crate::domain::words::OpenReason;
use crate::domain::{AgentId, ChatId};
use crate::error::Error;
use crate::store::{self, message::Stored};

/// Who opens, why, and what the conversation's id is made of beside its chat.
pub struct Opener {
    /// The agent.
    pub agent: AgentId,
    /// Why.
    pub reason: OpenReason,
    /// The request id, or what stands for it.
    pub key: String,
    /// What is new about it.
    pub first: First,
}

/// Opens a conversation in a locked chat that has none open; returns its system message.
pub async fn open(
    tx: &mut PgConnection,
    chat: &mut Chat,
    opener: Opener,
    cause: &Cause,
    events: &mut Vec<Outgoing>,
    now: OffsetDateTime,
) -> Result<Stored, Error> {
    let client = store::client::profiles(tx, &[chat.client])
        .await?
        .remove(&chat.client)
        .unwrap_or_default();
    let wanted = std::iter::once((chat.account.clone(), 1)).collect();
    let numbers = store::conversation::take_numbers(tx, &wanted).await?;
    let Opener {
        agent,
        reason,
        key,
        first,
    } = opener;
    // Three parts, where a client's message makes an id of two: no request id can be a message's key.
    let parts = [&*chat.id.to_string(), "request", &*key];
    let episode = Episode {
        id: id::v5("conversation", &parts).into(),
        number: numbers.get(&chat.account).copied().unwrap_or_default(),
        revision: 1,
        opened_at: now,
        closed_at: None,
        opener: Some(agent),
        start_payload: String::new(),
    };
    chat.open(episode.clone(), reason);
    let inserted = store::conversation::insert(tx, &[(&*chat, &episode)], reason).await;
    // A request id that opened a conversation here before, and was forgotten since.
    inserted.map_err(|error| match error {
        sqlx::Error::Database(error) if error.constraint() == Some("conversation_pkey") => {
            Error::RequestIdReused(key)
        }
        error => error.into(),
    })?;
    let why = (reason, first);
    events.push(announce::opened(chat, &episode, &client, why, cause));
    let notice = Notice {
        of: announce::of_revision(episode.id, episode.revision),
        kind: "conversation.opened",
        parameters: &[("number", episode.number.to_string())],
        time: now,
    };
    let (row, event) = announce::system(chat, &notice, cause)?;
    events.push(event);
    Ok(row)
}

/// `StartConversation`: takes an inactive chat up again (F170). Whom it belongs to assignment says when it hears of it: the
/// agent who opened it (§7, rule 0).
pub async fn start(
    pool: &PgPool,
    waker: &Waker,
    caller: &Caller,
    (chat, repeat): (ChatId, Repeat),
    now: OffsetDateTime,
) -> Result<pb::StartConversationResponse, Error> {
    const METHOD: &str = "StartConversation";
    access::may_use_chats(caller)?;
    let agent = access::agent(caller)?;
    let mut act = Act::begin(pool, caller, chat, now).await?;
    if let Some(answer) = act.repeated(METHOD, &repeat).await? {
        return Ok(answer);
    }
    if act.chat.spam {
        return Err(Error::ChatIsSpam);
    }
    if let Some(open) = act.chat.open_episode() {
        let number = open.number;
        return Err(Error::ConversationOpen { number });
    }
    let own = || id::v7(now).to_string();
    let opener = Opener {
        agent,
        reason: OpenReason::AgentStart,
        key: repeat.request_id.clone().unwrap_or_else(own),
        first: First::default(),
    };
    act.open(opener).await?;
    let answer = pb::StartConversationResponse {
        chat: Some(act.shown().await?),
    };
    act.remember(METHOD, &repeat, &answer).await?;
    act.finish(waker).await?;
    Ok(answer)
}
