//! What the tests share: connections, what was accepted, and mailboxes that are followed.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use channel_gateway::app::mailbox::{
    Account, Away, Directory, Mail, Mailboxes, NoAccount, Poison, Sink, Terms, Wanted,
};
use channel_gateway::domain::mailbox::Folder;
use channel_gateway::provider::imap::{Login, Mailbox, Secret};
use channel_gateway::provider::wire::{Endpoint, Rules, Security, Wires};
use channel_gateway::store::MIGRATOR;
use chassis::pauses::{Holding, Pauses};
use chassis::testing::{self, TestDatabase};
use switchboard_tests::servers::{Certificate, Dovecot};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub const RULES: Rules = Rules {
    plain: true,
    private: true,
    connect: Duration::from_secs(5),
    idle: Duration::from_secs(10),
};

pub fn wires(certificate: &Certificate) -> Wires {
    Wires::new(RULES, [certificate.der.clone().into()]).unwrap()
}

pub fn endpoint(port: u16, security: Security) -> Endpoint {
    Endpoint {
        host: "localhost".into(),
        port,
        security,
    }
}

pub fn password(user: &str, password: &str) -> Login {
    Login {
        user: user.into(),
        secret: Secret::Password(password.into()),
    }
}

pub fn token(user: &str, token: &str) -> Login {
    Login {
        user: user.into(),
        secret: Secret::Token(token.into()),
    }
}

pub fn mail(subject: &str) -> String {
    format!(
        "From: Anna <anna@example.com>\r\nTo: shop@example.com\r\nSubject: {subject}\r\n\
         Message-ID: <{subject}@example.com>\r\n\r\nDo you have size 42?\r\n"
    )
}

/// Opens a session of its own.
pub async fn session(dovecot: &Dovecot, user: &str) -> Mailbox {
    let plain = endpoint(dovecot.imap(), Security::Plain);
    let wires = wires(dovecot.certificate());
    Mailbox::open(&wires, &plain, &password(user, "secret"), 1 << 20)
        .await
        .unwrap()
}

/// Accepts all mails, unless it is away.
#[derive(Default)]
pub struct Collector {
    pub mails: Mutex<Vec<Mail>>,
    pub poison: Mutex<Vec<Poison>>,
    pub refused: Mutex<Vec<String>>,
    pub away: AtomicBool,
    pub asked: AtomicUsize,
}

#[tonic::async_trait]
impl Sink for Collector {
    async fn accept(&self, mail: Mail) -> Result<(), Away> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.away.load(Ordering::SeqCst) {
            return Err(Away);
        }
        self.mails.lock().unwrap().push(mail);
        Ok(())
    }

    async fn quarantine(&self, poison: Poison) -> Result<(), Away> {
        self.poison.lock().unwrap().push(poison);
        Ok(())
    }

    async fn refused(&self, _: Uuid, _: i64, problem: &str) {
        self.refused.lock().unwrap().push(problem.to_owned());
    }
}

impl Collector {
    /// Subjects of what was accepted from a folder, in order.
    pub fn subjects(&self, folder: Folder) -> Vec<String> {
        let mails = self.mails.lock().unwrap();
        let subject = |mail: &Mail| {
            let raw = String::from_utf8_lossy(&mail.raw).into_owned();
            let line = raw.lines().find(|line| line.starts_with("Subject: "));
            line.unwrap_or_default().replace("Subject: ", "")
        };
        mails
            .iter()
            .filter(|mail| mail.folder == folder)
            .map(subject)
            .collect()
    }

    pub async fn until(&self, expected: &[&str]) {
        eventually(&format!("{expected:?}"), async || {
            self.subjects(Folder::Inbox) == expected
        })
        .await;
    }
}

/// One channel with its account.
pub struct OneChannel {
    pub wanted: Wanted,
    pub account: Account,
    /// What is used once the access token was refused.
    pub renewed: Option<Login>,
    /// How often it was asked which channels there are.
    pub looked: Arc<AtomicUsize>,
}

