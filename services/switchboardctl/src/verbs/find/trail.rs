//! The way of a message, one step a line: when, what, and why.

use switchboard_proto::channel_gateway::v1::Delivery;
use switchboard_proto::conversation::v1::{Message, message};
use switchboard_proto::operator::v1::DeadLetter;

use super::Known;
use crate::output::screen::{Screen, toned};
use crate::output::table::Tone;
use crate::output::{View, words};
use crate::verbs::assignment::rule;
use crate::verbs::chat::rows::text_of;
use crate::verbs::explain::Why;

/// How much of a message's text is shown.
const TEXT: usize = 70;

/// Where what a step says begins.
const COLUMN: usize = 25;

/// One step.
struct Step {
    time: Option<prost_types::Timestamp>,
    what: &'static str,
    text: String,
    tone: Tone,
}

/// The way of a message.
pub(super) fn render(known: &Known, view: &View, width: Option<u16>) -> Vec<String> {
    let message = known.stored.message.clone().unwrap_or_default();
    let mut screen = Screen::new(width, view.colour);
    screen.heading(&format!("\"{}\"", words::short(&text_of(&message), TEXT)));
    let channel = view.name(&known.stored.channel_id);
    for (what, id) in [
        ("message", &message.message_id),
        ("chat   ", &message.chat_id),
    ] {
        let beside = if what == "message" { "" } else { &*channel };
        screen.line(&[toned(format!("  {what} {id}  {beside}"), Tone::Dim)]);
    }
    for step in steps(known, &message, view) {
        draw(&mut screen, &step);
    }
    screen.finish()
}

/// Letters of what was never stored.
pub(super) fn letters(letters: &[&DeadLetter], view: &View, width: Option<u16>) -> Vec<String> {
    let mut screen = Screen::new(width, view.colour);
    screen.heading("ACCEPTED, AND NOT HANDLED");
    for letter in letters {
        draw(&mut screen, &of_letter(letter));
    }
    screen.finish()
}

fn draw(screen: &mut Screen, step: &Step) {
    let time = words::time(step.time.as_ref());
    let time = time.map_or_else(|| "-".into(), words::clock);
    screen.line(&[
        toned(format!("  {time:<8.8}  "), Tone::Dim),
        toned(format!("{:<11}", step.what), step.tone),
    ]);
    let head = screen.take();
    screen.continued(&head, COLUMN, &step.text);
}

/// The steps, in their order.
fn steps(known: &Known, message: &Message, view: &View) -> Vec<Step> {
    let mut steps = vec![written(message, view), stored(known, message)];
    if message.kind() == message::Kind::Client {
        steps.extend(of_conversation(known.why.as_ref(), message, view));
    }
    if message.delivery.is_some() {
        steps.extend(delivered(message, &known.deliveries));
    }
    steps.extend(known.letters.iter().map(of_letter));
    steps
}

fn written(message: &Message, view: &View) -> Step {
    let who = match message.kind() {
        message::Kind::Client => "by the client, by the provider's clock".to_owned(),
        message::Kind::Agent | message::Kind::Note => {
            format!("by {}", view.name(&message.agent_id))
        }
        kind => format!("by the {}", words::word(kind.as_str_name(), "KIND_")),
    };
    let day = words::time(message.time.as_ref()).map(words::moment);
    let key = match message.provider_key.as_str() {
        "" => String::new(),
        key => format!("; the provider's key is {key}"),
    };
    Step {
        time: message.time,
        what: "written",
        text: format!("{} {who}{key}", day.unwrap_or_default()),
        tone: Tone::Plain,
    }
}

/// Nothing is stored that was not accepted before.
fn stored(known: &Known, message: &Message) -> Step {
    let times = (
        words::time(message.time.as_ref()),
        words::time(known.stored.store_time.as_ref()),
    );
    let late = match times {
        (Some(written), Some(stored)) if (stored - written).whole_seconds() > 1 => {
            format!(", {} after it was written", words::span(stored - written))
        }
        _ => String::new(),
    };
    let what = if message.kind() == message::Kind::Client {
        "accepted from the provider and stored"
    } else {
        "stored"
    };
    Step {
        time: known.stored.store_time,
        what: "stored",
        text: format!("{what}{late}"),
        tone: Tone::Good,
    }
}

/// What was decided of the conversation: a card, an agent.
fn of_conversation(why: Option<&Why>, message: &Message, view: &View) -> Vec<Step> {
    if message.conversation_id.is_empty() {
        return vec![Step {
            time: None,
            what: "card",
            text: "none: the message belongs to no conversation, as in a chat that is spam".into(),
            tone: Tone::Dim,
        }];
    }
    let decision = why.and_then(|why| why.decision.as_ref());
    let card = match decision {
        None => Step {
            time: None,
            what: "card",
            text: "not decided yet: see the lag of crm-cards in `status`".into(),
            tone: Tone::Attention,
        },
        Some(decision) => Step {
            time: decision.time,
            what: "card",
            text: format!(
                "{} {} ({}): {}",
                words::word(decision.outcome().as_str_name(), "OUTCOME_"),
                decision.card_id,
                decision.rule,
                decision.explanation
            ),
            tone: if decision.card_id.is_empty() {
                Tone::Dim
            } else {
                Tone::Good
            },
        },
    };
    // The newest choice is the one that holds.
    let choice = why.and_then(|why| why.choices.first());
    let agent = match choice {
        None => Step {
            time: None,
            what: "assignment",
            text: "nobody yet: see the lag of assignment in `status`".into(),
            tone: Tone::Attention,
        },
        Some(choice) if choice.agent_id.is_empty() => Step {
            time: choice.time,
            what: "assignment",
            text: format!(
                "nobody could be chosen, of {} looked at; `explain {}` tells why",
                choice.candidates.len(),
                message.chat_id
            ),
            tone: Tone::Attention,
        },
        Some(choice) => Step {
            time: choice.time,
            what: "assignment",
            text: format!("{}, by {}", view.name(&choice.agent_id), rule(choice)),
            tone: Tone::Good,
        },
    };
    vec![card, agent]
}

