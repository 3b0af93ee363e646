//! The columns of files: which there are, and what stands in a row under each.

use std::collections::{BTreeMap, HashMap};

use super::cells::unguarded;
use super::fields::{Definition, Entity};
use super::words::words;

words! {
    /// What the rows of a file are.
    pub enum RecordKind {
        /// Contacts and buyers.
        Contact = "contact",
        /// Companies.
        Company = "company",
        /// Cards.
        Card = "card",
    }
}

/// What stands before the key of a custom field.
const FIELD: &str = "field.";
/// What stands before the name of a column of remarks, which is not read: such are the reasons why rows were refused.
const REMARK: char = '#';

impl RecordKind {
    /// Returns whose custom fields it has.
    pub const fn entity(self) -> Entity {
        match self {
            Self::Contact => Entity::Contact,
            Self::Company => Entity::Company,
            Self::Card => Entity::Card,
        }
    }

    /// Returns its columns but for those of custom fields, in the order in which they are written.
    pub const fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Contact => &[
                "id",
                "name",
                "phones",
                "emails",
                "company",
                "buyer",
                "responsible",
                "created_at",
            ],
            Self::Company => &[
                "id",
                "name",
                "phones",
                "emails",
                "parent",
                "responsible",
                "created_at",
            ],
            Self::Card => &[
                "id",
                "title",
                "pipeline",
                "status",
                "source",
                "contact",
                "amount",
                "currency",
                "responsible",
                "created_at",
            ],
        }
    }

    /// Returns the names of all its columns, in the order in which they are written.
    pub fn header(self, fields: &[Definition]) -> Vec<String> {
        let own = self.columns().iter().map(|name| (*name).to_owned());
        own.chain(fields.iter().map(|field| column_of(&field.key)))
            .collect()
    }
}

/// Returns the column of a custom field.
pub fn column_of(key: &str) -> String {
    format!("{FIELD}{key}")
}

/// Which column stands where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    names: Vec<String>,
    places: HashMap<String, usize>,
}

impl Columns {
    /// Reads the first line of a file. Says of each column that is none what must hold.
    pub fn read(
        kind: RecordKind,
        fields: &[Definition],
        head: &[String],
    ) -> Result<Self, Vec<(String, String)>> {
        let known = kind.header(fields);
        let (mut places, mut wrong) = (HashMap::new(), Vec::new());
        let names: Vec<String> = head
            .iter()
            .map(|name| unguarded(name).trim().to_ascii_lowercase())
            .collect();
        for (place, name) in names.iter().enumerate() {
            if name.is_empty() || name.starts_with(REMARK) {
                // A column without a name is empty: who sees to it are the rows.
                continue;
            }
            if !known.contains(name) {
                let all = known.join(", ");
                wrong.push((
                    name.clone(),
                    format!("is no column of this kind; there are: {all}"),
                ));
            } else if places.insert(name.clone(), place).is_some() {
                wrong.push((name.clone(), "stands there twice".to_owned()));
            }
        }
        if wrong.is_empty() {
            Ok(Self { names, places })
        } else {
            Err(wrong)
        }
    }

    /// Returns a row by its columns.
    pub const fn of<'r>(&'r self, cells: &'r [String]) -> Cells<'r> {
        Cells {
            columns: self,
            cells,
        }
    }
}

/// The cells of a row by the names of their columns.
#[derive(Debug, Clone, Copy)]
pub struct Cells<'r> {
    columns: &'r Columns,
    cells: &'r [String],
}

impl<'r> Cells<'r> {
    /// Returns what stands under a column, without its guard; none for blank cells and columns that the file has not.
    pub fn get(&self, column: &str) -> Option<&'r str> {
        let place = self.columns.places.get(column)?;
        let cell = unguarded(self.cells.get(*place)?).trim();
        Some(cell).filter(|cell| !cell.is_empty())
    }

    /// Returns what stands under columns of custom fields, by their keys, without blank cells.
    pub fn fields(&self) -> BTreeMap<&'r str, &'r str> {
        let named = self.columns.names.iter();
        let keys = named.filter_map(|name| name.strip_prefix(FIELD));
        keys.filter_map(|key| Some((key, self.get(&column_of(key))?)))
            .collect()
    }

    /// Tells whether something stands under no column.
    pub fn is_beyond(&self) -> bool {
        let nameless = |place: usize| self.columns.names.get(place).is_none_or(String::is_empty);
        let mut cells = self.cells.iter().enumerate();
        cells.any(|(place, cell)| nameless(place) && !cell.trim().is_empty())
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::fields::FieldKind;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn columns_are_known_by_their_names_in_any_order_and_unknown_ones_are_named() {
        let city = Definition {
            id: Uuid::from_u128(1).into(),
            entity: Entity::Contact,
            key: "city".to_owned(),
            name: "City".to_owned(),
            kind: FieldKind::Text,
            options: Vec::new(),
            required: false,
            position: 0,
            revision: 1,
        };
        let fields = [city];
        let read = |head: &[&str]| Columns::read(RecordKind::Contact, &fields, &texts(head));
        let columns = read(&[" Phones ", "field.city", "", "name", "#reason"]).unwrap();
        let row = texts(&["'+380441234567", " Kyiv ", "", " ", "any", ""]);
        let cells = columns.of(&row);
        assert_eq!(cells.get("phones"), Some("+380441234567"));
        assert_eq!((cells.get("name"), cells.get("emails")), (None, None));
        assert_eq!(cells.fields(), BTreeMap::from([("city", "Kyiv")]));
        assert!(!cells.is_beyond());
        for row in [texts(&["", "", "x"]), texts(&["", "", "", "", "", "x"])] {
            assert!(columns.of(&row).is_beyond(), "{row:?}");
        }
        for (head, expected) in [
            (&["name", "title", "phone"][..], &["title", "phone"][..]),
            (&["name", "field.age"], &["field.age"]),
            (&["name", "NAME"], &["name"]),
        ] {
            let wrong = read(head).unwrap_err();
            let named: Vec<&str> = wrong.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(named, expected, "{head:?}");
        }
    }
}
