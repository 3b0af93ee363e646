//! Taking a webhook body apart: one body is a batch for several accounts (channels.md §4.1).

use bytes::{BufMut as _, Bytes, BytesMut};
use serde_json::{Map, Value, json};

use crate::domain::inbound::hashed_key;
use crate::domain::value::{flag, id, list, object, text};

/// So many items Meta puts into a body at most. What goes beyond is kept in pieces.
pub const ITEMS_MAX: usize = 1_000;

/// One item of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Ids of the Instagram account that it is for, the likeliest first. Empty where it names none: then it is kept raw,
    /// or, where it is a test, dropped.
    pub accounts: Vec<String>,
    /// The app's dashboard sent it as a test.
    pub test: bool,
    /// The item as a body of its own, which can be read again alone.
    pub raw: Bytes,
}

/// Takes a body apart, in its order. There is always at least one item: what cannot be parsed is one, as it came. How many
/// there are, the limit of a body bounds.
pub fn items(raw: &Bytes) -> Vec<Item> {
    let whole = || Item {
        accounts: Vec::new(),
        test: false,
        raw: raw.clone(),
    };
    let Ok(body) = serde_json::from_slice::<Value>(raw) else {
        return vec![whole()];
    };
    let mut items: Vec<Item> = found(&body).map(|item| item.item()).collect();
    if items.is_empty() {
        items.push(whole());
    }
    items
}

/// Bodies in a list are a body.
pub fn in_a_list<'a>(bodies: impl IntoIterator<Item = &'a Bytes>) -> Bytes {
    let mut list = BytesMut::new();
    for body in bodies {
        list.put_u8(if list.is_empty() { b'[' } else { b',' });
        list.extend_from_slice(body);
    }
    list.put_u8(b']');
    list.freeze()
}

/// Where in an entry an item stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In one of the lists of Direct.
    Direct(&'static str),
    /// In the list of changes.
    Change,
    /// The entry itself is one change.
    Entry,
    /// The entry holds nothing that is known.
    Unknown,
}

/// An item within its body.
#[derive(Debug, Clone, Copy)]
pub struct Found<'v> {
    body: &'v Value,
    /// What surrounds it.
    pub entry: &'v Value,
    place: Place,
    value: &'v Value,
}

/// Walks over all items of a body.
pub fn found(body: &Value) -> impl Iterator<Item = Found<'_>> {
    // The documentation shows bodies in a list, too.
    let bodies = body
        .as_array()
        .map_or(std::slice::from_ref(body), Vec::as_slice);
    bodies.iter().flat_map(|body| {
        let entries = list(body, "entry").iter();
        entries.flat_map(move |entry| in_entry(body, entry))
    })
}

fn in_entry<'v>(body: &'v Value, entry: &'v Value) -> impl Iterator<Item = Found<'v>> {
    let at = move |place, value| Found {
        body,
        entry,
        place,
        value,
    };
    let all = move |name: &'static str, place: Place| {
        list(entry, name).iter().map(move |value| at(place, value))
    };
    let itself = entry.get("field").is_some() && entry.get("value").is_some();
    let named = ["messaging", "standby", "changes"];
    let empty = !itself && named.iter().all(|name| list(entry, name).is_empty());
    all("messaging", Place::Direct("messaging"))
        .chain(all("standby", Place::Direct("standby")))
        .chain(all("changes", Place::Change))
        .chain(itself.then(|| at(Place::Entry, entry)))
        .chain(empty.then(|| at(Place::Unknown, entry)))
}

