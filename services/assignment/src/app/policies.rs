//! How chats of a channel are distributed (D21).

use chassis::audit;
use chassis::auth::Caller;
use time::OffsetDateTime;
use uuid::Uuid;

use super::App;
use super::access::{may_change_settings, sees_channel};
use crate::audit as told;
use crate::domain::ChannelId;
use crate::domain::choose::Policy;
use crate::error::Error;
use crate::store::reply_rules::{self, ReplyRules};
use crate::store::{agents, policies};

impl App {
    /// Sets a channel's policy, whole; waiting chats are tried at once.
    pub async fn set_policy(
        &self,
        caller: &Caller,
        channel: ChannelId,
        policy: &Policy,
        rules: ReplyRules,
        now: OffsetDateTime,
    ) -> Result<(), Error> {
        may_change_settings(caller)?;
        let account = caller.account();
        let pool: Vec<Uuid> = policy.pool.iter().map(|agent| agent.uuid()).collect();
        let mut transaction = self.pool.begin().await?;
        let unknown = agents::unknown(&mut transaction, account, &pool).await?;
        if !unknown.is_empty() {
            let named = pool.iter().copied().enumerate();
            let named = named.filter(|(_, agent)| unknown.contains(agent)).collect();
            return Err(Error::UnknownPoolAgents(named));
        }
        let key = (account.clone(), channel);
        audit::alone(&mut transaction, account, "distribution-policy", &channel).await?;
        let before = told::policy_now(&mut transaction, &key).await?;
        policies::set(&mut transaction, &key, policy).await?;
        reply_rules::set(&mut transaction, &key, rules).await?;
        let after = told::policy_now(&mut transaction, &key).await?;
        let entry = told::policy(caller, before, after)?;
        audit::write(&mut transaction, vec![entry], now).await?;
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
        let policy = policies::get(&mut connection, &key).await?;
        Ok((policy, reply_rules::get(&mut connection, &key).await?))
    }
}
