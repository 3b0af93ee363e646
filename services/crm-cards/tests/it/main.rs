//! The service over a real Postgres: events go in by its handler, requests by its gRPC methods.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod access;
mod audit;
mod cards;
mod lists;
mod modes;
mod races;
mod repeats;
mod responsibles;
mod world;
