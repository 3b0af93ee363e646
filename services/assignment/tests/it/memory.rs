//! What is remembered between transactions is what a reader without memory would see (§7, D21).

use std::collections::{BTreeMap, BTreeSet};

use assignment::store::policies::{self, ChannelKey, Read};
use assignment::store::rosters::{self, Roster};
use sqlx::Acquire as _;
use switchboard_proto::assignment::v1 as pb;

use crate::balance::of_group;
use crate::world::{Talk, World, noon};

/// What agents, accounts and calendars may go through. Each is committed by itself.
const CHANGES: [&str; 13] = [
    "update agent set presence = 'away' where name = 'Anna'",
    "update agent set capacity = 3, all_channels = false where name in ('Anna', 'Bohdan')",
    "update agent_load set load = load + 1 where agent_id = (select agent_id from agent where name = 'Bohdan')",
    "update account set suspended = true",
    "update account set suspended = false",
    "insert into calendar (account, owner, owner_id, definition, holds_chats, revision, updated_at, open, next_look)
     select account, 'agent', agent_id, '{}', false, 1, now(), false, now() from agent where name = 'Anna'",
    "insert into calendar (account, owner, owner_id, definition, holds_chats, revision, updated_at, open, next_look)
     select slug, 'account', '00000000-0000-0000-0000-000000000000', '{}', false, 1, now(), false, now() from account",
    "update calendar set open = true where owner = 'agent'",
    "delete from calendar where owner = 'agent'",
    "update calendar set open = true where owner = 'account'",
    "delete from calendar where owner = 'account'",
    "insert into agent (account, agent_id, name, active, presence, capacity, all_channels, channel_ids, leads_create,
         leads_view, contacts_create, contacts_view, settings, access_version, created_at)
     select account, gen_random_uuid(), 'Vira', true, 'online', 0, true, '{}', true, 'all', true, 'all', false, 1, now()
     from agent where name = 'Anna'",
    "insert into agent_load (account, agent_id, load) select account, agent_id, 7 from agent where name = 'Vira'",
];

impl World {
    async fn roster(&self, known: Option<&Roster>) -> Roster {
        let mut connection = self.db.pool.acquire().await.unwrap();
        rosters::read(&mut connection, &self.account, known)
            .await
            .unwrap()
    }

    async fn change(&self, statement: &'static str) -> u64 {
        let done = sqlx::query(statement).execute(&self.db.pool).await.unwrap();
        done.rows_affected()
    }

    fn key(&self) -> ChannelKey {
        (self.account.clone(), self.channel.into())
    }

    /// Locks the world's channel, with what is known of it or without, and lets it go.
    async fn locked(&self, known: Option<&Read>) -> Read {
        let key = self.key();
        let mut connection = self.db.pool.acquire().await.unwrap();
        let mut transaction = connection.begin().await.unwrap();
        let known: BTreeMap<_, _> = known.map(|known| (&key, known)).into_iter().collect();
        let wanted = BTreeSet::from([key.clone()]);
        let mut locked = policies::lock(&mut transaction, &wanted, &known)
            .await
            .unwrap();
        locked.remove(&key).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn d21_a_roster_that_is_brought_up_to_date_is_what_a_new_look_sees() {
    let world = World::new().await;
    for name in ["Anna", "Bohdan"] {
        world.agent(name).await;
    }
    let mut known = world.roster(None).await;
    for change in CHANGES {
        assert_ne!(world.change(change).await, 0, "{change}");
        let whole = world.roster(None).await;
        known = world.roster(Some(&known)).await;
        assert_eq!(
            known.colleagues(noon()),
            whole.colleagues(noon()),
            "{change}"
        );
    }
    assert_eq!(known.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn d21_what_is_committed_late_is_seen_although_others_were_faster() {
    let world = World::new().await;
    let (anna, bohdan) = (world.agent("Anna").await, world.agent("Bohdan").await);
    let start = world.roster(None).await;
    let mut slow = world.db.pool.begin().await.unwrap();
    sqlx::query(CHANGES[2]).execute(&mut *slow).await.unwrap();
    // Begun later, committed first.
    world.change(CHANGES[0]).await;
    let between = world.roster(Some(&start)).await;
    let seen = between.colleagues(noon());
    assert_eq!(seen[&bohdan].load, 0);
    assert_ne!(seen[&anna], start.colleagues(noon())[&anna]);
    slow.commit().await.unwrap();
    let after = world.roster(Some(&between)).await;
    assert_eq!(after.colleagues(noon())[&bohdan].load, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn d21_turns_of_others_and_changed_pools_are_seen_by_who_remembers() {
    let world = World::new().await;
    let mut agents = Vec::new();
    for name in ["Anna", "Bohdan", "Vira"] {
        agents.push(world.agent(name).await);
    }
    world.policy(&agents, false).await;
    let mut known = world.locked(None).await;
    for number in 1..=5_u8 {
        let talk = Talk::new(&world, number.into());
        world.handle(&[talk.opened(), talk.decided()]).await;
        let whole = world.locked(None).await;
        known = world.locked(Some(&known)).await;
        assert_eq!(known, whole, "turn {number}");
        assert_eq!(whole.policy.turns.last, i64::from(number));
    }
    // Who leaves the pool and comes back is remembered in their row.
    let turn = known.policy.turns.of[&agents[0]];
    for pool in [&agents[1..], &agents[..]] {
        world.policy(pool, false).await;
        let whole = world.locked(None).await;
        known = world.locked(Some(&known)).await;
        assert_eq!(known, whole);
        assert_eq!(known.policy.pool.len(), pool.len());
    }
    assert_eq!(known.policy.turns.of[&agents[0]], turn);
    let group = world.group("Sales", &agents[..1]).await;
    let of_group = world.distributing(pb::Distribution::RoundRobin, vec![of_group(&group, 1)]);
    world.distribute(of_group).await.unwrap();
    for members in [&agents[..2], &agents[..], &agents[2..]] {
        world.members(&group, members).await;
        let whole = world.locked(None).await;
        known = world.locked(Some(&known)).await;
        assert_eq!(known, whole);
        assert_eq!(known.policy.pool.len(), members.len());
    }
}
