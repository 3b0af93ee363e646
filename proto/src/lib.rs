//! The contracts of Switchboard: gRPC services, events, and what both are made of.
//!
//! Generated from the `.proto` files beside this crate. Besides the types there are two tables, read from the
//! options in those files: [`METHODS`] says which scopes open a method, [`EVENTS`] names every event.

/// One method of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Method {
    /// Path on the wire, for example `/switchboard.conversation.v1.ConversationService/SendMessage`.
    pub path: &'static str,
    /// Scopes that open it, separated by `|`.
    pub scope: &'static str,
}

/// One kind of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventType {
    /// The publishing service, as in subjects; `*` where each service publishes it.
    pub service: &'static str,
    /// What the event is about.
    pub entity: &'static str,
    /// What happened.
    pub event: &'static str,
    /// Full name of the protobuf message, the `ce-type`.
    pub kind: &'static str,
}

/// A message that is published as an event.
pub trait DomainEvent: prost::Message + Default {
    /// The publishing service, as in subjects; `*` where each service publishes it.
    const SERVICE: &'static str;
    /// What the event is about.
    const ENTITY: &'static str;
    /// What happened.
    const EVENT: &'static str;
    /// Full name of the protobuf message, the `ce-type`.
    const TYPE: &'static str;
}

/// All files with their comments, for reflection.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

include!(concat!(env!("OUT_DIR"), "/tables.rs"));

macro_rules! packages {
    ($($name:ident)*) => {$(
        #[allow(clippy::all, clippy::pedantic, reason = "generated")]
        pub mod $name {
            //! Generated.
            pub mod v1 {
                //! Generated.
                include!(concat!(env!("OUT_DIR"), "/switchboard.", stringify!($name), ".v1.rs"));
            }
        }
    )*};
}
packages!(common operator channel_gateway conversation crm_cards assignment);
