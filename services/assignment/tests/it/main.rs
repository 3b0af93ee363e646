//! Assignment against a real Postgres: handlers are called with deliveries, the API with callers.

mod access;
mod agents;
mod distribution;
mod order;
mod replies;
mod world;
