//! Files that hold a secret, a key or a certificate, read again when they change: each is rotated without a restart (O2.15).

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;

/// How often a file is looked at, at most.
pub const LOOKED_AT: Duration = Duration::from_secs(2);

/// A file larger than this holds no secret of ours.
const MAX_BYTES: u64 = 1 << 20;

type Read<T> = dyn Fn(&str) -> anyhow::Result<T> + Send + Sync;

/// What a file holds, as it is now.
///
/// What cannot be read while it is being replaced, or is no such thing, leaves what was read before: it may still be good.
pub struct Fresh<T> {
    /// The key of the configuration that names the file, for messages.
    name: &'static str,
    path: PathBuf,
    read: Box<Read<T>>,
    seen: Mutex<Option<Seen<T>>>,
}

struct Seen<T> {
    looked: Instant,
    changed: Option<SystemTime>,
    value: Arc<T>,
}

impl<T> Fresh<T> {
    /// Names the file, by the key of the configuration that tells it, and how its text is read. Nothing is read yet.
    pub fn new(
        name: &'static str,
        path: &Path,
        read: impl Fn(&str) -> anyhow::Result<T> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name,
            path: path.to_owned(),
            read: Box::new(read),
            seen: Mutex::new(None),
        }
    }

    /// Returns what the file holds.
    ///
    /// # Errors
    /// Where it never could be read; what failed stands with the key and the path, without anything of the text.
    pub fn current(&self) -> anyhow::Result<Arc<T>> {
        self.at(Instant::now())
    }

    fn at(&self, now: Instant) -> anyhow::Result<Arc<T>> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = || {
            let file = std::fs::metadata(&self.path);
            file.and_then(|file| file.modified()).ok()
        };
        if let Some(seen) = seen.as_mut() {
            if now.saturating_duration_since(seen.looked) < LOOKED_AT {
                return Ok(Arc::clone(&seen.value));
            }
            seen.looked = now;
            if changed() == seen.changed {
                return Ok(Arc::clone(&seen.value));
            }
        }
        // Taken before the file is read: what is written meanwhile is seen next time.
        let changed = changed();
        match self.text().and_then(|text| (self.read)(&text)) {
            Ok(value) => {
                let value = Arc::new(value);
                if seen.is_some() {
                    tracing::info!(path = %self.path.display(), "{} was read again", self.name);
                }
                *seen = Some(Seen {
                    looked: now,
                    changed,
                    value: Arc::clone(&value),
                });
                Ok(value)
            }
            Err(error) => {
                let error = error.context(format!("{}: {}", self.name, self.path.display()));
                let Some(seen) = seen.as_ref() else {
                    return Err(error);
                };
                tracing::error!(
                    error = format!("{error:#}"),
                    "a file that changed cannot be used; what it held before still is"
                );
                Ok(Arc::clone(&seen.value))
            }
        }
    }

    fn text(&self) -> anyhow::Result<String> {
        let length = std::fs::metadata(&self.path)?.len();
        anyhow::ensure!(length <= MAX_BYTES, "it is larger than {MAX_BYTES} bytes");
        std::fs::read_to_string(&self.path).context("it cannot be read")
    }
}

impl<T> std::fmt::Debug for Fresh<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} in {}", self.name, self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(path: &Path) -> Fresh<u32> {
        Fresh::new("x.number_file", path, |text| {
            text.trim().parse().context("it holds no number")
        })
    }

    /// Writes as secrets are replaced: another file in its place, with a time of its own.
    fn replace(path: &Path, text: &str, time: SystemTime) {
        let next = path.with_extension("next");
        std::fs::write(&next, text).unwrap();
        let file = std::fs::File::options().append(true).open(&next).unwrap();
        file.set_modified(time).unwrap();
        std::fs::rename(next, path).unwrap();
    }

    #[test]
    fn o2_15_a_file_is_read_again_when_it_changed_and_kept_where_it_is_no_good() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("number");
        let begun = SystemTime::UNIX_EPOCH + Duration::from_hours(500_000);
        replace(&path, "1\n", begun);
        let (fresh, now) = (number(&path), Instant::now());
        let mut turn = 0;
        let mut looked = |text: Option<&str>| {
            turn += 1;
            if let Some(text) = text {
                replace(&path, text, begun + Duration::from_secs(turn));
            }
            let after = LOOKED_AT * u32::try_from(turn).unwrap();
            *fresh.at(now + after).unwrap()
        };
        for (text, expected) in [
            (None, 1),
            (Some("2"), 2),
            (Some("no number"), 2),
            (None, 2),
            (Some("3"), 3),
        ] {
            assert_eq!(looked(text), expected, "{text:?}");
        }
        std::fs::remove_file(&path).unwrap();
        assert_eq!(looked(None), 3, "the file is away");
        assert_eq!(looked(Some("4")), 4);
    }

    #[test]
    fn a_file_that_never_was_good_is_told_with_key_and_path_and_without_its_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("number");
        let told = |fresh: &Fresh<u32>| format!("{:#}", fresh.current().unwrap_err());
        let fresh = number(&path);
        assert!(
            told(&fresh).starts_with("x.number_file: /"),
            "{}",
            told(&fresh)
        );
        std::fs::write(&path, "secret").unwrap();
        let message = told(&fresh);
        assert!(message.contains("it holds no number"), "{message}");
        assert!(!message.contains("secret"), "{message}");
        std::fs::write(&path, vec![b'1'; 2 << 20]).unwrap();
        assert!(told(&fresh).contains("larger"), "{}", told(&fresh));
    }
}
