//! The words and rules of this service: no I/O, no clock, no randomness.

pub mod access;
pub mod batch;
pub mod cells;
pub mod columns;
pub mod company;
pub mod connection;
pub mod csv;
pub mod decimal;
pub mod duplicates;
pub mod entity;
pub mod external;
pub mod external_line;
pub mod fields;
pub mod history;
pub mod ids;
pub mod import;
pub mod merge;
pub mod money;
pub mod order;
pub mod participants;
pub mod points;
pub mod reshape;
pub mod search;
pub mod settings;
pub mod status;
pub mod walk;
mod words;

pub use words::UnknownWord;
