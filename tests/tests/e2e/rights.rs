//! What whom is shown, over every path to it (X11): every method of every service, asked by every kind of agent and by
//! others' tokens for things that are there, and the rights lines through all services.

mod chats;
mod lines;
mod matrix;
mod people;
mod requests;
mod rows;
mod streams;
mod things;

use switchboard_tests::world::{World, WorldOptions};

/// A system in which asking much is not refused for that alone.
async fn world() -> anyhow::Result<World> {
    let limit = |key: &str| (None, format!("SWITCHBOARD_LIMITS__{key}"), "100000".into());
    World::start_with(WorldOptions {
        environment: vec![limit("REQUESTS_PER_SECOND_PER_ACCOUNT"), limit("BURST")],
        ..WorldOptions::default()
    })
    .await
}
