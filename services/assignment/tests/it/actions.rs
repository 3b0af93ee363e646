//! Who works with a chat: join, add, leave, redirect, unassign; and what a reply does by channel.

use chassis::auth::Caller;
use chassis::id::AgentId;
use chassis::testing::request;
use switchboard_proto::assignment::v1 as pb;
use switchboard_proto::assignment::v1::assignment_service_server::AssignmentService as _;
use tonic::{Code, Status};

use crate::world::{Talk, World, reason};

/// What an employee gets: chats of all channels, no settings.
pub fn employee() -> pb::Grants {
    let kind = pb::KindAccess {
        create: true,
        view: pb::View::All.into(),
    };
    pb::Grants {
        channels: Some(pb::ChannelGrant {
            all: true,
            channel_ids: Vec::new(),
        }),
        leads: Some(kind),
        contacts: Some(kind),
        settings: false,
    }
}

impl World {
    /// Creates an employee who is online.
    pub async fn employee(&self, name: &str) -> AgentId {
        let agent = self.agent_with(name, 0, Some(employee())).await;
        self.presence(agent, pb::Presence::Online).await;
        agent
    }

    pub async fn join(&self, agent: AgentId, talk: &Talk) -> Result<pb::ChatAssignment, Status> {
        let join = pb::JoinChatRequest {
            chat_id: talk.chat.to_string(),
            ..Default::default()
        };
        let caller = self.as_agent(agent).await;
        let answer = self.api.join_chat(request(&caller, join)).await?;
        Ok(answer.into_inner().assignment.unwrap())
    }

    pub async fn leave(&self, agent: AgentId, talk: &Talk) -> Result<pb::ChatAssignment, Status> {
        let leave = pb::LeaveChatRequest {
            chat_id: talk.chat.to_string(),
            ..Default::default()
        };
        let caller = self.as_agent(agent).await;
        let answer = self.api.leave_chat(request(&caller, leave)).await?;
        Ok(answer.into_inner().assignment.unwrap())
    }

    pub async fn add(
        &self,
        by: &Caller,
        agents: &[AgentId],
        talk: &Talk,
    ) -> Result<pb::ChatAssignment, Status> {
        let add = pb::AddParticipantsRequest {
            chat_id: talk.chat.to_string(),
            agent_ids: agents.iter().map(ToString::to_string).collect(),
            ..Default::default()
        };
        let answer = self.api.add_participants(request(by, add)).await?;
        Ok(answer.into_inner().assignment.unwrap())
    }

    pub async fn redirect(
        &self,
        by: &Caller,
        talk: &Talk,
        (to, expected): (AgentId, Option<AgentId>),
    ) -> Result<pb::ChatAssignment, Status> {
        let redirect = pb::RedirectChatRequest {
            chat_id: talk.chat.to_string(),
            agent_id: to.to_string(),
            expected_agent_id: expected.map(|agent| agent.to_string()),
            ..Default::default()
        };
        let answer = self.api.redirect_chat(request(by, redirect)).await?;
        Ok(answer.into_inner().assignment.unwrap())
    }

    pub async fn unassign(
        &self,
        by: &Caller,
        talk: &Talk,
        distribute: bool,
    ) -> Result<pb::ChatAssignment, Status> {
        let unassign = pb::UnassignChatRequest {
            chat_id: talk.chat.to_string(),
            distribute,
            ..Default::default()
        };
        let answer = self.api.unassign_chat(request(by, unassign)).await?;
        Ok(answer.into_inner().assignment.unwrap())
    }

    /// A chat that an agent claimed before a rule could choose.
    pub async fn claimed(&self, number: i64, by: AgentId) -> Talk {
        let talk = Talk::new(self, number);
        self.handle(&[talk.opened()]).await;
        self.claim(by, &talk).await.unwrap();
        self.handle(&[talk.decided()]).await;
        talk
    }

