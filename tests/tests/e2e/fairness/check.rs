//! Holds every choice against what the database observed: loads and presence at that moment, limits, turns, and
//! whether somebody with less load or a longer wait was passed over.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde::Deserialize;
use sqlx::{PgPool, Row};
use uuid::Uuid;

use super::Field;
use super::drive::Driven;

/// Makes the database write down each change of a load or of presence, and each choice, in the order in which they
/// happen: a witness that is no part of the service.
pub async fn observe(database: &PgPool) -> anyhow::Result<()> {
    let witness = "
        create table observed (
            seq   bigint generated always as identity primary key,
            tx    bigint not null default txid_current(),
            kind  text not null,
            agent uuid,
            value bigint not null
        );
        create function observe_load() returns trigger language plpgsql as $$
        begin
            insert into observed (kind, agent, value) values ('load', new.agent_id, new.load);
            return null;
        end $$;
        create trigger observe_load after update on agent_load
            for each row when (old.load <> new.load) execute function observe_load();
        create function observe_presence() returns trigger language plpgsql as $$
        begin
            insert into observed (kind, agent, value)
            values ('presence', new.agent_id, (new.presence = 'online')::int);
            return null;
        end $$;
        create trigger observe_presence after update on agent
            for each row when (old.presence <> new.presence) execute function observe_presence();
        create function observe_choice() returns trigger language plpgsql as $$
        begin
            insert into observed (kind, agent, value) values ('choice', new.agent_id, new.choice_id);
            return null;
        end $$;
        create trigger observe_choice after insert on assignment_choice
            for each row execute function observe_choice();";
    sqlx::raw_sql(witness).execute(database).await?;
    Ok(())
}

