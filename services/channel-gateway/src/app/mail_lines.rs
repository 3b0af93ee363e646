//! What mailboxes are told apart by, filled in for those that were connected before that was kept: it stands in what is
//! sealed, which only the service opens. In batches, and safe to repeat.

use uuid::Uuid;

use super::App;
use super::book::aad;
use crate::domain::channel::ChannelKind;
use crate::domain::credentials::{Credentials, MailLine};
use crate::error::Error;
use crate::store::lines::{self, Unfilled};

/// Rows of one batch.
const BATCH: i64 = 200;

/// Fills in all; returns how many channels have their line now. One whose mailbox another channel reads already keeps
/// none, and is logged: whoever disconnects one of the two ends that.
pub async fn fill(app: &App) -> Result<u64, Error> {
    let (mut filled, mut after) = (0, Uuid::nil());
    loop {
        let mut connection = app.pool.acquire().await?;
        let rows = lines::unfilled(&mut connection, after, BATCH).await?;
        let Some(last) = rows.last() else {
            return Ok(filled);
        };
        after = last.id;
        let known: Vec<(Unfilled, MailLine)> = rows
            .into_iter()
            .filter_map(|row| read(app, &row).map(|line| (row, line)))
            .collect();
        let done = lines::fill(&mut connection, &known).await?;
        for (row, _) in known.iter().filter(|(row, _)| !done.contains(&row.id)) {
            tracing::warn!(channel.id = %row.id, "another channel reads the same mailbox: disconnect one of them");
        }
        filled += u64::try_from(done.len()).unwrap_or(0);
    }
}

/// What a channel's credentials say; none where they are forgotten, or do not open under any key.
fn read(app: &App, row: &Unfilled) -> Option<MailLine> {
    let opened = app.sealer.open(&row.token_sealed, &aad(row.id, "token"));
    let text = opened.ok().and_then(|text| String::from_utf8(text).ok());
    let credentials = Credentials::from_text(ChannelKind::Email, &text?).ok();
    credentials?.mail_line()
}
