//! Submission of mails over SMTP (channels.md §5.3).

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Response;
use secrecy::ExposeSecret as _;

use super::imap::{Login, Secret};
use super::wire::{Endpoint, Security, Wires};
use crate::domain::refusal::Class;
use crate::domain::smtp::{self, SmtpReply, Stage};
use crate::figures;
use stream::{Replies, start_tls};

mod stream;

/// The longest address that fits into a command.
const ADDRESS_MAX: usize = 320;

/// How long the server may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(3);

/// Who sends to whom, as the servers see it. The mail's own fields say what people see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Where bounces go; none for automatic mails (`MAIL FROM:<>`).
    pub from: Option<String>,
    /// Who receives.
    pub to: Vec<String>,
}

/// What a server that took a mail said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Its reply.
    pub reply: SmtpReply,
    /// The id in its queue, where the reply names one.
    pub queue_id: Option<String>,
    /// Those recipients that it refused, while it took the mail for the others.
    pub refused: Vec<(String, SmtpReply)>,
}

/// Why a mail was not, or not certainly, taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The server refused.
    #[error("the mail server refused at {stage:?}: {} {}", reply.code, reply.text)]
    Refused {
        /// At what.
        stage: Stage,
        /// Its reply.
        reply: SmtpReply,
    },
    /// The mail is larger than the server announced to take.
    #[error("the mail server takes {0} bytes at most")]
    TooLarge(u64),
    /// An address that this server, or none, can be told.
    #[error("this address cannot be written to")]
    Address(String),
    /// The server was not reached, or the connection broke before it had the mail: nothing was sent.
    #[error("the mail server was not reached: {0}")]
    NotReached(String),
    /// The connection broke after the server was given the mail: nobody knows whether it took it.
    ///
    /// Mail is the exception to *uncertain* (channels.md §1): the very same bytes may be sent again, since whoever gets
    /// them twice tells by the Message-ID. So this is no outcome to be shown but one more reason to try again.
    #[error("the connection broke after the mail was sent: {0}")]
    Unknown(String),
}

impl SendError {
    /// Decides what it means for the delivery.
    pub fn class(&self) -> Class {
        match self {
            Self::Refused { stage, reply } => smtp::classify(reply, *stage),
            Self::TooLarge(_) => smtp::too_large(),
            Self::Address(_) => smtp::unknown(),
            Self::NotReached(_) | Self::Unknown(_) => Class::Outage,
        }
    }
}

/// A server that takes mails of one mailbox.
#[derive(Debug, Clone)]
pub struct Server {
    /// Where it is.
    pub endpoint: Endpoint,
    /// Who sends; none where the server takes mails of its network.
    pub login: Option<Login>,
}

/// Sends mails.
#[derive(Clone)]
pub struct Submission {
    wires: Wires,
    hello: String,
    limit: Duration,
}