/// What became of it at the provider, part by part.
fn delivered(message: &Message, deliveries: &[Delivery]) -> Vec<Step> {
    let tone = |state: &str| match state {
        "sent" | "delivered" | "read" => Tone::Good,
        "failed" => Tone::Bad,
        "cancelled" => Tone::Dim,
        _ => Tone::Attention,
    };
    if deliveries.is_empty() {
        let delivery = message.delivery.clone().unwrap_or_default();
        let state = words::word(delivery.state().as_str_name(), "STATE_");
        return vec![Step {
            time: delivery.update_time,
            what: "delivery",
            tone: tone(&state),
            text: reasoned(&state, &delivery.reason, &delivery.detail),
        }];
    }
    let steps = deliveries.iter().map(|delivery| {
        let state = words::word(delivery.state().as_str_name(), "STATE_");
        let place = format!("attempt {}, part {}: ", delivery.attempt, delivery.part + 1);
        Step {
            time: delivery.update_time,
            what: "delivery",
            tone: tone(&state),
            text: place + &reasoned(&state, &delivery.reason, &delivery.provider_key),
        }
    });
    steps.collect()
}

fn reasoned(state: &str, reason: &str, detail: &str) -> String {
    match (reason, detail) {
        ("", "") => state.to_owned(),
        ("", detail) => format!("{state} ({detail})"),
        (reason, "") => format!("{state}, {reason}"),
        (reason, detail) => format!("{state}, {reason}: {detail}"),
    }
}

fn of_letter(letter: &DeadLetter) -> Step {
    Step {
        time: letter.time,
        what: "dead letter",
        text: format!(
            "{} of {}, {}, after {} tries: {}; `deadletter show {}`",
            letter.sequence,
            letter.service,
            letter.consumer,
            letter.attempts,
            letter.error,
            letter.sequence
        ),
        tone: Tone::Bad,
    }
}

#[cfg(test)]
mod tests {
    use switchboard_proto::channel_gateway::v1::delivery;
    use switchboard_proto::conversation::v1::{MessageDelivery, StoredMessage};
    use switchboard_proto::crm_cards::v1::{Decision, decision};

    use super::*;
    use crate::cli::Cli;

    fn view() -> View {
        use clap::Parser as _;
        View::new(&Cli::parse_from(["switchboardctl", "status"]).globals)
    }

    fn known(message: Message) -> Known {
        Known {
            stored: StoredMessage {
                message: Some(message),
                store_time: Some(prost_types::Timestamp {
                    seconds: 1_000_030,
                    nanos: 0,
                }),
                channel_id: String::new(),
            },
            why: None,
            deliveries: Vec::new(),
            letters: Vec::new(),
        }
    }

    fn told(known: &Known) -> Vec<(&'static str, String)> {
        let message = known.stored.message.clone().unwrap_or_default();
        let steps = steps(known, &message, &view());
        steps
            .into_iter()
            .map(|step| (step.what, step.text))
            .collect()
    }

    fn of_client() -> Message {
        Message {
            kind: message::Kind::Client.into(),
            conversation_id: "c".into(),
            time: Some(prost_types::Timestamp {
                seconds: 1_000_000,
                nanos: 0,
            }),
            ..Message::default()
        }
    }

    #[test]
    fn o303_a_clients_message_is_followed_to_card_and_agent() {
        let mut one = known(of_client());
        let before = told(&one);
        assert_eq!(
            before[1].1,
            "accepted from the provider and stored, 30 s after it was written"
        );
        assert!(before[2].1.starts_with("not decided yet"), "{before:?}");
        assert!(before[3].1.starts_with("nobody yet"), "{before:?}");
        one.why = Some(Why {
            decision: Some(Decision {
                outcome: decision::Outcome::Skipped.into(),
                rule: "CARD_IN_WORK".into(),
                explanation: "a card is in work".into(),
                ..Decision::default()
            }),
            ..Why::default()
        });
        one.letters.push(DeadLetter {
            sequence: 17,
            service: "crm-cards".into(),
            error: "odd".into(),
            ..DeadLetter::default()
        });
        let after = told(&one);
        assert!(
            after[2].1.contains("(CARD_IN_WORK): a card is in work"),
            "{after:?}"
        );
        assert!(after[4].1.contains("17 of crm-cards"), "{after:?}");
    }

    #[test]
    fn o303_an_answer_is_followed_to_the_provider_with_the_reason_of_a_failure() {
        let mut one = known(Message {
            kind: message::Kind::Agent.into(),
            delivery: Some(MessageDelivery::default()),
            ..Message::default()
        });
        one.deliveries.push(Delivery {
            attempt: 2,
            part: 0,
            state: delivery::State::Failed.into(),
            reason: "CLIENT_BLOCKED_CHANNEL".into(),
            ..Delivery::default()
        });
        let told = told(&one);
        assert_eq!(told.len(), 3, "{told:?}");
        assert_eq!(
            told[2].1,
            "attempt 2, part 1: failed, CLIENT_BLOCKED_CHANNEL"
        );
    }
}
