//! What of the activity log a record opens (F062, F174 to F177, X11).

use chassis::access::{AccessRecord, ChannelGrant, ChatAccess, View};
use chassis::id::AgentId;
use uuid::Uuid;

use crate::domain::words::EntityKind;

/// What entries of chats have in place of a kind of entity.
const CHAT: &str = "";

/// How many kinds of entries there are: those of `EntityKind`, and those of chats alone.
const KINDS: usize = 6;

/// What of the log a caller reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// Channels to which it is narrowed; none for all.
    pub channels: Option<Vec<Uuid>>,
    /// Kinds of entities of which all entries are seen, as they are stored; an empty one stands for entries of chats alone.
    pub all: Vec<&'static str>,
    /// Kinds of which those are seen whose owner the agent is now.
    pub own: Vec<&'static str>,
    /// The agent whose own ones they are.
    pub agent: Option<AgentId>,
    /// Whether entries of others may say what contacts and companies they are about.
    pub people: bool,
}

impl Reach {
    /// Returns what a record opens. No record means a service, which sees all of its account.
    pub fn of(record: Option<&AccessRecord>) -> Self {
        let view = |view: fn(&AccessRecord) -> View| match record {
            None => View::All,
            // Limited access hides what connects chats with CRM (D11).
            Some(record) if record.chats != ChatAccess::Full => View::None,
            Some(record) => view(record),
        };
        let (leads, contacts) = (
            view(|record| record.leads.view),
            view(|record| record.contacts.view),
        );
        // An order is seen by who sees orders at all, and its buyer.
        let orders = if leads == View::None {
            View::None
        } else {
            contacts
        };
        let kinds = [
            (EntityKind::Card, leads),
            (EntityKind::Contact, contacts),
            (EntityKind::Company, contacts),
            (EntityKind::Order, orders),
        ];
        let of = |wanted: View| {
            let kinds = kinds.iter().filter(move |(_, view)| *view == wanted);
            kinds.map(|(kind, _)| kind.as_str())
        };
        Self {
            channels: match record.map(|record| &record.channels) {
                None | Some(ChannelGrant::All) => None,
                Some(ChannelGrant::Some(granted)) => Some(granted.iter().copied().collect()),
            },
            all: [CHAT, EntityKind::Channel.as_str()]
                .into_iter()
                .chain(of(View::All))
                .collect(),
            own: of(View::Own).collect(),
            agent: record.map(|record| record.agent),
            people: contacts == View::All,
        }
    }

    /// Tells whether something of the account is left out.
    pub fn is_narrowed(&self) -> bool {
        self.channels.is_some() || self.all.len() < KINDS
    }

    /// Leaves only what is of chats: what else a client did would tell which contact the client is.
    #[must_use]
    pub fn of_chats(mut self) -> Self {
        self.all.retain(|kind| *kind == CHAT);
        self.own.clear();
        self
    }
}

#[cfg(test)]
mod tests {
    use chassis::access::KindAccess;

    use super::*;

    fn record(chats: ChatAccess, leads: View, contacts: View) -> AccessRecord {
        let kind = |view| KindAccess { create: true, view };
        AccessRecord {
            agent: Uuid::from_u128(1).into(),
            version: 1,
            active: true,
            channels: ChannelGrant::All,
            chats,
            leads: kind(leads),
            contacts: kind(contacts),
            settings: true,
        }
    }

    #[test]
    fn f174_f176_f177_a_record_opens_the_entries_of_what_it_shows() {
        const CHATS: [&str; 2] = ["", "channel"];
        let (full, limited) = (ChatAccess::Full, ChatAccess::Limited);
        let (none, own, all) = (View::None, View::Own, View::All);
        for (chats, leads, contacts, seen, owned) in [
            (
                full,
                all,
                all,
                &["card", "contact", "company", "order"][..],
                &[][..],
            ),
            (full, all, own, &["card"], &["contact", "company", "order"]),
            (full, own, all, &["contact", "company", "order"], &["card"]),
            (
                full,
                own,
                own,
                &[],
                &["card", "contact", "company", "order"],
            ),
            (full, all, none, &["card"], &[]),
            (full, none, all, &["contact", "company"], &[]),
            (full, none, own, &[], &["contact", "company"]),
            (full, none, none, &[], &[]),
            (limited, all, all, &[], &[]),
        ] {
            let reach = Reach::of(Some(&record(chats, leads, contacts)));
            let name = format!("{chats:?} {leads:?} {contacts:?}");
            assert_eq!(reach.all, [&CHATS, seen].concat(), "{name}");
            assert_eq!(reach.own, owned, "{name}");
            assert_eq!(reach.is_narrowed(), seen.len() < 4, "{name}");
            assert_eq!(
                reach.people,
                chats == full && contacts == all,
                "{name}: names of people"
            );
        }
        let service = Reach::of(None);
        assert_eq!(service.all.len(), KINDS);
        assert!(!service.is_narrowed() && service.people);
    }

    #[test]
    fn f062_a_record_is_narrowed_to_its_channels() {
        let granted = Uuid::from_u128(7);
        let mut record = record(ChatAccess::Full, View::All, View::All);
        record.channels = ChannelGrant::Some([granted].into());
        let reach = Reach::of(Some(&record));
        assert_eq!(reach.channels, Some(vec![granted]));
        assert!(reach.is_narrowed());
        let reach = reach.of_chats();
        assert_eq!((reach.all.as_slice(), reach.own.len()), (&[""][..], 0));
    }
}
