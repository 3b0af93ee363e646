//! What rows refer to, for all rows of a batch at once.

use std::collections::{BTreeSet, HashMap};

use chassis::auth::Caller;
use chassis::id::AgentId;
use sqlx::PgConnection;
use uuid::Uuid;

use super::made_of;
use crate::app::sight;
use crate::domain::access::{Kind, Sight};
use crate::domain::columns::RecordKind;
use crate::domain::company::Tree;
use crate::domain::entity::{Company, Contact};
use crate::domain::ids::{CompanyId, ContactId};
use crate::domain::points::{self, Region};
use crate::domain::search::{self, Asked};
use crate::error::Error;
use crate::store::{companies, contacts, imports};

/// The ids that a text may be: one of this account, and that of the record which an import has made of it.
pub(super) fn ids_of(caller: &Caller, kind: RecordKind, text: &str) -> Vec<Uuid> {
    let given = text.parse().ok().into_iter();
    given
        .chain([made_of(caller.account(), kind, text)])
        .collect()
}

/// Companies that rows have made or changed, by their names.
#[derive(Debug, Clone, Default)]
pub(super) struct Made {
    named: HashMap<String, Vec<CompanyId>>,
    of: HashMap<CompanyId, (Option<AgentId>, Option<CompanyId>)>,
}

impl Made {
    /// Enters a company as it is from now on.
    pub fn enter(&mut self, company: &Company) {
        let known = self
            .of
            .insert(company.id, (company.responsible, company.parent));
        let named = self.named.entry(company.name.clone()).or_default();
        if known.is_none() || !named.contains(&company.id) {
            named.push(company.id);
        }
    }

    /// Enters what others have.
    pub fn extend(&mut self, other: Self) {
        for (name, ids) in other.named {
            self.named.entry(name).or_default().extend(ids);
        }
        self.of.extend(other.of);
    }

    /// Returns those that texts may name.
    fn named_by(&self, caller: &Caller, texts: &BTreeSet<&str>) -> Vec<CompanyId> {
        let named = texts.iter().flat_map(|text| {
            let ids = ids_of(caller, RecordKind::Company, text).into_iter();
            let ids = ids.map(CompanyId::from);
            let ids = ids.filter(|id| self.of.contains_key(id));
            ids.chain(self.named.get(*text).into_iter().flatten().copied())
        });
        named.collect()
    }

    /// Returns those that companies belong to, as far as they are known here, and the last ones, which are not.
    pub fn above(
        &self,
        ids: &[CompanyId],
    ) -> (Vec<(CompanyId, Option<CompanyId>)>, Vec<CompanyId>) {
        let (mut above, mut rest) = (Vec::new(), Vec::new());
        for id in ids {
            let mut next = Some(*id);
            // Rows have made no circle of them.
            while let Some(id) = next {
                let Some((_, parent)) = self.of.get(&id) else {
                    rest.push(id);
                    break;
                };
                above.push((id, *parent));
                next = *parent;
            }
        }
        (above, rest)
    }
}

/// The companies that texts may name: those of the account, held, and those of rows before.
pub(super) struct Companies<'b> {
    caller: &'b Caller,
    sight: Option<Sight>,
    held: HashMap<CompanyId, Option<AgentId>>,
    named: HashMap<String, Vec<CompanyId>>,
    /// Of batches before that were not written, and which of them texts may name.
    before: &'b Made,
    told: Vec<CompanyId>,
    /// Of this batch.
    pub made: Made,
}

impl<'b> Companies<'b> {
    /// Holds the companies of the account that texts name: by id, by key, or by their whole name.
    pub async fn hold(
        connection: &mut PgConnection,
        caller: &'b Caller,
        texts: &BTreeSet<&str>,
        before: &'b Made,
    ) -> Result<Self, Error> {
        let account = caller.account();
        let sight = sight(caller, Kind::Contacts).ok();
        let mut found = Self {
            caller,
            sight,
            held: HashMap::new(),
            named: HashMap::new(),
            before,
            told: before.named_by(caller, texts),
            made: Made::default(),
        };
        let Some(sight) = sight.filter(|_| !texts.is_empty()) else {
            return Ok(found);
        };
        let asked: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        let own = sight.narrowed_to();
        let named = imports::companies_named(connection, account, &asked, own).await?;
        let ids = texts
            .iter()
            .flat_map(|text| ids_of(caller, RecordKind::Company, text))
            .chain(named.values().flatten().copied());
        let keys: BTreeSet<CompanyId> = ids.map(Into::into).collect();
        let keys: Vec<_> = keys.into_iter().map(|id| (account.clone(), id)).collect();
        let held = companies::hold(connection, &keys).await?;
        found.held = held
            .into_values()
            .map(|company| (company.id, company.responsible))
            .collect();
        let named = named.into_iter();
        found.named = named
            .map(|(name, ids)| (name, ids.into_iter().map(Into::into).collect()))
            .collect();
        Ok(found)
    }

    fn sees(&self, id: CompanyId) -> bool {
        let made = [&self.made, self.before];
        let made = made.iter().find_map(|made| made.of.get(&id));
        let responsible = made.map(|(responsible, _)| responsible);
        let responsible = responsible.or_else(|| self.held.get(&id));
        responsible
            .is_some_and(|responsible| self.sight.is_some_and(|sight| sight.reaches(*responsible)))
    }

