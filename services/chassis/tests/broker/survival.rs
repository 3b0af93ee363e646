//! The broker killed again and again under load: nothing lost, nothing double, order kept.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use chassis::config::{self, RelayMode};
use chassis::consumer::Handler;
use chassis::envelope::Envelope;
use chassis::nats;
use chassis::outbox::Relay;
use chassis::packs::{PackItem, Packer, PackerConfig};
use chassis::trace::TraceContext;

use crate::world::{CREATED, Recorder, World, eventually};

/// A broker of this test's own, killed and started again on the same port and folder.
struct Server {
    process: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Server {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let process = Self::process(port, folder.path());
        Self {
            process,
            port,
            folder,
        }
    }

    fn process(port: u16, folder: &Path) -> Child {
        let file = folder.join("nats.conf");
        let text = format!(
            "listen: 127.0.0.1:{port}\njetstream {{ store_dir: \"{}\", sync_interval: always }}\n",
            folder.join("store").display()
        );
        std::fs::write(&file, text).unwrap();
        let program =
            std::env::var_os("SWITCHBOARD_NATS_SERVER_BIN").unwrap_or_else(|| "nats-server".into());
        let mut command = Command::new(program);
        command
            .arg("-c")
            .arg(file)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.spawn().unwrap()
    }

    /// SIGKILL, and a new process.
    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.process = Self::process(self.port, self.folder.path());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_killed_under_load_loses_and_doubles_nothing() {
    let mut server = Server::start();
    let section = config::Nats {
        url: format!("nats://127.0.0.1:{}", server.port).into(),
        ..config::Nats::default()
    };
    let nats = nats::connect(&section, "test").await.unwrap();
    let world = World::on(nats, 64 << 20, 2).await;
    let items = Recorder::new("test-inbound", |_| Ok(()));
    let events = Recorder::new("test-events", |_| Ok(()));
    let inbound: Arc<dyn Handler> = items.clone();
    let consumers = world.consumers(&world.lifecycle);
    consumers.spawn_inbound(&inbound);
    consumers.spawn_events(events.clone(), &CREATED);
    let waker = Relay::spawn(
        &world.lifecycle,
        world.pool().clone(),
        world.nats.clone(),
        world.streams.clone(),
        config::Relay {
            mode: RelayMode::Batched,
            ..config::Relay::default()
        },
    );
    let packer = Packer::new(
        world.nats.clone(),
        world.streams.clone(),
        PackerConfig::default(),
    );

    let until = Instant::now() + Duration::from_secs(8);
    let accepted = Mutex::new(Vec::new());
    let senders = (0..8).map(|sender| {
        let (world, packer, accepted) = (&world, &packer, &accepted);
        async move {
            let key = format!("key-{sender}");
            for number in 0.. {
                if Instant::now() > until {
                    break;
                }
                let text = format!("{sender}/{number}");
                let item = PackItem {
                    account: world.account.clone(),
                    key: key.clone(),
                    payload: text.clone().into_bytes().into(),
                    trace: TraceContext::none(),
                    id: None,
                };
                if packer.send(&key, vec![item]).await.is_ok() {
                    accepted.lock().unwrap().push(text);
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    });
    let writing = async {
        let mut written = 0;
        while Instant::now() < until {
            world
                .write(&format!("chat-{}", written % 7), written..written + 10)
                .await;
            waker.wake();
            written += 10;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        written
    };
    let killing = async {
        while Instant::now() + Duration::from_secs(1) < until {
            tokio::time::sleep(Duration::from_millis(1_300)).await;
            server.kill();
        }
    };
    let (_, written, ()) = tokio::join!(futures::future::join_all(senders), writing, killing);
    let accepted = accepted.into_inner().unwrap();

    eventually("every written event is handled", async || {
        events.distinct().len() == usize::try_from(written).unwrap()
    })
    .await;
    eventually("every accepted item is handled", async || {
        let handled = items.distinct();
        accepted.iter().all(|item| handled.contains(item))
    })
    .await;
    println!(
        "{} items accepted, {written} events written",
        accepted.len()
    );
    assert!(accepted.len() > 500 && written > 1_000);
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    for message in world.stored(&world.streams.events()).await {
        let envelope = Envelope::parse(&message.subject, &message.headers).unwrap();
        let last = last.entry(envelope.subject_id.clone()).or_default();
        assert_eq!(envelope.sequence, *last + 1, "{}", envelope.subject_id);
        *last = envelope.sequence;
    }
    assert_eq!(last.values().sum::<u64>(), u64::from(written));
    world.finish().await;
}
