//! Rules of channels: how long clients may wait (F211, B16), when a conversation is continued (F210), and what clients are
//! answered by itself (B15).

use std::sync::Mutex;

use chassis::auth::Caller;
use chassis::calendar::wire as calendars;
use chassis::grpc::Parse;
use chassis::outbox::Waker;
use chassis::testing::{request, service_caller};
use conversation::app::working_hours::Hours;
use conversation::app::{auto_reply, channel_rules, response_time};
use conversation::domain::channel_rule::{ChannelRule, Limits};
use conversation::grpc::channel_rules::Api;
use conversation::store::working_hours::{Owner, Word};
use switchboard_proto::assignment::v1 as assignment;
use switchboard_proto::channel_gateway::v1 as gateway;
use switchboard_proto::conversation::v1 as pb;
use switchboard_proto::conversation::v1::channel_rule_service_server::ChannelRuleService as _;
use switchboard_proto::conversation::v1::chat_service_server::ChatService as _;
use time::OffsetDateTime;
use time::macros::datetime;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::world::{World, at, noon, reason};

/// A stand-in for assignment's calendars; counts how often it is asked.
#[derive(Default)]
struct Calendars {
    account: Option<assignment::Calendar>,
    away: Mutex<bool>,
    asked: Mutex<usize>,
}

#[tonic::async_trait]
impl Hours for Calendars {
    async fn calendar(&self, owner: &Owner) -> Result<Word, Status> {
        *self.asked.lock().unwrap() += 1;
        if *self.away.lock().unwrap() {
            return Err(Status::unavailable("away"));
        }
        Ok(match (&self.account, owner.channel) {
            (Some(calendar), None) => Word {
                revision: calendar.revision,
                calendar: calendars::read(Parse::new("test"), calendar).ok(),
                deleted: false,
            },
            _ => Word::NONE,
        })
    }
}

/// Every day from nine until these hours.
fn until(end: &str, revision: i64) -> assignment::Calendar {
    let day = |weekday: i32| assignment::DayHours {
        weekday,
        hours: vec![assignment::Hours {
            start: "09:00".into(),
            end: end.into(),
        }],
    };
    assignment::Calendar {
        owner: Some(assignment::CalendarOwner {
            owner: Some(assignment::calendar_owner::Owner::Account(true)),
        }),
        time_zone: "UTC".into(),
        weekly: (1..=7).map(day).collect(),
        revision,
        ..Default::default()
    }
}

fn admin(world: &World) -> Caller {
    service_caller(Some(&world.account), "shop", &["channels:admin"], None)
}

async fn set(world: &World, change: impl FnOnce(&mut ChannelRule)) -> ChannelRule {
    let mut rule = ChannelRule::empty(world.channel.into());
    change(&mut rule);
    let now = noon();
    channel_rules::set(&world.db.pool, &admin(world), rule, None, now)
        .await
        .unwrap()
}

async fn limits(world: &World, first: i32, next: i32) {
    set(world, |rule| rule.limits = Limits { first, next }).await;
}

/// Has waits worked out and told of; returns how many were told of so far.
async fn look(world: &World, hours: &Calendars, now: OffsetDateTime) -> usize {
    let pool = &world.db.pool;
    while response_time::round(pool, &Waker::new(), hours, now)
        .await
        .unwrap()
    {}
    world.events_of::<pb::ResponseTimeExceeded>().await.len()
}

/// Lets the gateway say that a message was sent.
async fn sent(world: &World, message: &pb::Message) {
    let sent = gateway::DeliverySent {
        delivery: Some(gateway::DeliveryRef {
            message_id: message.message_id.clone(),
            chat_id: message.chat_id.clone(),
            channel_id: world.channel.to_string(),
            out_seq: 1,
            attempt: 1,
            part: 0,
            parts: 1,
        }),
        provider_key: format!("key of {}", message.message_id),
        time: Some(chassis::grpc::timestamp(noon())),
        ..Default::default()
    };
    let id = message.message_id.parse::<Uuid>().unwrap().as_u128() ^ 1;
    let chat = message.chat_id.parse().unwrap();
    world.hear(&[world.event(id, chat, &sent)]).await;
}

