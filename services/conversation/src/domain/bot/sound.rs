//! Which scenarios are sound: everything that is wrong is told at once, by its place.

use std::collections::BTreeSet;

use switchboard_proto::common::v1::Text;
use switchboard_proto::conversation::v1 as pb;
use switchboard_proto::conversation::v1::bot_step::{Act, Ask, Send, ask::Expects, branch::Fits};
use time::Duration;

use super::{after, named, timeout};
use crate::domain::quick_reply::{self, VALUE_MAX, VARIABLES_MAX, Variable};
use crate::domain::{FILES_MAX, TEXT_MAX};

/// Steps of a scenario at most.
const STEPS_MAX: usize = 100;

/// Bytes of a scenario at most: each run carries it.
const SIZE_MAX: usize = 128 * 1024;

/// Characters of what a bot says at most: what every messenger takes in one message.
const SAID_MAX: usize = 4_000;

/// Variables may make more of it, never more than a message takes: what a channel does not take in one message, the gateway sends in
/// several, in order, and nothing is cut.
const _: () = assert!(SAID_MAX + VARIABLES_MAX * VALUE_MAX <= TEXT_MAX);

/// Files of a bot at most, in all of its steps: the gateway is told of them every day.
const BOT_FILES_MAX: usize = 100;

/// Messages that a client gets in a row at most before they are asked, and files among them: more would be no talk.
const IN_A_ROW_MAX: usize = 10;

/// Formatted ranges of it at most, and bytes of the link of each.
const ENTITIES_MAX: usize = 100;
const LINK_MAX: usize = 2_048;

/// Characters of a step's key at most.
const KEY_MAX: usize = 50;

/// Branches of a question at most.
const BRANCHES_MAX: usize = 50;

/// Seconds for which an answer is waited for, at most: 30 days.
const TIMEOUT_MAX: i32 = 30 * 24 * 60 * 60;

/// After how long a question that was not answered may be asked again, at least, by whatever way: nobody is written to every
/// second.
const REPEATED_AFTER: Duration = Duration::MINUTE;

/// What is wrong in a scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// Where, as `steps[2].ask.branches[0].next`.
    pub field: String,
    /// What must hold.
    pub rule: String,
}

struct Flaws(Vec<Flaw>);

impl Flaws {
    fn add(&mut self, field: impl Into<String>, rule: impl Into<String>) {
        self.0.push(Flaw {
            field: field.into(),
            rule: rule.into(),
        });
    }

    fn unless(&mut self, holds: bool, field: impl Into<String>, rule: &str) {
        if !holds {
            self.add(field, rule);
        }
    }
}

/// Checks a scenario; `nps` tells that it is to ask for a score.
///
/// # Errors
/// Everything that is wrong.
pub fn check(steps: &[pb::BotStep], nps: bool) -> Result<(), Vec<Flaw>> {
    let mut flaws = Flaws(Vec::new());
    if steps.is_empty() || steps.len() > STEPS_MAX {
        flaws.add("steps", "must have 1 to 100 entries");
        return Err(flaws.0);
    }
    let size: usize = steps.iter().map(prost::Message::encoded_len).sum();
    if size > SIZE_MAX {
        flaws.add("steps", "must have at most 128 KiB in all");
        return Err(flaws.0);
    }
    let mut keys = BTreeSet::new();
    for (place, step) in steps.iter().enumerate() {
        let at = format!("steps[{place}]");
        let length = step.key.chars().count();
        let fits = (1..=KEY_MAX).contains(&length) && !step.key.chars().any(char::is_control);
        flaws.unless(fits, format!("{at}.key"), "must have 1 to 50 characters");
        flaws.unless(
            keys.insert(&*step.key),
            format!("{at}.key"),
            "must be another for each step",
        );
        let known = step.next.is_empty() || named(steps, &step.next).is_some();
        flaws.unless(known, format!("{at}.next"), "must be the key of a step");
        act(&mut flaws, &at, steps, step.act.as_ref());
    }
    let scores = steps
        .iter()
        .filter(|step| expects(step) == Some(Expects::Score))
        .count();
    if nps {
        flaws.unless(
            scores == 1,
            "steps",
            "must ask for a score in one step, as the bot is of NPS",
        );
    } else {
        let comments = steps
            .iter()
            .any(|step| expects(step) == Some(Expects::Comment));
        flaws.unless(
            scores == 0 && !comments,
            "nps",
            "must be set where a step asks for a score, or for a comment to it",
        );
    }
    let files = super::files(steps).len();
    let rule = "must send at most 100 files in all";
    flaws.unless(files <= BOT_FILES_MAX, "steps", rule);
    if flaws.0.is_empty() {
        circles(&mut flaws, steps);
    }
    if flaws.0.is_empty() {
        in_a_row(&mut flaws, steps);
        hasty(&mut flaws, steps);
        asked_again(&mut flaws, steps);
    }
    if flaws.0.is_empty() {
        Ok(())
    } else {
        Err(flaws.0)
    }
}

