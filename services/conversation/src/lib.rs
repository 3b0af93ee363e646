//! Conversation: clients, chats, conversations and messages.

pub mod activity;
pub mod app;
pub mod audit;
pub mod config;
pub mod domain;
pub mod error;
pub mod events;
pub mod figures;
pub mod grpc;
pub mod notices;
pub mod own_app;
pub mod peers;
pub mod recovery;
pub mod search;
pub mod store;
pub mod wire;

mod sweep;

use std::sync::Arc;

use chassis::access::{AccessCopy, FromAssignment};
use chassis::consumer::{Handler, Heard};
use chassis::nats::Declared;
use chassis::outbox::Waker;
use chassis::run::{Service, ServiceConfig as _};
use sqlx::PgPool;
use switchboard_proto::conversation::v1::activity_service_server::ActivityServiceServer;
use switchboard_proto::conversation::v1::bot_service_server::BotServiceServer;
use switchboard_proto::conversation::v1::channel_rule_service_server::ChannelRuleServiceServer;
use switchboard_proto::conversation::v1::chat_presence_service_server::ChatPresenceServiceServer;
use switchboard_proto::conversation::v1::chat_service_server::ChatServiceServer;
use switchboard_proto::conversation::v1::conversation_service_server::ConversationServiceServer;
use switchboard_proto::conversation::v1::internal_chat_service_server::InternalChatServiceServer;
use switchboard_proto::conversation::v1::notification_service_server::NotificationServiceServer;
use switchboard_proto::conversation::v1::quick_reply_service_server::QuickReplyServiceServer;
use switchboard_proto::conversation::v1::search_service_server::SearchServiceServer;

use crate::activity::Activity;
use crate::app::chat_presence::ChatPresence;
use crate::app::internal_chat::InternalChats;
use crate::app::internal_watch::InternalWatch;
use crate::app::operated::Operated;
use crate::app::quick_replies::QuickReplies;
use crate::app::search::Searches;
use crate::app::watch::Watch;
use crate::config::Config;
use crate::events::{Events, Inbound};
use crate::grpc::{
    Activities, Api, Others, channel_rules, chat_presence, internal_chats, notifications,
    quick_replies,
};
use crate::own_app::OwnApp;
use crate::peers::{Assignment, CrmCards, Gateway, OfBots};
use crate::search::Search;