#[tokio::test]
async fn f211_b16_who_waits_too_long_is_told_of_once_for_each_wait() {
    let world = World::new().await;
    let hours = Calendars::default();
    limits(&world, 60, 30).await;
    world
        .receive(&[
            world.message("7", "1", at(1), "hello"),
            world.message("7", "2", at(50), "hello?"),
        ])
        .await;
    assert_eq!(look(&world, &hours, at(60)).await, 0);
    assert_eq!(
        look(&world, &hours, at(61)).await,
        1,
        "a minute after the first"
    );
    let event = world
        .events_of::<pb::ResponseTimeExceeded>()
        .await
        .remove(0);
    assert!(event.first);
    assert_eq!((event.number, event.limit_seconds), (1, 60));
    assert_eq!(event.due_time, Some(chassis::grpc::timestamp(at(61))));
    world.receive(&[world.message("7", "3", at(70), "?")]).await;
    assert_eq!(look(&world, &hours, at(900)).await, 1, "once for each wait");

    // An answer that was sent ends it; what comes after has the other limit.
    let answer = world
        .send(&world.as_agent("ann"), "7", "r1", "yes?")
        .await
        .unwrap();
    world
        .receive(&[world.message("7", "4", at(1_000), "how much?")])
        .await;
    sent(&world, &answer).await;
    assert_eq!(look(&world, &hours, at(1_029)).await, 1);
    assert_eq!(look(&world, &hours, at(1_030)).await, 2);
    let event = world
        .events_of::<pb::ResponseTimeExceeded>()
        .await
        .remove(1);
    assert!(!event.first, "an answer was sent in this conversation");
    assert_eq!(
        event.wait_start_time,
        Some(chassis::grpc::timestamp(at(1_000)))
    );
}

#[tokio::test]
async fn d32_an_answer_a_waiver_and_the_end_stop_the_clock() {
    let world = World::new().await;
    let hours = Calendars::default();
    limits(&world, 60, 60).await;
    let ann = world.as_agent("ann");

    world
        .receive(&[world.message("7", "1", at(1), "one")])
        .await;
    let answer = world.send(&ann, "7", "r1", "answer").await.unwrap();
    assert_eq!(
        world.count("select count(*) from response_wait").await,
        1,
        "not sent yet"
    );
    sent(&world, &answer).await;
    assert_eq!(world.count("select count(*) from response_wait").await, 0);

    world
        .receive(&[world.message("7", "2", at(100), "two")])
        .await;
    let waive = pb::WaiveReplyRequest {
        chat_id: world.chat("7").to_string(),
        ..Default::default()
    };
    world.api.waive_reply(request(&ann, waive)).await.unwrap();
    assert_eq!(world.count("select count(*) from response_wait").await, 0);

    world
        .receive(&[world.message("7", "3", at(200), "three")])
        .await;
    assert_eq!(world.count("select count(*) from response_wait").await, 1);
    world.close(&ann, "7").await.unwrap();
    assert_eq!(world.count("select count(*) from response_wait").await, 0);
    assert_eq!(look(&world, &hours, at(10_000)).await, 0);

    // What was left unanswered before the end is not timed in the next conversation, which has its own first answer.
    world
        .receive(&[world.message("7", "4", at(20_000), "four")])
        .await;
    assert_eq!(look(&world, &hours, at(20_059)).await, 0);
    assert_eq!(look(&world, &hours, at(20_060)).await, 1);
    let event = world
        .events_of::<pb::ResponseTimeExceeded>()
        .await
        .remove(0);
    assert_eq!((event.first, event.number), (true, 2));
}

