//! Between distribution policies on the wire and what the domain speaks of.

use std::collections::BTreeMap;

use chassis::grpc::FieldViolation;
use switchboard_proto::assignment::v1 as pb;
use switchboard_proto::assignment::v1::pool_entry::Member as Named;
use tonic::Status;

use super::{MAX_LISTED, PARSE};
use crate::domain::policy::{MAX_WEIGHT, Member, PoolEntry, Settings};
use crate::domain::words::Distribution;
use crate::error::DOMAIN;
use crate::store::policies::ChannelKey;
use crate::store::reply_rules::ReplyRules;

/// The pace of waiting chats where a policy says none: one every two seconds is more than anybody answers.
const PACE: i32 = 30;

/// The shortest and the longest offer, in seconds: under ten nobody has read the chat.
const OFFER: std::ops::RangeInclusive<i32> = 10..=86_400;

/// Chats of one agent at most, as a limit that can be set.
const MAX_LIMIT: i32 = 1_000_000;

/// Writes a policy; off where it was never set.
pub fn policy(
    (_, channel): &ChannelKey,
    settings: Option<&Settings>,
    rules: ReplyRules,
) -> pb::DistributionPolicy {
    let distribution = match settings.map(|settings| settings.distribution) {
        None | Some(Distribution::Off) => pb::Distribution::Off,
        Some(Distribution::RoundRobin) => pb::Distribution::RoundRobin,
        Some(Distribution::LeastLoaded) => pb::Distribution::LeastLoaded,
    };
    let pool = settings.map_or(&[][..], |settings| &settings.pool);
    let one_by_one = pool.iter().filter_map(|entry| match entry.member {
        Member::Agent(agent) => Some(agent.to_string()),
        Member::Group(_) => None,
    });
    pb::DistributionPolicy {
        channel_id: channel.to_string(),
        distribution: distribution.into(),
        agent_ids: one_by_one.collect(),
        keep_previous: settings.is_some_and(|settings| settings.keep_previous),
        pool: pool.iter().map(entry).collect(),
        channel_capacity: settings.map_or(0, |settings| settings.channel_capacity),
        waiting_per_minute: Some(settings.map_or(PACE, |settings| settings.waiting_per_minute)),
        offer_seconds: settings.map_or(0, |settings| settings.offer_seconds),
        claim_before_reply: rules.claim_before_reply,
        reassign_on_reply: rules.reassign_on_reply,
    }
}

fn entry(entry: &PoolEntry) -> pb::PoolEntry {
    let named = match entry.member {
        Member::Agent(agent) => Named::AgentId(agent.to_string()),
        Member::Group(group) => Named::GroupId(group.to_string()),
    };
    pb::PoolEntry {
        member: Some(named),
        weight: entry.weight,
    }
}

/// Reads what a policy says of replies.
pub const fn reply_rules_of(policy: &pb::DistributionPolicy) -> ReplyRules {
    ReplyRules {
        claim_before_reply: policy.claim_before_reply,
        reassign_on_reply: policy.reassign_on_reply,
    }
}

/// Reads a policy.
pub fn settings_of(policy: &pb::DistributionPolicy) -> Result<Settings, Status> {
    let distribution = match pb::Distribution::try_from(policy.distribution) {
        Ok(pb::Distribution::Off) => Distribution::Off,
        Ok(pb::Distribution::RoundRobin) => Distribution::RoundRobin,
        Ok(pb::Distribution::LeastLoaded) => Distribution::LeastLoaded,
        _ => {
            let rule = "must be off, round-robin or least-loaded";
            return Err(PARSE.refuse("policy.distribution", rule));
        }
    };
    let offer = policy.offer_seconds;
    if offer != 0 && !OFFER.contains(&offer) {
        let rule = "must be between 10 and 86400, or 0 where chats are given for good";
        return Err(PARSE.refuse("policy.offer_seconds", rule));
    }
    let pool = pool_of(policy)?;
    let pace = policy.waiting_per_minute.unwrap_or(PACE);
    Ok(Settings {
        distribution,
        pool,
        keep_previous: policy.keep_previous,
        channel_capacity: limit("policy.channel_capacity", policy.channel_capacity)?,
        waiting_per_minute: limit("policy.waiting_per_minute", pace)?,
        offer_seconds: offer,
    })
}

fn limit(field: &str, value: i32) -> Result<i32, Status> {
    if (0..=MAX_LIMIT).contains(&value) {
        return Ok(value);
    }
    let rule = format!("must be between 1 and {MAX_LIMIT}, or 0 for no limit");
    Err(PARSE.refuse(field, &rule))
}

/// Reads the pool; who is named twice is named once, with the greater weight: nobody gets a double share by a slip.
fn pool_of(policy: &pb::DistributionPolicy) -> Result<Vec<PoolEntry>, Status> {
    let mut entries = Vec::new();
    if policy.pool.is_empty() {
        for agent in PARSE.ids("policy.agent_ids", &policy.agent_ids, MAX_LISTED)? {
            let member = Member::Agent(agent);
            entries.push(PoolEntry { member, weight: 1 });
        }
    }
    if policy.pool.len() > MAX_LISTED {
        let rule = format!("must have at most {MAX_LISTED} entries");
        return Err(PARSE.refuse("policy.pool", &rule));
    }
    for (place, entry) in policy.pool.iter().enumerate() {
        entries.push(entry_of(place, entry)?);
    }
    let mut places = BTreeMap::new();
    let mut pool: Vec<PoolEntry> = Vec::with_capacity(entries.len());
    for entry in entries {
        let place = *places.entry(entry.member).or_insert(pool.len());
        match pool.get_mut(place) {
            Some(first) => first.weight = first.weight.max(entry.weight),
            None => pool.push(entry),
        }
    }
    Ok(pool)
}

