//! Openings beside moves of cards and orders: every decision agrees with the facts that it recorded (X04).

use std::collections::HashMap;
use std::sync::Arc;

use switchboard_proto::crm_cards::v1::crm_cards_service_server::CrmCardsService as _;
use switchboard_proto::crm_cards::v1::pipeline_connection::Mode;
use switchboard_proto::crm_cards::v1::*;
use uuid::Uuid;

use crate::world::{Chat, tenant, world};

/// Tasks that act at once.
const TASKS: u64 = 32;

/// Acts of each.
const ACTS: i64 = 8;

/// The table of the design, over the facts that a decision recorded.
fn expected(decision: &Decision) -> bool {
    let facts = decision.facts.as_ref().unwrap();
    let connection = decision.connection.as_ref().unwrap();
    let old = facts.chat_create_time.unwrap().seconds < connection.activate_time.unwrap().seconds;
    assert!(facts.opened_by_client && !old);
    match connection.mode() {
        Mode::OneTime => facts.cards_ever_linked == 0 && !facts.order_in_work,
        Mode::Repeat => !facts.card_in_work && !facts.order_in_work,
        Mode::ContactWithoutCards => facts.contact_cards == 0 && !facts.buyer,
        Mode::None | Mode::Unspecified => false,
    }
}