/// Runs the service until it is asked to stop.
pub async fn serve(config: Config, service: Service) -> anyhow::Result<()> {
    let pool = service.database(&store::MIGRATOR).await?;
    let nats = service.nats().await?;
    service
        .declare(&[Declared::Events, Declared::DeadLetters])
        .await?;
    let batches = service.batch_pool()?;
    let waker = service.relay(&batches)?;

    let assignment = service.peer(&config.peers.assignment)?;
    let internal = service.internal();
    let fetch = Arc::new(FromAssignment::new(assignment.clone(), internal.clone()));
    let access = AccessCopy::new(pool.clone(), fetch);

    let inbound: Arc<dyn Handler> = Arc::new(Inbound::new(batches.clone(), waker.clone()));
    service.consume_inbound(inbound.clone())?;
    let backlog = service.heard(&inbound)?;
    let events = Events::new(batches.clone(), waker.clone(), access.clone());
    service.consume_events(Arc::new(events), &events::FILTERS)?;
    let own_app = OwnApp::new(batches.clone(), waker.clone());
    service.consume_events(Arc::new(own_app), &own_app::FILTERS)?;
    let activity = Activity::new(batches.clone());
    service.consume_events(Arc::new(activity), &activity::filters())?;
    service.consume_events(Arc::new(Search::new(batches)), &search::FILTERS)?;
    sweep::fill_search(&service.lifecycle, pool.clone());
    sweep::spawn_activity(&service.lifecycle, pool.clone(), &config.activity);
    sweep::spawn_ended_bots(&service.lifecycle, pool.clone(), &config.bots);
    sweep::spawn(
        &service.lifecycle,
        pool.clone(),
        waker.clone(),
        &config.parked,
    );
    sweep::count(&service.lifecycle, pool.clone());
    service.tell(Arc::new(Operated(pool.clone())));

    let audit = service.audit(&pool, audit::SCOPES);
    let admission = Arc::new(Assignment::new(assignment, internal.clone()));
    let gateway = service.peer(&config.peers.channel_gateway)?;
    let files = Arc::new(Gateway::new(gateway, internal.clone()));
    let crm = service.peer(&config.peers.crm_cards)?;
    let contacts = Arc::new(CrmCards::new(crm, internal));
    let bots = OfBots {
        assignment: admission.clone(),
        crm: contacts.clone(),
        gateway: files.clone(),
    };
    let bots = serve_bots(&service, (&pool, &waker), bots, backlog);
    let internal_chats = InternalChats {
        pool: pool.clone(),
        waker: waker.clone(),
        access: access.clone(),
        groups: admission.clone(),
        entities: contacts.clone(),
    };
    let internal_chats = serve_internal_chats(&service, internal_chats);
    let replies = QuickReplies {
        pool: pool.clone(),
        staff: admission.clone(),
        files: files.clone(),
    };
    sweep::spawn_holds(&service.lifecycle, replies.clone());
    sweep::spawn_rules(
        &service.lifecycle,
        pool.clone(),
        waker.clone(),
        admission.clone(),
    );
    let rules = ChannelRuleServiceServer::new(channel_rules::Api(pool.clone()));
    let replies = QuickReplyServiceServer::new(quick_replies::Api(replies));
    let activity = ActivityServiceServer::new(Activities::new(pool.clone()));
    let search = SearchServiceServer::new(grpc::search::Api(Searches::new(pool.clone())));
    let presence = ChatPresence::new(pool.clone(), access.clone(), nats.client.clone());
    let presence = serve_presence(&service, presence);
    let watch = Watch::new(pool.clone(), access.clone(), service.lifecycle.clone());
    let notifications = notifications::Api {
        pool: pool.clone(),
        watch: watch.clone(),
    };
    let others = Others {
        admission,
        lines: files.clone(),
        files,
        contacts,
    };
    let api = Api::new(pool, waker, watch, others);
    service
        .grpc()
        .add(audit)
        .add(ChatServiceServer::new(api.clone()))
        .add(ConversationServiceServer::new(api))
        .add(replies)
        .add(rules)
        .add(bots)
        .add(presence)
        .add(NotificationServiceServer::new(notifications))
        .add(internal_chats)
        .add(activity)
        .add(search)
        .serve(Arc::new(access))
        .await?;
    service.finish().await
}

/// Begins to move runs of bots on, and makes the methods of bots.
fn serve_bots(
    service: &Service,
    (pool, waker): (&PgPool, &Waker),
    others: OfBots,
    backlog: Heard,
) -> BotServiceServer<grpc::bots::Api> {
    let admission = others.assignment.clone();
    let others = Arc::new(others);
    sweep::spawn_bots(
        &service.lifecycle,
        pool.clone(),
        waker.clone(),
        (others.clone(), Arc::new(backlog)),
    );
    BotServiceServer::new(grpc::bots::Api {
        pool: pool.clone(),
        waker: waker.clone(),
        admission,
        things: others,
    })
}

/// Begins to hear what other replicas say of presence, and makes its methods.
fn serve_presence(
    service: &Service,
    presence: ChatPresence,
) -> ChatPresenceServiceServer<chat_presence::Api> {
    presence.listen(&service.lifecycle);
    ChatPresenceServiceServer::new(chat_presence::Api(presence, service.lifecycle.clone()))
}

/// Begins what internal chats do now and then, and makes their methods.
fn serve_internal_chats(
    service: &Service,
    chats: InternalChats,
) -> InternalChatServiceServer<internal_chats::Api> {
    let (pool, lifecycle) = (chats.pool.clone(), service.lifecycle.clone());
    sweep::spawn_internal(&lifecycle, pool.clone());
    let watch = InternalWatch::new(pool, chats.access.clone(), lifecycle);
    watch.listen();
    InternalChatServiceServer::new(internal_chats::Api { chats, watch })
}

/// Applies the migrations.
pub async fn migrate(config: Config) -> anyhow::Result<()> {
    chassis::run::migrate_database(config.database(), &store::MIGRATOR).await
}
