use super::*;
use chassis::access::ChannelGrant;
use uuid::Uuid;

use crate::domain::ChannelId;
use crate::domain::access::{Grants, evaluate};
use crate::domain::candidates::Drained;
use crate::domain::policy::{Settings, Turns};
use crate::domain::words::{Distribution, Presence};

fn agent(n: u128) -> AgentId {
    Uuid::from_u128(n).into()
}

fn channel() -> ChannelId {
    Uuid::from_u128(100).into()
}

fn colleague(n: u128) -> Colleague {
    Colleague {
        access: evaluate(agent(n), 1, true, &Grants::everything()),
        presence: Presence::Online,
        capacity: 0,
        load: 0,
        within_hours: true,
        drained: Drained::default(),
    }
}

fn team(members: &[(u128, Colleague)]) -> BTreeMap<AgentId, Colleague> {
    members
        .iter()
        .map(|(n, c)| (agent(*n), c.clone()))
        .collect()
}

fn policy(pool: &[u128]) -> Policy {
    Policy {
        settings: Settings {
            distribution: Distribution::RoundRobin,
            pool: Vec::new(),
            keep_previous: true,
            channel_capacity: 0,
            waiting_per_minute: 0,
            offer_seconds: 0,
        },
        pool: pool.iter().map(|n| (agent(*n), 1)).collect(),
        turns: Turns::default(),
    }
}

