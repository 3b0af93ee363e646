//! Contacts that may be one person, by what they have in common.

use uuid::Uuid;

use super::ids::ContactId;

/// Others of whom a contact is suspected by one thing at most: a switchboard's number is many people's.
pub const SUSPECTED_MAX: i64 = 20;

/// Two contacts, the lower id first, so that each pair is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pair {
    /// The lower id.
    pub first: ContactId,
    /// The higher id.
    pub second: ContactId,
}

impl Pair {
    /// Makes a pair; none of one and the same.
    pub fn of(one: ContactId, other: ContactId) -> Option<Self> {
        match one.cmp(&other) {
            std::cmp::Ordering::Less => Some(Self {
                first: one,
                second: other,
            }),
            std::cmp::Ordering::Equal => None,
            std::cmp::Ordering::Greater => Some(Self {
                first: other,
                second: one,
            }),
        }
    }
}

/// What two contacts have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// A phone.
    Phone(String),
    /// An e-mail address.
    Email(String),
    /// The visitor of a short link (F196).
    Visitor(Uuid),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_the_same_from_both_sides() {
        let id = |number: u128| ContactId::from(Uuid::from_u128(number));
        let pair = Pair {
            first: id(1),
            second: id(2),
        };
        assert_eq!(Pair::of(id(1), id(2)), Some(pair));
        assert_eq!(Pair::of(id(2), id(1)), Some(pair));
        assert_eq!(Pair::of(id(1), id(1)), None);
    }
}
