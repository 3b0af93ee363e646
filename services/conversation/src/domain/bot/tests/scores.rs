//! The question of NPS: scores, comments, and who is not asked.

use super::*;
use crate::domain::words::Language;

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
fn f202_each_end_of_a_conversation_has_its_question_and_a_score_is_asked_for_once() {
    let asked = |running, at, scored, before| nps::Asked {
        running,
        at,
        scored,
        before,
    };
    // Open at revision 3: ended once, and taken up again.
    for (asked, sent, settled) in [
        (asked(false, None, false, false), false, false),
        (asked(true, None, false, false), true, true),
        (asked(false, Some(3), false, false), true, true),
        (asked(false, Some(1), false, false), false, false),
        (asked(false, Some(2), false, false), false, false),
        (asked(false, Some(1), true, false), true, true),
        (asked(true, Some(1), false, false), true, true),
        (asked(false, Some(0), false, false), true, true),
        // Who has just been asked in another conversation may be asked, and need not.
        (asked(false, None, false, true), false, true),
    ] {
        let is = (asked.is_sent(3), asked.is_settled(3));
        assert_eq!(is, (sent, settled), "{asked:?}");
    }
}
