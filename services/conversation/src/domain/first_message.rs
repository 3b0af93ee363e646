//! Whom a channel can write to who never wrote to it (F085): what it needs to be known of a contact.

use uuid::Uuid;

use super::words::ChannelKind;

/// Where a person on a mail line is known: everywhere by the same address (B07).
const MAIL_SCOPE: &str = "email";

/// What is known of a contact.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contact {
    /// Its id; that of the one that it was merged into.
    pub id: Uuid,
    /// The name to show.
    pub name: String,
    /// E-mail addresses, the first one first.
    pub emails: Vec<String>,
    /// Identities by which messengers know the person: scope and user id.
    pub identities: Vec<(String, String)>,
    /// Those of the addresses by which others are known.
    pub others: Vec<(String, Option<Other>)>,
}

/// Another contact, as far as the caller sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Other {
    /// Its id.
    pub id: Uuid,
    /// The name to show.
    pub name: String,
}

/// Who is written to, as the channel knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// Where the user id is unique.
    pub scope: &'static str,
    /// The provider's user id, and its key of the chat.
    pub user_id: String,
    /// The e-mail address.
    pub email: String,
    /// The name to show.
    pub name: String,
    /// Whose identity it is.
    pub whose: Whose,
    /// The contact that is meant.
    pub contact: Uuid,
}

/// Whose identity an address is, as the CRM says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// The contact's.
    Theirs,
    /// Nobody's yet.
    Nobodys,
    /// Another contact's, who is named where the caller sees it.
    Anothers(Option<Other>),
}

/// Why nobody can be written to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The channel only answers (F088).
    #[error("this channel cannot write first: the client has to write to it, then answer there")]
    NeverFirst,
    /// The channel is switched off, or has to be connected again.
    #[error("the channel is not enabled: nothing goes out through it")]
    ChannelOff,
    /// The contact lacks what the channel needs (F085).
    #[error("the contact has no e-mail address: add one to the contact, then write")]
    NoAddress,
    /// An address was named that is not the contact's.
    #[error("the address is none of the contact's: add it to the contact, then write")]
    NotTheirs,
    /// Somebody else is known by the address: what is written there would stand in that one's chat.
    #[error("{}", anothers(.address, .other.as_ref()))]
    Anothers {
        /// The address.
        address: String,
        /// Who that is, where the caller sees it.
        other: Option<Other>,
    },
    /// There is a chat with the address, and the CRM has not said yet whose it is.
    #[error(
        "there is a chat with {address}, and the CRM has not said yet whose it is: try again in a moment"
    )]
    NotSettled {
        /// The address.
        address: String,
    },
}

fn anothers(address: &str, other: Option<&Other>) -> String {
    other.map_or_else(
        || {
            format!(
                "chats with {address} are those of another contact, which you may not see: name another address, or ask who \
                 answers for that contact"
            )
        },
        |Other { id, name }| {
            format!(
                "chats with {address} are those of another contact, {name} ({id}): write to that one, name another address, or \
                 merge both where they are one person"
            )
        },
    )
}

impl Refusal {
    /// The word by which machines know it.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NeverFirst => "CHANNEL_CANNOT",
            Self::ChannelOff => "CHANNEL_NOT_ENABLED",
            Self::NoAddress => "CONTACT_WITHOUT_ADDRESS",
            Self::NotTheirs => "ADDRESS_NOT_OF_CONTACT",
            Self::Anothers { .. } => "ADDRESS_OF_OTHER_CONTACT",
            Self::NotSettled { .. } => "ADDRESS_NOT_SETTLED",
        }
    }
}

/// Finds whom a contact is to a channel of a kind. `wanted` names one of several addresses; empty: the first.
///
/// # Errors
/// Says what is missing (F085, F088).
pub fn recipient(kind: ChannelKind, contact: &Contact, wanted: &str) -> Result<Recipient, Refusal> {
    if kind != ChannelKind::Email {
        return Err(Refusal::NeverFirst);
    }
    let known = contact.identities.iter();
    let known = known.filter(|(scope, _)| scope == MAIL_SCOPE);
    let known: Vec<String> = known.map(|(_, user)| folded(user)).collect();
    let own = contact.emails.iter().map(|address| folded(address));
    let mut own = own.chain(known.iter().cloned()).peekable();
    if own.peek().is_none() {
        return Err(Refusal::NoAddress);
    }
    let wanted = folded(wanted);
    let address = own.find(|address| wanted.is_empty() || *address == wanted);
    let address = address.ok_or(Refusal::NotTheirs)?;
    let mut others = contact.others.iter();
    let other = others.find(|(of, _)| folded(of) == address);
    let whose = match other {
        Some((_, other)) => Whose::Anothers(other.clone()),
        None if known.contains(&address) => Whose::Theirs,
        None => Whose::Nobodys,
    };
    Ok(Recipient {
        scope: MAIL_SCOPE,
        user_id: address.clone(),
        email: address,
        name: contact.name.clone(),
        whose,
        contact: contact.id,
    })
}

