//! Assignment: accounts, agents, access, and who answers for a chat.

pub mod app;
pub mod config;
pub mod domain;
pub mod error;
pub mod events;
pub mod grpc;
pub mod store;
pub mod wire;

/// This service's name, as in subjects.
pub const NAME: &str = "assignment";
