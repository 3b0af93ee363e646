//! Responsibles kept in step between chats and CRM (architecture §8, F033-F059).
//!
//! One act goes one step: what a chat took from CRM is not sent to CRM, and what an entity took from a chat changes no other
//! chat before its next opening. So crossing changes end (X05), and nobody loses a chat because a colleague took another one
//! of the same client.

use std::collections::{BTreeMap, BTreeSet};

use chassis::actor::Actor;
use chassis::id::{AccountSlug, v7};
use chassis::outbox::Outgoing;
use chassis::stamp::Stamp;
use switchboard_proto::assignment::v1::{ResponsibleSyncRequested, ResponsibleSyncSkipped};
use time::OffsetDateTime;
use uuid::Uuid;

use super::App;
use super::assign::{Act, Assigned, FromCrm, Origin, assign};
use super::board::{AgentKey, Board, Saved};
use super::memory::Memory;
use crate::domain::ChatId;
use crate::domain::candidates::{Candidate, LeftOut, barred};
use crate::domain::chat::Chat;
use crate::domain::sync::{Linked, Wanted, wanted};
use crate::domain::words::Rule;
use crate::figures;
use crate::store::policies::ChannelKey;
use crate::store::sync as store;
use crate::wire;

/// What events of this name as their actor.
const NAME: &str = "responsible-from-crm";

/// How long what was told of entities is kept. Openings are decided within seconds, and a stream holds what comes late for
/// seven days.
const KEPT: time::Duration = time::Duration::days(8);

/// Rows forgotten at once.
const AT_ONCE: i64 = 1_000;

/// An entity of CRM got another responsible, or was created with one (F043, F044).
#[derive(Debug, Clone)]
pub struct Change {
    /// The account.
    pub account: AccountSlug,
    /// The entity.
    pub linked: Linked,
    /// All chats that it is linked to (F047).
    pub chats: Vec<ChatId>,
    /// The event.
    pub origin: Origin,
}

/// Whom events of a synchronisation name.
pub fn actor() -> Actor {
    Actor::Sync(NAME.to_owned())
}

/// A chat's responsible that entities may have to take.
#[derive(Debug)]
pub struct Requested {
    channel: ChannelKey,
    chat: ChatId,
    event: ResponsibleSyncRequested,
}

/// Returns what is asked of CRM after an act by this rule. What was taken from there is not sent back (X05); a provisional
/// choice waits for the decision.
pub fn request(chat: &Chat, rule: Rule) -> Option<Requested> {
    let agent = chat
        .agent
        .filter(|_| rule != Rule::Crm && chat.stamp > Stamp::ZERO)?;
    Some(Requested {
        channel: (chat.account.clone(), chat.channel),
        chat: chat.id,
        event: ResponsibleSyncRequested {
            chat_id: chat.id.to_string(),
            agent_id: agent.to_string(),
            kinds: Vec::new(),
            stamp: Some(wire::stamp(chat.stamp)),
            channel_id: chat.channel.to_string(),
            conversation_id: chat.conversation.to_string(),
            number: chat.number,
        },
    })
}

/// Asks CRM to put a responsible on linked entities, where the channel wants that of any kind (F052).
pub fn announce(
    board: &mut Board,
    requested: Option<Requested>,
    actor: &Actor,
    origin: &Origin,
    now: OffsetDateTime,
) {
    let Some(mut requested) = requested else {
        return;
    };
    let Some(policy) = board.sync(&requested.channel) else {
        return;
    };
    if policy.to_crm.is_empty() {
        return;
    }
    let kinds = policy
        .to_crm
        .iter()
        .map(|kind| wire::sync::kind(*kind).into());
    requested.event.kinds = kinds.collect();
    let event = Outgoing::with_id(
        v7(now),
        &requested.channel.0,
        requested.chat,
        &requested.event,
    )
    .actor(actor.clone())
    .cause(origin.cause)
    .trace(origin.trace.clone());
    board.announce(event);
}

/// Tells which responsibles of entities were not taken, and why (X06).
pub fn report_skipped(
    board: &mut Board,
    id: ChatId,
    crm: &[Wanted],
    candidates: &[Candidate],
    origin: &Origin,
    now: OffsetDateTime,
) {
    for wanted in crm {
        let looked_at = candidates
            .iter()
            .find(|candidate| candidate.agent == wanted.agent);
        if let Some(why) = looked_at.and_then(|candidate| candidate.left_out) {
            skipped(board, id, wanted, why, origin, now);
        }
    }
}