fn expects(step: &pb::BotStep) -> Option<Expects> {
    match &step.act {
        Some(Act::Ask(ask)) => Some(ask.expects()),
        _ => None,
    }
}

fn act(flaws: &mut Flaws, at: &str, steps: &[pb::BotStep], act: Option<&Act>) {
    match act {
        None => flaws.add(at, "must say what is done"),
        Some(Act::Send(send)) => sent(flaws, &format!("{at}.send"), send),
        Some(Act::Note(note)) => said(flaws, &format!("{at}.note.text"), note.text.as_ref()),
        Some(Act::Ask(ask)) => question(flaws, &format!("{at}.ask"), steps, ask),
        Some(Act::Assign(assign)) => {
            let known = uuid::Uuid::parse_str(&assign.agent_id).is_ok();
            flaws.unless(
                known,
                format!("{at}.assign.agent_id"),
                "must be the id of an agent",
            );
        }
        Some(Act::SetField(set)) => {
            let at = format!("{at}.set_field");
            flaws.unless(!set.field.is_empty(), format!("{at}.field"), "is required");
            match (&*set.answer_of, &*set.text) {
                ("", "") => flaws.add(format!("{at}.text"), "or `answer_of` must be given"),
                ("", text) => {
                    let fits = text.chars().count() <= 2_000;
                    flaws.unless(
                        fits,
                        format!("{at}.text"),
                        "must have at most 2000 characters",
                    );
                }
                (of, "") => {
                    let asks = named(steps, of).is_some_and(|step| expects(step).is_some());
                    flaws.unless(
                        asks,
                        format!("{at}.answer_of"),
                        "must be the key of a step that asks",
                    );
                }
                _ => flaws.add(format!("{at}.text"), "must be empty beside `answer_of`"),
            }
        }
        Some(Act::Close(_)) => {}
    }
}

fn question(flaws: &mut Flaws, at: &str, steps: &[pb::BotStep], ask: &Ask) {
    said(flaws, &format!("{at}.text"), ask.text.as_ref());
    let fits = (0..=TIMEOUT_MAX).contains(&ask.timeout_seconds);
    flaws.unless(
        fits,
        format!("{at}.timeout_seconds"),
        "must lie between 0 and 2592000",
    );
    let known = ask.on_timeout.is_empty() || named(steps, &ask.on_timeout).is_some();
    flaws.unless(
        known,
        format!("{at}.on_timeout"),
        "must be the key of a step",
    );
    let known = Expects::try_from(ask.expects).is_ok();
    flaws.unless(known, format!("{at}.expects"), "names what there is not");
    let fits = ask.branches.len() <= BRANCHES_MAX;
    flaws.unless(
        fits,
        format!("{at}.branches"),
        "must have at most 50 entries",
    );
    for (place, branch) in ask.branches.iter().enumerate() {
        let at = format!("{at}.branches[{place}]");
        let known = named(steps, &branch.next).is_some();
        flaws.unless(known, format!("{at}.next"), "must be the key of a step");
        match &branch.fits {
            None => flaws.add(at, "must say which answers it is for"),
            Some(Fits::Equals(text) | Fits::Contains(text)) => {
                let fits = (1..=200).contains(&text.trim().chars().count());
                flaws.unless(fits, at, "must hold 1 to 200 characters");
            }
            Some(Fits::Number(range)) => {
                flaws.unless(range.from <= range.to, at, "must not end before it begins");
            }
        }
    }
}

fn sent(flaws: &mut Flaws, at: &str, send: &Send) {
    let files = &send.attachment_ids;
    let fits = files.len() <= FILES_MAX;
    let field = format!("{at}.attachment_ids");
    flaws.unless(fits, &*field, "must have at most 20 entries");
    for (place, file) in files.iter().enumerate() {
        let known = uuid::Uuid::parse_str(file).is_ok();
        let rule = "must be the id of a file that was uploaded";
        flaws.unless(known, format!("{field}[{place}]"), rule);
    }
    // Files may go without words.
    if files.is_empty() || send.text.as_ref().is_some_and(|text| !text.text.is_empty()) {
        said(flaws, &format!("{at}.text"), send.text.as_ref());
    }
}

fn said(flaws: &mut Flaws, at: &str, text: Option<&Text>) {
    let text_entities = text.map_or(&[][..], |text| &text.entities);
    let text = text.map_or("", |text| &text.text);
    let fits = !text.trim().is_empty() && text.chars().count() <= SAID_MAX && !text.contains('\0');
    flaws.unless(fits, at, "must have 1 to 4000 characters");
    let entities = text_entities.len() <= ENTITIES_MAX
        && text_entities
            .iter()
            .all(|entity| entity.url.len() <= LINK_MAX);
    let rule = "must have at most 100 formatted ranges, of links of 2048 characters at most";
    flaws.unless(entities, at, rule);
    match quick_reply::variables(text) {
        Err(flaw) => flaws.add(at, flaw.to_string()),
        Ok(found) => flaws.unless(
            !found.contains(&Variable::AgentName),
            at,
            "must not name an agent: a bot says it",
        ),
    }
}

