//! Bots (F187, F199, F203): what a run does next, and which scenarios are sound. No I/O: whoever runs a bot carries out what is
//! decided here, and stores where the run stands.

mod hearing;
pub mod nps;
mod sound;

use std::collections::BTreeMap;

use switchboard_proto::common::v1::Text;
use switchboard_proto::conversation::v1 as pb;
use switchboard_proto::conversation::v1::bot_step::{Act, Ask, Branch, ask::Expects, branch::Fits};
use time::{Duration, OffsetDateTime};

pub use super::words::{BotRunState as RunState, BotWaits as Waits};
pub use hearing::{Hearing, Listening, Said, Stands};
pub use sound::{Flaw, check};

/// How long an answer is waited for where the scenario does not say; a comment less long.
const USUAL_TIMEOUT: Duration = Duration::DAY;

/// Questions of one run at most: one that is not answered may lead back to itself.
pub const QUESTIONS_MAX: i32 = 50;

/// Characters of an answer that are kept.
const ANSWER_MAX: usize = 2_000;

/// When a bot starts by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// When a client opens a conversation.
    ConversationOpened,
    /// When a client waits longer than the channel's rule has it (F211).
    ResponseTimeExceeded,
}

impl Trigger {
    /// The word by which it is stored.
    pub const fn word(self) -> &'static str {
        match self {
            Self::ConversationOpened => "conversation-opened",
            Self::ResponseTimeExceeded => "response-time-exceeded",
        }
    }

    /// Reads a word; none where it starts only by hand.
    pub fn read(word: &str) -> Option<Self> {
        let all = [Self::ConversationOpened, Self::ResponseTimeExceeded];
        all.into_iter().find(|trigger| trigger.word() == word)
    }
}

/// What a run goes on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input<'i> {
    /// It begins.
    Begin,
    /// The client answered.
    Answer(&'i str),
    /// The client did not answer in time.
    TimedOut,
    /// What another service was asked for is done.
    Done,
}

/// What is to be done, in this order, in the run's chat.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect<'s> {
    /// Say something to the client, or send files; variables stand in the text still.
    Say {
        /// The text; none where files alone are sent.
        text: Option<&'s Text>,
        /// Ids of the files.
        files: &'s [String],
    },
    /// Leave a note.
    Note(Option<&'s Text>),
    /// Keep the score of NPS, and what is known of the comment to it.
    Score {
        /// The score.
        score: i32,
        /// The comment; empty where there is none yet.
        comment: String,
    },
    /// Keep the comment to it, after what is known of one.
    Comment {
        /// The score; none where it has not been asked for yet.
        score: Option<i32>,
        /// The comment.
        comment: String,
    },
    /// End the conversation.
    Close,
}

/// What another service is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// Give the chat to an agent.
    Assign(String),
    /// Write a field of the contact.
    SetField {
        /// Key of the field.
        field: String,
        /// What is written.
        text: String,
    },
}

/// Where a run stands then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Then {
    /// It waits for the client's answer until then.
    Waits(OffsetDateTime),
    /// Another service is to be asked for [`call`]; then it goes on with [`Input::Done`].
    Calls,
    /// It came to its end.
    Ends,
    /// It could not go on.
    Fails(&'static str),
}

/// A run as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// Key of the step at which it is; empty before the first.
    pub step: String,
    /// What the client answered, by the keys of the steps.
    pub answers: BTreeMap<String, String>,
    /// Questions that were asked.
    pub questions: i32,
}

/// Moves a run on: what is to be done, and where it stands then. `state` is changed to that.
pub fn advance<'s>(
    scenario: &'s [pb::BotStep],
    state: &mut State,
    input: Input<'_>,
    now: OffsetDateTime,
) -> (Vec<Effect<'s>>, Then) {
    let mut effects = Vec::new();
    let mut next = match entered(scenario, state, input, &mut effects) {
        Ok(next) => next,
        Err(why) => return (effects, Then::Fails(why)),
    };
    // A sound scenario comes to a question, a call or its end before it has been everywhere.
    for _ in 0..=scenario.len() {
        let Some(step) = next else {
            return (effects, Then::Ends);
        };
        state.step.clone_from(&step.key);
        match &step.act {
            Some(Act::Send(send)) => effects.push(Effect::Say {
                text: send.text.as_ref(),
                files: &send.attachment_ids,
            }),
            Some(Act::Note(note)) => effects.push(Effect::Note(note.text.as_ref())),
            Some(Act::Ask(ask)) => {
                if state.questions >= QUESTIONS_MAX {
                    return (effects, Then::Fails("it asked too often"));
                }
                state.questions += 1;
                effects.push(Effect::Say {
                    text: ask.text.as_ref(),
                    files: &[],
                });
                return (effects, Then::Waits(now + timeout(ask)));
            }
            Some(Act::Assign(_) | Act::SetField(_)) => {
                // What was not answered is not written.
                if call(scenario, state).is_some() {
                    return (effects, Then::Calls);
                }
            }
            Some(Act::Close(_)) => {
                effects.push(Effect::Close);
                return (effects, Then::Ends);
            }
            // A kind of step that a newer version knows.
            None => {
                return (
                    effects,
                    Then::Fails("its scenario has a step of an unknown kind"),
                );
            }
        }
        next = after(scenario, step);
    }
    (effects, Then::Fails("its scenario goes in a circle"))
}

