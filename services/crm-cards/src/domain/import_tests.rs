use time::macros::datetime;
use uuid::Uuid;

use super::*;
use crate::domain::columns::{Columns, RecordKind};
use crate::domain::fields::Entity;

fn rules() -> Rules {
    let field = |key: &str, kind| Definition {
        id: Uuid::from_u128(1).into(),
        entity: Entity::Contact,
        key: key.to_owned(),
        name: key.to_owned(),
        kind,
        options: Vec::new(),
        required: false,
        position: 0,
        revision: 1,
    };
    Rules {
        region: Region::read("UA"),
        fields: vec![
            field("size", FieldKind::MultiSelect),
            field("vip", FieldKind::Flag),
        ],
        now: datetime!(2026-03-02 12:00 UTC),
    }
}

fn texts(row: &[&str]) -> Vec<String> {
    row.iter().map(|text| (*text).to_owned()).collect()
}

/// Reads a contact from pairs of column and cell.
fn contact(pairs: &[(&str, &str)]) -> Result<PersonRow, Vec<Problem>> {
    let (head, row): (Vec<&str>, Vec<&str>) = pairs.iter().copied().unzip();
    let (rules, row) = (rules(), texts(&row));
    let columns = Columns::read(RecordKind::Contact, &rules.fields, &texts(&head)).unwrap();
    read(PersonRow::read(&columns.of(&row), &rules, "company"))
}

/// A row, where nothing is wrong with it.
fn read<R>((row, problems): (R, Vec<Problem>)) -> Result<R, Vec<Problem>> {
    if problems.is_empty() {
        Ok(row)
    } else {
        Err(problems)
    }
}

fn card(pairs: &[(&str, &str)]) -> Result<CardRow, Vec<Problem>> {
    let (head, row): (Vec<&str>, Vec<&str>) = pairs.iter().copied().unzip();
    let (rules, row) = (rules(), texts(&row));
    let columns = Columns::read(RecordKind::Card, &[], &texts(&head)).unwrap();
    read(CardRow::read(&columns.of(&row), &rules))
}

#[test]
fn a_row_says_what_stands_in_its_cells() {
    let read = contact(&[
        ("name", " Anna "),
        ("phones", "044 123 45 67; +15208782491"),
        ("emails", "Anna@Example.com"),
        ("company", "Oak & Co"),
        ("buyer", "Yes"),
        ("created_at", "2026-01-02"),
        ("field.size", r"a\;b;c"),
        ("field.vip", "no"),
        ("id", "1C-77"),
    ]);
    let row = read.unwrap();
    assert_eq!(row.name.as_deref(), Some("Anna"));
    assert_eq!(row.phones, Some(texts(&["+380441234567", "+15208782491"])));
    assert_eq!(row.emails, Some(texts(&["anna@example.com"])));
    assert_eq!(row.belongs_to.as_deref(), Some("Oak & Co"));
    assert_eq!(row.buyer, Some(true));
    assert_eq!(row.common.id.as_deref(), Some("1C-77"));
    assert_eq!(row.common.created_at, Some(datetime!(2026-01-02 00:00 UTC)));
    let size = FieldValue::MultiSelect(texts(&["a;b", "c"]));
    assert_eq!(row.common.fields["size"], Some(size));
    assert_eq!(row.common.fields["vip"], Some(FieldValue::Flag(false)));
    // A blank cell says nothing.
    let blank = contact(&[("name", " "), ("phones", ""), ("buyer", ""), ("id", "")]).unwrap();
    assert_eq!((blank.name, blank.phones, blank.buyer), (None, None, None));
}

#[test]
fn everything_that_is_wrong_with_a_row_is_told_by_its_columns() {
    let long = "x".repeat(201);
    let key = "x".repeat(101);
    let wrong = contact(&[
        ("name", &long),
        ("phones", "+380441234567;12"),
        ("emails", "anna"),
        ("responsible", "Olena"),
        ("buyer", "perhaps"),
        ("created_at", "yesterday"),
        ("field.vip", "maybe"),
        ("id", &key),
        ("", "x"),
    ]);
    let wrong = wrong.unwrap_err();
    let columns: Vec<&str> = wrong.iter().map(|one| one.column.as_str()).collect();
    let expected = [
        "name",
        "phones[1]",
        "emails[0]",
        "buyer",
        "field.vip",
        "id",
        "responsible",
        "created_at",
        "",
    ];
    assert_eq!(columns, expected);
}

#[test]
fn an_amount_of_a_card_has_both_parts() {
    let sold = card(&[("title", "Oak"), ("amount", "12.5"), ("currency", "UAH")]).unwrap();
    assert_eq!(
        sold.amount.map(|money| money.amount()).as_deref(),
        Some("12.50")
    );
    for (amount, currency, column) in [
        ("12.5", "", "currency"),
        ("", "UAH", "amount"),
        ("a lot", "UAH", "amount"),
    ] {
        let wrong = card(&[("amount", amount), ("currency", currency)]).unwrap_err();
        assert_eq!(wrong[0].column, column, "{amount} {currency}");
    }
    let nothing = card(&[("amount", ""), ("currency", "")]).unwrap();
    assert_eq!(nothing.amount, None);
}

#[test]
fn times_are_read_as_people_write_them_and_none_is_to_come() {
    let now = datetime!(2026-03-02 12:00 UTC);
    for (cell, expected) in [
        ("2026-03-02T12:00:00Z", Some(now)),
        ("2026-03-02T14:00:00+02:00", Some(now)),
        ("2026-03-02 11:30", Some(datetime!(2026-03-02 11:30 UTC))),
        (
            "2026-03-02 11:30:05",
            Some(datetime!(2026-03-02 11:30:05 UTC)),
        ),
        ("2026-03-02", Some(datetime!(2026-03-02 00:00 UTC))),
        ("2026-03-02T12:00:01Z", None),
        ("1969-12-31", None),
        ("02.03.2026", None),
        ("2026-02-30", None),
    ] {
        assert_eq!(time_of(cell, now).ok(), expected, "{cell}");
    }
    let fine = datetime!(2026-01-02 03:04:05.123456 UTC);
    assert_eq!(time_of(&time(fine), now), Ok(fine), "as it is written");
}

#[test]
fn what_becomes_of_a_row_depends_on_what_is_known_of_its_record() {
    use Found::{Deleted, Here, Hidden, Nowhere};
    for (found, has_id, expected) in [
        (Nowhere, true, "create"),
        (Nowhere, false, "create"),
        (Deleted, true, "refuse"),
        (Deleted, false, "refuse"),
        (Hidden, true, "refuse"),
        (Hidden, false, "keep"),
        (Here, true, "compare"),
        (Here, false, "keep"),
    ] {
        let told = match step(found, has_id) {
            Step::Create => "create",
            Step::Compare => "compare",
            Step::Keep => "keep",
            Step::Refuse(_) => "refuse",
        };
        assert_eq!(told, expected, "{found:?} {has_id}");
    }
}
