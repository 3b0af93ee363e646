//! Which lines are written, changed while the process runs: for a time, after which what is configured holds again.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// How long a change holds at most.
pub const LONGEST: Duration = Duration::from_hours(4);

/// A filter that cannot be set.
#[derive(Debug, thiserror::Error)]
pub enum LevelError {
    /// It is none.
    #[error("{0}: write it as info,conversation=debug")]
    Malformed(String),
    /// It is for longer than may be.
    #[error("a changed filter holds for {} h at most", LONGEST.as_secs() / 3_600)]
    TooLong,
    /// This process writes no logs.
    #[error("logs are not set up")]
    NotSetUp,
}

type Replace = Box<dyn Fn(EnvFilter) -> bool + Send + Sync>;

/// Where the filter of this process is changed.
struct Filters {
    replace: Replace,
    configured: String,
    current: Mutex<(String, CancellationToken)>,
}

static FILTERS: OnceLock<Filters> = OnceLock::new();

/// Says how the filter is replaced, once.
pub(super) fn set_up(configured: &str, replace: Replace) {
    let current = Mutex::new((configured.to_owned(), CancellationToken::new()));
    // Telemetry is set up once; a second time has been refused already.
    let _ = FILTERS.set(Filters {
        replace,
        configured: configured.to_owned(),
        current,
    });
}

/// Returns the filter that holds now.
pub fn current() -> Option<String> {
    let current = FILTERS.get()?.current.lock();
    Some(current.unwrap_or_else(PoisonError::into_inner).0.clone())
}

/// Changes the filter for a time; a change before it ends with it.
pub fn change(filter: &str, hold: Duration) -> Result<(), LevelError> {
    let filters = FILTERS.get().ok_or(LevelError::NotSetUp)?;
    if hold > LONGEST {
        return Err(LevelError::TooLong);
    }
    filters.put(filter)?;
    let over = CancellationToken::new();
    {
        let mut current = filters
            .current
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        current.1.cancel();
        current.1 = over.clone();
    }
    tracing::warn!(
        filter,
        ?hold,
        "log lines are filtered otherwise for a while"
    );
    tokio::spawn(async move {
        if tokio::time::timeout(hold, over.cancelled()).await.is_err() {
            // It has been parsed at the start.
            let _ = filters.put(&filters.configured);
            tracing::warn!(
                filter = filters.configured,
                "log lines are filtered as configured again"
            );
        }
    });
    Ok(())
}

impl Filters {
    fn put(&self, filter: &str) -> Result<(), LevelError> {
        let parsed: EnvFilter = filter
            .parse()
            .map_err(|error| LevelError::Malformed(format!("{filter:?}: {error}")))?;
        if !(self.replace)(parsed) {
            return Err(LevelError::NotSetUp);
        }
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        filter.clone_into(&mut current.0);
        Ok(())
    }
}