fn skipped(
    board: &mut Board,
    id: ChatId,
    wanted: &Wanted,
    why: LeftOut,
    origin: &Origin,
    now: OffsetDateTime,
) {
    let Some(chat) = board.chat(id) else {
        return;
    };
    let account = chat.account.clone();
    let event = ResponsibleSyncSkipped {
        chat_id: id.to_string(),
        channel_id: chat.channel.to_string(),
        entity: Some(wire::sync::linked(wanted)),
        reason: why.as_str().to_owned(),
    };
    figures::SYNC_SKIPPED.of([why.as_str()]).increment(1);
    board.announce(
        Outgoing::with_id(v7(now), &account, id, &event)
            .actor(actor())
            .cause(origin.cause)
            .trace(origin.trace.clone()),
    );
}

/// Puts the first of these responsibles on an open chat whose act is later than the one in place and who may have it. Their
/// loads and the one of the responsible in place must be locked. `entity_changed` tells a change in the midst of a conversation
/// from its opening. Returns whether there was one.
pub fn take(
    board: &mut Board,
    id: ChatId,
    (crm, entity_changed): (&[Wanted], bool),
    origin: &Origin,
    now: OffsetDateTime,
) -> bool {
    for wanted in crm {
        let Some(chat) = board
            .chat(id)
            .filter(|chat| chat.open && chat.stamp < wanted.stamp)
        else {
            return false;
        };
        let staff = board.staff(&chat.account);
        let colleague = staff.and_then(|staff| staff.get(&wanted.agent));
        let left_out = colleague.map_or(Some(LeftOut::AgentUnknown), |colleague| {
            barred(colleague, chat.channel)
        });
        if let Some(why) = left_out {
            skipped(board, id, wanted, why, origin, now);
            continue;
        }
        let candidate = Candidate::only(wanted.agent, colleague.map_or(0, |c| c.load));
        let act = Act {
            chat: id,
            agent: wanted.agent,
            rule: Rule::Crm,
            actor: actor(),
            expected: None,
            candidates: vec![candidate],
            origin: origin.clone(),
            request: String::new(),
            offer_end: None,
            crm: Some(FromCrm {
                stamp: wanted.stamp,
                entity_changed,
            }),
        };
        if assign(board, act, now) == Ok(Assigned::InPlace)
            && let Some(chat) = board.change(id)
        {
            // In place already: no event, but what is older does not come over it any more.
            chat.stamp = wanted.stamp;
        }
        return true;
    }
    false
}

/// What changes have told of the entities that openings tell of, by account and id. It comes before chats are locked.
pub async fn known(
    connection: &mut sqlx::PgConnection,
    told: &BTreeMap<ChannelKey, Vec<Linked>>,
    now: OffsetDateTime,
) -> Result<BTreeMap<(AccountSlug, Uuid), Linked>, sqlx::Error> {
    let channels = told.keys().cloned().collect();
    let syncs = store::of_channels(connection, &channels).await?;
    let mut named = BTreeMap::new();
    for (channel, linked) in told {
        let policy = syncs.get(channel);
        if policy.is_none_or(|policy| policy.from_crm.is_empty()) {
            continue;
        }
        for entity in linked {
            named.insert((channel.0.clone(), entity.entity), entity.kind);
        }
    }
    store::hold_known(connection, &named, now).await
}

fn keep(
    newest: &mut BTreeMap<(AccountSlug, Uuid), Linked>,
    account: &AccountSlug,
    entity: &Linked,
) {
    let kept = newest
        .entry((account.clone(), entity.entity))
        .or_insert_with(|| entity.clone());
    if kept.stamp < entity.stamp {
        kept.clone_from(entity);
    }
}

