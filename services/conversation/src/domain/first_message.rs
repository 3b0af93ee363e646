//! Whom a channel can write to who never wrote to it (F085): what it needs to be known of a contact.

use super::words::ChannelKind;

/// Where a person on a mail line is known: everywhere by the same address (B07).
const MAIL_SCOPE: &str = "email";

/// What is known of a contact.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contact {
    /// The name to show.
    pub name: String,
    /// E-mail addresses, the first one first.
    pub emails: Vec<String>,
    /// Identities by which messengers know the person: scope and user id.
    pub identities: Vec<(String, String)>,
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
}

/// Why nobody can be written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
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
}

impl Refusal {
    /// The word by which machines know it.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NeverFirst => "CHANNEL_CANNOT",
            Self::ChannelOff => "CHANNEL_NOT_ENABLED",
            Self::NoAddress => "CONTACT_WITHOUT_ADDRESS",
            Self::NotTheirs => "ADDRESS_NOT_OF_CONTACT",
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
    let own = contact.emails.iter().chain(known.map(|(_, user)| user));
    let mut own = own.map(|address| folded(address)).peekable();
    if own.peek().is_none() {
        return Err(Refusal::NoAddress);
    }
    let wanted = folded(wanted);
    let address = own.find(|address| wanted.is_empty() || *address == wanted);
    let address = address.ok_or(Refusal::NotTheirs)?;
    Ok(Recipient {
        scope: MAIL_SCOPE,
        user_id: address.clone(),
        email: address,
        name: contact.name.clone(),
    })
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
}
