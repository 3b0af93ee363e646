//! crm-cards: pipelines, cards, contacts, companies and orders, and the pipeline connection that makes cards from opened
//! conversations. Every decision is kept with its facts and the rule that took it.

pub mod app;
pub mod audit;
pub mod config;
pub mod domain;
pub mod error;
pub mod events;
pub mod figures;
pub mod grpc;
pub mod peers;
pub mod recovery;
pub mod store;
pub mod wire;

mod sweep;

use std::sync::Arc;

use chassis::access::{AccessCopy, FromAssignment};
use chassis::nats::Declared;
use chassis::run::Service;
use switchboard_proto::crm_cards::v1::card_service_server::CardServiceServer;
use switchboard_proto::crm_cards::v1::company_service_server::CompanyServiceServer;
use switchboard_proto::crm_cards::v1::contact_service_server::ContactServiceServer;
use switchboard_proto::crm_cards::v1::crm_cards_service_server::CrmCardsServiceServer;
use switchboard_proto::crm_cards::v1::entity_access_service_server::EntityAccessServiceServer;
use switchboard_proto::crm_cards::v1::entity_chat_service_server::EntityChatServiceServer;
use switchboard_proto::crm_cards::v1::external_crm_service_server::ExternalCrmServiceServer;
use switchboard_proto::crm_cards::v1::field_service_server::FieldServiceServer;
use switchboard_proto::crm_cards::v1::history_service_server::HistoryServiceServer;
use switchboard_proto::crm_cards::v1::order_service_server::OrderServiceServer;
use switchboard_proto::crm_cards::v1::pipeline_service_server::PipelineServiceServer;
use switchboard_proto::crm_cards::v1::transfer_service_server::TransferServiceServer;

use crate::app::App;
use crate::config::Config;
use crate::events::Events;
use crate::grpc::Handlers;
use crate::grpc::entity_chats::EntityChats;
use crate::grpc::external_crm::ExternalCrm;
use crate::peers::Conversation;

/// Runs the service until it is asked to stop.
pub async fn serve(config: Config, service: Service) -> anyhow::Result<()> {
    let pool = service.database(&store::MIGRATOR).await?;
    service.nats().await?;
    service
        .declare(&[Declared::Events, Declared::DeadLetters])
        .await?;
    let batches = service.batch_pool()?;
    let waker = service.relay(&batches)?;

    let assignment = service.peer(&config.peers.assignment)?;
    let fetch = FromAssignment::new(assignment, service.internal());
    let access = AccessCopy::new(pool.clone(), Arc::new(fetch));
    let app = App {
        pool: pool.clone(),
        waker: waker.clone(),
        staff: access.clone(),
    };
    let hearing = App {
        pool: batches,
        waker,
        staff: access.clone(),
    };

    service.consume_events(
        Arc::new(Events::new(hearing, access.clone())),
        events::FILTERS,
    )?;
    let audit = service.audit(&pool, audit::SCOPES);
    sweep::spawn(&service.lifecycle, pool);
    let conversation = service.peer(&config.peers.conversation)?;
    let conversation = Arc::new(Conversation::new(conversation, service.internal()));
    let entity_chats = EntityChats::new(app.clone(), conversation);
    let external = ExternalCrm::new(app.clone(), access.clone());
    let handlers = Handlers::new(app, service.lifecycle.stop_token());
    service
        .grpc()
        .add(audit)
        .add(CrmCardsServiceServer::new(handlers.clone()))
        .add(CardServiceServer::new(handlers.clone()))
        .add(CompanyServiceServer::new(handlers.clone()))
        .add(ContactServiceServer::new(handlers.clone()))
        .add(EntityAccessServiceServer::new(handlers.clone()))
        .add(EntityChatServiceServer::new(entity_chats))
        .add(ExternalCrmServiceServer::new(external))
        .add(FieldServiceServer::new(handlers.clone()))
        .add(HistoryServiceServer::new(handlers.clone()))
        .add(OrderServiceServer::new(handlers.clone()))
        .add(PipelineServiceServer::new(handlers.clone()))
        .add(TransferServiceServer::new(handlers))
        .serve(Arc::new(access))
        .await?;
    service.finish().await
}

/// Applies the migrations.
pub async fn migrate(config: Config) -> anyhow::Result<()> {
    chassis::run::migrate_database(&config.database, &store::MIGRATOR).await
}
