//! Presence of agents: set by hand, and what it follows.

use clap::Args;
use prost_types::Timestamp;
use switchboard_proto::assignment::v1::{
    Presence, PresenceOptions, SetPresenceOptionsRequest, SetPresenceRequest,
};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use crate::connect::Session;
use crate::error::CliError;
use crate::output::View;

/// Why and until when.
#[derive(Args)]
pub(crate) struct SetArgs {
    /// Why
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
    /// For how long, as 45m, 2h or 1d; then it is again what it would have been
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    lasts: Option<Duration>,
    /// Until when, as 2026-03-02T18:00:00+02:00
    #[arg(long, value_name = "TIME", value_parser = moment, conflicts_with = "lasts")]
    until: Option<OffsetDateTime>,
}

impl SetArgs {
    /// Words the request; no presence is what the agent follows.
    pub(super) fn request(
        self,
        agent_id: String,
        presence: Presence,
        now: OffsetDateTime,
    ) -> SetPresenceRequest {
        let end = self.until.or(self.lasts.map(|lasts| now + lasts));
        SetPresenceRequest {
            agent_id,
            presence: presence.into(),
            reason: self.reason,
            end_time: end.map(|end| Timestamp {
                seconds: end.unix_timestamp(),
                nanos: end.nanosecond().cast_signed(),
            }),
            automatic: presence == Presence::Unspecified,
        }
    }
}

/// What presence follows; what is left out it does not follow.
#[derive(Args)]
pub(crate) struct FollowArgs {
    /// Online during working hours, offline outside
    #[arg(long)]
    calendar: bool,
    /// Online while a presence stream of the agent is open
    #[arg(long)]
    streams: bool,
    /// Becoming away gives open chats back to be distributed
    #[arg(long)]
    away_gives_back: bool,
}

/// Sets what an agent's presence follows, and shows the agent.
pub(super) async fn follow(
    agent: &str,
    options: &FollowArgs,
    session: &Session,
    view: &View,
) -> Result<(), CliError> {
    let options = PresenceOptions {
        agent_id: session.agent_id(agent).await?.to_string(),
        follow_calendar: options.calendar,
        follow_streams: options.streams,
        away_gives_back: options.away_gives_back,
    };
    let request = SetPresenceOptionsRequest {
        options: Some(options),
    };
    let mut client = session.presence(&session.role().await?).await?;
    let answer = client.set_presence_options(request).await?;
    view.one(answer.into_inner().agent)
}

/// Reads `45m`, `2h`, `1d`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let refused = || String::from("a number and a unit, as 45m, 2h or 1d");
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .ok_or_else(refused)?;
    let (number, unit) = text.split_at(digits);
    let number: u32 = number.parse().map_err(|_| refused())?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(refused()),
    };
    Ok(Duration::seconds(i64::from(number) * seconds))
}

fn moment(text: &str) -> Result<OffsetDateTime, String> {
    OffsetDateTime::parse(text, &Rfc3339)
        .map_err(|_| String::from("a time with its offset, as 2026-03-02T18:00:00+02:00"))
}
