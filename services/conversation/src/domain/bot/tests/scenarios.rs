//! Which scenarios are sound.

use super::*;
use crate::domain::words::Language;

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
        sends("a", " ", &[]),
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
        sends("f", "{{client.shoes}}", &[]),
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
    let step = |number: i32| {
        let mut step = ask(&number.to_string(), &[], "");
        if let Some(Act::Ask(ask)) = &mut step.act {
            ask.text = Some(text(&long));
        }
        step
    };
    let steps: Vec<_> = (0..16).map(step).collect();
    assert_eq!(check(&steps, false), Ok(()));
    let steps: Vec<_> = (0..17).map(step).collect();
    let flaws = check(&steps, false).unwrap_err();
    assert_eq!((flaws.len(), &*flaws[0].field), (1, "steps"));
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

const PRICES: &str = "0197e7a4-0000-7000-8000-000000000001";

#[test]
fn f187_a_step_sends_words_files_or_both() {
    let too_many = [PRICES; 21];
    let flaws = |files: &[&str], words: &str| -> Vec<String> {
        let flaws = check(&[sends("a", words, files)], false).err();
        let flaws = flaws.unwrap_or_default().into_iter();
        flaws.map(|flaw| flaw.field).collect()
    };
    let (none, at): (&[&str], _) = (&[], "steps[0].send.attachment_ids");
    assert_eq!(flaws(&[PRICES], "our prices"), none);
    assert_eq!(flaws(&[PRICES], ""), none);
    assert_eq!(flaws(&[], ""), ["steps[0].send.text"]);
    // Words that are there are looked at, also beside files.
    assert_eq!(flaws(&[PRICES], " "), ["steps[0].send.text"]);
    assert_eq!(flaws(&["price.pdf"], ""), [format!("{at}[0]")]);
    assert_eq!(flaws(&too_many, ""), [at]);
    // Of all steps together: the gateway is told of them every day.
    let ids: Vec<String> = (0..101)
        .map(|n| uuid::Uuid::from_u128(n).to_string())
        .collect();
    let asked = |count: usize| -> Vec<pb::BotStep> {
        let ids: Vec<&str> = ids.iter().take(count).map(String::as_str).collect();
        let steps = ids.chunks(20).enumerate();
        let steps = steps.flat_map(|(at, ids)| {
            [
                sends(&format!("s{at}"), "", ids),
                ask(&format!("a{at}"), &[], ""),
            ]
        });
        steps.collect()
    };
    assert_eq!(check(&asked(100), false), Ok(()));
    let flaws = check(&asked(101), false).unwrap_err();
    assert_eq!((flaws.len(), &*flaws[0].field), (1, "steps"));
    assert_eq!(files(&asked(100)).len(), 100);
}

#[test]
fn f187_a_client_gets_so_much_in_a_row_before_a_step_asks() {
    let says = |from: i32, to: i32| (from..to).map(|number| say(&number.to_string()));
    let flaws = |scenario: &[pb::BotStep]| -> Vec<String> {
        let flaws = check(scenario, false).err().unwrap_or_default();
        flaws.into_iter().map(|flaw| flaw.field).collect()
    };
    let none: &[String] = &[];
    let ten: Vec<_> = says(0, 10).collect();
    assert_eq!(flaws(&ten), none);
    let eleven: Vec<_> = says(0, 11).collect();
    assert_eq!(flaws(&eleven), ["steps[10]"]);
    // A question is a message, too, and from it on it is counted anew, by whatever way it goes on.
    let asks = |on_timeout: &str| {
        let asks = ask("which", &[(Fits::Equals("x".into()), "1")], on_timeout);
        says(0, 9)
            .chain([asks])
            .chain(says(10, 20))
            .collect::<Vec<_>>()
    };
    assert_eq!(flaws(&asks("")), none);
    let again = asks("0");
    assert_eq!(flaws(&again), none);
    let mut long = asks("");
    long.push(say("21"));
    assert_eq!(flaws(&long), ["steps[20]"]);
    let mut eleventh: Vec<_> = says(0, 10).collect();
    eleventh.push(ask("which", &[], ""));
    assert_eq!(flaws(&eleventh), ["steps[10]"]);
    // What nobody comes to is not counted.
    let mut apart = ten;
    apart.push(then(say("a"), ""));
    apart.extend(says(10, 20));
    apart[9].last = true;
    assert_eq!(flaws(&apart), none);
    // Files among them.
    let files = |first: usize, second: usize| {
        let scenario = [
            sends("a", "", &vec![PRICES; first]),
            sends("b", "", &vec![PRICES; second]),
        ];
        flaws(&scenario)
    };
    assert_eq!(files(10, 10), none);
    assert_eq!(files(10, 11), ["steps[1]"]);
}
