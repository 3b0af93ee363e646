//! A mailbox over IMAP: read without leaving a trace, waited on, and written to in its Sent folder only
//! (channels.md §5.1).

use std::collections::HashSet;
use std::time::Duration;

use async_imap::imap_proto::{
    MailboxDatum, NameAttribute, RequestId, Response, ResponseCode, Status,
};
use async_imap::types::UnsolicitedResponse;
use async_imap::{Client, Session};
use futures::StreamExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio_util::sync::CancellationToken;

use super::wire::{Endpoint, Security, Wires};
use crate::domain::mailbox::{self, Cursor};
use error::{answered, away, broken, ended, present, told};
use guard::Guarded;
use login::{capabilities, greeted, log_in, note};

pub mod answer;
mod error;
mod fetch;
mod guard;
mod login;
mod outline;

pub use error::ImapError;
pub use fetch::{Envelope, Fetched};
pub use login::{Login, Secret};
pub use outline::Outline;

/// Literals beyond a mail's limit that pass: headers and what servers add.
const LITERAL_SLACK: usize = 1024 * 1024;

/// Names of the Sent folder where the server does not say which it is.
const SENT_NAMES: [&str; 6] = [
    "Sent",
    "Sent Items",
    "Sent Messages",
    "Sent Mail",
    "INBOX.Sent",
    "INBOX/Sent",
];

/// How long the server may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(3);

/// What a folder is when it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    /// The life of the folder.
    pub uidvalidity: u32,
    /// The UID that the next mail gets.
    pub uidnext: u32,
}

/// Why waiting ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woke {
    /// The server announced something.
    News,
    /// The time was up.
    Time,
    /// It was asked to.
    Stopped,
}

/// What is known of the folder of what was sent.
#[derive(Debug, Clone)]
enum Sent {
    /// It was not asked for.
    Unknown,
    /// Its name; none where there is none.
    Known(Option<String>),
}

/// A logged-in session. One mailbox has one.
#[derive(Debug)]
pub struct Mailbox {
    /// None once the connection is lost while waiting.
    session: Option<Session<Guarded>>,
    can_idle: bool,
    /// Something came while a command ran.
    stirred: bool,
    sent: Sent,
    patience: Duration,
}

impl Mailbox {
    /// Connects and logs in. Messages of up to `size_limit` bytes can be fetched whole.
    pub async fn open(
        wires: &Wires,
        endpoint: &Endpoint,
        login: &Login,
        size_limit: u32,
    ) -> Result<Self, ImapError> {
        let wire = wires.dial(endpoint).await.map_err(away)?;
        let literal_max = usize::try_from(size_limit)
            .unwrap_or(usize::MAX)
            .saturating_add(LITERAL_SLACK);
        let mut client = greeted(Client::new(Guarded::new(wire, literal_max))).await?;
        if endpoint.security == Security::StartTls {
            answered(client.run_command_and_check_ok("STARTTLS", None).await)?;
            // What came in the clear behind the answer is thrown away with the client's buffer.
            let wire = client.into_inner().into_wire();
            let wire = wires.secure(wire, &endpoint.host).await.map_err(away)?;
            client = Client::new(Guarded::new(wire, literal_max));
        }
        let able = capabilities(&mut client).await?;
        let session = log_in(client, login, &able).await?;
        let mut mailbox = Self {
            session: Some(session),
            can_idle: false,
            stirred: false,
            sent: Sent::Unknown,
            patience: wires.idle(),
        };
        let mut able = HashSet::new();
        mailbox
            .command("CAPABILITY", |response| note(response, &mut able))
            .await?;
        mailbox.can_idle = able.contains("IDLE");
        Ok(mailbox)
    }

    /// Tells whether the server can announce mails.
    pub fn can_idle(&self) -> bool {
        self.can_idle
    }

    /// Tells whether the server announced something since the last search began.
    pub fn stirred(&self) -> bool {
        self.stirred
    }

