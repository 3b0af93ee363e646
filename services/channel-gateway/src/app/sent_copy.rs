//! The copy of a mail in the Sent folder of its mailbox, so that who looks there sees what was answered here
//! (channels.md §5.3).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use uuid::Uuid;

use super::{App, mail};
use crate::domain::credentials::Email;
use crate::domain::smtp::stores_copies;
use crate::figures;
use crate::provider::imap::{ImapError, Login, Mailbox};

/// Copies in memory at once; what comes beyond gets none.
const AT_ONCE: usize = 16;

/// How long a copy may take.
const DEADLINE: Duration = Duration::from_mins(1);

/// Bounds copies. Clones share the bound.
#[derive(Debug, Clone)]
pub struct Copies(Arc<Semaphore>);

impl Default for Copies {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

/// Puts a mail that a server took into the Sent folder, unless the server does that itself or the folder has it.
///
/// Does not wait, and never fails the delivery: the mail is with its recipient, and a copy that is missing is only
/// missing.
pub fn keep(
    app: &App,
    channel: Uuid,
    mailbox: &Email,
    login: Login,
    message_id: &str,
    raw: Vec<u8>,
) {
    if stores_copies(&mailbox.smtp.host) || stores_copies(&mailbox.imap.host) {
        return;
    }
    let Ok(permit) = Arc::clone(&app.post.copies.0).try_acquire_owned() else {
        tracing::warn!(channel.id = %channel, "a mail got no copy in the Sent folder: too many at once");
        figures::SENT_COPIES.of(["left"]).increment(1);
        return;
    };
    let (app, mailbox, message_id) = (app.clone(), mailbox.clone(), message_id.to_owned());
    tokio::spawn(async move {
        let _permit = permit;
        let endpoint = mail::endpoint(&mailbox.imap);
        let limit = app.post.size_limit;
        let opened = Mailbox::open(&app.post.wires, &endpoint, &login, limit);
        let copied = async { copy(opened.await?, &message_id, &raw).await };
        let outcome = match tokio::time::timeout(DEADLINE, copied).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => {
                tracing::warn!(%error, channel.id = %channel, "a mail got no copy in the Sent folder");
                "failed"
            }
            Err(_) => {
                tracing::warn!(channel.id = %channel, "a mail got no copy in the Sent folder in time");
                "failed"
            }
        };
        figures::SENT_COPIES.of([outcome]).increment(1);
    });
}

/// Puts a mail into the Sent folder of a mailbox, unless it is there; says goodbye in any case. Returns what was done, as
/// metrics name it.
pub async fn copy(
    mut session: Mailbox,
    message_id: &str,
    raw: &[u8],
) -> Result<&'static str, ImapError> {
    let done = async {
        if session.sent_holds(message_id).await? {
            return Ok("there");
        }
        let kept = session.append_sent(raw).await?;
        Ok(if kept { "kept" } else { "no-folder" })
    }
    .await;
    session.logout().await;
    done
}
