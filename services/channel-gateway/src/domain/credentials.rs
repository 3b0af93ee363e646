//! Credentials of channels: parsed from requests once, sealed as one value, never shown.

mod mailbox;

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use switchboard_proto::channel_gateway::v1 as pb;

use super::channel::{ChannelKind, bot_id};

pub use mailbox::{Email, MailLine, MailSecret, MailServer, Security};

/// Characters of a secret at most.
const SECRET_MAX: usize = 4_096;

/// Characters of a Viber sender's name at most (channels.md §3.3).
const SENDER_MAX: usize = 28;

/// What signs a channel in at its provider. Its `Debug` shows no secret.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// A Telegram bot's token.
    Telegram(SecretString),
    /// A Viber bot.
    Viber(Viber),
    /// An Instagram profile.
    Instagram(Instagram),
    /// A mailbox.
    Email(Box<Email>),
    /// An administrator disconnected the channel: what signed it in is forgotten.
    Forgotten(ChannelKind),
}

/// A Viber bot.
#[derive(Debug, Clone, Deserialize)]
pub struct Viber {
    /// Token.
    pub token: SecretString,
    /// Name under which messages go out; the channel's where empty.
    pub sender_name: String,
    /// Address of the picture beside it; empty for none.
    pub sender_avatar: String,
}

/// An Instagram profile.
#[derive(Debug, Clone, Deserialize)]
pub struct Instagram {
    /// Signed in by Facebook Login, through a Page; else by Instagram Login.
    pub by_page: bool,
    /// Id of the professional account.
    pub account_id: String,
    /// Id of the Page.
    pub page_id: String,
    /// Token.
    pub access_token: SecretString,
    /// The app may answer for 7 days as a human agent.
    pub human_agent: bool,
}

/// What is wrong with credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wrong {
    /// The field.
    pub field: &'static str,
    /// What must hold.
    pub rule: &'static str,
}

impl Credentials {
    /// Returns the kind of channel that they are for.
    pub const fn kind(&self) -> ChannelKind {
        match self {
            Self::Telegram(_) => ChannelKind::TelegramBot,
            Self::Viber(_) => ChannelKind::ViberBot,
            Self::Instagram(_) => ChannelKind::Instagram,
            Self::Email(_) => ChannelKind::Email,
            Self::Forgotten(kind) => *kind,
        }
    }

    /// Returns the provider's own id of the line, as far as the credentials tell it; of a mailbox its address, which is no
    /// identity outside its account. Viber's tells only the provider:
    /// until then the token's hash stands for it, so that no two channels have the same bot.
    pub fn provider_account(&self) -> String {
        match self {
            Self::Telegram(token) => bot_id(token.expose_secret()).unwrap_or_default().to_owned(),
            Self::Viber(viber) => format!("token:{}", hash(&viber.token)),
            Self::Instagram(instagram) => instagram.account_id.clone(),
            Self::Email(email) => email.address.clone(),
            Self::Forgotten(_) => String::new(),
        }
    }

    /// Returns what a mailbox is told apart by; none of the other kinds, whose provider tells one id.
    pub fn mail_line(&self) -> Option<MailLine> {
        match self {
            Self::Email(email) => Some(email.line()),
            Self::Telegram(_) | Self::Viber(_) | Self::Instagram(_) | Self::Forgotten(_) => None,
        }
    }

    /// Returns the hash of a token that does not tell whose line it is: by it a second channel of the same bot is told
    /// before the provider is asked, however often the first was enabled.
    pub fn token_hash(&self) -> Option<String> {
        match self {
            Self::Viber(viber) => Some(hash(&viber.token)),
            Self::Telegram(_) | Self::Instagram(_) | Self::Email(_) | Self::Forgotten(_) => None,
        }
    }

