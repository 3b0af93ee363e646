//! Starts the four real services as processes, with their configuration in the environment, on ports reserved
//! beforehand (each must know its peers before any is up), and kills and restarts them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use base64::Engine;
use serde::Deserialize;
use tempfile::TempDir;
use tonic::transport::{ClientTlsConfig, Endpoint};

use crate::fronts::Front;
use crate::servers::{Certificate, Process, ports};
use crate::tokens::{AUDIENCE, ISSUER, TokenMaker};

/// How long a service may take until it is ready, its migrations included.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long a service may take to drain and exit (architecture, grace period 20 s).
pub(crate) const GRACE: Duration = Duration::from_secs(25);

/// One of the four services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Speaks to the providers.
    ChannelGateway,
    /// Chats and messages.
    Conversation,
    /// Cards and contacts.
    CrmCards,
    /// Accounts, agents, responsibles.
    Assignment,
}

impl Kind {
    /// All four, in the order they are started in.
    pub const ALL: [Self; 4] = [
        Self::Assignment,
        Self::Conversation,
        Self::CrmCards,
        Self::ChannelGateway,
    ];

    /// Name of the service and of its binary.
    pub fn name(self) -> &'static str {
        match self {
            Self::ChannelGateway => "channel-gateway",
            Self::Conversation => "conversation",
            Self::CrmCards => "crm-cards",
            Self::Assignment => "assignment",
        }
    }

    /// Whom it calls: what the section `peers` of its own defaults (`services/<name>/config.toml`) names. A key that
    /// a service does not know would be refused.
    fn peers(self) -> Vec<Self> {
        let defaults = format!(
            "{}/../services/{}/config.toml",
            env!("CARGO_MANIFEST_DIR"),
            self.name()
        );
        let defaults = std::fs::read_to_string(defaults).unwrap_or_default();
        let section = defaults
            .lines()
            .skip_while(|line| line.trim() != "[peers]")
            .skip(1);
        let keys: Vec<&str> = section
            .take_while(|line| !line.trim_start().starts_with('['))
            .filter_map(|line| Some(line.split_once('=')?.0.trim()))
            .collect();
        Self::ALL
            .into_iter()
            .filter(|peer| keys.contains(&peer.key().as_str()))
            .collect()
    }

    fn key(self) -> String {
        self.name().replace('-', "_")
    }
}

/// Where a service listens, as it wrote into its address file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Addresses {
    /// gRPC, `host:port`.
    pub grpc: String,
    /// `/livez`, `/readyz`, `/metrics`.
    pub admin: String,
    /// Webhooks and files; the gateway only.
    #[serde(default)]
    pub http: Option<String>,
}

/// What the services are connected to.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// NATS, for example from [`crate::servers::NatsServer::url`].
    pub nats_url: String,
    /// `PostgreSQL` without a database; four databases are made there.
    pub postgres_url: String,
    /// Base address of the Bot API, for example from [`crate::telegram::StandIn::url`].
    pub telegram_url: String,
    /// More environment for all or one of the services: (service or none for all, variable, value).
    pub environment: Vec<(Option<Kind>, String, String)>,
    /// Callers come by an address before each service, behind which there may be several replicas: see [`System::admit`].
    pub fronted: bool,
    /// Where the services' programs are, if not beside the test: another version's.
    pub programs: Option<PathBuf>,
    /// Services speak TLS with each other and their callers: see [`System::certify`].
    pub tls: bool,
}

/// Ports of one process: gRPC, health and metrics, webhooks and files.
pub type Ports = [u16; 3];

struct Service {
    /// Addresses that callers use for gRPC and for webhooks and files; none where they use the process's own.
    fronts: Option<[Front; 2]>,
    ports: Ports,
    addresses: Option<Addresses>,
    process: Option<Process>,
    database_url: String,
}

/// The four services of one system. They end when it is dropped.
pub struct System {
    folder: TempDir,
    surroundings: Surroundings,
    tokens: TokenMaker,
    services: BTreeMap<Kind, Service>,
}

impl System {
    /// Makes databases and keys and starts all four; returns when all are ready.
    pub async fn start(surroundings: Surroundings) -> anyhow::Result<Self> {
        let mut system = Self::prepare(surroundings).await?;
        for kind in Kind::ALL {
            system.launch(kind)?;
        }
        for kind in Kind::ALL {
            system.wait_ready(kind).await?;
        }
        Ok(system)
    }