impl Submission {
    /// Makes it. `hello` is the name by which it greets, a domain of ours; a step takes no longer than `limit`: up to the
    /// server's readiness for the mail, and handing it over.
    pub fn new(wires: Wires, hello: &str, limit: Duration) -> Self {
        let fits = !hello.is_empty()
            && hello
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b".-[]:".contains(&byte));
        Self {
            wires,
            hello: if fits { hello } else { "localhost" }.to_owned(),
            limit,
        }
    }

    /// Logs in and leaves again.
    pub async fn prove(&self, server: &Server) -> Result<(), SendError> {
        let connected = tokio::time::timeout(self.limit, self.open(server)).await;
        let (connection, _) =
            connected.map_err(|_| SendError::NotReached("it took too long".into()))??;
        leave(connection, true).await;
        Ok(())
    }

    /// Sends a mail as it is, but for line ends: a lone CR or LF, by which a server could be made to see two mails in
    /// one, becomes CRLF.
    ///
    /// Where the server takes it for some recipients only, that is a success that names the others.
    pub async fn send(
        &self,
        server: &Server,
        envelope: &Envelope,
        raw: &[u8],
    ) -> Result<Accepted, SendError> {
        let began = Instant::now();
        let sent = self.hand_over(server, envelope, raw).await;
        let class = match &sent {
            Ok(_) => "ok",
            Err(SendError::Refused { .. } | SendError::TooLarge(_) | SendError::Address(_)) => {
                "refused"
            }
            Err(SendError::NotReached(_)) => "unreached",
            Err(SendError::Unknown(_)) => "broken",
        };
        figures::PROVIDER_SECONDS
            .of(["email", class])
            .record(began.elapsed().as_secs_f64());
        sent
    }

    async fn hand_over(
        &self,
        server: &Server,
        envelope: &Envelope,
        raw: &[u8],
    ) -> Result<Accepted, SendError> {
        let raw = smtp::with_crlf(raw);
        let ready = self.until_ready(server, envelope, &raw);
        let ready = tokio::time::timeout(self.limit, ready).await;
        let (mut connection, refused) =
            ready.map_err(|_| SendError::NotReached("it took too long".into()))??;
        // The client ends the last line itself.
        let content = raw.strip_suffix(b"\r\n").unwrap_or(&raw);
        let sent = tokio::time::timeout(self.limit, connection.message(content)).await;
        let sent = sent.map_err(|_| SendError::Unknown("it took too long".into()))?;
        let reply = match sent {
            Ok(response) => read(&response),
            Err(error) => {
                let error = failed(&error, Stage::Content);
                leave(connection, matches!(error, SendError::Refused { .. })).await;
                return Err(match error {
                    SendError::NotReached(why) => SendError::Unknown(why),
                    other => other,
                });
            }
        };
        leave(connection, true).await;
        Ok(Accepted {
            queue_id: smtp::queue_id(&reply.text),
            reply,
            refused,
        })
    }

    /// Connects, logs in and hands over the envelope, up to the server's readiness for the content.
    async fn until_ready(
        &self,
        server: &Server,
        envelope: &Envelope,
        raw: &[u8],
    ) -> Result<(AsyncSmtpConnection, Vec<(String, SmtpReply)>), SendError> {
        if envelope.to.is_empty() {
            return Err(SendError::Address(String::new()));
        }
        let (mut connection, able) = self.open(server).await?;
        match hand_over(&mut connection, &able, envelope, raw).await {
            Ok(refused) => Ok((connection, refused)),
            Err(error) => {
                leave(connection, !matches!(error, SendError::NotReached(_))).await;
                Err(error)
            }
        }
    }

    async fn open(&self, server: &Server) -> Result<(AsyncSmtpConnection, Able), SendError> {
        let not_reached = |error: super::wire::WireError| SendError::NotReached(error.0);
        let mut wire = self
            .wires
            .dial(&server.endpoint)
            .await
            .map_err(not_reached)?;
        let mut preface: &[u8] = b"";
        if server.endpoint.security == Security::StartTls {
            start_tls(&mut wire, &self.hello).await?;
            let host = &server.endpoint.host;
            wire = self.wires.secure(wire, host).await.map_err(not_reached)?;
            // The client waits for a greeting, which a server does not repeat.
            preface = b"220 secured\r\n";
        }
        let stream = Box::new(Replies { wire, preface });
        let hello = ClientId::Domain(self.hello.clone());
        let mut connection = AsyncSmtpConnection::connect_with_transport(stream, &hello)
            .await
            .map_err(|error| failed(&error, Stage::Greeting))?;
        let hello = format!("EHLO {}", self.hello);
        let able = command(&mut connection, &hello, Stage::Greeting).await?;
        let able = Able::read(&able);
        if let Some(login) = &server.login {
            log_in(&mut connection, &able, login).await?;
        }
        Ok((connection, able))
    }
}

/// What a server is able to do.
#[derive(Debug, Default)]
struct Able {
    size: Option<u64>,
    eight_bit: bool,
    utf8: bool,
    auth: Vec<String>,
}

impl Able {
    fn read(text: &str) -> Self {
        let mut able = Self::default();
        for line in text.lines() {
            let mut words = line.split_whitespace().map(str::to_ascii_uppercase);
            match words.next().as_deref() {
                Some("SIZE") => able.size = words.next().and_then(|size| size.parse().ok()),
                Some("8BITMIME") => able.eight_bit = true,
                Some("SMTPUTF8") => able.utf8 = true,
                Some("AUTH") => able.auth.extend(words),
                _ => {}
            }
        }
        // Zero announces no limit.
        able.size = able.size.filter(|size| *size > 0);
        able
    }

    fn takes(&self, mechanism: &str) -> bool {
        self.auth.iter().any(|offered| offered == mechanism)
    }
}

async fn log_in(
    connection: &mut AsyncSmtpConnection,
    able: &Able,
    login: &Login,
) -> Result<(), SendError> {
    let user = &login.user;
    match &login.secret {
        Secret::Token(token) => {
            let token = token.expose_secret();
            let first = BASE64.encode(format!("user={user}\x01auth=Bearer {token}\x01\x01"));
            let code = said(connection, &format!("AUTH XOAUTH2 {first}")).await?;
            // A challenge tells why it was refused; an empty line brings the refusal itself.
            if code == 334 {
                said(connection, "").await?;
            }
        }
        Secret::Password(password) if able.takes("PLAIN") || !able.takes("LOGIN") => {
            let first = BASE64.encode(format!("\0{user}\0{}", password.expose_secret()));
            said(connection, &format!("AUTH PLAIN {first}")).await?;
        }
        Secret::Password(password) => {
            for line in [
                "AUTH LOGIN".to_owned(),
                BASE64.encode(user),
                BASE64.encode(password.expose_secret()),
            ] {
                if said(connection, &line).await? != 334 {
                    break;
                }
            }
        }
    }
    Ok(())
}

