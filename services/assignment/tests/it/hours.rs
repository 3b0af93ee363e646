//! Calendars: set and read, and chats that wait for working time.

use assignment::hours;
use chassis::clock;
use chassis::id::AgentId;
use chassis::testing::{request, service_caller};
use switchboard_proto::assignment::v1 as pb;
use switchboard_proto::assignment::v1::calendar_owner::Owner;
use switchboard_proto::assignment::v1::calendar_service_server::CalendarService as _;
use time::Duration;
use time::macros::format_description;
use tonic::{Code, Status};

use crate::world::{Talk, World, field, reason};

pub fn owner(owner: Owner) -> pb::CalendarOwner {
    pb::CalendarOwner { owner: Some(owner) }
}

/// Open around the clock.
pub fn always(of: Owner) -> pb::Calendar {
    let day = |weekday| pb::DayHours {
        weekday,
        hours: vec![pb::Hours {
            start: "00:00".into(),
            end: "24:00".into(),
        }],
    };
    pb::Calendar {
        owner: Some(owner(of)),
        time_zone: "Europe/Kyiv".into(),
        weekly: (1..=7).map(day).collect(),
        ..Default::default()
    }
}

/// Closed now and until the day after tomorrow.
pub fn closed_now(of: Owner) -> pb::Calendar {
    let date = |days| {
        let date = (clock::now() + Duration::days(days)).date();
        date.format(format_description!("[year]-[month]-[day]"))
            .unwrap()
    };
    let off = pb::DaysOff {
        first_date: date(-2),
        last_date: date(2),
        reason: "stocktaking".into(),
    };
    pb::Calendar {
        days_off: vec![off],
        ..always(of)
    }
}

impl World {
    pub async fn calendar(&self, calendar: pb::Calendar) -> pb::Calendar {
        self.try_calendar(calendar, None).await.unwrap()
    }

    async fn try_calendar(
        &self,
        calendar: pb::Calendar,
        expected_revision: Option<i64>,
    ) -> Result<pb::Calendar, Status> {
        let set = pb::SetCalendarRequest {
            calendar: Some(calendar),
            expected_revision,
        };
        let answer = self.api.set_calendar(request(&self.admin(), set)).await?;
        Ok(answer.into_inner().calendar.unwrap())
    }

    async fn working_time(&self, of: Owner) -> pb::GetWorkingTimeResponse {
        let get = pb::GetWorkingTimeRequest {
            owner: Some(owner(of)),
        };
        let answer = self
            .api
            .get_working_time(request(&self.internal(), get))
            .await
            .unwrap();
        answer.into_inner()
    }

    /// What time alone brings about, days later.
    pub async fn days_later(&self, days: i64) {
        let then = clock::now() + Duration::days(days);
        hours::look(&self.app, then).await.unwrap();
    }
}

