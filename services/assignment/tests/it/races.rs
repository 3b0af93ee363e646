//! Many hands at once on the same chats, against a real Postgres: what must hold whatever the order.

use std::collections::BTreeSet;
use std::sync::Arc;

use chassis::id::AgentId;
use tonic::{Code, Status};

use crate::world::{Talk, World, reason};

/// Refusals that a race may end in; all others are mistakes.
fn expected(status: &Status) -> bool {
    let reasons = [
        "CHAT_HAS_RESPONSIBLE",
        "CHAT_HAS_NO_RESPONSIBLE",
        "CHAT_NOT_OPEN",
        "RESPONSIBLE_CHANGED",
        "JOIN_REQUIRED",
        "NOT_IN_CHAT",
        "SOLE_RESPONSIBLE",
        "AGENT_INACTIVE",
        "CHANNEL_NOT_GRANTED",
        "CHAT_NOT_FOUND",
        "AGENTS_BARRED",
    ];
    reasons.contains(&&*reason(status).0)
}

impl World {
    /// Checks what must hold of every chat: participants are beside a responsible and never the responsible, and
    /// nobody works with an open chat that they may not have.
    async fn chats_are_sound(&self) {
        let unsound: Vec<uuid::Uuid> = sqlx::query_scalar(
            "select c.chat_id from chat_assignment c
             where exists (select from chat_participant p where p.chat_id = c.chat_id
                           and (c.agent_id is null or p.agent_id = c.agent_id))
                or (c.open and exists (select from agent a
                    where a.account = c.account and not a.active
                      and (a.agent_id = c.agent_id or a.agent_id in
                           (select p.agent_id from chat_participant p where p.chat_id = c.chat_id))))",
        )
        .fetch_all(&self.db.pool)
        .await
        .unwrap();
        assert!(
            unsound.is_empty(),
            "chats with impossible people: {unsound:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn x03_claims_redirects_joins_and_leaves_at_once_keep_loads_and_people_true() {
    let world = Arc::new(World::new().await);
    let mut agents = Vec::new();
    for name in ["Anna", "Boris", "Vera", "Halyna", "Dmytro"] {
        agents.push(world.employee(name).await);
    }
    // One of them is not in the pool, and comes and goes.
    world.policy(&agents[..2], false).await;
    let chats: Vec<Talk> = (1..=8).map(|number| Talk::new(&world, number)).collect();
    let opened: Vec<_> = chats.iter().map(Talk::opened).collect();
    world.handle(&opened).await;
    let walks = (0..6_usize).map(|task| {
        let (world, chats, agents) = (world.clone(), chats.clone(), agents.clone());
        tokio::spawn(async move {
            // No randomness: each task walks another way through chats, agents and acts.
            for step in 0..40_usize {
                let turn = task * 31 + step * 7;
                let talk = &chats[(task + step * 3) % chats.len()];
                let (one, other) = (agents[turn % 5], agents[(turn / 5 + step) % 5]);
                let supervisor = world.admin();
                let done = match (task + step) % 8 {
                    0 => world.claim(one, talk).await.map(drop),
                    1 | 2 => world.join(one, talk).await.map(drop),
                    3 => world.leave(one, talk).await.map(drop),
                    4 => world
                        .redirect(&supervisor, talk, (one, Some(other)))
                        .await
                        .map(drop),
                    5 => world.add(&supervisor, &[one, other], talk).await.map(drop),
                    6 => world.admit(one, talk, (1, true)).await.map(drop),
                    _ if step % 3 == 0 => world
                        .unassign(&supervisor, talk, step % 2 == 0)
                        .await
                        .map(drop),
                    _ => {
                        world.active(agents[4], step % 2 == 0).await;
                        Ok(())
                    }
                };
                if let Err(status) = done {
                    assert!(expected(&status), "{status:?}");
                }
            }
        })
    });
    for walk in futures::future::join_all(walks).await {
        walk.unwrap();
    }
    world.active(agents[4], false).await;
    world
        .app
        .release_pending(crate::world::noon())
        .await
        .unwrap();
    world.loads_are_true().await;
    world.chats_are_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn x03_of_many_who_redirect_at_once_one_wins_and_the_others_are_told_whom() {
    let world = World::new().await;
    let mut agents: Vec<AgentId> = Vec::new();
    for name in ["Anna", "Boris", "Vera", "Halyna", "Dmytro", "Olena"] {
        agents.push(world.employee(name).await);
    }
    for number in 1..=5 {
        let talk = world.claimed(number, agents[0]).await;
        let supervisor = world.admin();
        let to = |agent: &AgentId| (*agent, Some(agents[0]));
        let redirects = agents[1..]
            .iter()
            .map(|agent| world.redirect(&supervisor, &talk, to(agent)));
        let answers = futures::future::join_all(redirects).await;
        let winner = world.responsible(&talk).await.unwrap();
        let won = answers.iter().filter(|answer| answer.is_ok()).count();
        assert_eq!(won, 1);
        for refused in answers.iter().filter_map(|answer| answer.as_ref().err()) {
            let (why, facts) = reason(refused);
            assert_eq!(
                (refused.code(), &*why),
                (Code::Aborted, "RESPONSIBLE_CHANGED")
            );
            assert_eq!(facts["agent_id"], winner.to_string());
        }
    }
    world.loads_are_true().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f161_of_all_who_leave_at_once_one_has_to_stay() {
    let world = World::new().await;
    let mut agents: Vec<AgentId> = Vec::new();
    for name in ["Anna", "Boris", "Vera", "Halyna"] {
        agents.push(world.employee(name).await);
    }
    for number in 1..=10 {
        let talk = world.claimed(number, agents[0]).await;
        world
            .add(&world.admin(), &agents[1..], &talk)
            .await
            .unwrap();
        let leaving = agents.iter().map(|agent| world.leave(*agent, &talk));
        let answers = futures::future::join_all(leaving).await;
        let stayed: BTreeSet<_> = agents
            .iter()
            .zip(&answers)
            .filter(|(_, answer)| answer.is_err())
            .map(|(agent, _)| agent.to_string())
            .collect();
        let assignment = world.assignment(&talk).await;
        assert_eq!(
            stayed,
            [assignment.agent_id].into(),
            "one stays, and answers"
        );
        assert_eq!(assignment.participant_agent_ids, [""; 0]);
    }
    world.loads_are_true().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_becomes_inactive_while_claiming_keeps_no_chat() {
    let world = World::new().await;
    let anna = world.employee("Anna").await;
    for number in 1..=20 {
        let talk = Talk::new(&world, number);
        world.handle(&[talk.opened()]).await;
        let (claimed, ()) = tokio::join!(world.claim(anna, &talk), world.active(anna, false));
        if let Err(status) = &claimed {
            assert!(expected(status), "{status:?}");
        }
        assert_eq!(
            world.responsible(&talk).await,
            None,
            "claimed: {}",
            claimed.is_ok()
        );
        assert_eq!(world.load(anna).await, 0);
        world.active(anna, true).await;
    }
}
