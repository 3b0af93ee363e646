//! Calls to providers as values: what a part of a message becomes.

use serde_json::Value;

/// A call: the method and its parameters, without the chat, which may move before it is sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The provider's method, as `sendMessage`.
    pub method: String,
    /// Parameters. An object `{"$file": "<attachment id>"}` stands where the provider wants a file: whoever makes the
    /// call puts there what the provider takes, a link or the file itself.
    pub params: Value,
}

/// The field that stands for a file in a call's parameters.
pub const FILE: &str = "$file";

/// A change to a call that was refused, so that it can be tried again at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amendment {
    /// Without the reference to the message that is answered.
    WithoutReply,
    /// Without formatting.
    Plain,
    /// With the picture as a document.
    AsDocument,
}
