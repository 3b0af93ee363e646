//! What Telegram's Bot API means: updates in, calls out, and its refusals.

pub mod call;
pub mod content;
pub mod errors;
pub mod normalise;

pub use normalise::{kept_raw, normalise};
