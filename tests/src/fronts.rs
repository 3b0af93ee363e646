//! What stands before the replicas of a service, as Kubernetes' Service does: new connections go to those that are ready, in turns;
//! connections that are open stay where they are.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

#[derive(Default)]
struct Behind {
    replicas: Vec<SocketAddr>,
    turn: usize,
}

impl Behind {
    fn next(&mut self) -> Option<SocketAddr> {
        self.turn = self.turn.wrapping_add(1);
        let place = self.turn.checked_rem(self.replicas.len())?;
        self.replicas.get(place).copied()
    }
}

/// One address before several. It ends when it is dropped.
pub struct Front {
    port: u16,
    behind: Arc<Mutex<Behind>>,
    task: JoinHandle<()>,
}

impl Front {
    /// Opens it on a free port, with nothing behind it yet.
    pub async fn open() -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let behind = Arc::new(Mutex::new(Behind::default()));
        let task = tokio::spawn(accept(listener, Arc::clone(&behind)));
        Ok(Self { port, behind, task })
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// New connections go to a port, too.
    pub fn add(&self, port: u16) {
        let mut behind = self.behind.lock().unwrap_or_else(PoisonError::into_inner);
        behind.replicas.push((Ipv4Addr::LOCALHOST, port).into());
    }

    /// New connections go to a port no more.
    pub fn remove(&self, port: u16) {
        let mut behind = self.behind.lock().unwrap_or_else(PoisonError::into_inner);
        behind.replicas.retain(|replica| replica.port() != port);
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, behind: Arc<Mutex<Behind>>) {
    while let Ok((mut client, _)) = listener.accept().await {
        let replica = behind.lock().unwrap_or_else(PoisonError::into_inner).next();
        // Where nothing is behind, the client sees its connection closed.
        let Some(replica) = replica else { continue };
        tokio::spawn(async move {
            if let Ok(mut replica) = TcpStream::connect(replica).await {
                let _ = client.set_nodelay(true);
                let _ = replica.set_nodelay(true);
                // How a connection ends is between its two sides.
                let _ = tokio::io::copy_bidirectional(&mut client, &mut replica).await;
            }
        });
    }
}
