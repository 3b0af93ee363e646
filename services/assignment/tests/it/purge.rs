//! Choices are kept for a while, and what they looked at for as long as one refers to it.

use assignment::app::purge::Purged;
use assignment::store::purge;
use switchboard_proto::assignment::v1 as pb;
use time::{Duration, OffsetDateTime};

use crate::balance::entry;
use crate::world::{Talk, World, noon};

impl World {
    async fn looks_kept_at(&self, time: OffsetDateTime) {
        sqlx::query("update assignment_look set kept_at = $1")
            .bind(time)
            .execute(&self.db.pool)
            .await
            .unwrap();
    }

    async fn purged(&self, days: u32, now: OffsetDateTime) -> (u64, u64) {
        let Purged { choices, looks } = self.app.purge_choices(days, now).await.unwrap();
        (choices, looks)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn d22_old_choices_are_purged_and_looks_that_none_refers_to_but_not_of_what_is_open() {
    let world = World::new().await;
    let mut pool = Vec::new();
    // So many that a choice refers to a look.
    for n in 0..17 {
        pool.push(entry(world.agent(&format!("Agent {n}")).await, 1));
    }
    let policy = world.distributing(pb::Distribution::LeastLoaded, pool);
    world.distribute(policy).await.unwrap();
    let (ended, open) = (Talk::new(&world, 1), Talk::new(&world, 2));
    for talk in [&ended, &open] {
        world.handle(&[talk.opened(), talk.decided()]).await;
    }
    world.handle(&[ended.closed(2)]).await;
    world.looks_kept_at(noon()).await;
    let day = Duration::DAY;
    let late = noon() + 90 * day + Duration::SECOND;

    assert_eq!(
        world.purged(90, noon() + 90 * day).await,
        (0, 0),
        "of an age"
    );
    assert_eq!(
        world.purged(0, noon() + 9_000 * day).await,
        (0, 0),
        "for ever"
    );
    let mut other = world.db.pool.begin().await.unwrap();
    assert!(purge::alone(&mut other).await.unwrap());
    assert_eq!(world.purged(90, late).await, (0, 0), "another replica's");
    other.rollback().await.unwrap();

    assert_eq!(
        world.purged(90, late).await,
        (1, 0),
        "the open one's look is referred to"
    );
    assert_eq!(world.explain(&ended).await, []);
    assert_eq!(world.explain(&open).await[0].candidates.len(), 17);

    world.handle(&[open.closed(2)]).await;
    world.looks_kept_at(late - Duration::HOUR).await;
    assert_eq!(
        world.purged(90, late).await,
        (1, 0),
        "a young look is remembered"
    );
    assert_eq!(world.purged(90, late + day).await, (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn d22_a_purge_goes_on_until_nothing_is_too_old() {
    let world = World::new().await;
    let talk = Talk::new(&world, 1);
    world.handle(&[talk.opened(), talk.closed(2)]).await;
    sqlx::query(
        "insert into assignment_choice (account, chat_id, conversation_id, number, time, rule, actor, candidates)
         select $1, $2, $3, 1, $4 + case when n > 2100 then interval '1 day' else interval '0' end, 'none', '', '[]'
         from generate_series(1, 2103) as n",
    )
    .bind(world.account.as_str())
    .bind(talk.chat.uuid())
    .bind(talk.conversation)
    .bind(noon())
    .execute(&world.db.pool)
    .await
    .unwrap();
    let late = noon() + 90 * Duration::DAY + Duration::SECOND;
    assert_eq!(world.purged(90, late).await, (2_100, 0));
    assert_eq!(world.purged(90, late).await, (0, 0));
    assert_eq!(world.purged(90, late + Duration::DAY).await, (3, 0));
}
