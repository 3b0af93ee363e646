//! Amounts, custom fields and histories.

use std::collections::{BTreeMap, HashMap};

use chassis::audit;
use chassis::grpc::timestamp;
use switchboard_proto::crm_cards::v1 as wire;
use switchboard_proto::crm_cards::v1::field::{Entity as WireEntity, Type as WireType};
use switchboard_proto::crm_cards::v1::field_value::{Options, Value};
use switchboard_proto::crm_cards::v1::history_entry::Kind as WireKind;

use crate::domain::entity::Ordered;
use crate::domain::fields::{Definition, Entity, FieldKind, FieldValue};
use crate::domain::history::EntryKind;
use crate::domain::money::{Currency, Money};
use crate::domain::order::Line;
use crate::domain::status::StatusKind;
use crate::store::history::Entry;

/// Writes an amount.
pub fn money(money: &Money) -> wire::Money {
    wire::Money {
        currency: money.currency.to_string(),
        amount: money.amount(),
    }
}

/// Writes values of custom fields.
pub fn field_values(values: &BTreeMap<String, FieldValue>) -> HashMap<String, wire::FieldValue> {
    let values = values.iter();
    values
        .map(|(key, value)| (key.clone(), field_value(value)))
        .collect()
}

/// Writes a product of an order, in the currency of its total.
pub fn line(line: &Line, total: Option<Money>) -> wire::OrderLine {
    let written = |amount| {
        let within = total.and_then(|total| Money::within(total.currency, amount));
        within.map_or_else(|| amount.to_string(), |money| money.amount())
    };
    let total = total.and_then(|total| line.total(total.currency));
    wire::OrderLine {
        product: line.product.clone(),
        sku: line.sku.clone(),
        quantity: line.quantity.to_string(),
        price: written(line.price),
        total: total.map(written).unwrap_or_default(),
    }
}

/// Writes what a buyer has ordered.
pub fn totals(ordered: &[Ordered]) -> wire::BuyerTotals {
    let count = |of: &mut dyn Iterator<Item = &Ordered>| of.map(|part| part.orders).sum();
    let parts = StatusKind::ALL.iter().filter_map(|kind| {
        let of_kind = || ordered.iter().filter(|part| part.status == *kind);
        of_kind().next()?;
        Some(wire::buyer_totals::Part {
            status: wire::StatusKind::from(*kind).into(),
            order_count: count(&mut of_kind()),
            sums: sums(of_kind()),
        })
    });
    wire::BuyerTotals {
        order_count: count(&mut ordered.iter()),
        sums: sums(ordered.iter()),
        parts: parts.collect(),
    }
}

/// Adds up by currency, sorted.
fn sums<'o>(ordered: impl Iterator<Item = &'o Ordered>) -> Vec<wire::Money> {
    let mut by_currency: BTreeMap<Currency, Money> = BTreeMap::new();
    for sum in ordered.filter_map(|part| part.sum) {
        let so_far = by_currency.entry(sum.currency);
        so_far
            .and_modify(|so_far| so_far.amount += sum.amount)
            .or_insert(sum);
    }
    by_currency.values().map(money).collect()
}

/// Writes the value of a custom field.
fn field_value(value: &FieldValue) -> wire::FieldValue {
    let value = match value.clone() {
        FieldValue::Text(text) => Value::Text(text),
        FieldValue::Number(number) => Value::Number(number),
        FieldValue::Flag(flag) => Value::Flag(flag),
        FieldValue::Date(date) => Value::Date(date),
        FieldValue::Select(option) => Value::Option(option),
        FieldValue::MultiSelect(values) => Value::Options(Options { values }),
        FieldValue::Url(url) => Value::Url(url),
    };
    wire::FieldValue { value: Some(value) }
}

/// Reads the value of a custom field; none for one that holds nothing.
pub fn read_field_value(value: wire::FieldValue) -> Option<FieldValue> {
    Some(match value.value? {
        Value::Text(text) => FieldValue::Text(text),
        Value::Number(number) => FieldValue::Number(number),
        Value::Flag(flag) => FieldValue::Flag(flag),
        Value::Date(date) => FieldValue::Date(date),
        Value::Option(option) => FieldValue::Select(option),
        Value::Options(options) => FieldValue::MultiSelect(options.values),
        Value::Url(url) => FieldValue::Url(url),
    })
}

