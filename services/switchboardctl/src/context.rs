//! Where the services are and who calls: options, then environment (clap has merged both), then the context file or the
//! named context.

pub(crate) mod named;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use uuid::Uuid;

use crate::cli::{Format, Globals};
use crate::error::CliError;
use crate::output::note;

/// A context file, for example:
///
/// ```toml
/// production = true             # whoever changes something is asked first
/// account = "demo"
/// key = "keys/signing.pem"      # relative to this file; tokens are made with it as they are needed
/// agent = "Olena"               # who acts where a verb needs an agent and --as is not given
/// [services]
/// assignment = "http://127.0.0.1:7104"
/// conversation = "http://127.0.0.1:7102"
/// crm_cards = "http://127.0.0.1:7103"
/// channel_gateway = "http://127.0.0.1:7101"
/// [nats]
/// url = "nats://127.0.0.1:4222"
/// monitor = "http://127.0.0.1:8222"  # for `doctor`: only there it is seen whether every message is synced
/// [telegram]                    # the local stand-in for the Bot API, for `demo`
/// control = "http://127.0.0.1:7130"
/// bot_token = "700001:…"
/// channel = "…"
/// [viber]                       # likewise [instagram] and [mail], for the story
/// control = "http://127.0.0.1:7131"
/// token = "…"
/// channel = "…"
/// ```
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Context {
    /// Whoever changes something here is asked first.
    production: bool,
    account: Option<String>,
    key: Option<PathBuf>,
    token: Option<String>,
    token_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    agent: Option<String>,
    issuer: Option<String>,
    audience: Option<String>,
    services: Services,
    nats: Nats,
    telegram: Option<Telegram>,
    viber: Option<Line>,
    instagram: Option<Line>,
    mail: Option<Line>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Services {
    assignment: Option<String>,
    conversation: Option<String>,
    crm_cards: Option<String>,
    channel_gateway: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Nats {
    url: Option<String>,
    monitor: Option<String>,
    credentials_file: Option<PathBuf>,
}

/// The local stand-in for the Bot API.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Telegram {
    /// Base address of its control API.
    pub control: String,
    /// The bot's token.
    pub bot_token: String,
    /// The channel the bot is connected as.
    pub channel: Uuid,
}

/// The local stand-in for another provider.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Line {
    /// Base address of its control API.
    pub control: String,
    /// By what the stand-in knows our side: the bot's token, the account's token, the mailbox's address.
    pub token: String,
    /// The channel that it is connected as.
    pub channel: Uuid,
}

/// Issuer of tokens where nothing else is said.
pub(crate) const ISSUER: &str = "switchboard";
/// Audience of tokens where nothing else is said.
pub(crate) const AUDIENCE: &str = "switchboard";

/// Everything resolved.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option that somebody typed or did not"
)]
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The account, where one was given.
    pub account: Option<String>,
    /// Who acts: `--as`, else the context's agent (used by verbs that need an agent).
    pub acting: Option<String>,
    /// `--as` was given: every call is made as that agent.
    pub acting_asked: bool,
    /// A ready token.
    pub token: Option<String>,
    /// The signing key.
    pub key: Option<PathBuf>,
    /// Issuer of made tokens.
    pub issuer: String,
    /// Audience of made tokens.
    pub audience: String,
    /// Certificates of those who sign the services' own.
    pub ca_file: Option<PathBuf>,
    /// Address of assignment.
    pub assignment: String,
    /// Address of conversation.
    pub conversation: String,
    /// Address of crm-cards.
    pub crm_cards: String,
    /// Address of channel-gateway.
    pub channel_gateway: String,
    /// Address of NATS.
    pub nats: String,
    /// Somebody said where NATS is.
    pub nats_named: bool,
    /// Address of its monitoring.
    pub nats_monitor: Option<String>,
    /// Credentials for NATS.
    pub nats_credentials: Option<PathBuf>,
    /// The stand-in for the Bot API.
    pub telegram: Option<Telegram>,
    /// The stand-in for Viber.
    pub viber: Option<Line>,
    /// The stand-in for Meta's Graph API.
    pub instagram: Option<Line>,
    /// The mailbox.
    pub mail: Option<Line>,
    /// How long a call may take.
    pub timeout: Duration,
    /// Only show what would be changed.
    pub dry_run: bool,
    /// Do it without asking.
    pub yes: bool,
    /// Name of the context, where it is a production one.
    pub production: Option<String>,
    /// Programs read the answers.
    pub json: bool,
}

