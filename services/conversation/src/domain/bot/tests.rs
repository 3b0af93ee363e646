use super::*;
use crate::domain::words::Language;
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
    step(
        key,
        Act::Send(Send {
            text: Some(text(key)),
        }),
    )
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
        Effect::Say(text) => text.map_or("", |text| &text.text).to_owned(),
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

#[test]
fn f203_a_score_is_the_only_number_among_words_of_giving_and_kindness() {
    for (words, expected) in [
        ("10", Some((10, ""))),
        ("0", Some((0, ""))),
        (" 7 ", Some((7, ""))),
        ("7.", Some((7, ""))),
        ("10!", Some((10, ""))),
        ("+5", Some((5, ""))),
        ("07", Some((7, ""))),
        ("8\u{fe0f}\u{20e3}", Some((8, ""))),
        ("🔟", Some((10, ""))),
        ("10 👍", Some((10, ""))),
        ("👍👍 10❤️", Some((10, ""))),
        ("9/10", Some((9, ""))),
        ("10 / 10", Some((10, ""))),
        ("8 з 10", Some((8, ""))),
        ("9 из 10", Some((9, ""))),
        ("9 of 10", Some((9, ""))),
        ("7 out of 10", Some((7, ""))),
        ("9 Балів!", Some((9, ""))),
        ("10 балів, дякую", Some((10, "дякую"))),
        ("10, thanks", Some((10, "thanks"))),
        ("9/10 дуже добре", Some((9, "дуже добре"))),
        ("дам 9", Some((9, ""))),
        ("My score is 9", Some((9, ""))),
        ("I'd say 8!", Some((8, ""))),
        ("thanks\n10", Some((10, "thanks"))),
        ("10 - дякую вам 👍", Some((10, "дякую вам 👍"))),
        // Not of 0 to 10.
        ("11", None),
        ("-1", None),
        ("100", None),
        ("8 з 100", None),
        ("9.5", None),
        ("1 0", None),
        ("7-8", None),
        ("8/10/10", None),
        ("½", None),
        ("ten", None),
        ("", None),
        // Phones, prices, dates, times, places and other numbers.
        ("0501234567", None),
        ("+380 50 123", None),
        ("10 грн", None),
        ("$5", None),
        ("5%", None),
        ("10:30", None),
        ("о 9", None),
        ("at 9 please", None),
        ("9 am", None),
        ("10.05", None),
        ("9 травня", None),
        ("10 хвилин", None),
        ("7 days", None),
        ("кв 5", None),
        ("order 7", None),
        ("№5", None),
        ("5G", None),
        ("no 5 more", None),
        ("not 9", None),
        ("ще 2", None),
        ("2 шт", None),
        ("5 or 6", None),
        ("5?", None),
        ("why 9", None),
        // Orders, and what else an agent has to read.
        ("2 tickets please", None),
        ("I need exactly 3 boxes", None),
        ("5 black ones", None),
        ("thanks, also broken 1", None),
        ("my code is 4", None),
        ("Send 1 courier", None),
        ("10, не пошкодував", None),
        // More than a score.
        ("10 but my parcel has not come yet", None),
        ("10 https://example.com/a", None),
        ("9 me@example.com", None),
    ] {
        let expected = expected.map(|(score, more)| (score, more.to_owned()));
        assert_eq!(nps::read(words), expected, "{words:?}");
    }
}

#[test]
fn f203_the_usual_questions_take_a_score_and_a_comment() {
    for language in [Language::English, Language::Ukrainian] {
        let scenario = nps::scenario(language);
        assert_eq!(check(&scenario, true), Ok(()));
        let mut state = State::default();
        moved(&scenario, &mut state, Input::Begin);
        assert_eq!(expected(&scenario, &state.step), Some(Expects::Score));
        let (words, then) = moved(&scenario, &mut state, Input::Answer("9"));
        assert_eq!(
            (&*words[0], matches!(then, Then::Waits(_))),
            ("score 9", true)
        );
        let (words, then) = moved(&scenario, &mut state, Input::Answer("fast"));
        assert_eq!((&*words[0], then), ("comment fast to Some(9)", Then::Ends));
        // Words instead of a number: an agent reads them, and the bot is silent.
        let mut state = State::default();
        moved(&scenario, &mut state, Input::Begin);
        assert_eq!(
            moved(&scenario, &mut state, Input::Answer("why?")),
            (vec![], Then::Ends)
        );
    }
}

