//! Runs: what they say, ask and do.

mod scenarios;
mod scores;

use super::*;
use pb::bot_step::{Assign, Close, Note, Range, Send, SetField};

const NOON: OffsetDateTime = time::macros::datetime!(2026-03-02 12:00:00 UTC);

fn text(text: &str) -> Text {
    Text {
        text: text.into(),
        ..Text::default()
    }
}

fn step(key: &str, act: Act) -> pb::BotStep {
    pb::BotStep {
        key: key.into(),
        act: Some(act),
        ..pb::BotStep::default()
    }
}

fn say(key: &str) -> pb::BotStep {
    sends(key, key, &[])
}

/// Sends words, where there are some, and files.
fn sends(key: &str, words: &str, files: &[&str]) -> pb::BotStep {
    let send = Send {
        text: (!words.is_empty()).then(|| text(words)),
        attachment_ids: files.iter().map(ToString::to_string).collect(),
    };
    step(key, Act::Send(send))
}

fn ask(key: &str, branches: &[(Fits, &str)], on_timeout: &str) -> pb::BotStep {
    let branches = branches.iter().map(|(fits, next)| Branch {
        fits: Some(fits.clone()),
        next: (*next).into(),
    });
    let ask = Ask {
        text: Some(text(key)),
        timeout_seconds: 60,
        on_timeout: on_timeout.into(),
        branches: branches.collect(),
        ..Ask::default()
    };
    step(key, Act::Ask(ask))
}

fn then(mut step: pb::BotStep, next: &str) -> pb::BotStep {
    if next.is_empty() {
        step.last = true;
    } else {
        step.next = next.into();
    }
    step
}

/// What a run says, in order, and where it stands then.
fn moved(scenario: &[pb::BotStep], state: &mut State, input: Input<'_>) -> (Vec<String>, Then) {
    let (effects, then) = advance(scenario, state, input, NOON);
    let words = effects.iter().map(|effect| match effect {
        Effect::Say { text, files } => {
            let text = text.map_or("", |text| &text.text).to_owned();
            let files = files.iter().map(|file| format!("[{file}]"));
            files
                .chain([text])
                .filter(|word| !word.is_empty())
                .collect::<Vec<_>>()
                .join(" ")
        }
        Effect::Note(text) => format!("note {}", text.map_or("", |text| &text.text)),
        Effect::Score { score, comment } if comment.is_empty() => format!("score {score}"),
        Effect::Score { score, comment } => format!("score {score}, {comment}"),
        Effect::Comment { score, comment } => format!("comment {comment} to {score:?}"),
        Effect::Close => "close".into(),
    });
    (words.collect(), then)
}

/// Asks for a kind of question, answers it for two, and gives everything else to an agent.
fn menu() -> Vec<pb::BotStep> {
    let range = Fits::Number(Range { from: 10, to: 20 });
    vec![
        say("hello"),
        ask(
            "which",
            &[
                (Fits::Equals(" Delivery ".into()), "delivery"),
                (Fits::Contains("ЦІН".into()), "price"),
                (range, "price"),
            ],
            "late",
        ),
        step(
            "agent",
            Act::Assign(Assign {
                agent_id: uuid::Uuid::nil().to_string(),
            }),
        ),
        then(
            step(
                "told",
                Act::Note(Note {
                    text: Some(text("given away")),
                }),
            ),
            "",
        ),
        then(say("delivery"), "done"),
        say("price"),
        step("done", Act::Close(Close {})),
        then(say("late"), ""),
    ]
}

#[test]
fn f187_a_run_says_asks_and_branches_on_the_answer() {
    let menu = menu();
    assert_eq!(check(&menu, false), Ok(()));
    let waits = Then::Waits(NOON + Duration::MINUTE);
    for (answer, words, end) in [
        ("delivery", &["delivery", "close"][..], Then::Ends),
        ("  DELIVERY\n", &["delivery", "close"], Then::Ends),
        ("які ціни?", &["price", "close"], Then::Ends),
        ("15", &["price", "close"], Then::Ends),
        ("21", &[], Then::Calls),
        ("something else", &[], Then::Calls),
    ] {
        let mut state = State::default();
        let begun = moved(&menu, &mut state, Input::Begin);
        assert_eq!(begun, (vec!["hello".into(), "which".into()], waits.clone()));
        let went = moved(&menu, &mut state, Input::Answer(answer));
        assert_eq!(
            (went.0, went.1.clone()),
            (words.iter().map(ToString::to_string).collect(), end),
            "{answer}"
        );
        assert_eq!(state.answers["which"], answer.trim());
        if went.1 == Then::Calls {
            assert_eq!(
                call(&menu, &state),
                Some(Call::Assign(uuid::Uuid::nil().to_string()))
            );
            let done = moved(&menu, &mut state, Input::Done);
            assert_eq!(done, (vec!["note given away".into()], Then::Ends));
        }
    }
    let mut state = State::default();
    moved(&menu, &mut state, Input::Begin);
    let late = moved(&menu, &mut state, Input::TimedOut);
    assert_eq!(late, (vec!["late".into()], Then::Ends));
}

#[test]
fn f187_an_answer_is_written_into_a_field_and_nothing_where_there_is_none() {
    let set = |of: &str, words: &str| {
        step(
            "set",
            Act::SetField(SetField {
                field: "city".into(),
                answer_of: of.into(),
                text: words.into(),
            }),
        )
    };
    let scenario = vec![ask("city", &[], "set"), set("city", ""), say("thanks")];
    assert_eq!(check(&scenario, false), Ok(()));
    let mut state = State::default();
    moved(&scenario, &mut state, Input::Begin);
    assert_eq!(
        moved(&scenario, &mut state, Input::Answer(" Kyiv ")).1,
        Then::Calls
    );
    let expected = Call::SetField {
        field: "city".into(),
        text: "Kyiv".into(),
    };
    assert_eq!(call(&scenario, &state), Some(expected));
    assert_eq!(
        moved(&scenario, &mut state, Input::Done),
        (vec!["thanks".into()], Then::Ends)
    );
    // Nobody answered: it is left out.
    let mut state = State::default();
    moved(&scenario, &mut state, Input::Begin);
    assert_eq!(
        moved(&scenario, &mut state, Input::TimedOut),
        (vec!["thanks".into()], Then::Ends)
    );
}

#[test]
fn f187_a_run_that_asks_for_ever_comes_to_an_end() {
    let scenario = vec![ask("again", &[], "again")];
    assert_eq!(check(&scenario, false), Ok(()));
    let mut state = State::default();
    let mut input = Input::Begin;
    for _ in 0..QUESTIONS_MAX {
        assert!(matches!(
            moved(&scenario, &mut state, input).1,
            Then::Waits(_)
        ));
        input = Input::TimedOut;
    }
    assert!(matches!(
        moved(&scenario, &mut state, input).1,
        Then::Fails(_)
    ));
    // A scenario that lost the step at which a run is ends it, too.
    let mut lost = State {
        step: "gone".into(),
        ..State::default()
    };
    assert!(matches!(
        moved(&scenario, &mut lost, Input::TimedOut).1,
        Then::Fails(_)
    ));
}
