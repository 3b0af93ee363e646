//! The card takes the responsible whom a rule gave its chat, whichever event comes first (F026, F027, §8).

use chassis::consumer::Delivery;
use chassis::stamp::Stamp;
use prost::Message as _;
use switchboard_proto::assignment::v1::{AssignmentRule, ChatAssigned};
use switchboard_proto::common::v1::EntityKind;
use switchboard_proto::crm_cards::v1::pipeline_connection::Mode;
use switchboard_proto::crm_cards::v1::*;
use uuid::Uuid;

use crate::world::{Chat, Opening, Tenant, World, stamp, tenant, world};

const CHANNEL: Uuid = Uuid::from_u128(1);
const ANNA: Uuid = Uuid::from_u128(100);
const BOB: Uuid = Uuid::from_u128(200);

async fn prepared() -> (World, Tenant, Opening) {
    let (world, tenant) = (world().await, tenant());
    world.pipeline(&tenant).await;
    world.set_mode(&tenant, CHANNEL, Mode::Repeat).await;
    let opening = tenant.opening(
        Chat {
            channel: CHANNEL,
            user: "1",
        },
        1,
    );
    (world, tenant, opening)
}

#[tokio::test]
async fn f026_f027_only_what_a_rule_of_the_channel_chose_reaches_the_card() {
    use AssignmentRule::{Claim, Crm, Distribution, FirstReply, Hand, Opener, Previous};
    for (rule, taken) in [
        (Distribution, true),
        (Previous, true),
        (Crm, true),
        (Claim, false),
        (FirstReply, false),
        (Hand, false),
        (Opener, false),
    ] {
        for early in [false, true] {
            let (world, tenant, opening) = prepared().await;
            let assigned = opening.assigned(ANNA, rule, stamp(1_000));
            let mut order = [opening.delivery(), assigned];
            if early {
                order.reverse();
            }
            for delivery in order {
                world.handle(&[delivery]).await.unwrap();
            }
            let card = world.cards(&tenant).await.remove(0);
            let expected = if taken {
                ANNA.to_string()
            } else {
                String::new()
            };
            assert_eq!(
                card.responsible_agent_id, expected,
                "{rule:?} early: {early}"
            );
            let names = world.names(&tenant.account).await;
            let changed = names
                .iter()
                .filter(|name| *name == "entity.responsible-changed")
                .count();
            assert_eq!(changed, usize::from(taken), "{rule:?} early: {early}");
        }
    }
}

#[tokio::test]
async fn f057_x05_what_a_chat_follows_in_the_midst_of_a_conversation_goes_no_further() {
    let (world, tenant, opening) = prepared().await;
    world.handle(&[opening.delivery()]).await.unwrap();
    let mut follows = opening.assigned(BOB, AssignmentRule::Crm, stamp(1_000));
    let mut event: ChatAssigned = follows.decode().unwrap();
    event.entity_changed = true;
    follows.payload = event.encode_to_vec().into();
    world.handle(&[follows]).await.unwrap();
    let card = world.cards(&tenant).await.remove(0);
    assert_eq!(card.responsible_agent_id, "");
}

#[tokio::test]
async fn the_stamp_is_passed_on_unchanged_with_the_chats_of_the_card() {
    let (world, tenant, opening) = prepared().await;
    world.handle(&[opening.delivery()]).await.unwrap();
    let assigned = opening.assigned(ANNA, AssignmentRule::Distribution, stamp(1_000));
    world.handle(std::slice::from_ref(&assigned)).await.unwrap();
    let published = world.published(&tenant.account).await;
    let [.., updated, changed] = published.as_slice() else {
        panic!("two events at least")
    };
    assert_eq!(
        updated
            .read::<CardUpdated>()
            .card
            .unwrap()
            .responsible_agent_id,
        ANNA.to_string()
    );
    assert_eq!(
        (changed.cause, changed.actor.as_str()),
        (Some(assigned.envelope.id), "sync:card-from-chat")
    );
    let changed: EntityResponsibleChanged = changed.read();
    let entity = changed.entity.unwrap();
    assert_eq!(entity.kind(), EntityKind::Lead);
    assert_eq!(entity.stamp.unwrap().time.unwrap().seconds, 1_000);
    assert_eq!(changed.chat_ids, [opening.chat()]);
    assert_eq!(changed.previous_agent_id, "");
}

