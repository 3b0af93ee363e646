//! Closed sets and the words that the database keeps for them.

/// A stored word that this version does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown {set}: {word:?}")]
pub struct UnknownWord {
    /// Which set.
    pub set: &'static str,
    /// The word found.
    pub word: String,
}

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $name {
            /// Returns the stored word.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl TryFrom<&str> for $name {
            type Error = UnknownWord;
            fn try_from(word: &str) -> Result<Self, UnknownWord> {
                match word {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(UnknownWord { set: stringify!($name), word: word.to_owned() }),
                }
            }
        }
    };
}

words! {
    /// Presence of an agent (B04).
    Presence {
        /// Takes chats.
        Online = "online",
        /// Away for a while.
        Away = "away",
        /// Not at work.
        Offline = "offline",
    }
}

words! {
    /// How chats of a channel are distributed (D21).
    Distribution {
        /// Not at all.
        Off = "off",
        /// In turn.
        RoundRobin = "round-robin",
        /// To whoever has the smallest part of what they may have.
        LeastLoaded = "least-loaded",
    }
}

impl Distribution {
    /// Tells whether somebody of the pool is chosen at all.
    pub const fn chooses(self) -> bool {
        !matches!(self, Self::Off)
    }
}

words! {
    /// What becomes of a chat whose responsible was taken away.
    GivenBack {
        /// Distribution looks for somebody.
        Queued = "queued",
        /// It waits for a hand.
        Stays = "stays",
    }
}

words! {
    /// A kind of CRM entity that has a responsible (D05).
    EntityKind {
        /// A card that is a lead.
        Lead = "lead",
        /// A card that is a deal.
        Deal = "deal",
        /// A contact.
        Contact = "contact",
        /// A company (F034).
        Company = "company",
        /// A contact saved as a buyer.
        Customer = "customer",
    }
}

words! {
    /// Which rule made an agent the responsible.
    Rule {
        /// The agent opened the conversation.
        Opener = "opener",
        /// A linked CRM entity has this responsible.
        Crm = "crm",
        /// The agent had the chat before (B05).
        Previous = "previous",
        /// The channel's distribution.
        Distribution = "distribution",
        /// The agent claimed it (F125, F126).
        Claim = "claim",
        /// The agent answered first (F101).
        FirstReply = "first-reply",
        /// Somebody handed it over (F102, F103, F162).
        Hand = "hand",
        /// Who answered for the chat handed it over, and left (F162).
        Redirect = "redirect",
        /// The responsible left; this one had joined longest ago (D24).
        Successor = "successor",
        /// Wrote as a participant in a channel that reassigns on reply (D09).
        Reply = "reply",
        /// Nobody could be chosen.
        None = "none",
    }
}
