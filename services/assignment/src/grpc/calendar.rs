//! Serves `switchboard.assignment.v1.CalendarService`.

use chassis::auth::Caller;
use chassis::clock;
use chassis::grpc::page_of;
use chassis::grpc::timestamp_opt;
use serde::{Deserialize, Serialize};
use switchboard_proto::assignment::v1 as pb;
use switchboard_proto::assignment::v1::calendar_service_server::CalendarService;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{Api, storable};
use crate::store::calendars;
use crate::wire::{PARSE, calendar as wire};

/// Where the next page of calendars begins.
#[derive(Serialize, Deserialize)]
struct ByOwner {
    owner: String,
    id: Uuid,
}

#[tonic::async_trait]
impl CalendarService for Api {
    async fn set_calendar(
        &self,
        request: Request<pb::SetCalendarRequest>,
    ) -> Result<Response<pb::SetCalendarResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let given = request
            .calendar
            .ok_or_else(|| PARSE.refuse("calendar", "is required"))?;
        let owner = wire::owner("calendar.owner", given.owner.as_ref())?;
        let calendar = wire::read(&given)?;
        let expected = revision(request.expected_revision)?;
        let row = self
            .0
            .set_calendar(&caller, owner, calendar, expected, clock::now())
            .await?;
        let calendar = Some(wire::write(&row));
        Ok(Response::new(pb::SetCalendarResponse { calendar }))
    }

    async fn get_calendar(
        &self,
        request: Request<pb::GetCalendarRequest>,
    ) -> Result<Response<pb::GetCalendarResponse>, Status> {
        let caller = Caller::of(&request)?;
        let owner = wire::owner("owner", request.get_ref().owner.as_ref())?;
        let row = self.0.get_calendar(&caller, owner).await?;
        let calendar = Some(wire::write(&row));
        Ok(Response::new(pb::GetCalendarResponse { calendar }))
    }

    async fn delete_calendar(
        &self,
        request: Request<pb::DeleteCalendarRequest>,
    ) -> Result<Response<pb::DeleteCalendarResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let owner = wire::owner("owner", request.owner.as_ref())?;
        let expected = revision(request.expected_revision)?;
        self.0
            .delete_calendar(&caller, owner, expected, clock::now())
            .await?;
        Ok(Response::new(pb::DeleteCalendarResponse {}))
    }

    async fn list_calendars(
        &self,
        request: Request<pb::ListCalendarsRequest>,
    ) -> Result<Response<pb::ListCalendarsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let size = PARSE.page_size(request.page_size)?;
        let after: Option<ByOwner> = PARSE.page_token(&request.page_token)?;
        let after = after.unwrap_or(ByOwner {
            owner: String::new(),
            id: Uuid::nil(),
        });
        storable(&after.owner)?;
        let limit = i64::from(size) + 1;
        let rows = self
            .0
            .list_calendars(&caller, (&after.owner, after.id), limit)
            .await?;
        let (calendars, next_page_token) = page_of(&rows, size, wire::write, |row| {
            let (owner, id) = calendars::cursor(row);
            ByOwner {
                owner: owner.to_owned(),
                id,
            }
        });
        Ok(Response::new(pb::ListCalendarsResponse {
            calendars,
            next_page_token,
        }))
    }

    async fn get_working_time(
        &self,
        request: Request<pb::GetWorkingTimeRequest>,
    ) -> Result<Response<pb::GetWorkingTimeResponse>, Status> {
        let caller = Caller::of(&request)?;
        let owner = wire::owner("owner", request.get_ref().owner.as_ref())?;
        let found = self
            .0
            .working_time(caller.account(), owner, clock::now())
            .await?;
        Ok(Response::new(pb::GetWorkingTimeResponse {
            open: found.open,
            next_change_time: timestamp_opt(found.next_change),
            calendar: found.calendar.as_ref().map(wire::write),
        }))
    }
}

fn revision(expected: Option<i64>) -> Result<Option<i64>, Status> {
    match expected {
        Some(revision) if revision < 0 => {
            Err(PARSE.refuse("expected_revision", "must not be negative; 0 is none"))
        }
        expected => Ok(expected),
    }
}