#[test]
fn f199_all_that_is_wrong_with_a_scenario_is_told_by_its_place() {
    let flaws = |steps: &[pb::BotStep], nps| -> Vec<String> {
        let flaws = check(steps, nps).err().unwrap_or_default();
        flaws.into_iter().map(|flaw| flaw.field).collect()
    };
    assert_eq!(flaws(&[], false), ["steps"]);
    assert_eq!(flaws(&[say("a")], true), ["steps"]);
    assert_eq!(flaws(&nps::scenario(Language::English), false), ["nps"]);
    let wrong = [
        then(say("a"), "nowhere"),
        step(
            "a",
            Act::Send(Send {
                text: Some(text(" ")),
            }),
        ),
        step(
            "b",
            Act::Assign(Assign {
                agent_id: "Olena".into(),
            }),
        ),
        step("c", Act::SetField(SetField::default())),
        pb::BotStep {
            key: "d".into(),
            ..pb::BotStep::default()
        },
        ask(
            "e",
            &[
                (Fits::Equals(" ".into()), "zz"),
                (Fits::Number(Range { from: 2, to: 1 }), "a"),
            ],
            "gone",
        ),
        step(
            "f",
            Act::Send(Send {
                text: Some(text("{{client.shoes}}")),
            }),
        ),
    ];
    assert_eq!(
        flaws(&wrong, false),
        [
            "steps[0].next",
            "steps[1].key",
            "steps[1].send.text",
            "steps[2].assign.agent_id",
            "steps[3].set_field.field",
            "steps[3].set_field.text",
            "steps[4]",
            "steps[5].ask.on_timeout",
            "steps[5].ask.branches[0].next",
            "steps[5].ask.branches[0]",
            "steps[5].ask.branches[1]",
            "steps[6].send.text",
        ]
    );
    // A circle without a question, and one with it.
    assert_eq!(
        flaws(&[say("a"), then(say("b"), "a")], false),
        ["steps[0].next"]
    );
    assert!(flaws(&[ask("a", &[], ""), then(say("b"), "a")], false).is_empty());
    let many: Vec<pb::BotStep> = (0..101).map(|number| say(&number.to_string())).collect();
    assert_eq!(flaws(&many, false), ["steps"]);
}

#[test]
fn f203_a_score_is_read_among_what_came_with_it() {
    for (text, expected) in [
        ("10", Some((10, ""))),
        ("10\nthanks", Some((10, "thanks"))),
        ("9/10\n\n fast \nand kind", Some((9, "fast\nand kind"))),
        ("10\n9\nno, nine", Some((9, "no, nine"))),
        ("10, thanks\nfast", Some((10, "thanks\nfast"))),
        ("10 хвилин", None),
        ("hello\nwhere is order 5", None),
    ] {
        let expected = expected.map(|(score, more)| (score, more.to_owned()));
        assert_eq!(nps::read(text), expected, "{text}");
    }
}

#[test]
fn f203_a_comment_goes_with_its_score() {
    let scenario = nps::scenario(Language::English);
    let begun = || {
        let mut state = State::default();
        moved(&scenario, &mut state, Input::Begin);
        state
    };
    // Its key stands before that of the score, and it may be a number, too.
    let mut state = begun();
    let (words, _) = moved(&scenario, &mut state, Input::Answer("10"));
    assert_eq!(words[0], "score 10");
    let (words, _) = moved(&scenario, &mut state, Input::Answer("5"));
    assert_eq!(words[0], "comment 5 to Some(10)");
    // What came at once with the score is the comment until there is another.
    let mut state = begun();
    let (words, _) = moved(&scenario, &mut state, Input::Answer("7\nslow"));
    assert_eq!(words[0], "score 7, slow");
    // A comment is waited for less long than an answer, unless the scenario says.
    let mut state = begun();
    let (_, then) = moved(&scenario, &mut state, Input::Answer("7"));
    assert_eq!(then, Then::Waits(NOON + Duration::minutes(15)));
    // A picture is no comment.
    let (words, then) = moved(&scenario, &mut state, Input::Answer(""));
    assert_eq!((words.len(), then), (1, Then::Ends));
}

#[test]
fn d15_who_cannot_be_reached_is_not_asked() {
    use crate::domain::chat::tests::chat;
    use crate::domain::words::{ChannelKind, NpsSkipped};
    let reach = |blocked: Option<i64>, channel_off| nps::Reach {
        blocked_at: blocked.map(|hours| NOON + Duration::hours(hours)),
        channel_off,
    };
    let telegram = ChannelKind::TelegramBot;
    for (kind, reach, hours, expected) in [
        (telegram, reach(None, false), 100, None),
        (telegram, reach(None, true), 0, Some(NpsSkipped::ChannelOff)),
        (
            telegram,
            reach(Some(0), false),
            0,
            Some(NpsSkipped::ClientBlocked),
        ),
        (telegram, reach(Some(-1), false), 0, None),
        (ChannelKind::Instagram, reach(None, false), 23, None),
        (
            ChannelKind::Instagram,
            reach(None, false),
            24,
            Some(NpsSkipped::WindowClosed),
        ),
    ] {
        let mut chat = chat();
        (chat.channel_kind, chat.last_client_message_at) = (kind, NOON);
        let now = NOON + Duration::hours(hours);
        assert_eq!(
            nps::obstacle(&chat, reach, now),
            expected,
            "{kind:?} {reach:?}"
        );
    }
}

