//! The service over a real database: events handed to its handlers, requests to its methods.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod activity;
mod albums;
mod amendments;
mod audit;
mod bots;
mod bounds;
mod chat_presence;
mod counts;
mod events;
mod history;
mod identities;
mod inbound;
mod internal_chats;
mod labels;
mod learnt;
mod life;
mod lines;
mod lists;
mod mail;
mod notifications;
mod own_amendments;
mod own_app;
mod quick_replies;
mod rules;
mod search;
mod sending;
mod start_chat;
mod starts;
mod watch;
mod whole;
mod working;
mod world;
