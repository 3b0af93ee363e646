//! Questions at a fixed rate, of several kinds in rounds.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tonic::Status;

use super::load::histogram;

/// What became of the questions of each kind.
pub(super) struct Answered {
    each: Vec<Kind>,
}

#[derive(Clone)]
struct Kind {
    name: &'static str,
    /// Microseconds from the moment each was due to its answer.
    times: Histogram<u64>,
    /// How many were answered by an error, and what the first one says.
    failed: u64,
    error: String,
}

impl Kind {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            times: histogram(),
            failed: 0,
            error: String::new(),
        }
    }

    fn fail(&mut self, times: u64, error: &str) {
        if self.failed == 0 {
            error.clone_into(&mut self.error);
        }
        self.failed += times;
    }
}

/// The places of kinds in one round: each as often as it says, and evenly, so that what takes long does not stand together.
fn in_turns(kinds: &[(&'static str, u32)]) -> Vec<usize> {
    let places = kinds.iter().enumerate();
    let mut round: Vec<(f64, usize)> = places
        .flat_map(|(place, (_, times))| {
            // Where a kind begins is moved by the golden section, which comes close to no fraction.
            let begin = (f64::from(u32::try_from(place).unwrap_or_default()) * 0.618_034).fract();
            let times = f64::from(*times);
            (0..).map_while(move |turn| {
                let turn = f64::from(turn);
                (turn < times).then_some(((turn + begin) / times, place))
            })
        })
        .collect();
    round.sort_by(|one, other| one.0.total_cmp(&other.0));
    round.into_iter().map(|(_, place)| place).collect()
}

/// Asks `rate` a second for a time, in rounds of which each has every kind as often as it says; `ask` gets the place of the kind.
pub(super) async fn at_a_rate<F, A>(
    kinds: &[(&'static str, u32)],
    rate: u32,
    during: Duration,
    ask: F,
) -> anyhow::Result<Answered>
where
    F: Fn(usize) -> A,
    A: Future<Output = Result<(), Status>> + Send + 'static,
{
    let mut each: Vec<_> = kinds.iter().map(|(name, _)| Kind::new(name)).collect();
    let mut round = in_turns(kinds).into_iter().cycle();
    let total = u64::from(rate) * during.as_secs();
    let (begun, mut asked) = (tokio::time::Instant::now(), JoinSet::new());
    for number in 0..total {
        let due = begun + Duration::from_secs(1) * u32::try_from(number)? / rate;
        tokio::time::sleep_until(due).await;
        let place = round.next().unwrap_or_default();
        let answer = ask(place);
        asked.spawn(async move {
            let answer = answer.await;
            (place, answer.map(|()| due.elapsed()))
        });
    }
    while let Some(done) = asked.join_next().await {
        let (place, took) = done?;
        let Some(kind) = each.get_mut(place) else {
            continue;
        };
        match took {
            Ok(took) => kind.times.record(u64::try_from(took.as_micros())?)?,
            Err(status) => kind.fail(1, &format!("{}: {}", status.code(), status.message())),
        }
    }
    Ok(Answered { each })
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn millis(times: &Histogram<u64>, quantile: f64) -> f64 {
    times.value_at_quantile(quantile) as f64 / 1_000.0
}

impl Answered {
    /// All kinds together, then each.
    fn with_all(&self) -> Vec<Kind> {
        let mut all = Kind::new("all");
        for kind in &self.each {
            // Both have the same bounds.
            let _ = all.times.add(&kind.times);
            all.fail(kind.failed, &kind.error);
        }
        std::iter::once(all)
            .chain(self.each.iter().cloned())
            .collect()
    }

    /// Lines for people.
    pub fn lines(&self) -> String {
        let line = |kind: Kind| {
            let failed = match kind.failed {
                0 => String::new(),
                failed => format!(", {failed} FAILED ({})", kind.error),
            };
            format!(
                "  {:34} {:5} requests, p50 {:6.1} ms, p99 {:6.1} ms{failed}\n",
                kind.name,
                kind.times.len(),
                millis(&kind.times, 0.5),
                millis(&kind.times, 0.99)
            )
        };
        self.with_all().into_iter().map(line).collect()
    }

    /// The same for machines.
    pub fn json(&self) -> Value {
        let figures = |kind: Kind| {
            let figures = json!({
                "requests": kind.times.len(), "p50_ms": millis(&kind.times, 0.5), "p99_ms": millis(&kind.times, 0.99),
                "failed": kind.failed,
            });
            (kind.name.to_owned(), figures)
        };
        Value::Object(self.with_all().into_iter().map(figures).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_has_each_kind_as_often_as_it_says_and_no_two_rare_ones_together() {
        let mut kinds = vec![("often", 3); 25];
        kinds.extend([("rare", 1); 8]);
        let round = in_turns(&kinds);
        assert_eq!(round.len(), 25 * 3 + 8);
        for (place, (_, times)) in kinds.iter().enumerate() {
            let asked = round.iter().filter(|asked| **asked == place).count();
            assert_eq!(asked, *times as usize);
        }
        let rare: Vec<usize> = (0..round.len()).filter(|at| round[*at] >= 25).collect();
        let gaps = rare.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(gaps.min() > Some(2), "{rare:?}");
    }
}
