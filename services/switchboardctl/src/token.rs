//! Tokens of an installation without an identity provider.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::cli::Globals;
use crate::context::{AUDIENCE, ISSUER, Settings};
use crate::error::CliError;
use crate::keys::SigningKeyFile;
use crate::output::say;

/// What an agent's token made by this command may do.
pub(crate) const AGENT_SCOPES: &str = "chats:* crm:* channels:read agents:read";
/// What an account's own token made by this command may do.
pub(crate) const ACCOUNT_SCOPES: &str = "chats:* crm:* channels:* agents:* integrations:*";

/// Makes a token: `token --key signing.pem --account demo --agent UUID --scope "chats:* crm:*"`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  switchboardctl token --key keys/signing.pem --account demo --service shop --scope 'chats:* crm:*'\n  \
                        switchboardctl token --key keys/signing.pem --internal --service conversation --ttl 30d"
)]
pub(crate) struct TokenArgs {
    /// The agent the token speaks for
    #[arg(long, value_name = "UUID", conflicts_with = "service")]
    agent: Option<Uuid>,
    /// The service or integration the token speaks for
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// What it may be used for, separated by spaces
    #[arg(long, value_name = "SCOPES")]
    scope: Option<String>,
    /// For calls between services: no account
    #[arg(long, conflicts_with_all = ["ops", "agent", "scope"])]
    internal: bool,
    /// For operators' verbs: no account
    #[arg(long, conflicts_with_all = ["agent", "scope"])]
    ops: bool,
    /// How long it is valid, for example 30m, 12h, 30d
    #[arg(long, default_value = "12h", value_parser = duration)]
    ttl: Duration,
    /// Issuer; `switchboard` unless the context says otherwise
    #[arg(long)]
    issuer: Option<String>,
    /// Audience; `switchboard` unless the context says otherwise
    #[arg(long)]
    audience: Option<String>,
}

/// What a token says. The services' `auth` knows the same names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    /// Issuer.
    pub iss: String,
    /// Audience.
    pub aud: String,
    /// End, seconds since 1970.
    pub exp: i64,
    /// Time of issue, seconds since 1970.
    pub iat: i64,
    /// An agent's UUID or a service's name.
    pub sub: String,
    /// The account; none in internal and operators' tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// `agent` or `service`.
    pub kind: String,
    /// Scopes, separated by spaces.
    pub scope: String,
}

/// Whom a token speaks for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    /// Operators' verbs.
    Ops,
    /// The account itself.
    Account,
    /// One agent.
    Agent(Uuid),
}

/// Makes tokens with a key.
pub(crate) struct Mint {
    key: EncodingKey,
    key_id: String,
    issuer: String,
    audience: String,
}

impl Mint {
    /// Reads the key.
    pub fn open(key: &std::path::Path, issuer: &str, audience: &str) -> Result<Self, CliError> {
        let file = SigningKeyFile::read(key)?;
        let encoding = EncodingKey::from_ed_pem(file.pem.as_bytes()).map_err(|error| {
            CliError::failed(format!("the signing key cannot be used: {error}"), "")
        })?;
        Ok(Self {
            key: encoding,
            key_id: file.id(),
            issuer: issuer.into(),
            audience: audience.into(),
        })
    }

    /// Makes a token for a role, for an hour.
    pub fn for_role(
        &self,
        role: &Role,
        account: Option<&str>,
        now: OffsetDateTime,
    ) -> Result<String, CliError> {
        let (sub, kind, account, scope) = match role {
            Role::Ops => ("switchboardctl".to_owned(), "service", None, "ops"),
            Role::Account => (
                "switchboardctl".to_owned(),
                "service",
                account,
                ACCOUNT_SCOPES,
            ),
            Role::Agent(agent) => (agent.to_string(), "agent", account, AGENT_SCOPES),
        };
        self.sign(
            sub,
            kind,
            account.map(str::to_owned),
            scope,
            Duration::from_hours(1),
            now,
        )
    }

    fn sign(
        &self,
        sub: String,
        kind: &str,
        account: Option<String>,
        scope: &str,
        ttl: Duration,
        now: OffsetDateTime,
    ) -> Result<String, CliError> {
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            exp: (now + ttl).unix_timestamp(),
            iat: now.unix_timestamp(),
            sub,
            account,
            kind: kind.into(),
            scope: scope.into(),
        };
        let header = Header {
            kid: Some(self.key_id.clone()),
            ..Header::new(Algorithm::EdDSA)
        };
        encode(&header, &claims, &self.key)
            .map_err(|error| CliError::failed(format!("the token cannot be signed: {error}"), ""))
    }
}

/// Prints a token.
pub(crate) fn run(args: TokenArgs, globals: &Globals, now: OffsetDateTime) -> Result<(), CliError> {
    say!("{}", make(args, globals, now)?);
    Ok(())
}

