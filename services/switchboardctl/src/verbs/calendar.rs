//! Calendars: working hours of the account, its channels and its agents.

mod spec;

use clap::{Args, Subcommand};
use switchboard_proto::assignment::v1::calendar_owner::Owner;
use switchboard_proto::assignment::v1::{
    Calendar, CalendarOwner, DayHours, DaysOff, DeleteCalendarRequest, GetCalendarRequest, Holiday,
    Hours, ListCalendarsRequest, SetCalendarRequest,
};
use uuid::Uuid;

use super::Page;
use crate::connect::Session;
use crate::error::CliError;
use crate::output::{Cell, Show, View, cell, words};

/// Verbs on calendars.
#[derive(Subcommand)]
pub(crate) enum CalendarVerb {
    /// Set a calendar, whole: of the account, or of a channel or an agent
    Set(SetArgs),
    /// Show a calendar
    Show(Whose),
    /// List calendars
    List(Page),
    /// Delete a calendar: its owner goes by the account's again
    Delete {
        #[command(flatten)]
        whose: Whose,
        /// Refuse when it has another revision by now
        #[arg(long)]
        revision: Option<i64>,
    },
}

/// Whose calendar; the account's without an option.
#[derive(Args)]
pub(crate) struct Whose {
    /// A channel's
    #[arg(long, value_name = "UUID")]
    channel: Option<Uuid>,
    /// An agent's, by name or id
    #[arg(long, conflicts_with = "channel")]
    agent: Option<String>,
}

impl Whose {
    async fn owner(self, session: &Session) -> Result<CalendarOwner, CliError> {
        let owner = match (self.channel, self.agent) {
            (Some(channel), _) => Owner::ChannelId(channel.to_string()),
            (None, Some(agent)) => Owner::AgentId(session.agent_id(&agent).await?.to_string()),
            (None, None) => Owner::Account(true),
        };
        Ok(CalendarOwner { owner: Some(owner) })
    }
}

/// A calendar on the command line.
#[derive(Args)]
pub(crate) struct SetArgs {
    #[command(flatten)]
    whose: Whose,
    /// IANA time zone, as Europe/Kyiv
    #[arg(long, value_name = "ZONE")]
    zone: String,
    /// Hours of days, as "mon-fri 09:00-13:00 14:00-18:00" (repeatable)
    #[arg(
        long,
        value_name = "DAYS HOURS",
        value_parser = spec::hours,
        required_unless_present = "closed"
    )]
    hours: Vec<Vec<DayHours>>,
    /// No hours on any day: closed but for holidays with hours of their own
    #[arg(long, conflicts_with = "hours")]
    closed: bool,
    /// A date with hours of its own or none, as "2026-12-31 10:00-14:00" or "2026-12-25 yearly" (repeatable)
    #[arg(long, value_name = "DATE [yearly] [HOURS]", value_parser = spec::holiday)]
    holiday: Vec<Holiday>,
    /// A date without hours, or the first and the last of several, as 2026-08-03..2026-08-14 (repeatable)
    #[arg(long, value_name = "DATE[..DATE]", value_parser = spec::days_off)]
    day_off: Vec<DaysOff>,
    /// While it is closed, chats of channels that go by it wait
    #[arg(long)]
    holds_chats: bool,
    /// Refuse when it has another revision by now; 0 is none
    #[arg(long)]
    revision: Option<i64>,
}

impl Show for Calendar {
    const NAME: &'static str = "switchboard.assignment.v1.Calendar";
    const OPTIONAL: &'static [&'static str] = &["CHANGED", "REVISION", "HOLDS CHATS"];
    const HEADERS: &'static [&'static str] = &[
        "OWNER",
        "ZONE",
        "HOURS",
        "HOLIDAYS",
        "DAYS OFF",
        "HOLDS CHATS",
        "REVISION",
        "CHANGED",
    ];
    fn cells(&self, view: &View) -> Vec<Cell> {
        let owner = self.owner.as_ref().and_then(|owner| owner.owner.as_ref());
        let owner = match owner {
            Some(Owner::ChannelId(id)) => format!("channel {}", view.name(id)),
            Some(Owner::AgentId(id)) => format!("agent {}", view.name(id)),
            Some(Owner::Account(_)) | None => "account".to_owned(),
        };
        vec![
            cell(owner),
            cell(&self.time_zone),
            cell(spec::week(&self.weekly)),
            cell(self.holidays.len().to_string()),
            cell(self.days_off.len().to_string()),
            cell(words::yes(self.holds_chats)),
            cell(self.revision.to_string()),
            cell(words::ago(self.update_time.as_ref(), view.now)).dim(),
        ]
    }
    fn more(&self, _view: &View) -> Vec<String> {
        let hours = |hours: &[Hours]| match hours {
            [] => "closed".to_owned(),
            hours => spec::text(hours),
        };
        let holidays = self.holidays.iter().map(|holiday| {
            let yearly = if holiday.yearly { " yearly" } else { "" };
            format!(
                "holiday {}{yearly}: {} {}",
                holiday.date,
                hours(&holiday.hours),
                holiday.name
            )
        });
        let off = self.days_off.iter().map(|days| {
            format!(
                "days off {}..{} {}",
                days.first_date, days.last_date, days.reason
            )
        });
        holidays
            .chain(off)
            .map(|line| line.trim_end().to_owned())
            .collect()
    }
}

/// Runs a verb.
pub(crate) async fn run(
    verb: CalendarVerb,
    session: &Session,
    mut view: View,
) -> Result<(), CliError> {
    view.learn_names(session).await;
    let mut client = session.calendars(&session.role().await?).await?;
    match verb {
        CalendarVerb::Set(args) => {
            let calendar = Calendar {
                owner: Some(args.whose.owner(session).await?),
                time_zone: args.zone,
                weekly: spec::merged(args.hours),
                holidays: args.holiday,
                days_off: args.day_off,
                holds_chats: args.holds_chats,
                ..Default::default()
            };
            let request = SetCalendarRequest {
                calendar: Some(calendar),
                expected_revision: args.revision,
            };
            view.one(client.set_calendar(request).await?.into_inner().calendar)
        }
        CalendarVerb::Show(whose) => {
            let request = GetCalendarRequest {
                owner: Some(whose.owner(session).await?),
            };
            view.one(client.get_calendar(request).await?.into_inner().calendar)
        }
        CalendarVerb::List(page) => {
            let ask = async |page_size, page_token| {
                let request = ListCalendarsRequest {
                    page_size,
                    page_token,
                };
                let page = client.list_calendars(request).await?.into_inner();
                Ok((page.calendars, page.next_page_token))
            };
            let (calendars, next) = page.read(ask).await?;
            view.list(&calendars, &next)
        }
        CalendarVerb::Delete { whose, revision } => {
            let request = DeleteCalendarRequest {
                owner: Some(whose.owner(session).await?),
                expected_revision: revision,
            };
            client.delete_calendar(request).await?;
            Ok(())
        }
    }
}
