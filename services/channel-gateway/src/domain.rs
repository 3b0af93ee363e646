//! Pure decisions: no I/O, no clock, no randomness.

pub mod backoff;
pub mod channel;
pub mod delivery;
pub mod lane;
pub mod rate;
pub mod split;
pub mod telegram;