/// Refuses steps from which a run would come back without having asked anything.
fn circles(flaws: &mut Flaws, steps: &[pb::BotStep]) {
    for (place, step) in steps.iter().enumerate() {
        let mut at = Some(step);
        for _ in 0..steps.len() {
            at = match at {
                Some(step) if matches!(step.act, Some(Act::Ask(_) | Act::Close(_))) => None,
                Some(step) => after(steps, step),
                None => break,
            };
        }
        if at.is_some() {
            let rule = "must not lead back here without a question between";
            flaws.add(format!("steps[{place}].next"), rule);
            return;
        }
    }
}

/// Refuses what a client would get too much of in a row: steps that speak too often before one asks and waits. No steps go in a circle.
fn in_a_row(flaws: &mut Flaws, steps: &[pb::BotStep]) {
    let begins = steps.iter().filter(|step| expects(step).is_some());
    let begins = begins.flat_map(|asks| following(steps, asks, true));
    let mut refused = BTreeSet::new();
    for first in steps.first().into_iter().chain(begins) {
        let (mut messages, mut files, mut at) = (0, 0, Some(first));
        while let Some(step) = at {
            match &step.act {
                Some(Act::Send(send)) => {
                    messages += 1;
                    files += send.attachment_ids.len();
                }
                Some(Act::Ask(_)) => messages += 1,
                _ => {}
            }
            if messages > IN_A_ROW_MAX || files > FILES_MAX {
                refused.insert(&*step.key);
                break;
            }
            at = match step.act {
                Some(Act::Ask(_) | Act::Close(_)) => None,
                _ => after(steps, step),
            };
        }
    }
    for (place, step) in steps.iter().enumerate() {
        let rule = "must come within 10 messages in a row, with 20 files in all: let a step before it ask and wait for the client";
        let fits = !refused.contains(&*step.key);
        flaws.unless(fits, format!("steps[{place}]"), rule);
    }
}

/// Refuses questions to which time-outs alone lead back too soon: a client who says nothing is asked again and again.
fn hasty(flaws: &mut Flaws, steps: &[pb::BotStep]) {
    for (place, first) in steps.iter().enumerate() {
        let (mut at, mut waited) = (first, Duration::ZERO);
        // As many questions as there are: by then it has come back, or goes round without this one.
        for _ in 0..steps.len() {
            let Some(Act::Ask(ask)) = &at.act else { break };
            waited += timeout(ask);
            let Some(next) = next_question(steps, named(steps, &ask.on_timeout)) else {
                break;
            };
            at = next;
            if at.key == first.key {
                let rule = "must lead back here by time-outs after 60 seconds at least, in all";
                let field = format!("steps[{place}].ask.timeout_seconds");
                flaws.unless(waited >= REPEATED_AFTER, field, rule);
                break;
            }
        }
    }
}

/// The question to which a step leads without an answer, itself or one after it; none where it ends before.
fn next_question<'s>(
    steps: &'s [pb::BotStep],
    mut at: Option<&'s pb::BotStep>,
) -> Option<&'s pb::BotStep> {
    for _ in 0..=steps.len() {
        match at?.act {
            Some(Act::Ask(_)) => return at,
            Some(Act::Close(_)) => return None,
            _ => at = after(steps, at?),
        }
    }
    None
}

/// Refuses steps that lead from an answer with a score back to the question: a client is counted once.
fn asked_again(flaws: &mut Flaws, steps: &[pb::BotStep]) {
    let Some((place, asks)) =
        (steps.iter().enumerate()).find(|(_, step)| expects(step) == Some(Expects::Score))
    else {
        return;
    };
    let (mut seen, mut ahead) = (BTreeSet::new(), following(steps, asks, false));
    while let Some(step) = ahead.pop() {
        if step.key == asks.key {
            let rule = "must not be asked again after it was answered";
            flaws.add(format!("steps[{place}]"), rule);
            return;
        }
        if seen.insert(&*step.key) {
            ahead.extend(following(steps, step, true));
        }
    }
}

/// The steps that may come right after one.
fn following<'s>(
    steps: &'s [pb::BotStep],
    step: &'s pb::BotStep,
    on_timeout: bool,
) -> Vec<&'s pb::BotStep> {
    let mut keys = Vec::new();
    match &step.act {
        Some(Act::Ask(ask)) => {
            keys.extend(ask.branches.iter().map(|branch| &*branch.next));
            if on_timeout {
                keys.push(&*ask.on_timeout);
            }
        }
        Some(Act::Close(_)) => return Vec::new(),
        _ => {}
    }
    let named = keys.into_iter().filter_map(|key| named(steps, key));
    named.chain(after(steps, step)).collect()
}
