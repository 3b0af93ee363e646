//! The service over a real Postgres: events go in by its handler, requests by its gRPC methods.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod access;
mod address_owners;
mod audit;
mod board;
mod card_changes;
mod card_lists;
mod card_making;
mod cards;
mod conversion;
mod external_crm;
mod external_lines;
mod fields;
mod history;
mod internal_messages;
mod lines;
mod lists;
mod merges;
mod modes;
mod open_connections;
mod orders;
mod people;
mod pipelines;
mod races;
mod repeats;
mod responsibles;
mod sources;
mod staff;
mod sync;
mod talks;
mod transfer;
mod world;
