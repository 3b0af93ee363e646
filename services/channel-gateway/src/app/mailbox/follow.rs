//! One mailbox: connect, read what is new, wait, and again. Every step has a time limit of its own, so that nothing
//! hangs for ever (channels.md §7.24, §7.34).

use std::sync::Arc;
use std::time::Duration;

use chassis::clock;
use rand::Rng as _;
use tokio::sync::SemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::fault::{End, Fault};
use super::notes::Notes;
use super::{Mail, NoAccount, Poison, Shared, Wanted, kibibytes};
use crate::domain::backoff;
use crate::domain::mailbox::{self, Cursor, Failure, Folder, Verdict, Waiting};
use crate::figures;
use crate::provider::imap::{Envelope, Fetched, ImapError, Mailbox, Secret, Woke};
use crate::store::mailboxes::{self, Failed, Held};

/// How long a step other than fetching a mail may take: connecting, opening a folder, looking what is new.
const STEP: Duration = Duration::from_mins(2);

/// How long a mail may take to be stored for good.
const STORING: Duration = Duration::from_mins(1);

/// How long to wait when something came while the folders were read.
const STIRRED: Duration = Duration::from_millis(200);

/// How old the last good moment may become while nothing comes.
const GOOD_FOR: time::Duration = time::Duration::hours(1);

/// How often the parser and the buffers hold a mail, at worst.
const COPIES: usize = 3;

/// Follows one mailbox.
pub(super) struct Follower {
    shared: Arc<Shared>,
    held: Held,
    wanted: Wanted,
    stop: CancellationToken,
    /// Connections that failed since a round was completed.
    broken: u32,
    /// Refusals of the credentials since a login.
    refusals: u32,
    /// The access token was refused: another one is needed.
    renew: bool,
    /// What is noted of it for whoever looks at the channel's health.
    notes: Notes,
}

/// A folder that is being read.
#[derive(Debug, Clone, Copy)]
struct Place {
    folder: Folder,
    cursor: Cursor,
}

impl Follower {
    pub(super) fn new(
        shared: Arc<Shared>,
        held: Held,
        wanted: Wanted,
        stop: CancellationToken,
    ) -> Self {
        let notes = Notes::new(Arc::clone(&shared), held);
        Self {
            shared,
            held,
            wanted,
            stop,
            broken: 0,
            refusals: 0,
            renew: false,
            notes,
        }
    }

    /// Follows until it is stopped, the mailbox is lost, or its credentials are refused for good.
    pub(super) async fn run(mut self) -> End {
        loop {
            let fault = match self.connect().await {
                Err(fault) => fault,
                Ok(mut mailbox) => {
                    (self.refusals, self.renew) = (0, false);
                    let fault = self.rounds(&mut mailbox).await;
                    mailbox.logout().await;
                    fault
                }
            };
            let wait = match fault {
                Fault::Stopped => return End::Stopped,
                Fault::Lost => return End::Lost,
                Fault::Token => {
                    self.renew = true;
                    Duration::ZERO
                }
                Fault::Imap(ImapError::Credentials(problem)) => {
                    self.renew = true;
                    self.refusals += 1;
                    match mailbox::after_refusal(self.refusals, self.shared.terms.after_refusal) {
                        Verdict::Again(wait) => wait,
                        Verdict::GiveUp => {
                            self.give_up(&problem).await;
                            return End::Refused;
                        }
                    }
                }
                Fault::Mail(wait, error) => {
                    tracing::warn!(channel.id = %self.wanted.channel, %error, "a mail is tried again");
                    wait
                }
                other => {
                    self.broken = self.broken.saturating_add(1);
                    tracing::info!(channel.id = %self.wanted.channel, error = %other, tries = self.broken, "mailbox");
                    self.notes.failure(&other).await;
                    backoff::wait(self.broken, roll())
                }
            };
            let slept = self
                .stop
                .run_until_cancelled(tokio::time::sleep(wait))
                .await;
            if slept.is_none() {
                return End::Stopped;
            }
        }
    }

    /// Tells of credentials that are refused for good, and that nobody is to try them again.
    async fn give_up(&self, problem: &str) {
        let Wanted {
            channel, revision, ..
        } = self.wanted;
        let noted = async {
            let mut connection = self.shared.pool.acquire().await?;
            mailboxes::refused(&mut connection, self.held, revision).await
        };
        if let Err(error) = noted.await {
            tracing::warn!(%error, channel.id = %channel, "refused credentials could not be noted: they are tried again");
        }
        self.shared.sink.refused(channel, revision, problem).await;
    }

