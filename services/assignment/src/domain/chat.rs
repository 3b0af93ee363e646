//! A chat as assignment knows it: its newest conversation's state and who answers for it.

#[cfg(test)]
mod tests;

use chassis::id::{AccountSlug, AgentId};
use chassis::stamp::Stamp;
use time::OffsetDateTime;
use uuid::Uuid;

use super::words::GivenBack;
use super::{ChannelId, ChatId, ConversationId};

/// A chat, its newest conversation's state, and its responsible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chat {
    /// The chat.
    pub id: ChatId,
    /// Its account.
    pub account: AccountSlug,
    /// Its channel.
    pub channel: ChannelId,
    /// Its newest conversation.
    pub conversation: ConversationId,
    /// That conversation's number; 0 before anything was heard.
    pub number: i64,
    /// That conversation's revision.
    pub revision: i64,
    /// It is open.
    pub open: bool,
    /// How it was opened, once known.
    pub opening: Option<Opening>,
    /// Its pipeline connection has decided: §7 may run.
    pub decided: bool,
    /// The decision did not come in time: the rules run without it (§4).
    pub provisional: bool,
    /// The responsible.
    pub agent: Option<AgentId>,
    /// The responsible of the conversation before.
    pub previous: Option<AgentId>,
    /// Agents who have joined, longest first.
    pub participants: Vec<AgentId>,
    /// Stamp of the act the responsible stems from (§8).
    pub stamp: Stamp,
    /// Raised with every change of the assignment.
    pub version: i64,
    /// Why nobody could be chosen when it was last tried.
    pub waiting_reasons: String,
    /// Request id of the act that made the responsible.
    pub claim_request: String,
    /// Nobody answers because the responsible was taken away; what is to become of the chat.
    pub given_back: Option<GivenBack>,
    /// The responsible was chosen by a rule and has to take the chat by then; else somebody else is offered it. After the
    /// conversation's end: they never took it.
    pub offer_end: Option<OffsetDateTime>,
    /// Agents who let an offer of this conversation pass.
    pub passed: Vec<AgentId>,
}

/// How a conversation was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// When.
    pub time: OffsetDateTime,
    /// The agent who opened it; none where the client did.
    pub opener: Option<AgentId>,
    /// The `conversation.opened` event, where it is known.
    pub event: Option<Uuid>,
    /// The trace it belongs to, as a `traceparent`; empty where there is none.
    pub traceparent: String,
}

/// What somebody tells of a conversation's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The conversation.
    pub conversation: ConversationId,
    /// Its number.
    pub number: i64,
    /// Its revision.
    pub revision: i64,
    /// It is open.
    pub open: bool,
    /// How it was opened, where that is told.
    pub opening: Option<Opening>,
    /// Its pipeline connection has decided.
    pub decided: bool,
}

/// What hearing of a state changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heard {
    /// The row changed.
    pub changed: bool,
    /// This agent has one open chat less.
    pub freed: Option<AgentId>,
    /// This agent has one open chat more.
    pub taken: Option<AgentId>,
    /// §7 is to run: nobody answers for the chat, and somebody may be found.
    pub choose: bool,
    /// The decision came after the rules had run without it: who they chose is confirmed (§8).
    pub confirm: bool,
}

impl Chat {
    /// Applies what is told; the highest (number, revision) wins, whatever the order (architecture §3).
    pub fn hear(&mut self, told: &Told) -> Heard {
        let before = self.clone();
        if told.number > self.number {
            self.begin(told);
        } else if told.number == self.number && told.revision > self.revision {
            self.revision = told.revision;
            self.open = told.open;
        }
        if self.open && !before.open {
            // Whose chat it was when it ended, it stays: nobody has to take what was over.
            self.offer_end = None;
        }
        let mut learned_opener = false;
        if told.number == self.number {
            self.decided |= told.decided;
            learned_opener = self.learn(told.opening.as_ref());
        }
        // Waiting in the conversation before is not waiting in this one.
        let was_waiting = before.number == self.number && before.waiting_since().is_some();
        let now_waiting = self.waiting_since().is_some();
        let (held, holds) = (before.counted_for(), self.counted_for());
        Heard {
            changed: *self != before,
            freed: held.filter(|_| held != holds),
            taken: holds.filter(|_| held != holds),
            choose: (now_waiting && !was_waiting)
                || (learned_opener
                    && self.open
                    && self.agent.is_none()
                    && self.given_back.is_none()),
            confirm: self.decided
                && !before.decided
                && self.agent.is_some()
                && self.stamp == Stamp::ZERO,
        }
    }

    /// Begins the next conversation: an opening resets the chat (§8).
    fn begin(&mut self, told: &Told) {
        // Who never took the chat did not serve the client: whoever did before them stays the one to return to (B05).
        let served = self.agent.filter(|_| self.offer_end.is_none());
        self.previous = served.or(self.previous);
        self.agent = None;
        self.participants.clear();
        self.stamp = Stamp::ZERO;
        self.version += 1;
        self.conversation = told.conversation;
        self.number = told.number;
        self.revision = told.revision;
        self.open = told.open;
        self.offer_end = None;
        self.passed.clear();
        self.opening = None;
        self.decided = false;
        self.provisional = false;
        self.waiting_reasons.clear();
        self.claim_request.clear();
        self.given_back = None;
    }

