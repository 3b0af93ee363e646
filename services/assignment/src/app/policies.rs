//! How chats of a channel are distributed (D21).

use chassis::audit;
use chassis::auth::Caller;
use time::OffsetDateTime;
use uuid::Uuid;

use super::App;
use super::access::{may_change_settings, sees_channel};
use crate::audit as told;
use crate::domain::ChannelId;
use crate::domain::policy::{Member, Policy, Settings};
use crate::error::{Error, StaffError};
use crate::store::reply_rules::{self, ReplyRules};
use crate::store::{agents, groups, policies};

impl App {
    /// Sets a channel's policy, whole; waiting chats are tried at once.
    pub async fn set_policy(
        &self,
        caller: &Caller,
        channel: ChannelId,
        settings: &Settings,
        rules: ReplyRules,
        now: OffsetDateTime,
    ) -> Result<(), Error> {
        may_change_settings(caller)?;
        // Settings open no channel by themselves (D21).
        if !sees_channel(caller, channel) {
            return Err(Error::UnknownChannel(channel));
        }
        let account = caller.account();
        let mut transaction = self.pool.begin().await?;
        // Named groups are locked, so that none is deleted before this is committed.
        let named = named(settings);
        let unknown_agents = agents::unknown(&mut transaction, account, &named.agents).await?;
        let unknown_groups = groups::unknown(&mut transaction, account, &named.groups).await?;
        let is_unknown = |member: &Member| match member {
            Member::Agent(agent) => unknown_agents.contains(&agent.uuid()),
            Member::Group(group) => unknown_groups.contains(&group.uuid()),
        };
        let named = settings.pool.iter().map(|entry| entry.member);
        let unknown: Vec<Member> = named.filter(is_unknown).collect();
        if !unknown.is_empty() {
            return Err(Error::Staff(StaffError::UnknownInPool(unknown)));
        }
        let key = (account.clone(), channel);
        audit::alone(&mut transaction, account, "distribution-policy", &channel).await?;
        let before = told::policy_now(&mut transaction, &key).await?;
        policies::set(&mut transaction, &key, settings).await?;
        reply_rules::set(&mut transaction, &key, rules).await?;
        let after = told::policy_now(&mut transaction, &key).await?;
        let entry = told::policy(caller, before, after)?;
        audit::write(&mut transaction, crate::NAME, vec![entry], now).await?;
        transaction.commit().await?;
        self.drain_soon(&[account.clone()].into(), now).await;
        Ok(())
    }

    /// Returns a channel's policy, where one was set, and its options for replies; the caller sees the channel.
    pub async fn get_policy(
        &self,
        caller: &Caller,
        channel: ChannelId,
    ) -> Result<(Option<Policy>, ReplyRules), Error> {
        if !sees_channel(caller, channel) {
            return Err(Error::UnknownChannel(channel));
        }
        let mut connection = self.pool.acquire().await?;
        let key = (caller.account().clone(), channel);
        let read = policies::get(&mut connection, &key, None).await?;
        let policy = read.map(|read| read.policy);
        Ok((policy, reply_rules::get(&mut connection, &key).await?))
    }
}

/// The agents and groups that a pool names.
#[derive(Default)]
struct Named {
    agents: Vec<Uuid>,
    groups: Vec<Uuid>,
}

fn named(settings: &Settings) -> Named {
    let mut named = Named::default();
    for entry in &settings.pool {
        match entry.member {
            Member::Agent(agent) => named.agents.push(agent.uuid()),
            Member::Group(group) => named.groups.push(group.uuid()),
        }
    }
    named
}
