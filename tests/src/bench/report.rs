//! What the run prints.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::Options;
use super::answers::Answered;
use super::floor::Floor;
use super::load::Driven;
use super::processes::Usage;
use super::statements::Statement;
use super::watch::Stored;

/// Everything that was measured.
pub struct Report {
    pub(super) options: Options,
    pub(super) driven: Driven,
    pub(super) webhook: Histogram<u64>,
    pub(super) stored: Stored,
    pub(super) answers: Option<Answered>,
    pub(super) usage: Usage,
    /// Empty unless asked for.
    pub(super) statements: Vec<Statement>,
    pub(super) floor: Floor,
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn per_second(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64().max(f64::EPSILON)
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn millis(histogram: &Histogram<u64>, quantile: f64) -> f64 {
    histogram.value_at_quantile(quantile) as f64 / 1_000.0
}

impl Report {
    fn rate(&self) -> f64 {
        per_second(self.stored.messages, self.stored.took)
    }

    fn ratio(&self) -> f64 {
        self.rate() / self.floor.rate()
    }

    /// The same as one JSON object.
    pub fn json(&self) -> Value {
        let times = |histogram: &Histogram<u64>| json!({ "p50_ms": millis(histogram, 0.5), "p99_ms": millis(histogram, 0.99), "max_ms": millis(histogram, 1.0) });
        let processes = self.usage.processes.iter().map(|(name, (cpu, memory))| {
            let used = json!({ "cpu_percent": 100.0 * cpu.as_secs_f64() / self.usage.span.as_secs_f64(), "resident_mib": memory / 1_048_576 });
            (name.clone(), used)
        });
        json!({
            "asked_rate": self.options.webhooks(), "seconds": self.options.seconds,
            "accepted": self.driven.accepted, "refused": self.driven.refused,
            "accepted_per_second": per_second(self.driven.accepted, self.driven.took),
            "stored_per_second": self.rate(), "cards": self.stored.cards,
            "webhook": times(&self.webhook), "to_message_stored": times(&self.stored.message), "to_card_created": times(&self.stored.card),
            "answers": self.answers.as_ref().map(|answers| json!({ "admitted": answers.admitted, "refused": answers.refused, "to_provider": times(&answers.to_provider) })),
            "processes": processes.collect::<serde_json::Map<_, _>>(),
            "statements": self.statements.iter().map(|statement| json!({ "database": statement.database, "total_ms": statement.total,
                "planning_ms": statement.planning, "calls": statement.calls, "rows": statement.rows, "query": statement.query })).collect::<Vec<_>>(),
            "floor": { "packs": self.floor.packs.0, "packs_seconds": self.floor.packs.1.as_secs_f64(),
                "events": self.floor.events.0, "events_seconds": self.floor.events.1.as_secs_f64(),
                "rows": self.floor.rows.0, "rows_seconds": self.floor.rows.1.as_secs_f64(), "messages_per_second": self.floor.rate() },
            "ratio_to_floor": self.ratio(),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |out: &mut fmt::Formatter<'_>, what: &str, histogram: &Histogram<u64>| {
            writeln!(
                out,
                "  {what:<34} p50 {:>8.1} ms   p99 {:>8.1} ms   max {:>8.1} ms",
                millis(histogram, 0.5),
                millis(histogram, 0.99),
                millis(histogram, 1.0)
            )
        };
        let asked = if self.options.webhooks() == 0 {
            "flat out".to_owned()
        } else {
            format!("{}/s", self.options.webhooks())
        };
        writeln!(
            out,
            "webhooks, {asked} for {} s, one in {} opens a chat",
            self.options.seconds, self.options.new_chat_every
        )?;
        writeln!(
            out,
            "  accepted {} ({:.0}/s), refused {}",
            self.driven.accepted,
            per_second(self.driven.accepted, self.driven.took),
            self.driven.refused
        )?;
        writeln!(
            out,
            "  stored   {} ({:.0}/s), cards made {}",
            self.stored.messages,
            self.rate(),
            self.stored.cards
        )?;
        line(out, "webhook answered", &self.webhook)?;
        line(out, "webhook to message.stored", &self.stored.message)?;
        line(out, "webhook to card.created", &self.stored.card)?;
        if let Some(answers) = &self.answers {
            writeln!(
                out,
                "answers, {}/s: admitted {}, refused {}",
                self.options.answers, answers.admitted, answers.refused
            )?;
            line(out, "SendMessage to provider", &answers.to_provider)?;
        }
        write!(out, "{}", self.usage)?;
        if !self.statements.is_empty() {
            writeln!(
                out,
                "statements by time in the database (ms in all, ms each with waits, calls, rows)"
            )?;
        }
        for statement in &self.statements {
            writeln!(out, "  {statement}")?;
        }
        let floor = &self.floor;
        writeln!(out, "floor of the same bytes, one after the other")?;
        writeln!(
            out,
            "  {:>7} packs in {:.2} s, {} events in {:.2} s, {} rows in {:.2} s",
            floor.packs.0,
            floor.packs.1.as_secs_f64(),
            floor.events.0,
            floor.events.1.as_secs_f64(),
            floor.rows.0,
            floor.rows.1.as_secs_f64()
        )?;
        write!(
            out,
            "  {:.0} messages/s at the floor; this run is at {:.0} % of it",
            floor.rate(),
            100.0 * self.ratio()
        )
    }
}
