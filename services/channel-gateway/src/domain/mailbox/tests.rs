use time::macros::{date, datetime};

use super::*;

fn cursor(uidvalidity: u32, last_uid: u32) -> Cursor {
    Cursor {
        uidvalidity,
        last_uid,
        since: None,
    }
}

fn remembered(cursor: Cursor) -> Remembered {
    Remembered {
        cursor,
        last_good_at: datetime!(2026-11-03 01:00 UTC),
    }
}

// pitfall 32: the cursor is a UID, not a day
#[test]
fn a_folder_is_read_on_from_where_it_was_left() {
    let again = |uidvalidity| Cursor {
        uidvalidity,
        last_uid: 0,
        since: Some(date!(2026 - 11 - 01)),
    };
    for (what, before, uidvalidity, uidnext, expected) in [
        ("first sight", None, 7, 101, cursor(7, 100)),
        ("first sight, empty", None, 7, 1, cursor(7, 0)),
        ("first sight, next UID 0", None, 7, 0, cursor(7, 0)),
        ("the same", Some(cursor(7, 90)), 7, 101, cursor(7, 90)),
        ("nothing new", Some(cursor(7, 100)), 7, 101, cursor(7, 100)),
        ("another life", Some(cursor(7, 100)), 8, 101, again(8)),
        ("put back", Some(cursor(7, 100)), 7, 50, again(7)),
    ] {
        let found = resume(before.map(remembered), uidvalidity, uidnext);
        assert_eq!(found, expected, "{what}");
    }
}

#[test]
fn a_rescan_goes_on_after_a_restart_and_ends_at_the_newest() {
    let rescan = Cursor {
        uidvalidity: 8,
        last_uid: 5,
        since: Some(date!(2026 - 11 - 01)),
    };
    assert_eq!(resume(Some(remembered(rescan)), 8, 101), rescan);
    assert_eq!(settled(rescan, 101), cursor(8, 100));
    assert_eq!(settled(cursor(8, 5), 101), cursor(8, 5));
}

#[test]
fn criteria_ask_for_uids_and_for_days_only_while_reading_again() {
    assert_eq!(criteria(cursor(1, 41)), "UID 42:*");
    assert_eq!(criteria(cursor(1, u32::MAX)), "UID 4294967295:*");
    let rescan = Cursor {
        since: Some(date!(2026 - 02 - 03)),
        ..cursor(1, 0)
    };
    assert_eq!(criteria(rescan), "UID 1:* SINCE 3-Feb-2026");
}

#[test]
fn what_a_search_found_is_sorted_bounded_and_never_read_twice() {
    for (found, last, limit, expected) in [
        (vec![9, 7, 8], 6, 10, vec![7, 8, 9]),
        (vec![6], 6, 10, vec![]),
        (vec![5], 6, 10, vec![]),
        (vec![9, 7, 8, 7], 6, 2, vec![7, 8]),
        (vec![], 0, 10, vec![]),
    ] {
        assert_eq!(next(&found, cursor(1, last), limit), expected, "{found:?}");
    }
}

// pitfall 24: a slow line breaks off and goes on
#[test]
fn a_message_is_set_aside_after_three_answers_or_ten_breaks() {
    for (failure, tries, gives_up) in [
        (Failure::Answered, 1, false),
        (Failure::Answered, 2, false),
        (Failure::Answered, 3, true),
        (Failure::Answered, 9, true),
        (Failure::Broke, 3, false),
        (Failure::Broke, 9, false),
        (Failure::Broke, 10, true),
    ] {
        let verdict = after_failure(failure, tries, 0.5);
        assert_eq!(verdict == Verdict::GiveUp, gives_up, "{failure:?} {tries}");
    }
}

#[test]
fn only_the_third_refusal_disconnects() {
    for (refusals, gives_up) in [(1, false), (2, false), (3, true), (4, true)] {
        let verdict = after_refusal(refusals, Duration::from_secs(30));
        assert_eq!(verdict == Verdict::GiveUp, gives_up, "{refusals}");
    }
}

#[test]
fn an_overloaded_server_does_not_speak_of_credentials() {
    for (text, expected) in [
        ("[AUTHENTICATIONFAILED] Invalid credentials (Failure)", true),
        ("AUTHENTICATE failed.", true),
        ("LOGIN failed", true),
        (
            "[UNAVAILABLE] Temporary authentication failure. [host:1]",
            false,
        ),
        (
            "[ALERT] Too many simultaneous connections. (Failure)",
            false,
        ),
        ("User is authenticated but not connected.", false),
        ("[INUSE] Mailbox is locked", false),
        ("[LIMIT] Sessions exceeded", false),
    ] {
        assert_eq!(is_about_credentials(text), expected, "{text}");
    }
}

#[test]
fn an_idle_ends_for_whichever_comes_first() {
    let rhythm = |reissue, poll| Rhythm {
        reissue: Duration::from_secs(reissue),
        poll: Duration::from_secs(poll),
        poll_without_idle: Duration::from_mins(1),
    };
    let idle = |seconds| Waiting::Idle(Duration::from_secs(seconds));
    assert_eq!(waiting(rhythm(540, 180), true), idle(180));
    assert_eq!(waiting(rhythm(540, 900), true), idle(540));
    let asleep = Waiting::Sleep(Duration::from_mins(1));
    assert_eq!(waiting(rhythm(540, 180), false), asleep);
}
