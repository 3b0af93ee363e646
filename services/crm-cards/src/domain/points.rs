//! Phones and e-mail addresses: in the one form in which they are kept, so that the same one is found to be the same.

use email_address::EmailAddress;
use phonenumber::{Mode, country};

/// Phones, or addresses, of a contact or company at most.
pub const POINTS_MAX: usize = 20;
/// Characters of an address at most (RFC 5321).
const EMAIL_MAX: usize = 254;
/// Characters of a phone as it is typed at most.
const TYPED_MAX: usize = 40;

/// A region whose numbers may be written without their country code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region(country::Id);

impl Region {
    /// Reads a region's code, as `UA` (ISO 3166).
    pub fn read(code: &str) -> Option<Self> {
        code.parse().ok().map(Self)
    }

    /// Returns its code.
    pub fn code(&self) -> &str {
        self.0.as_ref()
    }
}

/// Reads a phone into E.164. One without a country code is read as of the region.
pub fn phone(typed: &str, region: Option<Region>) -> Result<String, String> {
    let typed = typed.trim();
    let wrong = || match region {
        Some(region) => format!(
            "must be a phone number, as +380441234567, or one of {} without its country code",
            region.code()
        ),
        None => "must be a phone number with its country code, as +380441234567".to_owned(),
    };
    // Letters that stand for digits, extensions and what comes behind a semicolon are nobody's intention here.
    let plain =
        |c: char| c.is_ascii_digit() || matches!(c, '+' | ' ' | '-' | '.' | '(' | ')' | '/');
    if typed.is_empty() || typed.len() > TYPED_MAX || !typed.chars().all(plain) {
        return Err(wrong());
    }
    let number = phonenumber::parse(region.map(|region| region.0), typed).map_err(|_| wrong())?;
    if !phonenumber::is_valid(&number) {
        return Err(wrong());
    }
    Ok(number.format().mode(Mode::E164).to_string())
}

/// Reads an e-mail address, folded as identities are (B07).
pub fn email(typed: &str) -> Result<String, String> {
    let typed = typed.trim();
    let odd =
        |c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '<' | '>' | '[' | '\\');
    let domain = typed.rsplit_once('@').map_or("", |(_, domain)| domain);
    let whole = typed.chars().count() <= EMAIL_MAX
        && !typed.contains(odd)
        && domain.contains('.')
        && EmailAddress::is_valid(typed);
    if whole {
        Ok(typed.to_lowercase())
    } else {
        Err("must be an e-mail address, as anna@example.com".to_owned())
    }
}

/// What is wrong with one of several phones or addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// Which, as `[1]`; empty for all of them.
    pub place: String,
    /// What must hold.
    pub description: String,
}

/// Reads several, each once, in order. Everything that is wrong is told at once.
pub fn several(
    typed: &[String],
    read: impl Fn(&str) -> Result<String, String>,
) -> Result<Vec<String>, Vec<Wrong>> {
    if typed.len() > POINTS_MAX {
        return Err(vec![Wrong {
            place: String::new(),
            description: format!("must have at most {POINTS_MAX} entries"),
        }]);
    }
    let (mut known, mut wrong): (Vec<String>, Vec<Wrong>) = (Vec::new(), Vec::new());
    for (place, one) in typed.iter().enumerate() {
        match read(one) {
            Ok(point) if known.contains(&point) => {}
            Ok(point) => known.push(point),
            Err(description) => wrong.push(Wrong {
                place: format!("[{place}]"),
                description,
            }),
        }
    }
    if wrong.is_empty() {
        Ok(known)
    } else {
        Err(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b07_phones_are_kept_in_e164() {
        let ukraine = Region::read("UA");
        assert!(ukraine.is_some());
        for (typed, region, expected) in [
            ("+380 (44) 123-45-67", None, Some("+380441234567")),
            ("044 123 45 67", ukraine, Some("+380441234567")),
            ("+1 520-878-2491", ukraine, Some("+15208782491")),
            (" +380501234567 ", None, Some("+380501234567")),
            ("0441234567", None, None),
            ("+380", None, None),
            ("+3804412345678901", None, None),
            ("+000000000000", None, None),
            ("12", ukraine, None),
            ("call me", ukraine, None),
            ("0800FLOWERS", ukraine, None),
            ("+380441234567;phone-context=.;", None, None),
            ("+380441234567 ext. 5", None, None),
            ("", ukraine, None),
            ("+", ukraine, None),
        ] {
            assert_eq!(phone(typed, region).ok().as_deref(), expected, "{typed}");
        }
        assert!(phone(&"1".repeat(1_000), ukraine).is_err());
        assert_eq!(
            ukraine.map(|region| region.code().to_owned()).as_deref(),
            Some("UA")
        );
        assert_eq!(
            (Region::read("ua"), Region::read("XX"), Region::read("")),
            (None, None, None)
        );
    }

    #[test]
    fn b07_addresses_are_folded() {
        for (typed, expected) in [
            (" Anna@Example.COM ", Some("anna@example.com")),
            (
                "o'neil+sales@mail.example.org",
                Some("o'neil+sales@mail.example.org"),
            ),
            ("анна@приклад.укр", Some("анна@приклад.укр")),
            ("anna", None),
            ("anna@localhost", None),
            ("anna@", None),
            ("@example.com", None),
            ("a@b@example.com", None),
            ("Anna <anna@example.com>", None),
            ("anna @example.com", None),
            ("\"anna\"@example.com", None),
            ("anna@[192.0.2.1]", None),
            ("anna@example..com", None),
            ("", None),
        ] {
            assert_eq!(email(typed).ok().as_deref(), expected, "{typed}");
        }
        assert!(email(&format!("{}@example.com", "a".repeat(300))).is_err());
    }

    #[test]
    fn several_are_kept_in_order_each_once_and_each_wrong_one_is_named() {
        let typed = |texts: &[&str]| {
            texts
                .iter()
                .map(|text| (*text).to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            several(&typed(&["b@x.org", "a@x.org", "B@x.org"]), email),
            Ok(typed(&["b@x.org", "a@x.org"]))
        );
        let wrong = several(&typed(&["b", "a@x.org", "c"]), email).unwrap_err();
        let places: Vec<_> = wrong.iter().map(|wrong| wrong.place.as_str()).collect();
        assert_eq!(places, ["[0]", "[2]"]);
        assert!(several(&vec!["a@x.org".to_owned(); 21], email).is_err());
    }
}