#[tokio::test]
async fn a_responsible_applies_only_over_a_lower_stamp_and_once() {
    let (world, tenant, opening) = prepared().await;
    world.handle(&[opening.delivery()]).await.unwrap();
    let give =
        |agent, seconds| opening.assigned(agent, AssignmentRule::Distribution, stamp(seconds));
    let zero = opening.assigned(BOB, AssignmentRule::Distribution, Stamp::ZERO);
    for (name, delivery, expected, events) in [
        ("a provisional one", zero, "", 0),
        ("the first", give(ANNA, 1_000), "anna", 1),
        ("a lower one", give(BOB, 999), "anna", 1),
        ("the same stamp", give(BOB, 1_000), "anna", 1),
        (
            "a higher one, in place already",
            give(ANNA, 1_001),
            "anna",
            1,
        ),
        ("lower than the one in place", give(BOB, 1_000), "anna", 1),
        ("a higher one", give(BOB, 1_002), "bob", 2),
    ] {
        world
            .handle(&[delivery.clone(), delivery.clone()])
            .await
            .unwrap();
        world.handle(&[delivery]).await.unwrap();
        let card = world.cards(&tenant).await.remove(0);
        let expected = match expected {
            "anna" => ANNA.to_string(),
            "bob" => BOB.to_string(),
            _ => String::new(),
        };
        assert_eq!(card.responsible_agent_id, expected, "{name}");
        let names = world.names(&tenant.account).await;
        let changed = names
            .iter()
            .filter(|name| *name == "entity.responsible-changed")
            .count();
        assert_eq!(changed, events, "{name}");
    }
}

