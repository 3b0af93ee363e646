//! Distribution by load, with weights and groups, within limits, at a pace, and as offers (B04).

use chassis::id::AgentId;
use chassis::testing::request;
use prost::Message as _;
use switchboard_proto::DomainEvent as _;
use switchboard_proto::assignment::v1 as pb;
use switchboard_proto::assignment::v1::assignment_service_server::AssignmentService as _;
use switchboard_proto::assignment::v1::group_service_server::GroupService as _;
use switchboard_proto::assignment::v1::pool_entry::Member;
use time::Duration;
use tonic::Code;

use crate::world::{Talk, World, field, noon, reason};

pub fn entry(agent: AgentId, weight: i32) -> pb::PoolEntry {
    pb::PoolEntry {
        member: Some(Member::AgentId(agent.to_string())),
        weight,
    }
}

pub fn of_group(group: &pb::Group, weight: i32) -> pb::PoolEntry {
    pb::PoolEntry {
        member: Some(Member::GroupId(group.group_id.clone())),
        weight,
    }
}

impl World {
    /// A policy of the world's channel without a pace.
    pub fn distributing(
        &self,
        distribution: pb::Distribution,
        pool: Vec<pb::PoolEntry>,
    ) -> pb::DistributionPolicy {
        pb::DistributionPolicy {
            channel_id: self.channel.to_string(),
            distribution: distribution.into(),
            pool,
            waiting_per_minute: Some(0),
            ..Default::default()
        }
    }

    pub async fn distribute(
        &self,
        policy: pb::DistributionPolicy,
    ) -> Result<pb::DistributionPolicy, tonic::Status> {
        let set = pb::SetDistributionPolicyRequest {
            policy: Some(policy),
        };
        let answer = self
            .api
            .set_distribution_policy(request(&self.admin(), set))
            .await?;
        Ok(answer.into_inner().policy.unwrap())
    }

    async fn with_capacity(&self, name: &str, capacity: i32) -> AgentId {
        let agent = self.agent_with(name, capacity, None).await;
        self.presence(agent, pb::Presence::Online).await;
        agent
    }

    pub async fn group(&self, name: &str, agents: &[AgentId]) -> pb::Group {
        let create = pb::CreateGroupRequest {
            name: name.into(),
            agent_ids: agents.iter().map(ToString::to_string).collect(),
            ..Default::default()
        };
        let answer = self.api.create_group(request(&self.admin(), create)).await;
        answer.unwrap().into_inner().group.unwrap()
    }

    pub async fn members(&self, group: &pb::Group, agents: &[AgentId]) {
        let update = pb::UpdateGroupRequest {
            group_id: group.group_id.clone(),
            members: Some(pb::GroupMembers {
                agent_ids: agents.iter().map(ToString::to_string).collect(),
            }),
            ..Default::default()
        };
        self.api
            .update_group(request(&self.admin(), update))
            .await
            .unwrap();
    }

    /// Opens conversations with these numbers, each in a chat of its own, one after another.
    pub async fn come(&self, numbers: std::ops::RangeInclusive<i64>) -> Vec<Talk> {
        let talks: Vec<Talk> = numbers.map(|number| Talk::new(self, number)).collect();
        for talk in &talks {
            self.handle(&[talk.opened(), talk.decided()]).await;
        }
        talks
    }