#[tokio::test]
async fn b16_the_clock_stands_outside_working_hours() {
    let world = World::new().await;
    let hours = Calendars {
        account: Some(until("13:00", 1)),
        ..Calendars::default()
    };
    limits(&world, 3_600, 0).await;
    // Noon and a half: half an hour is left of the day.
    world
        .receive(&[world.message("7", "1", at(1_800), "hello")])
        .await;
    let due = "select extract(epoch from due_at)::bigint from response_wait";
    assert_eq!(look(&world, &hours, at(5_400)).await, 0);
    let tomorrow = datetime!(2026-03-03 09:30 UTC);
    assert_eq!(world.count(due).await, tomorrow.unix_timestamp());
    let asked = *hours.asked.lock().unwrap();
    assert_eq!(asked, 2, "the channel's and the account's");

    // The hours are set anew: it is worked out anew, and nobody is asked again.
    let changed = assignment::CalendarUpdated {
        calendar: Some(until("18:00", 2)),
        deleted: false,
    };
    let old = assignment::CalendarUpdated {
        calendar: Some(until("12:45", 1)),
        deleted: false,
    };
    let account = Uuid::from_u128(1);
    world
        .hear(&[
            world.event(1, account, &changed),
            world.event(2, account, &old),
        ])
        .await;
    assert_eq!(look(&world, &hours, at(5_399)).await, 0);
    assert_eq!(world.count(due).await, at(5_400).unix_timestamp());
    let deleted = assignment::CalendarUpdated {
        calendar: Some(until("18:00", 2)),
        deleted: true,
    };
    world.hear(&[world.event(3, account, &deleted)]).await;
    assert_eq!(look(&world, &hours, at(5_400)).await, 1);
    assert_eq!(*hours.asked.lock().unwrap(), asked);
}

#[tokio::test]
async fn f211_while_assignment_is_away_what_is_known_is_told_of() {
    let world = World::new().await;
    let hours = Calendars::default();
    limits(&world, 60, 60).await;
    world
        .receive(&[world.message("7", "1", at(1), "hello")])
        .await;
    look(&world, &hours, at(2)).await;
    sqlx::query("delete from working_hours")
        .execute(&world.db.pool)
        .await
        .unwrap();
    *hours.away.lock().unwrap() = true;
    world
        .receive(&[world.message("8", "1", at(3), "hello")])
        .await;
    let round = response_time::round(&world.db.pool, &Waker::new(), &hours, at(100)).await;
    assert!(round.is_err(), "whoever runs it waits before the next look");
    assert_eq!(world.events_of::<pb::ResponseTimeExceeded>().await.len(), 1);
    *hours.away.lock().unwrap() = false;
    assert_eq!(look(&world, &hours, at(101)).await, 2);
}

#[tokio::test]
async fn f211_another_limit_counts_for_those_who_wait_already_and_none_for_those_who_were_not_timed()
 {
    let world = World::new().await;
    let hours = Calendars::default();
    world
        .receive(&[world.message("8", "1", at(-10), "before there was a rule")])
        .await;
    limits(&world, 600, 0).await;
    world
        .receive(&[world.message("7", "1", at(1), "hello")])
        .await;
    world
        .receive(&[world.message("8", "2", at(2), "hello?")])
        .await;
    assert_eq!(look(&world, &hours, at(100)).await, 0);
    limits(&world, 60, 0).await;
    assert_eq!(look(&world, &hours, at(100)).await, 1);
    let event = world
        .events_of::<pb::ResponseTimeExceeded>()
        .await
        .remove(0);
    assert_eq!(event.chat_id, world.chat("7").to_string());
    limits(&world, 0, 0).await;
    world
        .receive(&[world.message("9", "1", at(110), "hello")])
        .await;
    assert_eq!(look(&world, &hours, at(9_000)).await, 1);
}

#[tokio::test]
async fn f211_of_two_replicas_one_tells() {
    let world = World::new().await;
    let hours = Calendars::default();
    limits(&world, 60, 60).await;
    let items: Vec<_> = (0..60)
        .map(|n| world.message(&format!("c{n}"), "1", at(1), "hello"))
        .collect();
    world.receive(&items).await;
    let (pool, waker) = (&world.db.pool, Waker::new());
    let both = tokio::join!(
        response_time::round(pool, &waker, &hours, at(100)),
        response_time::round(pool, &waker, &hours, at(100)),
    );
    both.0.and(both.1).unwrap();
    assert_eq!(look(&world, &hours, at(101)).await, 60);
}

