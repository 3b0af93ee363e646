//! The gateway over a real database, a real broker and a stand-in for the Bot API.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on must fail"
)]

mod audit;
mod bot;
mod channels;
mod connection;
mod deliveries;
mod echoes;
mod fetches;
mod graph;
mod health;
mod held;
mod inbound;
mod janitor;
mod kept;
mod learnt;
mod limits;
mod lines;
mod links;
mod mail;
mod pauses;
mod photos;
mod quota;
mod raw;
mod receipts;
mod refusals;
mod reseal;
mod s3;
mod shown;
mod unclaimed;
mod uploads;
mod webhooks;
mod whole;
mod world;
