//! Pure decisions: no I/O, no clock, no randomness.

pub mod address;
pub mod attachments;
pub mod backoff;
pub mod call;
pub mod channel;
pub mod delivery;
pub mod file;
pub mod inbound;
pub mod lane;
pub mod links;
pub mod range;
pub mod rate;
pub mod refusal;
pub mod split;
pub mod telegram;
pub mod value;
