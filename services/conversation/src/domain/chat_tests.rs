use super::*;
use crate::domain::words::MessageKind;
use time::macros::datetime;
use uuid::Uuid;

const NOON: OffsetDateTime = datetime!(2026-05-01 12:00 UTC);

pub(crate) fn chat() -> Chat {
    Chat {
        id: Uuid::from_u128(1).into(),
        account: AccountSlug::parse("acme").unwrap(),
        channel: Uuid::from_u128(2).into(),
        channel_kind: ChannelKind::TelegramBot,
        chat_key: "7".into(),
        client: Uuid::from_u128(3).into(),
        state: ChatState::Inactive,
        spam: false,
        responsible: None,
        assignment_number: 0,
        episode: None,
        sequence: 0,
        out_seq: 0,
        unanswered: 0,
        answered_sequence: 0,
        waiting: false,
        waiting_since: None,
        answered_number: 0,
        last_client_sequence: 0,
        commented: false,
        unread: false,
        read_version: 0,
        name: String::new(),
        image: None,
        bot: None,
        labels: Vec::new(),
        snooze: None,
        last_client_message_at: NOON,
        preview: None,
        created_at: NOON,
    }
}

fn episode(number: i64) -> Episode {
    Episode {
        id: Uuid::from_u128(100).into(),
        number,
        revision: 1,
        opened_at: NOON,
        closed_at: None,
        opener: None,
        start_payload: String::new(),
    }
}

fn preview(time: OffsetDateTime, text: &str) -> Preview {
    Preview {
        message: Uuid::from_u128(9).into(),
        kind: MessageKind::Client,
        text: text.into(),
        time,
    }
}

/// Notes an answer of the newest conversation, with so many messages of the client after it.
fn answered(chat: &mut Chat, position: i64, messages: i32) -> bool {
    let conversation = chat.episode.as_ref().map(|episode| episode.id);
    let answer = Answer {
        position,
        conversation,
    };
    let later = Later {
        messages,
        first: None,
    };
    chat.answered(answer, later)
}

#[test]
fn a_client_message_opens_continues_or_belongs_to_the_open_conversation() {
    let minutes = |n| Duration::from_mins(n);
    let closed = |ago: u64| {
        let mut chat = chat();
        chat.open(episode(1), OpenReason::ClientMessage);
        chat.close(NOON - minutes(ago));
        chat
    };
    let mut open = chat();
    open.open(episode(1), OpenReason::ClientMessage);
    let mut spam = closed(1);
    spam.spam = true;
    for (name, chat, rule, expected) in [
        ("first message", chat(), minutes(0), Opening::Opens),
        (
            "first message with a rule",
            chat(),
            minutes(10),
            Opening::Opens,
        ),
        ("open", open, minutes(10), Opening::IsOpen),
        ("closed, no rule", closed(1), minutes(0), Opening::Opens),
        ("closed now, no rule", closed(0), minutes(0), Opening::Opens),
        (
            "closed by a faster clock, no rule",
            {
                let mut chat = chat();
                chat.open(episode(1), OpenReason::ClientMessage);
                chat.close(NOON + minutes(1));
                chat
            },
            minutes(0),
            Opening::Opens,
        ),
        (
            "closed within the rule",
            closed(9),
            minutes(10),
            Opening::Continues,
        ),
        (
            "closed at its edge",
            closed(10),
            minutes(10),
            Opening::Opens,
        ),
        ("spam", spam, minutes(10), Opening::Spam),
    ] {
        assert_eq!(chat.opening(NOON, rule), expected, "{name}");
    }
}

