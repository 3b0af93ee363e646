//! Mail addresses.

use mail_parser::parsers::MessageStream;
use mail_parser::{Addr, HeaderValue};

use super::{shortened, words};

/// Bytes of an address at most (RFC 5321: 64 and 255 and the sign between).
const ADDRESS_MAX: usize = 320;

/// Addresses of one field that are read.
const LIST_MAX: usize = 200;

/// A mailbox as a field names it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Address {
    /// The name to show; empty where there is none.
    pub name: String,
    /// The address as written; empty where there is none that could be written to.
    pub email: String,
}

impl Address {
    /// Returns the address in the form by which addresses are compared (B07).
    pub fn key(&self) -> String {
        folded(&self.email)
    }

    /// Returns the part behind the `@`, folded.
    pub fn domain(&self) -> String {
        let key = self.key();
        key.rsplit_once('@')
            .map(|(_, domain)| domain.to_owned())
            .unwrap_or_default()
    }
}

/// Case-folds an address (B07).
pub fn folded(address: &str) -> String {
    address.trim().to_lowercase()
}

/// Tells whether a text is an address that could be written to. Non-ASCII ones are (SMTPUTF8).
pub fn is_address(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else {
        return false;
    };
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && !"<>,;\"()[]\\".contains(c);
    !local.is_empty()
        && !domain.is_empty()
        && text.len() <= ADDRESS_MAX
        && domain.chars().all(|c| plain(c) && c != '@')
        && (local.starts_with('"') || local.chars().all(plain))
        && !text.chars().any(|c| c.is_control() || c == '<' || c == '>')
}

/// Reads a field of addresses. What holds no address keeps its words as a name: no mail is refused for its sender
/// (channels.md §7.28).
pub fn list(raw: &[u8]) -> Vec<Address> {
    let mut line = words::joined(raw);
    line.push('\n');
    let HeaderValue::Address(found) = MessageStream::new(line.as_bytes()).parse_address() else {
        return Vec::new();
    };
    let read = found.iter().take(LIST_MAX).map(address);
    read.filter(|address| !address.name.is_empty() || !address.email.is_empty())
        .collect()
}

fn address(found: &Addr<'_>) -> Address {
    let name = found.name.as_deref().unwrap_or_default();
    let email = found.address.as_deref().unwrap_or_default();
    let email = email.trim().trim_matches(|c| "<>'\"".contains(c)).trim();
    let email = email
        .strip_prefix("mailto:")
        .or_else(|| email.strip_prefix("smtp:"))
        .unwrap_or(email);
    let mut name = words::again(name);
    let quoted = name
        .strip_prefix('\'')
        .and_then(|name| name.strip_suffix('\''));
    if let Some(inner) = quoted {
        name = inner.to_owned();
    }
    let name = shortened(&name, 256).to_owned();
    if is_address(email) {
        return Address {
            name,
            email: email.to_owned(),
        };
    }
    // `"a@b.example"` alone is an address that somebody quoted.
    if email.is_empty() && is_address(&name) {
        return Address {
            name: String::new(),
            email: name,
        };
    }
    let name = if name.is_empty() {
        shortened(email, 256).to_owned()
    } else {
        name
    };
    Address {
        name,
        email: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // pitfall 28: a broken sender refuses no mail
    #[test]
    fn addresses_are_found_in_whatever_stands_there() {
        for (raw, expected) in [
            ("olena@client.example", vec![("", "olena@client.example")]),
            (
                "=?UTF-8?B?0J7Qu9C10L3QsA==?= <Olena@Client.example>",
                vec![("Олена", "Olena@Client.example")],
            ),
            (
                "\"Smith, John\" <j@x.example>, b@x.example",
                vec![("Smith, John", "j@x.example"), ("", "b@x.example")],
            ),
            (
                "=?utf-8?Q?Smith=2C_John?= <j@x.example>",
                vec![("Smith, John", "j@x.example")],
            ),
            (
                "\"=?UTF-8?B?0J7Qu9C10L3QsA==?=\" <o@x.example>",
                vec![("Олена", "o@x.example")],
            ),
            (
                "Team: a@x.example, b@x.example;",
                vec![("", "a@x.example"), ("", "b@x.example")],
            ),
            (
                "Олена <олена@пошта.укр>",
                vec![("Олена", "олена@пошта.укр")],
            ),
            ("\"Olena\" <>", vec![("Olena", "")]),
            ("", vec![]),
            ("nobody", vec![("nobody", "")]),
        ] {
            let read = list(raw.as_bytes());
            let read: Vec<_> = read
                .iter()
                .map(|a| (a.name.as_str(), a.email.as_str()))
                .collect();
            assert_eq!(read, expected, "{raw}");
        }
        assert!(
            list(b"undisclosed-recipients:;")
                .iter()
                .all(|address| address.email.is_empty())
        );
    }

    #[test]
    fn b07_an_address_is_compared_without_case() {
        let address = Address {
            email: "Olena@Client.Example".into(),
            ..Address::default()
        };
        assert_eq!(address.key(), "olena@client.example");
        assert_eq!(address.domain(), "client.example");
    }
}
