//! An upgrade as Kubernetes does it: customers and agents write while each process is replaced, one after the other, and the
//! databases get the tables of the next version.
//!
//! `SWITCHBOARD_OLD_PROGRAMS` names a folder with the programs of the version before: then the upgrade goes from them to these
//! and back. Otherwise these stand for both.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use sqlx::{Connection, PgConnection};
use switchboard_tests::replicas::Replica;
use switchboard_tests::services::{Kind, System};
use switchboard_tests::world::{Plan, World, WorldOptions};
use tonic::Code;

use super::faults::{check, drive, unlimited};

/// How long an upgrade and the way back may take in all.
const LONGEST: Duration = Duration::from_mins(4);

/// O2.11: forward and one step back no webhook fails, no RPC beyond one that may be repeated, nothing is lost or doubled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o2_11_each_process_is_replaced_forward_and_back_under_load_and_nobody_notices()
-> anyhow::Result<()> {
    let old = std::env::var_os("SWITCHBOARD_OLD_PROGRAMS").map(PathBuf::from);
    let mut world = World::start_with(WorldOptions {
        synced: true,
        environment: unlimited(),
        fronted: true,
        programs: old.clone(),
        ..WorldOptions::default()
    })
    .await?;
    let plan = Plan {
        agents: 4,
        ..Plan::default()
    };
    let account = std::sync::Arc::new(world.account(plan).await?);
    let mut seconds = Vec::new();
    for kind in Kind::ALL {
        let mut replica = Replica::new(kind, 2)?;
        replica.launch(&world.system)?;
        seconds.push((kind, replica));
    }
    for (kind, replica) in &mut seconds {
        replica.wait_ready().await?;
        world.system.admit(*kind, replica.ports())?;
    }

    let upgraded = AtomicBool::new(false);
    let (sent, answered) = {
        let World {
            system, telegram, ..
        } = &mut world;
        let end = Instant::now() + LONGEST;
        let go_on = || !upgraded.load(Ordering::Relaxed) && Instant::now() < end;
        let upgrade = async {
            let done = upgrade(system, &mut seconds, old).await;
            upgraded.store(true, Ordering::Relaxed);
            done
        };
        let (sent, answered, done) = tokio::join!(
            drive::customers(telegram, &account, 11, go_on),
            drive::agents(&account, 11, go_on),
            upgrade
        );
        done?;
        (sent?, answered?)
    };
    let admitted: usize = answered.messages.values().map(Vec::len).sum();
    println!(
        "{} client messages accepted, {admitted} answers admitted, repeated: {:?}",
        sent.texts.len(),
        answered.repeated
    );
    ensure!(
        sent.not_accepted.is_empty(),
        "webhooks failed: {:?}",
        sent.not_accepted
    );
    let lasting: Vec<_> = answered
        .repeated
        .iter()
        .filter(|(code, _)| **code != Code::Unavailable)
        .collect();
    ensure!(lasting.is_empty(), "RPCs failed: {lasting:?}");
    check::everything(&world, &account, &sent, &answered).await
}

/// There and back.
async fn upgrade(
    system: &mut System,
    seconds: &mut [(Kind, Replica)],
    old: Option<PathBuf>,
) -> anyhow::Result<()> {
    for kind in Kind::ALL {
        extend(system.database_url(kind)?)
            .await
            .with_context(|| format!("the next version's tables of {}", kind.name()))?;
    }
    for programs in [None, old] {
        system.use_programs(programs);
        for (kind, second) in &mut *seconds {
            replace(system, *kind, second).await?;
        }
    }
    Ok(())
}

/// Replaces both processes of a service, one after the other.
async fn replace(system: &mut System, kind: Kind, second: &mut Replica) -> anyhow::Result<()> {
    let first = system.ports(kind)?;
    system.withdraw(kind, first)?;
    let drained = tokio::task::block_in_place(|| system.terminate(kind))?;
    ensure!(drained, "{} did not stop in time", kind.name());
    system.launch(kind)?;
    system.wait_ready(kind).await?;
    system.admit(kind, first)?;

    system.withdraw(kind, second.ports())?;
    let drained = tokio::task::block_in_place(|| second.terminate())?;
    ensure!(drained, "the second {} did not stop in time", kind.name());
    second.launch(system)?;
    second.wait_ready().await?;
    system.admit(kind, second.ports())
}

/// What the next version's migrations may do: here each table gets a column that this version knows nothing of, and there is a
/// new one. The migrations are noted as applied.
async fn extend(database: &str) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(database).await?;
    let tables: Vec<String> = sqlx::query_scalar(
        "select format('%I.%I', nspname, relname) from pg_class join pg_namespace on pg_namespace.oid = relnamespace
         where relkind in ('r', 'p') and not relispartition and nspname in ('public', 'chassis')",
    )
    .fetch_all(&mut connection)
    .await?;
    ensure!(tables.len() > 5, "few tables: {tables:?}");
    for table in &tables {
        let sql = if table.ends_with("._sqlx_migrations") {
            format!(
                "insert into {table} (version, description, success, checksum, execution_time) values (9001, 'next version', true, '', 0)"
            )
        } else {
            format!("alter table {table} add column of_next_version text")
        };
        sqlx::query(sqlx::AssertSqlSafe(sql))
            .execute(&mut connection)
            .await?;
    }
    sqlx::query("create table of_next_version (id uuid primary key)")
        .execute(&mut connection)
        .await?;
    connection.close().await?;
    Ok(())
}
