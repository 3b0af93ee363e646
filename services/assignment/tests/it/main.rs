//! Assignment against a real Postgres: handlers are called with deliveries, the API with callers.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod access;
mod actions;
mod agents;
mod audit;
mod balance;
mod distribution;
mod hours;
mod memory;
mod order;
mod presence;
mod purge;
mod races;
mod release;
mod replies;
mod roles;
mod sync;
mod world;
