//! What Meta's webhooks and the Graph API mean for Instagram, Direct and comments: batches in, calls out, refusals, and
//! the time in which a customer may be answered (channels.md §4).

pub mod call;
pub mod comments;
pub mod content;
pub mod direct;
pub mod echo;
pub mod errors;
pub mod health;
pub mod items;
pub mod normalise;
pub mod private;
pub mod rest;
pub mod signature;
pub mod window;
pub mod wire;

pub use call::plan;
pub use items::{Item, items};
pub use normalise::{kept_raw, normalise, normalise_as};
