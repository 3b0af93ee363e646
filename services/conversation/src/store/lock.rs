//! Advisory locks. Parking locks: a message and what amends it take the same lock before they look for each other (§3).

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};
use sqlx::PgConnection;

use crate::domain::ChannelId;

/// Advisory locks of this kind; the second number is the bucket.
const CLASS: i32 = 0x0070_6b31;

/// The advisory lock of who keeps words for the search.
const SEARCH: i64 = 0x7365_6172_6368;

/// Buckets. Two keys of one bucket wait for each other where one of them is amended, so there are many: with 4,096,
/// a batch of 256 messages meets a batch of one amendment in one case of sixteen. A batch takes no more locks than
/// it has keys. Postgres' lock table has room for `max_locks_per_transaction` (64) times `max_connections` (100),
/// 6,400 locks with the defaults, and an advisory lock that several share takes one place of it: even with every
/// bucket locked, 2,304 places are left.
const BUCKETS: u32 = 4_096;

/// How a provider key is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// A message with this key is stored: others may store theirs.
    Shared,
    /// Something amends the message of this key.
    Exclusive,
}

/// Takes the locks of provider keys, sorted, until the end of the transaction. The first thing it does.
pub async fn parking<'k>(
    connection: &mut PgConnection,
    keys: impl Iterator<Item = (ChannelId, &'k str, Mode)>,
) -> Result<(), sqlx::Error> {
    let mut modes = BTreeMap::<i32, Mode>::new();
    for (channel, key, mode) in keys {
        let held = modes.entry(bucket(channel, key)).or_insert(mode);
        *held = (*held).max(mode);
    }
    if modes.is_empty() {
        return Ok(());
    }
    let buckets: Vec<i32> = modes.keys().copied().collect();
    let exclusive: Vec<bool> = modes
        .values()
        .map(|mode| *mode == Mode::Exclusive)
        .collect();
    // Unnesting keeps the order of the arrays, so locks are taken as sorted here.
    sqlx::query!(
        r#"select case when exclusive then pg_advisory_xact_lock($1, bucket)::text
                  else pg_advisory_xact_lock_shared($1, bucket)::text end as "locked?"
           from unnest($2::int[], $3::bool[]) as wanted (bucket, exclusive)"#,
        CLASS,
        &buckets,
        &exclusive,
    )
    .fetch_all(connection)
    .await
    .map(drop)
}

/// Takes the lock of who keeps words of messages and entities, until the end of the transaction.
pub async fn search(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"select pg_advisory_xact_lock($1)::text as "locked?""#,
        SEARCH
    )
    .fetch_one(connection)
    .await
    .map(drop)
}

fn bucket(channel: ChannelId, key: &str) -> i32 {
    let hash = Sha256::new()
        .chain_update(channel.uuid().as_bytes())
        .chain_update(key.as_bytes())
        .finalize();
    let number = hash
        .iter()
        .take(4)
        .fold(0_u32, |number, byte| (number << 8) | u32::from(*byte));
    (number % BUCKETS).cast_signed()
}