/// Says a line of an authentication and returns the reply's code.
async fn said(connection: &mut AsyncSmtpConnection, line: &str) -> Result<u16, SendError> {
    let reply = connection.command(format!("{line}\r\n")).await;
    reply
        .map(|response| response.code().into())
        .map_err(|error| failed(&error, Stage::Auth))
}

/// Hands over the envelope; returns the recipients that the server refused, if it took at least one.
async fn hand_over(
    connection: &mut AsyncSmtpConnection,
    able: &Able,
    envelope: &Envelope,
    raw: &[u8],
) -> Result<Vec<(String, SmtpReply)>, SendError> {
    let size = raw.len() as u64;
    if let Some(limit) = able.size.filter(|limit| size > *limit) {
        return Err(SendError::TooLarge(limit));
    }
    let from = envelope.from.as_deref().unwrap_or_default();
    let all = envelope.to.iter().map(String::as_str);
    let unfit = |address: &&str| !fits(address, able);
    if let Some(address) = all.chain(envelope.from.as_deref()).find(unfit) {
        return Err(SendError::Address(address.to_owned()));
    }
    let mut sender = format!("MAIL FROM:<{from}>");
    if able.size.is_some() {
        sender.push_str(" SIZE=");
        sender.push_str(&size.to_string());
    }
    if able.eight_bit && !raw.is_ascii() {
        sender.push_str(" BODY=8BITMIME");
    }
    if able.utf8 && !(from.is_ascii() && envelope.to.iter().all(|to| to.is_ascii())) {
        sender.push_str(" SMTPUTF8");
    }
    command(connection, &sender, Stage::Sender).await?;
    let mut refused = Vec::new();
    for address in &envelope.to {
        match command(
            connection,
            &format!("RCPT TO:<{address}>"),
            Stage::Recipient,
        )
        .await
        {
            Ok(_) => {}
            Err(SendError::Refused { reply, .. }) => refused.push((address.clone(), reply)),
            Err(error) => return Err(error),
        }
    }
    if refused.len() == envelope.to.len() {
        // One that is only put off decides: then all are tried again.
        let passing = refused.iter().find(|(_, reply)| reply.code < 500);
        let decides = passing.or(refused.first()).map(|(_, reply)| reply.clone());
        let none = || SmtpReply::read(550, "");
        return Err(SendError::Refused {
            stage: Stage::Recipient,
            reply: decides.unwrap_or_else(none),
        });
    }
    command(connection, "DATA", Stage::Content).await?;
    Ok(refused)
}

/// Whether an address can stand in a command: nothing in it ends the command or the line.
fn fits(address: &str, able: &Able) -> bool {
    let (local, domain) = address.rsplit_once('@').unwrap_or_default();
    !local.is_empty()
        && !domain.is_empty()
        && address.len() <= ADDRESS_MAX
        && !address
            .chars()
            .any(|c| c.is_control() || c.is_whitespace() || c == '<' || c == '>')
        && (address.is_ascii() || able.utf8)
}

/// Says a command and returns the text of the positive reply.
async fn command(
    connection: &mut AsyncSmtpConnection,
    line: &str,
    stage: Stage,
) -> Result<String, SendError> {
    let reply = connection.command(format!("{line}\r\n")).await;
    reply
        .map(|response| text(&response))
        .map_err(|error| failed(&error, stage))
}

fn text(response: &Response) -> String {
    response.message().collect::<Vec<_>>().join("\n")
}

fn read(response: &Response) -> SmtpReply {
    SmtpReply::read(response.code().into(), &text(response))
}

/// Tells a refusal from a connection that broke.
fn failed(error: &lettre::transport::smtp::Error, stage: Stage) -> SendError {
    let source = std::error::Error::source(error).map(ToString::to_string);
    match error.status() {
        Some(code) => SendError::Refused {
            stage,
            reply: SmtpReply::read(code.into(), &source.unwrap_or_default()),
        },
        None => SendError::NotReached(source.unwrap_or_else(|| error.to_string())),
    }
}

/// Ends a connection, in order where it still stands.
async fn leave(mut connection: AsyncSmtpConnection, stands: bool) {
    if stands {
        let _ = tokio::time::timeout(GOODBYE, connection.quit()).await;
    }
}
