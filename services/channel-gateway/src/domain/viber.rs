//! What Viber's REST Bot API means: callbacks in, calls out, and its refusals (channels.md §3).

pub mod call;
pub mod content;
pub mod errors;
pub mod file;
pub mod health;
pub mod markup;
pub mod normalise;
pub mod rehearsal;
pub mod signature;

pub use call::plan;
pub use normalise::{kept_raw, normalise};
