//! The harness of Switchboard's end-to-end tests: private servers, the four service processes, tokens, and
//! local stand-ins for the providers. Nothing here depends on the services' crates: what is tested is what is shipped.

pub mod bench;
pub mod command;
pub mod events;
pub mod external_crm;
pub mod fronts;
pub mod mail;
pub mod meta;
pub mod oauth;
pub mod quiet;
pub mod replicas;
pub mod rpc;
pub mod servers;
pub mod services;
pub mod shell;
pub mod telegram;
pub mod telling;
pub mod tokens;
pub mod viber;
pub mod world;
