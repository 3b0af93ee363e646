//! Events from a commit to a handler and back from the dead, against a real database and broker.
#![expect(clippy::unwrap_used, reason = "a test that goes wrong must fail")]

#[path = "broker/consuming.rs"]
mod consuming;
#[path = "broker/packing.rs"]
mod packing;
#[path = "broker/publishing.rs"]
mod publishing;
#[path = "broker/survival.rs"]
mod survival;
#[path = "broker/world.rs"]
mod world;