    /// Keeps how the conversation was opened; returns whether an opener became known by it.
    fn learn(&mut self, opening: Option<&Opening>) -> bool {
        match (&mut self.opening, opening) {
            (_, None) => false,
            (Some(known), Some(told)) => {
                known.event = known.event.or(told.event);
                if known.traceparent.is_empty() {
                    known.traceparent.clone_from(&told.traceparent);
                }
                false
            }
            (slot @ None, Some(told)) => {
                *slot = Some(told.clone());
                told.opener.is_some()
            }
        }
    }

    /// Makes an agent the responsible; returns the one before.
    pub fn give(&mut self, agent: AgentId, stamp: Stamp, claim_request: &str) -> Option<AgentId> {
        let former = self.agent.replace(agent);
        self.participants.retain(|joined| *joined != agent);
        self.stamp = stamp;
        self.version += 1;
        self.waiting_reasons.clear();
        claim_request.clone_into(&mut self.claim_request);
        self.given_back = None;
        self.offer_end = None;
        former
    }

    /// Makes what the responsible was just given an offer that ends.
    pub fn offer(&mut self, end: OffsetDateTime) {
        self.offer_end = Some(end);
        if self.agent.is_some_and(|agent| self.passed.contains(&agent)) {
            // Everybody who could take it let it pass: the next round begins.
            self.passed.clear();
        }
    }

    /// Returns by when the responsible has to take the chat, if they have to.
    pub fn offered_until(&self) -> Option<OffsetDateTime> {
        self.offer_end.filter(|_| self.open)
    }

    /// Notes that the responsible takes what was offered to them; returns whether that was open.
    pub fn take_offer(&mut self) -> bool {
        if self.offer_end.take().is_none() {
            return false;
        }
        self.passed.clear();
        self.version += 1;
        true
    }

    /// Takes the chat from a responsible who let the offer pass: it waits to be offered to somebody else, and who has
    /// joined stays.
    pub fn pass_offer(&mut self, stamp: Stamp) {
        let passed = self.agent;
        self.give_back(stamp);
        self.passed.extend(passed);
    }

    /// Takes the responsible and everybody who has joined away; returns who was responsible.
    ///
    /// The responsible of the conversation before is forgotten: a chat that was given back is not put back by a rule.
    pub fn take_back(&mut self, stamp: Stamp, given_back: GivenBack) -> Option<AgentId> {
        let former = self.agent.take();
        self.participants.clear();
        self.previous = None;
        self.stamp = stamp;
        self.version += 1;
        self.waiting_reasons.clear();
        self.claim_request.clear();
        self.offer_end = None;
        self.given_back = Some(given_back);
        former
    }

    /// Adds an agent beside the responsible, as the one who joined last.
    pub fn join(&mut self, agent: AgentId) {
        self.participants.push(agent);
        self.version += 1;
    }

    /// Takes a participant out.
    pub fn part(&mut self, agent: AgentId) {
        self.participants.retain(|joined| *joined != agent);
        self.version += 1;
    }

    /// Returns who opened the conversation, as far as a rule may still give it to them.
    pub fn opener(&self) -> Option<AgentId> {
        let opening = self.opening.as_ref().filter(|_| self.given_back.is_none());
        opening.and_then(|opening| opening.opener)
    }

    /// Takes the responsible away because they are away: the chat waits to be distributed, to whoever is there, and
    /// who has joined stays. No rule puts it back to who opened it.
    pub fn give_back(&mut self, stamp: Stamp) {
        self.agent = None;
        self.stamp = stamp;
        self.version += 1;
        self.waiting_reasons.clear();
        self.claim_request.clear();
        self.offer_end = None;
        self.given_back = Some(GivenBack::Queued);
    }

    /// Returns since when the chat waits for somebody to become eligible, if it does.
    pub fn waiting_since(&self) -> Option<OffsetDateTime> {
        let opening = self.opening.as_ref()?;
        let held_back = self.given_back == Some(GivenBack::Stays);
        (self.open && self.is_ripe() && self.agent.is_none() && !held_back).then_some(opening.time)
    }

    /// Tells whether the rules beyond the opener's may run: the decision has come, or was waited for in vain.
    pub fn is_ripe(&self) -> bool {
        self.decided || self.provisional
    }

    /// Keeps who the rules chose before the decision came, under the stamp that they could not give then.
    pub fn confirm(&mut self) {
        self.stamp = self.opening_stamp();
        self.version += 1;
    }

    /// Returns the agent whose load counts this chat.
    pub fn counted_for(&self) -> Option<AgentId> {
        self.agent.filter(|_| self.open)
    }

    /// Returns the stamp that a rule serving the opening gives (§8).
    pub fn opening_stamp(&self) -> Stamp {
        self.opening.as_ref().map_or(Stamp::ZERO, |opening| Stamp {
            time: opening.time,
            // Told by a caller before the event came: the conversation's id stands for it.
            event: opening.event.unwrap_or(self.conversation.uuid()),
        })
    }

    /// Returns the stamp of what a rule chooses now (§8). A rule serves the opening and takes its stamp; before the
    /// decision it keeps zero, so that anything may replace it. After somebody has taken the responsible away it
    /// serves that act.
    pub fn stamp_of_rule(&self) -> Stamp {
        match self.given_back {
            Some(_) => self.stamp,
            None if self.decided => self.opening_stamp(),
            None => Stamp::ZERO,
        }
    }

    /// Tells whether an agent may write: the responsible, or one who has joined (D19).
    pub fn is_theirs(&self, agent: AgentId) -> bool {
        self.agent == Some(agent) || self.participants.contains(&agent)
    }
}
