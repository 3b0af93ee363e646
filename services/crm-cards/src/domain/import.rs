//! What a file's rows say, and what becomes of each.

use std::str::FromStr;

use chassis::grpc::text_within;
use chassis::id::AgentId;
use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime, PrimitiveDateTime};

use super::cells::parted;
use super::columns::{Cells, column_of};
use super::entity::{NAME_MAX, TITLE_MAX};
use super::fields::{Definition, FieldKind, FieldValue, Given};
use super::money::Money;
use super::points::{self, Region};

/// Characters of a key by which another system knows a record at most.
const KEY_MAX: usize = 100;
/// Characters of a name or id by which a row refers to a record at most.
const REFERENCE_MAX: usize = 254;
/// How days are written.
const DAY: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]");
/// How times are written without an offset: as of UTC.
const MINUTE: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]");
const SECOND: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");

/// Something that is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The column; empty where it is the row itself.
    pub column: String,
    /// What must hold.
    pub reason: String,
}

impl Problem {
    /// Names a column and what must hold.
    pub fn new(column: &str, reason: impl Into<String>) -> Self {
        Self {
            column: column.to_owned(),
            reason: reason.into(),
        }
    }
}

/// By what rows are read.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The region whose phones are written without a country code.
    pub region: Option<Region>,
    /// The custom fields that there are.
    pub fields: Vec<Definition>,
    /// The time: nothing was made later.
    pub now: OffsetDateTime,
}

/// What a row says of any record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Common {
    /// Its id here, or its key in another system.
    pub id: Option<String>,
    /// The responsible.
    pub responsible: Option<AgentId>,
    /// When it was made.
    pub created_at: Option<OffsetDateTime>,
    /// Custom fields, by key.
    pub fields: Given,
}

/// What a row says of a contact or a company.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonRow {
    /// What it says as of any record.
    pub common: Common,
    /// The name.
    pub name: Option<String>,
    /// Phones in E.164.
    pub phones: Option<Vec<String>>,
    /// Addresses, folded.
    pub emails: Option<Vec<String>>,
    /// The company that it belongs to: an id, a key or a name.
    pub belongs_to: Option<String>,
    /// Saved as a buyer.
    pub buyer: Option<bool>,
}

/// What a row says of a card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardRow {
    /// What it says as of any record.
    pub common: Common,
    /// The title.
    pub title: Option<String>,
    /// The pipeline: an id or a name.
    pub pipeline: Option<String>,
    /// The status: an id or a name.
    pub status: Option<String>,
    /// The source: an id or a name.
    pub source: Option<String>,
    /// The contact: an id, a key, a phone or an address.
    pub contact: Option<String>,
    /// The amount.
    pub amount: Option<Money>,
}

impl AsRef<Common> for PersonRow {
    fn as_ref(&self) -> &Common {
        &self.common
    }
}

impl AsRef<Common> for CardRow {
    fn as_ref(&self) -> &Common {
        &self.common
    }
}

/// Collects everything that is wrong with a row.
struct Wrong(Vec<Problem>);

impl Wrong {
    /// Keeps what was read, or what is wrong with it.
    fn keep<T>(&mut self, column: &str, read: Result<T, String>) -> Option<T> {
        match read {
            Ok(value) => Some(value),
            Err(reason) => {
                self.0.push(Problem::new(column, reason));
                None
            }
        }
    }

    /// Reads what stands under a column, where something does.
    fn read<T>(
        &mut self,
        cells: &Cells<'_>,
        column: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let cell = cells.get(column)?;
        self.keep(column, read(cell))
    }

    fn text(&mut self, cells: &Cells<'_>, column: &str, max: usize) -> Option<String> {
        let text = self.read(cells, column, |cell| {
            text_within(cell, max).map(|text| text.map(str::to_owned))
        });
        text.flatten()
    }

    /// Reads several phones or addresses of one cell.
    fn points(
        &mut self,
        cells: &Cells<'_>,
        column: &str,
        read: impl Fn(&str) -> Result<String, String>,
    ) -> Option<Vec<String>> {
        let typed = parted(cells.get(column)?);
        match points::several(&typed, read) {
            Ok(points) => Some(points),
            Err(each) => {
                let told = each.into_iter().map(|one| {
                    let column = format!("{column}{}", one.place);
                    Problem::new(&column, one.description)
                });
                self.0.extend(told);
                None
            }
        }
    }

    fn common(&mut self, cells: &Cells<'_>, rules: &Rules) -> Common {
        let fields = cells.fields().into_iter().filter_map(|(key, cell)| {
            let field = rules.fields.iter().find(|field| field.key == key);
            let value = field.map_or_else(
                // Somebody has deleted it since the first line was read.
                || Err("the account has no such field any more".to_owned()),
                |field| value_of(field, cell),
            );
            let value = self.keep(&column_of(key), value)?;
            Some((key.to_owned(), Some(value)))
        });
        Common {
            fields: fields.collect(),
            id: self.text(cells, "id", KEY_MAX),
            responsible: self.read(cells, "responsible", |cell| {
                AgentId::from_str(cell).map_err(|_| "must be the id of an agent".to_owned())
            }),
            created_at: self.read(cells, "created_at", |cell| time_of(cell, rules.now)),
        }
    }
}

