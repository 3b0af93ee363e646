//! Channels: their kinds and states, and what a bot's token tells.

use switchboard_proto::common::v1::ChannelKind as Contract;

/// Kind of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChannelKind {
    /// A Telegram bot.
    TelegramBot,
    /// A Viber bot.
    ViberBot,
    /// An Instagram professional profile.
    Instagram,
    /// A mailbox.
    Email,
}

impl ChannelKind {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::TelegramBot,
        Self::ViberBot,
        Self::Instagram,
        Self::Email,
    ];

    /// Returns the word that is stored and that metrics are labelled with.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TelegramBot => "telegram-bot",
            Self::ViberBot => "viber-bot",
            Self::Instagram => "instagram",
            Self::Email => "email",
        }
    }

    /// Returns the provider's name for people.
    pub const fn provider(self) -> &'static str {
        match self {
            Self::TelegramBot => "Telegram",
            Self::ViberBot => "Viber",
            Self::Instagram => "Instagram",
            Self::Email => "the mail server",
        }
    }

    /// Returns what is connected by such a channel, for people.
    pub const fn line(self) -> &'static str {
        match self {
            Self::TelegramBot | Self::ViberBot => "the bot",
            Self::Instagram => "the Instagram profile",
            Self::Email => {
                "the mailbox (server and login), or in this account its address at that server,"
            }
        }
    }

    /// Returns the kind as contracts name it.
    pub const fn contract(self) -> Contract {
        match self {
            Self::TelegramBot => Contract::TelegramBot,
            Self::ViberBot => Contract::ViberBot,
            Self::Instagram => Contract::Instagram,
            Self::Email => Contract::Email,
        }
    }
}

impl ChannelKind {
    /// Returns the kind that a contract names; none for kinds that are not known here.
    pub const fn of(contract: Contract) -> Option<Self> {
        match contract {
            Contract::TelegramBot => Some(Self::TelegramBot),
            Contract::ViberBot => Some(Self::ViberBot),
            Contract::Instagram => Some(Self::Instagram),
            Contract::Email => Some(Self::Email),
            Contract::Unspecified => None,
        }
    }
}

/// A stored word that names no kind.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no kind of a channel")]
pub struct UnknownKind(String);

impl TryFrom<&str> for ChannelKind {
    type Error = UnknownKind;
    fn try_from(text: &str) -> Result<Self, UnknownKind> {
        match text {
            "telegram-bot" => Ok(Self::TelegramBot),
            "viber-bot" => Ok(Self::ViberBot),
            "instagram" => Ok(Self::Instagram),
            "email" => Ok(Self::Email),
            other => Err(UnknownKind(other.to_owned())),
        }
    }
}

/// State of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelState {
    /// Created, or switched off: nobody is heard.
    Disabled,
    /// Customers are heard and answered.
    Enabled,
    /// The provider refused the credentials.
    Disconnected,
}

impl ChannelState {
    /// Returns the word that is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Enabled => "enabled",
            Self::Disconnected => "disconnected",
        }
    }
}

/// A stored word that names no state.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no state of a channel")]
pub struct UnknownState(String);

impl TryFrom<&str> for ChannelState {
    type Error = UnknownState;
    fn try_from(text: &str) -> Result<Self, UnknownState> {
        match text {
            "disabled" => Ok(Self::Disabled),
            "enabled" => Ok(Self::Enabled),
            "disconnected" => Ok(Self::Disconnected),
            other => Err(UnknownState(other.to_owned())),
        }
    }
}

/// Returns the bot's id that stands before the colon of a Telegram token, or none where it is no token.
///
/// The token travels in a path: only the characters that Telegram uses are let through.
pub fn bot_id(token: &str) -> Option<&str> {
    let (id, secret) = token.split_once(':')?;
    let id_fits = (1..=20).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_digit());
    let secret_fits = (5..=100).contains(&secret.len())
        && secret
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    (id_fits && secret_fits).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_a_number_and_a_secret_that_fits_into_a_path() {
        for (token, expected) in [
            ("7001:AAE-x_9dfg", Some("7001")),
            ("7001:AA/../getMe", None),
            ("7001:abc?d", None),
            ("7001:", None),
            (":AAEabcdef", None),
            ("bot:AAEabcdef", None),
            ("", None),
        ] {
            assert_eq!(bot_id(token), expected, "{token}");
        }
    }
}