    /// Returns the text that is sealed. A Telegram token stands for itself, as it always did.
    pub fn to_text(&self) -> String {
        match self {
            Self::Telegram(token) => token.expose_secret().to_owned(),
            Self::Viber(viber) => json!({
                "token": viber.token.expose_secret(),
                "sender_name": viber.sender_name,
                "sender_avatar": viber.sender_avatar,
            })
            .to_string(),
            Self::Instagram(instagram) => json!({
                "by_page": instagram.by_page,
                "account_id": instagram.account_id,
                "page_id": instagram.page_id,
                "access_token": instagram.access_token.expose_secret(),
                "human_agent": instagram.human_agent,
            })
            .to_string(),
            Self::Email(email) => json!({
                "address": email.address,
                "display_name": email.display_name,
                "imap": email.imap,
                "smtp": email.smtp,
                "username": email.username,
                "secret": match &email.secret {
                    MailSecret::Password(password) => json!({ "password": password.expose_secret() }),
                    MailSecret::OAuth { client_id, client_secret, refresh_token, token_url } => json!({ "o-auth": {
                        "client_id": client_id,
                        "client_secret": client_secret.expose_secret(),
                        "refresh_token": refresh_token.expose_secret(),
                        "token_url": token_url,
                    }}),
                },
            })
            .to_string(),
            Self::Forgotten(_) => String::new(),
        }
    }

    /// Reads what was sealed.
    ///
    /// # Errors
    /// Says that it cannot be read, without what stands there.
    pub fn from_text(kind: ChannelKind, text: &str) -> Result<Self, Unreadable> {
        fn read<'t, T: Deserialize<'t>>(text: &'t str) -> Result<T, Unreadable> {
            serde_json::from_str(text).map_err(|_| Unreadable)
        }
        if text.is_empty() {
            return Ok(Self::Forgotten(kind));
        }
        Ok(match kind {
            ChannelKind::TelegramBot => Self::Telegram(text.to_owned().into()),
            ChannelKind::ViberBot => Self::Viber(read(text)?),
            ChannelKind::Instagram => Self::Instagram(read(text)?),
            ChannelKind::Email => Self::Email(Box::new(read(text)?)),
        })
    }
}

/// Sealed credentials that are none of their channel's kind.
#[derive(Debug, thiserror::Error)]
#[error("the sealed credentials cannot be read")]
pub struct Unreadable;

impl fmt::Display for Wrong {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.field, self.rule)
    }
}

/// Parses a Telegram bot's credentials.
pub fn telegram(bot: &pb::TelegramBotCredentials) -> Result<Credentials, Wrong> {
    let token = bot.token.trim();
    if bot_id(token).is_none() {
        return wrong(
            "telegram_bot.token",
            "must be a bot's token as BotFather gives it",
        );
    }
    Ok(Credentials::Telegram(token.to_owned().into()))
}

/// Parses a Viber bot's credentials.
pub fn viber(bot: &pb::ViberBotCredentials) -> Result<Credentials, Wrong> {
    let sender_name = bot.sender_name.trim();
    if sender_name.chars().count() > SENDER_MAX || sender_name.contains(char::is_control) {
        return wrong("viber_bot.sender_name", "must have 28 characters at most");
    }
    let sender_avatar = bot.sender_avatar_url.trim();
    if !sender_avatar.is_empty() && !is_https(sender_avatar) {
        return wrong("viber_bot.sender_avatar_url", "must be an https address");
    }
    Ok(Credentials::Viber(Viber {
        token: secret("viber_bot.token", &bot.token)?,
        sender_name: sender_name.to_owned(),
        sender_avatar: sender_avatar.to_owned(),
    }))
}

/// Parses an Instagram profile's credentials.
pub fn instagram(profile: &pb::InstagramCredentials) -> Result<Credentials, Wrong> {
    use pb::instagram_credentials::Login;
    let by_page = match profile.login() {
        Login::Instagram => false,
        Login::Facebook => true,
        Login::Unspecified => return wrong("instagram.login", "is required"),
    };
    if !is_number(&profile.account_id) {
        return wrong("instagram.account_id", "must be the account's numeric id");
    }
    if by_page && !is_number(&profile.page_id) {
        return wrong("instagram.page_id", "must be the linked Page's numeric id");
    }
    Ok(Credentials::Instagram(Instagram {
        by_page,
        account_id: profile.account_id.clone(),
        page_id: profile.page_id.clone(),
        access_token: secret("instagram.access_token", &profile.access_token)?,
        human_agent: profile.human_agent,
    }))
}

