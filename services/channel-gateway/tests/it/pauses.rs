//! What is paused waits, in its order, and does not age (O3.6).

use std::time::Duration;

use channel_gateway::app::claim::claim;
use chassis::clock;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::world::{World, world};

const HOUR: time::Duration = time::Duration::HOUR;

/// Pauses something from an hour ago, and has the replica know of it as of now.
async fn pause(world: &World, kind: &str, subject: &str, ends: OffsetDateTime) {
    let now = clock::now();
    sqlx::query(
        "insert into chassis.pause (pause_id, kind, subject_id, name, account, began_at, ends_at, actor, reason)
         values (gen_random_uuid(), $1, $2, '', '', $3, $4, 'service:x', 'a test')",
    )
    .bind(kind)
    .bind(subject)
    .bind(now - HOUR)
    .bind(ends)
    .execute(&world.app.pool)
    .await
    .unwrap();
    refresh(world, now).await;
}

async fn refresh(world: &World, now: OffsetDateTime) {
    let pauses = &world.app.pauses;
    pauses.refresh(&world.app.pool, now).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn o3_6_deliveries_that_are_paused_wait_in_their_order() {
    let world = world().await;
    let ends = clock::now() + HOUR;
    for (kind, subject) in [
        ("channel", world.channel.to_string()),
        ("deliveries", world.account.to_string()),
    ] {
        let chat = if kind == "channel" { 5 } else { 6 };
        pause(&world, kind, &subject, ends).await;
        for seq in [2, 1] {
            world
                .queue([world.command(chat, seq, &format!("{kind} {seq}"))])
                .await;
        }
        let claimed = claim(&world.app, &world.terms(), 16, clock::now())
            .await
            .unwrap();
        assert!(claimed.work.is_empty() && !claimed.more, "{kind}");
        sqlx::query("update chassis.pause set ends_at = now()")
            .execute(&world.app.pool)
            .await
            .unwrap();
        refresh(&world, ends).await;
        let replica = world.replica();
        world.until_states(chat, &["sent", "sent"]).await;
        replica.stop().await;
    }
    assert_eq!(
        world.bot.texts(),
        ["channel 1", "channel 2", "deliveries 1", "deliveries 2"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn o3_6_deliveries_of_others_go_on() {
    let world = world().await;
    let ends = clock::now() + HOUR;
    pause(
        &world,
        "channel",
        &chassis::id::v7(clock::now()).to_string(),
        ends,
    )
    .await;
    pause(&world, "deliveries", "another", ends).await;
    pause(
        &world,
        "replica",
        &chassis::id::v7(clock::now()).to_string(),
        ends,
    )
    .await;
    let replica = world.replica();
    world.queue([world.command(5, 1, "hello")]).await;
    world.until_states(5, &["sent"]).await;
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn o3_6_a_drained_replica_begins_nothing() {
    let world = world().await;
    // The replica of these tests has the id of none.
    pause(
        &world,
        "replica",
        &Uuid::nil().to_string(),
        clock::now() + HOUR,
    )
    .await;
    let drained = world.replica();
    world.queue([world.command(5, 1, "hello")]).await;
    drained.waker.wake();
    drained.stop().await;
    world.until_states(5, &["queued"]).await;
    assert!(world.bot.texts().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn o3_6_what_waited_for_a_pause_does_not_fail_for_its_age() {
    let world = world().await;
    let mut terms = world.terms();
    terms.max_age = Duration::from_mins(10);
    // Two chats wait since half an hour; of one channel nothing was paused.
    let other = world.create("7777:AAE_secret-token", "").await.unwrap();
    channel_gateway::app::connection::enable(&world.app, &world.caller, other, clock::now())
        .await
        .unwrap();
    let mut elsewhere = world.command(6, 1, "too late");
    elsewhere.channel_id = other.to_string();
    world
        .queue([world.command(5, 1, "in time"), elsewhere])
        .await;
    sqlx::query("update command set queued_at = queued_at - interval '30 minutes'")
        .execute(&world.app.pool)
        .await
        .unwrap();
    pause(
        &world,
        "channel",
        &world.channel.to_string(),
        clock::now() - time::Duration::MINUTE,
    )
    .await;
    let replica = world.replica_on(terms);
    world.until_states(5, &["sent"]).await;
    world.until_states(6, &["failed"]).await;
    assert_eq!(world.bot.texts(), ["in time"]);
    replica.stop().await;
}