    async fn connect(&self) -> Result<Mailbox, Fault> {
        let asked = self
            .shared
            .directory
            .account(self.wanted.channel, self.renew);
        let account = self
            .unless_stopped(STEP, asked)
            .await?
            .ok_or(Fault::Account)?;
        let account = account.map_err(|error| match error {
            NoAccount::Away => Fault::Account,
            NoAccount::Refused(problem) => ImapError::Credentials(problem).into(),
        })?;
        let limit = self.shared.terms.size_limit;
        let opened = Mailbox::open(&self.shared.wires, &account.endpoint, &account.login, limit);
        match self.imap(STEP, opened).await {
            // A token that ran out is no refusal yet: another one may do.
            Err(Fault::Imap(ImapError::Credentials(_)))
                if !self.renew && matches!(account.login.secret, Secret::Token(_)) =>
            {
                Err(Fault::Token)
            }
            other => other,
        }
    }

    /// Reads and waits, again and again.
    async fn rounds(&mut self, mailbox: &mut Mailbox) -> Fault {
        loop {
            if let Err(fault) = self.round(mailbox).await {
                return fault;
            }
            self.broken = 0;
            self.notes.success().await;
            if let Err(fault) = self.wait(mailbox).await {
                return fault;
            }
        }
    }

    /// Reads all folders. The inbox comes last: it is the one that is waited in.
    async fn round(&self, mailbox: &mut Mailbox) -> Result<(), Fault> {
        if let Some(sent) = self.imap(STEP, mailbox.sent_folder()).await? {
            match self.drain(mailbox, Folder::Sent, &sent).await {
                // Whoever may not read it still gets what comes in.
                Err(Fault::Imap(ImapError::Refused(problem))) => {
                    tracing::debug!(channel.id = %self.wanted.channel, problem, "sent folder");
                }
                other => other?,
            }
        }
        self.drain(mailbox, Folder::Inbox, "INBOX").await
    }

    async fn wait(&self, mailbox: &mut Mailbox) -> Result<(), Fault> {
        let rhythm = self.shared.terms.rhythm;
        let waiting = if mailbox.stirred() {
            // What came while it was read is not announced again. A server that always says so gains nothing by it.
            Waiting::Sleep(STIRRED)
        } else {
            mailbox::waiting(rhythm, mailbox.can_idle())
        };
        match waiting {
            Waiting::Idle(limit) => match mailbox.idle(limit, &self.stop).await? {
                Woke::Stopped => Err(Fault::Stopped),
                Woke::News | Woke::Time => Ok(()),
            },
            Waiting::Sleep(limit) => {
                let slept = self.stop.run_until_cancelled(tokio::time::sleep(limit));
                slept.await.ok_or(Fault::Stopped)
            }
        }
    }

    /// Reads what is new in a folder, one mail after the other.
    async fn drain(&self, mailbox: &mut Mailbox, folder: Folder, name: &str) -> Result<(), Fault> {
        let opened = self.imap(STEP, mailbox.examine(name)).await?;
        let channel = self.wanted.channel;
        let remembered = {
            let mut connection = self.shared.pool.acquire().await?;
            mailboxes::remembered(&mut connection, channel, folder).await?
        };
        let mut place = Place {
            folder,
            cursor: mailbox::resume(remembered, opened.uidvalidity, opened.uidnext),
        };
        if remembered.map(|remembered| remembered.cursor) != Some(place.cursor) {
            if place.cursor.since.is_some() {
                tracing::warn!(channel.id = %channel, folder = folder.as_str(), "a folder is read again: its UIDs changed");
            }
            self.advance(place, false).await?;
        }
        let mut news = false;
        loop {
            let batch = mailbox.new_since(place.cursor, self.shared.terms.batch);
            let batch = self.imap(STEP, batch).await?;
            if batch.is_empty() {
                break;
            }
            news = true;
            for envelope in &batch {
                self.one(mailbox, place, envelope).await?;
                place.cursor.last_uid = envelope.uid;
                self.advance(place, false).await?;
            }
        }
        let settled = mailbox::settled(place.cursor, opened.uidnext);
        let old = remembered.is_some_and(|before| clock::now() - before.last_good_at > GOOD_FOR);
        if news || old || settled != place.cursor {
            place.cursor = settled;
            self.advance(place, true).await?;
        }
        Ok(())
    }

    /// Fetches a mail and hands it over. It holds memory for it meanwhile.
    async fn one(
        &self,
        mailbox: &mut Mailbox,
        place: Place,
        envelope: &Envelope,
    ) -> Result<(), Fault> {
        let terms = &self.shared.terms;
        let _room = self.room(envelope.size.min(terms.size_limit)).await?;
        let with_structure =
            envelope.size <= terms.size_limit || self.tries(place, envelope.uid).await? == 0;
        let fetch = mailbox.fetch(envelope, terms.size_limit, with_structure);
        let Fetched { raw, cut } = match self.imap(terms.mail_limit, fetch).await {
            Ok(Some(fetched)) => fetched,
            // Deleted or moved meanwhile.
            Ok(None) => return Ok(()),
            Err(Fault::Imap(error)) => return self.not_fetched(place, envelope, error).await,
            Err(fault) => return Err(fault),
        };
        let mail = Mail {
            channel: self.wanted.channel,
            account: self.wanted.account.clone(),
            folder: place.folder,
            uidvalidity: place.cursor.uidvalidity,
            uid: envelope.uid,
            internal_date: envelope.internal_date,
            size: envelope.size,
            flags: envelope.flags.clone(),
            raw,
            cut,
        };
        let accepted = self
            .unless_stopped(STORING, self.shared.sink.accept(mail))
            .await?;
        accepted.and_then(Result::ok).ok_or(Fault::Sink)?;
        figures::MAILS.of([place.folder.as_str()]).increment(1);
        Ok(())
    }

