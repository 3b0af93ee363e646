//! The service over a real database: events handed to its handlers, requests to its methods.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod activity;
mod albums;
mod amendments;
mod audit;
mod bounds;
mod events;
mod identities;
mod inbound;
mod learnt;
mod lists;
mod mail;
mod own_app;
mod sending;
mod starts;
mod whole;
mod working;
mod world;
