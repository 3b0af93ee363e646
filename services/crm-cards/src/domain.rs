//! The words and rules of this service: no I/O, no clock, no randomness.

pub mod access;
pub mod batch;
pub mod connection;
pub mod entity;
pub mod ids;
pub mod settings;
pub mod status;
mod words;

pub use words::UnknownWord;