/// The step at which a run goes on, with what the answer that it waited for brings.
fn entered<'s>(
    scenario: &'s [pb::BotStep],
    state: &mut State,
    input: Input<'_>,
    effects: &mut Vec<Effect<'s>>,
) -> Result<Option<&'s pb::BotStep>, &'static str> {
    if input == Input::Begin {
        return Ok(scenario.first());
    }
    let at =
        named(scenario, &state.step).ok_or("its scenario has lost the step at which it was")?;
    let (Some(Act::Ask(ask)), input) = (&at.act, input) else {
        return Ok(after(scenario, at));
    };
    let text = match input {
        Input::Answer(text) => text.trim(),
        Input::TimedOut if ask.on_timeout.is_empty() => return Ok(None),
        Input::TimedOut => return Ok(named(scenario, &ask.on_timeout)),
        Input::Begin | Input::Done => return Ok(after(scenario, at)),
    };
    let kept = |text: &str| text.chars().take(ANSWER_MAX).collect::<String>();
    let mut text = text.to_owned();
    match ask.expects() {
        Expects::Score => {
            // Words instead of a number are for agents to read: nobody is asked for a score twice.
            let Some((score, more)) = nps::read(&text) else {
                return Ok(None);
            };
            let said = || answered(scenario, state, Expects::Comment).map(str::to_owned);
            let more = (!more.is_empty()).then(|| kept(&more));
            let comment = more.or_else(said).unwrap_or_default();
            effects.push(Effect::Score { score, comment });
            text = score.to_string();
        }
        // A picture says nothing that could be kept.
        Expects::Comment if !text.is_empty() => effects.push(Effect::Comment {
            score: answered(scenario, state, Expects::Score).and_then(|score| score.parse().ok()),
            comment: kept(&text),
        }),
        Expects::Comment | Expects::Unspecified => {}
    }
    state.answers.insert(at.key.clone(), kept(&text));
    let branch = ask.branches.iter().find(|branch| fits(branch, &text));
    Ok(match branch {
        Some(branch) => named(scenario, &branch.next),
        None => after(scenario, at),
    })
}

/// What the client answered to the question that expects this.
fn answered<'t>(scenario: &[pb::BotStep], state: &'t State, what: Expects) -> Option<&'t str> {
    let asks = |step: &&pb::BotStep| expected(scenario, &step.key) == Some(what);
    let steps = scenario.iter().filter(asks);
    steps
        .filter_map(|step| state.answers.get(&step.key))
        .next_back()
        .map(String::as_str)
}

/// The files that a scenario sends, in their order, each once. What is no id is left out: no sound scenario has such.
pub fn files(scenario: &[pb::BotStep]) -> Vec<uuid::Uuid> {
    let mut found = Vec::new();
    for step in scenario {
        let Some(Act::Send(send)) = &step.act else {
            continue;
        };
        let ids = send
            .attachment_ids
            .iter()
            .filter_map(|id| uuid::Uuid::parse_str(id).ok());
        found.extend(ids);
    }
    let mut seen = std::collections::BTreeSet::new();
    found.retain(|file| seen.insert(*file));
    found
}

/// What a run that waits at a step expects; none where that is no question.
pub fn expected(scenario: &[pb::BotStep], step: &str) -> Option<Expects> {
    match &named(scenario, step)?.act {
        Some(Act::Ask(ask)) => Some(ask.expects()),
        _ => None,
    }
}

/// What another service is to be asked for at the step of a run.
pub fn call(scenario: &[pb::BotStep], state: &State) -> Option<Call> {
    match &named(scenario, &state.step)?.act {
        Some(Act::Assign(assign)) => Some(Call::Assign(assign.agent_id.clone())),
        Some(Act::SetField(set)) => {
            let text = match &*set.answer_of {
                "" => Some(&set.text),
                of => state.answers.get(of),
            };
            let text = text.filter(|text| !text.is_empty())?;
            Some(Call::SetField {
                field: set.field.clone(),
                text: text.clone(),
            })
        }
        _ => None,
    }
}

fn named<'s>(scenario: &'s [pb::BotStep], key: &str) -> Option<&'s pb::BotStep> {
    scenario.iter().find(|step| step.key == key)
}

/// The step after one; none at the end.
fn after<'s>(scenario: &'s [pb::BotStep], step: &pb::BotStep) -> Option<&'s pb::BotStep> {
    if step.last {
        return None;
    }
    if !step.next.is_empty() {
        return named(scenario, &step.next);
    }
    let mut following = scenario.iter().skip_while(|other| other.key != step.key);
    following.nth(1)
}

fn timeout(ask: &Ask) -> Duration {
    match ask.timeout_seconds {
        0 if ask.expects() == Expects::Comment => nps::COMMENT_AWAITED,
        0 => USUAL_TIMEOUT,
        seconds => Duration::seconds(seconds.into()),
    }
}

fn fits(branch: &Branch, text: &str) -> bool {
    let text = text.to_lowercase();
    match &branch.fits {
        Some(Fits::Equals(wanted)) => text == wanted.trim().to_lowercase(),
        Some(Fits::Contains(wanted)) => text.contains(&wanted.to_lowercase()),
        Some(Fits::Number(range)) => text
            .parse::<i32>()
            .is_ok_and(|number| (range.from..=range.to).contains(&number)),
        None => false,
    }
}

#[cfg(test)]
mod tests;
