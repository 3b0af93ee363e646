//! Nothing of what must stay secret is in what somebody can read: logs at their most talkative, streams, metrics, answers, and the
//! databases themselves.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use base64::Engine as _;
use futures::StreamExt as _;
use sqlx::{Connection, PgConnection};
use switchboard_proto::channel_gateway::v1 as gateway;
use switchboard_proto::channel_gateway::v1::create_channel_request::Credentials;
use switchboard_tests::servers::{NatsServer, ports};
use switchboard_tests::services::Kind;
use switchboard_tests::telegram::{Fault, FaultKind};
use switchboard_tests::world::{Account, Bearer, Plan, World, WorldOptions};
use tonic::Status;
use uuid::Uuid;

use super::bundle::bundle;
use super::channels::{delivered, settled};
use switchboard_proto::conversation::v1::{SendMessageRequest, message_delivery};

const VIBER: &str = "5564c7bd23456789-f13d6f23285916f0-e0ad0cc6559d62a1";
const MAILBOX: &str = "mailbox-Pa55-of-the-shop";
const INSTAGRAM: &str = "IGAAx7mK2rQ9-of-the-shops-profile";
const APP: &str = "9f2c-the-meta-apps-secret-4417";
const VERIFY: &str = "the-meta-apps-verify-token-8830";
const CUSTOMER: i64 = 5_540_018_233;

/// Every header, payload and subject of all streams; every log; all metrics; what was answered; every row of every table.
type Readable = BTreeMap<String, Vec<u8>>;

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_of_a_run_is_in_logs_streams_metrics_errors_or_tables() -> anyhow::Result<()> {
    let nobody = ports(2)?;
    let all = |key: &str, value: String| (None, format!("SWITCHBOARD_{key}"), value);
    let gateway = |key: &str, value: String| {
        (
            Some(Kind::ChannelGateway),
            format!("SWITCHBOARD_{key}"),
            value,
        )
    };
    let away = format!("http://127.0.0.1:{}", nobody[0]);
    let world = World::start_with(WorldOptions {
        shipped_broker: true,
        environment: vec![
            all(
                "TELEMETRY__LOG_FILTER",
                "trace,h2=info,hyper=info,tower=info".to_owned(),
            ),
            gateway("VIBER__API_URL", away.clone()),
            gateway("INSTAGRAM__INSTAGRAM_URL", away.clone()),
            gateway("INSTAGRAM__FACEBOOK_URL", away.clone()),
            gateway("INSTAGRAM__APP_SECRET", APP.to_owned()),
            gateway("INSTAGRAM__VERIFY_TOKEN", VERIFY.to_owned()),
        ],
        ..WorldOptions::default()
    })
    .await?;
    let account = world.account(Plan::default()).await?;
    let mut answers = Readable::new();
    provoke(&account, nobody[1], &mut answers).await?;
    play(&world, &account, &mut answers).await?;

    let secrets = secrets(&world, &account)?;
    let mut readable = answers;
    for kind in Kind::ALL {
        let log = std::fs::read(world.system.log(kind))?;
        ensure!(log.len() > 10_000, "{} logged little", kind.name());
        readable.insert(format!("log of {}", kind.name()), log);
        let admin = &world.system.addresses(kind).context("addresses")?.admin;
        let metrics = reqwest::Client::builder().no_proxy().build()?;
        let metrics = metrics
            .get(format!("http://{admin}/metrics"))
            .send()
            .await?;
        let metrics = metrics.bytes().await?.to_vec();
        ensure!(metrics.len() > 1_000, "{} measured little", kind.name());
        readable.insert(format!("metrics of {}", kind.name()), metrics);
        tables(world.system.database_url(kind)?, kind, &mut readable).await?;
    }
    streams(&world, &mut readable).await?;
    for (name, content) in bundle(&world).await? {
        readable.insert(format!("bundle's {name}"), content);
    }
    for kind in Kind::ALL {
        for name in ["configuration.txt", "log.jsonl", "metrics.txt"] {
            let name = format!("bundle's {}/{name}", kind.name());
            let there = readable.get(&name).map_or(0, Vec::len);
            ensure!(there > 1_000, "{name} holds little");
        }
    }
    for part in [
        "log of",
        "metrics of",
        "stream EVENTS",
        "stream INBOUND",
        "table",
        "answer",
    ] {
        let there = readable.keys().any(|name| name.starts_with(part));
        ensure!(there, "nothing to look at of {part}: {:?}", readable.keys());
    }
    let found: Vec<String> = readable
        .iter()
        .flat_map(|(place, content)| {
            let of = secrets
                .iter()
                .filter(|(_, secret)| contains(content, secret));
            of.map(move |(what, _)| format!("{what} is in {place}"))
        })
        .collect();
    ensure!(found.is_empty(), "{found:#?}");
    Ok(())
}

