//! Round-robin, capacity, waiting chats.

use std::collections::BTreeMap;

use assignment::events::Events;
use chassis::consumer::{Delivery, Handler as _};
use chassis::id::AgentId;
use chassis::testing::request;
use switchboard_proto::assignment::v1 as pb;
use switchboard_proto::assignment::v1::assignment_service_server::AssignmentService as _;

use crate::world::{Talk, World, noon};

/// Handles deliveries in small batches by three handlers at once, as three replicas would.
async fn by_three(world: &World, deliveries: Vec<Delivery>) {
    let mut shares = [Vec::new(), Vec::new(), Vec::new()];
    for (n, batch) in deliveries.chunks(7).enumerate() {
        shares[n % 3].push(batch.to_vec());
    }
    let replicas = shares.map(|share| {
        let events = Events::new(world.app.clone());
        tokio::spawn(async move {
            for batch in share {
                // A deadlock would be tried again; the order of locks is to prevent any.
                events.handle(&batch, noon()).await.unwrap();
            }
        })
    });
    for replica in replicas {
        replica.await.unwrap();
    }
}

async fn counts(world: &World) -> BTreeMap<AgentId, i64> {
    let rows: Vec<(uuid::Uuid, i64)> = sqlx::query_as(
        "select agent_id, count(*) from chat_assignment where agent_id is not null group by agent_id",
    )
    .fetch_all(&world.db.pool)
    .await
    .unwrap();
    rows.into_iter()
        .map(|(agent, count)| (agent.into(), count))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn round_robin_is_fair_over_a_thousand_chats_and_three_replicas() {
    let world = World::new().await;
    let mut pool = Vec::new();
    for name in ["Anna", "Boris", "Vera"] {
        pool.push(world.agent(name).await);
    }
    world.policy(&pool, false).await;
    let mut deliveries = Vec::new();
    for number in 1..=1_000 {
        let talk = Talk::new(&world, number);
        deliveries.extend([talk.decided(), talk.opened()]);
    }
    by_three(&world, deliveries).await;
    let counts = counts(&world).await;
    assert_eq!(counts.values().sum::<i64>(), 1_000);
    let (most, least) = (
        counts.values().max().unwrap(),
        counts.values().min().unwrap(),
    );
    assert!(counts.len() == 3 && most - least <= 1, "{counts:?}");
    world.loads_are_true().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d25_capacity_is_never_exceeded_and_freed_places_go_to_the_oldest() {
    let world = World::new().await;
    let mut pool = Vec::new();
    for (name, capacity) in [("Anna", 3), ("Boris", 5)] {
        let agent = world.agent_with(name, capacity, None).await;
        world.presence(agent, pb::Presence::Online).await;
        pool.push(agent);
    }
    world.policy(&pool, false).await;
    let talks: Vec<Talk> = (1..=60).map(|n| Talk::new(&world, n)).collect();
    let deliveries = talks
        .iter()
        .flat_map(|talk| [talk.opened(), talk.decided()])
        .collect();
    by_three(&world, deliveries).await;
    assert_eq!(
        (world.load(pool[0]).await, world.load(pool[1]).await),
        (3, 5)
    );
    world.loads_are_true().await;
    // Closing what is assigned lets exactly as many of the oldest waiting chats in.
    let mut waiting = Vec::new();
    let mut taken = Vec::new();
    for talk in &talks {
        if world.responsible(talk).await.is_some() {
            taken.push(talk.closed(2));
        } else {
            waiting.push(talk);
        }
    }
    assert_eq!((taken.len(), waiting.len()), (8, 52));
    by_three(&world, taken).await;
    assert_eq!(
        (world.load(pool[0]).await, world.load(pool[1]).await),
        (3, 5)
    );
    for (place, talk) in waiting.iter().enumerate() {
        assert_eq!(
            world.responsible(talk).await.is_some(),
            place < 8,
            "waiting chat {place}"
        );
    }
    world.loads_are_true().await;
    let explained = world.explain(waiting[20]).await;
    assert_eq!(
        explained.len(),
        1,
        "nobody is kept once for the same reasons"
    );
    assert_eq!(explained[0].rule, i32::from(pb::AssignmentRule::None));
    assert!(
        explained[0]
            .candidates
            .iter()
            .all(|c| c.left_out == "AT_CAPACITY")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn b04_waiting_chats_are_drained_oldest_first_when_an_agent_comes_online() {
    let world = World::new().await;
    let anna = world.agent_with("Anna", 4, None).await;
    world.policy(&[anna], false).await;
    // Heard of in another order than they were opened in.
    let talks: Vec<Talk> = (1..=10).map(|n| Talk::new(&world, n)).collect();
    for talk in talks.iter().rev() {
        world.handle(&[talk.opened(), talk.decided()]).await;
    }
    assert_eq!(world.load(anna).await, 0);
    assert_eq!(
        world.explain(&talks[0]).await[0].candidates[0].left_out,
        "NOT_ONLINE"
    );
    world.presence(anna, pb::Presence::Online).await;
    for (place, talk) in talks.iter().enumerate() {
        let expected = (place < 4).then_some(anna);
        assert_eq!(world.responsible(talk).await, expected, "chat {place}");
    }
    // More room for her is more chats for her.
    let more = pb::UpdateAgentRequest {
        agent_id: anna.to_string(),
        capacity: Some(6),
        ..Default::default()
    };
    world
        .api
        .update_agent(request(&world.admin(), more))
        .await
        .unwrap();
    assert_eq!(world.load(anna).await, 6);
    assert_eq!(world.responsible(&talks[5]).await, Some(anna));
    // A second one in the pool takes the rest.
    let boris = world.agent("Boris").await;
    world.policy(&[anna, boris], false).await;
    assert_eq!(world.load(boris).await, 4);
    world.loads_are_true().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_chosen_without_a_policy_and_said_so_once() {
    let world = World::new().await;
    let talk = Talk::new(&world, 1);
    world.handle(&[talk.opened()]).await;
    assert_eq!(world.explain(&talk).await, []);
    world.handle(&[talk.decided()]).await;
    world.handle(&[talk.closed(2)]).await;
    world.handle(&[talk.continued(3)]).await;
    let choices = world.explain(&talk).await;
    assert_eq!(choices.len(), 1);
    assert_eq!(
        (choices[0].agent_id.as_str(), choices[0].candidates.len()),
        ("", 0)
    );
    assert_eq!(world.events().await, 1, "only the account's creation");
}

#[tokio::test(flavor = "multi_thread")]
async fn continued_conversations_stay_with_their_responsible() {
    let world = World::new().await;
    let anna = world.agent("Anna").await;
    world.policy(&[anna], false).await;
    let talk = Talk::new(&world, 1);
    world.handle(&[talk.opened(), talk.decided()]).await;
    let before = world.events().await;
    world.handle(&[talk.closed(2)]).await;
    assert_eq!(world.load(anna).await, 0);
    world.handle(&[talk.continued(3)]).await;
    assert_eq!(
        (world.load(anna).await, world.responsible(&talk).await),
        (1, Some(anna))
    );
    assert_eq!(
        world.events().await,
        before,
        "neither ending nor going on is an assignment"
    );
    world.loads_are_true().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_people_and_presence_at_once_leave_true_loads_and_no_deadlock() {
    let world = World::new().await;
    let mut pool = Vec::new();
    for name in ["Anna", "Boris", "Vera"] {
        let agent = world.agent_with(name, 4, None).await;
        world.presence(agent, pb::Presence::Online).await;
        pool.push(agent);
    }
    world.policy(&pool, true).await;
    let talks: Vec<Talk> = (1..=90).map(|n| Talk::new(&world, n)).collect();
    let mut deliveries = Vec::new();
    for (n, talk) in talks.iter().enumerate() {
        let next = talk.next(talk.number + 1_000);
        deliveries.extend([
            talk.opened(),
            talk.decided(),
            talk.closed(2),
            next.decided(),
        ]);
        // Every third chat is told of once more, among others than before.
        deliveries.extend((n % 3 == 0).then(|| talks[n / 3].opened()));
    }
    // Neighbours come in different batches, so that these overlap.
    let (even, odd): (Vec<_>, Vec<_>) = deliveries
        .into_iter()
        .enumerate()
        .partition(|(n, _)| n % 2 == 0);
    let deliveries = even
        .into_iter()
        .chain(odd)
        .map(|(_, delivery)| delivery)
        .collect();
    let people = async {
        for (n, talk) in talks.iter().enumerate() {
            let agent = pool[n % 3];
            let hand = pb::AssignChatRequest {
                chat_id: talk.chat.to_string(),
                agent_id: agent.to_string(),
                ..Default::default()
            };
            // Not all chats are known yet: what is asked for here is that nothing breaks.
            if let Err(status) = world.api.assign_chat(request(&world.admin(), hand)).await {
                assert_eq!(status.code(), tonic::Code::NotFound, "{status}");
            }
            if let Err(status) = world.admit(pool[(n + 1) % 3], talk, (1, true)).await {
                assert_eq!(status.code(), tonic::Code::FailedPrecondition, "{status}");
            }
        }
    };
    let presence = async {
        for n in 0..20 {
            world.presence(pool[n % 3], pb::Presence::Away).await;
            world.presence(pool[n % 3], pb::Presence::Online).await;
        }
    };
    tokio::join!(by_three(&world, deliveries), people, presence);
    world.loads_are_true().await;
    for talk in &talks {
        assert_eq!(world.assignment(talk).await.number, talk.number + 1_000);
    }
}