impl Settings {
    /// Resolves options against the context file.
    pub fn resolve(globals: &Globals) -> Result<Self, CliError> {
        let (name, file) = match (&globals.context, &globals.context_file) {
            // A name that was typed goes before a file that stands in the environment.
            (None, Some(path)) => (path.display().to_string(), read(path)?),
            (name, _) => named::find(name.as_deref())?.unwrap_or_default(),
        };
        // What was typed beats the file: a typed token is not overruled by the file's key, nor the other way round.
        let typed_token = match (&globals.token, &globals.token_file) {
            (Some(token), _) => Some(token.trim().to_owned()),
            (None, Some(path)) => Some(token_from(path)?),
            (None, None) => None,
        };
        let (token, key) = match (typed_token, globals.key.clone()) {
            (Some(token), key) => (Some(token), key),
            (None, Some(key)) => (None, Some(key)),
            (None, None) if file.key.is_some() => (None, file.key),
            (None, None) => match (file.token, file.token_file) {
                (Some(token), _) => (Some(token), None),
                (None, Some(path)) => (Some(token_from(&path)?), None),
                (None, None) => (None, None),
            },
        };
        let or = |typed: &Option<String>, filed: Option<String>, default: &str| {
            typed
                .clone()
                .or(filed)
                .unwrap_or_else(|| default.to_owned())
        };
        Ok(Self {
            account: globals.account.clone().or(file.account),
            acting_asked: globals.acting.is_some(),
            acting: globals.acting.clone().or(file.agent),
            token,
            key,
            issuer: file.issuer.unwrap_or_else(|| ISSUER.into()),
            audience: file.audience.unwrap_or_else(|| AUDIENCE.into()),
            ca_file: globals.ca_file.clone().or(file.ca_file),
            assignment: or(
                &globals.assignment,
                file.services.assignment,
                "http://127.0.0.1:7104",
            ),
            conversation: or(
                &globals.conversation,
                file.services.conversation,
                "http://127.0.0.1:7102",
            ),
            crm_cards: or(
                &globals.crm_cards,
                file.services.crm_cards,
                "http://127.0.0.1:7103",
            ),
            channel_gateway: or(
                &globals.channel_gateway,
                file.services.channel_gateway,
                "http://127.0.0.1:7101",
            ),
            nats_named: globals.nats.is_some() || file.nats.url.is_some(),
            nats_monitor: file.nats.monitor,
            nats: or(&globals.nats, file.nats.url, "nats://127.0.0.1:4222"),
            nats_credentials: file.nats.credentials_file,
            telegram: file.telegram,
            viber: file.viber,
            instagram: file.instagram,
            mail: file.mail,
            timeout: globals.timeout,
            dry_run: globals.dry_run,
            yes: globals.yes,
            production: file.production.then_some(name),
            json: !matches!(globals.output, Format::Table | Format::Wide),
        })
    }

    /// The account, or what to do about its absence.
    pub fn account(&self) -> Result<&str, CliError> {
        self.account.as_deref().ok_or_else(|| {
            CliError::usage(
                "no account is named",
                "give --account SLUG, or set SWITCHBOARD_CTL_ACCOUNT or a context file",
            )
        })
    }

    /// The stand-in, or what to do about its absence.
    pub fn telegram(&self) -> Result<&Telegram, CliError> {
        self.telegram.as_ref().ok_or_else(|| {
            CliError::usage(
                "the context names no stand-in for the Bot API",
                "use the context file that scripts/start writes: --context-file .local/ctl.toml",
            )
        })
    }
}

/// What this program is called by: a wrapper that hands over a context says its own name, so that a command that is
/// shown works when pasted.
pub(crate) fn program() -> String {
    std::env::var("SWITCHBOARD_CTL_PROGRAM").unwrap_or_else(|_| "switchboardctl".into())
}

fn token_from(path: &Path) -> Result<String, CliError> {
    std::fs::read_to_string(path)
        .map(|text| text.trim().to_owned())
        .map_err(|error| CliError::file("read the token", path, &error))
}

fn read(path: &Path) -> Result<Context, CliError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| CliError::file("read the context", path, &error))?;
    warn_when_readable_by_others(path);
    let mut file: Context = toml::from_str(&text).map_err(|error| {
        CliError::usage(
            &format!(
                "the context file {} is not valid: {}",
                path.display(),
                error.message()
            ),
            "compare it with `switchboardctl --help` or let scripts/start write it again",
        )
    })?;
    // Paths in the file are relative to it, so that a pasted command works from any folder.
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    for named in [
        &mut file.key,
        &mut file.token_file,
        &mut file.ca_file,
        &mut file.nats.credentials_file,
    ]
    .into_iter()
    .flatten()
    {
        *named = folder.join(&*named);
    }
    Ok(file)
}

#[cfg(unix)]
fn warn_when_readable_by_others(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    if std::fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o077 != 0) {
        note!(
            "warning: {} can be read by others; chmod 600 it",
            path.display()
        );
    }
}

#[cfg(not(unix))]
fn warn_when_readable_by_others(_: &Path) {}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::Cli;

    fn settings(file: &str, line: &str) -> Result<Settings, CliError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ctl.toml");
        std::fs::write(&path, file).unwrap();
        let words = ["switchboardctl", "--context-file", path.to_str().unwrap()];
        let cli = Cli::try_parse_from(words.into_iter().chain(line.split_whitespace())).unwrap();
        let mut settings = Settings::resolve(&cli.globals)?;
        settings.key = settings.key.map(|key| {
            key.strip_prefix(folder.path())
                .map(Path::to_owned)
                .unwrap_or(key)
        });
        Ok(settings)
    }

    #[test]
    fn what_is_typed_beats_the_context_file() {
        let file =
            "account = 'demo'\nkey = 'keys/signing.pem'\n[services]\nassignment = 'http://a:1'\n";
        let plain = settings(file, "chat list").unwrap();
        assert_eq!(plain.account.as_deref(), Some("demo"));
        assert_eq!(plain.key.as_deref(), Some(Path::new("keys/signing.pem")));
        assert_eq!(plain.assignment, "http://a:1");
        assert_eq!(plain.conversation, "http://127.0.0.1:7102");
        let typed = settings(
            file,
            "chat list --account acme --token t --assignment http://b:2",
        )
        .unwrap();
        assert_eq!(typed.account.as_deref(), Some("acme"));
        assert_eq!((typed.token.as_deref(), typed.key), (Some("t"), None));
        assert_eq!(typed.assignment, "http://b:2");
    }

    #[test]
    fn an_unknown_key_in_the_context_file_is_named() {
        let error = settings("acount = 'demo'", "chat list").unwrap_err();
        assert!(error.render().contains("acount"), "{}", error.render());
        assert_eq!(error.exit_code(), 2);
    }
}