impl App {
    /// Puts changed responsibles of entities on the open chats that they are linked to, where the channel takes their kind
    /// (F047-F049). An inactive chat takes them when it is opened (F045).
    pub async fn follow_crm(
        &self,
        changes: Vec<Change>,
        now: OffsetDateTime,
    ) -> Result<(), sqlx::Error> {
        if changes.is_empty() {
            return Ok(());
        }
        let mut transaction = self.pool.begin().await?;
        let saved = follow_crm(&mut transaction, &self.memory, changes, now).await?;
        transaction.commit().await?;
        self.memory.keep(saved.looks).await;
        if saved.events > 0 {
            self.waker.wake();
        }
        self.drain_soon(&saved.freed, now).await;
        Ok(())
    }

    /// Forgets what was told of entities long ago.
    pub async fn forget_entities(&self, now: OffsetDateTime) -> Result<u64, sqlx::Error> {
        let mut forgotten = 0;
        loop {
            let mut connection = self.pool.acquire().await?;
            let some = store::forget(&mut connection, now - KEPT, AT_ONCE).await?;
            forgotten += some;
            if some < AT_ONCE.cast_unsigned() {
                return Ok(forgotten);
            }
        }
    }
}

async fn follow_crm(
    connection: &mut sqlx::PgConnection,
    memory: &Memory,
    mut changes: Vec<Change>,
    now: OffsetDateTime,
) -> Result<Saved, sqlx::Error> {
    let accounts = changes
        .iter()
        .map(|change| change.account.clone())
        .collect();
    let taking = store::taking(connection, &accounts).await?;
    changes.retain(|change| taking.contains(&change.account));
    if changes.is_empty() {
        return Ok(Saved::default());
    }
    let mut told = BTreeMap::new();
    for change in &changes {
        keep(&mut told, &change.account, &change.linked);
    }
    // First of all: whoever opens a chat with one of these entities meanwhile learns of it, or is waited for.
    let newest = store::keep_newest(connection, &told, now).await?;
    // Whose entity is nobody's since then answers for nothing any more: a chat that was opened in between has nobody (F051).
    changes.retain(|change| {
        let known = newest.get(&(change.account.clone(), change.linked.entity));
        known.is_none_or(|known| known.responsible.is_some() || known.stamp <= change.linked.stamp)
    });
    let chats: BTreeSet<(AccountSlug, ChatId)> = changes
        .iter()
        .flat_map(|change| {
            change
                .chats
                .iter()
                .map(|chat| (change.account.clone(), *chat))
        })
        .collect();
    let mut board = Board::of_all_known(connection, &chats).await?;
    let mut steps: BTreeMap<ChatId, (Vec<Linked>, Origin)> = BTreeMap::new();
    for change in changes {
        for chat in change.chats {
            let (linked, origin) = steps
                .entry(chat)
                .or_insert_with(|| (Vec::new(), change.origin.clone()));
            linked.push(change.linked.clone());
            *origin = change.origin.clone();
        }
    }
    let steps: Vec<(ChatId, Vec<Wanted>, Origin)> = steps
        .into_iter()
        .filter_map(|(id, (linked, origin))| Some((id, of_chat(&board, id, &linked)?, origin)))
        .collect();
    let also = agents(
        &board,
        steps.iter().map(|(id, crm, _)| (*id, crm.as_slice())),
    );
    board
        .lock_staff(connection, memory, &[], &also, now)
        .await?;
    for (id, crm, origin) in steps {
        take(&mut board, id, (&crm, true), &origin, now);
    }
    board.save(connection, now).await
}

/// Returns the responsibles that a held chat may take from these entities; none where its channel takes none of them.
pub fn of_chat(board: &Board, id: ChatId, linked: &[Linked]) -> Option<Vec<Wanted>> {
    let chat = board.chat(id)?;
    let policy = board.sync(&(chat.account.clone(), chat.channel))?;
    let crm = wanted(policy, linked);
    (!crm.is_empty()).then_some(crm)
}

/// Returns whose loads may change when chats take responsibles: theirs, and those of who is in place.
pub fn agents<'a>(
    board: &Board,
    steps: impl Iterator<Item = (ChatId, &'a [Wanted])>,
) -> Vec<AgentKey> {
    let mut agents = BTreeSet::new();
    for (id, crm) in steps {
        let Some(chat) = board.chat(id) else {
            continue;
        };
        let theirs = crm.iter().map(|wanted| wanted.agent).chain(chat.agent);
        agents.extend(theirs.map(|agent| (chat.account.clone(), agent)));
    }
    agents.into_iter().collect()
}
