//! Distribution: how a channel's chats find their agents.

use clap::Subcommand;
use switchboard_proto::assignment::v1::{
    Distribution, DistributionPolicy, GetDistributionPolicyRequest, SetDistributionPolicyRequest,
};
use uuid::Uuid;

use crate::cli::choice;
use crate::connect::Session;
use crate::error::CliError;
use crate::output::{Cell, Show, View, cell, words};

/// Verbs on distribution.
#[derive(Subcommand)]
pub(crate) enum DistributionVerb {
    /// Set a channel's policy, whole
    Set {
        /// Id of the channel
        channel: Uuid,
        /// How chats are distributed
        #[arg(value_parser = choice!(Distribution, "DISTRIBUTION_", ["off", "round-robin"]))]
        distribution: Distribution,
        /// An agent of the pool, by name or id (repeatable)
        #[arg(long = "agent", value_name = "AGENT")]
        agents: Vec<String>,
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
        /// Id of the channel
        channel: Uuid,
    },
}

impl Show for DistributionPolicy {
    const NAME: &'static str = "switchboard.assignment.v1.DistributionPolicy";
    const HEADERS: &'static [&'static str] = &[
        "CHANNEL",
        "DISTRIBUTION",
        "POOL",
        "KEEP PREVIOUS",
        "REPLIES",
    ];
    fn cells(&self, view: &View) -> Vec<Cell> {
        let pool: Vec<_> = self.agent_ids.iter().map(|id| view.name(id)).collect();
        vec![
            cell(&self.channel_id),
            cell(words::word(
                self.distribution().as_str_name(),
                "DISTRIBUTION_",
            )),
            cell(pool.join(", ")),
            cell(words::yes(self.keep_previous)),
            cell(replies(self)),
        ]
    }
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
    let mut client = session.assignment(&session.role().await?).await?;
    match verb {
        DistributionVerb::Set {
            channel,
            distribution,
            agents,
            keep_previous,
            claim_before_reply,
            reassign_on_reply,
        } => {
            let mut agent_ids = Vec::with_capacity(agents.len());
            for agent in agents {
                agent_ids.push(session.agent_id(&agent).await?.to_string());
            }
            let policy = DistributionPolicy {
                channel_id: channel.to_string(),
                distribution: distribution.into(),
                agent_ids,
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
                channel_id: channel.to_string(),
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