/// Parses a mailbox's credentials. A connection without TLS is let through only where the installation allows it.
pub fn email(mailbox: &pb::EmailCredentials, plain_allowed: bool) -> Result<Credentials, Wrong> {
    use pb::email_credentials::Secret;
    let address = mailbox.address.trim().to_lowercase();
    if !is_mailbox(&address) {
        return wrong(
            "email.address",
            "must be one e-mail address, as sales@shop.example",
        );
    }
    let display_name = mailbox.display_name.trim();
    if display_name.chars().count() > 100 || display_name.contains(char::is_control) {
        return wrong("email.display_name", "must have 100 characters at most");
    }
    let username = mailbox.username.trim();
    let secret = match &mailbox.secret {
        Some(Secret::Password(password)) => {
            MailSecret::Password(self::secret("email.password", password)?)
        }
        Some(Secret::Oauth(oauth)) => MailSecret::OAuth {
            client_id: oauth.client_id.trim().to_owned(),
            client_secret: oauth.client_secret.clone().into(),
            refresh_token: self::secret("email.oauth.refresh_token", &oauth.refresh_token)?,
            token_url: match oauth.token_url.trim() {
                url if is_https(url) || (plain_allowed && url.starts_with("http://127.0.0.1:")) => {
                    url.to_owned()
                }
                _ => return wrong("email.oauth.token_url", "must be an https address"),
            },
        },
        None => return wrong("email.password", "or email.oauth is required"),
    };
    Ok(Credentials::Email(Box::new(Email {
        imap: server(
            "email.imap",
            mailbox.imap.as_ref(),
            (993, 143),
            plain_allowed,
        )?,
        smtp: server(
            "email.smtp",
            mailbox.smtp.as_ref(),
            (465, 587),
            plain_allowed,
        )?,
        username: if username.is_empty() {
            &address
        } else {
            username
        }
        .to_owned(),
        display_name: display_name.to_owned(),
        address,
        secret,
    })))
}

/// Tells whether a text is the address of a mailbox that can be written to from outside, by the parser that mails are
/// written with later.
fn is_mailbox(address: &str) -> bool {
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && !"<>,;\"()[]\\".contains(c);
    address.len() <= 254
        && address.chars().all(plain)
        && address.matches('@').count() == 1
        && address.parse::<lettre::Address>().is_ok_and(|parsed| {
            let domain = parsed.domain();
            domain == "localhost" || (domain.contains('.') && !domain.split('.').any(str::is_empty))
        })
}

fn server(
    field: &'static str,
    server: Option<&pb::email_credentials::Server>,
    (tls, starttls): (u16, u16),
    plain_allowed: bool,
) -> Result<MailServer, Wrong> {
    use pb::email_credentials::Security as Contract;
    let Some(server) = server else {
        return wrong(field, "is required");
    };
    let host = server.host.trim().to_lowercase();
    let fits = (1..=253).contains(&host.len())
        && host
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-.:".contains(c));
    if !fits {
        return wrong(field, "must name a host");
    }
    let (security, usual) = match server.security() {
        Contract::Unspecified | Contract::Tls => (Security::Tls, tls),
        Contract::Starttls => (Security::StartTls, starttls),
        Contract::None if plain_allowed => (Security::Plain, starttls),
        Contract::None => {
            return wrong(
                field,
                "must be secured: this installation allows no plain connections",
            );
        }
    };
    let port = match server.port {
        0 => usual,
        port => match u16::try_from(port) {
            Ok(port) => port,
            Err(_) => return wrong(field, "must have a port of 1 to 65535"),
        },
    };
    Ok(MailServer {
        host,
        port,
        security,
    })
}

fn secret(field: &'static str, text: &str) -> Result<SecretString, Wrong> {
    let text = text.trim();
    let fits = (1..=SECRET_MAX).contains(&text.len()) && !text.contains(char::is_control);
    if fits {
        Ok(text.to_owned().into())
    } else {
        wrong(
            field,
            "is required, without line breaks and of 4096 bytes at most",
        )
    }
}

fn hash(token: &SecretString) -> String {
    hex::encode(&Sha256::digest(token.expose_secret().as_bytes())[..16])
}

fn is_number(text: &str) -> bool {
    (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_https(text: &str) -> bool {
    text.len() <= 2_000
        && text.starts_with("https://")
        && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

const fn wrong<T>(field: &'static str, rule: &'static str) -> Result<T, Wrong> {
    Err(Wrong { field, rule })
}

#[cfg(test)]
#[path = "credentials_tests.rs"]
mod tests;
