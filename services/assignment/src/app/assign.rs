//! The one function that makes an agent the responsible, on every path, and the rules that call it.

use std::collections::BTreeMap;

use chassis::actor::Actor;
use chassis::id::{AgentId, v7};
use chassis::outbox::Outgoing;
use chassis::stamp::Stamp;
use chassis::trace::TraceContext;
use switchboard_proto::assignment::v1::{ChatAssigned, ChatOfferTaken};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::board::{Board, Shift};
use super::sync;
use crate::domain::ChatId;
use crate::domain::candidates::{Candidate, Terms};
use crate::domain::chat::Chat;
use crate::domain::choose::{Choice, Facts, choose};
use crate::domain::sync::Wanted;
use crate::domain::words::{GivenBack, Rule};
use crate::store::choices::ChoiceRow;
use crate::wire;

/// Making an agent the responsible of a held chat.
#[derive(Debug, Clone)]
pub struct Act {
    /// The chat.
    pub chat: ChatId,
    /// The new responsible.
    pub agent: AgentId,
    /// By which rule.
    pub rule: Rule,
    /// Who acts.
    pub actor: Actor,
    /// The responsible that must be in place; not compared where absent.
    pub expected: Option<Option<AgentId>>,
    /// Everybody who was looked at.
    pub candidates: Vec<Candidate>,
    /// What led to it.
    pub origin: Origin,
    /// Request id of a person's act, so that a repeat gets the same answer.
    pub request: String,
    /// Until when the agent has to take what a rule gives, where the channel offers.
    pub offer_end: Option<OffsetDateTime>,
    /// The act in CRM that the responsible stems from, where it is taken from there.
    pub crm: Option<FromCrm>,
}

/// An act in CRM from which a chat takes its responsible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FromCrm {
    /// Its stamp.
    pub stamp: Stamp,
    /// It changes who answers in the midst of a conversation, which the chat's other entities do not follow (F057).
    pub entity_changed: bool,
}

/// What led to an act.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The event, where one did.
    pub cause: Option<Uuid>,
    /// The trace it belongs to.
    pub trace: TraceContext,
}

impl Origin {
    /// Returns the origin of an act that a request asks for.
    pub fn of_request() -> Self {
        Self {
            cause: None,
            trace: TraceContext::current(),
        }
    }

    /// Returns the origin of a choice that is made later than at once: how the conversation was opened.
    pub fn of_opening(chat: Option<&Chat>) -> Self {
        let opening = chat.and_then(|chat| chat.opening.as_ref());
        Self {
            cause: opening.and_then(|opening| opening.event),
            trace: opening.map_or_else(TraceContext::none, |opening| {
                TraceContext::parse(&opening.traceparent)
            }),
        }
    }
}

/// How an act ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assigned {
    /// The agent became the responsible.
    Done,
    /// The agent was it already: nothing changed.
    InPlace,
}

/// Somebody was faster: this is the responsible now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Faster(pub Option<AgentId>);

