//! Problems of channels as state and events, in the transaction of whoever found them (B10).

use chassis::grpc::timestamp;
use chassis::id::AccountSlug;
use chassis::outbox::Outgoing;
use sqlx::PgConnection;
use switchboard_proto::channel_gateway::v1::{
    ChannelDegraded, ChannelDisconnected, ChannelRecovered,
};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::refusal::Refusal;
use crate::error::Error;
use crate::store::channels::{self, ChannelRow};
use crate::store::problems::{self, NewProblem, ProblemRow, Source};

/// Stores problems; returns the events of those that are news.
pub(super) async fn begin(
    connection: &mut PgConnection,
    source: Source,
    found: &[NewProblem],
    now: OffsetDateTime,
) -> Result<Vec<Outgoing>, Error> {
    let begun = problems::begin(connection, source, found, now).await?;
    begun
        .into_iter()
        .map(|row| {
            let event = ChannelDegraded {
                channel_id: row.channel_id.to_string(),
                reason: row.reason,
                detail: row.detail,
                time: Some(timestamp(now)),
            };
            outgoing(&row.account, row.channel_id, &event)
        })
        .collect()
}

/// Makes the events of problems that are over.
pub(super) fn over(rows: Vec<ProblemRow>, now: OffsetDateTime) -> Result<Vec<Outgoing>, Error> {
    rows.into_iter()
        .map(|row| {
            let event = ChannelRecovered {
                channel_id: row.channel_id.to_string(),
                reason: row.reason,
                time: Some(timestamp(now)),
            };
            outgoing(&row.account, row.channel_id, &event)
        })
        .collect()
}

/// A line that its provider refuses.
#[derive(Debug, Clone)]
pub(super) struct Refused {
    /// The channel.
    pub channel: Uuid,
    /// Number of the credentials that were refused.
    pub credentials: i64,
    /// Why, for administrators.
    pub problem: String,
}

/// Disconnects channels whose very credentials were refused; returns those that changed, with their events.
pub(super) async fn disconnect(
    connection: &mut PgConnection,
    refused: &[Refused],
    now: OffsetDateTime,
) -> Result<(Vec<ChannelRow>, Vec<Outgoing>), Error> {
    if refused.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let ids: Vec<Uuid> = refused.iter().map(|refused| refused.channel).collect();
    let numbers: Vec<i64> = refused.iter().map(|refused| refused.credentials).collect();
    let words: Vec<String> = refused
        .iter()
        .map(|refused| refused.problem.clone())
        .collect();
    let rows = channels::disconnect(connection, &ids, &numbers, &words).await?;
    let noted: Vec<NewProblem> = rows
        .iter()
        .map(|row| NewProblem {
            channel_id: row.id,
            account: row.account.clone(),
            reason: CREDENTIALS_REFUSED.to_owned(),
            detail: row.problem.clone(),
        })
        .collect();
    // Told by the event of the disconnection; when the channel is enabled again, that it is over is told like of any other.
    problems::begin(connection, Source::Credentials, &noted, now).await?;
    let events = rows
        .iter()
        .map(|row| disconnected(&row.account, row.id, &row.problem))
        .collect::<Result<_, _>>()?;
    Ok((rows, events))
}

/// The reason under which refused credentials are noted.
pub(super) const CREDENTIALS_REFUSED: &str = "CREDENTIALS_REFUSED";

/// Makes the event of a channel that is connected no longer.
pub(super) fn disconnected(account: &str, channel: Uuid, reason: &str) -> Result<Outgoing, Error> {
    let event = ChannelDisconnected {
        channel_id: channel.to_string(),
        reason: reason.to_owned(),
    };
    outgoing(account, channel, &event)
}

/// Words what deliveries tell of a whole channel.
pub(super) fn of_delivery(channel: Uuid, account: &str, refusal: &Refusal) -> NewProblem {
    NewProblem {
        channel_id: channel,
        account: account.to_owned(),
        reason: refusal.reason.to_owned(),
        detail: refusal.detail.to_owned(),
    }
}

fn outgoing<E: switchboard_proto::DomainEvent>(
    account: &str,
    channel: Uuid,
    event: &E,
) -> Result<Outgoing, Error> {
    let account = AccountSlug::parse(account).map_err(crate::store::unreadable)?;
    Ok(Outgoing::new(&account, channel, event))
}
