//! Distribution: how a channel's chats find their agents.

use clap::Subcommand;
use switchboard_proto::assignment::v1::pool_entry::Member;
use switchboard_proto::assignment::v1::{
    Distribution, DistributionPolicy, GetDistributionPolicyRequest, PoolEntry,
    SetDistributionPolicyRequest,
};

use crate::cli::choice;
use crate::connect::Session;
use crate::error::CliError;
use crate::output::{Cell, Show, View, cell, words};

/// Verbs on distribution.
#[derive(Subcommand)]
pub(crate) enum DistributionVerb {
    /// Set a channel's policy, whole
    Set {
        /// The channel, by name or id
        channel: String,
        /// How chats are distributed
        #[arg(value_parser = choice!(Distribution, "DISTRIBUTION_", ["off", "round-robin", "least-loaded"]))]
        distribution: Distribution,
        /// An agent of the pool, by name or id, with a weight where it is not 1: `Anna`, `Anna=3` (repeatable)
        #[arg(long = "agent", value_name = "AGENT[=WEIGHT]")]
        agents: Vec<String>,
        /// A group of the pool, by name or id, with a weight where it is not 1 (repeatable)
        #[arg(long = "group", value_name = "GROUP[=WEIGHT]")]
        groups: Vec<String>,
        /// Open chats of the channel that one agent is given at most; 0 is no limit
        #[arg(long, value_name = "CHATS", default_value_t = 0)]
        channel_capacity: i32,
        /// Waiting chats that one agent is given within a minute at most, counted over all channels; 0 is no limit
        #[arg(long, value_name = "CHATS", default_value_t = 30)]
        waiting_per_minute: i32,
        /// How long an agent has to take a chat before somebody else is offered it; 0 is for good
        #[arg(long, value_name = "SECONDS", default_value_t = 0)]
        offer_seconds: i32,
        /// A returning client goes to the previous responsible if available
        #[arg(long)]
        keep_previous: bool,
        /// Writing into an unassigned chat needs a claim first
        #[arg(long)]
        claim_before_reply: bool,
        /// Who has joined a chat becomes its responsible by writing
        #[arg(long)]
        reassign_on_reply: bool,
    },
    /// Show a channel's policy
    Show {
        /// The channel, by name or id
        channel: String,
    },
}

impl Show for DistributionPolicy {
    const NAME: &'static str = "switchboard.assignment.v1.DistributionPolicy";
    const HEADERS: &'static [&'static str] = &[
        "CHANNEL",
        "DISTRIBUTION",
        "POOL",
        "KEEP PREVIOUS",
        "LIMITS",
        "REPLIES",
    ];
    fn cells(&self, view: &View) -> Vec<Cell> {
        let pool: Vec<_> = self.pool.iter().map(|entry| named(entry, view)).collect();
        vec![
            cell(&self.channel_id),
            cell(words::word(
                self.distribution().as_str_name(),
                "DISTRIBUTION_",
            )),
            cell(pool.join(", ")),
            cell(words::yes(self.keep_previous)),
            cell(limits(self)),
            cell(replies(self)),
        ]
    }
}

/// An entry of the pool: its name, and its weight where that is not 1.
fn named(entry: &PoolEntry, view: &View) -> String {
    let name = match &entry.member {
        Some(Member::AgentId(id)) => view.name(id),
        Some(Member::GroupId(id)) => format!("group {}", view.name(id)),
        None => String::new(),
    };
    match entry.weight {
        0 | 1 => name,
        weight => format!("{name}={weight}"),
    }
}

/// What limits distribution, in a few words.
fn limits(policy: &DistributionPolicy) -> String {
    let pace = policy.waiting_per_minute();
    let limits = [
        (policy.channel_capacity, "at once"),
        (pace, "waiting a minute"),
        (policy.offer_seconds, "s to take"),
    ];
    let set = limits.into_iter().filter(|(limit, _)| *limit > 0);
    set.map(|(limit, what)| format!("{limit} {what}"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Reads `NAME` or `NAME=WEIGHT`. What stands behind the last `=` and is no number belongs to the name.
fn weighted(text: &str) -> (&str, i32) {
    let split = text.rsplit_once('=');
    let weighed = split.and_then(|(name, weight)| Some((name, weight.trim().parse().ok()?)));
    weighed.unwrap_or((text, 1))
}

/// What a reply does to the responsible, in a few words.
fn replies(policy: &DistributionPolicy) -> String {
    let words = [
        (policy.claim_before_reply, "claim first"),
        (policy.reassign_on_reply, "reassign"),
    ];
    let set = words.into_iter().filter(|(set, _)| *set);
    set.map(|(_, word)| word).collect::<Vec<_>>().join(", ")
}

/// Runs a verb.
pub(crate) async fn run(
    verb: DistributionVerb,
    session: &Session,
    mut view: View,
) -> Result<(), CliError> {
    view.learn_names(session).await;
    view.learn_groups(session).await;
    let mut client = session.assignment(&session.role().await?).await?;
    match verb {
        DistributionVerb::Set {
            channel,
            distribution,
            agents,
            groups,
            channel_capacity,
            waiting_per_minute,
            offer_seconds,
            keep_previous,
            claim_before_reply,
            reassign_on_reply,
        } => {
            let mut pool = Vec::with_capacity(agents.len() + groups.len());
            for (named, weight) in agents.iter().map(|agent| weighted(agent)) {
                let id = session.agent_id(named).await?.to_string();
                pool.push(PoolEntry {
                    member: Some(Member::AgentId(id)),
                    weight,
                });
            }
            for (named, weight) in groups.iter().map(|group| weighted(group)) {
                let id = session.group_id(named).await?.to_string();
                pool.push(PoolEntry {
                    member: Some(Member::GroupId(id)),
                    weight,
                });
            }
            let policy = DistributionPolicy {
                channel_id: session.known_channel_id(&channel).await?.to_string(),
                distribution: distribution.into(),
                agent_ids: Vec::new(),
                pool,
                channel_capacity,
                waiting_per_minute: Some(waiting_per_minute),
                offer_seconds,
                keep_previous,
                claim_before_reply,
                reassign_on_reply,
            };
            let request = SetDistributionPolicyRequest {
                policy: Some(policy),
            };
            view.one(
                client
                    .set_distribution_policy(request)
                    .await?
                    .into_inner()
                    .policy,
            )
        }
        DistributionVerb::Show { channel } => {
            let request = GetDistributionPolicyRequest {
                channel_id: session.channel_id(&channel).await?.to_string(),
            };
            view.one(
                client
                    .get_distribution_policy(request)
                    .await?
                    .into_inner()
                    .policy,
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_stands_behind_the_last_equals_sign() {
        let cases = [
            ("Anna", ("Anna", 1)),
            ("Anna=3", ("Anna", 3)),
            ("a=b", ("a=b", 1)),
            ("a=b=2", ("a=b", 2)),
            ("Anna=", ("Anna=", 1)),
        ];
        for (text, expected) in cases {
            assert_eq!(weighted(text), expected);
        }
    }
}
