//! Questions at a fixed rate, of several kinds in turns.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tonic::Status;

use super::load::histogram;

/// Times of the answers of each kind of question, in microseconds from the moment each was due.
pub(super) struct Answered {
    each: Vec<(&'static str, Histogram<u64>)>,
}

/// Asks `rate` a second for a time; `ask` gets the place of the kind among `names`. One answer that is an error ends it.
pub(super) async fn at_a_rate<F, A>(
    names: &[&'static str],
    rate: u32,
    during: Duration,
    ask: F,
) -> anyhow::Result<Answered>
where
    F: Fn(usize) -> A,
    A: Future<Output = Result<(), Status>> + Send + 'static,
{
    let mut each: Vec<_> = names.iter().map(|name| (*name, histogram())).collect();
    let total = u64::from(rate) * during.as_secs();
    let (begun, mut asked) = (tokio::time::Instant::now(), JoinSet::new());
    for number in 0..total {
        let due = begun + Duration::from_secs(1) * u32::try_from(number)? / rate;
        tokio::time::sleep_until(due).await;
        let place = usize::try_from(number)? % names.len();
        let answer = ask(place);
        asked.spawn(async move {
            let answer = answer.await;
            (place, answer.map(|()| due.elapsed()))
        });
    }
    while let Some(done) = asked.join_next().await {
        let (place, took) = done?;
        if let Some((name, times)) = each.get_mut(place) {
            let took = took.map_err(|status| {
                anyhow::anyhow!("{name}: {}: {}", status.code(), status.message())
            })?;
            times.record(u64::try_from(took.as_micros())?)?;
        }
    }
    Ok(Answered { each })
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn millis(times: &Histogram<u64>, quantile: f64) -> f64 {
    times.value_at_quantile(quantile) as f64 / 1_000.0
}

impl Answered {
    /// All kinds together under a name, then each.
    fn with_all(&self, all: &'static str) -> Vec<(&'static str, Histogram<u64>)> {
        let mut sum = histogram();
        for (_, times) in &self.each {
            // Both have the same bounds.
            let _ = sum.add(times);
        }
        std::iter::once((all, sum))
            .chain(self.each.iter().cloned())
            .collect()
    }

    /// Lines for people.
    pub fn lines(&self) -> String {
        let line = |(name, times): (&str, Histogram<u64>)| {
            format!(
                "  {name:34} {:5} requests, p50 {:6.1} ms, p99 {:6.1} ms\n",
                times.len(),
                millis(&times, 0.5),
                millis(&times, 0.99)
            )
        };
        self.with_all("all").into_iter().map(line).collect()
    }

    /// The same for machines.
    pub fn json(&self) -> Value {
        let figures = |(name, times): (&str, Histogram<u64>)| {
            let figures = json!({ "requests": times.len(), "p50_ms": millis(&times, 0.5), "p99_ms": millis(&times, 0.99) });
            (name.to_owned(), figures)
        };
        Value::Object(self.with_all("all").into_iter().map(figures).collect())
    }
}
