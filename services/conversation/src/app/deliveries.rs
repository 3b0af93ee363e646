//! What became of messages to clients: states of parts, their sum, and the counter of unanswered messages that an
//! answer resets when it was sent (B03, F071, X09).

use std::collections::{BTreeMap, BTreeSet};

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::domain::chat::{Answer, Chat};
use crate::domain::delivery::{self, Part};
use crate::domain::words::{DeliveryState, MessageKind};
use crate::domain::{ChannelId, ChatId, MessageId};
use crate::error::Error;
use crate::figures;
use crate::store;
use crate::store::bots::nps::Outcome;
use crate::store::delivery::{PartKey, StoredPart};
use crate::store::message::{Key, Known, Stored};

/// What the gateway says of one part.
#[derive(Debug, Clone)]
pub struct Report {
    /// Whose it is.
    pub account: AccountSlug,
    /// The chat.
    pub chat: ChatId,
    /// Which part of which attempt.
    pub key: PartKey,
    /// What it says.
    pub part: StoredPart,
    /// The provider's keys of what was sent beside the part's own: an album has one for each picture.
    pub further_keys: Vec<String>,
}

impl Report {
    /// Returns every key by which the provider knows what was sent.
    pub fn keys(&self) -> impl Iterator<Item = Key> {
        let first = std::iter::once(&self.part.provider_key);
        first
            .chain(&self.further_keys)
            .filter(|key| !key.is_empty())
            .map(|key| (self.part.channel, key.clone()))
    }

    /// Returns those of them that its part does not hold.
    fn others(&self) -> impl Iterator<Item = Key> {
        let own = &self.part.provider_key;
        self.keys().filter(move |(_, key)| key != own)
    }
}

/// Makes a report's part.
pub fn part(
    channel: ChannelId,
    parts: i32,
    state: DeliveryState,
    time: OffsetDateTime,
) -> StoredPart {
    StoredPart {
        parts,
        channel,
        part: Part {
            state,
            reason: String::new(),
            detail: String::new(),
            retryable: false,
        },
        provider_key: String::new(),
        time,
    }
}

/// What reports led to.
#[derive(Debug, Default)]
pub struct Applied {
    /// Where messages with these provider keys are found now.
    pub sent: BTreeMap<Key, Known>,
    /// What became of messages of bots.
    pub of_bots: Vec<Outcome>,
}

/// Applies reports about messages of locked chats, but for those about `amendments` of messages.
pub async fn apply(
    connection: &mut PgConnection,
    chats: &mut BTreeMap<ChatId, Chat>,
    reports: &[Report],
    amendments: &BTreeSet<MessageId>,
) -> Result<Applied, Error> {
    let reports = reports.iter();
    let reports: Vec<_> = reports
        .filter(|report| !amendments.contains(&report.key.message))
        .collect();
    if reports.is_empty() {
        return Ok(Applied::default());
    }
    let ids: BTreeSet<MessageId> = reports.iter().map(|report| report.key.message).collect();
    let ids: Vec<MessageId> = ids.into_iter().collect();
    let mut messages = store::message::lock(connection, &ids).await?;
    // Only outgoing messages of the report's own account and chat have parts.
    messages.retain(|_, message| message.delivery.is_some() && chats.contains_key(&message.chat));
    let mut parts = store::delivery::parts(connection, &ids).await?;
    let mut changed = BTreeSet::new();
    let (mut sent, mut further) = (BTreeMap::new(), BTreeMap::new());
    for report in reports {
        let message = messages.get(&report.key.message);
        let Some(message) =
            message.filter(|m| m.account == report.account && m.chat == report.chat)
        else {
            figures::UNMATCHED.increment(1);
            continue;
        };
        if merge(&mut parts, report) {
            changed.insert(report.key);
        }
        let known = Known {
            message: message.id,
            chat: message.chat,
        };
        sent.extend(report.keys().map(|key| (key, known)));
        let others = report.others();
        further.extend(others.map(|key| (key, (message.account.clone(), known))));
    }
    store::key::keep(connection, &further).await?;
    let rows: BTreeMap<PartKey, &StoredPart> = changed
        .iter()
        .filter_map(|key| Some((*key, parts.get(key)?)))
        .collect();
    store::delivery::save_parts(connection, &rows).await?;

    let touched: BTreeSet<MessageId> = changed.iter().map(|key| key.message).collect();
    let mut answers = BTreeMap::<ChatId, Answer>::new();
    let (mut summed, mut of_bots) = (Vec::new(), Vec::new());
    for message in messages.values_mut().filter(|m| touched.contains(&m.id)) {
        // What a bot says answers nobody (D08).
        if settle(message, &parts) && message.kind == MessageKind::Agent {
            let answer = Answer {
                position: message.sequence,
                conversation: message.conversation,
            };
            let newest = answers.entry(message.chat).or_insert(answer);
            if newest.position < answer.position {
                *newest = answer;
            }
        }
        let settled = message
            .delivery
            .filter(|state| state.is_sent() || *state == DeliveryState::Failed);
        if let Some(state) = settled.filter(|_| message.kind == MessageKind::Bot) {
            of_bots.push(Outcome {
                account: message.account.clone(),
                message: message.id,
                failed: state == DeliveryState::Failed,
            });
        }
        summed.push(&*message);
    }
    store::message::deliver(connection, &summed).await?;
    answered(connection, chats, answers).await?;
    Ok(Applied { sent, of_bots })
}