impl PersonRow {
    /// Reads a row, with `belongs_to` under that column: what can be read of it, and everything that is wrong with it.
    pub fn read(cells: &Cells<'_>, rules: &Rules, company: &str) -> (Self, Vec<Problem>) {
        let mut wrong = Wrong(Vec::new());
        let row = Self {
            name: wrong.text(cells, "name", NAME_MAX),
            phones: wrong.points(cells, "phones", |one| points::phone(one, rules.region)),
            emails: wrong.points(cells, "emails", points::email),
            belongs_to: wrong.text(cells, company, REFERENCE_MAX),
            buyer: wrong.read(cells, "buyer", flag_of),
            common: wrong.common(cells, rules),
        };
        told(row, cells, wrong)
    }
}

impl CardRow {
    /// Reads a row: what can be read of it, and everything that is wrong with it.
    pub fn read(cells: &Cells<'_>, rules: &Rules) -> (Self, Vec<Problem>) {
        let mut wrong = Wrong(Vec::new());
        let text = |column| cells.get(column).unwrap_or_default();
        let amount = match Money::read(text("currency"), text("amount")) {
            Ok(amount) => amount,
            Err(bad) => wrong.keep(bad.field, Err(bad.description)),
        };
        let row = Self {
            title: wrong.text(cells, "title", TITLE_MAX),
            pipeline: wrong.text(cells, "pipeline", REFERENCE_MAX),
            status: wrong.text(cells, "status", REFERENCE_MAX),
            source: wrong.text(cells, "source", REFERENCE_MAX),
            contact: wrong.text(cells, "contact", REFERENCE_MAX),
            amount,
            common: wrong.common(cells, rules),
        };
        told(row, cells, wrong)
    }
}

fn told<T>(row: T, cells: &Cells<'_>, mut wrong: Wrong) -> (T, Vec<Problem>) {
    if cells.is_beyond() {
        let text = "has something under no column";
        wrong.0.push(Problem::new("", text));
    }
    (row, wrong.0)
}

fn flag_of(cell: &str) -> Result<bool, String> {
    match cell.to_ascii_lowercase().as_str() {
        "yes" | "true" | "1" => Ok(true),
        "no" | "false" | "0" => Ok(false),
        _ => Err("must be yes or no".to_owned()),
    }
}

/// Writes a flag as it is read.
pub const fn flag(flag: bool) -> &'static str {
    if flag { "yes" } else { "no" }
}

fn time_of(cell: &str, now: OffsetDateTime) -> Result<OffsetDateTime, String> {
    let spaced = |format| PrimitiveDateTime::parse(cell, format).map(PrimitiveDateTime::assume_utc);
    let time = OffsetDateTime::parse(cell, &Rfc3339)
        .or_else(|_| spaced(SECOND))
        .or_else(|_| spaced(MINUTE))
        .or_else(|_| Date::parse(cell, DAY).map(|day| day.midnight().assume_utc()));
    let time = time.map_err(|_| "must be a time, as 2026-03-02T18:00:00Z".to_owned())?;
    let time = chassis::clock::truncate(time.to_offset(time::UtcOffset::UTC));
    if time > now || time < OffsetDateTime::UNIX_EPOCH {
        return Err("must be between 1970 and now".to_owned());
    }
    Ok(time)
}

/// Writes a time as it is read.
pub fn time(time: OffsetDateTime) -> String {
    time.format(&Rfc3339).unwrap_or_default()
}

/// Reads the value of a custom field; what it must hold beyond that, the rules of fields say.
fn value_of(field: &Definition, cell: &str) -> Result<FieldValue, String> {
    let text = cell.to_owned();
    Ok(match field.kind {
        FieldKind::Text => FieldValue::Text(text),
        FieldKind::Number => FieldValue::Number(text),
        FieldKind::Flag => FieldValue::Flag(flag_of(cell)?),
        FieldKind::Date => FieldValue::Date(text),
        FieldKind::Select => FieldValue::Select(text),
        FieldKind::MultiSelect => FieldValue::MultiSelect(parted(cell)),
        FieldKind::Url => FieldValue::Url(text),
    })
}

/// What is known of the record that a row names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nowhere,
    /// It was there, and somebody deleted it.
    Deleted,
    /// It is there, and the caller does not see it.
    Hidden,
    /// It is there.
    Here,
}

/// What becomes of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Its record is made.
    Create,
    /// Its record is compared with it.
    Compare,
    /// Nothing: its record was made of it before.
    Keep,
    /// It is refused.
    Refuse(&'static str),
}

/// Decides what becomes of a row. One without an id is known by its import, its line and what it says: where its record is
/// there it was made of just this row, whoever it belongs to by now.
pub const fn step(found: Found, has_id: bool) -> Step {
    match (found, has_id) {
        (Found::Nowhere, _) => Step::Create,
        (Found::Deleted, _) => Step::Refuse("was imported before and is deleted since"),
        (Found::Hidden | Found::Here, false) => Step::Keep,
        (Found::Hidden, true) => Step::Refuse("is known already and not open to you"),
        (Found::Here, true) => Step::Compare,
    }
}

#[cfg(test)]
#[path = "import_tests.rs"]
mod tests;
