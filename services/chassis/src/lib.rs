//! What every Switchboard service is built on: configuration, telemetry, the broker, outbox and inbox,
//! the gRPC server with its authentication, health and shutdown. It knows nothing of chats or cards.

pub mod access;
pub mod actor;
pub mod audit;
pub mod auth;
pub mod calendar;
pub mod client;
pub mod clock;
pub mod config;
pub mod demo;
pub mod figures;
pub mod fresh;
pub mod grpc;
pub mod health;
pub mod http;
pub mod id;
pub mod lifecycle;
pub mod meter;
pub mod request;
pub mod run;
pub mod seal;
pub mod stamp;
pub mod telemetry;
pub mod tls;
pub mod trace;

pub mod consumer;
pub mod deadletter;
pub mod envelope;
pub mod inbox;
pub mod janitor;
pub mod nats;
pub mod operator;
pub mod outbox;
pub mod packs;
pub mod pauses;
pub mod recovery;
pub mod relay;
pub mod replicas;

mod problems;

#[cfg(any(test, feature = "testing"))]
pub mod testing;

/// The allocator of every program over this crate.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The tables of schema `chassis`, applied before a service's own migrations.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();

/// What the macros of this crate expand to; not an API.
#[doc(hidden)]
pub mod __private {
    pub use {serde, sqlx, uuid};
}
