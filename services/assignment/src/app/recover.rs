//! Recovery (O3.10): chats as conversations' events and our own tell them. Nobody is chosen anew for a chat that had somebody,
//! and versions go on above what others have heard.

use std::collections::{BTreeMap, BTreeSet};

use chassis::id::{AccountSlug, AgentId};
use chassis::stamp::Stamp;
use sqlx::PgConnection;
use switchboard_proto::assignment::v1::PartReason;
use time::OffsetDateTime;

use super::hear::Report;
use crate::domain::chat::{Chat, Told};
use crate::domain::words::GivenBack;
use crate::domain::{ChannelId, ChatId, ConversationId};
use crate::store::{chats, conversations, recovery};

/// Who answers for a chat after an event of ours.
#[derive(Debug, Clone)]
pub struct Answering {
    /// The account.
    pub account: AccountSlug,
    /// The chat.
    pub chat: ChatId,
    /// Its channel.
    pub channel: ChannelId,
    /// The conversation.
    pub conversation: Option<ConversationId>,
    /// Its number.
    pub number: i64,
    /// The responsible.
    pub agent: Option<AgentId>,
    /// Who has joined, longest first.
    pub participants: Vec<AgentId>,
    /// Stamp of the responsible.
    pub stamp: Stamp,
    /// Version of the assignment.
    pub version: i64,
    /// Until when the responsible has to take the chat.
    pub offer_end: Option<OffsetDateTime>,
    /// What was to become of the chat, where the responsible was taken away.
    pub given_back: Option<GivenBack>,
}

/// What an event tells of a chat.
#[derive(Debug, Clone)]
pub enum Word {
    /// What its conversation did.
    Heard(Box<Report>),
    /// Who answers for it.
    Answering(Answering),
}

impl Word {
    fn place(&self) -> (ChatId, (AccountSlug, ChannelId)) {
        match self {
            Self::Heard(report) => (report.chat, (report.account.clone(), report.channel)),
            Self::Answering(told) => (told.chat, (told.account.clone(), told.channel)),
        }
    }
}

/// What was to become of a chat that somebody was taken from: by a hand it waits for a hand, by a rule for a rule.
pub const fn given_back(reason: PartReason) -> GivenBack {
    match reason {
        PartReason::Unassigned | PartReason::Unspecified => GivenBack::Stays,
        _ => GivenBack::Queued,
    }
}

/// Applies words in their order.
pub async fn apply(
    connection: &mut PgConnection,
    words: Vec<Word>,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    if words.is_empty() {
        return Ok(());
    }
    let places: BTreeMap<ChatId, _> = words.iter().map(Word::place).collect();
    chats::insert_missing(connection, &places).await?;
    let ids: BTreeSet<ChatId> = places.into_keys().collect();
    let locked = chats::lock(connection, &ids).await?;
    let mut known: BTreeMap<ChatId, Chat> =
        locked.into_iter().map(|chat| (chat.id, chat)).collect();
    let mut rows = BTreeMap::new();
    for word in words {
        let (id, (account, _)) = word.place();
        let Some(chat) = known.get_mut(&id).filter(|chat| chat.account == account) else {
            continue;
        };
        match word {
            Word::Heard(report) => {
                chat.hear(&report.told);
                if let Some(row) = report.row {
                    let kept = rows.entry(row.id.uuid()).or_insert_with(|| row.clone());
                    kept.opened_event = kept.opened_event.or(row.opened_event);
                    kept.decided_event = kept.decided_event.or(row.decided_event);
                }
            }
            Word::Answering(told) => answer(chat, told),
        }
    }
    let rows: Vec<_> = rows.into_values().collect();
    conversations::keep(connection, &rows, now).await?;
    let known: Vec<&Chat> = known.values().collect();
    chats::write(connection, &known).await?;
    recovery::keep_participants(connection, &known, now).await
}

/// Makes a chat what an event of ours tells of it.
fn answer(chat: &mut Chat, told: Answering) {
    if told.version < chat.version && told.number <= chat.number {
        return;
    }
    if let Some(conversation) = told.conversation.filter(|_| told.number > chat.number) {
        // We had been told of it before the event came here, as by a reply that opened it.
        chat.hear(&Told {
            conversation,
            number: told.number,
            revision: 0,
            open: true,
            opening: None,
            decided: false,
        });
    }
    chat.version = chat.version.max(told.version);
    if told.number < chat.number {
        // Told late: of the conversation before.
        chat.previous = told.agent.or(chat.previous);
        return;
    }
    chat.agent = told.agent;
    chat.participants = told.participants;
    chat.stamp = told.stamp;
    chat.offer_end = told.offer_end;
    // Those who go with the responsible are told of afterwards, and not why.
    let gone = told.given_back.or(chat.given_back);
    chat.given_back = gone.filter(|_| told.agent.is_none());
    chat.waiting_reasons.clear();
}

/// Counts the loads of agents anew.
pub async fn count(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    recovery::count_loads(connection).await
}

/// Compares what was told with what is stored: no version that others heard is above ours.
pub async fn compare(
    connection: &mut PgConnection,
    told: &[Answering],
) -> Result<Vec<String>, sqlx::Error> {
    let mut newest = BTreeMap::<ChatId, i64>::new();
    for one in told {
        let version = newest.entry(one.chat).or_default();
        *version = (*version).max(one.version);
    }
    let stored = recovery::versions(connection, &newest).await?;
    let mut differences = Vec::new();
    for (chat, version) in newest {
        match stored.get(&chat) {
            None => differences.push(format!("chat {chat} was told of and is not stored")),
            Some(stored) if *stored < version => differences.push(format!(
                "chat {chat} is at version {stored}, and {version} was told"
            )),
            Some(_) => {}
        }
    }
    Ok(differences)
}
