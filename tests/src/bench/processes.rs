//! CPU time and resident memory of each process, from the kernel's tables.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::services::Kind;
use crate::world::World;

/// Clock ticks a second, fixed by the kernel's interface to user space.
const TICKS: u64 = 100;

/// What the processes had used at a moment, or between two.
#[derive(Clone, Debug)]
pub struct Usage {
    at: Instant,
    /// How long the span is; zero at a moment.
    pub span: Duration,
    /// By name: CPU time and resident bytes.
    pub processes: BTreeMap<String, (Duration, u64)>,
}

impl Usage {
    pub(super) fn of(world: &mut World) -> anyhow::Result<Self> {
        let mut processes = BTreeMap::new();
        for kind in Kind::ALL {
            let pid = world
                .system
                .process(kind)
                .context("a running service")?
                .pid();
            processes.insert(kind.name().to_owned(), usage(pid)?);
        }
        processes.insert(
            "nats-server".to_owned(),
            usage(world.nats.process().context("NATS")?.pid())?,
        );
        let postgres = world.postgres.process().context("Postgres")?.pid();
        let mut all = usage(postgres)?;
        for child in children(postgres)? {
            // A backend may end while we look; what it used goes to its parent's account of dead children.
            if let Ok((cpu, memory)) = usage(child) {
                all = (all.0 + cpu, all.1 + memory);
            }
        }
        processes.insert(
            "postgres (shared memory counted per backend)".to_owned(),
            all,
        );
        processes.insert(
            "load generator and stand-in".to_owned(),
            usage(std::process::id())?,
        );
        Ok(Self {
            at: Instant::now(),
            span: Duration::ZERO,
            processes,
        })
    }

    pub(super) fn since(mut self, before: &Self) -> Self {
        self.span = self.at - before.at;
        for (name, (cpu, _)) in &mut self.processes {
            let earlier = before
                .processes
                .get(name)
                .map_or(Duration::ZERO, |(cpu, _)| *cpu);
            *cpu = cpu.saturating_sub(earlier);
        }
        self
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "processes over {:.0} s", self.span.as_secs_f64())?;
        for (name, (cpu, memory)) in &self.processes {
            let percent = 100.0 * cpu.as_secs_f64() / self.span.as_secs_f64();
            writeln!(
                out,
                "  {name:<46} {percent:>6.1} % of a core   {:>6} MiB resident",
                memory / 1_048_576
            )?;
        }
        Ok(())
    }
}

/// CPU time, with that of children already gone, and resident bytes.
fn usage(pid: u32) -> anyhow::Result<(Duration, u64)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in parentheses may hold anything: what follows the last one is regular.
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks: u64 = fields
        .get(11..15)
        .context("/proc/pid/stat")?
        .iter()
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    let pages: u64 = fields
        .get(21)
        .and_then(|field| field.parse().ok())
        .unwrap_or(0);
    Ok((Duration::from_millis(ticks * 1_000 / TICKS), pages * 4_096))
}

fn children(parent: u32) -> anyhow::Result<Vec<u32>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let Some(pid) = entry?
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else {
            continue;
        };
        let of: Option<u32> = stat
            .rsplit(')')
            .next()
            .and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok());
        if of == Some(parent) {
            found.push(pid);
        }
    }
    Ok(found)
}