    /// Returns the company that a text names, where the caller sees it and it is one alone.
    pub fn find(&self, text: &str) -> Result<CompanyId, &'static str> {
        let ids = ids_of(self.caller, RecordKind::Company, text).into_iter();
        let mut ids = ids.map(CompanyId::from);
        if let Some(id) = ids.find(|id| self.sees(*id)) {
            return Ok(id);
        }
        let all = [&self.named, &self.before.named, &self.made.named];
        let named = all.iter().filter_map(|named| named.get(text)).flatten();
        let named: BTreeSet<CompanyId> = named.copied().filter(|id| self.sees(*id)).collect();
        let mut named = named.into_iter();
        match (named.next(), named.next()) {
            (Some(id), None) => Ok(id),
            (Some(_), Some(_)) => Err("several companies have this name: say its id"),
            (None, _) => Err("the account has no such company"),
        }
    }

    /// Returns which company belongs to which, as far as it matters where these get another one above them.
    pub async fn tree(
        &self,
        connection: &mut PgConnection,
        moved: &[CompanyId],
    ) -> Result<Tree, sqlx::Error> {
        let account = self.caller.account();
        let (mut above, rest) = self.before.above(&self.told);
        let asked = self.held.keys().chain(moved).copied().chain(rest);
        let asked: BTreeSet<Uuid> = asked.map(Into::into).collect();
        let asked: Vec<Uuid> = asked.into_iter().collect();
        above.extend(companies::above_all(connection, account, &asked).await?);
        let moved: Vec<Uuid> = moved.iter().map(|id| id.uuid()).collect();
        let below = companies::below_all(connection, account, &moved).await?;
        Ok(Tree::new(above, below))
    }
}

/// The contacts that texts may name: by id or key, by phone or by address.
pub(super) struct Contacts<'b> {
    caller: &'b Caller,
    sight: Option<Sight>,
    region: Option<Region>,
    /// What ids lead to; none to what is deleted.
    known: HashMap<Uuid, Option<Uuid>>,
    /// By the words by which they are looked for.
    with: HashMap<String, Vec<Uuid>>,
    /// All of them, and those of cards that are there, locked.
    held: HashMap<ContactId, Contact>,
}

impl<'b> Contacts<'b> {
    /// Locks the contacts that texts name, and others.
    pub async fn lock(
        connection: &mut PgConnection,
        caller: &'b Caller,
        region: Option<Region>,
        texts: &BTreeSet<&str>,
        others: impl IntoIterator<Item = ContactId>,
    ) -> Result<Self, Error> {
        let account = caller.account();
        let mut found = Self {
            caller,
            sight: sight(caller, Kind::Contacts).ok(),
            region,
            known: HashMap::new(),
            with: HashMap::new(),
            held: HashMap::new(),
        };
        if let Some(sight) = found.sight.filter(|_| !texts.is_empty()) {
            let ids = texts
                .iter()
                .flat_map(|text| ids_of(caller, RecordKind::Contact, text));
            let ids: Vec<Uuid> = ids.collect();
            found.known = imports::contacts(connection, account, &ids).await?;
            let words = texts.iter().filter_map(|text| found.words(text));
            let words: Vec<String> = words.collect();
            let own = sight.narrowed_to();
            found.with = imports::contacts_with(connection, account, &words, own).await?;
        }
        let ids = found.known.values().flatten();
        let ids = ids.chain(found.with.values().flatten());
        let ids: BTreeSet<ContactId> = ids.map(|id| (*id).into()).chain(others).collect();
        let keys: Vec<_> = ids.into_iter().map(|id| (account.clone(), id)).collect();
        let held = contacts::lock_all(connection, &keys).await?;
        if held.len() < keys.len() {
            return Err(contacts::merged_meanwhile().into());
        }
        found.held = held.into_values().map(|one| (one.id, one)).collect();
        Ok(found)
    }

    /// Returns the words by which a text is looked for that is a phone or an address.
    fn words(&self, text: &str) -> Option<String> {
        let asked = Asked {
            phone: points::phone(text, self.region).ok(),
            email: points::email(text).ok(),
            ..Asked::default()
        };
        let account = self.caller.account();
        asked
            .is_anything()
            .then(|| search::asked(account, &asked))?
    }

    /// Returns a contact that is locked.
    pub fn get(&self, id: ContactId) -> Option<&Contact> {
        self.held.get(&id)
    }

    fn seen(&self, id: Uuid) -> Option<&Contact> {
        let contact = self.held.get(&id.into());
        contact.filter(|contact| {
            self.sight
                .is_some_and(|sight| sight.reaches(contact.responsible))
        })
    }

    /// Returns the contact that a text names, where the caller sees it and it is one alone.
    pub fn find(&self, text: &str) -> Result<&Contact, &'static str> {
        let ids = ids_of(self.caller, RecordKind::Contact, text).into_iter();
        let mut ids = ids.filter_map(|id| *self.known.get(&id)?);
        if let Some(contact) = ids.find_map(|id| self.seen(id)) {
            return Ok(contact);
        }
        let words = self.words(text);
        let with = words.and_then(|words| self.with.get(&words));
        match with.map_or(&[][..], Vec::as_slice) {
            [id] => self.seen(*id).ok_or("the account has no such contact"),
            [] => Err("the account has no such contact"),
            _ => Err("several contacts have this: say an id"),
        }
    }
}
