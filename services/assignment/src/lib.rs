//! Assignment: accounts, agents, access, and who answers for a chat.

pub mod app;
pub mod audit;
pub mod config;
pub mod domain;
pub mod error;
pub mod events;
pub mod figures;
pub mod grpc;
pub mod hours;
pub mod peers;
pub mod recovery;
pub mod store;
pub mod sweep;
pub mod wire;

use std::sync::Arc;

use chassis::audit::Collector;
use chassis::nats::Declared;
use chassis::run::{Service, ServiceConfig as _};
use switchboard_proto::assignment::v1::assignment_service_server::AssignmentServiceServer;
use switchboard_proto::assignment::v1::calendar_service_server::CalendarServiceServer;
use switchboard_proto::assignment::v1::group_service_server::GroupServiceServer;
use switchboard_proto::assignment::v1::presence_service_server::PresenceServiceServer;
use switchboard_proto::assignment::v1::responsible_sync_service_server::ResponsibleSyncServiceServer;
use switchboard_proto::assignment::v1::role_service_server::RoleServiceServer;
use switchboard_proto::operator::v1::audit_service_server::AuditServiceServer;

use crate::app::App;
use crate::app::access::{KnownAccess, OwnAccess};
use crate::app::memory::Memory;
use crate::config::Config;
use crate::events::Events;
use crate::grpc::Api;
use crate::grpc::presence::PresenceApi;
use crate::peers::Conversation;

/// This service's name, as in subjects.
pub const NAME: &str = "assignment";

/// Runs the service until it is asked to stop.
pub async fn serve(config: Config, service: Service) -> anyhow::Result<()> {
    let pool = service.database(&store::MIGRATOR).await?;
    let nats = service.nats().await?;
    service
        .declare(&[Declared::Events, Declared::DeadLetters])
        .await?;
    let batches = service.batch_pool()?;
    let waker = service.relay(&batches)?;
    let known = KnownAccess::default();
    let app = App {
        pool: pool.clone(),
        waker,
        more_wait: Arc::default(),
        known: known.clone(),
        memory: Memory::default(),
        source: Some(Arc::new(Conversation::new(
            service.peer(&config.peers.conversation)?,
            service.internal(),
        ))),
    };

    let events = Events::new(App {
        pool: batches,
        ..app.clone()
    });
    let progress = events.progress();
    service.consume_events(Arc::new(events), &events::FILTERS)?;
    let collector = Collector::new(NAME, "assignment-audit", pool.clone());
    service.consume_events(Arc::new(collector), &Collector::FILTERS)?;
    sweep::spawn(
        &service.lifecycle,
        app.clone(),
        &config.distribution,
        nats,
        progress,
    );
    sweep::measure(&service.lifecycle, pool.clone());
    sweep::spawn_purge(&service.lifecycle, app.clone(), &config.retention);
    hours::spawn(&service.lifecycle, app.clone(), &config.availability);
    let presence = PresenceApi::new(
        app.clone(),
        config.availability.grace,
        service.lifecycle.clone(),
    );
    let api = Api(app);
    service
        .grpc()
        .add(AuditServiceServer::new(audit::api(&pool)))
        .add(AssignmentServiceServer::new(api.clone()))
        .add(RoleServiceServer::new(api.clone()))
        .add(GroupServiceServer::new(api.clone()))
        .add(ResponsibleSyncServiceServer::new(api.clone()))
        .add(CalendarServiceServer::new(api))
        .add(PresenceServiceServer::new(presence))
        .serve(Arc::new(OwnAccess::new(pool, known)))
        .await?;
    service.finish().await
}

/// Applies the migrations.
pub async fn migrate(config: Config) -> anyhow::Result<()> {
    chassis::run::migrate_database(config.database(), &store::MIGRATOR).await
}
