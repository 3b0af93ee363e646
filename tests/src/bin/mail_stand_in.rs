//! The mailbox with its servers as a process of its own. The first line it prints is
//! `{"address":"127.0.0.1:port","url":…}`, the address of its control API.

use std::net::SocketAddr;

use clap::Parser;
use switchboard_tests::mail::{Ports, StandIn};
use switchboard_tests::shell::run;

/// A private mailbox: Dovecot, an SMTP server, and a control API by which customers write.
#[derive(Parser)]
struct Arguments {
    /// Address of the control API; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Port for IMAP.
    #[arg(long)]
    imap: u16,
    /// Port for IMAP by TLS.
    #[arg(long)]
    imaps: u16,
    /// Port at which mails are delivered to the mailbox.
    #[arg(long)]
    lmtp: u16,
    /// Port at which mails are handed over.
    #[arg(long)]
    smtp: u16,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let given = Arguments::parse();
    let ports = Ports {
        imap: given.imap,
        imaps: given.imaps,
        lmtp: given.lmtp,
        smtp: given.smtp,
    };
    run(StandIn::start(given.listen, ports), |it| {
        (it.address(), format!("http://{}", it.address()))
    })
    .await
}