fn of(agent: AgentId) -> Owner {
    Owner::AgentId(agent.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn b15_a_calendar_is_inherited_until_there_is_an_own_one() {
    let world = World::new().await;
    let anna = world.agent("Anna").await;
    let none = world.working_time(of(anna)).await;
    assert!(none.open && none.calendar.is_none() && none.next_change_time.is_none());
    let base = world.calendar(closed_now(Owner::Account(true))).await;
    let events = world.events().await;
    let inherited = world.working_time(of(anna)).await;
    assert!(!inherited.open && inherited.next_change_time.is_some());
    assert_eq!(inherited.calendar, Some(base.clone()));
    let own = world.calendar(always(of(anna))).await;
    assert_eq!(world.events().await, events + 1, "one calendar.updated");
    let found = world.working_time(of(anna)).await;
    assert!(found.open && found.calendar == Some(own.clone()));
    let channel = Owner::ChannelId(world.channel.to_string());
    assert!(!world.working_time(channel.clone()).await.open);
    world.calendar(always(channel.clone())).await;

    // Pages go over all of them, once each.
    let (mut owners, mut page_token) = (Vec::new(), String::new());
    loop {
        let list = pb::ListCalendarsRequest {
            page_size: 2,
            page_token,
        };
        let page = world.api.list_calendars(request(&world.admin(), list));
        let page = page.await.unwrap().into_inner();
        owners.extend(page.calendars.into_iter().map(|c| c.owner));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let all = [Owner::Account(true), of(anna), channel];
    assert_eq!(owners, all.map(|of| Some(owner(of))));

    // Whoever has read an older one does not overwrite a newer one.
    let newer = world.try_calendar(always(of(anna)), Some(own.revision));
    let newer = newer.await.unwrap();
    assert!(newer.revision > own.revision);
    for expected in [0, own.revision] {
        let late = world.try_calendar(always(of(anna)), Some(expected)).await;
        let late = late.unwrap_err();
        assert_eq!(
            (late.code(), reason(&late).0.as_str()),
            (Code::Aborted, "CALENDAR_CHANGED")
        );
    }
    let delete = |expected_revision| pb::DeleteCalendarRequest {
        owner: Some(owner(of(anna))),
        expected_revision,
    };
    let admin = world.admin();
    let late = world
        .api
        .delete_calendar(request(&admin, delete(Some(own.revision))))
        .await;
    assert_eq!(late.unwrap_err().code(), Code::Aborted);
    world
        .api
        .delete_calendar(request(&admin, delete(None)))
        .await
        .unwrap();
    assert_eq!(world.working_time(of(anna)).await.calendar, Some(base));
    let gone = world
        .api
        .delete_calendar(request(&admin, delete(None)))
        .await;
    assert_eq!(reason(&gone.unwrap_err()).0, "CALENDAR_NOT_FOUND");
    let again = world.try_calendar(always(of(anna)), Some(0)).await.unwrap();
    assert!(again.revision > newer.revision, "also over the deletion");
}

type Change = fn(&mut pb::Calendar);

fn holiday(date: &str) -> pb::Holiday {
    pb::Holiday {
        date: date.into(),
        ..Default::default()
    }
}

fn off(first: &str, last: &str) -> pb::DaysOff {
    pb::DaysOff {
        first_date: first.into(),
        last_date: last.into(),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b15_a_wrong_field_of_a_calendar_is_named() {
    let world = World::new().await;
    let account = Owner::Account(true);
    let cases: [(&str, Change); 11] = [
        ("calendar.owner", |c| c.owner = None),
        ("calendar.owner.account", |c| {
            c.owner = Some(owner(Owner::Account(false)));
        }),
        ("calendar.owner.channel_id", |c| {
            c.owner = Some(owner(Owner::ChannelId("x".into())));
        }),
        ("calendar.time_zone", |c| {
            c.time_zone = "Europe/Kiyv".into();
        }),
        ("calendar.weekly[1].weekday", |c| c.weekly[1].weekday = 1),
        ("calendar.weekly[0].weekday", |c| c.weekly[0].weekday = 8),
        ("calendar.weekly[2].hours[0]", |c| {
            c.weekly[2].hours[0].end = "25:00".into();
        }),
        ("calendar.weekly[0].hours", |c| {
            c.weekly[0].hours = vec![pb::Hours::default(); 11];
        }),
        ("calendar.holidays[0].date", |c| {
            c.holidays = vec![holiday("2026-02-29")];
        }),
        ("calendar.days_off[0].last_date", |c| {
            c.days_off = vec![off("2026-03-02", "2026-03-01")];
        }),
        ("calendar.holidays", |c| {
            c.holidays = vec![holiday("2026-03-01"); 201];
        }),
    ];
    for (named, change) in cases {
        let mut calendar = always(account.clone());
        change(&mut calendar);
        let refused = world.try_calendar(calendar, None).await.unwrap_err();
        assert_eq!(field(&refused), named);
    }
    assert_eq!(world.events().await, 1, "only the account's creation");
}

#[tokio::test(flavor = "multi_thread")]
async fn b15_calendars_are_set_by_those_who_may() {
    let world = World::new().await;
    let anna = world.agent("Anna").await;
    let channel = Owner::ChannelId(world.channel.to_string());
    let scoped = |scopes| service_caller(Some(&world.account), "shop", scopes, None);
    let globex = chassis::testing::account("globex");
    world.open_account("globex").await;
    let other = service_caller(Some(&globex), "shop", &["agents:admin"], None);
    let cases = [
        (scoped(&["channels:admin"]), Owner::Account(true), Code::Ok),
        (scoped(&["channels:admin"]), channel.clone(), Code::Ok),
        (
            scoped(&["channels:admin"]),
            of(anna),
            Code::PermissionDenied,
        ),
        (scoped(&["agents:admin"]), of(anna), Code::Ok),
        (
            scoped(&["agents:admin"]),
            channel.clone(),
            Code::PermissionDenied,
        ),
        (
            scoped(&["agents:admin"]),
            Owner::Account(true),
            Code::PermissionDenied,
        ),
        (other, of(anna), Code::NotFound),
    ];
    for (caller, owner, expected) in cases {
        let set = pb::SetCalendarRequest {
            calendar: Some(always(owner.clone())),
            expected_revision: None,
        };
        let answer = world.api.set_calendar(request(&caller, set)).await;
        let code = answer.err().map_or(Code::Ok, |status| status.code());
        assert_eq!(code, expected, "{owner:?}");
    }
    // F062: a channel that is not granted does not exist, its calendar neither.
    let blind = world
        .agent_with("Boris", 0, Some(pb::Grants::default()))
        .await;
    let blind = world.as_agent(blind).await;
    let get = pb::GetCalendarRequest {
        owner: Some(owner(channel)),
    };
    let refused = world
        .api
        .get_calendar(request(&blind, get))
        .await
        .unwrap_err();
    assert_eq!(reason(&refused).0, "CHANNEL_NOT_FOUND");
    let list = pb::ListCalendarsRequest::default();
    let seen = world
        .api
        .list_calendars(request(&blind, list))
        .await
        .unwrap();
    assert_eq!(
        seen.into_inner().calendars.len(),
        2,
        "the account's and Anna's"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn b04_outside_working_hours_an_agent_gets_no_chats() {
    let world = World::new().await;
    let (anna, boris) = (world.agent("Anna").await, world.agent("Boris").await);
    world.policy(&[anna, boris], false).await;
    world.calendar(closed_now(Owner::Account(true))).await;
    world.calendar(always(of(boris))).await;
    let talks: Vec<Talk> = (1..=4).map(|n| Talk::new(&world, n)).collect();
    for talk in &talks[..2] {
        world.handle(&[talk.opened(), talk.decided()]).await;
        assert_eq!(world.responsible(talk).await, Some(boris));
    }
    let explained = world.explain(&talks[1]).await.remove(0);
    let of_anna = explained.candidates.into_iter();
    let of_anna: Vec<_> = of_anna.filter(|c| c.agent_id == anna.to_string()).collect();
    assert_eq!(of_anna[0].left_out, "OUTSIDE_WORKING_HOURS");
    world.calendar(closed_now(of(boris))).await;
    for talk in &talks[2..] {
        world.handle(&[talk.opened(), talk.decided()]).await;
        assert_eq!(world.responsible(talk).await, None);
    }
    world.days_later(1).await;
    assert_eq!(world.responsible(&talks[2]).await, None, "still closed");
    // Hours begin for both: the waiting chats go to them in turn.
    world.days_later(4).await;
    let mut got = [
        world.responsible(&talks[2]).await,
        world.responsible(&talks[3]).await,
    ];
    got.sort_unstable();
    let mut both = [Some(anna), Some(boris)];
    both.sort_unstable();
    assert_eq!(got, both);
    world.loads_are_true().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b15_chats_of_a_channel_wait_while_its_calendar_holds_them() {
    let world = World::new().await;
    let anna = world.agent("Anna").await;
    world.policy(&[anna], false).await;
    let channel = Owner::ChannelId(world.channel.to_string());
    let mut closed = closed_now(channel.clone());
    world.calendar(closed.clone()).await;
    let first = Talk::new(&world, 1);
    world.handle(&[first.opened(), first.decided()]).await;
    assert_eq!(
        world.responsible(&first).await,
        Some(anna),
        "closed, but not holding"
    );
    closed.holds_chats = true;
    world.calendar(closed.clone()).await;
    let second = Talk::new(&world, 2);
    world.handle(&[second.opened(), second.decided()]).await;
    assert_eq!(world.responsible(&second).await, None);
    let left_out = &world.explain(&second).await[0].candidates[0].left_out;
    assert_eq!(left_out, "CHANNEL_OUTSIDE_WORKING_HOURS");
    world.days_later(0).await;
    assert_eq!(world.responsible(&second).await, None);
    // An agent may take it all the same.
    world.admit(anna, &second, (1, true)).await.unwrap();
    let third = Talk::new(&world, 3);
    world.handle(&[third.opened(), third.decided()]).await;
    assert_eq!(world.responsible(&third).await, None);
    world.days_later(4).await;
    assert_eq!(world.responsible(&third).await, Some(anna));
    // Without an own calendar the account's holds them.
    let mut base = closed_now(Owner::Account(true));
    base.holds_chats = true;
    base.owner = Some(owner(Owner::Account(true)));
    world.calendar(base).await;
    world.calendar(always(of(anna))).await;
    let delete = pb::DeleteCalendarRequest {
        owner: Some(owner(channel)),
        expected_revision: None,
    };
    world
        .api
        .delete_calendar(request(&world.admin(), delete))
        .await
        .unwrap();
    let fourth = Talk::new(&world, 4);
    world.handle(&[fourth.opened(), fourth.decided()]).await;
    assert_eq!(world.responsible(&fourth).await, None);
    world.loads_are_true().await;
}