/// Moves a part forward; tells whether that changed anything.
pub(super) fn merge(parts: &mut BTreeMap<PartKey, StoredPart>, report: &Report) -> bool {
    let Some(known) = parts.get_mut(&report.key) else {
        parts.insert(report.key, report.part.clone());
        return true;
    };
    let before = known.clone();
    if known.part.state.moves_to(report.part.part.state) {
        let provider_key = std::mem::take(&mut known.provider_key);
        *known = report.part.clone();
        if known.provider_key.is_empty() {
            known.provider_key = provider_key;
        }
    } else if known.provider_key.is_empty() {
        // A receipt may overtake the word that it was sent, which alone knows the provider's key.
        known.provider_key.clone_from(&report.part.provider_key);
    }
    *known != before
}

/// Sums the newest attempt of a message; tells whether any attempt was sent whole.
fn settle(message: &mut Stored, parts: &BTreeMap<PartKey, StoredPart>) -> bool {
    let mut attempts = BTreeMap::<i32, Vec<(i32, &StoredPart)>>::new();
    for (key, part) in parts.iter().filter(|(key, _)| key.message == message.id) {
        attempts
            .entry(key.attempt)
            .or_default()
            .push((key.part, part));
    }
    let mut any_sent = false;
    for (attempt, parts) in attempts {
        let known: Vec<Part> = parts.iter().map(|(_, part)| part.part.clone()).collect();
        let expected = parts.iter().map(|(_, part)| part.parts).max().unwrap_or(1);
        let sum = delivery::sum(&known, usize::try_from(expected).unwrap_or(1));
        any_sent |= sum.state.is_sent();
        if let Some((_, first)) = parts.iter().find(|(part, _)| *part == 0)
            && !first.provider_key.is_empty()
        {
            message.provider_key.clone_from(&first.provider_key);
        }
        if attempt >= message.attempt {
            message.attempt = attempt;
            message.delivery = Some(sum.state);
            message.failure_reason = sum.reason;
            message.failure_detail = sum.detail;
            message.retryable = sum.retryable;
            message.delivery_at = parts.iter().map(|(_, part)| part.time).max();
        }
    }
    any_sent
}

/// Lets answers count: what the client wrote after them stays unanswered (F071).
async fn answered(
    connection: &mut PgConnection,
    chats: &mut BTreeMap<ChatId, Chat>,
    mut answers: BTreeMap<ChatId, Answer>,
) -> Result<(), Error> {
    answers.retain(|id, answer| {
        chats
            .get(id)
            .is_some_and(|chat| chat.answered_sequence < answer.position)
    });
    if answers.is_empty() {
        return Ok(());
    }
    let positions = answers.iter().map(|(id, answer)| (*id, answer.position));
    let later = store::delivery::client_messages_after(connection, &positions.collect()).await?;
    for (id, answer) in answers {
        if let Some(chat) = chats.get_mut(&id) {
            chat.answered(answer, later.get(&id).copied().unwrap_or_default());
        }
    }
    Ok(())
}
