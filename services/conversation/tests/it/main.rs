//! The service over a real database: events handed to its handlers, requests to its methods.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod albums;
mod amendments;
mod bounds;
mod events;
mod inbound;
mod lists;
mod own_app;
mod sending;
mod whole;
mod world;