    /// Opens a folder for reading only: not even `\Recent` changes.
    pub async fn examine(&mut self, folder: &str) -> Result<Opened, ImapError> {
        let (mut validity, mut next) = (None, None);
        let command = format!("EXAMINE {}", quoted(folder)?);
        self.command(&command, |response| {
            if let Response::Data {
                status: Status::Ok,
                outcome,
            } = response
            {
                match outcome.code {
                    Some(ResponseCode::UidValidity(value)) => validity = Some(value),
                    Some(ResponseCode::UidNext(value)) => next = Some(value),
                    _ => {}
                }
            }
        })
        .await?;
        let uidnext = match next {
            Some(next) => next,
            // Servers of old do not tell: the newest message does.
            None => self
                .search("UID *")
                .await?
                .into_iter()
                .max()
                .map_or(1, |newest| newest.saturating_add(1)),
        };
        self.stirred = false;
        Ok(Opened {
            uidvalidity: validity.unwrap_or_default(),
            uidnext,
        })
    }

    /// Returns the next mails after a cursor in the open folder: ascending, at most `limit`.
    pub async fn new_since(
        &mut self,
        cursor: Cursor,
        limit: usize,
    ) -> Result<Vec<Envelope>, ImapError> {
        self.stirred = false;
        let found = self.search(&mailbox::criteria(cursor)).await?;
        let next = mailbox::next(&found, cursor, limit);
        if next.is_empty() {
            return Ok(Vec::new());
        }
        self.envelopes(&next).await
    }

