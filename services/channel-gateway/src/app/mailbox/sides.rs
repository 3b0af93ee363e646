//! Both sides of following: which mailboxes there are, and where their mails go.

use std::sync::Arc;

use bytes::Bytes;
use chassis::pauses::Holding;
use time::OffsetDateTime;
use tokio::sync::watch;
use uuid::Uuid;

use crate::domain::mailbox::Folder;
use crate::domain::mailbox::cut::Cut;
use crate::provider::imap::Login;
use crate::provider::wire::Endpoint;

/// A mail, as it was fetched.
#[derive(Debug, Clone)]
pub struct Mail {
    /// The channel.
    pub channel: Uuid,
    /// Slug of its account.
    pub account: String,
    /// The folder.
    pub folder: Folder,
    /// The life of the folder in which the UID means something.
    pub uidvalidity: u32,
    /// Its UID.
    pub uid: u32,
    /// When the mail server got it.
    pub internal_date: Option<OffsetDateTime>,
    /// Its size on the server, in bytes.
    pub size: u32,
    /// Its flags.
    pub flags: Vec<String>,
    /// The mail; where it was cut, its header and its first text.
    pub raw: Bytes,
    /// What is missing, where it was cut.
    pub cut: Option<Cut>,
}

impl Mail {
    /// Returns the key of this item in its channel (channels.md §1). The same mail can come under another one, when the
    /// UIDs of its folder have changed: that is for its Message-ID to tell.
    pub fn event_key(&self) -> String {
        key(self.folder, self.uidvalidity, self.uid)
    }
}

/// A mail that could not be fetched and was set aside.
#[derive(Debug, Clone)]
pub struct Poison {
    /// The channel.
    pub channel: Uuid,
    /// Slug of its account.
    pub account: String,
    /// The folder.
    pub folder: Folder,
    /// The life of the folder in which the UID means something.
    pub uidvalidity: u32,
    /// Its UID.
    pub uid: u32,
    /// When the mail server got it.
    pub internal_date: Option<OffsetDateTime>,
    /// Its size on the server, in bytes.
    pub size: u32,
    /// Why it could not be fetched.
    pub problem: String,
}

impl Poison {
    /// Returns the key under which the mail would have come.
    pub fn event_key(&self) -> String {
        key(self.folder, self.uidvalidity, self.uid)
    }
}

fn key(folder: Folder, uidvalidity: u32, uid: u32) -> String {
    format!("{}:{uidvalidity}:{uid}", folder.as_str())
}

/// What takes mails cannot do so now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not now")]
pub struct Away;

/// Where mails go.
#[tonic::async_trait]
pub trait Sink: Send + Sync + 'static {
    /// Takes a mail: returns when it is stored for good. It comes again after an error, and may come again after a crash.
    async fn accept(&self, mail: Mail) -> Result<(), Away>;

    /// Is told of a mail that is set aside.
    async fn quarantine(&self, poison: Poison) -> Result<(), Away>;

    /// Is told that the server refused the credentials three times: the channel is to be disconnected. It is not
    /// followed any more until its revision changes.
    async fn refused(&self, channel: Uuid, revision: i64, problem: &str);
}

/// A channel that is to be followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The channel.
    pub channel: Uuid,
    /// Slug of its account.
    pub account: String,
    /// Counts changes of server and credentials: a session begun with others is ended.
    pub revision: i64,
}

/// Where a mailbox is, and who logs in.
#[derive(Debug, Clone)]
pub struct Account {
    /// The IMAP server.
    pub endpoint: Endpoint,
    /// Who logs in.
    pub login: Login,
}

/// Why there is no account.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoAccount {
    /// Nobody can tell now.
    #[error("not now")]
    Away,
    /// The grant is void: only an administrator can mend it. It counts as a refusal of the credentials.
    #[error("{0}")]
    Refused(String),
}

/// What channels there are.
#[tonic::async_trait]
pub trait Directory: Send + Sync + 'static {
    /// Returns the channels whose clients are heard, from memory.
    fn wanted(&self) -> Vec<Wanted>;

    /// Tells when what is paused changes: then other channels are wanted at once.
    fn changes(&self) -> watch::Receiver<Arc<Holding>>;

    /// Returns the account of a channel; with `renewed`, the access token in use was refused and another one is needed.
    async fn account(&self, channel: Uuid, renewed: bool) -> Result<Account, NoAccount>;
}
