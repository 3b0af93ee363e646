//! How many files are read and written at once: each takes memory and, while it writes or reads a page, a connection to the
//! database, of which requests need some too.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chassis::id::AccountSlug;

use crate::error::Error;

/// Files of one account at once, on one replica.
pub const TRANSFERS_OF_ACCOUNT: usize = 2;
/// Files of all accounts at once, on one replica.
const TRANSFERS: usize = 6;

/// The files that this replica reads and writes. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Transfers(Arc<Mutex<BTreeMap<AccountSlug, usize>>>);

impl Transfers {
    fn all(&self) -> MutexGuard<'_, BTreeMap<AccountSlug, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Admits one more file, until what is returned is dropped.
    pub fn admit(&self, account: &AccountSlug) -> Result<Transfer, Error> {
        let mut all = self.all();
        let total: usize = all.values().sum();
        let own = all.get(account).copied().unwrap_or(0);
        if total >= TRANSFERS || own >= TRANSFERS_OF_ACCOUNT {
            return Err(Error::TooManyTransfers);
        }
        all.insert(account.clone(), own + 1);
        Ok(Transfer {
            all: self.clone(),
            account: account.clone(),
        })
    }
}

/// A file that is read or written.
#[derive(Debug)]
pub struct Transfer {
    all: Transfers,
    account: AccountSlug,
}

impl Drop for Transfer {
    fn drop(&mut self) {
        let mut all = self.all.all();
        let left = all.get(&self.account).copied().unwrap_or(0);
        match left.checked_sub(1) {
            None | Some(0) => drop(all.remove(&self.account)),
            Some(left) => drop(all.insert(self.account.clone(), left)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_has_few_transfers_at_once_and_all_have_few_more() {
        let transfers = Transfers::default();
        let account = |name: &str| AccountSlug::parse(name).unwrap();
        let admit = |name: &str| transfers.admit(&account(name));
        let first = admit("a").unwrap();
        let second = admit("a").unwrap();
        assert!(admit("a").is_err(), "one account");
        drop(first);
        let third = admit("a").unwrap();
        let others: Vec<_> = ["b", "b", "c", "c"].map(|name| admit(name).unwrap()).into();
        assert!(admit("d").is_err(), "all");
        drop((second, third, others));
        assert!(transfers.all().is_empty());
    }
}