#[test]
fn f202_who_a_bot_let_go_and_who_answered_before_is_told_apart() {
    for (by_nps, asks, settled, skipped) in [
        (false, true, false, true),
        (true, true, false, false),
        (false, false, false, false),
        (false, true, true, false),
    ] {
        assert_eq!(nps::skipped_by_bot(by_nps, asks, settled), skipped);
    }
    let (own, other) = (
        uuid::Uuid::from_u128(1).into(),
        uuid::Uuid::from_u128(2).into(),
    );
    assert_eq!(nps::answered_before(true, own, Some(other)), Some(other));
    assert_eq!(nps::answered_before(true, own, Some(own)), None);
    assert_eq!(nps::answered_before(false, own, Some(other)), None);
    assert_eq!(nps::answered_before(true, own, None), None);
}

#[test]
fn f203_nobody_is_counted_twice() {
    let score = |next: &str, on_timeout: &str| pb::BotStep {
        key: "score".into(),
        next: next.into(),
        act: Some(Act::Ask(Ask {
            text: Some(text("how?")),
            expects: Expects::Score.into(),
            on_timeout: on_timeout.into(),
            ..Ask::default()
        })),
        ..pb::BotStep::default()
    };
    let again = |flawed: bool, scenario: &[pb::BotStep]| {
        let flaws = check(scenario, true).err().unwrap_or_default();
        let places: Vec<_> = flaws.iter().map(|flaw| &*flaw.field).collect();
        assert_eq!(places, if flawed { vec!["steps[0]"] } else { vec![] });
    };
    // Who did not answer may be asked again; who did may not, by whatever way.
    again(false, &[score("", "score"), say("thanks")]);
    again(true, &[score("score", "")]);
    again(
        true,
        &[score("", ""), ask("why", &[], "score"), say("thanks")],
    );
    again(
        true,
        &[
            score("", ""),
            ask("why", &[(Fits::Equals("x".into()), "score")], ""),
            say("thanks"),
        ],
    );
}

#[test]
fn f199_nobody_is_asked_again_and_again_by_short_time_outs() {
    let timed = |key: &str, seconds: i32, on_timeout: &str| {
        let mut step = ask(key, &[], on_timeout);
        if let Some(Act::Ask(ask)) = &mut step.act {
            ask.timeout_seconds = seconds;
        }
        step
    };
    for (scenario, flawed) in [
        (vec![timed("a", 1, "a")], &["steps[0]"][..]),
        (vec![timed("a", 60, "a")], &[]),
        (
            vec![timed("a", 1, "b"), timed("b", 58, "a")],
            &["steps[0]", "steps[1]"],
        ),
        (vec![timed("a", 1, "b"), timed("b", 59, "a")], &[]),
        (vec![timed("a", 1, "b"), timed("b", 0, "a")], &[]),
        // By way of a step that asks nothing.
        (
            vec![timed("a", 1, "b"), say("thanks"), then(say("b"), "a")],
            &["steps[0]"],
        ),
        // Into a circle, which is not its own.
        (
            vec![timed("a", 1, "b"), timed("b", 30, "c"), timed("c", 29, "b")],
            &["steps[1]", "steps[2]"],
        ),
        (vec![timed("a", 1, "b"), timed("b", 1, "")], &[]),
    ] {
        let flaws = check(&scenario, false).err().unwrap_or_default();
        let places: Vec<String> = flaws
            .iter()
            .map(|flaw| flaw.field.replace(".ask.timeout_seconds", ""))
            .collect();
        assert_eq!(places, flawed, "{scenario:?}");
    }
}

#[test]
fn f199_a_scenario_is_as_long_as_somebody_can_write_it() {
    let long = "щ".repeat(3_999);
    let step = |number: i32| pb::BotStep {
        key: number.to_string(),
        act: Some(Act::Send(Send {
            text: Some(text(&long)),
        })),
        ..pb::BotStep::default()
    };
    let steps: Vec<_> = (0..16).map(step).collect();
    assert_eq!(check(&steps, false), Ok(()));
    let steps: Vec<_> = (0..17).map(step).collect();
    let flaws = check(&steps, false).unwrap_err();
    assert_eq!((flaws.len(), &*flaws[0].field), (1, "steps"));
}
