//! What of CRM an agent's rights open (architecture §9, F174–F178, D11).

use chassis::access::{AccessRecord, ChannelGrant, ChatAccess, View};
use chassis::id::AgentId;
use uuid::Uuid;

/// Which rows of a kind a caller reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// All of the account.
    All,
    /// Those that this agent is responsible for.
    Own(AgentId),
}

impl Sight {
    /// Tells whether a row with this responsible is within reach.
    pub fn reaches(self, responsible: Option<AgentId>) -> bool {
        match self {
            Self::All => true,
            Self::Own(agent) => responsible == Some(agent),
        }
    }

    /// Returns the agent to whom rows are narrowed, for a query.
    pub fn narrowed_to(self) -> Option<Uuid> {
        match self {
            Self::All => None,
            Self::Own(agent) => Some(agent.uuid()),
        }
    }
}

/// The kinds that rights are granted for; deals and orders follow leads, companies and buyers follow contacts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Leads, deals and orders.
    Leads,
    /// Contacts, companies and buyers.
    Contacts,
}

/// The rights do not reach this at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing;

/// Returns which rows of a kind may be seen. No record means a service, which sees all of its account.
pub fn sight(record: Option<&AccessRecord>, kind: Kind) -> Result<Sight, Missing> {
    let Some(record) = record else {
        return Ok(Sight::All);
    };
    let rights = match kind {
        Kind::Leads => record.leads,
        Kind::Contacts => record.contacts,
    };
    match rights.view {
        View::None => Err(Missing),
        View::Own => Ok(Sight::Own(record.agent)),
        View::All => Ok(Sight::All),
    }
}

/// Tells whether rows of a kind may be created.
pub fn may_create(record: Option<&AccessRecord>, kind: Kind) -> Result<(), Missing> {
    let granted = record.is_none_or(|record| match kind {
        Kind::Leads => record.leads.create,
        Kind::Contacts => record.contacts.create,
    });
    granted.then_some(()).ok_or(Missing)
}

/// Returns who answers for what a caller makes and gives to nobody: an agent who sees only their own would lose it at once (F135).
pub fn keeper(record: Option<&AccessRecord>, kind: Kind) -> Option<AgentId> {
    match sight(record, kind) {
        Ok(Sight::Own(agent)) => Some(agent),
        Ok(Sight::All) | Err(Missing) => None,
    }
}

/// Tells whether settings may be changed.
pub fn may_set(record: Option<&AccessRecord>) -> Result<(), Missing> {
    record
        .is_none_or(|record| record.settings)
        .then_some(())
        .ok_or(Missing)
}

/// Tells whether what is bound to chats may be seen at all: limited access hides CRM connections (D11).
pub fn may_see_chats(record: Option<&AccessRecord>) -> Result<(), Missing> {
    record
        .is_none_or(|record| record.chats == ChatAccess::Full)
        .then_some(())
        .ok_or(Missing)
}

/// Tells whether chats may be worked with: none is refused, limited may create a lead without seeing it (D11).
pub fn may_use_chats(record: Option<&AccessRecord>) -> Result<(), Missing> {
    record
        .is_none_or(|record| record.chats != ChatAccess::None)
        .then_some(())
        .ok_or(Missing)
}

/// Tells whether a channel is granted.
pub fn reaches_channel(record: Option<&AccessRecord>, channel: Uuid) -> bool {
    record.is_none_or(|record| record.may_see_channel(channel))
}

/// Returns the channels to which reads are narrowed; none means all.
pub fn channels(record: Option<&AccessRecord>) -> Option<Vec<Uuid>> {
    match &record?.channels {
        ChannelGrant::All => None,
        ChannelGrant::Some(channels) => Some(channels.iter().copied().collect()),
    }
}

#[cfg(test)]
mod tests {
    use chassis::access::KindAccess;

    use super::*;

    fn record(leads: View, contacts: View, create: bool, chats: ChatAccess) -> AccessRecord {
        AccessRecord {
            agent: Uuid::from_u128(1).into(),
            version: 1,
            active: true,
            channels: ChannelGrant::Some([Uuid::from_u128(7)].into()),
            chats,
            leads: KindAccess {
                create,
                view: leads,
            },
            contacts: KindAccess {
                create,
                view: contacts,
            },
            settings: create,
        }
    }

    #[test]
    fn f174_f177_the_view_of_a_kind_opens_none_own_or_all() {
        let agent = AgentId::from(Uuid::from_u128(1));
        for (view, expected) in [
            (View::None, Err(Missing)),
            (View::Own, Ok(Sight::Own(agent))),
            (View::All, Ok(Sight::All)),
        ] {
            let leads = record(view, View::None, false, ChatAccess::Full);
            assert_eq!(sight(Some(&leads), Kind::Leads), expected, "leads {view:?}");
            assert_eq!(
                sight(Some(&leads), Kind::Contacts),
                Err(Missing),
                "leads {view:?}"
            );
            let contacts = record(View::None, view, false, ChatAccess::Full);
            assert_eq!(
                sight(Some(&contacts), Kind::Contacts),
                expected,
                "contacts {view:?}"
            );
        }
        assert_eq!(sight(None, Kind::Leads), Ok(Sight::All));
        assert!(Sight::Own(agent).reaches(Some(agent)));
        assert!(!Sight::Own(agent).reaches(None));
        assert!(!Sight::Own(agent).reaches(Some(Uuid::from_u128(2).into())));
    }

    #[test]
    fn f175_f176_access_to_chats_opens_what_is_bound_to_them() {
        for (chats, use_them, see) in [
            (ChatAccess::None, Err(Missing), Err(Missing)),
            (ChatAccess::Limited, Ok(()), Err(Missing)),
            (ChatAccess::Full, Ok(()), Ok(())),
        ] {
            let record = record(View::All, View::All, true, chats);
            assert_eq!(may_use_chats(Some(&record)), use_them, "{chats:?}");
            assert_eq!(may_see_chats(Some(&record)), see, "{chats:?}");
        }
    }

    #[test]
    fn f062_only_granted_channels_are_reached() {
        let record = record(View::All, View::All, false, ChatAccess::Full);
        assert!(reaches_channel(Some(&record), Uuid::from_u128(7)));
        assert!(!reaches_channel(Some(&record), Uuid::from_u128(8)));
        assert_eq!(channels(Some(&record)), Some(vec![Uuid::from_u128(7)]));
        assert_eq!(channels(None), None);
        assert_eq!(may_create(Some(&record), Kind::Leads), Err(Missing));
        assert_eq!(may_set(Some(&record)), Err(Missing));
        assert_eq!(may_set(None), Ok(()));
    }
}
