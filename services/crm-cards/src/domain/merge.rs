//! What becomes of two contacts that are one person, and of the one when they turn out to be two after all (B08).

use chassis::id::AgentId;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::entity::Contact;
use super::fields::Stored;
use super::ids::CompanyId;
use super::points::POINTS_MAX;

/// What a contact gained by a merge, as it is kept for the way back.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Gained {
    /// Phones it did not have.
    pub phones: Vec<String>,
    /// Addresses it did not have.
    pub emails: Vec<String>,
    /// Values of fields it had none of.
    pub fields: Stored,
    /// The company, where it had none.
    pub company: Option<CompanyId>,
    /// The responsible, where it had none.
    pub responsible: Option<AgentId>,
    /// It was no buyer before.
    pub buyer: bool,
    /// Visitors who had not come by its links. Merges of earlier versions have kept none.
    #[serde(default)]
    pub visitors: Vec<Uuid>,
}

/// Values of a contact that may come from the other one.
#[derive(Debug, Clone, PartialEq)]
pub struct Values {
    /// Phones.
    pub phones: Vec<String>,
    /// Addresses.
    pub emails: Vec<String>,
    /// Values of custom fields, by the ids of their definitions.
    pub fields: Stored,
    /// The company.
    pub company: Option<CompanyId>,
    /// The responsible.
    pub responsible: Option<AgentId>,
    /// Saved as a buyer.
    pub buyer: bool,
}

impl Values {
    /// Takes them from a contact and what it keeps of fields.
    pub fn of(contact: &Contact, fields: Stored) -> Self {
        Self {
            phones: contact.phones.clone(),
            emails: contact.emails.clone(),
            fields,
            company: contact.company,
            responsible: contact.responsible,
            buyer: contact.buyer,
        }
    }
}

/// Joins the values of a contact that goes to those of one that stays, whose own come first. Phones and addresses beyond
/// what a contact may have stay with the one that goes.
pub fn joined(goes: &Values, stays: &Values) -> (Values, Gained) {
    let missing = |own: &[String], other: &[String]| -> Vec<String> {
        let room = POINTS_MAX.saturating_sub(own.len());
        let new = other.iter().filter(|point| !own.contains(point));
        new.take(room).cloned().collect()
    };
    let fields = goes.fields.iter();
    let gained = Gained {
        phones: missing(&stays.phones, &goes.phones),
        emails: missing(&stays.emails, &goes.emails),
        fields: fields
            .filter(|(id, _)| !stays.fields.contains_key(*id))
            .map(|(id, value)| (id.clone(), value.clone()))
            .collect(),
        company: goes.company.filter(|_| stays.company.is_none()),
        responsible: goes.responsible.filter(|_| stays.responsible.is_none()),
        buyer: goes.buyer && !stays.buyer,
        // No values: they go with what else moves.
        visitors: Vec::new(),
    };
    let mut values = stays.clone();
    values.phones.extend(gained.phones.iter().cloned());
    values.emails.extend(gained.emails.iter().cloned());
    values.fields.extend(gained.fields.clone());
    values.company = stays.company.or(goes.company);
    values.responsible = stays.responsible.or(goes.responsible);
    values.buyer |= goes.buyer;
    (values, gained)
}

/// Takes from a contact what it gained by a merge, where nobody has changed it since. A buyer stays one while it has orders.
pub fn parted(now: &Values, gained: &Gained, has_orders: bool) -> Values {
    let mut values = now.clone();
    values.phones.retain(|phone| !gained.phones.contains(phone));
    values.emails.retain(|email| !gained.emails.contains(email));
    for (id, value) in &gained.fields {
        if values.fields.get(id) == Some(value) {
            values.fields.remove(id);
        }
    }
    if gained.company.is_some() && values.company == gained.company {
        values.company = None;
    }
    if gained.responsible.is_some() && values.responsible == gained.responsible {
        values.responsible = None;
    }
    values.buyer = values.buyer && (has_orders || !gained.buyer);
    values
}

