//! Presence: by hand with an end, by working hours, by streams; away gives chats back.

use std::time::Duration as StdDuration;

use assignment::grpc::presence::PresenceApi;
use assignment::hours;
use chassis::clock;
use chassis::id::{AgentId, v7};
use chassis::lifecycle::Lifecycle;
use chassis::testing::request;
use futures::StreamExt as _;
use switchboard_proto::assignment::v1 as pb;
use switchboard_proto::assignment::v1::assignment_service_server::AssignmentService as _;
use switchboard_proto::assignment::v1::calendar_owner::Owner;
use switchboard_proto::assignment::v1::presence_service_server::PresenceService as _;
use time::Duration;
use tonic::Code;

use crate::hours::{always, closed_now};
use crate::world::{Talk, World, field, reason};

use pb::{Presence, PresenceSource};

const GRACE: StdDuration = StdDuration::from_secs(3);

impl World {
    fn presences(&self) -> (PresenceApi, Lifecycle) {
        let lifecycle = Lifecycle::new();
        let api = PresenceApi::new(self.app.clone(), GRACE, lifecycle.clone());
        (api, lifecycle)
    }

    async fn follow(&self, options: pb::PresenceOptions) {
        let set = pb::SetPresenceOptionsRequest {
            options: Some(options),
        };
        let (api, _) = self.presences();
        api.set_presence_options(request(&self.admin(), set))
            .await
            .unwrap();
    }

    async fn set(&self, set: pb::SetPresenceRequest) -> Result<pb::Agent, tonic::Status> {
        let answer = self.api.set_presence(request(&self.admin(), set)).await?;
        Ok(answer.into_inner().agent.unwrap())
    }

    async fn is(&self, agent: AgentId) -> (Presence, PresenceSource, String) {
        let get = pb::GetAgentRequest {
            agent_id: agent.to_string(),
        };
        let answer = self
            .api
            .get_agent(request(&self.internal(), get))
            .await
            .unwrap();
        let agent = answer.into_inner().agent.unwrap();
        (
            agent.presence(),
            agent.presence_source(),
            agent.presence_reason,
        )
    }

    async fn later(&self, later: Duration) {
        hours::look(&self.app, clock::now() + later).await.unwrap();
    }
}

fn lunch(agent: AgentId) -> pb::SetPresenceRequest {
    pb::SetPresenceRequest {
        agent_id: agent.to_string(),
        presence: Presence::Away.into(),
        reason: "lunch".into(),
        end_time: Some(chassis::grpc::timestamp(clock::now() + Duration::HOUR)),
        ..Default::default()
    }
}

fn nothing() -> String {
    String::new()
}

