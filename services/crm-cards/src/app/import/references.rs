//! What rows refer to, for all rows of a batch at once.

use std::collections::{BTreeSet, HashMap};

use chassis::auth::Caller;
use sqlx::PgConnection;
use uuid::Uuid;

use super::made_of;
use crate::app::sight;
use crate::domain::access::Kind;
use crate::domain::columns::RecordKind;
use crate::domain::ids::CompanyId;
use crate::error::Error;
use crate::store::{companies, imports};

/// What texts lead to, or what must hold.
pub(super) type Referred<T> = HashMap<String, Result<T, &'static str>>;

/// The ids that a text may be: one of this account, and that of the record which an import has made of it.
pub(super) fn ids_of(caller: &Caller, kind: RecordKind, text: &str) -> Vec<Uuid> {
    let given = text.parse().ok().into_iter();
    given
        .chain([made_of(caller.account(), kind, text)])
        .collect()
}

/// Holds the companies that texts name: by id, by key, else by their whole name, where that is one company's alone. Only
/// those that the caller sees.
pub(super) async fn companies(
    connection: &mut PgConnection,
    caller: &Caller,
    texts: &BTreeSet<&str>,
) -> Result<Referred<CompanyId>, Error> {
    if texts.is_empty() {
        return Ok(Referred::new());
    }
    let unknown = Err("the account has no such company");
    let Ok(sight) = sight(caller, Kind::Contacts) else {
        let texts = texts.iter().map(|text| (*text).to_owned());
        return Ok(texts.map(|text| (text, unknown)).collect());
    };
    let account = caller.account();
    let names: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
    let own = sight.narrowed_to();
    let named = imports::companies_named(connection, account, &names, own).await?;
    let ids = |text: &str| ids_of(caller, RecordKind::Company, text);
    let keys: BTreeSet<Uuid> = texts
        .iter()
        .flat_map(|text| ids(text))
        .chain(named.values().flatten().copied())
        .collect();
    let keys: Vec<_> = keys
        .into_iter()
        .map(|id| (account.clone(), id.into()))
        .collect();
    let held = companies::hold(connection, &keys).await?;
    let sees = |id: &Uuid| {
        let company = held.get(&(account.clone(), (*id).into()));
        company.is_some_and(|company| sight.reaches(company.responsible))
    };
    let find = |text: &str| {
        if let Some(id) = ids(text).into_iter().find(sees) {
            return Ok(id.into());
        }
        let found = named.get(text).map_or(&[][..], Vec::as_slice);
        match found {
            [id] if sees(id) => Ok((*id).into()),
            [_, _, ..] => Err("several companies have this name: say its id"),
            _ => unknown,
        }
    };
    let texts = texts.iter();
    Ok(texts.map(|text| ((*text).to_owned(), find(text))).collect())
}