/// Says why a contact may not be bound to a buyer (F113, D10), if so.
pub fn wrong_binding(bound: &Contact, buyer: &Contact) -> Option<NotBound> {
    if !buyer.buyer {
        return Some(NotBound::ToNoBuyer);
    }
    if bound.buyer {
        return Some(NotBound::IsBuyer);
    }
    let known = !bound.phones.is_empty() && !bound.emails.is_empty();
    known.then_some(NotBound::IsKnown)
}

/// Why a contact may not be bound to a buyer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotBound {
    /// The other is not saved as a buyer.
    ToNoBuyer,
    /// It is saved as a buyer itself.
    IsBuyer,
    /// Its phone and its address are known.
    IsKnown,
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use time::OffsetDateTime;
    use uuid::Uuid;

    use super::*;

    fn values(
        phones: &[&str],
        fields: serde_json::Value,
        responsible: u128,
        buyer: bool,
    ) -> Values {
        Values {
            phones: phones.iter().map(|phone| (*phone).to_owned()).collect(),
            emails: Vec::new(),
            fields: serde_json::from_value(fields).unwrap(),
            company: None,
            responsible: (responsible > 0).then(|| Uuid::from_u128(responsible).into()),
            buyer,
        }
    }

    #[test]
    fn b08_what_stays_keeps_its_own_and_gaps_are_filled() {
        let stays = values(&["1", "2"], json!({ "a": "x" }), 0, false);
        let goes = values(&["2", "3"], json!({ "a": "y", "b": true }), 7, true);
        let (both, gained) = joined(&goes, &stays);
        assert_eq!(
            both,
            values(&["1", "2", "3"], json!({ "a": "x", "b": true }), 7, true)
        );
        assert_eq!(parted(&both, &gained, false), stays);
        // The other way round.
        let (both, gained) = joined(&stays, &goes);
        assert_eq!(
            both,
            values(&["2", "3", "1"], json!({ "a": "y", "b": true }), 7, true)
        );
        assert_eq!(parted(&both, &gained, false), goes);
    }

    #[test]
    fn b08_what_somebody_has_changed_since_stays() {
        let stays = values(&["1"], json!({}), 0, false);
        let goes = values(&["3"], json!({ "b": true }), 7, true);
        let (mut both, gained) = joined(&goes, &stays);
        both.phones.push("4".into());
        both.fields.insert("b".into(), false.into());
        both.responsible = Some(Uuid::from_u128(8).into());
        let parted_now = parted(&both, &gained, true);
        assert_eq!(
            parted_now,
            values(&["1", "4"], json!({ "b": false }), 8, true)
        );
    }

    #[test]
    fn a_contact_does_not_get_more_phones_than_it_may_have() {
        let many: Vec<String> = (0..15).map(|n| format!("a{n}")).collect();
        let more: Vec<String> = (0..15).map(|n| format!("b{n}")).collect();
        let of = |phones: &[String]| {
            let phones: Vec<&str> = phones.iter().map(String::as_str).collect();
            values(&phones, json!({}), 0, false)
        };
        let (both, gained) = joined(&of(&more), &of(&many));
        assert_eq!((both.phones.len(), gained.phones.len()), (POINTS_MAX, 5));
    }

    #[test]
    fn f113_d10_a_buyer_is_chosen_only_while_phone_or_address_is_missing() {
        let contact = |phone: bool, email: bool, buyer: bool| {
            let id = Uuid::from_u128(1).into();
            let mut contact = Contact::new(id, "Anna".into(), OffsetDateTime::UNIX_EPOCH);
            contact
                .phones
                .extend(phone.then(|| "+380441234567".to_owned()));
            contact
                .emails
                .extend(email.then(|| "anna@example.com".to_owned()));
            contact.buyer = buyer;
            contact
        };
        for (bound, buyer, expected) in [
            (contact(false, false, false), true, None),
            (contact(true, false, false), true, None),
            (contact(false, true, false), true, None),
            (contact(true, true, false), true, Some(NotBound::IsKnown)),
            (contact(false, false, true), true, Some(NotBound::IsBuyer)),
            (
                contact(false, false, false),
                false,
                Some(NotBound::ToNoBuyer),
            ),
        ] {
            let other = contact(true, true, buyer);
            assert_eq!(wrong_binding(&bound, &other), expected, "{bound:?}");
        }
    }
}
