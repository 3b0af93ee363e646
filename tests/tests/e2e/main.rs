//! Stories about the whole system: four real services, real NATS, real Postgres, and customers who write through the
//! stand-in for the Bot API. What is checked is what somebody outside can see.

mod bad_input;
mod closed;
mod faults;
mod main_path;
mod once;
