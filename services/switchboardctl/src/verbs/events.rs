//! Domain events as they pass.

use async_nats::jetstream::consumer::{DeliverPolicy, pull::OrderedConfig};
use async_nats::jetstream::{self, Message};
use clap::Subcommand;
use futures::StreamExt as _;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::connect::Session;
use crate::error::{CliError, plain};
use crate::output::{View, json as protobuf_json, say, words};

/// The stream of domain events.
const STREAM: &str = "EVENTS";

/// Verbs on events.
#[derive(Subcommand)]
pub(crate) enum EventsVerb {
    /// Print events as they pass; ends with Ctrl-C
    Watch {
        /// Begin with the oldest that is kept
        #[arg(long)]
        from_start: bool,
        /// End after this many
        #[arg(long, value_name = "N")]
        count: Option<usize>,
        /// Only this entity, for example `card`
        #[arg(long)]
        entity: Option<String>,
        /// Without the payload
        #[arg(long)]
        brief: bool,
    },
}

/// One event as it was published.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// When, by `ce-time`.
    pub time: Option<OffsetDateTime>,
    /// The subject.
    pub subject: String,
    /// The `ce-id`.
    pub id: String,
    /// The `ce-type`.
    pub kind: String,
    /// The payload as protobuf JSON; null where it cannot be decoded.
    pub payload: Value,
    /// Other headers, for programs.
    headers: serde_json::Map<String, Value>,
}

impl Event {
    fn of(message: &Message) -> Self {
        let mut headers = serde_json::Map::new();
        for (name, values) in message.headers.iter().flat_map(|headers| headers.iter()) {
            if let Some(value) = values.first() {
                headers.insert(name.to_string(), json!(value.as_str()));
            }
        }
        let header = |name: &str| {
            headers
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let kind = header("ce-type");
        Self {
            time: OffsetDateTime::parse(&header("ce-time"), &Rfc3339).ok(),
            subject: message.subject.to_string(),
            id: header("ce-id"),
            payload: protobuf_json::decode(&kind, &message.payload).unwrap_or(Value::Null),
            kind,
            headers,
        }
    }

    /// `entity.event`, the end of the subject.
    pub fn name(&self) -> String {
        let mut tokens = self.subject.rsplitn(3, '.');
        let (event, entity) = (
            tokens.next().unwrap_or_default(),
            tokens.next().unwrap_or_default(),
        );
        format!("{entity}.{event}")
    }

    /// A header; empty where it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// The publishing service, as in the subject.
    pub fn service(&self) -> &str {
        self.subject.split('.').nth(3).unwrap_or_default()
    }
}

/// An ordered reader of the events of an account, or of all accounts.
pub(crate) struct Watch {
    messages: jetstream::consumer::pull::Ordered,
    // Dropping the client would end the reading.
    _client: async_nats::Client,
}

impl Watch {
    /// Begins to read. After it returns, nothing that is published is missed.
    pub async fn open(
        session: &Session,
        subject: String,
        from_start: bool,
    ) -> Result<Self, CliError> {
        let client = connect(session).await?;
        let away = |error: String| {
            CliError::failed(
                format!("the stream {STREAM} cannot be read: {error}"),
                "start a service: it declares the stream",
            )
        };
        let stream = jetstream::new(client.clone())
            .get_stream(STREAM)
            .await
            .map_err(|error| away(error.to_string()))?;
        let config = OrderedConfig {
            filter_subject: subject,
            deliver_policy: if from_start {
                DeliverPolicy::All
            } else {
                DeliverPolicy::New
            },
            ..OrderedConfig::default()
        };
        let consumer = stream
            .create_consumer(config)
            .await
            .map_err(|error| away(error.to_string()))?;
        let messages = consumer
            .messages()
            .await
            .map_err(|error| away(error.to_string()))?;
        Ok(Self {
            messages,
            _client: client,
        })
    }