fn make(args: TokenArgs, globals: &Globals, now: OffsetDateTime) -> Result<String, CliError> {
    let settings = Settings::resolve(globals)?;
    let key: &PathBuf = settings.key.as_ref().ok_or_else(|| {
        CliError::usage(
            "no signing key is named",
            "give --key FILE; `switchboardctl keys init --dir FOLDER` makes one",
        )
    })?;
    let issuer = args.issuer.unwrap_or(if settings.issuer.is_empty() {
        ISSUER.into()
    } else {
        settings.issuer.clone()
    });
    let audience = args.audience.unwrap_or(if settings.audience.is_empty() {
        AUDIENCE.into()
    } else {
        settings.audience.clone()
    });
    let mint = Mint::open(key, &issuer, &audience)?;
    let name = args.service.unwrap_or_else(|| "switchboardctl".into());
    if args.internal || args.ops {
        return mint.sign(
            name,
            "service",
            None,
            if args.internal { "internal" } else { "ops" },
            args.ttl,
            now,
        );
    }
    let account = Some(settings.account()?.to_owned());
    match args.agent {
        Some(agent) => {
            let scope = args.scope.as_deref().unwrap_or(AGENT_SCOPES);
            mint.sign(agent.to_string(), "agent", account, scope, args.ttl, now)
        }
        None => mint.sign(
            name,
            "service",
            account,
            args.scope.as_deref().unwrap_or(ACCOUNT_SCOPES),
            args.ttl,
            now,
        ),
    }
}

/// Reads `90s`, `30m`, `12h`, `30d`.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || String::from("a number with s, m, h or d, for example 30m, 12h or 30d");
    let split = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    // Ten years: longer is a mistake, and far from overflowing a time.
    number
        .checked_mul(seconds)
        .filter(|seconds| (1..=315_360_000).contains(seconds))
        .map(Duration::from_secs)
        .ok_or_else(|| String::from("between 1s and 3650d"))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use jsonwebtoken::jwk::JwkSet;
    use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};

    use super::*;
    use crate::cli::{Cli, Noun};
    use crate::keys::KeysVerb;

    fn token(line: &str) -> Result<(Claims, tempfile::TempDir), CliError> {
        let folder = tempfile::tempdir().unwrap();
        crate::keys::run(KeysVerb::Init {
            dir: folder.path().into(),
        })
        .unwrap();
        let key = folder.path().join("signing.pem");
        let words = ["switchboardctl", "token", "--key", key.to_str().unwrap()];
        let cli = Cli::try_parse_from(words.into_iter().chain(line.split_whitespace())).unwrap();
        let Noun::Token(args) = cli.noun else {
            panic!("no token verb")
        };
        let token = make(args, &cli.globals, crate::clock::now())?;

        let set: JwkSet = serde_json::from_str(
            &std::fs::read_to_string(folder.path().join("jwks.json")).unwrap(),
        )
        .unwrap();
        let kid = decode_header(&token).unwrap().kid.unwrap();
        let jwk = set.find(&kid).expect("the key id is published");
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&["switchboard"]);
        validation.set_audience(&["switchboard"]);
        Ok((
            decode::<Claims>(&token, &DecodingKey::from_jwk(jwk).unwrap(), &validation)
                .unwrap()
                .claims,
            folder,
        ))
    }

    #[test]
    fn tokens_verify_against_the_published_keys_and_say_what_was_asked() {
        let agent = "0197e7a4-0000-7000-8000-000000000000";
        let (claims, _) = token(&format!(
            "--account demo --agent {agent} --scope chats:* --ttl 30m"
        ))
        .unwrap();
        assert_eq!(
            (claims.sub.as_str(), claims.kind.as_str()),
            (agent, "agent")
        );
        assert_eq!(
            (claims.account.as_deref(), claims.scope.as_str()),
            (Some("demo"), "chats:*")
        );
        assert_eq!(claims.exp - claims.iat, 1_800);

        let (claims, _) = token("--account demo --service shop --scope crm:read").unwrap();
        assert_eq!(
            (
                claims.sub.as_str(),
                claims.kind.as_str(),
                claims.scope.as_str()
            ),
            ("shop", "service", "crm:read")
        );

        for (flag, scope) in [("--internal", "internal"), ("--ops", "ops")] {
            let (claims, _) =
                token(&format!("{flag} --account demo --service conversation")).unwrap();
            assert_eq!((claims.account, claims.scope.as_str()), (None, scope));
        }
    }

    #[test]
    fn a_token_without_an_account_is_refused_unless_it_needs_none() {
        assert_eq!(
            token("--scope chats:*")
                .map(|_| ())
                .unwrap_err()
                .exit_code(),
            2
        );
    }

    #[test]
    fn lifetimes_have_a_unit() {
        for (text, seconds) in [
            ("90s", Some(90)),
            ("30m", Some(1_800)),
            ("12h", Some(43_200)),
            ("30d", Some(2_592_000)),
            ("12", None),
            ("h", None),
            ("1w", None),
            ("0s", None),
            ("-1h", None),
            ("99999999999999999999d", None),
            ("", None),
        ] {
            assert_eq!(duration(text).ok().map(|d| d.as_secs()), seconds, "{text}");
        }
    }
}
