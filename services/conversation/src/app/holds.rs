//! Files that are named here are kept by the gateway for about a month from when it was told of them last: it is told again every
//! day. So those that nothing names any more go by themselves, whoever was away meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use chassis::id::AccountSlug;
use tonic::Code;
use uuid::Uuid;

use super::quick_replies::Files;
use crate::error::Error;

/// How often the gateway is told to keep a file.
pub(super) const TOLD_EVERY: Duration = Duration::from_hours(24);

/// Tells the gateway once more to keep files; `what` says whose they are.
pub(super) async fn tell<'d>(
    files: &dyn Files,
    what: &'static str,
    due: impl Iterator<Item = (&'d AccountSlug, &'d [Uuid])>,
) -> Result<(), Error> {
    let mut of_accounts: BTreeMap<&AccountSlug, Vec<Uuid>> = BTreeMap::new();
    for (account, named) in due {
        of_accounts.entry(account).or_default().extend(named);
    }
    for (account, mut named) in of_accounts {
        named.sort_unstable();
        named.dedup();
        match files.hold(account, None, &named).await {
            Ok(kept) if kept.len() == named.len() => {}
            Ok(kept) => {
                let gone = named.len() - kept.len();
                tracing::warn!(%account, what, gone, "files are not there any more");
            }
            Err(status) if status.code() == Code::Unavailable => {
                return Err(Error::Refused(status));
            }
            // Of this account alone, as one that is suspended: the others go on.
            Err(status) => {
                let why = status.message();
                tracing::warn!(%account, what, why, "files are not kept on");
            }
        }
    }
    Ok(())
}