/// What must be nowhere, by what it is. Of what is sealed also as hexadecimal digits, as tables show bytes.
fn secrets(world: &World, account: &Account) -> anyhow::Result<Vec<(&'static str, String)>> {
    let (_, webhook) = world
        .telegram
        .webhook(&account.bot_token)
        .context("a registered webhook")?;
    let key = std::fs::read_to_string(world.system.folder().join("sealing.key"))?;
    let key = key.trim().to_owned();
    let bare = base64::engine::general_purpose::STANDARD.decode(&key)?;
    let half = account.bot_token.split_once(':').context("a token")?.1;
    let internal = std::fs::read_to_string(world.system.tokens().internal_token_file())?;
    let escaped = NatsServer::PASSWORD.replace('@', "%40").replace('/', "%2F");
    let plain = [
        ("the bot's token", half.to_owned()),
        ("the webhook's secret", webhook),
        ("Viber's token", VIBER.to_owned()),
        ("the mailbox's password", MAILBOX.to_owned()),
        ("Instagram's token", INSTAGRAM.to_owned()),
        ("the Meta app's secret", APP.to_owned()),
        ("the Meta app's verify token", VERIFY.to_owned()),
        ("the sealing key", key),
        ("the internal token", internal.trim().to_owned()),
        ("the broker's password", NatsServer::PASSWORD.to_owned()),
        ("the broker's password, escaped", escaped),
        // What each token of this format begins with: `{"`, base64.
        ("somebody's token", "Bearer eyJ".to_owned()),
        (
            "somebody's token, alone",
            internal.trim().get(..20).unwrap_or("eyJ").to_owned(),
        ),
    ];
    let digits: Vec<(&'static str, String)> = plain
        .iter()
        .map(|(what, secret)| (*what, hex::encode(secret)))
        .chain([("the sealing key's bytes", hex::encode(bare))])
        .collect();
    Ok(plain.into_iter().chain(digits).collect())
}

fn contains(content: &[u8], secret: &str) -> bool {
    memchr::memmem::find(content, secret.as_bytes()).is_some()
}

/// Keeps what a refused call says.
fn keep(answers: &mut Readable, what: &str, refused: &Status) {
    answers.insert(
        format!("answer to {what}"),
        format!("{refused:?}").into_bytes(),
    );
}

/// Channels that cannot work, each with a credential that some error might repeat.
async fn provoke(account: &Account, nobody: u16, answers: &mut Readable) -> anyhow::Result<()> {
    let server = Some(gateway::email_credentials::Server {
        host: "127.0.0.1".into(),
        port: nobody.into(),
        security: gateway::email_credentials::Security::None.into(),
    });
    let broken = [
        (
            "Viber",
            Credentials::ViberBot(gateway::ViberBotCredentials {
                token: VIBER.into(),
                sender_name: "Shop".into(),
                ..Default::default()
            }),
        ),
        (
            "Instagram",
            Credentials::Instagram(gateway::InstagramCredentials {
                login: gateway::instagram_credentials::Login::Instagram.into(),
                account_id: "17841400000000077".into(),
                access_token: INSTAGRAM.into(),
                ..Default::default()
            }),
        ),
        (
            "e-mail",
            Credentials::Email(gateway::EmailCredentials {
                address: "sales@shop.example".into(),
                imap: server.clone(),
                smtp: server,
                username: "shop".into(),
                secret: Some(gateway::email_credentials::Secret::Password(MAILBOX.into())),
                ..Default::default()
            }),
        ),
        (
            "Telegram, a token with a blank",
            Credentials::TelegramBot(gateway::TelegramBotCredentials {
                token: format!("{} ", account.bot_token),
            }),
        ),
        (
            "Telegram, the same bot",
            Credentials::TelegramBot(gateway::TelegramBotCredentials {
                token: account.bot_token.clone(),
            }),
        ),
    ];
    let mut admin = account.admin.gateway.clone();
    let mut refusals = 0;
    for (what, credentials) in broken {
        let request = gateway::CreateChannelRequest {
            request_id: Uuid::new_v4().to_string(),
            name: what.to_owned(),
            credentials: Some(credentials),
            ..Default::default()
        };
        let made = match admin.create_channel(request).await {
            Ok(made) => made.into_inner().channel.context("a channel")?,
            Err(refused) => {
                keep(answers, what, &refused);
                refusals += 1;
                continue;
            }
        };
        answers.insert(
            format!("answer to {what}, made"),
            format!("{made:?}").into_bytes(),
        );
        let request = gateway::EnableChannelRequest {
            channel_id: made.channel_id,
        };
        if let Err(refused) = admin.enable_channel(request).await {
            keep(answers, what, &refused);
            refusals += 1;
        }
    }
    ensure!(refusals >= 4, "only {refusals} were refused");
    Ok(())
}

/// A message and its answer; one whose sending the provider refuses; a caller whom nobody knows.
async fn play(world: &World, account: &Account, answers: &mut Readable) -> anyhow::Result<()> {
    let telegram = &world.telegram;
    telegram.say(&account.bot_token, CUSTOMER, "Hello").await?;
    let chat = settled(account, &CUSTOMER.to_string()).await?;
    let agent = account.agent(&chat.responsible_agent_id)?;
    let mut conversation = agent.clients.conversation.clone();
    let states = [
        message_delivery::State::Sent,
        message_delivery::State::Failed,
    ];
    for state in states {
        if state == message_delivery::State::Failed {
            let fault = Fault::in_chat(CUSTOMER, FaultKind::Blocked);
            telegram.fault(&account.bot_token, fault)?;
        }
        let sent = conversation
            .send_message(SendMessageRequest {
                request_id: Uuid::new_v4().to_string(),
                chat_id: chat.chat_id.clone(),
                text: Some(switchboard_proto::common::v1::Text {
                    text: "Good day".into(),
                    ..Default::default()
                }),
                ..Default::default()
            })
            .await?;
        let message = sent.into_inner().message.context("a message")?;
        delivered(account, &chat.chat_id, &message.message_id, state).await?;
    }
    let forged = world.system.tokens().forger().operator();
    let mut stranger = world.clients(&Bearer::new(&forged)?)?;
    let refused = stranger
        .gateway
        .list_channels(gateway::ListChannelsRequest::default())
        .await
        .err()
        .context("a forged token is refused")?;
    keep(answers, "a forged token", &refused);
    let (url, _) = telegram.webhook(&account.bot_token).context("a webhook")?;
    let http = reqwest::Client::builder().no_proxy().build()?;
    let refused = http
        .post(url)
        .header("x-telegram-bot-api-secret-token", "not-it")
        .body("{}")
        .send()
        .await?;
    ensure!(!refused.status().is_success());
    let refused = refused.bytes().await?.to_vec();
    answers.insert("answer to a webhook without its secret".into(), refused);
    let meta = format!("{}/in/instagram", world.system.http_url()?);
    let refused = http
        .post(&meta)
        .header("x-hub-signature-256", format!("sha256={}", "0".repeat(64)))
        .body("{}")
        .send()
        .await?;
    ensure!(!refused.status().is_success());
    let refused = refused.bytes().await?.to_vec();
    answers.insert("answer to a webhook with a wrong signature".into(), refused);
    let asked = "?hub.mode=subscribe&hub.challenge=1&hub.verify_token=not-it";
    let refused = http.get(format!("{meta}{asked}")).send().await?;
    ensure!(!refused.status().is_success());
    let refused = refused.bytes().await?.to_vec();
    answers.insert("answer to a wrong verify token".into(), refused);
    Ok(())
}

/// Every row of a database, as JSON.
async fn tables(database: &str, kind: Kind, readable: &mut Readable) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(database).await?;
    let tables: Vec<String> = sqlx::query_scalar(
        "select format('%I.%I', nspname, relname) from pg_class join pg_namespace on pg_namespace.oid = relnamespace
         where relkind in ('r', 'p') and not relispartition and nspname in ('public', 'chassis')",
    )
    .fetch_all(&mut connection)
    .await?;
    for table in tables {
        let sql = format!("select to_jsonb(row)::text from {table} row");
        let rows: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .fetch_all(&mut connection)
            .await?;
        if !rows.is_empty() {
            let name = format!("table {table} of {}", kind.name());
            readable.insert(name, rows.join("\n").into_bytes());
        }
    }
    connection.close().await?;
    Ok(())
}

/// What lies in the broker's streams.
async fn streams(world: &World, readable: &mut Readable) -> anyhow::Result<()> {
    let client = async_nats::ConnectOptions::with_user_and_password(
        "operator".into(),
        NatsServer::PASSWORD.into(),
    )
    .connect(world.nats.url())
    .await?;
    let jetstream = async_nats::jetstream::new(client);
    let mut names = jetstream.stream_names();
    while let Some(name) = names.next().await {
        let name = name?;
        let stream = jetstream.get_stream(&name).await?;
        let last = stream.cached_info().state.last_sequence;
        let mut content = Vec::new();
        for sequence in stream.cached_info().state.first_sequence.max(1)..=last {
            // What was taken out meanwhile is no more to be read.
            let Ok(message) = stream.get_raw_message(sequence).await else {
                continue;
            };
            content.extend_from_slice(message.subject.as_bytes());
            content.extend_from_slice(format!("{:?}", message.headers).as_bytes());
            content.extend_from_slice(&message.payload);
        }
        readable.insert(format!("stream {name}"), content);
    }
    Ok(())
}
