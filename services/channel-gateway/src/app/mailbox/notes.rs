//! What is noted of a mailbox that cannot be read, for whoever looks at its channel's health (B10).

use std::sync::Arc;

use chassis::clock;

use super::Shared;
use super::fault::Fault;
use crate::store::mailboxes::{self, Held};

/// Characters of a problem at most.
const PROBLEM_MAX: usize = 200;

/// Notes of one mailbox.
pub(super) struct Notes {
    shared: Arc<Shared>,
    held: Held,
    /// It may stand as failing: by this process, or by who held it before.
    failing: bool,
}

impl Notes {
    pub(super) fn new(shared: Arc<Shared>, held: Held) -> Self {
        Self {
            shared,
            held,
            failing: true,
        }
    }

    /// Notes that the mailbox cannot be read. Our own faults are none of the mailbox.
    pub(super) async fn failure(&mut self, fault: &Fault) {
        let Fault::Imap(error) = fault else { return };
        self.failing = true;
        let problem: String = error.to_string().chars().take(PROBLEM_MAX).collect();
        let noted = async {
            let mut connection = self.shared.pool.acquire().await?;
            mailboxes::failing(&mut connection, self.held, &problem, clock::now()).await
        };
        if let Err(error) = noted.await {
            tracing::debug!(%error, channel.id = %self.held.channel_id, "a failure was not noted");
        }
    }

    /// Notes that the mailbox was read, where it may stand as failing: else nothing is written.
    pub(super) async fn success(&mut self) {
        if !self.failing {
            return;
        }
        let noted = async {
            let mut connection = self.shared.pool.acquire().await?;
            mailboxes::well(&mut connection, self.held).await
        };
        self.failing = noted.await.is_err();
    }
}
