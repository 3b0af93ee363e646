//! What an agent may do, evaluated from what is granted (architecture §9).

use chassis::access::{AccessRecord, ChannelGrant, ChatAccess, KindAccess, View};
use chassis::id::AgentId;

/// What is granted to an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grants {
    /// The channels whose chats may be seen (F062). An administrator's role opens none by itself (D21).
    pub channels: ChannelGrant,
    /// Leads; deals and orders follow.
    pub leads: KindAccess,
    /// Contacts; companies and buyers follow.
    pub contacts: KindAccess,
    /// May change settings.
    pub settings: bool,
}

/// What a role grants (F179): all but channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rights {
    /// Leads; deals and orders follow.
    pub leads: KindAccess,
    /// Contacts; companies and buyers follow.
    pub contacts: KindAccess,
    /// May change settings.
    pub settings: bool,
}

impl Grants {
    /// Returns the grants with what a role grants; channels stay the agent's own (D21).
    #[must_use]
    pub fn with(self, rights: Rights) -> Self {
        Self {
            channels: self.channels,
            leads: rights.leads,
            contacts: rights.contacts,
            settings: rights.settings,
        }
    }

    /// Returns the grants on other channels.
    #[must_use]
    pub fn on(self, channels: ChannelGrant) -> Self {
        Self { channels, ..self }
    }

    /// Returns everything on every channel.
    pub const fn everything() -> Self {
        let all = KindAccess {
            create: true,
            view: View::All,
        };
        Self {
            channels: ChannelGrant::All,
            leads: all,
            contacts: all,
            settings: true,
        }
    }
}

/// Evaluates grants to the record that every service keeps (F174–F179, D12).
pub fn evaluate(agent: AgentId, version: u64, active: bool, grants: &Grants) -> AccessRecord {
    AccessRecord {
        agent,
        version,
        active,
        channels: grants.channels.clone(),
        chats: chats_of(grants.leads, grants.contacts),
        leads: grants.leads,
        contacts: grants.contacts,
        settings: grants.settings,
    }
}

/// Returns the access to chats: the better of what the two kinds give (D12).
pub fn chats_of(leads: KindAccess, contacts: KindAccess) -> ChatAccess {
    chats_by(leads).max(chats_by(contacts))
}

/// Returns the access to chats that the rights on one kind give (D12).
fn chats_by(kind: KindAccess) -> ChatAccess {
    match (kind.view, kind.create) {
        (View::All | View::Own, _) => ChatAccess::Full,
        (View::None, true) => ChatAccess::Limited,
        (View::None, false) => ChatAccess::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ChatAccess::{Full, Limited, None as Nothing};
    use uuid::Uuid;

    const fn kind(create: bool, view: View) -> KindAccess {
        KindAccess { create, view }
    }

    /// All that one kind can grant, in the order of the table's rows and columns.
    const KINDS: [KindAccess; 6] = [
        kind(false, View::None),
        kind(false, View::Own),
        kind(false, View::All),
        kind(true, View::None),
        kind(true, View::Own),
        kind(true, View::All),
    ];

    #[test]
    fn d12_chats_get_the_better_of_leads_and_contacts_in_all_36_rows() {
        // Rows: leads; columns: contacts; both as in KINDS. F174 is the last of the last row, F175 the first
        // of the first, F176 the fourth of the fourth, F177 the fifth of the fifth.
        let table = [
            [Nothing, Full, Full, Limited, Full, Full],
            [Full, Full, Full, Full, Full, Full],
            [Full, Full, Full, Full, Full, Full],
            [Limited, Full, Full, Limited, Full, Full],
            [Full, Full, Full, Full, Full, Full],
            [Full, Full, Full, Full, Full, Full],
        ];
        for (leads, row) in KINDS.into_iter().zip(table) {
            for (contacts, expected) in KINDS.into_iter().zip(row) {
                let grants = Grants {
                    leads,
                    contacts,
                    ..Grants::everything()
                };
                let record = evaluate(Uuid::nil().into(), 1, true, &grants);
                assert_eq!(
                    record.chats, expected,
                    "leads {leads:?}, contacts {contacts:?}"
                );
                // `own` narrows what CRM connections show, nothing else: the kinds pass unchanged.
                assert_eq!((record.leads, record.contacts), (leads, contacts));
            }
        }
    }

    #[test]
    fn d21_settings_open_no_channel_and_inactivity_is_told() {
        let grants = Grants {
            channels: ChannelGrant::Some([].into()),
            ..Grants::everything()
        };
        let record = evaluate(Uuid::nil().into(), 7, false, &grants);
        assert!(record.settings && !record.active && record.version == 7);
        assert!(!record.may_see_channel(Uuid::from_u128(1)));
    }
}
