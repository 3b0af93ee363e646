//! Events from a commit to a handler and back from the dead, against a real database and broker.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test that goes wrong must fail"
)]

#[path = "broker/consuming.rs"]
mod consuming;
#[path = "broker/packing.rs"]
mod packing;
#[path = "broker/publishing.rs"]
mod publishing;
#[path = "broker/world.rs"]
mod world;