#[test]
fn the_state_follows_conversation_and_responsible() {
    let agent = AgentId::from(Uuid::from_u128(5));
    let mut chat = chat();
    chat.open(episode(3), OpenReason::ClientMessage);
    assert_eq!(chat.state, ChatState::Unassigned);
    chat.assigned(3, Some(agent));
    assert_eq!(
        (chat.state, chat.responsible),
        (ChatState::Active, Some(agent))
    );
    chat.assigned(2, None);
    assert_eq!(
        chat.state,
        ChatState::Active,
        "an earlier conversation's end is late"
    );

    let closed = chat.close(NOON).unwrap();
    assert_eq!((closed.revision, chat.state), (2, ChatState::Inactive));
    assert_eq!(
        chat.responsible,
        Some(agent),
        "kept until assignment says otherwise"
    );
    assert_eq!(chat.close(NOON), None, "it is closed");

    chat.resume();
    assert_eq!(chat.episode.as_ref().map(|e| e.revision), Some(3));
    assert_eq!(
        chat.state,
        ChatState::Active,
        "a continued conversation keeps its responsible"
    );
    chat.close(NOON);
    chat.open(episode(4), OpenReason::ClientMessage);
    assert_eq!(
        (chat.state, chat.responsible),
        (ChatState::Unassigned, None),
        "an opening resets"
    );
}

#[test]
fn an_assignment_that_came_before_its_conversation_counts() {
    let agent = AgentId::from(Uuid::from_u128(5));
    let mut chat = chat();
    chat.assigned(1, Some(agent));
    assert_eq!(chat.state, ChatState::Inactive);
    chat.open(episode(1), OpenReason::ClientMessage);
    assert_eq!(
        (chat.state, chat.responsible),
        (ChatState::Active, Some(agent))
    );
}

#[test]
fn f071_unanswered_counts_client_messages_after_the_last_answer_that_was_sent() {
    let mut chat = chat();
    chat.received(preview(NOON, "a"));
    chat.received(preview(NOON, "b"));
    assert_eq!(chat.unanswered, 2);
    assert!(
        answered(&mut chat, 4, 1),
        "one came while the answer was on its way"
    );
    assert_eq!(chat.unanswered, 1);
    assert!(
        !answered(&mut chat, 3, 2),
        "an earlier answer was sent later"
    );
    assert!(!answered(&mut chat, 4, 0), "said twice");
    assert_eq!(chat.unanswered, 1);
    chat.received(preview(NOON, "c"));
    assert_eq!(chat.unanswered, 2);
}

#[test]
fn d32_a_wait_begins_with_the_first_message_after_the_answer_within_the_conversation() {
    let at = |minutes| NOON + Duration::from_mins(minutes);
    let later = |messages, minutes| Later {
        messages,
        first: Some(at(minutes)),
    };
    let answer = |chat: &Chat| Answer {
        position: 1,
        conversation: chat.episode.as_ref().map(|episode| episode.id),
    };
    let mut one = chat();
    one.open(episode(1), OpenReason::ClientMessage);
    one.received(preview(at(0), "a"));
    one.received(preview(at(5), "b"));
    assert_eq!(one.waiting_since, Some(at(0)));
    let sent = answer(&one);
    assert!(one.answered(sent, later(1, 5)));
    assert_eq!(one.waiting_since, Some(at(5)), "b came after the answer");
    assert_eq!(one.answered_number, 1);

    // An answer of the conversation before is heard of late: b belongs to that one.
    let mut other = chat();
    other.open(episode(1), OpenReason::ClientMessage);
    other.received(preview(at(0), "a"));
    other.received(preview(at(5), "b"));
    let sent = answer(&other);
    other.close(at(6));
    let next = Episode {
        id: Uuid::from_u128(101).into(),
        ..episode(2)
    };
    other.open(next, OpenReason::ClientMessage);
    assert_eq!(other.waiting_since, None);
    other.received(preview(at(9), "c"));
    assert!(other.answered(sent, later(2, 5)));
    assert_eq!(other.waiting_since, Some(at(9)));
    assert_eq!(other.answered_number, 0, "nobody has answered in this one");
}

#[test]
fn the_newest_message_by_time_is_shown_and_moves_the_chat_up() {
    let mut chat = chat();
    let later = NOON + Duration::from_mins(1);
    chat.received(preview(later, "later"));
    chat.received(preview(NOON, "late to arrive"));
    assert_eq!(
        chat.preview.as_ref().map(|p| p.text.as_str()),
        Some("later")
    );
    assert_eq!(chat.last_client_message_at, later);
}

