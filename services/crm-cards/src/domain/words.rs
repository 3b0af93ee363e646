//! Closed sets of words, as the database keeps them.

/// A text that is none of the words of a closed set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{word:?} is no {set}")]
pub struct UnknownWord {
    /// The set, for example `Mode`.
    pub set: &'static str,
    /// The text.
    pub word: String,
}

/// Declares an enum whose variants are words of the design: `as_str`, `TryFrom<&str>`, serde.
macro_rules! words {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// Every value, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Returns the word.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        impl TryFrom<&str> for $name {
            type Error = $crate::domain::UnknownWord;
            fn try_from(word: &str) -> Result<Self, Self::Error> {
                match word {
                    $($word => Ok(Self::$variant),)*
                    _ => Err($crate::domain::UnknownWord { set: stringify!($name), word: word.to_owned() }),
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::domain::UnknownWord;
            fn try_from(word: String) -> Result<Self, Self::Error> {
                Self::try_from(word.as_str())
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.as_str().to_owned()
            }
        }
    };
}

pub(super) use words;