/// Has conversations answered by itself; returns what the bot has said so far.
async fn answers(world: &World, hours: &Calendars, now: OffsetDateTime) -> Vec<String> {
    while auto_reply::round(&world.db.pool, &Waker::new(), hours, now)
        .await
        .unwrap()
    {}
    let messages = world.history("7").await;
    messages
        .iter()
        .filter(|message| message.kind() == pb::message::Kind::Bot)
        .map(crate::world::text_of)
        .collect()
}

#[tokio::test]
async fn b15_a_client_is_greeted_once_in_a_conversation_and_still_waits_for_an_answer() {
    let world = World::new().await;
    let hours = Calendars::default();
    set(&world, |rule| rule.greeting = "Welcome!".into()).await;
    world
        .receive(&[world.message("7", "1", at(1), "hello")])
        .await;
    assert_eq!(answers(&world, &hours, at(2)).await, ["Welcome!"]);
    let queued = world.events_of::<pb::MessageQueued>().await.remove(0);
    assert!(queued.command.unwrap().automatic, "no machine answers it");

    // It is no answer (D08), though it was sent.
    let bot = world.history("7").await;
    let bot = bot.iter().find(|m| m.kind() == pb::message::Kind::Bot);
    sent(&world, bot.unwrap()).await;
    let chat = world.get_chat(&world.as_service(), "7").await.unwrap();
    assert_eq!((chat.unanswered, chat.waiting), (1, true));

    world
        .receive(&[world.message("7", "2", at(3), "anybody?")])
        .await;
    world
        .receive(&[world.message("7", "1", at(1), "hello")])
        .await;
    assert_eq!(answers(&world, &hours, at(4)).await, ["Welcome!"]);
    world.close(&world.as_agent("ann"), "7").await.unwrap();
    world
        .receive(&[world.message("7", "3", at(5), "me again")])
        .await;
    assert_eq!(
        answers(&world, &hours, at(6)).await,
        ["Welcome!", "Welcome!"]
    );
}

#[tokio::test]
async fn b15_of_many_that_are_greeted_at_once_each_gets_its_own_command() {
    let world = World::new().await;
    set(&world, |rule| rule.greeting = "Welcome!".into()).await;
    let items: Vec<_> = (0..30)
        .map(|n| world.message(&n.to_string(), "1", at(1), "hello"))
        .collect();
    world.receive(&items).await;
    let pool = &world.db.pool;
    let said = answers(&world, &Calendars::default(), at(2)).await;
    assert_eq!(said, ["Welcome!"]);
    let told = world.events_of::<pb::MessageQueued>().await;
    assert_eq!(told.len(), 30);
    for event in told {
        let command = event.command.unwrap();
        let kept: Vec<u8> = sqlx::query_scalar(
            "select command from outbound_command c join message m using (chat_id, out_seq)
             where c.account = 'acme' and c.chat_id = $1 and m.message_id = $2",
        )
        .bind(command.chat_id.parse::<uuid::Uuid>().unwrap())
        .bind(command.message_id.parse::<uuid::Uuid>().unwrap())
        .fetch_one(pool)
        .await
        .unwrap();
        assert_eq!(kept, prost::Message::encode_to_vec(&command));
    }
}

#[tokio::test]
async fn b15_outside_working_hours_another_reply_goes_out() {
    let world = World::new().await;
    let hours = Calendars {
        account: Some(until("11:00", 1)),
        ..Calendars::default()
    };
    set(&world, |rule| {
        rule.greeting = "Welcome!".into();
        rule.off_hours_reply = "We are back at nine.".into();
    })
    .await;
    world
        .receive(&[world.message("7", "1", at(1), "hello")])
        .await;
    assert_eq!(
        answers(&world, &hours, at(2)).await,
        ["We are back at nine."]
    );
}

