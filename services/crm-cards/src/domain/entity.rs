//! Cards, contacts, companies and orders.

use std::collections::{BTreeMap, BTreeSet};

use chassis::id::AgentId;
use chassis::stamp::Stamp;
use time::OffsetDateTime;
use uuid::Uuid;

use super::fields::FieldValue;
use super::ids::{CardId, ChatId, CompanyId, ContactId, OrderId, PipelineId, SourceId};
use super::money::Money;
use super::order::Line;
use super::points;
use super::search::Found;
use super::status::{Status, StatusKind};
use super::words::words;

words! {
    /// Whether a card is a lead or a deal (D05).
    pub enum CardKind {
        /// Its contact is not saved as a buyer.
        Lead = "lead",
        /// Its contact is saved as a buyer.
        Deal = "deal",
    }
}

impl CardKind {
    /// Returns the kind of a card by its contact: a deal when that is a buyer (D05).
    pub const fn of(buyer: bool) -> Self {
        if buyer { Self::Deal } else { Self::Lead }
    }
}

words! {
    /// A kind of entity that has a responsible (D05).
    pub enum EntityKind {
        /// A card that is a lead.
        Lead = "lead",
        /// A card that is a deal.
        Deal = "deal",
        /// A contact.
        Contact = "contact",
        /// A company (F034).
        Company = "company",
        /// A contact saved as a buyer.
        Customer = "customer",
    }
}

impl EntityKind {
    /// Returns what a contact is: a customer once it is saved as a buyer.
    pub const fn of_contact(buyer: bool) -> Self {
        if buyer { Self::Customer } else { Self::Contact }
    }
}

impl From<CardKind> for EntityKind {
    fn from(kind: CardKind) -> Self {
        match kind {
            CardKind::Lead => Self::Lead,
            CardKind::Deal => Self::Deal,
        }
    }
}

/// A card in a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// Id.
    pub id: CardId,
    /// Lead or deal.
    pub kind: CardKind,
    /// Title.
    pub title: String,
    /// The pipeline.
    pub pipeline: PipelineId,
    /// The status.
    pub status: Status,
    /// The source (F024, F025).
    pub source: Option<SourceId>,
    /// Payload of the deep link with which the client came (D30).
    pub source_detail: String,
    /// The contact.
    pub contact: Option<ContactId>,
    /// The chat it was created from (F030).
    pub chat: Option<ChatId>,
    /// The responsible agent.
    pub responsible: Option<AgentId>,
    /// Stamp of the responsible.
    pub stamp: Stamp,
    /// When it was created.
    pub created_at: OffsetDateTime,
    /// When it was last changed.
    pub updated_at: OffsetDateTime,
    /// Raised with every change.
    pub revision: i64,
    /// Its amount.
    pub amount: Option<Money>,
    /// Values of custom fields that are there, by key.
    pub fields: BTreeMap<String, FieldValue>,
    /// Agents who take part beside the responsible, sorted.
    pub participants: Vec<AgentId>,
    /// Kind of messenger of the chat it was created from (F158).
    pub messenger: Option<String>,
}

/// What a request says of a value that may be absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Edit<T> {
    /// Nothing: it stays.
    #[default]
    Keep,
    /// There is none from now on.
    Clear,
    /// It is this from now on.
    Set(T),
}

impl<T> Edit<T> {
    /// Returns what is there from now on.
    pub fn over(self, kept: Option<T>) -> Option<T> {
        match self {
            Self::Keep => kept,
            Self::Clear => None,
            Self::Set(value) => Some(value),
        }
    }
}

impl<T: Copy> Edit<T> {
    /// Returns the new value, where there is one.
    pub fn new_value(self) -> Option<T> {
        self.over(None)
    }
}

/// Characters of the name of a contact or company at most.
pub const NAME_MAX: usize = 200;
/// Characters of the title of a card at most.
pub const TITLE_MAX: usize = 500;
/// Agents who take part in a card at most.
pub const PARTICIPANTS_MAX: usize = 50;

/// Returns the kind of messenger of an identity's scope: what stands before its colon.
pub fn messenger(scope: &str) -> &str {
    scope.split(':').next().unwrap_or(scope)
}

/// How a messenger knows a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Where the user id is unique, for example `telegram`.
    pub scope: String,
    /// The provider's user id.
    pub user_id: String,
    /// Name to show.
    pub name: String,
    /// Nick, or empty.
    pub username: String,
    /// Phone in E.164, or empty.
    pub phone: String,
    /// E-mail address, or empty.
    pub email: String,
    /// Language tag, or empty.
    pub language: String,
}

impl Identity {
    /// Returns what to call the person: the name, else what else is known.
    pub fn display_name(&self) -> &str {
        let known = [&self.name, &self.username, &self.email, &self.phone];
        known
            .into_iter()
            .find(|text| !text.trim().is_empty())
            .unwrap_or(&self.user_id)
    }
}

