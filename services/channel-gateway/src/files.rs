//! Files: the object store, the links by which they are reached, and where providers' files come from.

pub mod store;