#[tokio::test]
async fn b15_an_agent_who_was_faster_and_a_machine_spare_it() {
    let world = World::new().await;
    let hours = Calendars::default();
    set(&world, |rule| rule.greeting = "Welcome!".into()).await;
    world
        .receive(&[world.message("7", "1", at(1), "hello")])
        .await;
    let answer = world
        .send(&world.as_agent("ann"), "7", "r1", "hi")
        .await
        .unwrap();
    sent(&world, &answer).await;
    assert!(answers(&world, &hours, at(2)).await.is_empty());
    let machine = {
        let mut item = world.message("8", "1", at(3), "I am out of the office");
        if let Some(gateway::inbound_event::Kind::Message(message)) = item.kind.as_mut() {
            message.automatic = true;
        }
        item
    };
    world.receive(&[machine]).await;
    answers(&world, &hours, at(4)).await;
    assert!(
        world.events_of::<pb::MessageQueued>().await.len() == 1,
        "the agent's"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn f210_rules_are_set_shown_and_listed_by_who_may() {
    let world = World::new().await;
    let api = Api(world.db.pool.clone());
    let rule = |channel: Uuid| pb::ChannelRule {
        channel_id: channel.to_string(),
        continue_minutes: 30,
        first_response_seconds: 600,
        greeting: "Hello".into(),
        ..Default::default()
    };
    let ask = |rule: pb::ChannelRule, expected: Option<i64>| pb::SetChannelRuleRequest {
        rule: Some(rule),
        expected_revision: expected,
    };
    let admin = admin(&world);
    let get = pb::GetChannelRuleRequest {
        channel_id: world.channel.to_string(),
    };
    let none = api
        .get_channel_rule(request(&admin, get.clone()))
        .await
        .unwrap();
    assert_eq!(none.into_inner().rule.unwrap().revision, 0);
    let set = api
        .set_channel_rule(request(&admin, ask(rule(world.channel), Some(0))))
        .await
        .unwrap();
    let set = set.into_inner().rule.unwrap();
    assert_eq!((set.revision, set.continue_minutes), (1, 30));
    let stale = api
        .set_channel_rule(request(&admin, ask(rule(world.channel), Some(0))))
        .await
        .unwrap_err();
    assert_eq!(
        (stale.code(), &*reason(&stale)),
        (Code::Aborted, "CHANGED_MEANWHILE")
    );
    for (what, wrong) in [
        (
            "rule.continue_minutes",
            pb::ChannelRule {
                continue_minutes: -1,
                ..rule(world.channel)
            },
        ),
        (
            "rule.first_response_seconds",
            pb::ChannelRule {
                first_response_seconds: i32::MAX,
                ..rule(world.channel)
            },
        ),
        (
            "rule.greeting",
            pb::ChannelRule {
                greeting: "x".repeat(4_001),
                ..rule(world.channel)
            },
        ),
        (
            "rule.channel_id",
            pb::ChannelRule {
                channel_id: "x".into(),
                ..rule(world.channel)
            },
        ),
    ] {
        let refused = api
            .set_channel_rule(request(&admin, ask(wrong, None)))
            .await
            .unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{what}");
        assert!(format!("{refused:?}").contains(what), "{refused:?}");
    }

    // Another account's rule of the same channel is its own affair.
    let other = chassis::testing::account("other");
    let stranger = service_caller(Some(&other), "x", &["channels:admin"], None);
    let seen = api.get_channel_rule(request(&stranger, get)).await.unwrap();
    assert_eq!(seen.into_inner().rule.unwrap().revision, 0);
    api.set_channel_rule(request(&stranger, ask(rule(world.channel), Some(0))))
        .await
        .unwrap();
    world
        .receive(&[world.message("7", "1", at(1), "one")])
        .await;
    let list = pb::ListChannelRulesRequest {
        page_size: 1,
        ..Default::default()
    };
    let page = api
        .list_channel_rules(request(&admin, list))
        .await
        .unwrap()
        .into_inner();
    assert_eq!((page.rules.len(), page.next_page_token), (1, String::new()));
    assert_eq!(page.rules.first(), Some(&set));
}
