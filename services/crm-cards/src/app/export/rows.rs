//! Records as rows of a file.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::cells::joined;
use crate::domain::entity::{Card, Company, Contact};
use crate::domain::fields::{Definition, FieldValue};
use crate::domain::import::{flag, time};
use crate::store::{exports, imports};
use crate::wire::text;

/// Writes a contact, in the order of its columns.
pub(super) fn contact(contact: &Contact, fields: &[Definition]) -> Vec<String> {
    let own = vec![
        contact.id.to_string(),
        contact.name.clone(),
        joined(&contact.phones),
        joined(&contact.emails),
        text(contact.company),
        flag(contact.buyer).to_owned(),
        text(contact.responsible),
        time(contact.created_at),
    ];
    with_fields(own, &contact.fields, fields)
}

/// Writes a company, in the order of its columns.
pub(super) fn company(company: &Company, fields: &[Definition]) -> Vec<String> {
    let own = vec![
        company.id.to_string(),
        company.name.clone(),
        joined(&company.phones),
        joined(&company.emails),
        text(company.parent),
        text(company.responsible),
        time(company.created_at),
    ];
    with_fields(own, &company.fields, fields)
}

/// What pipelines, statuses and sources are written as: their names, where by these they are found again.
#[derive(Debug, Default)]
pub(super) struct Names(HashMap<Uuid, String>);

impl Names {
    /// Enters things that are told from each other by their names, where these are not alike and look like no id.
    fn enter(&mut self, things: Vec<(Uuid, String)>) {
        let mut counts: HashMap<String, usize> = HashMap::new();
        for (_, name) in &things {
            *counts.entry(name.clone()).or_default() += 1;
        }
        let plain = |name: &String| {
            counts.get(name) == Some(&1) && name.trim() == name && name.parse::<Uuid>().is_err()
        };
        let told = things.into_iter().filter(|(_, name)| plain(name));
        self.0.extend(told);
    }

    fn of(&self, id: Uuid) -> String {
        self.0.get(&id).cloned().unwrap_or_else(|| id.to_string())
    }
}

/// Returns the names of what cards refer to.
pub(super) async fn names(
    connection: &mut PgConnection,
    account: &AccountSlug,
    cards: &[Card],
) -> Result<Names, sqlx::Error> {
    let mut names = Names::default();
    if cards.is_empty() {
        return Ok(names);
    }
    let once = |ids: BTreeSet<Uuid>| ids.into_iter().collect::<Vec<Uuid>>();
    let pipelines = once(cards.iter().map(|card| card.pipeline.uuid()).collect());
    let own = imports::pipelines(connection, account, &pipelines, &[]).await?;
    let own: Vec<String> = own.into_iter().map(|(_, name)| name).collect();
    // Others of the same names, too.
    names.enter(imports::pipelines(connection, account, &pipelines, &own).await?);
    let mut by_pipeline: BTreeMap<Uuid, Vec<(Uuid, String)>> = BTreeMap::new();
    for status in exports::statuses(connection, account, &pipelines).await? {
        let statuses = by_pipeline.entry(status.pipeline).or_default();
        statuses.push((status.id, status.name));
    }
    for statuses in by_pipeline.into_values() {
        names.enter(statuses);
    }
    let sources = cards.iter().filter_map(|card| card.source);
    let sources = once(sources.map(Into::into).collect());
    names.enter(imports::sources(connection, account, &sources, &[]).await?);
    Ok(names)
}

/// Writes a card, in the order of its columns.
pub(super) fn card(card: &Card, names: &Names, fields: &[Definition]) -> Vec<String> {
    let amount = card.amount.map(|money| money.amount());
    let currency = card.amount.map(|money| money.currency);
    let source = card.source.map(|source| names.of(source.into()));
    let own = vec![
        card.id.to_string(),
        card.title.clone(),
        names.of(card.pipeline.into()),
        names.of(card.status.id.into()),
        source.unwrap_or_default(),
        text(card.contact),
        amount.unwrap_or_default(),
        text(currency),
        text(card.responsible),
        time(card.created_at),
    ];
    with_fields(own, &card.fields, fields)
}

fn with_fields(
    mut row: Vec<String>,
    values: &BTreeMap<String, FieldValue>,
    fields: &[Definition],
) -> Vec<String> {
    let cell = |field: &Definition| values.get(&field.key).map(cell_of).unwrap_or_default();
    row.extend(fields.iter().map(cell));
    row
}

fn cell_of(value: &FieldValue) -> String {
    match value {
        FieldValue::Text(text)
        | FieldValue::Number(text)
        | FieldValue::Date(text)
        | FieldValue::Select(text)
        | FieldValue::Url(text) => text.clone(),
        FieldValue::Flag(yes) => flag(*yes).to_owned(),
        FieldValue::MultiSelect(options) => joined(options),
    }
}