#[tonic::async_trait]
impl Directory for OneChannel {
    fn wanted(&self) -> Vec<Wanted> {
        self.looked.fetch_add(1, Ordering::SeqCst);
        vec![self.wanted.clone()]
    }

    fn changes(&self) -> watch::Receiver<Arc<Holding>> {
        Pauses::default().watch()
    }

    async fn account(&self, _: Uuid, renewed: bool) -> Result<Account, NoAccount> {
        let mut account = self.account.clone();
        if let (true, Some(login)) = (renewed, &self.renewed) {
            account.login = login.clone();
        }
        Ok(account)
    }
}

/// A replica that follows one mailbox.
pub struct Replica {
    pub stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Replica {
    /// Stops as SIGTERM does.
    pub async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(Duration::from_secs(10), self.task)
            .await
            .expect("it ends")
            .unwrap();
    }

    /// Stops as SIGKILL does: nothing is given back.
    pub fn kill(self) {
        self.task.abort();
    }
}

/// A mailbox, its database, and what was accepted of it.
pub struct World {
    pub dovecot: Dovecot,
    pub database: TestDatabase,
    pub sink: Arc<Collector>,
    pub channel: Uuid,
    pub login: Login,
    pub renewed: Option<Login>,
    pub terms: Terms,
    /// How often all replicas together looked for mailboxes.
    pub looked: Arc<AtomicUsize>,
}

pub async fn world() -> World {
    world_of(Dovecot::start(None).unwrap()).await
}

pub async fn world_of(dovecot: Dovecot) -> World {
    let mut terms = Terms {
        lease: Duration::from_secs(3),
        renew: Duration::from_millis(300),
        batch: 2,
        after_refusal: Duration::from_millis(50),
        ..Terms::default()
    };
    // Nothing below is found by looking now and then.
    terms.rhythm.poll = Duration::from_mins(5);
    World {
        dovecot,
        database: testing::database(&MIGRATOR).await,
        sink: Arc::default(),
        channel: chassis::id::v7(chassis::clock::now()),
        login: password("shop", "secret"),
        renewed: None,
        terms,
        looked: Arc::default(),
    }
}

impl World {
    pub fn follow(&self) -> Replica {
        let account = Account {
            endpoint: endpoint(self.dovecot.imap(), Security::Plain),
            login: self.login.clone(),
        };
        let directory = OneChannel {
            wanted: Wanted {
                channel: self.channel,
                account: "acme".into(),
                revision: 1,
            },
            account,
            renewed: self.renewed.clone(),
            looked: Arc::clone(&self.looked),
        };
        let mailboxes = Mailboxes::new(
            self.database.pool.clone(),
            wires(self.dovecot.certificate()),
            Arc::new(directory),
            self.sink.clone(),
            self.terms,
        );
        let stop = CancellationToken::new();
        let task = tokio::spawn(mailboxes.run(stop.clone()));
        Replica { stop, task }
    }

    /// Follows, and waits until the inbox was looked into.
    pub async fn followed(&self) -> Replica {
        let replica = self.follow();
        eventually("the inbox is followed", async || {
            self.cursor("inbox").await.is_some()
        })
        .await;
        replica
    }

    /// Life and last UID of a folder, and whether it is being read again.
    pub async fn cursor(&self, folder: &str) -> Option<(i64, i64, bool)> {
        sqlx::query_as(
            "select uidvalidity, last_uid, since is not null from mailbox_folder where folder = $1",
        )
        .bind(folder)
        .fetch_optional(&self.database.pool)
        .await
        .unwrap()
    }

    pub async fn fence(&self) -> i64 {
        sqlx::query_scalar("select fence from mailbox")
            .fetch_one(&self.database.pool)
            .await
            .unwrap()
    }

    pub fn deliver(&self, subject: &str) {
        self.dovecot.deliver("shop", &mail(subject)).unwrap();
    }
}

pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let began = std::time::Instant::now();
    while !holds().await {
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "{what}: not within 30 s"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
