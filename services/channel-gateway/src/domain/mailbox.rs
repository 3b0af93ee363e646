//! Following a mailbox: where to read on, and what to do when it does not go on (channels.md §5.1, §7.23–34).

use std::time::Duration;

use time::{Date, OffsetDateTime};

use super::backoff;

pub mod cut;
pub mod health;
pub mod server;

/// How far before the last good moment a folder is read again when its UIDs lost their meaning.
const RESCAN: time::Duration = time::Duration::days(2);

/// Answers of the server that a message cannot be had, after which it is set aside.
const TRIES: u32 = 3;

/// Connections that broke while one message was fetched, after which it is set aside: a line that is merely slow or
/// shaky must not cost a message.
const BREAKS: u32 = 10;

/// Refusals of the credentials, one after the other, after which the channel is disconnected.
const REFUSALS: u32 = 3;

/// Which of a mailbox's folders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Folder {
    /// What came in.
    Inbox,
    /// What was sent, also from other mail programs.
    Sent,
}

impl Folder {
    /// Returns the word that is stored and that stands in event keys.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inbox => "inbox",
            Self::Sent => "sent",
        }
    }
}

/// Up to where a folder was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The life of the folder in which UIDs mean something.
    pub uidvalidity: u32,
    /// The last UID that is done.
    pub last_uid: u32,
    /// While a folder is read again: only mails since that day. What is older was read in its former life.
    pub since: Option<Date>,
}

/// What is remembered of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remembered {
    /// Up to where it was read.
    pub cursor: Cursor,
    /// When all that it held was known to be read up to there.
    pub last_good_at: OffsetDateTime,
}

/// Decides where to read on in a folder that was just opened.
///
/// A folder seen for the first time begins with what comes from now on. One whose UIDs mean something else now, or
/// that was put back to an older state (the next UID lies below the last one), is read again from two days before the
/// last good moment; that the same mails come twice is for the Message-ID to tell.
pub fn resume(remembered: Option<Remembered>, uidvalidity: u32, uidnext: u32) -> Cursor {
    let newest = uidnext.saturating_sub(1);
    match remembered {
        None => Cursor {
            uidvalidity,
            last_uid: newest,
            since: None,
        },
        Some(Remembered { cursor, .. })
            if cursor.uidvalidity == uidvalidity && cursor.last_uid <= newest =>
        {
            cursor
        }
        Some(Remembered { last_good_at, .. }) => Cursor {
            uidvalidity,
            last_uid: 0,
            since: Some(
                last_good_at
                    .checked_sub(RESCAN)
                    .unwrap_or(last_good_at)
                    .date(),
            ),
        },
    }
}

/// Returns the cursor of a folder in which nothing more was found; it had `uidnext` when it was opened.
pub fn settled(cursor: Cursor, uidnext: u32) -> Cursor {
    match cursor.since {
        None => cursor,
        Some(_) => Cursor {
            last_uid: cursor.last_uid.max(uidnext.saturating_sub(1)),
            since: None,
            ..cursor
        },
    }
}

/// Returns the criteria of `UID SEARCH` for what lies after a cursor.
pub fn criteria(cursor: Cursor) -> String {
    let from = cursor.last_uid.saturating_add(1);
    match cursor.since {
        None => format!("UID {from}:*"),
        Some(day) => format!(
            "UID {from}:* SINCE {}-{}-{:04}",
            day.day(),
            &day.month().to_string()[..3],
            day.year()
        ),
    }
}

/// Returns the next UIDs to be fetched, ascending and at most `limit`, of those that a search found.
///
/// `n:*` means the newest message too when its UID is below n: what lies at or below the cursor is left out.
pub fn next(found: &[u32], cursor: Cursor, limit: usize) -> Vec<u32> {
    let mut next: Vec<u32> = found
        .iter()
        .copied()
        .filter(|uid| *uid > cursor.last_uid)
        .collect();
    next.sort_unstable();
    next.dedup();
    next.truncate(limit);
    next
}

/// How a message could not be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The server answered, and not with the message.
    Answered,
    /// The connection broke meanwhile.
    Broke,
}

/// What is to be done after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The same again after so long.
    Again(Duration),
    /// Not again: the message is set aside, or the channel disconnected.
    GiveUp,
}

/// Decides about a message after its `tries`th failure: one message must not hold up the mailbox.
pub fn after_failure(failure: Failure, tries: u32, roll: f64) -> Verdict {
    let limit = match failure {
        Failure::Answered => TRIES,
        Failure::Broke => BREAKS,
    };
    if tries >= limit {
        Verdict::GiveUp
    } else {
        Verdict::Again(backoff::wait(tries, roll))
    }
}

/// How far apart refusals of a login lie that count each for itself: many mails that go at once are refused once.
pub const APART: Duration = Duration::from_secs(30);

/// Decides about a channel after its server refused the credentials for the `refusals`th time without a success between.
/// Nothing else disconnects a channel: a server that is away comes back (§7.33).
pub fn after_refusal(refusals: u32, wait: Duration) -> Verdict {
    if refusals >= REFUSALS {
        Verdict::GiveUp
    } else {
        Verdict::Again(wait)
    }
}

/// Tells whether a refusal to log in speaks of the credentials: servers answer so, too, when they are overloaded.
pub fn is_about_credentials(text: &str) -> bool {
    const PASSING: [&str; 11] = [
        "unavailable",
        "serverbug",
        "inuse",
        "[limit]",
        "too many",
        "temporar",
        "try again",
        "later",
        "not connected",
        "internal error",
        "timed out",
    ];
    let text = text.to_ascii_lowercase();
    !PASSING.iter().any(|word| text.contains(word))
}

/// How often a mailbox is looked into.
#[derive(Debug, Clone, Copy)]
pub struct Rhythm {
    /// An `IDLE` is ended and begun anew after so long: NAT forgets silent connections.
    pub reissue: Duration,
    /// All folders are looked into that often, whatever the server announces: a dead connection is silent.
    pub poll: Duration,
    /// The same where the server cannot announce anything.
    pub poll_without_idle: Duration,
}

/// How to wait for the next mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// By `IDLE`, so long at most.
    Idle(Duration),
    /// By doing nothing.
    Sleep(Duration),
}

/// Decides how to wait.
pub fn waiting(rhythm: Rhythm, can_idle: bool) -> Waiting {
    if can_idle {
        Waiting::Idle(rhythm.reissue.min(rhythm.poll))
    } else {
        Waiting::Sleep(rhythm.poll_without_idle)
    }
}

#[cfg(test)]
mod tests;
