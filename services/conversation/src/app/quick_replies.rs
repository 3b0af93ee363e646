//! Quick replies: whose they are, who sees and who changes them (F094, B14).

mod change;
mod hold;
mod read;
pub(super) mod render;

use std::sync::Arc;

use chassis::access::ChatAccess;
use chassis::auth::{Caller, Scope};
use chassis::id::AccountSlug;
use sqlx::PgPool;
use tonic::Status;
use uuid::Uuid;

pub use change::{Change, Wanted};
pub use read::Asked;

use super::access;
use crate::domain::AgentId;
use crate::domain::quick_reply::{Owner, QuickReplyId};
use crate::error::{Error, QuickReplyError};
use crate::store::quick_replies::{self as store, Groups, QuickReply, Whose};

/// What assignment knows of agents and groups.
#[tonic::async_trait]
pub trait Staff: Send + Sync + 'static {
    /// Returns the groups that an agent is in, as they were at most some seconds ago.
    async fn groups(&self, account: &AccountSlug, agent: AgentId) -> Result<Arc<[Uuid]>, Status>;

    /// Tells whether an account has a group.
    async fn has_group(&self, account: &AccountSlug, group: Uuid) -> Result<bool, Status>;

    /// Returns the name of an agent; none where the account has no such agent.
    async fn name(&self, account: &AccountSlug, agent: AgentId) -> Result<Option<String>, Status>;
}

/// Where the bytes of files are: the gateway.
#[tonic::async_trait]
pub trait Files: Send + Sync + 'static {
    /// Has files kept for about a month from now on, which an agent may give to quick replies, or the account where no
    /// agent is named. Returns those that are kept.
    async fn hold(
        &self,
        account: &AccountSlug,
        agent: Option<AgentId>,
        files: &[Uuid],
    ) -> Result<Vec<Uuid>, Status>;
}

/// The use cases.
#[derive(Clone)]
pub struct QuickReplies {
    /// The database.
    pub pool: PgPool,
    /// Who is in which group.
    pub staff: Arc<dyn Staff>,
    /// What keeps files.
    pub files: Arc<dyn Files>,
}

/// Refuses agents who neither use quick replies in chats nor change the account's.
fn may_read(caller: &Caller) -> Result<(), Error> {
    match caller.access() {
        Some(access) if access.chats == ChatAccess::None && !access.settings => {
            Err(Error::ChatAccessMissing)
        }
        _ => Ok(()),
    }
}

/// Refuses who may not change what many use.
fn may_set(caller: &Caller) -> Result<(), Error> {
    let granted = caller.access().is_none_or(|access| access.settings);
    if granted && caller.has_scope(Scope::CHANNELS_ADMIN) {
        return Ok(());
    }
    Err(QuickReplyError::SettingsAccessMissing.into())
}

/// Refuses who may not change an owner's quick replies.
fn may_change(caller: &Caller, owner: Owner) -> Result<(), Error> {
    match owner {
        Owner::Agent(agent) if caller.agent() == Some(agent) => access::may_use_chats(caller),
        _ => may_set(caller),
    }
}

impl QuickReplies {
    /// Returns a quick reply that the caller sees.
    async fn visible(&self, caller: &Caller, id: QuickReplyId) -> Result<QuickReply, Error> {
        may_read(caller)?;
        let account = caller.account();
        let mut connection = self.pool.acquire().await?;
        let reply = store::get(&mut connection, account, id).await?;
        // Not held while assignment is asked.
        drop(connection);
        let reply = reply.ok_or(QuickReplyError::NotFound)?;
        let sees = match (caller.agent(), reply.owner) {
            (None, _) | (Some(_), Owner::Account) => true,
            (Some(agent), Owner::Agent(owner)) => agent == owner,
            (Some(_), Owner::Group(_)) if may_set(caller).is_ok() => true,
            (Some(agent), Owner::Group(group)) => {
                let groups = self.staff.groups(account, agent).await;
                groups.map_err(Error::Refused)?.contains(&group)
            }
        };
        if sees {
            Ok(reply)
        } else {
            Err(QuickReplyError::NotFound.into())
        }
    }

    /// Returns whose quick replies the caller uses, or may change.
    async fn whose(&self, caller: &Caller, changeable: bool) -> Result<Whose, Error> {
        let sets = may_set(caller).is_ok();
        let Some(agent) = caller.agent() else {
            let none = Whose::Some {
                account: false,
                agent: Uuid::nil().into(),
                groups: Groups::Of(Vec::new()),
            };
            return Ok(if changeable && !sets {
                none
            } else {
                Whose::All
            });
        };
        let groups = match (changeable, sets) {
            (true, true) => Groups::All,
            (true, false) => Groups::Of(Vec::new()),
            (false, _) => Groups::Of(self.groups(caller.account(), agent).await?),
        };
        Ok(Whose::Some {
            account: sets || !changeable,
            agent,
            groups,
        })
    }

    /// Returns the groups that an agent is in, as far as it matters: where no group has quick replies assignment is not
    /// asked, and need not be there.
    async fn groups(&self, account: &AccountSlug, agent: AgentId) -> Result<Vec<Uuid>, Error> {
        let mut connection = self.pool.acquire().await?;
        let any = store::has_groups(&mut connection, account).await?;
        drop(connection);
        if !any {
            return Ok(Vec::new());
        }
        let groups = self.staff.groups(account, agent).await;
        Ok(groups.map_err(Error::Refused)?.to_vec())
    }
}