    /// Sets what a reply does in the channel, with a pool or without distribution.
    pub async fn replies(&self, pool: &[AgentId], (claim_first, reassign): (bool, bool)) {
        let distribution = match pool {
            [] => pb::Distribution::Off,
            _ => pb::Distribution::RoundRobin,
        };
        let policy = pb::DistributionPolicy {
            channel_id: self.channel.to_string(),
            distribution: distribution.into(),
            agent_ids: pool.iter().map(ToString::to_string).collect(),
            claim_before_reply: claim_first,
            reassign_on_reply: reassign,
            ..Default::default()
        };
        let set = pb::SetDistributionPolicyRequest {
            policy: Some(policy.clone()),
        };
        let answer = self
            .api
            .set_distribution_policy(request(&self.admin(), set));
        let set = answer.await.unwrap().into_inner().policy.unwrap();
        assert_eq!(
            (set.agent_ids, set.claim_before_reply, set.reassign_on_reply),
            (policy.agent_ids, claim_first, reassign)
        );
    }
}

/// Who answers and who takes part.
pub fn shape(assignment: &pb::ChatAssignment) -> (String, Vec<String>) {
    let joined = assignment.participant_agent_ids.clone();
    (assignment.agent_id.clone(), joined)
}

pub fn ids(responsible: AgentId, joined: &[AgentId]) -> (String, Vec<String>) {
    let joined = joined.iter().map(ToString::to_string).collect();
    (responsible.to_string(), joined)
}