#[tokio::test]
async fn every_order_of_openings_and_responsibles_ends_the_same() {
    let world = world().await;
    for (index, order) in permutations(4).into_iter().enumerate() {
        let tenant = tenant();
        world.pipeline(&tenant).await;
        world.set_mode(&tenant, CHANNEL, Mode::Repeat).await;
        let one = tenant.opening(
            Chat {
                channel: CHANNEL,
                user: "1",
            },
            1,
        );
        let two = tenant.opening(
            Chat {
                channel: CHANNEL,
                user: "2",
            },
            2,
        );
        let all = [
            one.delivery(),
            two.delivery(),
            one.assigned(ANNA, AssignmentRule::Distribution, stamp(1_000)),
            two.assigned(BOB, AssignmentRule::Previous, stamp(1_001)),
        ];
        let deliveries: Vec<Delivery> = order.iter().map(|index| all[*index].clone()).collect();
        // As many cuts into batches as there are orders: one, two or four.
        for batch in deliveries.chunks([4, 2, 1][index % 3]) {
            world.handle(batch).await.unwrap();
        }
        let mut cards = world.cards(&tenant).await;
        cards.sort_by(|a, b| a.title.cmp(&b.title));
        let got: Vec<_> = cards
            .iter()
            .map(|card| card.responsible_agent_id.as_str())
            .collect();
        assert_eq!(got, [ANNA.to_string(), BOB.to_string()], "{order:?}");
        assert_eq!(world.decisions(&tenant).await.len(), 2, "{order:?}");
        let parked: i64 = sqlx::query_scalar("select count(*) from parked_responsible")
            .fetch_one(&world.database.pool)
            .await
            .unwrap();
        assert_eq!(parked, 0, "{order:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_opening_and_its_responsible_at_once_never_miss_each_other() {
    let world = std::sync::Arc::new(world().await);
    let tenant = tenant();
    world.pipeline(&tenant).await;
    world.set_mode(&tenant, CHANNEL, Mode::Repeat).await;
    for round in 0..48 {
        let user = format!("user-{round}");
        let opening = tenant.opening(
            Chat {
                channel: CHANNEL,
                user: &user,
            },
            round,
        );
        let assigned = opening.assigned(ANNA, AssignmentRule::Distribution, stamp(1_000));
        let tasks = [opening.delivery(), assigned].map(|delivery| {
            let world = std::sync::Arc::clone(&world);
            tokio::spawn(async move { world.handle_until_done(&[delivery]).await })
        });
        for task in tasks {
            task.await.unwrap();
        }
    }
    let cards = world.cards(&tenant).await;
    assert_eq!(cards.len(), 48);
    assert!(
        cards
            .iter()
            .all(|card| card.responsible_agent_id == ANNA.to_string())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_responsible_waits_for_a_decision_in_flight_and_a_decision_for_a_parking_in_flight() {
    for decision_first in [true, false] {
        let (world, tenant, opening) = prepared().await;
        let world = std::sync::Arc::new(world);
        let assigned = opening.assigned(ANNA, AssignmentRule::Distribution, stamp(1_000));
        let mut order = [opening.delivery(), assigned];
        // A row of ours, not committed, holds the first up at its last statement.
        let mut other = world.database.pool.begin().await.unwrap();
        let account = tenant.account.as_str();
        if decision_first {
            let hold =
                "insert into chassis.event_sequence (account, subject, last) values ($1, $2, 1)";
            sqlx::query(hold)
                .bind(account)
                .bind(opening.chat())
                .execute(&mut *other)
                .await
                .unwrap();
        } else {
            order.reverse();
            let hold = "insert into parked_responsible (account, conversation, agent, stamp_time, stamp_event, cause,
                        parked_at) values ($1, $2, $3, now(), $3, $3, now())";
            let conversation: Uuid = opening.event.conversation_id.parse().unwrap();
            sqlx::query(hold)
                .bind(account)
                .bind(conversation)
                .bind(BOB)
                .execute(&mut *other)
                .await
                .unwrap();
        }
        let mut tasks = Vec::new();
        for (place, delivery) in order.into_iter().enumerate() {
            let handled = std::sync::Arc::clone(&world);
            tasks.push(tokio::spawn(async move {
                handled.handle_until_done(&[delivery]).await;
            }));
            world
                .waiting_for_locks(i64::try_from(place).unwrap() + 1)
                .await;
        }
        other.rollback().await.unwrap();
        for task in tasks {
            task.await.unwrap();
        }
        let card = world.cards(&tenant).await.remove(0);
        assert_eq!(
            card.responsible_agent_id,
            ANNA.to_string(),
            "decision first: {decision_first}"
        );
    }
}

#[tokio::test]
async fn a_conversation_without_a_card_needs_no_responsible() {
    let (world, tenant) = (world().await, tenant());
    let opening = tenant.opening(
        Chat {
            channel: CHANNEL,
            user: "1",
        },
        1,
    );
    let assigned = opening.assigned(ANNA, AssignmentRule::Distribution, stamp(1_000));
    for delivery in [assigned.clone(), opening.delivery(), assigned] {
        world.handle(&[delivery]).await.unwrap();
    }
    let connections = world.connections(&tenant, &opening.chat()).await;
    assert!(connections.cards.is_empty() && connections.contact.is_some());
    let parked: i64 = sqlx::query_scalar("select count(*) from parked_responsible")
        .fetch_one(&world.database.pool)
        .await
        .unwrap();
    assert_eq!(parked, 0);
}

/// All orders of the numbers below `count`.
fn permutations(count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![Vec::new()];
    }
    let shorter = permutations(count - 1);
    shorter
        .into_iter()
        .flat_map(|order| {
            (0..count).map(move |place| {
                let mut order = order.clone();
                order.insert(place, count - 1);
                order
            })
        })
        .collect()
}
