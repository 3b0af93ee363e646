//! The gRPC server: authentication, limits, spans, errors with details, and the parsing that all handlers share.

mod errors;
mod gate;
mod page;
mod parse;
mod server;

pub use errors::{FieldViolation, internal, invalid, refusal, unavailable};
pub use gate::{ACCOUNT_METADATA, AGENT_METADATA, Gate, GateLayer, TRACE_METADATA};
pub use page::{PAGE_BYTES, fitting, fitting_page, page, page_of};
pub use parse::{
    PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX, Parse, page_token, text_within, timestamp, timestamp_opt,
};
pub use server::GrpcServer;

#[cfg(test)]
mod tests;