#[tokio::test(flavor = "multi_thread")]
async fn f149_f150_f151_who_joins_may_write_and_the_responsible_stays() {
    let world = World::new().await;
    let (anna, boris) = (world.employee("Anna").await, world.employee("Boris").await);
    let talk = world.claimed(1, anna).await;
    let refused = world.admit(boris, &talk, (1, true)).await.unwrap_err();
    let (why, facts) = reason(&refused);
    assert_eq!(
        (refused.code(), &*why),
        (Code::FailedPrecondition, "JOIN_REQUIRED")
    );
    assert_eq!(
        (&*facts["agent_id"], &*facts["agent_name"]),
        (&*anna.to_string(), "Anna")
    );
    let before = world.events().await;
    let joined = world.join(boris, &talk).await.unwrap();
    assert_eq!(shape(&joined), ids(anna, &[boris]));
    // Twice is once; the responsible joining changes nothing.
    assert_eq!(world.join(boris, &talk).await.unwrap(), joined);
    assert_eq!(world.join(anna, &talk).await.unwrap(), joined);
    assert_eq!(world.events().await, before + 1, "one chat.joined");
    let admitted = world.admit(boris, &talk, (1, true)).await.unwrap();
    assert!(!admitted.claimed);
    assert_eq!(shape(&admitted.assignment.unwrap()), ids(anna, &[boris]));
    assert_eq!((world.load(anna).await, world.load(boris).await), (1, 0));
    // Nobody answers: there is nothing to join. Closed: neither.
    let free = Talk::new(&world, 2);
    world.handle(&[free.opened()]).await;
    let nobody = world.join(boris, &free).await.unwrap_err();
    assert_eq!(reason(&nobody).0, "CHAT_HAS_NO_RESPONSIBLE");
    world.handle(&[talk.closed(2)]).await;
    let closed = world.join(anna, &talk).await.unwrap_err();
    assert_eq!(reason(&closed).0, "CHAT_NOT_OPEN");
    world.loads_are_true().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d26_joining_needs_the_channel_also_where_the_token_still_says_otherwise() {
    let world = World::new().await;
    let (anna, boris) = (world.employee("Anna").await, world.employee("Boris").await);
    let talk = world.claimed(1, anna).await;
    let before = world.as_agent(boris).await;
    world.narrow(boris, |grants| grants.channels = None).await;
    let unseen = world.join(boris, &talk).await.unwrap_err();
    assert_eq!(
        (unseen.code(), &*reason(&unseen).0),
        (Code::NotFound, "CHAT_NOT_FOUND")
    );
    let join = pb::JoinChatRequest {
        chat_id: talk.chat.to_string(),
        ..Default::default()
    };
    let late = world
        .api
        .join_chat(request(&before, join))
        .await
        .unwrap_err();
    let code = late.code();
    assert_eq!(
        (code, &*reason(&late).0),
        (Code::PermissionDenied, "CHANNEL_NOT_GRANTED")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn f160_several_are_added_at_once_all_or_none() {
    let world = World::new().await;
    let (anna, boris) = (world.employee("Anna").await, world.employee("Boris").await);
    let (vera, halyna) = (world.employee("Vera").await, world.employee("Halyna").await);
    let talk = world.claimed(1, anna).await;
    let by_boris = world.as_agent(boris).await;
    let outsider = world.add(&by_boris, &[vera], &talk).await.unwrap_err();
    assert_eq!(reason(&outsider).0, "JOIN_REQUIRED");
    // One of them may not: none is added.
    world.narrow(halyna, |grants| grants.channels = None).await;
    let by_anna = world.as_agent(anna).await;
    let unknown = AgentId::from(uuid::Uuid::from_u128(404));
    let some = [vera, halyna, unknown];
    let barred = world.add(&by_anna, &some, &talk).await.unwrap_err();
    let (why, facts) = reason(&barred);
    assert_eq!(
        (barred.code(), &*why),
        (Code::FailedPrecondition, "AGENTS_BARRED")
    );
    assert_eq!(facts.len(), 2);
    assert_eq!(facts[&halyna.to_string()], "CHANNEL_NOT_GRANTED");
    assert_eq!(facts[&unknown.to_string()], "AGENT_UNKNOWN");
    assert_eq!(shape(&world.assignment(&talk).await), ids(anna, &[]));
    // In the order in which they are named; who is in already is passed over.
    let before = world.events().await;
    let added = world
        .add(&by_anna, &[vera, anna, boris], &talk)
        .await
        .unwrap();
    assert_eq!(shape(&added), ids(anna, &[vera, boris]));
    assert_eq!(world.events().await, before + 2, "one chat.joined each");
    assert_eq!(
        shape(&world.assignment(&talk).await),
        ids(anna, &[vera, boris])
    );
    // Who takes part may add, the same request again is answered the same.
    let add = pb::AddParticipantsRequest {
        request_id: "once".into(),
        chat_id: talk.chat.to_string(),
        agent_ids: vec![boris.to_string()],
        expected_agent_id: Some(anna.to_string()),
    };
    let first = world
        .api
        .add_participants(request(&by_boris, add.clone()))
        .await;
    let first = first.unwrap().into_inner();
    world.leave(vera, &talk).await.unwrap();
    let again = world.api.add_participants(request(&by_boris, add)).await;
    assert_eq!(again.unwrap().into_inner(), first);
    assert_eq!(world.load(vera).await, 0, "a participant carries no load");
    let none = world.add(&by_anna, &[], &talk).await.unwrap_err();
    assert_eq!(crate::world::field(&none), "agent_ids");
}

#[tokio::test(flavor = "multi_thread")]
async fn f161_d24_a_sole_responsible_cannot_leave_and_the_longest_participant_follows() {
    let world = World::new().await;
    let (anna, boris) = (world.employee("Anna").await, world.employee("Boris").await);
    let vera = world.agent_with("Vera", 1, Some(employee())).await;
    let busy = world.claimed(1, vera).await;
    let talk = world.claimed(2, anna).await;
    let sole = world.leave(anna, &talk).await.unwrap_err();
    assert_eq!(
        (sole.code(), &*reason(&sole).0),
        (Code::FailedPrecondition, "SOLE_RESPONSIBLE")
    );
    let outside = world.leave(boris, &talk).await.unwrap_err();
    assert_eq!(reason(&outside).0, "NOT_IN_CHAT");
    world.join(vera, &talk).await.unwrap();
    world.join(boris, &talk).await.unwrap();
    let events = world.events().await;
    // She follows though she has all the chats that distribution may give her.
    let left = world.leave(anna, &talk).await.unwrap();
    assert_eq!(shape(&left), ids(vera, &[boris]));
    assert_eq!(
        world.events().await,
        events + 2,
        "chat.assigned and chat.left"
    );
    assert_eq!((world.load(anna).await, world.load(vera).await), (0, 2));
    let choice = world.explain(&talk).await.remove(0);
    assert_eq!(choice.rule, i32::from(pb::AssignmentRule::Successor));
    assert_eq!(choice.actor, format!("agent:{anna}"));
    // A participant leaves: nothing else changes. Then she is the only one.
    assert_eq!(
        shape(&world.leave(boris, &talk).await.unwrap()),
        ids(vera, &[])
    );
    assert_eq!(
        reason(&world.leave(vera, &talk).await.unwrap_err()).0,
        "SOLE_RESPONSIBLE"
    );
    assert_eq!(world.responsible(&busy).await, Some(vera));
    world.loads_are_true().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f162_d14_a_redirected_chat_is_left_by_its_responsible_and_kept_by_who_joined() {
    let world = World::new().await;
    let (anna, boris) = (world.employee("Anna").await, world.employee("Boris").await);
    let vera = world.employee("Vera").await;
    let talk = world.claimed(1, anna).await;
    world.join(boris, &talk).await.unwrap();
    let (by_anna, by_vera) = (world.as_agent(anna).await, world.as_agent(vera).await);
    let outsider = world
        .redirect(&by_vera, &talk, (vera, None))
        .await
        .unwrap_err();
    assert_eq!(reason(&outsider).0, "JOIN_REQUIRED");
    let before = world.assignment(&talk).await;
    let redirected = world
        .redirect(&by_anna, &talk, (vera, Some(anna)))
        .await
        .unwrap();
    assert_eq!(shape(&redirected), ids(vera, &[boris]));
    assert!(redirected.version > before.version);
    let choice = world.explain(&talk).await.remove(0);
    assert_eq!(choice.rule, i32::from(pb::AssignmentRule::Redirect));
    assert_eq!((world.load(anna).await, world.load(vera).await), (0, 1));
    // The former left: they may not write or hand over any more.
    assert!(world.admit(anna, &talk, (1, true)).await.is_err());
    let gone = world
        .redirect(&by_anna, &talk, (boris, None))
        .await
        .unwrap_err();
    assert_eq!(reason(&gone).0, "JOIN_REQUIRED");
    // X03: who still sees Anna is told who was faster.
    let by_boris = world.as_agent(boris).await;
    let late = world
        .redirect(&by_boris, &talk, (boris, Some(anna)))
        .await
        .unwrap_err();
    let (why, facts) = reason(&late);
    assert_eq!((late.code(), &*why), (Code::Aborted, "RESPONSIBLE_CHANGED"));
    assert_eq!(facts["agent_name"], "Vera");
    // To one who has joined: they answer, and are no participant any more.
    let taken = world
        .redirect(&by_boris, &talk, (boris, Some(vera)))
        .await
        .unwrap();
    assert_eq!(shape(&taken), ids(boris, &[]));
    let free = Talk::new(&world, 2);
    world.handle(&[free.opened()]).await;
    let nobody = world
        .redirect(&world.admin(), &free, (anna, None))
        .await
        .unwrap_err();
    assert_eq!(reason(&nobody).0, "CHAT_HAS_NO_RESPONSIBLE");
    world.loads_are_true().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f124_an_unassigned_chat_waits_for_a_hand_or_for_distribution_as_asked() {
    let world = World::new().await;
    let (anna, boris) = (world.employee("Anna").await, world.employee("Boris").await);
    let vera = world.employee("Vera").await;
    world.policy(&[boris], false).await;
    // Anna opened it herself: no rule gives it back to her.
    let talk = Talk::new(&world, 1).opened_by(anna);
    world.handle(&[talk.opened(), talk.decided()]).await;
    world.join(vera, &talk).await.unwrap();
    let before = world.assignment(&talk).await;
    let by_anna = world.as_agent(anna).await;
    let unassigned = world.unassign(&by_anna, &talk, false).await.unwrap();
    assert_eq!(shape(&unassigned), (String::new(), Vec::new()));
    assert_eq!(world.load(anna).await, 0);
    world.app.drain(None, crate::world::noon()).await.unwrap();
    world.handle(&[talk.opened(), talk.decided()]).await;
    assert_eq!(world.responsible(&talk).await, None, "it waits for a hand");
    world.claim(anna, &talk).await.unwrap();
    // Now distribution is to look for somebody: at once.
    world.unassign(&by_anna, &talk, true).await.unwrap();
    let given = world.assignment(&talk).await;
    assert_eq!(given.agent_id, boris.to_string());
    let stamp = |a: &pb::ChatAssignment| a.stamp.as_ref().unwrap().time.unwrap();
    let nanos = |t: prost_types::Timestamp| (t.seconds, t.nanos);
    assert!(
        nanos(stamp(&given)) > nanos(stamp(&before)),
        "what a rule chose after a person's act is not older than it (§8)"
    );
    // Nobody is free: it waits, and is given when somebody comes.
    world.presence(boris, pb::Presence::Away).await;
    world.unassign(&world.admin(), &talk, true).await.unwrap();
    assert_eq!(world.responsible(&talk).await, None);
    world.presence(boris, pb::Presence::Online).await;
    assert_eq!(world.responsible(&talk).await, Some(boris));
    let twice = world.unassign(&world.admin(), &talk, false).await;
    twice.unwrap();
    let nobody = world
        .unassign(&world.admin(), &talk, false)
        .await
        .unwrap_err();
    assert_eq!(reason(&nobody).0, "CHAT_HAS_NO_RESPONSIBLE");
    world.loads_are_true().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d18_writing_needs_a_claim_where_the_channel_says_so() {
    let world = World::new().await;
    let anna = world.employee("Anna").await;
    world.replies(&[], (true, false)).await;
    let talk = Talk::new(&world, 1);
    world.handle(&[talk.opened(), talk.decided()]).await;
    let refused = world.admit(anna, &talk, (1, true)).await.unwrap_err();
    let code = refused.code();
    assert_eq!(
        (code, &*reason(&refused).0),
        (Code::FailedPrecondition, "CLAIM_REQUIRED")
    );
    assert_eq!(world.responsible(&talk).await, None);
    world.claim(anna, &talk).await.unwrap();
    assert!(!world.admit(anna, &talk, (1, true)).await.unwrap().claimed);
    // F101: without the option the first answer claims.
    world.replies(&[], (false, false)).await;
    let other = Talk::new(&world, 2);
    world.handle(&[other.opened(), other.decided()]).await;
    assert!(world.admit(anna, &other, (1, true)).await.unwrap().claimed);
}

#[tokio::test(flavor = "multi_thread")]
async fn d09_a_reply_of_who_joined_changes_the_responsible_only_where_the_channel_says_so() {
    let world = World::new().await;
    let (anna, boris) = (world.employee("Anna").await, world.employee("Boris").await);
    let vera = world.employee("Vera").await;
    let talk = world.claimed(1, anna).await;
    world.join(boris, &talk).await.unwrap();
    let left_alone = world.admit(boris, &talk, (1, true)).await.unwrap();
    assert_eq!(shape(&left_alone.assignment.unwrap()), ids(anna, &[boris]));
    world.replies(&[], (false, true)).await;
    let taken = world.admit(boris, &talk, (1, true)).await.unwrap();
    assert!(taken.claimed);
    assert_eq!(shape(&taken.assignment.unwrap()), ids(boris, &[anna]));
    let choice = world.explain(&talk).await.remove(0);
    assert_eq!(choice.rule, i32::from(pb::AssignmentRule::Reply));
    assert_eq!((world.load(anna).await, world.load(boris).await), (0, 1));
    // D19 holds there, too.
    let outside = world.admit(vera, &talk, (1, true)).await.unwrap_err();
    assert_eq!(reason(&outside).0, "JOIN_REQUIRED");
    assert_eq!(shape(&world.assignment(&talk).await), ids(boris, &[anna]));
    world.loads_are_true().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_claimed_is_freed_in_the_order_of_numbers_whatever_comes_first() {
    let world = World::new().await;
    let (anna, boris) = (world.employee("Anna").await, world.employee("Boris").await);
    let first = world.claimed(1, anna).await;
    world.join(boris, &first).await.unwrap();
    let second = first.next(2);
    // The next conversation is heard of before the end of this one.
    world.handle(&[second.opened()]).await;
    assert_eq!(
        shape(&world.assignment(&second).await),
        (String::new(), Vec::new())
    );
    assert_eq!(world.load(anna).await, 0);
    world.claim(boris, &second).await.unwrap();
    world
        .handle(&[first.closed(2), first.opened(), first.continued(3)])
        .await;
    assert_eq!((world.load(anna).await, world.load(boris).await), (0, 1));
    // Closed before opened: a claim finds nothing open, and nothing is leaked.
    let third = second.next(3);
    world.handle(&[third.closed(2)]).await;
    assert_eq!((world.load(anna).await, world.load(boris).await), (0, 0));
    let closed = world.claim(anna, &third).await.unwrap_err();
    assert_eq!(reason(&closed).0, "CHAT_NOT_OPEN");
    world
        .handle(&[third.opened(), second.closed(2), third.decided()])
        .await;
    assert_eq!((world.load(anna).await, world.load(boris).await), (0, 0));
    world.loads_are_true().await;
}