/// Makes an agent the responsible of a chat, unless another than the expected one is in place.
///
/// The chat must be held, and the loads of the agent and of the responsible in place be locked.
pub fn assign(board: &mut Board, act: Act, now: OffsetDateTime) -> Result<Assigned, Faster> {
    let Some(before) = board.chat(act.chat) else {
        return Err(Faster(None));
    };
    if before.agent == Some(act.agent) {
        take_offer(board, &act, now);
        return Ok(Assigned::InPlace);
    }
    if act
        .expected
        .is_some_and(|expected| expected != before.agent)
    {
        return Err(Faster(before.agent));
    }
    let event = v7(now);
    let stamp = match act.rule {
        // A rule serves the opening and takes its stamp; a person's act is later than what it replaces (§8). What is taken
        // from CRM keeps the stamp it has there.
        Rule::Opener => before.opening_stamp(),
        Rule::Crm => act
            .crm
            .map_or_else(|| before.stamp_of_rule(), |crm| crm.stamp),
        Rule::Previous | Rule::Distribution | Rule::None => before.stamp_of_rule(),
        Rule::Claim
        | Rule::FirstReply
        | Rule::Hand
        | Rule::Redirect
        | Rule::Successor
        | Rule::Reply => Stamp::next_for_person(before.stamp, now, event),
    };
    let counted_before = before.counted_for();
    let (account, channel) = (before.account.clone(), before.channel);
    let Some(chat) = board.change(act.chat) else {
        return Err(Faster(None));
    };
    let former = chat.give(act.agent, stamp, &act.request);
    if let Some(end) = act.offer_end {
        chat.offer(end);
    }
    if let Some(former) = former.filter(|_| act.rule == Rule::Reply) {
        // Nobody asked the former to leave: they go on beside who took over by writing (D09).
        chat.participants.push(former);
    }
    let announced = ChatAssigned {
        assignment: Some(wire::assignment(chat)),
        previous_agent_id: former.map(|agent| agent.to_string()).unwrap_or_default(),
        rule: wire::rule(act.rule).into(),
        entity_changed: act.crm.is_some_and(|crm| crm.entity_changed),
    };
    let counted = chat.counted_for();
    let requested = sync::request(chat, act.rule);
    let choice = ChoiceRow {
        account: account.clone(),
        chat: act.chat,
        conversation: chat.conversation,
        number: chat.number,
        time: now,
        rule: act.rule,
        agent: Some(act.agent),
        actor: act.actor.to_string(),
        candidates: act.candidates,
    };
    for (agent, by) in [(counted_before, -1), (counted, 1)] {
        if let Some(agent) = agent {
            let agent = (account.clone(), agent);
            board.shift(&Shift { agent, channel, by });
        }
    }
    board.explain(choice);
    board.announce(
        Outgoing::with_id(event, &account, act.chat, &announced)
            .actor(act.actor.clone())
            .cause(act.origin.cause)
            .trace(act.origin.trace.clone()),
    );
    sync::announce(board, requested, &act.actor, &act.origin, now);
    Ok(Assigned::Done)
}

/// Takes what was offered to the agent of a person's act: by claiming it, by writing, or because somebody said so.
fn take_offer(board: &mut Board, act: &Act, now: OffsetDateTime) {
    let offered = board.chat(act.chat).is_some_and(|c| c.offer_end.is_some());
    let Some(chat) = board.change(act.chat).filter(|_| offered) else {
        return;
    };
    chat.take_offer();
    chat.claim_request.clone_from(&act.request);
    let account = chat.account.clone();
    let taken = ChatOfferTaken {
        assignment: Some(wire::assignment(chat)),
    };
    board.announce(
        Outgoing::with_id(v7(now), &account, act.chat, &taken)
            .actor(act.actor.clone())
            .cause(act.origin.cause)
            .trace(act.origin.trace.clone()),
    );
}

/// When rules choose for a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// It has just come to be without responsible.
    New,
    /// It has waited for somebody: the channel's pace applies.
    Waited,
}