    /// The next event; waits for it.
    pub async fn next(&mut self) -> Result<Event, CliError> {
        match self.messages.next().await {
            Some(Ok(message)) => Ok(Event::of(&message)),
            Some(Err(error)) => Err(CliError::failed(
                format!("the stream {STREAM} broke off: {error}"),
                "again",
            )),
            None => Err(CliError::failed(
                format!("the stream {STREAM} ended"),
                "again",
            )),
        }
    }
}

/// Connects to the broker.
pub(super) async fn connect(session: &Session) -> Result<async_nats::Client, CliError> {
    let settings = &session.settings;
    // The address may hold a password: it is not repeated.
    let address: async_nats::ServerAddr = settings.nats.parse().map_err(|error| {
        CliError::usage(
            &format!("the address of NATS cannot be read: {error}"),
            "nats://127.0.0.1:4222, or nats://user:password@host:4222 with what is special escaped (%40 for @)",
        )
    })?;
    let mut options = async_nats::ConnectOptions::new()
        .name("switchboardctl")
        .connection_timeout(settings.timeout)
        .request_timeout(Some(settings.timeout));
    // The client leaves users and passwords of addresses alone.
    if let Some(user) = address.username() {
        let plain = |escaped: &str| percent_decode_str(escaped).decode_utf8_lossy().into_owned();
        options =
            options.user_and_password(plain(user), plain(address.password().unwrap_or_default()));
    }
    if let Some(path) = &settings.nats_credentials {
        options = options
            .credentials_file(path)
            .await
            .map_err(|error| CliError::file("read the NATS credentials", path, &error))?;
    }
    options
        .connect(&address)
        .await
        .map_err(|error| CliError::Unreachable {
            service: "nats",
            url: format!("nats://{}:{}", address.host(), address.port()),
            cause: plain(&error),
        })
}

/// Runs a verb.
pub(crate) async fn run(verb: EventsVerb, session: &Session, view: View) -> Result<(), CliError> {
    let EventsVerb::Watch {
        from_start,
        count,
        entity,
        brief,
    } = verb;
    let account = session.settings.account.as_deref().unwrap_or("*");
    let subject = format!(
        "switchboard.v1.{account}.*.{}.*",
        entity.as_deref().unwrap_or("*")
    );
    let mut watch = Watch::open(session, subject, from_start).await?;
    let mut seen = 0;
    while count.is_none_or(|count| seen < count) {
        let event = tokio::select! {
            event = watch.next() => event?,
            _ = tokio::signal::ctrl_c() => return Ok(()),
        };
        print(&event, brief, &view);
        seen += 1;
    }
    Ok(())
}

fn print(event: &Event, brief: bool, view: &View) {
    if view.is_ids() {
        say!("{}", event.id);
        return;
    }
    if !view.is_table() {
        let mut value = json!({ "subject": event.subject, "headers": event.headers });
        if !brief {
            value["data"] = event.payload.clone();
        }
        say!("{value}");
        return;
    }
    let time = event.time.map(words::clock).unwrap_or_default();
    let (bold, dim, end) = if view.colour {
        ("\u{1b}[1m", "\u{1b}[2m", "\u{1b}[0m")
    } else {
        ("", "", "")
    };
    say!(
        "{dim}{time}{end}  {bold}{}{end}  {dim}{}{end}",
        event.subject,
        event.id
    );
    if !brief {
        let payload = if event.payload.is_null() {
            format!("({} cannot be decoded)", event.kind)
        } else {
            event.payload.to_string()
        };
        say!("              {payload}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_named_by_the_end_of_its_subject() {
        let event = Event {
            time: None,
            subject: "switchboard.v1.demo.conversation.conversation.opened".into(),
            id: String::new(),
            kind: String::new(),
            payload: Value::Null,
            headers: serde_json::Map::new(),
        };
        assert_eq!(event.name(), "conversation.opened");
        assert_eq!(event.service(), "conversation");
    }
}
