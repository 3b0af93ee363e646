//! Who did something, as events carry it in `ce-sbactor`.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// The author of an act.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Actor {
    /// A member of staff.
    Agent(Uuid),
    /// The person outside.
    Client(Uuid),
    /// A rule, by its name.
    Rule(String),
    /// A synchronisation, by its name; what it changed is never synchronised back.
    Sync(String),
    /// A service of ours or of an integrator, by its name.
    Service(String),
}

/// A text that names no actor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an actor is agent:<uuid>, client:<uuid>, rule:<name>, sync:<name> or service:<name>")]
pub struct InvalidActor;

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agent(id) => write!(f, "agent:{id}"),
            Self::Client(id) => write!(f, "client:{id}"),
            Self::Rule(name) => write!(f, "rule:{name}"),
            Self::Sync(name) => write!(f, "sync:{name}"),
            Self::Service(name) => write!(f, "service:{name}"),
        }
    }
}

impl FromStr for Actor {
    type Err = InvalidActor;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kind, name) = text.split_once(':').ok_or(InvalidActor)?;
        let uuid = || Uuid::parse_str(name).map_err(|_| InvalidActor);
        // Names travel in headers, where a line break would be an attack.
        let name_fits =
            !name.is_empty() && name.len() <= 100 && name.bytes().all(|b| b.is_ascii_graphic());
        let plain = || {
            if name_fits {
                Ok(name.to_owned())
            } else {
                Err(InvalidActor)
            }
        };
        match kind {
            "agent" => uuid().map(Self::Agent),
            "client" => uuid().map(Self::Client),
            "rule" => plain().map(Self::Rule),
            "sync" => plain().map(Self::Sync),
            "service" => plain().map(Self::Service),
            _ => Err(InvalidActor),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actors_survive_being_written_and_read() {
        for actor in [
            Actor::Agent(Uuid::from_u128(1)),
            Actor::Client(Uuid::from_u128(2)),
            Actor::Rule("round-robin".into()),
            Actor::Sync("from-crm".into()),
            Actor::Service("importer:2".into()),
        ] {
            assert_eq!(actor.to_string().parse(), Ok(actor));
        }
        for text in ["", "agent", "agent:x", "person:1", "rule:", "rule:a\nb"] {
            assert_eq!(text.parse::<Actor>(), Err(InvalidActor), "{text}");
        }
    }
}
