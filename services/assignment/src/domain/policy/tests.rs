use super::*;
use uuid::Uuid;

fn agent(n: u128) -> AgentId {
    Uuid::from_u128(n).into()
}

fn policy(distribution: Distribution, pool: &[(u128, i32)]) -> Policy {
    Policy {
        settings: Settings {
            distribution,
            pool: Vec::new(),
            keep_previous: false,
            channel_capacity: 0,
            waiting_per_minute: 0,
            offer_seconds: 0,
        },
        pool: pool
            .iter()
            .map(|(n, weight)| (agent(*n), *weight))
            .collect(),
        turns: Turns::default(),
    }
}

/// Agents with their open chats and how many they may have.
fn staff(of: &[(u128, i32, i32)]) -> Vec<Eligible> {
    let eligible = |(n, load, capacity): &(u128, i32, i32)| Eligible {
        agent: agent(*n),
        load: *load,
        capacity: *capacity,
    };
    of.iter().map(eligible).collect()
}

/// Gives chats one after another and counts who got how many.
fn turns(policy: &mut Policy, present: &[u128], rounds: usize) -> Vec<i32> {
    let eligible = staff(&present.iter().map(|n| (*n, 0, 0)).collect::<Vec<_>>());
    let mut counts = BTreeMap::new();
    for _ in 0..rounds {
        let next = policy.next(&eligible).unwrap();
        policy.take_turn(next);
        *counts.entry(next).or_insert(0) += 1;
    }
    let count = |n: &u128| counts.get(&agent(*n)).copied().unwrap_or(0);
    present.iter().map(count).collect()
}

#[test]
fn b04_turns_are_in_proportion_to_weights_at_every_moment() {
    let mut policy = policy(Distribution::RoundRobin, &[(1, 1), (2, 2), (3, 5)]);
    let mut total = [0; 3];
    for round in 1..=800 {
        let one = turns(&mut policy, &[1, 2, 3], 1);
        total.iter_mut().zip(one).for_each(|(sum, one)| *sum += one);
        for (sum, weight) in total.iter().zip([1, 2, 5]) {
            let due = f64::from(round) * f64::from(weight) / 8.0;
            assert!(
                (f64::from(*sum) - due).abs() <= 2.0,
                "round {round}: {total:?}"
            );
        }
    }
    assert_eq!(total, [100, 200, 500]);
}

#[test]
fn b04_of_equal_weights_turns_differ_by_one_at_most_whoever_comes_and_goes() {
    let mut policy = policy(Distribution::RoundRobin, &[(1, 7), (2, 7), (3, 7)]);
    turns(&mut policy, &[1, 2, 3], 10);
    // The third is away for long, and makes up for nothing; whoever is next after that is the third.
    turns(&mut policy, &[1, 2], 1_001);
    let eligible = staff(&[(1, 0, 0), (2, 0, 0), (3, 0, 0)]);
    assert_eq!(policy.next(&eligible), Some(agent(3)));
    let mut since = [0; 3];
    for _ in 0..50 {
        let one = turns(&mut policy, &[1, 2, 3], 1);
        since.iter_mut().zip(one).for_each(|(sum, one)| *sum += one);
        let (most, least) = (since.iter().max().unwrap(), since.iter().min().unwrap());
        assert!(most - least <= 1, "{since:?}");
    }
}

/// Who took turns before, in this order; agents with open chats and limit; who is next.
type Case = (
    &'static str,
    &'static [u128],
    &'static [(u128, i32, i32)],
    u128,
);

#[test]
fn b04_the_smallest_part_of_what_they_may_have_is_next_and_of_equals_who_waited_longest() {
    let pool = [(1, 1), (2, 1), (3, 2)];
    let cases: &[Case] = &[
        ("least open", &[], &[(1, 2, 10), (2, 1, 10)], 2),
        ("by part, not by number", &[], &[(1, 2, 4), (2, 3, 10)], 2),
        (
            "equal parts of other limits",
            &[2, 1],
            &[(1, 1, 2), (2, 5, 10)],
            2,
        ),
        (
            "never had one",
            &[1, 2],
            &[(1, 0, 5), (2, 0, 5), (3, 0, 5)],
            3,
        ),
        ("longest without", &[1, 2], &[(1, 0, 5), (2, 0, 5)], 1),
        ("weight counts as room", &[], &[(1, 3, 10), (3, 5, 10)], 3),
        (
            "weight and load in balance",
            &[3, 1],
            &[(1, 3, 10), (3, 6, 10)],
            3,
        ),
        (
            "no limit is the largest one",
            &[],
            &[(1, 4, 0), (2, 5, 10)],
            1,
        ),
        ("nobody has a limit", &[], &[(1, 7, 0), (2, 6, 0)], 2),
    ];
    for (name, before, staff_now, next) in cases {
        let mut policy = policy(Distribution::LeastLoaded, &pool);
        for n in *before {
            policy.take_turn(agent(*n));
        }
        assert_eq!(policy.next(&staff(staff_now)), Some(agent(*next)), "{name}");
    }
}

#[test]
fn nobody_is_chosen_of_nobody_or_where_chats_are_not_distributed() {
    let pool = [(1, 1)];
    for distribution in [Distribution::RoundRobin, Distribution::LeastLoaded] {
        assert_eq!(policy(distribution, &pool).next(&[]), None);
    }
    let off = policy(Distribution::Off, &pool);
    assert_eq!(off.next(&staff(&[(1, 0, 0)])), None);
}

#[test]
fn who_comes_back_makes_up_for_nothing_and_a_change_to_loads_and_back_keeps_the_turns() {
    let mut policy = policy(Distribution::RoundRobin, &[(1, 1), (2, 1)]);
    turns(&mut policy, &[1, 2], 5);
    policy.settings.distribution = Distribution::LeastLoaded;
    turns(&mut policy, &[1], 9);
    policy.settings.distribution = Distribution::RoundRobin;
    // The first has had one turn more, in turn; what came by load is not held against anybody.
    assert_eq!(turns(&mut policy, &[1, 2], 3), [1, 2]);
    policy.pool.remove(&agent(2));
    turns(&mut policy, &[1], 6);
    policy.pool.insert(agent(2), 1);
    assert_eq!(turns(&mut policy, &[1, 2], 4), [2, 2]);
}
