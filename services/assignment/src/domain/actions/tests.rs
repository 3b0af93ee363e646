use chassis::stamp::Stamp;
use time::macros::datetime;
use uuid::Uuid;

use super::*;
use crate::domain::chat::Opening;
use crate::domain::words::GivenBack;

fn agent(n: u128) -> AgentId {
    Uuid::from_u128(n).into()
}

/// A chat with an open conversation that the client opened and whose decision has come.
fn chat(responsible: Option<u128>, joined: &[u128]) -> Chat {
    Chat {
        id: Uuid::from_u128(0xc4a7).into(),
        account: chassis::testing::account("acme"),
        channel: Uuid::from_u128(0xc4a1).into(),
        conversation: Uuid::from_u128(0xc0).into(),
        number: 7,
        revision: 1,
        open: true,
        opening: Some(Opening {
            time: datetime!(2026-01-01 12:00:00 UTC),
            opener: Some(agent(9)),
            event: None,
            traceparent: String::new(),
        }),
        decided: true,
        provisional: false,
        agent: responsible.map(agent),
        previous: Some(agent(8)),
        participants: joined.iter().copied().map(agent).collect(),
        stamp: Stamp::ZERO,
        version: 1,
        waiting_reasons: String::new(),
        claim_request: String::new(),
        given_back: None,
        offer_end: None,
        passed: Vec::new(),
    }
}

#[test]
fn x03_an_act_needs_an_open_chat_with_the_responsible_that_the_caller_saw() {
    let (one, two) = (Some(agent(1)), Some(agent(2)));
    for (name, open, responsible, expected, answer) in [
        ("not compared", true, Some(1), None, Ok(())),
        ("as seen", true, Some(1), Some(one), Ok(())),
        ("nobody, as seen", true, None, Some(None), Ok(())),
        (
            "another",
            true,
            Some(1),
            Some(two),
            Err(Refusal::Changed(one)),
        ),
        (
            "somebody now",
            true,
            Some(1),
            Some(None),
            Err(Refusal::Changed(one)),
        ),
        (
            "nobody now",
            true,
            None,
            Some(one),
            Err(Refusal::Changed(None)),
        ),
        ("closed", false, Some(1), Some(one), Err(Refusal::NotOpen)),
    ] {
        let mut chat = chat(responsible, &[]);
        chat.open = open;
        assert_eq!(as_seen(&chat, expected), answer, "{name}");
    }
}

#[test]
fn f149_who_does_not_work_with_a_chat_joins_it_first() {
    for (name, responsible, joined, by, answer) in [
        (
            "the responsible",
            Some(1),
            [2],
            By::Agent(agent(1)),
            Ok(agent(1)),
        ),
        (
            "who has joined",
            Some(1),
            [2],
            By::Agent(agent(2)),
            Ok(agent(1)),
        ),
        ("a supervisor", Some(1), [2], By::Supervisor, Ok(agent(1))),
        (
            "a colleague",
            Some(1),
            [2],
            By::Agent(agent(3)),
            Err(Refusal::JoinFirst(agent(1))),
        ),
        (
            "nobody answers",
            None,
            [2],
            By::Supervisor,
            Err(Refusal::Nobody),
        ),
    ] {
        assert_eq!(worked_by(&chat(responsible, &joined), by), answer, "{name}");
    }
}

#[test]
fn f160_agents_are_added_once_each_beside_the_responsible() {
    let agents = |ids: &[u128]| ids.iter().copied().map(agent).collect::<Vec<_>>();
    for (name, joined, adding, new) in [
        ("several", &[][..], &[3, 2][..], &[3, 2][..]),
        ("the responsible is in already", &[], &[1], &[]),
        ("who has joined is in already", &[2], &[2, 3], &[3]),
        ("named twice", &[], &[2, 2], &[2]),
    ] {
        let answer = joining(&chat(Some(1), joined), &agents(adding));
        assert_eq!(answer, Ok(agents(new)), "{name}");
    }
    assert_eq!(
        joining(&chat(None, &[]), &agents(&[2])),
        Err(Refusal::Nobody)
    );
    let full: Vec<u128> = (100..150).collect();
    let full = chat(Some(1), &full);
    assert_eq!(joining(&full, &agents(&[2])), Err(Refusal::TooMany));
    assert_eq!(
        joining(&full, &agents(&[100])),
        Ok(Vec::new()),
        "in already"
    );
}

#[test]
fn f161_d24_the_sole_responsible_stays_and_the_longest_participant_follows() {
    use Leaving::{FollowedBy, Participant};
    for (name, joined, leaves, barred, answer) in [
        ("a participant", &[2, 3][..], 3, 0, Ok(Participant)),
        ("the responsible", &[3, 2], 1, 0, Ok(FollowedBy(agent(3)))),
        (
            "the longest may not",
            &[3, 2],
            1,
            3,
            Ok(FollowedBy(agent(2))),
        ),
        ("the only one may not", &[3], 1, 3, Err(Refusal::Sole)),
        ("nobody else", &[], 1, 0, Err(Refusal::Sole)),
        ("takes no part", &[2], 4, 0, Err(Refusal::NotIn)),
    ] {
        let chat = chat(Some(1), joined);
        let may_follow = |candidate| candidate != agent(barred);
        assert_eq!(leaving(&chat, agent(leaves), may_follow), answer, "{name}");
    }
}

#[test]
fn f124_a_chat_that_was_taken_back_has_nobody_and_waits_only_if_it_is_to() {
    let act = Stamp {
        time: datetime!(2026-01-01 12:05:00 UTC),
        event: Uuid::from_u128(5),
    };
    for (given_back, waits) in [(GivenBack::Queued, true), (GivenBack::Stays, false)] {
        let mut chat = chat(Some(1), &[2]);
        assert_eq!(chat.take_back(act, given_back), Some(agent(1)));
        assert_eq!(
            (chat.agent, chat.participants.len(), chat.version),
            (None, 0, 2)
        );
        assert_eq!(chat.waiting_since().is_some(), waits, "{given_back:?}");
        // No rule puts it back to who opened it or had it before; what a rule chooses is as late as the taking back.
        assert_eq!((chat.opener(), chat.previous), (None, None));
        assert_eq!(chat.stamp_of_rule(), act);
        chat.give(agent(3), act, "");
        assert_eq!(chat.given_back, None);
        assert_eq!(chat.stamp_of_rule(), chat.opening_stamp());
    }
}
