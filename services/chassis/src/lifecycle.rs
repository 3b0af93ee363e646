//! Start and stop: a soft token to stop taking work, a hard one to abandon it, and a tracker that knows when
//! all is done. A background task that dies stops the service, and the process exits non-zero.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The tasks of a service and the tokens that end them. Clones share them.
#[derive(Clone, Default)]
pub struct Lifecycle {
    stop: CancellationToken,
    abandon: CancellationToken,
    tracker: TaskTracker,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    next: u64,
    running: BTreeMap<u64, String>,
    failure: Option<String>,
}

impl Lifecycle {
    /// Makes a lifecycle in which nothing runs.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the soft token: stop taking work, finish what is in hand.
    pub fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Returns the hard token: the grace period is over.
    pub fn abandon_token(&self) -> CancellationToken {
        self.abandon.clone()
    }

    /// Asks the service to stop.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Tells whether the service was asked to stop.
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Runs a task until it ends, or until the grace period does.
    ///
    /// A task that returns an error or panics stops the service; ending well, even early, does not.
    pub fn spawn<F>(&self, name: impl Into<String>, task: F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let name = name.into();
        let id = {
            let mut state = self.state();
            state.next += 1;
            let id = state.next;
            state.running.insert(id, name.clone());
            id
        };
        let lifecycle = self.clone();
        self.tracker.spawn(async move {
            let abandon = lifecycle.abandon.clone();
            let ended = tokio::select! {
                ended = AssertUnwindSafe(task).catch_unwind() => Some(ended),
                () = abandon.cancelled() => None,
            };
            match ended {
                Some(Ok(Ok(()))) => {}
                Some(Ok(Err(error))) => lifecycle.fail(&name, &format!("{error:#}")),
                Some(Err(_)) => lifecycle.fail(&name, "it panicked"),
                None => tracing::warn!(task = name, "task abandoned after the grace period"),
            }
            lifecycle.state().running.remove(&id);
        });
    }

    /// Waits for all tasks, abandons them after `grace`, and returns what made the service stop, if a task did.
    pub async fn drained(&self, grace: Duration) -> Result<(), TaskFailed> {
        self.tracker.close();
        if tokio::time::timeout(grace, self.tracker.wait())
            .await
            .is_err()
        {
            let running: Vec<_> = self.state().running.values().cloned().collect();
            tracing::warn!(
                tasks = running.join(" "),
                "tasks did not stop within the grace period"
            );
            self.abandon.cancel();
            // An aborted task ends at its next await; one that blocks is left to the end of the process.
            let _ = tokio::time::timeout(Duration::from_secs(1), self.tracker.wait()).await;
        }
        self.state()
            .failure
            .take()
            .map_or(Ok(()), |failure| Err(TaskFailed(failure)))
    }

    fn fail(&self, task: &str, error: &str) {
        tracing::error!(task, error, "task failed: the service stops");
        self.state()
            .failure
            .get_or_insert_with(|| format!("task {task} failed: {error}"));
        self.stop.cancel();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A background task died and took the service with it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct TaskFailed(String);

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn a_task_that_dies_stops_the_service_and_is_named() {
        type End = fn() -> anyhow::Result<()>;
        let dying: [(&str, End); 2] = [
            ("broken", || anyhow::bail!("no luck")),
            ("panicking", || panic!("oh")),
        ];
        for (name, end) in dying {
            let lifecycle = Lifecycle::new();
            lifecycle.spawn(name, async move { end() });
            lifecycle.stop_token().cancelled().await;
            let failure = lifecycle.drained(GRACE).await.unwrap_err();
            assert!(failure.to_string().contains(name), "{failure}");
        }
    }

    #[tokio::test]
    async fn a_task_that_ends_well_stops_nothing() {
        let lifecycle = Lifecycle::new();
        lifecycle.spawn("short", async { Ok(()) });
        lifecycle.drained(GRACE).await.unwrap();
        assert!(!lifecycle.is_stopping());
    }

    #[tokio::test]
    async fn what_does_not_stop_is_abandoned_after_the_grace_period() {
        let lifecycle = Lifecycle::new();
        let stop = lifecycle.stop_token();
        lifecycle.spawn("patient", async move {
            stop.cancelled().await;
            Ok(())
        });
        lifecycle.spawn("deaf", std::future::pending());
        lifecycle.stop();
        lifecycle.drained(GRACE).await.unwrap();
        assert!(lifecycle.abandon_token().is_cancelled());
    }
}