/// Reads what has a field; none for an unset or unknown one.
pub fn entity(entity: i32) -> Option<Entity> {
    Some(match WireEntity::try_from(entity).ok()? {
        WireEntity::Unspecified => return None,
        WireEntity::Card => Entity::Card,
        WireEntity::Contact => Entity::Contact,
        WireEntity::Company => Entity::Company,
        WireEntity::Order => Entity::Order,
    })
}

/// Reads the type of a field; none for an unset or unknown one.
pub fn field_kind(kind: i32) -> Option<FieldKind> {
    Some(match WireType::try_from(kind).ok()? {
        WireType::Unspecified => return None,
        WireType::Text => FieldKind::Text,
        WireType::Number => FieldKind::Number,
        WireType::Flag => FieldKind::Flag,
        WireType::Date => FieldKind::Date,
        WireType::Select => FieldKind::Select,
        WireType::MultiSelect => FieldKind::MultiSelect,
        WireType::Url => FieldKind::Url,
    })
}

/// Writes a custom field.
pub fn field(field: &Definition) -> wire::Field {
    let entity = match field.entity {
        Entity::Card => WireEntity::Card,
        Entity::Contact => WireEntity::Contact,
        Entity::Company => WireEntity::Company,
        Entity::Order => WireEntity::Order,
    };
    let kind = match field.kind {
        FieldKind::Text => WireType::Text,
        FieldKind::Number => WireType::Number,
        FieldKind::Flag => WireType::Flag,
        FieldKind::Date => WireType::Date,
        FieldKind::Select => WireType::Select,
        FieldKind::MultiSelect => WireType::MultiSelect,
        FieldKind::Url => WireType::Url,
    };
    wire::Field {
        field_id: field.id.to_string(),
        entity: entity.into(),
        key: field.key.clone(),
        name: field.name.clone(),
        r#type: kind.into(),
        options: field.options.clone(),
        required: field.required,
        position: field.position,
        revision: field.revision,
    }
}

/// Reads what happened; none for an unset or unknown kind.
pub fn entry_kind(kind: i32) -> Option<EntryKind> {
    Some(match WireKind::try_from(kind).ok()? {
        WireKind::Unspecified => return None,
        WireKind::Created => EntryKind::Created,
        WireKind::Updated => EntryKind::Updated,
        WireKind::Moved => EntryKind::Moved,
        WireKind::Responsible => EntryKind::Responsible,
        WireKind::Participants => EntryKind::Participants,
        WireKind::Note => EntryKind::Note,
        WireKind::Linked => EntryKind::Linked,
        WireKind::Deleted => EntryKind::Deleted,
        WireKind::KeyAction => EntryKind::KeyAction,
        WireKind::Merged => EntryKind::Merged,
        WireKind::Unmerged => EntryKind::Unmerged,
    })
}

/// Writes an entry of a history.
pub fn entry(entry: Entry) -> wire::HistoryEntry {
    let kind = match entry.kind {
        EntryKind::Created => WireKind::Created,
        EntryKind::Updated => WireKind::Updated,
        EntryKind::Moved => WireKind::Moved,
        EntryKind::Responsible => WireKind::Responsible,
        EntryKind::Participants => WireKind::Participants,
        EntryKind::Note => WireKind::Note,
        EntryKind::Linked => WireKind::Linked,
        EntryKind::Deleted => WireKind::Deleted,
        EntryKind::KeyAction => WireKind::KeyAction,
        EntryKind::Merged => WireKind::Merged,
        EntryKind::Unmerged => WireKind::Unmerged,
    };
    wire::HistoryEntry {
        entry_id: entry.id.to_string(),
        time: Some(timestamp(entry.at)),
        actor: entry.actor,
        kind: kind.into(),
        changes: entry.changes.into_iter().map(audit::change).collect(),
    }
}
