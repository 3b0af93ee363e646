//! What every test begins with.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use channel_gateway::app::accept::Intake;
use channel_gateway::app::book::Book;
use channel_gateway::app::claim::Terms;
use channel_gateway::app::learnt::Learnt;
use channel_gateway::app::mail::Post;
use channel_gateway::app::noted::Noted;
use channel_gateway::app::presses::Presses;
use channel_gateway::app::unclaimed::Unclaimed;
use channel_gateway::app::{App, connection, dispatch, photos};
use channel_gateway::config::Config;
use channel_gateway::events::{Events, Inbound};
use channel_gateway::files::Files;
use channel_gateway::files::links::Links;
use channel_gateway::files::store::Store;
use channel_gateway::grpc::Api;
use channel_gateway::peers::CommandSource;
use channel_gateway::provider::instagram::GraphApi;
use channel_gateway::provider::telegram::BotApi;
use channel_gateway::provider::viber::ViberApi;
use channel_gateway::store::MIGRATOR;
use chassis::access::AccessCopy;
use chassis::auth::Caller;
use chassis::clock;
use chassis::consumer::{Delivery, Handler as _, Origin};
use chassis::envelope::Envelope;
use chassis::id::{self, AccountSlug};
use chassis::nats::{self, Declared, Nats, Streams};
use chassis::outbox::Waker;
use chassis::packs::{Packer, PackerConfig};
use chassis::pauses::Pauses;
use chassis::seal::Sealer;
use chassis::testing::{self, TestDatabase};
use chassis::trace::TraceContext;
use prost::Message as _;
use switchboard_proto::DomainEvent;
use switchboard_proto::channel_gateway::v1::channel_gateway_service_server::ChannelGatewayService as _;
use switchboard_proto::channel_gateway::v1::{
    CreateChannelRequest, TelegramBotCredentials, create_channel_request,
};
use switchboard_proto::common::v1::{ContentPart, Text, content_part::Content};
use switchboard_proto::conversation::v1::{
    MessageQueued, OutboundCommand, outbound_command::Action,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::bot::Bot;

static BOTS: AtomicU64 = AtomicU64::new(1);

/// A gateway without its process: database, broker, Bot API and one enabled channel.
pub struct World {
    pub database: TestDatabase,
    pub nats: Nats,
    pub streams: Streams,
    pub config: Box<Config>,
    pub app: App,
    pub bot: Bot,
    pub account: AccountSlug,
    pub caller: Caller,
    pub channel: Uuid,
    pub token: String,
    pub source: Arc<Commands>,
    /// Gone with the world.
    pub _folder: tempfile::TempDir,
}

/// An outbox row, as far as these tests look into it.
#[derive(Clone, PartialEq, prost::Message)]
struct StoredEvents {
    #[prost(message, repeated, tag = "1")]
    events: Vec<StoredEvent>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct StoredEvent {
    #[prost(string, tag = "4")]
    entity: String,
    #[prost(string, tag = "5")]
    event: String,
    #[prost(bytes = "bytes", tag = "13")]
    payload: Bytes,
}

/// Commands as conversation would have them.
#[derive(Default)]
pub struct Commands(pub std::sync::Mutex<Vec<OutboundCommand>>);

#[tonic::async_trait]
impl CommandSource for Commands {
    async fn commands(
        &self,
        _: &AccountSlug,
        chat: Uuid,
        from: i64,
    ) -> anyhow::Result<Vec<OutboundCommand>> {
        let all = self.0.lock().unwrap();
        let wanted = all
            .iter()
            .filter(|command| command.chat_id == chat.to_string() && command.out_seq >= from);
        Ok(wanted.cloned().collect())
    }
}

/// A dispatcher with its settler, as one replica runs them.
pub struct Replica {
    pub stop: CancellationToken,
    pub waker: dispatch::Waker,
    pub tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Replica {
    /// Stops as SIGTERM does.
    pub async fn stop(self) {
        self.stop.cancel();
        for task in self.tasks {
            tokio::time::timeout(Duration::from_secs(15), task)
                .await
                .expect("it drains")
                .unwrap();
        }
    }

    /// Stops as SIGKILL does.
    pub fn kill(&self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

pub async fn world() -> World {
    let (bot, api_url) = Bot::start().await;
    let database = testing::database(&MIGRATOR).await;
    let mut config: Config =
        chassis::config::load_from(Config::EMBEDDED, None, HashMap::new()).unwrap();
    config.telegram.api_url = api_url;
    config.telegram.call_timeout = Duration::from_secs(2);
    let folder = tempfile::tempdir().unwrap();
    config.files.folder = folder.path().join("files");
    // It installs the TLS provider that the HTTP client asks for.
    drop(testing::service("channel-gateway", &config));
    let broker = testing::nats().await;
    let nats = Nats::new(broker.client.clone());
    let prefix = format!("gw{}", chassis::id::v7(chassis::clock::now()).simple());
    let streams = Streams::with_prefix(&prefix, 2);
    let declared = [Declared::Inbound, Declared::Events, Declared::DeadLetters];
    config.nats.inbound_max_bytes = 4 << 20;
    config.nats.events_max_bytes = 4 << 20;
    config.nats.dead_letters_max_bytes = 4 << 20;
    nats::declare(&nats, &streams, &config.nats, &declared)
        .await
        .unwrap();
    let sealer = Sealer::from_key(&[7; 32]);
    let links = Links::new(sealer.clone(), "https://gw.example");
    let store = Store::open(&config.files).unwrap();
    let app = App {
        pool: database.pool.clone(),
        files: Files::new(store, links, &config.files),
        sealer: sealer.clone(),
        book: Arc::new(Book::new(database.pool.clone(), sealer)),
        bots: BotApi::new(&config.telegram).unwrap(),
        viber: ViberApi::new(&config.viber).unwrap(),
        graph: GraphApi::new(&config.instagram).unwrap(),
        post: Post::new(&config.mail).unwrap(),
        plain_mail: true,
        heard: Noted::default(),
        spoke: Noted::default(),
        learnt: Learnt::default(),
        photos: photos::asked::Noted::default(),
        presses: Presses::default(),
        public_url: "https://gw.example".into(),
        pauses: Pauses::default(),
        relay: Waker::new(),
    };
    let account = testing::fresh_account();
    let caller = testing::service_caller(
        Some(&account),
        "tests",
        &["channels:admin", "chats:read"],
        None,
    );
    let number = BOTS.fetch_add(1, Ordering::Relaxed);
    let token = format!("{}:AAE_secret-token", 7_000 + number);
    let source = Arc::default();
    let mut world = World {
        database,
        nats,
        streams,
        config: Box::new(config),
        app,
        bot,
        account,
        caller,
        channel: Uuid::nil(),
        token,
        source,
        _folder: folder,
    };
    world.channel = world.create(&world.token.clone(), "").await.unwrap();
    connection::enable(&world.app, &world.caller, world.channel, clock::now())
        .await
        .unwrap();
    world
}

impl World {
    pub async fn create(&self, token: &str, request_id: &str) -> Result<Uuid, tonic::Status> {
        let credentials =
            create_channel_request::Credentials::TelegramBot(TelegramBotCredentials {
                token: token.to_owned(),
            });
        let request = CreateChannelRequest {
            request_id: request_id.to_owned(),
            name: "Shop".to_owned(),
            credentials: Some(credentials),
            ..CreateChannelRequest::default()
        };
        let created = self
            .api()
            .create_channel(testing::request(&self.caller, request))
            .await?;
        Ok(created
            .into_inner()
            .channel
            .unwrap()
            .channel_id
            .parse()
            .unwrap())
    }

    pub fn api(&self) -> Api {
        Api(self.app.clone())
    }

    /// The object store.
    pub fn store(&self) -> Store {
        Store::open(&self.config.files).unwrap()
    }

    /// Where accepted items go.
    pub fn intake(&self) -> Intake {
        let (nats, streams) = (self.nats.clone(), self.streams.clone());
        Intake {
            packer: Packer::new(nats, streams, PackerConfig::default()),
            store: self.store(),
            learnt: self.app.learnt.clone(),
        }
    }

    /// The gateway's handler of INBOUND.
    pub fn inbound(&self) -> Inbound {
        Inbound {
            app: self.app.clone(),
            nats: self.nats.clone(),
            streams: self.streams.clone(),
            intake: self.intake(),
        }
    }

    /// Where what is nobody's goes.
    pub fn unclaimed(&self) -> Unclaimed {
        Unclaimed {
            nats: self.nats.clone(),
            streams: self.streams.clone(),
            store: self.store(),
            pool: self.app.pool.clone(),
        }
    }

    /// The secret that Telegram was given.
    pub fn secret(&self) -> String {
        let calls = self.bot.calls("setWebhook");
        calls.last().unwrap().body["secret_token"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    pub fn terms(&self) -> Terms {
        let mut terms = Terms::from(&self.config.delivery);
        terms.lease = Duration::from_secs(3);
        terms.gap = Duration::from_millis(300);
        terms.chat.burst = 1_000;
        terms.channel.burst = 10_000;
        terms
    }

    pub fn replica(&self) -> Replica {
        self.replica_on(self.terms())
    }

    pub fn replica_on(&self, terms: Terms) -> Replica {
        let waker = dispatch::Waker::default();
        let poll = Duration::from_millis(50);
        let (dispatcher, settler) =
            dispatch::pair(&self.app, terms, 16, poll, &waker, self.source.clone());
        let stop = CancellationToken::new();
        let tasks = vec![
            tokio::spawn(dispatcher.run(stop.clone())),
            tokio::spawn(settler.run()),
        ];
        Replica { stop, waker, tasks }
    }

    pub fn command(&self, chat: u128, out_seq: i64, text: &str) -> OutboundCommand {
        let text = Text {
            text: text.to_owned(),
            entities: vec![],
        };
        OutboundCommand {
            action: Action::Send.into(),
            message_id: Uuid::from_u128(chat * 1_000_000 + u128::from(out_seq.unsigned_abs()))
                .to_string(),
            chat_id: Uuid::from_u128(chat).to_string(),
            channel_id: self.channel.to_string(),
            chat_key: chat.to_string(),
            out_seq,
            attempt: 1,
            parts: vec![ContentPart {
                content: Some(Content::Text(text)),
            }],
            ..OutboundCommand::default()
        }
    }

    /// Hands events to the consumer's handler.
    pub async fn hear(&self, deliveries: &[Delivery]) {
        let access = AccessCopy::new(self.app.pool.clone(), Arc::new(testing::Records::default()));
        let events = Events {
            app: self.app.clone(),
            dispatcher: dispatch::Waker::default(),
            access,
        };
        events.handle(deliveries, clock::now()).await.unwrap();
    }

    pub async fn queue(&self, commands: impl IntoIterator<Item = OutboundCommand>) {
        let events = commands.into_iter().map(|command| MessageQueued {
            command: Some(command),
        });
        let deliveries: Vec<Delivery> = events.map(|event| self.delivery(&event)).collect();
        self.hear(&deliveries).await;
    }

    pub fn delivery<E: DomainEvent>(&self, event: &E) -> Delivery {
        let now = clock::now();
        Delivery {
            envelope: Envelope {
                id: id::v7(now),
                kind: E::TYPE.to_owned(),
                service: E::SERVICE.to_owned(),
                entity: E::ENTITY.to_owned(),
                event: E::EVENT.to_owned(),
                account: self.account.clone(),
                subject_id: "x".to_owned(),
                actor: None,
                cause: None,
                sequence: 1,
                time: now,
                trace: TraceContext::none(),
            },
            payload: Bytes::from(event.encode_to_vec()),
            origin: Origin {
                stream: "EVENTS".to_owned(),
                sequence: 1,
                index: 0,
            },
        }
    }

    /// Ends the leases of attempts under way, as time would.
    pub async fn end_leases(&self) {
        sqlx::query("update lane set lease_until = now() where lease_until is not null")
            .execute(&self.app.pool)
            .await
            .unwrap();
    }

    /// States of a chat's parts, by number and part.
    pub async fn states(&self, chat: u128) -> Vec<(i64, i32, String, String)> {
        sqlx::query_as(
            "select out_seq, part, state, reason from part where chat_id = $1 order by 1, 2",
        )
        .bind(Uuid::from_u128(chat))
        .fetch_all(&self.app.pool)
        .await
        .unwrap()
    }

    pub async fn until_states(&self, chat: u128, expected: &[&str]) {
        let state = async || {
            self.states(chat)
                .await
                .into_iter()
                .map(|part| part.2)
                .collect::<Vec<_>>()
        };
        let began = std::time::Instant::now();
        loop {
            let now = state().await;
            if now == expected {
                return;
            }
            assert!(
                began.elapsed() < Duration::from_secs(15),
                "states are {now:?}, expected {expected:?}"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Types of the events in the outbox, in order, with their payloads. Those of changed settings are left out: each
    /// comes with an entry of the audit, which has tests of its own.
    pub async fn events(&self) -> Vec<(String, Bytes)> {
        let rows: Vec<Vec<u8>> =
            sqlx::query_scalar("select events from chassis.outbox order by id")
                .fetch_all(&self.app.pool)
                .await
                .unwrap();
        let rows = rows
            .iter()
            .flat_map(|row| StoredEvents::decode(row.as_slice()).unwrap().events);
        rows.map(|event| (format!("{}.{}", event.entity, event.event), event.payload))
            .filter(|(name, _)| name != "setting.changed")
            .collect()
    }

    pub async fn count(&self, event: &str) -> usize {
        self.events()
            .await
            .iter()
            .filter(|(name, _)| name == event)
            .count()
    }
}

pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let began = std::time::Instant::now();
    while !holds().await {
        assert!(
            began.elapsed() < Duration::from_secs(15),
            "{what}: not within 15 s"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
