//! What Telegram's Bot API means: updates in, calls out, and its refusals.

pub mod business;
pub mod call;
pub mod chat;
pub mod content;
mod edit;
pub mod errors;
pub mod file;
pub mod health;
pub mod layout;
pub mod media;
pub mod normalise;
pub mod person;
pub mod photo;
pub mod plan;
mod refusals;
pub mod upload;

pub use normalise::{kept_raw, normalise};
pub use plan::plan;