    async fn loads<const N: usize>(&self, agents: [AgentId; N]) -> [i32; N] {
        let mut loads = [0; N];
        for (load, agent) in loads.iter_mut().zip(agents) {
            *load = self.load(agent).await;
        }
        loads
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b04_least_loaded_fills_by_part_and_weight_and_never_beyond() {
    let world = World::new().await;
    let (anna, boris) = (
        world.with_capacity("Anna", 4).await,
        world.with_capacity("Boris", 8).await,
    );
    let vera = world.with_capacity("Vera", 4).await;
    let pool = vec![entry(anna, 0), entry(boris, 1), entry(vera, 2)];
    let policy = world.distributing(pb::Distribution::LeastLoaded, pool);
    let set = world.distribute(policy).await.unwrap();
    assert_eq!(set.pool[0].weight, 1, "left out is 1");
    // Parts of 4, 8 and 4 times 2: of every five chats one, two and two.
    world.come(1..=10).await;
    assert_eq!(world.loads([anna, boris, vera]).await, [2, 4, 4]);
    // Weight is no capacity: who is full is full.
    let talks = world.come(11..=20).await;
    assert_eq!(world.loads([anna, boris, vera]).await, [4, 8, 4]);
    assert_eq!(world.responsible(&talks[9]).await, None);
    world.loads_are_true().await;
    let explained = world.explain(&talks[9]).await.remove(0);
    let seen: Vec<_> = explained
        .candidates
        .iter()
        .map(|c| (c.load, c.capacity, c.weight, c.left_out.as_str()))
        .collect();
    let mut expected = [
        (anna, (4, 4, 1, "AT_CAPACITY")),
        (boris, (8, 8, 1, "AT_CAPACITY")),
        (vera, (4, 4, 2, "AT_CAPACITY")),
    ];
    expected.sort_by_key(|(agent, _)| *agent);
    assert_eq!(seen, expected.map(|(_, seen)| seen));
}

#[tokio::test(flavor = "multi_thread")]
async fn b04_d21_a_group_in_the_pool_is_whoever_is_in_it_and_cannot_be_deleted() {
    let world = World::new().await;
    let mut agents = Vec::new();
    for name in ["Anna", "Boris", "Vera"] {
        agents.push(world.agent(name).await);
    }
    let [anna, boris, vera] = agents[..] else {
        unreachable!()
    };
    let group = world.group("Sales", &[anna]).await;
    let pool = vec![of_group(&group, 3), entry(vera, 1)];
    let policy = world.distributing(pb::Distribution::RoundRobin, pool.clone());
    let set = world.distribute(policy).await.unwrap();
    assert_eq!((set.pool, set.agent_ids), (pool, vec![vera.to_string()]));
    world.come(1..=8).await;
    assert_eq!(world.loads([anna, boris, vera]).await, [6, 0, 2]);
    // The weight is each member's, not the group's.
    world.members(&group, &[anna, boris]).await;
    world.come(9..=15).await;
    assert_eq!(world.loads([anna, boris, vera]).await, [9, 3, 3]);

    let delete = pb::DeleteGroupRequest {
        group_id: group.group_id.clone(),
    };
    let refused = world
        .api
        .delete_group(request(&world.admin(), delete.clone()))
        .await
        .unwrap_err();
    let (why, facts) = reason(&refused);
    assert_eq!(
        (refused.code(), why.as_str()),
        (Code::FailedPrecondition, "GROUP_IN_USE")
    );
    assert_eq!(facts["channel_ids"], world.channel.to_string());
    let without = world.distributing(pb::Distribution::RoundRobin, vec![entry(vera, 1)]);
    world.distribute(without).await.unwrap();
    world
        .api
        .delete_group(request(&world.admin(), delete))
        .await
        .unwrap();
    let gone = world.distributing(
        pb::Distribution::RoundRobin,
        vec![entry(vera, 1), of_group(&group, 1)],
    );
    let refused = world.distribute(gone).await.unwrap_err();
    assert_eq!(field(&refused), "policy.pool[1].group_id");
}

#[tokio::test(flavor = "multi_thread")]
async fn b04_a_channel_gives_one_agent_only_so_many_of_its_own_chats() {
    let world = World::new().await;
    let anna = world.agent("Anna").await;
    let policy = pb::DistributionPolicy {
        channel_capacity: 2,
        ..world.distributing(pb::Distribution::LeastLoaded, vec![entry(anna, 1)])
    };
    // Chats of another channel do not count.
    let elsewhere = pb::DistributionPolicy {
        channel_id: uuid::Uuid::from_u128(0xe15e).to_string(),
        channel_capacity: 0,
        ..policy.clone()
    };
    world.distribute(policy).await.unwrap();
    world.distribute(elsewhere).await.unwrap();
    for number in 1..=3 {
        let talk = Talk {
            channel: uuid::Uuid::from_u128(0xe15e),
            ..Talk::new(&world, number)
        };
        world.handle(&[talk.opened(), talk.decided()]).await;
    }
    let talks = world.come(4..=7).await;
    assert_eq!(world.load(anna).await, 5);
    let explained = world.explain(&talks[3]).await.remove(0);
    assert_eq!(explained.candidates[0].left_out, "AT_CHANNEL_CAPACITY");
    // By hand it may be exceeded, and what ends makes room for what waits only when it is below again.
    world.claim(anna, &talks[3]).await.unwrap();
    world.handle(&[talks[0].closed(2)]).await;
    assert_eq!(world.responsible(&talks[2]).await, None);
    world.handle(&[talks[1].closed(2)]).await;
    assert_eq!(world.responsible(&talks[2]).await, Some(anna));
    world.loads_are_true().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b04_who_comes_back_is_not_flooded_with_what_has_waited() {
    let world = World::new().await;
    let anna = world.agent_with("Anna", 0, None).await;
    let policy = pb::DistributionPolicy {
        waiting_per_minute: Some(5),
        ..world.distributing(pb::Distribution::RoundRobin, vec![entry(anna, 1)])
    };
    world.distribute(policy).await.unwrap();
    let talks = world.come(1..=12).await;
    world.presence(anna, pb::Presence::Online).await;
    // The world's clock stands still but for the presence's: what it drained then counts from now on.
    let start = chassis::clock::now();
    assert_eq!(world.load(anna).await, 5);
    // A new chat lines up behind those that wait.
    let newest = world.come(13..=13).await.remove(0);
    world.app.drain(None, start).await.unwrap();
    assert_eq!(world.load(anna).await, 5);
    let why = |mut choices: Vec<pb::AssignmentChoice>| choices.remove(0).candidates.remove(0);
    assert_eq!(
        why(world.explain(&newest).await).left_out,
        "OTHERS_WAIT_LONGER"
    );
    for (minutes, load) in [(1, 10), (1, 10), (2, 13), (3, 13)] {
        let later = start + Duration::seconds(61 * minutes);
        world.app.drain(None, later).await.unwrap();
        assert_eq!(world.load(anna).await, load, "after {minutes} minutes");
    }
    assert_eq!(world.responsible(&talks[0]).await, Some(anna));
    world.loads_are_true().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b04_an_offer_that_nobody_takes_goes_to_the_next_and_round_again() {
    let world = World::new().await;
    let (anna, boris) = (world.agent("Anna").await, world.agent("Boris").await);
    let policy = pb::DistributionPolicy {
        offer_seconds: 60,
        ..world.distributing(
            pb::Distribution::RoundRobin,
            vec![entry(anna, 1), entry(boris, 1)],
        )
    };
    world.distribute(policy).await.unwrap();
    let talk = world.come(1..=1).await.remove(0);
    let first = world.responsible(&talk).await.unwrap();
    let second = if first == anna { boris } else { anna };
    let offered = world.assignment(&talk).await;
    let end = chassis::grpc::timestamp(noon() + Duration::MINUTE);
    assert_eq!(offered.offer_end_time, Some(end));
    let at = |seconds| noon() + Duration::seconds(seconds);
    assert_eq!(world.app.pass_offers(at(59)).await.unwrap(), 0);
    assert_eq!(world.responsible(&talk).await, Some(first));
    world.app.pass_offers(at(60)).await.unwrap();
    assert_eq!(world.responsible(&talk).await, Some(second));
    let explained = world.explain(&talk).await.remove(0);
    let passed = explained
        .candidates
        .iter()
        .find(|c| c.left_out == "OFFER_PASSED");
    assert_eq!(passed.unwrap().agent_id, first.to_string());
    // Both let it pass: it goes round again.
    world.app.pass_offers(at(120)).await.unwrap();
    assert_eq!(world.responsible(&talk).await, Some(first));
    world.app.pass_offers(at(180)).await.unwrap();
    assert_eq!(world.responsible(&talk).await, Some(second));
    // By then who has it goes off: the offer goes to who is left, though they let it pass before.
    world.presence(second, pb::Presence::Offline).await;
    world.app.pass_offers(at(240)).await.unwrap();
    assert_eq!(world.responsible(&talk).await, Some(first));
    world.loads_are_true().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b04_claiming_or_writing_takes_an_offer_and_ending_ends_it() {
    let world = World::new().await;
    let anna = world.agent("Anna").await;
    let policy = pb::DistributionPolicy {
        offer_seconds: 30,
        ..world.distributing(pb::Distribution::LeastLoaded, vec![entry(anna, 1)])
    };
    world.distribute(policy).await.unwrap();
    let talks = world.come(1..=4).await;
    let claimed = world.claim(anna, &talks[0]).await.unwrap();
    assert_eq!(claimed.assignment.unwrap().offer_end_time, None);
    let before = world.assignment(&talks[1]).await;
    let wrote = world.admit(anna, &talks[1], (1, true)).await.unwrap();
    let after = wrote.assignment.unwrap();
    assert!(
        wrote.claimed && after.version == before.version + 1,
        "{after:?}"
    );
    let again = world.admit(anna, &talks[1], (1, true)).await.unwrap();
    assert!(
        again.claimed,
        "a repeat of the first answer is told so again"
    );
    assert_eq!(again.assignment.unwrap().version, after.version);
    world.handle(&[talks[2].closed(2)]).await;
    // The one that nobody touched goes back, and to Anna again: she is the only one.
    world
        .app
        .pass_offers(noon() + Duration::HOUR)
        .await
        .unwrap();
    let of = |talk| world.explain(talk);
    assert_eq!(of(&talks[0]).await.len(), 1);
    assert_eq!(of(&talks[1]).await.len(), 1);
    assert_eq!(of(&talks[2]).await.len(), 1);
    assert_eq!(of(&talks[3]).await.len(), 2);
    assert_eq!(world.load(anna).await, 3);
    world.loads_are_true().await;
    let taken: Vec<String> = world
        .outbox()
        .await
        .iter()
        .filter(|event| event.kind == pb::ChatOfferTaken::TYPE)
        .map(|event| pb::ChatOfferTaken::decode(&*event.payload).unwrap())
        .map(|event| event.assignment.unwrap().chat_id)
        .collect();
    let expected = [talks[0].chat.to_string(), talks[1].chat.to_string()];
    assert_eq!(taken, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn b06_d22_a_choice_among_many_tells_every_one_of_them() {
    let world = World::new().await;
    let mut pool = Vec::new();
    for n in 0..40 {
        pool.push(world.with_capacity(&format!("Agent {n:02}"), 3).await);
    }
    let entries = pool.iter().map(|agent| entry(*agent, 1)).collect();
    let policy = world.distributing(pb::Distribution::LeastLoaded, entries);
    world.distribute(policy).await.unwrap();
    let talks: Vec<Talk> = (1..=100).map(|n| Talk::new(&world, n)).collect();
    let batch: Vec<_> = talks
        .iter()
        .flat_map(|t| [t.opened(), t.decided()])
        .collect();
    world.handle(&batch).await;
    for (n, talk) in talks.iter().enumerate() {
        let explained = world.explain(talk).await.remove(0);
        assert_eq!(explained.candidates.len(), 40);
        let open: i32 = explained.candidates.iter().map(|c| c.load).sum();
        assert_eq!(usize::try_from(open).unwrap(), n, "loads as they were then");
    }
    let looks: i64 = sqlx::query_scalar("select count(*) from assignment_look")
        .fetch_one(&world.db.pool)
        .await
        .unwrap();
    assert_eq!(looks, 1, "forty cannot differ in more than 48");
}