/// A person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// Id.
    pub id: ContactId,
    /// Name to show.
    pub name: String,
    /// Saved as a buyer (F111).
    pub buyer: bool,
    /// The company it belongs to.
    pub company: Option<CompanyId>,
    /// Phones in E.164, each once, the first one first.
    pub phones: Vec<String>,
    /// E-mail addresses, folded, each once, the first one first.
    pub emails: Vec<String>,
    /// Values of custom fields that are there, by key.
    pub fields: BTreeMap<String, FieldValue>,
    /// The responsible agent.
    pub responsible: Option<AgentId>,
    /// Stamp of the responsible.
    pub stamp: Stamp,
    /// When it was created.
    pub created_at: OffsetDateTime,
    /// Raised with every change.
    pub revision: i64,
    /// Its identities, sorted.
    pub identities: Vec<Identity>,
}

impl Contact {
    /// Returns a contact as it begins: with a name, and nothing else.
    pub fn new(id: ContactId, name: String, created_at: OffsetDateTime) -> Self {
        Self {
            id,
            name,
            buyer: false,
            company: None,
            phones: Vec::new(),
            emails: Vec::new(),
            fields: BTreeMap::new(),
            responsible: None,
            stamp: Stamp::ZERO,
            created_at,
            revision: 1,
            identities: Vec::new(),
        }
    }

    /// Returns the contact that a messenger's identity makes: with its phone and address, where they are any.
    pub fn of(id: ContactId, identity: &Identity, created_at: OffsetDateTime) -> Self {
        let name = identity.display_name().to_owned();
        Self {
            phones: points::phone(&identity.phone, None).into_iter().collect(),
            emails: points::email(&identity.email).into_iter().collect(),
            identities: vec![identity.clone()],
            ..Self::new(id, name, created_at)
        }
    }

    /// Returns by what it is found.
    pub fn found(&self) -> Found<'_> {
        let nicks = self.identities.iter().map(|known| known.username.as_str());
        let kinds = self.identities.iter();
        let kinds: BTreeSet<&str> = kinds.map(|known| messenger(&known.scope)).collect();
        Found {
            name: &self.name,
            phones: &self.phones,
            emails: &self.emails,
            nicks: nicks.filter(|nick| !nick.is_empty()).collect(),
            messengers: kinds.into_iter().collect(),
        }
    }

    /// Gives it another responsible by a person's act, which `event` tells of; one who is in place already changes nothing.
    pub fn give_to(&mut self, responsible: Option<AgentId>, now: OffsetDateTime, event: Uuid) {
        if self.responsible != responsible {
            self.responsible = responsible;
            self.stamp = Stamp::next_for_person(self.stamp, now, event);
        }
    }
}

/// A company that contacts belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Company {
    /// Id.
    pub id: CompanyId,
    /// Name to show.
    pub name: String,
    /// The company it belongs to.
    pub parent: Option<CompanyId>,
    /// Phones in E.164, each once, the first one first.
    pub phones: Vec<String>,
    /// E-mail addresses, folded, each once, the first one first.
    pub emails: Vec<String>,
    /// Values of custom fields that are there, by key.
    pub fields: BTreeMap<String, FieldValue>,
    /// The responsible agent (F034).
    pub responsible: Option<AgentId>,
    /// Stamp of the responsible.
    pub stamp: Stamp,
    /// When it was created.
    pub created_at: OffsetDateTime,
    /// Raised with every change.
    pub revision: i64,
}

impl Company {
    /// Returns by what it is found.
    pub fn found(&self) -> Found<'_> {
        Found {
            name: &self.name,
            phones: &self.phones,
            emails: &self.emails,
            ..Found::default()
        }
    }

    /// Gives it another responsible by a person's act, which `event` tells of; one who is in place already changes nothing.
    pub fn give_to(&mut self, responsible: Option<AgentId>, now: OffsetDateTime, event: Uuid) {
        if self.responsible != responsible {
            self.responsible = responsible;
            self.stamp = Stamp::next_for_person(self.stamp, now, event);
        }
    }
}

/// An order of a buyer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Id.
    pub id: OrderId,
    /// Number in the account, from 1 without gaps.
    pub number: i64,
    /// The buyer.
    pub contact: ContactId,
    /// The chat it was created from.
    pub chat: Option<ChatId>,
    /// Kind of its status.
    pub status: StatusKind,
    /// Products, in order.
    pub lines: Vec<Line>,
    /// What they sum up to; none before the order has a currency.
    pub total: Option<Money>,
    /// What else is to be known of it, or empty.
    pub comment: String,
    /// Values of custom fields that are there, by key.
    pub fields: BTreeMap<String, FieldValue>,
    /// When it was created.
    pub created_at: OffsetDateTime,
    /// When it was last changed.
    pub updated_at: OffsetDateTime,
    /// Raised with every change.
    pub revision: i64,
}

/// What a buyer has ordered, of one kind of status and currency (F120).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ordered {
    /// The kind of status.
    pub status: StatusKind,
    /// How many orders.
    pub orders: i64,
    /// What they sum up to; none for those without a currency.
    pub sum: Option<Money>,
}