#[test]
fn a_batch_is_ordered_by_time_then_number_then_arrival() {
    let mut batch = vec![
        (NOON, 2, "second"),
        (NOON + Duration::from_secs(1), 1, "fourth"),
        (NOON, 2, "third"),
        (NOON, 1, "first"),
    ];
    arrange(&mut batch, |m| (m.0, m.1));
    let order: Vec<_> = batch.iter().map(|m| m.2).collect();
    assert_eq!(order, ["first", "second", "third", "fourth"]);
}

#[test]
fn a_second_told_whole_does_not_put_a_message_before_what_was_answered_in_it() {
    let at = |millis: i64| NOON + time::Duration::milliseconds(millis);
    let just_after = |millis: i64| at(millis) + time::Duration::microseconds(1);
    let last_before_the_next = NOON + time::Duration::microseconds(999_999);
    for (name, preview_at, closed_at, sent_at, expected) in [
        ("an empty chat", None, None, at(0), at(0)),
        (
            "answered in that second",
            Some(at(400)),
            None,
            at(0),
            just_after(400),
        ),
        (
            "answered in the second before",
            Some(at(-600)),
            None,
            at(0),
            at(0),
        ),
        ("answered later", Some(at(1_200)), None, at(0), at(0)),
        (
            "another of the same second",
            Some(at(0)),
            None,
            at(0),
            at(0),
        ),
        (
            "ended after the answer",
            Some(at(400)),
            Some(at(600)),
            at(0),
            just_after(600),
        ),
        (
            "ended before the answer",
            Some(at(700)),
            Some(at(600)),
            at(0),
            just_after(700),
        ),
        (
            "a provider with finer times",
            Some(at(400)),
            None,
            at(300),
            at(300),
        ),
        (
            "never in the next second",
            Some(last_before_the_next),
            None,
            at(0),
            last_before_the_next,
        ),
    ] {
        let mut chat = chat();
        chat.preview = preview_at.map(|time| preview(time, "yes"));
        chat.episode = Some(Episode {
            closed_at,
            ..episode(1)
        });
        assert_eq!(chat.history_time(sent_at), expected, "{name}");
    }
}

#[test]
fn d30_an_open_conversation_takes_the_first_payload_that_comes() {
    let open = |payload: &str| {
        let mut chat = chat();
        let episode = Episode {
            start_payload: payload.into(),
            ..episode(1)
        };
        chat.open(episode, OpenReason::ClientMessage);
        chat
    };
    let mut closed = open("");
    closed.close(NOON);
    for (mut chat, payload, taken, holds) in [
        (open(""), "ad_autumn", true, "ad_autumn"),
        (open("lead_77"), "ad_autumn", false, "lead_77"),
        (open(""), "", false, ""),
        (closed, "ad_autumn", false, ""),
    ] {
        assert_eq!(chat.take_link(payload).is_some(), taken, "{payload}");
        assert_eq!(chat.episode.unwrap().start_payload, holds);
    }
    assert_eq!(chat().take_link("ad_autumn"), None, "no conversation yet");
}

#[test]
fn f203_a_comment_is_to_be_read_and_whatever_comes_next_stands_for_it() {
    let ended = || {
        let mut ended = chat();
        ended.open(episode(1), OpenReason::ClientMessage);
        ended.close(NOON);
        ended.sequence = 9;
        ended
    };
    let mut commented = ended();
    commented.comment();
    assert!(commented.commented && !commented.waiting);
    assert_eq!(
        commented.last_client_sequence, 9,
        "what was read before was not this"
    );
    let opens: fn(&mut Chat) = |chat| chat.open(episode(2), OpenReason::ClientMessage);
    for act in [Chat::read, Chat::waive, Chat::resume, opens] {
        let mut next = commented.clone();
        act(&mut next);
        assert!(!next.commented);
    }
    // In an open conversation agents see it anyway.
    let mut open = ended();
    open.resume();
    open.comment();
    assert!(!open.commented);
}
