//! Calendars on the wire: whose they are. What they say is [`chassis::calendar::wire`]'s to read and write.

use chassis::calendar::{Calendar, wire};
use chassis::grpc::timestamp;
use switchboard_proto::assignment::v1 as pb;
use tonic::Status;

use super::PARSE;
use crate::domain::calendar::Owner;
use crate::store::calendars::CalendarRow;

/// Reads whose calendar it is.
pub fn owner(field: &str, owner: Option<&pb::CalendarOwner>) -> Result<Owner, Status> {
    use pb::calendar_owner::Owner as Named;
    match owner.and_then(|owner| owner.owner.as_ref()) {
        Some(Named::Account(true)) => Ok(Owner::Account),
        Some(Named::Account(false)) => {
            Err(PARSE.refuse(&format!("{field}.account"), "must be true"))
        }
        Some(Named::ChannelId(id)) => PARSE
            .id(&format!("{field}.channel_id"), id)
            .map(Owner::Channel),
        Some(Named::AgentId(id)) => PARSE.id(&format!("{field}.agent_id"), id).map(Owner::Agent),
        None => Err(PARSE.refuse(field, "is required")),
    }
}

/// Reads a calendar.
pub fn read(calendar: &pb::Calendar) -> Result<Calendar, Status> {
    wire::read(PARSE, calendar)
}

/// Writes a calendar.
pub fn write(row: &CalendarRow) -> pb::Calendar {
    use pb::calendar_owner::Owner as Named;
    let owner = match row.owner {
        Owner::Account => Named::Account(true),
        Owner::Channel(channel) => Named::ChannelId(channel.to_string()),
        Owner::Agent(agent) => Named::AgentId(agent.to_string()),
    };
    pb::Calendar {
        owner: Some(pb::CalendarOwner { owner: Some(owner) }),
        revision: row.revision,
        update_time: Some(timestamp(row.updated_at)),
        ..wire::write(&row.calendar)
    }
}