/// Lets the rules choose for a held chat without responsible, and assigns (§7). Staff must be locked.
///
/// That nobody could be chosen is kept as well, once for the same reasons.
pub fn by_rules(
    board: &mut Board,
    id: ChatId,
    occasion: Occasion,
    crm: &[Wanted],
    origin: Origin,
    now: OffsetDateTime,
) {
    let Some(chat) = board
        .chat(id)
        .filter(|chat| chat.open && chat.agent.is_none())
        .filter(|chat| chat.given_back != Some(GivenBack::Stays))
    else {
        return;
    };
    let channel = (chat.account.clone(), chat.channel);
    let policy = board.policy(&channel);
    let settings = policy.map(|policy| &policy.settings);
    let facts = Facts {
        opener: chat.opener(),
        previous: chat.previous,
        ripe: chat.is_ripe(),
        crm,
        terms: Terms {
            channel: chat.channel,
            open: board.is_open(&channel),
            capacity: settings.map_or(0, |settings| settings.channel_capacity),
            loads: board.loads_in(&channel),
            pace: settings
                .filter(|_| occasion == Occasion::Waited)
                .map_or(0, |settings| settings.waiting_per_minute),
            passed: &chat.passed,
        },
    };
    let offer = settings.map_or(0, |settings| settings.offer_seconds);
    let nobody = BTreeMap::new();
    let staff = board.staff(&chat.account).unwrap_or(&nobody);
    let mut choice = choose(&facts, policy, staff);
    // Who has waited longer goes first: this one joins them, and all are served in their order right after.
    let of_channel = matches!(choice.rule, Rule::Previous | Rule::Distribution);
    if choice.agent.is_some() && of_channel && board.has_queue(&channel) {
        choice = choice.behind_others();
        board.serve_soon(channel.0.clone());
    }
    if choice.rule != Rule::Opener {
        sync::report_skipped(board, id, crm, &choice.candidates, &origin, now);
    }
    let actor = match choice.rule {
        Rule::Crm => sync::actor(),
        rule => Actor::Rule(rule.as_str().to_owned()),
    };
    let Some(agent) = choice.agent else {
        nobody_chosen(board, id, choice, &actor, now);
        return;
    };
    if choice.rule == Rule::Distribution {
        board.take_turn(&channel, agent);
    }
    // Who opened a conversation has it: only what the channel gives is an offer.
    let given = matches!(choice.rule, Rule::Previous | Rule::Distribution);
    if given && occasion == Occasion::Waited {
        board.drained(&(channel.0.clone(), agent), now);
    }
    let act = Act {
        chat: id,
        agent,
        rule: choice.rule,
        actor,
        expected: Some(None),
        candidates: choice.candidates,
        origin,
        request: String::new(),
        offer_end: (given && offer > 0).then(|| now + Duration::seconds(offer.into())),
        crm: crm
            .iter()
            .find(|wanted| wanted.agent == agent)
            .map(|wanted| FromCrm {
                stamp: wanted.stamp,
                entity_changed: false,
            }),
    };
    if let Err(Faster(responsible)) = assign(board, act, now) {
        // Cannot be: the chat is held, and nobody was responsible above.
        tracing::error!(chat = %id, ?responsible, "a rule met a responsible in place");
    }
}

/// Confirms who the rules chose before the decision came: the responsible stays and gets the opening's stamp,
/// which the cards wait for.
pub fn confirm(board: &mut Board, id: ChatId, origin: &Origin, now: OffsetDateTime) {
    let Some(chat) = board.change(id) else {
        return;
    };
    chat.confirm();
    let kept = chat.agent.is_some() && chat.agent == chat.previous;
    let rule = if kept {
        Rule::Previous
    } else {
        Rule::Distribution
    };
    let account = chat.account.clone();
    let confirmed = ChatAssigned {
        assignment: Some(wire::assignment(chat)),
        previous_agent_id: chat
            .agent
            .map(|agent| agent.to_string())
            .unwrap_or_default(),
        rule: wire::rule(rule).into(),
        entity_changed: false,
    };
    let requested = sync::request(chat, rule);
    let actor = Actor::Rule(rule.as_str().to_owned());
    board.announce(
        Outgoing::with_id(v7(now), &account, id, &confirmed)
            .actor(actor.clone())
            .cause(origin.cause)
            .trace(origin.trace.clone()),
    );
    sync::announce(board, requested, &actor, origin, now);
}

/// Keeps that nobody could be chosen, where the reasons are new.
fn nobody_chosen(
    board: &mut Board,
    id: ChatId,
    choice: Choice,
    actor: &Actor,
    now: OffsetDateTime,
) {
    let reasons = choice.reasons();
    let Some(chat) = board
        .chat(id)
        .filter(|c| c.is_ripe() && c.waiting_reasons != reasons)
    else {
        return;
    };
    let row = ChoiceRow {
        account: chat.account.clone(),
        chat: id,
        conversation: chat.conversation,
        number: chat.number,
        time: now,
        rule: Rule::None,
        agent: None,
        actor: actor.to_string(),
        candidates: choice.candidates,
    };
    if let Some(chat) = board.change(id) {
        chat.waiting_reasons = reasons;
    }
    board.explain(row);
}
