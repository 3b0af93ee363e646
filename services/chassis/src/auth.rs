//! Who calls: tokens, scopes and the caller that every handler gets.

mod caller;
mod jwks;
mod scope;
mod token;

pub use caller::{Caller, Subject};
pub(crate) use caller::{CallerParts, account_mismatch};
pub use jwks::Jwks;
pub use scope::{Scope, covers, satisfies};
pub use token::{Claims, SubjectKind, TokenError, Verifier};

/// A gRPC method and the scopes that open it, several alternatives separated by `|`.
pub use switchboard_proto::Method;

#[cfg(test)]
mod tests;
