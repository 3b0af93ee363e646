//! Calls to the services: addresses, tokens, deadlines.

mod clients;
pub(crate) mod guard;
mod names;

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex};

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status};

use crate::context::Settings;
use crate::error::{CliError, plain};
use crate::token::{Mint, Role};
pub(crate) use guard::{DRY_RUN, Guard, Terms};

/// A channel that sends a token with every call.
pub(crate) type Authorised = InterceptedService<Guard, Bearer>;

/// Puts the token on a call.
#[derive(Clone)]
pub(crate) struct Bearer(MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request
            .metadata_mut()
            .insert("authorization", self.0.clone());
        Ok(request)
    }
}

/// The services by name, as in their options.
pub(crate) const SERVICES: [&str; 4] =
    ["assignment", "conversation", "crm-cards", "channel-gateway"];

/// Connections and tokens of one run.
pub(crate) struct Session {
    /// What was resolved.
    pub settings: Settings,
    /// On what terms this run changes something.
    pub terms: Arc<Terms>,
    mint: Option<Mint>,
    channels: Mutex<HashMap<&'static str, Channel>>,
}

impl Session {
    /// Opens the signing key, where there is one. Nothing is connected yet.
    pub fn new(settings: Settings) -> Result<Self, CliError> {
        let mint = match (&settings.token, &settings.key) {
            (None, Some(key)) => Some(Mint::open(key, &settings.issuer, &settings.audience)?),
            _ => None,
        };
        let terms = Terms::new(
            settings.dry_run,
            settings.yes,
            settings.production.clone(),
            settings.json,
        );
        Ok(Self {
            settings,
            terms: Arc::new(terms),
            mint,
            channels: Mutex::default(),
        })
    }

    /// The role of ordinary verbs: the agent of `--as`, else the account.
    pub async fn role(&self) -> Result<Role, CliError> {
        match (&self.settings.acting, self.settings.acting_asked) {
            (Some(agent), true) => Ok(Role::Agent(self.agent_id(agent).await?)),
            _ => Ok(Role::Account),
        }
    }

    /// The role of verbs that only an agent can do: `--as`, else the context's agent.
    pub async fn agent_role(&self) -> Result<Role, CliError> {
        if self.settings.token.is_some() {
            // The token says who it is for.
            return Ok(Role::Account);
        }
        match &self.settings.acting {
            Some(agent) => Ok(Role::Agent(self.agent_id(agent).await?)),
            None => Err(CliError::usage(
                "this needs an agent who acts",
                "name one: --as AGENT (`switchboardctl agent list`)",
            )),
        }
    }

    async fn service(&self, service: &'static str, role: &Role) -> Result<Authorised, CliError> {
        let token = self.token(role)?;
        let bearer = format!("Bearer {token}").parse().map_err(|_| {
            CliError::usage(
                "the token holds characters that no token has",
                "paste it whole, without line breaks",
            )
        })?;
        Ok(InterceptedService::new(
            Guard::new(self.channel(service).await?, Arc::clone(&self.terms)),
            Bearer(bearer),
        ))
    }

    fn token(&self, role: &Role) -> Result<String, CliError> {
        if let Some(token) = &self.settings.token {
            return Ok(token.clone());
        }
        let mint = self.mint.as_ref().ok_or_else(|| {
            CliError::usage(
                "there is no token",
                "give --token, --token-file, --key or --context-file",
            )
        })?;
        let account = if *role == Role::Ops {
            None
        } else {
            Some(self.settings.account()?)
        };
        mint.for_role(role, account, crate::clock::now())
    }

    async fn channel(&self, service: &'static str) -> Result<Channel, CliError> {
        let known = self
            .channels
            .lock()
            .ok()
            .and_then(|channels| channels.get(service).cloned());
        if let Some(channel) = known {
            return Ok(channel);
        }
        let url = match service {
            "assignment" => &self.settings.assignment,
            "conversation" => &self.settings.conversation,
            "crm-cards" => &self.settings.crm_cards,
            _ => &self.settings.channel_gateway,
        };
        let endpoint = Endpoint::from_shared(url.clone())
            .map_err(|_| {
                CliError::usage(
                    &format!("{url} is no address of {service}"),
                    "write it as http://host:port or https://host:port",
                )
            })?
            .connect_timeout(self.settings.timeout.min(std::time::Duration::from_secs(3)))
            .timeout(self.settings.timeout);
        let endpoint = self.trusting(endpoint, service, url)?;
        let channel = endpoint
            .connect()
            .await
            .map_err(|error| CliError::Unreachable {
                service,
                url: url.clone(),
                cause: root_cause(&error),
            })?;
        if let Ok(mut channels) = self.channels.lock() {
            channels.insert(service, channel.clone());
        }
        Ok(channel)
    }
}

impl Session {
    /// Has an address that begins with `https://` proven by the certificates of `--ca-file`.
    fn trusting(
        &self,
        endpoint: Endpoint,
        service: &'static str,
        url: &str,
    ) -> Result<Endpoint, CliError> {
        if endpoint.uri().scheme_str() != Some("https") {
            return Ok(endpoint);
        }
        let hint = "give --ca-file FILE, or ca_file in the context: certificates in PEM";
        let Some(path) = &self.settings.ca_file else {
            let told = format!("nothing tells whom to trust at {url}");
            return Err(CliError::usage(&told, hint));
        };
        let told = |error: &dyn std::fmt::Display| {
            CliError::usage(&format!("{} for {service}: {error}", path.display()), hint)
        };
        let trusted = std::fs::read(path).map_err(|error| told(&error))?;
        // A second installation in the same process is refused, and is as good as the first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let trusted = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(trusted));
        let endpoint = endpoint.tls_config(trusted);
        endpoint.map_err(|error| told(&root_cause(&error)))
    }
}

/// The innermost cause, which is what a person can act on.
fn root_cause(error: &tonic::transport::Error) -> String {
    let mut innermost: &dyn Error = error;
    while let Some(inner) = innermost.source() {
        innermost = inner;
    }
    plain(innermost)
}
