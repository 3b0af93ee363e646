//! Chats of agents who lost access, or who are inactive now.

use chassis::id::AgentId;
use chassis::testing::request;
use prost::Message as _;
use switchboard_proto::DomainEvent as _;
use switchboard_proto::assignment::v1 as pb;
use switchboard_proto::assignment::v1::assignment_service_server::AssignmentService as _;

use crate::actions::{employee, ids, shape};
use crate::world::{Talk, World, noon};

impl World {
    pub async fn update(&self, update: pb::UpdateAgentRequest) {
        let answer = self.api.update_agent(request(&self.admin(), update));
        answer.await.unwrap();
    }

    pub async fn active(&self, agent: AgentId, active: bool) {
        self.update(pb::UpdateAgentRequest {
            agent_id: agent.to_string(),
            active: Some(active),
            ..Default::default()
        })
        .await;
    }

    /// Gives an employee other grants than employees have.
    pub async fn narrow(&self, agent: AgentId, change: impl FnOnce(&mut pb::Grants)) {
        let mut grants = employee();
        change(&mut grants);
        self.update(pb::UpdateAgentRequest {
            agent_id: agent.to_string(),
            grants: Some(grants),
            ..Default::default()
        })
        .await;
    }

    /// Reasons of the events about who is gone from a chat, in their order.
    async fn reasons(&self) -> Vec<(String, pb::PartReason)> {
        let events = self.outbox().await.into_iter();
        events
            .filter_map(|event| match event.kind.as_str() {
                pb::ChatLeft::TYPE => {
                    let left = pb::ChatLeft::decode(&*event.payload).unwrap();
                    Some((left.agent_id.clone(), left.reason()))
                }
                pb::ChatUnassigned::TYPE => {
                    let taken = pb::ChatUnassigned::decode(&*event.payload).unwrap();
                    Some((taken.previous_agent_id.clone(), taken.reason()))
                }
                _ => None,
            })
            .collect()
    }

    async fn pending(&self) -> i64 {
        sqlx::query_scalar("select count(*) from agent_release")
            .fetch_one(&self.db.pool)
            .await
            .unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn chats_of_an_agent_who_becomes_inactive_go_to_who_joined_or_back_to_distribution() {
    let world = World::new().await;
    let (anna, boris) = (world.employee("Anna").await, world.employee("Boris").await);
    let vera = world.employee("Vera").await;
    world.policy(&[vera], false).await;
    let alone = world.claimed(1, anna).await;
    let together = world.claimed(2, anna).await;
    let guest = world.claimed(3, boris).await;
    let closed = world.claimed(4, anna).await;
    world.join(boris, &together).await.unwrap();
    world.join(anna, &guest).await.unwrap();
    world.handle(&[closed.closed(2)]).await;
    world.active(anna, false).await;
    assert_eq!(
        world.responsible(&alone).await,
        Some(vera),
        "distributed anew"
    );
    assert_eq!(
        shape(&world.assignment(&together).await),
        ids(boris, &[]),
        "D24"
    );
    assert_eq!(shape(&world.assignment(&guest).await), ids(boris, &[]));
    assert_eq!(
        world.responsible(&closed).await,
        Some(anna),
        "nobody works with it"
    );
    assert_eq!(world.load(anna).await, 0);
    world.loads_are_true().await;
    // Continued, it does not come back to who is inactive.
    world.handle(&[closed.continued(3)]).await;
    assert_eq!(world.responsible(&closed).await, Some(vera));
    assert_eq!(world.load(anna).await, 0);
    world.loads_are_true().await;
    world.app.release_pending(noon()).await.unwrap();
    assert_eq!(world.pending().await, 0);
    let reasons = world.reasons().await;
    let inactive =
        |(_, reason): &&(String, pb::PartReason)| *reason == pb::PartReason::AgentInactive;
    assert_eq!(reasons.iter().filter(inactive).count(), 4, "{reasons:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn f062_chats_of_channels_that_are_not_granted_any_more_are_given_back() {
    let world = World::new().await;
    let (anna, boris) = (world.employee("Anna").await, world.employee("Boris").await);
    world.policy(&[boris], false).await;
    let talk = world.claimed(1, anna).await;
    let other = Talk {
        channel: uuid::Uuid::from_u128(0xc4a2),
        ..Talk::new(&world, 2)
    };
    world.handle(&[other.opened(), other.decided()]).await;
    world.claim(anna, &other).await.unwrap();
    world
        .narrow(anna, |grants| {
            grants.channels = Some(pb::ChannelGrant {
                all: false,
                channel_ids: vec![other.channel.to_string()],
            });
        })
        .await;
    assert_eq!(world.responsible(&talk).await, Some(boris));
    assert_eq!(world.responsible(&other).await, Some(anna), "still granted");
    // F175: no access to chats at all; nobody distributes that channel.
    world
        .narrow(anna, |grants| {
            (grants.leads, grants.contacts) = (None, None);
        })
        .await;
    assert_eq!(world.responsible(&other).await, None);
    world.loads_are_true().await;
    let reasons: Vec<_> = world
        .reasons()
        .await
        .into_iter()
        .map(|(_, why)| why)
        .collect();
    let (channel, chats) = (
        pb::PartReason::ChannelNotGranted,
        pb::PartReason::ChatAccessMissing,
    );
    assert_eq!(reasons, [channel, chats]);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_chats_than_a_batch_are_taken_back_by_the_sweep() {
    let world = World::new().await;
    let anna = world.employee("Anna").await;
    let mut batch = Vec::new();
    for number in 1..=600 {
        let talk = Talk::new(&world, number).opened_by(anna);
        batch.extend([talk.opened(), talk.decided()]);
    }
    for some in batch.chunks(400) {
        world.handle(some).await;
    }
    assert_eq!(world.load(anna).await, 600);
    world.active(anna, false).await;
    assert_eq!(
        world.load(anna).await,
        600 - 256,
        "the request takes a batch"
    );
    assert_eq!(world.pending().await, 1);
    world.app.release_pending(noon()).await.unwrap();
    assert_eq!((world.load(anna).await, world.pending().await), (0, 0));
    world.loads_are_true().await;
}