impl<'v> Found<'v> {
    /// Returns the item of Direct: what names sender and recipient.
    pub fn direct(&self) -> Option<&'v Value> {
        match self.place {
            Place::Direct(_) => Some(self.value),
            // A message can stand in a change as well.
            Place::Change | Place::Entry => object(self.value, "value").filter(|value| {
                object(value, "sender").is_some() && object(value, "recipient").is_some()
            }),
            Place::Unknown => None,
        }
    }

    /// Returns field and value of a change.
    pub fn change(&self) -> Option<(&'v str, &'v Value)> {
        match self.place {
            Place::Change | Place::Entry => {
                let field = self.value.get("field")?.as_str()?;
                Some((field, self.value.get("value")?))
            }
            Place::Direct(_) | Place::Unknown => None,
        }
    }

    /// Names what is not understood, by the name of what is in it.
    pub fn kind(&self) -> &'v str {
        if let Some((field, _)) = self.change() {
            return field;
        }
        let frame = ["sender", "recipient", "timestamp", "id", "time"];
        let fields = self.value.as_object().into_iter().flat_map(Map::keys);
        let mut names = fields
            .map(String::as_str)
            .filter(|name| !frame.contains(name));
        names.next().unwrap_or("entry")
    }

    /// Tells whether the dashboard of the app sent it: for no account, or a message that names nobody in a change.
    pub fn is_test(&self) -> bool {
        let message = |field: &str| field.starts_with("messag") || field == "standby";
        id(self.entry, "id").as_deref() == Some("0")
            || self.direct().is_none() && self.change().is_some_and(|(field, _)| message(field))
    }

    /// Returns the ids of the account that the item can be for, the likeliest first.
    pub fn accounts(&self) -> Vec<String> {
        let entry = id(self.entry, "id").filter(|id| id != "0");
        let Some(item) = self.direct() else {
            return entry.into_iter().collect();
        };
        let party = |name| object(item, name).and_then(|party| id(party, "id"));
        let (sender, recipient) = (party("sender"), party("recipient"));
        if entry.is_some() && (entry == sender || entry == recipient) {
            return entry.into_iter().collect();
        }
        // Neither is who the entry is for: the item's own ids decide.
        let echo = object(item, "message").is_some_and(|message| flag(message, "is_echo"));
        let own = if echo { sender } else { recipient };
        own.into_iter().chain(entry).collect()
    }

    /// Returns the key of an item that has none of its own. What surrounds it may differ when it is delivered again.
    pub fn hashed_key(&self) -> String {
        hashed_key(self.value.to_string().as_bytes())
    }

    /// Returns the item as a body of its own.
    pub fn alone(&self) -> Bytes {
        let mut entry = Map::new();
        // What every item of the entry repeats is small, whatever stands there.
        for name in ["id", "time"] {
            if let Some(value) = id(self.entry, name) {
                let number = self.entry.get(name).filter(|value| value.is_number());
                entry.insert(
                    name.to_owned(),
                    number.cloned().unwrap_or_else(|| json!(value)),
                );
            }
        }
        match self.place {
            Place::Direct(name) => entry.insert(name.to_owned(), json!([self.value])),
            Place::Change => entry.insert("changes".to_owned(), json!([self.value])),
            Place::Entry => {
                for name in ["field", "value"] {
                    let value = self.entry.get(name).unwrap_or(&Value::Null);
                    entry.insert(name.to_owned(), value.clone());
                }
                None
            }
            Place::Unknown => {
                if let Some(all) = self.entry.as_object() {
                    entry.clone_from(all);
                }
                None
            }
        };
        let object = text(self.body, "object").filter(|object| object.len() <= 32);
        let object = object.unwrap_or_else(|| "instagram".to_owned());
        Bytes::from(json!({ "object": object, "entry": [entry] }).to_string())
    }

    fn item(&self) -> Item {
        let test = self.is_test();
        Item {
            accounts: if test { Vec::new() } else { self.accounts() },
            test,
            raw: self.alone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(body: &Value) -> Vec<Item> {
        items(&Bytes::from(body.to_string()))
    }

    fn direct(sender: &str, recipient: &str, message: &Value) -> Value {
        json!({ "sender": { "id": sender }, "recipient": { "id": recipient }, "timestamp": 1, "message": message })
    }

    // pitfall 18: more than the first item is read
    #[test]
    fn every_item_of_a_batch_is_found_with_its_own_account() {
        let body = json!({ "object": "instagram", "entry": [
            { "id": "1", "time": 5, "messaging": [
                direct("77", "1", &json!({ "mid": "a" })), direct("1", "77", &json!({ "mid": "b", "is_echo": true })),
            ], "standby": [direct("78", "1", &json!({ "mid": "c" }))] },
            { "id": 2, "time": 5, "changes": [{ "field": "comments", "value": { "id": "9" } }] },
            { "id": "3", "time": 5, "field": "comments", "value": { "id": "10" } },
            { "id": "4", "time": 5, "messaging": [direct("77", "5", &json!({ "mid": "d" }))] },
            { "id": "4", "time": 5, "messaging": [direct("6", "77", &json!({ "mid": "e", "is_echo": true }))] },
            { "id": "4", "news": {} },
            { "messaging": [direct("77", "7", &json!({ "mid": "f" }))] },
        ]});
        let found = split(&body);
        let accounts: Vec<Vec<String>> = found.iter().map(|item| item.accounts.clone()).collect();
        let expected: [&[&str]; 9] = [
            &["1"],
            &["1"],
            &["1"],
            &["2"],
            &["3"],
            &["5", "4"],
            &["6", "4"],
            &["4"],
            &["7"],
        ];
        assert_eq!(accounts, expected);
        for item in &found {
            let again = items(&item.raw);
            assert_eq!(
                again,
                std::slice::from_ref(item),
                "an item reads alone as it reads in its batch"
            );
        }
        let first: Value = serde_json::from_slice(&found[0].raw).unwrap();
        assert_eq!(
            first,
            json!({ "object": "instagram", "entry": [
                { "id": "1", "time": 5, "messaging": [direct("77", "1", &json!({ "mid": "a" }))] },
            ]})
        );
    }

    #[test]
    fn what_the_dashboard_sends_is_a_test() {
        let message = json!({ "mid": "random_mid", "text": "random_text" });
        let change = |entry: &str, value: &Value| json!({ "entry": [{ "id": entry, "changes": [{ "field": "messages", "value": value }] }] });
        for (name, body, test, accounts) in [
            (
                "no account",
                json!({ "entry": [{ "id": "0", "messaging": [direct("12334", "23245", &message)] }] }),
                true,
                vec![],
            ),
            (
                "in a change",
                change("0", &direct("12334", "23245", &message)),
                true,
                vec![],
            ),
            (
                "an older form",
                change("17", &json!({ "event_type": "TEXT", "event_data": {} })),
                true,
                vec![],
            ),
            (
                "a real message in a change",
                change("17", &direct("77", "17", &message)),
                false,
                vec!["17"],
            ),
        ] {
            let item = &split(&body)[0];
            let found: Vec<&str> = item.accounts.iter().map(String::as_str).collect();
            assert_eq!((item.test, found), (test, accounts), "{name}");
        }
    }

    #[test]
    fn what_cannot_be_taken_apart_is_one_item_as_it_came() {
        let deep = "[".repeat(10_000);
        let nested = format!(r#"{{"entry":[{{"id":"1","messaging":[{deep}"#);
        for raw in [
            "",
            "{}",
            "[]",
            "null",
            "{\"entry\":{}}",
            "not json",
            &deep,
            &nested,
        ] {
            let raw = Bytes::copy_from_slice(raw.as_bytes());
            let item = Item {
                accounts: vec![],
                test: false,
                raw: raw.clone(),
            };
            assert_eq!(items(&raw), [item]);
        }
        let odd = split(&json!({ "entry": [7, { "id": "1", "messaging": [null, 7] }] }));
        assert_eq!(odd.len(), 3);
    }

    #[test]
    fn a_batch_that_is_too_long_loses_nothing() {
        let item = direct("77", "1", &json!({ "mid": "a" }));
        let body = json!({ "entry": [{ "id": "1", "messaging": vec![item; ITEMS_MAX + 1] }] });
        let raw = Bytes::from(body.to_string());
        assert_eq!(items(&raw).len(), ITEMS_MAX + 1);
        let body = json!({ "entry": [{ "id": "1".repeat(100_000), "messaging": [{}, {}, {}] }] });
        let sizes: Vec<usize> = split(&body).iter().map(|item| item.raw.len()).collect();
        assert!(
            sizes.iter().all(|size| *size < 200),
            "what repeats is small"
        );
    }
}