/// Words that a pool names what does not exist, with the fields of the request that name it.
pub fn unknown(policy: &pb::DistributionPolicy, members: &[Member]) -> Status {
    let fields = |member: &Member| {
        let one_by_one = policy.agent_ids.iter().enumerate();
        let one_by_one = one_by_one
            .filter(|_| policy.pool.is_empty())
            .filter(|(_, id)| matches!(member, Member::Agent(agent) if Ok(*agent) == id.parse()))
            .map(|(place, _)| format!("policy.agent_ids[{place}]"));
        let entries = policy.pool.iter().enumerate();
        let entries = entries
            .filter(|(place, entry)| entry_of(*place, entry).is_ok_and(|e| e.member == *member))
            .map(|(place, _)| {
                let field = match member {
                    Member::Agent(_) => "agent_id",
                    Member::Group(_) => "group_id",
                };
                format!("policy.pool[{place}].{field}")
            });
        one_by_one.chain(entries).collect::<Vec<_>>()
    };
    let violations: Vec<_> = members
        .iter()
        .flat_map(|member| {
            let of = |field| FieldViolation::new(field, member.missing());
            fields(member).into_iter().map(of).collect::<Vec<_>>()
        })
        .collect();
    chassis::grpc::invalid(DOMAIN, &violations)
}

fn entry_of(place: usize, entry: &pb::PoolEntry) -> Result<PoolEntry, Status> {
    let member = match &entry.member {
        Some(Named::AgentId(id)) => {
            Member::Agent(PARSE.id(&format!("policy.pool[{place}].agent_id"), id)?)
        }
        Some(Named::GroupId(id)) => {
            Member::Group(PARSE.id(&format!("policy.pool[{place}].group_id"), id)?)
        }
        None => {
            let field = format!("policy.pool[{place}]");
            return Err(PARSE.refuse(&field, "must name an agent or a group"));
        }
    };
    let weight = match entry.weight {
        0 => 1,
        weight if (1..=MAX_WEIGHT).contains(&weight) => weight,
        _ => {
            let field = format!("policy.pool[{place}].weight");
            return Err(PARSE.refuse(&field, "must be between 1 and 100"));
        }
    };
    Ok(PoolEntry { member, weight })
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn agent(n: u128, weight: i32) -> pb::PoolEntry {
        pb::PoolEntry {
            member: Some(Named::AgentId(Uuid::from_u128(n).to_string())),
            weight,
        }
    }

    fn round_robin() -> pb::DistributionPolicy {
        pb::DistributionPolicy {
            distribution: pb::Distribution::RoundRobin.into(),
            pool: vec![agent(1, 1)],
            ..Default::default()
        }
    }

    #[test]
    fn who_is_named_twice_is_there_once_with_the_greater_weight() {
        let policy = pb::DistributionPolicy {
            pool: vec![agent(1, 0), agent(2, 5), agent(1, 3), agent(2, 1)],
            // Read only where there is no pool.
            agent_ids: vec!["nobody".into()],
            ..round_robin()
        };
        let pool = settings_of(&policy).unwrap().pool;
        let seen: Vec<_> = pool.iter().map(|entry| entry.weight).collect();
        assert_eq!(seen, [3, 5]);
    }

    #[test]
    fn what_is_out_of_bounds_is_refused_by_field_and_what_is_left_out_has_its_default() {
        let settings = settings_of(&round_robin()).unwrap();
        assert_eq!(
            (settings.waiting_per_minute, settings.offer_seconds),
            (30, 0)
        );
        let no_pace = pb::DistributionPolicy {
            waiting_per_minute: Some(0),
            ..round_robin()
        };
        assert_eq!(settings_of(&no_pace).unwrap().waiting_per_minute, 0);
        let nobody = pb::PoolEntry::default();
        let cases = [
            (
                "policy.pool[1].weight",
                vec![agent(1, 1), agent(2, 101)],
                0,
                0,
            ),
            ("policy.pool[0].weight", vec![agent(1, -1)], 0, 0),
            ("policy.pool[0]", vec![nobody], 0, 0),
            ("policy.channel_capacity", vec![agent(1, 1)], -1, 0),
            ("policy.offer_seconds", vec![agent(1, 1)], 0, 9),
            ("policy.offer_seconds", vec![agent(1, 1)], 0, 86_401),
        ];
        for (field, pool, channel_capacity, offer_seconds) in cases {
            let policy = pb::DistributionPolicy {
                pool,
                channel_capacity,
                offer_seconds,
                ..round_robin()
            };
            let refused = settings_of(&policy).unwrap_err();
            assert!(refused.message().contains(field), "{refused:?}");
        }
    }
}