    /// Finds the folder of sent mails: by its special use, else by a usual name. None where there is none.
    pub async fn sent_folder(&mut self) -> Result<Option<String>, ImapError> {
        if let Sent::Known(known) = &self.sent {
            return Ok(known.clone());
        }
        let (mut special, mut usual) = (None, None);
        self.command(r#"LIST "" "*""#, |response| {
            let Response::MailboxData(MailboxDatum::List(list)) = response else {
                return;
            };
            let attributes = &list.name_attributes;
            if attributes.contains(&NameAttribute::NoSelect) {
                return;
            }
            let name = list.name.as_ref();
            if attributes.contains(&NameAttribute::Sent) {
                special.get_or_insert_with(|| name.to_owned());
            } else if let Some(rank) = SENT_NAMES.iter().position(|usual| *usual == name) {
                let better = usual.as_ref().is_none_or(|(before, _)| rank < *before);
                if better {
                    usual = Some((rank, name.to_owned()));
                }
            }
        })
        .await?;
        let found = special.or_else(|| usual.map(|(_, name)| name));
        self.sent = Sent::Known(found.clone());
        Ok(found)
    }

    /// Tells whether the Sent folder has a mail of this Message-ID: some servers put it there themselves.
    pub async fn sent_holds(&mut self, message_id: &str) -> Result<bool, ImapError> {
        let Some(folder) = self.sent_folder().await? else {
            return Ok(false);
        };
        self.examine(&folder).await?;
        let id = message_id.trim_matches(['<', '>']);
        let criteria = format!("HEADER Message-ID {}", quoted(id)?);
        Ok(!self.search(&criteria).await?.is_empty())
    }

    /// Puts a mail that was sent into the Sent folder, as read. False where there is no such folder.
    pub async fn append_sent(&mut self, raw: &[u8]) -> Result<bool, ImapError> {
        let Some(folder) = self.sent_folder().await? else {
            return Ok(false);
        };
        let command = format!("APPEND {} (\\Seen) {{{}}}", quoted(&folder)?, raw.len());
        let tag = answered(self.session()?.run_command(&command).await)?;
        loop {
            let response = present(self.session()?.read_response().await)?;
            match response.parsed() {
                Response::Continue(_) => break,
                Response::Done { outcome, .. } => {
                    return Err(ImapError::Refused(format!("APPEND: {}", told(outcome))));
                }
                _ => {}
            }
        }
        let wire = self.session()?.get_mut();
        wire.write_all(raw).await.map_err(broken)?;
        wire.write_all(b"\r\n").await.map_err(broken)?;
        wire.flush().await.map_err(broken)?;
        self.until_done(&tag, "APPEND", |_| ()).await?;
        Ok(true)
    }

    /// Waits in the open folder until the server announces something, the time is up, or it is asked to stop.
    pub async fn idle(
        &mut self,
        limit: Duration,
        stop: &CancellationToken,
    ) -> Result<Woke, ImapError> {
        let session = self.session.take().ok_or_else(ended)?;
        // What is announced before the server says that it waits goes past the stream, into this queue.
        let before = session.unsolicited_responses.clone();
        while before.try_recv().is_ok() {}
        let queued = || {
            std::iter::from_fn(|| before.try_recv().ok())
                .any(|response| matches!(response, UnsolicitedResponse::Exists(_)))
        };
        let mut idle = session.idle();
        answered(idle.init().await)?;
        let mut woke = queued().then_some(Woke::News);
        idle.as_mut()
            .wire()
            .read_limit(limit.saturating_add(self.patience));
        let deadline = tokio::time::sleep(limit);
        tokio::pin!(deadline);
        while woke.is_none() {
            tokio::select! {
                () = stop.cancelled() => woke = Some(Woke::Stopped),
                () = &mut deadline => woke = Some(Woke::Time),
                next = idle.next() => match present(next.transpose())?.parsed() {
                    Response::MailboxData(MailboxDatum::Exists(_)) => woke = Some(Woke::News),
                    Response::Data { status: Status::Bye, outcome } => {
                        return Err(ImapError::Bye(told(outcome)));
                    }
                    // That it is still here, that somebody read or deleted a mail.
                    _ => {}
                },
            }
        }
        idle.as_mut().wire().read_limit(self.patience);
        self.session = Some(answered(idle.done().await)?);
        Ok(woke.unwrap_or(Woke::Time))
    }

    /// Says goodbye, so that the server counts this session no longer (§7.26).
    pub async fn logout(self) {
        if let Some(mut session) = self.session {
            let _ = tokio::time::timeout(GOODBYE, session.logout()).await;
        }
    }

    fn session(&mut self) -> Result<&mut Session<Guarded>, ImapError> {
        self.session.as_mut().ok_or_else(ended)
    }

    /// Searches the open folder; returns UIDs as the server orders them.
    async fn search(&mut self, criteria: &str) -> Result<Vec<u32>, ImapError> {
        let mut found = Vec::new();
        self.command(&format!("UID SEARCH {criteria}"), |response| {
            if let Response::MailboxData(MailboxDatum::Search(uids)) = response {
                found.extend_from_slice(uids);
            }
        })
        .await?;
        Ok(found)
    }

    /// Runs a command and shows every untagged response to `visit`.
    async fn command(
        &mut self,
        command: &str,
        visit: impl FnMut(&Response<'_>) + Send,
    ) -> Result<(), ImapError> {
        let tag = answered(self.session()?.run_command(command).await)?;
        let name = command.split(['"', '(']).next().unwrap_or_default();
        self.until_done(&tag, name.trim(), visit).await
    }

    async fn until_done(
        &mut self,
        tag: &RequestId,
        name: &str,
        mut visit: impl FnMut(&Response<'_>) + Send,
    ) -> Result<(), ImapError> {
        loop {
            let response = present(self.session()?.read_response().await)?;
            match response.parsed() {
                Response::Done {
                    tag: done,
                    status,
                    outcome,
                } if done == tag => {
                    return match status {
                        Status::Ok => Ok(()),
                        _ => Err(ImapError::Refused(format!("{name}: {}", told(outcome)))),
                    };
                }
                Response::Data {
                    status: Status::Bye,
                    outcome,
                } => return Err(ImapError::Bye(told(outcome))),
                untagged => {
                    if let Response::MailboxData(MailboxDatum::Exists(_)) = untagged {
                        self.stirred = true;
                    }
                    visit(untagged);
                }
            }
        }
    }
}

/// Quotes a folder's name, which is sent as the server wrote it.
fn quoted(folder: &str) -> Result<String, ImapError> {
    if folder.chars().any(char::is_control) {
        return Err(ImapError::Refused("a folder of that name".into()));
    }
    let escaped = folder.replace('\\', "\\\\").replace('"', "\\\"");
    Ok(format!("\"{escaped}\""))
}
