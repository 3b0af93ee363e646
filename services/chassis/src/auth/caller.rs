//! The caller of a request, as the auth layer found it.

use std::sync::Arc;

use tonic::{Code, Request, Status};

use super::scope::{Scope, covers};
use crate::access::AccessRecord;
use crate::actor::Actor;
use crate::grpc;
use crate::id::{AccountSlug, AgentId};

/// Whom a token speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A member of staff.
    Agent(AgentId),
    /// A service of ours or of an integrator, by its name.
    Service(String),
}

/// Who calls, for which account, with which rights. Only the auth layer makes one.
#[derive(Debug, Clone)]
pub struct Caller {
    inner: Arc<CallerParts>,
    /// What `account()` lends when there is none.
    no_account: AccountSlug,
}

#[derive(Debug)]
pub(crate) struct CallerParts {
    pub account: Option<AccountSlug>,
    pub subject: Subject,
    pub acting: Option<AgentId>,
    pub internal: bool,
    pub scopes: Vec<String>,
    pub access: Option<AccessRecord>,
}

impl Caller {
    pub(crate) fn new(parts: CallerParts) -> Self {
        Self {
            inner: Arc::new(parts),
            no_account: AccountSlug::none(),
        }
    }

    /// Returns the caller that the auth layer placed in a request.
    pub fn of<T>(request: &Request<T>) -> Result<Self, Status> {
        request.extensions().get::<Self>().cloned().ok_or_else(|| {
            // Only a server built without the auth layer gets here.
            grpc::refusal(
                "chassis",
                Code::Unauthenticated,
                "TOKEN_MISSING",
                "the request has no caller",
                &[],
            )
        })
    }

    /// Returns the account that the call is for.
    ///
    /// Methods of scope `internal` or `ops` alone may be called without one: they use
    /// [`Caller::account_opt`]. For such a call this is an empty slug, under which nothing is stored.
    pub fn account(&self) -> &AccountSlug {
        self.inner.account.as_ref().unwrap_or(&self.no_account)
    }

    /// Returns the account that the call is for, where it names one.
    pub fn account_opt(&self) -> Option<&AccountSlug> {
        self.inner.account.as_ref()
    }

    /// Returns whom the token speaks for.
    pub fn subject(&self) -> &Subject {
        &self.inner.subject
    }

    /// Returns the agent who acts: the token's own, or the one an internal call names.
    pub fn agent(&self) -> Option<AgentId> {
        self.inner.acting
    }

    /// Returns the actor that events name.
    pub fn actor(&self) -> Actor {
        match (&self.inner.acting, &self.inner.subject) {
            (Some(agent), _) | (None, Subject::Agent(agent)) => Actor::Agent(agent.uuid()),
            (None, Subject::Service(name)) => Actor::Service(name.clone()),
        }
    }

    /// Returns the rights of the acting agent; none for a service that acts for itself.
    pub fn access(&self) -> Option<&AccessRecord> {
        self.inner.access.as_ref()
    }

    /// Tells whether one of our own services calls.
    pub fn is_internal(&self) -> bool {
        self.inner.internal
    }

    /// Tells whether the token has a scope.
    pub fn has_scope(&self, scope: Scope) -> bool {
        self.inner
            .scopes
            .iter()
            .any(|held| covers(held, scope.as_str()))
    }

    /// Refuses a request that names another account than the caller's; an empty name is the caller's own.
    pub fn same_account(&self, domain: &'static str, named: &str) -> Result<&AccountSlug, Status> {
        let own = self
            .account_opt()
            .filter(|own| named.is_empty() || own.as_str() == named);
        own.ok_or_else(|| account_mismatch(domain))
    }
}

/// The refusal of a call that names an account it may not reach.
pub(crate) fn account_mismatch(domain: &'static str) -> Status {
    let text = "the token is not for this account";
    grpc::refusal(
        domain,
        Code::PermissionDenied,
        "ACCOUNT_MISMATCH",
        text,
        &[],
    )
}