/// Waits until all that was told has arrived, and nobody waits whom somebody could serve.
pub async fn settled(
    database: &PgPool,
    field: &Field,
    driven: &Driven,
    end: Instant,
) -> anyhow::Result<()> {
    loop {
        let rows = sqlx::query("select chat_id, number, open, agent_id from chat_assignment")
            .fetch_all(database)
            .await?;
        let mut known = BTreeMap::new();
        let mut waiting = 0;
        for row in &rows {
            let (number, open): (i64, bool) = (row.try_get("number")?, row.try_get("open")?);
            known.insert(row.try_get::<Uuid, _>("chat_id")?, (number, open));
            let agent: Option<Uuid> = row.try_get("agent_id")?;
            waiting += i64::from(open && agent.is_none());
        }
        let open: i64 = driven
            .chats
            .values()
            .map(|(_, open)| i64::from(*open))
            .sum();
        let places: i64 = field
            .agents
            .iter()
            .map(|(_, places)| i64::from(*places))
            .sum();
        if known == driven.chats && waiting == (open - places).max(0) {
            println!("{open} open at the end, {places} places, {waiting} wait");
            return Ok(());
        }
        ensure!(
            Instant::now() < end,
            "not settled: {} of {} chats are as they were told last; {open} open, {places} places, {waiting} wait",
            driven
                .chats
                .iter()
                .filter(|(id, last)| known.get(id) == Some(last))
                .count(),
            driven.chats.len(),
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[derive(Clone, Debug, Deserialize)]
struct Candidate {
    agent: Uuid,
    load: i64,
    left_out: Option<String>,
    #[serde(default)]
    capacity: i64,
    #[serde(default)]
    turn: i64,
}

struct Choice {
    channel: Uuid,
    agent: Option<Uuid>,
    rule: String,
    candidates: Vec<Candidate>,
}

/// What one transaction changed and chose.
#[derive(Default)]
struct Act {
    loads: BTreeMap<Uuid, i64>,
    choices: Vec<i64>,
    presences: Vec<(Uuid, bool)>,
}

/// What is known before a transaction.
struct Seen {
    loads: BTreeMap<Uuid, i64>,
    /// The last two states of presence: one that was committed while a choice was being made may or may not count.
    online: BTreeMap<Uuid, [bool; 2]>,
    turns: BTreeMap<Uuid, (i64, BTreeMap<Uuid, i64>)>,
    /// Turns that one of two had more than the other since both could be chosen.
    ahead: BTreeMap<(Uuid, Uuid), i64>,
    checked: usize,
    most_ahead: i64,
}

/// Checks every choice in the order in which the transactions held the loads.
pub async fn everything(database: &PgPool, field: &Field, driven: &Driven) -> anyhow::Result<()> {
    let choices = choices(database).await?;
    let mut acts: BTreeMap<i64, (i64, Act)> = BTreeMap::new();
    let rows = sqlx::query("select seq, tx, kind, agent, value from observed order by seq")
        .fetch_all(database)
        .await?;
    for row in rows {
        let (seq, tx, value): (i64, i64, i64) = (
            row.try_get("seq")?,
            row.try_get("tx")?,
            row.try_get("value")?,
        );
        let agent: Option<Uuid> = row.try_get("agent")?;
        let act = &mut acts.entry(tx).or_insert_with(|| (seq, Act::default())).1;
        match (row.try_get::<String, _>("kind")?.as_str(), agent) {
            ("load", Some(agent)) => drop(act.loads.insert(agent, value)),
            ("presence", Some(agent)) => act.presences.push((agent, value == 1)),
            _ => act.choices.push(value),
        }
    }
    // A transaction holds the loads of all it may choose from its first entry to its end: they follow one another.
    let acts: BTreeMap<i64, Act> = acts.into_values().collect();
    let agents = || field.agents.iter().map(|(agent, _)| *agent);
    let mut seen = Seen {
        loads: agents().map(|agent| (agent, 0)).collect(),
        online: agents().map(|agent| (agent, [false; 2])).collect(),
        turns: BTreeMap::new(),
        ahead: BTreeMap::new(),
        checked: 0,
        most_ahead: 0,
    };
    let limits: BTreeMap<Uuid, i64> = field
        .agents
        .iter()
        .map(|(agent, limit)| (*agent, i64::from(*limit)))
        .collect();
    for (seq, act) in &acts {
        one(&mut seen, field, &limits, act, &choices)
            .with_context(|| format!("in the transaction that begins at entry {seq}"))?;
    }
    println!(
        "{} choices checked of {} transactions; in turn nobody was more than {} ahead of anybody",
        seen.checked,
        acts.len(),
        seen.most_ahead
    );
    ensure!(
        seen.checked * 3 > driven.opened,
        "too few choices were made to prove anything: {} of {}",
        seen.checked,
        driven.opened
    );
    loads_are_true(database).await
}

/// Checks one transaction, and keeps what it changed.
fn one(
    seen: &mut Seen,
    field: &Field,
    limits: &BTreeMap<Uuid, i64>,
    act: &Act,
    choices: &BTreeMap<i64, Choice>,
) -> anyhow::Result<()> {
    for (agent, load) in &act.loads {
        let limit = limits.get(agent).context("an unknown agent")?;
        ensure!(
            (0..=*limit).contains(load),
            "agent {agent} has {load} open chats of {limit}"
        );
    }
    // What the agents had when the first choice was made: closings of the same transaction come before.
    let mut now = seen.loads.clone();
    now.extend(&act.loads);
    for id in &act.choices {
        let choice = choices.get(id).context("a choice is gone")?;
        if let Some(load) = choice.agent.and_then(|agent| now.get_mut(&agent)) {
            *load -= 1;
        }
    }
    for (agent, load) in &now {
        let before = seen.loads.get(agent).copied().unwrap_or_default();
        ensure!(
            *load <= before,
            "agent {agent} came to {load} from {before} open chats without a choice"
        );
    }
    for id in &act.choices {
        let choice = choices.get(id).context("a choice is gone")?;
        explained(seen, &now, limits, choice).with_context(|| format!("choice {id}"))?;
        fair(seen, field, choice).with_context(|| format!("choice {id}"))?;
        if let Some(load) = choice.agent.and_then(|agent| now.get_mut(&agent)) {
            *load += 1;
        }
        seen.checked += usize::from(choice.agent.is_some());
    }
    seen.loads.extend(&act.loads);
    for (agent, online) in &act.presences {
        let states = seen.online.get_mut(agent).context("an unknown agent")?;
        *states = [states[1], *online];
    }
    Ok(())
}

/// Checks that what a choice tells of each candidate was so.
fn explained(
    seen: &Seen,
    loads: &BTreeMap<Uuid, i64>,
    limits: &BTreeMap<Uuid, i64>,
    choice: &Choice,
) -> anyhow::Result<()> {
    let looked: BTreeSet<Uuid> = choice.candidates.iter().map(|c| c.agent).collect();
    ensure!(
        looked.iter().eq(limits.keys()),
        "not everybody was looked at: {} of {}",
        looked.len(),
        limits.len()
    );
    for candidate in &choice.candidates {
        let agent = candidate.agent;
        let (load, limit) = (loads[&agent], limits[&agent]);
        ensure!(
            (candidate.load, candidate.capacity) == (load, limit),
            "agent {agent} had {load} of {limit}, not {} of {}",
            candidate.load,
            candidate.capacity
        );
        let online = seen.online[&agent];
        let fits = match candidate.left_out.as_deref() {
            Some("NOT_ONLINE") => online.contains(&false),
            Some("AT_CAPACITY") => online.contains(&true) && load >= limit,
            Some("OTHERS_WAIT_LONGER") | None => online.contains(&true) && load < limit,
            Some(_) => false,
        };
        ensure!(
            fits,
            "agent {agent}: {candidate:?} with presence {online:?}"
        );
    }
    Ok(())
}

/// Checks that nobody eligible was passed over.
fn fair(seen: &mut Seen, field: &Field, choice: &Choice) -> anyhow::Result<()> {
    let eligible: Vec<&Candidate> = choice
        .candidates
        .iter()
        .filter(|candidate| candidate.left_out.is_none())
        .collect();
    let Some(chosen) = choice.agent else {
        ensure!(
            eligible.is_empty(),
            "somebody was eligible, nobody was chosen"
        );
        return Ok(());
    };
    ensure!(choice.rule == "distribution", "chosen by {}", choice.rule);
    let chosen = eligible.iter().find(|candidate| candidate.agent == chosen);
    let chosen = *chosen.context("who was chosen was not eligible")?;
    let (last, turns) = seen.turns.entry(choice.channel).or_default();
    for candidate in &choice.candidates {
        let turn = turns.get(&candidate.agent).copied().unwrap_or_default();
        ensure!(
            candidate.turn == turn,
            "a turn is told wrong: {candidate:?}, {turn}"
        );
    }
    let before = |one: &Candidate, other: &Candidate| {
        let parts = (one.load * other.capacity).cmp(&(other.load * one.capacity));
        let parts = if choice.channel == field.by_load {
            parts
        } else {
            Ordering::Equal
        };
        parts.then((one.turn, one.agent).cmp(&(other.turn, other.agent)))
    };
    for other in &eligible {
        ensure!(
            before(chosen, other) != Ordering::Greater,
            "passed over: {other:?} for {chosen:?}"
        );
    }
    *last += 1;
    turns.insert(chosen.agent, *last);
    if choice.channel == field.in_turn {
        let there: BTreeSet<Uuid> = eligible.iter().map(|candidate| candidate.agent).collect();
        within_one(seen, &there, chosen.agent)?;
    }
    Ok(())
}

/// Round-robin: of two who could both be chosen all the while nobody has more than one turn more.
fn within_one(seen: &mut Seen, there: &BTreeSet<Uuid>, chosen: Uuid) -> anyhow::Result<()> {
    seen.ahead
        .retain(|(one, other), _| there.contains(one) && there.contains(other));
    for other in there.iter().filter(|other| **other != chosen) {
        let (pair, step) = if chosen < *other {
            ((chosen, *other), 1)
        } else {
            ((*other, chosen), -1)
        };
        let ahead = seen.ahead.entry(pair).or_default();
        *ahead += step;
        seen.most_ahead = seen.most_ahead.max(ahead.abs());
        ensure!(
            ahead.abs() <= 1,
            "{chosen} is {ahead} turns ahead of {other}"
        );
    }
    Ok(())
}

/// Reads all choices, each with all it looked at.
async fn choices(database: &PgPool) -> anyhow::Result<BTreeMap<i64, Choice>> {
    let rows = sqlx::query(
        "select c.choice_id, a.channel_id, c.agent_id, c.rule, c.candidates, l.candidates as look
         from assignment_choice c join chat_assignment a on a.chat_id = c.chat_id
         left join assignment_look l on l.look_id = c.look_id",
    )
    .fetch_all(database)
    .await?;
    let mut choices = BTreeMap::new();
    for row in rows {
        let read = |value: serde_json::Value| serde_json::from_value::<Vec<Candidate>>(value);
        let mut candidates = read(row.try_get("candidates")?)?;
        if let Some(look) = row.try_get::<Option<serde_json::Value>, _>("look")? {
            let own: BTreeMap<Uuid, Candidate> =
                candidates.into_iter().map(|own| (own.agent, own)).collect();
            let whole = read(look)?.into_iter();
            candidates = whole
                .map(|one| own.get(&one.agent).cloned().unwrap_or(one))
                .collect();
        }
        let choice = Choice {
            channel: row.try_get("channel_id")?,
            agent: row.try_get("agent_id")?,
            rule: row.try_get("rule")?,
            candidates,
        };
        choices.insert(row.try_get("choice_id")?, choice);
    }
    Ok(choices)
}

async fn loads_are_true(database: &PgPool) -> anyhow::Result<()> {
    let wrong: Vec<Uuid> = sqlx::query_scalar(
        "select l.agent_id from agent_load l
         where l.load <> (select count(*) from chat_assignment c where c.account = l.account
                          and c.agent_id = l.agent_id and c.open)",
    )
    .fetch_all(database)
    .await?;
    ensure!(
        wrong.is_empty(),
        "loads that are not the number of open chats: {wrong:?}"
    );
    let wrong: Vec<Uuid> = sqlx::query_scalar(
        "select agent_id
         from (select * from channel_load where load <> 0) l
         full join (select account, channel_id, agent_id, count(*) as load from chat_assignment
                    where open and agent_id is not null group by account, channel_id, agent_id) c
           using (account, channel_id, agent_id)
         where l.load is distinct from c.load",
    )
    .fetch_all(database)
    .await?;
    ensure!(
        wrong.is_empty(),
        "loads in a channel that are not the number of its open chats: {wrong:?}"
    );
    Ok(())
}
