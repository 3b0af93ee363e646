//! Pure decisions: no I/O, no clock, no randomness.

pub mod address;
pub mod attachments;
pub mod backoff;
pub mod call;
pub mod capabilities;
pub mod channel;
pub mod credentials;
pub mod delivery;
pub mod echo;
pub mod email;
pub mod file;
pub mod health;
pub mod inbound;
pub mod instagram;
pub mod lane;
pub mod links;
pub mod lookup;
pub mod mailbox;
pub mod range;
pub mod rate;
pub mod refusal;
pub mod smtp;
pub mod split;
pub mod telegram;
pub mod value;
pub mod viber;
