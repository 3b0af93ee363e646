//! Channel gateway: speaks to the providers. Webhooks in, deliveries out, channels and their sealed credentials.

pub mod app;
pub mod config;
pub mod domain;
pub mod error;
pub mod events;
pub mod figures;
pub mod files;
pub mod grpc;
pub mod http;
pub mod peers;
pub mod provider;
pub mod recovery;
pub mod store;

pub mod tasks;

use std::sync::Arc;

use anyhow::Context as _;
use chassis::access::{AccessCopy, FromAssignment};
use chassis::nats::{Declared, Nats};
use chassis::packs::{Packer, PackerConfig};
use chassis::run::{Service, ServiceConfig as _};
use chassis::seal::Sealer;
use switchboard_proto::channel_gateway::v1::channel_gateway_service_server::ChannelGatewayServiceServer;

use crate::app::accept::Intake;
use crate::app::book::Book;
use crate::app::learnt::Learnt;
use crate::app::mail::Post;
use crate::app::noted::Noted;
use crate::app::operated::Operated;
use crate::app::presses::Presses;
use crate::app::unclaimed::{Replay, Unclaimed};
use crate::app::{App, audited, dispatch, photos};
use crate::config::Config;
use crate::events::{Events, FILTERS, Inbound};
use crate::files::Files;
use crate::files::links::Links;
use crate::files::store::Store;
use crate::grpc::Api;
use crate::http::Webhooks;
use crate::peers::Conversation;
use crate::provider::instagram::GraphApi;
use crate::provider::telegram::BotApi;
use crate::provider::viber::ViberApi;

fn conversation(service: &Service, config: &Config) -> anyhow::Result<Conversation> {
    let channel = service.peer(&config.peers.conversation);
    let channel = channel.context("peers.conversation")?;
    Ok(Conversation::new(channel, service.internal()))
}

/// Runs the service until it is asked to stop.
pub async fn serve(config: Config, service: Service) -> anyhow::Result<()> {
    let demo = config.auth.demo_secrets;
    let sealer = Sealer::from_key_file(&config.seal.key_file, demo)?;
    let bots = BotApi::new(&config.telegram)?;
    let store = Store::open(&config.files)?;
    store.prove(&config.files).await?;
    let pool = service.database(&store::MIGRATOR).await?;
    let nats = service.nats().await?;
    service
        .declare(&[Declared::Inbound, Declared::Events, Declared::DeadLetters])
        .await?;
    let book = Arc::new(Book::new(pool.clone(), sealer.clone()));
    let links = Links::new(sealer.clone(), &config.http.public_url);
    let app = App {
        pool: pool.clone(),
        files: Files::new(store.clone(), links, &config.files),
        sealer,
        book: Arc::clone(&book),
        bots,
        viber: ViberApi::new(&config.viber)?,
        graph: GraphApi::new(&config.instagram)?,
        post: Post::new(&config.mail)?,
        plain_mail: config.mail.allow_plain,
        heard: Noted::default(),
        spoke: Noted::default(),
        learnt: Learnt::default(),
        photos: photos::asked::Noted::default(),
        presses: Presses::default(),
        public_url: config.http.public_url.trim_end_matches('/').into(),
        pauses: service.pauses(),
        relay: service.relay(&pool)?,
    };
    tasks::keep_book(&service, &book).await?;
    service.tell(Arc::new(Operated::of(&app)));

    let packs = PackerConfig {
        max_events: config.packs.max_events,
        ..PackerConfig::default()
    };
    let intake = Intake {
        packer: Packer::new(nats.clone(), service.streams.clone(), packs),
        store,
        learnt: app.learnt.clone(),
    };
    let webhooks = webhooks(&service, &app, &intake, &nats, &config);
    tasks::serve_webhooks(&service, webhooks, &app, &config).await?;
    tasks::follow_mailboxes(&service, &app, &intake, &config.mail);
    tasks::fetch_files(&service, &app, &config)?;
    tasks::sweep_files(&service, &app, &config.files);

    let waker = dispatch::Waker::default();
    let source = Arc::new(conversation(&service, &config)?);
    let delivery = &config.delivery;
    let (dispatcher, settler) = dispatch::pair(
        &app,
        delivery.into(),
        delivery.concurrency,
        delivery.poll,
        &waker,
        source,
    );
    let stop = service.lifecycle.stop_token();
    service.lifecycle.spawn("dispatcher", async move {
        dispatcher.run(stop).await;
        Ok(())
    });
    service.lifecycle.spawn("settler", async move {
        settler.run().await;
        Ok(())
    });
    tasks::steady(&service, &app, &intake, &config);
    tasks::janitor(&app, nats.clone(), service.streams.clone()).spawn(&service.lifecycle);

    let assignment = service
        .peer(&config.peers.assignment)
        .context("peers.assignment")?;
    let access = AccessCopy::new(
        pool,
        Arc::new(FromAssignment::new(assignment, service.internal())),
    );
    let audit = service.audit(&app.pool, audited::SCOPES);
    let events = Events {
        app: app.clone(),
        dispatcher: waker,
        access: access.clone(),
    };
    service.consume_events(Arc::new(events), &FILTERS)?;
    let inbound = Inbound {
        app: app.clone(),
        nats,
        streams: service.streams.clone(),
        intake,
    };
    service.consume_inbound(Arc::new(inbound))?;
    service
        .grpc()
        .add(audit)
        .add(ChannelGatewayServiceServer::new(Api(app)))
        .serve(Arc::new(access))
        .await?;
    service.finish().await
}

/// Makes what answers webhooks, and what takes in by a replay those that were nobody's.
fn webhooks(
    service: &Service,
    app: &App,
    intake: &Intake,
    nats: &Nats,
    config: &Config,
) -> Arc<Webhooks> {
    let unclaimed = Unclaimed {
        nats: nats.clone(),
        streams: service.streams.clone(),
        store: intake.store.clone(),
        pool: app.pool.clone(),
    };
    service.replay_by(Arc::new(Replay {
        book: Arc::clone(&app.book),
        intake: intake.clone(),
    }));
    Arc::new(Webhooks::new(
        Arc::clone(&app.book),
        intake.clone(),
        unclaimed,
        &config.http,
        &config.instagram,
    ))
}

/// Applies the migrations.
pub async fn migrate(config: Config) -> anyhow::Result<()> {
    chassis::run::migrate_database(config.database(), &store::MIGRATOR).await
}
