use time::macros::datetime;

use super::*;

const NOON: OffsetDateTime = datetime!(2026-01-01 12:00:00 UTC);

fn agent(n: u128) -> AgentId {
    Uuid::from_u128(n).into()
}

fn told(number: i64, revision: i64, open: bool) -> Told {
    Told {
        conversation: Uuid::from_u128(0xc0).into(),
        number,
        revision,
        open,
        opening: None,
        decided: true,
    }
}

/// A chat whose first conversation is open, and who answered for it in the one before.
fn chat(previous: Option<u128>) -> Chat {
    Chat {
        id: Uuid::from_u128(0xc4a7).into(),
        account: chassis::testing::account("acme"),
        channel: Uuid::from_u128(0xc4a1).into(),
        conversation: Uuid::from_u128(0xc0).into(),
        number: 1,
        revision: 1,
        open: true,
        opening: None,
        decided: true,
        provisional: false,
        agent: None,
        previous: previous.map(agent),
        participants: Vec::new(),
        stamp: Stamp::ZERO,
        version: 1,
        waiting_reasons: String::new(),
        claim_request: String::new(),
        given_back: None,
        offer_end: None,
        passed: Vec::new(),
    }
}

/// A case: who served before, what happens, whom the client returns to then.
type Case<'s> = (&'s str, Option<u128>, &'s [Step], Option<u128>);

/// Something that happens with a chat.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// A rule offers it.
    Offer(u128),
    /// Somebody is made the responsible for good, by hand or by a rule without offers.
    Give(u128),
    Take,
    Pass,
    Close,
    Reopen,
    Next,
}

impl Step {
    fn happen(self, chat: &mut Chat) {
        match self {
            Self::Offer(n) => {
                chat.give(agent(n), Stamp::ZERO, "");
                chat.offer(NOON);
            }
            Self::Give(n) => drop(chat.give(agent(n), Stamp::ZERO, "")),
            Self::Take => drop(chat.take_offer()),
            Self::Pass => chat.pass_offer(Stamp::ZERO),
            Self::Close => drop(chat.hear(&told(chat.number, chat.revision + 1, false))),
            Self::Reopen => drop(chat.hear(&told(chat.number, chat.revision + 1, true))),
            Self::Next => drop(chat.hear(&told(chat.number + 1, 1, true))),
        }
    }
}

#[test]
fn b05_who_never_took_an_offer_is_not_whom_the_client_returns_to() {
    use Step::{Close, Give, Next, Offer, Pass, Reopen, Take};
    let cases: &[Case<'_>] = &[
        ("given for good", Some(8), &[Give(1), Close, Next], Some(1)),
        ("taken", Some(8), &[Offer(1), Take, Close, Next], Some(1)),
        ("never taken", Some(8), &[Offer(1), Close, Next], Some(8)),
        (
            "never taken, by nobody before",
            None,
            &[Offer(1), Close, Next],
            None,
        ),
        (
            "its end was not heard of",
            Some(8),
            &[Offer(1), Next],
            Some(8),
        ),
        (
            "passed, then never taken",
            Some(8),
            &[Offer(1), Pass, Offer(2), Close, Next],
            Some(8),
        ),
        (
            "passed, then taken by another",
            Some(8),
            &[Offer(1), Pass, Offer(2), Take, Close, Next],
            Some(2),
        ),
        (
            "passed, then given by hand",
            Some(8),
            &[Offer(1), Pass, Give(1), Close, Next],
            Some(1),
        ),
        (
            "handed on",
            Some(8),
            &[Offer(1), Give(2), Close, Next],
            Some(2),
        ),
        ("nobody", Some(8), &[Close, Next], Some(8)),
        (
            "never taken twice",
            Some(8),
            &[Offer(1), Close, Next, Offer(2), Close, Next],
            Some(8),
        ),
        (
            "never taken after one who took",
            Some(8),
            &[Offer(1), Take, Close, Next, Offer(2), Close, Next],
            Some(1),
        ),
        (
            "went on after its end",
            Some(8),
            &[Offer(1), Close, Reopen, Close, Next],
            Some(1),
        ),
    ];
    for (name, before, steps, expected) in cases {
        let mut chat = chat(*before);
        for step in *steps {
            step.happen(&mut chat);
        }
        assert_eq!(chat.previous, expected.map(agent), "{name}");
        assert_eq!((chat.agent, chat.offer_end), (None, None), "{name}");
    }
}

#[test]
fn b04_nobody_has_to_take_what_is_over() {
    use Step::{Close, Offer, Reopen, Take};
    for (name, steps, expected) in [
        ("offered", [Offer(1)].as_slice(), Some(NOON)),
        ("taken", &[Offer(1), Take], None),
        ("over", &[Offer(1), Close], None),
        ("goes on", &[Offer(1), Close, Reopen], None),
    ] {
        let mut chat = chat(None);
        for step in steps {
            step.happen(&mut chat);
        }
        assert_eq!(chat.offered_until(), expected, "{name}");
        assert_eq!(chat.agent, Some(agent(1)), "{name}: it stays theirs");
    }
}