    /// Counts the failure; after enough of them the mail is set aside, and the mailbox goes on.
    async fn not_fetched(
        &self,
        place: Place,
        envelope: &Envelope,
        error: ImapError,
    ) -> Result<(), Fault> {
        let failure = match &error {
            ImapError::Protocol { .. } => Failure::Answered,
            _ => Failure::Broke,
        };
        let problem = error.to_string();
        let failed = Failed {
            folder: place.folder,
            uidvalidity: place.cursor.uidvalidity,
            uid: envelope.uid,
            problem: &problem,
        };
        let tries = {
            let mut connection = self.shared.pool.acquire().await?;
            mailboxes::failed(&mut connection, self.held, &failed).await?
        };
        let tries = tries
            .and_then(|tries| u32::try_from(tries).ok())
            .ok_or(Fault::Lost)?;
        if let Verdict::Again(wait) = mailbox::after_failure(failure, tries, roll()) {
            return Err(Fault::Mail(wait, error));
        }
        let poison = Poison {
            channel: self.wanted.channel,
            account: self.wanted.account.clone(),
            folder: place.folder,
            uidvalidity: place.cursor.uidvalidity,
            uid: envelope.uid,
            internal_date: envelope.internal_date,
            size: envelope.size,
            problem: problem.clone(),
        };
        let told = self
            .unless_stopped(STORING, self.shared.sink.quarantine(poison))
            .await?;
        told.and_then(Result::ok).ok_or(Fault::Sink)?;
        let mut connection = self.shared.pool.acquire().await?;
        mailboxes::quarantine(&mut connection, self.held, &failed, clock::now()).await?;
        figures::QUARANTINED.increment(1);
        tracing::error!(channel.id = %self.wanted.channel, uid = envelope.uid, problem, "a mail was set aside");
        Ok(())
    }

    async fn tries(&self, place: Place, uid: u32) -> Result<i32, Fault> {
        let mut connection = self.shared.pool.acquire().await?;
        let validity = place.cursor.uidvalidity;
        let tries = mailboxes::tries(
            &mut connection,
            self.wanted.channel,
            place.folder,
            validity,
            uid,
        );
        Ok(tries.await?)
    }

    /// Writes up to where a folder was read, if the mailbox is still ours; `good` says that nothing is left.
    async fn advance(&self, place: Place, good: bool) -> Result<(), Fault> {
        let Place { folder, cursor } = place;
        let good = good.then(clock::now);
        let mut connection = self.shared.pool.acquire().await?;
        let ours = mailboxes::advance(&mut connection, self.held, folder, cursor, good).await?;
        if ours { Ok(()) } else { Err(Fault::Lost) }
    }

    /// Waits until there is room in memory for a mail.
    async fn room(&self, size: u32) -> Result<SemaphorePermit<'_>, Fault> {
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let wanted =
            kibibytes(size.saturating_mul(COPIES)).min(kibibytes(self.shared.terms.memory));
        let wanted = u32::try_from(wanted).unwrap_or(u32::MAX);
        let room = self.shared.memory.acquire_many(wanted);
        let room = self
            .stop
            .run_until_cancelled(room)
            .await
            .ok_or(Fault::Stopped)?;
        room.map_err(|_| Fault::Stopped)
    }

    /// Does a step of the session; one that takes too long means that the server is away.
    async fn imap<T>(
        &self,
        limit: Duration,
        work: impl Future<Output = Result<T, ImapError>>,
    ) -> Result<T, Fault> {
        let late = || ImapError::Away("it took too long".into());
        Ok(self.unless_stopped(limit, work).await?.ok_or_else(late)??)
    }

    /// Does something unless it is stopped first; none where it took too long.
    async fn unless_stopped<T>(
        &self,
        limit: Duration,
        work: impl Future<Output = T>,
    ) -> Result<Option<T>, Fault> {
        let work = tokio::time::timeout(limit, work);
        let done = self.stop.run_until_cancelled(work).await;
        Ok(done.ok_or(Fault::Stopped)?.ok())
    }
}

fn roll() -> f64 {
    rand::rng().random()
}