#[tokio::test(flavor = "multi_thread")]
async fn b04_what_is_set_by_hand_ends_and_leaves_what_was_before() {
    let world = World::new().await;
    let anna = world.agent("Anna").await;
    world.policy(&[anna], false).await;
    let events = world.events().await;
    let agent = world.set(lunch(anna)).await.unwrap();
    assert_eq!(agent.presence(), Presence::Away);
    assert!(agent.presence_end_time.is_some());
    let talk = Talk::new(&world, 1);
    world.handle(&[talk.opened(), talk.decided()]).await;
    world.later(Duration::MINUTE).await;
    assert_eq!(
        world.is(anna).await,
        (Presence::Away, PresenceSource::Hand, "lunch".into())
    );
    assert_eq!(world.responsible(&talk).await, None);
    // Several replicas look at once.
    let later = 2 * Duration::HOUR;
    tokio::join!(world.later(later), world.later(later), world.later(later));
    assert_eq!(
        world.is(anna).await,
        (Presence::Online, PresenceSource::Hand, nothing())
    );
    assert_eq!(
        world.responsible(&talk).await,
        Some(anna),
        "waiting chats are drained"
    );
    let announced = world.events().await;
    assert_eq!(announced, events + 3, "away, online, and the chat");
    world.later(3 * Duration::HOUR).await;
    assert_eq!(world.events().await, announced, "once");

    let set = |change: fn(&mut pb::SetPresenceRequest)| {
        let mut set = lunch(anna);
        change(&mut set);
        set
    };
    for (named, wrong) in [
        ("presence", set(|s| s.presence = 0)),
        ("presence", set(|s| s.automatic = true)),
        ("reason", set(|s| s.reason = "x".repeat(201))),
        (
            "end_time",
            set(|s| s.end_time = Some(chassis::grpc::timestamp(clock::now()))),
        ),
        (
            "end_time",
            set(|s| {
                s.end_time = Some(chassis::grpc::timestamp(clock::now() + Duration::days(400)));
            }),
        ),
    ] {
        assert_eq!(field(&world.set(wrong).await.unwrap_err()), named);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b04_presence_follows_working_hours_until_a_hand_sets_it() {
    let world = World::new().await;
    let anna = world.agent_with("Anna", 0, None).await;
    world.policy(&[anna], false).await;
    let talk = Talk::new(&world, 1);
    world.handle(&[talk.opened(), talk.decided()]).await;
    world.calendar(closed_now(Owner::Account(true))).await;
    world
        .follow(pb::PresenceOptions {
            agent_id: anna.to_string(),
            follow_calendar: true,
            ..Default::default()
        })
        .await;
    let by_calendar = |presence| (presence, PresenceSource::Calendar, nothing());
    assert_eq!(world.is(anna).await, by_calendar(Presence::Offline));
    world.days_later(4).await;
    assert_eq!(world.is(anna).await, by_calendar(Presence::Online));
    assert_eq!(world.responsible(&talk).await, Some(anna));
    // By hand comes first, until it is taken back.
    world.presence(anna, Presence::Offline).await;
    world.days_later(5).await;
    assert_eq!(
        world.is(anna).await,
        (Presence::Offline, PresenceSource::Hand, nothing())
    );
    let back = pb::SetPresenceRequest {
        agent_id: anna.to_string(),
        automatic: true,
        ..Default::default()
    };
    world.set(back).await.unwrap();
    assert_eq!(world.is(anna).await, by_calendar(Presence::Online));
    // A change of the calendar is followed at once.
    world
        .calendar(closed_now(Owner::AgentId(anna.to_string())))
        .await;
    assert_eq!(world.is(anna).await, by_calendar(Presence::Offline));
    world
        .calendar(always(Owner::AgentId(anna.to_string())))
        .await;
    assert_eq!(world.is(anna).await, by_calendar(Presence::Online));
}

#[tokio::test(flavor = "multi_thread")]
async fn b04_a_stream_keeps_an_agent_online_and_its_lease_outlives_no_replica() {
    let world = World::new().await;
    let anna = world.agent_with("Anna", 0, None).await;
    world
        .follow(pb::PresenceOptions {
            agent_id: anna.to_string(),
            follow_streams: true,
            ..Default::default()
        })
        .await;
    let by_stream = |presence| (presence, PresenceSource::Stream, nothing());
    assert_eq!(world.is(anna).await, by_stream(Presence::Offline));
    let caller = world.as_agent(anna).await;
    let (one, lifecycle) = world.presences();
    let (other, _) = world.presences();
    let open = async |api: &PresenceApi| {
        let answer = api
            .keep_presence(request(&caller, pb::KeepPresenceRequest {}))
            .await;
        let mut stream = answer.unwrap().into_inner();
        let first = stream.next().await.unwrap().unwrap();
        assert_eq!(first.presence(), Presence::Online);
        stream
    };
    let mut first = open(&one).await;
    let second = open(&other).await;
    assert_eq!(world.is(anna).await, by_stream(Presence::Online));
    // The second is gone; the first is renewed beyond its first lease.
    drop(second);
    first.next().await.unwrap().unwrap();
    world.later(Duration::try_from(GRACE).unwrap()).await;
    assert_eq!(world.is(anna).await, by_stream(Presence::Online));
    // The replica stops in good order: its stream ends, and the grace time passes.
    lifecycle.stop();
    while first.next().await.is_some() {}
    lifecycle.drained(GRACE).await.unwrap();
    world.later(Duration::SECOND).await;
    assert_eq!(
        world.is(anna).await,
        by_stream(Presence::Online),
        "within the grace time"
    );
    world.later(4 * Duration::SECOND).await;
    assert_eq!(world.is(anna).await, by_stream(Presence::Offline));

    // A replica that is killed renews nothing more, and nobody ends its lease.
    let now = clock::now();
    let lease = now + Duration::seconds(5);
    world
        .app
        .open_stream(&caller, v7(now), lease, now)
        .await
        .unwrap();
    assert_eq!(world.is(anna).await, by_stream(Presence::Online));
    world.later(Duration::seconds(4)).await;
    assert_eq!(world.is(anna).await, by_stream(Presence::Online));
    world.later(Duration::seconds(6)).await;
    assert_eq!(world.is(anna).await, by_stream(Presence::Offline));

    // Only an agent has presence, only so many streams, and only while they may work.
    let service = other
        .keep_presence(request(&world.admin(), pb::KeepPresenceRequest {}))
        .await;
    assert_eq!(reason(&service.err().unwrap()).0, "AGENT_REQUIRED");
    for _ in 0..20 {
        let opened = world
            .app
            .open_stream(&caller, v7(now), now + Duration::HOUR, now)
            .await;
        if opened.is_err() {
            break;
        }
    }
    let many = other
        .keep_presence(request(&caller, pb::KeepPresenceRequest {}))
        .await;
    assert_eq!(many.err().unwrap().code(), Code::ResourceExhausted);
    let update = pb::UpdateAgentRequest {
        agent_id: anna.to_string(),
        active: Some(false),
        ..Default::default()
    };
    world
        .api
        .update_agent(request(&world.admin(), update))
        .await
        .unwrap();
    let agent = (world.account.clone(), anna);
    let kept = world
        .app
        .keep_stream(&agent, v7(now), now + Duration::HOUR, now)
        .await;
    assert!(kept.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn b04_away_gives_open_chats_back_in_batches_or_keeps_them() {
    let world = World::new().await;
    let anna = world.agent("Anna").await;
    world.policy(&[anna], false).await;
    let talks: Vec<Talk> = (1..=130).map(|n| Talk::new(&world, n)).collect();
    let deliveries: Vec<_> = talks
        .iter()
        .flat_map(|t| [t.opened(), t.decided()])
        .collect();
    world.handle(&deliveries).await;
    world.handle(&[talks[0].closed(2)]).await;
    let boris = world.agent_with("Boris", 100, None).await;
    world.presence(boris, Presence::Online).await;
    world.policy(&[anna, boris], false).await;
    world.presence(anna, Presence::Away).await;
    assert_eq!(world.load(anna).await, 129, "kept without the option");
    world
        .follow(pb::PresenceOptions {
            agent_id: anna.to_string(),
            away_gives_back: true,
            ..Default::default()
        })
        .await;
    assert_eq!(
        world.load(anna).await,
        129,
        "nothing is given back for having been away"
    );
    world.presence(anna, Presence::Online).await;
    world.set(lunch(anna)).await.unwrap();
    assert_eq!((world.load(anna).await, world.load(boris).await), (0, 100));
    world.loads_are_true().await;
    // The oldest went to Boris; the others wait, and what was closed stayed where it was.
    assert_eq!(world.responsible(&talks[0]).await, Some(anna));
    assert_eq!(world.responsible(&talks[1]).await, Some(boris));
    assert_eq!(world.responsible(&talks[101]).await, None);
    // What is handed to her by hand while she is away stays hers.
    let hand = pb::AssignChatRequest {
        chat_id: talks[101].chat.to_string(),
        agent_id: anna.to_string(),
        ..Default::default()
    };
    world
        .api
        .assign_chat(request(&world.admin(), hand))
        .await
        .unwrap();
    world.later(Duration::SECOND).await;
    assert_eq!(world.responsible(&talks[101]).await, Some(anna));
    world.later(2 * Duration::HOUR).await;
    assert_eq!(
        world.load(anna).await,
        29,
        "she is back and takes what waits"
    );
    world.loads_are_true().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b04_what_a_dead_process_left_to_give_back_is_given_back() {
    let world = World::new().await;
    let anna = world.agent("Anna").await;
    world.policy(&[anna], false).await;
    let talk = Talk::new(&world, 1);
    world.handle(&[talk.opened(), talk.decided()]).await;
    world.presence(anna, Presence::Away).await;
    sqlx::query("update agent_availability set giving_back = true")
        .execute(&world.db.pool)
        .await
        .unwrap();
    world.later(Duration::SECOND).await;
    assert_eq!(world.responsible(&talk).await, None);
    world.loads_are_true().await;
}

impl World {
    /// Waits until so many transactions wait for locks.
    async fn waiting_for_locks(&self, count: i64) {
        loop {
            let waiting: i64 = sqlx::query_scalar(
                "select count(*) from pg_stat_activity
                 where datname = current_database() and wait_event_type = 'Lock'",
            )
            .fetch_one(&self.db.pool)
            .await
            .unwrap();
            if waiting >= count {
                return;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b04_who_goes_away_while_a_rule_gives_them_a_chat_gives_it_back() {
    let world = World::new().await;
    let anna = world.agent("Anna").await;
    world.policy(&[anna], false).await;
    world
        .follow(pb::PresenceOptions {
            agent_id: anna.to_string(),
            away_gives_back: true,
            ..Default::default()
        })
        .await;
    // The choice stands between its look at Anna and its commit.
    let mut held = world.db.pool.begin().await.unwrap();
    sqlx::query("select load from agent_load for update")
        .execute(&mut *held)
        .await
        .unwrap();
    let talk = Talk::new(&world, 1);
    let batch = [talk.opened(), talk.decided()];
    let going = async {
        world.waiting_for_locks(1).await;
        let away = world.presence(anna, Presence::Away);
        let release = async {
            world.waiting_for_locks(2).await;
            held.rollback().await.unwrap();
        };
        tokio::join!(away, release);
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), async {
        tokio::join!(world.handle(&batch), going);
    })
    .await
    .expect("the presence waits for the choice");
    assert_eq!(world.responsible(&talk).await, None);
    assert_eq!(world.load(anna).await, 0);
    world.loads_are_true().await;
}