/// A small generator: the same acts in every run.
fn next(seed: &mut u64) -> u64 {
    *seed = seed
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    *seed >> 33
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn x04_openings_beside_moves_of_cards_and_orders_never_make_two_or_no_cards() {
    let world = Arc::new(world().await);
    for mode in [Mode::Repeat, Mode::OneTime, Mode::ContactWithoutCards] {
        let tenant = tenant();
        let pipeline = world.pipeline(&tenant).await;
        let channels = [Uuid::from_u128(1), Uuid::from_u128(2)];
        for channel in channels {
            world.set_mode(&tenant, channel, mode).await;
        }
        let users = ["a", "b"];
        let tasks = (0..TASKS).map(|task| {
            let (world, tenant, pipeline) = (Arc::clone(&world), tenant.clone(), pipeline.clone());
            tokio::spawn(async move {
                let mut seed = task + 1;
                for act in 0..ACTS {
                    let channel = channels[usize::from(next(&mut seed).is_multiple_of(2))];
                    let user = users[usize::from(next(&mut seed).is_multiple_of(2))];
                    let number = i64::try_from(task).unwrap() * ACTS + act + 1;
                    let opening = tenant.opening(Chat { channel, user }, number);
                    match next(&mut seed) % 4 {
                        0 | 1 => {
                            let again = tenant.opening(Chat { channel, user }, number + 10_000);
                            let batch = [opening.delivery(), again.delivery(), opening.delivery()];
                            world.handle_until_done(&batch).await;
                        }
                        2 => {
                            // Only out of work: so at most one card of a chat may be in work at the end.
                            for card in world.cards(&tenant).await.iter().take(1) {
                                world
                                    .move_card(
                                        &tenant,
                                        &pipeline,
                                        &card.card_id,
                                        StatusKind::Successful,
                                    )
                                    .await;
                            }
                        }
                        _ => {
                            let Some(contact) = world.contacts(&tenant).await.pop() else {
                                continue;
                            };
                            if mode != Mode::ContactWithoutCards || act == ACTS - 1 {
                                world.save_buyer(&tenant, &contact.contact_id).await;
                                let order = world
                                    .create_order(&tenant, &contact.contact_id)
                                    .await
                                    .unwrap();
                                world
                                    .move_order(&tenant, &order.order_id, StatusKind::Rejected)
                                    .await;
                            }
                        }
                    }
                }
            })
        });
        for task in futures::future::join_all(tasks.collect::<Vec<_>>()).await {
            task.unwrap();
        }
        let decisions = world.decisions_of_all(&tenant).await;
        let cards = world.cards_of_all(&tenant).await;
        let mut created = 0;
        for decision in &decisions {
            let has_card = !decision.card_id.is_empty();
            assert_eq!(has_card, expected(decision), "{mode:?} {decision:?}");
            created += usize::from(has_card);
        }
        assert_eq!(cards.len(), created, "{mode:?}");
        assert!(created > 0, "{mode:?}");
        let names = world.names(&tenant.account).await;
        let count = |name: &str| names.iter().filter(|known| *known == name).count();
        assert_eq!(count("connection.decided"), decisions.len(), "{mode:?}");
        assert_eq!(count("card.created"), created, "{mode:?}");
        let mut per_chat: HashMap<&str, (usize, usize)> = HashMap::new();
        for card in &cards {
            let of_chat = per_chat.entry(&card.chat_id).or_default();
            of_chat.0 += 1;
            of_chat.1 += usize::from(card.status.as_ref().unwrap().kind() == StatusKind::New);
        }
        for (chat, (all, in_work)) in per_chat {
            match mode {
                Mode::Repeat => assert!(in_work <= 1, "{chat} has {in_work} cards in work"),
                _ => assert_eq!(all, 1, "{chat}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_of_orders_have_no_gaps_though_many_are_made_and_some_refused() {
    let (world, tenant) = (Arc::new(world().await), tenant());
    let openings: Vec<_> = ["1", "2"]
        .iter()
        .map(|user| {
            tenant
                .opening(
                    Chat {
                        channel: Uuid::from_u128(1),
                        user,
                    },
                    1,
                )
                .delivery()
        })
        .collect();
    world.handle(&openings).await.unwrap();
    let contacts = world.contacts(&tenant).await;
    world.save_buyer(&tenant, &contacts[0].contact_id).await;
    let tasks = (0..32).map(|task| {
        let (world, tenant) = (Arc::clone(&world), tenant.clone());
        let contact = contacts[task % 2].contact_id.clone();
        tokio::spawn(async move { world.create_order(&tenant, &contact).await })
    });
    let mut numbers = Vec::new();
    for task in futures::future::join_all(tasks.collect::<Vec<_>>()).await {
        match task.unwrap() {
            Ok(order) => numbers.push(order.number),
            Err(refused) => assert_eq!(refused.code(), tonic::Code::FailedPrecondition),
        }
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=16).collect::<Vec<_>>());
    let request = CreateOrderRequest {
        contact_id: contacts[1].contact_id.clone(),
        ..CreateOrderRequest::default()
    };
    let refused = world
        .api
        .create_order(tenant.ask(request))
        .await
        .unwrap_err();
    assert!(
        format!("{refused:?}").contains("CONTACT_NOT_A_BUYER")
            || refused.message().contains("buyer")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn x04_of_many_openings_at_once_exactly_one_makes_the_next_card() {
    let (world, tenant, channel) = (Arc::new(world().await), tenant(), Uuid::from_u128(1));
    let pipeline = world.pipeline(&tenant).await;
    world.set_mode(&tenant, channel, Mode::Repeat).await;
    for round in 0..12 {
        let tasks = (0..16).map(|task| {
            let (world, tenant) = (Arc::clone(&world), tenant.clone());
            tokio::spawn(async move {
                let opening = tenant.opening(Chat { channel, user: "1" }, round * 16 + task + 1);
                world.handle_until_done(&[opening.delivery()]).await;
            })
        });
        for task in futures::future::join_all(tasks.collect::<Vec<_>>()).await {
            task.unwrap();
        }
        let cards = world.cards(&tenant).await;
        assert_eq!(i64::try_from(cards.len()).unwrap(), round + 1);
        world
            .move_card(
                &tenant,
                &pipeline,
                &cards[0].card_id,
                StatusKind::Successful,
            )
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d29_whatever_changes_facts_waits_for_the_contact_and_the_decision_sees_what_came_first() {
    let (world, tenant, channel) = (Arc::new(world().await), tenant(), Uuid::from_u128(1));
    let pipeline = world.pipeline(&tenant).await;
    world.set_mode(&tenant, channel, Mode::Repeat).await;
    let first = tenant.opening(Chat { channel, user: "1" }, 1);
    world.handle(&[first.delivery()]).await.unwrap();
    let card = world.cards(&tenant).await.remove(0);
    world.save_buyer(&tenant, &card.contact_id).await;
    let order = world.create_order(&tenant, &card.contact_id).await.unwrap();

    // Somebody closes card and order and has not committed yet.
    let mut other = world.database.pool.begin().await.unwrap();
    let contact: Uuid = card.contact_id.parse().unwrap();
    sqlx::query("select from contact where id = $1 for no key update")
        .bind(contact)
        .execute(&mut *other)
        .await
        .unwrap();
    for close in [
        "update card c set status = s.id, status_kind = s.kind from status s
         where s.pipeline = c.pipeline and s.kind = 'rejected'",
        "update buyer_order set status = 'rejected'",
    ] {
        sqlx::query(close).execute(&mut *other).await.unwrap();
    }
    let second = tenant.opening(Chat { channel, user: "1" }, 2);
    let opens = {
        let (world, delivery) = (Arc::clone(&world), second.delivery());
        tokio::spawn(async move { world.handle_until_done(&[delivery]).await })
    };
    world.waiting_for_locks(1).await;
    other.commit().await.unwrap();
    opens.await.unwrap();
    assert_eq!(world.rule(&tenant, &second).await, "NOTHING_IN_WORK");

    // Every act that changes facts waits for the same lock.
    let mut other = world.database.pool.begin().await.unwrap();
    sqlx::query("select from contact where id = $1 for no key update")
        .bind(contact)
        .execute(&mut *other)
        .await
        .unwrap();
    let acts = (0..5).map(|act| {
        let (world, tenant, pipeline) = (Arc::clone(&world), tenant.clone(), pipeline.clone());
        let (card, order, chat_id) = (card.clone(), order.clone(), first.chat());
        tokio::spawn(async move {
            match act {
                0 => {
                    world
                        .move_card(&tenant, &pipeline, &card.card_id, StatusKind::InProgress)
                        .await;
                }
                1 => drop(world.create_order(&tenant, &card.contact_id).await.unwrap()),
                2 => {
                    world
                        .move_order(&tenant, &order.order_id, StatusKind::InProgress)
                        .await;
                }
                3 => world.save_buyer(&tenant, &card.contact_id).await,
                _ => {
                    let request = CreateCardRequest {
                        chat_id,
                        ..CreateCardRequest::default()
                    };
                    world.api.create_card(tenant.ask(request)).await.unwrap();
                }
            }
        })
    });
    let acts: Vec<_> = acts.collect();
    world.waiting_for_locks(5).await;
    other.rollback().await.unwrap();
    for act in acts {
        act.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cards_without_a_contact_are_moved_at_once_and_none_is_lost() {
    let (world, tenant) = (Arc::new(world().await), tenant());
    let pipeline = world.pipeline(&tenant).await;
    let request = CreateCardRequest {
        title: "By hand".into(),
        ..CreateCardRequest::default()
    };
    let card = world
        .api
        .create_card(tenant.ask(request))
        .await
        .unwrap()
        .into_inner()
        .card
        .unwrap();
    let kinds = [
        StatusKind::InProgress,
        StatusKind::Successful,
        StatusKind::Rejected,
    ];
    let tasks = (0..48).map(|task| {
        let (world, tenant, pipeline) = (Arc::clone(&world), tenant.clone(), pipeline.clone());
        let card = card.card_id.clone();
        tokio::spawn(async move {
            world
                .move_card(&tenant, &pipeline, &card, kinds[task % 3])
                .await;
        })
    });
    for task in futures::future::join_all(tasks.collect::<Vec<_>>()).await {
        task.unwrap();
    }
}
