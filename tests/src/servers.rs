//! Private NATS, `PostgreSQL`, S3 and mail servers for tests: on free ports, with their own data, known by process id, which
//! can be killed and started again on the same port and data.

mod dovecot;
mod nats;
mod postgres;
mod process;
mod s3;
mod smtp;

pub use dovecot::{Certificate, Dovecot};
pub use nats::NatsServer;
pub use postgres::PostgresServer;
pub(crate) use postgres::create_database;
pub use process::{Process, ports};
pub use s3::{S3Server, Stored};
pub use smtp::{Received, SmtpServer, SmtpTls};