    /// Makes databases, keys and ports, and starts nothing yet.
    pub async fn prepare(surroundings: Surroundings) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("switchboard-system-")
            .tempdir()?;
        let tokens = TokenMaker::create(folder.path())?;
        let key: [u8; 32] = rand::random();
        std::fs::write(
            folder.path().join("sealing.key"),
            format!(
                "{}\n",
                base64::engine::general_purpose::STANDARD.encode(key)
            ),
        )?;
        if surroundings.tls {
            let certificate = Certificate::new()?;
            certify(folder.path(), &certificate, &[&certificate])?;
        }
        let unique = uuid::Uuid::new_v4().simple().to_string();
        let reserved = ports(Kind::ALL.len() * 3)?;
        let mut services = BTreeMap::new();
        for (kind, ports) in Kind::ALL.into_iter().zip(reserved.chunks_exact(3)) {
            let database = format!("e2e_{}_{}", kind.key(), unique.get(..12).unwrap_or(&unique));
            let database_url =
                crate::servers::create_database(&surroundings.postgres_url, &database).await?;
            let ports = [ports[0], ports[1], ports[2]];
            let fronts = if surroundings.fronted {
                Some([Front::open().await?, Front::open().await?])
            } else {
                None
            };
            services.insert(
                kind,
                Service {
                    fronts,
                    ports,
                    addresses: None,
                    process: None,
                    database_url,
                },
            );
        }
        let system = Self {
            folder,
            surroundings,
            tokens,
            services,
        };
        for kind in Kind::ALL {
            system.admit(kind, system.ports(kind)?)?;
        }
        Ok(system)
    }

    /// Ports of a service's first process.
    pub fn ports(&self, kind: Kind) -> anyhow::Result<Ports> {
        Ok(self.service(kind)?.ports)
    }

    /// Lets callers come to a process; nothing where there is no front.
    pub fn admit(&self, kind: Kind, [grpc, _, http]: Ports) -> anyhow::Result<()> {
        if let Some(fronts) = &self.service(kind)?.fronts {
            fronts[0].add(grpc);
            fronts[1].add(http);
        }
        Ok(())
    }

    /// Lets callers come to a process no more; those who are there stay.
    pub fn withdraw(&self, kind: Kind, [grpc, _, http]: Ports) -> anyhow::Result<()> {
        if let Some(fronts) = &self.service(kind)?.fronts {
            fronts[0].remove(grpc);
            fronts[1].remove(http);
        }
        Ok(())
    }

    /// What is launched from now on are programs of this folder; none for those beside the test.
    pub fn use_programs(&mut self, folder: Option<PathBuf>) {
        self.surroundings.programs = folder;
    }

    /// The program of a service.
    pub(crate) fn program(&self, kind: Kind) -> anyhow::Result<PathBuf> {
        match &self.surroundings.programs {
            Some(folder) => Ok(folder.join(kind.name())),
            None => binary(kind.name()),
        }
    }

    /// Tokens that the services accept.
    pub fn tokens(&self) -> &TokenMaker {
        &self.tokens
    }

    /// Folder of configuration, keys and logs (`<service>.log`).
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The log file of a service, over all its lives.
    pub fn log(&self, kind: Kind) -> PathBuf {
        self.folder.path().join(format!("{}.log", kind.name()))
    }

    /// Where a service listens; none before it was ready once.
    pub fn addresses(&self, kind: Kind) -> Option<&Addresses> {
        self.services.get(&kind)?.addresses.as_ref()
    }

    /// gRPC address of a service with scheme.
    pub fn grpc_url(&self, kind: Kind) -> anyhow::Result<String> {
        let service = self.service(kind)?;
        let front = service.fronts.as_ref().map(|fronts| fronts[0].port());
        let scheme = if self.surroundings.tls {
            "https"
        } else {
            "http"
        };
        Ok(format!(
            "{scheme}://127.0.0.1:{}",
            front.unwrap_or(service.ports[0])
        ))
    }

    /// Address of the gateway's webhooks and files with scheme.
    pub fn http_url(&self) -> anyhow::Result<String> {
        let service = self.service(Kind::ChannelGateway)?;
        let front = service.fronts.as_ref().map(|fronts| fronts[1].port());
        Ok(format!(
            "http://127.0.0.1:{}",
            front.unwrap_or(service.ports[2])
        ))
    }

    /// Gives all services another certificate, and has them and callers trust these; they read the files by themselves.
    pub fn certify(&self, own: &Certificate, trusted: &[&Certificate]) -> anyhow::Result<()> {
        certify(self.folder(), own, trusted)
    }

    /// How callers connect to a service.
    pub fn endpoint(&self, kind: Kind) -> anyhow::Result<Endpoint> {
        let endpoint = Endpoint::from_shared(self.grpc_url(kind)?)?;
        if !self.surroundings.tls {
            return Ok(endpoint);
        }
        let _ = rustls::crypto::ring::default_provider().install_default();
        let trusted = std::fs::read(self.folder().join("ca.pem"))?;
        let trusted = tonic::transport::Certificate::from_pem(trusted);
        Ok(endpoint.tls_config(ClientTlsConfig::new().ca_certificate(trusted))?)
    }

    /// Address of a service's database.
    pub fn database_url(&self, kind: Kind) -> anyhow::Result<&str> {
        Ok(&self.service(kind)?.database_url)
    }

    /// The process of a service, while it runs.
    pub fn process(&mut self, kind: Kind) -> Option<&mut Process> {
        self.services.get_mut(&kind)?.process.as_mut()
    }

    /// Ends a service at once, as a crash would.
    pub fn kill(&mut self, kind: Kind) -> anyhow::Result<()> {
        match self
            .services
            .get_mut(&kind)
            .and_then(|service| service.process.take())
        {
            Some(mut process) => process.kill(),
            None => Ok(()),
        }
    }

    /// Ends a service with `SIGTERM`; true when it drained and exited within the grace period.
    pub fn terminate(&mut self, kind: Kind) -> anyhow::Result<bool> {
        match self
            .services
            .get_mut(&kind)
            .and_then(|service| service.process.take())
        {
            Some(mut process) => process.stop(GRACE),
            None => Ok(true),
        }
    }

    /// Starts a service again on its former ports (killing it first if it runs) and waits until it is ready.
    pub async fn restart(&mut self, kind: Kind) -> anyhow::Result<()> {
        self.kill(kind)?;
        self.launch(kind)?;
        self.wait_ready(kind).await
    }

    /// Starts a service without waiting for it.
    pub fn launch(&mut self, kind: Kind) -> anyhow::Result<()> {
        let address_file = self.address_file(kind);
        // What an earlier life wrote would be read as ready.
        let _ = std::fs::remove_file(&address_file);
        let mut command = Command::new(self.program(kind)?);
        command.arg("serve").env_clear();
        command.envs(
            std::env::vars_os()
                .filter(|(name, _)| !name.to_string_lossy().starts_with("SWITCHBOARD_")),
        );
        command
            .envs(self.environment(kind)?)
            .env("SWITCHBOARD_ADDRESS_FILE", address_file);
        let process = Process::start(kind.name(), &mut command, &self.log(kind), "TERM")?;
        self.services
            .get_mut(&kind)
            .context("an unknown service")?
            .process = Some(process);
        Ok(())
    }

    /// Waits until a launched service answers 200 to `/readyz`; an error with the end of its log if it ends first.
    pub async fn wait_ready(&mut self, kind: Kind) -> anyhow::Result<()> {
        // A second installation in the same process is refused, and is as good as the first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(2))
            .build()?;
        let address_file = self.address_file(kind);
        let service = self.services.get_mut(&kind).context("an unknown service")?;
        let process = service
            .process
            .as_mut()
            .context("the service was not launched")?;
        let ready = format!("http://127.0.0.1:{}/readyz", service.ports[1]);
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = process.ended() {
                bail!(
                    "{} ended while starting ({status}):\n{}",
                    kind.name(),
                    process.log_tail()
                );
            }
            let answered = http
                .get(&ready)
                .send()
                .await
                .is_ok_and(|answer| answer.status().is_success());
            if answered && let Ok(written) = std::fs::read(&address_file) {
                service.addresses =
                    Some(serde_json::from_slice(&written).context("reading the address file")?);
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!(
                    "{} was not ready within {PATIENCE:?}:\n{}",
                    kind.name(),
                    process.log_tail()
                );
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn service(&self, kind: Kind) -> anyhow::Result<&Service> {
        self.services.get(&kind).context("an unknown service")
    }

    fn address_file(&self, kind: Kind) -> PathBuf {
        self.folder
            .path()
            .join(format!("{}.addresses.json", kind.name()))
    }

    /// The configuration of a service: variables `SWITCHBOARD_SECTION__KEY`. The same table in another language is
    /// `scripts/lib/switchboard/services.py`.
    pub(crate) fn environment(&self, kind: Kind) -> anyhow::Result<BTreeMap<String, String>> {
        let service = self.service(kind)?;
        let [grpc, admin, http] = service.ports;
        let path = |path: &Path| path.display().to_string();
        let mut settings = vec![
            ("DATABASE__URL".to_owned(), service.database_url.clone()),
            ("DATABASE__MIGRATE_ON_START".to_owned(), "true".to_owned()),
            ("NATS__URL".to_owned(), self.surroundings.nats_url.clone()),
            ("NATS__REPLICAS".to_owned(), "1".to_owned()),
            ("NATS__EVENTS_MAX_BYTES".to_owned(), "2GiB".to_owned()),
            ("NATS__INBOUND_MAX_BYTES".to_owned(), "1GiB".to_owned()),
            (
                "NATS__DEAD_LETTERS_MAX_BYTES".to_owned(),
                "256MiB".to_owned(),
            ),
            ("GRPC__LISTEN".to_owned(), format!("127.0.0.1:{grpc}")),
            ("ADMIN__LISTEN".to_owned(), format!("127.0.0.1:{admin}")),
            ("AUTH__JWKS".to_owned(), path(self.tokens.jwks_file())),
            ("AUTH__ISSUER".to_owned(), ISSUER.to_owned()),
            ("AUTH__AUDIENCE".to_owned(), AUDIENCE.to_owned()),
            (
                "AUTH__INTERNAL_TOKEN_FILE".to_owned(),
                path(self.tokens.internal_token_file()),
            ),
        ];
        if self.surroundings.tls {
            for (key, file) in [
                ("CERTIFICATE_FILE", "own.pem"),
                ("KEY_FILE", "own.key"),
                ("CA_FILE", "ca.pem"),
            ] {
                settings.push((format!("GRPC__{key}"), path(&self.folder().join(file))));
            }
        }
        for peer in kind.peers() {
            settings.push((
                format!("PEERS__{}", peer.key().to_uppercase()),
                self.grpc_url(peer)?,
            ));
        }
        if kind == Kind::ChannelGateway {
            settings.push(("HTTP__LISTEN".to_owned(), format!("127.0.0.1:{http}")));
            settings.push(("HTTP__PUBLIC_URL".to_owned(), self.http_url()?));
            settings.push((
                "TELEGRAM__API_URL".to_owned(),
                self.surroundings.telegram_url.clone(),
            ));
            settings.push((
                "SEAL__KEY_FILE".to_owned(),
                path(&self.folder.path().join("sealing.key")),
            ));
            settings.push((
                "FILES__FOLDER".to_owned(),
                path(&self.folder.path().join("files")),
            ));
            settings.push(("FILES__ALLOW_PRIVATE".to_owned(), "true".to_owned()));
        }
        let own = settings
            .into_iter()
            .map(|(key, value)| (format!("SWITCHBOARD_{key}"), value));
        let more = self
            .surroundings
            .environment
            .iter()
            .filter(|(of, ..)| of.is_none_or(|of| of == kind));
        Ok(own
            .chain(more.map(|(_, key, value)| (key.clone(), value.clone())))
            .collect())
    }
}

fn certify(folder: &Path, own: &Certificate, trusted: &[&Certificate]) -> anyhow::Result<()> {
    let trusted: String = trusted.iter().map(|one| one.pem.as_str()).collect();
    // The key first: it is read with its certificate, when that changes.
    for (file, text) in [
        ("ca.pem", &trusted),
        ("own.key", &own.key_pem),
        ("own.pem", &own.pem),
    ] {
        replace(&folder.join(file), text)?;
    }
    Ok(())
}

/// Puts a file in the place of another at once, as Kubernetes replaces those of a secret.
pub fn replace(path: &Path, text: &str) -> anyhow::Result<()> {
    let next = path.with_extension("next");
    std::fs::write(&next, text)?;
    Ok(std::fs::rename(next, path)?)
}

/// A binary of the workspace: beside the test executable's folder (`target/<profile>/deps`), or beside the executable.
pub fn binary(name: &str) -> anyhow::Result<PathBuf> {
    let executable = std::env::current_exe()?;
    executable
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
        .with_context(|| format!("{name} is not built; run: cargo build --workspace --bins"))
}
