//! What contacts and companies have in common: phones and addresses are read by the account's region, custom fields by what
//! is defined, and another responsible is told with all chats.

use chassis::auth::Caller;
use chassis::grpc::FieldViolation;
use chassis::id::{AccountSlug, AgentId};
use chassis::outbox::Outgoing;
use sqlx::PgConnection;
use switchboard_proto::common::v1::LinkedEntity;
use switchboard_proto::crm_cards::v1 as wire_v1;
use uuid::Uuid;

use super::list_cards::{Owner, narrowed};
use super::sight;
use crate::domain::access::Kind;
use crate::domain::entity::Company;
use crate::domain::fields::{Entity, Given, Stored, changed};
use crate::domain::ids::{ChatId, CompanyId};
use crate::domain::points::{self, Wrong};
use crate::domain::search::{self, Asked};
use crate::error::Error;
use crate::store::card_lists::Responsible;
use crate::store::{companies, contact_settings, fields};
use crate::wire;

/// Chats that one event names at most; further ones are told by further events.
const CHATS_TOLD: usize = 5_000;

/// What of a contact or company is to be changed; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct Details {
    /// Name.
    pub name: Option<String>,
    /// All phones, as they were typed.
    pub phones: Option<Vec<String>>,
    /// All addresses, as they were typed.
    pub emails: Option<Vec<String>>,
    /// Custom fields, by key.
    pub fields: Given,
}

/// Phones and addresses as they are kept; what is absent stays.
#[derive(Debug, Default)]
pub(super) struct Points {
    pub phones: Option<Vec<String>>,
    pub emails: Option<Vec<String>>,
}

/// Reads phones and addresses. Everything that is wrong is told at once. `suffix` follows the names of the fields.
pub(super) async fn read_points(
    connection: &mut PgConnection,
    account: &AccountSlug,
    details: &Details,
    suffix: &str,
) -> Result<Points, Error> {
    let region = match &details.phones {
        Some(phones) if !phones.is_empty() => contact_settings::region(connection, account).await?,
        _ => None,
    };
    let mut wrong = Vec::new();
    let mut keep = |field: &str, read: Option<Result<Vec<String>, Vec<Wrong>>>| match read {
        None => None,
        Some(Ok(points)) => Some(points),
        Some(Err(each)) => {
            wrong.extend(each.into_iter().map(|one| {
                FieldViolation::new(format!("{field}{suffix}{}", one.place), one.description)
            }));
            None
        }
    };
    let phones = details.phones.as_ref();
    let phones = phones.map(|typed| points::several(typed, |one| points::phone(one, region)));
    let emails = details.emails.as_ref();
    let emails = emails.map(|typed| points::several(typed, points::email));
    let read = Points {
        phones: keep("phones", phones),
        emails: keep("emails", emails),
    };
    if wrong.is_empty() {
        Ok(read)
    } else {
        Err(Error::Fields(wrong))
    }
}

/// Returns what is kept of custom fields after a request; `form` asks for all required ones.
pub(super) async fn read_fields(
    connection: &mut PgConnection,
    account: &AccountSlug,
    entity: Entity,
    stored: &Stored,
    (given, form): (&Given, bool),
) -> Result<Stored, Error> {
    if given.is_empty() && !form {
        return Ok(stored.clone());
    }
    let known = fields::of_entity(connection, account, entity).await?;
    changed(&known, stored, given, form).map_err(Error::of_fields)
}

/// Holds a company that a contact or company is to belong to, where the caller sees it.
pub(super) async fn held_company(
    connection: &mut PgConnection,
    caller: &Caller,
    company: CompanyId,
    field: &'static str,
) -> Result<Company, Error> {
    let sight = sight(caller, Kind::Contacts).ok();
    let key = (caller.account().clone(), company);
    let held = companies::hold(connection, std::slice::from_ref(&key))
        .await?
        .remove(&key);
    held.filter(|company| sight.is_some_and(|sight| sight.reaches(company.responsible)))
        .ok_or(Error::Field {
            field,
            description: "the account has no such company",
        })
}

/// Which contacts or companies are asked for, as a request says it.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Whom they belong to.
    pub owner: Owner,
    /// Text.
    pub text: Option<String>,
    /// A phone, as it was typed.
    pub phone: Option<String>,
    /// An address, as it was typed.
    pub email: Option<String>,
    /// A kind of messenger.
    pub messenger: Option<String>,
}

/// Returns whose are listed and by which words; none where that is nobody.
pub(super) async fn listed(
    connection: &mut PgConnection,
    caller: &Caller,
    wanted: &Wanted,
) -> Result<Option<(Responsible, Option<String>)>, Error> {
    let account = caller.account();
    let own = sight(caller, Kind::Contacts)?.narrowed_to();
    let asked = Details {
        phones: wanted.phone.clone().map(|phone| vec![phone]),
        emails: wanted.email.clone().map(|email| vec![email]),
        ..Details::default()
    };
    // One of each: its place in the list is nothing that the request knows.
    let points = read_points(connection, account, &asked, "")
        .await
        .map_err(named_once)?;
    let first = |points: Option<Vec<String>>| points.and_then(|points| points.into_iter().next());
    let asked = Asked {
        text: wanted.text.clone(),
        phone: first(points.phones),
        email: first(points.emails),
        messenger: wanted.messenger.clone(),
    };
    let Some(responsible) = narrowed(wanted.owner, own, caller) else {
        return Ok(None);
    };
    if !asked.is_anything() {
        return Ok(Some((responsible, None)));
    }
    Ok(search::asked(account, &asked).map(|words| (responsible, Some(words))))
}

/// Names the fields of a list's request: `phone` for `phones[0]`.
fn named_once(error: Error) -> Error {
    let Error::Fields(violations) = error else {
        return error;
    };
    let named = violations.into_iter().map(|violation| {
        let field = violation.field.trim_end_matches("s[0]").to_owned();
        FieldViolation::new(field, violation.description)
    });
    Error::Fields(named.collect())
}

/// Tells that an entity got another responsible, with all its chats (F043, F044, F047). The first event is the act that the
/// stamp names, where that is `id`.
pub(super) fn responsible_changed(
    account: &AccountSlug,
    entity: &LinkedEntity,
    (previous, chats): (Option<AgentId>, &[ChatId]),
    id: Option<Uuid>,
) -> Vec<Outgoing> {
    let none: [&[ChatId]; 1] = [&[]];
    let parts: Vec<&[ChatId]> = if chats.is_empty() {
        none.to_vec()
    } else {
        chats.chunks(CHATS_TOLD).collect()
    };
    let mut id = id;
    let told = parts.into_iter().map(|chats| {
        let changed = wire_v1::EntityResponsibleChanged {
            entity: Some(entity.clone()),
            chat_ids: chats.iter().map(ToString::to_string).collect(),
            previous_agent_id: wire::text(previous),
        };
        match id.take() {
            Some(id) => Outgoing::with_id(id, account, &entity.entity_id, &changed),
            None => Outgoing::new(account, &entity.entity_id, &changed),
        }
    });
    told.collect()
}