fn by_client() -> Facts<'static> {
    Facts {
        opener: None,
        previous: None,
        ripe: true,
        crm: &[],
        terms: Terms::of(channel()),
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn rules_apply_in_their_order() {
    let offline = Colleague {
        presence: Presence::Offline,
        ..colleague(1)
    };
    let full = Colleague {
        capacity: 2,
        load: 2,
        ..colleague(1)
    };
    let all = team(&[(1, colleague(1)), (2, colleague(2)), (3, colleague(3))]);
    let absent = team(&[(1, offline), (2, colleague(2))]);
    let busy = team(&[(1, full), (2, colleague(2))]);
    let mut off = policy(&[1, 2]);
    off.settings.distribution = Distribution::Off;
    let mut forgetful = policy(&[2]);
    forgetful.settings.keep_previous = false;
    let pool = policy(&[1, 2]);
    let opened = Facts {
        opener: Some(agent(1)),
        previous: Some(agent(2)),
        ..by_client()
    };
    let returning = Facts {
        previous: Some(agent(1)),
        ..by_client()
    };
    let unripe = Facts {
        ripe: false,
        crm: &[],
        ..returning
    };
    let cases = [
        (
            "opener before all",
            opened,
            Some(&pool),
            &all,
            Rule::Opener,
            Some(1),
        ),
        (
            "opener though offline",
            opened,
            Some(&pool),
            &absent,
            Rule::Opener,
            Some(1),
        ),
        (
            "opener though full",
            opened,
            Some(&pool),
            &busy,
            Rule::Opener,
            Some(1),
        ),
        (
            "opener without policy",
            opened,
            None,
            &all,
            Rule::Opener,
            Some(1),
        ),
        (
            "previous before distribution",
            returning,
            Some(&pool),
            &all,
            Rule::Previous,
            Some(1),
        ),
        (
            "previous with distribution off",
            returning,
            Some(&off),
            &all,
            Rule::Previous,
            Some(1),
        ),
        (
            "previous offline",
            returning,
            Some(&pool),
            &absent,
            Rule::Distribution,
            Some(2),
        ),
        (
            "previous full",
            returning,
            Some(&pool),
            &busy,
            Rule::Distribution,
            Some(2),
        ),
        (
            "previous not kept",
            returning,
            Some(&forgetful),
            &all,
            Rule::Distribution,
            Some(2),
        ),
        (
            "in turn",
            by_client(),
            Some(&pool),
            &all,
            Rule::Distribution,
            Some(1),
        ),
        ("off", by_client(), Some(&off), &all, Rule::None, None),
        ("no policy", returning, None, &all, Rule::None, None),
        (
            "not decided yet",
            unripe,
            Some(&pool),
            &all,
            Rule::None,
            None,
        ),
    ];
    for (name, facts, policy, colleagues, rule, expected) in cases {
        let choice = choose(&facts, policy, colleagues);
        assert_eq!(
            (choice.rule, choice.agent),
            (rule, expected.map(agent)),
            "{name}"
        );
    }
}

#[test]
fn everybody_left_out_has_the_first_reason_that_holds() {
    let elsewhere = Grants {
        channels: ChannelGrant::Some([].into()),
        ..Grants::everything()
    };
    let nothing = chassis::access::KindAccess {
        create: false,
        view: chassis::access::View::None,
    };
    let no_chats = Grants {
        leads: nothing,
        contacts: nothing,
        ..Grants::everything()
    };
    let with = |n, active, grants: &Grants| Colleague {
        access: evaluate(agent(n), 1, active, grants),
        ..colleague(n)
    };
    let colleagues = team(&[
        (1, with(1, false, &elsewhere)),
        (2, with(2, true, &elsewhere)),
        (3, with(3, true, &no_chats)),
        (
            4,
            Colleague {
                presence: Presence::Away,
                capacity: 1,
                load: 1,
                ..colleague(4)
            },
        ),
        (
            5,
            Colleague {
                capacity: 3,
                load: 3,
                ..colleague(5)
            },
        ),
        (
            6,
            Colleague {
                capacity: 3,
                load: 2,
                ..colleague(6)
            },
        ),
    ]);
    let choice = choose(
        &by_client(),
        Some(&policy(&[1, 2, 3, 4, 5, 6, 7])),
        &colleagues,
    );
    let seen: Vec<_> = choice.candidates.iter().map(|c| c.left_out).collect();
    let expected = [
        Some(LeftOut::AgentInactive),
        Some(LeftOut::ChannelNotGranted),
        Some(LeftOut::ChatAccessMissing),
        Some(LeftOut::NotOnline),
        Some(LeftOut::AtCapacity),
        None,
        Some(LeftOut::AgentUnknown),
    ];
    assert_eq!(seen, expected);
    assert_eq!(choice.agent, Some(agent(6)));
}

#[test]
fn b04_b15_outside_working_hours_no_rule_but_the_openers_chooses() {
    use LeftOut::{ChannelOutsideWorkingHours, NotOnline, OutsideWorkingHours};
    let off = Colleague {
        within_hours: false,
        ..colleague(1)
    };
    let away = Colleague {
        presence: Presence::Away,
        ..off.clone()
    };
    let facts = |opener, previous, channel_open| Facts {
        opener,
        previous,
        terms: Terms {
            open: channel_open,
            ..Terms::of(channel())
        },
        ..by_client()
    };
    let (one, two) = (Some(agent(1)), Some(agent(2)));
    // Who agent 1 is, the facts, who is chosen, and why agent 1 was left out.
    let cases = [
        (
            &off,
            facts(None, None, true),
            two,
            Some(OutsideWorkingHours),
        ),
        (&away, facts(None, None, true), two, Some(NotOnline)),
        (&off, facts(None, one, true), two, Some(OutsideWorkingHours)),
        (&off, facts(one, None, true), one, None),
        (
            &off,
            facts(None, None, false),
            None,
            Some(OutsideWorkingHours),
        ),
        (
            &colleague(1),
            facts(None, None, false),
            None,
            Some(ChannelOutsideWorkingHours),
        ),
        (
            &colleague(1),
            facts(None, one, false),
            None,
            Some(ChannelOutsideWorkingHours),
        ),
        (&colleague(1), facts(one, None, false), one, None),
    ];
    for (first, facts, chosen, left_out) in cases {
        let colleagues = team(&[(1, first.clone()), (2, colleague(2))]);
        let choice = choose(&facts, Some(&policy(&[1, 2])), &colleagues);
        assert_eq!(choice.agent, chosen, "{facts:?}");
        assert_eq!(choice.candidates[0].left_out, left_out, "{facts:?}");
    }
}

#[test]
fn b04_limits_of_the_channel_its_pace_and_offers_leave_out_in_their_order() {
    let drained = |n, count| Colleague {
        drained: Drained { count, since: None },
        ..colleague(n)
    };
    let full = Colleague {
        capacity: 1,
        load: 1,
        ..drained(1, 9)
    };
    let colleagues = team(&[
        (1, full),
        (2, drained(2, 9)),
        (3, drained(3, 5)),
        (4, drained(4, 5)),
        (5, drained(5, 4)),
        (6, drained(6, 0)),
    ]);
    let loads = [(agent(2), 3), (agent(5), 2)].into();
    let passed = [agent(3), agent(5)];
    let facts = Facts {
        terms: Terms {
            capacity: 3,
            loads: Some(&loads),
            pace: 5,
            passed: &passed,
            ..Terms::of(channel())
        },
        ..by_client()
    };
    let choice = choose(&facts, Some(&policy(&[1, 2, 3, 4, 5, 6])), &colleagues);
    let seen: Vec<_> = choice.candidates.iter().map(|c| c.left_out).collect();
    let expected = [
        Some(LeftOut::AtCapacity),
        Some(LeftOut::AtChannelCapacity),
        Some(LeftOut::AtPace),
        Some(LeftOut::AtPace),
        Some(LeftOut::OfferPassed),
        None,
    ];
    assert_eq!(seen, expected);
    assert_eq!(choice.agent, Some(agent(6)));
}

#[test]
fn b04_who_let_an_offer_pass_has_it_again_only_when_all_who_could_take_it_did() {
    let away = Colleague {
        presence: Presence::Away,
        ..colleague(3)
    };
    let colleagues = team(&[(1, colleague(1)), (2, colleague(2)), (3, away)]);
    let with = |passed: &[AgentId], previous| {
        let facts = Facts {
            previous,
            terms: Terms {
                passed,
                ..Terms::of(channel())
            },
            ..by_client()
        };
        choose(&facts, Some(&policy(&[1, 2, 3])), &colleagues)
    };
    let one = agent(1);
    assert_eq!(with(&[], None).agent, Some(one));
    let kept = with(&[one], Some(one));
    assert_eq!(
        (kept.rule, kept.agent),
        (Rule::Distribution, Some(agent(2)))
    );
    assert_eq!(kept.candidates[0].left_out, Some(LeftOut::OfferPassed));
    let again = with(&[one, agent(2)], None);
    assert_eq!(again.agent, Some(one));
    let seen: Vec<_> = again.candidates.iter().map(|c| c.left_out).collect();
    assert_eq!(seen, [None, None, Some(LeftOut::NotOnline)]);
}

#[test]
fn a_candidate_tells_all_that_the_choice_compared() {
    let mut policy = policy(&[1, 2]);
    policy.pool.insert(agent(2), 4);
    policy.take_turn(agent(2));
    let colleagues = team(&[
        (1, colleague(1)),
        (
            2,
            Colleague {
                capacity: 8,
                load: 3,
                ..colleague(2)
            },
        ),
    ]);
    let choice = choose(&by_client(), Some(&policy), &colleagues);
    let told: Vec<_> = choice
        .candidates
        .iter()
        .map(|c| (c.load, c.capacity, c.weight, c.turn))
        .collect();
    assert_eq!(told, [(0, 0, 1, 0), (3, 8, 4, 1)]);
}
