//! Speaking to providers: I/O that application calls, as it calls the store.

pub mod telegram;