impl Recipient {
    /// Tells whether what is written stands in the chat of the contact that is meant. `begun` tells whether there is a
    /// conversation with the address that was not begun by writing to this contact: whose it is the CRM says when it has heard
    /// of it, and until then nothing may be sent, as it may be somebody else's.
    ///
    /// # Errors
    /// Says whose the address is, or that this is not known yet.
    pub fn may_be_written_to(&self, begun: bool) -> Result<(), Refusal> {
        let address = self.user_id.clone();
        match &self.whose {
            Whose::Nobodys if begun => Err(Refusal::NotSettled { address }),
            Whose::Theirs | Whose::Nobodys => Ok(()),
            Whose::Anothers(other) => Err(Refusal::Anothers {
                address,
                other: other.clone(),
            }),
        }
    }
}

/// Addresses as they are compared (B07); the gateway and the CRM fold them in the same way.
fn folded(address: &str) -> String {
    address.trim().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contact(emails: &[&str], identities: &[(&str, &str)]) -> Contact {
        Contact {
            name: "Olena".into(),
            emails: emails.iter().map(ToString::to_string).collect(),
            identities: identities
                .iter()
                .map(|(scope, user)| ((*scope).to_owned(), (*user).to_owned()))
                .collect(),
            ..Contact::default()
        }
    }

    #[test]
    fn f085_a_mail_goes_to_an_address_of_the_contact_and_to_no_other() {
        let both = contact(&["A@x.example", "b@x.example"], &[]);
        let written = contact(&[], &[("telegram:1", "77"), ("email", "c@x.example")]);
        let chatted = contact(&[], &[("telegram:1", "77")]);
        for (contact, wanted, expected) in [
            (&both, "", Ok("a@x.example")),
            (&both, " B@X.example ", Ok("b@x.example")),
            (&both, "c@x.example", Err(Refusal::NotTheirs)),
            (&written, "", Ok("c@x.example")),
            (&written, "C@x.example", Ok("c@x.example")),
            (&chatted, "", Err(Refusal::NoAddress)),
            (&chatted, "a@x.example", Err(Refusal::NoAddress)),
        ] {
            let found = recipient(ChannelKind::Email, contact, wanted);
            let found = found.as_ref().map(|found| &*found.user_id);
            assert_eq!(
                found,
                expected.as_ref().map(|it| *it),
                "{contact:?} {wanted}"
            );
        }
    }

    #[test]
    fn f088_other_kinds_are_written_to_by_nobody_first() {
        let known = contact(&["a@x.example"], &[("telegram:1", "77")]);
        for kind in [
            ChannelKind::TelegramBot,
            ChannelKind::ViberBot,
            ChannelKind::Instagram,
            ChannelKind::Unknown,
        ] {
            assert_eq!(recipient(kind, &known, ""), Err(Refusal::NeverFirst));
        }
    }

    #[test]
    fn f084_an_address_is_written_to_as_the_contacts_own_or_not_at_all() {
        let boris = Other {
            id: Uuid::from_u128(7),
            name: "Boris".into(),
        };
        let address = "a@x.example".to_owned();
        let anothers = |other: Option<&Other>| Refusal::Anothers {
            address: "a@x.example".to_owned(),
            other: other.cloned(),
        };
        let own = contact(&["A@x.example"], &[("email", "a@x.example")]);
        let new = contact(&["a@x.example"], &[]);
        let of = |other: Option<&Other>| Contact {
            others: vec![("A@x.example".into(), other.cloned())],
            ..new.clone()
        };
        for (contact, begun, expected) in [
            (own.clone(), false, Ok(())),
            (own, true, Ok(())),
            (new.clone(), false, Ok(())),
            (new.clone(), true, Err(Refusal::NotSettled { address })),
            (of(None), false, Err(anothers(None))),
            (of(Some(&boris)), false, Err(anothers(Some(&boris)))),
            (of(Some(&boris)), true, Err(anothers(Some(&boris)))),
        ] {
            let to = recipient(ChannelKind::Email, &contact, "").unwrap();
            assert_eq!(to.may_be_written_to(begun), expected, "{contact:?} {begun}");
        }
        let told = anothers(Some(&boris)).to_string();
        assert!(
            told.contains(&format!("Boris ({})", boris.id)) && told.contains("merge"),
            "{told}"
        );
        let told = anothers(None).to_string();
        assert!(
            told.contains("a@x.example") && told.contains("may not see"),
            "{told}"
        );
    }
}
