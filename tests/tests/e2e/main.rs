//! Stories about the whole system: four real services, real NATS, real Postgres, and customers who write through the
//! stand-ins for their providers. What is checked is what somebody outside can see.

mod activity;
mod audit;
mod bad_input;
mod bots;
mod broker_rights;
mod bundle;
mod channels;
mod closed;
mod command_line;
mod deciding;
mod demo_secrets;
mod entity_chats;
mod fairness;
mod faults;
mod files;
mod internal_chats;
mod main_path;
mod once;
mod operating;
mod pausing;
mod recovery;
mod rehearsal;
mod responsible;
mod rights;
mod rolling;
mod rotation;
mod search;
mod secrets;
mod sync;
mod telemetry;
mod waiting;
